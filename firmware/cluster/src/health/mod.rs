//! How each node is: samples that their node signs, passed on in datagrams and kept in memory only.
//!
//! Whoever has a new sample tells some linked members so, in a few bytes, and they ask for it: an epidemic that reaches nearly
//! all, in which a sample itself goes to each node once. Whom it does not reach gets the next one. The period grows with the
//! community, so that what a node sends and receives stays the same.

mod said;
mod sample;

pub use said::{HAS, SAMPLES, Said, WANTS, is_datagram, read, short};
pub use sample::{Docker, Figures, Link, MAX_LINKS, MAX_TEXT_BYTES, Order, Sample};

use crate::{
    clock::Millis,
    keys::{CommunityId, NodeId},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use said::{MAX_NAMED, Short};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Between two samples of a node in a small community.
const PERIOD: Duration = Duration::from_secs(60);
/// For each member in a larger one.
const PERIOD_FOR_EACH: Duration = Duration::from_secs(6);
/// After its first samples a node is known sooner.
const FIRST_PERIOD: Duration = Duration::from_secs(10);
/// How many samples are taken with that.
const FIRST_SAMPLES: u32 = 2;
/// How many members are told of a new sample.
const ROUNDS: u8 = 4;
/// Between two rounds, while there is something to tell: for each member, and at most. What comes in the meantime is told together.
const ROUND_PAUSE_FOR_EACH: Duration = Duration::from_millis(500);
const ROUND_PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(1500)..=Duration::from_secs(6);
/// A sample that was asked for and does not come is asked for again after that, so many times.
const ASK_AGAIN: Duration = Duration::from_secs(2);
const ASKS_AGAIN: u8 = 2;
/// Members that are remembered to have what was asked for.
const MAX_ASKED: usize = 4;

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram to a linked member.
    Send {
        /// To whom.
        to: NodeId,
        /// At most [`crate::membership::MAX_DATAGRAM_BYTES`].
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

/// A sample that others are told of.
struct Hot {
    /// How many still.
    left: u8,
    /// Who was told, or has it.
    had: BTreeSet<NodeId>,
}

/// A sample that was asked for.
struct Asked {
    order: Order,
    /// Who says that it has it: the one who was asked, then whom to ask next.
    of: VecDeque<NodeId>,
    again_at: Millis,
    left: u8,
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
    hot: BTreeMap<NodeId, Hot>,
    asked: BTreeMap<NodeId, Asked>,
    /// How many samples each member was sent since this node's last one.
    sent: BTreeMap<NodeId, usize>,
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
            asked: BTreeMap::new(),
            sent: BTreeMap::new(),
            next_sample: now,
            next_round: now,
            outputs: VecDeque::new(),
            refused: 0,
            rng: StdRng::seed_from_u64(random),
        }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Goes on in a later epoch of this node, so that what it says is newer than what others hold of it.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Who is admitted; what is known of anybody else is forgotten.
    pub fn set_members(&mut self, members: BTreeSet<NodeId>) {
        self.held.retain(|node, _| members.contains(node));
        self.hot.retain(|node, _| members.contains(node));
        self.asked.retain(|node, _| members.contains(node));
        self.members = members;
    }

    /// To whom a connection is open: samples make none.
    pub fn set_linked(&mut self, linked: Vec<NodeId>) {
        self.linked = linked;
    }

    /// When [`Health::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let again = self.asked.values().map(|asked| asked.again_at).fold(self.next_sample, Millis::min);
        if self.hot.is_empty() || self.linked.is_empty() { again } else { again.min(self.next_round) }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        if self.next_sample <= now {
            let period = period(self.members.len());
            // All of a large community may have started at once.
            let period = if self.taken < FIRST_SAMPLES { FIRST_PERIOD.max(period / 6) } else { period };
            self.next_sample = now.plus(period.mul_f64(self.rng.random_range(0.9..1.1)));
            self.outputs.push_back(Output::Sample);
        }
        if self.next_round <= now && !self.hot.is_empty() && !self.linked.is_empty() {
            let pause = ROUND_PAUSE_FOR_EACH * u32::try_from(self.members.len()).unwrap_or(u32::MAX).min(1000);
            let pause = pause.clamp(*ROUND_PAUSE.start(), *ROUND_PAUSE.end());
            self.next_round = now.plus(pause.mul_f64(self.rng.random_range(0.7..1.3)));
            self.tell();
        }
        self.ask_again(now);
    }

    /// Says how this node is.
    pub fn say(&mut self, now: Millis, mut figures: Figures) {
        figures.links.truncate(MAX_LINKS);
        self.taken = self.taken.saturating_add(1);
        self.sent.clear();
        let sample = Sample::sign(&self.seed, self.community, (self.epoch, self.taken), figures);
        self.held.insert(self.me, (sample, now));
        self.hot.insert(self.me, Hot { left: ROUNDS, had: BTreeSet::new() });
    }

    /// Tells one member what it was not told of yet.
    fn tell(&mut self) {
        let Some(to) = self.linked.iter().copied().choose(&mut self.rng) else { return };
        let mut named = Vec::new();
        for (node, hot) in &mut self.hot {
            let Some((sample, _)) = self.held.get(node) else {
                hot.left = 0;
                continue;
            };
            if named.len() < MAX_NAMED && hot.had.insert(to) {
                named.push((short(node), sample.order));
                hot.left -= 1;
            }
        }
        // Who is linked to few has told all of them sooner.
        self.hot.retain(|_, hot| hot.left > 0 && self.linked.iter().any(|node| !hot.had.contains(node)));
        if !named.is_empty() {
            self.outputs.push_back(Output::Send { to, bytes: said::has(&named) });
        }
    }

    /// Asks once more for what did not come.
    fn ask_again(&mut self, now: Millis) {
        let mut wants: BTreeMap<NodeId, Vec<Short>> = BTreeMap::new();
        self.asked.retain(|_, asked| asked.again_at > now || asked.left > 0);
        for (node, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.again_at <= now) {
            (asked.again_at, asked.left) = (now.plus(ASK_AGAIN), asked.left - 1);
            asked.of.rotate_left(1);
            if let Some(of) = asked.of.front() {
                wants.entry(*of).or_default().push(short(node));
            }
        }
        for (to, named) in wants {
            for named in named.chunks(MAX_NAMED) {
                self.outputs.push_back(Output::Send { to, bytes: said::wants(named) });
            }
        }
    }

    /// Takes a datagram of a member.
    pub fn datagram(&mut self, now: Millis, from: NodeId, bytes: &[u8]) {
        if !self.members.contains(&from) {
            return;
        }
        match read(bytes) {
            Ok(Said::Samples(samples)) => self.take(now, from, samples),
            Ok(Said::Has(named)) => self.ask(now, from, named),
            Ok(Said::Wants(named)) => self.give(from, &named),
            Err(_) => self.refused += 1,
        }
    }

    fn take(&mut self, now: Millis, from: NodeId, samples: Vec<Sample>) {
        for sample in samples {
            let node = sample.node;
            if node == self.me || !self.is_news(&node, sample.order) || !self.members.contains(&node) {
                continue;
            }
            if !sample.verifies(self.community) {
                // Nobody passes on what does not verify: the rest is not worth the work either.
                self.refused += 1;
                return;
            }
            if self.asked.get(&node).is_some_and(|asked| asked.order <= sample.order) {
                self.asked.remove(&node);
            }
            self.held.insert(node, (sample, now));
            self.hot.insert(node, Hot { left: ROUNDS, had: BTreeSet::from([from, node]) });
        }
    }

    fn is_news(&self, node: &NodeId, order: Order) -> bool {
        self.held.get(node).is_none_or(|(held, _)| held.order < order)
    }

    /// Asks for what a member has and this node has not, unless another was asked for the same.
    fn ask(&mut self, now: Millis, from: NodeId, named: Vec<(Short, Order)>) {
        let mut wanted = Vec::new();
        for (name, order) in named {
            let Some(node) = member(&self.members, &name).filter(|node| *node != self.me) else { continue };
            if self.is_news(&node, order) {
                // One that says that it has what is still to come, or what it does not give, holds up nobody who has it.
                match self.asked.get_mut(&node) {
                    Some(asked) if asked.order == order => {
                        if asked.of.len() < MAX_ASKED && !asked.of.contains(&from) {
                            asked.of.push_back(from);
                        }
                    }
                    _ => {
                        let of = VecDeque::from([from]);
                        self.asked.insert(node, Asked { order, of, again_at: now.plus(ASK_AGAIN), left: ASKS_AGAIN });
                        wanted.push(name);
                    }
                }
            } else if let Some(hot) = self.hot.get_mut(&node) {
                hot.had.insert(from);
            }
        }
        if !wanted.is_empty() {
            self.outputs.push_back(Output::Send { to: from, bytes: said::wants(&wanted) });
        }
    }

    /// Gives a member the samples that it wants; twice as many as there are between two of this node's own, and no more.
    fn give(&mut self, to: NodeId, named: &[Short]) {
        let sent = self.sent.entry(to).or_default();
        let room = (2 * self.members.len() + MAX_NAMED).saturating_sub(*sent);
        let nodes: BTreeSet<NodeId> = named.iter().filter_map(|name| member(&self.members, name)).collect();
        let samples: Vec<&Sample> = nodes.iter().filter_map(|node| self.held.get(node)).map(|(sample, _)| sample).take(room).collect();
        *sent += samples.len();
        self.outputs.extend(said::samples(samples.into_iter()).into_iter().map(|bytes| Output::Send { to, bytes }));
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

/// The member that is named so.
fn member(members: &BTreeSet<NodeId>, name: &Short) -> Option<NodeId> {
    let mut least = [0; 32];
    least[..name.len()].copy_from_slice(name);
    members.range(crate::keys::Key(least)..).next().copied().filter(|node| short(node) == *name)
}
