//! Two members compare their rosters over one stream and give each other what is missing.
//!
//! `opener: Open` → `answerer: Same`, or `Marks` → `opener: Give` → `answerer: Items`. Each message is one frame
//! of at most [`MAX_FRAME_BYTES`]. What does not fit stays for the next time: both sides come closer with each.

use crate::{
    roster::{Item, Mark, Roster},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Longest frame in bytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// Most items in a frame.
pub const MAX_ITEMS: usize = 300;
/// Most marks in a frame.
pub const MAX_MARKS: usize = 12_000;

/// The opener's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The opener's digest.
    pub digest: [u8; 32],
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The rosters are equal.
    Same,
    /// The answerer's marks.
    Marks(Vec<Mark>),
}

/// The opener's second frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Give {
    /// What the answerer lacks.
    pub items: Vec<Item>,
    /// What the opener lacks.
    pub want: Vec<Mark>,
}

/// The last frame: what the opener asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items(pub Vec<Item>);

/// A frame as bytes.
#[must_use]
pub fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    wire::encode(message)
}

/// Reads a frame.
///
/// # Errors
/// Too long, another version, malformed.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    wire::decode(bytes, MAX_FRAME_BYTES)
}

/// Starts.
#[must_use]
pub fn open(roster: &Roster) -> Open {
    Open { digest: roster.digest() }
}

/// Answers.
#[must_use]
pub fn answer(roster: &Roster, open: &Open) -> Answer {
    if roster.digest() == open.digest {
        return Answer::Same;
    }
    let mut marks = roster.marks();
    marks.truncate(MAX_MARKS);
    Answer::Marks(marks)
}

/// Gives and asks.
#[must_use]
pub fn give(roster: &Roster, theirs: &[Mark]) -> Give {
    let known: std::collections::BTreeSet<&Mark> = theirs.iter().collect();
    let items = fitting(roster.items(|mark| !known.contains(mark)));
    let mut want = roster.lacks(theirs);
    want.truncate(MAX_ITEMS);
    Give { items, want }
}

/// Gives what was asked for.
#[must_use]
pub fn items(roster: &Roster, want: &[Mark]) -> Items {
    let wanted: std::collections::BTreeSet<&Mark> = want.iter().take(MAX_ITEMS).collect();
    Items(fitting(roster.items(|mark| wanted.contains(mark))))
}

/// As many as a frame has room for, beside the marks of what is asked for.
fn fitting(mut items: Vec<Item>) -> Vec<Item> {
    let mut left = MAX_FRAME_BYTES - MAX_ITEMS * size_of::<Mark>() - 1024;
    let fitting = items.iter().take(MAX_ITEMS).map_while(|item| {
        left = left.checked_sub(wire::encode(item).len())?;
        Some(())
    });
    let count = fitting.count();
    items.truncate(count);
    items
}

/// Takes items. True if something changed; statements that do not verify are counted and left out.
pub fn take(roster: &mut Roster, items: Vec<Item>) -> (bool, usize) {
    roster.merge_all(items.into_iter().take(MAX_ITEMS))
}
