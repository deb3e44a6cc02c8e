//! The driver's side of monitoring: when a sample is due, what of it is passed on, what is shown.

use super::{LinkView, state::State};
use cluster::{
    NodeId,
    health::{Figures, Health, Link, MAX_LINKS, Output},
};
use rand::RngExt;
use serde::Serialize;

/// How a node was when it last said so.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(Default, utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HealthView {
    /// Seconds since that came here.
    pub age_seconds: u64,
    /// Seconds since the machine was started.
    pub uptime_seconds: u32,
    /// Load average over a minute.
    pub load: f32,
    /// Use of all processors in percent.
    pub cpu_percent: u8,
    /// Processors.
    pub cpus: u16,
    /// Memory in megabytes.
    pub memory_total_mb: u32,
    /// Memory that programs could still get.
    pub memory_available_mb: u32,
    /// Storage for data in megabytes.
    pub storage_total_mb: u32,
    /// Free of that.
    pub storage_available_mb: u32,
    /// The hottest sensor in degrees Celsius.
    pub temperature_celsius: Option<i16>,
    /// `unknown`, `stopped` or `running`.
    pub docker: &'static str,
    /// Docker's version; empty unless it runs.
    pub docker_version: String,
    /// Containers that run.
    pub containers_running: u16,
    /// The agent's version.
    pub version: String,
    /// Its connections to neighbours.
    pub links: Vec<HealthLink>,
}

/// A connection to a neighbour.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HealthLink {
    /// The first 8 digits of the neighbour's id.
    pub node: String,
    /// Round-trip time in milliseconds.
    pub rtt_ms: u16,
    /// Packets lost of a thousand sent.
    pub lost_permille: u16,
}

impl State {
    /// Begins anew, as a member.
    pub(super) fn open_health(&mut self, community: cluster::CommunityId) {
        let random = self.rng.random();
        self.health = Some(Health::new(self.now(), self.identity.key.to_bytes(), community, self.identity.epoch, random));
    }

    /// Tells who is a member and who is linked; the same flags as for the registry.
    pub(super) fn tell_health(&mut self) {
        let (Some(health), Some(node)) = (&mut self.health, &self.node) else { return };
        if self.members_stale {
            health.set_members(node.admitted());
        }
        if self.peers_stale {
            health.set_linked(self.links.linked_nodes());
        }
    }

    /// Does what is due and what is wanted.
    pub(super) fn tick_health(&mut self) {
        let now = self.now();
        let Some(health) = &mut self.health else { return };
        if health.next_wake() <= now {
            health.tick(now);
        }
        let outputs: Vec<Output> = health.outputs().collect();
        for output in outputs {
            match output {
                Output::Send { to, bytes } if self.links.is_open(&to) => self.links.send(to, bytes, Vec::new),
                Output::Send { .. } => {}
                Output::Sample => self.samples.send_modify(|wanted| *wanted += 1),
            }
        }
    }

    /// Says how this machine is.
    pub(super) fn say_health(&mut self, mut figures: Figures) {
        let now = self.now();
        // Those by ways are left out: who is named here can carry. Those that are kept go first, since others come and go.
        let mut nodes = self.links.direct_nodes();
        nodes.sort_by_key(|node| !self.links.is_anchored(node));
        figures.links = nodes.into_iter().filter_map(|node| link(node, &self.links.view(&node)?)).take(MAX_LINKS).collect();
        if let Some(health) = &mut self.health {
            health.say(now, figures);
        }
    }

    /// What is known of how a member is.
    pub(super) fn health_of(&self, node: &NodeId) -> Option<HealthView> {
        let known = self.health.as_ref()?.of(node)?;
        let Figures {
            uptime_seconds,
            load_hundredths,
            cpu_percent,
            cpus,
            memory_total_mb,
            memory_available_mb,
            storage_total_mb,
            storage_available_mb,
            temperature_celsius,
            docker,
            version,
            links,
        } = known.figures.clone();
        let (docker, docker_version, containers_running) = match docker {
            cluster::health::Docker::Unknown => ("unknown", String::new(), 0),
            cluster::health::Docker::Stopped => ("stopped", String::new(), 0),
            cluster::health::Docker::Running { version, containers } => ("running", version, containers),
        };
        Some(HealthView {
            age_seconds: self.now().since(known.heard).as_secs(),
            uptime_seconds,
            load: f32::from(load_hundredths) / 100.0,
            cpu_percent,
            cpus,
            memory_total_mb,
            memory_available_mb,
            storage_total_mb,
            storage_available_mb,
            temperature_celsius,
            docker,
            docker_version,
            containers_running,
            version,
            links: links
                .into_iter()
                .map(|link| HealthLink {
                    node: data_encoding::HEXLOWER.encode(&link.node),
                    rtt_ms: link.rtt_ms,
                    lost_permille: link.lost_permille,
                })
                .collect(),
        })
    }
}

fn link(node: NodeId, view: &LinkView) -> Option<Link> {
    let rtt_ms = u16::try_from(view.rtt_ms?).unwrap_or(u16::MAX);
    let mut prefix = [0; 4];
    prefix.copy_from_slice(&node.0[..4]);
    Some(Link { node: prefix, rtt_ms, lost_permille: view.lost_permille.unwrap_or(0) })
}
