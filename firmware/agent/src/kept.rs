//! Whether what this node does is kept: init's report says so.
//!
//! Architecture invariant: while data is lost or only read, the node makes no identity, joins nothing, and overwrites no secret of
//! `cloudy.toml`: what it would write is gone at the next start, when its data may be there again.

use anyhow::{Context, Result};
use contract::report::{DataState, Report};
use std::{io::ErrorKind, path::Path};

/// Init's report; none where this is no image.
///
/// # Errors
/// There is one that can't be read: nobody knows then whether data is kept, and it must be taken as if it were not.
pub fn report(path: &Path) -> Result<Option<Report>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).with_context(|| format!("init's report `{}` can't be understood", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("init's report `{}` can't be read", path.display())),
    }
}

/// Whether changes to data in that state outlive this run.
pub fn keeps(state: DataState) -> bool {
    match state {
        DataState::Clean | DataState::Repaired => true,
        DataState::ReadOnly | DataState::Lost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_report_is_no_image_and_an_unreadable_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boot.json");
        assert!(report(&path).unwrap().is_none());
        std::fs::write(&path, "{\"build\":").unwrap();
        assert!(report(&path).unwrap_err().to_string().contains("boot.json"));
    }

    #[test]
    fn only_what_is_written_to_good_data_is_kept() {
        let kept = [DataState::Clean, DataState::Repaired, DataState::ReadOnly, DataState::Lost].map(keeps);
        assert_eq!(kept, [true, true, false, false]);
    }
}
