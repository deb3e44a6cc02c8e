//! The driver's side of ways: who could carry, what is carried, whom to hold on to.

use super::{
    state::State,
    ways::{self, Anchor, Neighbour, Packets, Refusal, Slot, Way},
};
use crate::links::Networks;
use cluster::NodeId;
use iroh::{TransportAddr, endpoint::Connection};
use rand::RngExt;
use std::{collections::BTreeSet, net::SocketAddr};

impl State {
    /// Whether a member says that it is connected to another. It names it by the first digits of its id; who shares these is asked in vain.
    fn says_linked(&self, node: &NodeId, other: &NodeId) -> bool {
        let known = self.health.as_ref().and_then(|health| health.of(node));
        known.is_some_and(|known| known.figures.links.iter().any(|link| other.0.starts_with(&link.node)))
    }

    /// A member was not reached: notes through whom it may be. The next dial tries that too.
    pub(super) fn look_for_ways(&mut self, to: NodeId) {
        let Some(own) = self.node.as_ref().filter(|_| self.gate.admits(&to)) else { return };
        let linked: BTreeSet<NodeId> = self.links.direct_nodes().into_iter().collect();
        let others = own.admitted().into_iter().filter(|node| *node != self.me && *node != to);
        let neighbours = others.map(|node| Neighbour {
            node,
            linked: linked.contains(&node),
            knows: self.says_linked(&to, &node) || self.says_linked(&node, &to),
        });
        let through = ways::through(neighbours.collect());
        self.ways.know(to, through);
    }

    /// Forgets ways to those that are reached directly, and to those that are no members.
    pub(super) fn note_direct(&self) {
        let direct: BTreeSet<NodeId> = self.links.direct_nodes().into_iter().collect();
        self.ways.keep(|node| self.gate.admits(node) && !direct.contains(node));
    }

    /// Opens a way over a direct connection to the member between.
    pub(super) fn open_way(&mut self, way: Way, packets: Packets) {
        if !self.gate.admits(&way.through) || !self.gate.admits(&way.to) {
            return;
        }
        let addresses = self.addresses(&way.through).into_iter().map(TransportAddr::Ip).collect();
        let conn = self.links.connection(way.through, || addresses);
        let ways = self.ways.clone();
        tokio::spawn(async move {
            let Ok(conn) = conn.await else { return };
            let (through, to) = (way.through.short(), way.to.short());
            match ways::begin(&conn, way, packets, &ways).await {
                Ok(()) => log::debug!(through, to; "a way ended"),
                Err(error) => log::debug!(through, to, error:% = format!("{error:#}"); "a way ended"),
            }
        });
    }

    /// Where a member's packets to another go on.
    pub(super) fn carry(&mut self, from: NodeId, to: NodeId) -> Result<(Connection, Slot), Refusal> {
        if let Some(refusal) = ways::refusal(&self.me, &from, &to, |node| self.gate.admits(node)) {
            return Err(refusal);
        }
        let onward = self.links.get(&to).ok_or(Refusal::NotLinked)?;
        let slot = self.carried.slot(from).ok_or(Refusal::Busy)?;
        self.links.used(&from);
        self.links.used(&to);
        Ok((onward, slot))
    }

    /// Sees to it that a member or two keep their connection to this node, where others may not reach it directly.
    pub(super) fn hold_anchors(&mut self) {
        let Some(own) = &self.node else { return };
        let networks = Networks::own();
        let elsewhere = |addresses: &[SocketAddr]| !addresses.is_empty() && !addresses.iter().any(|address| networks.have(address.ip()));
        let cards = own.admitted().into_iter().filter(|node| *node != self.me);
        let away: Vec<NodeId> =
            cards.filter(|node| own.roster().card(node).is_some_and(|card| elsewhere(&card.facts().addresses))).collect();
        let linked = self.links.direct_nodes().into_iter().map(|node| {
            let there = self.links.view(&node).and_then(|link| link.address).is_some_and(|address| elsewhere(&[address]));
            let bridges = there || away.iter().any(|other| self.says_linked(&node, other));
            (node, bridges, self.links.is_anchored(&node))
        });
        let linked: Vec<_> = linked.collect();
        let linked = linked.into_iter().map(|(node, bridges, held)| Anchor { node, bridges, held, chance: self.rng.random() }).collect();
        for node in ways::anchors(!away.is_empty(), linked) {
            if self.links.is_anchored(&node) {
                continue;
            }
            if let Some((conn, held)) = self.links.get(&node).zip(self.links.anchor(node)) {
                tokio::spawn(async move {
                    if let Err(error) = ways::hold_anchor(&conn, held).await {
                        log::debug!(node = node.short(), error:% = format!("{error:#}"); "a member does not keep its connection");
                    }
                });
            }
        }
    }
}
