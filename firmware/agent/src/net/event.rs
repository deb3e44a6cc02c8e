//! What the parts of the network tell the driver, as plain data: nothing here does anything.

use super::{
    JoinFailure,
    exchange::Kind,
    ways::{Packets, Refusal, Slot, Way},
};
use cluster::{
    Certificate, CommunityId, Founding, NodeId, Seed,
    hello::Reply,
    roster::Mark,
    sync::{Answer, Give, Items, Open},
    wire::Name,
};
use iroh::endpoint::Connection;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::oneshot;

/// What happens on the network.
pub enum Event {
    /// A connection to a member is up; the gate let it through.
    Linked { node: NodeId, conn: Connection, dialled: bool },
    /// A connection that was a duplicate here was not closed by the member that dialled it.
    Unclosed { node: NodeId, conn: Connection },
    /// A dial came to nothing.
    DialFailed { node: NodeId, seen: String },
    /// A connection ended, and how.
    LinkLost { node: NodeId, id: usize, end: End },
    /// A datagram of a member.
    Datagram { node: NodeId, bytes: Vec<u8> },
    /// A stranger asks, from that address where members pass nothing on.
    Hello { from: NodeId, at: Option<IpAddr>, request: Vec<u8>, reply: oneshot::Sender<Vec<u8>> },
    /// A member starts comparing rosters.
    Open { node: NodeId, open: Open, reply: oneshot::Sender<Answer> },
    /// It gives and asks.
    Give { node: NodeId, give: Give, reply: oneshot::Sender<Items> },
    /// Marks came for a comparison that this node started.
    Marks { marks: Vec<Mark>, reply: oneshot::Sender<Give> },
    /// Items came for it.
    Items { node: NodeId, items: Items },
    /// A member asks about records or a lease, or brings messages.
    Question { node: NodeId, about: Kind, frame: Vec<u8>, reply: oneshot::Sender<Vec<u8>> },
    /// Who needs a connection of its own did not reach a member, which said something or was silent; answered once it was looked for ways.
    Unreached { node: NodeId, silent: bool, reply: oneshot::Sender<()> },
    /// A packet is to go a way that is not open.
    WayWanted { way: Way, packets: Packets },
    /// A member asks this node to carry what it says to another.
    Carry { from: NodeId, to: NodeId, reply: oneshot::Sender<Result<(Connection, Slot), Refusal>> },
    /// A member asks that its connection be kept.
    Anchor { node: NodeId, reply: oneshot::Sender<Option<Arc<()>>> },
    /// How a confirming dial went.
    Confirmed { node: NodeId, reached: bool },
    /// Somebody on the local network.
    Lan(Sighting),
    /// What an attempt to join came to.
    Attempted(Attempt),
    /// What was answered to a question of this node's by four words.
    Answered { number: u64, answer: Result<Reply, JoinFailure> },
    /// What a member answered when this node introduced itself.
    Introduced { target: Target, answer: Result<Reply, JoinFailure> },
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other side does not know this node.
    Rejected,
    /// Nothing came any more.
    Silent,
    /// Closed.
    Closed,
}

/// Whom to ask, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}", self.node.short())?;
        for (index, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if index == 0 { " at " } else { ", " })?;
        }
        Ok(())
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A node, new or changed.
    Seen {
        /// Its id.
        node: NodeId,
        /// Its addresses.
        addresses: Vec<SocketAddr>,
        /// What it says of itself.
        says: Says,
    },
    /// A node that is not seen any more.
    Gone(NodeId),
}

/// What a node says of itself on the local network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Says {
    /// The first 16 hexadecimal digits of its community's id.
    pub community: Option<String>,
    /// Whether its door is open.
    pub door_open: bool,
    /// Whether it can let others in.
    pub can_invite: bool,
    /// What it is called.
    pub name: Option<Name>,
    /// What its community is called.
    pub community_name: Option<Name>,
}

impl Says {
    /// As text: `c1;COMMUNITY or -;o or c;i or -;NAME;NAME OF THE COMMUNITY`. Further fields may follow in later versions. It fits into what a
    /// word of mDNS may hold, 255 bytes.
    pub fn to_text(&self) -> String {
        let name = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().replace(';', ",")).unwrap_or_default();
        format!(
            "c1;{};{};{};{};{}",
            self.community.as_deref().unwrap_or("-"),
            if self.door_open { "o" } else { "c" },
            if self.can_invite { "i" } else { "-" },
            name(&self.name),
            name(&self.community_name)
        )
    }

    /// Reads the text; what is not understood says nothing.
    pub fn parse(text: &str) -> Self {
        let mut fields = text.split(';');
        if fields.next() != Some("c1") {
            return Self::default();
        }
        let hex = |id: &&str| id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let community = fields.next().filter(hex).map(str::to_owned);
        let (door_open, can_invite) = (fields.next() == Some("o"), fields.next() == Some("i"));
        let mut name = || fields.next().and_then(|name| Name::try_from(name).ok());
        Self { community, door_open, can_invite, name: name(), community_name: name() }
    }

    /// Whether it says that it is of this community.
    pub fn is_of(&self, community: &CommunityId) -> bool {
        self.community.as_deref() == Some(&community.short())
    }
}

/// A node was let in.
#[derive(Debug)]
pub struct Admission {
    /// The community.
    pub founding: Founding,
    /// This node's certificate.
    pub own: Certificate,
    /// The certificate of the member that let it in.
    pub member: Certificate,
    /// Members to go on with.
    pub seeds: Vec<Seed>,
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Attempt {
    /// Let in, by the first that did.
    pub admission: Option<Box<Admission>>,
    /// What failed.
    pub failures: Vec<JoinFailure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_is_read_back_and_nonsense_says_nothing() {
        let named = |name: &str| Some(Name::try_from(name).unwrap());
        for says in [
            Says::default(),
            Says { community: Some("0123456789abcdef".into()), door_open: true, ..Says::default() },
            Says { community: Some("0123456789abcdef".into()), can_invite: true, name: named("oven"), ..Says::default() },
            Says { community: Some("0123456789abcdef".into()), community_name: named("Gràcia · 2"), ..Says::default() },
        ] {
            assert_eq!(Says::parse(&says.to_text()), says);
        }
        for nonsense in ["", "c2;0123456789abcdef;o", "c1;XYZ;o;", "c1;0123456789ABCDEF;", ";;;;"] {
            assert_eq!(Says::parse(nonsense).community, None, "{nonsense}");
        }
        assert!(Says::parse("c1;-;o;later").door_open);
        let longest = named(&"é;".repeat(21));
        let says = Says { community: Some("0123456789abcdef".into()), name: longest.clone(), community_name: longest, ..Says::default() };
        assert!(says.to_text().len() < 200, "{}", says.to_text());
        assert_eq!(Says::parse(&says.to_text()).name.unwrap().as_str(), "é,".repeat(21));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_on_the_local_network_is_read_without_harm(says in "(c1|c2|.{0,4})(;(-|[0-9a-fA-F]{15,17}|.{0,40})){0,7}", label in "[a-z2-7]{52}|.{0,80}") {
            let read = Says::parse(&says);
            proptest::prop_assert!(read.community.as_ref().is_none_or(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
            proptest::prop_assert_eq!(Says::parse(&read.to_text()), read);
            if let Some(node) = super::super::ids::of_label(&label) {
                proptest::prop_assert_eq!(super::super::ids::label(&node), label.to_ascii_lowercase());
            }
        }
    }
}
