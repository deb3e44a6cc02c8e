//! The node on the network: identity, encrypted transport (iroh), admission, membership.
//!
//! One task owns the state machine of `cluster`. Others send it [`Command`]s and read the newest
//! [`ClusterView`] from a watch channel; nothing else is shared.

mod asking;
mod begin;
mod clock;
mod clocks;
mod commands;
mod driver;
mod endpoint;
mod event;
mod exchange;
mod files;
mod gate;
mod greet;
mod handle;
mod health;
mod household;
mod identity;
mod ids;
mod join;
mod lan;
mod line;
mod links;
mod meant;
mod perform;
mod places;
mod records;
mod registry;
mod seeds;
mod show;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod way;
mod ways;

pub use clock::{Wall, of_machine};
pub use endpoint::Desks;
pub use health::{HealthLink, HealthView};
pub use household::{HouseholdBegun, HouseholdWish};
pub use line::{MemberLine, Purpose};
pub use places::{MemberPlace, MemberPlaces, Places};
pub use registry::{
    AppChanged, AppImage, BlobFacts, BlobSearch, CatalogNews, Draft, Form, HiddenMark, Hide, Holder, Lens, Listed, MAX_BLOB_BYTES,
    MAX_CATALOGS, MAX_TOLD, Machine, NotSent, OwnPhase, PART_BYTES, Page, Refused, Registry, RegistryView, Search, Service, ServiceHealth,
    ServiceRef, Standing, ToldCatalog, admins, check_key, check_reason, is_hash, is_plain, kind, most_say,
};
#[cfg(test)]
pub use registry::{Changed, SERVICES_PAGE};
#[cfg(test)]
pub use registry::{an_app, some_news};
pub use view::*;

use crate::text::Told;
use anyhow::Result;
use cluster::{NodeId, records::Ownership};
use std::{net::SocketAddr, path::PathBuf};
use tokio::sync::{mpsc, oneshot, watch};

/// UDP port that nodes use where nothing else is said.
pub const DEFAULT_PORT: u16 = 4747;

/// What the network part must be told at start.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// The agent's data folder; the network part keeps its files in `net/` below it.
    pub data: PathBuf,
    /// Addresses to bind, at most one IPv4 and one IPv6. Empty: both unspecified addresses with [`DEFAULT_PORT`].
    pub bind: Vec<SocketAddr>,
    /// The node's name for people.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// What the machine is.
    pub machine: Machine,
    /// The clock.
    pub wall: Wall,
    /// How to found or join.
    pub join: JoinConfig,
    /// Where members are sent who come for something of their own.
    pub desks: Desks,
    /// Where the questions of members go that run apps of this node's.
    pub lessees: mpsc::Sender<LeaseQuestion>,
}

/// A member asks whether an app that this node lent may go on.
#[derive(Debug)]
pub struct LeaseQuestion {
    /// Who asks.
    pub from: NodeId,
    /// What it asks: from outside, so to be checked.
    pub frame: Vec<u8>,
    /// The answer.
    pub reply: oneshot::Sender<Vec<u8>>,
}

/// How a node comes into a community. A node that is a member already keeps its community.
#[derive(Debug, Clone, Default)]
pub struct JoinConfig {
    /// Found a community.
    pub found: Option<FoundConfig>,
    /// Join by this invite.
    pub token: Option<String>,
    /// Without a token, join a community on the local network whose door is open.
    pub lan: bool,
    /// Whether this node lets newcomers on the local network in. Needs the community's key on this node.
    pub door: DoorConfig,
    /// Look and be seen on the local network by mDNS. Needed to find members without addresses.
    pub mdns: bool,
}

/// Found a community at start.
#[derive(Debug, Clone)]
pub struct FoundConfig {
    /// The community's name.
    pub name: String,
    /// The recovery kit's text (`cloudy1-kit-…`); without it the node makes one, to be saved by its owner.
    pub kit: Option<String>,
    /// With a kit, a member of the community that it founded, as `ID@ADDRESS`: where none is seen on the local network.
    pub member: Option<String>,
}

/// The door at start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DoorConfig {
    /// Closed.
    #[default]
    Closed,
    /// Open, always.
    Open,
    /// Open for so many minutes after each start.
    OpenMinutes(u32),
}

/// Why a command was refused, in words for people, with the mend.
pub type CommandResult<T> = std::result::Result<T, Unwilling>;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unwilling {
    /// In words for people, with the mend.
    pub why: String,
    /// The same in all languages, where there are words for it.
    pub told: Option<Told>,
}

impl Unwilling {
    /// A reason that there are words for.
    pub fn told(why: impl Into<String>, told: impl Into<Told>) -> Self {
        Self { why: why.into(), told: Some(told.into()) }
    }
}

impl From<String> for Unwilling {
    fn from(why: String) -> Self {
        Self { why, told: None }
    }
}

impl From<&str> for Unwilling {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

impl std::ops::Deref for Unwilling {
    type Target = str;

    fn deref(&self) -> &str {
        &self.why
    }
}

/// A wish to the network part. Each that has a reply is answered exactly once; a dropped reply means that the network part has ended.
#[derive(Debug)]
pub enum Command {
    /// Found a community here, or come back into one as its founder. Answers with the recovery kit's text, which must be saved.
    Found {
        /// The community, and what brings one back.
        found: FoundConfig,
        /// The answer: the kit's text.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Make an invite. Answers with the token's text.
    Invite {
        /// How many nodes may use it, 1 to 1,000.
        uses: u16,
        /// Seconds until it expires; none for never.
        valid_seconds: Option<u64>,
        /// The answer: the token's text.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Join by token. Answers when the token was accepted as valid; how joining goes is in the view.
    Join {
        /// The token's text.
        token: String,
        /// The answer: the community's name.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Let newcomers of the local network in for so many minutes; 0 closes the door.
    OpenDoor {
        /// Minutes.
        minutes: u32,
        /// The answer.
        reply: oneshot::Sender<CommandResult<()>>,
    },
    /// Ask a node on the local network to be let in by four words.
    Ask {
        /// Its id in hexadecimal, or `ID@ADDRESS`.
        node: String,
        /// The answer: how it begins.
        reply: oneshot::Sender<CommandResult<AskingView>>,
    },
    /// The person here found the same words there.
    SameWords {
        /// The words.
        words: String,
        /// The answer: how it stands.
        reply: oneshot::Sender<CommandResult<AskingView>>,
    },
    /// Ask no more, or take away how it ended.
    StopAsking {
        /// The answer.
        reply: oneshot::Sender<CommandResult<()>>,
    },
    /// A person compared the words of a newcomer, and lets it in or not.
    Decide {
        /// Its id in hexadecimal.
        node: String,
        /// The words that the person saw.
        words: String,
        /// Whether it is let in.
        admit: bool,
        /// The answer: what it calls itself.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// The recovery kit's text, if this node holds it. For its owner only.
    Kit {
        /// The answer: the kit's text.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Say goodbye and forget the community. The node keeps its identity, unless it was removed by an admin: then it has another one
    /// at its next start, which may be invited again.
    Leave {
        /// The answer: whether it has another identity at its next start.
        reply: oneshot::Sender<CommandResult<bool>>,
    },
    /// Take a node out of the community for good.
    Revoke {
        /// Its id in hexadecimal.
        node: String,
        /// The answer: what the node was called.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Give the place of a node that is gone to another: it is taken out, and an invite for one node is made.
    Replace {
        /// Its id in hexadecimal.
        node: String,
        /// The answer.
        reply: oneshot::Sender<CommandResult<Successor>>,
    },
    /// Make a member an admin too.
    Appoint {
        /// Its id in hexadecimal.
        node: String,
        /// The answer: what the node is called.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Make an admin an ordinary member, for good.
    Dismiss {
        /// Its id in hexadecimal.
        node: String,
        /// Whether those come back whom it took out.
        undo: bool,
        /// The answer: what the node is called.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// Whose this node is. Answers when members can hear of it.
    Household {
        /// What is wished.
        wish: HouseholdWish,
        /// The answer: the household; none after leaving it.
        reply: oneshot::Sender<CommandResult<Option<HouseholdBegun>>>,
    },
    /// Certify another node as one of this node's owner.
    Certify {
        /// Its id in hexadecimal.
        node: String,
        /// The answer: the node, and the certificate.
        reply: oneshot::Sender<CommandResult<(NodeId, Ownership)>>,
    },
    /// The text of the key of the household that began here. For its owner only.
    HouseholdKit {
        /// The answer.
        reply: oneshot::Sender<CommandResult<String>>,
    },
    /// How this machine is, for all members; wanted when [`NetHandle::samples`] changes.
    Health {
        /// The figures, without links.
        figures: cluster::health::Figures,
    },
    /// Ask a member whether an app that it lent may go on.
    AskLender {
        /// Whom.
        node: NodeId,
        /// What.
        frame: Vec<u8>,
        /// The answer; dropped where none came.
        reply: oneshot::Sender<Vec<u8>>,
    },
    /// Give the node another name.
    Rename {
        /// The new name.
        name: String,
        /// The answer.
        reply: oneshot::Sender<CommandResult<()>>,
    },
    /// Say goodbye to the members and close the endpoint; the last thing before the program ends.
    Shutdown {
        /// The answer.
        reply: oneshot::Sender<CommandResult<()>>,
    },
}

/// What the node needs that takes the place of one that is gone.
#[derive(Debug, Clone)]
pub struct Successor {
    /// What the node was called.
    pub name: String,
    /// The invite's text.
    pub token: String,
}

/// The running network part. It ends when a [`Command::Shutdown`] was answered or all command senders are gone.
#[derive(Debug, Clone)]
pub struct NetHandle {
    /// The newest view.
    pub view: watch::Receiver<ClusterView>,
    /// Where wishes go.
    pub commands: mpsc::Sender<Command>,
    /// Changes when [`Command::Health`] is wanted.
    pub samples: watch::Receiver<u64>,
    /// The replicated registry; none while this node belongs to no community.
    pub registry: watch::Receiver<Option<Registry>>,
    /// How members are reached for blobs and for their services.
    pub line: MemberLine,
}

/// Starts the network part.
///
/// # Errors
/// The identity can't be read or written, or no socket can be bound.
pub async fn start(config: NetConfig) -> Result<NetHandle> {
    driver::start(config).await
}
