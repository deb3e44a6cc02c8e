//! Names of apps and keys, and how they become slots of records and keys of the table.

use crate::{
    keys::{Key, NodeId},
    records::{Kind, Slot},
};
use data_encoding::BASE32_NOPAD;
use std::fmt;

/// Longest name of an app in bytes.
pub const MAX_APP_BYTES: usize = 48;
/// Longest key in bytes.
pub const MAX_KEY_BYTES: usize = crate::records::record::MAX_KEY_BYTES - MAX_APP_BYTES - 1;
/// Longest first part of an app's name.
const MAX_LABEL_BYTES: usize = 20;
/// Bytes of its owner's key that an owned app carries in its name, in base 32.
const OWNER_BYTES: usize = 16;

/// An app's name: `notes`, open to all members, or `notes.` and the beginning of its owner's key, who says by a
/// manifest who may write. So two apps never fight for a name, and nobody hands names out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct App(String);

/// Why a text names no app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can't be an app's name: use 1 to {MAX_LABEL_BYTES} of a-z, 0-9 and -, alone or followed by a dot and an owner's 26 letters (see `cloudy store own`)"
)]
pub struct NotAnApp(String);

impl TryFrom<&str> for App {
    type Error = NotAnApp;
    fn try_from(text: &str) -> Result<Self, NotAnApp> {
        let (label, owner) = text.split_once('.').map_or((text, None), |(label, owner)| (label, Some(owner)));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let labelled = (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.chars().all(plain);
        let owned = owner.is_none_or(|owner| prefix(owner).is_some());
        if labelled && owned { Ok(Self(text.to_owned())) } else { Err(NotAnApp(text.chars().take(60).collect())) }
    }
}

/// The beginning of a key, from base 32 in lower case.
fn prefix(text: &str) -> Option<[u8; OWNER_BYTES]> {
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok()
}

impl App {
    /// The app of that label that `owner` owns.
    ///
    /// # Errors
    /// The label can't be one.
    pub fn owned(label: &str, owner: &Key) -> Result<Self, NotAnApp> {
        let text = format!("{label}.{}", BASE32_NOPAD.encode(&owner.0[..OWNER_BYTES]).to_ascii_lowercase());
        Self::try_from(text.as_str())
    }

    /// Whether it has an owner at all.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.0.contains('.')
    }

    /// Whether it is `key`'s.
    #[must_use]
    pub fn is_of(&self, key: &Key) -> bool {
        let owner = self.0.split_once('.').and_then(|(_, owner)| prefix(owner));
        owner.is_some_and(|owner| key.0.starts_with(&owner))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text can be a key: 1 to [`MAX_KEY_BYTES`] bytes, no control characters.
#[must_use]
pub fn is_key(key: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && !key.chars().any(char::is_control)
}

/// Where a node says its share of a key; of the empty key: its clock.
pub(super) fn slot(app: &App, key: &str) -> Slot {
    Slot { kind: Kind::APP, key: format!("{app}/{key}") }
}

/// Reads a slot back.
pub(super) fn of_slot(slot: &Slot) -> Option<(App, &str)> {
    let (app, key) = slot.key.split_once('/').filter(|_| slot.kind == Kind::APP)?;
    let app = App::try_from(app).ok()?;
    (key.is_empty() || is_key(key)).then_some((app, key))
}

/// Rows of an app, or of one of its keys: what they start with. Neither apps nor keys contain a zero.
pub(super) fn row_prefix(app: &App, key: Option<&str>) -> Vec<u8> {
    let mut prefix = [app.as_str().as_bytes(), &[0]].concat();
    if let Some(key) = key {
        prefix.extend_from_slice(key.as_bytes());
        prefix.push(0);
    }
    prefix
}

/// The row of a node's share of a key.
pub(super) fn row(app: &App, key: &str, node: &NodeId) -> Vec<u8> {
    [row_prefix(app, Some(key)).as_slice(), node.0.as_slice()].concat()
}

/// Reads a row's key back: key and node.
pub(super) fn of_row<'a>(app: &App, row: &'a [u8]) -> Option<(&'a str, NodeId)> {
    let rest = row.get(app.as_str().len() + 1..)?;
    let (key, node) = rest.split_at_checked(rest.len().checked_sub(32)?)?;
    let (last, key) = key.split_last()?;
    Some((str::from_utf8(key).ok().filter(|_| *last == 0)?, Key(node.try_into().ok()?)))
}
