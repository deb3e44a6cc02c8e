//! One member of a community as a state machine: roster and membership held together.
//!
//! Inputs are time, datagrams, links, hellos and what a roster comparison brought; outputs are what the caller
//! has to do. The driver in the agent and the simulator in the tests both run exactly this.

mod decide;
mod strangers;

use crate::{
    admission::{Founding, Grant, Refusal, Seed},
    card::{Card, Facts},
    clock::Millis,
    farewell::{self, Farewell},
    keys::NodeId,
    kit::Kit,
    membership::{self, Belief, Membership},
    roster::{Item, Roster, Standing},
    sync,
    words::Newcomers,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// How often the roster is compared with a random member's, news or not. In a large community that is a handshake each time.
const COMPARE_PERIOD: Duration = Duration::from_secs(60);
/// With how many members news are compared at once.
const COMPARE_NEWS_WITH: usize = 3;
/// News are compared again after this at the earliest, or [`NEWS_PAUSE_EACH`] for each member where that is longer: what comes meanwhile is told
/// together. Else, in a large community that starts as one, each of many cards would be passed on by itself.
const NEWS_PAUSE: Duration = Duration::from_millis(500);
/// A comparison takes as many bytes as there are members; so those of news are bounded whatever their number.
const NEWS_PAUSE_EACH: Duration = Duration::from_millis(2);
/// The same member is not asked to compare more often than this.
const COMPARE_PAUSE: Duration = Duration::from_secs(1);
/// How many members a goodbye is told to, each time.
const FAREWELL_FANOUT: usize = 5;
/// How often those who hear of one tell it.
const FAREWELL_ROUNDS: u8 = 3;
/// Between two times.
const FAREWELL_PAUSE: Duration = Duration::from_millis(250);

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram to a member, dialling if need be; it may be lost.
    Send {
        /// To whom.
        to: NodeId,
        /// At most [`membership::MAX_DATAGRAM_BYTES`].
        bytes: Vec<u8>,
    },
    /// Dial this member and tell [`Node::confirmed`] how it went.
    Confirm(NodeId),
    /// Compare rosters with this member (see [`crate::sync`]).
    Compare(NodeId),
    /// The epoch is this now: write it to disk.
    SaveEpoch(u32),
    /// The roster changed: write it to disk, and let [`Node::roster`]'s members in and nobody else.
    SaveRoster,
    /// What is shown of members has changed.
    Changed,
}

/// Whether newcomers without an invite are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// No.
    Closed,
    /// Yes.
    Open,
    /// Until then.
    Until(Millis),
}

/// The admin's key on this node.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The key.
    pub kit: Kit,
    /// What made it an admin; empty for the founder's.
    pub grants: Vec<Grant>,
}

/// One member of a community.
pub struct Node {
    seed: [u8; 32],
    me: NodeId,
    roster: Roster,
    membership: Membership,
    facts: Facts,
    card_sequence: u32,
    admin: Option<Admin>,
    door: Door,
    newcomers: Newcomers,
    rng: StdRng,
    outputs: VecDeque<Output>,
    next_compare: Millis,
    /// When news may be compared next, and whether some wait for that.
    next_news: (Millis, bool),
    /// With how many of those who come up rosters are still to be compared, since news found nobody there.
    untold: usize,
    compared: BTreeMap<NodeId, Millis>,
    /// Goodbyes to be passed on: how often, and when next.
    farewells: BTreeMap<NodeId, (Vec<u8>, u8, Millis)>,
    /// Whom newcomers are told of first.
    leading: Vec<(NodeId, Option<SocketAddr>)>,
}

impl Node {
    /// A member that starts. `seed` is the node's secret key, `random` feeds its random choices. The roster must
    /// hold the node's own certificate.
    ///
    /// # Errors
    /// The node is not admitted by the roster.
    pub fn new(
        now: Millis,
        seed: [u8; 32],
        epoch: u32,
        roster: Roster,
        facts: Facts,
        admin: Option<Admin>,
        random: u64,
    ) -> Result<Self, Refusal> {
        let me = NodeId::of_seed(&seed);
        match roster.standing(&me) {
            Standing::Stranger => return Err(Refusal::Stranger(me)),
            Standing::Member | Standing::Suspended | Standing::Revoked => {}
        }
        let mut rng = StdRng::seed_from_u64(random);
        let membership = Membership::new(me, epoch, rng.random());
        let mut node = Self {
            seed,
            me,
            roster,
            membership,
            facts,
            card_sequence: 0,
            admin,
            door: Door::Closed,
            newcomers: Newcomers::default(),
            rng,
            outputs: VecDeque::new(),
            next_compare: now.plus(COMPARE_PERIOD),
            next_news: (now, false),
            untold: 0,
            compared: BTreeMap::new(),
            farewells: BTreeMap::new(),
            leading: Vec::new(),
        };
        node.appoint_own();
        node.renew_epoch(now);
        node.sign_card();
        node.roster_changed(now);
        Ok(node)
    }

    /// The node's id.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The community.
    #[must_use]
    pub fn founding(&self) -> &Founding {
        self.roster.founding()
    }

    /// The roster.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// This node's present life in the gossip.
    #[must_use]
    pub fn life(&self) -> &membership::Life {
        self.membership.me()
    }

    /// What is believed of the other members.
    #[must_use]
    pub fn beliefs(&self) -> BTreeMap<NodeId, Belief> {
        self.membership.states()
    }

    /// Datagrams refused so far.
    #[must_use]
    pub fn refused(&self) -> membership::Refused {
        self.membership.refused()
    }

    /// The door as it is now.
    #[must_use]
    pub fn door(&self, now: Millis) -> Door {
        match self.door {
            Door::Until(until) if until <= now => Door::Closed,
            door => door,
        }
    }

    /// Sets the door.
    pub fn set_door(&mut self, door: Door) {
        self.door = door;
        self.outputs.push_back(Output::Changed);
    }

    /// Says something else of this node.
    pub fn set_facts(&mut self, now: Millis, facts: Facts) {
        if facts != self.facts {
            self.facts = facts;
            self.sign_card();
            self.roster_changed(now);
        }
    }

    /// When [`Node::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let farewell = self.farewells.values().map(|(_, _, at)| *at).min().unwrap_or(self.next_compare);
        let news = if self.next_news.1 { self.next_news.0 } else { self.next_compare };
        self.membership.next_wake().min(self.next_compare).min(farewell).min(news)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        self.membership.tick(now);
        self.pass_farewells_on(now);
        if self.next_compare <= now {
            // Some jitter, so that nodes that started together drift apart.
            self.next_compare = now.plus(COMPARE_PERIOD.mul_f64(self.rng.random_range(0.8..1.2)));
            self.compare_some(now, 1);
        }
        if self.next_news.1 {
            self.compare_news(now);
        }
        self.collect(now);
    }

    /// Takes a datagram that came over a connection to `from`.
    pub fn datagram(&mut self, now: Millis, from: NodeId, bytes: &[u8]) {
        match bytes.first() {
            Some(&farewell::DATAGRAM) => self.farewell(now, &from, bytes),
            _ => self.membership.datagram(now, from, bytes),
        }
        self.collect(now);
    }

    /// Somebody passes a goodbye on.
    fn farewell(&mut self, now: Millis, from: &NodeId, bytes: &[u8]) {
        if self.roster.standing(from) != Standing::Member {
            return;
        }
        if let Ok(farewell) = Farewell::from_bytes(bytes)
            && self.membership.part(now, farewell.life(), true)
        {
            self.farewells.insert(farewell.node(), (bytes.to_vec(), FAREWELL_ROUNDS, now));
            self.pass_farewells_on(now);
        }
    }

    fn pass_farewells_on(&mut self, now: Millis) {
        let due: Vec<NodeId> = self.farewells.iter().filter(|(_, (_, _, at))| *at <= now).map(|(node, _)| *node).collect();
        for node in due {
            let Some((bytes, rounds, at)) = self.farewells.get_mut(&node) else { continue };
            (*rounds, *at) = (*rounds - 1, now.plus(FAREWELL_PAUSE));
            let (bytes, done) = (bytes.clone(), *rounds == 0);
            self.tell_some(&bytes);
            if done {
                self.farewells.remove(&node);
            }
        }
    }

    fn tell_some(&mut self, bytes: &[u8]) {
        for to in self.membership.present().sample(&mut self.rng, FAREWELL_FANOUT) {
            self.outputs.push_back(Output::Send { to, bytes: bytes.to_vec() });
        }
    }

    /// The connection to a member ended since nothing came over it any more.
    pub fn fell_silent(&mut self, now: Millis, node: NodeId) {
        self.membership.fell_silent(now, node);
        self.collect(now);
    }

    /// How the dial asked for by [`Output::Confirm`] went.
    pub fn confirmed(&mut self, now: Millis, node: NodeId, reached: bool) {
        self.membership.confirmed(now, node, reached);
        self.collect(now);
    }

    /// A member is to be asked at once whether it is there; for addresses that were just learned.
    pub fn ask(&mut self, now: Millis, node: NodeId) {
        if node != self.me && self.roster.standing(&node) == Standing::Member {
            self.membership.announce(now, node);
            self.collect(now);
        }
    }

    /// Takes what a comparison of rosters brought; tells how many statements did not verify.
    pub fn take(&mut self, now: Millis, items: Vec<Item>) -> usize {
        let (changed, refused) = sync::take(&mut self.roster, items);
        if changed {
            self.renew_epoch(now);
            self.roster_changed(now);
        }
        refused
    }

    /// Members that a newcomer elsewhere may well reach, and where, the best first: only the caller knows who is reached, and at which address.
    pub fn set_leading(&mut self, mut leading: Vec<(NodeId, Option<SocketAddr>)>) {
        leading.truncate(crate::admission::MAX_SEEDS);
        self.leading = leading;
    }

    /// This node and some others that are alive, with their addresses: first those that newcomers may well reach.
    #[must_use]
    pub fn seeds(&self) -> Vec<Seed> {
        let me = Seed { node: self.me, addresses: self.facts.addresses.clone() };
        let mut others: Vec<NodeId> = self.membership.alive().collect();
        others.sort_by_key(|node| self.leading.iter().position(|(leads, _)| leads == node).unwrap_or(usize::MAX));
        let others = others.into_iter().filter_map(|node| {
            let card = self.roster.card(&node)?;
            let mut addresses = card.facts().addresses.clone();
            // Not all of them have room.
            let leading = self.leading.iter().find(|(leads, _)| *leads == node).and_then(|(_, at)| *at);
            addresses.sort_by_key(|address| Some(*address) != leading);
            Some(Seed { node, addresses })
        });
        let mut seeds: Vec<Seed> = std::iter::once(me).chain(others).take(crate::admission::MAX_SEEDS).collect();
        for seed in &mut seeds {
            seed.addresses.truncate(crate::admission::MAX_SEED_ADDRESSES);
        }
        seeds
    }

    /// Says goodbye; nothing is sent or taken after that.
    pub fn goodbye(&mut self, now: Millis) {
        let farewell = Farewell::sign(&self.seed, self.membership.me().clone()).to_bytes();
        for _ in 0..FAREWELL_ROUNDS {
            self.tell_some(&farewell);
        }
        self.membership.goodbye(now);
        self.collect(now);
    }

    /// What is to be done, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }

    /// An own card of a later epoch shows an old copy of this node's data: go beyond it.
    fn renew_epoch(&mut self, now: Millis) {
        let known = self.roster.card(&self.me).map_or((0, 0), Card::order);
        if known > (self.membership.me().epoch, self.card_sequence) {
            self.set_epoch(now, known.0.saturating_add(1));
        }
    }

    fn set_epoch(&mut self, now: Millis, epoch: u32) {
        if epoch > self.membership.me().epoch {
            self.membership.set_epoch(now, epoch);
            self.card_sequence = 0;
            self.outputs.push_back(Output::SaveEpoch(epoch));
            self.sign_card();
            self.roster_changed(now);
        }
    }

    fn sign_card(&mut self) {
        self.card_sequence = self.card_sequence.saturating_add(1);
        let card = Card::sign(&self.seed, self.membership.me().epoch, self.card_sequence, self.facts.clone());
        // The own certificate is in the roster, so the own card has its place.
        let _new = self.roster.merge(Item::Card(card));
    }

    fn roster_changed(&mut self, now: Millis) {
        self.renew_admin();
        // Whoever was let in here may have come in through another member.
        let roster = &self.roster;
        self.newcomers.forget_those(|node| roster.standing(node) == Standing::Member);
        self.membership.set_admitted(now, self.roster.members());
        self.outputs.push_back(Output::SaveRoster);
        self.compare_news(now);
        self.collect(now);
    }

    /// Compares with some members, since the roster changed; not before its time.
    fn compare_news(&mut self, now: Millis) {
        self.next_news.1 = now < self.next_news.0;
        if !self.next_news.1 {
            let members = u32::try_from(self.roster.nodes().count()).unwrap_or(u32::MAX);
            self.next_news.0 = now.plus(NEWS_PAUSE.max(NEWS_PAUSE_EACH.saturating_mul(members)));
            self.compare_some(now, COMPARE_NEWS_WITH);
        }
    }

    fn compare_some(&mut self, now: Millis, count: usize) {
        let chosen = self.membership.alive().sample(&mut self.rng, count);
        self.untold = count.saturating_sub(chosen.len());
        for node in chosen {
            self.compare(now, node);
        }
    }

    /// Asks for a comparison with a member, unless there was one a moment ago.
    pub fn compare(&mut self, now: Millis, node: NodeId) {
        let last = self.compared.get(&node);
        if last.is_none_or(|last| now.since(*last) >= COMPARE_PAUSE) {
            self.compared.insert(node, now);
            self.outputs.push_back(Output::Compare(node));
        }
    }

    fn collect(&mut self, now: Millis) {
        let outputs: Vec<membership::Output> = self.membership.outputs().collect();
        for output in outputs {
            match output {
                membership::Output::Send { to, bytes } => self.outputs.push_back(Output::Send { to, bytes }),
                membership::Output::Confirm(node) => self.outputs.push_back(Output::Confirm(node)),
                membership::Output::Compare(node) => self.compare(now, node),
                membership::Output::Up(node) => {
                    if self.untold > 0 {
                        self.untold -= 1;
                        self.compare(now, node);
                    }
                }
                membership::Output::Epoch(epoch) => self.set_epoch(now, epoch),
                membership::Output::Changed => {
                    if self.outputs.back() != Some(&Output::Changed) {
                        self.outputs.push_back(Output::Changed);
                    }
                }
            }
        }
    }

    /// Members that are believed alive.
    pub fn alive(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.membership.alive()
    }

    /// The nodes whose connections are to be served.
    #[must_use]
    pub fn admitted(&self) -> BTreeSet<NodeId> {
        self.roster.members()
    }
}
