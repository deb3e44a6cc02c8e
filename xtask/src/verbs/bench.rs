//! `cargo xtask bench WHAT`: figures side by side with the peers, in one run, as ratios.

mod apps;
mod archive;
mod arm;
mod boot;
mod cluster;
mod double;
mod downloads;
mod emulated;
mod image;
mod mutations;
mod pages;
mod whole;

pub use emulated::Emulated;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Measures against the peers; prints both sides and their ratio.
#[derive(Args)]
pub struct BenchVerb {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Apps(apps::Apps),
    Arm(arm::Arm),
    Boot(boot::Boot),
    Cluster(cluster::Cluster),
    Double(double::Double),
    Downloads(downloads::Downloads),
    Image(image::Image),
    Mutations(mutations::Mutations),
    Pages(pages::Pages),
    Whole(whole::Whole),
}

impl BenchVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Apps(apps) => apps.run(),
            What::Arm(arm) => arm.run(),
            What::Boot(boot) => boot.run(),
            What::Cluster(cluster) => cluster.run(),
            What::Double(double) => double.run(),
            What::Downloads(downloads) => downloads.run(),
            What::Image(image) => image.run(),
            What::Mutations(mutations) => mutations.run(),
            What::Pages(pages) => pages.run(),
            What::Whole(whole) => whole.run(),
        }
    }
}

/// Takes the process over where it was started as one of the programs that measure inside of a sandbox.
pub fn maybe_be_inside() {
    cluster::maybe_be_inside();
    pages::maybe_be_inside();
}

/// The middle of the values; not a number for none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many seconds some work takes.
fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}
