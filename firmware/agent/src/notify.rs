//! Words to systemd over the socket in `NOTIFY_SOCKET`: ready, stopping, still alive.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends one state, such as `READY=1`. Outside systemd, and on failure, nothing happens: the agent works without.
pub fn send(state: &str) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(error) = sent {
        log::warn!("could not send `{state}` to systemd: {error}");
    }
}

/// How often systemd wants a sign of life: half of `WATCHDOG_USEC`; none when it wants none.
pub fn watchdog_every() -> Option<Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}
