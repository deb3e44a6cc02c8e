//! `cargo xtask bench WHAT`: figures side by side with the peers, in one run, as ratios.

mod api;
mod apps;
mod archive;
mod arm;
mod boot;
mod cluster;
mod core;
mod double;
mod downloads;
mod emulated;
mod image;
mod inputs;
mod load;
mod memory;
mod mutations;
mod pages;
mod whole;

pub use emulated::Emulated;

pub(super) use self::apps::made;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

/// Measures against the peers; prints both sides and their ratio.
#[derive(Args)]
pub struct BenchVerb {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Api(api::Api),
    Apps(apps::Apps),
    Arm(arm::Arm),
    Boot(boot::Boot),
    Cluster(cluster::Cluster),
    Core(core::Core),
    Double(double::Double),
    Downloads(downloads::Downloads),
    Image(image::Image),
    Inputs(inputs::Inputs),
    Load(load::LoadBench),
    Memory(memory::Memory),
    Mutations(mutations::Mutations),
    Pages(pages::Pages),
    Whole(whole::Whole),
}

impl BenchVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Api(api) => api.run(),
            What::Apps(apps) => apps.run(),
            What::Arm(arm) => arm.run(),
            What::Boot(boot) => boot.run(),
            What::Cluster(cluster) => cluster.run(),
            What::Core(core) => core.run(),
            What::Double(double) => double.run(),
            What::Downloads(downloads) => downloads.run(),
            What::Image(image) => image.run(),
            What::Inputs(inputs) => inputs.run(),
            What::Load(load) => load.run(),
            What::Memory(memory) => memory.run(),
            What::Mutations(mutations) => mutations.run(),
            What::Pages(pages) => pages.run(),
            What::Whole(whole) => whole.run(),
        }
    }
}

/// Takes the process over where it was started as one of the programs that measure inside of a sandbox; returns otherwise.
pub fn maybe_be_inside() {
    let mut args = std::env::args().skip(1);
    let measure: fn(&str) -> Result<()> = match args.next().as_deref() {
        Some(cluster::inner::VERB) => cluster::inner::run,
        Some(pages::VERB) => pages::inside,
        Some(load::VERB) => load::inside,
        Some(memory::VERB) => memory::inside,
        _ => return,
    };
    let result = args.next().context("no specification").and_then(|json| measure(&json));
    if let Err(error) = &result {
        eprintln!("{error:#}");
    }
    std::process::exit(i32::from(result.is_err()));
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
