//! Who decides for a community: the founder's key, and the nodes that it made admins.
//!
//! An admin's key is its node's own, so nothing is handed over: an appointment names the node, lies in the roster, and is found there by it.
//! Admins let others in and take them out. Only the founder's key makes admins, dismisses them, and takes their nodes out: so nobody can keep
//! its say by those whom it appointed, and of two admins who would remove each other both stay until the founder says which.
//!
//! Architecture invariant: what was decided is judged by what is known, never by what came first or when. A dismissal names what stays of
//! what the dismissed had decided; the rest is void as if it had never been said.

use crate::{
    admission::{Founding, Grant, Refusal, admin_of},
    keys::Key,
    revocation::{Revocation, Whom},
    roster::Mark,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most appointments that a roster holds.
pub const MAX_APPOINTMENTS: usize = 64;

/// That a node is an admin: the founder's grant to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment(Grant);

impl Appointment {
    /// Of whom the grant names.
    #[must_use]
    pub fn new(grant: Grant) -> Self {
        Self(grant)
    }

    /// The chain that makes the node an admin.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        std::slice::from_ref(&self.0)
    }

    /// Who is made an admin.
    #[must_use]
    pub fn admin(&self) -> Key {
        self.0.admin()
    }

    /// Checks the founder's signature.
    ///
    /// # Errors
    /// It is wrong.
    pub fn verify(&self, community: &Founding) -> Result<(), Refusal> {
        admin_of(community, self.grants()).map(drop)
    }
}

/// Who signs by a chain of grants; none for the founder.
#[must_use]
pub fn signer(grants: &[Grant]) -> Option<Key> {
    grants.last().map(Grant::admin)
}

/// The admins that were dismissed, each with what stays of what it decided.
#[derive(Debug, Clone, Default)]
pub struct Dismissed(BTreeMap<Key, BTreeSet<Mark>>);

impl Dismissed {
    /// By these revocations. Of several of one admin, that stays which all let stay.
    #[must_use]
    pub fn by<'a>(revocations: impl Iterator<Item = &'a Revocation>) -> Self {
        let mut dismissed: BTreeMap<Key, BTreeSet<Mark>> = BTreeMap::new();
        for revocation in revocations {
            if let Whom::Admin { key, but } = revocation.whom() {
                let but: BTreeSet<Mark> = but.iter().copied().collect();
                dismissed.entry(*key).and_modify(|stays| stays.retain(|mark| but.contains(mark))).or_insert(but);
            }
        }
        Self(dismissed)
    }

    /// Whether an admin decides nothing any more.
    #[must_use]
    pub fn has(&self, admin: &Key) -> bool {
        self.0.contains_key(admin)
    }

    /// Whether a decision by that signer holds; the founder's do.
    #[must_use]
    pub fn holds(&self, signer: Option<Key>, decision: impl FnOnce() -> Mark) -> bool {
        signer.and_then(|key| self.0.get(&key)).is_none_or(|stays| stays.contains(&decision()))
    }
}
