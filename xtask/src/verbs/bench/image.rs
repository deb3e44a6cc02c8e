//! `cargo xtask bench image`: the tree stage against mmdebstrap, on the same packages, with the .debs of both on disk.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::archive::{self, SUITE};
use crate::packages::cache::Cache;
use crate::packages::lock::LockedPackage;
use crate::plan::{Plan, Profile};
use crate::sandbox::{Owners, Sandbox};
use crate::stages::{self, Workshop};
use crate::tools::{self, Tools};
use crate::tree::erofs;
use crate::ui;
use crate::verbs::plan::DEFAULT_FLAVOUR;

/// Times the tree stage and mmdebstrap, turn by turn.
#[derive(Args)]
pub struct Image {
    /// The board.
    #[arg(default_value = "x86-minipc")]
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// How many turns; the median is what counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What one turn took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Turn {
    peer: f64,
    cold: f64,
    warm: f64,
}

impl Image {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let repo = crate::verbs::root()?;
        let plan = crate::verbs::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(repo, None)?;
        let packages: Vec<LockedPackage> = stages::packages(&shop, &plan)?.into_iter().filter(|package| !package.payload).collect();
        let peer = Tools::prepare(&shop.repo, tools::BENCH_LOCK, &shop.cache, None)?;
        let folder = tempfile::tempdir_in(shop.cache.root()).context("failed to make a working folder")?;
        archive::make(&shop.cache, &packages, plan.arch, folder.path())?;
        let mut turns = Vec::new();
        for turn in 1..=self.runs {
            ui::say(&format!("turn {turn} of {}", self.runs));
            let peer = super::seconds(|| mmdebstrap(&peer, folder.path(), &packages))?;
            let (_own, fresh) = fresh(&shop)?;
            let cold = super::seconds(|| tree_stage(&fresh, &plan, &packages))?;
            let warm = super::seconds(|| tree_stage(&fresh, &plan, &packages))?;
            turns.push(Turn { peer, cold, warm });
        }
        self.report(&turns, packages.len());
        Ok(())
    }

    fn report(&self, turns: &[Turn], packages: usize) {
        let peer = super::median(&turns.iter().map(|turn| turn.peer).collect::<Vec<_>>());
        let cold = super::median(&turns.iter().map(|turn| turn.cold).collect::<Vec<_>>());
        let warm = super::median(&turns.iter().map(|turn| turn.warm).collect::<Vec<_>>());
        if self.json {
            let report = serde_json::json!({ "packages": packages, "runs": turns.len(), "seconds": { "mmdebstrap": peer, "tree": cold, "tree-delta-cached": warm },
                "ratios": { "tree": cold / peer, "tree-delta-cached": warm / peer } });
            println!("{report}");
            return;
        }
        println!("the root of {} ({packages} packages, .debs on disk), median of {}:", self.board, turns.len());
        println!("  {:34} {peer:7.1} s", "mmdebstrap, to a tar");
        let row = |name: &str, seconds: f64, most: f64| {
            println!(
                "  {name:34} {seconds:7.1} s  {:.2} of it (at most {most}: {})",
                seconds / peer,
                if seconds / peer <= most { "won" } else { "LOST" }
            );
        };
        row("tree stage, nothing cached", cold, 0.8);
        row("tree stage, delta and tars cached", warm, 0.3);
    }
}

/// A workshop with nothing but .debs: a cache of its own, thrown away with the folder.
pub fn fresh(shop: &Workshop) -> Result<(tempfile::TempDir, Workshop)> {
    let own = tempfile::tempdir_in(shop.cache.root())?;
    std::os::unix::fs::symlink(shop.cache.root().join("debs"), own.path().join("debs"))?;
    let fresh = Workshop { cache: Cache::at(own.path())?, repo: shop.repo.clone(), tools: shop.tools.clone(), deb_mirror: None };
    Ok((own, fresh))
}

/// From .debs to the tar that mkfs.erofs would read.
pub fn tree_stage(shop: &Workshop, plan: &Plan, packages: &[LockedPackage]) -> Result<()> {
    crate::packages::data::prepare_in(&shop.tools.sandbox(), &stages::unpacked(plan, packages), &shop.cache)?;
    let delta = stages::delta(shop, plan)?;
    let tree = stages::configured_tree(shop, plan, packages, &delta)?;
    erofs::write_tar(&tree, plan.epoch, std::io::sink())
}

fn mmdebstrap(peer: &Tools, archive: &Path, packages: &[LockedPackage]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let include = format!("--include={}", names.join(","));
    let argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        "--format=tar",
        "--quiet",
        include.as_str(),
        "--aptopt=APT::Install-Recommends \"false\"",
        "--aptopt=APT::Sandbox::User \"root\"",
        SUITE,
        "/dev/null",
        "deb [trusted=yes] copy:/archive ./",
    ];
    Sandbox::new(peer.root()).owners(Owners::All).bind(archive, "/archive").command(argv).run().context("mmdebstrap failed")?;
    Ok(())
}
