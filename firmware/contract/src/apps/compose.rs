//! The compose project of an app: a pure function of its facts, its image and what a person chose.
//!
//! The policy's defaults hold for every app: a user of its own without privileges, all capabilities dropped, a root that is only read,
//! scratch that runs nothing, limits on memory, processes and processor, and an image that is named by its digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::check::is_name;
use super::{ANSWERS, App, HealthTest, Protocol, SettingKind};

/// What projects on a node are called: this, then the app's name.
pub const PROJECT_PREFIX: &str = "cloudy-";
/// The project's one service.
pub const SERVICE: &str = "app";
/// Bytes that a scratch folder holds at most.
const SCRATCH: &str = "64m";
/// How often health is looked at, how long that may take, and how many failures in a row are believed.
const HEALTH_INTERVAL: &str = "30s";
const HEALTH_TIMEOUT: &str = "10s";
const HEALTH_RETRIES: u32 = 3;
/// How often while it starts.
const HEALTH_START_INTERVAL: &str = "1s";

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

/// The project's YAML. `instance` is its name on the node, since an app may run more than once.
pub fn compose(app: &App, instance: &str, image: &ImageName, choices: &Choices) -> Result<String, Refused> {
    if !is_name(instance) {
        return Err(Refused::Name(instance.to_owned()));
    }
    let ports = ports(app, choices)?;
    let environment = environment(app, choices)?;
    let ImageName { registry, digest } = image;
    let uid = app.run.uid;
    let mut yaml = Yaml(String::new());
    yaml.value(0, "name", instance);
    yaml.table(0, "services");
    yaml.table(1, SERVICE);
    yaml.value(2, "image", &format!("{registry}/{}@{digest}", app.name));
    yaml.value(2, "pull_policy", "missing");
    yaml.value(2, "user", &format!("{uid}:{uid}"));
    yaml.plain(2, "init", "true");
    yaml.plain(2, "read_only", "true");
    yaml.value(2, "restart", "unless-stopped");
    yaml.list(2, "cap_drop", ["ALL"]);
    if !app.run.capabilities.is_empty() {
        yaml.list(2, "cap_add", app.run.capabilities.iter().map(|capability| capability.name()));
    }
    yaml.list(2, "security_opt", ["no-new-privileges:true"]);
    let scratch = ["/tmp", "/run"].into_iter().chain(app.run.scratch.iter().map(String::as_str));
    let scratch: Vec<String> =
        scratch.map(|path| format!("{path}:size={SCRATCH},mode=0755,uid={uid},gid={uid},noexec,nosuid,nodev")).collect();
    yaml.list(2, "tmpfs", scratch.iter().map(String::as_str));
    if !environment.is_empty() {
        yaml.table(2, "environment");
        for (name, value) in &environment {
            yaml.value(3, name, value);
        }
    }
    if !ports.is_empty() {
        yaml.table(2, "ports");
        for (container, node, protocol) in ports {
            yaml.line(3, &format!("- target: {container}"));
            yaml.value(4, "published", &node.to_string());
            yaml.value(4, "protocol", protocol);
        }
    }
    if !app.volumes.is_empty() {
        yaml.table(2, "volumes");
        for (name, volume) in &app.volumes {
            yaml.line(3, "- type: volume");
            yaml.value(4, "source", name);
            yaml.value(4, "target", &volume.path);
        }
    }
    health(&mut yaml, app);
    yaml.value(2, "mem_limit", &format!("{}m", app.limits.memory_mb));
    yaml.plain(2, "pids_limit", &app.limits.processes.to_string());
    yaml.value(2, "cpus", &format!("{}.{:02}", app.limits.cpu_percent / 100, app.limits.cpu_percent % 100));
    yaml.value(2, "stop_grace_period", &format!("{}s", app.run.stop_seconds));
    if let Some(mb) = app.run.shared_memory_mb {
        yaml.value(2, "shm_size", &format!("{mb}m"));
    }
    yaml.table(2, "labels");
    yaml.value(3, "cloudy.app", &app.name);
    if !app.volumes.is_empty() {
        yaml.table(0, "volumes");
        for name in app.volumes.keys() {
            yaml.plain(1, &quoted(name), "{}");
        }
    }
    Ok(yaml.0)
}

fn health(yaml: &mut Yaml, app: &App) {
    let Some(health) = &app.health else { return };
    let mut test = vec!["CMD".to_owned()];
    match &health.test {
        HealthTest::Port(name, path) => {
            let number = app.ports.get(name).map(|port| port.container).unwrap_or_default();
            test.extend([ANSWERS.to_owned(), number.to_string()]);
            test.extend(path.clone());
        }
        HealthTest::Command(command) => test.extend(command.iter().cloned()),
    }
    yaml.table(2, "healthcheck");
    yaml.list(3, "test", test.iter().map(String::as_str));
    yaml.value(3, "interval", HEALTH_INTERVAL);
    yaml.value(3, "timeout", HEALTH_TIMEOUT);
    yaml.plain(3, "retries", &HEALTH_RETRIES.to_string());
    yaml.value(3, "start_period", &format!("{}s", health.start_seconds));
    yaml.value(3, "start_interval", HEALTH_START_INTERVAL);
}

/// Container's port, node's port, transport: one line each.
fn ports(app: &App, choices: &Choices) -> Result<Vec<(u16, u16, &'static str)>, Refused> {
    if let Some(name) = choices.ports.keys().find(|name| !app.ports.contains_key(*name)) {
        return Err(Refused::Unknown { what: "port", name: name.clone() });
    }
    let mut ports: Vec<(u16, u16, &'static str)> = Vec::new();
    for (name, port) in &app.ports {
        let node = choices.ports.get(name).copied().unwrap_or(port.proposed);
        let protocols: &[&str] = match port.protocol {
            Protocol::Tcp => &["tcp"],
            Protocol::Udp => &["udp"],
            Protocol::Both => &["tcp", "udp"],
        };
        for protocol in protocols {
            if node == 0 || ports.iter().any(|(_, other, its)| (*other, its) == (node, protocol)) {
                return Err(Refused::Port(node, name.clone()));
            }
            ports.push((port.container, node, protocol));
        }
    }
    Ok(ports)
}

fn environment<'a>(app: &'a App, choices: &'a Choices) -> Result<BTreeMap<&'a str, &'a str>, Refused> {
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
        environment.insert(setting.environment.as_str(), value.as_str());
    }
    Ok(environment)
}

/// YAML, line by line. Every text is quoted, so that none is taken for anything else.
pub(super) struct Yaml(pub String);

impl Yaml {
    pub fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.0, "{:1$}{text}", "", depth * 2);
    }

    /// A key with a word of ours.
    pub fn plain(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{key}: {value}"));
    }

    /// A key with any text.
    pub fn value(&mut self, depth: usize, key: &str, value: &str) {
        self.plain(depth, key, &quoted(value));
    }

    pub fn table(&mut self, depth: usize, key: &str) {
        self.line(depth, &format!("{key}:"));
    }

    pub fn list<'a>(&mut self, depth: usize, key: &str, items: impl IntoIterator<Item = &'a str>) {
        self.table(depth, key);
        for item in items {
            self.line(depth + 1, &format!("- {}", quoted(item)));
        }
    }
}

/// A text as a double-quoted scalar of ASCII (YAML 1.2, 7.3.1), with compose's own `$` doubled, so that it stands for itself.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '$' => out.push_str("$$"),
            ' '..='~' => out.push(c),
            _ => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
