//! Python's own package installer, in a folder of its own: nothing of the host's is changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::cmd as commands;

/// The installer of an environment, which is made where it is not there.
pub fn pip(venv: &Path) -> Result<PathBuf> {
    let pip = venv.join("bin/pip");
    if !pip.exists() {
        let shell = Shell::new()?;
        let mend = "Python with `venv` is needed: install the package `python3-venv`";
        commands::read(cmd!(shell, "python3 -m venv {venv}")).context(mend)?;
    }
    Ok(pip)
}
