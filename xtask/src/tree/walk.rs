//! Finding one's way in a tree: links followed as the booted system follows them, from its root.

use super::{Entry, Kind, Tree, TreePath};
use crate::digest::Key;

/// Links followed at most, as the kernel has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// The path without links.
    pub path: TreePath,
    /// What is there; never a symbolic link.
    pub entry: &'a Entry,
    /// Symbolic links passed on the way, in order.
    pub links: Vec<TreePath>,
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// Nothing is at this path (no link is in it).
    Absent(TreePath),
    /// Links that lead in a circle, or too many.
    TooManyLinks,
}

impl Tree {
    /// Whether anything lies below a folder.
    pub fn has_children(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        self.entries.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    }

    /// Entries below a folder, at any depth.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&TreePath, &Entry)> + use<'_> {
        let below = format!("{folder}/");
        self.entries.range(below.clone()..).take_while(move |(path, _)| path.starts_with(&below))
    }

    /// Takes names and contents of the files below `folder` that `wanted` says yes to (by path) into a key.
    pub fn key_below(&self, folder: &str, wanted: impl Fn(&str) -> bool, key: &mut Key) {
        for (path, entry) in self.below(folder).filter(|(path, _)| wanted(path)) {
            key.put(path.as_bytes());
            if let Kind::File(content) = &entry.kind {
                key.content(content);
            }
        }
    }

    /// What is at `path` once every symbolic link in it is followed. A leading slash is allowed.
    pub fn resolve(&self, path: &str) -> Result<Resolved<'_>, Nowhere> {
        let mut todo: Vec<String> = parts(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = Vec::new();
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            let here = done.join("/");
            let entry = self.get(&here);
            match entry.map(|entry| &entry.kind) {
                Some(Kind::Symlink(target)) => {
                    if links.len() == MAX_LINKS {
                        return Err(Nowhere::TooManyLinks);
                    }
                    links.push(here);
                    done.pop();
                    if target.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(parts(target));
                }
                Some(_) => {}
                // A folder that no package names, but things below it do.
                None if self.has_children(&here) => {}
                None => {
                    let rest = std::iter::once(here).chain(todo.into_iter().rev()).collect::<Vec<_>>();
                    return Err(Nowhere::Absent(rest.join("/")));
                }
            }
        }
        let path = done.join("/");
        match self.get(&path) {
            Some(entry) => Ok(Resolved { path, entry, links }),
            None => Err(Nowhere::Absent(path)),
        }
    }

    /// The file that `path` leads to, hard links followed too: its final path and its entry.
    pub fn file(&self, path: &str) -> Option<(TreePath, &Entry)> {
        let found = self.resolve(path).ok()?;
        match &found.entry.kind {
            Kind::Hardlink(target) => self.get(target).map(|entry| (target.clone(), entry)),
            Kind::File(_) => Some((found.path, found.entry)),
            _ => None,
        }
    }
}

/// The parts of a path, last first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::{file, folder, link, tree};

    #[test]
    fn links_are_followed_from_the_root_of_the_tree() {
        let tree = tree(&[
            ("lib", link("usr/lib")),
            ("usr", folder()),
            ("usr/lib", folder()),
            ("usr/lib/a.so", link("../lib/b.so")),
            ("usr/lib/b.so", link("/lib/c.so")),
            ("usr/lib/c.so", file("c")),
            ("loop", link("loop")),
            ("gone", link("/run/x")),
        ]);
        let found = tree.resolve("/lib/a.so").unwrap();
        assert_eq!(found.path, "usr/lib/c.so");
        assert_eq!(found.links, ["lib", "usr/lib/a.so", "usr/lib/b.so", "lib"]);
        assert_eq!(tree.resolve("loop").unwrap_err(), Nowhere::TooManyLinks);
        assert_eq!(tree.resolve("gone").unwrap_err(), Nowhere::Absent("run/x".to_owned()));
        assert_eq!(tree.resolve("usr/x/y").unwrap_err(), Nowhere::Absent("usr/x/y".to_owned()));
        assert!(tree.has_children("usr/lib") && !tree.has_children("us"));
        assert_eq!(tree.below("usr/lib").count(), 3);
    }
}
