//! What lender and holder say: an offer and a lease are signed, so that each can show later what the other agreed to.

use crate::{
    keys::{self, CommunityId, Key, NodeId, Purpose, Signature},
    messages::MAX_BODY_BYTES,
    wire::{self, WireError},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};

/// Longest description of what is to run, in bytes.
pub const MAX_ABOUT_BYTES: usize = 24 * 1024;
/// Longest reason in bytes.
pub const MAX_REASON_BYTES: usize = 500;
/// Terms of a lease in seconds, from and to.
const TERM_SECONDS: std::ops::RangeInclusive<u32> = 120..=366 * 24 * 3600;

/// Names a lease for ever: drawn by the lender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub [u8; 16]);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

/// For how long, and how strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Seconds that a grant is good for.
    pub seconds: u32,
    /// Whether nobody else may run the app meanwhile, so that it stops when its time is over.
    pub exclusive: bool,
}

impl Terms {
    /// As a duration.
    #[must_use]
    pub fn term(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// Whether such terms are allowed.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        TERM_SECONDS.contains(&self.seconds)
    }
}

/// A node would have another one run an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub id: LeaseId,
    /// In this community.
    pub community: CommunityId,
    /// Who offers.
    pub lender: NodeId,
    /// To whom.
    pub holder: NodeId,
    /// For how long.
    pub terms: Terms,
    /// What is to run, in the words of whoever runs it; at most [`MAX_ABOUT_BYTES`].
    pub about: Vec<u8>,
    signature: Signature,
}

impl Offer {
    /// Signs an offer.
    #[must_use]
    pub fn sign(seed: &[u8; 32], id: LeaseId, community: CommunityId, holder: NodeId, terms: Terms, about: Vec<u8>) -> Self {
        let unsigned = (id, community, Key::of_seed(seed), holder, terms, about);
        let signature = keys::sign(seed, Purpose::Offer, &wire::encode(&unsigned));
        let (id, community, lender, holder, terms, about) = unsigned;
        Self { id, community, lender, holder, terms, about, signature }
    }

    fn signed(&self) -> Vec<u8> {
        wire::encode(&(self.id, self.community, self.lender, self.holder, self.terms, &self.about))
    }

    /// What names this very offer in a lease: the SHA-256 of what was signed.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"cloudy offer hash v1\0").chain_update(self.signed()).finalize().into()
    }

    /// Whether `lender` made it to `holder` in this community, within what is allowed.
    #[must_use]
    pub fn is_good(&self, community: &CommunityId, lender: &NodeId, holder: &NodeId) -> bool {
        let said = (&self.community, &self.lender, &self.holder) == (community, lender, holder) && self.lender != self.holder;
        let sized = self.terms.are_allowed() && self.about.len() <= MAX_ABOUT_BYTES;
        said && sized && self.lender.verifies(Purpose::Offer, &self.signed(), &self.signature)
    }
}

/// The holder agrees to an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The offer.
    pub id: LeaseId,
    offer: [u8; 32],
    signature: Signature,
}

impl Lease {
    /// Signs that an offer is agreed to.
    #[must_use]
    pub fn sign(seed: &[u8; 32], offer: &Offer) -> Self {
        let hash = offer.hash();
        Self { id: offer.id, offer: hash, signature: keys::sign(seed, Purpose::Lease, &wire::encode(&(offer.id, hash))) }
    }

    /// Whether the holder agreed to this very offer.
    #[must_use]
    pub fn is_of(&self, offer: &Offer) -> bool {
        let same = self.id == offer.id && self.offer == offer.hash();
        same && offer.holder.verifies(Purpose::Lease, &wire::encode(&(self.id, self.offer)), &self.signature)
    }
}

/// What one side tells the other by a message. What comes late or again changes nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// The lender offers.
    Offer(Offer),
    /// The holder agrees.
    Lease(Lease),
    /// It does not, and runs nothing of it.
    Refused {
        /// The offer.
        id: LeaseId,
        /// In words.
        why: String,
    },
    /// The app runs at the holder's.
    Runs {
        /// The lease.
        id: LeaseId,
    },
    /// The lender wants it no more.
    End {
        /// The lease.
        id: LeaseId,
    },
    /// The app has stopped at the holder's for good.
    Ended {
        /// The lease.
        id: LeaseId,
        /// In words.
        why: String,
    },
}

impl Said {
    /// As a message's body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads one; the signatures in it are not looked at.
    ///
    /// # Errors
    /// Too long, another version, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let said: Self = wire::decode(bytes, MAX_BODY_BYTES)?;
        let short = match &said {
            Self::Refused { why, .. } | Self::Ended { why, .. } => why.len() <= MAX_REASON_BYTES && !why.chars().any(char::is_control),
            Self::Offer(offer) => offer.about.len() <= MAX_ABOUT_BYTES,
            Self::Lease(_) | Self::Runs { .. } | Self::End { .. } => true,
        };
        if short { Ok(said) } else { Err(WireError::Malformed) }
    }
}

/// Longest question or answer in bytes.
pub const MAX_QUESTION_BYTES: usize = 64;

/// The holder asks whether it may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The lease.
    pub id: LeaseId,
}

/// What the lender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// For the term, from when it asked.
    Granted,
    /// The lease is over, or there never was one.
    Over,
}
