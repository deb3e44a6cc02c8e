//! The member between: it joins a stream of one member's to a stream to another, and moves bytes that it can't read.

use super::{is_direct, until_indirect};
use crate::net::exchange;
use anyhow::{Context, Result, ensure};
use cluster::NodeId;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// Ways carried at once, in all.
const MAX_CARRIED: usize = 64;
/// Of those, that one member has opened or is at the other end of. Its connection has as many streams again for all else.
const MAX_CARRIED_FOR_ONE: usize = 8;
/// How long it may take until the other end has answered.
const OPEN_TIMEOUT: Duration = Duration::from_secs(4);

/// Why a way is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The member between has no direct connection to the other end.
    #[error("the member between is not connected to it")]
    NotLinked,
    /// Too many are open.
    #[error("the member between carries all that it can")]
    Busy,
    /// Somebody is no member, as far as who was asked knows.
    #[error("one of both is no member there")]
    NotAdmitted,
    /// A later version says something else.
    #[error("it was refused")]
    Other,
}

impl Refusal {
    /// On the wire.
    pub fn byte(&self) -> u8 {
        match self {
            Self::NotLinked => 1,
            Self::Busy => 2,
            Self::NotAdmitted => 3,
            Self::Other => u8::MAX,
        }
    }

    /// Reads that; none where it was not refused.
    pub fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => None,
            1 => Some(Self::NotLinked),
            2 => Some(Self::Busy),
            3 => Some(Self::NotAdmitted),
            _ => Some(Self::Other),
        }
    }
}

/// How many ways are carried, for whom.
#[derive(Debug, Clone, Default)]
pub struct Carried(Arc<Mutex<BTreeMap<NodeId, usize>>>);

/// One of them; its end makes room.
#[derive(Debug)]
pub struct Slot {
    of: Carried,
    ends: [NodeId; 2],
    /// Both connections are kept meanwhile.
    _held: [Option<Arc<()>>; 2],
}

impl Carried {
    /// Room for one more between two members; `hold` keeps the connection to one.
    pub fn slot(&self, ends: [NodeId; 2], mut hold: impl FnMut(NodeId) -> Option<Arc<()>>) -> Option<Slot> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let few = |node: &NodeId| counts.get(node).copied().unwrap_or(0) < MAX_CARRIED_FOR_ONE;
        // Each has two ends.
        let room = counts.values().sum::<usize>() < 2 * MAX_CARRIED && ends.iter().all(few);
        room.then(|| {
            for node in ends {
                *counts.entry(node).or_default() += 1;
            }
            Slot { of: self.clone(), ends, _held: ends.map(&mut hold) }
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        for node in self.ends {
            if let Some(count) = counts.get_mut(&node) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&node);
                }
            }
        }
    }
}

/// Joins the stream of `from`, which came over `conn`, to one of its own on the way on, and moves bytes until one of both ends.
///
/// # Errors
/// It was refused, or a stream broke.
pub async fn carry(
    conn: &Connection,
    mut send: SendStream,
    mut recv: RecvStream,
    from: NodeId,
    way_on: std::result::Result<(Connection, Slot), Refusal>,
) -> Result<()> {
    let opened = match way_on {
        Ok((onward, slot)) if is_direct(&onward) => {
            let opened = timeout(OPEN_TIMEOUT, bring(&onward, from)).await.context("the other end did not answer").flatten();
            opened.map(|streams| (streams, onward, slot)).map_err(|error| error.downcast::<Refusal>().unwrap_or(Refusal::NotLinked))
        }
        Ok(_) => Err(Refusal::NotLinked),
        Err(refusal) => Err(refusal),
    };
    let ((mut onward_send, mut onward_recv), onward, _slot) = match opened {
        Ok(opened) => opened,
        Err(refusal) => {
            send.write_all(&[refusal.byte()]).await?;
            send.finish()?;
            return Err(refusal.into());
        }
    };
    send.write_all(&[0]).await?;
    tokio::select! {
        there = tokio::io::copy(&mut recv, &mut onward_send) => drop(there?),
        back = tokio::io::copy(&mut onward_recv, &mut send) => drop(back?),
        () = until_indirect([conn, &onward]) => anyhow::bail!("one of both is not reached directly any more"),
    }
    Ok(())
}

/// Opens the stream to the other end.
async fn bring(onward: &Connection, from: NodeId) -> Result<(SendStream, RecvStream)> {
    let (mut send, mut recv) = onward.open_bi().await?;
    send.write_all(&[exchange::KIND_BROUGHT]).await?;
    send.write_all(&from.0).await?;
    let mut answer = [0];
    recv.read_exact(&mut answer).await?;
    let refused = Refusal::of(answer[0]);
    ensure!(refused.is_none(), refused.unwrap_or(Refusal::Other));
    Ok((send, recv))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    #[test]
    fn one_member_can_not_have_all_ways_and_each_end_makes_room() {
        let carried = Carried::default();
        let of = |from: u8, to: u8| carried.slot([Key([from; 32]), Key([to; 32])], |_| None);
        let first: Vec<Slot> = (2..=200).filter_map(|to| of(1, to)).collect();
        assert_eq!(first.len(), MAX_CARRIED_FOR_ONE);
        let second: Vec<Slot> = (2..=200).filter_map(|from| of(from, 201)).collect();
        assert_eq!(second.len(), MAX_CARRIED_FOR_ONE, "one that many want to reach");
        assert!(of(1, 250).is_none() && of(250, 201).is_none());
        let mut others: Vec<Slot> = (20..=120).filter_map(|from| of(from, from + 100)).collect();
        assert_eq!(first.len() + second.len() + others.len(), MAX_CARRIED);
        others.pop();
        assert!(of(17, 18).is_some());
        drop((first, second, others));
        assert!(carried.0.lock().unwrap().is_empty());
    }

    #[test]
    fn refusals_are_read_back_and_unknown_ones_refuse() {
        for refusal in [Refusal::NotLinked, Refusal::Busy, Refusal::NotAdmitted, Refusal::Other] {
            assert_eq!(Refusal::of(refusal.byte()), Some(refusal));
        }
        assert_eq!(Refusal::of(0), None);
        assert!((1..=u8::MAX).all(|byte| Refusal::of(byte).is_some()));
    }
}
