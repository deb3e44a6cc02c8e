//! The files of packages: data tars unpacked once into the cache, and their entries as places in those tars.
//!
//! Nothing is extracted: a tree refers to bytes as slices of the cached tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::deb::Deb;
use super::lock::LockedPackage;
use crate::full_disk;
use crate::parallel;
use crate::sandbox::Sandbox;

/// The most that one data.tar may unpack to (the largest that we lock are below 1 GiB).
const MAX_DATA_BYTES: u64 = 3 << 30;
/// A tar ends with two empty blocks.
const TAR_END_BYTES: u64 = 1024;

/// One entry of a data tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataEntry {
    /// Normal and relative, without a leading `./` or `/`; the root itself is the empty string.
    pub path: String,
    /// What it is.
    pub kind: DataKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner's number, as the package has it.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Owner's name, if given.
    pub uname: Option<String>,
    /// Group's name, if given.
    pub gname: Option<String>,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes, name → value.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry of a data tar is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataKind {
    /// A directory.
    Dir,
    /// A regular file: its bytes in the tar.
    File {
        /// First byte in the uncompressed tar.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// A symbolic link and where it points, as written.
    Symlink(String),
    /// A second name of the file at this path (normal, relative).
    Hardlink(String),
    /// A character device (major, minor).
    Char(u32, u32),
}

/// The uncompressed data tar of a package, unpacked into the cache if it is not there yet. The .deb must be in the cache.
pub fn data_tar(cache: &Cache, package: &LockedPackage) -> Result<PathBuf> {
    let path = cache.tar_path(&package.sha256);
    if path.is_file() {
        return Ok(path);
    }
    let deb = cache.deb(package).with_context(|| format!("{} is not in the cache: it has to be fetched first", package.title()))?;
    unpack(&deb, package, &path)?;
    Ok(path)
}

fn unpack(deb: &Path, package: &LockedPackage, path: &Path) -> Result<()> {
    let opened = Deb::open(deb)?;
    check_identity(&opened, package)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let copied = std::io::copy(&mut opened.data()?.take(MAX_DATA_BYTES + 1), &mut file)?;
        if copied > MAX_DATA_BYTES {
            bail!("it unpacks to more than {MAX_DATA_BYTES} bytes");
        }
        // What is in the cache is known to be readable.
        data_entries(file.path())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write()
        .map_err(|error| full_disk::explain(error, folder, full_disk::OF_CACHE))
        .with_context(|| format!("failed to unpack the files of {}", package.title()))
}

fn check_identity(opened: &Deb, package: &LockedPackage) -> Result<()> {
    let control = &opened.control;
    if (control.package(), control.version(), control.architecture()) != (&package.name, &package.version, &package.arch) {
        bail!(
            "the lock says {}, but that .deb holds {} {} ({}): the lock was edited by hand; make it again with `cargo xtask lock`",
            package.title(),
            control.package(),
            control.version(),
            control.architecture()
        );
    }
    Ok(())
}

/// Unpacks all data tars that the cache lacks with the dpkg-deb of the tools tree, as many at a time as there are processors, the largest first.
///
/// The C decompressor takes two thirds of the time of the one in Rust that [`data_tar`] uses for single packages.
pub fn prepare_in(tools: &Sandbox, packages: &[LockedPackage], cache: &Cache) -> Result<()> {
    let mut missing: Vec<&LockedPackage> = packages.iter().filter(|package| cache.tar(package).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_by_key(|package| std::cmp::Reverse(package.size));
    let aside = tempfile::Builder::new().prefix("unpacking-").tempdir_in(cache.root())?;
    let mut jobs = String::new();
    let debs = cache.root().join("debs");
    for package in &missing {
        let deb = cache.deb(package).with_context(|| format!("{} is not in the cache: it has to be fetched first", package.title()))?;
        let inside = deb.strip_prefix(&debs).context("a .deb lies outside the cache")?;
        jobs.push_str(&format!("/debs/{} {}\n", inside.display(), package.sha256));
    }
    // dash counts in blocks of 512 bytes.
    let script = format!(
        "ulimit -f {}; xargs -n 2 -P {} sh -c 'dpkg-deb --fsys-tarfile \"$0\" > \"/out/$1\" || exit 255'",
        MAX_DATA_BYTES / 512,
        parallel::processors()
    );
    let sandbox = tools.clone().bind(&std::fs::canonicalize(&debs)?, "/debs").bind_writable(aside.path(), "/out");
    let unpacked = sandbox.command(["sh", "-c", &script]).run_with(|mut pipe| Ok(pipe.write_all(jobs.as_bytes())?), |_| ());
    unpacked.map_err(|error| full_disk::explain(error, cache.root(), full_disk::OF_CACHE)).context("failed to unpack packages")?;
    parallel::for_each(&missing, parallel::processors(), |package| {
        let deb = Deb::open(&cache.deb(package).context("a .deb left the cache meanwhile")?)?;
        check_identity(&deb, package)?;
        let (from, to) = (aside.path().join(&package.sha256), cache.tar_path(&package.sha256));
        // What is in the cache is known to be readable.
        data_entries(&from)?;
        std::fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
        std::fs::rename(from, to)?;
        Ok(())
    })
}

/// Unpacks all data tars that the cache lacks, in parallel, the largest first.
#[cfg(test)]
pub fn prepare(packages: &[LockedPackage], cache: &Cache) -> Result<()> {
    let mut missing: Vec<&LockedPackage> = packages.iter().filter(|package| cache.tar(package).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_by_key(|package| std::cmp::Reverse(package.size));
    let progress = crate::ui::progress(missing.iter().map(|package| package.size).sum(), "unpacking");
    let threads = parallel::processors();
    parallel::for_each(&missing, threads, |package| {
        data_tar(cache, package)?;
        progress.add(package.size);
        Ok(())
    })
}

/// All entries of an uncompressed data tar, in its order. Refuses paths that leave the tree, and kinds that no package ships.
pub fn data_entries(tar: &Path) -> Result<Vec<DataEntry>> {
    read_entries(tar)
        .with_context(|| format!("failed to read the tar {} (if it was damaged, remove it: it is unpacked again)", tar.display()))
}

fn read_entries(path: &Path) -> Result<Vec<DataEntry>> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    // A file that a crash cut short does not end as a tar does.
    let mut tail = [1; TAR_END_BYTES as usize];
    let marker = end.checked_sub(TAR_END_BYTES).context("it is too short")?;
    file.seek(SeekFrom::Start(marker))?;
    file.read_exact(&mut tail)?;
    if tail.iter().any(|byte| *byte != 0) || end % 512 != 0 {
        bail!("its end is missing");
    }
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut entries = Vec::new();
    let mut last = 0;
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        last = entry.raw_file_position().saturating_add(entry.size().div_ceil(512).saturating_mul(512));
        let raw = String::from_utf8(entry.path_bytes().into_owned()).context("a path is not UTF-8")?;
        let read = read_entry(&mut entry, &raw, end).with_context(|| format!("the entry {raw:?} is bad"))?;
        entries.push(read);
    }
    // The zeros at the end may be those of a file.
    if last > marker {
        bail!("its end is missing");
    }
    if entries.is_empty() {
        bail!("it holds nothing, not even the root");
    }
    Ok(entries)
}

fn read_entry<R: Read>(entry: &mut tar::Entry<'_, R>, raw: &str, end: u64) -> Result<DataEntry> {
    let mut xattrs = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let key = extension.key().context("a key of its extended header is not UTF-8")?;
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            } else if key.starts_with("GNU.sparse") {
                bail!("sparse files are not supported");
            }
        }
    }
    let header = entry.header();
    let target = || -> Result<String> {
        let bytes = entry.link_name_bytes().context("it is a link to nothing")?;
        let target = String::from_utf8(bytes.into_owned()).context("its target is not UTF-8")?;
        if target.is_empty() || target.contains('\0') {
            bail!("its target is empty or holds a NUL");
        }
        Ok(target)
    };
    let kind = match header.entry_type() {
        tar::EntryType::Directory => DataKind::Dir,
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let (offset, len) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(len).is_none_or(|last| last > end) {
                bail!("its {len} bytes at {offset} are beyond the end of the tar");
            }
            DataKind::File { offset, len }
        }
        tar::EntryType::Symlink => DataKind::Symlink(target()?),
        tar::EntryType::Link => DataKind::Hardlink(normal(&target()?)?),
        tar::EntryType::Char => {
            let number = |part: Option<u32>| part.context("its device number is missing");
            DataKind::Char(number(header.device_major()?)?, number(header.device_minor()?)?)
        }
        other => bail!("entries of type {other:?} are not supported"),
    };
    let path = normal(raw)?;
    if path.is_empty() && kind != DataKind::Dir {
        bail!("the root is not a directory");
    }
    let name = |name: Result<Option<&str>, _>| -> Result<Option<String>> {
        Ok(name.context("an owner's name is not UTF-8")?.filter(|name| !name.is_empty()).map(str::to_owned))
    };
    Ok(DataEntry {
        path,
        mode: header.mode()? & 0o7777,
        uid: u32::try_from(header.uid()?).context("its owner's number is too large")?,
        gid: u32::try_from(header.gid()?).context("its group's number is too large")?,
        uname: name(header.username())?,
        gname: name(header.groupname())?,
        mtime: header.mtime()?,
        kind,
        xattrs,
    })
}

/// `./a/b/` → `a/b`; refuses what is absolute, leaves the tree or is not normal.
fn normal(raw: &str) -> Result<String> {
    if raw.starts_with('/') {
        bail!("the path {raw:?} is absolute");
    }
    let path = if raw == "." { "" } else { raw.strip_prefix("./").unwrap_or(raw) };
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.contains('\0') || (!path.is_empty() && path.split('/').any(|part| part.is_empty() || part == "." || part == "..")) {
        bail!("the path {raw:?} is not normal");
    }
    Ok(path.to_owned())
}
