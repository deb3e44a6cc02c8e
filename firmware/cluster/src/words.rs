//! Four words that two people compare, so that a newcomer without an invite is let in and nobody else.
//!
//! The newcomer commits itself to a nonce before it knows the admin's node's, which answers before it knows the newcomer's. Both make the
//! words of both nonces, of the community, and of the two node ids that the transport proved. Whoever stands between the two has a
//! connection of its own to each, so other ids, and can choose no nonce so that the words come out the same: it has one guess in 2⁴⁴ for
//! each time that a person asks anew. Nothing that lets in leaves the admin's node before its person said yes, and the newcomer takes
//! nothing before its own did.

mod asking;
mod newcomers;

pub use asking::{Asking, End, OtherWords};
pub use newcomers::{Answer, MAX_NEWCOMERS, MAX_OF_SOURCE, Newcomer, Newcomers};

use crate::keys::{CommunityId, NodeId};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};

/// How long a newcomer may ask, from its first question on.
pub const TERM: Duration = Duration::from_secs(600);

/// A part of what the words are made of.
pub type Nonce = [u8; 32];

/// Words that two people compare: four of a list of 2048, the same in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FourWords([u16; 4]);

impl FourWords {
    /// What both sides make of the same.
    #[must_use]
    pub fn of(community: &CommunityId, newcomer: &NodeId, admin: &NodeId, theirs: &Nonce, ours: &Nonce) -> Self {
        let hash = Sha256::new().chain_update(b"cloudy four words v1\0");
        let hash = hash.chain_update(community.0).chain_update(newcomer.0).chain_update(admin.0);
        let [a, b, c, d, e, f, ..]: [u8; 32] = hash.chain_update(theirs).chain_update(ours).finalize().into();
        let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Self([37, 26, 15, 4].map(|at| u16::try_from((bits >> at) & 2047).unwrap_or_default()))
    }

    /// The four.
    #[must_use]
    pub fn all(&self) -> [&'static str; 4] {
        let list = bip39::Language::English.word_list();
        self.0.map(|at| list.get(usize::from(at)).copied().unwrap_or_default())
    }

    /// Whether a person means these, however they are spaced and in whichever case.
    #[must_use]
    pub fn are(&self, said: &str) -> bool {
        said.split_whitespace().map(str::to_lowercase).eq(self.all())
    }
}

impl fmt::Display for FourWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all().join(" "))
    }
}

/// What a newcomer shows of its nonce before it shows the nonce.
#[must_use]
pub fn commitment(newcomer: &NodeId, admin: &NodeId, nonce: &Nonce) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"cloudy words commitment v1\0");
    hash.chain_update(newcomer.0).chain_update(admin.0).chain_update(nonce).finalize().into()
}
