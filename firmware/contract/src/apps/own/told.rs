//! What an app of a person's own says of how it runs, one thing at a time, so that two of them can be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::project::{Limits, Mount, Network, Project, Service};
use crate::apps::Protocol;

/// What a [`Told`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// An image, by its service.
    Image,
    /// A port, by its name.
    Port,
    /// What is kept or mounted, by its name or path.
    Kept,
    /// A limit, by its name.
    Limit,
    /// How it runs, by the key: secrets may stand in it.
    Run,
}

/// One thing that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is about.
    pub topic: Topic,
    /// Its name, with the service's before it where there are several.
    pub name: String,
    /// What is said.
    pub said: String,
}

impl Project {
    /// All that it says of how it runs. What it asks of the node and what must be said stand in `asked` and `variables`.
    pub fn told(&self) -> Vec<Told> {
        let mut all = Vec::new();
        let mut tell = |topic, name: String, said: String| all.push(Told { topic, name, said });
        let mut kept: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (name, service) in &self.services {
            let of = |key: &str| if self.services.len() == 1 { key.to_owned() } else { format!("{name} {key}").trim_end().to_owned() };
            told(service, of, &mut tell);
            for mount in &service.mounts {
                let (source, read_only) = match mount {
                    Mount::Volume { name, read_only, .. } => (name.as_str(), *read_only),
                    Mount::Host { path, read_only, .. } => (path.as_str(), *read_only),
                    Mount::Memory { .. } => continue,
                };
                let source = if source.is_empty() { mount.target() } else { source };
                kept.entry(source).or_default().insert(of(mount.target()) + if read_only { " (ro)" } else { "" });
            }
        }
        for (source, targets) in kept {
            tell(Topic::Kept, source.to_owned(), targets.into_iter().collect::<Vec<_>>().join(", "));
        }
        tell(Topic::Run, "networks".to_owned(), format!("{:?}", self.networks));
        tell(Topic::Run, "files".to_owned(), format!("{:?}", self.files));
        all
    }
}

fn told(service: &Service, of: impl Fn(&str) -> String, tell: &mut impl FnMut(Topic, String, String)) {
    tell(Topic::Image, of(""), service.image.to_string());
    for port in &service.ports {
        let spoken = port.spoken().map(|scheme| format!(" {}", scheme.word())).unwrap_or_default();
        let at = port.address.map(|address| format!(" ({address})")).unwrap_or_default();
        tell(Topic::Port, port.name.clone(), format!("{}/{}{spoken}{at}", port.container, port.protocol.word()));
    }
    let mut limit = |name: &str, said: Option<String>| said.into_iter().for_each(|said| tell(Topic::Limit, of(name), said));
    limit("memory", service.limits.memory.map(|bytes| format!("{} MiB", bytes >> 20)));
    limit("processor", service.limits.cpus.map(|thousandths| format!("{} %", thousandths / 10)));
    limit("processes", service.limits.processes.map(|most| most.to_string()));
    tell(Topic::Run, of("command"), format!("{:?}", (&service.entrypoint, &service.command)));
    tell(Topic::Run, of("environment"), format!("{:?}", service.environment));
    tell(Topic::Run, of("user"), format!("{:?}", (&service.user, &service.groups)));
    tell(Topic::Run, of("network"), format!("{:?}", (&service.network, &service.hosts, &service.dns)));
    tell(Topic::Run, of("health"), format!("{:?}", service.health));
    // All that has no name of its own: what was said above is taken out.
    let rest = Service {
        image: Default::default(),
        ports: Vec::new(),
        mounts: service.mounts.iter().filter(|mount| matches!(mount, Mount::Memory { .. })).cloned().collect(),
        limits: Limits { memory: None, cpus: None, processes: None, ..service.limits },
        entrypoint: None,
        command: None,
        environment: BTreeMap::new(),
        user: None,
        groups: BTreeSet::new(),
        network: Network::Own,
        hosts: BTreeMap::new(),
        dns: Vec::new(),
        health: None,
        ..service.clone()
    };
    tell(Topic::Run, of("more"), format!("{rest:?}"));
}

impl Protocol {
    /// As it is written where a port is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Both => "tcp+udp",
        }
    }
}
