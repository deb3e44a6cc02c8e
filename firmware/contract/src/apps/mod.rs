//! Apps: what a person starts by one click. `images/apps/<app>/app.toml` is read once into a checked [`App`], by the builder that
//! makes its image and by the agent that runs it; [`compose`] makes the project that Docker is given.

mod check;
pub mod compose;
pub mod own;
mod raw;
#[cfg(test)]
mod tests;

pub use check::{is_name, read};
pub use raw::RawApp;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// Numbers of the users that apps run as: none of them is a user of the node's own.
pub const UIDS: std::ops::Range<u32> = 20_000..30_000;

/// Characters of the name of an app that uses the store: its store has that name, among those of all nodes.
pub const STORE_NAME_CHARS: usize = 20;

/// Where the program lies that says whether an app answers, in every image.
pub const ANSWERS: &str = "/usr/lib/cloudy/answers";

impl Category {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 9] =
        [Self::Messages, Self::Web, Self::Files, Self::Databases, Self::Media, Self::Library, Self::Network, Self::Monitoring, Self::Games];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Web => "web",
            Self::Files => "files",
            Self::Databases => "databases",
            Self::Media => "media",
            Self::Library => "library",
            Self::Network => "network",
            Self::Monitoring => "monitoring",
            Self::Games => "games",
        }
    }
}

/// An app, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The folder's name; what is typed, and what its image is called.
    pub name: String,
    /// What people call it.
    pub title: Words,
    /// What it is for, in a sentence or two.
    pub description: Words,
    /// Where it stands in the store.
    pub category: Category,
    /// A file beside `app.toml` (SVG).
    pub icon: Option<String>,
    /// The processors that it is built for; never empty.
    pub architectures: Vec<Arch>,
    /// What its image is made of.
    pub image: Image,
    /// How it is started.
    pub run: Run,
    /// Where it is reached, by the port's name.
    pub ports: BTreeMap<String, Port>,
    /// What it keeps, by the volume's name.
    pub volumes: BTreeMap<String, Volume>,
    /// What a person may set, by the setting's name.
    pub settings: BTreeMap<String, Setting>,
    /// How it is known to work.
    pub health: Option<Health>,
    /// What it may use at most.
    pub limits: Limits,
    /// Whether it is given its part of the microcloud's store, by a socket in its container.
    pub store: bool,
}

/// A text in the languages of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: String,
    /// Spanish.
    pub es: String,
    /// Catalan.
    pub ca: String,
}

impl Words {
    /// By the languages' tags.
    pub fn by_language(&self) -> BTreeMap<String, String> {
        [("en", &self.en), ("es", &self.es), ("ca", &self.ca)].into_iter().map(|(tag, text)| (tag.to_owned(), text.clone())).collect()
    }
}

/// Where an app stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Messages and chat, between people or things.
    Messages,
    /// Web sites and wikis.
    Web,
    /// Files kept and shared.
    Files,
    /// Databases.
    Databases,
    /// Music, radio, video.
    Media,
    /// Books and knowledge.
    Library,
    /// Services for a network: names, proxies.
    Network,
    /// What watches over machines.
    Monitoring,
    /// Games.
    Games,
}

/// What an image is made of: Debian's packages, laid out over the base that all apps share, and files of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Packages asked for; their Depends follow, their Recommends don't.
    pub packages: Vec<String>,
    /// Virtual package → the provider chosen.
    pub providers: BTreeMap<String, String>,
    /// Globs over absolute paths that are left out.
    pub drop: Vec<String>,
    /// Globs over absolute paths that stay although `drop` names them.
    pub keep: Vec<String>,
    /// Symbolic links: path → target. No maintainer script makes any.
    pub links: BTreeMap<String, String>,
}

/// How an app is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its user's name; the group is called the same.
    pub user: String,
    /// The user's and group's number: owners of what lies in volumes, so it never changes.
    pub uid: u32,
    /// Environment that no person sets.
    pub environment: BTreeMap<String, String>,
    /// Folders that it may write and that are forgotten when it stops, beside `/tmp` and `/run`.
    pub scratch: Vec<String>,
    /// Capabilities that it keeps; all others are dropped.
    pub capabilities: Vec<Capability>,
    /// How long it may take to stop.
    pub stop_seconds: u32,
    /// Memory shared between its processes (`/dev/shm`).
    pub shared_memory_mb: Option<u32>,
}

/// A privilege that an app may keep. None of them reaches outside its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Raw sockets: ping.
    NetRaw,
}

impl Capability {
    /// How the kernel and Docker call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetRaw => "NET_RAW",
        }
    }
}

/// A port that an app listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Inside the container.
    pub container: u16,
    /// The node's port that is proposed; where it is taken, the next that is free.
    pub proposed: u16,
    /// Which transport.
    pub protocol: Protocol,
    /// What is spoken there; `http` and `https` are opened in a browser.
    pub scheme: Scheme,
}

/// A transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// The same number for both.
    Both,
}

macro_rules! schemes {
    ($($name:ident $word:literal)*) => {
        /// What is spoken on a port of an app.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "they are their own names")]
        pub enum Scheme { $($name),* }

        impl Scheme {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in addresses.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

schemes! {
    Dns "dns"
    Http "http"
    Https "https"
    Icecast "icecast"
    Luanti "luanti"
    Mqtt "mqtt"
    Mysql "mysql"
    Postgresql "postgresql"
    Proxy "proxy"
    Syncthing "syncthing"
    Xmpp "xmpp"
}

impl Scheme {
    /// The one that is written so.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.word() == word)
    }

    /// Those that there are, for who wrote another.
    pub fn listed() -> String {
        Self::ALL.iter().map(|scheme| scheme.word()).collect::<Vec<_>>().join(", ")
    }
}

/// What an app keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where it lies in the container.
    pub path: String,
    /// What is in it, so that people know what goes when it goes.
    pub title: Words,
}

/// What a person may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable that carries it.
    pub environment: String,
    /// What it is.
    pub title: Words,
    /// What may stand in it.
    pub kind: SettingKind,
    /// What holds when nobody says anything; without one it must be said.
    pub default: Option<String>,
}

/// What may stand in a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A line of text, of so many characters at most.
    Text(usize),
    /// A secret, of so many characters at most.
    Password(usize),
    /// A whole number between these, both included.
    Number(i64, i64),
    /// One of these.
    Choice(Vec<String>),
    /// `yes` or `no`.
    Switch,
}

/// How an app is known to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is tried.
    pub test: HealthTest,
    /// How long a first start may take.
    pub start_seconds: u32,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthTest {
    /// A connection to the named port is taken; with a path, HTTP answers there.
    Port(String, Option<String>),
    /// A command in the container ends well.
    Command(Vec<String>),
}

/// What an app may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Processes and threads.
    pub processes: u32,
    /// Hundredths of a processor.
    pub cpu_percent: u32,
}

impl Words {
    /// The text in a language (`en`, `es`, `ca`); English in any other.
    pub fn in_language(&self, language: &str) -> &str {
        match language {
            "es" => &self.es,
            "ca" => &self.ca,
            _ => &self.en,
        }
    }
}
