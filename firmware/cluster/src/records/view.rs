//! The view: the newest complete head of each member, the proofs of copied cards, and one hash over all of it.

use super::head::{Fork, Head};
use crate::keys::NodeId;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A hash over the whole view.
pub type Root = [u8; 32];
/// The hash that stands for a head or a proof when views are compared.
pub type Mark = [u8; 16];

/// The heads and proofs that this node holds.
#[derive(Debug, Clone, Default)]
pub struct View {
    heads: BTreeMap<NodeId, Head>,
    forks: BTreeMap<NodeId, Fork>,
    /// What is held of members, by mark.
    marks: BTreeSet<Mark>,
    members: BTreeSet<NodeId>,
    context: [u8; 32],
    root: Root,
}

impl View {
    /// Sets who is admitted; heads of others are kept and do not count. `context` is a hash of what else all
    /// should hold alike: the roster.
    pub fn set_members(&mut self, members: BTreeSet<NodeId>, context: [u8; 32]) {
        self.members = members;
        self.context = context;
        let heads = self.heads.values().filter(|head| self.members.contains(&head.node())).map(Head::mark);
        let forks = self.forks.values().filter(|fork| self.members.contains(&fork.node())).map(Fork::mark);
        self.marks = heads.chain(forks).collect();
        self.hash();
    }

    fn hash(&mut self) {
        let mut hash = Sha256::new().chain_update(b"cloudy view v1\0").chain_update(self.context);
        for mark in &self.marks {
            hash.update(mark);
        }
        self.root = hash.finalize().into();
    }

    /// Who is admitted.
    #[must_use]
    pub fn members(&self) -> &BTreeSet<NodeId> {
        &self.members
    }

    /// The hash of what else all should hold alike.
    #[must_use]
    pub fn context(&self) -> [u8; 32] {
        self.context
    }

    /// The hash over the whole view: equal roots mean equal views.
    #[must_use]
    pub fn root(&self) -> Root {
        self.root
    }

    /// The marks of all heads and proofs of members.
    #[must_use]
    pub fn marks(&self) -> &BTreeSet<Mark> {
        &self.marks
    }

    /// A node's head.
    #[must_use]
    pub fn head(&self, node: &NodeId) -> Option<&Head> {
        self.heads.get(node)
    }

    /// The proof that a node's card was copied, while the node has not opened a later epoch.
    #[must_use]
    pub fn fork(&self, node: &NodeId) -> Option<&Fork> {
        self.forks.get(node).filter(|fork| self.heads.get(node).is_none_or(|head| head.order().epoch <= fork.order().epoch))
    }

    /// The newest proof against a node, whatever came after it.
    #[must_use]
    pub fn fork_at(&self, node: &NodeId) -> Option<&Fork> {
        self.forks.get(node)
    }

    /// All heads of members.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.heads.values().filter(|head| self.members.contains(&head.node()))
    }

    /// All proofs of members.
    pub fn forks(&self) -> impl Iterator<Item = &Fork> {
        self.forks.values().filter(|fork| self.members.contains(&fork.node()))
    }

    /// Takes a head whose records are all here. The caller has compared ranks.
    pub fn put_head(&mut self, head: Head) {
        let node = head.node();
        let new = head.mark();
        if let Some(old) = self.heads.insert(node, head) {
            self.marks.remove(&old.mark());
        }
        if self.members.contains(&node) {
            self.marks.insert(new);
        }
        self.hash();
    }

    /// Forgets a head: its records are not all here any more.
    pub fn drop_head(&mut self, node: &NodeId) {
        if let Some(old) = self.heads.remove(node) {
            self.marks.remove(&old.mark());
            self.hash();
        }
    }

    /// Takes a verified proof; true if it is kept.
    pub fn put_fork(&mut self, fork: Fork) -> bool {
        let node = fork.node();
        let old = self.forks.get(&node);
        if old.is_some_and(|old| old.rank() >= fork.rank()) {
            return false;
        }
        let new = fork.mark();
        if let Some(old) = self.forks.insert(node, fork) {
            self.marks.remove(&old.mark());
        }
        if self.members.contains(&node) {
            self.marks.insert(new);
        }
        self.hash();
        true
    }
}
