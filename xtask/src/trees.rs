//! The checkout, and folders beside it that a community adds (`--tree DIR`): boards, flavours and apps with
//! their locks, numbers of users and overlays of its own, laid out as in the checkout and held to the same checks.
//!
//! Nothing of one tree replaces something of another: what stands in two is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::board::{Arch, Board, Catalog, Flavour};
use crate::packages::lock::flavour_lock;

/// What a tree may hold; a folder with none of these is not meant.
const CONTENTS: [&str; 3] = ["board-configs", "images", "overlay"];

/// The folders that the command line adds. One list per process: a process runs one verb.
static ADDED: OnceLock<Vec<PathBuf>> = OnceLock::new();
/// The same as they were typed.
static TYPED: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// The checkout first, then what was added, in the order of the command line.
#[derive(Clone, Debug)]
pub struct Trees {
    roots: Vec<PathBuf>,
}

/// A folder that is laid over the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// What the plan calls it: `overlay/common`, `tree-1:overlay/common`. Where a tree lies does not matter for the bytes.
    pub name: String,
    /// Which tree brings it; 0 is the checkout.
    pub tree: usize,
    /// Where it lies.
    pub path: PathBuf,
}

/// Takes the folders of `--tree`.
///
/// # Errors
/// When one is no folder, or is about something else. An empty one becomes a tree.
pub fn add(folders: Vec<PathBuf>) -> Result<()> {
    let mut added = Vec::new();
    for folder in &folders {
        let mend = || format!("cannot read the tree `{0}`; a new one begins as an empty folder: mkdir {0}", folder.display());
        let path = folder.canonicalize().with_context(mend)?;
        let empty = path.read_dir().with_context(mend)?.next().is_none();
        ensure!(
            empty || CONTENTS.iter().any(|name| path.join(name).is_dir()),
            "`{}` is no tree of boards, flavours and apps: it has none of the folders {}",
            folder.display(),
            CONTENTS.join(", ")
        );
        added.push(path);
    }
    // The first call counts; there is one only.
    ADDED.get_or_init(|| added);
    TYPED.get_or_init(|| folders);
    Ok(())
}

/// The command line of another verb, with the trees of this one.
pub fn command(words: &str) -> String {
    let trees: String = TYPED.get().into_iter().flatten().map(|tree| format!("--tree {} ", tree.display())).collect();
    format!("cargo xtask {trees}{words}")
}

impl Trees {
    /// The checkout at `repo` and what the command line adds.
    pub fn of(repo: &Path) -> Self {
        Self::new(repo, ADDED.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// The checkout at `repo` and these.
    pub fn new(repo: &Path, added: &[PathBuf]) -> Self {
        Self { roots: std::iter::once(repo.to_owned()).chain(added.iter().cloned()).collect() }
    }

    /// All of them, the checkout first.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Those that were added.
    pub fn added(&self) -> &[PathBuf] {
        self.roots.get(1..).unwrap_or_default()
    }

    /// The tree of that number: 0 is the checkout.
    pub fn root(&self, tree: usize) -> &Path {
        self.roots.get(tree).or(self.roots.first()).map(PathBuf::as_path).unwrap_or(Path::new("."))
    }

    /// Every board and flavour.
    pub fn catalog(&self) -> Result<Catalog> {
        let roots: Vec<&Path> = self.roots.iter().map(PathBuf::as_path).collect();
        Ok(Catalog::load(&roots)?)
    }

    /// The lock that a build of `board` reads: that of the board's own tree where there is one, since the board may
    /// need packages that the flavour's tree does not know; else the flavour's.
    pub fn lock(&self, catalog: &Catalog, board: &Board, flavour: &Flavour, arch: Arch) -> PathBuf {
        let of = |tree: usize| flavour_lock(self.root(tree), &flavour.name, arch.debian());
        let own = of(catalog.tree_of_board(board));
        if own.exists() { own } else { of(catalog.tree_of_flavour(flavour)) }
    }

    /// What inputs and overlays of the tree of that number are called in a plan.
    pub fn name(tree: usize, path: &str) -> String {
        if tree == 0 { path.to_owned() } else { format!("tree-{tree}:{path}") }
    }

    /// The folders laid over the root for a board, in the order in which they are laid.
    pub fn overlays(&self, board: &Board) -> Vec<Overlay> {
        let mut overlays = Vec::new();
        for (tree, root) in self.roots.iter().enumerate() {
            for part in ["common", &board.family, &board.name] {
                let path = format!("overlay/{part}");
                // The checkout's are always named, so that a plan says where to put something.
                if tree == 0 || root.join(&path).is_dir() {
                    overlays.push(Overlay { name: Self::name(tree, &path), tree, path: root.join(&path) });
                }
            }
        }
        overlays
    }

    /// Where the overlay of that name lies.
    pub fn overlay(&self, name: &str) -> PathBuf {
        let (tree, path) = match name.strip_prefix("tree-").and_then(|rest| rest.split_once(':')) {
            Some((tree, path)) => (tree.parse().unwrap_or(0), path),
            None => (0, name),
        };
        self.root(tree).join(path)
    }

    /// Refuses a path that the overlays of two trees both bring.
    pub fn check_overlays(&self, board: &Board) -> Result<()> {
        let mut seen: BTreeMap<PathBuf, (usize, PathBuf)> = BTreeMap::new();
        for overlay in self.overlays(board) {
            for path in files(&overlay.path, Path::new(""))? {
                let here = overlay.path.join(&path);
                if let Some((other, there)) = seen.get(&path) {
                    ensure!(
                        *other == overlay.tree,
                        "/{} is brought by two trees: `{}` and `{}`; a tree may not replace what another brings",
                        path.display(),
                        there.display(),
                        here.display()
                    );
                }
                seen.insert(path, (overlay.tree, here));
            }
        }
        Ok(())
    }
}

/// Paths of all files and links below a folder, from it; none if it is not there.
fn files(top: &Path, below: &Path) -> Result<Vec<PathBuf>> {
    let folder = top.join(below);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let doing = || format!("cannot read `{}`", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        let path = below.join(entry.file_name());
        if entry.file_type().with_context(doing)?.is_dir() {
            found.append(&mut files(top, &path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
pub mod testing {
    /// A folder with these files: path, text.
    pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }
}

#[cfg(test)]
mod tests {
    use super::testing::folder as tree;
    use super::*;

    const FAMILY: &str = "arch = \"amd64\"\nboot-flow = \"uefi\"\nconsoles = [\"tty0\"]\nkernel = \"linux-image-amd64\"\n";
    const FLAVOUR: &str = "title = \"T\"\npackages = [\"systemd\"]\n";

    fn repo() -> tempfile::TempDir {
        tree(&[
            ("board-configs/fam/family.toml", FAMILY),
            ("board-configs/fam/one.toml", "title = \"One\"\n"),
            ("images/os/standard/image.toml", FLAVOUR),
            ("images/os/standard/amd64.lock", ""),
            ("overlay/common/etc/a", "repo\n"),
        ])
    }

    fn trees(repo: &tempfile::TempDir, added: &tempfile::TempDir) -> Trees {
        Trees::new(repo.path(), &[added.path().to_owned()])
    }

    #[test]
    fn a_tree_adds_a_board_to_a_family_of_the_checkout() {
        let (repo, community) = (repo(), tree(&[("board-configs/fam/two.toml", "title = \"Two\"\n"), ("overlay/two/etc/b", "b\n")]));
        let trees = trees(&repo, &community);
        let catalog = trees.catalog().unwrap();
        let two = catalog.board("two").unwrap();
        assert_eq!(two.kernel, "linux-image-amd64");
        let names: Vec<String> = trees.overlays(two).into_iter().map(|overlay| overlay.name).collect();
        assert_eq!(names, ["overlay/common", "overlay/fam", "overlay/two", "tree-1:overlay/two"]);
        assert_eq!(trees.overlay("tree-1:overlay/two"), community.path().join("overlay/two"));
        assert_eq!(trees.overlay("overlay/two"), repo.path().join("overlay/two"));
        assert!(trees.check_overlays(two).is_ok());
        // Without the tree it is unknown.
        assert!(Trees::new(repo.path(), &[]).catalog().unwrap().board("two").is_err());
    }

    #[test]
    fn the_board_s_tree_has_the_first_word_on_the_lock() {
        let (repo, community) =
            (repo(), tree(&[("board-configs/fam/two.toml", "title = \"Two\"\n"), ("images/os/own/image.toml", FLAVOUR)]));
        let trees = trees(&repo, &community);
        let catalog = trees.catalog().unwrap();
        let lock = |board: &str, flavour: &str| {
            trees.lock(&catalog, catalog.board(board).unwrap(), catalog.flavour(flavour).unwrap(), Arch::Amd64)
        };
        assert_eq!(lock("one", "own"), community.path().join("images/os/own/amd64.lock"));
        assert_eq!(lock("two", "standard"), repo.path().join("images/os/standard/amd64.lock"));
        std::fs::create_dir_all(community.path().join("images/os/standard")).unwrap();
        std::fs::write(community.path().join("images/os/standard/amd64.lock"), "").unwrap();
        assert_eq!(lock("two", "standard"), community.path().join("images/os/standard/amd64.lock"));
        assert_eq!(lock("one", "standard"), repo.path().join("images/os/standard/amd64.lock"));
        // A folder of locks alone is no flavour.
        assert_eq!(trees.catalog().unwrap().flavours.len(), 2);
    }

    #[test]
    fn what_stands_in_two_trees_is_refused() {
        for (files, words) in [
            (vec![("board-configs/fam/one.toml", "title = \"Mine\"\n")], "two boards are called `one`"),
            (vec![("images/os/standard/image.toml", FLAVOUR)], "two flavours are called `standard`"),
            (
                vec![("board-configs/fam/family.toml", FAMILY), ("board-configs/fam/two.toml", "title = \"Two\"\n")],
                "two families are called `fam`",
            ),
        ] {
            let (repo, community) = (repo(), tree(&files));
            let error = trees(&repo, &community).catalog().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let (repo, community) = (repo(), tree(&[("overlay/common/etc/a", "mine\n")]));
        let trees = trees(&repo, &community);
        let catalog = trees.catalog().unwrap();
        let error = trees.check_overlays(catalog.board("one").unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("/etc/a is brought by two trees"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_tree_is_named_as_in_the_checkout() {
        let (repo, community) = (repo(), tree(&[("board-configs/fam/two.toml", "titel = \"Two\"\n")]));
        let error = format!("{:#}", trees(&repo, &community).catalog().unwrap_err());
        assert!(error.contains("two.toml:1:1: unknown key `titel`; did you mean `title`?"), "{error}");
        let other = tree(&[("src/x", "")]);
        assert!(add(vec![other.path().to_owned()]).unwrap_err().to_string().contains("no tree of boards"));
        let absent = add(vec![other.path().join("absent")]).unwrap_err().to_string();
        assert!(absent.contains("begins as an empty folder: mkdir"), "{absent}");
    }
}
