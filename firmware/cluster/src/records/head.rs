//! A node's signed head: how many records are alive, and the hash of exactly those.

use super::record::Mark;
use crate::{
    keys::{self, CommunityId, Key, NodeId, Purpose, Signature},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most records of one node.
pub const MAX_RECORDS: u32 = 512;
/// Most bytes of one node's records: more than 200 services of 4 KB.
pub const MAX_SET_BYTES: u32 = 1536 * 1024;
/// Longest head in bytes.
pub const MAX_HEAD_BYTES: usize = 400;

/// When something was said: which life of the node, and the how-manieth head of that life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Order {
    /// The epoch: one for each start.
    pub epoch: u32,
    /// Counts within the epoch.
    pub sequence: u64,
}

/// That a node belongs to an owner (a household), signed by the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The owner's key.
    pub owner: Key,
    signature: Signature,
}

impl Ownership {
    /// Certifies `node` with the owner's secret key.
    #[must_use]
    pub fn sign(owner_seed: &[u8; 32], community: CommunityId, node: NodeId) -> Self {
        let signature = keys::sign(owner_seed, Purpose::Own, &wire::encode(&(community, node)));
        Self { owner: Key::of_seed(owner_seed), signature }
    }

    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads one; it is not verified.
    ///
    /// # Errors
    /// Malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        Ok(wire::decode(bytes, MAX_HEAD_BYTES)?)
    }

    /// Whether the owner's signature stands for that node of that community.
    #[must_use]
    pub fn verifies(&self, community: CommunityId, node: NodeId) -> bool {
        self.owner.verifies(Purpose::Own, &wire::encode(&(community, node)), &self.signature)
    }
}

/// What a head says of its node's live set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// How many records.
    pub count: u32,
    /// How many bytes they have together.
    pub bytes: u32,
    /// [`hash`] over their marks.
    pub hash: [u8; 32],
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    community: CommunityId,
    ownership: Option<Ownership>,
    node: NodeId,
    order: Order,
    live: Live,
    signature: Signature,
}

/// Why a head or a proof is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Of another community.
    #[error("it is of another community")]
    Foreign,
    /// More than a node may have.
    #[error("{count} records with {bytes} bytes, where {MAX_RECORDS} with {MAX_SET_BYTES} are allowed")]
    TooMuch {
        /// Records.
        count: u32,
        /// Bytes.
        bytes: u32,
    },
    /// A signature is wrong.
    #[error("the signature of the {0} is wrong")]
    Signature(&'static str),
    /// Two heads that prove nothing.
    #[error("the two heads are not of one node and one moment, or are the same")]
    NoFork,
    /// Malformed.
    #[error("it can't be read: {0}")]
    Wire(#[from] WireError),
}

impl Head {
    /// Signs a head with the node's secret key.
    #[must_use]
    pub fn sign(seed: &[u8; 32], community: CommunityId, ownership: Option<Ownership>, order: Order, live: Live) -> Self {
        let node = NodeId::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Head, &wire::encode(&(community, ownership, node, order, live)));
        Self { community, ownership, node, order, live, signature }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The owner: whoever certified the node, or the node itself.
    #[must_use]
    pub fn owner(&self) -> Key {
        self.ownership.map_or(self.node, |ownership| ownership.owner)
    }

    /// The owner that certified the node, if one did.
    #[must_use]
    pub fn household(&self) -> Option<Key> {
        Some(self.ownership?.owner)
    }

    /// When it was said.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// The live set.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The head's hash: 16 bytes. The signature is left out, since one key can sign the same in many ways.
    #[must_use]
    pub fn mark(&self) -> [u8; 16] {
        let named = wire::encode(&(self.community, self.ownership, self.node, self.order, self.live));
        let hash = Sha256::new().chain_update(b"cloudy head mark v1\0").chain_update(named).finalize();
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        mark
    }

    /// What decides which of two heads of a node holds: the greater.
    #[must_use]
    pub fn rank(&self) -> (Order, [u8; 16]) {
        (self.order, self.mark())
    }

    /// Whether another says the same: what has its [`Head::rank`]. The hashes are made only where nothing cheaper decides.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self == other || (self.order == other.order && self.mark() == other.mark())
    }

    /// Checks community, limits and signatures.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn verify(&self, community: CommunityId) -> Result<(), HeadError> {
        if self.community != community {
            return Err(HeadError::Foreign);
        }
        if self.live.count > MAX_RECORDS || self.live.bytes > MAX_SET_BYTES {
            return Err(HeadError::TooMuch { count: self.live.count, bytes: self.live.bytes });
        }
        if self.ownership.is_some_and(|ownership| !ownership.verifies(community, self.node)) {
            return Err(HeadError::Signature("owner"));
        }
        let signed = wire::encode(&(self.community, self.ownership, self.node, self.order, self.live));
        let good = self.node.verifies(Purpose::Head, &signed, &self.signature);
        if good { Ok(()) } else { Err(HeadError::Signature("node")) }
    }

    /// The head as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a head; it is not verified.
    ///
    /// # Errors
    /// Malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        Ok(wire::decode(bytes, MAX_HEAD_BYTES)?)
    }
}

/// The proof that a node's key is in two places: two different heads of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    low: Head,
    high: Head,
}

impl Fork {
    /// Puts two heads together.
    ///
    /// # Errors
    /// They prove nothing; signatures are not looked at.
    pub fn new(one: Head, other: Head) -> Result<Self, HeadError> {
        if one.node != other.node || one.order != other.order || one.mark() == other.mark() {
            return Err(HeadError::NoFork);
        }
        let (low, high) = if one.mark() < other.mark() { (one, other) } else { (other, one) };
        Ok(Self { low, high })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.low.node
    }

    /// The moment.
    #[must_use]
    pub fn order(&self) -> Order {
        self.low.order
    }

    /// The head that all choose.
    #[must_use]
    pub fn chosen(&self) -> &Head {
        &self.high
    }

    /// The proof's hash: 16 bytes.
    #[must_use]
    pub fn mark(&self) -> [u8; 16] {
        let hash = Sha256::new().chain_update(b"cloudy fork v1\0").chain_update(self.low.mark()).chain_update(self.high.mark()).finalize();
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        mark
    }

    /// What decides which of two proofs of a node is kept: the greater.
    #[must_use]
    pub fn rank(&self) -> (Order, [u8; 16]) {
        (self.order(), self.mark())
    }

    /// Checks that it is a proof.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn verify(&self, community: CommunityId) -> Result<(), HeadError> {
        Self::new(self.low.clone(), self.high.clone()).and_then(|sorted| if sorted == *self { Ok(()) } else { Err(HeadError::NoFork) })?;
        self.low.verify(community)?;
        self.high.verify(community)
    }

    /// The proof as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a proof; it is not verified.
    ///
    /// # Errors
    /// Malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        Ok(wire::decode(bytes, 2 * MAX_HEAD_BYTES)?)
    }
}

/// The hash over a live set: its marks in ascending order.
#[must_use]
pub fn hash(marks: &[Mark]) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(b"cloudy live set v1\0");
    for mark in marks {
        hash.update(mark);
    }
    hash.finalize().into()
}
