//! The locks of trees that `--tree` adds: of their flavours, and of flavours elsewhere whose lock lacks what their boards need.

use std::path::PathBuf;

use anyhow::Result;

use crate::board::{Arch, Board, Catalog, Flavour};
use crate::packages::lock::{Lock, flavour_lock};
use crate::packages::resolve::Wanted;
use crate::trees::Trees;

/// The locks that the added trees need: where each goes, and what it must hold.
pub fn wanted(trees: &Trees, catalog: &Catalog, flavours: &[&Flavour], arches: &[Arch]) -> Result<Vec<(PathBuf, Wanted)>> {
    let mut all = Vec::new();
    for (index, root) in trees.added().iter().enumerate() {
        let tree = index + 1;
        for flavour in flavours {
            for arch in arches {
                let of_arch = |board: &&Board| board.arch == *arch;
                let boards: Vec<&Board> = if catalog.tree_of_flavour(flavour) == tree {
                    catalog.boards.iter().filter(of_arch).collect()
                } else {
                    let own = catalog.boards.iter().filter(of_arch).filter(|board| catalog.tree_of_board(board) == tree);
                    let path = flavour_lock(trees.root(catalog.tree_of_flavour(flavour)), &flavour.name, arch.debian());
                    let known = if path.exists() { Some(Lock::read(&path)?) } else { None };
                    let lacks = |name: &str| known.as_ref().is_none_or(|lock| lock.get(name).is_none());
                    let own: Vec<&Board> = own.collect();
                    // One that lacks something asks for a lock, which then serves all of its tree.
                    if own.iter().any(|board| board.payload.iter().chain([&board.kernel]).any(|name| lacks(name))) {
                        own
                    } else {
                        Vec::new()
                    }
                };
                if boards.is_empty() {
                    continue;
                }
                let wanted = Wanted {
                    arch: arch.debian().to_owned(),
                    packages: flavour.packages.clone(),
                    providers: flavour.providers.clone(),
                    kernels: boards.iter().map(|board| board.kernel.clone()).collect(),
                    payload: boards.iter().flat_map(|board| board.payload.iter().cloned()).collect(),
                    file: format!("images/os/{}/image.toml", flavour.name),
                };
                all.push((flavour_lock(root, &flavour.name, arch.debian()), wanted));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::lock::LockedPackage;
    use crate::packages::testing::locked;
    use crate::trees::testing::folder as tree;

    const FAMILY: &str = "arch = \"amd64\"\nboot-flow = \"uefi\"\nconsoles = [\"tty0\"]\nkernel = \"linux-image-amd64\"\n";
    const FLAVOUR: &str = "title = \"T\"\npackages = [\"systemd\"]\n";

    #[test]
    fn a_tree_gets_locks_for_its_flavours_and_for_boards_that_need_more() {
        let repo = tree(&[
            ("board-configs/fam/family.toml", FAMILY),
            ("board-configs/fam/one.toml", "title = \"One\"\npayload = [\"firmware-one\"]\n"),
            ("images/os/standard/image.toml", FLAVOUR),
        ]);
        let package = |name: &str| LockedPackage { payload: true, ..locked(name, b"a deb") };
        let lock = Lock { epoch: 1, packages: ["firmware-one", "linux-image-amd64"].map(package).into(), ..Lock::default() };
        lock.write(&repo.path().join("images/os/standard/amd64.lock")).unwrap();
        let jobs = |files: &[(&str, &str)]| {
            let community = tree(files);
            let trees = Trees::new(repo.path(), &[community.path().to_owned()]);
            let catalog = trees.catalog().unwrap();
            let flavours: Vec<_> = catalog.flavours.iter().collect();
            wanted(&trees, &catalog, &flavours, &[Arch::Amd64])
                .unwrap()
                .into_iter()
                .map(|(path, wanted)| {
                    (path.strip_prefix(community.path()).unwrap().to_owned(), wanted.payload.into_iter().collect::<Vec<_>>())
                })
                .collect::<Vec<_>>()
        };
        let firmware = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        assert_eq!(jobs(&[("board-configs/fam/two.toml", "title = \"Two\"\n")]), [], "the checkout's lock has all that it needs");
        assert_eq!(
            jobs(&[("board-configs/fam/two.toml", "title = \"Two\"\npayload = [\"firmware-two\"]\n")]),
            [(PathBuf::from("images/os/standard/amd64.lock"), firmware(&["firmware-two"]))]
        );
        assert_eq!(
            jobs(&[("images/os/own/image.toml", FLAVOUR)]),
            [(PathBuf::from("images/os/own/amd64.lock"), firmware(&["firmware-one"]))]
        );
    }
}
