//! Folders that several packages ship: whose mode and owner they get.
//!
//! Packages are unpacked side by side, and GNU tar closes a folder to others while it works in it: what an unpacking tar finds may be another
//! one's passing state, and it would "restore" that. So folders are set once more when all have ended, by the rule that the tree goes by.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use tar::{Builder, EntryType, Header};

use crate::packages::data::{DataEntry, DataKind};
use crate::tree::TreePath;
use crate::tree::merge::{is_merged_top, usr_merged};

/// What is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Each folder with what its first package says, by where it lies. `packages`: the entries of each, in the order in which they are laid.
pub fn agreed(packages: &[Vec<DataEntry>]) -> BTreeMap<TreePath, Owned> {
    let mut folders = BTreeMap::new();
    for entry in packages.iter().flatten().filter(|entry| entry.kind == DataKind::Dir) {
        let path = usr_merged(&entry.path);
        // `/lib` is a link, whatever a package says.
        if !is_merged_top(&path) {
            folders.entry(path).or_insert(Owned { mode: entry.mode, uid: entry.uid, gid: entry.gid });
        }
    }
    folders
}

/// The folders as a tar.
pub fn write_tar(folders: &BTreeMap<TreePath, Owned>, out: impl Write) -> Result<()> {
    let mut tar = Builder::new(out);
    for (path, owned) in folders {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Directory);
        header.set_mode(owned.mode);
        header.set_uid(owned.uid.into());
        header.set_gid(owned.gid.into());
        header.set_mtime(0);
        header.set_size(0);
        tar.append_data(&mut header, format!("./{path}"), std::io::empty())?;
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, mode: u32) -> DataEntry {
        DataEntry {
            path: path.into(),
            kind: DataKind::Dir,
            mode,
            uid: 0,
            gid: 5,
            uname: None,
            gname: None,
            mtime: 0,
            xattrs: BTreeMap::new(),
        }
    }

    #[test]
    fn the_first_package_decides_and_a_merged_path_is_one() {
        let first = vec![
            folder("", 0o755),
            folder("usr/lib", 0o755),
            DataEntry { kind: DataKind::Symlink("usr/lib".into()), ..folder("lib", 0o777) },
        ];
        let later = vec![folder("usr/lib", 0o700), folder("lib", 0o700), folder("lib/udev", 0o711), folder("usr/lib/udev", 0o750)];
        let found = agreed(&[first, later]);
        let modes: Vec<_> = found.iter().map(|(path, owned)| (path.as_str(), owned.mode)).collect();
        assert_eq!(modes, [("", 0o755), ("usr/lib", 0o755), ("usr/lib/udev", 0o711)]);

        let mut bytes = Vec::new();
        write_tar(&found, &mut bytes).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let back = crate::packages::data::data_entries(file.path()).unwrap();
        assert_eq!(agreed(&[back]), found);
    }
}
