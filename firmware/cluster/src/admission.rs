//! Who may enter: a chain of signatures that anybody can check offline.
//!
//! `founding → (grants to further admins) → invite → certificate of one node`
//!
//! A token is an invite with the secret half of the invite's own key. Its holder signs the node id with that
//! secret, and the result is the node's certificate: any member can verify it with nothing but the founding,
//! and no admin needs to be reachable. A certificate is not secret and is useless to another node, since the
//! transport proves the node id. How often an invite was used is counted over the certificates that are known
//! (see `roster`): a member refuses one use too many, and overuse on two sides of a partition shows when they meet.

use crate::{
    admins::signer,
    clock::{Clock, Due},
    keys::{self, CommunityId, Key, NodeId, Purpose, Signature},
    text::{self, Kind, TextError},
    wire::{self, Name, WireError},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// Longest token in bytes.
pub const MAX_TOKEN_BYTES: usize = 2048;
/// Longest certificate in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 1024;
/// Longest founding in bytes.
pub const MAX_FOUNDING_BYTES: usize = 256;
/// Longest chain of grants behind a decision: admins make no admins (see [`crate::admins`]).
pub const MAX_GRANTS: usize = 1;
/// Most members named in a token.
pub const MAX_SEEDS: usize = 4;
/// Most addresses of a member named in a token.
pub const MAX_SEED_ADDRESSES: usize = 6;
/// Most uses of one invite.
pub const MAX_USES: u16 = 1000;

/// Why somebody is not let in, or a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text is no token.
    #[error("this is no invite: {0}")]
    Text(#[from] TextError),
    /// The bytes are not of the format.
    #[error("can't be read: {0}")]
    Wire(#[from] WireError),
    /// A signature in the chain is wrong.
    #[error("the {0}'s signature is wrong")]
    Signature(&'static str),
    /// Too many of something.
    #[error("more {0} than allowed")]
    TooMany(&'static str),
    /// It belongs to another community.
    #[error("it belongs to another community ({0:?})")]
    Foreign(CommunityId),
    /// Its time is over.
    #[error("it expired {} ago", ago(*.seconds))]
    Expired {
        /// Seconds since then.
        seconds: u64,
    },
    /// The invite was used as often as it may be.
    #[error("it was used {uses} times already, as often as it may be")]
    Used {
        /// Allowed uses.
        uses: u16,
    },
    /// The certificate is another node's.
    #[error("the certificate is for the node {0:?}")]
    OtherNode(NodeId),
    /// No certificate of the node is known.
    #[error("the node {0:?} is no member")]
    Stranger(NodeId),
    /// The node's invite was used more often than allowed, so its redeemers are suspended.
    #[error("its invite was used more often than allowed, so the nodes that used it are suspended")]
    Suspended,
    /// An admin took the node, or all that its invite let in, out of the community.
    #[error("an admin removed it from the community")]
    Revoked,
    /// It is about an admin, and not the founder's.
    #[error("only the key of those who founded the community decides about admins")]
    Rank,
    /// It is no admin.
    #[error("it is no admin")]
    Ordinary,
    /// It was an admin once, and was dismissed for good.
    #[error("it was dismissed as an admin, which is for good: it can be one again after it left and joined anew under another key")]
    Dismissed,
    /// This node can't decide that.
    #[error("this node holds no key that decides who belongs to the community")]
    NoAdmin,
    /// The community is full.
    #[error("the community has as many members as this version can hold")]
    Full,
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

/// The birth of a community, signed by its founder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    name: Name,
    founder: Key,
    nonce: [u8; 16],
    signature: Signature,
}

impl Founding {
    pub(crate) fn sign(seed: &[u8; 32], name: Name, nonce: [u8; 16]) -> Self {
        let founder = Key::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Founding, &wire::encode(&(&name, founder, nonce)));
        Self { name, founder, nonce, signature }
    }

    /// The community's id: the SHA-256 of what was signed.
    #[must_use]
    pub fn id(&self) -> CommunityId {
        let hash = Sha256::new().chain_update(b"cloudy community v1\0").chain_update(self.signed()).finalize();
        CommunityId(hash.into())
    }

    /// The community's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The first admin.
    #[must_use]
    pub fn founder(&self) -> Key {
        self.founder
    }

    /// Checks the founder's signature.
    ///
    /// # Errors
    /// It is wrong.
    pub fn verify(&self) -> Result<(), Refusal> {
        let good = self.founder.verifies(Purpose::Founding, &self.signed(), &self.signature);
        if good { Ok(()) } else { Err(Refusal::Signature("founding")) }
    }

    /// The founding as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads and verifies a founding.
    ///
    /// # Errors
    /// Malformed or wrongly signed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let founding: Self = wire::decode(bytes, MAX_FOUNDING_BYTES)?;
        founding.verify()?;
        Ok(founding)
    }

    fn signed(&self) -> Vec<u8> {
        wire::encode(&(&self.name, self.founder, self.nonce))
    }
}

/// An admin makes another key an admin (see [`crate::admins`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    admin: Key,
    signature: Signature,
}

impl Grant {
    pub(crate) fn sign(seed: &[u8; 32], community: CommunityId, admin: Key) -> Self {
        let signature = keys::sign(seed, Purpose::Grant, &wire::encode(&(community, admin)));
        Self { admin, signature }
    }

    /// Who is made an admin.
    #[must_use]
    pub fn admin(&self) -> Key {
        self.admin
    }
}

/// The admin at the end of a chain of grants.
///
/// # Errors
/// It is too long, or a signature is wrong.
pub(crate) fn admin_of(community: &Founding, grants: &[Grant]) -> Result<Key, Refusal> {
    if grants.len() > MAX_GRANTS {
        return Err(Refusal::TooMany("grants"));
    }
    let (id, mut admin) = (community.id(), community.founder());
    for grant in grants {
        if !admin.verifies(Purpose::Grant, &wire::encode(&(id, grant.admin)), &grant.signature) {
            return Err(Refusal::Signature("grant"));
        }
        admin = grant.admin;
    }
    Ok(admin)
}

/// Under which terms an invite stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How many nodes may use it.
    pub uses: u16,
    /// Seconds since 1970 after which nobody may use it any more; none for never.
    pub not_after: Option<u64>,
}

/// An invite's public half, signed by an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    community: CommunityId,
    grants: Vec<Grant>,
    key: Key,
    terms: Terms,
    signature: Signature,
}

impl Invite {
    pub(crate) fn sign(seed: &[u8; 32], community: CommunityId, grants: Vec<Grant>, key: Key, terms: Terms) -> Self {
        let signature = keys::sign(seed, Purpose::Invite, &wire::encode(&(community, key, &terms)));
        Self { community, grants, key, terms, signature }
    }

    /// The chain that made its signer an admin.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The invite's own public key.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What names it: its own key where the founder signed it, and for another admin's a hash of that, its terms and the admin. So nobody else
    /// puts a paper of its own around a key that it knows, and has it taken for the same invite.
    #[must_use]
    pub fn name(&self) -> Key {
        let Some(admin) = signer(&self.grants) else { return self.key };
        let said = wire::encode(&(self.key, &self.terms, admin));
        Key(Sha256::new().chain_update(b"cloudy invite name v1\0").chain_update(said).finalize().into())
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Checks the chain from the founder to this invite.
    ///
    /// # Errors
    /// Foreign, too long, or a signature is wrong.
    pub fn verify(&self, community: &Founding) -> Result<(), Refusal> {
        let id = community.id();
        if self.community != id {
            return Err(Refusal::Foreign(self.community));
        }
        if self.terms.uses > MAX_USES {
            return Err(Refusal::TooMany("uses"));
        }
        let admin = admin_of(community, &self.grants)?;
        let good = admin.verifies(Purpose::Invite, &wire::encode(&(id, self.key, &self.terms)), &self.signature);
        if good { Ok(()) } else { Err(Refusal::Signature("invite")) }
    }

    /// Whether the time is over. An unsure clock never ends an invite, unless it ended before the build's date.
    ///
    /// # Errors
    /// It is over.
    pub fn in_time(&self, clock: &Clock) -> Result<(), Refusal> {
        match self.terms.not_after {
            Some(moment) if clock.due(moment) == Due::Over => {
                Err(Refusal::Expired { seconds: clock.sure.unwrap_or(clock.floor).max(clock.floor).saturating_sub(moment) })
            }
            _ => Ok(()),
        }
    }
}

/// A member that a newcomer can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Its node id.
    pub node: NodeId,
    /// Where it was when the token was made.
    pub addresses: Vec<SocketAddr>,
}

/// An invite with its secret: what is given to a newcomer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    community: Founding,
    invite: Invite,
    secret: [u8; 32],
    seeds: Vec<Seed>,
}

impl Token {
    pub(crate) fn new(community: Founding, invite: Invite, secret: [u8; 32], mut seeds: Vec<Seed>) -> Self {
        seeds.truncate(MAX_SEEDS);
        for seed in &mut seeds {
            seed.addresses.truncate(MAX_SEED_ADDRESSES);
        }
        Self { community, invite, secret, seeds }
    }

    /// The community that it invites to.
    #[must_use]
    pub fn community(&self) -> &Founding {
        &self.community
    }

    /// The public half.
    #[must_use]
    pub fn invite(&self) -> &Invite {
        &self.invite
    }

    /// Members to ask first; may be empty.
    #[must_use]
    pub fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// Makes the certificate of `node`.
    #[must_use]
    pub fn redeem(&self, node: NodeId) -> Certificate {
        let signature = keys::sign(&self.secret, Purpose::Redeem, &redeemed(self.invite.community, self.invite.name(), node));
        Certificate { invite: self.invite.clone(), node, signature }
    }

    /// The token as text: `cloudy1-invite-…`.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::to_text(Kind::Invite, &self.to_bytes())
    }

    /// Reads a token's text and verifies it; the time is not looked at (see [`Invite::in_time`]).
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::from_bytes(&text::from_text(Kind::Invite, text, MAX_TOKEN_BYTES)?)
    }

    /// The token as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads and verifies a token.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let token: Self = wire::decode(bytes, MAX_TOKEN_BYTES)?;
        if token.seeds.len() > MAX_SEEDS || token.seeds.iter().any(|seed| seed.addresses.len() > MAX_SEED_ADDRESSES) {
            return Err(Refusal::TooMany("seeds"));
        }
        token.community.verify()?;
        token.invite.verify(&token.community)?;
        if Key::of_seed(&token.secret) != token.invite.key {
            return Err(Refusal::Signature("token"));
        }
        Ok(token)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("community", &self.community)
            .field("invite", &self.invite)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// That one node was admitted by one invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    invite: Invite,
    node: NodeId,
    signature: Signature,
}

impl Certificate {
    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The invite.
    #[must_use]
    pub fn invite(&self) -> &Invite {
        &self.invite
    }

    /// The community that it says it is of.
    #[must_use]
    pub fn community(&self) -> CommunityId {
        self.invite.community
    }

    /// Checks the whole chain; time and uses are for the one who admits (see [`crate::roster::Roster::admit`]).
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn verify(&self, community: &Founding) -> Result<(), Refusal> {
        self.invite.verify(community)?;
        let message = redeemed(self.invite.community, self.invite.name(), self.node);
        let good = self.invite.key.verifies(Purpose::Redeem, &message, &self.signature);
        if good { Ok(()) } else { Err(Refusal::Signature("certificate")) }
    }

    /// The certificate as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a certificate; it is not verified.
    ///
    /// # Errors
    /// Malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(wire::decode(bytes, MAX_CERTIFICATE_BYTES)?)
    }
}

fn redeemed(community: CommunityId, invite: Key, node: NodeId) -> Vec<u8> {
    wire::encode(&(community, invite, node))
}

#[cfg(test)]
mod tests;
