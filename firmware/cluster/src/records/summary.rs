//! What members tell each other in single datagrams: the root of their view, who is known to hold it, and news.

use super::{head::Head, view::Root};
use crate::{
    keys::NodeId,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// First byte of such a datagram; the membership's begin with another.
pub const DATAGRAM: u8 = 0x52;
/// Most bytes of a bitmap: one bit for each of 4,096 members.
const MAX_BITMAP_BYTES: usize = 512;

/// A datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datagram {
    /// My view, and who holds the same as far as I heard.
    Summary {
        /// The root.
        root: Root,
        /// Bit i: the i-th member in the order of ids. It means something only where the members are the same,
        /// and then the root, which covers them, is.
        holders: Vec<u8>,
        /// Answer with a summary.
        ask: bool,
    },
    /// A head that is new; its records can be had from me.
    News(Box<Head>),
}

impl Datagram {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[DATAGRAM], wire::encode(self).as_slice()].concat()
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// Not one of these, too long, another version, malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let Some((&DATAGRAM, body)) = bytes.split_first() else {
            return Err(WireError::Malformed);
        };
        match wire::decode(body, crate::membership::MAX_DATAGRAM_BYTES)? {
            Self::Summary { holders, .. } if holders.len() > MAX_BITMAP_BYTES => Err(WireError::Malformed),
            datagram => Ok(datagram),
        }
    }
}

/// Who is known to have held a root. For people: nothing depends on it, since a member may lie.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    root: Root,
    bits: Vec<u8>,
}

impl Holders {
    /// Starts anew if the root is another; this node holds it for certain.
    pub fn hold(&mut self, root: Root, members: &BTreeSet<NodeId>, me: &NodeId) {
        if root != self.root {
            self.root = root;
            self.bits = vec![0; members.len().div_ceil(8).min(MAX_BITMAP_BYTES)];
            self.mark(members, me);
        }
    }

    /// A member said that it holds a root, and who else does.
    pub fn hear(&mut self, root: &Root, bits: &[u8], members: &BTreeSet<NodeId>, from: &NodeId) {
        if *root == self.root {
            for (own, theirs) in self.bits.iter_mut().zip(bits) {
                *own |= theirs;
            }
            self.mark(members, from);
        }
    }

    fn mark(&mut self, members: &BTreeSet<NodeId>, node: &NodeId) {
        let Some(index) = members.iter().position(|member| member == node) else { return };
        if let Some(byte) = self.bits.get_mut(index / 8) {
            *byte |= 1 << (index % 8);
        }
    }

    /// The bitmap, to be passed on.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Who holds the root.
    #[must_use]
    pub fn nodes(&self, members: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let set = |index: usize| self.bits.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0);
        members.iter().enumerate().filter(|(index, _)| set(*index)).map(|(_, node)| *node).collect()
    }
}
