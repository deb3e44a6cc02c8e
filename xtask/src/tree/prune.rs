//! Leaving out paths that a flavour names, and folders that are empty because of it.

use std::collections::BTreeSet;

use super::{Kind, Tree};
use crate::board::Prune;

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Entries, without the folders that became empty.
    pub entries: usize,
    /// Bytes of regular files.
    pub bytes: u64,
}

/// The tree without what `rules` drop. A folder goes only if all that was in it went; a hard link whose other name goes
/// takes its place.
pub fn prune(mut tree: Tree, rules: &Prune) -> (Tree, Pruned) {
    let doomed: BTreeSet<String> = tree
        .iter()
        .filter(|(path, entry)| !matches!(entry.kind, Kind::Directory) && rules.drops(&format!("/{path}")))
        .map(|(path, _)| path.clone())
        .collect();
    let pruned = remove(&mut tree, &doomed);
    (tree, pruned)
}

/// Takes `doomed` (no folders) out of the tree, and the folders that held nothing else.
pub fn remove(tree: &mut Tree, doomed: &BTreeSet<String>) -> Pruned {
    keep_linked(tree, doomed);
    let mut pruned = Pruned::default();
    let mut emptied = BTreeSet::new();
    for path in doomed {
        let Some(entry) = tree.remove(path) else { continue };
        pruned.entries += 1;
        if let Kind::File(content) = &entry.kind {
            pruned.bytes += content.len();
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            emptied.insert(parent.to_owned());
        }
    }
    // The longest paths last: a folder is looked at after all that was below it.
    while let Some(folder) = emptied.pop_last() {
        if !tree.has_children(&folder) && tree.get(&folder).is_some_and(|entry| matches!(entry.kind, Kind::Directory)) {
            tree.remove(&folder);
            if let Some((parent, _)) = folder.rsplit_once('/') {
                emptied.insert(parent.to_owned());
            }
        }
    }
    pruned
}

/// Where a hard link stays and the name that it leads to goes, the first that stays becomes the file.
fn keep_linked(tree: &mut Tree, doomed: &BTreeSet<String>) {
    let links: Vec<(String, String)> = tree
        .iter()
        .filter(|(path, _)| !doomed.contains(*path))
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::Hardlink(target) if doomed.contains(target) => Some((target.clone(), path.clone())),
            _ => None,
        })
        .collect();
    let mut heirs = std::collections::BTreeMap::<String, String>::new();
    for (target, path) in links {
        let Some(mut entry) = tree.remove(&path) else { continue };
        match heirs.get(&target) {
            Some(heir) => entry.kind = Kind::Hardlink(heir.clone()),
            None => {
                if let Some(file) = tree.get(&target) {
                    entry.kind = file.kind.clone();
                }
                heirs.insert(target, path.clone());
            }
        }
        tree.insert(path, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Globs;
    use crate::tree::testing::{file, folder, hardlink, paths, tree};

    fn rules(drop: &[&str], keep: &[&str]) -> Prune {
        Prune { drop: Globs::new(drop).unwrap(), keep: Globs::new(keep).unwrap() }
    }

    #[test]
    fn keep_wins_and_emptied_folders_go_but_folders_that_were_empty_stay() {
        let before = tree(&[
            ("usr", folder()),
            ("usr/doc", folder()),
            ("usr/doc/a", folder()),
            ("usr/doc/a/copyright", file("c")),
            ("usr/doc/a/news", file("nn")),
            ("usr/doc/b", folder()),
            ("usr/doc/b/deep", folder()),
            ("usr/doc/b/deep/x", file("x")),
            ("usr/doc/empty", folder()),
        ]);
        let (after, pruned) = prune(before, &rules(&["/usr/doc/**"], &["/usr/doc/*/copyright"]));
        assert_eq!(paths(&after), ["usr", "usr/doc", "usr/doc/a", "usr/doc/a/copyright", "usr/doc/empty"]);
        assert_eq!(pruned, Pruned { entries: 2, bytes: 3 });
    }

    #[test]
    fn the_second_name_of_what_goes_becomes_the_file() {
        let before = tree(&[("a", file("aa")), ("b", hardlink("a")), ("c", hardlink("a"))]);
        let (after, _) = prune(before, &rules(&["/a"], &[]));
        assert!(matches!(&after.get("b").unwrap().kind, Kind::File(content) if content.len() == 2));
        assert!(matches!(&after.get("c").unwrap().kind, Kind::Hardlink(target) if target == "b"));
    }
}
