//! A household: the nodes of one owner. Who may act on one of them may do so on all, through any of them.
//!
//! ```text
//! person ─API▶ this node (forward) ─stream of members▶ another of its owner's (serve) ─▶ its API, its own table of who may do what
//! ```
//! Architecture invariant: a node is acted on only by nodes whose heads carry a certificate of the same owner as its own, looked up when
//! a request comes and for as long as it lasts; and by nobody for more than that person may on the node that was asked first.

mod forward;
mod head;
mod serve;

pub use forward::{Forward, NotForwarded};
pub use head::Acting;
pub use serve::{Server, serve};

use crate::net::{ClusterView, Command, CommandResult, HouseholdBegun, HouseholdWish, Liveness, NetHandle, Refused, Registry, Unwilling};
use cluster::NodeId;
use serde::Serialize;
use tokio::sync::oneshot;

/// A household, as one of its nodes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Household))]
#[serde(rename_all = "kebab-case")]
pub struct HouseholdView {
    /// The owner, as its public key in hexadecimal; none where this node is nobody's.
    pub owner: Option<String>,
    /// The owner's other nodes.
    pub nodes: Vec<HouseNode>,
    /// Nodes that were asked from here to be the owner's too, and have not said yes.
    pub asked: Vec<HouseNode>,
    /// Nodes whose owner says that this node is its too.
    pub asking: Vec<HouseNode>,
}

/// A node of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HouseNode {
    /// Its id in hexadecimal, 64 digits.
    pub id: String,
    /// Its name; empty while it is not known.
    pub name: String,
    /// Whether it is there, as far as that is known.
    pub alive: bool,
    /// Whoever was asked said no; that may be this node.
    pub refused: bool,
}

/// Why nothing came of a wish.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The network part does not run.
    #[error("the network part of the agent does not run; `cloudy doctor` says why")]
    NoNetwork,
    /// There is no community.
    #[error("this node belongs to no community: found one (`cloudy found NAME`) or join one (`cloudy join TOKEN`)")]
    NoCommunity,
    /// Nobody said so.
    #[error("no node with the id `{0}` says that this one is its owner's: `cloudy household` lists those that do")]
    NotAsked(String),
    /// It is no id.
    #[error("`{0}` is no id of a node: it has 64 hexadecimal digits, as `cloudy nodes --json` shows")]
    NoNode(String),
    /// Refused by the network part, with the mend.
    #[error(transparent)]
    Refused(Unwilling),
    /// The records.
    #[error("{0}")]
    Records(#[from] Refused),
}

fn registry(net: &NetHandle) -> Result<Registry, Failed> {
    net.registry.borrow().clone().ok_or(Failed::NoCommunity)
}

fn id(node: &str) -> Result<NodeId, Failed> {
    NodeId::of_hex(node).ok_or_else(|| Failed::NoNode(node.escape_debug().to_string()))
}

async fn wish<T>(net: &NetHandle, make: impl FnOnce(oneshot::Sender<CommandResult<T>>) -> Command) -> Result<T, Failed> {
    let (reply, answer) = oneshot::channel();
    net.commands.send(make(reply)).await.map_err(|_| Failed::NoNetwork)?;
    answer.await.map_err(|_| Failed::NoNetwork)?.map_err(Failed::Refused)
}

fn house_node(view: &ClusterView, id: String, refused: bool) -> HouseNode {
    let member = view.members.iter().find(|member| member.id == id);
    let alive = member.is_some_and(|member| member.state == Liveness::Alive);
    HouseNode { name: member.map(|member| member.name.clone()).unwrap_or_default(), alive, refused, id }
}

/// The household as it is now.
///
/// # Errors
/// See [`Failed`].
pub async fn view(net: &NetHandle) -> Result<HouseholdView, Failed> {
    let registry = registry(net)?;
    let (records, claims) = (registry.view(), registry.claims().await?);
    let view = net.view.borrow();
    let mut shown = HouseholdView { owner: records.owner, ..HouseholdView::default() };
    shown.nodes = records.household.into_iter().map(|id| house_node(&view, id, false)).collect();
    for claim in claims {
        if claim.by.hex() == view.me.id {
            shown.asked.push(house_node(&view, claim.node.hex(), claim.refused));
        } else {
            shown.asking.push(house_node(&view, claim.by.hex(), claim.refused));
        }
    }
    Ok(shown)
}

/// Makes this node the owner's whose kit that is, or the first of a new household.
///
/// # Errors
/// See [`Failed`]; nothing was changed unless it says so.
pub async fn begin(net: &NetHandle, kit: Option<String>, new_key: bool) -> Result<HouseholdBegun, Failed> {
    let begun = wish(net, |reply| Command::Household { wish: HouseholdWish::Begin { kit, new_key }, reply }).await?;
    begun.ok_or(Failed::NoNetwork)
}

/// Says that another node is the same owner's as this one. It is, once somebody there agrees.
///
/// # Errors
/// See [`Failed`].
pub async fn ask(net: &NetHandle, node: String) -> Result<(), Failed> {
    let (node, ownership) = wish(net, |reply| Command::Certify { node, reply }).await?;
    Ok(registry(net)?.claim(node, ownership).await?)
}

/// Says no more that a node is the same owner's; whether it was said.
///
/// # Errors
/// See [`Failed`].
pub async fn take_back(net: &NetHandle, node: &str) -> Result<bool, Failed> {
    Ok(registry(net)?.unclaim(id(node)?).await?)
}

/// Agrees, or does not, that this node is the owner's of a node that says so.
///
/// # Errors
/// See [`Failed`].
pub async fn answer(net: &NetHandle, node: &str, yes: bool) -> Result<(), Failed> {
    let (registry, by) = (registry(net)?, id(node)?);
    let claim = registry.claims().await?.into_iter().find(|claim| claim.by == by && claim.node.hex() == net.view.borrow().me.id);
    let claim = claim.ok_or_else(|| Failed::NotAsked(node.escape_debug().to_string()))?;
    if !yes {
        return Ok(registry.refuse_claim(by).await?);
    }
    let ownership = claim.ownership;
    wish(net, |reply| Command::Household { wish: HouseholdWish::Take { ownership }, reply }).await.map(drop)?;
    // Whoever said no before has changed their mind.
    registry.unclaim(by).await.map(drop).map_err(Failed::from)
}

/// Takes this node out of its household.
///
/// # Errors
/// See [`Failed`].
pub async fn leave(net: &NetHandle) -> Result<(), Failed> {
    wish(net, |reply| Command::Household { wish: HouseholdWish::Leave, reply }).await.map(drop)
}

/// The text of the key of the household that began here.
///
/// # Errors
/// See [`Failed`].
pub async fn kit(net: &NetHandle) -> Result<String, Failed> {
    wish(net, |reply| Command::HouseholdKit { reply }).await
}

/// Whether a node is of this one's household, as the records say at this moment.
fn is_ours(net: &NetHandle, node: &NodeId) -> bool {
    let registry = net.registry.borrow().clone();
    registry.is_some_and(|registry| registry.view().household.contains(&node.hex()))
}

/// Returns when a node is of this one's household no more, or no member, or the network part ends.
async fn until_not_ours(net: NetHandle, node: NodeId) {
    let mut view = net.view.clone();
    while is_ours(&net, &node) && net.line.admits(&node) {
        if view.changed().await.is_err() {
            return;
        }
    }
}
