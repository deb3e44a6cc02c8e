//! Directed messages: from one member to one other, kept until there is an outcome.
//!
//! ```text
//! send → outbox (on disk) ──frames, at least once──→ inbox: effect and mark in one commit ──verdicts──→ outcome
//! ```
//!
//! - Architecture invariant: a message is on disk before [`Outbox::send`] returns, and its outcome before anybody
//!   is told.
//! - Architecture invariant: what a message brings about is committed together with the mark against taking it
//!   twice. An effect can be on disk only with its mark, and a mark only with its effect.
//! - Architecture invariant: a sender numbers its messages to a member in a line and sends the lowest that wait,
//!   one frame at a time; so marks of what it does not send any more can go, and one small row a sender is enough.
//! - A restored old card of a sender starts where it once was. Its numbers are taken already, under other ids or
//!   below what it itself called settled: the receiver says so, and the sender opens a new line instead of
//!   believing that its messages arrived.

pub mod frame;
mod inbox;
pub mod mail;
mod outbox;

pub use frame::MessageId;
pub use inbox::{Delivery, Effects, Inbox, Take};
pub use outbox::{Outbox, Output, SendError};

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest body in bytes.
pub const MAX_BODY_BYTES: usize = 32 * 1024;
/// Messages to one member that wait at a time.
pub const MAX_WAITING_PER_PEER: usize = 256;
/// Bytes of bodies to one member that wait at a time.
pub const MAX_WAITING_BYTES_PER_PEER: usize = 1024 * 1024;
/// Messages that wait at a time, to all.
pub const MAX_WAITING: usize = 2048;
/// Bytes of bodies that wait at a time, to all.
pub const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Outcomes that are kept, newest first.
pub const MAX_SETTLED: u64 = 256;
/// The longest time that a message may wait.
pub const MAX_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its effect is on the receiver's disk.
    Delivered,
    /// It had no effect, for certain.
    Refused(Refusal),
    /// Its time was over after it was sent and before an answer came: it had its effect once, or never.
    Unknown,
}

/// Why a message had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs. Below 100: said by the messages themselves; from 100 on: by who handles the kind.
    pub code: u16,
    /// For people; at most [`frame::MAX_WHY_BYTES`] bytes.
    pub why: String,
}

impl Refusal {
    /// Its time was over before it was sent.
    pub const EXPIRED: u16 = 1;
    /// The receiver knows nothing of this kind of message.
    pub const KIND: u16 = 2;

    /// A refusal; the text is cut to what is allowed.
    #[must_use]
    pub fn new(code: u16, why: &str) -> Self {
        let mut kept = String::new();
        for letter in why.chars().filter(|letter| !letter.is_control()) {
            if kept.len() + letter.len_utf8() > frame::MAX_WHY_BYTES {
                break;
            }
            kept.push(letter);
        }
        Self { code, why: kept }
    }
}
