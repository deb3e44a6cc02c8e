//! The accept loop: how many connections at once, how long a request's head may take, and a calm end.
//!
//! axum's own loop has no such limits; one slow client after another would fill a small machine.

use crate::limits::{HTTP_CONNECTIONS, HTTP_GOODBYE, HTTP_HEAD_TIMEOUT};
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Who is at the other end, as far as the kernel says.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Somebody on the network.
    Network(IpAddr),
    /// A user of this machine, by number, whom the local socket let in.
    Local(u32),
}

/// What can be accepted from: TCP for everybody, a Unix socket for those whom `may` lets in.
pub enum Listener {
    /// The page and the API.
    Tcp(TcpListener),
    /// The local socket for changes, with the rule who may use it.
    Unix(UnixListener, fn(&UnixStream) -> bool),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    async fn accept(&self) -> std::io::Result<Option<(Box<dyn Stream>, Peer)>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Some((Box::new(stream), Peer::Network(from.ip().to_canonical())))
            }
            Self::Unix(listener, may) => {
                let stream = listener.accept().await?.0;
                let uid = stream.peer_cred()?.uid();
                may(&stream).then(|| (Box::new(stream) as Box<dyn Stream>, Peer::Local(uid)))
            }
        })
    }
}

/// Returns when the agent stops, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves `router` until `stop` turns true; open connections then get a short time to end their answer.
pub async fn serve(listener: Listener, router: Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(HTTP_CONNECTIONS));
    let mut open = JoinSet::new();
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
        let (stream, peer) = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => continue,
            Err(error) => {
                // Out of descriptors, or the peer left already: take breath rather than spin.
                log::warn!("could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = TowerToHyperService::new(router.clone());
        // Whoever asks: told by the connection, never by what is sent over it.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let mut stop = stop.clone();
        open.spawn(async move {
            let _slot = slot;
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
    let _ = tokio::time::timeout(HTTP_GOODBYE, async { while open.join_next().await.is_some() {} }).await;
}
