//! `cargo xtask bench arm`: the tree stage of ARM boards beside that of a PC, and beside mmdebstrap with qemu-user.

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Emulated;
use super::image::{fresh, tree_stage};
use crate::board::Arch;
use crate::packages::lock::LockedPackage;
use crate::plan::{Plan, Profile};
use crate::stages::{self, Workshop};
use crate::ui;
use crate::verbs::plan::DEFAULT_FLAVOUR;

/// The board that the others stand beside.
const NATIVE_BOARD: &str = "x86-minipc";
/// A tree of an ARM board takes at most so many times as long as the PC's.
const BESIDE_NATIVE_MAX: f64 = 1.5;
/// Of the time that emulation takes: with nothing cached but .debs, and with the delta cached.
const COLD_OF_EMULATED_MAX: f64 = 0.15;
const WARM_OF_EMULATED_MAX: f64 = 0.08;

/// Times the tree stage for each board, turn by turn, and emulation once for each architecture.
#[derive(Args)]
pub struct Arm {
    /// The ARM boards, one an architecture.
    #[arg(default_values_t = ["rpi3".to_owned(), "rpi2".to_owned()])]
    boards: Vec<String>,
    /// How many turns of the tree stage; the median is what counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Leave out emulation, which takes minutes.
    #[arg(long)]
    no_emulation: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One board's plan and seconds.
struct Row {
    plan: Plan,
    packages: Vec<LockedPackage>,
    cold: Vec<f64>,
    unpacked: Vec<f64>,
    warm: Vec<f64>,
    emulated: Option<f64>,
}

impl Row {
    fn median(&self) -> (f64, f64, f64) {
        (super::median(&self.cold), super::median(&self.unpacked), super::median(&self.warm))
    }
}

impl Arm {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let repo = crate::verbs::root()?;
        let shop = Workshop::open(repo, None)?;
        let mut rows = Vec::new();
        for board in std::iter::once(NATIVE_BOARD).chain(self.boards.iter().map(String::as_str)) {
            let plan = crate::verbs::plan::make(&shop.repo, board, DEFAULT_FLAVOUR, Profile::Dev)?;
            let packages = stages::packages(&shop, &plan)?.into_iter().filter(|package| !package.payload).collect();
            rows.push(Row { plan, packages, cold: Vec::new(), unpacked: Vec::new(), warm: Vec::new(), emulated: None });
        }
        for turn in 1..=self.runs {
            ui::say(&format!("turn {turn} of {}", self.runs));
            for row in &mut rows {
                let (_own, fresh) = fresh(&shop)?;
                row.cold.push(super::seconds(|| tree_stage(&fresh, &row.plan, &row.packages))?);
                std::fs::remove_dir_all(fresh.cache.root().join("deltas"))?;
                row.unpacked.push(super::seconds(|| tree_stage(&fresh, &row.plan, &row.packages))?);
                row.warm.push(super::seconds(|| tree_stage(&fresh, &row.plan, &row.packages))?);
            }
        }
        if !self.no_emulation {
            let peer = Emulated::tools(&shop)?;
            for row in rows.iter_mut().filter(|row| row.plan.arch != Arch::Amd64) {
                let _stage = ui::stage("emulated", format!("mmdebstrap with qemu-user for {} (minutes)", row.plan.arch));
                let folder = tempfile::tempdir_in(shop.cache.root()).context("failed to make a working folder")?;
                let emulated = Emulated { shop: &shop, peer: &peer, arch: row.plan.arch, packages: &row.packages };
                emulated.offer(folder.path())?;
                row.emulated = Some(super::seconds(|| emulated.make(folder.path(), None))?);
            }
        }
        self.report(&rows)
    }

    fn report(&self, rows: &[Row]) -> Result<()> {
        let pc = rows.first().context("no board was timed")?.median();
        if self.json {
            let list: Vec<_> = rows
                .iter()
                .map(|row| {
                    let (cold, unpacked, warm) = row.median();
                    serde_json::json!({ "board": row.plan.board, "arch": row.plan.arch, "packages": row.packages.len(),
                        "seconds": { "cold": cold, "unpacked": unpacked, "warm": warm, "emulated": row.emulated }, "of-native": { "cold": cold / pc.0, "unpacked": unpacked / pc.1, "warm": warm / pc.2 },
                        "of-emulated": row.emulated.map(|emulated| serde_json::json!({ "cold": cold / emulated, "warm": warm / emulated })) })
                })
                .collect();
            println!("{}", serde_json::json!({ "runs": self.runs, "boards": list }));
            return Ok(());
        }
        println!("the tree stage, .debs on disk, median of {}:", self.runs);
        for row in rows {
            let (cold, unpacked, warm) = row.median();
            println!("{} ({}, {} packages)", row.plan.board, row.plan.arch, row.packages.len());
            let emulated = |seconds: f64, most: f64| {
                row.emulated.map_or_else(String::new, |emulated| format!("  {} of emulation", verdict(seconds / emulated, most)))
            };
            let native = |seconds: f64, native: f64| format!("  {} times the PC's", verdict(seconds / native, BESIDE_NATIVE_MAX));
            println!("  {:32} {cold:7.1} s{}", "nothing cached but .debs", emulated(cold, COLD_OF_EMULATED_MAX));
            println!("  {:32} {unpacked:7.1} s{}", "packages cached, delta not", native(unpacked, pc.1));
            println!("  {:32} {warm:7.1} s{}{}", "delta cached too", native(warm, pc.2), emulated(warm, WARM_OF_EMULATED_MAX));
            if let Some(emulated) = row.emulated {
                println!("  {:32} {emulated:7.1} s", "mmdebstrap, qemu-user");
            }
        }
        Ok(())
    }
}

fn verdict(ratio: f64, most: f64) -> String {
    format!("{ratio:.2} (at most {most}: {})", if ratio <= most { "won" } else { "LOST" })
}
