//! A connection's bytes between a socket and a stream, both ways, each to its own end.

use super::close::DROPPED;
use crate::limits::TUNNEL_KEEPALIVE;
use iroh::endpoint::{RecvStream, SendStream};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{copy_bidirectional, join};
use tokio::net::TcpStream;

/// Carries until both sides have said all, one of them breaks off, or `over` comes. What one side ends is ended at the other, and the other
/// direction goes on.
pub async fn carry(mut socket: TcpStream, send: SendStream, recv: RecvStream, over: impl Future<Output = ()>) {
    keep_alive(&socket);
    // Nothing is left to be written, but nobody would read it either.
    let stopped = send.stopped();
    let refused = async {
        if let Ok(None) = stopped.await {
            std::future::pending::<()>().await;
        }
    };
    let mut stream = join(recv, send);
    let whole = tokio::select! {
        copied = copy_bidirectional(&mut socket, &mut stream) => copied.is_ok(),
        () = refused => false,
        () = over => false,
    };
    if !whole {
        let (mut recv, mut send) = stream.into_inner();
        let _ended = (send.reset(DROPPED), recv.stop(DROPPED));
    }
}

/// Has the kernel ask after a while whether somebody is there still: nothing else ends a connection that is silent.
fn keep_alive(socket: &TcpStream) {
    let seconds = u32::try_from(TUNNEL_KEEPALIVE.as_secs()).unwrap_or(u32::MAX);
    let set = setsockopt(socket, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepIdle, &seconds))
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepInterval, &(seconds / 4)));
    if let Err(error) = set {
        log::debug!("a connection of a tunnel is not kept alive: {error}");
    }
    let _as_it_is = socket.set_nodelay(true);
}
