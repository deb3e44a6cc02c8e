//! Cloudy nodes on the networks that this node is on, found by mDNS. What they say of themselves there is a hint, never a proof.
//!
//! Each word that is heard is looked at, however often it was said: nothing that got lost stays lost.

use super::{
    LanNode,
    event::{Event, Says, Sighting},
    ids::{self, node_id},
};
use crate::links::leads_to_containers;
use anyhow::{Context, Result};
use cluster::NodeId;
use iroh::Endpoint;
use nix::{
    ifaddrs::getifaddrs,
    net::if_::{InterfaceFlags, if_nametoindex},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use swarm_discovery::{Discoverer, DropGuard, Peer};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::Instant,
};

/// The mDNS service: `NODE._cloudy._udp.local`.
const SERVICE: &str = "cloudy";
/// The attribute in which a node says what it is.
const SAYS: &str = "user-data";
/// How often a network is asked, once for all nodes on it.
const CADENCE: Duration = Duration::from_secs(3);
/// How many answers may come in a second.
const ANSWERS_PER_SECOND: f32 = 2.5;
/// Who hears nothing for so long, not even itself, is deaf: it joined the multicast group of an interface that is gone, say.
const DEAF: Duration = CADENCE.saturating_mul(6);
/// Most nodes remembered.
const MAX_SEEN: usize = 256;
/// Words waiting; more are lost, and said again.
const HEARD_QUEUE: usize = 64;

/// Starts looking and showing this node, and goes on doing so on whichever networks there are. What this node says of itself is
/// what was sent last to what this returns.
///
/// # Errors
/// The sockets can't be opened.
pub fn start(endpoint: &Endpoint, events: mpsc::Sender<Event>) -> Result<watch::Sender<Says>> {
    let (say, says) = watch::channel(Says::default());
    let ears = Ears::open(endpoint, says)?;
    tokio::spawn(listen(ears, events));
    Ok(say)
}

/// What was heard of a node: its id, where it is, what it says of itself.
type Word = (NodeId, Vec<SocketAddr>, Says);

/// A network that this node is on: the index of its interface, which no later one of the same name has, and this node's address.
type Network = (u32, Ipv4Addr);

/// Open sockets, and what is shown through them.
struct Ears {
    endpoint: Endpoint,
    says: watch::Receiver<Says>,
    guard: DropGuard,
    heard: mpsc::Receiver<Word>,
    /// The networks that they are on.
    networks: BTreeSet<Network>,
    /// Where this node is said to be.
    shown: BTreeSet<SocketAddr>,
    /// When something came last, or when they were opened.
    last: Instant,
}

impl Ears {
    fn open(endpoint: &Endpoint, says: watch::Receiver<Says>) -> Result<Self> {
        let networks = networks();
        let (guard, heard) = spawn(endpoint, &networks)?;
        let mut ears = Self { endpoint: endpoint.clone(), says, guard, heard, networks, shown: BTreeSet::new(), last: Instant::now() };
        ears.show();
        Ok(ears)
    }

    /// Opens them again, for these networks.
    fn reopen(&mut self, networks: BTreeSet<Network>) -> Result<()> {
        (self.guard, self.heard) = spawn(&self.endpoint, &networks)?;
        self.networks = networks;
        self.last = Instant::now();
        self.show();
        Ok(())
    }

    /// Says where this node is and what it is.
    fn show(&mut self) {
        self.shown = self.endpoint.addr().ip_addrs().copied().collect();
        let says = self.says.borrow_and_update().to_text();
        self.guard.remove_all();
        for address in &self.shown {
            self.guard.add(address.port(), vec![address.ip()]);
        }
        if let Err(error) = self.guard.set_txt_attribute(SAYS.to_owned(), Some(says)) {
            log::warn!("what this node is can't be said on the local network: {error}");
        }
    }

    /// Whether this node is said to be elsewhere than it is.
    fn is_elsewhere(&self) -> bool {
        !self.endpoint.addr().ip_addrs().eq(self.shown.iter())
    }
}

fn spawn(endpoint: &Endpoint, networks: &BTreeSet<Network>) -> Result<(DropGuard, mpsc::Receiver<Word>)> {
    let (sender, heard) = mpsc::channel(HEARD_QUEUE);
    let hear = move |name: &str, peer: &Peer| {
        let addresses = peer.addrs().iter().map(|(ip, port)| SocketAddr::new(*ip, *port)).collect();
        let says = peer.txt_attribute(SAYS).flatten().map(Says::parse).unwrap_or_default();
        if let Some(node) = ids::of_label(name) {
            let _full = sender.try_send((node, addresses, says));
        }
    };
    let guard = Discoverer::new(SERVICE.to_owned(), ids::label(&node_id(&endpoint.id())))
        .with_cadence(CADENCE)
        .with_response_rate(ANSWERS_PER_SECOND)
        .with_multicast_interfaces_v4(networks.iter().map(|(_, address)| *address).collect())
        .with_callback(hear)
        .spawn(&Handle::current())
        .context("failed to open the mDNS sockets (UDP port 5353): does another program hold the port for itself?")?;
    Ok((guard, heard))
}

/// Passes on what is seen, and opens the sockets again where the networks have changed: an agent starts before a cable is plugged
/// in, or before the router has given an address.
async fn listen(mut ears: Ears, events: mpsc::Sender<Event>) {
    let me = node_id(&ears.endpoint.id());
    let mut look = tokio::time::interval(CADENCE);
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            // Where what listens has ended, nothing is heard, and a look finds it deaf.
            Some((node, addresses, says)) = ears.heard.recv() => {
                ears.last = Instant::now();
                if node == me {
                    continue;
                }
                if let Some(sighting) = seen.hear(node, addresses, says)
                    && events.send(Event::Lan(sighting)).await.is_err()
                {
                    return;
                }
            }
            changed = ears.says.changed() => match changed {
                Ok(()) => ears.show(),
                // The network part has ended.
                Err(_) => return,
            },
            _ = look.tick() => {
                let now = networks();
                if must_reopen(&ears.networks, &now, ears.last.elapsed()) {
                    if let Err(error) = ears.reopen(now) {
                        log::warn!("the local network can't be asked: {error:#}");
                    }
                    // Others never say that these are gone.
                    for node in seen.forget() {
                        if events.send(Event::Lan(Sighting::Gone(node))).await.is_err() {
                            return;
                        }
                    }
                } else if ears.is_elsewhere() {
                    ears.show();
                }
            }
        }
    }
}

/// Whether sockets that were opened for the networks `before` must be opened for those that there are `now`. Without any network
/// they may stay.
fn must_reopen(before: &BTreeSet<Network>, now: &BTreeSet<Network>, silent: Duration) -> bool {
    !now.is_empty() && (now != before || silent >= DEAF)
}

/// The nodes that are seen.
#[derive(Debug, Default)]
struct Seen(BTreeMap<NodeId, (Vec<SocketAddr>, Says)>);

impl Seen {
    /// Takes what was heard; returns what is new in it.
    fn hear(&mut self, node: NodeId, addresses: Vec<SocketAddr>, says: Says) -> Option<Sighting> {
        if addresses.is_empty() {
            return self.0.remove(&node).map(|_| Sighting::Gone(node));
        }
        if self.0.len() >= MAX_SEEN && !self.0.contains_key(&node) {
            return None;
        }
        let now = (addresses, says);
        if self.0.get(&node) == Some(&now) {
            return None;
        }
        self.0.insert(node, now.clone());
        Some(Sighting::Seen { node, addresses: now.0, says: now.1 })
    }

    fn forget(&mut self) -> impl Iterator<Item = NodeId> + use<> {
        std::mem::take(&mut self.0).into_keys()
    }
}

/// The networks where neighbours may be.
fn networks() -> BTreeSet<Network> {
    // Where they can't be read, the sockets are on the network that multicast goes to anyway.
    let Ok(interfaces) = getifaddrs() else { return BTreeSet::new() };
    let fitting = interfaces.filter(|interface| may_have_neighbours(&interface.interface_name, interface.flags));
    fitting
        .filter_map(|interface| {
            let address = interface.address?.as_sockaddr_in()?.ip();
            Some((if_nametoindex(interface.interface_name.as_str()).ok()?, address))
        })
        .collect()
}

fn may_have_neighbours(name: &str, flags: InterfaceFlags) -> bool {
    flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST)
        && !flags.intersects(InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT)
        && !leads_to_containers(name)
}

/// Why the local network can't be asked; mDNS itself stays silent then.
pub fn problem() -> Option<String> {
    networks().is_empty().then(|| "this node is on no network: no interface has an IPv4 address; check cable, Wi-Fi and address".to_owned())
}

/// What is shown of a sighting.
pub fn view(node: &NodeId, addresses: &[SocketAddr], says: &Says) -> LanNode {
    LanNode {
        id: node.hex(),
        addresses: addresses.to_vec(),
        community: says.community.clone(),
        door_open: says.door_open,
        can_invite: says.can_invite,
        name: says.name.as_ref().map(ToString::to_string),
        community_name: says.community_name.as_ref().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_opened_again_where_networks_come_and_go_and_when_nothing_is_heard() {
        let (none, here, both) = (
            BTreeSet::new(),
            BTreeSet::from([(2, Ipv4Addr::new(10, 0, 0, 1))]),
            BTreeSet::from([(2, Ipv4Addr::new(10, 0, 0, 1)), (3, Ipv4Addr::new(192, 168, 1, 5))]),
        );
        let short = DEAF / 2;
        assert!(must_reopen(&none, &here, short), "an address came after the agent");
        assert!(must_reopen(&here, &both, short) && must_reopen(&both, &here, short), "a network came or went");
        assert!(!must_reopen(&here, &here, short) && !must_reopen(&here, &none, short) && !must_reopen(&none, &none, DEAF));
        assert!(must_reopen(&here, &here, DEAF), "deaf");
        let again = BTreeSet::from([(4, Ipv4Addr::new(10, 0, 0, 1))]);
        assert!(must_reopen(&here, &again, short), "another interface has the same address");
    }

    #[test]
    fn what_is_said_again_is_no_news_and_there_is_an_end() {
        let node = |number: u16| {
            let [high, low] = number.to_be_bytes();
            let mut id = [0; 32];
            (id[0], id[1]) = (high, low);
            cluster::keys::Key(id)
        };
        let at = |port| vec![SocketAddr::from(([10, 0, 0, 1], port))];
        let mut seen = Seen::default();
        assert!(matches!(seen.hear(node(1), at(1), Says::default()), Some(Sighting::Seen { .. })));
        assert!(seen.hear(node(1), at(1), Says::default()).is_none());
        assert!(matches!(seen.hear(node(1), at(2), Says::default()), Some(Sighting::Seen { .. })), "elsewhere");
        let open = Says { door_open: true, ..Says::default() };
        assert!(matches!(seen.hear(node(1), at(2), open), Some(Sighting::Seen { .. })), "another word");
        assert!(matches!(seen.hear(node(1), Vec::new(), Says::default()), Some(Sighting::Gone(_))));
        assert!(seen.hear(node(1), Vec::new(), Says::default()).is_none());
        let known = (0..1000).filter(|number| seen.hear(node(*number), at(1), Says::default()).is_some()).count();
        assert_eq!((known, seen.forget().count()), (MAX_SEEN, MAX_SEEN));
        assert!(seen.hear(node(1), at(1), Says::default()).is_some());
    }

    #[test]
    fn neighbours_are_not_looked_for_among_containers() {
        let ethernet = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST | InterfaceFlags::IFF_BROADCAST;
        assert!(may_have_neighbours("enp1s0", ethernet) && may_have_neighbours("wlan0", ethernet));
        assert!(["docker0", "br-0123456789ab", "veth1234"].iter().all(|name| !may_have_neighbours(name, ethernet)));
        assert!(!may_have_neighbours("lo", InterfaceFlags::IFF_UP | InterfaceFlags::IFF_LOOPBACK));
        assert!(!may_have_neighbours("wg0", ethernet | InterfaceFlags::IFF_POINTOPOINT));
        assert!(!may_have_neighbours("enp1s0", InterfaceFlags::IFF_MULTICAST), "it is down");
    }
}
