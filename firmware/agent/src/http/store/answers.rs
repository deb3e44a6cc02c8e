//! What the store answers.

use super::Read;
use serde::Serialize;

/// A page of an app's keys, in their order.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreKeysPage))]
pub struct KeysPage {
    /// The keys with their values.
    pub keys: Vec<Read>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// A key that was written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreWritten))]
pub struct Written {
    /// The key.
    pub key: String,
    /// Its context now.
    pub etag: String,
}

/// Keys that were written in one change.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreAllWritten))]
pub struct AllWritten {
    /// In the order in which they were named.
    pub keys: Vec<Written>,
}

/// Apps that keep something in the microcloud.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreNames))]
pub struct Names {
    /// Their names.
    pub apps: Vec<String>,
}

/// An app.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreName))]
pub struct OneName {
    /// Its name.
    pub app: String,
}

/// A token that opens one app's store.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreToken))]
pub struct AppToken {
    /// Its text, shown this once.
    pub token: String,
}

/// Tokens of an app that open nothing any more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreTokensRevoked))]
pub struct Revoked {
    /// How many.
    pub revoked: usize,
}

/// Who may write to an app's store.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreWriters))]
#[serde(rename_all = "kebab-case")]
pub struct WritersView {
    /// Keys of nodes and owners in hexadecimal; none: every member.
    pub only: Option<Vec<String>>,
    /// Whether this node may.
    pub this_node_writes: bool,
}
