//! What is asked, shown and told of an app, whether it is one of the catalog or a person's own.

use contract::apps::own::{self, Definition, Project};
use contract::apps::{App, Category, Protocol, Scheme, Setting, SettingKind, Words};
use std::collections::BTreeMap;

/// Characters of a value that an app of a person's own takes.
const VALUE_CHARS: usize = 1000;

/// An app, as people meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: Words,
    /// What it is for.
    pub description: Words,
    /// Where it stands in the store.
    pub category: Category,
    /// Where it is reached, by the port's name.
    pub ports: BTreeMap<String, FacePort>,
    /// What may be set, by the setting's name.
    pub settings: BTreeMap<String, Setting>,
    /// Its image or images, in words.
    pub image: String,
}

/// A port of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacePort {
    /// The node's port that is proposed.
    pub proposed: u16,
    /// Which transport.
    pub protocol: Protocol,
    /// What is spoken there, where that is known.
    pub scheme: Option<Scheme>,
}

impl FacePort {
    /// What is spoken there: the transport, where nothing else is known.
    pub fn scheme(&self) -> &'static str {
        match (self.scheme, self.protocol) {
            (Some(scheme), _) => scheme.word(),
            (None, Protocol::Udp) => "udp",
            (None, _) => "tcp",
        }
    }
}

impl Face {
    /// Of an app of the catalog, and the index of its images.
    pub fn of(app: &App, image: String) -> Self {
        let port = |port: &contract::apps::Port| FacePort { proposed: port.proposed, protocol: port.protocol, scheme: Some(port.scheme) };
        Self {
            name: app.name.clone(),
            title: app.title.clone(),
            description: app.description.clone(),
            category: app.category,
            ports: app.ports.iter().map(|(name, its)| (name.clone(), port(its))).collect(),
            settings: app.settings.clone(),
            image,
        }
    }

    /// Of an app of a person's own, whose words are in one language.
    pub fn of_own(name: &str, definition: &Definition, project: &Project) -> Self {
        let words = |text: &str| Words { en: text.to_owned(), es: text.to_owned(), ca: text.to_owned() };
        let ports: BTreeMap<String, FacePort> = project
            .ports()
            .map(|port| (port.name.clone(), FacePort { proposed: port.proposed, protocol: port.protocol, scheme: port.spoken() }))
            .collect();
        let setting = |name: &String, variable: &own::Variable| Setting {
            environment: name.clone(),
            title: words(name),
            kind: if Project::is_secret(name) { SettingKind::Password(VALUE_CHARS) } else { SettingKind::Text(VALUE_CHARS) },
            default: variable.default.clone(),
        };
        let web = ports.values().any(|port| matches!(port.scheme, Some(Scheme::Http | Scheme::Https)));
        Self {
            name: name.to_owned(),
            title: words(&definition.title),
            description: words(&definition.description),
            category: if web { Category::Web } else { Category::Network },
            ports,
            settings: project.variables.iter().map(|(name, variable)| (name.clone(), setting(name, variable))).collect(),
            image: project.images(),
        }
    }
}
