//! The iroh endpoint: which sockets, which protocols, who may speak which.

use anyhow::{Context, Result};
use iroh::{Endpoint, RelayMode, SecretKey, endpoint::presets};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Binds the endpoint: no relay, no DNS, no port mapper; only the given sockets.
///
/// # Errors
/// An address can't be bound.
pub async fn bind(key: SecretKey, bind: &[SocketAddr], alpns: Vec<Vec<u8>>) -> Result<Endpoint> {
    let both = [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, super::DEFAULT_PORT)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, super::DEFAULT_PORT)),
    ];
    let wanted = if bind.is_empty() { &both } else { bind };
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(key)
        .relay_mode(RelayMode::Disabled)
        .alpns(alpns)
        .clear_ip_transports();
    for address in wanted {
        builder = builder.bind_addr(*address).with_context(|| format!("`{address}` can't be used as an address to bind"))?;
    }
    builder
        .bind()
        .await
        .with_context(|| format!("failed to bind UDP on {wanted:?}: is another agent running with the same address and port?"))
}
