//! `cargo xtask image BOARD`: a flashable image.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};

/// Builds a flashable image of a board.
#[derive(Args)]
pub struct ImageVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Build what is shipped: small, with .xz and SHA256SUMS.
    #[arg(long)]
    release: bool,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Take .debs from this folder instead of the network.
    #[arg(long, value_name = "DIR")]
    deb_mirror: Option<PathBuf>,
}

impl ImageVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let repo = super::root()?;
        let plan = super::plan::make(&repo, &self.board, &self.flavour, profile)?;
        let shop = Workshop::open(repo, self.deb_mirror)?;
        let packages = stages::packages(&shop, &plan)?;
        let programs = stages::programs(&shop, &plan)?;
        eprintln!("{programs:?}");
        let delta = stages::delta(&shop, &plan, &packages)?;
        let tree = stages::whole_tree(&shop, &plan, &packages, &delta)?;
        println!("{} entries", tree.iter().count());
        Ok(())
    }
}
