//! `cloudy request-reset`: the root unit that asks init to make this node's data anew at the next start. It writes one empty file.

use crate::mounts::Mounted;
use anyhow::{Context, Result};
use contract::paths::RESET_REQUEST;

/// Puts the request onto the config partition.
///
/// # Errors
/// The partition can't be mounted or written.
pub fn request() -> Result<()> {
    let partition = Mounted::read_only("config", "umask=0077")?;
    partition.make_writable()?;
    let file = partition.path().join(RESET_REQUEST);
    std::fs::write(&file, b"").with_context(|| format!("writing `{}`", file.display()))
}
