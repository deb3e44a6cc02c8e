//! Taking heads of others: a head counts once all its records are here.

use super::wants::{Staged, State, Wanted};
use super::{Asked, NEWS_MOST, NEWS_PAUSE, NEWS_ROUNDS, Output, Phase, Question, Replica, held, mark_key, record_key, slot_of};
use crate::{
    clock::Millis,
    keys::NodeId,
    records::{
        exchange::{Answer, Ask},
        head::{self, Fork, Head},
        record::{self, Record, Slot},
    },
    store::{Batch, Store, StoreError, Sync, Table},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Members that are asked for the same head, one after the other.
const MAX_SOURCES: usize = 8;
/// Whoever does not answer within that is not waited for alone: with much loss a stream may take many seconds, and others have the same.
pub(super) const SLOW: Duration = Duration::from_millis(1500);
/// The first pause after nobody had the records of a head, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(300);

impl<S: Store> Replica<S> {
    /// Looks at a head that a member has: takes it, wants its records, or leaves it. Whoever gives heads asks for what is wanted once, after the last
    /// (`fetch_due`), since a restart of all brings a thousand of them together.
    pub(super) fn consider(&mut self, now: Millis, from: NodeId, head: Head) {
        let node = head.node();
        let own = node == self.me && self.own.phase != Phase::Copied;
        let known = if own { self.own.head.as_ref() } else { self.view.head(&node) };
        // Most heads come several times: hashes are made of those alone that differ.
        let is_known = |known: &Head| known.order() > head.order() || known.is(&head);
        if !self.view.members().contains(&node) || known.is_some_and(is_known) {
            return;
        }
        let wanted = self.wanted.get(&node).map(|wanted| wanted.head.clone());
        let same_as_wanted = wanted.as_ref().is_some_and(|wanted| wanted.is(&head));
        if !same_as_wanted && head.verify(self.community).is_err() {
            self.refused.statements += 1;
            return;
        }
        // From here on, the node has signed it.
        let twin = known.cloned().into_iter().chain(wanted).find(|other| other.order() == head.order() && other.mark() != head.mark());
        if let Some(fork) = twin.and_then(|twin| Fork::new(twin, head.clone()).ok()) {
            self.forked(now, from, fork);
        }
        let known = if own { self.own.head.as_ref() } else { self.view.head(&node) };
        if known.is_some_and(|known| known.rank() >= head.rank()) {
            return;
        }
        if own && !self.own_is_elsewhere(now) {
            return;
        }
        match self.wanted.get(&node) {
            Some(wanted) if wanted.head.rank() > head.rank() => return,
            Some(wanted) if wanted.head.is(&head) => {
                let is_asked =
                    self.asked.values().any(|asked| asked.to == from && matches!(asked.question, Question::Since(other) if other == node));
                if wanted.sources.len() < MAX_SOURCES && !wanted.sources.contains(&from) && !is_asked {
                    self.wanted.change(node, |wanted| wanted.sources.push_back(from));
                }
            }
            Some(_) => {
                self.wanted.change(node, |wanted| {
                    wanted.head = head;
                    wanted.sources = [from].into();
                    wanted.tries = 0;
                    wanted.at = now;
                });
            }
            None => {
                let sources = [from].into();
                self.wanted.insert(node, Wanted { head, sources, tries: 0, at: now, state: State::Idle });
            }
        }
        self.take_if_only_the_head_is_new(now, node);
    }

    /// A restart changes the head, not what it lists.
    fn take_if_only_the_head_is_new(&mut self, now: Millis, node: NodeId) {
        let Some(head) = self.wanted.get(&node).map(|wanted| wanted.head.clone()) else { return };
        let own = node == self.me && self.own.phase != Phase::Copied;
        if !own && self.view.head(&node).is_some_and(|held| held.live() == head.live()) {
            let mut batch = Batch::default();
            batch.put(Table::Heads, node.0, head.to_bytes());
            if self.commit(&batch, Sync::Later).is_ok() {
                self.taken(now, head, Vec::new());
            }
        }
    }

    /// Asks for what is wanted and not asked for yet, as much as there is room for.
    pub(super) fn fetch_due(&mut self, now: Millis) {
        while let Some(node) = self.wanted.due(now) {
            if !self.ask_source(now, node) {
                return;
            }
        }
    }

    /// When somebody is to be asked beside one who is slow.
    pub(super) fn next_slow(&self) -> Option<Millis> {
        self.asked.values().filter(|asked| self.slow(asked).is_some()).filter_map(|asked| asked.slow_at).min()
    }

    /// Whose records are asked for of one beside whom another could be asked.
    fn slow(&self, asked: &Asked) -> Option<NodeId> {
        let Question::Since(node) = asked.question else { return None };
        let wanted = self.wanted.get(&node)?;
        let waits = matches!(wanted.state, State::Asked) && !wanted.sources.is_empty();
        (waits && asked.slow_at.is_some()).then_some(node)
    }

    /// Asks another for the same where one is slow; the first good answer counts.
    pub(super) fn ask_beside_slow(&mut self, now: Millis) {
        let is_due = |asked: &Asked| asked.slow_at.is_some_and(|at| at <= now);
        let slow: Vec<(u64, NodeId)> =
            self.asked.iter().filter(|(_, asked)| is_due(asked)).filter_map(|(id, asked)| Some((*id, self.slow(asked)?))).collect();
        for (id, node) in slow {
            if let Some(asked) = self.asked.get_mut(&id) {
                asked.slow_at = None;
            }
            self.ask_source(now, node);
        }
    }

    /// Asks the next who has what is wanted of a node; false if nobody is known to.
    fn ask_source(&mut self, now: Millis, node: NodeId) -> bool {
        let since = if node == self.me { None } else { held(&self.view, &node) };
        let asked = self.wanted.change(node, |wanted| {
            let from = wanted.sources.pop_front()?;
            wanted.state = State::Asked;
            Some(from)
        });
        let Some(from) = asked.flatten() else { return false };
        self.ask(now, from, Question::Since(node), &Ask::Since { node, since });
        true
    }

    pub(super) fn since_answered(&mut self, now: Millis, node: NodeId, from: NodeId, answer: Option<Answer>) {
        // Another was quicker.
        if self.wanted.get(&node).is_some_and(|wanted| matches!(wanted.state, State::Staged(_))) {
            return;
        }
        let Some(Answer::Set { head, marks, bodies }) = answer else {
            self.source_failed(now, node);
            return;
        };
        let known = if node == self.me && self.own.phase != Phase::Copied { self.own.head.as_ref() } else { self.view.head(&node) };
        if known.is_some_and(|known| known.rank() >= head.rank()) {
            // The answerer has fallen behind since it told of the head.
            self.source_failed(now, node);
            return;
        }
        let ascending = marks.is_sorted_by(|one, other| one < other);
        let as_signed = head.live().count as usize == marks.len() && head.live().hash == head::hash(&marks);
        if head.node() != node || head.verify(self.community).is_err() || !ascending || !as_signed {
            self.refused.sets += 1;
            self.source_failed(now, node);
            return;
        }
        let staged = Box::new(Staged { head: *head, from, marks, bodies: BTreeMap::new() });
        self.stage(now, node, staged, bodies);
    }

    pub(super) fn bodies_answered(&mut self, now: Millis, node: NodeId, answer: Option<Answer>) {
        let was = self.wanted.change(node, |wanted| std::mem::replace(&mut wanted.state, State::Idle));
        let Some(State::Staged(staged)) = was else { return };
        match answer {
            // An answer with nothing brings nothing further.
            Some(Answer::Bodies(bodies)) if !bodies.is_empty() => self.stage(now, node, staged, bodies),
            _ => self.fetch_failed(now, node),
        }
    }

    /// Adds records to a set that is being fetched; takes it when it is whole, else asks for more.
    fn stage(&mut self, now: Millis, node: NodeId, mut staged: Box<Staged>, bodies: Vec<Vec<u8>>) {
        let before = staged.bodies.len();
        for body in bodies {
            let mark = record::mark(&node, &body);
            if staged.marks.binary_search(&mark).is_ok() && Record::from_bytes(&body).is_ok() {
                staged.bodies.insert(mark, body);
            }
        }
        let mut missing = Vec::new();
        for mark in &staged.marks {
            if !staged.bodies.contains_key(mark) {
                match self.body(&node, mark) {
                    Ok(Some(_)) => {}
                    Ok(None) => missing.push(*mark),
                    Err(error) => {
                        self.after_failure(error);
                        self.fetch_failed(now, node);
                        return;
                    }
                }
            }
        }
        if missing.is_empty() {
            self.complete(now, node, &staged);
        } else if before > 0 && staged.bodies.len() == before {
            // Records that belong to no set: the answerer plays for time.
            self.refused.sets += 1;
            self.fetch_failed(now, node);
        } else {
            let from = staged.from;
            if self.wanted.change(node, |wanted| wanted.state = State::Staged(staged)).is_some() {
                self.ask(now, from, Question::Bodies(node), &Ask::Bodies { node, marks: missing });
            }
        }
    }

    fn complete(&mut self, now: Millis, node: NodeId, staged: &Staged) {
        let done = match self.check_set(node, staged) {
            Ok(true) if node == self.me && self.own.phase != Phase::Copied => self.adopt_staged(now, staged),
            Ok(true) => self.replace_set(now, node, staged),
            Ok(false) => {
                self.refused.sets += 1;
                self.fetch_failed(now, node);
                return;
            }
            Err(error) => Err(error),
        };
        if done.is_err() {
            self.fetch_failed(now, node);
        }
    }

    /// Whether the records are what the head says: one for each slot, none of a later moment, with so many bytes.
    fn check_set(&self, node: NodeId, staged: &Staged) -> Result<bool, StoreError> {
        let (mut slots, mut bytes) = (BTreeSet::new(), 0_usize);
        for mark in &staged.marks {
            let stored = if staged.bodies.contains_key(mark) { None } else { self.body(&node, mark)? };
            let Some(body) = staged.bodies.get(mark).or(stored.as_ref()) else { return Ok(false) };
            let Ok(record) = Record::from_bytes(body) else { return Ok(false) };
            bytes += body.len();
            if record.written > staged.head.order() || !slots.insert(record.slot) {
                return Ok(false);
            }
        }
        Ok(bytes == staged.head.live().bytes as usize)
    }

    fn adopt_staged(&mut self, now: Millis, staged: &Staged) -> Result<(), StoreError> {
        let mut bodies = staged.bodies.clone();
        for mark in &staged.marks {
            if let (false, Some(body)) = (bodies.contains_key(mark), self.body(&self.me, mark)?) {
                bodies.insert(*mark, body);
            }
        }
        let done = self.adopt(now, &staged.head, &bodies);
        self.wanted.remove(&self.me);
        done
    }

    fn replace_set(&mut self, now: Millis, node: NodeId, staged: &Staged) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut slots = BTreeSet::new();
        for old in self.marks_of(&node)? {
            if staged.marks.binary_search(&old).is_err() {
                if let Some(key) = self.store.get(Table::Marks, &mark_key(&node, &old))? {
                    slots.extend(slot_of(&key));
                    batch.remove(Table::Records, key);
                }
                batch.remove(Table::Marks, mark_key(&node, &old));
            }
        }
        for (mark, body) in &staged.bodies {
            if let Ok(record) = Record::from_bytes(body) {
                let key = record_key(&node, &record.slot);
                batch.put(Table::Marks, mark_key(&node, mark), key.clone());
                batch.put(Table::Records, key, body.clone());
                slots.insert(record.slot);
            }
        }
        batch.put(Table::Heads, node.0, staged.head.to_bytes());
        self.commit(&batch, Sync::Later)?;
        self.taken(now, staged.head.clone(), slots.into_iter().collect());
        Ok(())
    }

    /// A head is in the store with all its records.
    fn taken(&mut self, now: Millis, head: Head, slots: Vec<Slot>) {
        let node = head.node();
        let rank = head.rank();
        self.view.put_head(head);
        // Beyond that, comparisons bring many at once.
        if self.news.len() < NEWS_MOST || self.news.contains_key(&node) {
            self.news.insert(node, (NEWS_ROUNDS, now.plus(NEWS_PAUSE / 4)));
        }
        if self.wanted.get(&node).is_some_and(|wanted| wanted.head.rank() > rank) {
            // The one who told of the newer head had to give an older one; others may be quicker.
            self.wanted.change(node, |wanted| wanted.state = State::Idle);
        } else {
            self.wanted.remove(&node);
        }
        if node == self.me {
            let _problem = self.load_own();
        }
        self.view_changed(Some(now));
        self.outputs.push_back(Output::Changed { node, slots });
        self.tell_news(now);
    }

    /// One who was asked has it not; the answer of another who was asked beside it may still come.
    fn source_failed(&mut self, now: Millis, node: NodeId) {
        match self.asked.values_mut().find(|asked| matches!(asked.question, Question::Since(other) if other == node)) {
            // Beside the one that is left, a third is asked.
            Some(asked) => drop(asked.slow_at.get_or_insert(now.plus(SLOW))),
            None => self.fetch_failed(now, node),
        }
    }

    /// Asks the next who has the head, after a pause if all were asked.
    fn fetch_failed(&mut self, now: Millis, node: NodeId) {
        if self.wanted.get(&node).is_some_and(|wanted| wanted.sources.is_empty()) {
            // Whoever has it tells of it again; nothing is remembered of a head that nobody has.
            self.wanted.remove(&node);
            return;
        }
        self.wanted.change(node, |wanted| {
            wanted.state = State::Idle;
            wanted.tries = wanted.tries.saturating_add(1);
            let pause = FIRST_PAUSE.saturating_mul(1 << wanted.tries.min(10)).min(MAX_PAUSE);
            wanted.at = now.plus(pause);
        });
    }
}
