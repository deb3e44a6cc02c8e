//! Backups of apps: what an app is, its settings and all that it keeps, encrypted to an owner's key and kept as a blob.
//!
//! ```text
//! job: stop ▸ broker: volumes as tars ▸ format (tar in age) ▸ blob ▸ start
//! blob ▸ format, with the key ▸ job: look at all of it ▸ pull ▸ create ▸ broker: fill volumes ▸ start
//! ```
//! Architecture invariant: this node keeps the public half of the key alone; what a restore keeps of the other half opens one backup.
//!
//! Architecture invariant: a backup is read to its end, every byte authenticated, before anything is made of it; and it is never put where
//! an app keeps something already (`plan`).

mod format;
mod key;
mod restore;
mod save;
#[cfg(test)]
mod tests;

pub use format::NotRead;
pub use key::{BackupKey, Key, KeyView, NewKey, NotAKey};
pub use restore::Source;
pub use save::BackupView;

use serde::{Deserialize, Serialize};

/// Parts of a backup that wait to be encrypted, or to be put into a volume.
const WAITING_PARTS: usize = 4;

/// How a backup is made: `POST /api/v1/apps/NAME/backup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BackupWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BackupWish {
    /// Whether members of the microcloud may keep copies of it, which they can't read.
    #[serde(default)]
    pub shared: bool,
}

/// What a backup is restored with: `POST /api/v1/backups/HASH/restore`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RestoreWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestoreWish {
    /// The secret half of the key: `AGE-SECRET-KEY-1…`. It is not kept.
    pub secret: String,
}

impl std::fmt::Debug for RestoreWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RestoreWish(…)")
    }
}
