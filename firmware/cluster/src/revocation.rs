//! An admin takes a node out of the community, or all that came by an invite: the card is lost, the invite got into other hands. Or another
//! admin is dismissed.
//!
//! Architecture invariant: a revocation is for good and comes before everything else that is said of a node. It is a statement of the roster
//! like a certificate, so who knows of it does not depend on what came first; no clock and no order of statements is asked.
//!
//! Whoever is revoked may be invited again as another node, with a key of its own.

use crate::{
    admission::{Founding, Grant, MAX_USES, Refusal, admin_of},
    keys::{self, CommunityId, Key, NodeId, Purpose, Signature},
    roster::Mark,
    wire,
};
use serde::{Deserialize, Serialize};

/// Most nodes that stay when an invite is revoked: as many as may have come by it.
pub const MAX_STAYING: usize = MAX_USES as usize;

/// Most decisions that stay when an admin is dismissed.
pub const MAX_DECISIONS: usize = 4096;

/// Who is taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom {
    /// This node.
    Node(NodeId),
    /// Whoever came by this invite, or would come by it.
    Invite {
        /// The invite's own key.
        key: Key,
        /// But for these, in ascending order.
        but: Vec<NodeId>,
    },
    /// This admin decides nothing any more, and what it decided is void (see [`crate::admins`]). Only the founder says that.
    Admin {
        /// The admin's key.
        key: Key,
        /// But for these decisions, by their marks, in ascending order.
        but: Vec<Mark>,
    },
}

/// That an admin took somebody out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    community: CommunityId,
    grants: Vec<Grant>,
    whom: Whom,
    signature: Signature,
}

impl Revocation {
    pub(crate) fn sign(seed: &[u8; 32], community: CommunityId, grants: Vec<Grant>, whom: Whom) -> Self {
        let signature = keys::sign(seed, Purpose::Revocation, &signed(community, &whom));
        Self { community, grants, whom, signature }
    }

    /// Who is taken out.
    #[must_use]
    pub fn whom(&self) -> &Whom {
        &self.whom
    }

    /// The chain that made its signer an admin.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// How much it counts for the limit of what a roster keeps.
    pub(crate) fn weight(&self) -> usize {
        match &self.whom {
            Whom::Node(_) => 1,
            Whom::Invite { but, .. } => 1 + but.len() / 16,
            Whom::Admin { but, .. } => 1 + but.len() / 32,
        }
    }

    /// Checks the chain from the founder to this.
    ///
    /// # Errors
    /// Foreign, too long, or a signature is wrong.
    pub fn verify(&self, community: &Founding) -> Result<(), Refusal> {
        let id = community.id();
        if self.community != id {
            return Err(Refusal::Foreign(self.community));
        }
        if let Whom::Invite { but, .. } = &self.whom
            && (but.len() > MAX_STAYING || !but.is_sorted_by(|a, b| a < b))
        {
            return Err(Refusal::TooMany("nodes that stay"));
        }
        if let Whom::Admin { key, but } = &self.whom {
            if but.len() > MAX_DECISIONS || !but.is_sorted_by(|a, b| a < b) {
                return Err(Refusal::TooMany("decisions that stay"));
            }
            if *key == community.founder() || !self.grants.is_empty() {
                return Err(Refusal::Rank);
            }
        }
        let admin = admin_of(community, &self.grants)?;
        let good = admin.verifies(Purpose::Revocation, &signed(id, &self.whom), &self.signature);
        if good { Ok(()) } else { Err(Refusal::Signature("revocation")) }
    }
}

fn signed(community: CommunityId, whom: &Whom) -> Vec<u8> {
    wire::encode(&(community, whom))
}
