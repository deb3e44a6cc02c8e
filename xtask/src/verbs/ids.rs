//! `cargo xtask ids BOARD`: appends the users and groups that new packages bring to images/ids.lock.

use anyhow::{Context, Result};
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::trees::Trees;
use crate::twin::ids::{FILE, Ids};

/// Adds the users and groups of new packages to images/ids.lock; numbers that stand there never change.
#[derive(Args)]
pub struct IdsVerb {
    /// A board whose packages are looked at.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
}

impl IdsVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let plan = super::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(repo, None)?;
        let packages = stages::packages(&shop, &plan)?;
        let delta = stages::delta(&shop, &plan)?;
        let news = stages::new_ids(&shop, &stages::configured_tree(&shop, &plan, &packages, &delta)?)?;
        if news.is_empty() {
            println!("{FILE} knows every user and group of {}.", self.board);
            return Ok(());
        }
        println!("new: {}", news.names());
        // The tree that brings the packages keeps their numbers: the last that was added, else the checkout.
        let trees = Trees::of(&shop.repo);
        let tree = trees.added().last().unwrap_or(&shop.repo);
        let path = tree.join(FILE);
        let text = Ids::load_one(tree)?.extended(news)?.to_text();
        std::fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        println!("Next: look at {}, commit it, then cargo xtask image {}", path.display(), self.board);
        Ok(())
    }
}
