//! What came and waits for the one who acts on it: messages as rows of the store, taken away when their work is done.
//!
//! A message's effect is its row, committed with the mark against taking it twice. Whoever acts on a row may find it
//! again after a crash in between, so acting on it twice must be acting on it once.

use super::{Delivery, Effects, MessageId, Refusal, Take};
use crate::{
    keys::{Key, NodeId},
    store::{Batch, Store, StoreError, Sync, Table},
    wire,
};
use std::ops::ControlFlow;

/// Messages of one member that may wait here; those beyond wait where they came from.
pub const MAX_MAIL_PER_PEER: usize = 64;
/// Longest row: a kind and a body.
const MAX_ROW_BYTES: usize = super::MAX_BODY_BYTES + 16;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who sent it.
    pub from: NodeId,
    /// Its name.
    pub id: MessageId,
    /// What it is about.
    pub kind: u16,
    /// What it says: from outside, so to be checked.
    pub body: Vec<u8>,
}

fn key(from: &NodeId, id: &MessageId) -> Vec<u8> {
    [from.0.as_slice(), &id.0].concat()
}

/// How many messages of a member wait.
///
/// # Errors
/// The store can't be read.
pub fn count(store: &impl Store, from: &NodeId) -> Result<usize, StoreError> {
    let mut count = 0;
    store.scan(Table::Effects, &from.0, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// Keeps a message, if somebody here knows its kind and there is room: `waiting` counts those of its sender.
pub fn keep(delivery: &Delivery<'_>, effects: &mut Effects<'_>, known: &[u16], waiting: &mut usize) -> Take {
    if !known.contains(&delivery.kind) {
        return Take::Refuse(Refusal::new(Refusal::KIND, "this node's version knows nothing of this kind of message"));
    }
    if *waiting >= MAX_MAIL_PER_PEER {
        return Take::Later;
    }
    *waiting += 1;
    effects.put(key(&delivery.from, &delivery.id), wire::encode(&(delivery.kind, delivery.body)));
    Take::Done
}

/// All that waits, by sender: of each at most [`MAX_MAIL_PER_PEER`].
///
/// # Errors
/// The store can't be read.
pub fn all(store: &impl Store) -> Result<Vec<Mail>, StoreError> {
    let mut all = Vec::new();
    store.scan(Table::Effects, &[], &mut |key, row| {
        let named = key.split_at_checked(32).and_then(|(from, id)| Some((Key(from.try_into().ok()?), MessageId(id.try_into().ok()?))));
        // What can't be read is no message of this version's.
        if let (Some((from, id)), Ok((kind, body))) = (named, wire::decode::<(u16, Vec<u8>)>(row, MAX_ROW_BYTES)) {
            all.push(Mail { from, id, kind, body });
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Takes away what was acted on. After a power cut it may be there again.
///
/// # Errors
/// The store can't be written.
pub fn done(store: &mut impl Store, mail: &[(NodeId, MessageId)]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    mail.iter().for_each(|(from, id)| batch.remove(Table::Effects, key(from, id)));
    store.commit(&batch, Sync::Later)
}
