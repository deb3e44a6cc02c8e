//! The builder: `cargo xtask VERB`. Each verb is one file in `verbs/`; each stage one folder.

use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};

mod apps;
mod aside;
mod ask;
mod board;
mod boot;
mod brought;
mod browser;
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
mod near;
mod packages;
mod parallel;
mod plan;
mod python;
mod relay;
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
    sandbox::maybe_be_a_part(&[(apps::lab::VERB, apps::lab::inside)]);
    verbs::bench::maybe_be_inside();
    match verbs::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
