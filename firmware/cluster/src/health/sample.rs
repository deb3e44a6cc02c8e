//! What a node says of how it is, and that it says so itself.

use crate::{
    keys::{self, CommunityId, NodeId, Purpose, Signature},
    wire,
};
use serde::{Deserialize, Serialize};

/// Neighbours that a sample names.
pub const MAX_LINKS: usize = 12;
/// Longest text in a sample, in bytes.
pub const MAX_TEXT_BYTES: usize = 24;

/// The connection to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The first bytes of the neighbour's id.
    pub node: [u8; 4],
    /// Round-trip time in milliseconds.
    pub rtt_ms: u16,
    /// Packets lost of a thousand sent.
    pub lost_permille: u16,
}

/// What Docker does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Docker {
    /// It can't be asked.
    Unknown,
    /// It does not run, or does not answer.
    Stopped,
    /// It runs.
    Running {
        /// Its version, at most [`MAX_TEXT_BYTES`].
        version: String,
        /// Containers that run.
        containers: u16,
    },
}

/// The figures of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Seconds since it was started.
    pub uptime_seconds: u32,
    /// Load average over a minute, in hundredths.
    pub load_hundredths: u16,
    /// Use of all processors in percent.
    pub cpu_percent: u8,
    /// Processors.
    pub cpus: u16,
    /// Memory in megabytes.
    pub memory_total_mb: u32,
    /// Memory that programs could still get.
    pub memory_available_mb: u32,
    /// Storage for data in megabytes.
    pub storage_total_mb: u32,
    /// Free of that.
    pub storage_available_mb: u32,
    /// The hottest sensor in degrees Celsius.
    pub temperature_celsius: Option<i16>,
    /// Docker.
    pub docker: Docker,
    /// The agent's version, at most [`MAX_TEXT_BYTES`].
    pub version: String,
    /// At most [`MAX_LINKS`].
    pub links: Vec<Link>,
}

/// A node's life, and the how-manieth sample of it.
pub type Order = (u32, u32);

/// A signed sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub(super) node: NodeId,
    pub(super) order: Order,
    pub(super) figures: Figures,
    signature: Signature,
}

impl Sample {
    fn signed(community: CommunityId, node: NodeId, order: Order, figures: &Figures) -> Vec<u8> {
        wire::encode(&(community, node, order, figures))
    }

    /// Signs a sample.
    #[must_use]
    pub fn sign(seed: &[u8; 32], community: CommunityId, order: Order, figures: Figures) -> Self {
        let node = NodeId::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Health, &Self::signed(community, node, order, &figures));
        Self { node, order, figures, signature }
    }

    /// Whether its node signed it for that community, and it keeps to the limits.
    #[must_use]
    pub fn verifies(&self, community: CommunityId) -> bool {
        // Such as no terminal, page or other reader takes for more than text.
        let text = |text: &str| text.len() <= MAX_TEXT_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        let docker = match &self.figures.docker {
            Docker::Running { version, .. } => text(version),
            Docker::Unknown | Docker::Stopped => true,
        };
        let links = &self.figures.links;
        let fits = docker
            && text(&self.figures.version)
            && self.figures.cpu_percent <= 100
            && links.len() <= MAX_LINKS
            && links.iter().all(|link| link.lost_permille <= 1000);
        fits && {
            let signed = Self::signed(community, self.node, self.order, &self.figures);
            self.node.verifies(Purpose::Health, &signed, &self.signature)
        }
    }
}
