//! A container that was made by hand, as Docker tells of it → the form of the app that it becomes, or what of it can't be taken over (pure).
//!
//! Architecture invariant: what is not known here is not taken over: a setting that a form can't say, and that is not as Docker makes it
//! by itself, is named with its reason, and the container is left as it is. What reaches outside is asked by the form, as anybody's would.

use super::by_hand::{is_name, part_of, shown};
use super::container::PROJECT_LABEL;
use contract::apps::Protocol;
use contract::apps::own::{self, Definition, Form, FormNetwork, FormPort, FormVolume, TITLE_CHARS, is_image};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that are named at most.
const NAMED: usize = 50;
/// Characters of a variable's value at most: a setting of an app has no more.
const VALUE_CHARS: usize = 1000;
/// What a form says or what is looked at by itself; what Docker tells of a run and not of what was asked; what changes nothing that counts.
const LOOKED_AT: [&str; 25] = [
    "AutoRemove",
    "Binds",
    "CapAdd",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuPeriod",
    "CpuQuota",
    "Devices",
    "Init",
    "Isolation",
    "LogConfig",
    "Memory",
    "MaskedPaths",
    "MemorySwap",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "ReadonlyPaths",
    "RestartPolicy",
    "SecurityOpt",
    "VolumeDriver",
];
/// What holds without having been asked for.
const USUAL: [(&str, &[&str]); 6] = [
    ("IpcMode", &["private", "shareable"]),
    ("Runtime", &["runc", "io.containerd.runc.v2"]),
    ("ShmSize", &["67108864"]),
    ("MemorySwappiness", &["-1", "60"]),
    ("OomScoreAdj", &["0"]),
    ("Cgroup", &[""]),
];

/// A container of a person's, as an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Taken {
    /// Docker's number for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the app is made of; not to be used where something can't be taken over.
    pub form: Form,
    /// What it keeps, each volume once.
    pub carried: Vec<Carried>,
    /// How it is to be put back.
    pub was: Was,
    /// What can't be taken over.
    pub not: Vec<NotTaken>,
    /// What will be otherwise than it was.
    pub differs: Vec<String>,
}

/// A volume that is copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Carried {
    /// Docker's name for it.
    pub from: String,
    /// Where it is in the container.
    pub target: String,
    /// What the form calls it.
    pub to: String,
}

/// How a container is while nobody has touched it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Was {
    /// Whether it runs.
    pub up: bool,
    /// When Docker starts it by itself: `always`, `unless-stopped`, `on-failure`, `no`.
    pub restart: String,
    /// How often, after failures.
    pub retries: i64,
}

/// Something that can't be taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct NotTaken {
    /// What, by Docker's name for it.
    pub what: String,
    /// Why, and the mend.
    pub why: String,
}

/// What else is known of the container's volumes.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Volumes that lie on this node as Docker makes them by itself.
    pub plain: BTreeSet<String>,
    /// Names of the other containers that have a volume.
    pub shared: BTreeMap<String, BTreeSet<String>>,
    /// What Docker runs containers with where nothing is said.
    pub runtime: String,
    /// Names of other containers that are in its network's namespace.
    pub joined: BTreeSet<String>,
}

const AS_COMPOSE: &str = "a form can't say it: save a compose file that does as an own app";

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// By name: the same container is the same form each time.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten().collect::<BTreeMap<_, _>>().into_iter()
}

/// Whether it says nothing: what Docker writes where nobody said anything.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

impl Taken {
    fn refuse(&mut self, what: &str, why: impl Into<String>) {
        let fault = NotTaken { what: shown(what), why: why.into() };
        if self.not.len() < NAMED && !self.not.contains(&fault) {
            self.not.push(fault);
        }
    }
}

/// Judges a container; `container` and `image` are what Docker says when it is asked to inspect them.
pub fn taken(container: &Value, image: &Value, around: &Around) -> Taken {
    let (config, host, its) = (&container["Config"], &container["HostConfig"], &image["Config"]);
    let restart = &host["RestartPolicy"];
    let mut taken = Taken {
        id: text(container, "Id").to_owned(),
        name: shown(text(container, "Name").trim_start_matches('/')),
        was: Was {
            up: container["State"]["Running"].as_bool().unwrap_or_default(),
            restart: text(restart, "Name").to_owned(),
            retries: restart["MaximumRetryCount"].as_i64().unwrap_or_default(),
        },
        ..Taken::default()
    };
    by_itself(&mut taken, container);
    if !around.joined.is_empty() {
        let others: Vec<String> = around.joined.iter().map(|name| format!("`{}`", shown(name))).collect();
        taken.refuse("NetworkMode", format!("it gives others its network, who would be cut off: {}", others.join(", ")));
    }
    named(&mut taken, text(config, "Image"), image);
    started(&mut taken, config, its);
    environment(&mut taken, &config["Env"], &its["Env"]);
    network(&mut taken, container);
    if taken.form.network == FormNetwork::Own {
        ports(&mut taken, &host["PortBindings"]);
    }
    mounts(&mut taken, container, around);
    limits(&mut taken, host);
    confined(&mut taken, host);
    others(&mut taken, container, its, &around.runtime);
    different(&mut taken, config, host, its);
    // What a form may say at all is decided there.
    if let Err(faults) = own::read(&taken.definition(None)) {
        for fault in faults.0 {
            taken.refuse(&fault.key, fault.why);
        }
    }
    taken
}

impl Taken {
    /// What is saved of it as an own app.
    pub fn definition(&self, title: Option<&str>) -> Definition {
        let title: String = title.unwrap_or(&self.name).chars().take(TITLE_CHARS).collect();
        let title = if title.trim().is_empty() { "app".to_owned() } else { title };
        Definition { title, form: Some(self.form.clone()), ..Definition::default() }
    }
}

/// Whether it stands alone, and would be there again after it was stopped.
fn by_itself(taken: &mut Taken, container: &Value) {
    let labels = &container["Config"]["Labels"];
    if let Some(why) = part_of(labels[PROJECT_LABEL].as_str(), labels["com.docker.swarm.service.name"].is_string()) {
        taken.refuse("labels", why);
    }
    if !empty(&container["HostConfig"]["AutoRemove"]) {
        taken.refuse("AutoRemove", "Docker removes it as soon as it stops (`--rm`), so there would be no way back: start it without that");
    }
    let state = text(&container["State"], "Status");
    if !["running", "exited", "created"].contains(&state) {
        taken.refuse("State", format!("it is `{}`: it must run or stand still", shown(state)));
    }
}

/// A name by which Docker finds the very image that it runs.
fn named(taken: &mut Taken, said: &str, image: &Value) {
    let (mut tags, digests) = (words(&image["RepoTags"]), words(&image["RepoDigests"]));
    tags.sort();
    let last = said.rsplit('/').next().unwrap_or_default();
    let full = if last.contains([':', '@']) { said.to_owned() } else { format!("{said}:latest") };
    let same = tags.contains(&full) || digests.contains(&full);
    let found = Some(said.to_owned()).filter(|_| same).into_iter().chain(tags).chain(digests).find(|name| is_image(name));
    match found {
        Some(name) => taken.form.image = name,
        None => taken.refuse("Image", "the image that it runs has no name any more: give it one with `docker tag`"),
    }
}

/// The program: what is started is word for word what was started.
fn started(taken: &mut Taken, config: &Value, image: &Value) {
    let (program, command) = (words(&config["Entrypoint"]), words(&config["Cmd"]));
    let (its_program, its_command) = (words(&image["Entrypoint"]), words(&image["Cmd"]));
    if program == its_program && (command == its_command || !command.is_empty()) {
        taken.form.command = if command == its_command { Vec::new() } else { command };
    } else if program.is_empty() && command.is_empty() {
        taken.refuse("Cmd", "nothing is said of what it starts");
    } else if program.is_empty() {
        // An empty one means the image's in a form; without any, the command's first word is the program.
        taken.form.entrypoint = command;
    } else {
        (taken.form.entrypoint, taken.form.command) = (program, command);
    }
    if config["User"] != image["User"] && !empty(&config["User"]) {
        taken.form.user = Some(text(config, "User").to_owned());
    } else if empty(&config["User"]) && !empty(&image["User"]) {
        taken.form.user = Some("0".to_owned());
    }
}

/// Variables that the image does not bring. No value stands in what is said of them.
fn environment(taken: &mut Taken, said: &Value, image: &Value) {
    let its = words(image);
    for entry in words(said).iter().filter(|entry| !its.contains(entry)) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let what = format!("environment.{}", shown(name));
        if value.chars().any(char::is_control) || value.chars().count() > VALUE_CHARS {
            taken.refuse(&what, format!("its value is no single line of {VALUE_CHARS} characters at most: {AS_COMPOSE}"));
        } else {
            taken.form.environment.insert(name.to_owned(), Some(value.to_owned()));
        }
    }
}

fn network(taken: &mut Taken, container: &Value) {
    let mode = text(&container["HostConfig"], "NetworkMode");
    taken.form.network = match mode {
        "" | "default" | "bridge" => FormNetwork::Own,
        "host" => FormNetwork::Host,
        "none" => FormNetwork::None,
        other => {
            taken.refuse("NetworkMode", format!("it is in the network `{}` with others, and an app has one of its own", shown(other)));
            return;
        }
    };
    let usual = if taken.form.network == FormNetwork::Own { "bridge" } else { mode };
    for (name, _) in entries(&container["NetworkSettings"]["Networks"]).filter(|(name, _)| *name != usual) {
        taken.refuse("Networks", format!("it was connected to the network `{}` too, and an app has one of its own", shown(name)));
    }
}

fn ports(taken: &mut Taken, bindings: &Value) {
    for (container, bound) in entries(bindings) {
        let what = format!("ports.{}", shown(container));
        let (number, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => {
                taken.refuse(&what, "an app has ports of TCP and UDP alone");
                continue;
            }
        };
        let Ok(number) = number.parse() else {
            taken.refuse(&what, "this is no port");
            continue;
        };
        let mut nodes = BTreeSet::new();
        for binding in bound.as_array().into_iter().flatten() {
            let (address, node) = (text(binding, "HostIp"), text(binding, "HostPort"));
            if !["", "0.0.0.0", "::"].contains(&address) {
                let address = shown(address);
                taken.refuse(&what, format!("it is published at `{address}` alone, and a form would publish it everywhere: {AS_COMPOSE}"));
            }
            match node {
                "" | "0" => nodes.insert(None),
                node => match node.parse::<u16>() {
                    Ok(node) => nodes.insert(Some(node)),
                    Err(_) => {
                        taken.refuse(&what, "it is published at one of several ports of the node");
                        continue;
                    }
                },
            };
        }
        if nodes.len() > 1 {
            taken.refuse(&what, format!("it is published at several ports of the node: {AS_COMPOSE}"));
        } else if let Some(node) = nodes.into_iter().next() {
            if node.is_none() {
                taken.differs.push(format!("port {number}: Docker chose a port of the node each time; now it is always the same"));
            }
            taken.form.ports.push(FormPort { container: number, proposed: node.filter(|node| *node != number), protocol, scheme: None });
        }
    }
}

/// Volumes and folders. What of them is not plainly this container's own would be lost or torn.
fn mounts(taken: &mut Taken, container: &Value, around: &Around) {
    let mut all: Vec<&Value> = container["Mounts"].as_array().into_iter().flatten().collect();
    // Docker tells them in any order, another one each time.
    all.sort_by_key(|mount| text(mount, "Destination"));
    let parts = container["HostConfig"]["Mounts"].as_array().into_iter().flatten();
    for part in parts.filter(|part| !empty(&part["VolumeOptions"]["Subpath"])) {
        taken.refuse(&format!("volumes.{}", shown(text(part, "Target"))), format!("it is a part of a volume: {AS_COMPOSE}"));
    }
    for mount in &all {
        let (target, writes) = (text(mount, "Destination"), mount["RW"].as_bool().unwrap_or_default());
        let what = format!("volumes.{}", shown(target));
        match text(mount, "Type") {
            "bind" => {
                if !["", "private", "rprivate"].contains(&text(mount, "Propagation")) {
                    taken.refuse(&what, format!("what is mounted in it later is seen outside too: {AS_COMPOSE}"));
                }
                let source = text(mount, "Source").to_owned();
                taken.form.volumes.push(FormVolume { source, path: target.to_owned(), read_only: !writes });
            }
            "volume" => {
                let from = text(mount, "Name");
                let within = |other: &str| {
                    other.strip_prefix(target.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
                };
                if let Some(inside) = all.iter().map(|other| text(other, "Destination")).find(|other| within(other)) {
                    taken.refuse(&what, format!("`{}` lies inside of it: the two can't be told apart when it is copied", shown(inside)));
                }
                if !is_name(from) || !around.plain.contains(from) {
                    taken.refuse(&what, "its volume is of another driver, or has options: what it holds may lie elsewhere");
                }
                if !writes {
                    taken.refuse(&what, "it only reads this volume, so somebody else writes it: an app's volumes are its own");
                }
                if let Some(others) = around.shared.get(from).filter(|others| !others.is_empty()) {
                    let others: Vec<String> = others.iter().map(|other| format!("`{}`", shown(other))).collect();
                    taken.refuse(&what, format!("{} has this volume too: an app's volumes are its own", others.join(", ")));
                }
                let to = match taken.carried.iter().find(|carried| carried.from == from) {
                    Some(carried) => carried.to.clone(),
                    None => {
                        let to = part(from, target, &taken.carried);
                        taken.carried.push(Carried { from: from.to_owned(), target: target.to_owned(), to: to.clone() });
                        to
                    }
                };
                taken.form.volumes.push(FormVolume { source: to, path: target.to_owned(), read_only: false });
            }
            other => taken.refuse(&what, format!("a mount of the kind `{}` is none that a form can say", shown(other))),
        }
    }
}

/// What a form calls a volume: as Docker does, or after its place where that is a number or too long.
fn part(volume: &str, target: &str, taken: &[Carried]) -> String {
    let good = |name: &str| (1..=40).contains(&name.len()) && is_name(name);
    let last: String =
        target.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    let first = [volume, last.get(..last.len().min(30)).unwrap_or_default(), "data"]
        .into_iter()
        .find(|name| good(name))
        .unwrap_or("data")
        .to_owned();
    let free = |name: &String| taken.iter().all(|carried| carried.to != *name);
    let numbered = (2..=taken.len() + 2).map(|n| format!("{}-{n}", first.get(..first.len().min(30)).unwrap_or_default()));
    std::iter::once(first.clone()).chain(numbered).find(free).unwrap_or(first)
}

fn limits(taken: &mut Taken, host: &Value) {
    let number = |key: &str| host[key].as_i64().filter(|number| *number > 0).and_then(|number| u64::try_from(number).ok());
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    match number("Memory") {
        Some(bytes) => taken.form.memory_mb = Some(small(bytes.div_ceil(1 << 20)).max(6)),
        None => taken.differs.push("it had no limit of memory, and has one of 1024 MiB now: the app's form changes it".to_owned()),
    }
    let quota = number("CpuQuota").map(|quota| quota.saturating_mul(100).div_ceil(number("CpuPeriod").unwrap_or(100_000)));
    match number("NanoCpus").map(|nanos| nanos.div_ceil(10_000_000)).or(quota) {
        Some(percent) => taken.form.cpu_percent = Some(small(percent)),
        None => taken.differs.push("it had all processors, and has one now: the app's form changes it".to_owned()),
    }
    if number("PidsLimit") != Some(500) {
        taken.differs.push("it has 500 processes at most now".to_owned());
    }
}

fn confined(taken: &mut Taken, host: &Value) {
    taken.form.privileged = host["Privileged"].as_bool().unwrap_or_default();
    taken.form.capabilities = words(&host["CapAdd"]);
    for device in host["Devices"].as_array().into_iter().flatten() {
        let (from, to, rights) = (text(device, "PathOnHost"), text(device, "PathInContainer"), text(device, "CgroupPermissions"));
        // An app may do all three with its devices: one that might less is not given more.
        let all = rights.is_empty() || (b"rwm".iter().all(|right| rights.as_bytes().contains(right)) && rights.len() == 3);
        if [from, to].iter().any(|path| path.contains(':')) || !all {
            taken.refuse("devices", format!("`{}` can't be written in a form", shown(from)));
        }
        taken.form.devices.push(if to == from || to.is_empty() { from.to_owned() } else { format!("{from}:{to}") });
    }
    for option in words(&host["SecurityOpt"]) {
        // Every container of a privileged kind has the last of these.
        let known = ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"].contains(&option.as_str());
        let usual = taken.form.privileged && option.replacen(':', "=", 1) == "label=disable";
        if !known && !usual {
            taken.refuse("SecurityOpt", format!("`{}`: {AS_COMPOSE}", shown(&option)));
        }
    }
    if !taken.form.privileged {
        taken.differs.push("its programs can't gain privileges, and it has no `NET_RAW`, `MKNOD` and `AUDIT_WRITE`".to_owned());
        // Docker masks some of /proc unless it was told not to.
        if host["MaskedPaths"].as_array().is_some_and(Vec::is_empty) || host["ReadonlyPaths"].as_array().is_some_and(Vec::is_empty) {
            taken.refuse("MaskedPaths", format!("it sees all of the kernel's files: {AS_COMPOSE}"));
        }
    }
}

/// All else that it was given and that a form can't say.
fn others(taken: &mut Taken, container: &Value, image: &Value, runtime: &str) {
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    for (key, value) in entries(host).filter(|(key, value)| !LOOKED_AT.contains(&key.as_str()) && !empty(value)) {
        let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let usual = USUAL.iter().any(|(known, values)| known == key && values.contains(&said.as_str()));
        let default = key == "Runtime" && said == runtime;
        if !usual && !default {
            taken.refuse(key, AS_COMPOSE);
        }
    }
    for key in ["Tty", "OpenStdin", "Domainname", "NetworkDisabled", "StopTimeout", "MacAddress"] {
        if !empty(&config[key]) {
            taken.refuse(key, AS_COMPOSE);
        }
    }
    for key in ["WorkingDir", "Healthcheck", "StopSignal"] {
        let none = key == "WorkingDir" && text(config, key) == "/" && empty(&image[key]);
        if config[key] != image[key] && !(empty(&config[key]) && empty(&image[key])) && !none {
            taken.refuse(key, format!("it is another than the image's: {AS_COMPOSE}"));
        }
    }
    let (name, id) = (text(config, "Hostname"), text(container, "Id"));
    if taken.form.network != FormNetwork::Host && !name.is_empty() && !id.starts_with(name) {
        taken.refuse("Hostname", AS_COMPOSE);
    }
}

/// What is passed over, and said.
fn different(taken: &mut Taken, config: &Value, host: &Value, image: &Value) {
    if ["", "no", "on-failure"].contains(&taken.was.restart.as_str()) {
        taken.differs.push("it is started again whenever it ends, until somebody stops it".to_owned());
    }
    if !empty(&host["Init"]) {
        taken.differs.push("Docker's small first process (`--init`) is not there: its own program is the first".to_owned());
    }
    let log = text(&host["LogConfig"], "Type");
    if !["", "json-file", "local", "journald"].contains(&log) {
        taken.differs.push(format!("what it says goes to Docker's usual log, and not to `{}`", shown(log)));
    }
    let labels = entries(&config["Labels"]).filter(|(name, value)| image["Labels"][name.as_str()] != **value);
    let labels: Vec<String> = labels.map(|(name, _)| format!("`{}`", shown(name))).take(10).collect();
    if !labels.is_empty() {
        taken.differs.push(format!("its labels are not kept: {}", labels.join(", ")));
    }
}

#[cfg(test)]
#[path = "taken_tests.rs"]
mod tests;
