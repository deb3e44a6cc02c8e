//! The builder: `cargo xtask VERB`. Each verb is one file in `verbs/`; each stage one folder.

use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};

mod aside;
mod board;
mod boot;
mod cmd;
mod compile;
mod devicetree;
mod digest;
mod flash;
mod full_disk;
mod image;
mod imager;
mod initramfs;
mod kept;
mod layout;
mod packages;
mod parallel;
mod plan;
mod release;
mod sandbox;
mod stages;
mod tools;
mod tree;
mod trees;
mod twin;
mod ui;
mod verbs;
mod vm;

/// What is taken from the permissions of new files: as on any Debian system while packages are installed. What the person
/// who builds gives to files of theirs must not decide on those of an image.
const FILES_UMASK: u32 = 0o022;

fn main() -> ExitCode {
    umask(Mode::from_bits_truncate(FILES_UMASK));
    sandbox::maybe_be_a_part();
    verbs::bench::maybe_be_inside();
    match verbs::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
