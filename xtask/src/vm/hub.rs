//! The private link between nodes: a hub in this process that carries Ethernet frames over loopback, needs no root,
//! and can cut nodes off or lose frames, as a test asks.
//!
//! Each node's QEMU sends its frames as UDP datagrams to a port of its own here (`-netdev dgram`). The hub is also
//! the link's DHCP server, so that nodes are configured as they are in a home: by a router, of which there is
//! nothing but its address, since the link leads nowhere else.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::dhcp;
use super::power::Random;

/// The largest frame that is carried: no more than a datagram on loopback can have.
const FRAME_MAX_BYTES: usize = 65_535;
/// How often the hub looks whether it shall end, in milliseconds.
const POLL_MILLISECONDS: u16 = 200;

/// What is wrong with the link at the moment.
#[derive(Debug)]
struct Faults {
    /// Nodes that no frame reaches or leaves.
    cut: BTreeSet<usize>,
    /// How many of a hundred frames are lost.
    loss_percent: u32,
    /// Chooses them; the same seed loses the same frames.
    random: Random,
}

/// The link. It ends when this is dropped.
pub struct Hub {
    ports: Vec<u16>,
    faults: Arc<Mutex<Faults>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts a link. `nodes` are the loopback ports on which each node's QEMU listens, in order.
    pub fn start(nodes: &[u16]) -> Result<Self> {
        let mut sockets = Vec::new();
        let mut ports = Vec::new();
        for node in nodes {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to open the private link")?;
            socket.set_nonblocking(true)?;
            ports.push(socket.local_addr()?.port());
            sockets.push((socket, SocketAddr::from((Ipv4Addr::LOCALHOST, *node))));
        }
        let faults = Arc::new(Mutex::new(Faults { cut: BTreeSet::new(), loss_percent: 0, random: Random::new(0) }));
        let end = Arc::new(AtomicBool::new(false));
        let (shared, ending) = (Arc::clone(&faults), Arc::clone(&end));
        let thread = std::thread::Builder::new().name("hub".to_owned()).spawn(move || carry(&sockets, &shared, &ending))?;
        Ok(Self { ports, faults, end, thread: Some(thread) })
    }

    /// The port to which a node sends its frames.
    pub fn port(&self, node: usize) -> Result<u16> {
        self.ports.get(node).copied().ok_or_else(|| anyhow!("the link has no node {node}"))
    }

    /// Cuts a node off, or lets it back.
    pub fn set_cut(&self, node: usize, cut: bool) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if cut {
            faults.cut.insert(node)
        } else {
            faults.cut.remove(&node)
        };
    }

    /// Loses that many of a hundred frames from now on, the same ones for the same seed.
    pub fn set_loss(&self, percent: u32, seed: u64) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.loss_percent = percent;
        faults.random = Random::new(seed);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Faults {
    /// Whether a frame from `from` reaches `to`.
    fn passes(&mut self, from: usize, to: usize) -> bool {
        if self.cut.contains(&from) || self.cut.contains(&to) {
            return false;
        }
        if self.loss_percent == 0 {
            return true;
        }
        self.random.below(100) >= u64::from(self.loss_percent)
    }
}

/// Carries frames until `end`: each goes to all other nodes, as on a hub.
fn carry(sockets: &[(UdpSocket, SocketAddr)], faults: &Mutex<Faults>, end: &AtomicBool) {
    let mut buffer = vec![0; FRAME_MAX_BYTES];
    while !end.load(Ordering::Relaxed) {
        let mut waiting: Vec<_> = sockets.iter().map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let _ = poll(&mut waiting, PollTimeout::from(POLL_MILLISECONDS));
        for (from, (socket, node)) in sockets.iter().enumerate() {
            // An error is a node whose QEMU is not there (ECONNREFUSED by ICMP): nothing to carry.
            while let Ok((len, sender)) = socket.recv_from(&mut buffer) {
                if sender != *node {
                    continue;
                }
                let frame = buffer.get(..len).unwrap_or_default();
                let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reply) = dhcp::reply(frame, &dhcp::Lease::of_node(from)) {
                    if faults.passes(from, from) {
                        let _ = socket.send_to(&reply, node);
                    }
                    continue;
                }
                for (to, (other, address)) in sockets.iter().enumerate() {
                    if to != from && faults.passes(from, to) {
                        // A frame that can't be sent is lost, as on any link.
                        let _ = other.send_to(frame, address);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Three ends of a link, as QEMU would be.
    fn link() -> (Hub, Vec<UdpSocket>) {
        let ends: Vec<_> = (0..3).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let ports: Vec<_> = ends.iter().map(|end| end.local_addr().unwrap().port()).collect();
        let hub = Hub::start(&ports).unwrap();
        for (node, end) in ends.iter().enumerate() {
            end.connect((Ipv4Addr::LOCALHOST, hub.port(node).unwrap())).unwrap();
            end.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        (hub, ends)
    }

    fn receive(end: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let len = end.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    #[test]
    fn frames_go_to_all_others_and_none_to_who_is_cut_off() {
        let (hub, ends) = link();
        ends[0].send(b"one").unwrap();
        assert_eq!((receive(&ends[1]), receive(&ends[2])), (b"one".to_vec(), b"one".to_vec()));
        hub.set_cut(1, true);
        ends[0].send(b"two").unwrap();
        assert_eq!(receive(&ends[2]), b"two");
        ends[1].send(b"from the cut-off one").unwrap();
        // The hub carries in order: had it carried that one, it would be here before the next.
        hub.set_cut(1, false);
        ends[2].send(b"three").unwrap();
        assert_eq!(receive(&ends[1]), b"three");
        // Whether the hub read the cut-off frame before it was let back is its own affair; it never comes twice.
        let first = receive(&ends[0]);
        assert!(first == b"three" || first == b"from the cut-off one");
    }

    #[test]
    fn the_same_seed_loses_the_same_frames() {
        let lost = |seed| {
            let mut faults = Faults { cut: BTreeSet::new(), loss_percent: 20, random: Random::new(seed) };
            (0..1000).map(|_| !faults.passes(0, 1)).collect::<Vec<_>>()
        };
        let count = lost(7).iter().filter(|lost| **lost).count();
        assert!((150..250).contains(&count), "{count}");
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(9));
    }
}
