//! One node's copy of all records, as a state machine over a store.
//!
//! Inputs are time, who is there, datagrams, what members ask and answer, and own writes; outputs are what the
//! caller has to send. The store is called directly: when [`Replica::write`] returns, the write is on disk.

mod answer;
mod fetch;
mod gossip;
mod own;
mod query;
mod wants;

pub use own::{Change, WriteError};

use super::{
    exchange::{self, Answer, Ask, MAX_STATEMENTS, Statement},
    head::{Fork, Head, Order, Ownership},
    record::{Mark, Slot},
    summary::{Datagram, Holders},
    view::{self, View},
};
use crate::{
    clock::Millis,
    keys::{CommunityId, NodeId},
    store::{Batch, Store, StoreError, Sync, Table},
};
use gossip::{MAX_COMPARES, NEWS_MOST, NEWS_PAUSE, NEWS_ROUNDS};
use own::Own;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    time::Duration,
};
use wants::Wants;

/// How often a member is told what this node holds.
const SUMMARY_PERIOD: Duration = Duration::from_secs(10);
/// The same while the view has just changed or others hold another.
const SUMMARY_PERIOD_HOT: Duration = Duration::from_millis(1000);
/// How long after a change the shorter period holds.
const HOT_TIME: Duration = Duration::from_secs(10);
/// How long what was taken from others may stay unsynced.
const FLUSH_PERIOD: Duration = Duration::from_secs(300);
/// How long an answer may take before the question counts as lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram to a member; it may be lost.
    Datagram {
        /// To whom.
        to: NodeId,
        /// At most [`crate::membership::MAX_DATAGRAM_BYTES`].
        bytes: Vec<u8>,
    },
    /// Ask a member over a stream, and tell [`Replica::answered`] what came.
    Ask {
        /// Whom.
        to: NodeId,
        /// Names the question.
        id: u64,
        /// One frame of at most [`exchange::MAX_FRAME_BYTES`].
        frame: Vec<u8>,
    },
    /// Records of a node have changed, for those who watch.
    Changed {
        /// The node.
        node: NodeId,
        /// Which.
        slots: Vec<Slot>,
    },
}

/// How this node stands to its own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It asks its neighbours for its own newest head; writes are kept, and published when it is done.
    Asking,
    /// Its neighbours hold a later life of it: an old card was restored. It takes that over.
    Adopting,
    /// It writes and publishes.
    Open,
    /// Its card runs twice. Writes are refused until one of the two has a new identity.
    Copied,
}

/// What was asked and is not answered yet.
#[derive(Debug, Clone)]
enum Question {
    Compare,
    Exchange,
    Since(NodeId),
    Bodies(NodeId),
}

#[derive(Debug, Clone)]
struct Asked {
    to: NodeId,
    question: Question,
    until: Millis,
    /// When another is asked for the same beside this one; none if that was done, or is not.
    slow_at: Option<Millis>,
}

/// What was refused so far, by reason; for tests and diagnosis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Datagrams and frames that can't be read.
    pub malformed: u64,
    /// Heads and proofs that do not verify.
    pub statements: u64,
    /// Sets that are not what their head says.
    pub sets: u64,
    /// From those who are no members.
    pub strangers: u64,
}

/// One node's copy of all records.
pub struct Replica<S> {
    store: S,
    losses: u64,
    seed: [u8; 32],
    me: NodeId,
    community: CommunityId,
    ownership: Option<Ownership>,
    own: Own,
    view: View,
    peers: BTreeSet<NodeId>,
    linked: BTreeSet<NodeId>,
    wanted: Wants,
    asked: BTreeMap<u64, Asked>,
    count: u64,
    outputs: VecDeque<Output>,
    rng: StdRng,
    holders: Holders,
    /// Members that hold another view, and when to compare with them.
    differing: BTreeMap<NodeId, Millis>,
    /// New heads that are still to be told: how often, and when next.
    news: BTreeMap<NodeId, (u8, Millis)>,
    hot_until: Millis,
    next_summary: Millis,
    next_flush: Millis,
    refused: Refused,
    problem: Option<StoreError>,
}

impl<S: Store> Replica<S> {
    /// Opens what the store holds for this node. `seed` is the node's secret key, `random` feeds its random choices.
    /// A store of another community is emptied.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn open(
        now: Millis,
        store: S,
        seed: [u8; 32],
        community: CommunityId,
        ownership: Option<Ownership>,
        random: u64,
    ) -> Result<Self, StoreError> {
        let me = NodeId::of_seed(&seed);
        let mut rng = StdRng::seed_from_u64(random);
        let next_summary = now.plus(SUMMARY_PERIOD_HOT.mul_f64(rng.random_range(0.5..1.5)));
        let mut replica = Self {
            losses: store.losses(),
            store,
            seed,
            me,
            community,
            ownership,
            own: Own::new(now),
            view: View::default(),
            peers: BTreeSet::new(),
            linked: BTreeSet::new(),
            wanted: Wants::default(),
            asked: BTreeMap::new(),
            count: 0,
            outputs: VecDeque::new(),
            rng,
            holders: Holders::default(),
            differing: BTreeMap::new(),
            news: BTreeMap::new(),
            hot_until: now.plus(HOT_TIME),
            next_summary,
            next_flush: now.plus(FLUSH_PERIOD),
            refused: Refused::default(),
            problem: None,
        };
        replica.claim_store()?;
        replica.load()?;
        Ok(replica)
    }

    fn claim_store(&mut self) -> Result<(), StoreError> {
        const COMMUNITY_KEY: &[u8] = b"community";
        let found = self.store.get(Table::Meta, COMMUNITY_KEY)?;
        if found.as_deref() == Some(&self.community.0) {
            return Ok(());
        }
        let mut batch = Batch::default();
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta && found.is_some()) {
            self.store.scan(table, &[], &mut |key, _| {
                batch.remove(table, key);
                ControlFlow::Continue(())
            })?;
        }
        batch.put(Table::Meta, COMMUNITY_KEY, self.community.0);
        self.store.commit(&batch, Sync::Now)
    }

    /// Reads heads, proofs and the own set from the store.
    fn load(&mut self) -> Result<(), StoreError> {
        let (members, context) = (self.view.members().clone(), self.view.context());
        let mut view = View::default();
        let mut damaged = 0;
        self.store.scan(Table::Heads, &[], &mut |_, value| {
            match Head::from_bytes(value) {
                Ok(head) => view.put_head(head),
                Err(_) => damaged += 1,
            }
            ControlFlow::Continue(())
        })?;
        self.store.scan(Table::Forks, &[], &mut |_, value| {
            match Fork::from_bytes(value) {
                Ok(fork) => drop(view.put_fork(fork)),
                Err(_) => damaged += 1,
            }
            ControlFlow::Continue(())
        })?;
        self.refused.malformed += damaged;
        view.set_members(members, context);
        self.view = view;
        self.load_own()?;
        self.view_changed(None);
        Ok(())
    }

    /// After a failed commit: what was not synced may be gone, so what is in memory is read again.
    fn after_failure(&mut self, error: StoreError) {
        self.problem = Some(error);
        if self.losses != self.store.losses() {
            self.losses = self.store.losses();
            if let Err(error) = self.load() {
                self.problem = Some(error);
            }
        }
    }

    fn commit(&mut self, batch: &Batch, sync: Sync) -> Result<(), StoreError> {
        match self.store.commit(batch, sync) {
            Ok(()) => {
                self.problem = None;
                Ok(())
            }
            Err(error) => {
                self.after_failure(error.clone());
                Err(error)
            }
        }
    }

    /// Who is admitted, and a hash of what else all hold alike (the roster's digest).
    pub fn set_members(&mut self, now: Millis, members: BTreeSet<NodeId>, context: [u8; 32]) {
        if *self.view.members() != members || self.view.context() != context {
            self.view.set_members(members, context);
            self.view_changed(Some(now));
        }
    }

    /// Who is there, and to whom a connection is open. New ones are compared with soon.
    pub fn set_peers(&mut self, now: Millis, alive: impl IntoIterator<Item = NodeId>, linked: impl IntoIterator<Item = NodeId>) {
        let me = self.me;
        let alive: BTreeSet<NodeId> = alive.into_iter().filter(|node| *node != me).collect();
        let new: Vec<NodeId> = if alive == self.peers { Vec::new() } else { alive.difference(&self.peers).copied().collect() };
        self.linked = linked.into_iter().filter(|node| alive.contains(node)).collect();
        self.peers = alive;
        for node in new.into_iter().sample(&mut self.rng, MAX_COMPARES) {
            self.compare_soon(now, node);
        }
    }

    /// When [`Replica::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let fetches = self.wanted.next().into_iter().chain(self.next_slow());
        let news = self.news.values().map(|(_, at)| *at);
        let asked = self.asked.values().map(|asked| asked.until);
        let differing = self.differing.values().copied();
        let own = self.own_due();
        let other = [self.next_summary, self.next_flush].into_iter().chain(own);
        fetches.chain(news).chain(asked).chain(differing).chain(other).min().unwrap_or(self.next_summary)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        let lost: Vec<u64> = self.asked.iter().filter(|(_, asked)| asked.until <= now).map(|(id, _)| *id).collect();
        for id in lost {
            self.answered(now, id, None);
        }
        self.tick_own(now);
        self.tell_news(now);
        if self.next_summary <= now {
            let asking = self.own.phase == Phase::Asking;
            let hot = asking || now < self.hot_until || !self.differing.is_empty();
            let period = if hot { SUMMARY_PERIOD_HOT } else { SUMMARY_PERIOD };
            self.next_summary = now.plus(period.mul_f64(self.rng.random_range(0.8..1.2)));
            for to in self.some_peers(1).into_iter().chain(self.another_peer()) {
                self.send_summary(to, true);
            }
            if asking {
                self.ask_others(now);
            }
        }
        self.compare_due(now);
        self.fetch_due(now);
        self.ask_beside_slow(now);
        if self.next_flush <= now {
            self.next_flush = now.plus(FLUSH_PERIOD);
            let _problem = self.commit(&Batch::default(), Sync::Now);
        }
    }

    /// Takes a datagram that came over a connection to `from`.
    pub fn datagram(&mut self, now: Millis, from: NodeId, bytes: &[u8]) {
        if !self.view.members().contains(&from) {
            self.refused.strangers += 1;
            return;
        }
        match Datagram::from_bytes(bytes) {
            Err(_) => self.refused.malformed += 1,
            Ok(Datagram::Summary { root, holders, ask }) => {
                self.holders.hear(&root, &holders, self.view.members(), &from);
                if root != self.view.root() {
                    self.compare_soon(now, from);
                }
                if ask {
                    self.send_summary(from, false);
                }
            }
            Ok(Datagram::News(head)) => {
                self.take(now, from, Statement::Head(head));
                self.fetch_due(now);
            }
        }
    }

    /// What came of [`Output::Ask`]: a frame, or none if the member was not reached or did not answer.
    pub fn answered(&mut self, now: Millis, id: u64, frame: Option<&[u8]>) {
        let Some(asked) = self.asked.remove(&id) else { return };
        let answer = frame.and_then(|frame| match exchange::read_answer(frame) {
            Ok(answer) => Some(answer),
            Err(_) => {
                self.refused.malformed += 1;
                None
            }
        });
        match (asked.question, answer) {
            (Question::Compare, Some(Answer::Same)) => {
                let root = self.view.root();
                self.holders.hear(&root, &[], self.view.members(), &asked.to);
                self.asked_about_own(asked.to);
            }
            (Question::Compare, Some(Answer::Marks { marks })) => self.exchange(now, asked.to, &marks),
            (Question::Exchange, Some(Answer::Statements(statements))) => {
                for statement in statements {
                    self.take(now, asked.to, statement);
                }
                self.asked_about_own(asked.to);
            }
            (Question::Compare | Question::Exchange, _) => {}
            (Question::Since(node), answer) => self.since_answered(now, node, asked.to, answer),
            (Question::Bodies(node), answer) => self.bodies_answered(now, node, answer),
        }
        self.tick_own(now);
        self.compare_due(now);
        self.fetch_due(now);
    }

    fn exchange(&mut self, now: Millis, to: NodeId, theirs: &[view::Mark]) {
        let theirs: BTreeSet<&view::Mark> = theirs.iter().collect();
        let give = self.statements(|mark| !theirs.contains(mark));
        let lacks = theirs.into_iter().filter(|mark| !self.view.marks().contains(*mark)).copied();
        let want: Vec<view::Mark> = lacks.take(MAX_STATEMENTS).collect();
        if give.is_empty() && want.is_empty() {
            self.asked_about_own(to);
            return;
        }
        self.ask(now, to, Question::Exchange, &Ask::Exchange { give, want });
    }

    fn statements(&self, wanted: impl Fn(&view::Mark) -> bool) -> Vec<Statement> {
        let forks = self.view.forks().filter(|fork| wanted(&fork.mark())).map(|fork| Statement::Fork(Box::new(fork.clone())));
        let heads = self.view.heads().filter(|head| wanted(&head.mark())).map(|head| Statement::Head(Box::new(head.clone())));
        forks.chain(heads).take(MAX_STATEMENTS).collect()
    }

    /// Takes a head or a proof that a member gave.
    fn take(&mut self, now: Millis, from: NodeId, statement: Statement) {
        match statement {
            Statement::Head(head) => self.consider(now, from, *head),
            Statement::Fork(fork) => {
                let fork = *fork;
                if !self.view.marks().contains(&fork.mark()) && self.view.members().contains(&fork.node()) {
                    match fork.verify(self.community) {
                        Ok(()) => self.forked(now, from, fork),
                        Err(_) => self.refused.statements += 1,
                    }
                }
            }
        }
    }

    /// Keeps a verified proof, tells it, and follows the head that all choose.
    fn forked(&mut self, now: Millis, from: NodeId, fork: Fork) {
        let (node, chosen, order) = (fork.node(), fork.chosen().clone(), fork.order());
        let mut batch = Batch::default();
        batch.put(Table::Forks, node.0, fork.to_bytes());
        let newer = self.view.fork_at(&node).is_none_or(|old| old.rank() < fork.rank());
        if !newer || self.commit(&batch, Sync::Later).is_err() || !self.view.put_fork(fork) {
            return;
        }
        self.view_changed(Some(now));
        self.outputs.push_back(Output::Changed { node, slots: Vec::new() });
        if node == self.me {
            self.own_forked(now, order);
        }
        self.consider(now, from, chosen);
    }

    fn ask(&mut self, now: Millis, to: NodeId, question: Question, ask: &Ask) {
        self.count += 1;
        let slow_at = matches!(question, Question::Since(_)).then(|| now.plus(fetch::SLOW));
        self.asked.insert(self.count, Asked { to, question, until: now.plus(ANSWER_PATIENCE), slow_at });
        self.outputs.push_back(Output::Ask { to, id: self.count, frame: exchange::frame(ask) });
    }

    /// What is to be done, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }
}

/// The key of a record of a node.
fn record_key(node: &NodeId, slot: &Slot) -> Vec<u8> {
    [node.0.as_slice(), &[slot.kind.0], slot.key.as_bytes()].concat()
}

/// The key of a mark of a node.
fn mark_key(node: &NodeId, mark: &Mark) -> Vec<u8> {
    [node.0, *mark].concat()
}

/// Reads back the slot from a record's key.
fn slot_of(key: &[u8]) -> Option<Slot> {
    let (kind, key) = key.get(32..)?.split_first()?;
    Some(Slot { kind: super::record::Kind(*kind), key: String::from_utf8(key.to_vec()).ok()? })
}

/// What of a node is held here.
fn held(view: &View, node: &NodeId) -> Option<Order> {
    view.head(node).map(Head::order)
}
