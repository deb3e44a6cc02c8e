//! Heads whose records are not here yet, and which of them is asked for next. After a restart of all there are as many as members, so nobody goes
//! through all of them to find the next.

use crate::{
    clock::Millis,
    keys::NodeId,
    records::{head::Head, record::Mark},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Nodes whose records are fetched at once.
const MAX_FETCHES: usize = 4;

/// A head whose records are not here yet.
pub(super) struct Wanted {
    pub(super) head: Head,
    /// Who is known to have it, and is not asked yet.
    pub(super) sources: VecDeque<NodeId>,
    pub(super) tries: u32,
    pub(super) at: Millis,
    pub(super) state: State,
}

pub(super) enum State {
    Idle,
    Asked,
    /// Some records are here, others are asked for.
    Staged(Box<Staged>),
}

pub(super) struct Staged {
    pub(super) head: Head,
    pub(super) from: NodeId,
    pub(super) marks: Vec<Mark>,
    pub(super) bodies: BTreeMap<Mark, Vec<u8>>,
}

impl Wanted {
    fn due(&self) -> Option<Millis> {
        (!self.is_fetched() && !self.sources.is_empty()).then_some(self.at)
    }

    fn is_fetched(&self) -> bool {
        !matches!(self.state, State::Idle)
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Wants {
    of: BTreeMap<NodeId, Wanted>,
    /// Those that wait, by when.
    due: BTreeSet<(Millis, NodeId)>,
    /// How many are being fetched.
    fetched: usize,
}

impl Wants {
    pub(super) fn get(&self, node: &NodeId) -> Option<&Wanted> {
        self.of.get(node)
    }

    pub(super) fn insert(&mut self, node: NodeId, wanted: Wanted) {
        self.remove(&node);
        self.count(node, &wanted);
        self.of.insert(node, wanted);
    }

    pub(super) fn remove(&mut self, node: &NodeId) {
        if let Some(wanted) = self.of.remove(node) {
            self.uncount(*node, &wanted);
        }
    }

    /// Changes what is wanted of a node; none where nothing is.
    pub(super) fn change<T>(&mut self, node: NodeId, change: impl FnOnce(&mut Wanted) -> T) -> Option<T> {
        let mut wanted = self.of.remove(&node)?;
        self.uncount(node, &wanted);
        let done = change(&mut wanted);
        self.count(node, &wanted);
        self.of.insert(node, wanted);
        Some(done)
    }

    /// When a fetch is to begin next; none while there is no room for one, since the end of another makes it.
    pub(super) fn next(&self) -> Option<Millis> {
        self.first_with_room().map(|(at, _)| at)
    }

    /// Whose records are to be fetched now.
    pub(super) fn due(&self, now: Millis) -> Option<NodeId> {
        self.first_with_room().filter(|(at, _)| *at <= now).map(|(_, node)| node)
    }

    fn first_with_room(&self) -> Option<(Millis, NodeId)> {
        self.due.first().copied().filter(|_| self.fetched < MAX_FETCHES)
    }

    fn count(&mut self, node: NodeId, wanted: &Wanted) {
        self.fetched += usize::from(wanted.is_fetched());
        self.due.extend(wanted.due().map(|at| (at, node)));
    }

    fn uncount(&mut self, node: NodeId, wanted: &Wanted) {
        self.fetched -= usize::from(wanted.is_fetched());
        if let Some(at) = wanted.due() {
            self.due.remove(&(at, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::{CommunityId, Key},
        records::head::{Live, Order},
    };
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Act {
        Insert(u8, u64, usize),
        Remove(u8),
        Ask(u8),
        Idle(u8, u64),
        Source(u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        let node = 0_u8..8;
        prop_oneof![
            (node.clone(), 0_u64..9, 0_usize..3).prop_map(|(node, at, sources)| Act::Insert(node, at, sources)),
            node.clone().prop_map(Act::Remove),
            node.clone().prop_map(Act::Ask),
            (node.clone(), 0_u64..9).prop_map(|(node, at)| Act::Idle(node, at)),
            node.prop_map(Act::Source),
        ]
    }

    proptest! {
        /// What is kept ready says the same as a look at all of it.
        #[test]
        fn what_is_next_is_the_first_that_waits_while_there_is_room(acts in prop::collection::vec(act(), 0..60)) {
            let head = Head::sign(&[7; 32], CommunityId([1; 32]), None, Order { epoch: 1, sequence: 1 }, Live { count: 0, bytes: 0, hash: [0; 32] });
            let id = |node: u8| Key([node; 32]);
            let mut wants = Wants::default();
            for act in acts {
                match act {
                    Act::Insert(node, at, sources) => {
                        let sources = (0..sources).map(|_| id(99)).collect();
                        wants.insert(id(node), Wanted { head: head.clone(), sources, tries: 0, at: Millis(at), state: State::Idle });
                    }
                    Act::Remove(node) => wants.remove(&id(node)),
                    Act::Ask(node) => drop(wants.change(id(node), |wanted| (wanted.sources.pop_front(), wanted.state = State::Asked))),
                    Act::Idle(node, at) => drop(wants.change(id(node), |wanted| (wanted.state, wanted.at) = (State::Idle, Millis(at)))),
                    Act::Source(node) => drop(wants.change(id(node), |wanted| wanted.sources.push_back(id(99)))),
                }
                let fetched = wants.of.values().filter(|wanted| matches!(wanted.state, State::Asked)).count();
                let waits = |wanted: &&Wanted| matches!(wanted.state, State::Idle) && !wanted.sources.is_empty();
                let first = wants.of.values().filter(waits).map(|wanted| wanted.at).min().filter(|_| fetched < MAX_FETCHES);
                prop_assert_eq!(wants.next(), first);
                for now in 0..9 {
                    let due = wants.due(Millis(now));
                    prop_assert_eq!(due.is_some(), first.is_some_and(|first| first.0 <= now));
                    prop_assert!(due.is_none_or(|node| wants.get(&node).is_some_and(|wanted| waits(&wanted) && Some(wanted.at) == first)));
                }
            }
        }
    }
}
