//! Processor, memory, storage, temperature and addresses of this machine, read when somebody asks.

use crate::status::Host;
use std::net::IpAddr;
use std::path::Path;
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
    fn loopback_and_docker_are_not_shown() {
        let ip: IpAddr = "192.168.1.2".parse().unwrap();
        assert!(shown("enp1s0", ip));
        assert!(!shown("docker0", ip));
        assert!(!shown("lo", "127.0.0.1".parse().unwrap()));
        assert!(!shown("enp1s0", "fe80::1".parse().unwrap()));
    }
}
