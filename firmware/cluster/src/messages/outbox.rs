//! The sender's side: what waits, what is on its way, what came of it.

use super::{
    MAX_BODY_BYTES, MAX_PATIENCE, MAX_SETTLED, MAX_WAITING, MAX_WAITING_BYTES, MAX_WAITING_BYTES_PER_PEER, MAX_WAITING_PER_PEER, Outcome,
    Refusal,
    frame::{self, Answer, Deliver, Item, LineId, MAX_BATCH_BYTES, MAX_ITEMS, MessageId, Verdict},
};
use crate::{
    clock::Millis,
    keys::NodeId,
    store::{Batch, Store, StoreError, Sync, Table},
};
use line::{Asked, Line, Sent, Waiting};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rows::{Kept, KeptLine, Settled};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

mod line;
mod rows;

/// How long an answer may take before the frame counts as lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);
/// After an outcome could not be written down.
const SETTLE_AGAIN: Duration = Duration::from_secs(5);
/// How often the time that messages have left is written down.
const AGE_PERIOD: Duration = Duration::from_secs(600);

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Hand a member a frame over a stream, and tell [`Outbox::answered`] what came.
    Ask {
        /// Whom.
        to: NodeId,
        /// Names the question.
        id: u64,
        /// At most [`frame::MAX_FRAME_BYTES`].
        frame: Vec<u8>,
    },
    /// A message has its outcome; it can be read again with [`Outbox::outcome`].
    Settled {
        /// To whom it was.
        to: NodeId,
        /// Which.
        id: MessageId,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Why a message was not taken. It will have no effect, but for [`SendError::Store`]: a disk that failed may have
/// kept it all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not to this node.
    #[error("{0} is no other member of this community")]
    Stranger(NodeId),
    /// Too long.
    #[error("the message has {bytes} bytes, where {MAX_BODY_BYTES} are allowed")]
    Body {
        /// Bytes.
        bytes: usize,
    },
    /// No time to wait, or too much.
    #[error("a message may wait for 1 s to {most} s", most = MAX_PATIENCE.as_secs())]
    Patience,
    /// Too much waits already.
    #[error("{count} messages with {bytes} bytes wait for {whom}: try again when some have their outcome")]
    Full {
        /// For whom.
        whom: &'static str,
        /// Messages.
        count: usize,
        /// Bytes.
        bytes: usize,
    },
    /// The disk did not take it.
    #[error("not kept: {0}")]
    Store(#[from] StoreError),
}

/// The sender's side. Bodies stay on disk.
#[derive(Debug)]
pub struct Outbox {
    me: NodeId,
    members: BTreeSet<NodeId>,
    alive: BTreeSet<NodeId>,
    lines: BTreeMap<NodeId, Line>,
    next_settled: u64,
    next_age: Millis,
    count: u64,
    outputs: VecDeque<Output>,
    rng: StdRng,
    problem: Option<StoreError>,
}

impl Outbox {
    /// Opens what the store holds. Time goes on from what was left of it; the time that the machine was off does not
    /// count. `random` draws the names of messages, so it must come from the system's generator.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn open(now: Millis, store: &impl Store, me: NodeId, random: [u8; 32]) -> Result<Self, StoreError> {
        let mut outbox = Self {
            me,
            members: BTreeSet::new(),
            alive: BTreeSet::new(),
            lines: rows::lines(now, store)?,
            next_settled: rows::next_settled(store)?,
            next_age: now.plus(AGE_PERIOD),
            count: 0,
            outputs: VecDeque::new(),
            rng: StdRng::from_seed(random),
            problem: None,
        };
        // Names of asked questions differ between lives, so that an answer to an earlier one means nothing.
        outbox.count = outbox.rng.random::<u64>() >> 1;
        Ok(outbox)
    }

    /// Who belongs to the community, and who of them is there. Who comes back is tried at once.
    pub fn set_peers(&mut self, now: Millis, members: BTreeSet<NodeId>, alive: BTreeSet<NodeId>) {
        for node in alive.difference(&self.alive) {
            if let Some(line) = self.lines.get_mut(node) {
                (line.tries, line.not_before) = (0, now);
            }
        }
        (self.members, self.alive) = (members, alive);
    }

    /// Keeps a message for a member until it has an outcome, at most for `patience` of this machine's running time.
    /// It is on disk when this returns.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &mut self,
        now: Millis,
        store: &mut impl Store,
        to: NodeId,
        kind: u16,
        body: &[u8],
        patience: Duration,
    ) -> Result<MessageId, SendError> {
        if to == self.me || !self.members.contains(&to) {
            return Err(SendError::Stranger(to));
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(SendError::Body { bytes: body.len() });
        }
        if !(Duration::from_secs(1)..=MAX_PATIENCE).contains(&patience) {
            return Err(SendError::Patience);
        }
        self.room_for(&to, body.len())?;
        let id = MessageId(self.rng.random());
        let opened = LineId { generation: 1, random: self.rng.random() };
        let (line, number) = self.lines.get(&to).map_or((opened, 1), |line| (line.id, line.next));
        let kept = Kept { id, kind, left_ms: millis(patience), body: body.to_vec() };
        let mut batch = Batch::default();
        batch.put(Table::Outbox, rows::line_key(&to), KeptLine { id: line, next: number.saturating_add(1) }.to_bytes());
        batch.put(Table::Outbox, rows::message_key(&to, number), kept.to_bytes());
        self.commit(store, &batch)?;
        let line = self.lines.entry(to).or_insert_with(|| Line::new(now, line));
        line.next = number.saturating_add(1);
        line.waiting.insert(number, Waiting { id, kind, bytes: body.len(), deadline: now.plus(patience), sent: Sent::Never });
        self.push(now, store, to);
        Ok(id)
    }

    fn room_for(&self, to: &NodeId, more: usize) -> Result<(), SendError> {
        let bytes = |line: &Line| line.waiting.values().map(|waiting| waiting.bytes).sum::<usize>();
        let (count, held) = self.lines.get(to).map_or((0, 0), |line| (line.waiting.len(), bytes(line)));
        if count >= MAX_WAITING_PER_PEER || held + more > MAX_WAITING_BYTES_PER_PEER {
            return Err(SendError::Full { whom: "this member", count, bytes: held });
        }
        let (count, held) = (self.waiting(), self.lines.values().map(bytes).sum::<usize>());
        if count >= MAX_WAITING || held + more > MAX_WAITING_BYTES {
            return Err(SendError::Full { whom: "all members together", count, bytes: held });
        }
        Ok(())
    }

    /// How many messages wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// Whether a message waits.
    #[must_use]
    pub fn waits(&self, id: &MessageId) -> bool {
        self.lines.values().any(|line| line.waiting.values().any(|waiting| waiting.id == *id))
    }

    /// What became of one of the last [`MAX_SETTLED`] messages that have an outcome: to whom, and what.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn outcome(&self, store: &impl Store, id: &MessageId) -> Result<Option<(NodeId, Outcome)>, StoreError> {
        rows::outcome(store, id)
    }

    /// What is wrong with the store, while it is.
    #[must_use]
    pub fn problem(&self) -> Option<&StoreError> {
        self.problem.as_ref()
    }

    /// When [`Outbox::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let lines = self.lines.iter().filter_map(|(to, line)| line.due(self.members.contains(to)));
        lines.chain([self.next_age]).min().unwrap_or(self.next_age)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis, store: &mut impl Store) {
        let late = |line: &Line| line.asked.as_ref().filter(|asked| asked.until <= now).map(|asked| asked.id);
        let late: Vec<u64> = self.lines.values().filter_map(late).collect();
        for id in late {
            self.answered(now, store, id, None);
        }
        let peers: Vec<NodeId> = self.lines.keys().copied().collect();
        for to in peers {
            self.expire(now, store, to);
            self.push(now, store, to);
        }
        if self.next_age <= now {
            self.next_age = now.plus(AGE_PERIOD);
            self.age(now, store);
        }
    }

    /// What came of [`Output::Ask`]: a frame, or none if the member was not reached or did not answer.
    pub fn answered(&mut self, now: Millis, store: &mut impl Store, id: u64, frame: Option<&[u8]>) {
        let of = self.lines.iter_mut().find(|(_, line)| line.asked.as_ref().is_some_and(|asked| asked.id == id));
        let Some((to, line)) = of else { return };
        let (to, Some(asked)) = (*to, line.asked.take()) else { return };
        let went_on = match frame.map(frame::read_answer) {
            Some(Ok(Answer::Verdicts(verdicts))) if (1..=asked.numbers.len()).contains(&verdicts.len()) => {
                let settled = asked.numbers.into_iter().zip(verdicts.into_iter().map(|verdict| match verdict {
                    Verdict::Done => Outcome::Delivered,
                    Verdict::Refused(refusal) => Outcome::Refused(refusal),
                }));
                self.settle(store, to, settled.collect())
            }
            Some(Ok(Answer::Past { generation })) => self.open_line(store, to, generation),
            _ => false,
        };
        if let Some(line) = self.lines.get_mut(&to) {
            if went_on { (line.tries, line.not_before) = (0, now) } else { line.pause(now, &mut self.rng) }
        }
        self.expire(now, store, to);
        self.push(now, store, to);
    }

    /// Writes outcomes down, then tells them. False if the disk did not take them: the messages go on waiting.
    fn settle(&mut self, store: &mut impl Store, to: NodeId, outcomes: Vec<(u64, Outcome)>) -> bool {
        let Some(line) = self.lines.get(&to) else { return false };
        let mut batch = Batch::default();
        let mut next = self.next_settled;
        let mut told = Vec::new();
        for (number, outcome) in outcomes {
            let Some(waiting) = line.waiting.get(&number) else { continue };
            batch.remove(Table::Outbox, rows::message_key(&to, number));
            let settled = Settled { to, id: waiting.id, kind: waiting.kind, outcome: outcome.clone() };
            batch.put(Table::Outbox, rows::settled_key(next), settled.to_bytes());
            if let Some(old) = next.checked_sub(MAX_SETTLED) {
                batch.remove(Table::Outbox, rows::settled_key(old));
            }
            next += 1;
            told.push((number, waiting.id, outcome));
        }
        if self.commit(store, &batch).is_err() {
            return false;
        }
        self.next_settled = next;
        for (number, id, outcome) in told {
            if let Some(line) = self.lines.get_mut(&to) {
                line.waiting.remove(&number);
            }
            self.outputs.push_back(Output::Settled { to, id, outcome });
        }
        true
    }

    /// Ends the wait of those whose time is over, unless an answer is still to come.
    fn expire(&mut self, now: Millis, store: &mut impl Store, to: NodeId) {
        let Some(line) = self.lines.get(&to) else { return };
        let over: Vec<(u64, Outcome)> = line.over(now);
        if !over.is_empty()
            && !self.settle(store, to, over)
            && let Some(line) = self.lines.get_mut(&to)
        {
            line.settle_after = now.plus(SETTLE_AGAIN);
        }
    }

    /// The receiver knows the line as one that has gone on elsewhere: what was kept in an earlier life of this card
    /// may have arrived or not, what this life wrote goes into a new line.
    fn open_line(&mut self, store: &mut impl Store, to: NodeId, generation: u64) -> bool {
        let Some(line) = self.lines.get(&to) else { return false };
        let Some(generation) = line.id.generation.max(generation).checked_add(1) else { return false };
        let earlier = line.waiting.iter().filter(|(_, waiting)| waiting.sent == Sent::Perhaps);
        let earlier: Vec<(u64, Outcome)> = earlier.map(|(number, _)| (*number, Outcome::Unknown)).collect();
        if !earlier.is_empty() && !self.settle(store, to, earlier) {
            return false;
        }
        let Some(line) = self.lines.get(&to) else { return false };
        let id = LineId { generation, random: self.rng.random() };
        let mut batch = Batch::default();
        let mut renumbered = BTreeMap::new();
        for (next, (old, waiting)) in (1_u64..).zip(&line.waiting) {
            let key = rows::message_key(&to, *old);
            match store.get(Table::Outbox, &key) {
                Ok(Some(body)) => {
                    batch.remove(Table::Outbox, key);
                    batch.put(Table::Outbox, rows::message_key(&to, next), body);
                }
                Ok(None) => {}
                Err(error) => {
                    self.problem = Some(error);
                    return false;
                }
            }
            renumbered.insert(next, waiting.clone());
        }
        // Removing comes first: an old number may be one of the new ones.
        batch.changes.sort_by_key(|(_, _, value)| value.is_some());
        let next = renumbered.keys().next_back().map_or(1, |last| last + 1);
        batch.put(Table::Outbox, rows::line_key(&to), KeptLine { id, next }.to_bytes());
        if self.commit(store, &batch).is_err() {
            return false;
        }
        if let Some(line) = self.lines.get_mut(&to) {
            (line.id, line.next, line.waiting) = (id, next, renumbered);
        }
        true
    }

    /// Sends the lowest that wait, if nothing is on its way.
    fn push(&mut self, now: Millis, store: &mut impl Store, to: NodeId) {
        let Some(line) = self.lines.get(&to) else { return };
        if line.asked.is_some() || line.waiting.is_empty() || line.not_before > now || !self.members.contains(&to) {
            return;
        }
        let (mut items, mut damaged, mut room) = (Vec::new(), Vec::new(), MAX_BATCH_BYTES);
        for (number, waiting) in line.waiting.iter().take(MAX_ITEMS) {
            let Some(left) = room.checked_sub(waiting.bytes) else { break };
            room = left;
            match store.get(Table::Outbox, &rows::message_key(&to, *number)) {
                Ok(kept) => match kept.and_then(|bytes| Kept::from_bytes(&bytes).ok()) {
                    Some(kept) => items.push(Item { number: *number, id: kept.id, kind: kept.kind, body: kept.body }),
                    None => damaged.push((*number, Outcome::Unknown)),
                },
                Err(error) => {
                    self.problem = Some(error);
                    break;
                }
            }
        }
        if !damaged.is_empty() {
            self.settle(store, to, damaged);
        }
        let Some(line) = self.lines.get_mut(&to) else { return };
        if items.is_empty() {
            line.pause(now, &mut self.rng);
            return;
        }
        let numbers: Vec<u64> = items.iter().map(|item| item.number).collect();
        for number in &numbers {
            if let Some(waiting) = line.waiting.get_mut(number) {
                waiting.sent = waiting.sent.max(Sent::Now);
            }
        }
        self.count += 1;
        line.asked = Some(Asked { id: self.count, numbers, until: now.plus(ANSWER_PATIENCE) });
        let frame = frame::frame(&Deliver { line: line.id, items });
        self.outputs.push_back(Output::Ask { to, id: self.count, frame });
    }

    /// Writes down how much time the messages have left. It may be lost: then they wait for longer.
    fn age(&mut self, now: Millis, store: &mut impl Store) {
        let mut batch = Batch::default();
        for (to, line) in &self.lines {
            for (number, waiting) in &line.waiting {
                let key = rows::message_key(to, *number);
                let kept = store.get(Table::Outbox, &key).ok().flatten().and_then(|bytes| Kept::from_bytes(&bytes).ok());
                if let Some(mut kept) = kept {
                    kept.left_ms = millis(waiting.deadline.since(now));
                    batch.put(Table::Outbox, key, kept.to_bytes());
                }
            }
        }
        if let Err(error) = store.commit(&batch, Sync::Later) {
            self.problem = Some(error);
        }
    }

    fn commit(&mut self, store: &mut impl Store, batch: &Batch) -> Result<(), StoreError> {
        let done = store.commit(batch, Sync::Now);
        self.problem = done.as_ref().err().cloned();
        done
    }

    /// What is to be done, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
