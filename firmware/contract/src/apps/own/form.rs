//! A form → a project: one image, and what it needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::{Key, Reading, shown};
use super::names::{is_image, is_path, is_user, tidied};
use super::privilege::{self, Privilege};
use super::project::{Limits, Mount, Network as Net, Project, Published, Service};
use super::read::finish;
use super::text::{Text, is_variable};
use super::yaml::{Node, Value};
use super::{Faults, Place, names, parts};
use crate::apps::compose::SERVICE;
use crate::apps::{Protocol, Scheme};

/// An image and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Form {
    /// The image, as Docker calls it.
    pub image: String,
    /// The program that takes the command; what the image says where nothing stands here. With one of its own, the image's command counts no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// What it is started with; what the image says where nothing stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Ports that it listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<FormPort>,
    /// Its environment; what has no value is said when it is installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
    /// What it keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<FormVolume>,
    /// Devices of the node: an owner must allow each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Capabilities: an owner must allow those that not every container has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Its network.
    #[serde(default)]
    pub network: Network,
    /// Without confinement: an owner must allow it.
    #[serde(default)]
    pub privileged: bool,
    /// Its user; what the image says where nothing stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Memory at most, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Hundredths of a processor at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FormPort {
    /// In the container.
    pub container: u16,
    /// The node's port that is proposed; the same without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<u16>,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
    /// What is spoken there; `http` and `https` are opened in a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FormVolume {
    /// A volume's name; or a folder of the node, which an owner must allow.
    pub source: String,
    /// Where it is in the container.
    pub path: String,
    /// Whether it is only read.
    #[serde(default)]
    pub read_only: bool,
}

/// A form's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// One of its own.
    #[default]
    Own,
    /// None.
    None,
    /// The node's: an owner must allow it.
    Host,
}

/// Reads one.
pub fn read(form: &Form) -> Result<Project, Faults> {
    let mut r = Reading::default();
    let mut service = Service { image: Text::plain(&form.image), ..Service::default() };
    let at = Place::NOWHERE;
    if !is_image(&form.image) {
        let why = format!("`{}` is no name of an image (`name:tag`, `host/name@sha256:…`)", shown(&form.image));
        r.refuse(at, "image", why);
    }
    for (key, said, its) in [("entrypoint", &form.entrypoint, &mut service.entrypoint), ("command", &form.command, &mut service.command)] {
        if said.iter().any(|word| word.len() > 4096 || word.contains('\0')) || said.len() > 100 {
            r.refuse(at, key, "100 words of 4096 bytes at most, without NUL, are allowed");
        }
        *its = (!said.is_empty()).then(|| said.iter().map(Text::plain).collect());
    }
    for port in &form.ports {
        let proposed = port.proposed.unwrap_or(port.container);
        if port.container == 0 || proposed == 0 {
            r.refuse(at, "ports", "a port is a number from 1 to 65535");
        }
        let protocols: &[Protocol] = match port.protocol {
            Protocol::Both => &[Protocol::Tcp, Protocol::Udp],
            Protocol::Tcp => &[Protocol::Tcp],
            Protocol::Udp => &[Protocol::Udp],
        };
        for protocol in protocols.iter().copied() {
            if service.ports.iter().any(|other| (other.container, other.protocol) == (port.container, protocol)) {
                r.refuse(at, "ports", format!("the container's port {} stands there twice", port.container));
            }
            let name = String::new();
            service.ports.push(Published { name, container: port.container, proposed, protocol, address: None, scheme: port.scheme });
        }
    }
    for (name, value) in &form.environment {
        let key = format!("environment.{}", shown(name));
        if is_variable(name) {
            r.variable(at, &key, name, value.clone());
            service.environment.insert(name.clone(), Text::named(name));
        } else {
            r.refuse(at, &key, "a variable is called by letters, digits and `_`");
        }
    }
    let mut project = Project::default();
    for volume in &form.volumes {
        let target = tidied(&volume.path);
        if !is_path(&target) || service.mounts.iter().any(|mount| mount.target() == target) {
            r.refuse(at, "volumes", format!("`{}` is no absolute path in the container, or is there twice", shown(&volume.path)));
        } else if volume.source.starts_with('/') {
            let path = tidied(&volume.source);
            r.ask(at, "volumes", Privilege::path(&path, volume.read_only).map(Some));
            service.mounts.push(Mount::Host { path, target, read_only: volume.read_only });
        } else if names::is_part(&volume.source) {
            project.volumes.insert(volume.source.clone());
            service.mounts.push(Mount::Volume { name: volume.source.clone(), target, read_only: volume.read_only });
        } else {
            r.refuse(at, "volumes", format!("`{}` is no name of a volume, and no absolute path of the node", shown(&volume.source)));
        }
    }
    for device in &form.devices {
        let node = Node { place: at, value: Value::Scalar(device.clone()) };
        parts::device(&mut r, &Key { path: "devices".to_owned(), name: "devices".to_owned(), place: at, node: &node }, &mut service);
    }
    for name in &form.capabilities {
        if r.ask(at, "capabilities", Privilege::capability(name)) {
            service.cap_add.insert(privilege::capability(name));
        }
    }
    match form.network {
        Network::Own => {}
        Network::None => service.network = Net::None,
        Network::Host => {
            r.ask(at, "network", Ok(Some(Privilege::HostNetwork)));
            service.network = Net::Host;
        }
    }
    if form.privileged {
        r.ask(at, "privileged", Ok(Some(Privilege::Privileged)));
        service.privileged = true;
    }
    if form.user.as_ref().is_some_and(|user| !is_user(user)) {
        r.refuse(at, "user", "a user is a name or number, or two with `:` between them");
    }
    service.user.clone_from(&form.user);
    service.limits = Limits {
        memory: form.memory_mb.map(|mb| u64::from(mb) << 20),
        cpus: form.cpu_percent.map(|percent| u64::from(percent) * 10),
        ..Limits::default()
    };
    project.services.insert(SERVICE.to_owned(), service);
    finish(&mut r, &mut project, at);
    r.end(project)
}
