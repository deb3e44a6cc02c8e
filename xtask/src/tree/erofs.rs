//! The tree as one tar stream, and that stream as an erofs image. Nothing is extracted, nothing needs root.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

use super::{Content, Entry, Kind, Tree};
use crate::sandbox::Sandbox;

/// What mkfs.erofs is told.
#[derive(Clone, Debug)]
pub struct ErofsSettings {
    /// The file system's UUID, as text.
    pub uuid: String,
    /// Seconds since 1970 that every file bears.
    pub epoch: u64,
    /// `-z` argument, such as `lz4hc,12`; plain without.
    pub compression: Option<String>,
}

/// Writes the tree as a POSIX tar: parents before children, a hard link after its target, owners as numbers, one time for all.
pub fn write_tar(tree: &Tree, epoch: u64, out: impl Write) -> Result<()> {
    let mut tar = Builder::new(out);
    let mut done = BTreeSet::new();
    for (path, entry) in tree.iter() {
        write_entry(&mut tar, tree, path, entry, epoch, &mut done).with_context(|| format!("failed to write /{path}"))?;
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

fn write_entry<'t, W: Write>(
    tar: &mut Builder<W>,
    tree: &'t Tree,
    path: &'t str,
    entry: &'t Entry,
    epoch: u64,
    done: &mut BTreeSet<&'t str>,
) -> Result<()> {
    if !done.insert(path) {
        return Ok(());
    }
    if let Kind::Hardlink(target) = &entry.kind {
        let first = tree.get(target).with_context(|| format!("it is a second name of /{target}, which is not there"))?;
        write_entry(tar, tree, target, first, epoch, done)?;
    }
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(epoch);
    header.set_size(0);
    if !entry.xattrs.is_empty() {
        let names: Vec<String> = entry.xattrs.keys().map(|name| format!("SCHILY.xattr.{name}")).collect();
        tar.append_pax_extensions(names.iter().map(String::as_str).zip(entry.xattrs.values().map(Vec::as_slice)))?;
    }
    let name = if path.is_empty() { ".".to_owned() } else { format!("./{path}") };
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, name, std::io::empty())?;
        }
        Kind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len());
            match content {
                Content::Bytes(bytes) => tar.append_data(&mut header, name, &bytes[..])?,
                Content::Slice { file, offset, len } => {
                    let mut source = File::open(file.as_path()).with_context(|| format!("failed to open `{}`", file.display()))?;
                    source.seek(SeekFrom::Start(*offset))?;
                    tar.append_data(&mut header, name, source.take(*len))?;
                }
            }
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, name, target)?;
        }
        Kind::Hardlink(target) => {
            header.set_entry_type(EntryType::Link);
            tar.append_link(&mut header, name, format!("./{target}"))?;
        }
        Kind::CharDevice(major, minor) => {
            header.set_entry_type(EntryType::Char);
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            tar.append_data(&mut header, name, std::io::empty())?;
        }
    }
    Ok(())
}

/// Makes the erofs of `tree` at `out` (a path on the host, whose folder exists) with the tools tree's mkfs.erofs.
///
/// It can't be made at its place in the image: mkfs.erofs 1.8.6 does not heed `--offset` for files of a tar that it does not sort.
pub fn make(tools: &Sandbox, tree: &Tree, settings: &ErofsSettings, out: &Path) -> Result<()> {
    let folder = out.parent().context("the root's path has no folder")?;
    let name = out.file_name().and_then(|name| name.to_str()).context("the root's path has no name")?;
    let mut argv = vec![
        "mkfs.erofs".to_owned(),
        "--quiet".into(),
        "--tar=f".into(),
        // The stream comes in the order of paths already: data go straight into the root, not by way of a buffer on disk.
        "--sort=none".into(),
        "-T".into(),
        settings.epoch.to_string(),
        "-U".into(),
        settings.uuid.clone(),
    ];
    if let Some(compression) = &settings.compression {
        argv.push(format!("-z{compression}"));
    }
    argv.push(format!("/out/{name}"));
    let sandbox = tools.clone().bind_writable(folder, "/out");
    sandbox.command(argv).run_with(|pipe| write_tar(tree, settings.epoch, BufWriter::with_capacity(1 << 20, pipe)), |_| ())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::data::{DataEntry, DataKind, data_entries};
    use crate::tree::testing::{entry, file, folder, hardlink, link, program, tree};

    fn sample() -> Tree {
        let capable = Entry { xattrs: [("security.capability".to_owned(), vec![1, 0, 61, 255])].into(), ..program("ping") };
        tree(&[
            ("", folder()),
            // A second name that stands before the first.
            ("a", hardlink("z/first")),
            ("b", Entry { uid: 5, gid: 42, mode: 0o4755, ..file("b") }),
            ("c", link("/z/first")),
            ("d", entry(Kind::CharDevice(10, 232), 0o666)),
            ("ping", capable),
            ("z", Entry { mode: 0o1777, ..folder() }),
            ("z/first", file("first")),
        ])
    }

    fn written(tree: &Tree) -> (Vec<u8>, Vec<DataEntry>) {
        let mut bytes = Vec::new();
        write_tar(tree, 1_700_000_000, &mut bytes).unwrap();
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), &bytes).unwrap();
        let entries = data_entries(on_disk.path()).unwrap();
        (bytes, entries)
    }

    #[test]
    fn the_stream_holds_all_of_the_tree_and_one_time() {
        let tree = sample();
        let (bytes, entries) = written(&tree);
        assert_eq!(entries.len(), tree.iter().count());
        for read in &entries {
            let put = tree.get(&read.path).unwrap();
            assert_eq!((read.mode, read.uid, read.gid, read.mtime), (put.mode, put.uid, put.gid, 1_700_000_000), "{}", read.path);
            assert_eq!(read.xattrs, put.xattrs, "{}", read.path);
            match (&read.kind, &put.kind) {
                (DataKind::Dir, Kind::Directory) => {}
                (DataKind::File { offset, len }, Kind::File(content)) => {
                    assert_eq!(bytes[*offset as usize..(offset + len) as usize], *content.read().unwrap());
                }
                (DataKind::Symlink(target), Kind::Symlink(put)) | (DataKind::Hardlink(target), Kind::Hardlink(put)) => {
                    assert_eq!(target, put);
                }
                (DataKind::Char(major, minor), Kind::CharDevice(put_major, put_minor)) => {
                    assert_eq!((major, minor), (put_major, put_minor));
                }
                other => panic!("{}: {other:?}", read.path),
            }
        }
        assert_eq!(bytes, written(&tree).0);
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_a_file_before_its_second_name() {
        let (_, entries) = written(&sample());
        let place = |path: &str| entries.iter().position(|entry| entry.path == path).unwrap();
        assert_eq!(place(""), 0);
        assert!(place("z/first") < place("a"));
        let lost = tree(&[("a", hardlink("gone"))]);
        let error = format!("{:#}", write_tar(&lost, 0, Vec::new()).unwrap_err());
        assert_eq!(error, "failed to write /a: it is a second name of /gone, which is not there");
    }

    #[test]
    fn a_file_that_lies_in_a_tar_is_read_from_its_place() {
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), b"..content..").unwrap();
        let content = |len| Content::Slice { file: std::sync::Arc::new(on_disk.path().to_owned()), offset: 2, len };
        let sliced = tree(&[("a", entry(Kind::File(content(7)), 0o644))]);
        assert_eq!(written(&sliced).0, written(&tree(&[("a", file("content"))])).0);
        let short = tree(&[("a", entry(Kind::File(content(700)), 0o644))]);
        // What is cut short is no tar of that tree.
        let mut bytes = Vec::new();
        let _ = write_tar(&short, 0, &mut bytes);
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), &bytes).unwrap();
        assert!(data_entries(on_disk.path()).is_err());
    }
}
