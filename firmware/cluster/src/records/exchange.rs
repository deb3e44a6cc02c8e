//! What members ask each other for, one frame to ask and one to answer. Whoever answers keeps nothing in mind.
//!
//! `Compare` finds out whether the views differ and which heads the asker lacks; `Exchange` gives and fetches
//! heads; `Since` fetches what of a node changed, `Bodies` what is still missing then.

use super::{
    head::{Fork, Head, Order},
    record::Mark,
    view,
};
use crate::{
    keys::NodeId,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};

/// Longest frame in bytes, in both directions.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// Most bytes of records in an answer; the rest is asked for again.
pub const MAX_BODIES_BYTES: usize = 192 * 1024;
/// Most heads and proofs in a frame.
pub const MAX_STATEMENTS: usize = 300;
/// Most marks of heads in a frame.
pub const MAX_MARKS: usize = 12_000;

/// A head or a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// A head.
    Head(Box<Head>),
    /// A proof.
    Fork(Box<Fork>),
}

impl Statement {
    /// Its mark in views.
    #[must_use]
    pub fn mark(&self) -> view::Mark {
        match self {
            Self::Head(head) => head.mark(),
            Self::Fork(fork) => fork.mark(),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Is your view mine? Answered by `Same` or `Marks`.
    Compare {
        /// The asker's root.
        root: view::Root,
    },
    /// Here is what you lack, give me these. Answered by `Statements`.
    Exchange {
        /// What the other side lacks.
        give: Vec<Statement>,
        /// What the asker lacks.
        want: Vec<view::Mark>,
    },
    /// What has a node said since? Answered by `Set`, or `Unknown` if there is no head of it here.
    Since {
        /// The node.
        node: NodeId,
        /// What the asker holds of it.
        since: Option<Order>,
    },
    /// Give me these records of a node. Answered by `Bodies`.
    Bodies {
        /// The node.
        node: NodeId,
        /// Their marks.
        marks: Vec<Mark>,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The views are equal.
    Same,
    /// The marks of the answerer's view.
    Marks {
        /// Heads and proofs.
        marks: Vec<view::Mark>,
    },
    /// Heads and proofs that were asked for.
    Statements(Vec<Statement>),
    /// A head with the marks of its live set, and of the records written since as many as fit.
    Set {
        /// The head.
        head: Box<Head>,
        /// Marks, ascending.
        marks: Vec<Mark>,
        /// Records.
        bodies: Vec<Vec<u8>>,
    },
    /// Records, as many as fit; those that are not here any more are left out.
    Bodies(Vec<Vec<u8>>),
    /// Nothing is known of that.
    Unknown,
    /// The answerer can't read its disk, or is too busy.
    Busy,
}

/// A frame as bytes.
#[must_use]
pub fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    wire::encode(message)
}

/// Reads what is asked.
///
/// # Errors
/// Too long, another version, malformed, or more than is allowed of something.
pub fn read_ask(bytes: &[u8]) -> Result<Ask, WireError> {
    let ask = wire::decode(bytes, MAX_FRAME_BYTES)?;
    let fits = match &ask {
        Ask::Compare { .. } | Ask::Since { .. } => true,
        Ask::Exchange { give, want } => give.len() <= MAX_STATEMENTS && want.len() <= MAX_STATEMENTS,
        Ask::Bodies { marks, .. } => marks.len() <= super::head::MAX_RECORDS as usize,
    };
    if fits { Ok(ask) } else { Err(WireError::Malformed) }
}

/// Reads an answer.
///
/// # Errors
/// Too long, another version, malformed, or more than is allowed of something.
pub fn read_answer(bytes: &[u8]) -> Result<Answer, WireError> {
    let answer = wire::decode(bytes, MAX_FRAME_BYTES)?;
    let most = super::head::MAX_RECORDS as usize;
    let fits = match &answer {
        Answer::Same | Answer::Unknown | Answer::Busy => true,
        Answer::Marks { marks } => marks.len() <= MAX_MARKS,
        Answer::Statements(statements) => statements.len() <= MAX_STATEMENTS,
        Answer::Set { marks, bodies, .. } => marks.len() <= most && bodies.len() <= most,
        Answer::Bodies(bodies) => bodies.len() <= most,
    };
    if fits { Ok(answer) } else { Err(WireError::Malformed) }
}
