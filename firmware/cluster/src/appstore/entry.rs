//! What a node says under a key: its share. One format for all types, bounded and checked when read.

use crate::{
    keys::NodeId,
    records::{Order, record::MAX_VALUE_BYTES},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};

/// The layout of shares that this version writes, as records name it.
pub const SCHEMA: u16 = 1;
/// Longest value of a register in bytes.
pub const MAX_REGISTER_BYTES: usize = 3072;
/// Most writes that a share of a register replaces.
pub const MAX_OVER: usize = 24;
/// Longest element of a set in bytes.
pub const MAX_ELEMENT_BYTES: usize = 256;
/// Most nodes that write in one app.
pub const MAX_WRITERS: usize = 96;

/// Names a write of a register, or the adding of an element, by its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dot {
    /// When: the head that was written with it.
    pub at: Order,
    /// Which of that head.
    pub part: u16,
}

/// A node's share of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A value, or none where it was deleted.
    Register {
        /// Names this write.
        dot: Dot,
        /// The writes that it replaced, in ascending order.
        over: Vec<(NodeId, Dot)>,
        /// At most [`MAX_REGISTER_BYTES`].
        value: Option<Vec<u8>>,
    },
    /// What this node counted.
    Counter {
        /// Upwards.
        up: u64,
        /// Downwards.
        down: u64,
    },
    /// Elements that this node added, and those of others that it took away, both in ascending order.
    Set {
        /// Each at most [`MAX_ELEMENT_BYTES`].
        adds: Vec<(Dot, Vec<u8>)>,
        /// By the dots of their adding.
        gone: Vec<(NodeId, Dot)>,
    },
}

/// What a node had seen of an app when it last changed its share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The head that was written with it.
    pub at: Order,
    /// The clocks of others that were shown to it, in ascending order; at most [`MAX_WRITERS`].
    pub seen: Vec<(NodeId, Order)>,
}

impl Entry {
    /// The share as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a share.
    ///
    /// # Errors
    /// Too long, another version, malformed, or not in order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let entry: Self = wire::decode(bytes, MAX_VALUE_BYTES)?;
        let good = match &entry {
            Self::Register { over, value, .. } => {
                ascending(over) && over.len() <= MAX_OVER && value.as_ref().is_none_or(|value| value.len() <= MAX_REGISTER_BYTES)
            }
            Self::Counter { .. } => true,
            Self::Set { adds, gone } => {
                ascending(adds) && ascending(gone) && adds.iter().all(|(_, element)| element.len() <= MAX_ELEMENT_BYTES)
            }
        };
        if good { Ok(entry) } else { Err(WireError::Malformed) }
    }

    /// What kind of value it is, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Counter { .. } => "counter",
            Self::Set { .. } => "set",
        }
    }
}

impl Clock {
    /// The clock as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a clock.
    ///
    /// # Errors
    /// Too long, another version, malformed, or not in order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let clock: Self = wire::decode(bytes, MAX_VALUE_BYTES)?;
        if ascending(&clock.seen) && clock.seen.len() <= MAX_WRITERS { Ok(clock) } else { Err(WireError::Malformed) }
    }
}

fn ascending<T: Ord>(all: &[T]) -> bool {
    all.is_sorted_by(|one, other| one < other)
}
