//! What goes over the wire: one frame with messages, one with verdicts. All of it is bounded and checked when read.

use super::{MAX_BODY_BYTES, Refusal};
use crate::wire::{self, WireError};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest frame in bytes, in both directions.
pub const MAX_FRAME_BYTES: usize = 96 * 1024;
/// Most messages in a frame.
pub const MAX_ITEMS: usize = 64;
/// Most bytes of bodies in a frame; one message fits for certain.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;
/// Longest reason of a refusal in bytes.
pub const MAX_WHY_BYTES: usize = 200;

/// Names a message for ever: drawn by its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub [u8; 16]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

impl std::str::FromStr for MessageId {
    type Err = WireError;
    fn from_str(text: &str) -> Result<Self, WireError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| WireError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| WireError::Malformed)
    }
}

/// A sender's numbering of its messages to one member. A later generation ends the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineId {
    /// Counts.
    pub generation: u64,
    /// Tells two cards apart that opened the same generation.
    pub random: u64,
}

/// A message in a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the line, from 1 on.
    pub number: u64,
    /// Its name.
    pub id: MessageId,
    /// What it is about.
    pub kind: u16,
    /// At most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// Messages: the lowest of the line that have no outcome yet, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver {
    /// The line.
    pub line: LineId,
    /// 1 to [`MAX_ITEMS`].
    pub items: Vec<Item>,
}

/// What a receiver says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What became of the first so many messages; the others are to be sent again.
    Verdicts(Vec<Verdict>),
    /// The line is behind what this sender once sent: nothing was taken. `generation` is the newest known.
    Past {
        /// The newest generation.
        generation: u64,
    },
    /// Nothing was taken, try again later.
    Busy,
    /// The frame says nothing to this version, or its sender is no member.
    Unknown,
}

/// What became of a message at its receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Its effect is on disk.
    Done,
    /// It had none and will have none.
    Refused(Refusal),
}

/// Writes a frame.
#[must_use]
pub fn frame<T: Serialize>(value: &T) -> Vec<u8> {
    wire::encode(value)
}

/// Reads messages.
///
/// # Errors
/// Too long, another version, malformed, or not in order.
pub fn read_deliver(bytes: &[u8]) -> Result<Deliver, WireError> {
    let deliver: Deliver = wire::decode(bytes, MAX_FRAME_BYTES)?;
    let items = &deliver.items;
    let bytes: usize = items.iter().map(|item| item.body.len()).sum();
    let sized = (1..=MAX_ITEMS).contains(&items.len())
        && bytes <= MAX_BATCH_BYTES
        && items.iter().all(|item| item.number > 0 && item.body.len() <= MAX_BODY_BYTES);
    let ascending = items.is_sorted_by(|one, other| one.number < other.number);
    if sized && ascending { Ok(deliver) } else { Err(WireError::Malformed) }
}

/// Reads what a receiver says.
///
/// # Errors
/// Too long, another version, or malformed.
pub fn read_answer(bytes: &[u8]) -> Result<Answer, WireError> {
    let answer: Answer = wire::decode(bytes, MAX_FRAME_BYTES)?;
    if let Answer::Verdicts(verdicts) = &answer {
        let clean = |verdict: &Verdict| match verdict {
            Verdict::Done => true,
            Verdict::Refused(refusal) => Refusal::new(refusal.code, &refusal.why) == *refusal,
        };
        if verdicts.len() > MAX_ITEMS || !verdicts.iter().all(clean) {
            return Err(WireError::Malformed);
        }
    }
    Ok(answer)
}
