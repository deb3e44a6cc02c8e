//! `cargo xtask verify-twin BOARD`: the configured tree held against one that was configured under emulation.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::bench::Emulated;
use super::plan::DEFAULT_FLAVOUR;
use crate::board::Arch;
use crate::digest::Key;
use crate::packages::data;
use crate::packages::lock::LockedPackage;
use crate::plan::{Plan, Profile};
use crate::stages::{self, Workshop};
use crate::tree::{Origin, Tree};
use crate::twin::compare::{Difference, differences};
use crate::twin::ids::Ids;
use crate::twin::rules;
use crate::ui;

/// The overlay whose users a twin makes too.
const SYSUSERS: &str = "overlay/common/usr/lib/sysusers.d";

/// Compares what the native twin configured with what qemu-user configures (minutes), path by path.
#[derive(Args)]
pub struct VerifyTwinVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl VerifyTwinVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let plan = super::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        ensure!(plan.arch != Arch::Amd64, "{} is configured natively: there is nothing to compare with", self.board);
        let shop = Workshop::open(repo, None)?;
        let packages: Vec<LockedPackage> = stages::packages(&shop, &plan)?.into_iter().filter(|package| !package.payload).collect();
        let delta = stages::delta(&shop, &plan)?;
        let ours = stages::configured_tree(&shop, &plan, &packages, &delta)?;
        let reference = reference(&shop, &plan, &packages)?;
        let found = differences(&ours, &reference)?;
        self.report(&plan, &ours, &found)
    }

    fn report(&self, plan: &Plan, ours: &Tree, found: &[Difference]) -> Result<()> {
        let open = found.iter().filter(|found| found.explained.is_none()).count();
        let paths = ours.iter().count();
        if self.json {
            let list: Vec<_> = found
                .iter()
                .map(|found| serde_json::json!({ "path": found.path, "what": found.what, "explained": found.explained }))
                .collect();
            println!(
                "{}",
                serde_json::json!({ "board": plan.board, "arch": plan.arch, "paths": paths, "unexplained": open, "differences": list })
            );
        } else {
            // Those without an explanation last, where they are seen.
            let (explained, unexplained): (Vec<&Difference>, Vec<&Difference>) = found.iter().partition(|found| found.explained.is_some());
            for found in explained.into_iter().chain(unexplained) {
                println!("/{}: {}\n    {}", found.path, found.what, found.explained.unwrap_or("UNEXPLAINED"));
            }
            println!("{} ({}): {paths} paths, {} differ, {open} of them unexplained", plan.board, plan.arch, found.len());
        }
        if open > 0 {
            bail!(
                "the twin configures {} otherwise than its own processor would: find the script, then add a rule to xtask/src/twin",
                plan.arch
            );
        }
        if !self.json {
            println!("\nNext: cargo xtask image {}", plan.board);
        }
        Ok(())
    }
}

/// The reference, from the cache or made.
fn reference(shop: &Workshop, plan: &Plan, packages: &[LockedPackage]) -> Result<Tree> {
    let ids = Ids::load(&crate::trees::Trees::of(&shop.repo))?;
    let mut key = Key::new("reference 2");
    packages.iter().for_each(|package| key.put(package.sha256.as_bytes()));
    key.put(ids.to_text().as_bytes());
    let folder = shop.cache.root().join("references");
    std::fs::create_dir_all(&folder)?;
    let tar = folder.join(format!("{}.tar", key.finish()));
    if !tar.is_file() {
        let _stage = ui::stage("reference", format!("configuring {} packages under emulation (minutes)", packages.len()));
        let peer = Emulated::tools(shop)?;
        let work = tempfile::tempdir_in(&folder)?;
        let emulated = Emulated { shop, peer: &peer, arch: plan.arch, packages };
        emulated.offer(work.path())?;
        emulated.make(work.path(), Some((&ids, &shop.repo.join(SYSUSERS))))?;
        std::fs::rename(work.path().join("root.tar"), &tar)?;
    }
    let entries = data::data_entries(&tar)?;
    let mut tree = Tree::default();
    tree.lay_package(&tar, &entries, &Origin::Builder("reference"), &Default::default()).context("the reference can't be read")?;
    rules::normalise(&mut tree, plan.epoch)?;
    Ok(tree)
}
