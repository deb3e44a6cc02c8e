//! The line to members for blobs: connections of their own, so that a large file never stands before the gossip.

use super::{
    ClusterView, Liveness,
    gate::{BLOBS_ALPN, Gate},
    ids::endpoint_paths,
    ways::Ways,
};
use cluster::NodeId;
use iroh::{Endpoint, TransportAddr, endpoint::Connection};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Where members are sent who come for blobs; who finds it full is asked to come again.
pub type Callers = mpsc::Sender<(NodeId, Connection)>;

/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// How members are reached, and who is one.
#[derive(Debug, Clone)]
pub struct BlobLine {
    endpoint: Endpoint,
    gate: Gate,
    ways: Ways,
    view: watch::Receiver<ClusterView>,
}

impl BlobLine {
    pub(super) fn new(endpoint: Endpoint, gate: Gate, ways: Ways, view: watch::Receiver<ClusterView>) -> Self {
        Self { endpoint, gate, ways, view }
    }

    /// Whether a node is a member at this moment.
    pub fn admits(&self, node: &NodeId) -> bool {
        self.gate.admits(node)
    }

    /// Whether a member is alive, as far as that is known.
    pub fn is_alive(&self, node: &NodeId) -> bool {
        let id = node.hex();
        self.view.borrow().members.iter().any(|member| member.id == id && member.state == Liveness::Alive)
    }

    /// Dials a member.
    ///
    /// # Errors
    /// What was seen.
    pub async fn dial(&self, node: &NodeId) -> Result<Connection, String> {
        let paths = {
            let (view, id) = (self.view.borrow(), node.hex());
            let member = view.members.iter().find(|member| member.id == id);
            // Where it is reached now, before what it says of itself.
            let linked = member.and_then(|member| member.link.as_ref()?.address);
            let said = member.map(|member| member.addresses.clone()).unwrap_or_default();
            linked.into_iter().chain(said).map(TransportAddr::Ip).chain(self.ways.to(node)).collect::<Vec<_>>()
        };
        if paths.is_empty() {
            return Err("its address is not known".to_owned());
        }
        let address = endpoint_paths(node, paths).ok_or("its id is no key")?;
        match timeout(DIAL_TIMEOUT, self.endpoint.connect(address, BLOBS_ALPN)).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DIAL_TIMEOUT.as_secs())),
        }
    }
}
