//! An eventually consistent store for apps, over the records: values that all members read and, as far as the app's
//! manifest lets them, write, with no member in the way of another.
//!
//! Each node says its share of a key as one record of its own: its value of a register and what that replaced, its
//! part of a counter, its elements of a set. Who reads puts the shares together (`merge`), so there is nothing to lose
//! and no clock to trust: concurrent values of a register are kept side by side until somebody replaces them.
//!
//! - Architecture invariant: a node's share changes as a whole, with its clock record in the same head, and is shown
//!   only when all that the node had seen of the app is shown too. So reads of an app are causal, and a batch is seen
//!   whole or not at all.
//! - Architecture invariant: a share names exactly the writes that it replaces. Nobody can replace what is yet to be
//!   written, nor what it has not seen.
//! - What a node said goes with the node: it belongs to its owner.
//!
//! The crate `crdts` (7.3.2, Apache-2.0) was looked at and does not fit: its types keep the state of all writers in one
//! value, where a record has one writer; its multi-value register has no causal context of its own (its issue 10, open
//! since 2018), so a value that was removed comes back with the next merge; an operation that a hostile member made up
//! breaks commutativity by its own comment; its sets lie in hash maps, so equal states have unequal bytes.

pub mod entry;
pub mod manifest;
pub mod merge;
mod names;
mod shown;
mod write;

pub use manifest::{Manifest, Writers};
pub use merge::{Change, ETag, ShareError, Value};
pub use names::{App, MAX_APP_BYTES, MAX_KEY_BYTES, NotAnApp, is_key};
pub use shown::{AppStore, Listing, Output};
pub use write::{AppError, Condition, Wish};

/// Most records of one app on one node, its clock included.
pub const MAX_APP_RECORDS: usize = 128;
/// Most bytes of one app on one node.
pub const MAX_APP_BYTES_KEPT: usize = 256 * 1024;
/// Most records of all apps on one node: what is left is for services and the node itself.
pub const MAX_ALL_RECORDS: usize = 256;
/// Most bytes of all apps on one node.
pub const MAX_ALL_BYTES: usize = 640 * 1024;
/// A page of keys ends after the value with which it has so many bytes.
pub const MAX_LIST_BYTES: usize = 256 * 1024;
