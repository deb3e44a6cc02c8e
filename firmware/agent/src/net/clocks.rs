//! The driver's side of comparing clocks: linked members tell each other what theirs say, and whoever's differs from most is told.

use super::{clock, state::State};
use cluster::{
    NodeId,
    clocks::{self, Said},
};
use std::time::{Duration, Instant};

/// How often it is said again: clocks are set, and datagrams get lost.
const AGAIN: Duration = Duration::from_secs(300);
/// A clock that goes on by so much more or less than the time that passed was set.
const SET_SECONDS: u64 = 10;

impl State {
    /// Tells a member that was just linked.
    pub(super) fn tell_clock(&mut self, node: NodeId) {
        let said = clocks::to_bytes(clock::seconds(self.config.wall));
        self.links.send(node, said, Vec::new);
    }

    /// Tells all that are linked, when it is time.
    pub(super) fn tell_clocks(&mut self) {
        // Whoever's own clock was set hears anew what the others' say, who may have got the time just now too: from one power cut, with one time server.
        let began = clock::seconds(self.config.wall).saturating_sub(self.now().0 / 1000);
        let was_set = began.abs_diff(self.clock_began) > SET_SECONDS;
        if was_set {
            self.clock_began = began;
            self.clocks.clear();
        }
        if was_set || self.clocks_due <= Instant::now() {
            self.clocks_due = Instant::now() + AGAIN;
            for node in self.links.linked_nodes() {
                self.tell_clock(node);
            }
        }
    }

    /// A member says what its clock says.
    pub(super) fn hear_clock(&mut self, node: NodeId, bytes: &[u8]) {
        if let Some(seconds) = clocks::from_bytes(bytes) {
            self.clocks.insert(node, Said { seconds, at: self.now() });
        }
    }

    /// Forgets those who are not linked any more.
    pub(super) fn keep_clocks(&mut self) {
        let links = &self.links;
        self.clocks.retain(|node, _| links.is_open(node));
    }

    /// How far this node's clock is ahead of the others' in seconds, where it is wrong.
    pub(super) fn clock_ahead(&self) -> Option<i64> {
        let others = self.node.as_ref()?.alive().count();
        clocks::ahead(self.now(), clock::seconds(self.config.wall), &self.clocks, others)
    }
}
