//! Whole builds that are disturbed: killed in the middle of writing the image, and two at once in one checkout.
//!
//! They take the real packages and compile the real agent, so they run after an image has been built: `cargo xtask test --part disturbed`.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The board that is built.
const BOARD: &str = "x86-minipc";
/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a folder is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Stages that every build has.
const STAGES: [&str; 6] = ["packages", "twin", "tree", "erofs", "initramfs", "image"];
/// What the builder says when it begins to write the image.
const WRITING: &str = "» writing the image";

fn out() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("out")
}

fn build(stderr: Stdio) -> Child {
    #[expect(clippy::disallowed_methods, reason = "the builder is what is tested here")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["image", BOARD, "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).process_group(0).spawn().unwrap()
}

/// What a build that ends well prints.
fn report(child: Child) -> serde_json::Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the build failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn leftovers() -> Vec<PathBuf> {
    let entries = fs::read_dir(out()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".making-")).collect()
}

/// Bytes on the disk of all files below a folder that may go away meanwhile.
fn written(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes =
        entries.map(|entry| entry.metadata().map_or(0, |file| if file.is_dir() { written(&entry.path()) } else { file.blocks() * 512 }));
    bytes.sum()
}

#[test]
#[ignore = "builds images: cargo xtask test --part disturbed"]
fn a_killed_build_leaves_no_half_image_and_two_at_once_make_the_same() {
    let first = report(build(Stdio::inherit()));
    // Each stage's seconds are reported, and they are those of this build.
    let seconds = first["seconds"].as_object().unwrap();
    for stage in STAGES {
        assert!(
            seconds.get(stage).and_then(serde_json::Value::as_f64).is_some_and(|seconds| (0.0..PATIENCE.as_secs_f64()).contains(&seconds)),
            "{stage}: {seconds:?}"
        );
    }
    let image = PathBuf::from(first["image"].as_str().unwrap());
    let kept = image.with_extension("kept");
    fs::rename(&image, &kept).unwrap();

    let mut child = build(Stdio::piped());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with(WRITING)), "the build ended before it wrote its image");
    let before: u64 = leftovers().iter().map(|folder| written(folder)).sum();
    let begun = Instant::now();
    while leftovers().iter().map(|folder| written(folder)).sum::<u64>() == before && !image.exists() {
        assert!(begun.elapsed() < PATIENCE, "nothing is written");
        std::thread::sleep(POLL);
    }
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert!(!image.exists(), "half an image under its final name");
    assert!(!leftovers().is_empty(), "the build was not killed while it worked");

    let again = report(build(Stdio::inherit()));
    assert_eq!((&again["sha256"], &again["build-id"]), (&first["sha256"], &first["build-id"]));
    assert_eq!(leftovers(), Vec::<PathBuf>::new(), "what the killed build left is still there");
    fs::remove_file(kept).unwrap();

    let both = [build(Stdio::inherit()), build(Stdio::inherit())].map(report);
    for one in &both {
        assert_eq!(one["sha256"], first["sha256"]);
    }
    assert_eq!(fs::metadata(&image).unwrap().len(), first["bytes"].as_u64().unwrap());
    assert_eq!(leftovers(), Vec::<PathBuf>::new());
}
