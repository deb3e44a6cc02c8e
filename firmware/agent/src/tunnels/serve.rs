//! The node of a service: members come over a connection for tunnels, and each of their streams is a connection to a service of this node.
//!
//! Architecture invariant: a stream leads to the port of a service that this node publishes at this moment, whatever is asked; when the
//! service is withdrawn or moves, or the member is removed, what is open ends.

use super::carry::carry;
use super::close::{BUSY, DONE, DROPPED, NOT_ADMITTED};
use super::rules;
use super::wire::{self, Answer};
use crate::limits::{
    TUNNEL_CALLER_IDLE, TUNNEL_CALLERS, TUNNEL_CALLERS_OF_ONE, TUNNEL_CONNECT_TIMEOUT, TUNNEL_HEAD_TIMEOUT, TUNNEL_RECEIVE_WINDOW_BYTES,
    TUNNEL_STREAMS, TUNNEL_STREAMS_OF_ONE,
};
use crate::links;
use crate::net::{MemberLine, MemberPlace, MemberPlaces, Registry};
use cluster::NodeId;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Addresses of this machine at which a service is looked for, beside loopback.
const OWN_ADDRESSES_TRIED: usize = 4;

/// What is served, and to whom.
pub struct Server {
    line: MemberLine,
    registry: watch::Receiver<Option<Registry>>,
    /// The agent's own ports, which may become more.
    own_ports: Box<dyn Fn() -> Vec<u16> + Send + Sync>,
    places: Arc<MemberPlaces>,
    held: Mutex<Held>,
}

/// What is open.
#[derive(Default)]
struct Held {
    next: u64,
    open: BTreeMap<u64, Open>,
}

/// A stream, from the moment on that it is known which service is meant.
struct Open {
    node: NodeId,
    key: String,
    /// The port that it leads to, once that is decided.
    port: Option<u16>,
    /// Dropped to end it.
    _end: oneshot::Sender<()>,
}

/// A stream's place, given back when it is dropped.
struct Seat(Arc<Server>, u64);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.held().open.remove(&self.1);
    }
}

/// Serves everybody who comes, until nobody can come any more.
pub async fn serve(server: Arc<Server>, mut callers: mpsc::Receiver<(NodeId, Connection)>) {
    // They end with this.
    let mut open = JoinSet::new();
    open.spawn(Arc::clone(&server).keep_to_what_is_published());
    while let Some((node, conn)) = callers.recv().await {
        while open.try_join_next().is_some() {}
        match server.places.take(node) {
            Some(place) => drop(open.spawn(caller(Arc::clone(&server), place, conn))),
            None => conn.close(BUSY, b"busy"),
        }
    }
}

async fn caller(server: Arc<Server>, place: MemberPlace, conn: Connection) {
    let node = &place.whose;
    conn.set_receive_window(TUNNEL_RECEIVE_WINDOW_BYTES.into());
    conn.set_max_concurrent_bi_streams(TUNNEL_STREAMS_OF_ONE.into());
    let mut out = std::pin::pin!(server.line.until_out(*node));
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut out => return conn.close(NOT_ADMITTED, b"not admitted"),
            accepted = conn.accept_bi() => match accepted {
                Ok((send, recv)) => drop(streams.spawn(Arc::clone(&server).stream(*node, send, recv))),
                Err(ended) => return log::debug!(node = node.short(); "a member's tunnels ended: {ended}"),
            },
            Some(_) = streams.join_next() => {}
            () = sleep(TUNNEL_CALLER_IDLE), if streams.is_empty() => return conn.close(DONE, b"nothing was asked"),
        }
    }
}

/// A connection to a port of this machine. At an address of its own, where everybody could come who reaches it, before loopback: programs
/// trust who comes from there.
async fn connect(port: u16) -> Option<TcpStream> {
    let own = links::addresses().into_iter().take(OWN_ADDRESSES_TRIED);
    for ip in own.chain([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]) {
        if let Ok(Ok(socket)) = timeout(TUNNEL_CONNECT_TIMEOUT, TcpStream::connect((ip, port))).await
            // Where nobody listens, the kernel may connect a socket to itself.
            && socket.local_addr().ok() != socket.peer_addr().ok()
        {
            return Some(socket);
        }
    }
    None
}

impl Server {
    /// What is served to whom `line` admits: the services of the `registry`, but for what listens at `own_ports`.
    pub fn new(
        line: MemberLine,
        registry: watch::Receiver<Option<Registry>>,
        own_ports: impl Fn() -> Vec<u16> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            line,
            registry,
            own_ports: Box::new(own_ports),
            places: MemberPlaces::new(TUNNEL_CALLERS, TUNNEL_CALLERS_OF_ONE),
            held: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more stream, and what tells its end.
    fn seat(self: &Arc<Self>, node: NodeId, key: &str) -> Option<(Seat, oneshot::Receiver<()>)> {
        let mut held = self.held();
        let own = held.open.values().filter(|open| open.node == node).count();
        if held.open.len() >= TUNNEL_STREAMS || own >= usize::try_from(TUNNEL_STREAMS_OF_ONE).unwrap_or(usize::MAX) {
            return None;
        }
        let (end, ended) = oneshot::channel();
        let id = held.next;
        held.next += 1;
        held.open.insert(id, Open { node, key: key.to_owned(), port: None, _end: end });
        Some((Seat(Arc::clone(self), id), ended))
    }

    async fn stream(self: Arc<Self>, node: NodeId, mut send: SendStream, mut recv: RecvStream) {
        let head = timeout(TUNNEL_HEAD_TIMEOUT, wire::read_head(&mut recv)).await.unwrap_or(Err(Answer::Unread));
        // Seated before it is judged: what is withdrawn after that ends it.
        let begun = match head {
            Ok(key) => self.seat(node, &key).ok_or(Answer::Busy).map(|seat| (key, seat)),
            Err(answer) => Err(answer),
        };
        let opened = match begun {
            Ok((key, (seat, ended))) => self.open(&key, &seat).await.map(|socket| (socket, seat, ended)),
            Err(answer) => Err(answer),
        };
        let answer = opened.as_ref().err().copied().unwrap_or(Answer::Open);
        if send.write_all(&[answer.byte()]).await.is_err() {
            return;
        }
        match opened {
            Ok((socket, _seat, ended)) => {
                let over = async {
                    let _dropped = ended.await;
                };
                carry(socket, send, recv, over).await;
            }
            Err(_) => {
                let _ended = (send.finish(), recv.stop(DROPPED));
            }
        }
    }

    /// A connection to what is published under a key.
    async fn open(&self, key: &str, seat: &Seat) -> Result<TcpStream, Answer> {
        let port = self.target(key).await?;
        if let Some(open) = self.held().open.get_mut(&seat.1) {
            open.port = Some(port);
        }
        // Once more, now that whoever withdraws it finds this stream.
        let port = self.target(key).await.and_then(|now| if now == port { Ok(port) } else { Err(Answer::Unknown) })?;
        connect(port).await.ok_or(Answer::Silent)
    }

    /// The port that is published under a key, if somebody may be led there.
    async fn target(&self, key: &str) -> Result<u16, Answer> {
        let registry = self.registry.borrow().clone().ok_or(Answer::Unknown)?;
        let published = registry.published(key).await.map_err(|_| Answer::Busy)?;
        rules::target(published.as_ref(), &(self.own_ports)())
    }

    /// Ends what leads to a service that is not published any more, or is another one now.
    async fn keep_to_what_is_published(self: Arc<Self>) {
        let mut registries = self.registry.clone();
        loop {
            let registry = registries.borrow_and_update().clone();
            let mut changes = registry.as_ref().map(Registry::watch);
            self.look().await;
            loop {
                let changed = async {
                    match &mut changes {
                        Some(changes) => changes.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    another = registries.changed() => match another {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    changed = changed => match changed {
                        Ok(changed) if changed.records.iter().all(|record| record.kind != "service") => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => self.look().await,
                        // Another one comes, or none.
                        Err(RecvError::Closed) => changes = None,
                    },
                }
            }
        }
    }

    /// Looks at each service that somebody is led to.
    async fn look(&self) {
        let keys: Vec<String> = self.held().open.values().map(|open| open.key.clone()).collect();
        for key in keys.into_iter().collect::<std::collections::BTreeSet<_>>() {
            let now = self.target(&key).await;
            // Where it can't be told, nothing says that it may go on.
            self.held().open.retain(|_, open| open.key != key || open.port.is_none_or(|port| now == Ok(port)));
        }
    }
}

#[cfg(test)]
impl Server {
    /// How many streams have a place.
    pub fn open_streams(&self) -> usize {
        self.held().open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_service_sees_an_address_that_everybody_may_come_to_before_loopback() {
        let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let socket = connect(everywhere.local_addr().unwrap().port()).await.unwrap();
        let (_, from) = everywhere.accept().await.unwrap();
        let own = links::addresses().into_iter().take(OWN_ADDRESSES_TRIED).any(|ip| ip.is_ipv4());
        assert_eq!(from.ip().is_loopback(), !own, "{from}");
        drop(socket);
        // One that listens on loopback alone is found there, and nothing is not.
        let alone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = alone.local_addr().unwrap().port();
        assert!(connect(port).await.is_some());
        drop(alone);
        assert!(connect(port).await.is_none());
    }
}
