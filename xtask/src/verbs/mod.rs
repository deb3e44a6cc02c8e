//! The verbs of the builder, one file each.

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds and tries images of cloudy.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {}

/// Parses the command line and runs the verb that it names.
pub fn run() -> Result<()> {
    match Cli::parse().verb {}
}
