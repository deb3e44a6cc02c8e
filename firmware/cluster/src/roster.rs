//! Who belongs to the community, as far as this node knows: certificates and cards, as a set that merges.
//!
//! The set only grows by statements that verify, so two rosters that exchanged what they lack are equal,
//! whatever came first. An item's mark is a 16-byte hash; the digest hashes all marks.

use crate::{
    admins::{Appointment, Dismissed, MAX_APPOINTMENTS, signer},
    admission::{Certificate, Founding, Grant, Refusal},
    card::Card,
    clock::Clock,
    keys::{Key, NodeId},
    revocation::{MAX_DECISIONS, MAX_STAYING, Revocation, Whom},
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most members that a roster holds.
pub const MAX_MEMBERS: usize = 4096;
/// Most certificates kept of one node: it may have been invited again.
pub const MAX_CERTIFICATES_PER_NODE: usize = 4;
/// Most revocations that a roster holds of the founder; one that names many nodes counts more.
pub const MAX_REVOCATIONS: usize = 8192;
/// Most of each other admin, so that none takes the room of another.
pub const MAX_REVOCATIONS_OF_ADMIN: usize = 512;
/// Longest roster in bytes, on disk.
pub const MAX_ROSTER_BYTES: usize = 64 * 1024 * 1024;

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

/// Who closed an invite, and the nodes that stay.
type Closing = (Option<Key>, BTreeSet<NodeId>);

/// What admins' decisions come to, made anew from all of them with each that comes.
#[derive(Debug, Clone, Default)]
struct Judged {
    dismissed: Dismissed,
    admins: BTreeSet<NodeId>,
    /// Revoked nodes, each with who did it; none is the founder.
    revoked: BTreeMap<NodeId, BTreeSet<Option<Key>>>,
    /// Revoked invites.
    closed: BTreeMap<Key, Vec<Closing>>,
}

impl Judged {
    /// By revocations that hold.
    fn of<'a>(
        dismissed: Dismissed,
        revocations: impl Iterator<Item = &'a Revocation>,
        appointments: impl Iterator<Item = &'a Appointment>,
    ) -> Self {
        let admins = appointments.map(Appointment::admin).filter(|admin| !dismissed.has(admin)).collect();
        let mut revoked: BTreeMap<NodeId, BTreeSet<Option<Key>>> = BTreeMap::new();
        let mut closed: BTreeMap<Key, Vec<Closing>> = BTreeMap::new();
        for revocation in revocations {
            let by = signer(revocation.grants());
            match revocation.whom() {
                Whom::Node(node) => drop(revoked.entry(*node).or_default().insert(by)),
                Whom::Invite { key, but } => closed.entry(*key).or_default().push((by, but.iter().copied().collect())),
                Whom::Admin { .. } => {}
            }
        }
        Self { dismissed, admins, revoked, closed }
    }

    /// Whether that signer may take a node out: it is no admin's, or the founder says so.
    fn may(&self, by: Option<Key>, node: &NodeId) -> bool {
        by.is_none() || !self.admins.contains(node)
    }
}

impl Item {
    /// The item's mark. For a certificate it names node and invite only, for a revocation who is taken out and by whom, so that signing anew
    /// changes nothing.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let named = match self {
            Self::Certificate(certificate) => wire::encode(&(0_u8, certificate.node(), certificate.invite().name())),
            Self::Card(card) => wire::encode(&(1_u8, card)),
            Self::Revocation(revocation) => match signer(revocation.grants()) {
                None => wire::encode(&(2_u8, revocation.whom())),
                Some(by) => wire::encode(&(2_u8, revocation.whom(), by)),
            },
            Self::Appointment(appointment) => wire::encode(&(3_u8, appointment.admin())),
        };
        short(&named)
    }

    /// Whether it is a decision of an admin, by which others are judged.
    fn decides(&self) -> bool {
        matches!(self, Self::Revocation(_) | Self::Appointment(_))
    }
}

/// The mark of an invite as an admin's decision.
fn mark_of_invite(name: &Key) -> Mark {
    short(&wire::encode(&(4_u8, name)))
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
        let judged = Judged::default();
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
        let known = self.certificates.get(&node).is_some_and(|all| all.contains_key(&invite.name()));
        if !known {
            certificate.verify(&self.founding)?;
            invite.in_time(clock)?;
            let used = self.uses.get(&invite.name()).map_or(0, |(_, nodes)| nodes.len());
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
        let (mark, decides) = (item.mark(), item.decides());
        let new = self.insert(mark, item)?;
        if new && decides {
            self.judge();
        }
        // What a dismissed admin says leaves no trace.
        Ok(new && self.marks.contains(&mark))
    }

    /// Takes statements that came together, and judges what admins said once for all of them; tells whether something changed, and how many
    /// were refused.
    pub fn merge_all(&mut self, items: impl IntoIterator<Item = Item>) -> (bool, usize) {
        let (mut new, mut decided, mut refused) = (Vec::new(), false, 0);
        for item in items {
            let (mark, decides) = (item.mark(), item.decides());
            match self.insert(mark, item) {
                Ok(true) => {
                    new.push(mark);
                    decided |= decides;
                }
                Ok(false) => {}
                Err(_) => refused += 1,
            }
        }
        if decided {
            self.judge();
        }
        (new.iter().any(|mark| self.marks.contains(mark)), refused)
    }

    /// Keeps a statement that verifies; what it comes to is for [`Roster::judge`].
    fn insert(&mut self, mark: Mark, item: Item) -> Result<bool, Refusal> {
        if self.marks.contains(&mark) {
            return Ok(false);
        }
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
                let uses = self.uses.entry(certificate.invite().name()).or_insert((u16::MAX, BTreeSet::new()));
                // One invite key under two terms is an admin's foul play: the narrower holds, whatever came first.
                uses.0 = uses.0.min(certificate.invite().terms().uses);
                uses.1.insert(certificate.node());
                of_node.insert(certificate.invite().name(), (mark, certificate));
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
                let by = signer(revocation.grants());
                let held = self.revocations.values().filter(|held| signer(held.grants()) == by).map(Revocation::weight).sum::<usize>();
                let most = if by.is_none() { MAX_REVOCATIONS } else { MAX_REVOCATIONS_OF_ADMIN };
                if held + revocation.weight() > most {
                    return Err(Refusal::TooMany("revocations"));
                }
                self.revocations.insert(mark, revocation);
            }
            Item::Appointment(appointment) => {
                appointment.verify(&self.founding)?;
                if self.appointments.len() >= MAX_APPOINTMENTS {
                    return Err(Refusal::TooMany("appointments"));
                }
                self.appointments.insert(mark, appointment);
            }
        }
        self.marks.insert(mark);
        Ok(true)
    }

    fn judge(&mut self) {
        let (dismissed, marks) = (Dismissed::by(self.revocations.values()), &mut self.marks);
        self.revocations.retain(|mark, revocation| {
            let holds = dismissed.holds(signer(revocation.grants()), || *mark);
            if !holds {
                marks.remove(mark);
            }
            holds
        });
        self.judged = Judged::of(dismissed, self.revocations.values(), self.appointments.values());
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
        let (judged, invite) = (&self.judged, certificate.invite());
        let (name, by) = (invite.name(), signer(invite.grants()));
        judged.revoked.get(node).is_some_and(|said| said.iter().any(|by| judged.may(*by, node)))
            || judged.closed.get(&name).is_some_and(|all| all.iter().any(|(by, staying)| !staying.contains(node) && judged.may(*by, node)))
            || !judged.dismissed.holds(by, || mark_of_invite(&name))
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

    /// What an admin (none is the founder) must say to take a node out: itself, and each invite by which it came, so that what lies on its card
    /// lets nobody in, used up or not. Who came by those and is a member now stays.
    #[must_use]
    pub fn whom_to_revoke(&self, by: Option<Key>, node: NodeId) -> Vec<Whom> {
        let dismissal = if by.is_none() && self.is_admin(&node) { self.whom_to_dismiss(&node, true) } else { Vec::new() };
        let names = self.certificates.get(&node).into_iter().flat_map(BTreeMap::keys);
        let closing = names.filter_map(|name| self.closing(by, name, |user| *user != node && self.standing(user) == Standing::Member));
        dismissal.into_iter().chain(std::iter::once(Whom::Node(node))).chain(closing).collect()
    }

    /// That an invite lets nobody else in; none where the same admin said so already.
    fn closing(&self, by: Option<Key>, name: &Key, stays: impl Fn(&NodeId) -> bool) -> Option<Whom> {
        let closed = self.judged.closed.get(name).is_some_and(|all| all.iter().any(|(said, _)| *said == by));
        let (_, users) = self.uses.get(name).filter(|_| !closed)?;
        Some(Whom::Invite { key: *name, but: users.iter().filter(|user| stays(user)).copied().take(MAX_STAYING).collect() })
    }

    /// What the founder must say to dismiss an admin. Whom it let in stays, and with `removals` out stays whom it took out. Its invites let
    /// nobody else in.
    #[must_use]
    pub fn whom_to_dismiss(&self, admin: &NodeId, removals: bool) -> Vec<Whom> {
        let mut invites: BTreeMap<Key, bool> = BTreeMap::new();
        for (node, all) in &self.certificates {
            for (name, (_, certificate)) in all.iter().filter(|(_, (_, certificate))| signer(certificate.invite().grants()) == Some(*admin))
            {
                *invites.entry(*name).or_default() |= !self.is_revoked(node, certificate);
            }
        }
        // Should there be more than a dismissal can name, members come first, then who was taken out of those that are known.
        let names = |good: bool| invites.iter().filter(move |(_, lets)| **lets == good).map(|(name, _)| mark_of_invite(name));
        let known = |revocation: &Revocation| match revocation.whom() {
            Whom::Node(node) => self.certificates.contains_key(node),
            Whom::Invite { key, .. } => self.uses.contains_key(key),
            Whom::Admin { .. } => false,
        };
        let said = self.revocations.iter().filter(|(_, said)| removals && signer(said.grants()) == Some(*admin) && known(said));
        let stays = names(true).chain(said.map(|(mark, _)| *mark)).chain(names(false)).take(MAX_DECISIONS);
        let stays: BTreeSet<Mark> = stays.collect();
        let dismissal = Whom::Admin { key: *admin, but: stays.into_iter().collect() };
        std::iter::once(dismissal).chain(invites.keys().filter_map(|name| self.closing(None, name, |_| true))).collect()
    }

    /// Whether a node is an admin.
    #[must_use]
    pub fn is_admin(&self, node: &NodeId) -> bool {
        self.judged.admins.contains(node)
    }

    /// Whether that admin (none is the founder) may take a node out.
    #[must_use]
    pub fn may_remove(&self, by: Option<Key>, node: &NodeId) -> bool {
        self.judged.may(by, node)
    }

    /// The chain by which a node is an admin, if it is one.
    #[must_use]
    pub fn grants_of(&self, node: &NodeId) -> Option<&[Grant]> {
        let its = self.appointments.values().find(|appointment| appointment.admin() == *node);
        its.filter(|_| self.is_admin(node)).map(Appointment::grants)
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

    /// The items whose mark `wanted` says yes to; what the founder decided comes first, and certificates before cards; what other admins took
    /// out comes last, so that however much one of them says, nothing else waits.
    #[must_use]
    pub fn items(&self, wanted: impl Fn(&Mark) -> bool) -> Vec<Item> {
        let appointed = self.appointments.iter().filter(|(mark, _)| wanted(mark)).map(|(_, item)| Item::Appointment(item.clone()));
        let said = self.revocations.iter().filter(|(mark, _)| wanted(mark));
        let (revoked, others): (Vec<_>, Vec<_>) = said.map(|(_, item)| item).partition(|item| item.grants().is_empty());
        let [revoked, others] = [revoked, others].map(|all| all.into_iter().cloned().map(Item::Revocation));
        let certificates = self.certificates.values().flat_map(BTreeMap::values);
        let certificates = certificates.filter(|(mark, _)| wanted(mark)).map(|(_, certificate)| Item::Certificate(certificate.clone()));
        let cards = self.cards.values().filter(|(mark, _)| wanted(mark));
        appointed.chain(revoked).chain(certificates).chain(cards.map(|(_, card)| Item::Card(card.clone()))).chain(others).collect()
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
            roster.insert(item.mark(), item)?;
        }
        roster.judge();
        Ok(roster)
    }
}
