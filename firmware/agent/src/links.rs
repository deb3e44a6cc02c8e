//! Addresses of this machine and of who comes to it: those that a person types, those that are near, those of containers.

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Addresses that others can reach: no loopback, no link-local, nothing of Docker's bridges.
pub fn addresses() -> Vec<IpAddr> {
    addresses_of(None)
}

/// The same of one interface, or of all.
pub fn addresses_of(interface: Option<&str>) -> Vec<IpAddr> {
    let Ok(list) = getifaddrs() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in list {
        let Some(address) = entry.address.filter(|_| interface.is_none_or(|name| name == entry.interface_name)) else { continue };
        let ip = if let Some(v4) = address.as_sockaddr_in() {
            IpAddr::V4(v4.ip())
        } else if let Some(v6) = address.as_sockaddr_in6() {
            IpAddr::V6(v6.ip())
        } else {
            continue;
        };
        if shown(&entry.interface_name, ip) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// Whether an address of an interface is one that a person could type.
fn shown(interface: &str, ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    !leads_to_containers(interface) && !local
}

/// An interface's address with how much of it is its network's.
struct Link {
    ip: IpAddr,
    mask: IpAddr,
    /// The interface is a device of its own.
    device: bool,
    /// The interface leads to containers.
    containers: bool,
    /// The interface's index, where it leads to containers.
    index: u32,
}

impl Link {
    /// Whether an address is of this network.
    fn shares(&self, ip: IpAddr) -> bool {
        match (ip, self.ip, self.mask) {
            (IpAddr::V4(ip), IpAddr::V4(own), IpAddr::V4(mask)) => !mask.is_unspecified() && (ip & mask) == (own & mask),
            (IpAddr::V6(ip), IpAddr::V6(own), IpAddr::V6(mask)) => !mask.is_unspecified() && (ip & mask) == (own & mask),
            _ => false,
        }
    }
}

fn links() -> nix::Result<Vec<Link>> {
    let address = |storage: Option<nix::sys::socket::SockaddrStorage>| {
        let storage = storage?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let link = |entry: InterfaceAddress| {
        let name = entry.interface_name.as_str();
        let containers = leads_to_containers(name);
        // Each connection that comes asks, and of containers' ends there may be many: what is not needed of them is not looked up.
        Some(Link {
            ip: address(entry.address)?,
            mask: address(entry.netmask)?,
            // Bridges, tunnels and containers' ends have no device.
            device: !containers && Path::new("/sys/class/net").join(name).join("device").exists(),
            containers,
            index: if containers { if_nametoindex(name).unwrap_or_default() } else { 0 },
        })
    };
    Ok(getifaddrs()?.filter_map(link).collect())
}

/// Whether the interface of that name leads to containers of this machine.
pub fn leads_to_containers(name: &str) -> bool {
    ["docker", "br-", "veth"].iter().any(|begin| name.starts_with(begin))
}

/// Whether an address is on a link of this machine: no container of it, not the machine itself, and no router between.
pub fn is_near(ip: IpAddr) -> bool {
    links().is_ok_and(|links| near(ip, &links))
}

fn near(ip: IpAddr, links: &[Link]) -> bool {
    let ip = ip.to_canonical();
    let own = ip.is_loopback() || links.iter().any(|link| link.ip == ip);
    // A link-local address is one of any link, so it counts only where no container has one.
    let (devices, others): (Vec<&Link>, Vec<&Link>) = links.iter().partition(|link| link.device);
    !own && devices.into_iter().any(|link| link.shares(ip)) && !others.into_iter().any(|link| link.shares(ip))
}

/// From where somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// This machine.
    Here,
    /// A link of this machine: a neighbour in the same house.
    Near,
    /// Anywhere else: other networks, and containers.
    Elsewhere,
}

/// From where somebody with that address comes. Where the kernel does not say, from elsewhere.
pub fn whence(ip: IpAddr) -> Whence {
    let ip = ip.to_canonical();
    let links = links().unwrap_or_default();
    if ip.is_loopback() || links.iter().any(|link| link.ip == ip) {
        Whence::Here
    } else if near(ip, &links) {
        Whence::Near
    } else {
        Whence::Elsewhere
    }
}

/// Those of some addresses that are on a link of this machine, or its own.
pub fn near_ones(ips: impl Iterator<Item = IpAddr>) -> BTreeSet<IpAddr> {
    let links = links().unwrap_or_default();
    ips.filter(|ip| links.iter().any(|link| link.ip == ip.to_canonical()) || near(*ip, &links)).collect()
}

/// Whether somebody who comes from there is a container of this machine. Where the kernel does not say, everybody is.
pub fn is_container(from: SocketAddr) -> bool {
    !from.ip().to_canonical().is_loopback() && links().map_or(true, |links| contained(from, &links))
}

fn contained(from: SocketAddr, links: &[Link]) -> bool {
    let ip = from.ip().to_canonical();
    // A link-local address says nothing without the link that it came by.
    let by = |link: &Link| match from {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == link.index,
        _ => true,
    };
    !links.iter().any(|link| link.ip == ip) && links.iter().any(|link| link.containers && by(link) && link.shares(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_who_shares_a_link_and_is_no_container() {
        let link = |ip: &str, mask: &str, device| Link { device, ..link("eth0", 0, ip, mask) };
        let links = [
            link("127.0.0.1", "255.0.0.0", false),
            link("192.168.1.20", "255.255.255.0", true),
            link("172.18.0.1", "255.255.0.0", false),
            link("fe80::1", "ffff:ffff:ffff:ffff::", true),
            link("fd00::1", "ffff:ffff:ffff:ffff::", true),
        ];
        let is = |ip: &str| near(ip.parse().unwrap(), &links);
        for ip in ["192.168.1.7", "::ffff:192.168.1.7", "fd00::2", "fe80::2"] {
            assert!(is(ip), "{ip}");
        }
        for ip in ["192.168.1.20", "127.0.0.1", "127.0.0.2", "::1", "172.18.0.2", "192.168.2.7", "10.0.0.1", "fd01::2", "fd00::1"] {
            assert!(!is(ip), "{ip}");
        }
        let bridged = [link("fe80::1", "ffff:ffff:ffff:ffff::", true), link("fe80::2", "ffff:ffff:ffff:ffff::", false)];
        assert!(!near("fe80::3".parse().unwrap(), &bridged));
    }

    #[test]
    fn loopback_and_docker_are_not_shown() {
        let ip: IpAddr = "192.168.1.2".parse().unwrap();
        assert!(shown("enp1s0", ip));
        assert!(!shown("docker0", ip));
        assert!(!shown("lo", "127.0.0.1".parse().unwrap()));
        assert!(!shown("enp1s0", "fe80::1".parse().unwrap()));
    }

    fn link(name: &str, index: u32, ip: &str, mask: &str) -> Link {
        let (ip, mask) = (ip.parse().unwrap(), mask.parse().unwrap());
        Link { ip, mask, device: name.starts_with('e'), containers: leads_to_containers(name), index }
    }

    #[test]
    fn a_container_is_known_by_the_network_that_it_comes_from() {
        let (v4, v6) = ("255.255.0.0", "ffff:ffff:ffff:ffff::");
        let links = [
            link("lo", 1, "127.0.0.1", "255.0.0.0"),
            link("enp1s0", 2, "192.168.1.20", "255.255.255.0"),
            link("enp1s0", 2, "fe80::1", v6),
            link("br-0123456789ab", 5, "172.18.0.1", v4),
            link("br-0123456789ab", 5, "fe80::5", v6),
            link("br-0123456789ab", 5, "fd00:5::1", v6),
        ];
        let is = |from: &str| contained(from.parse().unwrap(), &links);
        for from in ["172.18.0.2:40000", "[::ffff:172.18.0.2]:40000", "[fd00:5::2]:40000", "[fe80::2%5]:40000"] {
            assert!(is(from), "{from}");
        }
        // Somebody beside this node, whatever its own network; this machine, by any of its addresses.
        for from in ["192.168.1.7:40000", "[fe80::2%2]:40000", "10.0.0.1:40000", "127.0.0.1:40000", "172.18.0.1:40000", "[fd00:5::1]:40000"]
        {
            assert!(!is(from), "{from}");
        }
        assert!(!is_container("127.0.0.1:40000".parse().unwrap()));
    }
}
