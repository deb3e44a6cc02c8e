//! `cargo xtask drivers BOARD`: which drivers the board's device trees ask for, and whether its packages bring those and all
//! else that it names.

use anyhow::Result;
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};

/// Shows which drivers a board's device trees ask for, and whether its packages bring all modules, firmware and boot files.
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
        let stages::Brought { drivers, without_firmware } = stages::brought(&shop, &plan)?;
        if self.json {
            println!(
                "{}",
                serde_json::json!({ "kernel": plan.kernel_release, "root": drivers.root, "all": drivers.all, "without-firmware": without_firmware })
            );
            return Ok(());
        }
        if plan.device_trees.files.is_empty() {
            println!("{} names no device trees: its firmware has its own", plan.board);
        } else {
            println!("kernel {}, device trees {}", plan.kernel_release, plan.device_trees.files.join(", "));
            println!("\nto reach the root, in the initramfs:");
            drivers.root.iter().for_each(|name| println!("  {name}"));
            println!("\nfor the other devices, in the root unless `modules.drop` names them:");
            drivers.all.difference(&drivers.root).for_each(|name| println!("  {name}"));
        }
        if !without_firmware.is_empty() {
            println!("\nkept modules of whose firmware no package brings any, so that most of their devices are dead:");
            without_firmware.iter().for_each(|(name, asked)| println!("  {name} (asks for {})", asked.join(", ")));
        }
        println!("\nNext: cargo xtask image {}", plan.board);
        Ok(())
    }
}
