//! Tunnels: a service of another node, opened through this one where a browser can't reach that node.
//!
//! ```text
//! program ─TCP▶ this node: a port of `TUNNEL_PORTS` (listen) ─stream of members▶ its node (serve) ─TCP▶ the service's own port
//! ```
//! Nothing is understood of what is carried. `rules` decides, `wire` is what travels first; `docs/tunnels.md`.

mod carry;
mod lines;
mod listen;
mod rules;
mod serve;
mod wire;

pub use lines::{Lines, NotOpened};
pub use rules::is_doubtful;
pub use serve::{Server, serve};

use crate::apps::Apps;
use crate::limits::{TUNNEL_CONNECTIONS, TUNNEL_IDLE, TUNNEL_OPENERS, TUNNELS};
use crate::net::{NetHandle, Purpose, Registry, Service, check_key};
use crate::users::Place;
use cluster::NodeId;
use listen::Tunnel;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use wire::Answer;

/// Codes with which connections and streams of tunnels are closed.
pub mod close {
    use iroh::endpoint::VarInt;

    /// Done, or not needed now.
    pub const DONE: VarInt = VarInt::from_u32(0);
    /// A stream is not carried to its end.
    pub const DROPPED: VarInt = VarInt::from_u32(1);
    /// It is no member any more.
    pub const NOT_ADMITTED: VarInt = VarInt::from_u32(403);
    /// Too many at once.
    pub const BUSY: VarInt = VarInt::from_u32(429);
}

/// Why a service is not opened through this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such member.
    #[error("no member of the microcloud has the id `{0}`: `cloudy nodes` lists them")]
    NoNode(String),
    /// It publishes nothing under that key.
    #[error("`{node}` publishes no `{key}`, or has withdrawn it: `cloudy search` lists what there is")]
    NoService {
        /// Its name.
        node: String,
        /// The key.
        key: String,
    },
    /// It is this node's.
    #[error("`{0}` is a service of this node: it needs no tunnel, open it directly")]
    Own(String),
    /// It is published as a whole address.
    #[error("it is published as the address {0}, not as a port of its node: open that directly")]
    Whole(String),
    /// It is no port.
    #[error("it is published without a port, so there is nothing to be opened")]
    NoPort,
    /// It is a port of that node's own.
    #[error("it is the port of that node's own page or agent, to which no tunnel leads: open it directly")]
    NodesOwn,
    /// The node was not reached.
    #[error("`{node}` was not reached: {seen}; is it switched on and connected? `cloudy nodes` shows how it is")]
    NotReached {
        /// Its name.
        node: String,
        /// What was seen.
        seen: String,
    },
    /// Nothing listens there.
    #[error("`{node}` was reached, but nothing answers at the service's port there: is it running?")]
    Silent {
        /// The node's name.
        node: String,
    },
    /// The app is stopped.
    #[error("the service is stopped on `{node}`: it is there again once somebody starts it there")]
    Stopped {
        /// The node's name.
        node: String,
    },
    /// The other node has enough to do.
    #[error("`{node}` was reached, but serves as many connections as it can: try again later")]
    Busy {
        /// The node's name.
        node: String,
    },
    /// Another version.
    #[error("`{node}` does not understand what this node asks: is one of the two of another version?")]
    Unread {
        /// The node's name.
        node: String,
    },
    /// Too many tunnels.
    #[error("{} tunnels are open on this node, and no more can be: close one (`cloudy tunnels close PORT`), or wait until one was not used for {} minutes", TUNNELS, TUNNEL_IDLE.as_secs() / 60)]
    TooMany,
    /// No port.
    #[error("none of this node's ports for tunnels can be listened on: {0}")]
    NoListener(String),
    /// Without a community there are no services.
    #[error("this node belongs to no microcloud, so there is nothing to be opened")]
    NoCommunity,
    /// The records can't be read.
    #[error("{0}")]
    Records(String),
}

/// A tunnel, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Tunnel))]
#[serde(rename_all = "kebab-case")]
pub struct TunnelView {
    /// The id of the node whose service it is.
    pub node: String,
    /// The node's name.
    pub node_name: String,
    /// The key by which that node publishes it.
    pub service: String,
    /// What it is, in a few words.
    pub title: String,
    /// What is spoken there.
    pub scheme: String,
    /// The path there; empty where what is spoken has none.
    pub path: String,
    /// The port of this node at which it is.
    pub port: u16,
    /// Where it is, with the name or address by which this node was asked.
    pub address: String,
    /// Connections through it now.
    pub connections: usize,
    /// When it is closed if nobody uses it.
    pub idle_left_seconds: u64,
}

/// A tunnel that somebody wished for.
#[derive(Clone, Debug)]
pub struct Opened {
    /// It.
    pub view: TunnelView,
    /// Whether it was not there before.
    pub new: bool,
}

/// The tunnels of this node.
pub struct Tunnels {
    apps: Arc<Apps>,
    lines: Option<Lines>,
    registry: Option<watch::Receiver<Option<Registry>>>,
    me: String,
    open: Mutex<BTreeMap<u16, (Arc<Tunnel>, AbortHandle)>>,
    /// Room for connections through all of them.
    connections: Arc<Semaphore>,
}

impl Tunnels {
    /// None is open yet. Ports of `apps` are left to them.
    pub fn new(apps: Arc<Apps>, net: Option<&NetHandle>) -> Self {
        Self {
            apps,
            lines: net.map(|net| Lines::new(net.line.clone(), Purpose::Tunnel)),
            registry: net.map(|net| net.registry.clone()),
            me: net.map(|net| net.view.borrow().me.id.clone()).unwrap_or_default(),
            open: Mutex::default(),
            connections: Arc::new(Semaphore::new(TUNNEL_CONNECTIONS)),
        }
    }

    fn open_ones(&self) -> MutexGuard<'_, BTreeMap<u16, (Arc<Tunnel>, AbortHandle)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is open, by port.
    pub fn list(&self, host: &str) -> Vec<TunnelView> {
        let now = Instant::now();
        self.open_ones().values().map(|(tunnel, _)| tunnel.view(host, now)).collect()
    }

    /// Opens a service of a node through this one, from `place` too: the node is asked for it before, so that what this answers works. What is open
    /// is the same tunnel again. `host` is how this node was asked.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn open(self: &Arc<Self>, node: &str, key: &str, place: Option<Place>, host: &str) -> Result<Opened, Refused> {
        let (Some(lines), Some(registry)) = (&self.lines, &self.registry) else { return Err(Refused::NoCommunity) };
        let registry = registry.borrow().clone().ok_or(Refused::NoCommunity)?;
        if node == self.me {
            return Err(Refused::Own(key.escape_debug().to_string()));
        }
        let no_node = || Refused::NoNode(node.chars().take(64).collect::<String>().escape_debug().to_string());
        let id = NodeId::of_hex(node).filter(|id| lines.admits(id)).ok_or_else(no_node)?;
        let nothing = |name: &str| {
            let name = if name.is_empty() { id.short() } else { name.to_owned() };
            Refused::NoService { node: name, key: key.chars().take(64).collect::<String>().escape_debug().to_string() }
        };
        check_key(key).map_err(|_| nothing(""))?;
        let found = registry.service(id, key).await.map_err(|error| Refused::Records(error.to_string()))?;
        let (service, name) = found.ok_or_else(|| nothing(""))?;
        if let Some(url) = &service.url {
            return Err(Refused::Whole(url.clone()));
        }
        if service.port.is_none() {
            return Err(Refused::NoPort);
        }
        // A stream that says nothing and ends: its answer is what counts.
        if let Err(not_opened) = lines.ask(id, key).await {
            let refused = refused(not_opened, if name.is_empty() { id.short() } else { name.clone() }, key);
            if matches!(refused, Refused::NoService { .. } | Refused::NoPort | Refused::NodesOwn) {
                self.close_service(&id, key);
            }
            return Err(refused);
        }
        self.begin(id, key, (service, name), place, host)
    }

    /// The tunnel of a service that is there, new or not.
    fn begin(
        self: &Arc<Self>,
        node: NodeId,
        key: &str,
        (service, name): (Service, String),
        place: Option<Place>,
        host: &str,
    ) -> Result<Opened, Refused> {
        let mut open = self.open_ones();
        let there = open.values().map(|(tunnel, _)| tunnel).find(|tunnel| tunnel.leads_to(&node, key)).cloned();
        let new = there.is_none();
        let tunnel = match there {
            Some(tunnel) => tunnel,
            None if open.len() >= TUNNELS => return Err(Refused::TooMany),
            None => {
                let (port, listener) =
                    listener(rules::ports(&node, key).filter(|port| !open.contains_key(port) && !self.apps.has_port(*port)))?;
                let tunnel = Arc::new(Tunnel::new(node, key, port));
                let task = tokio::spawn(Arc::clone(&tunnel).listen(listener, Arc::clone(self)));
                open.insert(port, (Arc::clone(&tunnel), task.abort_handle()));
                tunnel
            }
        };
        tunnel.is_wished(service, name, place, TUNNEL_OPENERS);
        Ok(Opened { view: tunnel.view(host, Instant::now()), new })
    }

    /// Closes the tunnel at a port, with all that goes through it; false if there is none.
    pub fn close(&self, port: u16) -> bool {
        let closed = self.open_ones().remove(&port);
        if let Some((tunnel, task)) = &closed {
            task.abort();
            self.let_go(tunnel.node());
        }
        closed.is_some()
    }

    fn close_service(&self, node: &NodeId, key: &str) {
        let port = self.open_ones().iter().find(|(_, (tunnel, _))| tunnel.leads_to(node, key)).map(|(port, _)| *port);
        port.map(|port| self.close(port));
    }

    /// Closes all of them; the agent ends.
    pub fn close_all(&self) {
        let ports: Vec<u16> = self.open_ones().keys().copied().collect();
        for port in ports {
            self.close(port);
        }
    }

    /// Closes the connection to a node to which no tunnel leads any more.
    fn let_go(&self, node: &NodeId) {
        let used = self.open_ones().values().any(|(tunnel, _)| tunnel.node() == node);
        if let Some(lines) = self.lines.as_ref().filter(|_| !used) {
            lines.close(node);
        }
    }
}

/// Listens at the first of the ports that can be had, on all addresses of this machine, as the page does.
fn listener(ports: impl Iterator<Item = u16>) -> Result<(u16, TcpListener), Refused> {
    let mut seen = "all of them are taken".to_owned();
    for port in ports {
        match listen::bind(port) {
            Ok(listener) => return Ok((port, listener)),
            Err(error) => seen = error.to_string(),
        }
    }
    Err(Refused::NoListener(seen))
}

/// In words why there is no stream to a service of the node of that name.
fn refused(not_opened: NotOpened, node: String, key: &str) -> Refused {
    match not_opened {
        NotOpened::NotReached(seen) => Refused::NotReached { node, seen },
        NotOpened::Refused(Answer::Unknown) => Refused::NoService { node, key: key.to_owned() },
        NotOpened::Refused(Answer::NoPort) => Refused::NoPort,
        NotOpened::Refused(Answer::NodesOwn) => Refused::NodesOwn,
        NotOpened::Refused(Answer::Silent) => Refused::Silent { node },
        NotOpened::Refused(Answer::Stopped) => Refused::Stopped { node },
        NotOpened::Refused(Answer::Busy) => Refused::Busy { node },
        NotOpened::Refused(Answer::Unread | Answer::Open) => Refused::Unread { node },
    }
}
