//! A probe that is said again: a datagram may be lost, and whoever did not get it has not failed to answer.

use super::{Life, settings::PROBE_AGAIN};
use crate::{clock::Millis, keys::NodeId, wire};
use foca::{Header, Message, ProbeNumber};

/// The probe that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    to: NodeId,
    number: ProbeNumber,
    bytes: Vec<u8>,
    again_at: Millis,
    left: u32,
}

impl Probe {
    /// What is sent, if it is a probe: said again so many times, so often, while no answer comes.
    pub fn of(now: Millis, to: NodeId, bytes: &[u8], times: u32) -> Option<Self> {
        let (&wire::VERSION, body) = bytes.split_first()? else { return None };
        let (header, _): (Header<Life>, _) = postcard::take_from_bytes(body).ok()?;
        let Message::Ping(number) = header.message else { return None };
        Some(Self { to, number, bytes: bytes.to_vec(), again_at: now.plus(PROBE_AGAIN), left: times })
    }

    /// When it is said again; none if it was often enough.
    pub fn again_at(&self) -> Option<Millis> {
        (self.left > 0).then_some(self.again_at)
    }

    /// What is to be sent again now, if anything is.
    pub fn again(&mut self, now: Millis) -> Option<(NodeId, Vec<u8>)> {
        self.again_at().filter(|at| *at <= now)?;
        self.left -= 1;
        self.again_at = now.plus(PROBE_AGAIN);
        Some((self.to, self.bytes.clone()))
    }

    /// Whether that answers it.
    pub fn is_answered(&self, from: NodeId, message: &Message<Life>) -> bool {
        from == self.to && *message == Message::Ack(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;

    fn said(message: Message<Life>) -> Vec<u8> {
        let life = |number| Life { node: Key([number; 32]), epoch: 1, renewal: 0 };
        let header = Header { src: life(1), src_incarnation: 0, dst: life(2), message };
        [vec![wire::VERSION], postcard::to_allocvec(&header).unwrap()].concat()
    }

    #[test]
    fn a_probe_is_said_again_so_often_and_no_more() {
        let (to, bytes) = (Key([2; 32]), said(Message::Ping(7)));
        let mut probe = Probe::of(Millis(0), to, &bytes, 2).unwrap();
        let at = |times: u32| Millis(0).plus(PROBE_AGAIN * times);
        assert_eq!(probe.again_at(), Some(at(1)));
        assert_eq!(probe.again(Millis(at(1).0 - 1)), None, "it is given time");
        assert_eq!(probe.again(at(1)), Some((to, bytes.clone())));
        assert_eq!(probe.again(at(1)), None, "once each time");
        assert_eq!(probe.again(at(2)), Some((to, bytes)));
        assert_eq!((probe.again_at(), probe.again(at(9))), (None, None));
    }

    #[test]
    fn the_answer_of_whom_it_asks_ends_it_and_nothing_else_is_a_probe() {
        let (to, other) = (Key([2; 32]), Key([3; 32]));
        let probe = Probe::of(Millis(0), to, &said(Message::Ping(7)), 2).unwrap();
        assert!(probe.is_answered(to, &Message::Ack(7)));
        assert!(
            !probe.is_answered(to, &Message::Ack(6))
                && !probe.is_answered(other, &Message::Ack(7))
                && !probe.is_answered(to, &Message::Ping(7))
        );
        for message in [Message::Ack(7), Message::Gossip, Message::Announce] {
            assert_eq!(Probe::of(Millis(0), to, &said(message), 2), None);
        }
        assert_eq!(Probe::of(Millis(0), to, &[], 2), None);
        assert_eq!(Probe::of(Millis(0), to, &[wire::VERSION], 2), None);
    }
}
