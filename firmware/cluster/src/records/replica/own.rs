//! This node's own records: writing them, opening an epoch, and finding out that an old or copied card is at work.
//!
//! ```text
//! Asking ──neighbours know nothing newer──────────────→ Open ──somebody else signed──→ Asking or Adopting, once;
//!    └────they hold a later life──→ Adopting ──taken over──┘   with this node's key        then Copied
//! ```

use super::{NEWS_ROUNDS, Output, Phase, Replica, mark_key, record_key, slot_of};
use crate::{
    clock::Millis,
    keys::NodeId,
    records::{
        head::{self, Head, Live, MAX_RECORDS, MAX_SET_BYTES, Order, Ownership},
        record::{self, MAX_VALUE_BYTES, Mark, Record, Slot},
    },
    store::{Batch, Store, StoreError, Sync, Table},
};
use rand::seq::IteratorRandom;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::Duration,
};

/// How many neighbours are asked for this node's own newest head before it opens an epoch.
const ASK_NEIGHBOURS: usize = 3;
/// How long they are waited for.
const ASK_PATIENCE: Duration = Duration::from_secs(20);
/// How long the records of a later life are waited for.
const ADOPT_PATIENCE: Duration = Duration::from_secs(600);
/// After a failed attempt to open an epoch.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How many times another life's heads are passed by in one life before the card counts as copied.
const MAX_JUMPS: u32 = 1;

/// A wish to change this node's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Say this.
    Put {
        /// Where.
        slot: Slot,
        /// Which layout the value has.
        schema: u16,
        /// At most [`MAX_VALUE_BYTES`].
        value: Vec<u8>,
    },
    /// Do not say this any more; fine if it was not said.
    Remove(Slot),
}

impl Change {
    fn slot(&self) -> &Slot {
        match self {
            Self::Put { slot, .. } | Self::Remove(slot) => slot,
        }
    }
}

/// Why a write was refused. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The node's key is in use on another machine.
    #[error("this node's card was copied and the copy is running too: give one of the two a new identity, then try again")]
    Copied,
    /// No key.
    #[error("`{0}` can't be a key: use 1 to {max} bytes and no control characters", max = record::MAX_KEY_BYTES)]
    Key(String),
    /// The value is too long.
    #[error("the value has {bytes} bytes, where {MAX_VALUE_BYTES} are allowed")]
    Value {
        /// Bytes.
        bytes: usize,
    },
    /// No room for more.
    #[error(
        "this node would have {count} records with {bytes} bytes, where {MAX_RECORDS} with {MAX_SET_BYTES} are allowed: remove some first"
    )]
    TooMuch {
        /// Records.
        count: usize,
        /// Bytes.
        bytes: usize,
    },
    /// The disk did not take it.
    #[error("not written: {0}")]
    Store(#[from] StoreError),
}

/// What is in memory of the own records.
pub(super) struct Own {
    pub(super) phase: Phase,
    /// The newest own head.
    pub(super) order: Order,
    pub(super) head: Option<Head>,
    set: BTreeMap<Slot, (Mark, u32)>,
    /// What was written in this life, so that it wins over what an earlier or a copied life said.
    touched: BTreeSet<Slot>,
    since: Millis,
    not_before: Millis,
    asked: BTreeSet<NodeId>,
    jumps: u32,
    /// What was here at the start was an older copy than what neighbours had.
    pub(super) restored: bool,
    /// Counts writes that wait for a head.
    waiting: u64,
}

impl Own {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            phase: Phase::Asking,
            order: Order::default(),
            head: None,
            set: BTreeMap::new(),
            touched: BTreeSet::new(),
            since: now,
            not_before: now,
            asked: BTreeSet::new(),
            jumps: 0,
            restored: false,
            waiting: 0,
        }
    }

    fn live(&self) -> Live {
        live(self.set.values())
    }
}

fn live<'a>(set: impl Iterator<Item = &'a (Mark, u32)>) -> Live {
    let (mut marks, lengths): (Vec<Mark>, Vec<u32>) = set.copied().unzip();
    marks.sort_unstable();
    Live {
        count: u32::try_from(marks.len()).unwrap_or(u32::MAX),
        bytes: lengths.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        hash: head::hash(&marks),
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl<S: Store> Replica<S> {
    pub(super) fn load_own(&mut self) -> Result<(), StoreError> {
        let me = self.me;
        let mut set = BTreeMap::new();
        self.store.scan(Table::Records, &me.0, &mut |key, value| {
            if let Some(slot) = slot_of(key) {
                set.insert(slot, (record::mark(&me, value), length(value)));
            }
            ControlFlow::Continue(())
        })?;
        self.own.set = set;
        let mut unsigned = 0;
        self.store.scan(Table::Unsigned, &[], &mut |key, _| {
            unsigned += 1;
            self.own.touched.extend(slot_of(key));
            ControlFlow::Continue(())
        })?;
        self.own.waiting = self.own.waiting.max(unsigned);
        self.own.head = self.view.head(&me).cloned();
        self.own.order = self.own.head.as_ref().map_or_else(Order::default, Head::order);
        // A set that its head does not describe is no use to others, and no records without a head are either.
        if self.own.head.as_ref().is_some_and(|head| *head.live() != self.own.live()) {
            self.view.drop_head(&me);
        }
        Ok(())
    }

    pub(super) fn own_due(&self) -> Option<Millis> {
        let due = match self.own.phase {
            Phase::Asking => self.own.since.plus(ASK_PATIENCE),
            Phase::Adopting => self.own.since.plus(ADOPT_PATIENCE),
            Phase::Open | Phase::Copied => return None,
        };
        Some(due.max(self.own.not_before))
    }

    /// Opens an epoch if it is time to.
    pub(super) fn tick_own(&mut self, now: Millis) {
        let members = self.view.members();
        let late = self.own_due().is_some_and(|due| due <= now);
        let ready = match self.own.phase {
            Phase::Asking => {
                let alone = members.len() == 1 && members.contains(&self.me);
                let enough = self.own.asked.len() >= ASK_NEIGHBOURS.min(self.peers.len()).max(1);
                late || alone || enough
            }
            Phase::Adopting => late,
            Phase::Open | Phase::Copied => false,
        };
        if ready && self.own.not_before <= now && self.open_epoch(now).is_err() {
            self.own.not_before = now.plus(RETRY_PAUSE);
        }
    }

    /// A neighbour has told all that it knows of this node.
    pub(super) fn asked_about_own(&mut self, neighbour: NodeId) {
        if self.own.phase == Phase::Asking {
            self.own.asked.insert(neighbour);
        }
    }

    /// Asks others about the own head, in place of those who did not answer: nothing else makes this node compare once all hold the same.
    pub(super) fn ask_others(&mut self, now: Millis) {
        let missing = ASK_NEIGHBOURS.saturating_sub(self.own.asked.len() + self.compared_with().len() + self.differing.len());
        let others = self.peers.iter().filter(|peer| !self.own.asked.contains(*peer) && !self.differing.contains_key(*peer)).copied();
        for node in others.sample(&mut self.rng, missing) {
            self.compare_soon(now, node);
        }
    }

    /// Signs the first head of a new life, beyond every one that is known.
    fn open_epoch(&mut self, now: Millis) -> Result<(), StoreError> {
        let me = self.me;
        let proven = self.view.fork_at(&me).map_or(0, |fork| fork.order().epoch);
        let order = Order { epoch: self.own.order.epoch.max(proven).saturating_add(1), sequence: 0 };
        let mut batch = Batch::default();
        let mut set = self.own.set.clone();
        let mut slots = Vec::new();
        self.store.scan(Table::Unsigned, &[], &mut |key, _| {
            slots.extend(slot_of(key));
            batch.remove(Table::Unsigned, key);
            ControlFlow::Continue(())
        })?;
        for slot in slots {
            // What was written before is said in this life, so that whoever asks "since" gets it.
            let Some(body) = self.store.get(Table::Records, &record_key(&me, &slot))? else { continue };
            let Ok(mut record) = Record::from_bytes(&body) else { continue };
            record.written = order;
            if let Some((old, _)) = set.get(&slot) {
                batch.remove(Table::Marks, mark_key(&me, old));
            }
            set.insert(slot, put(&mut batch, &me, &record));
        }
        let head = Head::sign(&self.seed, self.community, self.ownership, order, live(set.values()));
        batch.put(Table::Heads, me.0, head.to_bytes());
        self.commit(&batch, Sync::Now)?;
        self.own.set = set;
        self.own.waiting = 0;
        self.own.phase = Phase::Open;
        self.publish(now, head);
        Ok(())
    }

    fn publish(&mut self, now: Millis, head: Head) {
        self.own.order = head.order();
        self.own.head = Some(head.clone());
        self.view.put_head(head);
        self.news.insert(self.me, (NEWS_ROUNDS, now));
        self.view_changed(Some(now));
        self.tell_news(now);
    }

    /// Changes this node's records, all or nothing. They are on disk when this returns, and others are told once
    /// the epoch is open.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&mut self, now: Millis, changes: &[Change]) -> Result<Order, WriteError> {
        if self.own.phase == Phase::Copied {
            return Err(WriteError::Copied);
        }
        let me = self.me;
        let open = self.own.phase == Phase::Open;
        let order = match open {
            true => Order { epoch: self.own.order.epoch, sequence: self.own.order.sequence.saturating_add(1) },
            false => Order { epoch: self.own.order.epoch.saturating_add(1), sequence: self.own.waiting.saturating_add(1) },
        };
        let mut batch = Batch::default();
        let mut changed: BTreeMap<Slot, Option<(Mark, u32)>> = BTreeMap::new();
        for change in changes {
            let slot = change.slot();
            if !slot.is_valid() {
                return Err(WriteError::Key(slot.key.clone()));
            }
            let before = changed.get(slot).copied().unwrap_or_else(|| self.own.set.get(slot).copied());
            let after = match change {
                Change::Put { schema, value, .. } => {
                    if value.len() > MAX_VALUE_BYTES {
                        return Err(WriteError::Value { bytes: value.len() });
                    }
                    let same = |old: &Record| old.schema == *schema && old.value == *value;
                    if !changed.contains_key(slot) && before.is_some() && self.get(&me, slot)?.as_ref().is_some_and(same) {
                        continue;
                    }
                    if let Some((old, _)) = before {
                        batch.remove(Table::Marks, mark_key(&me, &old));
                    }
                    Some(put(&mut batch, &me, &Record { written: order, schema: *schema, slot: slot.clone(), value: value.clone() }))
                }
                Change::Remove(_) => {
                    let Some((old, _)) = before else { continue };
                    batch.remove(Table::Marks, mark_key(&me, &old));
                    batch.remove(Table::Records, record_key(&me, slot));
                    None
                }
            };
            changed.insert(slot.clone(), after);
        }
        if changed.is_empty() {
            return Ok(self.own.order);
        }
        let kept = self.own.set.iter().filter(|(slot, _)| !changed.contains_key(*slot)).map(|(_, entry)| entry);
        let live = live(kept.chain(changed.values().flatten()));
        if live.count > MAX_RECORDS || live.bytes > MAX_SET_BYTES {
            return Err(WriteError::TooMuch { count: live.count as usize, bytes: live.bytes as usize });
        }
        let head = open.then(|| Head::sign(&self.seed, self.community, self.ownership, order, live));
        match &head {
            Some(head) => batch.put(Table::Heads, me.0, head.to_bytes()),
            None => changed.keys().for_each(|slot| batch.put(Table::Unsigned, record_key(&me, slot), [])),
        }
        self.commit(&batch, Sync::Now)?;
        let slots: Vec<Slot> = changed.keys().cloned().collect();
        for (slot, entry) in changed {
            match entry {
                Some(entry) => drop(self.own.set.insert(slot.clone(), entry)),
                None => drop(self.own.set.remove(&slot)),
            }
            self.own.touched.insert(slot);
        }
        match head {
            Some(head) => self.publish(now, head),
            None => {
                self.own.waiting = order.sequence;
                self.view.drop_head(&me);
                self.view_changed(Some(now));
            }
        }
        self.outputs.push_back(Output::Changed { node: me, slots });
        Ok(order)
    }

    /// Says to which owner this node belongs. It is on disk when this returns, and others are told once the epoch is open.
    ///
    /// # Errors
    /// See [`WriteError`]; it belongs to whom it did.
    pub fn set_ownership(&mut self, now: Millis, ownership: Option<Ownership>) -> Result<(), WriteError> {
        if self.own.phase == Phase::Copied {
            return Err(WriteError::Copied);
        }
        if self.own.phase == Phase::Open && self.ownership != ownership {
            let order = Order { epoch: self.own.order.epoch, sequence: self.own.order.sequence.saturating_add(1) };
            let head = Head::sign(&self.seed, self.community, ownership, order, live(self.own.set.values()));
            let mut batch = Batch::default();
            batch.put(Table::Heads, self.me.0, head.to_bytes());
            self.commit(&batch, Sync::Now)?;
            self.ownership = ownership;
            self.publish(now, head);
        }
        self.ownership = ownership;
        Ok(())
    }

    /// Somebody holds a head that this node signed but does not know: an old copy of its data is at work here.
    /// True if its records are to be fetched.
    pub(super) fn own_is_elsewhere(&mut self, now: Millis) -> bool {
        match self.own.phase {
            Phase::Copied => return true,
            Phase::Open => self.jump(),
            Phase::Asking | Phase::Adopting => {}
        }
        if self.own.phase != Phase::Copied && self.own.phase != Phase::Adopting {
            self.own.phase = Phase::Adopting;
            self.own.since = now;
        }
        true
    }

    /// The same moment of this node was signed twice.
    pub(super) fn own_forked(&mut self, now: Millis, order: Order) {
        if self.own.phase == Phase::Open && order.epoch >= self.own.order.epoch {
            self.jump();
            if self.own.phase == Phase::Open {
                self.own.phase = Phase::Asking;
                self.own.since = now;
                self.own.asked.clear();
            }
        }
    }

    fn jump(&mut self) {
        self.own.jumps += 1;
        if self.own.jumps > MAX_JUMPS {
            self.own.phase = Phase::Copied;
        }
    }

    /// Takes over the records of a later life of this node, but for what this life wrote.
    pub(super) fn adopt(&mut self, now: Millis, head: &Head, bodies: &BTreeMap<Mark, Vec<u8>>) -> Result<(), StoreError> {
        let me = self.me;
        let mut batch = Batch::default();
        let mut set: BTreeMap<Slot, (Mark, u32)> = BTreeMap::new();
        for (slot, (mark, bytes)) in &self.own.set {
            if self.own.touched.contains(slot) {
                set.insert(slot.clone(), (*mark, *bytes));
            } else {
                batch.remove(Table::Records, record_key(&me, slot));
                batch.remove(Table::Marks, mark_key(&me, mark));
            }
        }
        for body in bodies.values() {
            let Ok(record) = Record::from_bytes(body) else { continue };
            let total = set.values().fold(length(body), |sum, (_, bytes)| sum.saturating_add(*bytes));
            let room = set.len() < MAX_RECORDS as usize && total <= MAX_SET_BYTES;
            if !self.own.touched.contains(&record.slot) && room {
                let entry = put(&mut batch, &me, &record);
                set.insert(record.slot, entry);
            }
        }
        for slot in &self.own.touched {
            batch.put(Table::Unsigned, record_key(&me, slot), []);
        }
        batch.put(Table::Heads, me.0, head.to_bytes());
        self.commit(&batch, Sync::Now)?;
        let slots = self.own.set.keys().chain(set.keys()).cloned().collect::<BTreeSet<Slot>>().into_iter().collect();
        self.own.set = set;
        // Where there was nothing, nothing was old.
        self.own.restored |= self.own.head.is_some();
        self.own.order = head.order();
        self.own.head = Some(head.clone());
        self.own.phase = Phase::Asking;
        self.own.since = now;
        self.outputs.push_back(Output::Changed { node: me, slots });
        let opened = self.open_epoch(now);
        if opened.is_err() {
            self.own.not_before = now.plus(RETRY_PAUSE);
        }
        opened
    }
}

/// Writes a record; its mark and length.
fn put(batch: &mut Batch, node: &NodeId, record: &Record) -> (Mark, u32) {
    let body = record.to_bytes();
    let mark = record::mark(node, &body);
    let key = record_key(node, &record.slot);
    batch.put(Table::Marks, mark_key(node, &mark), key.clone());
    let length = length(&body);
    batch.put(Table::Records, key, body);
    (mark, length)
}
