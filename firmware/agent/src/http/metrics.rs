//! `/metrics`: what this node knows of itself and of all others, in Prometheus's text format (version 0.0.4).

use crate::net::{ClusterView, HealthLink, HealthView, Liveness, MemberView};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The format's name.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A figure of each node: name, help, and the figure of a sample.
type Gauge = (&'static str, &'static str, fn(&HealthView) -> Option<f64>);

const MB: f64 = 1e6;

const GAUGES: [Gauge; 11] = [
    ("cloudy_health_age_seconds", "Seconds since the node's sample came here.", |h| Some(seconds(h.age_seconds))),
    ("cloudy_uptime_seconds", "Seconds since the machine was started.", |h| Some(h.uptime_seconds.into())),
    ("cloudy_load1", "Load average over a minute.", |h| Some(h.load.into())),
    ("cloudy_cpu_used_ratio", "Use of all processors.", |h| Some(f64::from(h.cpu_percent) / 100.0)),
    ("cloudy_cpus", "Processors.", |h| Some(h.cpus.into())),
    ("cloudy_memory_bytes", "Memory.", |h| Some(f64::from(h.memory_total_mb) * MB)),
    ("cloudy_memory_available_bytes", "Memory that programs could still get.", |h| Some(f64::from(h.memory_available_mb) * MB)),
    ("cloudy_storage_bytes", "Storage for data.", |h| Some(f64::from(h.storage_total_mb) * MB)),
    ("cloudy_storage_available_bytes", "Free storage for data.", |h| Some(f64::from(h.storage_available_mb) * MB)),
    ("cloudy_temperature_celsius", "The hottest sensor.", |h| h.temperature_celsius.map(f64::from)),
    ("cloudy_containers_running", "Containers that run; absent where Docker does not.", |h| {
        (h.docker == "running").then_some(h.containers_running.into())
    }),
];

/// A figure of each connection, in thousandths.
type LinkGauge = (&'static str, &'static str, fn(&HealthLink) -> f64);

const LINK_GAUGES: [LinkGauge; 2] = [
    ("cloudy_link_rtt_seconds", "Round-trip time to a neighbour.", |link| link.rtt_ms.into()),
    ("cloudy_link_lost_ratio", "Packets to a neighbour that were lost.", |link| link.lost_permille.into()),
];

#[expect(clippy::cast_precision_loss, reason = "ages are far below 2^52 s")]
fn seconds(seconds: u64) -> f64 {
    seconds as f64
}

/// All figures as text.
pub fn text(view: &ClusterView) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write_all(&mut out, view);
    out
}

fn write_all(out: &mut String, view: &ClusterView) -> std::fmt::Result {
    head(out, "cloudy_up", "Whether the node is alive, as this node believes.")?;
    for member in &view.members {
        writeln!(out, "cloudy_up{{{}}} {}", labels(member), u8::from(member.state == Liveness::Alive))?;
    }
    head(out, "cloudy_info", "Versions of the node.")?;
    for (member, health) in known(view) {
        let more = [("version", health.version.as_str()), ("docker", health.docker_version.as_str())];
        writeln!(out, "cloudy_info{{{},{}}} 1", labels(member), more.map(|(name, value)| label(name, value)).join(","))?;
    }
    for (name, help, figure) in GAUGES {
        head(out, name, help)?;
        for (member, health) in known(view) {
            if let Some(figure) = figure(health) {
                writeln!(out, "{name}{{{}}} {figure}", labels(member))?;
            }
        }
    }
    let ids: BTreeMap<&str, &str> = view.members.iter().filter_map(|member| Some((member.id.get(..8)?, member.id.as_str()))).collect();
    for (name, help, figure) in LINK_GAUGES {
        head(out, name, help)?;
        for (member, health) in known(view) {
            // A series that stands twice would spoil the whole answer.
            let links: BTreeMap<&str, &HealthLink> = health.links.iter().map(|link| (link.node.as_str(), link)).collect();
            for (node, link) in links {
                let neighbour = ids.get(node).copied().unwrap_or(node);
                writeln!(out, "{name}{{{},{}}} {}", labels(member), label("neighbour", neighbour), figure(link) / 1000.0)?;
            }
        }
    }
    if let Some(records) = &view.records {
        head(out, "cloudy_view_members", "Members of the community.")?;
        writeln!(out, "cloudy_view_members {}", records.members)?;
        head(out, "cloudy_view_holders", "Members that hold the same view as this node.")?;
        writeln!(out, "cloudy_view_holders {}", records.holders)?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")
}

fn known(view: &ClusterView) -> impl Iterator<Item = (&MemberView, &HealthView)> {
    view.members.iter().filter_map(|member| Some((member, member.health.as_ref()?)))
}

fn labels(member: &MemberView) -> String {
    [label("node", &member.id), label("name", &member.name)].join(",")
}

/// One label; what others chose can't end it.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_stays_in_its_label() {
        assert_eq!(label("name", "a\"} 1\n\\"), "name=\"a\\\"} 1\\n\\\\\"");
    }
}
