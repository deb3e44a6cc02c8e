//! The node's settings: kept on data, filled from `cloudy.toml`, applied to the machine by a root unit early at boot.

mod apply;
mod render;
mod store;

pub use apply::apply;
pub use store::{load, take_local_inbox, write_whole};

use crate::status::SettingsState;
use std::path::Path;

/// Where the settings came from and what is wrong with them, for the status.
pub fn state(data: &Path) -> SettingsState {
    let stored = load(data);
    let mut broken = stored.inbox.mistakes;
    broken.extend(apply::problems(data));
    SettingsState { broken, sources: stored.sources, secrets_moved: stored.inbox.secrets_moved }
}
