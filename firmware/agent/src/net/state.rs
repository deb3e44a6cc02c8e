//! The state of the network part, owned by the driver's one task; everything else is a function of it.

use super::{
    NetConfig,
    asking::Question,
    event::{Event, Says},
    files,
    gate::Gate,
    identity::Identity,
    join::Joining,
    links::Links,
    records::SaidFacts,
    registry::{self, Registry},
    store::Store,
    way::Asked,
    ways::{Carried, Ways},
};
use anyhow::Result;
use cluster::{Millis, NodeId, card::Facts, clocks::Said, health::Health, node::Node, records::Ownership, wire::Name};
use iroh::{Endpoint, TransportAddr};
use rand::rngs::StdRng;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Instant,
};
use tokio::sync::{mpsc, watch};

/// The state of the network part.
pub(super) struct State {
    pub(super) me: NodeId,
    pub(super) config: NetConfig,
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) endpoint: Endpoint,
    pub(super) gate: Gate,
    /// To members that are not reached directly.
    pub(super) ways: Ways,
    /// What this node carries for others.
    pub(super) carried: Carried,
    /// Whom this node asked to keep their connection, and when.
    pub(super) anchors: BTreeMap<NodeId, Asked>,
    /// When it is next looked whom to ask.
    pub(super) anchors_due: Instant,
    pub(super) links: Links,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) started: Instant,
    pub(super) rng: StdRng,
    /// The member, once this node is one.
    pub(super) node: Option<Node>,
    pub(super) joining: Option<Joining>,
    /// Asking to be let in by four words.
    pub(super) asking: Option<Question>,
    /// How often this node has asked since it started.
    pub(super) questions: u64,
    /// The records of all, while this node is a member; shared with those who read and publish.
    pub(super) registry: watch::Sender<Option<Registry>>,
    pub(super) registry_outputs: registry::Outputs,
    /// Who is there has changed since the registry was told.
    pub(super) peers_stale: bool,
    /// When the registry may be told next.
    pub(super) peers_due: Instant,
    /// Who is a member has changed since the registry was told.
    pub(super) members_stale: bool,
    /// More has happened since the view was made than that members said how they are.
    pub(super) news: bool,
    /// When it may be chosen anew for strangers whom they are told of.
    pub(super) seeds_due: Instant,
    pub(super) said_facts: SaidFacts,
    /// The owner that certified this node, if one did.
    pub(super) ownership: watch::Sender<Option<Ownership>>,
    /// How the members are, while this node is one.
    pub(super) health: Option<Health>,
    /// Counts samples that are wanted of this machine.
    pub(super) samples: watch::Sender<u64>,
    /// What the clocks of linked members say.
    pub(super) clocks: BTreeMap<NodeId, Said>,
    /// When this node's is told again.
    pub(super) clocks_due: Instant,
    /// What the clock said when this agent began, as it goes now.
    pub(super) clock_began: u64,
    pub(super) seen: BTreeMap<NodeId, (Vec<SocketAddr>, Says)>,
    pub(super) reached: BTreeMap<NodeId, SocketAddr>,
    /// Addresses that came with joining, until cards are known.
    pub(super) hints: BTreeMap<NodeId, Vec<SocketAddr>>,
    pub(super) compare_when_linked: BTreeSet<NodeId>,
    pub(super) introduced: BTreeMap<NodeId, Instant>,
    pub(super) refusals: BTreeMap<NodeId, String>,
    /// Where this node looks for others on the local network: what it says of itself there.
    pub(super) lan: Option<watch::Sender<Says>>,
    pub(super) lan_problem: Option<String>,
    /// Why the member does not answer that is to bring this node back to the others.
    pub(super) not_back: Option<String>,
    /// A member said that an admin took this node out.
    pub(super) removed: bool,
    pub(super) roster_unsaved: Option<Instant>,
    pub(super) storage_problem: Option<String>,
    pub(super) problems: Vec<String>,
}

impl State {
    pub(super) fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn facts(&self) -> Facts {
        let name = Name::lossy(&self.config.name, "unnamed");
        let version = Name::lossy(&self.config.version, "unknown");
        Facts { name, version, addresses: self.own_addresses() }
    }

    /// Where others can reach this node, at most what a card holds.
    pub(super) fn own_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.endpoint.addr().ip_addrs().copied().collect();
        if addresses.is_empty() {
            addresses = self.endpoint.bound_sockets().into_iter().filter(|address| !address.ip().is_unspecified()).collect();
        }
        addresses.sort_by_key(|address| (address.ip().is_loopback(), address.is_ipv6(), *address));
        addresses.truncate(cluster::card::MAX_CARD_ADDRESSES);
        addresses
    }

    /// Where a member may be reached: where it was, what it says, what was seen on the local network.
    pub(super) fn addresses(&self, node: &NodeId) -> Vec<SocketAddr> {
        let card =
            self.node.as_ref().and_then(|own| own.roster().card(node)).map(|card| card.facts().addresses.as_slice()).unwrap_or_default();
        let seen = self.seen.get(node).map(|(addresses, _)| addresses.as_slice()).unwrap_or_default();
        let hints = self.hints.get(node).map(Vec::as_slice).unwrap_or_default();
        let all: BTreeSet<SocketAddr> = self.reached.get(node).into_iter().chain(card).chain(seen).chain(hints).copied().collect();
        all.into_iter().collect()
    }

    /// The paths to dial a member: its addresses, and ways where it was not reached at these.
    pub(super) fn paths(&self, node: &NodeId) -> Vec<TransportAddr> {
        self.addresses(node).into_iter().map(TransportAddr::Ip).chain(self.ways.to(node)).collect()
    }

    /// The same for what uses an open connection: each datagram asks, and most need none.
    pub(super) fn paths_unless_linked(&self, node: &NodeId) -> Vec<TransportAddr> {
        if self.links.is_open(node) { Vec::new() } else { self.paths(node) }
    }

    /// Writes the roster. True if it is on disk.
    pub(super) fn save_roster(&mut self) -> bool {
        let Some(node) = &self.node else { return true };
        let saved = files::save_roster(&self.store, node.roster());
        let done = saved.is_ok();
        self.roster_unsaved = if done { None } else { Some(Instant::now()) };
        self.note_storage(saved);
        done
    }

    /// Notes what members say of whether an admin removed this node.
    pub(super) fn note_removed(&mut self, removed: bool) {
        if self.removed != removed {
            self.removed = removed;
            let noted = Identity::note_removed(&self.store, removed);
            self.note_storage(noted);
        }
    }

    pub(super) fn note_storage(&mut self, saved: Result<()>) {
        self.news = true;
        self.storage_problem = saved.err().map(|error| {
            log::error!(error:% = format!("{error:#}"); "the network part can't write its data");
            format!("{error:#}; make room on the data partition, or look whether it can be written (`cloudy doctor`, check `storage`)")
        });
    }
}
