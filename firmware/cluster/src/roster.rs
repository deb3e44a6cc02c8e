//! Who belongs to the community, as far as this node knows: certificates and cards, as a set that merges.
//!
//! The set only grows by statements that verify, so two rosters that exchanged what they lack are equal,
//! whatever came first. An item's mark is a 16-byte hash; the digest hashes all marks.

use crate::{
    admission::{Certificate, Founding, Refusal},
    card::Card,
    clock::Clock,
    keys::{Key, NodeId},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most members that a roster holds.
pub const MAX_MEMBERS: usize = 4096;
/// Most certificates kept of one node: it may have been invited again.
pub const MAX_CERTIFICATES_PER_NODE: usize = 4;
/// Longest roster in bytes, on disk.
pub const MAX_ROSTER_BYTES: usize = 12 * 1024 * 1024;

/// The hash that stands for an item when rosters are compared.
pub type Mark = [u8; 16];

/// One statement of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A node was admitted.
    Certificate(Certificate),
    /// What a node says of itself.
    Card(Card),
}

/// How a node stands to the community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No certificate of it is known.
    Stranger,
    /// Admitted.
    Member,
    /// Admitted only by invites that were used more often than allowed.
    Suspended,
}

/// The certificates and cards of a community.
#[derive(Debug, Clone)]
pub struct Roster {
    founding: Founding,
    certificates: BTreeMap<NodeId, BTreeMap<Key, (Mark, Certificate)>>,
    /// Which nodes used an invite, and how many may.
    uses: BTreeMap<Key, (u16, BTreeSet<NodeId>)>,
    cards: BTreeMap<NodeId, (Mark, Card)>,
    marks: BTreeSet<Mark>,
}

impl Item {
    /// The item's mark. For a certificate it names node and invite only, so that signing anew changes nothing.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let named = match self {
            Self::Certificate(certificate) => wire::encode(&(0_u8, certificate.node(), certificate.invite().key())),
            Self::Card(card) => wire::encode(&(1_u8, card)),
        };
        let mut mark = [0; 16];
        mark.copy_from_slice(&Sha256::digest(named)[..16]);
        mark
    }
}

impl Roster {
    /// An empty roster of a community.
    #[must_use]
    pub fn new(founding: Founding) -> Self {
        Self { founding, certificates: BTreeMap::new(), uses: BTreeMap::new(), cards: BTreeMap::new(), marks: BTreeSet::new() }
    }

    /// The community.
    #[must_use]
    pub fn founding(&self) -> &Founding {
        &self.founding
    }

    /// Lets a node in that shows its certificate itself, or says why not. Known certificates stay good.
    /// True if it was new.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(&mut self, certificate: Certificate, clock: &Clock) -> Result<bool, Refusal> {
        let (node, invite) = (certificate.node(), certificate.invite().clone());
        let known = self.certificates.get(&node).is_some_and(|all| all.contains_key(&invite.key()));
        if !known {
            certificate.verify(&self.founding)?;
            invite.in_time(clock)?;
            let used = self.uses.get(&invite.key()).map_or(0, |(_, nodes)| nodes.len());
            if used >= usize::from(invite.terms().uses) {
                return Err(Refusal::Used { uses: invite.terms().uses });
            }
        }
        let new = self.merge(Item::Certificate(certificate))?;
        match self.standing(&node) {
            Standing::Member => Ok(new),
            Standing::Suspended | Standing::Stranger => Err(Refusal::Suspended),
        }
    }

    /// Takes a statement that came from a member. Time and number of uses were for the one who admitted:
    /// overuse shows in [`Roster::standing`]. True if something changed.
    ///
    /// # Errors
    /// It does not verify, or there is no room.
    pub fn merge(&mut self, item: Item) -> Result<bool, Refusal> {
        if self.marks.contains(&item.mark()) {
            return Ok(false);
        }
        let mark = item.mark();
        match item {
            Item::Certificate(certificate) => {
                certificate.verify(&self.founding)?;
                let full = self.certificates.len() >= MAX_MEMBERS;
                if full && !self.certificates.contains_key(&certificate.node()) {
                    return Err(Refusal::Full);
                }
                let of_node = self.certificates.entry(certificate.node()).or_default();
                if of_node.len() >= MAX_CERTIFICATES_PER_NODE {
                    return Err(Refusal::TooMany("certificates of one node"));
                }
                let uses = self.uses.entry(certificate.invite().key()).or_insert((u16::MAX, BTreeSet::new()));
                // One invite key under two terms is an admin's foul play: the narrower holds, whatever came first.
                uses.0 = uses.0.min(certificate.invite().terms().uses);
                uses.1.insert(certificate.node());
                of_node.insert(certificate.invite().key(), (mark, certificate));
            }
            Item::Card(card) => {
                if !self.certificates.contains_key(&card.node()) {
                    return Err(Refusal::Stranger(card.node()));
                }
                let old = self.cards.get(&card.node());
                if old.is_some_and(|(old_mark, old)| (old.order(), *old_mark) >= (card.order(), mark)) {
                    return Ok(false);
                }
                card.verify()?;
                if let Some((old_mark, _)) = self.cards.insert(card.node(), (mark, card)) {
                    self.marks.remove(&old_mark);
                }
            }
        }
        self.marks.insert(mark);
        Ok(true)
    }

    /// How a node stands.
    #[must_use]
    pub fn standing(&self, node: &NodeId) -> Standing {
        match self.certificates.get(node) {
            None => Standing::Stranger,
            Some(all) if all.keys().any(|invite| !self.overused(invite)) => Standing::Member,
            Some(_) => Standing::Suspended,
        }
    }

    fn overused(&self, invite: &Key) -> bool {
        self.uses.get(invite).is_some_and(|(allowed, nodes)| nodes.len() > usize::from(*allowed))
    }

    /// All nodes with a certificate, whatever their standing.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.certificates.keys().copied()
    }

    /// The nodes that are admitted now.
    #[must_use]
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.nodes().filter(|node| self.standing(node) == Standing::Member).collect()
    }

    /// A certificate of a node to show to others; one that is not overused if there is one.
    #[must_use]
    pub fn certificate(&self, node: &NodeId) -> Option<&Certificate> {
        let all = self.certificates.get(node)?;
        all.iter().find(|(invite, _)| !self.overused(invite)).or_else(|| all.iter().next()).map(|(_, (_, certificate))| certificate)
    }

    /// A node's newest card.
    #[must_use]
    pub fn card(&self, node: &NodeId) -> Option<&Card> {
        self.cards.get(node).map(|(_, card)| card)
    }

    /// A hash over all marks: equal digests mean equal rosters.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for mark in &self.marks {
            hash.update(mark);
        }
        hash.finalize().into()
    }

    /// The marks of all items.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.marks.iter().copied().collect()
    }

    /// Of `theirs`, those that are not here.
    #[must_use]
    pub fn lacks(&self, theirs: &[Mark]) -> Vec<Mark> {
        theirs.iter().filter(|mark| !self.marks.contains(*mark)).copied().collect()
    }

    /// The items whose mark `wanted` says yes to; certificates come before cards.
    #[must_use]
    pub fn items(&self, wanted: impl Fn(&Mark) -> bool) -> Vec<Item> {
        let certificates = self.certificates.values().flat_map(BTreeMap::values);
        let certificates = certificates.filter(|(mark, _)| wanted(mark)).map(|(_, certificate)| Item::Certificate(certificate.clone()));
        let cards = self.cards.values().filter(|(mark, _)| wanted(mark));
        certificates.chain(cards.map(|(_, card)| Item::Card(card.clone()))).collect()
    }

    /// The roster as bytes, for the disk.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(&(&self.founding, self.items(|_| true)))
    }

    /// Reads a roster from disk; every statement is verified again.
    ///
    /// # Errors
    /// Malformed, or a statement does not verify.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let (founding, items): (Founding, Vec<Item>) =
            wire::decode(bytes, MAX_ROSTER_BYTES).map_err(|error: WireError| Refusal::Wire(error))?;
        founding.verify()?;
        let mut roster = Self::new(founding);
        for item in items {
            roster.merge(item)?;
        }
        Ok(roster)
    }
}
