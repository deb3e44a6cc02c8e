//! Whom newcomers are told of: members that are reached from elsewhere too, since the one who invites may stand behind a router that lets nobody in.

use super::state::State;
use crate::links::near_ones;
use cluster::{NodeId, admission::MAX_SEEDS};
use rand::RngExt;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// How long a choice is good for strangers.
const CHOSEN_FOR: Duration = Duration::from_secs(5);

/// A member that is alive, as somebody whom a newcomer may ask.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Who.
    node: NodeId,
    /// This node has a direct connection to it.
    linked: bool,
    /// Where it was dialled, or else is connected.
    at: Option<Place>,
    /// It was not dialled: it came.
    came: bool,
    /// Anything: of those who are alike others are named each time, so that no member must let all in.
    chance: u64,
}

/// Where a member answered when it was dialled.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// It says itself that it is there: no router translates before it. Where one does, what leads through lasts as long as a connection.
    own: bool,
    /// On a network of this node.
    near: bool,
    /// An address of the public network.
    public: bool,
}

impl Candidate {
    /// The smaller, the likelier somebody elsewhere reaches it.
    fn rank(&self) -> u8 {
        match self.at {
            // It dialled this node: so may who lets nobody in.
            Some(Place { own: true, near: false, public: true }) if self.came => 2,
            Some(Place { own: true, near: false, public: true }) => 0,
            // As good as this node: where that has no public address, it has none either.
            Some(Place { own: true, near: true, public: true }) => 1,
            Some(Place { own: true, near: false, public: false }) if !self.came => 3,
            _ => 4,
        }
    }
}

/// Those to be told of, the best first.
fn best(mut candidates: Vec<Candidate>) -> Vec<NodeId> {
    candidates.sort_by_key(|candidate| (candidate.rank(), !candidate.linked, candidate.chance));
    candidates.into_iter().take(MAX_SEEDS).map(|candidate| candidate.node).collect()
}

/// Whether an address is none of a home, of a provider's own network, or of this machine.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => !(v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()),
    }
}

impl State {
    /// Chooses anew whom newcomers are told of.
    pub(super) fn choose_seeds(&mut self) {
        self.seeds_due = Instant::now() + CHOSEN_FOR;
        let linked: BTreeSet<NodeId> = self.links.direct_nodes().into_iter().collect();
        let Some(own) = &mut self.node else { return };
        let alive: Vec<NodeId> = own.alive().collect();
        let dialled_at = |node: &NodeId| self.links.dialled_at(node).or(self.reached.get(node).copied());
        // As cards have it.
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let at = |node: &NodeId| dialled_at(node).or_else(|| self.links.view(node)?.address).map(plain);
        let near = near_ones(alive.iter().filter_map(at).map(|address| address.ip()));
        let candidates = alive.into_iter().map(|node| {
            let says = own.roster().card(&node).map(|card| card.facts().addresses.as_slice()).unwrap_or_default();
            let place = |address: SocketAddr| Place {
                own: says.contains(&address),
                near: near.contains(&address.ip()),
                public: is_public(address.ip()),
            };
            let (place, came) = (at(&node).map(place), dialled_at(&node).is_none());
            Candidate { node, linked: linked.contains(&node), at: place, came, chance: self.rng.random() }
        });
        let leading = best(candidates.collect()).into_iter().map(|node| (node, at(&node))).collect();
        own.set_leading(leading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    fn node(number: u8) -> NodeId {
        Key([number; 32])
    }

    #[test]
    fn who_was_reached_where_it_says_it_is_and_elsewhere_leads_newcomers_in() {
        let of = |number, linked, dialled| Candidate { node: node(number), linked, at: dialled, came: false, chance: u64::from(number) };
        let at = |own, near, public| Some(Place { own, near, public });
        let far = of(9, false, at(true, false, true));
        // Behind the same router, behind another, known by what others say alone, and reached while its router remembered it.
        let home = [of(1, true, at(true, true, false)), of(2, true, None), of(3, false, None), of(4, true, at(false, false, true))];
        let chosen = best([home.as_slice(), &[far, of(8, true, at(true, false, true))]].concat());
        assert_eq!(chosen[..2], [node(8), node(9)], "who is connected now goes first");
        assert_eq!(chosen.len(), MAX_SEEDS);
        // In a public network its neighbours are as good as this node.
        let chosen = best([home.as_slice(), &[of(7, false, at(true, true, true)), of(6, true, at(true, false, false))]].concat());
        assert_eq!(chosen[..2], [node(7), node(6)]);
        let came = Candidate { came: true, ..of(5, true, at(true, false, true)) };
        let chosen = best([home.as_slice(), &[came, far]].concat());
        assert_eq!(chosen[..2], [node(9), node(5)], "who came may let nobody in, and is better than one at home");
        assert_eq!(best(home[2..3].to_vec()), [node(3)], "better than nobody");
    }

    #[test]
    fn addresses_of_homes_and_providers_are_not_public() {
        let is = |ip: &str| is_public(ip.parse().unwrap());
        for ip in ["10.0.0.2", "192.168.1.7", "172.16.3.4", "100.64.0.1", "100.127.0.1", "169.254.1.1", "127.0.0.1", "::ffff:10.0.0.2"] {
            assert!(!is(ip), "{ip}");
        }
        for ip in ["::1", "fe80::1", "fd00::1", "::"] {
            assert!(!is(ip), "{ip}");
        }
        for ip in ["203.0.113.7", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:203.0.113.7"] {
            assert!(is(ip), "{ip}");
        }
    }
}
