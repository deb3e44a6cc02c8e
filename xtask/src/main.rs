//! The builder: `cargo xtask VERB`. Each verb is one file in `verbs/`; each stage one folder.

use std::process::ExitCode;

mod aside;
mod board;
mod boot;
mod cmd;
mod compile;
mod devicetree;
mod flash;
mod image;
mod imager;
mod initramfs;
mod layout;
mod packages;
mod parallel;
mod plan;
mod sandbox;
mod stages;
mod tools;
mod tree;
mod trees;
mod twin;
mod ui;
mod verbs;
mod vm;

fn main() -> ExitCode {
    sandbox::maybe_be_a_part();
    match verbs::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
