//! What the node says about itself: the shapes of `/api/v1/status`. (`/api/v1/nodes` is `net::ClusterView`, a page of members at a time.)
//!
//! Every shape is plain data in kebab-case JSON, made in one place and read by the page, the API and the command line alike.

use contract::report::DataState;
use serde::{Deserialize, Serialize};

/// All that a node says about itself: `/api/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Build id of the image that runs, 32 hexadecimal digits; none outside an image.
    pub build: Option<String>,
    /// The node's name: its hostname.
    pub name: String,
    /// The node's id in the microcloud (its public key), once it has one.
    pub node: Option<String>,
    /// Where the agent serves its page: addresses with ports.
    pub pages: Vec<String>,
    /// Addresses of this machine that others can reach, without loopback and Docker's own.
    pub addresses: Vec<String>,
    /// The clock, and whether it is believed.
    pub clock: Clock,
    /// Processor, memory, storage.
    pub host: Host,
    /// What init saw at boot; none outside an image.
    pub boot: Option<Boot>,
    /// The Wi-Fi of the settings; none if they name none.
    #[serde(default)]
    pub wifi: Option<Wifi>,
    /// Docker's state.
    pub docker: Docker,
    /// systemd's state and that of the units that matter.
    pub services: Services,
    /// Where the settings came from, and what is wrong with `cloudy.toml`.
    pub settings: SettingsState,
    /// What is wrong, in plain words, each with its mend.
    pub problems: Vec<Problem>,
}

/// The clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// Seconds since 1970 in UTC.
    pub unix_seconds: u64,
    /// Whether the kernel says that the clock follows a time server; none when unknown.
    pub synchronised: Option<bool>,
    /// How many seconds it is ahead of the clocks of neighbours, behind where less than 0; none while it agrees with them.
    #[serde(default)]
    pub ahead_seconds: Option<i64>,
}

/// Processor, memory, storage of this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// Seconds since boot.
    pub uptime_seconds: u64,
    /// Number of processors.
    pub cpus: usize,
    /// Use of all processors since the last sample, in percent of all.
    pub cpu_percent: f32,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Memory in bytes.
    pub memory_total_bytes: u64,
    /// Memory that programs could still get, in bytes.
    pub memory_available_bytes: u64,
    /// Size in bytes of the file system that holds the agent's data.
    pub storage_total_bytes: u64,
    /// Free bytes there for ordinary users.
    pub storage_available_bytes: u64,
    /// The hottest sensor in degrees Celsius, if there is any.
    pub temperature_celsius: Option<f32>,
}

impl Status {
    /// Whether what the node does is kept: not when its data is damaged or lost.
    pub fn keeps_data(&self) -> bool {
        self.boot.as_ref().and_then(|boot| boot.data).is_none_or(crate::kept::keeps)
    }
}

/// What init saw, as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Boot {
    /// The slot that runs, `a` or `b`.
    pub slot: Option<String>,
    /// Whether this slot was confirmed as good; an unconfirmed one spends tries.
    pub confirmed: Option<bool>,
    /// In what state the node's data is: `clean`, `repaired`, `read-only`, `lost`.
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub data: Option<DataState>,
    /// Why the last update was rolled back, if one was.
    pub rollback: Option<String>,
    /// What went wrong at boot, in init's words.
    pub problems: Vec<String>,
}

/// The Wi-Fi that the settings name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Wifi {
    /// Its name.
    pub network: String,
    /// How far this node is with it.
    pub state: WifiState,
    /// The radio: the one that is connected, else the first.
    pub interface: Option<String>,
    /// Its addresses that others can reach.
    pub addresses: Vec<String>,
}

/// How far a node is with its Wi-Fi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WifiState {
    /// The access point let it in.
    Connected,
    /// It is not there, does not know the key, or is still being asked.
    NotConnected,
    /// The machine has no radio that this system knows.
    NoRadio,
}

/// Docker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Docker {
    /// It answers.
    #[serde(rename_all = "kebab-case")]
    Running {
        /// Docker's version.
        version: String,
        /// Running containers.
        containers_running: u64,
        /// All containers.
        containers: u64,
        /// Images.
        images: u64,
    },
    /// Its service is there and does not run.
    #[serde(rename_all = "kebab-case")]
    Stopped {
        /// The state of its unit, such as `inactive` or `failed`.
        unit: String,
    },
    /// Its service runs and does not answer.
    #[serde(rename_all = "kebab-case")]
    Silent {
        /// What was tried and what came.
        reason: String,
    },
    /// There is no broker here that could ask it.
    #[serde(rename_all = "kebab-case")]
    NoBroker {
        /// What was tried and what came.
        reason: String,
    },
}

/// systemd's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SystemServices))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Services {
    /// systemd answers over D-Bus.
    #[serde(rename_all = "kebab-case")]
    Known {
        /// systemd's own word for the whole: `running`, `degraded`, `starting`, …
        system: String,
        /// The units that matter here.
        units: Vec<Unit>,
        /// Names of all failed units.
        failed: Vec<String>,
    },
    /// There is no systemd to ask.
    #[serde(rename_all = "kebab-case")]
    Unknown {
        /// What was tried and what came.
        reason: String,
    },
}

/// The state of one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Its full name, such as `docker.service`.
    pub name: String,
    /// systemd's description.
    pub description: String,
    /// `not-found` when it is not installed, else `loaded`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// The finer state, such as `running` or `exited`.
    pub sub: String,
}

/// Where the settings came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SettingsState {
    /// What is wrong with the last `cloudy.toml` that was found; empty when it was taken.
    pub broken: Vec<String>,
    /// What Raspberry Pi Imager wrote that means nothing here, with file and line.
    #[serde(default)]
    pub unsupported: Vec<String>,
    /// For each setting that has a value, where it came from.
    pub sources: std::collections::BTreeMap<String, String>,
    /// Whether secrets were moved from the config partition to data.
    pub secrets_moved: bool,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; nothing is lost.
    Note,
    /// Something does not work as it should.
    Warning,
    /// Something that people rely on does not work.
    Error,
}

/// One thing that is wrong, in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeProblem))]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// A stable name for programs.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub mend: String,
}
