//! Cloudy nodes on the local network, found by mDNS. What they say of themselves there is a hint, never a proof.

use super::{
    LanNode,
    event::{Event, Says, Sighting},
    ids::node_id,
};
use anyhow::{Context, Result};
use cluster::NodeId;
use futures_util::StreamExt;
use iroh::{Endpoint, address_lookup::UserData};
use iroh_mdns_address_lookup::{DiscoveryEvent, MdnsAddressLookup};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::sync::mpsc;

/// The mDNS service: `NODE._cloudy._udp.local`.
const SERVICE: &str = "cloudy";
/// How often the local network is asked, once for all nodes on it.
const CADENCE: Duration = Duration::from_secs(3);
/// Most nodes remembered.
pub const MAX_SEEN: usize = 256;
/// Where mDNS speaks (RFC 6762, section 3).
const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Starts looking and showing this node.
///
/// # Errors
/// The sockets can't be opened.
pub async fn start(endpoint: &Endpoint, events: mpsc::Sender<Event>) -> Result<()> {
    let mdns = MdnsAddressLookup::builder()
        .service_name(SERVICE)
        .discovery_cadence(CADENCE)
        .build(endpoint.id())
        .context("failed to open the mDNS sockets (UDP port 5353): does another program hold the port for itself?")?;
    let mut sightings = mdns.subscribe().await;
    endpoint.address_lookup()?.add(mdns);
    tokio::spawn(async move {
        while let Some(event) = sightings.next().await {
            let sighting = match event {
                DiscoveryEvent::Discovered { endpoint_info, .. } => Sighting::Seen {
                    node: node_id(&endpoint_info.endpoint_id),
                    addresses: endpoint_info.ip_addrs().copied().collect(),
                    says: endpoint_info.user_data().map(|text| Says::parse(text.as_ref())).unwrap_or_default(),
                },
                DiscoveryEvent::Expired { endpoint_id } => Sighting::Gone(node_id(&endpoint_id)),
                _ => continue,
            };
            if events.send(Event::Lan(sighting)).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Says something else of this node.
pub fn say(endpoint: &Endpoint, says: &Says) {
    endpoint.set_user_data_for_address_lookup(UserData::try_from(says.to_text()).ok());
}

/// Why the local network can't be asked; mDNS itself stays silent then.
pub fn problem() -> Option<String> {
    let tried = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(MDNS));
    match tried {
        Ok(()) => None,
        Err(error) if matches!(error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => Some(
            "no multicast route: this node is on no network, or its network has no default route; check cable, Wi-Fi and address"
                .to_owned(),
        ),
        Err(error) => Some(format!("multicast can't be used ({error}); check the firewall of this node")),
    }
}

/// What is shown of a sighting.
pub fn view(node: &NodeId, addresses: &[SocketAddr], says: &Says) -> LanNode {
    LanNode { id: node.hex(), addresses: addresses.to_vec(), community: says.community.clone(), door_open: says.door_open }
}
