//! Reading: records by kind, node and key; how far the community agrees.

use super::{Phase, Refused, Replica, record_key};
use crate::{
    keys::{CommunityId, Key, NodeId},
    records::{
        head::{Order, Ownership},
        record::{Kind, Record, Slot},
        view::{Root, View},
    },
    store::{Store, StoreError, Table},
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// A record with whom it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The node that says it.
    pub node: NodeId,
    /// The node's owner.
    pub owner: Key,
    /// What it says.
    pub record: Record,
}

impl<S: Store> Replica<S> {
    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// How this node stands to its own records.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.own.phase
    }

    /// Whether what was here of the own records was an older copy than what neighbours had.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.own.restored
    }

    /// The view: heads, proofs, root.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The root of the view.
    #[must_use]
    pub fn root(&self) -> Root {
        self.view.root()
    }

    /// The members known to have held this view, this node included. For people: a member may lie.
    #[must_use]
    pub fn holders(&self) -> BTreeSet<NodeId> {
        self.holders.nodes(self.view.members())
    }

    /// What was refused so far.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// What is wrong with the store, while it is.
    #[must_use]
    pub fn problem(&self) -> Option<&StoreError> {
        self.problem.as_ref()
    }

    /// The store, to be read.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, for those who keep other tables in it.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Gives the store back.
    #[must_use]
    pub fn into_store(self) -> S {
        self.store
    }

    /// The community.
    #[must_use]
    pub fn community(&self) -> CommunityId {
        self.community
    }

    /// The owner that certified this node, if one did.
    #[must_use]
    pub fn ownership(&self) -> Option<Ownership> {
        self.ownership
    }

    /// The newest own head.
    #[must_use]
    pub fn own_order(&self) -> Order {
        self.own.order
    }

    /// One record of a member.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn get(&self, node: &NodeId, slot: &Slot) -> Result<Option<Record>, StoreError> {
        if !self.shows(node) {
            return Ok(None);
        }
        Ok(self.store.get(Table::Records, &record_key(node, slot))?.and_then(|value| Record::from_bytes(&value).ok()))
    }

    /// All records of a kind whose key starts with `prefix`, of all members, until `visit` breaks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn each(&self, kind: Kind, prefix: &str, visit: &mut dyn FnMut(Found) -> ControlFlow<()>) -> Result<(), StoreError> {
        for node in self.view.members() {
            if self.each_of(node, kind, prefix, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The same of one member, in the order of keys; tells whether `visit` broke.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn each_of(
        &self,
        node: &NodeId,
        kind: Kind,
        prefix: &str,
        visit: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        if !self.shows(node) {
            return Ok(ControlFlow::Continue(()));
        }
        let node = *node;
        let owner = self.view.head(&node).map_or(node, super::Head::owner);
        let start = record_key(&node, &Slot { kind, key: prefix.to_owned() });
        let mut flow = ControlFlow::Continue(());
        self.store.scan(Table::Records, &start, &mut |_, value| {
            if let Ok(record) = Record::from_bytes(value) {
                flow = visit(Found { node, owner, record });
            }
            flow
        })?;
        Ok(flow)
    }

    /// Own records are shown at once, those of others with the head that lists them.
    fn shows(&self, node: &NodeId) -> bool {
        *node == self.me || (self.view.members().contains(node) && self.view.head(node).is_some())
    }
}
