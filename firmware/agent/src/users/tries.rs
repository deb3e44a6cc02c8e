//! How often somebody failed, and how long they wait therefore. Pure, bounded; the time is said by those who ask.

use crate::limits::{TRIES_COUNTED, TRIES_FORGOTTEN};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Failed {
    times: u32,
    last: Instant,
}

/// Failures by address, or by name.
#[derive(Debug)]
pub struct Tries<K> {
    failed: HashMap<K, Failed>,
    free: u32,
    longest: Duration,
}

impl<K: Eq + Hash + Clone> Tries<K> {
    /// Nobody failed; so many failures are `free`, after which the wait doubles from four seconds up to `longest`.
    pub fn new(free: u32, longest: Duration) -> Self {
        Self { failed: HashMap::new(), free, longest }
    }

    /// How long one must still wait; none who may try.
    pub fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let failed = self.failed.get(key).filter(|failed| now.saturating_duration_since(failed.last) < TRIES_FORGOTTEN)?;
        let over = failed.times.checked_sub(self.free)?;
        let wait = Duration::from_secs(4_u64.checked_shl(over.min(32)).unwrap_or(u64::MAX)).min(self.longest);
        (failed.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Counts a try as failed. It is counted before it is known, so that many at once are as many.
    pub fn count(&mut self, key: &K, now: Instant) {
        self.failed.retain(|_, failed| now.saturating_duration_since(failed.last) < TRIES_FORGOTTEN);
        if !self.failed.contains_key(key) && self.failed.len() >= TRIES_COUNTED {
            let oldest = self.failed.iter().min_by_key(|(_, failed)| failed.last).map(|(key, _)| key.clone());
            oldest.map(|oldest| self.failed.remove(&oldest));
        }
        let failed = self.failed.entry(key.clone()).or_insert(Failed { times: 0, last: now });
        failed.times = failed.times.saturating_add(1);
        failed.last = now;
    }

    /// It was none after all.
    pub fn forgive(&mut self, key: &K) {
        self.failed.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_doubles_and_is_forgotten() {
        let mut tries = Tries::new(3, 60 * SECOND);
        let mut now = Instant::now();
        for _ in 0..3 {
            assert_eq!(tries.wait(&"a", now), None);
            tries.count(&"a", now);
        }
        for wait in [4, 8, 16, 32, 60, 60] {
            assert_eq!(tries.wait(&"a", now), Some(wait * SECOND));
            assert_eq!(tries.wait(&"b", now), None);
            now += wait * SECOND;
            assert_eq!(tries.wait(&"a", now), None);
            tries.count(&"a", now);
        }
        assert_eq!(tries.wait(&"a", now + TRIES_FORGOTTEN), None);
        tries.forgive(&"a");
        assert_eq!(tries.wait(&"a", now), None);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_remembered() {
        let mut tries = Tries::new(0, 60 * SECOND);
        let start = Instant::now();
        for n in 0..10 * u32::try_from(TRIES_COUNTED).unwrap() {
            tries.count(&n, start + n * Duration::from_millis(1));
        }
        assert_eq!(tries.failed.len(), TRIES_COUNTED);
        assert!(tries.failed.contains_key(&(10 * u32::try_from(TRIES_COUNTED).unwrap() - 1)));
        for _ in 0..100 {
            tries.count(&0, start + SECOND * 10);
        }
        assert_eq!(tries.wait(&0, start + SECOND * 10), Some(60 * SECOND));
    }
}
