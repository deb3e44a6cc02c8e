//! Node ids as the core names them and as iroh does: the same 32 bytes.

use cluster::NodeId;
use data_encoding::BASE32_NOPAD;
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use std::net::SocketAddr;

/// The core's name of an iroh endpoint.
pub fn node_id(id: &EndpointId) -> NodeId {
    cluster::keys::Key(*id.as_bytes())
}

/// A node's name in mDNS: its id in lower-case base 32, as iroh writes it.
pub fn label(node: &NodeId) -> String {
    BASE32_NOPAD.encode(&node.0).to_ascii_lowercase()
}

/// Reads that; none where it is no node's.
pub fn of_label(label: &str) -> Option<NodeId> {
    let bytes = BASE32_NOPAD.decode(label.to_ascii_uppercase().as_bytes()).ok()?;
    bytes.try_into().ok().map(cluster::keys::Key)
}

/// Where and whom to dial; none if the id is no key.
pub fn endpoint_addr(node: &NodeId, addresses: impl IntoIterator<Item = SocketAddr>) -> Option<EndpointAddr> {
    endpoint_paths(node, addresses.into_iter().map(TransportAddr::Ip))
}

/// The same with paths of any kind.
pub fn endpoint_paths(node: &NodeId, paths: impl IntoIterator<Item = TransportAddr>) -> Option<EndpointAddr> {
    let id = EndpointId::from_bytes(&node.0).ok()?;
    Some(EndpointAddr::from_parts(id, paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_back_and_nothing_else_is() {
        let node = cluster::keys::Key(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
        assert!(label(&node).len() <= 63 && of_label(&label(&node)) == Some(node));
        for wrong in ["", "cloudy", "ü", &label(&node)[1..], &format!("{}a", label(&node)), &"1".repeat(52)] {
            assert_eq!(of_label(wrong), None, "{wrong}");
        }
    }
}
