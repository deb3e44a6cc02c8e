//! The walk of somebody who adds a board, with the commands and the file of docs/adding-a-board.md, in a folder of their own.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOARD: &str = "rock-3a";
const FAMILY: &str = "rockchip";
/// What the guide calls the folder.
const TREE: &str = "../our-community";

fn guide() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/adding-a-board.md")).unwrap()
}

/// The words of the guide's command lines that name the folder, in order, without comments.
fn commands() -> Vec<Vec<String>> {
    let text = guide();
    let lines = text.lines().filter_map(|line| line.strip_prefix("cargo xtask --tree ../our-community "));
    lines.filter(|line| line.contains(BOARD)).map(|line| words(line.split('#').next().unwrap())).collect()
}

/// Words of a command line; quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

fn xtask(tree: &Path, words: &[String]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the builder is what is tested here")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("--tree").arg(tree).args(words).output().unwrap()
}

fn succeeds(tree: &Path, words: &[String]) -> String {
    let output = xtask(tree, words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// The guide's file for the board.
fn board_file() -> String {
    let text = guide();
    let (_, rest) = text.split_once("# board-configs/rockchip/rock-3a.toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Begins the board as the guide says, and fills its file in.
fn begun() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().to_owned();
    let new = commands().into_iter().next().unwrap();
    assert_eq!(new[..4], ["board", "new", FAMILY, BOARD]);
    let said = succeeds(&tree, &new);
    assert!(said.contains(&format!("cargo xtask --tree {} boards", tree.display())), "{said}");
    let file = tree.join(format!("board-configs/{FAMILY}/{BOARD}.toml"));
    assert!(fs::read_to_string(&file).unwrap().contains("docs/adding-a-board.md"));
    fs::write(&file, board_file()).unwrap();
    (dir, tree)
}

#[test]
fn a_board_of_one_s_own_is_read_and_planned() {
    let (_dir, tree) = begun();
    assert!(guide().contains(&format!("mkdir {TREE}\n")));
    let all = commands();
    assert!(all.len() <= 9, "it is told in under ten commands: {all:?}");
    let boards = succeeds(&tree, &words("boards"));
    assert!(boards.contains("ROCK 3A"), "{boards}");
    let plan = succeeds(&tree, &words(&format!("plan {BOARD}")));
    assert!(plan.contains("ttyS2,1500000") && plan.contains("rk3568-rock-3a.dtb"), "{plan}");
    // The others are as they were.
    assert!(succeeds(&tree, &words("plan arm64-uefi")).contains("ttyAMA0"));
}

#[test]
fn what_stops_somebody_is_said_with_its_mend() {
    let (_dir, tree) = begun();
    let file = tree.join(format!("board-configs/{FAMILY}/{BOARD}.toml"));
    let refused = |text: String, verb: &str| {
        fs::write(&file, text).unwrap();
        let output = xtask(&tree, &words(verb));
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(format!("boot-flow = \"uboot\"\n{}", board_file()) + "[u-boot]\nprogram = \"/x\"\n", "boards");
    assert!(said.contains("raspberry-pi.models") && said.contains("`boot-flow = \"uefi\"`"), "{said}");
    let said = refused(board_file().replace("[device-trees]", "[device-tree]"), "boards");
    assert!(said.contains("did you mean `device-trees`?"), "{said}");
    let said = refused(board_file() + "[initramfs]\nmodule = []\n", "boards");
    assert!(said.contains("unknown key `module`; did you mean `modules`?"), "{said}");
}

/// Takes the real packages and compiles the real agent, so that it runs with the slower proofs.
#[test]
#[ignore = "builds an image: cargo xtask test --part unit-slow"]
fn its_image_passes_the_lints() {
    let (_dir, tree) = begun();
    let drivers = succeeds(&tree, &words(&format!("drivers {BOARD}")));
    assert!(drivers.contains("dw_mmc_rockchip"), "{drivers}");
    let said = succeeds(&tree, &words(&format!("image {BOARD}")));
    assert!(said.contains(&format!("cloudy-{BOARD}-standard.img")), "{said}");
    for end in ["img", "img.bmap"] {
        let _ = fs::remove_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../out/cloudy-{BOARD}-standard.{end}")));
    }
}
