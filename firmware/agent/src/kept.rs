//! Whether what this node does is kept: init's report says so.
//!
//! Architecture invariant: while data is lost or only read, the node makes no identity, joins nothing, and overwrites no secret of
//! `cloudy.toml`: what it would write is gone at the next start, when its data may be there again.

use contract::report::{DataState, Report};
use std::path::Path;

/// Init's report, if this is an image and the report can be read.
pub fn report(path: &Path) -> Option<Report> {
    let text = std::fs::read_to_string(path).ok()?;
    serde_json::from_str(&text).inspect_err(|error| log::warn!("`{}` can't be understood: {error}", path.display())).ok()
}

/// Whether changes to data in that state outlive this run.
pub fn keeps(state: DataState) -> bool {
    match state {
        DataState::Clean | DataState::Repaired => true,
        DataState::ReadOnly | DataState::Lost => false,
    }
}
