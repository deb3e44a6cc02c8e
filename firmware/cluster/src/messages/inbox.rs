//! The receiver's side: each message takes effect once, whatever comes twice, late or after a restart.

use super::{
    Refusal,
    frame::{self, Answer, Deliver, LineId, MAX_ITEMS, MessageId, Verdict},
};
use crate::{
    keys::NodeId,
    store::{Batch, Store, StoreError, Sync, Table},
    wire,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest row of a sender: its marks, each with a reason at most.
const MAX_ROW_BYTES: usize = MAX_ITEMS * (frame::MAX_WHY_BYTES + 64) + 64;

/// A message that takes effect now.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Who sent it.
    pub from: NodeId,
    /// Its name.
    pub id: MessageId,
    /// What it is about.
    pub kind: u16,
    /// What it says: from outside, so to be checked.
    pub body: &'a [u8],
}

/// What a handler makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// Its effects are to be kept.
    Done,
    /// It has none, and will have none when it comes again.
    Refuse(Refusal),
    /// Not now: it comes again.
    Later,
}

/// Where a handler puts what a message brings about: it is committed together with the mark.
pub struct Effects<'a> {
    store: &'a dyn Store,
    batch: &'a mut Batch,
}

impl fmt::Debug for Effects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects").field("changes", &self.batch.changes.len()).finish_non_exhaustive()
    }
}

impl Effects<'_> {
    /// What lies under a key, with what this and the messages before it in the frame changed.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let changed = self.batch.changes.iter().rev().find(|(table, of, _)| *table == Table::Effects && of == key);
        changed.map_or_else(|| self.store.get(Table::Effects, key), |(_, _, value)| Ok(value.clone()))
    }

    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.batch.put(Table::Effects, key, value);
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.batch.remove(Table::Effects, key);
    }
}

/// What is kept of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    line: LineId,
    /// Up to this nothing is new.
    last: u64,
    /// Of what the sender may ask about again; up to `last`, the rest has its outcome.
    marks: Vec<(u64, MessageId, Verdict)>,
}

/// The receiver's side.
#[derive(Debug, Default)]
pub struct Inbox {
    malformed: u64,
    past: u64,
    mark_apart: bool,
}

impl Inbox {
    /// Frames that could not be read.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Frames that came after the line had gone on.
    #[must_use]
    pub fn past(&self) -> u64 {
        self.past
    }

    /// Commits marks apart from effects. Only for the test that proves that the one commit is what counts.
    #[doc(hidden)]
    pub fn mark_apart(&mut self) {
        self.mark_apart = true;
    }

    /// Takes a frame of a member and answers it. `handle` decides on each message that is new and puts its effects
    /// down; it may be asked again about the same message if the disk did not take them.
    pub fn take<S: Store>(
        &mut self,
        store: &mut S,
        from: NodeId,
        bytes: &[u8],
        handle: &mut dyn FnMut(&Delivery<'_>, &mut Effects<'_>) -> Take,
    ) -> Vec<u8> {
        let answer = match frame::read_deliver(bytes) {
            Ok(deliver) => self.deliver(store, from, &deliver, handle).unwrap_or(Answer::Busy),
            Err(_) => {
                self.malformed += 1;
                Answer::Unknown
            }
        };
        frame::frame(&answer)
    }

    fn deliver<S: Store>(
        &mut self,
        store: &mut S,
        from: NodeId,
        deliver: &Deliver,
        handle: &mut dyn FnMut(&Delivery<'_>, &mut Effects<'_>) -> Take,
    ) -> Result<Answer, StoreError> {
        let kept = store.get(Table::Inbox, &from.0)?;
        let kept = match kept.map(|bytes| wire::decode::<Row>(&bytes, MAX_ROW_BYTES)) {
            None => None,
            Some(Ok(row)) => Some(row),
            Some(Err(error)) => return Err(StoreError::Corrupt(format!("the marks of {}: {error}", from.short()))),
        };
        let (mut row, known) = match place(kept, deliver) {
            Ok(placed) => placed,
            Err(generation) => {
                self.past += 1;
                return Ok(Answer::Past { generation });
            }
        };
        let before = known.len();
        let mut verdicts = known;
        let mut batch = Batch::default();
        for item in &deliver.items[verdicts.len()..] {
            let changes = batch.changes.len();
            let delivery = Delivery { from, id: item.id, kind: item.kind, body: &item.body };
            let verdict = match handle(&delivery, &mut Effects { store, batch: &mut batch }) {
                Take::Done => Verdict::Done,
                Take::Refuse(refusal) => {
                    batch.changes.truncate(changes);
                    Verdict::Refused(Refusal::new(refusal.code, &refusal.why))
                }
                Take::Later => {
                    batch.changes.truncate(changes);
                    break;
                }
            };
            row.last = item.number;
            row.marks.push((item.number, item.id, verdict.clone()));
            verdicts.push(verdict);
        }
        if verdicts.len() > before {
            if self.mark_apart {
                store.commit(&std::mem::take(&mut batch), Sync::Now)?;
            }
            batch.put(Table::Inbox, from.0, wire::encode(&row));
            store.commit(&batch, Sync::Now)?;
        }
        Ok(if verdicts.is_empty() { Answer::Busy } else { Answer::Verdicts(verdicts) })
    }
}

/// Where a frame stands to what is known of its sender: the row to go on with and the verdicts on those of its
/// messages, the first ones, that were taken before. If the line has gone on since, or was another card's: the newest
/// generation.
fn place(kept: Option<Row>, deliver: &Deliver) -> Result<(Row, Vec<Verdict>), u64> {
    let (begin, end) = match (deliver.items.first(), deliver.items.last()) {
        (Some(first), Some(last)) => (first.number, last.number),
        _ => return Err(deliver.line.generation),
    };
    let fresh = Row { line: deliver.line, last: begin.saturating_sub(1), marks: Vec::new() };
    let mut row = match kept {
        None => return Ok((fresh, Vec::new())),
        Some(row) if deliver.line.generation > row.line.generation => return Ok((fresh, Vec::new())),
        Some(row) if deliver.line != row.line => return Err(row.line.generation),
        Some(row) => row,
    };
    let mut known = Vec::new();
    for item in deliver.items.iter().take_while(|item| item.number <= row.last) {
        let mark = row.marks.iter().find(|(number, id, _)| *number == item.number && *id == item.id);
        let Some((.., verdict)) = mark else { return Err(row.line.generation) };
        known.push(verdict.clone());
    }
    // What the sender left out has its outcome; what comes after this frame was in a later one.
    row.marks.retain(|(number, ..)| *number > end || deliver.items.iter().any(|item| item.number == *number));
    Ok((row, known))
}
