//! One service of a compose file. Every key of it is understood here, asks for a privilege, or is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ask::{Key, Reading, shown};
use super::names::{self, bytes, is_host, is_image, is_part, is_path, is_user, milliseconds, thousandths};
use super::parts;
use super::privilege::{self, Privilege};
use super::project::{Check, Mount, Network, Service};
use super::read::{SECRET, unknown};
use super::text::{Text, is_variable};

/// Keys that mean something here.
const KEYS: [&str; 48] = [
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "container_name",
    "cpus",
    "depends_on",
    "deploy",
    "devices",
    "dns",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging",
    "mem_limit",
    "mem_reservation",
    "network_mode",
    "networks",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "pull_policy",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
    "annotations",
];
/// What a service may list of one kind at most.
const LISTED: usize = 64;
/// Limits of one process that a service may set.
const ULIMITS: [&str; 6] = ["nofile", "nproc", "core", "stack", "memlock", "sigpending"];

const SIZE: &str = "size such as `512m`";
const TIME: &str = "time such as `1m30s`, a day at most";

/// Reads one.
pub fn read(reading: &mut Reading, key: &Key<'_>, name: &str) -> Service {
    let mut service = Service::default();
    for key in reading.table(key) {
        one(reading, &key, &mut service);
    }
    if service.image.as_plain().is_some_and(|image| image.is_empty()) {
        reading.refuse(key.place, &key.path, format!("the service `{name}` has no `image`"));
    }
    service
}

fn one(reading: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let r = reading;
    match key.name.as_str() {
        "image" => service.image = image(r, key),
        "command" => service.command = words(r, key),
        "entrypoint" => service.entrypoint = words(r, key),
        "environment" => service.environment = environment(r, key),
        "ports" => r.list(key).iter().take(LISTED).for_each(|item| parts::port(r, item, service)),
        "volumes" => r.list(key).iter().take(LISTED).for_each(|item| parts::mount(r, item, service)),
        "tmpfs" => r.words(key).iter().take(LISTED).for_each(|word| parts::memory(r, key, word, service)),
        "configs" => r.list(key).iter().take(LISTED).for_each(|item| parts::file(r, item, "", "/", service)),
        "secrets" => r.list(key).iter().take(LISTED).for_each(|item| parts::file(r, item, SECRET, "/run/secrets/", service)),
        "devices" => r.list(key).iter().take(LISTED).for_each(|item| parts::device(r, item, service)),
        "networks" => service.network = networks(r, key),
        "network_mode" => network_mode(r, key, service),
        "pid" | "ipc" => namespace(r, key, service),
        "privileged" => {
            service.privileged = r.truth(key);
            if service.privileged {
                r.ask(key.place, &key.path, Ok(Some(Privilege::Privileged)));
            }
        }
        "cap_add" => {
            for item in r.list(key) {
                let Some(word) = r.word(&item) else { continue };
                if r.ask(item.place, &key.path, Privilege::capability(&word)) {
                    service.cap_add.insert(privilege::capability(&word));
                }
            }
        }
        "cap_drop" => {
            let good = |word: &str| word.len() <= 40 && word.bytes().all(|c| c.is_ascii_alphabetic() || c == b'_');
            let items = r.list(key);
            service.cap_drop =
                items.iter().filter_map(|item| r.good(item, good, "capability")).map(|word| privilege::capability(&word)).collect();
        }
        "sysctls" => {
            for (name, place, value) in r.pairs(key) {
                let value = value.unwrap_or_default();
                if r.ask(place, &format!("{}.{name}", key.path), Privilege::sysctl(&name, &value).map(Some)) {
                    service.sysctls.insert(name, value);
                }
            }
        }
        "security_opt" => {
            for item in r.list(key) {
                let Some(word) = r.word(&item) else { continue };
                if r.ask(item.place, &key.path, Privilege::security_opt(&word)) {
                    service.security_opt.insert(word.replacen(':', "=", 1));
                }
            }
        }
        "user" => service.user = r.good(key, is_user, "user of a container"),
        "group_add" => {
            let items = r.list(key);
            service.groups =
                items.iter().filter_map(|item| r.good(item, |group| is_user(group) && !group.contains(':'), "group")).collect();
        }
        "working_dir" => service.working_dir = r.good(key, |path| path == "/" || is_path(path), "absolute path"),
        "hostname" => service.hostname = r.good(key, is_host, "name of a machine"),
        "extra_hosts" => service.hosts = hosts(r, key),
        "dns" => {
            let words = r.words(key);
            service.dns = words.iter().filter_map(|word| word.parse().ok()).collect();
            if service.dns.len() != words.len() {
                r.wrong(key, "addresses belong here");
            }
        }
        "depends_on" => service.depends_on = depends_on(r, key),
        "healthcheck" => service.health = Some(health(r, key)),
        "ulimits" => ulimits(r, key, service),
        "deploy" => parts::deploy(r, key, service),
        "init" => service.init = r.truth(key),
        "read_only" => service.read_only = r.truth(key),
        "tty" => service.tty = r.truth(key),
        "stdin_open" => service.stdin_open = r.truth(key),
        "mem_limit" => service.limits.memory = r.read(key, bytes, SIZE),
        "mem_reservation" => service.limits.reserved = r.read(key, bytes, SIZE),
        "shm_size" => service.limits.shared = r.read(key, bytes, SIZE),
        "cpus" => service.limits.cpus = r.read(key, thousandths, "number of processors"),
        "pids_limit" => service.limits.processes = r.read(key, |word| word.parse().ok(), "number of processes"),
        "stop_grace_period" => service.stop_ms = r.read(key, |word| milliseconds(word).filter(|ms| *ms <= 600_000), "time of 10m at most"),
        "stop_signal" => {
            let good = |word: &str| (1..=12).contains(&word.len()) && word.bytes().all(|c| c.is_ascii_alphanumeric());
            service.stop_signal = r.good(key, good, "signal");
        }
        "pull_policy" => {
            // What is here is kept, and an update asks for what is new.
            r.good(key, |word| ["always", "missing", "if_not_present", "never"].contains(&word), "policy that an app may have");
        }
        // Decided for every app by the node: it starts again until it is stopped, is named after its project, and its log is bounded.
        "restart" | "container_name" | "logging" | "platform" => {}
        // These have no effect on what may be done.
        "labels" | "expose" | "annotations" => {}
        ours if ours.starts_with("x-") => {}
        other => unknown(r, key, other, &KEYS),
    }
}

fn image(r: &mut Reading, key: &Key<'_>) -> Text {
    let super::yaml::Value::Scalar(text) = &key.node.value else {
        r.wrong(key, "the name of an image belongs here");
        return Text::plain("");
    };
    let image = r.runs(key.node.place, &key.path, text);
    if image.as_plain().is_some_and(|image| !is_image(&image)) {
        r.wrong(key, format!("`{}` is no name of an image (`name:tag`, `host/name@sha256:…`)", shown(text)));
    }
    image
}

/// A command: a list of words, or a line that is cut where a shell would.
fn words(r: &mut Reading, key: &Key<'_>) -> Option<Vec<Text>> {
    if key.is_null() {
        return None;
    }
    if let super::yaml::Value::Scalar(line) = &key.node.value {
        let Some(words) = cut(line) else {
            r.wrong(key, "a quote is not closed");
            return None;
        };
        return Some(words.iter().map(|word| r.runs(key.node.place, &key.path, word)).collect());
    }
    let mut out = Vec::new();
    for item in r.list(key) {
        match &item.node.value {
            super::yaml::Value::Scalar(word) => out.push(r.runs(item.place, &key.path, word)),
            _ => r.wrong(&item, "a single value belongs here"),
        }
    }
    Some(out)
}

/// A line → words, by a shell's quotes.
fn cut(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.push(chars.next()?);
                any = true;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => (quote, any) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if any {
                    words.push(std::mem::take(&mut word));
                    any = false;
                }
            }
            (c, _) => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

fn environment(r: &mut Reading, key: &Key<'_>) -> BTreeMap<String, Text> {
    let mut out = BTreeMap::new();
    for (name, place, value) in r.pairs(key) {
        let path = format!("{}.{}", key.path, shown(&name));
        if !is_variable(&name) {
            r.refuse(place, &path, "a variable is called by letters, digits and `_`");
            continue;
        }
        let text = match value {
            Some(value) => r.filled(place, &path, &value),
            // Compose would take it from whoever starts it: here a person says it.
            None => {
                r.variable(place, &path, &name, None);
                Text::named(&name)
            }
        };
        out.insert(name, text);
    }
    if out.len() > LISTED * 4 {
        r.wrong(key, "these are too many");
    }
    out
}

fn networks(r: &mut Reading, key: &Key<'_>) -> Network {
    let mut named = BTreeMap::new();
    if key.is_list() {
        named.extend(r.words(key).into_iter().map(|name| (name, BTreeSet::new())));
        return Network::Named(named);
    }
    for network in r.table(key) {
        let mut aliases = BTreeSet::new();
        for option in r.table(&network) {
            match option.name.as_str() {
                "aliases" => {
                    aliases = r.list(&option).iter().filter_map(|item| r.good(item, is_host, "name of a machine")).collect();
                }
                "priority" => {}
                other => unknown(r, &option, other, &["aliases"]),
            }
        }
        named.insert(network.name.clone(), aliases);
    }
    Network::Named(named)
}

fn network_mode(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let Some(word) = r.word(key) else { return };
    service.network = match (word.as_str(), word.strip_prefix("service:")) {
        ("host", _) => {
            r.ask(key.place, &key.path, Ok(Some(Privilege::HostNetwork)));
            Network::Host
        }
        ("none", _) => Network::None,
        ("bridge" | "default", _) => Network::Own,
        (_, Some(other)) if is_part(other) => Network::Service(other.to_owned()),
        _ => {
            r.wrong(key, format!("`{}`: an app has its own network, none, or (an owner may allow it) the node's: `host`", shown(&word)));
            Network::Own
        }
    };
}

fn namespace(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let Some(word) = r.word(key) else { return };
    match (key.name.as_str(), word.as_str()) {
        ("pid", "host") => {
            service.host_pid = r.ask(key.place, &key.path, Ok(Some(Privilege::HostPid)));
        }
        ("ipc", "host") => {
            service.host_ipc = r.ask(key.place, &key.path, Ok(Some(Privilege::HostIpc)));
        }
        ("ipc", "private" | "none") => {}
        _ => r.wrong(key, format!("`{}`: a service has its own, or (an owner may allow it) the node's: `host`", shown(&word))),
    }
}

fn hosts(r: &mut Reading, key: &Key<'_>) -> BTreeMap<String, IpAddr> {
    let mut out = BTreeMap::new();
    let pairs: Vec<(String, String)> = if key.is_list() {
        let words = r.words(key);
        words.iter().filter_map(|word| word.split_once(['=', ':'])).map(|(name, address)| (name.to_owned(), address.to_owned())).collect()
    } else {
        r.pairs(key).into_iter().map(|(name, _, value)| (name, value.unwrap_or_default())).collect()
    };
    for (name, address) in pairs {
        match address.trim_matches(['[', ']']).parse() {
            Ok(address) if is_host(&name) => {
                out.insert(name, address);
            }
            _ => r.wrong(key, format!("`{}={}` is no name and address", shown(&name), shown(&address))),
        }
    }
    out
}

fn depends_on(r: &mut Reading, key: &Key<'_>) -> BTreeMap<String, bool> {
    if key.is_list() {
        return r.words(key).into_iter().map(|name| (name, false)).collect();
    }
    let mut out = BTreeMap::new();
    for other in r.table(key) {
        let mut well = false;
        for option in r.table(&other) {
            match option.name.as_str() {
                "condition" => {
                    let condition = |word: &str| match word {
                        "service_started" => Some(false),
                        "service_healthy" => Some(true),
                        _ => None,
                    };
                    let what = "condition that is known here: every service of an app runs on, so `service_started` or `service_healthy`";
                    well = r.read(&option, condition, what).unwrap_or_default();
                }
                "restart" | "required" => {}
                unknown_key => unknown(r, &option, unknown_key, &["condition"]),
            }
        }
        out.insert(other.name.clone(), well);
    }
    out
}

fn health(r: &mut Reading, key: &Key<'_>) -> Check {
    let mut check = Check::default();
    for option in r.table(key) {
        match option.name.as_str() {
            "test" => {
                check.test = match &option.node.value {
                    super::yaml::Value::Scalar(line) => vec![Text::plain("CMD-SHELL"), r.runs(option.node.place, &option.path, line)],
                    _ => words(r, &option).unwrap_or_default(),
                };
                let first = check.test.first().and_then(Text::as_plain).unwrap_or_default();
                if !["CMD", "CMD-SHELL", "NONE"].contains(&first.as_str()) {
                    r.wrong(&option, "a test is a line, or a list that begins with CMD, CMD-SHELL or NONE");
                }
            }
            "interval" => check.interval_ms = r.read(&option, milliseconds, TIME),
            "timeout" => check.timeout_ms = r.read(&option, milliseconds, TIME),
            "start_period" => check.start_ms = r.read(&option, milliseconds, TIME),
            "start_interval" => {}
            "retries" => check.retries = r.read(&option, |word| word.parse().ok().filter(|n| *n <= 100), "number of 100 at most"),
            "disable" => {
                if r.truth(&option) {
                    check.test = vec![Text::plain("NONE")];
                }
            }
            other => unknown(r, &option, other, &["test", "interval", "timeout", "retries", "start_period", "disable"]),
        }
    }
    check
}

fn ulimits(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let number = |word: &str| word.parse::<u64>().ok().filter(|number| *number <= 1_048_576);
    let what = "number of 1048576 at most";
    for limit in r.table(key) {
        if !ULIMITS.contains(&limit.name.as_str()) {
            r.wrong(&limit, format!("limits that may be set are {}", ULIMITS.join(", ")));
            continue;
        }
        let (mut soft, mut hard) = (None, None);
        if limit.is_scalar() {
            soft = r.read(&limit, number, what);
            hard = soft;
        } else {
            for option in r.table(&limit) {
                match option.name.as_str() {
                    "soft" => soft = r.read(&option, number, what),
                    "hard" => hard = r.read(&option, number, what),
                    other => unknown(r, &option, other, &["soft", "hard"]),
                }
            }
        }
        if let (Some(soft), Some(hard)) = (soft.or(hard), hard.or(soft)) {
            service.ulimits.insert(limit.name.clone(), (soft, hard));
        }
    }
}

/// A place in the container's tree that may be mounted on.
pub fn target(r: &mut Reading, key: &Key<'_>, path: &str) -> Option<String> {
    let path = names::tidied(path);
    if is_path(&path) && !["/proc", "/sys", "/dev"].contains(&path.as_str()) {
        return Some(path);
    }
    r.wrong(key, format!("`{}` is no absolute path in the container", shown(&path)));
    None
}

/// Adds what is mounted, unless something is there already.
pub fn add(r: &mut Reading, key: &Key<'_>, service: &mut Service, mount: Mount) {
    if service.mounts.iter().any(|other| other.target() == mount.target()) {
        r.wrong(key, format!("two things at `{}`", mount.target()));
    } else {
        service.mounts.push(mount);
    }
}
