//! The two clocks of a lease, each of its own side's machine.

use crate::clock::Millis;
use std::time::Duration;

/// Between questions that came to nothing.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Between questions that are answered, at most.
const RENEW_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// The holder's side: until when it may run the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    term: Duration,
    until: Option<Millis>,
    asked: Option<(u64, Millis)>,
    next: Millis,
    count: u64,
}

impl Holding {
    /// A lease of which nothing is granted: it is new, or this machine was started again since.
    /// `first` numbers the questions of this life; answers to those of another mean nothing then.
    #[must_use]
    pub fn new(now: Millis, term: Duration, first: u64) -> Self {
        Self { term, until: None, asked: None, next: now, count: first }
    }

    /// Whether the app may run for as long as `lead` more: what is to have ended in time is ended that much sooner.
    #[must_use]
    pub fn may_run(&self, now: Millis, lead: Duration) -> bool {
        self.until.is_some_and(|until| now.plus(lead) < until)
    }

    /// When [`Holding::ask`] has a question.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        self.next
    }

    /// When the app has to be stopped, if nothing is granted meanwhile.
    #[must_use]
    pub fn ends(&self, lead: Duration) -> Option<Millis> {
        self.until.map(|until| Millis(until.0.saturating_sub(u64::try_from(lead.as_millis()).unwrap_or(u64::MAX))))
    }

    /// A question that is due, by its number. What was asked before is not waited for any more.
    pub fn ask(&mut self, now: Millis) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.count = self.count.wrapping_add(1);
        self.asked = Some((self.count, now));
        self.next = now.plus((self.term / 12).clamp(AGAIN.0, AGAIN.1));
        Some(self.count)
    }

    /// The lender granted what this question asked for.
    pub fn granted(&mut self, number: u64) {
        if let Some((_, asked)) = self.asked.take_if(|(of, _)| *of == number) {
            self.until = self.until.max(Some(asked.plus(self.term)));
            self.next = asked.plus((self.term / 3).min(RENEW_AT_MOST));
        }
    }
}

/// The lender's side: until when somebody may run the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lending {
    term: Duration,
    out_until: Millis,
    ended: bool,
}

impl Lending {
    /// A lease of which nothing was granted yet.
    #[must_use]
    pub fn new(term: Duration) -> Self {
        Self { term, out_until: Millis(0), ended: false }
    }

    /// A lease that was there before this machine was started: it may have been granted a moment ago.
    #[must_use]
    pub fn restored(now: Millis, term: Duration, ended: bool) -> Self {
        let mut lending = Self { term, out_until: Millis(0), ended };
        lending.extend(now);
        lending
    }

    fn extend(&mut self, now: Millis) {
        self.out_until = self.out_until.max(now.plus(self.term + self.term / 10));
    }

    /// Answers the holder's question. True if it is granted.
    pub fn grant(&mut self, now: Millis) -> bool {
        if !self.ended {
            self.extend(now);
        }
        !self.ended
    }

    /// Grants nothing any more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The holder said that the app has stopped, and asks no more.
    pub fn given_back(&mut self) {
        (self.ended, self.out_until) = (true, Millis(0));
    }

    /// When nobody runs the app any more for certain; none while more may be granted.
    #[must_use]
    pub fn free_at(&self) -> Option<Millis> {
        self.ended.then_some(self.out_until)
    }

    /// Whether somebody else may be given the app.
    #[must_use]
    pub fn is_free(&self, now: Millis) -> bool {
        self.ended && self.out_until <= now
    }
}
