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
        let figures: Vec<(&Row, Vec<Figure>)> = rows.iter().map(|row| (row, figures(row.median(), pc, row.emulated))).collect();
        if self.json {
            let list: Vec<_> = figures
                .iter()
                .map(|(row, figures)| {
                    let (cold, unpacked, warm) = row.median();
                    serde_json::json!({ "board": row.plan.board, "arch": row.plan.arch, "packages": row.packages.len(),
                        "seconds": { "cold": cold, "unpacked": unpacked, "warm": warm, "emulated": row.emulated }, "figures": figures })
                })
                .collect();
            println!("{}", serde_json::json!({ "runs": self.runs, "boards": list }));
        } else {
            println!("the tree stage, .debs on disk, median of {}:", self.runs);
            for (row, figures) in &figures {
                let (cold, unpacked, warm) = row.median();
                println!("{} ({}, {} packages)", row.plan.board, row.plan.arch, row.packages.len());
                println!("  nothing cached but .debs {cold:.1} s, packages cached {unpacked:.1} s, delta cached too {warm:.1} s");
                row.emulated.iter().for_each(|seconds| println!("  mmdebstrap with qemu-user {seconds:.1} s"));
                figures.iter().for_each(|figure| println!("  {figure}"));
            }
        }
        let lost: Vec<String> = figures
            .iter()
            .flat_map(|(row, figures)| {
                figures.iter().filter(|figure| !figure.won).map(move |figure| format!("{}: {figure}", row.plan.board))
            })
            .collect();
        ensure!(lost.is_empty(), "{} figures are lost:\n  {}", lost.len(), lost.join("\n  "));
        Ok(())
    }
}

/// A ratio beside what it may be.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Figure {
    what: &'static str,
    ratio: f64,
    at_most: f64,
    won: bool,
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.won { "won" } else { "LOST" };
        write!(f, "{verdict}: {:.2} of {}, at most {}", self.ratio, self.what, self.at_most)
    }
}

/// What is asked of one board: `own` and `pc` are seconds with nothing cached but .debs, with packages cached, and with the
/// delta cached too.
fn figures(own: (f64, f64, f64), pc: (f64, f64, f64), emulated: Option<f64>) -> Vec<Figure> {
    // What can't be told is not won.
    let figure = |what, ratio: f64, at_most| Figure { what, ratio, at_most, won: ratio <= at_most };
    let mut figures = vec![
        figure("the PC's time with packages cached", own.1 / pc.1, BESIDE_NATIVE_MAX),
        figure("the PC's time with the delta cached too", own.2 / pc.2, BESIDE_NATIVE_MAX),
    ];
    if let Some(emulated) = emulated {
        figures.push(figure("emulation's time with nothing cached but .debs", own.0 / emulated, COLD_OF_EMULATED_MAX));
        figures.push(figure("emulation's time with the delta cached", own.2 / emulated, WARM_OF_EMULATED_MAX));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_slow_or_was_not_measured_is_lost() {
        let won = |own, pc, emulated| figures(own, pc, emulated).into_iter().map(|figure| figure.won).collect::<Vec<_>>();
        assert_eq!(won((10.0, 9.0, 1.0), (9.0, 8.0, 1.0), None), [true, true]);
        assert_eq!(won((10.0, 9.0, 1.0), (9.0, 8.0, 0.5), Some(100.0)), [true, false, true, true]);
        assert_eq!(won((10.0, 9.0, 1.0), (9.0, 5.0, 1.0), Some(10.0)), [false, true, false, false]);
        assert_eq!(won((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), None), [false, false]);
        let shown: Vec<String> = figures((10.0, 9.0, 1.0), (9.0, 5.0, 1.0), None).iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "LOST: 1.80 of the PC's time with packages cached, at most 1.5");
    }
}
