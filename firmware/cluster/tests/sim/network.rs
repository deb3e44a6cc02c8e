//! The network between simulated nodes: loss, delay, reordering, duplication, partitions in one or both directions,
//! at most a dozen connections a node, and what all that costs in bytes.

use cluster::Millis;
use rand::{RngExt, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Connections that a node keeps, as the agent's driver.
const MAX_LINKS: usize = 12;
/// IPv4 and UDP headers (28), QUIC's short header with an 8-byte id, packet number, tag and frame header (30).
const PACKET_OVERHEAD: u64 = 58;
/// The acknowledgement of a packet that asks for one.
const ACK: u64 = 65;
/// Both directions of one QUIC handshake: padded Initials each way (2 × 1,228), certificates and their
/// verification, finished, tickets, acknowledgements.
pub const HANDSHAKE: u64 = 6000;
/// A keep-alive and its acknowledgement, every [`KEEP_ALIVE_EVERY`] on each connection: of whoever dialled, so that the other side's never comes due.
const KEEP_ALIVE: u64 = 2 * ACK;
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_millis(4500);
/// Bytes of a stream in one packet.
const SEGMENT: u64 = 1150;
/// A lost flight is sent again after this, then twice that, and so on; each time as two packets (RFC 9002, 6.2.4).
const RETRANSMIT: Duration = Duration::from_millis(300);

/// How often each kind of fault struck.
#[derive(Debug, Clone, Default)]
pub struct Faults(pub BTreeMap<&'static str, u64>);

impl Faults {
    pub fn count(&mut self, fault: &'static str) {
        *self.0.entry(fault).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.0 {
            *self.0.entry(fault).or_default() += count;
        }
    }
}

pub struct Network {
    /// Share of packets that are lost.
    pub loss: f64,
    /// Share of datagrams that come twice.
    pub duplicates: f64,
    /// A packet takes 2 ms and up to this much.
    pub delay: Duration,
    /// Which side of a partition a node is on.
    pub side: Vec<u32>,
    /// Pairs (from, to) between which nothing goes, in this direction only.
    pub blocked: BTreeSet<(usize, usize)>,
    pub faults: Faults,
    pub datagrams: u64,
    /// All bytes on the wire.
    pub bytes: u64,
    pub handshakes: u64,
    links: Vec<BTreeMap<usize, Millis>>,
    link_count: u64,
    kept_alive: Millis,
    last_arrival: BTreeMap<(usize, usize), Millis>,
    /// Nodes whose set of links has changed.
    pub relinked: BTreeSet<usize>,
}

impl Network {
    pub fn new(loss: f64) -> Self {
        Self {
            loss,
            duplicates: 0.0,
            delay: Duration::from_millis(60),
            side: Vec::new(),
            blocked: BTreeSet::new(),
            faults: Faults::default(),
            datagrams: 0,
            bytes: 0,
            handshakes: 0,
            links: Vec::new(),
            link_count: 0,
            kept_alive: Millis(0),
            last_arrival: BTreeMap::new(),
            relinked: BTreeSet::new(),
        }
    }

    pub fn add_node(&mut self) {
        self.side.push(0);
        self.links.push(BTreeMap::new());
    }

    /// Whether packets of `from` come to `to`.
    pub fn passes(&self, from: usize, to: usize) -> bool {
        self.side[from] == self.side[to] && !self.blocked.contains(&(from, to))
    }

    pub fn linked(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.links[node].keys().copied()
    }

    /// Uses the connection between two nodes, or makes one: true if it was there.
    pub fn link(&mut self, now: Millis, from: usize, to: usize) -> bool {
        let known = self.links[from].insert(to, now).is_some();
        self.links[to].insert(from, now);
        if !known {
            self.link_count += 1;
            self.handshakes += 1;
            self.bytes += HANDSHAKE;
            self.relinked.extend([from, to]);
            for node in [from, to] {
                while self.links[node].len() > MAX_LINKS {
                    let other = if node == from { to } else { from };
                    let oldest =
                        self.links[node].iter().filter(|(peer, _)| **peer != other).min_by_key(|(_, used)| **used).map(|(peer, _)| *peer);
                    let Some(oldest) = oldest else { break };
                    self.unlink(node, oldest);
                }
            }
        }
        known
    }

    fn unlink(&mut self, one: usize, other: usize) {
        if self.links[one].remove(&other).is_some() {
            self.links[other].remove(&one);
            self.link_count -= 1;
            self.bytes += 2 * ACK;
            self.relinked.extend([one, other]);
        }
    }

    /// A node's connections are gone.
    pub fn unlink_all(&mut self, node: usize) {
        for peer in self.links[node].keys().copied().collect::<Vec<_>>() {
            self.unlink(node, peer);
        }
    }

    /// Connections across a partition end; each with both its ends.
    pub fn drop_cut_links(&mut self) -> Vec<(usize, usize)> {
        let mut cut = Vec::new();
        for node in 0..self.links.len() {
            for peer in self.links[node].keys().copied().collect::<Vec<_>>() {
                if !self.passes(node, peer) || !self.passes(peer, node) {
                    self.unlink(node, peer);
                    cut.extend([(node, peer), (peer, node)]);
                }
            }
        }
        cut
    }

    /// Counts the keep-alives up to now.
    pub fn keep_alive(&mut self, now: Millis) {
        while self.kept_alive.plus(KEEP_ALIVE_EVERY) <= now {
            self.kept_alive = self.kept_alive.plus(KEEP_ALIVE_EVERY);
            self.bytes += self.link_count * KEEP_ALIVE;
        }
    }

    /// When copies of a datagram arrive; none if it is lost.
    pub fn datagram(&mut self, now: Millis, rng: &mut StdRng, from: usize, to: usize, bytes: usize) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        let both_ways = self.passes(from, to) && self.passes(to, from);
        if !both_ways && !self.links[from].contains_key(&to) {
            // The dial comes to nothing.
            self.bytes += HANDSHAKE / 2;
            self.faults.count("cut by a partition");
            return arrivals;
        }
        let known = self.link(now, from, to);
        self.datagrams += 1;
        self.bytes += bytes as u64 + PACKET_OVERHEAD + ACK / 2;
        if !self.passes(from, to) {
            self.faults.count("cut by a partition");
            return arrivals;
        }
        let copies = if rng.random_bool(self.duplicates) { 2 } else { 1 };
        if copies == 2 {
            self.faults.count("duplicated");
        }
        for _ in 0..copies {
            if rng.random_bool(self.loss) {
                self.faults.count("lost");
                continue;
            }
            let mut after = self.flight(rng);
            if !known {
                after += self.round_trip(rng);
            }
            let at = now.plus(after);
            let last = self.last_arrival.entry((from, to)).or_default();
            if at < *last {
                self.faults.count("reordered");
            }
            *last = at.max(*last);
            if after > Duration::from_millis(500) {
                self.faults.count("delayed by more than 0.5 s");
            }
            arrivals.push(after);
        }
        arrivals
    }

    fn flight(&self, rng: &mut StdRng) -> Duration {
        let most = self.delay.as_millis() as u64;
        // A few packets take much longer.
        let stretch = if rng.random_bool(0.02) { 10 } else { 1 };
        Duration::from_millis(rng.random_range(2..most.max(3)) * stretch)
    }

    fn round_trip(&self, rng: &mut StdRng) -> Duration {
        self.reliable(rng) + self.reliable(rng)
    }

    /// One direction, sent again until it arrives.
    fn reliable(&self, rng: &mut StdRng) -> Duration {
        let mut after = self.flight(rng);
        let mut pause = RETRANSMIT;
        let mut lost = rng.random_bool(self.loss);
        while lost {
            after += pause;
            lost = rng.random_bool(self.loss * self.loss);
            pause = (pause * 2).min(Duration::from_secs(4));
        }
        after
    }

    /// How long a frame on a stream takes; none if there is no way.
    pub fn stream(&mut self, now: Millis, rng: &mut StdRng, from: usize, to: usize, bytes: usize) -> Option<Duration> {
        if !self.passes(from, to) || !self.passes(to, from) {
            self.faults.count("cut by a partition");
            return None;
        }
        let known = self.link(now, from, to);
        let segments = (bytes as u64).div_ceil(SEGMENT).max(1);
        self.bytes += bytes as u64 + segments * (PACKET_OVERHEAD + ACK / 2);
        let mut after = self.reliable(rng);
        if !known {
            after += self.round_trip(rng);
        }
        // Flights of ten packets, doubled each time; with loss, some of each is sent again.
        let mut sent = 10;
        while sent < segments {
            after += self.round_trip(rng);
            sent *= 2;
        }
        Some(after)
    }
}
