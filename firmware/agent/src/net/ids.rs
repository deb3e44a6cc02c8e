//! Node ids as the core names them and as iroh does: the same 32 bytes.

use cluster::NodeId;
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use std::net::SocketAddr;

/// The core's name of an iroh endpoint.
pub fn node_id(id: &EndpointId) -> NodeId {
    cluster::keys::Key(*id.as_bytes())
}

/// Where and whom to dial; none if the id is no key.
pub fn endpoint_addr(node: &NodeId, addresses: impl IntoIterator<Item = SocketAddr>) -> Option<EndpointAddr> {
    let id = EndpointId::from_bytes(&node.0).ok()?;
    Some(EndpointAddr::from_parts(id, addresses.into_iter().map(TransportAddr::Ip)))
}
