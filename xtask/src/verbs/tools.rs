//! `cargo xtask tools -- COMMAND…`: a command in the tools tree, to see what the builder sees.

use anyhow::Result;
use std::process::{ExitCode, Stdio};

use crate::packages::cache::Cache;
use crate::tools::{self, Tools};

/// Runs a command in the tools tree (a shell without one); the current folder is shown at /here.
#[derive(clap::Args)]
pub struct Args {
    /// Shows the host's network.
    #[arg(long)]
    network: bool,
    /// The command and its arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Args {
    /// Runs it; the command's status is this program's.
    pub fn run(self) -> Result<ExitCode> {
        let repo = super::root()?;
        let tools = Tools::prepare(&repo, tools::LOCK, &Cache::open()?, None)?;
        let mut sandbox = tools.sandbox().bind_writable(&std::env::current_dir()?, "/here").cwd("/here");
        if self.network {
            sandbox = sandbox.network();
        }
        let command = if self.command.is_empty() { vec!["bash".to_owned()] } else { self.command };
        let mut running = sandbox.command(command).spawn(Stdio::inherit(), Stdio::inherit(), Stdio::inherit())?;
        let status = running.child.wait()?;
        Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }
}
