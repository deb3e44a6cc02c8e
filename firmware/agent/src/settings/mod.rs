//! The node's settings: kept on data, filled from `cloudy.toml`, applied to the machine by a root unit early at boot.

mod apply;
mod desk;
mod render;
mod store;
mod wish;

pub use apply::apply;
pub use desk::{Desk, NotSet, SettingsView};
pub use store::{load, put_aside, read_or_put_aside, read_whole, take_local_inbox, write_whole};
pub use wish::{NetworkWish, WifiWish, Wish};

use crate::status::SettingsState;
use std::path::Path;

/// Where time zones are.
const ZONEINFO: &str = "/usr/share/zoneinfo";

/// Where the settings came from and what is wrong with them, for the status.
pub fn state(data: &Path) -> SettingsState {
    let stored = load(data);
    let (mut broken, mut unsupported, mut secrets_moved) = (stored.inbox.mistakes.clone(), Vec::new(), false);
    for (name, inbox) in stored.inboxes(store::INBOX) {
        secrets_moved |= inbox.secrets_moved;
        unsupported.extend(inbox.notes.iter().map(|note| format!("{name}: {note}")));
        if name != store::INBOX {
            broken.extend(inbox.mistakes.iter().map(|mistake| format!("{name}: {mistake}")));
        }
    }
    broken.extend(apply::problems(data));
    SettingsState { broken, unsupported, sources: stored.sources, secrets_moved }
}
