//! Finding and reading the files of `board-configs/` and `images/os/` in one or more trees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::check::{self, Pair, Source};
use super::{Board, Flavour};
use contract::facts::{ParseError, nearest, parse};

/// Where boards lie in a tree.
const BOARDS: &str = "board-configs";
/// Where flavours lie in a tree.
const FLAVOURS: &str = "images/os";
/// The file that a family's boards share.
const FAMILY_FILE: &str = "family.toml";
/// The file of a flavour.
const FLAVOUR_FILE: &str = "image.toml";

/// Why a board or flavour can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// A file or folder can't be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file says something that is not allowed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No such board or flavour.
    #[error("no {kind} is called `{name}`{mend}")]
    Unknown {
        /// `board` or `flavour`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest name and all that exist.
        mend: String,
    },
    /// Two files give the same board, flavour or family.
    #[error("two {kind} are called `{name}`: `{}` and `{}`; rename one", .first.display(), .second.display())]
    Twice {
        /// `boards`, `flavours` or `families`.
        kind: &'static str,
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// All boards and flavours of the trees: the repo, and trees that a person adds.
#[derive(Debug)]
pub struct Catalog {
    /// By name, in order.
    pub boards: Vec<Board>,
    /// By name, in order.
    pub flavours: Vec<Flavour>,
    /// Name of a board → which of the trees holds it.
    board_trees: BTreeMap<String, usize>,
    /// The same of flavours.
    flavour_trees: BTreeMap<String, usize>,
}

impl Catalog {
    /// Reads every board and flavour below `roots`. One bad file is an error, so that none rots unseen.
    pub fn load(roots: &[&Path]) -> Result<Self, BoardError> {
        let mut boards = Vec::<Board>::new();
        let mut flavours = Vec::<Flavour>::new();
        let (mut board_trees, mut flavour_trees) = (BTreeMap::new(), BTreeMap::new());
        for (tree, root) in roots.iter().enumerate() {
            for family in folders(&root.join(BOARDS))? {
                let path = Path::new(BOARDS).join(&family);
                let family_root = family_root(roots, root, &path.join(FAMILY_FILE))?;
                for file in toml_files(&root.join(&path))? {
                    if file == FAMILY_FILE {
                        continue;
                    }
                    let pair = Pair { board: read(root, path.join(&file))?, family: read(family_root, path.join(FAMILY_FILE))? };
                    let board = pair.check()?;
                    if let Some(other) = board_trees.insert(board.name.clone(), tree) {
                        // Of another family perhaps: the file that it was read from is known.
                        let other_file = boards.iter().find(|there| there.name == board.name).and_then(|there| there.files.last());
                        let first = roots.get(other).zip(other_file).map(|(root, file)| root.join(file)).unwrap_or_default();
                        return Err(BoardError::Twice { kind: "boards", name: board.name, first, second: root.join(path.join(&file)) });
                    }
                    boards.push(board);
                }
            }
            for name in folders(&root.join(FLAVOURS))? {
                let path = Path::new(FLAVOURS).join(&name);
                // A tree that was added may hold locks for its boards only.
                if tree > 0 && !root.join(&path).join(FLAVOUR_FILE).exists() && has_lock(&root.join(&path))? {
                    continue;
                }
                let flavour = check::flavour(&read(root, path.join(FLAVOUR_FILE))?)?;
                if let Some(other) = flavour_trees.insert(flavour.name.clone(), tree) {
                    let file_of = |tree: usize| roots.get(tree).map(|root| root.join(&path).join(FLAVOUR_FILE)).unwrap_or_default();
                    return Err(BoardError::Twice { kind: "flavours", name, first: file_of(other), second: file_of(tree) });
                }
                flavours.push(flavour);
            }
        }
        boards.sort_by(|a, b| a.name.cmp(&b.name));
        flavours.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { boards, flavours, board_trees, flavour_trees })
    }

    /// Which of the trees holds a board: an index into what was loaded.
    pub fn tree_of_board(&self, board: &Board) -> usize {
        self.board_trees.get(&board.name).copied().unwrap_or(0)
    }

    /// Which of the trees holds a flavour.
    pub fn tree_of_flavour(&self, flavour: &Flavour) -> usize {
        self.flavour_trees.get(&flavour.name).copied().unwrap_or(0)
    }

    /// The board of that name.
    pub fn board(&self, name: &str) -> Result<&Board, BoardError> {
        self.boards
            .iter()
            .find(|board| board.name == name)
            .ok_or_else(|| unknown("board", name, self.boards.iter().map(|board| board.name.as_str())))
    }

    /// The flavour of that name.
    pub fn flavour(&self, name: &str) -> Result<&Flavour, BoardError> {
        self.flavours
            .iter()
            .find(|flavour| flavour.name == name)
            .ok_or_else(|| unknown("flavour", name, self.flavours.iter().map(|flavour| flavour.name.as_str())))
    }
}

fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> BoardError {
    let known: Vec<&str> = known.collect();
    let near = nearest(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_else(|| ";".to_owned());
    BoardError::Unknown { kind, name: name.to_owned(), mend: format!("{near} there are: {}", known.join(", ")) }
}

/// The tree whose `file` the boards of a family in `own` share: its own, or the one other that has it.
fn family_root<'a>(roots: &[&'a Path], own: &'a Path, file: &Path) -> Result<&'a Path, BoardError> {
    let mut having = roots.iter().copied().filter(|root| root.join(file).exists());
    match (having.next(), having.next()) {
        (Some(first), Some(second)) => Err(BoardError::Twice {
            kind: "families",
            name: file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            first: first.join(file),
            second: second.join(file),
        }),
        (Some(only), None) => Ok(only),
        (None, _) => Ok(own),
    }
}

fn has_lock(folder: &Path) -> Result<bool, BoardError> {
    Ok(!names(folder, |entry| entry.path().extension().is_some_and(|extension| extension == "lock"))?.is_empty())
}

fn read<T: DeserializeOwned>(root: &Path, path: PathBuf) -> Result<Source<T>, BoardError> {
    let full = root.join(&path);
    let text = std::fs::read_to_string(&full).map_err(|source| BoardError::Read { path: full, source })?;
    let raw = parse(&path, &text)?;
    Ok(Source { path, text, raw })
}

/// Names of the folders in a folder, in order; none if it does not exist.
fn folders(path: &Path) -> Result<Vec<String>, BoardError> {
    names(path, |entry| entry.path().is_dir())
}

/// Names of the `.toml` files in a folder, in order.
fn toml_files(path: &Path) -> Result<Vec<String>, BoardError> {
    names(path, |entry| entry.path().extension().is_some_and(|extension| extension == "toml"))
}

fn names(path: &Path, wanted: impl Fn(&std::fs::DirEntry) -> bool) -> Result<Vec<String>, BoardError> {
    let failed = |source| BoardError::Read { path: path.to_owned(), source };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if wanted(&entry) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Arch, BootFlow};
    use crate::trees::testing::folder;

    const FAMILY: &str = "arch = \"amd64\"\nboot-flow = \"uefi\"\nconsoles = [\"tty0\"]\nkernel = \"linux-image-amd64\"\n[modules]\nkeep = [\"net/**\"]\ndrop = [\"net/atm/**\"]\n";
    const FLAVOUR: &str = "title = \"T\"\npackages = [\"systemd\"]\n[prune]\ndrop = [\"/usr/share/doc/**\"]\n";

    fn tree(family: &str, board: &str, flavour: &str) -> tempfile::TempDir {
        folder(&[("board-configs/fam/family.toml", family), ("board-configs/fam/one.toml", board), ("images/os/std/image.toml", flavour)])
    }

    fn error(family: &str, board: &str, flavour: &str) -> String {
        Catalog::load(&[tree(family, board, flavour).path()]).unwrap_err().to_string()
    }

    #[test]
    fn a_board_of_ours_that_nothing_boots_says_so_to_who_would_flash_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let silent: Vec<String> = Catalog::load(&[&root])
            .unwrap()
            .boards
            .into_iter()
            .filter(|board| board.qemu.is_none() && !board.title.contains("untested on hardware"))
            .map(|board| board.name)
            .collect();
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn what_the_plan_sets_or_linux_would_not_see_is_refused_in_config_txt() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = |name: &str| std::fs::read_to_string(root.join(BOARDS).join("rpi").join(name)).unwrap();
        let (family, board) = (file(FAMILY_FILE), file("rpi3.toml"));
        let said = |line: &str| error(&family.replace("enable_uart=1", line), &board, FLAVOUR);
        assert!(said("kernel=other.bin").contains("`kernel` of config.txt is set by the plan"));
        for key in ["dtoverlay", "dtparam"] {
            let said = said(&format!("{key}=x"));
            let expected =
                format!("`{key}` would change a device tree that Linux does not get; name the overlay in `raspberry-pi.overlays`");
            assert!(said.starts_with("board-configs/fam/family.toml:") && said.contains(&expected), "{said}");
        }
        assert!(said("[pi9]").contains("line of config.txt"));
    }

    #[test]
    fn two_boards_of_one_name_are_told_with_their_files_also_of_other_families() {
        let (one, other) = (
            tree(FAMILY, "title = \"One\"\n", FLAVOUR),
            folder(&[("board-configs/far/family.toml", FAMILY), ("board-configs/far/one.toml", "title = \"O\"\n")]),
        );
        let said = Catalog::load(&[one.path(), other.path()]).unwrap_err().to_string();
        for path in [one.path().join("board-configs/fam/one.toml"), other.path().join("board-configs/far/one.toml")] {
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
    }

    #[test]
    fn a_board_overrides_its_family() {
        let dir = tree(FAMILY, "title = \"One\"\nkernel = \"linux-image-rt-amd64\"\n[modules]\nkeep = [\"fs/**\"]\n", FLAVOUR);
        let catalog = Catalog::load(&[dir.path()]).unwrap();
        let board = catalog.board("one").unwrap();
        assert_eq!((board.arch, board.boot_flow, board.family.as_str()), (Arch::Amd64, BootFlow::Uefi, "fam"));
        assert_eq!(board.kernel, "linux-image-rt-amd64");
        assert_eq!(board.modules.keep.patterns(), ["fs/**"]);
        assert_eq!(board.modules.drop.patterns(), ["net/atm/**"]);
        assert_eq!(catalog.flavour("std").unwrap().folder, Path::new("images/os/std"));
    }

    #[test]
    fn an_unknown_board_names_the_nearest() {
        let dir = tree(FAMILY, "title = \"One\"", FLAVOUR);
        let catalog = Catalog::load(&[dir.path()]).unwrap();
        assert_eq!(catalog.board("onee").unwrap_err().to_string(), "no board is called `onee`; did you mean `one`? there are: one");
    }

    #[test]
    fn the_repo_s_own_files_are_good() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalog = Catalog::load(&[&root]).unwrap();
        assert!(!catalog.boards.is_empty() && !catalog.flavours.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let board = "title = \"One\"\n";
        let cases = [
            (
                error(FAMILY, "titel = \"One\"", FLAVOUR),
                "board-configs/fam/one.toml:1:1: unknown key `titel`; did you mean `title`? allowed here: title, arch, boot-flow,",
            ),
            (error("arch = \"amd46\"", board, FLAVOUR), "board-configs/fam/family.toml:1:8: unknown value `amd46`; did you mean `amd64`?"),
            (
                error("arch = \"amd64\"", board, FLAVOUR),
                "board-configs/fam/one.toml:1:1: `boot-flow` is missing; set it here or in board-configs/fam/family.toml",
            ),
            (error(FAMILY, "title = \"One\"\nkernel = \"Linux\"", FLAVOUR), "board-configs/fam/one.toml:2:10: `Linux` is no package name"),
            (error(FAMILY, "title = \"One\"\nconsoles = []", FLAVOUR), "board-configs/fam/one.toml:1:1: `consoles` is empty"),
            (
                error(FAMILY, "title = \"One\"\n[initramfs]\nmodules = [\"a\", \"b{\"]", FLAVOUR),
                "board-configs/fam/one.toml:3:17: bad glob: ",
            ),
            (error(FAMILY, "title = \"One\"\ncmdline = [\"a b\"]", FLAVOUR), "board-configs/fam/one.toml:2:12: `a b` is no single word"),
            (error(FAMILY, board, "title = \"T\"\npackages = [\"a1\", \"a1\"]"), "images/os/std/image.toml:2:19: `a1` stands here twice"),
            (
                error(FAMILY, board, "title = \"T\"\npackages = []\n[prune]\ndrop = [\"usr/**\"]"),
                "images/os/std/image.toml:4:9: `usr/**` is not absolute",
            ),
            (
                error(FAMILY, board, "title = \"T\"\npackages = []\n[prune]\ndrops = []"),
                "images/os/std/image.toml:4:1: unknown key `drops`; did you mean `drop`?",
            ),
            (
                error(FAMILY, board, "title = \"T\"\npackages = []\n[root]\ncompression = \"lz5\""),
                "images/os/std/image.toml:4:15: unknown value `lz5`; did you mean `lz4`?",
            ),
            (error("arch = [", board, FLAVOUR), "board-configs/fam/family.toml:1:9: "),
        ];
        for (got, want) in cases {
            assert!(got.starts_with(want), "{got}\nshould begin with\n{want}");
        }
    }
    /// The repo's own files, as texts to be damaged.
    fn own(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

        /// Whatever happens to a byte of a family, a board or a flavour: it is taken, or refused with file, line and column.
        #[test]
        fn a_mutated_text_never_panics_and_is_refused_with_its_place(pi in proptest::prelude::any::<bool>(), which in 0_usize..3, at in 0_usize..8000, with in "\\PC{0,3}", cut in 0_usize..4) {
            let board = if pi { ["rpi/family", "rpi/rpi4"] } else { ["x86/family", "x86/x86-minipc"] };
            let [family, board] = board.map(|name| own(&format!("board-configs/{name}.toml")));
            let mut texts = [family, board, own("images/os/standard/image.toml")];
            let text = &mut texts[which];
            let mut from = at % text.len();
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = (from + cut).min(text.len());
            while !text.is_char_boundary(to) {
                to += 1;
            }
            text.replace_range(from..to, &with);
            let [family, board, flavour] = &texts;
            let dir = tree(family, board, flavour);
            if let Err(error) = Catalog::load(&[dir.path()]) {
                let text = error.to_string();
                let place = text.split(' ').next().unwrap_or_default();
                let numbers: Vec<&str> = place.trim_end_matches(':').rsplit(':').take(2).collect();
                proptest::prop_assert!(
                    place.contains(".toml:") && numbers.iter().all(|number| number.parse::<usize>().is_ok_and(|number| number > 0)),
                    "{}", text
                );
            }
        }
    }
}
