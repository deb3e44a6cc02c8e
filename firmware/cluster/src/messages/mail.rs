//! What came and waits for the one who acts on it: messages as rows of the store, taken away when their work is done.
//!
//! A message's effect is its row, committed with the mark against taking it twice. Whoever acts on a row may find it
//! again after a crash in between, so acting on it twice must be acting on it once. Rows of one sender are numbered:
//! they are acted on in the order in which they were sent.

use super::{Delivery, Effects, Refusal, Take};
use crate::{
    keys::{Key, NodeId},
    store::{Batch, Store, StoreError, Sync, Table},
    wire,
};
use std::ops::ControlFlow;

/// Messages of one member that may wait here; those beyond wait where they came from.
pub const MAX_MAIL_PER_PEER: usize = 64;
/// Of all members.
pub const MAX_MAIL: usize = 256;
/// Longest row: a kind and a body.
const MAX_ROW_BYTES: usize = super::MAX_BODY_BYTES + 16;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who sent it.
    pub from: NodeId,
    /// Its place among those of its sender that wait.
    pub number: u64,
    /// What it is about.
    pub kind: u16,
    /// What it says: from outside, so to be checked.
    pub body: Vec<u8>,
}

/// What waits already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    of_all: usize,
    of_sender: usize,
    last: u64,
}

fn key(from: &NodeId, number: u64) -> Vec<u8> {
    [from.0.as_slice(), &number.to_be_bytes()].concat()
}

fn named(key: &[u8]) -> Option<(NodeId, u64)> {
    let (from, number) = key.split_at_checked(32)?;
    Some((Key(from.try_into().ok()?), u64::from_be_bytes(number.try_into().ok()?)))
}

/// What waits, of a member and of all.
///
/// # Errors
/// The store can't be read.
pub fn room(store: &impl Store, sender: &NodeId) -> Result<Room, StoreError> {
    let mut room = Room::default();
    store.scan(Table::Effects, &[], &mut |key, _| {
        room.of_all += 1;
        if let Some((from, number)) = named(key)
            && from == *sender
        {
            room.of_sender += 1;
            room.last = room.last.max(number);
        }
        ControlFlow::Continue(())
    })?;
    Ok(room)
}

/// Keeps a message, if somebody here knows its kind and there is room; none where that can't be told now.
pub fn keep(delivery: &Delivery<'_>, effects: &mut Effects<'_>, known: &[u16], room: Option<&mut Room>) -> Take {
    if !known.contains(&delivery.kind) {
        return Take::Refuse(Refusal::new(Refusal::KIND, "this node's version knows nothing of this kind of message"));
    }
    let Some(room) = room.filter(|room| room.of_sender < MAX_MAIL_PER_PEER && room.of_all < MAX_MAIL) else { return Take::Later };
    *room = Room { of_all: room.of_all + 1, of_sender: room.of_sender + 1, last: room.last + 1 };
    effects.put(key(&delivery.from, room.last), wire::encode(&(delivery.kind, delivery.body)));
    Take::Done
}

/// All that waits: by sender, and of each in its order.
///
/// # Errors
/// The store can't be read.
pub fn all(store: &impl Store) -> Result<Vec<Mail>, StoreError> {
    let mut all = Vec::new();
    store.scan(Table::Effects, &[], &mut |key, row| {
        // What can't be read is no message of this version's.
        if let (Some((from, number)), Ok((kind, body))) = (named(key), wire::decode::<(u16, Vec<u8>)>(row, MAX_ROW_BYTES)) {
            all.push(Mail { from, number, kind, body });
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Takes away what was acted on. After a power cut it may be there again.
///
/// # Errors
/// The store can't be written.
pub fn done(store: &mut impl Store, mail: &[(NodeId, u64)]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    mail.iter().for_each(|(from, number)| batch.remove(Table::Effects, key(from, *number)));
    store.commit(&batch, Sync::Later)
}
