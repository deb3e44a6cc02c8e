//! What an admin's node decides: whom it lets in, takes out, makes an admin and dismisses.

use super::{Admin, Node};
use crate::{
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

    /// Whether this node may take `node` out, or dismiss it where it is an admin.
    #[must_use]
    pub fn is_above(&self, node: &NodeId) -> bool {
        let may = |admin: &Admin| self.roster.admins().may(&self.founding().founder(), &admin.kit.public(), node);
        self.admin.as_ref().is_some_and(may)
    }

    /// Where the founder's kit lies is an admin in its own right too, so that nobody whom it appoints takes it out.
    pub(super) fn appoint_own(&mut self) {
        let Some(Admin { kit, grants }) = &self.admin else { return };
        if grants.is_empty() && self.roster.grants_of(&self.me).is_none() {
            let own = kit.appoint(self.roster.founding(), Vec::new(), self.me);
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
    /// This node holds no key for it, or there is no such node, or it is this one, or an admin that this one is not above.
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
        if !self.is_above(&node) {
            return Err(Refusal::Rank);
        }
        self.decide(now, self.roster.whom_to_revoke(node))
    }

    /// Makes a member an admin beside this node, below it.
    ///
    /// # Errors
    /// This node holds no key for it, or it is no member, or was dismissed before, or the chain would be too long.
    pub fn appoint(&mut self, now: Millis, node: NodeId) -> Result<(), Refusal> {
        let Some(Admin { kit, grants }) = self.admin.clone() else { return Err(Refusal::NoAdmin) };
        if self.roster.standing(&node) != Standing::Member {
            return Err(Refusal::Stranger(node));
        }
        if self.roster.admins().has(&node) {
            return Ok(());
        }
        self.roster.merge(Item::Appointment(kit.appoint(self.roster.founding(), grants, node)))?;
        if !self.roster.admins().has(&node) {
            return Err(Refusal::Dismissed);
        }
        self.roster_changed(now);
        Ok(())
    }

    /// Makes an admin an ordinary member, for good. Whom it let in and made admins stay; so do those out whom it took out, unless
    /// `undo`.
    ///
    /// # Errors
    /// This node holds no key for it, or it is no admin, or one that this one is not above.
    pub fn dismiss(&mut self, now: Millis, node: NodeId, undo: bool) -> Result<(), Refusal> {
        let Some(admin) = &self.admin else { return Err(Refusal::NoAdmin) };
        if !self.roster.admins().has(&node) {
            return Err(Refusal::Ordinary);
        }
        let founders = node == self.me && admin.grants.is_empty();
        if founders || !self.roster.admins().may_dismiss(&self.founding().founder(), &admin.kit.public(), &node) {
            return Err(Refusal::Rank);
        }
        self.decide(now, self.roster.whom_to_dismiss(&node, !undo))
    }

    /// Says as an admin that these are out.
    fn decide(&mut self, now: Millis, whom: Vec<Whom>) -> Result<(), Refusal> {
        let Some(Admin { kit, grants }) = self.admin.clone() else { return Err(Refusal::NoAdmin) };
        for whom in whom {
            let revocation = kit.revoke(self.roster.founding(), grants.clone(), whom);
            self.roster.merge(Item::Revocation(revocation))?;
        }
        self.roster_changed(now);
        Ok(())
    }
}
