//! The recovery kit: an owner's secret key, and the community that it founded, if any.
//!
//! Whoever holds the founder's kit is the community's first admin. It is text on paper or in a file, and on the
//! nodes that its owner trusts with making invites.

use crate::{
    admins::Appointment,
    admission::{Founding, Grant, Invite, Seed, Terms, Token},
    keys::{CommunityId, Key, NodeId},
    records::Ownership,
    revocation::{Revocation, Whom},
    text::{self, Kind, TextError},
    wire::{self, Name, WireError},
};
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest kit in bytes.
const MAX_KIT_BYTES: usize = 4096;

/// An owner's recovery kit. Secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kit {
    seed: [u8; 32],
    community: Option<Name>,
}

/// Why a text is no kit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KitError {
    /// The text.
    #[error("this is no recovery kit: {0}")]
    Text(#[from] TextError),
    /// The bytes in it.
    #[error("this recovery kit can't be read: {0}")]
    Wire(#[from] WireError),
}

impl Kit {
    /// A new kit, for no community yet.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { seed: rng.random(), community: None }
    }

    /// The key of a node that was made an admin: its own, from its secret seed.
    #[must_use]
    pub fn of_node(seed: [u8; 32]) -> Self {
        Self { seed, community: None }
    }

    /// The same key, with the community that it founds or founded.
    #[must_use]
    pub fn with_community(self, name: Name) -> Self {
        Self { community: Some(name), ..self }
    }

    /// The name of the community that this kit founded.
    #[must_use]
    pub fn community(&self) -> Option<&Name> {
        self.community.as_ref()
    }

    /// The owner's public key.
    #[must_use]
    pub fn public(&self) -> Key {
        Key::of_seed(&self.seed)
    }

    /// Founds a community. The same kit and name always give the same community, so that a kit recovers it.
    #[must_use]
    pub fn found(&self, name: &Name) -> Founding {
        let hash = Sha256::new().chain_update(b"cloudy founding nonce v1\0").chain_update(self.seed).chain_update(name.as_str()).finalize();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&hash[..16]);
        Founding::sign(&self.seed, name.clone(), nonce)
    }

    /// Makes an invite to `community` under `terms`. `grants` is the chain that made this kit's key an admin:
    /// empty for the founder's kit.
    #[must_use]
    pub fn invite(&self, community: &Founding, grants: Vec<Grant>, terms: Terms, seeds: Vec<Seed>, rng: &mut impl CryptoRng) -> Token {
        let secret: [u8; 32] = rng.random();
        let invite = Invite::sign(&self.seed, community.id(), grants, Key::of_seed(&secret), terms);
        Token::new(community.clone(), invite, secret, seeds)
    }

    /// Makes `admin` an admin of `community`; for the founder's kit.
    #[must_use]
    pub fn grant(&self, community: &Founding, admin: Key) -> Grant {
        Grant::sign(&self.seed, community.id(), admin)
    }

    /// Makes a node an admin of `community`; for the founder's kit.
    #[must_use]
    pub fn appoint(&self, community: &Founding, node: NodeId) -> Appointment {
        Appointment::new(self.grant(community, node))
    }

    /// Certifies that a node is this owner's, in that community.
    #[must_use]
    pub fn own(&self, community: CommunityId, node: NodeId) -> Ownership {
        Ownership::sign(&self.seed, community, node)
    }

    /// Takes somebody out of `community`. `grants` as in [`Kit::invite`].
    #[must_use]
    pub fn revoke(&self, community: &Founding, grants: Vec<Grant>, whom: Whom) -> Revocation {
        Revocation::sign(&self.seed, community.id(), grants, whom)
    }

    /// The kit as text: `cloudy1-kit-…`. Secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::to_text(Kind::Kit, &wire::encode(self))
    }

    /// Reads a kit's text.
    ///
    /// # Errors
    /// It is no kit.
    pub fn parse(kit: &str) -> Result<Self, KitError> {
        Ok(wire::decode(&text::from_text(Kind::Kit, kit, MAX_KIT_BYTES)?, MAX_KIT_BYTES)?)
    }
}

impl std::fmt::Debug for Kit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kit").field("public", &self.public()).field("community", &self.community).finish_non_exhaustive()
    }
}
