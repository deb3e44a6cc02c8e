//! `cargo xtask bench WHAT`: figures side by side with the peers, in one run, as ratios.

mod double;
mod image;

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
    Double(double::Double),
    Image(image::Image),
}

impl BenchVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Double(double) => double.run(),
            What::Image(image) => image.run(),
        }
    }
}
