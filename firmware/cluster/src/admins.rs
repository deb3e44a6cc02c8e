//! Who decides for a community: the founder's kit, and the nodes that were made admins, each by an admin above it.
//!
//! An admin's key is its node's own, so nothing is handed over: an appointment names the node, lies in the roster, and is found there by it.
//! Below an admin are those whom it appointed, and whom those did. Only who is above an admin dismisses it or takes its node out; among
//! equals nobody does, so of two who remove each other the one above stays, or both.
//!
//! Architecture invariant: what was decided is judged by what is known, never by what came first or when. A dismissal names what stays of
//! what the dismissed had decided; the rest is void as if it had never been said, and so are appointments on which others stand.

use crate::{
    admission::{Founding, Grant, Refusal, admin_of},
    keys::Key,
    revocation::{Revocation, Whom},
    roster::{Mark, mark_of_appointment},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most appointments that a roster holds, of those that the founder did not make itself.
pub const MAX_APPOINTMENTS: usize = 256;
/// Most that the founder makes.
pub const MAX_FIRST_APPOINTMENTS: usize = 64;

/// That a node is an admin: the chain of grants that ends at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment(Vec<Grant>);

impl Appointment {
    /// Of whom the last grant names.
    #[must_use]
    pub fn new(grants: Vec<Grant>) -> Self {
        Self(grants)
    }

    /// The chain.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.0
    }

    /// Checks the chain from the founder to the node.
    ///
    /// # Errors
    /// Empty, too long, or a signature is wrong.
    pub fn verify(&self, community: &Founding) -> Result<Key, Refusal> {
        if self.0.is_empty() {
            return Err(Refusal::Signature("appointment"));
        }
        admin_of(community, &self.0)
    }
}

/// The keys of a chain of grants, the founder's left out.
#[must_use]
pub fn chain(grants: &[Grant]) -> Vec<Key> {
    grants.iter().map(Grant::admin).collect()
}

/// A dismissal that holds.
#[derive(Debug, Clone)]
struct Cut {
    by: Key,
    but: BTreeSet<Mark>,
}

/// Which admins are dismissed.
#[derive(Debug, Clone)]
pub struct Cuts {
    founder: Key,
    of: BTreeMap<Key, Vec<Cut>>,
}

impl Cuts {
    /// Of a founder's community, in which nobody is dismissed.
    #[must_use]
    pub fn none(founder: Key) -> Self {
        Self { founder, of: BTreeMap::new() }
    }

    /// Those that hold of `revocations`. Who stands nearer to the founder is heard first: what it dismisses says nothing any more.
    #[must_use]
    pub fn of<'a>(founder: Key, revocations: impl Iterator<Item = (&'a Mark, &'a Revocation)>) -> Self {
        let mut said: Vec<_> = revocations.filter(|(_, revocation)| matches!(revocation.whom(), Whom::Admin { .. })).collect();
        said.sort_by_key(|(mark, revocation)| (revocation.grants().len(), **mark));
        let mut cuts = Self::none(founder);
        for (mark, revocation) in said {
            let chain = chain(revocation.grants());
            if let Whom::Admin { key, but } = revocation.whom()
                && cuts.holds(&chain, mark)
            {
                let by = chain.last().copied().unwrap_or(founder);
                cuts.of.entry(*key).or_default().push(Cut { by, but: but.iter().copied().collect() });
            }
        }
        cuts
    }

    /// Whether what was decided under `chain` holds: nobody in it was dismissed by somebody above, or the dismissal lets it stay, or an
    /// admin below the dismissed one, under whom it was decided.
    #[must_use]
    pub fn holds(&self, chain: &[Key], decision: &Mark) -> bool {
        self.of.is_empty()
            || chain.iter().enumerate().all(|(at, key)| {
                let above = chain.get(..at).unwrap_or_default();
                let ends = |cut: &&Cut| cut.by == self.founder || cut.by == *key || above.contains(&cut.by);
                let below = || (at + 2..=chain.len()).filter_map(|end| chain.get(..end)).map(mark_of_appointment);
                let stays = |cut: &Cut| cut.but.contains(decision) || below().any(|appointment| cut.but.contains(&appointment));
                self.of.get(key).is_none_or(|cuts| cuts.iter().filter(ends).all(stays))
            })
    }
}

/// The admins there are, each with the chains by which it is one.
#[derive(Debug, Clone, Default)]
pub struct Admins(BTreeMap<Key, Vec<Vec<Key>>>);

impl Admins {
    /// Those whose appointments hold.
    #[must_use]
    pub fn of<'a>(cuts: &Cuts, appointments: impl Iterator<Item = (&'a Mark, &'a Appointment)>) -> Self {
        let mut admins: BTreeMap<Key, Vec<Vec<Key>>> = BTreeMap::new();
        for (mark, appointment) in appointments {
            let chain = chain(appointment.grants());
            if let Some(node) = chain.last().filter(|_| cuts.holds(&chain, mark)) {
                admins.entry(*node).or_default().push(chain);
            }
        }
        Self(admins)
    }

    /// Whether a node is one.
    #[must_use]
    pub fn has(&self, node: &Key) -> bool {
        self.0.contains_key(node)
    }

    /// Whether `by` may take `node` out: it is no admin, or `by` is above it however it became one.
    #[must_use]
    pub fn may(&self, founder: &Key, by: &Key, node: &Key) -> bool {
        by == founder || self.0.get(node).is_none_or(|chains| chains.iter().all(|chain| by != node && chain.contains(by)))
    }

    /// Whether `by` may dismiss `node`: it is one, and `by` is above it however it became one, or is itself.
    #[must_use]
    pub fn may_dismiss(&self, founder: &Key, by: &Key, node: &Key) -> bool {
        self.has(node) && (by == node || self.may(founder, by, node))
    }
}
