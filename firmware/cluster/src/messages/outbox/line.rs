//! What is in memory of the messages to one member.

use super::{LineId, Outcome, Refusal, frame::MessageId};
use crate::clock::Millis;
use rand::{RngExt, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};

/// The first pause after a member was not reached, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// Whether a message may be at its receiver already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    /// It was kept in this life and never sent.
    Never,
    /// It was sent in this life.
    Now,
    /// It was kept in an earlier life, which may have sent it.
    Perhaps,
}

/// A message that has no outcome yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: MessageId,
    pub(super) kind: u16,
    pub(super) bytes: usize,
    pub(super) deadline: Millis,
    pub(super) sent: Sent,
}

/// A frame that is on its way.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) numbers: Vec<u64>,
    pub(super) until: Millis,
}

/// The messages to one member.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: LineId,
    pub(super) next: u64,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    pub(super) asked: Option<Asked>,
    pub(super) tries: u32,
    pub(super) not_before: Millis,
    /// Outcomes of those whose time is over are written down from then on: later after the disk did not take them.
    pub(super) settle_after: Millis,
}

impl Line {
    pub(super) fn new(now: Millis, id: LineId) -> Self {
        Self { id, next: 1, waiting: BTreeMap::new(), asked: None, tries: 0, not_before: now, settle_after: now }
    }

    /// When there is something to do; `sends` if its member can be sent to.
    pub(super) fn due(&self, sends: bool) -> Option<Millis> {
        match &self.asked {
            Some(asked) => Some(asked.until),
            None => {
                let send = (sends && !self.waiting.is_empty()).then_some(self.not_before);
                let over = self.waiting.values().map(|waiting| waiting.deadline.max(self.settle_after)).min();
                send.into_iter().chain(over).min()
            }
        }
    }

    /// Who waited for too long, and what is known of it. Nobody while an answer is still to come.
    pub(super) fn over(&self, now: Millis) -> Vec<(u64, Outcome)> {
        if self.asked.is_some() || self.settle_after > now {
            return Vec::new();
        }
        let over = self.waiting.iter().filter(|(_, waiting)| waiting.deadline <= now);
        over.map(|(number, waiting)| {
            let outcome = match waiting.sent {
                Sent::Never => Outcome::Refused(Refusal::new(Refusal::EXPIRED, "its time was over before it could be sent")),
                Sent::Now | Sent::Perhaps => Outcome::Unknown,
            };
            (*number, outcome)
        })
        .collect()
    }

    /// It did not work: again later, each time later.
    pub(super) fn pause(&mut self, now: Millis, rng: &mut StdRng) {
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(self.tries.min(10))).min(MAX_PAUSE);
        self.tries = self.tries.saturating_add(1);
        self.not_before = now.plus(pause.mul_f64(rng.random_range(0.5..1.0)));
    }
}
