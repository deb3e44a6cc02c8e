//! The project of an app, checked: a pure function of its facts, its image and what a person chose. A node's broker makes of it what
//! Docker is told; [`Project::yaml`] says the same to compose, by which the builder's lab holds it.
//!
//! Architecture invariant: a [`Project`] has no place for a privilege, a path or device of the host, or another network. An app that uses
//! the store gets one folder of the host, whose path is made of its name and of nothing that anybody says. The policy's
//! defaults hold for every app: a user of its own without privileges, all capabilities dropped, a root that is only read, scratch that
//! runs nothing, limits on memory, processes and processor, and an image that is named by its digest.

mod yaml;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::is_name;
use super::{ANSWERS, App, Capability, HealthTest, Protocol, SettingKind};

pub(super) use yaml::{Yaml, quoted};

/// What projects on a node are called: this, then the app's name.
pub const PROJECT_PREFIX: &str = "cloudy-";
/// The project's one service.
pub const SERVICE: &str = "app";
/// Capabilities that every container loses.
pub const DROPPED: &str = "ALL";
/// What no program of a container gets round.
pub const SECURITY: &str = "no-new-privileges:true";
/// A container that a person did not stop is started again, also at the next boot.
pub const RESTART: &str = "unless-stopped";
/// Nor one that runs only while somebody says so.
pub const RESTART_ATTENDED: &str = "no";
/// The label that names the app.
pub const APP_LABEL: &str = "cloudy.app";
/// How often health is looked at.
pub const HEALTH_INTERVAL_SECONDS: u32 = 30;
/// How long a look may take.
pub const HEALTH_TIMEOUT_SECONDS: u32 = 10;
/// How many failures in a row are believed.
pub const HEALTH_RETRIES: u32 = 3;
/// How often it is looked at while it starts.
pub const HEALTH_START_INTERVAL_SECONDS: u32 = 1;
/// The folder of a node in which apps that use the store have a folder each, called as they are. Only the broker makes those, so none of
/// them is a link.
pub const STORES_DIR: &str = "/var/lib/cloudy-stores";
/// Where its own lies in an app's container, only to be read: a socket in it can be spoken to all the same.
pub const STORE_INSIDE: &str = "/run/cloudy";
/// The socket in it, at which the agent serves that app's store.
pub const STORE_SOCKET: &str = "store.sock";
/// Bytes that a scratch folder holds at most.
const SCRATCH: &str = "64m";

/// The project of an app, which [`compose`] alone makes. What every app gets alike stands in this module's constants: a root that is
/// only read, an init, no privilege to gain, and all capabilities dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// Its name on the node.
    pub name: String,
    /// The image, by its digest.
    pub image: String,
    /// The number of user and group.
    pub user: u32,
    /// Capabilities that it keeps.
    pub capabilities: Vec<Capability>,
    /// Folders in memory → how they are mounted.
    pub scratch: Vec<(String, String)>,
    /// What it is told.
    pub environment: BTreeMap<String, String>,
    /// Ports of the node that lead into it.
    pub ports: Vec<Published>,
    /// Volumes of the project → where they lie in the container.
    pub volumes: BTreeMap<String, String>,
    /// How it is known to be well.
    pub health: Option<Healthcheck>,
    /// Whether Docker never starts it again by itself.
    pub attended: bool,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Processes and threads.
    pub processes: u32,
    /// Hundredths of a processor.
    pub cpu_percent: u32,
    /// How long it may take to stop.
    pub stop_seconds: u32,
    /// Memory shared between its processes, in MiB.
    pub shared_memory_mb: Option<u32>,
    /// The app whose store it is given: this one, where it uses the store.
    pub store: Option<String>,
    /// What it is called by others than compose.
    pub labels: BTreeMap<String, String>,
}

/// A port of the node that leads into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Inside.
    pub container: u16,
    /// The node's.
    pub node: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
}

/// How a container is known to be well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// `CMD`, then a program of the image with its arguments.
    pub test: Vec<String>,
    /// How long its first start may take.
    pub start_seconds: u32,
}

/// Which image: a repository of a registry on this node, and the digest of the index of all architectures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    registry: String,
    digest: String,
}

/// What a person chose; what is absent is as the app proposes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Choices {
    /// The port's name → the node's port.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// The setting's name → its value.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Whether it runs only while somebody says so: Docker never starts it again by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attended: bool,
}

/// Why there is no project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A name for an instance that Docker or a file system would not take.
    #[error("`{0}` is no name for an app: lower-case letters, digits and `-`, 40 at most")]
    Name(String),
    /// A registry or digest that is none.
    #[error("`{0}` names no image by its digest")]
    Image(String),
    /// A port or setting that the app does not have.
    #[error("the app has no {what} `{name}`")]
    Unknown {
        /// `port` or `setting`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A setting that must be said.
    #[error("`{0}` must be said")]
    Missing(String),
    /// A value that the setting does not take.
    #[error("`{name}`: {why}")]
    Value {
        /// The setting.
        name: String,
        /// What is allowed.
        why: String,
    },
    /// The same port of the node for two ports of the app, or port 0.
    #[error("port {0} of the node can't be given to `{1}`")]
    Port(u16, String),
}

impl ImageName {
    /// `registry` is `host:port`; `digest` is `sha256:` and 64 hexadecimal digits.
    pub fn new(registry: &str, digest: &str) -> Result<Self, Refused> {
        let host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".:-".contains(c);
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let good = hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if registry.is_empty() || !registry.chars().all(host) || !good {
            return Err(Refused::Image(format!("{registry}/…@{digest}")));
        }
        Ok(Self { registry: registry.to_owned(), digest: digest.to_owned() })
    }
}

/// The project. `instance` is its name on the node, since an app may run more than once.
pub fn compose(app: &App, instance: &str, image: &ImageName, choices: &Choices) -> Result<Project, Refused> {
    if !is_name(instance) {
        return Err(Refused::Name(instance.to_owned()));
    }
    let ImageName { registry, digest } = image;
    let uid = app.run.uid;
    let scratch = ["/tmp", "/run"].into_iter().chain(app.run.scratch.iter().map(String::as_str));
    let mounted = |path: &str| (path.to_owned(), format!("size={SCRATCH},mode=0755,uid={uid},gid={uid},noexec,nosuid,nodev"));
    Ok(Project {
        name: instance.to_owned(),
        image: format!("{registry}/{}@{digest}", app.name),
        user: uid,
        capabilities: app.run.capabilities.clone(),
        scratch: scratch.map(mounted).collect(),
        environment: environment(app, choices)?,
        ports: ports(app, choices)?,
        volumes: app.volumes.iter().map(|(name, volume)| (name.clone(), volume.path.clone())).collect(),
        health: health(app),
        attended: choices.attended,
        memory_mb: app.limits.memory_mb,
        processes: app.limits.processes,
        cpu_percent: app.limits.cpu_percent,
        stop_seconds: app.run.stop_seconds,
        shared_memory_mb: app.run.shared_memory_mb,
        store: app.store.then(|| app.name.clone()),
        labels: BTreeMap::from([(APP_LABEL.to_owned(), app.name.clone())]),
    })
}

fn health(app: &App) -> Option<Healthcheck> {
    let health = app.health.as_ref()?;
    let mut test = vec!["CMD".to_owned()];
    match &health.test {
        HealthTest::Port(name, path) => {
            let number = app.ports.get(name).map(|port| port.container).unwrap_or_default();
            test.extend([ANSWERS.to_owned(), number.to_string()]);
            test.extend(path.clone());
        }
        HealthTest::Command(command) => test.extend(command.iter().cloned()),
    }
    Some(Healthcheck { test, start_seconds: health.start_seconds })
}

fn ports(app: &App, choices: &Choices) -> Result<Vec<Published>, Refused> {
    if let Some(name) = choices.ports.keys().find(|name| !app.ports.contains_key(*name)) {
        return Err(Refused::Unknown { what: "port", name: name.clone() });
    }
    let mut ports: Vec<Published> = Vec::new();
    for (name, port) in &app.ports {
        let node = choices.ports.get(name).copied().unwrap_or(port.proposed);
        let protocols: &[&'static str] = match port.protocol {
            Protocol::Tcp => &["tcp"],
            Protocol::Udp => &["udp"],
            Protocol::Both => &["tcp", "udp"],
        };
        for protocol in protocols {
            if node == 0 || ports.iter().any(|other| (other.node, other.protocol) == (node, *protocol)) {
                return Err(Refused::Port(node, name.clone()));
            }
            ports.push(Published { container: port.container, node, protocol });
        }
    }
    Ok(ports)
}

fn environment(app: &App, choices: &Choices) -> Result<BTreeMap<String, String>, Refused> {
    if let Some(name) = choices.settings.keys().find(|name| !app.settings.contains_key(*name)) {
        return Err(Refused::Unknown { what: "setting", name: name.clone() });
    }
    let mut environment = BTreeMap::new();
    for (name, setting) in &app.settings {
        let said = choices.settings.get(name).or(setting.default.as_ref());
        let Some(value) = said else { return Err(Refused::Missing(name.clone())) };
        setting.kind.check(value).map_err(|why| Refused::Value { name: name.clone(), why })?;
        if value.is_empty() && matches!(setting.kind, SettingKind::Password(_)) {
            return Err(Refused::Missing(name.clone()));
        }
        environment.insert(setting.environment.clone(), value.clone());
    }
    Ok(environment)
}
