//! Node ids as the core names them and as iroh does: the same 32 bytes.

use super::DEFAULT_PORT;
use cluster::NodeId;
use data_encoding::BASE32_NOPAD;
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use std::net::{IpAddr, SocketAddr};

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

/// A node and where it is, as people give it to each other.
pub fn place(node: &str, address: SocketAddr) -> String {
    format!("{node}@{address}")
}

/// Reads that; where it names no port, the usual one is meant.
pub fn placed(text: &str) -> Option<(NodeId, SocketAddr)> {
    let (node, address) = text.trim().split_once('@')?;
    let alone = || address.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DEFAULT_PORT));
    Some((NodeId::of_hex(node)?, address.parse().ok().or_else(alone)?))
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

    #[test]
    fn a_place_is_read_back_with_and_without_a_port() {
        let node = cluster::keys::Key([7; 32]);
        for address in ["192.168.1.7:4700", "[2001:db8::1]:9"].map(|address| address.parse().unwrap()) {
            assert_eq!(placed(&place(&node.hex(), address)), Some((node, address)));
        }
        for alone in ["10.0.0.1", "fd00::1"] {
            let usual = SocketAddr::new(alone.parse().unwrap(), DEFAULT_PORT);
            assert_eq!(placed(&format!(" {}@{alone}\n", node.hex())), Some((node, usual)));
        }
        let id = node.hex();
        for wrong in
            ["", "@", &id, &format!("{id}@"), &format!("{id}@garden"), &format!("{}@10.0.0.1", &id[1..]), &format!("{id}@10.0.0.1:99999")]
        {
            assert_eq!(placed(wrong), None, "{wrong}");
        }
    }
}
