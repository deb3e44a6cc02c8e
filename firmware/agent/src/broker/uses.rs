//! What the containers of apps use, as Docker counts it.

use super::Failure;
use super::container::PROJECT_LABEL;
use super::docker::{app_of, connect, failed};
use crate::limits::{DOCKER_TIMEOUT_SECS, USES_AT_ONCE, USES_CONTAINERS};
use bollard::models::{ContainerBlkioStatEntry, ContainerStatsResponse};
use bollard::query_parameters::{ListContainersOptions, StatsOptions};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What each container of an app that runs has counted: app → container → counters.
pub type Counted = BTreeMap<String, BTreeMap<String, Counters>>;

/// What was counted of a container since it was started, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Counters {
    /// Time that processors worked for it, in nanoseconds.
    pub cpu_nanos: u64,
    /// Time of all processors of the machine, at work or not.
    pub machine_nanos: u64,
    /// Processors that the machine has.
    pub cpus: u32,
    /// Memory that it holds, without what could be read from the disk again.
    pub memory: u64,
    /// Memory that it may hold; that of the machine where nothing limits it.
    pub memory_limit: Option<u64>,
    /// Bytes that came over the network.
    pub received: u64,
    /// Bytes that went out over it.
    pub sent: u64,
    /// Bytes that were read from disks.
    pub read: u64,
    /// Bytes that were written to disks.
    pub written: u64,
}

impl Counters {
    /// Of a container that has ended meanwhile, or waits to be started again, Docker counts nothing.
    fn of_a_run(&self) -> bool {
        self.cpu_nanos > 0 || self.memory > 0
    }
}

/// What Docker says of a container. What it does not say is nothing.
fn counters(said: &ContainerStatsResponse) -> Counters {
    let mut counters = Counters::default();
    if let Some(cpu) = &said.cpu_stats {
        counters.cpu_nanos = cpu.cpu_usage.as_ref().and_then(|usage| usage.total_usage).unwrap_or_default();
        counters.machine_nanos = cpu.system_cpu_usage.unwrap_or_default();
        counters.cpus = cpu.online_cpus.unwrap_or_default();
    }
    if let Some(memory) = &said.memory_stats {
        // As `docker stats` counts: pages of files that nobody uses any more go as soon as somebody wants the room. The first name is
        // that of cgroup 1, the second that of cgroup 2.
        let stats = memory.stats.as_ref();
        let idle = ["total_inactive_file", "inactive_file"].iter().find_map(|name| stats?.get(*name)).copied().unwrap_or_default();
        counters.memory = memory.usage.unwrap_or_default().saturating_sub(idle);
        counters.memory_limit = memory.limit.filter(|limit| *limit > 0);
    }
    for network in said.networks.iter().flat_map(HashMap::values) {
        counters.received = counters.received.saturating_add(network.rx_bytes.unwrap_or_default());
        counters.sent = counters.sent.saturating_add(network.tx_bytes.unwrap_or_default());
    }
    let disks = said.blkio_stats.iter().filter_map(|disks| disks.io_service_bytes_recursive.as_ref()).flatten();
    for ContainerBlkioStatEntry { op, value, .. } in disks {
        let (op, value) = (op.as_deref().unwrap_or_default(), value.unwrap_or_default());
        if op.eq_ignore_ascii_case("read") {
            counters.read = counters.read.saturating_add(value);
        } else if op.eq_ignore_ascii_case("write") {
            counters.written = counters.written.saturating_add(value);
        }
    }
    counters
}

/// What the containers of all apps that run have counted. One that is gone meanwhile is left out.
pub async fn counted(socket: &Path) -> Result<Counted, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let filters = Some(HashMap::from([("label".to_owned(), vec![PROJECT_LABEL.to_owned()])]));
    let options = ListContainersOptions { filters, limit: Some(USES_CONTAINERS), ..ListContainersOptions::default() };
    let running = docker.list_containers(Some(options)).await.map_err(failed("listing containers"))?;
    let its = running.into_iter().filter_map(|container| Some((app_of(container.labels.as_ref())?, container.id?)));
    let docker = &docker;
    let ask = |(app, id): (String, String)| async move {
        let options = StatsOptions { stream: false, one_shot: true };
        let said = std::pin::pin!(docker.stats(&id, Some(options))).next().await?.ok()?;
        Some((app, id, counters(&said))).filter(|(_, _, counters)| counters.of_a_run())
    };
    let mut all = Counted::new();
    let asked: Vec<_> = stream::iter(its.map(ask)).buffer_unordered(USES_AT_ONCE).collect().await;
    for (app, id, counters) in asked.into_iter().flatten() {
        all.entry(app).or_default().insert(id, counters);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(said: serde_json::Value) -> Counters {
        counters(&serde_json::from_value(said).unwrap())
    }

    #[test]
    fn what_docker_says_is_counted_in_both_kinds_of_control_groups() {
        let two = json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 7_000 }, "system_cpu_usage": 90_000, "online_cpus": 4 },
            "memory_stats": { "usage": 50_000, "limit": 64_000, "stats": { "inactive_file": 10_000, "file": 20_000 } },
            "networks": { "eth0": { "rx_bytes": 5, "tx_bytes": 6 }, "eth1": { "rx_bytes": 1 } },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 8, "minor": 0, "op": "read", "value": 3 }, { "op": "write", "value": 4 }, { "op": "Read", "value": 1 }, { "op": "sync", "value": 9 },
            ] },
        });
        let counted = Counters {
            cpu_nanos: 7_000,
            machine_nanos: 90_000,
            cpus: 4,
            memory: 40_000,
            memory_limit: Some(64_000),
            received: 6,
            sent: 6,
            read: 4,
            written: 4,
        };
        assert_eq!(of(two), counted);
        let one = of(json!({ "memory_stats": { "usage": 50, "limit": 64, "stats": { "total_inactive_file": 20, "inactive_file": 1 } } }));
        assert_eq!((one.memory, one.memory_limit), (30, Some(64)));
    }

    #[test]
    fn what_makes_no_sense_is_no_more_than_odd_figures() {
        assert_eq!(of(json!({})), Counters::default());
        assert!(!Counters::default().of_a_run() && Counters { memory: 1, ..Counters::default() }.of_a_run());
        let nulls =
            json!({ "cpu_stats": null, "memory_stats": null, "networks": null, "blkio_stats": { "io_service_bytes_recursive": null } });
        assert_eq!(of(nulls), Counters::default());
        let most = u64::MAX;
        let odd = of(json!({
            "memory_stats": { "usage": 1, "limit": 0, "stats": { "inactive_file": most } },
            "networks": { "a": { "rx_bytes": most, "tx_bytes": most }, "b": { "rx_bytes": most, "tx_bytes": 1 } },
            "blkio_stats": { "io_service_bytes_recursive": [{ "op": "Read", "value": most }, { "op": "read", "value": 2 }, { "value": 5 }, {}] },
        }));
        assert_eq!((odd.memory, odd.memory_limit, odd.received, odd.sent, odd.read, odd.written), (0, None, most, most, most, 0));
    }
}
