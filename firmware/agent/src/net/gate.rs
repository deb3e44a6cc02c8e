//! Who may speak which protocol, decided as soon as a handshake is done and before a stream is served.
//!
//! Architecture invariant: every protocol but hello admits members only, in both directions.

use super::ids::node_id;
use cluster::NodeId;
use iroh::endpoint::{AfterHandshakeOutcome, Connection, EndpointHooks, VarInt};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

/// The protocol of strangers: one question, one answer. Its version travels inside.
pub const HELLO_ALPN: &[u8] = b"cloudy/hello";
/// The protocol of members, version 1: gossip in datagrams, exchanges in streams.
pub const MEMBER_ALPN: &[u8] = b"cloudy/member/1";
/// The protocol of blobs: iroh-blobs', for members alone.
pub const BLOBS_ALPN: &[u8] = iroh_blobs::ALPN;
/// The protocol of tunnels, version 1: a stream for each connection to a service, for members alone.
pub const TUNNEL_ALPN: &[u8] = b"cloudy/tunnel/1";
/// The protocol of an owner's nodes among each other, version 1: a stream for each request to the API, for members alone.
pub const HOUSEHOLD_ALPN: &[u8] = b"cloudy/household/1";
/// Close code: you are no member here, as far as this node knows.
pub const CLOSE_NOT_ADMITTED: VarInt = VarInt::from_u32(403);
/// Close code: too many at once.
pub const CLOSE_BUSY: VarInt = VarInt::from_u32(429);
/// Close code: done, or not needed now.
pub const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// The set of admitted members, shared with the endpoint's hook.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    admitted: Arc<RwLock<BTreeSet<NodeId>>>,
}

impl Gate {
    /// Replaces the set.
    pub fn set(&self, admitted: BTreeSet<NodeId>) {
        *self.admitted.write().unwrap_or_else(PoisonError::into_inner) = admitted;
    }

    /// Whether a node may speak the members' protocol.
    pub fn admits(&self, node: &NodeId) -> bool {
        self.admitted.read().unwrap_or_else(PoisonError::into_inner).contains(node)
    }
}

impl EndpointHooks for Gate {
    async fn after_handshake<'a>(&'a self, conn: &'a Connection) -> AfterHandshakeOutcome {
        let admitted = match conn.alpn() {
            HELLO_ALPN => true,
            _ => self.admits(&node_id(&conn.remote_id())),
        };
        if admitted {
            AfterHandshakeOutcome::Accept
        } else {
            AfterHandshakeOutcome::Reject { error_code: CLOSE_NOT_ADMITTED, reason: b"not admitted".to_vec() }
        }
    }
}
