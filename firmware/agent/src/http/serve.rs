//! The accept loop: how many connections at once, how long a request's head may take, and a calm end.
//!
//! axum's own loop has no such limits; one slow client after another would fill a small machine.

use super::places::Places;
use crate::limits::{APP_STORE_CONNECTIONS, HTTP_CONNECTIONS, HTTP_GOODBYE, HTTP_HEAD_TIMEOUT};
use crate::links;
use axum::Router;
use cluster::NodeId;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Who is at the other end, as far as the kernel says.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Somebody on the network.
    Network(IpAddr),
    /// A container of this machine, at the page's and the API's port.
    Container(IpAddr),
    /// A user of this machine, by number, whom the local socket let in.
    Local(u32),
    /// An app in its container, by its user's number, at the socket of its store.
    App(u32),
    /// Another node of this one's owner, for somebody who asked it.
    Household(NodeId),
}

impl From<SocketAddr> for Peer {
    fn from(from: SocketAddr) -> Self {
        let ip = from.ip().to_canonical();
        if links::is_container(from) { Self::Container(ip) } else { Self::Network(ip) }
    }
}

/// Whether nobody on the way can read what is asked and answered: it came over TLS, or from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted(pub bool);

/// What can be accepted from: TCP for everybody, plain or by TLS, a Unix socket for those whom `may` lets in.
pub enum Listener {
    /// The page and the API.
    Tcp(TcpListener),
    /// The same over TLS.
    Tls(TcpListener, TlsAcceptor),
    /// The local socket for changes, with the rule who may use it.
    Unix(UnixListener, fn(&UnixStream) -> bool),
    /// The socket of an app's store, for the user of that number.
    App(UnixListener, u32),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Somebody who has come.
enum Coming {
    /// What is said can be read.
    Ready(Box<dyn Stream>),
    /// The handshake comes first.
    Greeting(TcpStream, TlsAcceptor),
}

impl Coming {
    /// Who takes long for the handshake, or can't do it, is let go.
    async fn ready(self) -> Option<Box<dyn Stream>> {
        match self {
            Self::Ready(stream) => Some(stream),
            Self::Greeting(stream, acceptor) => match timeout(HTTP_HEAD_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Some(Box::new(stream)),
                Ok(Err(error)) => {
                    log::debug!("a handshake failed: {error}");
                    None
                }
                Err(_) => None,
            },
        }
    }
}

impl Listener {
    fn encrypted(&self) -> Encrypted {
        Encrypted(!matches!(self, Self::Tcp(_)))
    }

    /// How many connections are served at once; who comes beside them waits.
    fn slots(&self) -> usize {
        if matches!(self, Self::App(..)) { APP_STORE_CONNECTIONS } else { HTTP_CONNECTIONS }
    }

    async fn accept(&self) -> std::io::Result<Option<(Coming, Peer)>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Some((Coming::Ready(Box::new(stream)), Peer::from(from)))
            }
            Self::Tls(listener, acceptor) => {
                let (stream, from) = listener.accept().await?;
                Some((Coming::Greeting(stream, acceptor.clone()), Peer::from(from)))
            }
            Self::Unix(listener, may) => {
                let stream = listener.accept().await?.0;
                let uid = stream.peer_cred()?.uid();
                may(&stream).then(|| (Coming::Ready(Box::new(stream)), Peer::Local(uid)))
            }
            Self::App(listener, its) => {
                let stream = listener.accept().await?.0;
                let uid = stream.peer_cred()?.uid();
                may_as_app(uid, *its, nix::unistd::geteuid().as_raw()).then(|| (Coming::Ready(Box::new(stream)), Peer::App(uid)))
            }
        })
    }
}

/// Whether the user `uid` may speak at the socket of an app whose user is `its`. Root and the agent's own user `me` may do more elsewhere.
fn may_as_app(uid: u32, its: u32, me: u32) -> bool {
    uid == its || uid == 0 || uid == me
}

/// Returns when the agent stops, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves `router` until `stop` turns true; open connections then get a short time to end their answer.
pub async fn serve(listener: Listener, router: Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(listener.slots()));
    let places = Arc::new(Places::default());
    let mut open = JoinSet::new();
    let encrypted = listener.encrypted();
    loop {
        while open.try_join_next().is_some() {}
        let slot = tokio::select! {
            () = stopped(&mut stop) => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        let (coming, peer) = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => continue,
            Err(error) => {
                // Out of descriptors, or the peer left already: take breath rather than spin.
                log::warn!("could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match peer {
            Peer::Network(from) | Peer::Container(from) => {
                let Some(place) = Places::take(&places, from) else {
                    log::debug!("{from} holds so many connections that one more is not served");
                    continue;
                };
                Some(place)
            }
            Peer::Local(_) | Peer::App(_) | Peer::Household(_) => None,
        };
        let router = TowerToHyperService::new(router.clone());
        // Whoever asks: told by the connection, never by what is sent over it.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(encrypted);
            router.call(request)
        });
        let mut stop = stop.clone();
        open.spawn(async move {
            let _held = (slot, place);
            let greeted = tokio::select! {
                () = stopped(&mut stop) => return,
                greeted = coming.ready() => greeted,
            };
            let Some(stream) = greeted else { return };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HTTP_HEAD_TIMEOUT)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                log::debug!("a connection ended: {error}");
            }
        });
    }
    let _ = timeout(HTTP_GOODBYE, async { while open.join_next().await.is_some() {} }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_an_app_s_socket_its_own_user_is_let_in_and_no_other_app() {
        assert!(may_as_app(20_013, 20_013, 990));
        assert!(may_as_app(0, 20_013, 990) && may_as_app(990, 20_013, 990));
        assert!(!may_as_app(20_001, 20_013, 990) && !may_as_app(1000, 20_013, 990));
    }
}
