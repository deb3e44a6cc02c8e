//! What the registry's thread owns of a community, over one database: the records, the store for apps over them, and what members tell
//! this one alone.

use super::Config;
use cluster::{
    Millis, NodeId,
    appstore::AppStore,
    messages::{Inbox, Outbox},
    records::{Fork, Order, Replica},
    store::{RedbStore, StoreError},
};
use rand::RngExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
    time::Duration,
};

/// How long it is told that a member's card runs twice, after the last proof of it.
const COPIED_TOLD: Duration = Duration::from_secs(3600);

/// All of it. It stands for the records where nothing else is said.
pub struct Copy {
    /// The node's secret key.
    pub seed: [u8; 32],
    /// The records.
    pub replica: Replica<RedbStore>,
    /// What apps say over them.
    pub apps: AppStore,
    /// Messages of this node to others.
    pub outbox: Outbox,
    /// Those of others to this node.
    pub inbox: Inbox,
    alive: BTreeSet<NodeId>,
    /// The newest proof against each member whose card was copied, and when it came in this life.
    proofs: BTreeMap<NodeId, (Order, Option<Millis>)>,
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
    pub fn open(now: Millis, store: RedbStore, config: &Config) -> Result<Self, StoreError> {
        let Config { seed, community, ownership, random, .. } = *config;
        let mut replica = Replica::open(now, store, seed, community, ownership, random)?;
        let apps = AppStore::open(now, &mut replica, community)?;
        let outbox = Outbox::open(now, replica.store(), NodeId::of_seed(&seed), rand::rng().random())?;
        Ok(Self { seed, replica, apps, outbox, inbox: Inbox::default(), alive: BTreeSet::new(), proofs: BTreeMap::new() })
    }

    /// Who is admitted.
    pub fn set_members(&mut self, now: Millis, members: BTreeSet<NodeId>, context: [u8; 32]) {
        let changed = *self.replica.view().members() != members;
        let first = self.replica.view().members().is_empty();
        self.replica.set_members(now, members, context);
        if first {
            // What was known before this life is no news.
            self.proofs = self.replica.view().forks().map(|fork| (fork.node(), (fork.order(), None))).collect();
        }
        self.tell_outbox(now);
        if changed && let Err(error) = self.apps.refresh(&mut self.replica) {
            log::warn!(error:%; "what apps say could not be read anew");
        }
    }

    /// Who is there, and who is linked.
    pub fn set_peers(&mut self, now: Millis, alive: Vec<NodeId>, linked: Vec<NodeId>) {
        self.alive = alive.iter().copied().collect();
        self.tell_outbox(now);
        self.replica.set_peers(now, alive, linked);
    }

    fn tell_outbox(&mut self, now: Millis) {
        self.outbox.set_peers(now, self.replica.view().members().clone(), self.alive.clone());
    }

    /// Other members whose card runs twice: two heads of theirs are of one moment, and neither card has begun a later life, or that was found a short
    /// time ago: one of the two goes on in a later life, while the other is refused.
    pub fn copied(&mut self, now: Millis) -> Vec<NodeId> {
        let (view, me) = (self.replica.view(), self.replica.me());
        for fork in view.forks() {
            let (node, order) = (fork.node(), fork.order());
            if self.proofs.get(&node).is_none_or(|(known, _)| *known < order) {
                self.proofs.insert(node, (order, Some(now)));
            }
        }
        let came = |node: &NodeId| self.proofs.get(node).and_then(|(_, came)| *came);
        let is_told = |node: &NodeId| view.fork(node).is_some() || came(node).is_some_and(|came| now.since(came) < COPIED_TOLD);
        view.forks().map(Fork::node).filter(|node| *node != me && is_told(node)).collect()
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
