//! The driver's side of comparing clocks: linked members tell each other what theirs say, and whoever's differs from most is told.

use super::{clock, state::State};
use cluster::{
    NodeId,
    clocks::{self, Said},
};
use std::time::{Duration, Instant};

/// How often it is said again: clocks are set, and datagrams get lost.
const AGAIN: Duration = Duration::from_secs(300);

impl State {
    /// Tells a member that was just linked.
    pub(super) fn tell_clock(&mut self, node: NodeId) {
        let said = clocks::to_bytes(clock::seconds(self.config.wall));
        self.links.send(node, said, Vec::new);
    }

    /// Tells all that are linked, when it is time.
    pub(super) fn tell_clocks(&mut self) {
        if self.clocks_due <= Instant::now() {
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
