//! This node for the others of its owner: each stream of theirs is a request to its API.

use super::head::Acting;
use super::{is_ours, until_not_ours};
use crate::http::{Encrypted, Peer};
use crate::limits::{
    HOUSEHOLD_CALLERS, HOUSEHOLD_CALLERS_OF_ONE, HOUSEHOLD_STREAMS_OF_ONE, HTTP_HEAD_TIMEOUT, TUNNEL_CALLER_IDLE,
    TUNNEL_RECEIVE_WINDOW_BYTES,
};
use crate::net::{MemberPlace, MemberPlaces, NetHandle};
use crate::tunnels::close::{BUSY, DONE, NOT_ADMITTED};
use axum::Router;
use cluster::NodeId;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::sync::{Arc, LazyLock};
use tokio::io::join;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What is served, and to whom.
pub struct Server {
    net: NetHandle,
    /// Made when the first of them asks: most nodes have nobody who does, and it takes memory.
    router: LazyLock<Router, Box<dyn FnOnce() -> Router + Send>>,
    places: Arc<MemberPlaces>,
}

impl Server {
    /// Serves what `router` makes, which holds every request to what whoever asks may.
    pub fn new(net: NetHandle, router: impl FnOnce() -> Router + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            net,
            router: LazyLock::new(Box::new(router)),
            places: MemberPlaces::new(HOUSEHOLD_CALLERS, HOUSEHOLD_CALLERS_OF_ONE),
        })
    }
}

/// Serves everybody who comes and is of the household, until nobody can come any more.
pub async fn serve(server: Arc<Server>, mut callers: mpsc::Receiver<(NodeId, Connection)>) {
    // They end with this.
    let mut open = JoinSet::new();
    while let Some((node, conn)) = callers.recv().await {
        while open.try_join_next().is_some() {}
        // Before a stream is served: members of other owners reach nothing here.
        if !is_ours(&server.net, &node) {
            log::debug!(node = node.short(); "a node of another owner asked for this node's API");
            conn.close(NOT_ADMITTED, b"not of this node's owner");
            continue;
        }
        match server.places.take(node) {
            Some(place) => drop(open.spawn(caller(Arc::clone(&server), place, conn))),
            None => conn.close(BUSY, b"busy"),
        }
    }
}

async fn caller(server: Arc<Server>, place: MemberPlace, conn: Connection) {
    let node = &place.whose;
    conn.set_receive_window(TUNNEL_RECEIVE_WINDOW_BYTES.into());
    conn.set_max_concurrent_bi_streams(HOUSEHOLD_STREAMS_OF_ONE.into());
    let mut out = std::pin::pin!(until_not_ours(server.net.clone(), *node));
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut out => return conn.close(NOT_ADMITTED, b"not of this node's owner"),
            accepted = conn.accept_bi() => match accepted {
                Ok((send, recv)) => drop(streams.spawn(stream(*node, Router::clone(&server.router), send, recv))),
                Err(ended) => return log::debug!(node = node.short(); "a node of this owner ended its connection: {ended}"),
            },
            Some(_) = streams.join_next() => {}
            () = sleep(TUNNEL_CALLER_IDLE), if streams.is_empty() => return conn.close(DONE, b"nothing was asked"),
        }
    }
}

async fn stream(node: NodeId, router: Router, send: SendStream, mut recv: RecvStream) {
    let Ok(Some(acting)) = timeout(HTTP_HEAD_TIMEOUT, Acting::read(&mut recv)).await else { return };
    let router = TowerToHyperService::new(router);
    // Whoever asks: told by the connection and the head of its stream, never by the request.
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer::Household(node));
        request.extensions_mut().insert(Encrypted(true));
        request.extensions_mut().insert(acting.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(join(recv, send)), service);
    if let Err(error) = served.await {
        log::debug!(node = node.short(); "a request of a node of this owner ended: {error}");
    }
}
