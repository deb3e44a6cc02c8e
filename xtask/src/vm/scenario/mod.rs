//! Scenarios: nodes and steps written as TOML in `ci/scenarios/`, so that a new test is data.
//!
//! ```toml
//! title = "a node comes up and shows its page"
//! [[nodes]]
//! name = "one"
//! cloudy-toml = "hostname = \"one\"\n"
//! [[steps]]
//! wait-http = { node = "one", path = "/api/v1/status", seconds = 600 }
//! ```
//!
//! Seconds are limits against hanging, wide enough for a slow translator on two busy cores; they are no assertions
//! of speed.

mod aftermath;
mod check;
mod entries;
mod people;
mod raw;
mod run;
mod shelf;
mod slot;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use check::Scenario;
pub use people::People;
pub use run::run;
pub use shelf::Shelf;

/// Where scenarios lie in the repo.
pub const FOLDER: &str = "ci/scenarios";

/// Reads and checks one scenario.
pub fn read(path: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    Scenario::parse(path, &text)
}

/// All scenarios of a repo, in the order of their names.
pub fn list(repo: &Path) -> Result<Vec<PathBuf>> {
    let folder = repo.join(FOLDER);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("failed to read `{}`", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
