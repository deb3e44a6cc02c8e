//! Processor, memory, storage, temperature and addresses of this machine, read when somebody asks.

use crate::status::Host;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use sysinfo::{Components, CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Takes samples; keeps what the next sample is compared with.
pub struct Sampler {
    system: Option<System>,
}

impl Sampler {
    /// Opens the sources. Where a source is missing, its figures stay zero.
    pub fn new() -> Self {
        let what =
            RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage()).with_memory(MemoryRefreshKind::nothing().with_ram());
        Self { system: System::new_with_specifics(what).ok() }
    }

    /// One sample; storage is that of the file system that holds `data`.
    pub fn sample(&mut self, data: &Path) -> Host {
        let mut host = Host { uptime_seconds: System::uptime().unwrap_or(0), ..Host::default() };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            host.cpus = system.cpus().len();
            host.cpu_percent = system.global_cpu_usage();
            host.memory_total_bytes = system.total_memory();
            host.memory_available_bytes = system.available_memory();
        }
        if let Ok(load) = System::load_average() {
            host.load = [load.one, load.five, load.fifteen];
        }
        if let Ok(fs) = nix::sys::statvfs::statvfs(data) {
            let unit = fs.fragment_size();
            host.storage_total_bytes = bytes(fs.blocks(), unit);
            host.storage_available_bytes = bytes(fs.blocks_available(), unit);
        }
        host.temperature_celsius = hottest();
        host
    }
}

/// Bytes that may be written to the file system of a folder.
///
/// # Errors
/// The system does not say.
pub fn free(folder: &Path) -> nix::Result<u64> {
    nix::sys::statvfs::statvfs(folder).map(|fs| bytes(fs.blocks_available(), fs.fragment_size()))
}

/// Bytes of the whole file system of a folder.
///
/// # Errors
/// The system does not say.
pub fn size(folder: &Path) -> nix::Result<u64> {
    nix::sys::statvfs::statvfs(folder).map(|fs| bytes(fs.blocks(), fs.fragment_size()))
}

/// Blocks as bytes: the system's counters have 32 bits on some processors and 64 on others.
pub fn bytes(blocks: impl Into<u64>, unit: impl Into<u64>) -> u64 {
    blocks.into().saturating_mul(unit.into())
}

/// The hottest sensor that gives a believable figure.
fn hottest() -> Option<f32> {
    let components = Components::new_with_refreshed_list().ok()?;
    components.iter().filter_map(|c| c.temperature()).filter(|t| (1.0..150.0).contains(t)).reduce(f32::max)
}

/// Addresses that others can reach: no loopback, no link-local, nothing of Docker's bridges.
pub fn addresses() -> Vec<IpAddr> {
    addresses_of(None)
}

/// The same of one interface, or of all.
pub fn addresses_of(interface: Option<&str>) -> Vec<IpAddr> {
    let Ok(list) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
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
    let containers = ["docker", "br-", "veth"].iter().any(|prefix| interface.starts_with(prefix));
    let local = match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    !containers && !local
}

/// How long the machine is on; where it does not say, very long.
pub fn uptime() -> Duration {
    System::uptime().map_or(Duration::MAX, Duration::from_secs)
}

/// An interface's address with how much of it is its network's, and whether the interface is a device of its own.
struct Link {
    ip: IpAddr,
    mask: IpAddr,
    device: bool,
}

/// Whether an address is on a link of this machine: no container of it, not the machine itself, and no router between.
pub fn is_near(ip: IpAddr) -> bool {
    let Ok(list) = nix::ifaddrs::getifaddrs() else { return false };
    let address = |storage: Option<nix::sys::socket::SockaddrStorage>| {
        let storage = storage?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    // Bridges, tunnels and containers' ends have no device.
    let device = |name: &str| Path::new("/sys/class/net").join(name).join("device").exists();
    let links: Vec<Link> = list
        .filter_map(|entry| {
            Some(Link { ip: address(entry.address)?, mask: address(entry.netmask)?, device: device(&entry.interface_name) })
        })
        .collect();
    near(ip, &links)
}

fn near(ip: IpAddr, links: &[Link]) -> bool {
    let ip = ip.to_canonical();
    let own = ip.is_loopback() || links.iter().any(|link| link.ip == ip);
    let shares = |link: &Link| match (ip, link.ip, link.mask) {
        (IpAddr::V4(ip), IpAddr::V4(own), IpAddr::V4(mask)) => !mask.is_unspecified() && (ip & mask) == (own & mask),
        (IpAddr::V6(ip), IpAddr::V6(own), IpAddr::V6(mask)) => !mask.is_unspecified() && (ip & mask) == (own & mask),
        _ => false,
    };
    // A link-local address is one of any link, so it counts only where no container has one.
    let (devices, others): (Vec<&Link>, Vec<&Link>) = links.iter().partition(|link| link.device);
    !own && devices.into_iter().any(shares) && !others.into_iter().any(shares)
}

/// The machine's model, as its device tree or its firmware says; empty where neither does.
pub fn model() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim_matches(['\0', '\n', ' ']).to_owned());
    let dmi = || {
        let words = [read("/sys/class/dmi/id/sys_vendor"), read("/sys/class/dmi/id/product_name")];
        words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let model = read("/proc/device-tree/model").filter(|model| !model.is_empty()).unwrap_or_else(dmi);
    model.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The machine's name, `localhost` where it has none.
pub fn name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Seconds since 1970 in UTC.
#[expect(clippy::disallowed_methods, reason = "to show people")]
pub fn now_secs() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_this_machine_is_believable() {
        let host = Sampler::new().sample(Path::new("/"));
        assert!(host.cpus > 0);
        assert!(host.memory_total_bytes > host.memory_available_bytes);
        assert!(host.storage_total_bytes >= host.storage_available_bytes);
        assert!(host.storage_total_bytes > 0);
    }

    #[test]
    fn near_is_who_shares_a_link_and_is_no_container() {
        let link = |ip: &str, mask: &str, device| Link { ip: ip.parse().unwrap(), mask: mask.parse().unwrap(), device };
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
}
