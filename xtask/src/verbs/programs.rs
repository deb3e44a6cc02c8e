//! `cargo xtask programs ARCH…`: the node's programs alone, compiled for one or all architectures.

use anyhow::{Context, Result};
use clap::Args;

use crate::board::{Arch, nearest};
use crate::plan::Profile;
use crate::stages::{self, Workshop};

/// Compiles the agent and init for architectures, as a release has them, and says how large they are.
#[derive(Args)]
pub struct ProgramsVerb {
    /// Debian's names of architectures; without one, all that boards may have.
    arch: Vec<String>,
}

impl ProgramsVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let chosen =
            if self.arch.is_empty() { Arch::ALL.to_vec() } else { self.arch.iter().map(|name| named(name)).collect::<Result<_>>()? };
        let shop = Workshop::open(super::root()?, None)?;
        for arch in chosen {
            let programs = stages::programs_for(&shop, arch, Profile::Release)?;
            for package in ["agent", "init"] {
                let bytes = programs.read(package)?;
                let (has, most) = (bytes.len() as f64 / 1e6, Profile::Release.program_max_bytes() as f64 / 1e6);
                println!("{arch:6} {package:6} {has:5.1} MB (at most {most})  {}", programs.of(package)?.display());
            }
        }
        println!("\nNext: cargo xtask image BOARD");
        Ok(())
    }
}

fn named(name: &str) -> Result<Arch> {
    let names = Arch::ALL.map(Arch::debian);
    let near = nearest(name, names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Arch::ALL
        .into_iter()
        .find(|arch| arch.debian() == name)
        .with_context(|| format!("no board is for `{name}`{near} known: {}", names.join(", ")))
}
