//! Connections to members: dialled on demand, at most a dozen, the longest unused closed first.

use super::{
    LinkView,
    endpoint::member_options,
    event::{End, Event},
    exchange,
    gate::{CLOSE_DONE, CLOSE_NOT_ADMITTED, MEMBER_ALPN},
    ids::endpoint_paths,
    meant,
    ways::{Way, Ways, is_direct, is_stray, taken},
};
use cluster::NodeId;
use iroh::{
    Endpoint, TransportAddr,
    endpoint::{Connection, ConnectionError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Most connections kept open.
const MAX_LINKS: usize = 12;
/// Streams that a member may have open at once: exchanges, ways that it opened or brings, its wish that the connection be kept.
pub(super) const MEMBER_STREAMS: u32 = 16;
/// Connections kept beside [`MAX_LINKS`] since members asked for it.
const MAX_ANCHORED: usize = 32;
/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// Of fewer packets sent, those that were lost say nothing of the path.
const ENOUGH_PACKETS: u64 = 100;
/// Datagrams kept for a member that is being dialled; older ones are dropped, as a network would. Streams that wait.
const MAX_WAITING: usize = 8;
/// Two connections to one member that came up within so long were dialled from both ends at once.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How long the worse of two connections to one member stays open, so that what is under way ends.
const DUPLICATE_GRACE: Duration = Duration::from_secs(3);
/// A member that came so short a time ago is where it came from.
const YOUNG: Duration = Duration::from_secs(30);

struct Link {
    conn: Connection,
    dialled: bool,
    since: Instant,
    used: Instant,
    /// While somebody holds on to that, the connection is kept.
    anchor: Weak<()>,
}

impl Link {
    fn is_open(&self) -> bool {
        self.conn.close_reason().is_none()
    }

    fn is_anchored(&self) -> bool {
        self.anchor.strong_count() > 0
    }
}

/// What waits for a dial.
#[derive(Default)]
struct Dial {
    datagrams: Vec<Vec<u8>>,
    streams: Vec<oneshot::Sender<Connection>>,
}

/// The open connections.
pub struct Links {
    me: NodeId,
    endpoint: Endpoint,
    events: mpsc::Sender<Event>,
    ways: Ways,
    open: BTreeMap<NodeId, Link>,
    dials: BTreeMap<NodeId, Dial>,
}

impl Links {
    /// No connection yet.
    pub fn new(me: NodeId, endpoint: Endpoint, events: mpsc::Sender<Event>, ways: Ways) -> Self {
        Self { me, endpoint, events, ways, open: BTreeMap::new(), dials: BTreeMap::new() }
    }

    /// Sends a datagram, over the open connection or over one that is dialled for it.
    pub fn send(&mut self, to: NodeId, bytes: Vec<u8>, paths: impl FnOnce() -> Vec<TransportAddr>) {
        if let Some(link) = self.open.get_mut(&to) {
            link.used = Instant::now();
            if let Err(error) = link.conn.send_datagram(bytes.into()) {
                log::debug!(node = to.short(), error:% = error; "a datagram was not sent");
            }
            return;
        }
        self.dial(to, paths);
        if let Some(dial) = self.dials.get_mut(&to) {
            if dial.datagrams.len() >= MAX_WAITING {
                dial.datagrams.remove(0);
            }
            dial.datagrams.push(bytes);
        }
    }

    /// The open connection to a member.
    pub fn get(&self, node: &NodeId) -> Option<Connection> {
        self.open.get(node).filter(|link| link.is_open()).map(|link| link.conn.clone())
    }

    /// The connection to a member, now or once it is dialled; an error at the other end if it can't be had.
    pub fn connection(&mut self, to: NodeId, paths: impl FnOnce() -> Vec<TransportAddr>) -> oneshot::Receiver<Connection> {
        let (sender, receiver) = oneshot::channel();
        if let Some(conn) = self.get(&to) {
            self.used(&to);
            let _gone = sender.send(conn);
            return receiver;
        }
        self.dial(to, paths);
        if let Some(dial) = self.dials.get_mut(&to).filter(|dial| dial.streams.len() < MAX_WAITING) {
            dial.streams.push(sender);
        }
        receiver
    }

    /// Who is linked.
    pub fn linked_nodes(&self) -> Vec<NodeId> {
        self.open.keys().copied().collect()
    }

    /// Dials a member unless there is a connection or a dial under way. Ends in [`Event::Linked`] or [`Event::DialFailed`].
    pub fn dial(&mut self, node: NodeId, paths: impl FnOnce() -> Vec<TransportAddr>) {
        if self.open.contains_key(&node) || self.dials.contains_key(&node) {
            return;
        }
        let Some(address) = endpoint_paths(&node, paths()) else {
            return;
        };
        self.dials.insert(node, Dial::default());
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let dial = async { meant::dial(&endpoint, address, MEMBER_ALPN, member_options()?).await };
            let event = match timeout(DIAL_TIMEOUT, dial).await {
                Ok(Ok(conn)) => Event::Linked { node, conn, dialled: true },
                Ok(Err(seen)) => Event::DialFailed { node, seen },
                Err(_) => Event::DialFailed { node, seen: format!("no answer within {} s", DIAL_TIMEOUT.as_secs()) },
            };
            let _ended = events.send(event).await;
        });
    }

    /// A dial came to nothing; what waited for it is lost.
    pub fn dial_failed(&mut self, node: &NodeId) {
        self.dials.remove(node);
    }

    /// Takes a new connection, and gives it what waited for it. It takes the place of an older one: whoever dials has
    /// none, so the older is of an earlier life. Of two that were dialled at once, the one that the node with the smaller
    /// id dialled is kept by both. The other is closed by the side that dialled it; where that does not happen, the other
    /// side knows nothing of the one that is kept: it started anew just then ([`Event::Unclosed`]). What was replaced is
    /// closed, whoever dialled it: nobody goes on over a connection that is not counted.
    pub fn linked(&mut self, node: NodeId, conn: Connection, dialled: bool) {
        conn.set_max_concurrent_bi_streams(MEMBER_STREAMS.into());
        tokio::spawn(serve(conn.clone(), node, self.events.clone(), self.ways.clone()));
        let waiting = self.dials.remove(&node).unwrap_or_default();
        for stream in waiting.streams {
            let _gone = stream.send(conn.clone());
        }
        for bytes in waiting.datagrams {
            if let Err(error) = conn.send_datagram(bytes.into()) {
                log::debug!(node = node.short(), error:% = error; "a datagram was not sent");
            }
        }
        let now = Instant::now();
        let new = Link { conn, dialled, since: now, used: now, anchor: Weak::new() };
        let kept_direction = self.me < node;
        let (worse, replaced) = match self.open.remove(&node) {
            Some(old)
                if old.is_open() && old.since.elapsed() < AT_ONCE && old.dialled == kept_direction && new.dialled != kept_direction =>
            {
                let (events, conn) = (self.events.clone(), new.conn.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(2 * DUPLICATE_GRACE).await;
                    if conn.close_reason().is_none() {
                        let _ended = events.send(Event::Unclosed { node, conn }).await;
                    }
                });
                self.open.insert(node, old);
                (Some(new), false)
            }
            old => {
                self.open.insert(node, new);
                (old, true)
            }
        };
        if let Some(worse) = worse.filter(|worse| worse.dialled || replaced) {
            tokio::spawn(async move {
                tokio::time::sleep(DUPLICATE_GRACE).await;
                worse.conn.close(CLOSE_DONE, b"duplicate");
            });
        }
        self.shrink(node);
    }

    /// Takes a connection that the other side did not close as a duplicate, in place of the one that was kept.
    pub fn unclosed(&mut self, node: NodeId, conn: Connection) {
        let now = Instant::now();
        if let Some(old) = self.open.insert(node, Link { conn, dialled: false, since: now, used: now, anchor: Weak::new() }) {
            old.conn.close(CLOSE_DONE, b"of an earlier life");
        }
        self.shrink(node);
    }

    /// Keeps the connection to a member as long as what is given out is held; none where too many are kept.
    pub fn anchor(&mut self, node: NodeId) -> Option<Arc<()>> {
        let anchored = self.open.values().filter(|link| link.is_anchored()).count();
        let link = self.open.get_mut(&node)?;
        link.anchor.upgrade().or_else(|| {
            let held = (anchored < MAX_ANCHORED).then(Arc::default)?;
            link.anchor = Arc::downgrade(&held);
            Some(held)
        })
    }

    /// Whether the connection to a member is kept.
    pub fn is_anchored(&self, node: &NodeId) -> bool {
        self.open.get(node).is_some_and(Link::is_anchored)
    }

    /// Who is linked by a direct path.
    pub fn direct_nodes(&self) -> Vec<NodeId> {
        self.open.iter().filter(|(_, link)| is_direct(&link.conn)).map(|(node, _)| *node).collect()
    }

    /// Where a member answers that this node dialled, and reaches directly.
    pub fn dialled_at(&self, node: &NodeId) -> Option<SocketAddr> {
        let link = self.open.get(node).filter(|link| link.dialled)?;
        ip(taken(&link.conn.paths())?.remote_addr())
    }

    /// Ends the connection to a member beside which no other can begin: another dial of that member failed, or nothing came from it.
    pub fn end_in_the_way(&mut self, node: &NodeId, silent: bool) {
        let came = |link: &Link| silent && !link.dialled && is_direct(&link.conn);
        let is_in_the_way = |link: &Link| is_in_the_way(is_stray(&link.conn), came(link), link.since.elapsed());
        if self.open.get(node).is_some_and(is_in_the_way)
            && let Some(link) = self.open.remove(node)
        {
            log::debug!(node = node.short(); "a connection is closed: no other can begin beside it");
            link.conn.close(CLOSE_DONE, b"anew");
        }
    }

    fn shrink(&mut self, but: NodeId) {
        let free = self.open.iter().filter(|(_, link)| !link.is_anchored()).map(|(node, link)| (*node, link.used));
        for node in surplus(free.collect(), but) {
            if let Some(link) = self.open.remove(&node) {
                link.conn.close(CLOSE_DONE, b"not needed now");
            }
        }
    }

    /// A connection has ended; true if it was the one that counts.
    pub fn lost(&mut self, node: &NodeId, id: usize) -> bool {
        let counts = self.open.get(node).is_some_and(|link| link.conn.stable_id() == id);
        if counts {
            self.open.remove(node);
        }
        counts
    }

    /// A datagram came.
    pub fn used(&mut self, node: &NodeId) {
        if let Some(link) = self.open.get_mut(node) {
            link.used = Instant::now();
        }
    }

    /// Closes the connections to everybody who is not in `admitted`.
    pub fn keep(&mut self, admitted: &BTreeSet<NodeId>) {
        self.open.retain(|node, link| {
            let keep = admitted.contains(node);
            if !keep {
                link.conn.close(CLOSE_NOT_ADMITTED, b"not admitted");
            }
            keep
        });
    }

    /// What is shown of the connection to a member.
    pub fn view(&self, node: &NodeId) -> Option<LinkView> {
        let link = self.open.get(node)?;
        let paths = link.conn.paths();
        let path = taken(&paths)?;
        let rtt_ms = u64::try_from(path.rtt().as_millis()).ok();
        let stats = path.stats();
        let enough = Some(stats.sent_packets).filter(|sent| *sent >= ENOUGH_PACKETS);
        let lost_permille = enough.map(|sent| stats.lost_packets.saturating_mul(1000) / sent);
        let lost_permille = lost_permille.map(|lost| u16::try_from(lost).unwrap_or(u16::MAX).min(1000));
        let through = Way::through(path.remote_addr()).map(|node| node.hex());
        Some(LinkView { address: ip(path.remote_addr()), through, rtt_ms, lost_permille })
    }

    /// Who is between, where a member is connected by a way.
    pub fn through(&self, node: &NodeId) -> Option<NodeId> {
        Way::through(taken(&self.open.get(node)?.conn.paths())?.remote_addr())
    }

    /// Whether there is a connection.
    pub fn is_open(&self, node: &NodeId) -> bool {
        self.open.contains_key(node)
    }
}

/// Whether a connection may be why another to that member did not begin. A stray one is. And one that `came`, directly, from a member that is silent to
/// another dial: it goes on where the member's router gets another address, but iroh sends what begins a connection to the address that the first one
/// came from. Young ones came from where the member is, so a member that is slow to answer loses its connection rarely.
fn is_in_the_way(is_stray: bool, came: bool, age: Duration) -> bool {
    is_stray || (came && age >= YOUNG)
}

/// Which of the connections that nobody asked to keep are too many: the longest unused, but not the newest.
fn surplus(mut free: Vec<(NodeId, Instant)>, newest: NodeId) -> Vec<NodeId> {
    let too_many = free.len().saturating_sub(MAX_LINKS);
    free.sort_by_key(|(_, used)| *used);
    free.into_iter().map(|(node, _)| node).filter(|node| *node != newest).take(too_many).collect()
}

/// Where it is, if nobody passes it on.
pub fn ip(address: &TransportAddr) -> Option<SocketAddr> {
    match address {
        TransportAddr::Ip(address) => Some(*address),
        _ => None,
    }
}

/// Reads a connection until it ends.
async fn serve(conn: Connection, node: NodeId, events: mpsc::Sender<Event>, ways: Ways) {
    let id = conn.stable_id();
    let mut streams = tokio::task::JoinSet::new();
    let end = loop {
        tokio::select! {
            datagram = conn.read_datagram() => match datagram {
                Ok(bytes) => {
                    if events.send(Event::Datagram { node, bytes: bytes.to_vec() }).await.is_err() {
                        return;
                    }
                }
                Err(end) => break end,
            },
            stream = conn.accept_bi() => match stream {
                Ok((send, recv)) => {
                    let (conn, events, ways) = (conn.clone(), events.clone(), ways.clone());
                    streams.spawn(async move {
                        if let Err(error) = exchange::serve(&conn, send, recv, node, &events, &ways).await {
                            log::debug!(node = node.short(), error:% = error; "an exchange failed");
                        }
                    });
                }
                Err(end) => break end,
            },
            Some(_) = streams.join_next() => {}
        }
    };
    let how = match &end {
        ConnectionError::ApplicationClosed(close) if close.error_code == CLOSE_NOT_ADMITTED => End::Rejected,
        ConnectionError::TimedOut => End::Silent,
        _ => End::Closed,
    };
    log::debug!(node = node.short(), end:% = end; "a connection ended");
    let _ended = events.send(Event::LinkLost { node, id, end: how }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    #[test]
    fn what_came_from_where_a_member_was_gives_way_and_what_was_dialled_does_not() {
        let second = Duration::from_secs(1);
        assert!(is_in_the_way(false, true, YOUNG), "it may be elsewhere now");
        assert!(!is_in_the_way(false, true, YOUNG - second), "it has just come from there");
        assert!(!is_in_the_way(false, false, 100 * YOUNG), "who was dialled answers where it was dialled");
        assert!(is_in_the_way(true, true, second) && is_in_the_way(true, false, second), "a stray one always is");
    }

    #[test]
    fn of_too_many_connections_the_longest_unused_go_and_the_newest_stays() {
        let now = Instant::now();
        let node = |number: usize| Key([u8::try_from(number).unwrap(); 32]);
        let links = |count: usize| (0..count).map(|number| (node(number), now + Duration::from_secs(number as u64))).rev().collect();
        assert_eq!(surplus(links(MAX_LINKS), node(0)), []);
        assert_eq!(surplus(links(MAX_LINKS + 2), node(0)), [node(1), node(2)]);
        assert_eq!(surplus(links(MAX_LINKS + 2), node(MAX_LINKS + 1)), [node(0), node(1)]);
    }
}
