//! Ways to members that can't be reached directly: through a member that both reach.
//!
//! A node behind somebody's router dials out, and nobody dials in. What it says to another such node goes through a member that both are
//! connected to: iroh's packets, sealed from end to end, travel inside a stream to that member, which hands them on in a stream
//! to the other. To iroh a way is one more path to the node, beside its addresses: gossip, records, blobs and the rest know nothing of
//! it, and where a direct path works, that is taken.
//!
//! Architecture invariant: nobody but members is carried, by members alone, and a way never leads over another way.

mod anchor;
mod carry;
mod pump;
mod rules;
mod transport;

pub use anchor::{answer_anchor, hold_anchor};
pub use carry::{Carried, Refusal, Slot, carry};
pub use pump::{begin, take};
pub use rules::{Anchor, Neighbour, anchors, refusal, through};
pub use transport::PreferDirect;

use super::{event::Event, gate::Gate};
use cluster::NodeId;
use iroh::{
    TransportAddr,
    endpoint::{Builder, Connection, Path, PathList},
};
use iroh_base::CustomAddr;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// How iroh tells our paths from those of others: `cloudy` in ASCII.
const TRANSPORT: u64 = 0x0000_636c_6f75_6479;
/// Packets that wait for a way; more are dropped, as a network would.
const QUEUE: usize = 64;
/// Packets that came and that iroh has not taken yet; the ways wait beyond that.
const ARRIVED: usize = 256;
/// Most ways open here at once, those that others opened among them.
const MAX_WAYS: usize = 64;
/// Of those, through one member.
const MAX_WAYS_THROUGH_ONE: usize = 16;
/// How often it is looked whether what carries a way is direct still.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A way that could not be opened is not asked for again so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Packets for a way.
pub type Packets = mpsc::Receiver<Vec<u8>>;
type Queue = mpsc::Sender<Vec<u8>>;

/// A way to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Who carries.
    pub through: NodeId,
    /// Who is at the other end.
    pub to: NodeId,
}

impl Way {
    /// As iroh holds it: both ids.
    pub fn address(&self) -> CustomAddr {
        CustomAddr::from_parts(TRANSPORT, &[self.through.0, self.to.0].concat())
    }

    /// Reads that; none where it is no way.
    pub fn of(address: &CustomAddr) -> Option<Self> {
        let (through, to) = address.data().split_at_checked(32).filter(|_| address.id() == TRANSPORT)?;
        let key = |bytes: &[u8]| bytes.try_into().ok().map(cluster::keys::Key);
        Some(Self { through: key(through)?, to: key(to)? })
    }

    /// Who carries on that path, if it is a way.
    pub fn through(path: &TransportAddr) -> Option<NodeId> {
        match path {
            TransportAddr::Custom(address) => Self::of(address).map(|way| way.through),
            _ => None,
        }
    }
}

/// A packet that came by a way.
#[derive(Debug)]
struct Arrived {
    way: Way,
    packet: Vec<u8>,
}

/// The ways that are open, and those that could be.
#[derive(Debug, Clone)]
pub struct Ways(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: Mutex<BTreeMap<Way, Queue>>,
    /// Members that were not reached directly, with those through whom they may be.
    known: Mutex<BTreeMap<NodeId, Vec<NodeId>>>,
    /// Ways that could not be opened, and when that was.
    refused: Mutex<BTreeMap<Way, Instant>>,
    arrived: mpsc::Sender<Arrived>,
    /// Until iroh takes it.
    arriving: Mutex<Option<mpsc::Receiver<Arrived>>>,
    events: mpsc::Sender<Event>,
    gate: Gate,
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ways {
    /// None yet; where one is wanted, that is an event.
    pub fn new(events: mpsc::Sender<Event>, gate: Gate) -> Self {
        let (arrived, arriving) = mpsc::channel(ARRIVED);
        let arriving = Mutex::new(Some(arriving));
        Self(Arc::new(Inner {
            open: Mutex::default(),
            known: Mutex::default(),
            refused: Mutex::default(),
            arrived,
            arriving,
            events,
            gate,
        }))
    }

    /// Gives them to an endpoint as paths, after all direct ones.
    pub fn install(&self, builder: Builder) -> Builder {
        builder.add_custom_transport(Arc::new(self.clone())).path_selector(Arc::new(PreferDirect))
    }

    /// Notes how a member may be reached that was not reached directly.
    pub fn know(&self, to: NodeId, through: Vec<NodeId>) {
        locked(&self.0.known).insert(to, through);
    }

    /// Notes it where nothing is known.
    pub fn know_too(&self, to: NodeId, through: NodeId) {
        locked(&self.0.known).entry(to).or_insert_with(|| vec![through]);
    }

    /// Whether all were.
    pub fn know_none(&self) -> bool {
        locked(&self.0.known).is_empty()
    }

    /// Whether a member was not reached directly.
    pub fn has(&self, to: &NodeId) -> bool {
        locked(&self.0.known).contains_key(to)
    }

    /// A way could not be opened.
    pub fn refused(&self, way: Way) {
        let mut refused = locked(&self.0.refused);
        refused.retain(|_, since| since.elapsed() < PAUSE);
        refused.insert(way, Instant::now());
    }

    /// Forgets that of all for whom `still` does not hold: they are reached directly, or are no members.
    pub fn keep(&self, still: impl Fn(&NodeId) -> bool) {
        locked(&self.0.known).retain(|node, _| still(node));
    }

    /// Ways to a member, as paths; none where it was reached directly.
    pub fn to(&self, to: &NodeId) -> Vec<TransportAddr> {
        let known = locked(&self.0.known);
        let through = known.get(to).map(Vec::as_slice).unwrap_or_default();
        through.iter().map(|through| TransportAddr::Custom(Way { through: *through, to: *to }.address())).collect()
    }

    /// Has ways looked for to a member that was not reached by those that are known. False where nobody looks any more.
    pub async fn look_anew(&self, node: NodeId, silent: bool) -> bool {
        let (reply, looked) = oneshot::channel();
        self.0.events.send(Event::Unreached { node, silent, reply }).await.is_ok() && looked.await.is_ok()
    }

    /// Sends a packet by a way, and has the way opened where it is not. What can't be sent is lost, as on any path.
    fn send(&self, way: Way, packet: Vec<u8>) {
        let mut open = locked(&self.0.open);
        let unsent = match open.get(&way) {
            None => packet,
            Some(queue) => match queue.try_send(packet) {
                Ok(()) | Err(TrySendError::Full(_)) => return,
                Err(TrySendError::Closed(packet)) => packet,
            },
        };
        if locked(&self.0.refused).get(&way).is_some_and(|since| since.elapsed() < PAUSE) {
            open.remove(&way);
            return;
        }
        let Some((queue, packets)) = queue_of(&mut open, way) else { return };
        let _first = queue.try_send(unsent);
        // Who has no time to open it is asked again with the next packet.
        if self.0.events.try_send(Event::WayWanted { way, packets }).is_ok() {
            open.insert(way, queue);
        }
    }

    /// Takes a way that somebody opened from the other end, in place of one that was open; none where too many are.
    fn opened(&self, way: Way) -> Option<Packets> {
        let mut open = locked(&self.0.open);
        let (queue, packets) = queue_of(&mut open, way)?;
        open.insert(way, queue);
        Some(packets)
    }
}

/// A queue for a way, if there is room for one more.
fn queue_of(open: &mut BTreeMap<Way, Queue>, way: Way) -> Option<(Queue, Packets)> {
    open.retain(|_, queue| !queue.is_closed());
    let through = open.keys().filter(|other| other.through == way.through).count();
    let room = open.len() < MAX_WAYS && through < MAX_WAYS_THROUGH_ONE;
    (room || open.contains_key(&way)).then(|| mpsc::channel(QUEUE))
}

/// The path that a connection's packets go.
pub fn taken<'a>(paths: &'a PathList<'a>) -> Option<Path<'a>> {
    paths.iter().find(|path| path.is_selected()).or_else(|| paths.iter().next())
}

/// Whether iroh has taken a path to that node which this connection has not: one that ended with a connection of before, say. It sends what begins a
/// connection by the path that it has taken, and takes another only when something happens to a path, or all connections to the node have ended.
pub fn is_stray(conn: &Connection) -> bool {
    !conn.paths().iter().any(|path| path.is_selected())
}

/// Whether a connection's packets go directly to the other side. Only such a one carries a way: else two ways could lead over each other.
pub fn is_direct(conn: &Connection) -> bool {
    taken(&conn.paths()).is_some_and(|path| path.remote_addr().is_ip())
}

/// Returns when one of them is not direct any more. It is looked at now and then, since a packet can't wait for that.
async fn until_indirect<const N: usize>(conns: [&Connection; N]) {
    while conns.iter().all(|conn| is_direct(conn)) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Joins two ends as a member between does, without one.
#[cfg(test)]
pub fn splice(here: &Ways, way: Way, mut packets: Packets, there: &Ways, back: Way) {
    let Some(mut answers) = there.opened(back) else { return };
    let (here, there) = (here.0.arrived.clone(), there.0.arrived.clone());
    tokio::spawn(async move {
        loop {
            let (to, arrived) = tokio::select! {
                Some(packet) = packets.recv() => (&there, Arrived { way: back, packet }),
                Some(packet) = answers.recv() => (&here, Arrived { way, packet }),
                else => return,
            };
            if to.send(arrived).await.is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    fn way(through: u8, to: u8) -> Way {
        Way { through: Key([through; 32]), to: Key([to; 32]) }
    }

    #[test]
    fn a_way_is_read_back_and_nothing_else_is_one() {
        let one = way(1, 2);
        assert_eq!(Way::of(&one.address()), Some(one));
        let data = one.address().data().to_vec();
        assert_eq!(Way::of(&CustomAddr::from_parts(TRANSPORT + 1, &data)), None);
        for length in [0, 31, 32, 63, 65, 96] {
            assert_eq!(Way::of(&CustomAddr::from_parts(TRANSPORT, &[7].repeat(length))), None, "{length}");
        }
    }

    #[test]
    fn a_way_is_asked_for_once_and_again_when_it_has_ended() {
        let (events, mut wanted) = mpsc::channel(8);
        let ways = Ways::new(events, Gate::default());
        for packet in 0..3 {
            ways.send(way(1, 2), vec![packet]);
        }
        let Ok(Event::WayWanted { way: asked, mut packets }) = wanted.try_recv() else { panic!("none is asked for") };
        assert_eq!(asked, way(1, 2));
        assert!(wanted.try_recv().is_err(), "it is asked for once");
        assert_eq!([packets.try_recv(), packets.try_recv(), packets.try_recv()], [Ok(vec![0]), Ok(vec![1]), Ok(vec![2])]);
        drop(packets);
        ways.send(way(1, 2), vec![3]);
        let Ok(Event::WayWanted { mut packets, .. }) = wanted.try_recv() else { panic!("an ended one is not asked for again") };
        assert_eq!(packets.try_recv(), Ok(vec![3]));
        // Nobody is asked at once again who has just refused.
        drop(packets);
        ways.refused(way(1, 2));
        ways.send(way(1, 2), vec![4]);
        assert!(wanted.try_recv().is_err());
    }

    #[test]
    fn packets_and_ways_are_bounded() {
        let (events, mut wanted) = mpsc::channel(2 * MAX_WAYS);
        let ways = Ways::new(events, Gate::default());
        for packet in 0..1000_u32 {
            ways.send(way(1, 2), packet.to_be_bytes().to_vec());
        }
        let Ok(Event::WayWanted { mut packets, .. }) = wanted.try_recv() else { panic!("none is asked for") };
        assert_eq!(std::iter::from_fn(|| packets.try_recv().ok()).count(), QUEUE);
        let mut open = vec![packets];
        for to in 3..=200 {
            ways.send(way(1, to), vec![0]);
        }
        while let Ok(Event::WayWanted { packets, .. }) = wanted.try_recv() {
            open.push(packets);
        }
        assert_eq!(open.len(), MAX_WAYS_THROUGH_ONE);
        for to in 3..=200 {
            ways.send(way(to, 1), vec![0]);
            while let Ok(Event::WayWanted { packets, .. }) = wanted.try_recv() {
                open.push(packets);
            }
        }
        assert_eq!(open.len(), MAX_WAYS);
        assert!(ways.opened(way(9, 9)).is_none(), "another's way is over the limit");
        assert!(ways.opened(way(1, 2)).is_some(), "one that is there is taken anew");
    }
}
