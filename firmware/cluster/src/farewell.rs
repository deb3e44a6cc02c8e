//! A signed goodbye: whoever gets it from anybody believes it, so that a node that leaves is not missed for long.
//!
//! It names one life of the node. Repeated later it changes nothing: that life is over, and a node that comes back
//! has another.

use crate::{
    keys::{self, NodeId, Purpose, Signature},
    membership::Life,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};

/// First byte of a datagram with a goodbye.
pub const DATAGRAM: u8 = 0x46;
/// Longest goodbye in bytes.
const MAX_BYTES: usize = 160;

/// A goodbye.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    life: Life,
    signature: Signature,
}

impl Farewell {
    /// Signs the end of a life with the node's secret key.
    #[must_use]
    pub fn sign(seed: &[u8; 32], life: Life) -> Self {
        let signature = keys::sign(seed, Purpose::Farewell, &wire::encode(&life));
        Self { life, signature }
    }

    /// Who leaves.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.life.node
    }

    /// Which life ends.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// As a datagram.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[DATAGRAM], wire::encode(self).as_slice()].concat()
    }

    /// Reads a datagram; true signatures only.
    ///
    /// # Errors
    /// No goodbye, malformed, or not signed by the one who leaves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let Some((&DATAGRAM, body)) = bytes.split_first() else {
            return Err(WireError::Malformed);
        };
        let farewell: Self = wire::decode(body, MAX_BYTES)?;
        let signed = wire::encode(&farewell.life);
        let good = farewell.life.node.verifies(Purpose::Farewell, &signed, &farewell.signature);
        if good { Ok(farewell) } else { Err(WireError::Malformed) }
    }
}
