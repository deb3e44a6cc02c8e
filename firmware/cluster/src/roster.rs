//! Who belongs to the community, as far as this node knows: certificates and cards, as a set that merges.
//!
//! The set only grows by statements that verify, so two rosters that exchanged what they lack are equal,
//! whatever came first. An item's mark is a 16-byte hash; the digest hashes all marks.

use crate::{
    admins::{self, Admins, Appointment, Cuts, MAX_APPOINTMENTS, MAX_FIRST_APPOINTMENTS},
    admission::{Certificate, Founding, Grant, Invite, Refusal},
    card::Card,
    clock::Clock,
    keys::{Key, NodeId},
    revocation::{MAX_STAYING, Revocation, Whom},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most members that a roster holds.
pub const MAX_MEMBERS: usize = 4096;
/// Most certificates kept of one node: it may have been invited again.
pub const MAX_CERTIFICATES_PER_NODE: usize = 4;
/// Most revocations that a roster holds; one that names many nodes counts more.
pub const MAX_REVOCATIONS: usize = 8192;
/// Longest roster in bytes, on disk.
pub const MAX_ROSTER_BYTES: usize = 16 * 1024 * 1024;

/// The hash that stands for an item when rosters are compared.
pub type Mark = [u8; 16];

/// One statement of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A node was admitted.
    Certificate(Certificate),
    /// What a node says of itself.
    Card(Card),
    /// Somebody was taken out.
    Revocation(Revocation),
    /// A node was made an admin.
    Appointment(Appointment),
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
    /// Taken out by an admin.
    Revoked,
}

/// The certificates and cards of a community.
#[derive(Debug, Clone)]
pub struct Roster {
    founding: Founding,
    certificates: BTreeMap<NodeId, BTreeMap<Key, (Mark, Certificate)>>,
    /// Which nodes used an invite, and how many may.
    uses: BTreeMap<Key, (u16, BTreeSet<NodeId>)>,
    cards: BTreeMap<NodeId, (Mark, Card)>,
    revocations: BTreeMap<Mark, Revocation>,
    appointments: BTreeMap<Mark, Appointment>,
    judged: Judged,
    marks: BTreeSet<Mark>,
}

/// What admins' decisions come to, made anew from all of them with each that comes.
#[derive(Debug, Clone)]
struct Judged {
    cuts: Cuts,
    admins: Admins,
    /// Revoked nodes, each with the admins who did it.
    revoked: BTreeMap<NodeId, BTreeSet<Key>>,
    /// Revoked invites, each with the admins who did it and the nodes that stay.
    closed: BTreeMap<Key, Vec<(Key, BTreeSet<NodeId>)>>,
}

impl Judged {
    fn of(founder: Key, revocations: &BTreeMap<Mark, Revocation>, appointments: &BTreeMap<Mark, Appointment>) -> Self {
        let cuts = Cuts::of(founder, revocations.iter());
        let admins = Admins::of(&cuts, appointments.iter());
        let mut revoked: BTreeMap<NodeId, BTreeSet<Key>> = BTreeMap::new();
        let mut closed: BTreeMap<Key, Vec<(Key, BTreeSet<NodeId>)>> = BTreeMap::new();
        for (mark, revocation) in revocations {
            let chain = admins::chain(revocation.grants());
            if !cuts.holds(&chain, mark) {
                continue;
            }
            let by = chain.last().copied().unwrap_or(founder);
            match revocation.whom() {
                Whom::Node(node) => drop(revoked.entry(*node).or_default().insert(by)),
                Whom::Invite { key, but } => closed.entry(*key).or_default().push((by, but.iter().copied().collect())),
                Whom::Admin { .. } => {}
            }
        }
        Self { cuts, admins, revoked, closed }
    }
}

impl Item {
    /// The item's mark. For a certificate it names node and invite only, for a revocation who is taken out and by whom, so that signing anew
    /// changes nothing.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let named = match self {
            Self::Certificate(certificate) => wire::encode(&(0_u8, certificate.node(), certificate.invite().key())),
            Self::Card(card) => wire::encode(&(1_u8, card)),
            Self::Revocation(revocation) => wire::encode(&(2_u8, revocation.whom(), admins::chain(revocation.grants()))),
            Self::Appointment(appointment) => return mark_of_appointment(&admins::chain(appointment.grants())),
        };
        short(&named)
    }
}

/// The mark of an appointment by its chain.
pub(crate) fn mark_of_appointment(chain: &[Key]) -> Mark {
    short(&wire::encode(&(3_u8, chain)))
}

/// The mark of an invite as an admin's decision.
fn mark_of_invite(key: &Key) -> Mark {
    short(&wire::encode(&(4_u8, key)))
}

fn short(named: &[u8]) -> Mark {
    let mut mark = [0; 16];
    mark.copy_from_slice(&Sha256::digest(named)[..16]);
    mark
}

impl Roster {
    /// An empty roster of a community.
    #[must_use]
    pub fn new(founding: Founding) -> Self {
        let (certificates, uses, cards, marks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (revocations, appointments) = (BTreeMap::new(), BTreeMap::new());
        let judged = Judged::of(founding.founder(), &revocations, &appointments);
        Self { founding, certificates, uses, cards, revocations, appointments, judged, marks }
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
        if self.is_revoked(&node, &certificate) {
            return Err(Refusal::Revoked);
        }
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
            Standing::Revoked => Err(Refusal::Revoked),
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
            Item::Revocation(revocation) => {
                revocation.verify(&self.founding)?;
                let held: usize = self.revocations.values().map(Revocation::weight).sum();
                if held + revocation.weight() > MAX_REVOCATIONS {
                    return Err(Refusal::TooMany("revocations"));
                }
                self.revocations.insert(mark, revocation);
                self.judge();
            }
            Item::Appointment(appointment) => {
                appointment.verify(&self.founding)?;
                let first = |appointment: &Appointment| appointment.grants().len() == 1;
                let most = if first(&appointment) { MAX_FIRST_APPOINTMENTS } else { MAX_APPOINTMENTS };
                if self.appointments.values().filter(|held| first(held) == first(&appointment)).count() >= most {
                    return Err(Refusal::TooMany("appointments"));
                }
                self.appointments.insert(mark, appointment);
                self.judge();
            }
        }
        self.marks.insert(mark);
        Ok(true)
    }

    fn judge(&mut self) {
        self.judged = Judged::of(self.founding.founder(), &self.revocations, &self.appointments);
    }

    /// How a node stands.
    #[must_use]
    pub fn standing(&self, node: &NodeId) -> Standing {
        let Some(all) = self.certificates.get(node) else { return Standing::Stranger };
        let mut good = all.iter().filter(|(_, (_, certificate))| !self.is_revoked(node, certificate)).peekable();
        if good.peek().is_none() {
            return Standing::Revoked;
        }
        if good.any(|(invite, _)| !self.overused(invite)) { Standing::Member } else { Standing::Suspended }
    }

    /// Whether an admin who may took that node out, or the invite by which it came, or the admin was dismissed who let it in.
    fn is_revoked(&self, node: &NodeId, certificate: &Certificate) -> bool {
        let (judged, founder, invite) = (&self.judged, self.founding.founder(), certificate.invite());
        let may = |by: &Key| judged.admins.may(&founder, by, node);
        judged.revoked.get(node).is_some_and(|by| by.iter().any(may))
            || judged.closed.get(&invite.key()).is_some_and(|all| all.iter().any(|(by, staying)| !staying.contains(node) && may(by)))
            || !judged.cuts.holds(&admins::chain(invite.grants()), &mark_of_invite(&invite.key()))
    }

    /// Whether more nodes used an invite than may. Once an admin has taken enough of them out, the others are let in again.
    fn overused(&self, invite: &Key) -> bool {
        let stays = |node: &&NodeId| {
            let certificate = self.certificates.get(*node).and_then(|all| all.get(invite));
            certificate.is_some_and(|(_, certificate)| !self.is_revoked(node, certificate))
        };
        let staying = |nodes: &BTreeSet<NodeId>| nodes.iter().filter(stays).count();
        // Who stays is counted only where there are too many at all: everybody's standing is asked for after each change.
        self.uses.get(invite).is_some_and(|(allowed, nodes)| nodes.len() > usize::from(*allowed) && staying(nodes) > usize::from(*allowed))
    }

    /// All nodes with a certificate, whatever their standing.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.certificates.keys().copied()
    }

    /// What must be said to take a node out: itself, and each invite by which it came, so that what lies on its card lets nobody in, used
    /// up or not. Who came by those and is a member now stays.
    #[must_use]
    pub fn whom_to_revoke(&self, node: NodeId) -> Vec<Whom> {
        let invites = self.certificates.get(&node).into_iter().flat_map(BTreeMap::keys).filter(|key| !self.judged.closed.contains_key(key));
        let closing = invites.filter_map(|key| {
            let (_, users) = self.uses.get(key)?;
            let stays = |user: &&NodeId| **user != node && self.standing(user) == Standing::Member;
            Some(Whom::Invite { key: *key, but: users.iter().filter(stays).copied().take(MAX_STAYING).collect() })
        });
        let dismissed = if self.judged.admins.has(&node) { self.whom_to_dismiss(&node, true) } else { Vec::new() };
        std::iter::once(Whom::Node(node)).chain(closing).chain(dismissed).collect()
    }

    /// What must be said to dismiss an admin. What it and others who stand on it decided stays: whom they let in and made admins, and with
    /// `removals` whom they took out. Their invites let nobody else in.
    #[must_use]
    pub fn whom_to_dismiss(&self, admin: &NodeId, removals: bool) -> Vec<Whom> {
        let theirs = |grants: &[Grant], mark: &Mark| {
            let chain = admins::chain(grants);
            chain.contains(admin) && self.judged.cuts.holds(&chain, mark)
        };
        let invites: BTreeSet<Key> = self
            .certificates
            .values()
            .flat_map(BTreeMap::values)
            .map(|(_, certificate)| certificate.invite())
            .filter(|invite| theirs(invite.grants(), &mark_of_invite(&invite.key())))
            .map(Invite::key)
            .collect();
        let mut but: BTreeSet<Mark> = invites.iter().map(mark_of_invite).collect();
        // But not that by which it is one itself.
        let others = self.appointments.iter().filter(|(_, appointment)| appointment.grants().last().map(Grant::admin) != Some(*admin));
        but.extend(others.filter(|(mark, appointment)| theirs(appointment.grants(), mark)).map(|(mark, _)| *mark));
        if removals {
            but.extend(self.revocations.iter().filter(|(mark, said)| theirs(said.grants(), mark)).map(|(mark, _)| *mark));
        }
        let closing = invites.iter().filter(|key| !self.judged.closed.contains_key(key) || !removals).filter_map(|key| {
            let (_, users) = self.uses.get(key)?;
            Some(Whom::Invite { key: *key, but: users.iter().copied().take(MAX_STAYING).collect() })
        });
        let dismissed = Whom::Admin { key: *admin, but: but.into_iter().take(MAX_STAYING).collect() };
        closing.chain(std::iter::once(dismissed)).collect()
    }

    /// Who decides.
    #[must_use]
    pub fn admins(&self) -> &Admins {
        &self.judged.admins
    }

    /// The shortest chain by which a node is an admin, if it is one.
    #[must_use]
    pub fn grants_of(&self, node: &NodeId) -> Option<&[Grant]> {
        let holds = |mark: &Mark, grants: &[Grant]| self.judged.cuts.holds(&admins::chain(grants), mark);
        let all = self.appointments.iter().map(|(mark, appointment)| (mark, appointment.grants()));
        let its = all.filter(|(mark, grants)| grants.last().map(Grant::admin) == Some(*node) && holds(mark, grants));
        its.min_by_key(|(mark, grants)| (grants.len(), **mark)).map(|(_, grants)| grants)
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
        let good = |invite: &Key, certificate: &Certificate| !self.overused(invite) && !self.is_revoked(node, certificate);
        all.iter().find(|(invite, (_, it))| good(invite, it)).or_else(|| all.iter().next()).map(|(_, (_, certificate))| certificate)
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

    /// The items whose mark `wanted` says yes to; what admins decided comes first, and certificates before cards.
    #[must_use]
    pub fn items(&self, wanted: impl Fn(&Mark) -> bool) -> Vec<Item> {
        let appointed = self.appointments.iter().filter(|(mark, _)| wanted(mark)).map(|(_, item)| Item::Appointment(item.clone()));
        let revoked = self.revocations.iter().filter(|(mark, _)| wanted(mark)).map(|(_, item)| Item::Revocation(item.clone()));
        let certificates = self.certificates.values().flat_map(BTreeMap::values);
        let certificates = certificates.filter(|(mark, _)| wanted(mark)).map(|(_, certificate)| Item::Certificate(certificate.clone()));
        let cards = self.cards.values().filter(|(mark, _)| wanted(mark));
        appointed.chain(revoked).chain(certificates).chain(cards.map(|(_, card)| Item::Card(card.clone()))).collect()
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
