//! Folders that several packages ship: whose mode and owner they get.
//!
//! Packages are unpacked side by side, and GNU tar closes a folder to others while it works in it: what an unpacking tar finds may be another
//! one's passing state, and it would "restore" that. So folders are set once more when all have ended, by the rule that the tree goes by.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Unpacked;
use crate::packages::data::DataKind;
use crate::tree::{Origin, Tree};

/// Each folder as its first package says. `packages` in the order in which they are laid.
pub(super) fn agreed<'u>(packages: impl Iterator<Item = &'u Unpacked>) -> Result<Tree> {
    let mut tree = Tree::default();
    for package in packages {
        let folders: Vec<_> = package.entries.iter().filter(|entry| entry.kind == DataKind::Dir).cloned().collect();
        tree.lay_package(&package.tar, &folders, &Origin::Builder("twin"), &BTreeSet::new())?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::data::DataEntry;

    fn entry(path: &str, kind: DataKind, mode: u32) -> DataEntry {
        let (path, xattrs) = (path.into(), Default::default());
        DataEntry { path, kind, mode, uid: 0, gid: 5, uname: None, gname: None, mtime: 0, xattrs }
    }

    #[test]
    fn the_first_package_decides_and_a_merged_path_is_one() {
        let folder = |path: &str, mode| entry(path, DataKind::Dir, mode);
        let link = entry("lib", DataKind::Symlink("usr/lib".into()), 0o777);
        let packages = [
            vec![folder("", 0o755), folder("usr/lib", 0o755), link],
            vec![folder("usr/lib", 0o700), folder("lib/udev", 0o711), folder("usr/lib/udev", 0o750)],
        ]
        .map(|entries| Unpacked { tar: "nowhere".into(), entries });
        let found = agreed(packages.iter()).unwrap();
        let modes: Vec<_> = found.iter().map(|(path, entry)| (path.as_str(), entry.mode, entry.gid)).collect();
        assert_eq!(modes, [("", 0o755, 5), ("usr/lib", 0o755, 5), ("usr/lib/udev", 0o711, 5)]);
    }
}
