//! One tunnel on the node that people use: it listens, and each connection that comes is a stream to the node of the service.

use super::carry::carry;
use super::lines::NotOpened;
use super::rules;
use super::wire::Answer;
use super::{TunnelView, Tunnels};
use crate::limits::TUNNEL_CONNECTIONS_OF_ONE;
use crate::links;
use crate::net::Service;
use crate::users::Place;
use cluster::NodeId;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A tunnel that is open.
pub struct Tunnel {
    node: NodeId,
    key: String,
    port: u16,
    about: Mutex<About>,
    /// Room for connections.
    room: Arc<Semaphore>,
    /// Its service is not there any more.
    gone: Notify,
}

/// What changes of it.
struct About {
    service: Service,
    node_name: String,
    /// From where it was opened.
    openers: VecDeque<Place>,
    /// When it was last wished for, or a connection ended.
    used: Instant,
    connections: usize,
}

/// A connection through it, counted while it lasts.
struct Counted(Arc<Tunnel>, #[expect(dead_code, reason = "given back when it is dropped")] [OwnedSemaphorePermit; 2]);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut about = self.0.about();
        about.connections -= 1;
        about.used = Instant::now();
    }
}

/// Listens at a port of all addresses. Where the machine has no IPv6, at those of IPv4.
pub fn bind(port: u16) -> std::io::Result<TcpListener> {
    let at = |ip| std::net::TcpListener::bind(SocketAddr::new(ip, port));
    let listener = match at(Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if error.kind() != ErrorKind::AddrInUse => at(Ipv4Addr::UNSPECIFIED.into()),
        other => other,
    }?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl Tunnel {
    /// One to a service, at a port.
    pub fn new(node: NodeId, key: &str, port: u16) -> Self {
        let about =
            About { service: Service::default(), node_name: String::new(), openers: VecDeque::new(), used: Instant::now(), connections: 0 };
        let room = Arc::new(Semaphore::new(TUNNEL_CONNECTIONS_OF_ONE));
        Self { node, key: key.to_owned(), port, about: Mutex::new(about), room, gone: Notify::new() }
    }

    fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node of the service.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Whether it leads to that service.
    pub fn leads_to(&self, node: &NodeId, key: &str) -> bool {
        self.node == *node && self.key == key
    }

    /// Somebody wishes for it, from a place if that is known; of more than `most` places the oldest is forgotten.
    pub fn is_wished(&self, service: Service, node_name: String, place: Option<Place>, most: usize) {
        let mut about = self.about();
        (about.service, about.node_name, about.used) = (service, node_name, Instant::now());
        about.openers.retain(|before| Some(*before) != place);
        about.openers.extend(place);
        while about.openers.len() > most {
            about.openers.pop_front();
        }
    }

    /// How it is shown to somebody who calls this node `host`.
    pub fn view(&self, host: &str, now: Instant) -> TunnelView {
        let about = self.about();
        let scheme = about.service.scheme.as_deref().unwrap_or("http").to_owned();
        let path = about.service.path.clone().unwrap_or_else(|| if scheme.starts_with("http") { "/".to_owned() } else { String::new() });
        let unused = if about.connections > 0 { Duration::ZERO } else { now.saturating_duration_since(about.used) };
        let left = rules::left(unused).unwrap_or_default();
        TunnelView {
            node: self.node.hex(),
            node_name: about.node_name.clone(),
            service: self.key.clone(),
            title: about.service.title.clone(),
            address: format!("{scheme}://{host}:{}{path}", self.port),
            scheme,
            path,
            port: self.port,
            connections: about.connections,
            idle_left_seconds: left.as_secs(),
        }
    }

    /// How long it stays, if nobody uses it; none when it is over.
    fn left(&self) -> Option<Duration> {
        let about = self.about();
        rules::left(about.used.elapsed())
    }

    /// Takes connections until it is over. All that go through it end with this.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, tunnels: Arc<Tunnels>) {
        let mut open = JoinSet::new();
        let mut out = std::pin::pin!(async {
            match &tunnels.lines {
                Some(lines) => lines.until_out(self.node).await,
                None => std::future::pending().await,
            }
        });
        loop {
            let idle = async {
                while let Some(left) = self.left() {
                    sleep(left).await;
                }
            };
            tokio::select! {
                () = self.gone.notified() => break,
                () = &mut out => break,
                () = idle, if open.is_empty() => break,
                Some(_) = open.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, from)) => {
                        if let Some(counted) = self.take(from, &tunnels.connections) {
                            open.spawn(one(counted, socket, Arc::clone(&tunnels)));
                        }
                    }
                    Err(error) => {
                        // Out of descriptors, or the peer left already: take breath rather than spin.
                        log::warn!("could not accept a connection of a tunnel: {error}");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop((open, listener));
        tunnels.close(self.port);
    }

    /// A place for a connection from there, if one may come.
    fn take(self: &Arc<Self>, from: SocketAddr, all: &Arc<Semaphore>) -> Option<Counted> {
        let place = Place::from(from.ip());
        let whence = links::whence(from.ip());
        let mut about = self.about();
        if !rules::may_use(whence, place, about.openers.make_contiguous()) {
            log::debug!("{from} may not use the tunnel at {}", self.port);
            return None;
        }
        let room = [&self.room, all].map(|room| Arc::clone(room).try_acquire_owned().ok());
        let [Some(own), Some(all)] = room else {
            log::debug!("{from} is not served by the tunnel at {}: there are too many", self.port);
            return None;
        };
        about.connections += 1;
        Some(Counted(Arc::clone(self), [own, all]))
    }
}

/// One connection.
async fn one(counted: Counted, socket: TcpStream, tunnels: Arc<Tunnels>) {
    let (Counted(tunnel, _), Some(lines)) = (&counted, &tunnels.lines) else { return };
    match lines.ask(tunnel.node, &tunnel.key).await {
        Ok((send, recv)) => carry(socket, send, recv, std::future::pending()).await,
        Err(not_opened) => {
            log::debug!("a connection through the tunnel at {} was not opened: {not_opened:?}", tunnel.port);
            if matches!(not_opened, NotOpened::Refused(Answer::Unknown | Answer::NoPort | Answer::NodesOwn)) {
                tunnel.gone.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    fn place(n: u8) -> Option<Place> {
        Some(std::net::IpAddr::from([203, 0, 113, n]).into())
    }

    #[test]
    fn room_for_connections_has_an_end_and_is_given_back() {
        let tunnel = Arc::new(Tunnel::new(Key([1; 32]), "wiki", 32_000));
        let from = "127.0.0.1:1".parse().unwrap();
        let all = Arc::new(Semaphore::new(TUNNEL_CONNECTIONS_OF_ONE + 1));
        let held: Vec<_> = (0..TUNNEL_CONNECTIONS_OF_ONE).map(|_| tunnel.take(from, &all)).collect();
        assert!(held.iter().all(Option::is_some) && tunnel.take(from, &all).is_none());
        assert_eq!(tunnel.view("garden", Instant::now()).connections, TUNNEL_CONNECTIONS_OF_ONE);
        // Another tunnel has what is left of all.
        let other = Arc::new(Tunnel::new(Key([1; 32]), "photos", 32_001));
        let one = other.take(from, &all);
        assert!(one.is_some() && other.take(from, &all).is_none());
        drop((held, one));
        assert!(tunnel.take(from, &all).is_some() && tunnel.view("garden", Instant::now()).connections == 0);
    }

    #[test]
    fn who_opened_it_last_may_use_it_and_others_elsewhere_may_not() {
        let tunnel = Arc::new(Tunnel::new(Key([1; 32]), "wiki", 32_000));
        let all = Arc::new(Semaphore::new(8));
        let may = |n: u8| tunnel.take(SocketAddr::new([203, 0, 113, n].into(), 5), &all).is_some();
        assert!(!may(1));
        for n in [1, 2, 1, 3] {
            tunnel.is_wished(Service::default(), String::new(), place(n), 2);
        }
        tunnel.is_wished(Service::default(), String::new(), None, 2);
        assert!(may(1) && may(3) && !may(2) && !may(4));
    }

    #[test]
    fn an_address_is_whole_with_what_is_spoken_and_the_path() {
        let tunnel = Tunnel::new(Key([1; 32]), "wiki", 32_000);
        let address = |scheme: Option<&str>, path: Option<&str>| {
            let service = Service { scheme: scheme.map(str::to_owned), path: path.map(str::to_owned), ..Service::default() };
            tunnel.is_wished(service, String::new(), None, 1);
            tunnel.view("[fd00::1]", Instant::now()).address
        };
        assert_eq!(address(None, None), "http://[fd00::1]:32000/");
        assert_eq!(address(Some("https"), Some("/a?b")), "https://[fd00::1]:32000/a?b");
        assert_eq!(address(Some("mqtt"), None), "mqtt://[fd00::1]:32000");
    }
}
