//! What the registry's thread owns of a community, over one database: the records, and the store for apps over them.

use cluster::{
    CommunityId, Millis, NodeId,
    appstore::AppStore,
    records::Replica,
    store::{RedbStore, StoreError},
};
use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
};

/// All of it. It stands for the records where nothing else is said.
pub struct Copy {
    /// The node's secret key.
    pub seed: [u8; 32],
    /// The records.
    pub replica: Replica<RedbStore>,
    /// What apps say over them.
    pub apps: AppStore,
}

impl Deref for Copy {
    type Target = Replica<RedbStore>;
    fn deref(&self) -> &Replica<RedbStore> {
        &self.replica
    }
}

impl DerefMut for Copy {
    fn deref_mut(&mut self) -> &mut Replica<RedbStore> {
        &mut self.replica
    }
}

impl Copy {
    /// Opens all of it over one store.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn open(now: Millis, store: RedbStore, seed: [u8; 32], community: CommunityId, random: u64) -> Result<Self, StoreError> {
        let mut replica = Replica::open(now, store, seed, community, None, random)?;
        let apps = AppStore::open(now, &mut replica, community)?;
        Ok(Self { seed, replica, apps })
    }

    /// Who is admitted.
    pub fn set_members(&mut self, now: Millis, members: BTreeSet<NodeId>, context: [u8; 32]) {
        let changed = *self.replica.view().members() != members;
        self.replica.set_members(now, members, context);
        if changed && let Err(error) = self.apps.refresh(&mut self.replica) {
            log::warn!(error:%; "what apps say could not be read anew");
        }
    }

    /// When there is something to do next.
    pub fn next_wake(&self) -> Millis {
        self.replica.next_wake().min(self.apps.next_wake())
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.replica.next_wake() <= now {
            self.replica.tick(now);
        }
        if self.apps.next_wake() <= now {
            self.apps.tick(now, &mut self.replica);
        }
    }
}
