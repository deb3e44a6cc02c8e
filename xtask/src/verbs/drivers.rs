//! `cargo xtask drivers BOARD`: which drivers the board's device trees ask for.

use anyhow::Result;
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::trees::command;

/// Shows which drivers a board's device trees ask for, and whether the kernel has all of them.
#[derive(Args)]
pub struct DriversVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl DriversVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let plan = super::plan::make(&super::root()?, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(super::root()?, None)?;
        let drivers = stages::drivers(&shop, &plan)?;
        if self.json {
            println!("{}", serde_json::json!({ "kernel": plan.kernel_release, "root": drivers.root, "all": drivers.all }));
            return Ok(());
        }
        if plan.device_trees.files.is_empty() {
            println!("{} names no device trees: its firmware has its own", plan.board);
            return Ok(());
        }
        println!("kernel {}, device trees {}", plan.kernel_release, plan.device_trees.files.join(", "));
        println!("\nto reach the root, in the initramfs:");
        drivers.root.iter().for_each(|name| println!("  {name}"));
        println!("\nfor the other devices, in the root unless `modules.drop` names them:");
        drivers.all.difference(&drivers.root).for_each(|name| println!("  {name}"));
        println!("\nNext: {}", command(&format!("image {}", plan.board)));
        Ok(())
    }
}
