//! `cargo xtask plan BOARD`: what a build would do, before it does anything.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use crate::board::Arch;
use crate::packages::lock::Lock;
use crate::plan::inputs::{self, Inputs};
use crate::plan::{Plan, Profile};
use crate::trees::Trees;

/// The flavour that is built unless another is named.
pub const DEFAULT_FLAVOUR: &str = "standard";

/// Shows everything that a build of a board decides.
#[derive(Args)]
pub struct PlanVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Plan what is shipped, not what is tried.
    #[arg(long)]
    release: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl PlanVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let plan = make(&super::root()?, &self.board, &self.flavour, profile)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else {
            print!("{plan}");
            println!("\nNext: cargo xtask image {}", plan.board);
        }
        Ok(())
    }
}

/// Reads the facts and locks of the repo at `root` and makes the plan.
pub fn make(root: &Path, board: &str, flavour: &str, profile: Profile) -> Result<Plan> {
    make_with(root, board, flavour, profile, |_| ())
}

/// The same, with the hashes of the files that are inputs changed by `change`: as if those files were others.
pub fn make_with(root: &Path, board: &str, flavour: &str, profile: Profile, change: impl FnOnce(&mut Inputs)) -> Result<Plan> {
    let plan = to_look_at(root, board, flavour, profile, change)?;
    if profile == Profile::Release {
        plan.releasable()?;
    }
    Ok(plan)
}

/// The same for what is only measured: a plan of a release may be one that must not be shipped.
pub fn to_look_at(root: &Path, board: &str, flavour: &str, profile: Profile, change: impl FnOnce(&mut Inputs)) -> Result<Plan> {
    let trees = Trees::of(root);
    let catalog = trees.catalog()?;
    let board = catalog.board(board)?;
    let flavour = catalog.flavour(flavour)?;
    trees.check_overlays(board)?;
    let read = |arch: Arch| Lock::read(&trees.lock(&catalog, board, flavour, arch));
    let target = read(board.arch)?;
    // The twin is configured natively, and the builder runs on amd64.
    let twin = if board.arch == Arch::Amd64 { target.clone() } else { read(Arch::Amd64)? };
    let mut inputs = inputs::hash(&trees, board)?;
    change(&mut inputs);
    Plan::make(board, flavour, &target, &twin, profile, inputs).with_context(|| format!("cannot plan {}", board.name))
}
