//! How the sender's side lies on disk: lines by member, messages by member and number, outcomes by age.

use super::{Line, Outcome, Sent, Waiting};
use crate::{
    clock::Millis,
    keys::NodeId,
    messages::{
        MAX_BODY_BYTES,
        frame::{LineId, MAX_WHY_BYTES, MessageId},
    },
    store::{Store, StoreError, Table},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

const LINES: u8 = 0;
const MESSAGES: u8 = 1;
const SETTLED: u8 = 2;
/// What a row may have beyond a body.
const OVERHEAD_BYTES: usize = 128;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptLine {
    pub(super) id: LineId,
    pub(super) next: u64,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) id: MessageId,
    pub(super) kind: u16,
    /// What its time is, in milliseconds, as of the last time that this was written down.
    pub(super) left_ms: u64,
    pub(super) body: Vec<u8>,
}

/// An outcome.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settled {
    pub(super) to: NodeId,
    pub(super) id: MessageId,
    pub(super) kind: u16,
    pub(super) outcome: Outcome,
}

impl KeptLine {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }
}

impl Kept {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes, MAX_BODY_BYTES + OVERHEAD_BYTES)
    }
}

impl Settled {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }
}

pub(super) fn line_key(to: &NodeId) -> Vec<u8> {
    [&[LINES], to.0.as_slice()].concat()
}

pub(super) fn message_key(to: &NodeId, number: u64) -> Vec<u8> {
    [&[MESSAGES], to.0.as_slice(), &number.to_be_bytes()].concat()
}

pub(super) fn settled_key(number: u64) -> Vec<u8> {
    [&[SETTLED], number.to_be_bytes().as_slice()].concat()
}

/// The lines with what waits in them. A row that can't be read is an error: it stands for a message that was promised.
pub(super) fn lines(now: Millis, store: &impl Store) -> Result<BTreeMap<NodeId, Line>, StoreError> {
    let mut lines = BTreeMap::new();
    let mut damaged = None;
    store.scan(Table::Outbox, &[LINES], &mut |key, value| {
        let to = key.get(1..).and_then(|to| to.try_into().ok()).map(crate::keys::Key);
        match (to, wire::decode::<KeptLine>(value, OVERHEAD_BYTES)) {
            (Some(to), Ok(kept)) => {
                let mut line = Line::new(now, kept.id);
                line.next = kept.next;
                lines.insert(to, line);
            }
            _ => damaged = Some("a line of messages"),
        }
        ControlFlow::Continue(())
    })?;
    store.scan(Table::Outbox, &[MESSAGES], &mut |key, value| {
        let place = key.get(1..33).and_then(|to| to.try_into().ok()).map(crate::keys::Key);
        let number = key.get(33..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        let line = place.and_then(|to| lines.get_mut(&to));
        match (line, number, Kept::from_bytes(value)) {
            (Some(line), Some(number), Ok(kept)) => {
                let deadline = now.plus(Duration::from_millis(kept.left_ms));
                let waiting = Waiting { id: kept.id, kind: kept.kind, bytes: kept.body.len(), deadline, sent: Sent::Perhaps };
                line.waiting.insert(number, waiting);
            }
            _ => damaged = Some("a message that waits"),
        }
        ControlFlow::Continue(())
    })?;
    damaged.map_or(Ok(lines), |what| Err(StoreError::Corrupt(format!("{what} can't be read"))))
}

/// The number of the next outcome.
pub(super) fn next_settled(store: &impl Store) -> Result<u64, StoreError> {
    let mut next = 0;
    store.scan(Table::Outbox, &[SETTLED], &mut |key, _| {
        let number = key.get(1..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        next = number.map_or(next, |number| next.max(number.saturating_add(1)));
        ControlFlow::Continue(())
    })?;
    Ok(next)
}

pub(super) fn outcome(store: &impl Store, id: &MessageId) -> Result<Option<(NodeId, Outcome)>, StoreError> {
    let mut found = None;
    store.scan(Table::Outbox, &[SETTLED], &mut |_, value| match wire::decode::<Settled>(value, OVERHEAD_BYTES + MAX_WHY_BYTES) {
        Ok(settled) if settled.id == *id => {
            found = Some((settled.to, settled.outcome));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    Ok(found)
}
