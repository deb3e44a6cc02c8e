//! How each node is: samples that their node signs, passed on in datagrams and kept in memory only.
//!
//! A sample goes to some linked members, which pass it on once it is new to them: an epidemic that reaches nearly
//! all. Whom it does not reach gets the next one. The period grows with the community, so that what a node sends and
//! receives stays the same.

use crate::{
    clock::Millis,
    keys::{self, CommunityId, NodeId, Purpose, Signature},
    membership::MAX_DATAGRAM_BYTES,
    wire::{self, WireError},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// First byte of a datagram with samples.
pub const DATAGRAM: u8 = 0x48;
/// Neighbours that a sample names.
pub const MAX_LINKS: usize = 12;
/// Longest text in a sample, in bytes.
pub const MAX_TEXT_BYTES: usize = 24;
/// Between two samples of a node in a small community.
const PERIOD: Duration = Duration::from_secs(60);
/// For each member in a larger one.
const PERIOD_FOR_EACH: Duration = Duration::from_secs(6);
/// After its first samples a node is known sooner.
const FIRST_PERIOD: Duration = Duration::from_secs(10);
/// How many samples are taken with that.
const FIRST_SAMPLES: u32 = 2;
/// How often a new sample is passed on, each time to another member.
const ROUNDS: u8 = 3;
/// Between two rounds, while there is something to pass on.
const ROUND_PAUSE: Duration = Duration::from_millis(1500);
/// Samples in a datagram.
const MAX_SAMPLES: usize = 8;

/// The connection to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The first bytes of the neighbour's id.
    pub node: [u8; 4],
    /// Round-trip time in milliseconds.
    pub rtt_ms: u16,
    /// Packets lost of a thousand sent.
    pub lost_permille: u16,
}

/// What Docker does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Docker {
    /// It can't be asked.
    Unknown,
    /// It does not run, or does not answer.
    Stopped,
    /// It runs.
    Running {
        /// Its version, at most [`MAX_TEXT_BYTES`].
        version: String,
        /// Containers that run.
        containers: u16,
    },
}

/// The figures of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Seconds since it was started.
    pub uptime_seconds: u32,
    /// Load average over a minute, in hundredths.
    pub load_hundredths: u16,
    /// Use of all processors in percent.
    pub cpu_percent: u8,
    /// Processors.
    pub cpus: u16,
    /// Memory in megabytes.
    pub memory_total_mb: u32,
    /// Memory that programs could still get.
    pub memory_available_mb: u32,
    /// Storage for data in megabytes.
    pub storage_total_mb: u32,
    /// Free of that.
    pub storage_available_mb: u32,
    /// The hottest sensor in degrees Celsius.
    pub temperature_celsius: Option<i16>,
    /// Docker.
    pub docker: Docker,
    /// The agent's version, at most [`MAX_TEXT_BYTES`].
    pub version: String,
    /// At most [`MAX_LINKS`].
    pub links: Vec<Link>,
}

/// A signed sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    node: NodeId,
    /// The node's life, and the how-manieth sample of it.
    order: (u32, u32),
    figures: Figures,
    signature: Signature,
}

impl Sample {
    fn signed(community: CommunityId, node: NodeId, order: (u32, u32), figures: &Figures) -> Vec<u8> {
        wire::encode(&(community, node, order, figures))
    }

    /// Signs a sample.
    #[must_use]
    pub fn sign(seed: &[u8; 32], community: CommunityId, order: (u32, u32), figures: Figures) -> Self {
        let node = NodeId::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Health, &Self::signed(community, node, order, &figures));
        Self { node, order, figures, signature }
    }

    /// Whether its node signed it for that community, and it keeps to the limits.
    #[must_use]
    pub fn verifies(&self, community: CommunityId) -> bool {
        // Such as no terminal, page or other reader takes for more than text.
        let text = |text: &str| text.len() <= MAX_TEXT_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        let docker = match &self.figures.docker {
            Docker::Running { version, .. } => text(version),
            Docker::Unknown | Docker::Stopped => true,
        };
        let links = &self.figures.links;
        let fits = docker
            && text(&self.figures.version)
            && self.figures.cpu_percent <= 100
            && links.len() <= MAX_LINKS
            && links.iter().all(|link| link.lost_permille <= 1000);
        fits && {
            let signed = Self::signed(community, self.node, self.order, &self.figures);
            self.node.verifies(Purpose::Health, &signed, &self.signature)
        }
    }
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram to a linked member.
    Send {
        /// To whom.
        to: NodeId,
        /// At most [`MAX_DATAGRAM_BYTES`].
        bytes: Vec<u8>,
    },
    /// Take a sample and give it to [`Health::say`].
    Sample,
}

/// How a node was.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The node.
    pub node: NodeId,
    /// What it said.
    pub figures: &'a Figures,
    /// When that came here.
    pub heard: Millis,
}

/// All that is known of how the members are.
pub struct Health {
    seed: [u8; 32],
    me: NodeId,
    community: CommunityId,
    epoch: u32,
    taken: u32,
    members: BTreeSet<NodeId>,
    linked: Vec<NodeId>,
    held: BTreeMap<NodeId, (Sample, Millis)>,
    /// What is to be passed on: how often still, and who had it already.
    hot: BTreeMap<NodeId, (u8, Vec<NodeId>)>,
    next_sample: Millis,
    next_round: Millis,
    outputs: VecDeque<Output>,
    refused: u64,
    rng: StdRng,
}

/// Between two samples of a node.
#[must_use]
pub fn period(members: usize) -> Duration {
    PERIOD.max(PERIOD_FOR_EACH * u32::try_from(members).unwrap_or(u32::MAX))
}

impl Health {
    /// Of a node in its `epoch` that knows nothing yet.
    #[must_use]
    pub fn new(now: Millis, seed: [u8; 32], community: CommunityId, epoch: u32, random: u64) -> Self {
        Self {
            seed,
            me: NodeId::of_seed(&seed),
            community,
            epoch,
            taken: 0,
            members: BTreeSet::new(),
            linked: Vec::new(),
            held: BTreeMap::new(),
            hot: BTreeMap::new(),
            next_sample: now,
            next_round: now,
            outputs: VecDeque::new(),
            refused: 0,
            rng: StdRng::seed_from_u64(random),
        }
    }

    /// Goes on in a later epoch of this node, so that what it says is newer than what others hold of it.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Who is admitted; what is known of anybody else is forgotten.
    pub fn set_members(&mut self, members: BTreeSet<NodeId>) {
        self.held.retain(|node, _| members.contains(node));
        self.hot.retain(|node, _| members.contains(node));
        self.members = members;
    }

    /// To whom a connection is open: samples make none.
    pub fn set_linked(&mut self, linked: Vec<NodeId>) {
        self.linked = linked;
    }

    /// When [`Health::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        if self.hot.is_empty() || self.linked.is_empty() { self.next_sample } else { self.next_sample.min(self.next_round) }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.next_sample <= now {
            let period = if self.taken < FIRST_SAMPLES { FIRST_PERIOD } else { period(self.members.len()) };
            self.next_sample = now.plus(period.mul_f64(self.rng.random_range(0.9..1.1)));
            self.outputs.push_back(Output::Sample);
        }
        if self.next_round <= now && !self.hot.is_empty() && !self.linked.is_empty() {
            self.next_round = now.plus(ROUND_PAUSE.mul_f64(self.rng.random_range(0.7..1.3)));
            self.pass_on();
        }
    }

    /// Says how this node is.
    pub fn say(&mut self, now: Millis, mut figures: Figures) {
        figures.links.truncate(MAX_LINKS);
        self.taken = self.taken.saturating_add(1);
        let sample = Sample::sign(&self.seed, self.community, (self.epoch, self.taken), figures);
        self.held.insert(self.me, (sample, now));
        self.hot.insert(self.me, (ROUNDS, Vec::new()));
    }

    /// Sends one member what it has not got from here yet.
    fn pass_on(&mut self) {
        let Some(to) = self.linked.iter().copied().choose(&mut self.rng) else { return };
        let (mut bytes, mut count) = (vec![DATAGRAM], 0);
        for (node, (left, had)) in &mut self.hot {
            let Some((sample, _)) = self.held.get(node) else {
                *left = 0;
                continue;
            };
            if *node == to || had.contains(&to) || count == MAX_SAMPLES {
                continue;
            }
            let encoded = wire::encode(sample);
            let Ok(length) = u16::try_from(encoded.len()) else { continue };
            if bytes.len() + 2 + encoded.len() > MAX_DATAGRAM_BYTES {
                continue;
            }
            bytes.extend(length.to_be_bytes());
            bytes.extend(encoded);
            had.push(to);
            *left -= 1;
            count += 1;
        }
        let linked = self.linked.len();
        // Who is linked to few has told all of them sooner.
        self.hot.retain(|_, (left, had)| *left > 0 && had.len() < linked);
        if bytes.len() > 1 {
            self.outputs.push_back(Output::Send { to, bytes });
        }
    }

    /// Takes a datagram of a member.
    pub fn datagram(&mut self, now: Millis, from: NodeId, bytes: &[u8]) {
        if !self.members.contains(&from) {
            return;
        }
        let Ok(samples) = read(bytes) else {
            self.refused += 1;
            return;
        };
        for sample in samples {
            let node = sample.node;
            let newer = self.held.get(&node).is_none_or(|(held, _)| held.order < sample.order);
            if node == self.me || !newer || !self.members.contains(&node) {
                continue;
            }
            if !sample.verifies(self.community) {
                // Nobody passes on what does not verify: the rest is not worth the work either.
                self.refused += 1;
                return;
            }
            self.held.insert(node, (sample, now));
            self.hot.insert(node, (ROUNDS, vec![from]));
        }
    }

    /// Datagrams and samples that can't be read or are not signed as they say.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What is known of one.
    #[must_use]
    pub fn of(&self, node: &NodeId) -> Option<Known<'_>> {
        let (sample, heard) = self.held.get(node)?;
        Some(Known { node: *node, figures: &sample.figures, heard: *heard })
    }

    /// What is known.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.held.iter().map(|(node, (sample, heard))| Known { node: *node, figures: &sample.figures, heard: *heard })
    }

    /// What is to be done, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }
}

/// Reads a datagram; samples are not verified. Those of another layout are left out.
///
/// # Errors
/// Not one of these, too long, malformed.
pub fn read(bytes: &[u8]) -> Result<Vec<Sample>, WireError> {
    let Some((&DATAGRAM, mut rest)) = bytes.split_first() else { return Err(WireError::Malformed) };
    let (mut samples, mut count) = (Vec::new(), 0);
    if bytes.len() > MAX_DATAGRAM_BYTES {
        return Err(WireError::TooLong { bytes: bytes.len(), limit: MAX_DATAGRAM_BYTES });
    }
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(WireError::Malformed)?;
        count += 1;
        if count > MAX_SAMPLES {
            return Err(WireError::Malformed);
        }
        match wire::decode(body, MAX_DATAGRAM_BYTES) {
            Ok(sample) => samples.push(sample),
            Err(WireError::Version(_)) => {}
            Err(error) => return Err(error),
        }
        rest = after;
    }
    if rest.is_empty() { Ok(samples) } else { Err(WireError::Malformed) }
}
