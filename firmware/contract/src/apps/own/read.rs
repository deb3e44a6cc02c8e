//! A compose file → a project: the keys at its top, its networks and volumes.

use std::collections::BTreeMap;

use super::ask::{Key, Reading, shown};
use super::names::is_part;
use super::project::{Mount, Network, Project, Service};
use super::text::{Text, is_variable};
use super::yaml::Value;
use super::{Faults, Place, service, yaml};
use crate::facts::nearest;

/// Services of a project at most, and what all of them have together.
const SERVICES: usize = 16;
const PORTS: usize = 64;
const PARTS: usize = 32;

/// Keys at the top that mean something here.
const TOP: [&str; 7] = ["services", "volumes", "networks", "configs", "secrets", "name", "version"];

/// What a secret is called among the project's files, so that it is no config of that name.
pub const SECRET: &str = "secret.";

/// Reads a compose file.
pub fn read(text: &str) -> Result<Project, Faults> {
    let root = yaml::read(text)?;
    let root = Key { path: String::new(), name: String::new(), place: root.place, node: &root };
    let mut reading = Reading::default();
    let mut project = Project::default();
    for key in reading.table(&root) {
        match key.name.as_str() {
            "services" => services(&mut reading, &key, &mut project),
            "volumes" => volumes(&mut reading, &key, &mut project),
            "networks" => networks(&mut reading, &key, &mut project),
            "configs" => files(&mut reading, &key, "", &mut project),
            "secrets" => files(&mut reading, &key, SECRET, &mut project),
            // The project's name is the app's, and the format has had one version for years.
            "name" | "version" => {}
            ours if ours.starts_with("x-") => {}
            other => unknown(&mut reading, &key, other, &TOP),
        }
    }
    finish(&mut reading, &mut project, Place::START);
    reading.end(project)
}

/// A key that is not understood: why, where that is known.
pub fn unknown(reading: &mut Reading, key: &Key<'_>, name: &str, allowed: &[&str]) {
    let why = match name {
        "env_file" => "files beside this one are not read: write the values under `environment`".to_owned(),
        "include" | "extends" => "other files are not read: put everything into this one".to_owned(),
        "configs" | "secrets" => {
            "files of the node are not read: pass values under `environment`, or put the file into the image or a volume".to_owned()
        }
        "build" | "develop" => "a node builds no images: build it elsewhere and name it under `image`".to_owned(),
        "links" | "external_links" => "services of one project reach each other by their names: leave it out".to_owned(),
        "volumes_from" => "name the volume under `volumes` of both services".to_owned(),
        "cgroup" | "cgroup_parent" | "runtime" | "userns_mode" | "uts" | "device_cgroup_rules" | "isolation" | "credential_spec" => {
            "how containers are confined is the node's own: no app sets it, whoever allows it".to_owned()
        }
        "gpus" => "graphics processors are given as devices (`/dev/dri`) alone".to_owned(),
        "profiles" | "scale" => "every service runs once: leave it out".to_owned(),
        _ => {
            let near = nearest(name, allowed.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("`{}` is not understood here{near}", shown(name))
        }
    };
    reading.refuse(key.place, &key.path, why);
}

fn services(reading: &mut Reading, key: &Key<'_>, project: &mut Project) {
    for key in reading.table(key) {
        let name = key.name.clone();
        if !is_part(&name) {
            reading.refuse(key.place, &key.path, "a service is called by letters, digits, `_`, `.` and `-`, 40 at most");
            continue;
        }
        if project.services.len() >= SERVICES {
            reading.refuse(key.place, &key.path, format!("a project has {SERVICES} services at most"));
            return;
        }
        let service = service::read(reading, &key, &name);
        project.services.insert(name, service);
    }
}

fn volumes(reading: &mut Reading, key: &Key<'_>, project: &mut Project) {
    for key in reading.table(key) {
        let name = key.name.clone();
        for option in reading.table(&key) {
            match option.name.as_str() {
                "driver" => {
                    reading.good(&option, |driver| driver == "local", "driver that a node has: `local`, or leave it out");
                }
                "labels" => {}
                "external" | "name" => {
                    reading.wrong(&option, "an app keeps its own volumes, and reaches those of no other: leave it out");
                }
                "driver_opts" => {
                    reading.wrong(
                        &option,
                        "options could name any folder of the node: name it under the service's `volumes`, where an owner can allow it",
                    );
                }
                other => unknown(reading, &option, other, &["driver", "labels"]),
            }
        }
        if !is_part(&name) {
            reading.refuse(key.place, &key.path, "a volume is called by letters, digits, `_`, `.` and `-`, 40 at most");
        } else if project.volumes.len() >= PARTS {
            reading.refuse(key.place, &key.path, format!("a project has {PARTS} volumes at most"));
        } else {
            project.volumes.insert(name);
        }
    }
}

fn networks(reading: &mut Reading, key: &Key<'_>, project: &mut Project) {
    for key in reading.table(key) {
        let name = key.name.clone();
        let mut internal = false;
        for option in reading.table(&key) {
            match option.name.as_str() {
                "driver" => {
                    reading.good(&option, |driver| driver == "bridge", "driver that an app may have: `bridge`, or leave it out");
                }
                "internal" => internal = reading.truth(&option),
                "labels" | "attachable" => {}
                "external" | "name" => reading.wrong(&option, "an app has its own networks, and reaches those of no other: leave it out"),
                other => unknown(reading, &option, other, &["driver", "internal", "labels"]),
            }
        }
        if !is_part(&name) || name == "host" || name == "none" {
            reading.refuse(key.place, &key.path, "a network is called by letters, digits, `_`, `.` and `-`, 40 at most");
        } else if project.networks.len() >= PARTS {
            reading.refuse(key.place, &key.path, format!("a project has {PARTS} networks at most"));
        } else {
            project.networks.insert(name, internal);
        }
    }
}

/// Configs and secrets: what stands in them is written here, or said when the app is installed.
fn files(reading: &mut Reading, key: &Key<'_>, kind: &str, project: &mut Project) {
    for key in reading.table(key) {
        let (mut content, mut refused) = (None, false);
        for option in reading.table(&key) {
            match (option.name.as_str(), &option.node.value) {
                ("content", Value::Scalar(text)) => content = Some(reading.runs(option.node.place, &option.path, text)),
                ("environment", Value::Scalar(name)) if is_variable(name) => {
                    reading.variable(option.node.place, &option.path, name, None);
                    content = Some(Text::named(name));
                }
                ("labels", _) => {}
                ("file" | "external" | "name", _) => {
                    refused = true;
                    reading.wrong(&option, "files of the node are not read: write it under `content`, or `environment: NAME`, which is said when it is installed");
                }
                (other, _) => unknown(reading, &option, other, &["content", "environment"]),
            }
        }
        match content {
            _ if !is_part(&key.name) => {
                reading.refuse(key.place, &key.path, "it is called by letters, digits, `_`, `.` and `-`, 40 at most")
            }
            _ if project.files.len() >= PARTS => reading.refuse(key.place, &key.path, format!("a project has {PARTS} of them at most")),
            Some(content) => {
                project.files.insert(format!("{kind}{}", key.name), content);
            }
            // What stands in its place was named.
            None if refused => {}
            None => reading.refuse(key.place, &key.path, "`content` or `environment` is needed"),
        }
    }
}

/// What holds of a project as a whole: what its services name is there, and its ports are named.
pub fn finish(reading: &mut Reading, project: &mut Project, place: Place) {
    if project.services.is_empty() {
        reading.refuse(place, "services", "at least one service with an `image` is needed");
    }
    let names: Vec<String> = project.services.keys().cloned().collect();
    for (name, service) in &project.services {
        let at = |key: &str| format!("services.{name}.{key}");
        let mut missing = |key: &str, what: &str, other: &str| {
            reading.refuse(place, &at(key), format!("there is no {what} `{}` in this file", shown(other)));
        };
        for other in service.depends_on.keys().filter(|other| !names.contains(other) || *other == name) {
            missing("depends_on", "other service", other);
        }
        match &service.network {
            Network::Service(other) if !names.contains(other) || other == name => missing("network_mode", "other service", other),
            Network::Named(networks) => {
                for other in networks.keys().filter(|other| *other != "default" && !project.networks.contains_key(*other)) {
                    missing("networks", "network", other);
                }
            }
            _ => {}
        }
        for (other, _) in service.files.iter().filter(|(other, _)| !project.files.contains_key(other)) {
            match other.strip_prefix(SECRET) {
                Some(other) => missing("secrets", "secret", other),
                None => missing("configs", "config", other),
            }
        }
        for mount in &service.mounts {
            if let Mount::Volume { name, .. } = mount
                && !name.is_empty()
                && !project.volumes.contains(name)
            {
                missing("volumes", "volume", name);
            }
        }
        if matches!(service.network, Network::Host | Network::Service(_) | Network::None) && !service.ports.is_empty() {
            reading.refuse(place, &at("ports"), "without a network of its own a service has no ports: leave one of both out");
        }
    }
    if project.ports().count() > PORTS {
        reading.refuse(place, "ports", format!("a project has {PORTS} ports at most"));
    }
    name_ports(&mut project.services);
}

/// Gives each port a name: where it is the only service with ports, by its number, else with the service's name.
fn name_ports(services: &mut BTreeMap<String, Service>) {
    let several = services.values().filter(|service| !service.ports.is_empty()).count() > 1;
    for (service, its) in services {
        let mut taken: Vec<String> = Vec::new();
        for port in &mut its.ports {
            let kind = if port.protocol == crate::apps::Protocol::Udp { "udp" } else { "tcp" };
            let mut name = if several { format!("{service}-{kind}-{}", port.container) } else { format!("{kind}-{}", port.container) };
            while taken.contains(&name) {
                name.push('x');
            }
            taken.push(name.clone());
            port.name = name;
        }
    }
}
