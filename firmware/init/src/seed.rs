//! Laying what packages ship in /var, /home and /root over data.
//!
//! Done at the first boot, and once for each build that is booted for the first time. What is there already is never
//! touched, nor anything taken away: data belongs to the person. What packages expect to be renewed there, their
//! tmpfiles.d lines renew.

use std::fs::{File, Permissions, create_dir, read_dir, read_link, read_to_string, rename, set_permissions, symlink_metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contract::boot::BuildId;
use contract::paths::{BOOT_STATE, DATA_FOLDERS, SEEDED};

/// A file is written under this name first, so that a cut leaves no half file under its own.
const UNFINISHED_PREFIX: &str = ".cloudy-unfinished-";

/// Lays the folders of `root` over `data`, if this build has not done so yet.
pub fn seed(root: &Path, data: &Path, build: BuildId) -> anyhow::Result<()> {
    let marker = data.join(BOOT_STATE.trim_start_matches('/')).join(SEEDED);
    if read_to_string(&marker).is_ok_and(|done| done.trim() == build.to_string()) {
        return Ok(());
    }
    let mut unfinished = Vec::new();
    for folder in DATA_FOLDERS {
        let (from, to) = (root.join(folder), data.join(folder));
        copy(&from, &to, &mut unfinished).with_context(|| format!("failed to lay {} over data", from.display()))?;
    }
    sync(data)?;
    for (temporary, path) in unfinished {
        rename(&temporary, &path).with_context(|| format!("failed to write {}", path.display()))?;
    }
    let folder = marker.parent().unwrap_or(data);
    make_folder(folder, 0o755)?;
    write_whole(&marker, format!("{build}\n").as_bytes())
}

/// Copies one path and all below it, leaving out what is there. Only what is a folder on both sides is entered, so a
/// link that somebody made on data leads nowhere.
fn copy(from: &Path, to: &Path, unfinished: &mut Vec<(PathBuf, PathBuf)>) -> anyhow::Result<()> {
    let source = symlink_metadata(from)?;
    let there = match symlink_metadata(to) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("failed to look at {}", to.display())),
    };
    let kind = source.file_type();
    let written = if kind.is_dir() {
        if there.as_ref().is_some_and(|there| !there.is_dir()) {
            return Ok(());
        }
        if there.is_none() {
            create_dir(to).with_context(|| format!("failed to make {}", to.display()))?;
            own(to, &source)?;
        }
        for entry in read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name), unfinished)?;
        }
        return Ok(());
    } else if there.is_some() {
        return Ok(());
    } else if kind.is_symlink() {
        symlink(read_link(from)?, to)?;
        to.to_owned()
    } else if kind.is_file() {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let temporary = to.with_file_name(format!("{UNFINISHED_PREFIX}{name}"));
        let mut file = File::create(&temporary)?;
        std::io::copy(&mut File::open(from)?, &mut file)?;
        file.set_modified(source.modified()?)?;
        unfinished.push((temporary.clone(), to.to_owned()));
        temporary
    } else {
        // Devices, sockets and pipes: made by who needs them.
        return Ok(());
    };
    own(&written, &source).with_context(|| format!("failed to write {}", to.display()))
}

fn own(path: &Path, like: &std::fs::Metadata) -> anyhow::Result<()> {
    lchown(path, Some(like.uid()), Some(like.gid()))?;
    if !like.is_symlink() {
        set_permissions(path, Permissions::from_mode(like.mode() & 0o7777))?;
    }
    Ok(())
}

/// Makes a folder and those above it; one that is there is left as it is.
pub fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    if !path.is_dir() {
        std::fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
        set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Writes a file so that a cut leaves the old one or the new one.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let doing = || format!("failed to write {}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!("{UNFINISHED_PREFIX}{name}"));
    std::fs::write(&temporary, bytes).with_context(doing)?;
    File::open(&temporary).and_then(|file| file.sync_all()).with_context(doing)?;
    rename(&temporary, path).with_context(doing)?;
    sync(path.parent().unwrap_or(path))
}

/// Waits until all that was written to a path's file system is on the disk.
pub fn sync(path: &Path) -> anyhow::Result<()> {
    let doing = || format!("failed to sync {}", path.display());
    let folder = File::open(path).with_context(doing)?;
    nix::unistd::syncfs(folder).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn what_is_there_stays_and_what_is_missing_comes() {
        let base = std::env::temp_dir().join(format!("cloudy-seed-{}", std::process::id()));
        let (root, data) = (base.join("root"), base.join("data"));
        for folder in ["var/lib/a", "var/local", "home", "root"] {
            create_dir_all(root.join(folder)).unwrap();
        }
        create_dir_all(data.join("var/lib")).unwrap();
        write(root.join("var/lib/a/new"), "new").unwrap();
        write(root.join("root/.profile"), "shipped").unwrap();
        symlink("/run/lock", root.join("var/lock")).unwrap();
        set_permissions(root.join("var/local"), Permissions::from_mode(0o2775)).unwrap();
        let build = BuildId([1; 16]);
        seed(&root, &data, build).unwrap();
        assert_eq!(read_to_string(data.join("var/lib/a/new")).unwrap(), "new");
        assert_eq!(read_link(data.join("var/lock")).unwrap(), Path::new("/run/lock"));
        assert_eq!(symlink_metadata(data.join("var/local")).unwrap().mode() & 0o7777, 0o2775);

        // The person's changes stay; a link of theirs is not followed; a new build brings what is missing.
        write(data.join("root/.profile"), "mine").unwrap();
        std::fs::remove_dir_all(data.join("var/lib/a")).unwrap();
        symlink(base.join("elsewhere"), data.join("var/lib/a")).unwrap();
        create_dir_all(base.join("elsewhere")).unwrap();
        seed(&root, &data, BuildId([2; 16])).unwrap();
        assert_eq!(read_to_string(data.join("root/.profile")).unwrap(), "mine");
        assert!(!base.join("elsewhere/new").exists());

        // The same build does nothing more.
        std::fs::remove_file(data.join("root/.profile")).unwrap();
        seed(&root, &data, BuildId([2; 16])).unwrap();
        assert!(!data.join("root/.profile").exists());
        std::fs::remove_dir_all(&base).unwrap();
    }
}
