//! What a service has of several forms: ports, mounts, devices, and limits under `deploy`.

use std::net::IpAddr;

use super::ask::{Key, Reading, shown};
use super::names::{bytes, is_part, is_path, thousandths, tidied};
use super::privilege::Privilege;
use super::project::{Mount, Published, Service};
use super::read::unknown;
use super::service::{add, target};
use crate::apps::{Protocol, Scheme};

/// Ports of a range at most.
const RANGE: usize = 32;

fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn number(word: &str) -> Option<u16> {
    word.parse().ok().filter(|number| *number != 0)
}

/// `8080` or `8080-8083`.
fn range(word: &str) -> Option<Vec<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && usize::from(last - first) < RANGE).then(|| (first..=last).collect())
}

/// `[address:][node's port:]container's port[/protocol]`, or the same as keys.
pub fn port(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let published = if key.is_scalar() { r.word(key).map(|word| short(&word)) } else { long(r, key).map(Some) };
    match published {
        Some(Some(ports)) => {
            for port in ports {
                if service.ports.iter().any(|other| (other.container, other.protocol) == (port.container, port.protocol)) {
                    r.wrong(key, format!("the container's port {} is published twice", port.container));
                } else {
                    service.ports.push(port);
                }
            }
        }
        Some(None) => r.wrong(key, "this is no port: write `CONTAINER`, `NODE:CONTAINER` or `NODE:CONTAINER/udp`"),
        None => {}
    }
}

fn published(container: &[u16], proposed: &[u16], protocol: Protocol, address: Option<IpAddr>) -> Option<Vec<Published>> {
    let one = |(container, proposed): (&u16, &u16)| Published {
        name: String::new(),
        container: *container,
        proposed: *proposed,
        protocol,
        address: address.filter(|address| !address.is_unspecified()),
        scheme: None,
    };
    (container.len() == proposed.len()).then(|| container.iter().zip(proposed).map(one).collect())
}

/// The short form; nothing where it is none.
pub fn short(word: &str) -> Option<Vec<Published>> {
    let (ports, transport) = match word.split_once('/') {
        Some((ports, word)) => (ports, protocol(word)?),
        None => (word, Protocol::Tcp),
    };
    let (rest, container) = ports.rsplit_once(':').map_or((None, ports), |(rest, container)| (Some(rest), container));
    let container = range(container)?;
    let (address, proposed) = match rest {
        None => (None, container.clone()),
        Some(rest) => match rest.rsplit_once(':') {
            None => (None, range(rest)?),
            Some((address, node)) => {
                let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
                (Some(address), if node.is_empty() { container.clone() } else { range(node)? })
            }
        },
    };
    published(&container, &proposed, transport, address)
}

fn long(r: &mut Reading, key: &Key<'_>) -> Option<Vec<Published>> {
    let (mut container, mut node, mut transport, mut address, mut scheme) = (None, None, Protocol::Tcp, None, None);
    for option in r.table(key) {
        match option.name.as_str() {
            "target" => container = r.read(&option, number, "port"),
            "published" => node = r.read(&option, number, "port of the node"),
            "protocol" => transport = r.read(&option, protocol, "protocol: `tcp` or `udp`")?,
            "host_ip" => address = r.read(&option, |word| word.parse::<IpAddr>().ok(), "address"),
            "app_protocol" => scheme = r.word(&option).and_then(|word| Scheme::of(&word)),
            "mode" | "name" => {}
            other => unknown(r, &option, other, &["target", "published", "protocol", "host_ip", "app_protocol"]),
        }
    }
    let Some(container) = container else {
        r.wrong(key, "`target`, the container's port, is needed");
        return None;
    };
    let ports = published(&[container], &[node.unwrap_or(container)], transport, address)?;
    Some(ports.into_iter().map(|port| Published { scheme, ..port }).collect())
}

/// `volume:/target[:ro]`, `/node's folder:/target[:ro]`, `/target`, or the same as keys.
pub fn mount(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    if !key.is_scalar() {
        return long_mount(r, key, service);
    }
    let Some(word) = r.word(key) else { return };
    let mut parts = word.split(':');
    let (first, second, options, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next(), parts.next());
    let mut read_only = false;
    for option in options.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            _ => r.wrong(key, format!("`{}` is no option of a volume: `ro` or `rw`", shown(option))),
        }
    }
    if more.is_some() {
        r.wrong(key, "this is no volume: write `NAME:/PATH` or `NAME:/PATH:ro`");
        return;
    }
    match second {
        None => source(r, key, "", first, read_only, service),
        Some(second) => source(r, key, first, second, read_only, service),
    }
}

fn source(r: &mut Reading, key: &Key<'_>, from: &str, to: &str, read_only: bool, service: &mut Service) {
    let Some(to) = target(r, key, to) else { return };
    if from.starts_with(['/', '.', '~']) {
        host(r, key, from, to, read_only, service);
    } else if from.is_empty() || is_part(from) {
        add(r, key, service, Mount::Volume { name: from.to_owned(), target: to, read_only });
    } else {
        r.wrong(key, format!("`{}` is no name of a volume", shown(from)));
    }
}

fn host(r: &mut Reading, key: &Key<'_>, from: &str, to: String, read_only: bool, service: &mut Service) {
    if !from.starts_with('/') {
        r.wrong(key, format!("`{}` is beside this file, and no files are: use a named volume", shown(from)));
        return;
    }
    let path = tidied(from);
    if r.ask(key.place, &key.path, Privilege::path(&path, read_only).map(Some)) {
        add(r, key, service, Mount::Host { path, target: to, read_only });
    }
}

fn long_mount(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let (mut kind, mut from, mut to, mut read_only, mut size) = (None, String::new(), None, false, None);
    for option in r.table(key) {
        match option.name.as_str() {
            "type" => kind = r.word(&option),
            "source" | "src" => from = r.word(&option).unwrap_or_default(),
            "target" | "dst" | "destination" => to = r.word(&option),
            "read_only" => read_only = r.truth(&option),
            "tmpfs" => {
                for option in r.table(&option) {
                    match option.name.as_str() {
                        "size" => size = r.read(&option, bytes, "size such as `64m`"),
                        "mode" => {}
                        other => unknown(r, &option, other, &["size"]),
                    }
                }
            }
            // What is there without them is what holds: no sub-folders of volumes, and a folder of the node must be there.
            "consistency" => {}
            other => unknown(r, &option, other, &["type", "source", "target", "read_only", "tmpfs"]),
        }
    }
    let Some(to) = to.and_then(|to| target(r, key, &to)) else {
        r.wrong(key, "`target`, where it is in the container, is needed");
        return;
    };
    match kind.as_deref() {
        Some("volume") if from.is_empty() || is_part(&from) => add(r, key, service, Mount::Volume { name: from, target: to, read_only }),
        Some("volume") => r.wrong(key, format!("`{}` is no name of a volume", shown(&from))),
        Some("bind") => host(r, key, &from, to, read_only, service),
        Some("tmpfs") => add(r, key, service, Mount::Memory { target: to, bytes: size }),
        _ => r.wrong(key, "`type` is `volume`, `tmpfs`, or (an owner may allow it) `bind`"),
    }
}

/// `/path[:size=64m,…]`; what options say beside the size is the node's to decide.
pub fn memory(r: &mut Reading, key: &Key<'_>, word: &str, service: &mut Service) {
    let (path, options) = word.split_once(':').unwrap_or((word, ""));
    let Some(target) = target(r, key, path) else { return };
    let size = options.split(',').find_map(|option| option.strip_prefix("size="));
    let bytes = size.and_then(bytes);
    if size.is_some() && bytes.is_none() {
        r.wrong(key, "`size=` is a size such as `64m`");
    }
    add(r, key, service, Mount::Memory { target, bytes });
}

/// A config or secret, and where it is found: `name`, or the same as keys. Its owner and mode are the node's to decide.
pub fn file(r: &mut Reading, key: &Key<'_>, kind: &str, place: &str, service: &mut Service) {
    let (mut from, mut to) = (None, None);
    if key.is_scalar() {
        from = r.word(key);
    } else {
        for option in r.table(key) {
            match option.name.as_str() {
                "source" => from = r.word(&option),
                "target" => to = r.word(&option),
                "uid" | "gid" | "mode" => {}
                other => unknown(r, &option, other, &["source", "target"]),
            }
        }
    }
    let Some(from) = from else {
        r.wrong(key, "the name of what stands under `configs` or `secrets` is needed");
        return;
    };
    let to = to.unwrap_or_else(|| from.clone());
    let to = if to.starts_with('/') { to } else { format!("{place}{to}") };
    if let Some(to) = target(r, key, &to) {
        service.files.push((format!("{kind}{from}"), to));
    }
}

/// `/dev/node's[:/dev/container's[:rwm]]`
pub fn device(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    let Some(word) = r.word(key) else { return };
    let mut parts = word.split(':');
    let from = tidied(parts.next().unwrap_or_default());
    let to = parts.next().map_or(from.clone(), tidied);
    let rights = parts.next().unwrap_or("rwm");
    if parts.next().is_some() || !rights.bytes().all(|c| b"rwm".contains(&c)) || !is_path(&to) {
        r.wrong(key, "this is no device: write `/dev/NODE'S` or `/dev/NODE'S:/dev/CONTAINER'S`");
    } else if r.ask(key.place, &key.path, Privilege::device(&from).map(Some)) {
        service.devices.push((from, to));
    }
}

/// Limits; what is for many machines is passed over, or refused where it would change what runs.
pub fn deploy(r: &mut Reading, key: &Key<'_>, service: &mut Service) {
    for option in r.table(key) {
        match option.name.as_str() {
            "resources" => {
                for kind in r.table(&option) {
                    match kind.name.as_str() {
                        "limits" => resources(r, &kind, service, true),
                        "reservations" => resources(r, &kind, service, false),
                        other => unknown(r, &kind, other, &["limits", "reservations"]),
                    }
                }
            }
            "replicas" => {
                r.good(&option, |word| word == "1", "number that can be: every service runs once");
            }
            "mode" => {
                r.good(&option, |word| word == "replicated" || word == "global", "mode");
            }
            "restart_policy" | "update_config" | "rollback_config" | "labels" | "endpoint_mode" => {}
            other => unknown(r, &option, other, &["resources", "replicas", "mode"]),
        }
    }
}

fn resources(r: &mut Reading, key: &Key<'_>, service: &mut Service, limits: bool) {
    for option in r.table(key) {
        match (option.name.as_str(), limits) {
            ("memory", true) => service.limits.memory = r.read(&option, bytes, "size such as `512m`"),
            ("memory", false) => service.limits.reserved = r.read(&option, bytes, "size such as `512m`"),
            ("cpus", true) => service.limits.cpus = r.read(&option, thousandths, "number of processors"),
            ("cpus", false) => {}
            ("pids", true) => service.limits.processes = r.read(&option, |word| word.parse().ok(), "number of processes"),
            ("devices", false) => r.wrong(&option, "graphics processors are given as devices (`/dev/dri`) alone"),
            (other, _) => unknown(r, &option, other, &["memory", "cpus", "pids"]),
        }
    }
}
