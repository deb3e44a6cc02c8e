//! What the core keeps on disk, behind one trait: tables of ordered keys, batches that are whole or not at all.
//!
//! Architecture invariant: whatever was committed with [`Sync::Now`] is there after any power cut. What was
//! committed with [`Sync::Later`] may be lost, all of it since the last `Now`, but never in part.

mod redb;

pub use self::redb::{RedbStore, Storage, is_damage};
use std::ops::ControlFlow;

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Small facts of the store itself: format, community.
    Meta,
    /// Signed heads by node, the own one included.
    Heads,
    /// Proofs of copied cards by node.
    Forks,
    /// Records by node, kind and key.
    Records,
    /// Where a record lies, by node and mark.
    Marks,
    /// Own records written since the last head was signed.
    Unsigned,
    /// Directed messages that wait for their outcome.
    Outbox,
    /// Directed messages that were taken: marks against taking them twice.
    Inbox,
    /// What messages brought about, for those who apply them in the same batch.
    Effects,
    /// Shares of apps that are shown, by app, key and node.
    Apps,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Heads,
        Self::Forks,
        Self::Records,
        Self::Marks,
        Self::Unsigned,
        Self::Outbox,
        Self::Inbox,
        Self::Effects,
        Self::Apps,
    ];

    /// The table's name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Heads => "heads",
            Self::Forks => "forks",
            Self::Records => "records",
            Self::Marks => "marks",
            Self::Unsigned => "unsigned",
            Self::Outbox => "outbox",
            Self::Inbox => "inbox",
            Self::Effects => "effects",
            Self::Apps => "apps",
        }
    }
}

/// When a batch has to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before the commit returns.
    Now,
    /// With the next that is `Now`.
    Later,
}

/// Changes that are made together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In this order: table, key, and the new value or none.
    pub changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push((table, key.into(), Some(value.into())));
    }

    /// Takes a key away; one that is not there is fine.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push((table, key.into(), None));
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Why the store did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room; what was there before still is.
    #[error("the disk is full ({0}): make room, then try again")]
    Full(String),
    /// The disk does not work.
    #[error("the store's disk failed: {0}")]
    Disk(String),
    /// What lies on disk is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// Looks at a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered tables on disk.
pub trait Store {
    /// One value.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// All keys that start with `prefix`, in order, until `visit` breaks.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed. What was committed with [`Sync::Later`] before may be lost then:
    /// see [`Store::losses`].
    fn commit(&mut self, batch: &Batch, sync: Sync) -> Result<(), StoreError>;

    /// How often commits that were not synced have been lost by a failure since the store was opened. Whoever
    /// keeps in memory what the store holds reads it again when this has grown.
    fn losses(&self) -> u64;
}
