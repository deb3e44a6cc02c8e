//! Ways as a transport of iroh's: packets in, packets out, and when a path of ours is taken.

use super::{Arrived, Way, Ways, locked};
use iroh::endpoint::transports::{
    CustomEndpoint, CustomSender, CustomTransport, PathSelection, PathSelectionContext, PathSelector, RecvInfo, Transmit,
};
use iroh_base::CustomAddr;
use std::{
    io,
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;

/// Packets that iroh may hand over as one, to be cut here. The least of all transports holds for each of them, so this is as much as the
/// kernel takes of UDP.
const SEGMENTS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");
/// How much faster another path must be before it takes the place of one of the same kind.
const FASTER: Duration = Duration::from_millis(5);

impl CustomTransport for Ways {
    fn bind(&self) -> io::Result<Box<dyn CustomEndpoint>> {
        let arriving = locked(&self.0.arriving).take().ok_or_else(|| io::Error::other("the ways have an endpoint already"))?;
        Ok(Box::new(End { ways: self.clone(), arriving, own: n0_watcher::Watchable::new(Vec::new()) }))
    }
}

/// This node's end of all its ways.
#[derive(Debug)]
struct End {
    ways: Ways,
    arriving: mpsc::Receiver<Arrived>,
    /// A way is no address that this node could tell others.
    own: n0_watcher::Watchable<Vec<CustomAddr>>,
}

impl CustomEndpoint for End {
    fn watch_local_addrs(&self) -> n0_watcher::Direct<Vec<CustomAddr>> {
        self.own.watch()
    }

    fn create_sender(&self) -> Arc<dyn CustomSender> {
        Arc::new(Sender(self.ways.clone()))
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
        metas: &mut [noq_udp::RecvMeta],
        infos: &mut [RecvInfo],
    ) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        let mut free = bufs.iter_mut().zip(metas).zip(infos);
        let mut next = free.next();
        while let Some(((buf, meta), info)) = &mut next {
            let Poll::Ready(Some(Arrived { way, packet })) = self.arriving.poll_recv(cx) else { break };
            // A packet that iroh has no room for is none that it sent.
            if let Some(room) = buf.get_mut(..packet.len()) {
                room.copy_from_slice(&packet);
                // Of a packet before it nothing is left: noq takes the same ones again.
                **meta = noq_udp::RecvMeta::default();
                (meta.len, meta.stride) = (packet.len(), packet.len());
                **info = RecvInfo::new(way.address(), None);
                filled += 1;
                next = free.next();
            }
        }
        if filled == 0 { Poll::Pending } else { Poll::Ready(Ok(filled)) }
    }

    fn max_transmit_segments(&self) -> NonZeroUsize {
        SEGMENTS
    }
}

#[derive(Debug)]
struct Sender(Ways);

impl CustomSender for Sender {
    fn is_valid_send_addr(&self, address: &CustomAddr) -> bool {
        Way::of(address).is_some()
    }

    fn poll_send(&self, _: &mut Context<'_>, to: &CustomAddr, _: Option<&CustomAddr>, transmit: &Transmit<'_>) -> Poll<io::Result<()>> {
        let way = Way::of(to).ok_or_else(|| io::Error::other("that is no way"))?;
        for packet in transmit.contents.chunks(transmit.segment_size.unwrap_or(transmit.contents.len()).max(1)) {
            self.0.send(way, packet.to_vec());
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes a direct path wherever one works, the fastest of them; a way else.
#[derive(Debug)]
pub struct PreferDirect;

impl PathSelector for PreferDirect {
    fn select(&self, context: &PathSelectionContext<'_>) -> PathSelection {
        let paths: Vec<_> = context.paths().filter_map(|path| path.stats().map(|stats| (path, stats.rtt))).collect();
        let seen = paths.iter().map(|(path, rtt)| Seen {
            direct: path.network_path().is_ip(),
            current: context.current() == Some(path.network_path()),
            rtt: *rtt,
        });
        let mut selection = PathSelection::none();
        if let Some((path, _)) = best(seen).and_then(|at| paths.get(at)) {
            selection.set(path);
        }
        selection
    }
}

/// A path that works.
struct Seen {
    direct: bool,
    /// It is the one that is taken now.
    current: bool,
    rtt: Duration,
}

fn best(paths: impl Iterator<Item = Seen>) -> Option<usize> {
    let cost = |seen: &Seen| seen.rtt + if seen.current { Duration::ZERO } else { FASTER };
    paths.enumerate().min_by_key(|(_, seen)| (!seen.direct, cost(seen))).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_path_goes_before_a_way_and_none_is_left_for_little() {
        let seen = |direct, current, rtt| Seen { direct, current, rtt: Duration::from_millis(rtt) };
        let best = |paths: Vec<Seen>| best(paths.into_iter());
        assert_eq!(best(vec![]), None);
        assert_eq!(best(vec![seen(false, true, 1), seen(true, false, 300)]), Some(1));
        assert_eq!(best(vec![seen(true, false, 7), seen(true, true, 10)]), Some(1));
        assert_eq!(best(vec![seen(true, false, 4), seen(true, true, 10)]), Some(0));
        assert_eq!(best(vec![seen(false, false, 40), seen(false, true, 10)]), Some(1));
    }
}
