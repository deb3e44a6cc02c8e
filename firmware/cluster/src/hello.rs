//! The one thing that strangers reach: a bounded question and its answer.
//!
//! One stream, one request of at most [`MAX_REQUEST_BYTES`], one reply of at most [`MAX_REPLY_BYTES`]. The first
//! byte of both is the version. A member that does not know the version of a request answers with
//! [`version_refusal`], whose layout (`0`, oldest, newest) never changes.

use crate::{
    admission::{Refusal, Seed},
    keys::NodeId,
    wire::{self, Name, WireError},
};
use serde::{Deserialize, Serialize};

/// Longest request in bytes.
pub const MAX_REQUEST_BYTES: usize = 2048;
/// Longest reply in bytes.
pub const MAX_REPLY_BYTES: usize = 8192;
/// Most admins that a newcomer is told of.
pub const MAX_OTHERS: usize = 4;
/// The oldest and the newest version that this node speaks.
pub const VERSIONS: (u8, u8) = (1, 1);

/// What a stranger asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Here is my certificate: let me in.
    Join {
        /// See [`crate::admission::Certificate::from_bytes`].
        certificate: Vec<u8>,
    },
    /// I have no invite: is your door open?
    Knock {
        /// My name, to be shown to people.
        name: Name,
    },
    /// I have no invite: may I come in, if two people find the same four words (see [`crate::words`])?
    Ask {
        /// My name, to be shown to people.
        name: Name,
        /// See [`crate::words::commitment`].
        commitment: [u8; 32],
    },
    /// This is what I had committed myself to.
    Reveal {
        /// The nonce.
        nonce: [u8; 32],
    },
    /// What has become of it?
    Decided {
        /// Whether the person at my side found the same words.
        agreed: bool,
    },
    /// Forget that I asked.
    Withdraw,
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// You are in. Verify me by my certificate, and go on with me and these.
    Admitted {
        /// The answering member's own certificate.
        certificate: Vec<u8>,
        /// Some members.
        seeds: Vec<Seed>,
    },
    /// The door is open: here is an invite of your own.
    Invited {
        /// See [`crate::admission::Token::from_bytes`].
        token: Vec<u8>,
    },
    /// No.
    Refused {
        /// Why: a number that stays the same in all versions.
        reason: Reason,
        /// In words, at most 200 bytes.
        words: String,
    },
    /// Of this community, and with this nonce: now reveal yours.
    Asked {
        /// See [`crate::Founding::from_bytes`].
        founding: Vec<u8>,
        /// My part of the words.
        nonce: [u8; 32],
    },
    /// Nothing is decided yet.
    Waiting {
        /// Whether the person at my side let you in.
        agreed: bool,
    },
    /// I can let nobody in; these can.
    Others {
        /// At most [`MAX_OTHERS`].
        admins: Vec<(NodeId, Name)>,
    },
}

/// Why a hello was refused. Numbers that this version does not know are read as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(pub u8);

impl Reason {
    /// This node belongs to no community.
    pub const NO_COMMUNITY: Self = Self(1);
    /// The certificate is malformed or wrongly signed.
    pub const INVALID: Self = Self(2);
    /// It is of another community.
    pub const FOREIGN: Self = Self(3);
    /// Its time is over.
    pub const EXPIRED: Self = Self(4);
    /// It was used as often as it may be.
    pub const USED: Self = Self(5);
    /// Revoked or suspended.
    pub const REVOKED: Self = Self(6);
    /// The door is closed.
    pub const DOOR_CLOSED: Self = Self(7);
    /// Too much to do; come again.
    pub const BUSY: Self = Self(8);
    /// The community is full.
    pub const FULL: Self = Self(9);
    /// Nobody of that key asks here: it never did, its time is over, or the node has started again.
    pub const NOT_ASKED: Self = Self(10);
    /// A person said no.
    pub const DENIED: Self = Self(11);
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Foreign(_) => Self::FOREIGN,
            Refusal::Expired { .. } => Self::EXPIRED,
            Refusal::Used { .. } => Self::USED,
            Refusal::Suspended | Refusal::Revoked => Self::REVOKED,
            Refusal::Full => Self::FULL,
            _ => Self::INVALID,
        }
    }
}

/// Why a reply can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The other side does not speak our version.
    #[error("the other side speaks versions {oldest} to {newest} of the protocol, this node {} to {}", VERSIONS.0, VERSIONS.1)]
    Version {
        /// Oldest version of the other side.
        oldest: u8,
        /// Newest version of the other side.
        newest: u8,
    },
    /// Malformed.
    #[error("the other side's answer can't be read: {0}")]
    Wire(#[from] WireError),
}

/// The request as bytes.
#[must_use]
pub fn request_bytes(request: &Request) -> Vec<u8> {
    wire::encode(request)
}

/// Reads a request.
///
/// # Errors
/// Too long, another version (answer with [`version_refusal`]), malformed.
pub fn read_request(bytes: &[u8]) -> Result<Request, WireError> {
    wire::decode(bytes, MAX_REQUEST_BYTES)
}

/// The reply as bytes.
#[must_use]
pub fn reply_bytes(reply: &Reply) -> Vec<u8> {
    wire::encode(reply)
}

/// The answer to a request of a version that this node does not know.
#[must_use]
pub fn version_refusal() -> Vec<u8> {
    vec![0, VERSIONS.0, VERSIONS.1]
}

/// Reads a reply.
///
/// # Errors
/// See [`ReplyError`].
pub fn read_reply(bytes: &[u8]) -> Result<Reply, ReplyError> {
    match *bytes {
        [0, oldest, newest] => Err(ReplyError::Version { oldest, newest }),
        _ => Ok(wire::decode(bytes, MAX_REPLY_BYTES)?),
    }
}
