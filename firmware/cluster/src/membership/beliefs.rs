//! What is believed of members.

use super::Membership;
use crate::{clock::Millis, keys::NodeId};
use foca::State;
use std::collections::BTreeMap;

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Alive.
    Alive,
    /// Not sure.
    Suspect,
    /// Down: others say so, and it was not reached from here.
    Down,
}

/// What is believed of one admitted member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// How it is.
    pub state: Liveness,
    /// Its epoch; 0 while it was never heard of.
    pub epoch: u32,
    /// How often it answered a suspicion in this epoch, or came back.
    pub incarnation: u32,
    /// When a datagram of its own came last.
    pub heard: Option<Millis>,
}

impl Membership {
    /// What is believed of each admitted member but this node.
    #[must_use]
    pub fn states(&self) -> BTreeMap<NodeId, Belief> {
        let me = self.me().node;
        let unknown = |node: &NodeId| Belief { state: Liveness::Down, epoch: 0, incarnation: 0, heard: self.heard.get(node).copied() };
        let mut states: BTreeMap<NodeId, Belief> =
            self.admitted.iter().filter(|node| **node != me).map(|node| (*node, unknown(node))).collect();
        for member in self.foca.iter_membership_state() {
            let life = member.id();
            let Some(belief) = states.get_mut(&life.node) else {
                continue;
            };
            belief.epoch = life.epoch;
            belief.incarnation = life.renewal.saturating_add(u32::from(member.incarnation()));
            let doubted = self.confirming.contains_key(&life.node) || self.reached.contains_key(&life.node);
            belief.state = match member.state() {
                State::Alive => Liveness::Alive,
                State::Suspect => Liveness::Suspect,
                State::Down if doubted => Liveness::Suspect,
                State::Down => Liveness::Down,
            };
        }
        states
    }

    /// Admitted members but this node that are believed alive, as [`Membership::states`] says of each, in no order.
    pub fn alive(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.with_state(|state| state == State::Alive)
    }

    /// The same with those that are suspected: most are there, and what they are not told now nobody tells them later.
    pub fn present(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.with_state(|state| state != State::Down)
    }

    fn with_state(&self, wanted: fn(State) -> bool) -> impl Iterator<Item = NodeId> + '_ {
        let me = self.me().node;
        let some = self.foca.iter_membership_state().filter(move |member| wanted(member.state())).map(|member| member.id().node);
        some.filter(move |node| *node != me && self.admitted.contains(node))
    }
}
