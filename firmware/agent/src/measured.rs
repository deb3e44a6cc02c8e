//! Round trips to members that this node has no connection to, measured when somebody finds a service of theirs.
//!
//! Architecture invariant: only members are dialled, by their key; what a service says of its address is never connected to by a search.

use crate::limits::{MEASURED_A_MINUTE, MEASURED_AGAIN, MEASURED_AT_ONCE, MEASURED_HOLDS};
use crate::net::{MemberLine, NetHandle};
use crate::quality::{Measure, Reach};
use cluster::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long measurements are counted for what may be done in a minute.
const MINUTE: Duration = Duration::from_secs(60);

/// The last try to measure a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tried {
    /// When it was begun, since [`Measured`] was made.
    at: Duration,
    /// What came of the last one that came to an end, and when that was.
    found: Option<(Duration, Measure)>,
}

type Table = BTreeMap<NodeId, Tried>;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    line: Option<MemberLine>,
    began: Instant,
    tried: Mutex<Table>,
    turns: Arc<Semaphore>,
}

impl Measured {
    /// Nothing yet. Without the network part nothing ever is.
    pub fn new(net: Option<&NetHandle>) -> Self {
        Self {
            line: net.map(|net| net.line.clone()),
            began: Instant::now(),
            tried: Mutex::default(),
            turns: Arc::new(Semaphore::new(MEASURED_AT_ONCE)),
        }
    }

    fn tried(&self) -> MutexGuard<'_, Table> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was measured to a member, unless that was long ago.
    pub fn of(&self, node: &NodeId) -> Option<Measure> {
        fresh(self.tried().get(node)?.found?, self.began.elapsed())
    }

    /// Measures those of some members for which it is time, while whoever asks goes on.
    pub fn look(self: &Arc<Self>, nodes: Vec<NodeId>) {
        let Some(line) = &self.line else { return };
        let now = self.began.elapsed();
        let due = {
            let mut tried = self.tried();
            // Who is no member any more is forgotten here.
            tried.retain(|node, _| line.admits(node));
            let due = due(&tried, nodes.into_iter().filter(|node| line.admits(node)), now);
            due.iter().for_each(|node| tried.entry(*node).or_default().at = now);
            due
        };
        for node in due {
            let (measured, line) = (Arc::clone(self), line.clone());
            tokio::spawn(async move {
                let Ok(_turn) = measured.turns.acquire().await else { return };
                let found = match line.round_trip(&node).await {
                    Ok(rtt) => Measure::Reached(Reach { rtt, lost_permille: None }),
                    Err(seen) => {
                        log::debug!(node = node.short(), seen; "a member was not reached when it was to be measured");
                        Measure::Silent
                    }
                };
                let now = measured.began.elapsed();
                if let Some(tried) = measured.tried().get_mut(&node) {
                    tried.found = Some((now, found));
                }
            });
        }
    }
}

/// What was found, while it says something of now.
fn fresh((at, found): (Duration, Measure), now: Duration) -> Option<Measure> {
    (now.saturating_sub(at) < MEASURED_HOLDS).then_some(found)
}

/// Whom to measure of those that were found: nobody again so soon, and no more in a minute than a node may, whoever searches how often.
fn due(tried: &Table, found: impl Iterator<Item = NodeId>, now: Duration) -> Vec<NodeId> {
    let since = |node: &NodeId| tried.get(node).map(|tried| now.saturating_sub(tried.at));
    let spent = tried.values().filter(|tried| now.saturating_sub(tried.at) < MINUTE).count();
    let mut due: Vec<NodeId> = found.filter(|node| since(node).is_none_or(|since| since >= MEASURED_AGAIN)).collect();
    due.sort_unstable();
    due.dedup();
    // Those that were never measured first, then the longest ago.
    due.sort_by_key(|node| std::cmp::Reverse(since(node).unwrap_or(Duration::MAX)));
    due.truncate(MEASURED_A_MINUTE.saturating_sub(spent));
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;
    use proptest::prelude::*;

    fn node(number: u8) -> NodeId {
        Key([number; 32])
    }

    fn table(tried: &[(u8, u64)]) -> Table {
        tried.iter().map(|(number, at)| (node(*number), Tried { at: Duration::from_secs(*at), found: None })).collect()
    }

    #[test]
    fn nobody_is_measured_again_so_soon_and_the_longest_ago_goes_first() {
        let again = MEASURED_AGAIN.as_secs();
        let tried = table(&[(1, 100), (2, 50), (3, 99 + again)]);
        let found = [1, 2, 3, 4, 4].map(node);
        assert_eq!(due(&tried, found.into_iter(), Duration::from_secs(100 + again)), [4, 2, 1].map(node));
        assert_eq!(due(&tried, found.into_iter(), Duration::from_secs(99 + again)), [4, 2].map(node));
    }

    #[test]
    fn what_was_measured_long_ago_says_nothing_of_now() {
        let (at, now) = (Duration::from_secs(7), Duration::from_secs(7) + MEASURED_HOLDS);
        assert_eq!(fresh((at, Measure::Silent), now - Duration::from_secs(1)), Some(Measure::Silent));
        assert_eq!(fresh((at, Measure::Silent), now), None);
    }

    proptest! {
        /// However often people search, and whatever they find.
        #[test]
        fn in_a_minute_no_more_are_measured_than_a_node_may(searches in prop::collection::vec((0_u64..20, prop::collection::vec(any::<u8>(), 0..60)), 0..40)) {
            let (mut tried, mut now, mut begun) = (Table::new(), Duration::from_secs(1000), Vec::new());
            for (later, found) in searches {
                now += Duration::from_secs(later);
                for node in due(&tried, found.into_iter().map(node), now) {
                    tried.insert(node, Tried { at: now, found: None });
                    begun.push((now, node));
                }
                let within = begun.iter().filter(|(at, _)| now - *at < MINUTE).count();
                prop_assert!(within <= MEASURED_A_MINUTE, "{within}");
            }
            for (index, (at, node)) in begun.iter().enumerate() {
                prop_assert!(!begun[..index].iter().any(|(before, same)| same == node && *at - *before < MEASURED_AGAIN));
            }
        }
    }
}
