//! `cargo xtask bench WHAT`: figures side by side with the peers, in one run, as ratios.

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
    Image(image::Image),
}

impl BenchVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Image(image) => image.run(),
        }
    }
}
