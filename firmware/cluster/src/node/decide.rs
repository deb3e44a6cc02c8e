//! What an admin's node decides: whom it lets in, takes out, makes an admin and dismisses.

use super::{Admin, Node};
use crate::{
    admins::signer,
    admission::{Grant, Refusal, Terms, Token},
    clock::Millis,
    keys::NodeId,
    kit::Kit,
    revocation::Whom,
    roster::{Item, Standing},
};
use rand::CryptoRng;

impl Node {
    /// The key by which this node decides who belongs to the community, if it holds one: the founder's kit, or its own where it was
    /// made an admin.
    #[must_use]
    pub fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    /// Whether this node may take `node` out.
    #[must_use]
    pub fn may_remove(&self, node: &NodeId) -> bool {
        self.admin.as_ref().is_some_and(|admin| self.roster.may_remove(signer(&admin.grants), node))
    }

    /// Whether this node holds the founder's key, which makes admins and dismisses them.
    #[must_use]
    pub fn is_founder(&self) -> bool {
        self.admin.as_ref().is_some_and(|admin| admin.grants.is_empty())
    }

    /// Where the founder's kit lies is an admin in its own right too, so that nobody whom it appoints takes it out.
    pub(super) fn appoint_own(&mut self) {
        let Some(Admin { kit, grants }) = &self.admin else { return };
        if grants.is_empty() && self.roster.grants_of(&self.me).is_none() {
            let own = kit.appoint(self.roster.founding(), self.me);
            let _full = self.roster.merge(Item::Appointment(own));
        }
    }

    /// Whether this node decides may have changed.
    pub(super) fn renew_admin(&mut self) {
        if self.admin.as_ref().is_some_and(|admin| admin.grants.is_empty()) {
            return;
        }
        let grants = self.roster.grants_of(&self.me).map(<[Grant]>::to_vec);
        self.admin = grants.map(|grants| Admin { kit: Kit::of_node(self.seed), grants });
    }

    /// Makes an invite that names this node and some others; none if this node holds no key for it.
    #[must_use]
    pub fn invite(&self, terms: Terms, rng: &mut impl CryptoRng) -> Option<Token> {
        let Admin { kit, grants } = self.admin.as_ref()?;
        Some(kit.invite(self.founding(), grants.clone(), terms, self.seeds(), rng))
    }

    /// Takes a node out of the community for good, with the invites by which it came.
    ///
    /// # Errors
    /// This node holds no key for it, or there is no such node, or it is this one, or an admin and this one holds no founder's key.
    pub fn revoke(&mut self, now: Millis, node: NodeId) -> Result<(), Refusal> {
        if self.admin.is_none() {
            return Err(Refusal::NoAdmin);
        }
        if node == self.me {
            return Err(Refusal::OtherNode(node));
        }
        if self.roster.standing(&node) == Standing::Stranger {
            return Err(Refusal::Stranger(node));
        }
        if !self.may_remove(&node) {
            return Err(Refusal::Rank);
        }
        let by = self.admin.as_ref().and_then(|admin| signer(&admin.grants));
        self.decide(now, self.roster.whom_to_revoke(by, node))
    }

    /// Makes a member an admin.
    ///
    /// # Errors
    /// This node holds no founder's key, or it is no member, or was dismissed before, or there are too many.
    pub fn appoint(&mut self, now: Millis, node: NodeId) -> Result<(), Refusal> {
        let Admin { kit, grants } = self.admin.as_ref().ok_or(Refusal::NoAdmin)?;
        if !grants.is_empty() {
            return Err(Refusal::Rank);
        }
        if self.roster.standing(&node) != Standing::Member {
            return Err(Refusal::Stranger(node));
        }
        let appointment = Item::Appointment(kit.appoint(self.roster.founding(), node));
        let mut roster = self.roster.clone();
        roster.merge(appointment)?;
        if !roster.is_admin(&node) {
            return Err(Refusal::Dismissed);
        }
        self.roster = roster;
        self.roster_changed(now);
        Ok(())
    }

    /// Makes an admin an ordinary member, for good. Whom it let in stays; so do those out whom it took out, unless `undo`.
    ///
    /// # Errors
    /// This node holds no founder's key, or it is no admin, or this node.
    pub fn dismiss(&mut self, now: Millis, node: NodeId, undo: bool) -> Result<(), Refusal> {
        let admin = self.admin.as_ref().ok_or(Refusal::NoAdmin)?;
        if !self.roster.is_admin(&node) {
            return Err(Refusal::Ordinary);
        }
        if !admin.grants.is_empty() || node == self.me {
            return Err(Refusal::Rank);
        }
        self.decide(now, self.roster.whom_to_dismiss(&node, !undo))
    }

    /// Says as an admin that these are out: all of it or nothing.
    fn decide(&mut self, now: Millis, whom: Vec<Whom>) -> Result<(), Refusal> {
        let Admin { kit, grants } = self.admin.as_ref().ok_or(Refusal::NoAdmin)?;
        let mut roster = self.roster.clone();
        for whom in whom {
            roster.merge(Item::Revocation(kit.revoke(roster.founding(), grants.clone(), whom)))?;
        }
        self.roster = roster;
        self.roster_changed(now);
        Ok(())
    }
}
