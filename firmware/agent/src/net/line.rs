//! The line to members for what needs connections of its own, so that it never stands before the gossip: blobs, and tunnels to services.

use super::{
    ClusterView, Liveness,
    endpoint::{blobs_transport, tunnel_transport},
    gate::{BLOBS_ALPN, CLOSE_DONE, Gate, HOUSEHOLD_ALPN, TUNNEL_ALPN},
    ids::endpoint_paths,
    meant,
    ways::{Ways, taken},
};
use cluster::NodeId;
use iroh::{
    Endpoint, TransportAddr,
    endpoint::{ConnectOptions, Connection},
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Where members are sent who come for something; who finds it full is asked to come again.
pub type Callers = mpsc::Sender<(NodeId, Connection)>;

/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long one may take until ways to the member are looked for.
const FIRST_TIMEOUT: Duration = Duration::from_secs(3);

/// What a member is dialled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Blobs that it holds.
    Blobs,
    /// A service that it publishes.
    Tunnel,
    /// Its API, as a node of the same owner.
    Household,
}

/// A member was not reached.
struct NotDialled {
    /// What was seen.
    seen: String,
    /// Nothing came from it.
    silent: bool,
}

impl From<String> for NotDialled {
    fn from(seen: String) -> Self {
        Self { seen, silent: false }
    }
}

/// How members are reached, and who is one.
#[derive(Debug, Clone)]
pub struct MemberLine {
    endpoint: Endpoint,
    gate: Gate,
    ways: Ways,
    view: watch::Receiver<ClusterView>,
}

impl MemberLine {
    pub(super) fn new(endpoint: Endpoint, gate: Gate, ways: Ways, view: watch::Receiver<ClusterView>) -> Self {
        Self { endpoint, gate, ways, view }
    }

    /// Whether a node is a member at this moment.
    pub fn admits(&self, node: &NodeId) -> bool {
        self.gate.admits(node)
    }

    /// Returns when a node is no member any more, or the network part ends. The gate is changed before the view is.
    pub async fn until_out(&self, node: NodeId) {
        let mut view = self.view.clone();
        while self.gate.admits(&node) {
            if view.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether a member is alive, as far as that is known.
    pub fn is_alive(&self, node: &NodeId) -> bool {
        let id = node.hex();
        self.view.borrow().members.iter().any(|member| member.id == id && member.state == Liveness::Alive)
    }

    /// Where a member may be reached: directly, or by ways where it was not reached so.
    fn paths(&self, node: &NodeId) -> Vec<TransportAddr> {
        let (view, id) = (self.view.borrow(), node.hex());
        let member = view.members.iter().find(|member| member.id == id);
        // Where it is reached now, before what it says of itself.
        let linked = member.and_then(|member| member.link.as_ref()?.address);
        let said = member.map(|member| member.addresses.clone()).unwrap_or_default();
        linked.into_iter().chain(said).map(TransportAddr::Ip).chain(self.ways.to(node)).collect()
    }

    /// Dials a member. Who is not reached at once is dialled again, by ways that are looked for then: those that are known may be old.
    ///
    /// # Errors
    /// What was seen.
    pub async fn dial(&self, node: &NodeId, purpose: Purpose) -> Result<Connection, String> {
        let first = self.dial_for(node, purpose, FIRST_TIMEOUT).await;
        match first {
            Err(NotDialled { silent, .. }) if self.gate.admits(node) && self.ways.look_anew(*node, silent).await => {
                self.dial_for(node, purpose, DIAL_TIMEOUT).await
            }
            first => first,
        }
        .map_err(|error| error.seen)
    }

    async fn dial_for(&self, node: &NodeId, purpose: Purpose, patience: Duration) -> Result<Connection, NotDialled> {
        let paths = self.paths(node);
        if paths.is_empty() {
            return Err("its address is not known".to_owned().into());
        }
        let address = endpoint_paths(node, paths).ok_or_else(|| "its id is no key".to_owned())?;
        let (alpn, options) = match purpose {
            Purpose::Blobs => (BLOBS_ALPN, ConnectOptions::new().with_transport_config(blobs_transport()?)),
            Purpose::Household => (HOUSEHOLD_ALPN, ConnectOptions::new().with_transport_config(tunnel_transport()?)),
            Purpose::Tunnel => (TUNNEL_ALPN, ConnectOptions::new().with_transport_config(tunnel_transport()?)),
        };
        let dial = meant::dial(&self.endpoint, address, alpn, options);
        let silent = |_| NotDialled { seen: format!("no answer within {} s", patience.as_secs()), silent: true };
        Ok(timeout(patience, dial).await.map_err(silent)??)
    }

    /// The round trip to a member, as a handshake with it took it; nothing is asked of it.
    ///
    /// # Errors
    /// What was seen.
    pub async fn round_trip(&self, node: &NodeId) -> Result<Duration, String> {
        let conn = self.dial_for(node, Purpose::Tunnel, DIAL_TIMEOUT).await.map_err(|error| error.seen)?;
        let rtt = taken(&conn.paths()).map(|path| path.rtt());
        conn.close(CLOSE_DONE, b"measured");
        rtt.ok_or_else(|| "its path is not known".to_owned())
    }
}
