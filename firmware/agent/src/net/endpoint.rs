//! The iroh endpoint: which sockets, which protocols, who may come in.

use super::{
    event::Event,
    gate::{BLOBS_ALPN, CLOSE_BUSY, Gate, HELLO_ALPN, HOUSEHOLD_ALPN, MEMBER_ALPN, TUNNEL_ALPN},
    greet,
    ids::node_id,
    line::Callers,
    meant,
    ways::Ways,
};
use crate::limits::{TUNNEL_SEND_WINDOW_BYTES, TUNNEL_STREAM_WINDOW_BYTES};
use anyhow::{Context, Result};
use iroh::{
    Endpoint, RelayMode, SecretKey,
    endpoint::{ConnectOptions, Incoming, QuicTransportConfig, QuicTransportConfigBuilder, presets},
};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

/// Handshakes of others under way at once; more must first prove their address, and wait.
const MAX_HANDSHAKES: usize = 32;
/// Hellos served at once.
const MAX_HELLOS: usize = 8;
/// Streams that somebody may have open at once; what a connection is for may allow less of them, and takes none back.
const MAX_STREAMS: u32 = 4;
/// Bytes that somebody who came may leave unacknowledged: what a member that takes nothing has of this node's memory.
const SEND_WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes that wait to be read of all streams that others opened, and of one of them.
const RECEIVE_WINDOW_BYTES: u32 = super::links::MEMBER_STREAMS * STREAM_WINDOW_BYTES;
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// A connection over which nothing comes for so long is given up, and the neighbour suspected. iroh sends something every
/// 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(12);
/// So often says something who dialled a member. Both sides hear what the other says at about the same time, and would say the next again at about the same
/// time, after iroh's 5 s: twice what it takes. So one of them is earlier, by more than a round trip, and the other has nothing to say.
const DIALLER_KEEP_ALIVE: Duration = Duration::from_millis(4500);
/// What a round trip is held to be until one was measured: what is lost of a handshake is sent again after three times that, where QUIC's 333 ms make a second
/// of each loss. A member on another continent is sent a packet too many.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections have alike.
fn transport() -> Result<QuicTransportConfigBuilder, String> {
    let idle = IDLE_TIMEOUT.try_into().map_err(|_| "the time without a word is no time".to_owned())?;
    let transport = QuicTransportConfig::builder().max_idle_timeout(Some(idle)).max_concurrent_uni_streams(0_u32.into());
    Ok(transport.initial_rtt(INITIAL_RTT))
}

/// What a connection for blobs may have in memory on the side that dials, which is the one that gets them: as much as iroh has for one stream,
/// so that a line with a long round trip is filled.
pub(super) fn blobs_transport() -> Result<QuicTransportConfig, String> {
    Ok(transport()?.max_concurrent_bidi_streams(0_u32.into()).send_window(SEND_WINDOW_BYTES).build())
}

/// What a connection for tunnels may have in memory on the side that dials: nobody opens streams to it, and of each that it opened little
/// waits to be taken by a program that does not read.
pub(super) fn tunnel_transport() -> Result<QuicTransportConfig, String> {
    let transport = transport()?.max_concurrent_bidi_streams(0_u32.into());
    Ok(transport.stream_receive_window(TUNNEL_STREAM_WINDOW_BYTES.into()).send_window(TUNNEL_SEND_WINDOW_BYTES).build())
}

/// What a connection of members may have in memory, on both sides, and any other on the side that is dialled.
fn member_transport() -> Result<QuicTransportConfigBuilder, String> {
    let transport = transport()?.max_concurrent_bidi_streams(MAX_STREAMS.into());
    // All streams of a connection together have no more than is given to the connection, so that one which nobody reads holds up no other.
    let transport = transport.send_window(SEND_WINDOW_BYTES).receive_window(RECEIVE_WINDOW_BYTES.into());
    Ok(transport.stream_receive_window(STREAM_WINDOW_BYTES.into()))
}

/// How a member is dialled.
///
/// # Errors
/// A limit here is none.
pub(super) fn member_options() -> Result<ConnectOptions, String> {
    let transport = member_transport()?.default_path_keep_alive_interval(DIALLER_KEEP_ALIVE).build();
    Ok(ConnectOptions::new().with_transport_config(transport))
}

/// Binds the endpoint: no relay server, no DNS, no port mapper; only the given sockets and ways through members, and the gate before
/// every protocol.
///
/// # Errors
/// An address can't be bound.
pub async fn bind(key: SecretKey, bind: &[SocketAddr], gate: Gate, ways: &Ways) -> Result<Endpoint> {
    let both =
        [SocketAddr::from((Ipv4Addr::UNSPECIFIED, super::DEFAULT_PORT)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, super::DEFAULT_PORT))];
    let wanted = if bind.is_empty() { both.as_slice() } else { bind };
    let transport = member_transport().map_err(anyhow::Error::msg)?.build();
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(key)
        .transport_config(transport)
        .relay_mode(RelayMode::Disabled)
        .alpns([HELLO_ALPN, MEMBER_ALPN, BLOBS_ALPN, TUNNEL_ALPN, HOUSEHOLD_ALPN].map(<[u8]>::to_vec).into())
        .hooks(gate)
        .clear_ip_transports();
    for address in wanted {
        builder = builder.bind_addr(*address).with_context(|| format!("`{address}` can't be used as an address to bind"))?;
    }
    ways.install(builder)
        .bind()
        .await
        .with_context(|| format!("failed to bind UDP on {wanted:?}: is another agent running with the same address and port?"))
}

/// Where those are sent who come for something of their own.
#[derive(Debug, Clone)]
pub struct Desks {
    /// For blobs.
    pub blobs: Callers,
    /// For services of this node.
    pub tunnels: Callers,
    /// Nodes of this one's owner, for its API.
    pub household: Callers,
}

impl Desks {
    /// The desk for a protocol; none where it is not one of theirs.
    fn of(&self, alpn: &[u8]) -> Option<&Callers> {
        match alpn {
            BLOBS_ALPN => Some(&self.blobs),
            TUNNEL_ALPN => Some(&self.tunnels),
            HOUSEHOLD_ALPN => Some(&self.household),
            _ => None,
        }
    }
}

/// Accepts connections until the endpoint is closed. Who comes for something of its own is sent to its desk.
pub async fn accept(endpoint: Endpoint, events: mpsc::Sender<Event>, desks: Desks) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let hellos = Arc::new(Semaphore::new(MAX_HELLOS));
    let me = node_id(&endpoint.id());
    while let Some(incoming) = endpoint.accept().await {
        // Before the limit, so that a flood too is no answer to whom somebody else is meant; it costs no more than to send a retry.
        if !meant::is_for(&me, &incoming) {
            incoming.ignore();
            continue;
        }
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            // A flood from forged addresses ends here: they never see the retry.
            if incoming.remote_addr_validated() {
                incoming.refuse();
            } else {
                let _full = incoming.retry();
            }
            continue;
        };
        let (events, hellos) = (events.clone(), hellos.clone());
        let desks = desks.clone();
        tokio::spawn(async move {
            if let Some(conn) = handshake(incoming).await {
                drop(permit);
                let node = node_id(&conn.remote_id());
                if conn.alpn() == MEMBER_ALPN {
                    let _ended = events.send(Event::Linked { node, conn, dialled: false }).await;
                } else if let Some(callers) = desks.of(conn.alpn()) {
                    if let Err(full) = callers.try_send((node, conn)) {
                        full.into_inner().1.close(CLOSE_BUSY, b"busy");
                    }
                } else if let Ok(_permit) = hellos.try_acquire() {
                    greet::answer(&conn, node, &events).await;
                } else {
                    conn.close(CLOSE_BUSY, b"busy");
                }
            }
        });
    }
}

async fn handshake(incoming: Incoming) -> Option<iroh::endpoint::Connection> {
    let accepting = incoming.accept().ok()?;
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(conn)) => Some(conn),
        Ok(Err(error)) => {
            log::debug!(error:% = error; "an incoming connection was not taken");
            None
        }
        Err(_) => None,
    }
}
