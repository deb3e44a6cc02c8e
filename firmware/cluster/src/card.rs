//! A node's card: what it says of itself, signed, so that others can pass it on unchanged.

use crate::{
    admission::Refusal,
    keys::{self, NodeId, Purpose, Signature},
    wire::{self, Name},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Longest card in bytes.
pub const MAX_CARD_BYTES: usize = 640;
/// Most addresses on a card.
pub const MAX_CARD_ADDRESSES: usize = 8;

/// What a card says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The node's name for people.
    pub name: Name,
    /// The agent's version.
    pub version: Name,
    /// Where it can be reached.
    pub addresses: Vec<SocketAddr>,
}

/// A signed card. The one with the higher (epoch, sequence) holds; no clock is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    node: NodeId,
    epoch: u32,
    sequence: u32,
    facts: Facts,
    signature: Signature,
}

impl Card {
    /// Signs a card with the node's secret key. Addresses beyond [`MAX_CARD_ADDRESSES`] are left out.
    #[must_use]
    pub fn sign(seed: &[u8; 32], epoch: u32, sequence: u32, mut facts: Facts) -> Self {
        facts.addresses.truncate(MAX_CARD_ADDRESSES);
        let node = NodeId::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Card, &wire::encode(&(node, epoch, sequence, &facts)));
        Self { node, epoch, sequence, facts, signature }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Which life of the node wrote it, and the how-manieth card of that life it is.
    #[must_use]
    pub fn order(&self) -> (u32, u32) {
        (self.epoch, self.sequence)
    }

    /// What it says.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Checks sizes and the node's signature.
    ///
    /// # Errors
    /// Too many addresses, or the signature is wrong.
    pub fn verify(&self) -> Result<(), Refusal> {
        if self.facts.addresses.len() > MAX_CARD_ADDRESSES {
            return Err(Refusal::TooMany("addresses"));
        }
        let signed = wire::encode(&(self.node, self.epoch, self.sequence, &self.facts));
        let good = self.node.verifies(Purpose::Card, &signed, &self.signature);
        if good { Ok(()) } else { Err(Refusal::Signature("card")) }
    }
}
