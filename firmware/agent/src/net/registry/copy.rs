//! What the registry's thread owns of a community, over one database: the records, the store for apps over them, and
//! directed messages.

use cluster::{
    CommunityId, Millis, NodeId,
    appstore::AppStore,
    messages::{Inbox, Outbox},
    records::Replica,
    store::{RedbStore, StoreError},
};
use rand::Rng;
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
    /// Messages that wait.
    pub outbox: Outbox,
    /// Messages that come.
    pub inbox: Inbox,
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
        let mut drawn = [0; 32];
        rand::rng().fill_bytes(&mut drawn);
        let outbox = Outbox::open(now, replica.store(), replica.me(), drawn)?;
        Ok(Self { seed, replica, apps, outbox, inbox: Inbox::default() })
    }

    /// Who is admitted.
    pub fn set_members(&mut self, now: Millis, members: BTreeSet<NodeId>, context: [u8; 32]) {
        let changed = *self.replica.view().members() != members;
        self.replica.set_members(now, members, context);
        if changed && let Err(error) = self.apps.refresh(&mut self.replica) {
            log::warn!(error:%; "what apps say could not be read anew");
        }
    }

    /// Who is there.
    pub fn set_peers(&mut self, now: Millis, alive: Vec<NodeId>, linked: Vec<NodeId>) {
        self.outbox.set_peers(now, self.replica.view().members().clone(), alive.iter().copied().collect());
        self.replica.set_peers(now, alive, linked);
    }

    /// When there is something to do next.
    pub fn next_wake(&self) -> Millis {
        self.replica.next_wake().min(self.apps.next_wake()).min(self.outbox.next_wake())
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.replica.next_wake() <= now {
            self.replica.tick(now);
        }
        if self.apps.next_wake() <= now {
            self.apps.tick(now, &mut self.replica);
        }
        if self.outbox.next_wake() <= now {
            self.outbox.tick(now, self.replica.store_mut());
        }
    }
}
