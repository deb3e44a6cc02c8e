//! Keys, ids and signatures, each signature bound to what it is for.

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An ed25519 public key: 32 bytes. Whether it is a point of the curve is checked when a signature is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub [u8; 32]);

/// A node's id: its ed25519 public key, the same that the transport authenticates.
pub type NodeId = Key;

/// A community's id: the hash of its founding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommunityId(pub [u8; 32]);

/// An ed25519 signature: 64 bytes, in two halves for serde's sake.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

/// What a signature is for. The text is part of what is signed, so that no signature means two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A founder founds a community.
    Founding,
    /// An admin makes another key an admin.
    Grant,
    /// An admin makes an invite.
    Invite,
    /// The holder of an invite names the node that uses it.
    Redeem,
    /// A node describes itself.
    Card,
    /// A node says goodbye.
    Farewell,
    /// A node says which of its records are alive.
    Head,
    /// An owner certifies a node.
    Own,
    /// An app's owner says who may write in it.
    Manifest,
    /// A node says how it is.
    Health,
    /// An admin takes somebody out of the community.
    Revocation,
    /// A node would have another one run an app.
    Offer,
    /// The other one agrees.
    Lease,
    /// Somebody publishes a catalog of apps.
    Catalog,
}

impl Purpose {
    fn domain(self) -> &'static [u8] {
        match self {
            Self::Founding => b"cloudy founding v1\0",
            Self::Grant => b"cloudy grant v1\0",
            Self::Invite => b"cloudy invite v1\0",
            Self::Redeem => b"cloudy redeem v1\0",
            Self::Card => b"cloudy card v1\0",
            Self::Farewell => b"cloudy farewell v1\0",
            Self::Head => b"cloudy head v1\0",
            Self::Own => b"cloudy own v1\0",
            Self::Manifest => b"cloudy manifest v1\0",
            Self::Health => b"cloudy health v1\0",
            Self::Revocation => b"cloudy revocation v1\0",
            Self::Offer => b"cloudy offer v1\0",
            Self::Lease => b"cloudy lease v1\0",
            Self::Catalog => b"cloudy catalog v1\0",
        }
    }
}

impl Key {
    /// The public key of a secret seed of 32 bytes.
    #[must_use]
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed).verifying_key().to_bytes())
    }

    /// Whether `signature` by this key stands for `message` and `purpose`. Weak keys and malleable signatures
    /// are refused.
    #[must_use]
    pub fn verifies(&self, purpose: Purpose, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else {
            return false;
        };
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&signature.0);
        bytes[32..].copy_from_slice(&signature.1);
        let signed = [purpose.domain(), message].concat();
        key.verify_strict(&signed, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The key of its 64 hexadecimal digits; none of anything else.
    #[must_use]
    pub fn of_hex(digits: &str) -> Option<Self> {
        HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The first 10 hexadecimal digits, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..5])
    }
}

impl CommunityId {
    /// 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The first 16 hexadecimal digits: what is shown on the local network.
    #[must_use]
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..8])
    }
}

/// Signs `message` for `purpose` with the secret `seed`.
#[must_use]
pub fn sign(seed: &[u8; 32], purpose: Purpose, message: &[u8]) -> Signature {
    let signed = [purpose.domain(), message].concat();
    let bytes = SigningKey::from_bytes(seed).sign(&signed).to_bytes();
    let (mut first, mut second) = ([0; 32], [0; 32]);
    first.copy_from_slice(&bytes[..32]);
    second.copy_from_slice(&bytes[32..]);
    Signature(first, second)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}
