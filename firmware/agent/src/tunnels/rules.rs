//! What is decided about tunnels: to which port one may lead, who may use one, where it listens, when it is over. All of it pure.

use super::wire::Answer;
use crate::limits::{TUNNEL_IDLE, TUNNEL_PORTS};
use crate::links::Whence;
use crate::net::{LinkView, Service, ServiceHealth};
use crate::users::Place;
use cluster::NodeId;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// The port of this node to which a member's connection may lead: that of a service which this node publishes at this moment and which is not
/// stopped, and none on which the agent itself listens. `own` are the agent's ports.
///
/// # Errors
/// What the member is told.
pub fn target(published: Option<&Service>, own: &[u16]) -> Result<u16, Answer> {
    let service = published.ok_or(Answer::Unknown)?;
    let port = service.port.filter(|_| service.url.is_none()).ok_or(Answer::NoPort)?;
    if service.health == ServiceHealth::Stopped {
        return Err(Answer::Stopped);
    }
    if own.contains(&port) || TUNNEL_PORTS.contains(&port) { Err(Answer::NodesOwn) } else { Ok(port) }
}

/// Whether somebody may use a tunnel: who is in the house, and the places from which it was opened. What a service shows to the microcloud is
/// not for all who reach this node from other networks.
pub fn may_use(whence: Whence, place: Place, openers: &[Place]) -> bool {
    whence != Whence::Elsewhere || openers.contains(&place)
}

/// The ports at which a tunnel may listen, the one that it gets again first.
pub fn ports(node: &NodeId, key: &str) -> impl Iterator<Item = u16> + use<> {
    let hash = Sha256::new().chain_update(node.0).chain_update(key).finalize();
    let (first, count) = (*TUNNEL_PORTS.start(), TUNNEL_PORTS.end() - TUNNEL_PORTS.start() + 1);
    let begin = u16::from_be_bytes([hash[0], hash[1]]) % count;
    (0..count).map(move |next| first + (begin + next) % count)
}

/// How long a tunnel stays, of which no connection was used for so long; none when it is over.
pub fn left(unused: Duration) -> Option<Duration> {
    TUNNEL_IDLE.checked_sub(unused).filter(|left| !left.is_zero())
}

/// Whether a browser near this node may not reach an address of another node: this node reaches that node at another address, and the two are
/// not on networks of its own. Houses have the same private addresses, so that one alone says nothing. Without a connection nothing is known.
pub fn is_doubtful(address: IpAddr, near: &BTreeSet<IpAddr>, link: Option<&LinkView>) -> bool {
    let Some(link) = link else { return false };
    let at = link.address.map(|at| at.ip().to_canonical());
    at.is_none_or(|at| at != address.to_canonical() && !(near.contains(&at) && near.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;
    use proptest::prelude::*;

    fn of(port: Option<u16>) -> Service {
        Service { title: "Wiki".to_owned(), port, ..Service::default() }
    }

    #[test]
    fn a_connection_leads_to_the_port_of_a_published_service_and_to_none_of_the_agent() {
        let own = [80, 443, 4748];
        assert_eq!(target(Some(&of(Some(8080))), &own), Ok(8080));
        assert_eq!(target(None, &own), Err(Answer::Unknown));
        assert_eq!(target(Some(&of(None)), &own), Err(Answer::NoPort));
        let whole = Service { url: Some("http://10.0.0.1:8080/".to_owned()), ..of(Some(8080)) };
        assert_eq!(target(Some(&whole), &own), Err(Answer::NoPort));
        let stopped = Service { health: ServiceHealth::Stopped, ..of(Some(8080)) };
        assert_eq!(target(Some(&stopped), &own), Err(Answer::Stopped));
        for port in [80, 443, 4748, *TUNNEL_PORTS.start(), *TUNNEL_PORTS.end()] {
            assert_eq!(target(Some(&of(Some(port))), &own), Err(Answer::NodesOwn), "{port}");
        }
    }

    #[test]
    fn a_tunnel_is_for_the_house_and_for_who_opened_it() {
        let place = |ip: &str| Place::from(ip.parse::<IpAddr>().unwrap());
        let openers = [place("203.0.113.7"), place("2001:db8:1:2::1")];
        for whence in [Whence::Here, Whence::Near] {
            assert!(may_use(whence, place("198.51.100.1"), &[]));
        }
        assert!(
            may_use(Whence::Elsewhere, place("203.0.113.7"), &openers) && may_use(Whence::Elsewhere, place("2001:db8:1:2::99"), &openers)
        );
        for stranger in ["203.0.113.8", "2001:db8:1:3::1", "172.18.0.2"] {
            assert!(!may_use(Whence::Elsewhere, place(stranger), &openers), "{stranger}");
        }
    }

    #[test]
    fn a_tunnel_that_is_not_used_ends() {
        assert_eq!(left(Duration::ZERO), Some(TUNNEL_IDLE));
        assert_eq!(left(TUNNEL_IDLE - Duration::from_secs(1)), Some(Duration::from_secs(1)));
        assert!(left(TUNNEL_IDLE).is_none() && left(TUNNEL_IDLE * 2).is_none());
    }

    #[test]
    fn an_address_is_doubted_where_this_node_takes_another_way() {
        let link =
            |at: Option<&str>| LinkView { address: at.map(|at| at.parse().unwrap()), through: None, rtt_ms: None, lost_permille: None };
        let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect::<BTreeSet<_>>();
        let (far, nobody) = ("192.168.7.2".parse().unwrap(), ips(&[]));
        assert!(is_doubtful(far, &nobody, Some(&link(Some("203.0.113.7:4747")))) && is_doubtful(far, &nobody, Some(&link(None))));
        assert!(!is_doubtful(far, &nobody, Some(&link(Some("192.168.7.2:4747")))) && !is_doubtful(far, &nobody, None));
        assert!(!is_doubtful(far, &nobody, Some(&link(Some("[::ffff:192.168.7.2]:4747")))));
        // In the same house by two addresses; in another house with the same private addresses.
        let near = ips(&["192.168.7.2", "fd00::2"]);
        assert!(!is_doubtful(far, &near, Some(&link(Some("[fd00::2]:4747")))));
        assert!(is_doubtful(far, &near, Some(&link(Some("203.0.113.7:4747")))));
    }

    proptest! {
        /// Each port once, none outside; the same service begins with the same one.
        #[test]
        fn all_ports_are_tried_once(node: [u8; 32], key in "[a-z]{1,9}") {
            let tried: Vec<u16> = ports(&Key(node), &key).collect();
            let all: BTreeSet<u16> = tried.iter().copied().collect();
            prop_assert!(tried.len() == all.len() && all.into_iter().eq(TUNNEL_PORTS));
            prop_assert_eq!(tried[0], ports(&Key(node), &key).next().unwrap());
        }

        #[test]
        fn no_port_of_the_agent_is_ever_reached(port in prop::option::of(any::<u16>()), own in prop::collection::vec(any::<u16>(), 0..5)) {
            if let Ok(reached) = target(Some(&of(port)), &own) {
                prop_assert!(Some(reached) == port && !own.contains(&reached) && !TUNNEL_PORTS.contains(&reached));
            }
        }
    }
}
