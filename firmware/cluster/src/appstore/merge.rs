//! Putting shares together, and what a write makes of a node's own share: pure functions of the shares of a key.

use super::entry::{Dot, Entry, MAX_ELEMENT_BYTES, MAX_OVER, MAX_REGISTER_BYTES};
use crate::{keys::NodeId, records::record::MAX_VALUE_BYTES, wire};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The shares of a key by node.
pub type Shares = BTreeMap<NodeId, Entry>;

/// What all shares of a key say together. More than one of the three where writers did not agree on the type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// The concurrent values of a register, in the order of their writers; usually one.
    pub values: Vec<Vec<u8>>,
    /// The sum of a counter.
    pub counter: Option<i128>,
    /// The elements of a set.
    pub set: Option<BTreeSet<Vec<u8>>>,
    /// The causal context: changes whenever what is above does, and with each write of a register.
    pub etag: ETag,
}

/// A causal context: what a reader has seen of a key.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ETag(pub [u8; 16]);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

impl std::str::FromStr for ETag {
    type Err = wire::WireError;
    fn from_str(text: &str) -> Result<Self, wire::WireError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| wire::WireError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| wire::WireError::Malformed)
    }
}

impl Value {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.counter.is_none() && self.set.is_none()
    }

    /// Bytes of all values and elements.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.iter().chain(self.set.iter().flatten()).map(Vec::len).sum()
    }
}

/// Writes of registers that another share replaced.
fn replaced(shares: &Shares) -> BTreeSet<(NodeId, Dot)> {
    let over = |entry: &Entry| match entry {
        Entry::Register { over, .. } => over.clone(),
        _ => Vec::new(),
    };
    shares.values().flat_map(over).collect()
}

/// Elements of sets that another share took away.
fn gone(shares: &Shares) -> BTreeSet<(NodeId, Dot)> {
    let gone = |entry: &Entry| match entry {
        Entry::Set { gone, .. } => gone.clone(),
        _ => Vec::new(),
    };
    shares.values().flat_map(gone).collect()
}

/// What the shares say together.
#[must_use]
pub fn value(shares: &Shares) -> Value {
    let (replaced, gone) = (replaced(shares), gone(shares));
    let mut value = Value::default();
    let mut live: Vec<(NodeId, Dot)> = Vec::new();
    for (node, entry) in shares {
        match entry {
            Entry::Register { dot, value: said, .. } if !replaced.contains(&(*node, *dot)) => {
                if let Some(said) = said {
                    live.push((*node, *dot));
                    value.values.push(said.clone());
                }
            }
            Entry::Register { .. } => {}
            Entry::Counter { up, down } => *value.counter.get_or_insert(0) += i128::from(*up) - i128::from(*down),
            Entry::Set { adds, .. } => {
                let set = value.set.get_or_insert_default();
                for (dot, element) in adds.iter().filter(|(dot, _)| !gone.contains(&(*node, *dot))) {
                    live.push((*node, *dot));
                    set.insert(element.clone());
                }
            }
        }
    }
    // A deleted register says nothing of itself, so that tidying up its share changes nothing.
    let hash = Sha256::digest(wire::encode(&(live, value.counter.map(i128::to_be_bytes), &value.values)));
    value.etag.0.copy_from_slice(&hash[..16]);
    value
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The register is this, in place of all that is shown here.
    Put(Vec<u8>),
    /// The register is nothing.
    Delete,
    /// The counter is so much more.
    Add(i64),
    /// An element is in the set.
    Insert(Vec<u8>),
    /// An element is not in the set, as far as it is shown here.
    Take(Vec<u8>),
}

/// Why a share can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Another type.
    #[error("it is a {is} already, so it can't be used as a {wanted}")]
    OtherType {
        /// What it is.
        is: &'static str,
        /// What it would be.
        wanted: &'static str,
    },
    /// Too long.
    #[error("{bytes} bytes, where {limit} are allowed")]
    TooLong {
        /// Bytes.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More concurrent values than one write can replace.
    #[error("{0} nodes wrote it at once, where one write can replace {MAX_OVER}: try again in a minute, when they have tidied up")]
    Crowded(usize),
    /// A counter's end.
    #[error("the counter can't count further on this node")]
    CountedOut,
}

/// What `me`'s share becomes by a change made with `dot`; none if it has none any more.
///
/// # Errors
/// See [`ShareError`]; nothing changes.
pub fn apply(shares: &Shares, me: &NodeId, dot: Dot, change: &Change) -> Result<Option<Entry>, ShareError> {
    let wanted = match change {
        Change::Put(_) | Change::Delete => "register",
        Change::Add(_) => "counter",
        Change::Insert(_) | Change::Take(_) => "set",
    };
    let shown = value(shares);
    let others = shares.values().map(Entry::word).find(|word| *word != wanted);
    if let Some(is) = others.filter(|_| !shown.is_empty()) {
        return Err(ShareError::OtherType { is, wanted });
    }
    let own = shares.get(me).filter(|entry| entry.word() == wanted);
    let entry = match change {
        Change::Put(value) => register(shares, me, dot, Some(value.clone()))?,
        Change::Delete => register(shares, me, dot, None)?,
        Change::Add(by) => {
            let (up, down) = match own {
                Some(Entry::Counter { up, down }) => (*up, *down),
                _ => (0, 0),
            };
            let (more, less) = if *by >= 0 { (by.unsigned_abs(), 0) } else { (0, by.unsigned_abs()) };
            let added = up.checked_add(more).zip(down.checked_add(less));
            let (up, down) = added.ok_or(ShareError::CountedOut)?;
            Some(Entry::Counter { up, down })
        }
        Change::Insert(element) => {
            too_long(element.len(), MAX_ELEMENT_BYTES)?;
            let (mut adds, gone) = own_set(shares, me);
            adds.retain(|(_, old)| old != element);
            adds.insert((dot, element.clone()));
            set(adds, gone)?
        }
        Change::Take(element) => {
            let (mut adds, mut out) = own_set(shares, me);
            adds.retain(|(_, old)| old != element);
            let already = gone(shares);
            for (node, entry) in shares.iter().filter(|(node, _)| *node != me) {
                if let Entry::Set { adds, .. } = entry {
                    let these = adds.iter().filter(|(_, other)| other == element).map(|(dot, _)| (*node, *dot));
                    out.extend(these.filter(|name| !already.contains(name)));
                }
            }
            set(adds, out)?
        }
    };
    Ok(entry)
}

fn too_long(bytes: usize, limit: usize) -> Result<(), ShareError> {
    if bytes > limit { Err(ShareError::TooLong { bytes, limit }) } else { Ok(()) }
}

/// A register in place of every write that is here: also of those that are replaced already, since whoever replaced
/// them may have its own share replaced and taken away.
fn register(shares: &Shares, me: &NodeId, dot: Dot, value: Option<Vec<u8>>) -> Result<Option<Entry>, ShareError> {
    too_long(value.as_ref().map_or(0, Vec::len), MAX_REGISTER_BYTES)?;
    let others = shares.iter().filter(|(node, _)| *node != me);
    let over: Vec<(NodeId, Dot)> = others
        .filter_map(|(node, entry)| match entry {
            Entry::Register { dot, .. } => Some((*node, *dot)),
            _ => None,
        })
        .collect();
    if over.len() > MAX_OVER {
        return Err(ShareError::Crowded(over.len()));
    }
    if value.is_none() && over.is_empty() {
        return Ok(None);
    }
    Ok(Some(Entry::Register { dot, over, value }))
}

type Adds = BTreeSet<(Dot, Vec<u8>)>;
type Gone = BTreeSet<(NodeId, Dot)>;

/// `me`'s share of a set without what has become needless: its elements that others took away, and takings of
/// elements that are no more.
fn own_set(shares: &Shares, me: &NodeId) -> (Adds, Gone) {
    let Some(Entry::Set { adds, gone: own }) = shares.get(me) else { return (Adds::new(), Gone::new()) };
    let gone = gone(shares);
    let present = |node: &NodeId, dot: &Dot| match shares.get(node) {
        Some(Entry::Set { adds, .. }) => adds.iter().any(|(of, _)| of == dot),
        _ => false,
    };
    let adds = adds.iter().filter(|(dot, _)| !gone.contains(&(*me, *dot))).cloned().collect();
    (adds, own.iter().filter(|(node, dot)| present(node, dot)).copied().collect())
}

fn set(adds: Adds, gone: Gone) -> Result<Option<Entry>, ShareError> {
    if adds.is_empty() && gone.is_empty() {
        return Ok(None);
    }
    let entry = Entry::Set { adds: adds.into_iter().collect(), gone: gone.into_iter().collect() };
    too_long(entry.to_bytes().len(), MAX_VALUE_BYTES)?;
    Ok(Some(entry))
}

/// `me`'s share without what has become needless; none where it needs no tidying, `Some(None)` where it can go.
#[must_use]
pub fn tidied(shares: &Shares, me: &NodeId) -> Option<Option<Entry>> {
    let own = shares.get(me)?;
    match own {
        Entry::Register { dot, over, value } => {
            let replaced = replaced(shares).contains(&(*me, *dot));
            let present = |node: &NodeId, dot: &Dot| matches!(shares.get(node), Some(Entry::Register { dot: of, .. }) if of == dot);
            let empty = value.is_none() && !over.iter().any(|(node, dot)| present(node, dot));
            (replaced || empty).then_some(None)
        }
        Entry::Counter { up, down } => (*up == 0 && *down == 0).then_some(None),
        Entry::Set { .. } => {
            let (adds, gone) = own_set(shares, me);
            let tidy = set(adds, gone).ok()?;
            (tidy.as_ref() != Some(own)).then_some(tidy)
        }
    }
}
