//! Processor, memory, storage, temperature and name of this machine, read when somebody asks.

use crate::status::Host;
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

/// Memory that this machine has; none where it does not say.
pub fn memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(what).map_or(0, |system| system.total_memory())
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

/// How long the machine is on; where it does not say, very long.
pub fn uptime() -> Duration {
    System::uptime().map_or(Duration::MAX, Duration::from_secs)
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
#[expect(clippy::disallowed_methods, reason = "to show people, and for how long a session was written ago")]
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
}
