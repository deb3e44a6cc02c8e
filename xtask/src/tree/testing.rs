//! Small trees for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Content, Entry, Kind, Origin, Tree};

/// An entry of root's.
pub fn entry(kind: Kind, mode: u32) -> Entry {
    Entry { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new(), origin: Origin::Builder("test") }
}

/// A folder.
pub fn folder() -> Entry {
    entry(Kind::Directory, 0o755)
}

/// A regular file.
pub fn file(content: impl AsRef<[u8]>) -> Entry {
    entry(Kind::File(Content::Bytes(Arc::from(content.as_ref()))), 0o644)
}

/// A program.
pub fn program(content: impl AsRef<[u8]>) -> Entry {
    Entry { mode: 0o755, ..file(content) }
}

/// The head of an ELF file for this machine, with no segments.
pub fn elf(machine: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 3;
    header[18] = machine;
    header[52] = 64;
    header
}

/// A symbolic link.
pub fn link(target: &str) -> Entry {
    entry(Kind::Symlink(target.to_owned()), 0o777)
}

/// A second name.
pub fn hardlink(target: &str) -> Entry {
    entry(Kind::Hardlink(target.to_owned()), 0o644)
}

/// A tree of these.
pub fn tree(entries: &[(&str, Entry)]) -> Tree {
    let mut tree = Tree::default();
    for (path, entry) in entries {
        tree.insert((*path).to_owned(), entry.clone());
    }
    tree
}

/// Paths of a tree.
pub fn paths(tree: &Tree) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}
