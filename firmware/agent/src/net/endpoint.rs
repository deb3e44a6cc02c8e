//! The iroh endpoint: which sockets, which protocols, who may come in.

use super::{
    blobs::Callers,
    event::Event,
    gate::{BLOBS_ALPN, CLOSE_BUSY, Gate, HELLO_ALPN, MEMBER_ALPN},
    greet,
    ids::node_id,
    ways::Ways,
};
use anyhow::{Context, Result};
use iroh::{
    Endpoint, RelayMode, SecretKey,
    endpoint::{Incoming, QuicTransportConfig, presets},
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
/// A connection over which nothing comes for so long is given up, and the neighbour suspected. iroh sends something every
/// 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds the endpoint: no relay server, no DNS, no port mapper; only the given sockets and ways through members, and the gate before
/// every protocol.
///
/// # Errors
/// An address can't be bound.
pub async fn bind(key: SecretKey, bind: &[SocketAddr], gate: Gate, ways: &Ways) -> Result<Endpoint> {
    let both =
        [SocketAddr::from((Ipv4Addr::UNSPECIFIED, super::DEFAULT_PORT)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, super::DEFAULT_PORT))];
    let wanted = if bind.is_empty() { both.as_slice() } else { bind };
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?))
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .max_concurrent_uni_streams(0_u32.into())
        .build();
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(key)
        .transport_config(transport)
        .relay_mode(RelayMode::Disabled)
        .alpns(vec![HELLO_ALPN.to_vec(), MEMBER_ALPN.to_vec(), BLOBS_ALPN.to_vec()])
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

/// Accepts connections until the endpoint is closed.
pub async fn accept(endpoint: Endpoint, events: mpsc::Sender<Event>, blobs: Callers) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let hellos = Arc::new(Semaphore::new(MAX_HELLOS));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            // A flood from forged addresses ends here: they never see the retry.
            if incoming.remote_addr_validated() {
                incoming.refuse();
            } else {
                let _full = incoming.retry();
            }
            continue;
        };
        let (events, hellos, blobs) = (events.clone(), hellos.clone(), blobs.clone());
        tokio::spawn(async move {
            if let Some(conn) = handshake(incoming).await {
                drop(permit);
                let node = node_id(&conn.remote_id());
                if conn.alpn() == MEMBER_ALPN {
                    let _ended = events.send(Event::Linked { node, conn, dialled: false }).await;
                } else if conn.alpn() == BLOBS_ALPN {
                    if let Err(full) = blobs.try_send((node, conn)) {
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
