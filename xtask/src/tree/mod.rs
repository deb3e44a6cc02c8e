//! The root file system as a value: path → kind, mode, owner, content, origin.

pub mod erofs;
pub mod firmware;
pub mod kernel;
pub mod lints;
pub mod merge;
mod modinfo;
pub mod modules;
pub mod prune;
#[cfg(test)]
pub mod testing;
mod walk;

use std::collections::BTreeMap;

pub use disks::Content;

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and where it points, as written.
    Symlink(String),
    /// A second name of another path of this tree.
    Hardlink(TreePath),
    /// A character device (major, minor).
    CharDevice(u32, u32),
}

/// Who put an entry there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A package of the target's lock.
    Package {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// The configuration delta of the twin.
    Delta,
    /// A file laid over the tree: its path in the repo.
    Overlay(String),
    /// Made by the builder: which step.
    Builder(&'static str),
}

/// An absolute, normal path below the root, without the leading slash (`usr/bin/cloudy`); the root itself is the empty string.
pub type TreePath = String;

/// One entry of the tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (0o7777 at most).
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Extended attributes, name → value (`security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who put it there.
    pub origin: Origin,
}

/// The tree: every entry by its path, in order, so that parents come before children.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<TreePath, Entry>,
}

impl Tree {
    /// All entries, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// The entry at exactly `path` (no symbolic link is followed).
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Puts an entry, replacing what stood there.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// Takes an entry away.
    pub fn remove(&mut self, path: &str) -> Option<Entry> {
        self.entries.remove(path)
    }

    /// Keeps only the entries that `keep` says yes to.
    pub fn retain(&mut self, keep: impl FnMut(&TreePath, &mut Entry) -> bool) {
        self.entries.retain(keep);
    }
}
