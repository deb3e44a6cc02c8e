//! One record: what a node says under a kind and a key.

use super::head::Order;
use crate::{
    keys::NodeId,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest value in bytes.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Longest key in bytes.
pub const MAX_KEY_BYTES: usize = 128;
/// Longest record in bytes, as it is kept and sent.
pub const MAX_RECORD_BYTES: usize = MAX_VALUE_BYTES + MAX_KEY_BYTES + 32;

/// What a record is about. Kinds that this version does not know are kept and passed on like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub u8);

impl Kind {
    /// What a node is: board, memory, versions.
    pub const FACTS: Self = Self(1);
    /// A published service.
    pub const SERVICE: Self = Self(2);
    /// A blob that the node holds, by hash.
    pub const BLOB: Self = Self(3);
    /// An admin.
    pub const ADMIN: Self = Self(4);
    /// A revocation.
    pub const REVOCATION: Self = Self(5);
    /// An offer to run something.
    pub const OFFER: Self = Self(6);
    /// A lease that answers an offer.
    pub const LEASE: Self = Self(7);
    /// A service, or all of a node, that an admin hides from all who search.
    pub const HIDDEN: Self = Self(8);
    /// The manifest of an app, by its name.
    pub const MANIFEST: Self = Self(9);
    /// A share of an app: the key is the app's name, `/` and the key; its clock has none.
    pub const APP: Self = Self(10);
    /// A node that the owner of this one says is the same owner's, by its id.
    pub const OWNED: Self = Self(11);
    /// A signed catalog of apps that the node holds, by its key.
    pub const CATALOG: Self = Self(12);

    /// Those that this version knows, each in a word.
    const WORDS: [(Self, &str); 12] = [
        (Self::FACTS, "facts"),
        (Self::SERVICE, "service"),
        (Self::BLOB, "blob"),
        (Self::ADMIN, "admin"),
        (Self::REVOCATION, "revocation"),
        (Self::OFFER, "offer"),
        (Self::LEASE, "lease"),
        (Self::HIDDEN, "hidden"),
        (Self::MANIFEST, "manifest"),
        (Self::APP, "app"),
        (Self::OWNED, "owned"),
        (Self::CATALOG, "catalog"),
    ];

    /// The kind in a word; `other` for those of later versions.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("other", |(_, word)| word)
    }
}

/// Where a record stands among its node's records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The kind.
    pub kind: Kind,
    /// The key: 1 to [`MAX_KEY_BYTES`] bytes, no control characters.
    pub key: String,
}

impl Slot {
    /// Whether the key is one.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=MAX_KEY_BYTES).contains(&self.key.len()) && !self.key.chars().any(char::is_control)
    }
}

/// The hash of a record as its node's head counts it: SHA-256.
pub type Mark = [u8; 32];

/// One record. It carries no signature of its own: its node's head does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The head that was being written when it was; never later than the head that lists it.
    pub written: Order,
    /// Which layout the value has, within its kind; readers leave values of layouts that they do not know alone.
    pub schema: u16,
    /// Where it stands.
    pub slot: Slot,
    /// At most [`MAX_VALUE_BYTES`].
    pub value: Vec<u8>,
}

impl Record {
    /// The record as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Too long, another version, malformed, or not as [`Record::to_bytes`] writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let record: Self = wire::decode(bytes, MAX_RECORD_BYTES)?;
        let good = record.slot.is_valid() && record.value.len() <= MAX_VALUE_BYTES && record.to_bytes() == bytes;
        if good { Ok(record) } else { Err(WireError::Malformed) }
    }
}

/// The mark of a record of `node`, given as bytes.
#[must_use]
pub fn mark(node: &NodeId, bytes: &[u8]) -> Mark {
    Sha256::new().chain_update(b"cloudy record v1\0").chain_update(node.0).chain_update(bytes).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_kinds_have_one_number_or_one_word() {
        let numbers: BTreeSet<Kind> = Kind::WORDS.iter().map(|(kind, _)| *kind).collect();
        let words: BTreeSet<&str> = Kind::WORDS.iter().map(|(_, word)| *word).collect();
        assert_eq!((numbers.len(), words.len()), (Kind::WORDS.len(), Kind::WORDS.len()));
        assert_eq!((Kind::APP.word(), Kind::HIDDEN.word(), Kind(200).word()), ("app", "hidden", "other"));
    }
}
