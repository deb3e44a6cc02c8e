//! What the clocks of the linked members say, so that a node whose own is wrong is told. It is compared and nothing else: no clock is set by it,
//! and nothing that expires asks it.

use crate::clock::Millis;
use std::collections::BTreeMap;

/// First byte of a datagram with the sender's wall clock. Nodes that do not know it pass over it.
pub const DATAGRAM: u8 = 0x43;
/// So many members are enough, and needed where there are as many.
const ENOUGH: usize = 3;
/// Clocks that nobody sets differ by so much after some months.
const TOLERATED_SECONDS: u64 = 300;

/// What a member is told: seconds since 1970 as this node's clock has them.
#[must_use]
pub fn to_bytes(seconds: u64) -> Vec<u8> {
    [&[DATAGRAM], seconds.to_le_bytes().as_slice()].concat()
}

/// Reads that.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Option<u64> {
    let seconds = bytes.strip_prefix(&[DATAGRAM])?;
    Some(u64::from_le_bytes(seconds.try_into().ok()?))
}

/// What a clock said, and when that was heard: by the monotonic count, which nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Seconds since 1970.
    pub seconds: u64,
    /// When.
    pub at: Millis,
}

/// How far a clock that says `mine` is ahead of the others' in seconds, or behind where that is less than nothing; none while it agrees with half of
/// them, and while too few of the `others` who are there said what theirs is.
#[must_use]
pub fn ahead<K>(now: Millis, mine: u64, said: &BTreeMap<K, Said>, others: usize) -> Option<i64> {
    if said.is_empty() || said.len() < others.min(ENOUGH) {
        return None;
    }
    let theirs = |said: &Said| said.seconds.saturating_add(now.since(said.at).as_secs());
    let seconds = |clock: u64| i64::try_from(clock).unwrap_or(i64::MAX);
    let difference = |said: &Said| seconds(mine).saturating_sub(seconds(theirs(said)));
    let mut differences: Vec<i64> = said.values().map(difference).collect();
    differences.sort_unstable();
    // Of an even number the one of the two in the middle that says less against this node.
    let middle = &differences[(differences.len() - 1) / 2..=differences.len() / 2];
    let median = middle.iter().copied().min_by_key(|difference| difference.unsigned_abs())?;
    (median.unsigned_abs() > TOLERATED_SECONDS).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const YEAR: u64 = 365 * 86_400;
    const NOW: u64 = 1_800_000_000;

    fn heard(seconds: &[u64]) -> BTreeMap<usize, Said> {
        seconds.iter().map(|seconds| Said { seconds: *seconds, at: Millis(0) }).enumerate().collect()
    }

    #[test]
    fn who_differs_from_most_is_told_and_who_meets_one_wrong_clock_is_not() {
        let ahead = |mine, theirs: &[u64], others| ahead(Millis(0), mine, &heard(theirs), others);
        let year = i64::try_from(YEAR).unwrap();
        assert_eq!(ahead(NOW + YEAR, &[NOW; 3], 9), Some(year));
        assert_eq!(ahead(NOW - YEAR, &[NOW - 5, NOW, NOW + 5], 9), Some(-year));
        assert_eq!(ahead(NOW, &[NOW + YEAR, NOW, NOW], 3), None, "one of three is wrong, and it is another");
        assert_eq!(ahead(NOW, &[NOW + YEAR, NOW], 2), None);
        assert_eq!(ahead(NOW, &[NOW + YEAR, NOW + YEAR, NOW], 3), Some(-year));
        assert_eq!(ahead(NOW, &[NOW + TOLERATED_SECONDS; 3], 3), None);
        assert_eq!(ahead(NOW, &[NOW + TOLERATED_SECONDS + 1; 3], 3), Some(-301));
        // Too few said theirs, unless there are no more.
        assert_eq!(ahead(NOW + YEAR, &[NOW; 2], 3), None);
        assert_eq!(ahead(NOW + YEAR, &[NOW; 2], 2), Some(year));
        assert_eq!(ahead(NOW + YEAR, &[NOW], 1), Some(year));
        assert_eq!(ahead(NOW, &[], 0), None);
        // Nonsense is no more than wrong.
        assert_eq!(ahead(NOW, &[u64::MAX, 0, NOW], 3), None);
        assert!(ahead(NOW, &[u64::MAX; 3], 3).is_some_and(i64::is_negative));
        assert!(ahead(u64::MAX, &[0; 3], 3).is_some_and(i64::is_positive));
    }

    #[test]
    fn time_passes_for_what_was_heard_too() {
        let said = heard(&[NOW; 3]);
        let later = Millis(1000 * YEAR);
        assert_eq!(ahead(later, NOW + YEAR, &said, 3), None);
        assert_eq!(ahead(later, NOW, &said, 3), Some(-i64::try_from(YEAR).unwrap()), "this clock was set back");
    }

    proptest! {
        #[test]
        fn a_clock_is_read_back_and_nothing_else_is(seconds: u64, bytes: Vec<u8>) {
            prop_assert_eq!(from_bytes(&to_bytes(seconds)), Some(seconds));
            prop_assert_eq!(from_bytes(&bytes).is_some(), bytes.len() == 9 && bytes[0] == DATAGRAM);
        }

        #[test]
        fn fewer_than_half_change_nothing(mine in NOW - 100..NOW + 100, wrong: (u64, u64), right in prop::collection::vec(NOW - 100..NOW + 100, 3..9)) {
            let theirs: Vec<u64> = right.iter().copied().chain([wrong.0, wrong.1]).collect();
            prop_assert_eq!(ahead(Millis(0), mine, &heard(&theirs), 9), None);
        }
    }
}
