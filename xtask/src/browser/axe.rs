//! axe-core, which finds on a page what keeps people out of it: from a package of the Python index that carries it, held to its hash.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{cmd as commands, python, ui};

const PACKAGE: &str = "axe-playwright-python";
const VERSION: &str = "0.1.8";
const SHA256: &str = "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8";
/// Where the package has it.
const FILE: &str = "axe_playwright_python/axe.min.js";

/// Its text; fetched once.
pub fn text(repo: &Path) -> Result<String> {
    let folder = repo.join("target").join(format!("axe-{VERSION}"));
    let file = folder.join(FILE);
    if !file.is_file() {
        let _stage = ui::stage("axe-core", "from the Python package index");
        let pip = python::pip(&repo.join("target").join(format!("axe-{VERSION}.venv")))?;
        let wanted = tempfile::NamedTempFile::new().context("failed to make a file")?;
        fs::write(&wanted, format!("{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n"))?;
        // What was cut short is not taken for whole.
        let aside = tempfile::tempdir_in(repo.join("target")).context("failed to make a folder")?;
        let (shell, wanted, into) = (Shell::new()?, wanted.path(), aside.path().join("axe"));
        commands::read(cmd!(shell, "{pip} install --quiet --no-deps --require-hashes --target {into} --requirement {wanted}"))?;
        fs::rename(&into, &folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))
}
