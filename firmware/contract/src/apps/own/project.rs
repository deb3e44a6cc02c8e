//! A person's own app, checked: its services, what it keeps, what must be said, and what it asks of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::text::Text;
use super::{Place, Privilege};
use crate::apps::{Protocol, Scheme};

/// An app of a person's own, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// What runs, by its name.
    pub services: BTreeMap<String, Service>,
    /// What is kept, by its name.
    pub volumes: BTreeSet<String>,
    /// Networks between its services, by name: whether they lead nowhere else.
    pub networks: BTreeMap<String, bool>,
    /// Small files that services find among theirs, by name: what stands in them.
    pub files: BTreeMap<String, Text>,
    /// What a person may or must say, by its name.
    pub variables: BTreeMap<String, Variable>,
    /// What it asks of the node.
    pub asked: Vec<Asked>,
}

/// Something that is asked of the node, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub privilege: Privilege,
    /// Where it stands.
    pub place: Place,
    /// The key that asks.
    pub key: String,
}

/// A value that a person says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// What holds when nobody says anything; without one it must be said.
    pub default: Option<String>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub image: Text,
    pub command: Option<Vec<Text>>,
    pub entrypoint: Option<Vec<Text>>,
    pub environment: BTreeMap<String, Text>,
    pub ports: Vec<Published>,
    pub mounts: Vec<Mount>,
    /// Of the project's files, and where it finds them.
    pub files: Vec<(String, String)>,
    /// On the node, and in the container.
    pub devices: Vec<(String, String)>,
    pub cap_add: BTreeSet<String>,
    pub cap_drop: BTreeSet<String>,
    pub sysctls: BTreeMap<String, String>,
    pub security_opt: BTreeSet<String>,
    pub network: Network,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub privileged: bool,
    pub user: Option<String>,
    pub groups: BTreeSet<String>,
    pub working_dir: Option<String>,
    pub hostname: Option<String>,
    pub hosts: BTreeMap<String, IpAddr>,
    pub dns: Vec<IpAddr>,
    pub init: bool,
    pub read_only: bool,
    pub tty: bool,
    pub stdin_open: bool,
    pub limits: Limits,
    pub ulimits: BTreeMap<String, (u64, u64)>,
    pub stop_ms: Option<u64>,
    pub stop_signal: Option<String>,
    pub health: Option<Check>,
    /// What must be there before: whether it must be well too.
    pub depends_on: BTreeMap<String, bool>,
}

/// A port that a service listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The app's name for it.
    pub name: String,
    /// In the container.
    pub container: u16,
    /// The node's port that is proposed.
    pub proposed: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where the node listens; everywhere without.
    pub address: Option<IpAddr>,
    /// What is spoken there, where that is said.
    pub scheme: Option<Scheme>,
}

impl Published {
    /// What is spoken there, as far as it is said or usual at that number.
    pub fn spoken(&self) -> Option<Scheme> {
        self.scheme.or(match (self.container, self.protocol) {
            (80 | 3000 | 8000 | 8008 | 8080 | 8888, Protocol::Tcp) => Some(Scheme::Http),
            (443 | 8443, Protocol::Tcp) => Some(Scheme::Https),
            (1883, Protocol::Tcp) => Some(Scheme::Mqtt),
            (3306, Protocol::Tcp) => Some(Scheme::Mysql),
            (5222, Protocol::Tcp) => Some(Scheme::Xmpp),
            (5432, Protocol::Tcp) => Some(Scheme::Postgresql),
            (53, _) => Some(Scheme::Dns),
            _ => None,
        })
    }
}

/// Something in a container's tree of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A named volume; one without a name is forgotten with the container.
    Volume { name: String, target: String, read_only: bool },
    /// A folder or file of the node.
    Host { path: String, target: String, read_only: bool },
    /// Memory, with its size in bytes.
    Memory { target: String, bytes: Option<u64> },
}

/// A service's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The project's own.
    #[default]
    Own,
    /// None.
    None,
    /// The node's.
    Host,
    /// Another service's.
    Service(String),
    /// Some of the project's networks, with other names there.
    Named(BTreeMap<String, BTreeSet<String>>),
}

/// What a service may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory that is kept for it, in bytes.
    pub reserved: Option<u64>,
    /// Thousandths of a processor.
    pub cpus: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Shared memory in bytes.
    pub shared: Option<u64>,
}

/// How a service is known to work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// `CMD …`, `CMD-SHELL …`, or `NONE`.
    pub test: Vec<Text>,
    pub interval_ms: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub start_ms: Option<u64>,
    pub retries: Option<u64>,
}

impl Project {
    /// Whether a name sounds like a secret's: its value is shown to nobody.
    pub fn is_secret(variable: &str) -> bool {
        let name = variable.to_ascii_uppercase();
        ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH"].iter().any(|word| name.contains(word))
    }

    /// Its images, as they are written.
    pub fn images(&self) -> String {
        let images: BTreeSet<String> = self.services.values().map(|service| service.image.to_string()).collect();
        images.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// All ports, those of all services.
    pub fn ports(&self) -> impl Iterator<Item = &Published> {
        self.services.values().flat_map(|service| &service.ports)
    }

    /// What it asks of the node and was not granted.
    pub fn not_granted<'a>(&'a self, grants: &BTreeSet<Privilege>) -> impl Iterator<Item = &'a Asked> {
        self.asked.iter().filter(|asked| !grants.contains(&asked.privilege))
    }

    /// How long it may take until it is well, in milliseconds, as its services say.
    pub fn start_ms(&self) -> u64 {
        self.services.values().filter_map(|service| service.health.as_ref()?.start_ms).max().unwrap_or_default()
    }
}

impl Mount {
    /// Where it is in the container.
    pub fn target(&self) -> &str {
        match self {
            Self::Volume { target, .. } | Self::Host { target, .. } | Self::Memory { target, .. } => target,
        }
    }
}

impl Asked {
    /// What is said where no owner allowed it: where it stands, and who may.
    pub fn not_granted(&self, app: &str) -> String {
        let Self { privilege, place, key } = self;
        format!(
            "{place}`{key}` asks for the privilege `{privilege}`, which an owner of this node may allow: on the app's page, or by \
             `cloudy app allow {app} {privilege}`"
        )
    }
}
