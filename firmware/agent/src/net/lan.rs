//! Cloudy nodes on the local network, found by mDNS. What they say of themselves there is a hint, never a proof.

use super::{
    LanNode,
    event::{Event, Says, Sighting},
    ids::node_id,
};
use anyhow::{Context, Result};
use cluster::NodeId;
use futures_util::{Stream, StreamExt};
use iroh::{Endpoint, address_lookup::UserData};
use iroh_mdns_address_lookup::{DiscoveryEvent, MdnsAddressLookup};
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    pin::Pin,
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

/// Starts looking and showing this node, and goes on doing so on whichever network multicast goes to.
///
/// # Errors
/// The sockets can't be opened.
pub async fn start(endpoint: &Endpoint, events: mpsc::Sender<Event>) -> Result<()> {
    let begun_on = route().ok();
    let sightings = open(endpoint).await?;
    tokio::spawn(watch(endpoint.clone(), events, sightings, begun_on));
    Ok(())
}

type Sightings = Pin<Box<dyn Stream<Item = DiscoveryEvent> + Send>>;

/// Opens the sockets, in the place of those that were open. They join the multicast group once, on the network that
/// multicast goes to now: where there is none yet they stay deaf.
async fn open(endpoint: &Endpoint) -> Result<Sightings> {
    let mdns = MdnsAddressLookup::builder()
        .service_name(SERVICE)
        .discovery_cadence(CADENCE)
        .build(endpoint.id())
        .context("failed to open the mDNS sockets (UDP port 5353): does another program hold the port for itself?")?;
    let sightings = Box::pin(mdns.subscribe().await);
    let services = endpoint.address_lookup()?;
    services.clear();
    services.add(mdns);
    Ok(sightings)
}

/// Passes on what is seen, and opens the sockets again when multicast begins to go elsewhere: an agent starts before a
/// cable is plugged in, or before the router has given an address.
async fn watch(endpoint: Endpoint, events: mpsc::Sender<Event>, mut sightings: Sightings, mut open_on: Option<IpAddr>) {
    let mut look = tokio::time::interval(CADENCE);
    // Seen by the sockets that are open now: others never say that these are gone.
    let mut seen = BTreeSet::new();
    loop {
        tokio::select! {
            event = sightings.next() => {
                let Some(event) = event else {
                    // The next look opens them again.
                    (sightings, open_on) = (Box::pin(futures_util::stream::pending()), None);
                    continue;
                };
                let Some(sighting) = sighting(event) else { continue };
                match &sighting {
                    Sighting::Seen { node, .. } => seen.insert(*node),
                    Sighting::Gone(node) => seen.remove(node),
                };
                if events.send(Event::Lan(sighting)).await.is_err() {
                    return;
                }
            }
            _ = look.tick() => {
                let now = route().ok();
                if events.is_closed() {
                    return;
                }
                if moved(open_on, now) {
                    match open(&endpoint).await {
                        Ok(opened) => {
                            (sightings, open_on) = (opened, now);
                            for node in std::mem::take(&mut seen) {
                                if events.send(Event::Lan(Sighting::Gone(node))).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Err(error) => log::warn!("the local network can't be asked: {error:#}"),
                    }
                }
            }
        }
    }
}

/// Whether sockets that were opened for `open_on` must be opened for `now`. Without any network they may stay.
fn moved(open_on: Option<IpAddr>, now: Option<IpAddr>) -> bool {
    now.is_some() && now != open_on
}

fn sighting(event: DiscoveryEvent) -> Option<Sighting> {
    match event {
        DiscoveryEvent::Discovered { endpoint_info, .. } => Some(Sighting::Seen {
            node: node_id(&endpoint_info.endpoint_id),
            addresses: endpoint_info.ip_addrs().copied().collect(),
            says: endpoint_info.user_data().map(|text| Says::parse(text.as_ref())).unwrap_or_default(),
        }),
        DiscoveryEvent::Expired { endpoint_id } => Some(Sighting::Gone(node_id(&endpoint_id))),
        _ => None,
    }
}

/// Says something else of this node.
pub fn say(endpoint: &Endpoint, says: &Says) {
    endpoint.set_user_data_for_address_lookup(UserData::try_from(says.to_text()).ok());
}

/// The address that multicast goes out from, or why there is none. Nothing is sent.
fn route() -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(MDNS)?;
    Ok(socket.local_addr()?.ip())
}

/// Why the local network can't be asked; mDNS itself stays silent then.
pub fn problem() -> Option<String> {
    match route() {
        Ok(_) => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_opened_again_where_multicast_goes_elsewhere() {
        let (here, there) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([192, 168, 1, 5])));
        assert!(moved(None, here), "an address came after the agent");
        assert!(moved(here, there), "another network, or another address on it");
        assert!(!moved(here, here) && !moved(here, None) && !moved(None, None));
    }
}
