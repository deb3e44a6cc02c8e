//! A checked project, what a person said and what an owner allowed → the compose file that Docker is given.

use std::collections::{BTreeMap, BTreeSet};

use super::names::is_image;
use super::privilege::Privilege;
use super::project::{Check, Mount, Network, Project, Published, Service};
use super::text::Text;
use crate::apps::compose::{Choices, Refused, Yaml, quoted};
use crate::apps::{Protocol, is_name};

/// What holds where nothing is said: memory in bytes, thousandths of a processor, processes.
const MEMORY: u64 = 1 << 30;
const CPUS: u64 = 1000;
const PROCESSES: u64 = 500;
/// What a service may ask for at most, likewise.
const MOST: u64 = 1 << 40;
/// Characters of a value that a person says.
const VALUE_CHARS: usize = 1000;
/// Of what Docker gives to everybody, what nearly nobody needs.
const DROPPED: [&str; 3] = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

/// Why there is no project to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// What a person said.
    #[error(transparent)]
    Choice(#[from] Refused),
    /// What no owner allowed.
    #[error("{0}")]
    NotGranted(String),
}

/// The project's YAML. `instance` is its name on the node, `app` the app's.
///
/// # Errors
/// Something must be said, can't be, or is not allowed.
pub fn write(project: &Project, app: &str, instance: &str, choices: &Choices, grants: &BTreeSet<Privilege>) -> Result<String, NotRun> {
    if !is_name(instance) {
        return Err(Refused::Name(instance.to_owned()).into());
    }
    let missing: Vec<String> = project.not_granted(grants).map(|asked| asked.not_granted(app)).collect();
    if !missing.is_empty() {
        return Err(NotRun::NotGranted(missing.join("\n")));
    }
    let values = values(project, choices)?;
    let ports = ports(project, choices)?;
    let fill = |text: &Text| text.filled(&values).map_err(Refused::Missing);
    let mut yaml = Yaml(String::new());
    yaml.value(0, "name", instance);
    yaml.table(0, "services");
    for (name, service) in &project.services {
        yaml.table(1, &quoted(name));
        let image = fill(&service.image)?;
        if !is_image(&image) {
            return Err(
                Refused::Value { name: "image".to_owned(), why: format!("`{}` is no name of an image", image.escape_default()) }.into()
            );
        }
        yaml.value(2, "image", &image);
        yaml.value(2, "pull_policy", "missing");
        yaml.value(2, "restart", "unless-stopped");
        for (key, words) in [("entrypoint", &service.entrypoint), ("command", &service.command)] {
            if let Some(words) = words {
                listed(&mut yaml, 2, key, words.iter().map(fill).collect::<Result<Vec<_>, _>>()?);
            }
        }
        if !service.environment.is_empty() {
            yaml.table(2, "environment");
            for (name, text) in &service.environment {
                yaml.value(3, &quoted(name), &fill(text)?);
            }
        }
        confined(&mut yaml, service);
        networked(&mut yaml, service, &ports);
        mounted(&mut yaml, service);
        limited(&mut yaml, service);
        if let Some(check) = &service.health {
            let test = check.test.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
            checked(&mut yaml, check, test);
        }
        if !service.depends_on.is_empty() {
            yaml.table(2, "depends_on");
            for (other, well) in &service.depends_on {
                yaml.table(3, &quoted(other));
                yaml.value(4, "condition", if *well { "service_healthy" } else { "service_started" });
            }
        }
        yaml.table(2, "labels");
        yaml.value(3, "cloudy.app", app);
    }
    if !project.volumes.is_empty() {
        yaml.table(0, "volumes");
        for name in &project.volumes {
            yaml.plain(1, &quoted(name), "{}");
        }
    }
    if !project.files.is_empty() {
        yaml.table(0, "configs");
        for (name, content) in &project.files {
            yaml.table(1, &quoted(name));
            yaml.value(2, "content", &fill(content)?);
        }
    }
    if !project.networks.is_empty() {
        yaml.table(0, "networks");
        for (name, internal) in &project.networks {
            yaml.table(1, &quoted(name));
            yaml.plain(2, "internal", if *internal { "true" } else { "false" });
        }
    }
    Ok(yaml.0)
}

/// The images that it runs, each once.
///
/// # Errors
/// Something must be said.
pub fn images(project: &Project, choices: &Choices) -> Result<BTreeSet<String>, NotRun> {
    let values = values(project, choices)?;
    let image = |service: &Service| {
        let image = service.image.filled(&values).map_err(Refused::Missing)?;
        if is_image(&image) {
            return Ok(image);
        }
        let why = format!("`{}` is no name of an image", image.escape_default());
        Err(NotRun::Choice(Refused::Value { name: "image".to_owned(), why }))
    };
    project.services.values().map(image).collect()
}

fn listed(yaml: &mut Yaml, depth: usize, key: &str, words: Vec<String>) {
    if words.is_empty() {
        yaml.plain(depth, key, "[]");
    } else {
        yaml.list(depth, key, words.iter().map(String::as_str));
    }
}

fn confined(yaml: &mut Yaml, service: &Service) {
    if service.privileged {
        yaml.plain(2, "privileged", "true");
    } else {
        let mut drop: BTreeSet<&str> = service.cap_drop.iter().map(String::as_str).collect();
        drop.extend(DROPPED.iter().filter(|name| !service.cap_add.contains(**name)));
        yaml.list(2, "cap_drop", drop);
        yaml.list(
            2,
            "security_opt",
            ["no-new-privileges:true"].into_iter().chain(service.security_opt.iter().filter_map(|text| {
                let given = text.strip_prefix("no-new-privileges").is_none();
                given.then_some(text.as_str())
            })),
        );
    }
    if !service.cap_add.is_empty() {
        yaml.list(2, "cap_add", service.cap_add.iter().map(String::as_str));
    }
    if !service.sysctls.is_empty() {
        yaml.table(2, "sysctls");
        for (name, value) in &service.sysctls {
            yaml.value(3, &quoted(name), value);
        }
    }
    for (key, said) in [("pid", service.host_pid), ("ipc", service.host_ipc)] {
        if said {
            yaml.value(2, key, "host");
        }
    }
    if !service.devices.is_empty() {
        let devices: Vec<String> = service.devices.iter().map(|(from, to)| format!("{from}:{to}:rwm")).collect();
        yaml.list(2, "devices", devices.iter().map(String::as_str));
    }
    for (key, said) in [("init", service.init), ("read_only", service.read_only), ("tty", service.tty), ("stdin_open", service.stdin_open)]
    {
        if said {
            yaml.plain(2, key, "true");
        }
    }
    let texts = [
        ("user", &service.user),
        ("working_dir", &service.working_dir),
        ("hostname", &service.hostname),
        ("stop_signal", &service.stop_signal),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            yaml.value(2, key, text);
        }
    }
    if !service.groups.is_empty() {
        yaml.list(2, "group_add", service.groups.iter().map(String::as_str));
    }
}

fn networked(yaml: &mut Yaml, service: &Service, ports: &BTreeMap<String, u16>) {
    match &service.network {
        Network::Own => {}
        Network::None => yaml.value(2, "network_mode", "none"),
        Network::Host => yaml.value(2, "network_mode", "host"),
        Network::Service(other) => yaml.value(2, "network_mode", &format!("service:{other}")),
        Network::Named(networks) => {
            yaml.table(2, "networks");
            for (name, aliases) in networks {
                if aliases.is_empty() {
                    yaml.plain(3, &quoted(name), "{}");
                } else {
                    yaml.table(3, &quoted(name));
                    yaml.list(4, "aliases", aliases.iter().map(String::as_str));
                }
            }
        }
    }
    if !service.ports.is_empty() {
        yaml.table(2, "ports");
        for port in &service.ports {
            yaml.line(3, &format!("- target: {}", port.container));
            yaml.value(4, "published", &ports.get(&port.name).copied().unwrap_or(port.proposed).to_string());
            yaml.value(4, "protocol", word(port));
            if let Some(address) = port.address {
                yaml.value(4, "host_ip", &address.to_string());
            }
        }
    }
    if !service.hosts.is_empty() {
        yaml.table(2, "extra_hosts");
        for (name, address) in &service.hosts {
            yaml.value(3, &quoted(name), &address.to_string());
        }
    }
    if !service.dns.is_empty() {
        let dns: Vec<String> = service.dns.iter().map(ToString::to_string).collect();
        yaml.list(2, "dns", dns.iter().map(String::as_str));
    }
}

fn word(port: &Published) -> &'static str {
    if port.protocol == Protocol::Udp { "udp" } else { "tcp" }
}

fn mounted(yaml: &mut Yaml, service: &Service) {
    if !service.files.is_empty() {
        yaml.table(2, "configs");
        for (name, target) in &service.files {
            yaml.line(3, &format!("- source: {}", quoted(name)));
            yaml.value(4, "target", target);
        }
    }
    if service.mounts.is_empty() {
        return;
    }
    yaml.table(2, "volumes");
    for mount in &service.mounts {
        let (kind, source, only_read) = match mount {
            Mount::Volume { name, read_only, .. } => ("volume", name.as_str(), *read_only),
            Mount::Host { path, read_only, .. } => ("bind", path.as_str(), *read_only),
            Mount::Memory { .. } => ("tmpfs", "", false),
        };
        yaml.line(3, &format!("- type: {kind}"));
        if !source.is_empty() {
            yaml.value(4, "source", source);
        }
        yaml.value(4, "target", mount.target());
        if only_read {
            yaml.plain(4, "read_only", "true");
        }
        match mount {
            Mount::Host { .. } => {
                yaml.table(4, "bind");
                yaml.plain(5, "create_host_path", "false");
            }
            Mount::Memory { bytes: Some(bytes), .. } => {
                yaml.table(4, "tmpfs");
                yaml.plain(5, "size", &bytes.to_string());
            }
            _ => {}
        }
    }
}

fn limited(yaml: &mut Yaml, service: &Service) {
    let limits = &service.limits;
    // Docker takes less than 6 MiB for a mistake.
    let memory = limits.memory.filter(|bytes| *bytes > 0).unwrap_or(MEMORY).clamp(6 << 20, MOST);
    yaml.value(2, "mem_limit", &format!("{memory}b"));
    if let Some(bytes) = limits.reserved.filter(|bytes| (6 << 20..=memory).contains(bytes)) {
        yaml.value(2, "mem_reservation", &format!("{bytes}b"));
    }
    let cpus = limits.cpus.filter(|cpus| *cpus > 0).unwrap_or(CPUS).min(1_000_000);
    yaml.value(2, "cpus", &format!("{}.{:03}", cpus / 1000, cpus % 1000));
    yaml.plain(2, "pids_limit", &limits.processes.filter(|n| *n > 0).unwrap_or(PROCESSES).min(100_000).to_string());
    if let Some(bytes) = limits.shared {
        yaml.value(2, "shm_size", &format!("{}b", bytes.min(memory)));
    }
    if let Some(ms) = service.stop_ms {
        yaml.value(2, "stop_grace_period", &format!("{ms}ms"));
    }
    if !service.ulimits.is_empty() {
        yaml.table(2, "ulimits");
        for (name, (soft, hard)) in &service.ulimits {
            yaml.table(3, name);
            yaml.plain(4, "soft", &soft.to_string());
            yaml.plain(4, "hard", &hard.to_string());
        }
    }
}

fn checked(yaml: &mut Yaml, check: &Check, test: Vec<String>) {
    yaml.table(2, "healthcheck");
    if !test.is_empty() {
        yaml.list(3, "test", test.iter().map(String::as_str));
    }
    for (key, ms) in [("interval", check.interval_ms), ("timeout", check.timeout_ms), ("start_period", check.start_ms)] {
        if let Some(ms) = ms {
            yaml.value(3, key, &format!("{ms}ms"));
        }
    }
    if let Some(retries) = check.retries {
        yaml.plain(3, "retries", &retries.to_string());
    }
}

/// What holds for each name.
fn values(project: &Project, choices: &Choices) -> Result<BTreeMap<String, String>, Refused> {
    if let Some(name) = choices.settings.keys().find(|name| !project.variables.contains_key(*name)) {
        return Err(Refused::Unknown { what: "setting", name: name.clone() });
    }
    let mut values = BTreeMap::new();
    for (name, variable) in &project.variables {
        let said = choices.settings.get(name).or(variable.default.as_ref());
        let Some(value) = said else { return Err(Refused::Missing(name.clone())) };
        if value.chars().count() > VALUE_CHARS || value.chars().any(char::is_control) {
            return Err(Refused::Value { name: name.clone(), why: format!("one line of {VALUE_CHARS} characters at most is allowed") });
        }
        values.insert(name.clone(), value.clone());
    }
    Ok(values)
}

/// The node's port for each of the app's.
fn ports(project: &Project, choices: &Choices) -> Result<BTreeMap<String, u16>, Refused> {
    if let Some(name) = choices.ports.keys().find(|name| !project.ports().any(|port| port.name == **name)) {
        return Err(Refused::Unknown { what: "port", name: name.clone() });
    }
    let mut chosen = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for port in project.ports() {
        let node = choices.ports.get(&port.name).copied().unwrap_or(port.proposed);
        if node == 0 || !taken.insert((node, word(port))) {
            return Err(Refused::Port(node, port.name.clone()));
        }
        chosen.insert(port.name.clone(), node);
    }
    Ok(chosen)
}
