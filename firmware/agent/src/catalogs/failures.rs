//! What of catalogs did not come, and when it is tried again by itself: after a pause that grows, at once where it is another version.

use contract::oci::Digest;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause after the first failure; each one more doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Apps that are noted at most.
const MOST: usize = 1000;

/// Apps of catalogs that did not come, by the catalogs' keys and their names.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<(String, String), Failure>);

#[derive(Debug)]
struct Failure {
    version: Digest,
    times: u32,
    last: Instant,
    why: String,
}

fn pause(times: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

fn of(key: &str, app: &str) -> (String, String) {
    (key.to_owned(), app.to_owned())
}

impl Failures {
    /// That version of an app did not come.
    pub fn note(&mut self, now: Instant, (key, app): (&str, &str), version: &Digest, why: String) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let before = self.0.get(&of(key, app)).filter(|before| before.version == *version);
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        self.0.insert(of(key, app), Failure { version: version.clone(), times, last: now, why });
    }

    /// Whether that version is not tried again yet.
    pub fn rests(&self, now: Instant, (key, app): (&str, &str), version: &Digest) -> bool {
        let same = self.0.get(&of(key, app)).filter(|failure| failure.version == *version);
        same.is_some_and(|failure| now.saturating_duration_since(failure.last) < pause(failure.times))
    }

    /// Why that version of an app did not come.
    pub fn why(&self, (key, app): (&str, &str), version: &Digest) -> Option<String> {
        let same = self.0.get(&of(key, app)).filter(|failure| failure.version == *version);
        same.map(|failure| failure.why.clone())
    }

    /// It came, or a person asks for it anew.
    pub fn forget(&mut self, key: &str, app: &str) {
        self.0.remove(&of(key, app));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_for_ever_after_pauses_that_grow_and_another_version_at_once() {
        let (one, two, begun) = (Digest::of(b"1"), Digest::of(b"2"), Instant::now());
        let mut failures = Failures::default();
        let of = ("aa", "broker");
        // A week of virtual time, looked at each half minute.
        let mut tried: Vec<u64> = Vec::new();
        for at in (0..7 * 24 * 3600).step_by(30) {
            let now = begun + Duration::from_secs(at);
            if !failures.rests(now, of, &one) {
                failures.note(now, of, &one, "no room".to_owned());
                tried.push(at);
            }
        }
        assert_eq!(tried[..5], [0, 60, 180, 420, 900]);
        let pauses: Vec<u64> = tried.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST_PAUSE.as_secs()) && tried.len() < 50, "{pauses:?}");
        let end = begun + Duration::from_secs(tried[tried.len() - 1]);
        assert!(failures.rests(end, of, &one) && failures.why(of, &one).as_deref() == Some("no room"));
        // Neither another version, nor an app of that name of another catalog, waits for it.
        assert!(
            !failures.rests(end, of, &two)
                && !failures.rests(end, ("bb", "broker"), &one)
                && failures.why(("bb", "broker"), &one).is_none()
        );
        assert!(failures.why(of, &two).is_none(), "of another version nothing is known");
        failures.note(end, of, &two, "no room".to_owned());
        assert!(!failures.rests(end + FIRST_PAUSE, of, &two), "each version begins with the first pause");
        failures.forget("aa", "broker");
        assert!(!failures.rests(end, of, &two) && failures.why(of, &two).is_none());
    }
}
