//! The driver's side of ways: who could carry, what is carried, whom to hold on to.

use super::{
    exchange,
    seeds::is_public,
    state::State,
    ways::{self, Anchor, Neighbour, Packets, Refusal, Slot, Way},
};
use crate::links::near_ones;
use cluster::{NodeId, health::Link, membership::Liveness};
use iroh::{TransportAddr, endpoint::Connection};
use rand::RngExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How often it is looked whom to hold on to.
const ANCHORS_EVERY: Duration = Duration::from_secs(20);
/// Who keeps no more connections is not asked again so long.
const ASK_AGAIN: Duration = Duration::from_secs(180);
/// What a node said of its connections counts for so many periods in which it says it anew.
const SAID_PERIODS: u32 = 3;

/// A member that was asked to keep its connection.
pub(super) struct Asked {
    /// Runs as long as it does.
    keeps: JoinHandle<()>,
    since: Instant,
}

impl State {
    /// The members that this node holds alive, itself apart.
    fn alive(&self) -> BTreeSet<NodeId> {
        let beliefs = self.node.as_ref().map(|own| own.beliefs()).unwrap_or_default();
        beliefs.into_iter().filter(|(node, belief)| *node != self.me && belief.state == Liveness::Alive).map(|(node, _)| node).collect()
    }

    /// What a member says of its connections, where that is not old. It names others by the first digits of their ids; who shares these is
    /// asked in vain.
    fn said(&self, node: &NodeId, members: usize) -> &[Link] {
        let known = self.health.as_ref().and_then(|health| health.of(node));
        let fresh = known.filter(|known| self.now().since(known.heard) <= cluster::health::period(members) * SAID_PERIODS);
        fresh.map(|known| known.figures.links.as_slice()).unwrap_or_default()
    }

    /// The members with a direct connection, and where they are.
    fn linked_at(&self) -> BTreeMap<NodeId, Option<SocketAddr>> {
        self.links.direct_nodes().into_iter().map(|node| (node, self.links.view(&node).and_then(|link| link.address))).collect()
    }

    /// A member was not reached, or may not be: notes through whom it may. The next dial tries that too.
    pub(super) fn look_for_ways(&mut self, to: NodeId) {
        let linked = self.linked_at();
        if self.node.is_none() || !self.gate.admits(&to) || linked.contains_key(&to) {
            return;
        }
        let near = near_ones(linked.values().flatten().map(SocketAddr::ip));
        let is_open = |at: &SocketAddr| is_public(at.ip()) && !near.contains(&at.ip());
        let alive = self.alive();
        let says = |node: &NodeId, other: &NodeId| self.said(node, alive.len()).iter().any(|link| link.node == first(other));
        let neighbours: Vec<(NodeId, bool)> =
            alive.iter().filter(|node| **node != to).map(|node| (*node, says(&to, node) || says(node, &to))).collect();
        let neighbours = neighbours.into_iter().map(|(node, knows)| {
            let at = linked.get(&node);
            let open = at.copied().flatten().as_ref().is_some_and(is_open);
            Neighbour { node, linked: at.is_some(), knows, open, chance: self.rng.random() }
        });
        let through = ways::through(neighbours.collect());
        self.ways.know(to, through);
    }

    /// Forgets ways to those that are reached directly, and to those that are no members.
    pub(super) fn note_direct(&self) {
        if self.ways.know_none() {
            return;
        }
        let direct: BTreeSet<NodeId> = self.links.direct_nodes().into_iter().collect();
        self.ways.keep(|node| self.gate.admits(node) && !direct.contains(node));
    }

    /// Notes the way by which a member came.
    pub(super) fn note_way(&self, node: NodeId) {
        if let Some(through) = self.links.through(&node) {
            self.ways.know_too(node, through);
        }
    }

    /// Opens a way over a direct connection to the member between.
    pub(super) fn open_way(&mut self, way: Way, packets: Packets) {
        if !self.gate.admits(&way.through) || !self.gate.admits(&way.to) {
            return;
        }
        let addresses = self.addresses(&way.through).into_iter().map(TransportAddr::Ip).collect();
        let conn = self.links.connection(way.through, || addresses);
        let (ways, events) = (self.ways.clone(), self.events.clone());
        tokio::spawn(async move {
            let Ok(conn) = conn.await else { return ways.refused(way) };
            let (through, to) = (way.through.short(), way.to.short());
            let _kept = exchange::kept(way.through, &events).await;
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
        let links = &mut self.links;
        let slot = self.carried.slot([from, to], |node| links.anchor(node)).ok_or(Refusal::Busy)?;
        Ok((onward, slot))
    }

    /// Sees to it that a member or two keep their connection to this node, where others may not reach it directly.
    pub(super) fn hold_anchors(&mut self) {
        let Some(own) = self.node.as_ref().filter(|_| self.anchors_due <= Instant::now()) else { return };
        self.anchors_due = Instant::now() + ANCHORS_EVERY;
        let alive = self.alive();
        let card = |node: &NodeId| own.roster().card(node).map(|card| card.facts().addresses.as_slice()).unwrap_or_default();
        let linked_at = self.linked_at();
        let addresses = alive.iter().flat_map(card).chain(linked_at.values().flatten());
        let near = near_ones(addresses.map(SocketAddr::ip));
        let elsewhere = |addresses: &[SocketAddr]| !addresses.is_empty() && !addresses.iter().any(|address| near.contains(&address.ip()));
        // Two houses may have the same private addresses: who is alive and was not reached is elsewhere too.
        let is_away = |node: &&NodeId| self.ways.has(node) || elsewhere(card(node));
        let away: BTreeSet<[u8; 4]> = alive.iter().filter(is_away).map(first).collect();
        self.anchors.retain(|_, asked| !asked.keeps.is_finished() || asked.since.elapsed() < ASK_AGAIN);
        let refused = |node: &NodeId| self.anchors.get(node).is_some_and(|asked| asked.keeps.is_finished());
        let linked: Vec<(NodeId, bool, bool)> = linked_at
            .into_iter()
            .filter(|(node, _)| !refused(node))
            .map(|(node, at)| {
                let there = at.is_some_and(|address| elsewhere(&[address]));
                let bridges = there || self.said(&node, alive.len()).iter().any(|link| away.contains(&link.node));
                (node, bridges, self.anchors.contains_key(&node))
            })
            .collect();
        let linked = linked.into_iter().map(|(node, bridges, held)| Anchor { node, bridges, held, chance: self.rng.random() }).collect();
        let chosen = ways::anchors(!away.is_empty(), linked);
        release(&mut self.anchors, &chosen);
        for node in chosen {
            if self.anchors.contains_key(&node) {
                continue;
            }
            if let Some((conn, held)) = self.links.get(&node).zip(self.links.anchor(node)) {
                let keeps = tokio::spawn(async move {
                    if let Err(error) = ways::hold_anchor(&conn, held).await {
                        log::debug!(node = node.short(), error:% = format!("{error:#}"); "a member does not keep its connection");
                    }
                });
                self.anchors.insert(node, Asked { keeps, since: Instant::now() });
            }
        }
    }
}

/// Lets go of those that are not chosen any more. Who refused stays noted.
fn release(anchors: &mut BTreeMap<NodeId, Asked>, chosen: &[NodeId]) {
    anchors.retain(|node, asked| {
        let stays = chosen.contains(node) || asked.keeps.is_finished();
        if !stays {
            asked.keeps.abort();
        }
        stays
    });
}

fn first(node: &NodeId) -> [u8; 4] {
    let mut first = [0; 4];
    first.copy_from_slice(&node.0[..4]);
    first
}
