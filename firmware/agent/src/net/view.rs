//! What the network part shows of itself: plain values for the API, the page, the command line and the doctor.

use serde::Serialize;
use std::net::SocketAddr;

/// All that is known at one moment. Replaced as a whole, never changed in place.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(Default, utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ClusterView {
    /// This node.
    pub me: Me,
    /// The community that this node belongs to; none before it has founded or joined one.
    pub community: Option<CommunityView>,
    /// The members of the community, this node among them, sorted by name, then id.
    pub members: Vec<MemberView>,
    /// How joining goes; none when there is nothing to join or it is done.
    pub joining: Option<JoinState>,
    /// What this node asks by four words; for its owners only.
    #[serde(skip)]
    pub asking: Option<AskingView>,
    /// Who asks here by four words; for its owners only.
    #[serde(skip)]
    pub newcomers: Vec<NewcomerView>,
    /// What is seen on the local network.
    pub lan: LanView,
    /// How far the community holds the same records; none while this node belongs to none.
    pub records: Option<super::RegistryView>,
    /// How many seconds this node's clock is ahead of those of the members that it is linked to, behind where less than 0; none while it agrees with them.
    pub clock_ahead_seconds: Option<i64>,
    /// What is wrong, each a sentence `WHAT; MEND`. Empty when all is well.
    pub problems: Vec<String>,
}

/// This node.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(Default, utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Me {
    /// Node id: the ed25519 public key in hexadecimal, 64 digits.
    pub id: String,
    /// Name that people gave it.
    pub name: String,
    /// Version of the agent.
    pub version: String,
    /// Addresses at which others can reach it.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub addresses: Vec<SocketAddr>,
    /// How often this node has started; it tells an older life of the same node from this one.
    pub epoch: u32,
}

impl Me {
    /// Who and where this node is, for whoever comes back with the recovery kit.
    pub fn place(&self) -> Option<String> {
        self.addresses.first().map(|address| super::ids::place(&self.id, *address))
    }
}

/// The community of this node.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CommunityView {
    /// Community id in hexadecimal, 64 digits.
    pub id: String,
    /// Name given by the founder.
    pub name: String,
    /// Whether this node is an admin: it can let others in and take them out.
    pub can_invite: bool,
    /// Whether this node holds the founder's key: it makes admins and dismisses them.
    pub founder: bool,
    /// Nodes that were taken out of it, for good.
    pub removed: Vec<RemovedView>,
    /// Whether this node lets newcomers of the local network in at present.
    pub door: Door,
}

/// Whether newcomers on the local network are let in without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Door {
    /// Nobody is let in without a token.
    Closed,
    /// Open until it is closed by hand or by `cloudy.toml`.
    Open,
    /// Open for so many seconds more.
    OpenFor {
        /// Seconds left.
        seconds: u64,
    },
}

/// What this node believes of a member. A hint from the gossip, not the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Default, utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Liveness {
    /// It answers, or others say that it does.
    #[cfg_attr(test, default)]
    Alive,
    /// It did not answer lately; being looked into.
    Suspect,
    /// The gossip gave it up, and this node failed to reach it too.
    Down,
}

/// A node that an admin took out of the community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeRemoved))]
#[serde(rename_all = "kebab-case")]
pub struct RemovedView {
    /// Node id in hexadecimal, 64 digits.
    pub id: String,
    /// What it was called; empty where that is not known.
    pub name: String,
}

/// One member of the community.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(Default, utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct MemberView {
    /// Node id in hexadecimal, 64 digits.
    pub id: String,
    /// Name that its owner gave it; empty while it is not known yet.
    pub name: String,
    /// Addresses that it says it has.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub addresses: Vec<SocketAddr>,
    /// Whether this is the node itself.
    pub me: bool,
    /// Alive, suspect or down.
    pub state: Liveness,
    /// How often it has started (its epoch).
    pub epoch: u32,
    /// How often it answered a suspicion since it started.
    pub incarnation: u32,
    /// Seconds since this node heard it directly; none when it never did since this node started.
    pub last_heard_seconds: Option<u64>,
    /// Version of its agent; empty while it is not known yet.
    pub version: String,
    /// The connection to it, if there is one now.
    pub link: Option<LinkView>,
    /// How it was when it last said so; none while that did not come here.
    pub health: Option<super::HealthView>,
    /// Whether it is an admin: it decides who belongs to the community.
    pub admin: bool,
    /// Whether this node may take it out.
    pub removable: bool,
    /// Suspended members are members by certificate, but their invite was used more often than allowed.
    pub suspended: bool,
}

/// An open connection to a member.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LinkView {
    /// Address on the other side.
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub address: Option<SocketAddr>,
    /// The node through which it goes where there is no direct way.
    pub through: Option<String>,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Option<u64>,
    /// Packets lost of a thousand that were sent.
    pub lost_permille: Option<u16>,
}

/// How joining goes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct JoinState {
    /// What is being joined, in words: "the community `Gràcia` by token", "any open community on this network".
    pub what: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Seconds until the next attempt.
    pub next_attempt_seconds: u64,
    /// Whether it goes on by itself; false when only a person can mend it (an expired token).
    pub retrying: bool,
    /// The last failure of each step and address, newest first, at most 16.
    pub failures: Vec<JoinFailure>,
}

/// One thing that failed while joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct JoinFailure {
    /// Which kind of failure; stable for programs.
    pub reason: JoinProblem,
    /// To whom or what: an address, a node, the token.
    pub target: String,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub mend: String,
}

/// Kinds of failures while joining; their names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JoinProblem {
    /// Nobody to ask: the token names no address and nobody was found on the local network.
    NoAddress,
    /// No route to the address.
    NoRoute,
    /// Nothing answers at the address and port.
    PortRefused,
    /// No answer in time.
    Timeout,
    /// The token's time is over.
    Expired,
    /// The token was used as often as it may be.
    Used,
    /// The token or the member belongs to another community.
    Foreign,
    /// The text is no token.
    NotAToken,
    /// The token's text was changed or cut.
    ChecksumWrong,
    /// The token's signature is wrong.
    BadSignature,
    /// The node or its invite was revoked or suspended.
    Revoked,
    /// The two sides speak no common version.
    ProtocolVersion,
    /// The members on this network let nobody in at present.
    DoorClosed,
    /// The local network carries no multicast, so that nobody can be found.
    NoMulticast,
    /// The other side is overloaded or failed; tried again.
    Busy,
    /// This node could not write its data.
    Storage,
}

/// How this node asks another to be let in by four words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AskingView {
    /// The other node's id in hexadecimal, 64 digits.
    pub node: String,
    /// What the other node calls itself.
    pub name: String,
    /// What the community is called that it says it is of; none before it has answered.
    pub community: Option<String>,
    /// Seconds that it may still take.
    pub left_seconds: u64,
    /// How far it is.
    pub step: AskingStep,
    /// What is in the way at present; it is tried again.
    pub trouble: Option<JoinFailure>,
}

/// How far asking is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum AskingStep {
    /// The other node is to answer.
    Waiting {},
    /// Two people compare the words.
    Compare {
        /// The four words, with a blank between two.
        words: String,
        /// Whether the person here found them the same.
        agreed: bool,
        /// Whether the person there let this node in.
        admitted: bool,
    },
    /// Nothing came of it.
    Ended {
        /// Why.
        why: AskingEnd,
    },
}

/// Why nothing came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum AskingEnd {
    /// The person there said no.
    Denied,
    /// Nobody decided in time.
    Late,
    /// The other node knows nothing of it any more: it has started again, say.
    Forgotten,
    /// It can let nobody in, and says who can.
    Others {
        /// What those are called.
        names: Vec<String>,
    },
    /// What it answered makes no sense: it is not to be trusted, or of another version.
    Nonsense,
    /// This node was removed from that community.
    Removed,
    /// It belongs to no community any more.
    NoCommunity,
    /// It refused for another reason.
    Refused,
}

/// A newcomer that asks here to be let in by four words. What it calls itself is a stranger's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct NewcomerView {
    /// Its node id in hexadecimal, 64 digits.
    pub node: String,
    /// What it calls itself.
    pub name: String,
    /// The four words, with a blank between two.
    pub words: String,
    /// Whether the person at its side found the same words.
    pub agreed: bool,
    /// Whether it was let in here; it comes in once the person at its side has agreed too.
    pub admitted: bool,
    /// Seconds since it asked last; it asks each few seconds while it is there.
    pub silent_seconds: u64,
    /// Seconds that it may still ask.
    pub left_seconds: u64,
}

/// What is seen on the local network by mDNS.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LanView {
    /// Whether this node looks and shows itself on the local network.
    pub enabled: bool,
    /// Why it can't: `WHAT; MEND`.
    pub problem: Option<String>,
    /// Cloudy nodes seen.
    pub seen: Vec<LanNode>,
}

/// A node seen on the local network. What it says of itself is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LanNode {
    /// Node id in hexadecimal.
    pub id: String,
    /// Its addresses.
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub addresses: Vec<SocketAddr>,
    /// The first 16 hexadecimal digits of its community's id, if it has one.
    pub community: Option<String>,
    /// Whether its door is open, as it says.
    pub door_open: bool,
    /// Whether it can let others in, as it says.
    pub can_invite: bool,
    /// What it is called, as it says.
    pub name: Option<String>,
    /// What its community is called, as it says.
    pub community_name: Option<String>,
}
