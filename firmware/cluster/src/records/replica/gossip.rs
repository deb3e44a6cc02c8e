//! Whom this node tells what: summaries, news, and with whom it compares.

use super::{HOT_TIME, Output, Question, Replica, SUMMARY_PERIOD_HOT};
use crate::{
    clock::Millis,
    keys::NodeId,
    records::{exchange::Ask, summary::Datagram},
    store::Store,
};
use rand::{RngExt, seq::IteratorRandom};
use std::time::Duration;

/// How many members a new head is told to, each time it is told.
pub(super) const NEWS_FANOUT: usize = 4;
/// How often it is told.
pub(super) const NEWS_ROUNDS: u8 = 3;
/// Of so many nodes at once: where more have news, as after a restart of all, comparisons tell it cheaper.
pub(super) const NEWS_MOST: usize = 64;
/// Between two times.
pub(super) const NEWS_PAUSE: Duration = Duration::from_millis(500);
/// Whoever has fewer connections than that makes another with each summary.
const FEW_LINKS: usize = 5;
/// Between hearing of another view and comparing, so that what is under way arrives first.
pub(super) const COMPARE_DELAY_MS: std::ops::Range<u64> = 200..900;
/// Comparisons under way at once.
pub(super) const MAX_COMPARES: usize = 3;
impl<S: Store> Replica<S> {
    pub(super) fn compare_soon(&mut self, now: Millis, node: NodeId) {
        let at = now.plus(Duration::from_millis(self.rng.random_range(COMPARE_DELAY_MS)));
        self.differing.entry(node).or_insert(at);
    }

    /// With whom a comparison is under way.
    pub(super) fn compared_with(&self) -> Vec<NodeId> {
        let comparisons = self.asked.values().filter(|asked| matches!(asked.question, Question::Compare | Question::Exchange));
        comparisons.map(|asked| asked.to).collect()
    }

    pub(super) fn compare_due(&mut self, now: Millis) {
        let under_way = self.compared_with();
        let room = MAX_COMPARES.saturating_sub(under_way.len());
        let due: Vec<NodeId> = self.differing.iter().filter(|(_, at)| **at <= now).map(|(node, _)| *node).collect();
        for (index, node) in due.into_iter().enumerate() {
            self.differing.remove(&node);
            // Whoever finds no room is heard of again with its next summary.
            if index < room && !under_way.contains(&node) && self.peers.contains(&node) {
                let root = self.view.root();
                self.ask(now, node, Question::Compare, &Ask::Compare { root });
            }
        }
    }

    /// Some that are there, linked ones first: a connection costs more than what is told over it.
    pub(super) fn some_peers(&mut self, count: usize) -> Vec<NodeId> {
        let mut some = self.linked.iter().copied().sample(&mut self.rng, count);
        if some.len() < count {
            let others = self.peers.iter().filter(|peer| !some.contains(peer)).copied();
            let more = others.sample(&mut self.rng, count - some.len());
            some.extend(more);
        }
        some
    }

    /// Where this node has few connections, one that it has none to. Others close the one that they used least, and whoever is left with two or three hears
    /// late of what is new: of 60 nodes at 20 % loss one with three took 6.4 s.
    pub(super) fn another_peer(&mut self) -> Option<NodeId> {
        let few = self.linked.len() < FEW_LINKS;
        let others = self.peers.iter().filter(|peer| few && !self.linked.contains(*peer)).copied();
        others.choose(&mut self.rng)
    }

    pub(super) fn send_summary(&mut self, to: NodeId, ask: bool) {
        let (root, holders) = (self.view.root(), self.holders.bits().to_vec());
        self.outputs.push_back(Output::Datagram { to, bytes: Datagram::Summary { root, holders, ask }.to_bytes() });
    }

    pub(super) fn tell_news(&mut self, now: Millis) {
        let due: Vec<NodeId> = self.news.iter().filter(|(_, (_, at))| *at <= now).map(|(node, _)| *node).collect();
        for node in due {
            if let Some(head) = self.view.head(&node).cloned() {
                let bytes = Datagram::News(Box::new(head)).to_bytes();
                for to in self.some_peers(NEWS_FANOUT).into_iter().filter(|to| *to != node) {
                    self.outputs.push_back(Output::Datagram { to, bytes: bytes.clone() });
                }
            }
            match self.news.get_mut(&node) {
                Some((left, at)) if *left > 1 => (*left, *at) = (*left - 1, now.plus(NEWS_PAUSE)),
                _ => drop(self.news.remove(&node)),
            }
        }
    }

    pub(super) fn view_changed(&mut self, now: Option<Millis>) {
        self.holders.hold(self.view.root(), self.view.members(), &self.me);
        if let Some(now) = now {
            self.hot_until = now.plus(HOT_TIME);
            self.next_summary = self.next_summary.min(now.plus(SUMMARY_PERIOD_HOT));
        }
    }
}
