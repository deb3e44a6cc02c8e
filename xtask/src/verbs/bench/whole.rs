//! `cargo xtask bench whole`: a whole image against mkosi's, of the same packages, with the .debs of both on disk.
//!
//! Compiling the node's programs is left out on our side (mkosi has none), building the initramfs on mkosi's (its packages are not in the lock).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::archive::{self, SUITE};
use crate::aside::Aside;
use crate::compile::Programs;
use crate::packages::cache::Cache;
use crate::packages::lock::LockedPackage;
use crate::plan::inputs::Inputs;
use crate::plan::{Plan, Profile};
use crate::sandbox::{Owners, Sandbox};
use crate::stages::{self, Workshop};
use crate::tools::{self, Tools};
use crate::ui;
use crate::verbs::plan::DEFAULT_FLAVOUR;

/// At most this part of mkosi's time.
const MOST_OF_PEER: f64 = 0.6;
/// At most this part of the whole, when only the agent changed.
const MOST_AGAIN: f64 = 0.2;

/// The input that holds the agent's sources.
const SOURCES: &str = "firmware";

/// Times a whole image and mkosi's, turn by turn.
#[derive(Args)]
pub struct Whole {
    /// The board.
    #[arg(default_value = "x86-minipc")]
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// How many turns; the median is what counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

impl Whole {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let repo = crate::verbs::root()?;
        let plan = crate::verbs::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(repo, None)?;
        let packages = stages::packages(&shop, &plan)?;
        let programs = stages::programs(&shop, &plan)?;
        let peer = Tools::prepare(&shop.repo, tools::BENCH_LOCK, &shop.cache, None)?;
        let folder = tempfile::tempdir_in(shop.cache.root()).context("failed to make a working folder")?;
        let offered = archive::with_peers(&shop, &packages)?;
        archive::make(&shop.cache, &offered, plan.arch, folder.path())?;
        let (mut theirs, mut cold, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 1..=self.runs {
            ui::say(&format!("turn {turn} of {}", self.runs));
            theirs.push(super::seconds(|| mkosi(&peer, folder.path(), &packages))?);
            let own = tempfile::tempdir_in(shop.cache.root())?;
            std::os::unix::fs::symlink(shop.cache.root().join("debs"), own.path().join("debs"))?;
            let fresh = Workshop { cache: Cache::at(own.path())?, repo: shop.repo.clone(), tools: shop.tools.clone(), deb_mirror: None };
            cold.push(super::seconds(|| image(&fresh, &plan, &programs, own.path()))?);
            let (plan, programs) = self.with_another_agent(&shop, &programs, turn, own.path())?;
            again.push(super::seconds(|| image(&fresh, &plan, &programs, own.path()))?);
        }
        let (theirs, cold, again) = (super::median(&theirs), super::median(&cold), super::median(&again));
        let verdict = |ratio: f64, most: f64| if ratio <= most { "won" } else { "LOST" };
        println!(
            "a whole image of {} ({} packages, for mkosi with what they depend on; .debs on disk, nothing compiled), median of {}:",
            self.board,
            packages.len(),
            self.runs
        );
        println!("  {:34} {theirs:7.1} s", "mkosi, without an initrd");
        println!(
            "  {:34} {cold:7.1} s  {:.2} of mkosi's (at most {MOST_OF_PEER}: {})",
            "cargo xtask image",
            cold / theirs,
            verdict(cold / theirs, MOST_OF_PEER)
        );
        println!(
            "  {:34} {again:7.1} s  {:.2} of the whole (at most {MOST_AGAIN}: {})",
            "again, only the agent changed",
            again / cold,
            verdict(again / cold, MOST_AGAIN)
        );
        Ok(())
    }
}

impl Whole {
    /// The plan and the programs after a change in the agent's sources: another build id, another agent.
    fn with_another_agent(&self, shop: &Workshop, programs: &Programs, turn: usize, folder: &Path) -> Result<(Plan, Programs)> {
        let change = |inputs: &mut Inputs| inputs.extend([(SOURCES.to_owned(), format!("{turn:064x}"))]);
        let plan = crate::verbs::plan::make_with(&shop.repo, &self.board, &self.flavour, Profile::Dev, change)?;
        let mut bytes = programs.read("agent")?;
        // What follows an ELF file's last section changes nothing of what it does.
        bytes.extend(turn.to_le_bytes());
        let agent = folder.join("another-agent");
        std::fs::write(&agent, bytes)?;
        Ok((plan, Programs { agent, ..programs.clone() }))
    }
}

/// All stages but the compiler, from .debs to the image file.
fn image(shop: &Workshop, plan: &Plan, programs: &Programs, out: &Path) -> Result<()> {
    let work = Aside::begin(out)?;
    let devices = stages::drivers(shop, plan)?;
    let packages = stages::packages(shop, plan)?;
    let delta = stages::delta(shop, plan)?;
    let whole = stages::whole_tree(shop, plan, &packages, &delta)?;
    let root = stages::root(shop, plan, &whole, programs, devices)?;
    let partitions = stages::partitions(shop, plan, &whole, &root, programs, work.path())?;
    stages::image(plan, &partitions, out, false)?;
    work.leave();
    Ok(())
}

fn mkosi(peer: &Tools, archive: &Path, packages: &[LockedPackage]) -> Result<()> {
    let names = packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(",");
    let script = format!(
        "mkdir /build && cd /build && echo none > initrd && exec mkosi --distribution debian --release {SUITE} --architecture x86-64 \
         --local-mirror file:///archive --repository-key-check no --format disk --bootable yes --bootloader systemd-boot --with-docs no \
         --initrd /build/initrd --package {names} --output image --force build >&2"
    );
    Sandbox::new(peer.root()).owners(Owners::All).bind(archive, "/archive").command(["sh", "-c", &script]).run().context("mkosi failed")?;
    Ok(())
}
