//! `cargo xtask tools -- COMMAND…`: a command in the tools tree, to see what the builder sees.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::packages::cache::Cache;
use crate::tools;

/// Runs a command in the tools tree (a shell without one); the current folder is shown at /here.
#[derive(clap::Args)]
pub struct Tools {
    /// Shows the host's network.
    #[arg(long)]
    network: bool,
    /// Take .debs from this folder instead of the network.
    #[arg(long, value_name = "DIR")]
    deb_mirror: Option<PathBuf>,
    /// Lay images/tools/LAYER.lock over the tree (arm64, armhf: cross compilers; arm: QEMU and U-Boot's tools).
    #[arg(long)]
    layer: Vec<String>,
    /// The command and its arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Tools {
    /// Runs it; fails when the command does.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let cache = Cache::open()?;
        let mut tools = tools::Tools::prepare(&repo, tools::LOCK, &cache, self.deb_mirror.as_deref())?;
        for layer in &self.layer {
            tools = tools.with_layer(&repo, &format!("images/tools/{layer}.lock"), &cache, self.deb_mirror.as_deref())?;
        }
        let mut sandbox = tools.sandbox().bind_writable(&std::env::current_dir()?, "/here").cwd("/here");
        if self.network {
            sandbox = sandbox.network();
        }
        let command = if self.command.is_empty() { vec!["bash".to_owned()] } else { self.command };
        let mut running = sandbox.command(command).spawn(Stdio::inherit(), Stdio::inherit(), Stdio::inherit())?;
        let status = running.child.wait()?;
        if !status.success() {
            bail!("the command ended with {status}");
        }
        Ok(())
    }
}
