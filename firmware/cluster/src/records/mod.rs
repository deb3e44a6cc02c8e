//! Records: what each node says to all, kept by all, and when all hold the same.
//!
//! `record → head (signs a node's live set) → view (heads of all, root hash) → replica (own writes, news, sync)`
//!
//! - Architecture invariant: only a node's own head says what of it is alive. A record that the newest head does
//!   not list is gone, so there is no tombstone to lose and none to replay.
//! - Architecture invariant: heads are ordered by epoch and sequence, then by their hash; no clock is asked. Two
//!   views that were given the same heads are equal, whatever came first.
//! - Architecture invariant: a head is taken into the view together with all its records, or not yet.
//! - Architecture invariant: an own head is on disk before anybody sees it, so the same (epoch, sequence) is never
//!   signed twice; whoever finds it signed twice has found a copied card.

pub mod exchange;
pub mod head;
pub mod record;
pub mod replica;
pub mod summary;
pub mod view;

pub use head::{Fork, Head, Order, Ownership};
pub use record::{Kind, Record, Slot};
pub use replica::{Change, Output, Phase, Replica, WriteError};
