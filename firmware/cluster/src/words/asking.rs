//! A newcomer: it asks one admin's node, shows the words, and takes the invite once both people have agreed.

use super::{FourWords, Nonce, TERM, commitment};
use crate::{
    admission::{Founding, Token},
    clock::Millis,
    hello::{Reason, Reply, Request},
    keys::NodeId,
    wire::Name,
};
use rand::{CryptoRng, RngExt};
use std::time::Duration;

/// Asking under way, or what it came to.
#[derive(Debug)]
pub struct Asking {
    me: NodeId,
    admin: NodeId,
    name: Name,
    nonce: Nonce,
    began: Millis,
    /// The person here found the same words.
    agreed: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Ask,
    Reveal { founding: Founding, words: FourWords },
    Wait { founding: Founding, words: FourWords, admitted: bool },
    Invited(Box<Token>),
    Over(End),
}

/// How asking ended without an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The person there said no.
    Denied,
    /// Nobody decided in time.
    Late,
    /// The node there knows nothing of it any more: it has started again, say.
    Forgotten,
    /// It can let nobody in; these can, by what it says.
    Others(Vec<(NodeId, Name)>),
    /// It answered what makes no sense: an invite before anybody agreed, one of another community.
    Nonsense,
    /// It refused.
    Refused(Reason),
}

/// A person agreed to words that are not those of this question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not the words that are shown at present")]
pub struct OtherWords;

impl Asking {
    /// Asks `admin`.
    pub fn new(now: Millis, me: NodeId, admin: NodeId, name: Name, rng: &mut impl CryptoRng) -> Self {
        Self { me, admin, name, nonce: rng.random(), began: now, agreed: false, stage: Stage::Ask }
    }

    /// Whom.
    #[must_use]
    pub fn admin(&self) -> NodeId {
        self.admin
    }

    /// What is to be said next; nothing where it is over.
    pub fn request(&mut self, now: Millis) -> Option<Request> {
        if self.open() && self.left(now).is_zero() {
            self.stage = Stage::Over(End::Late);
        }
        match &self.stage {
            Stage::Ask => {
                let commitment = commitment(&self.me, &self.admin, &self.nonce);
                Some(Request::Ask { name: self.name.clone(), commitment })
            }
            Stage::Reveal { .. } => Some(Request::Reveal { nonce: self.nonce }),
            Stage::Wait { .. } => Some(Request::Decided { agreed: self.agreed }),
            Stage::Invited(_) | Stage::Over(_) => None,
        }
    }

    /// Takes the answer to what was said last.
    pub fn answer(&mut self, reply: Reply) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(End::Nonsense));
        self.stage = match (stage, reply) {
            (over @ (Stage::Invited(_) | Stage::Over(_)), _) => over,
            // Whoever has much to do is asked again.
            (stage, Reply::Refused { reason: Reason::BUSY, .. }) => stage,
            (_, Reply::Refused { reason: Reason::DENIED, .. }) => Stage::Over(End::Denied),
            (_, Reply::Refused { reason: Reason::NOT_ASKED, .. }) => Stage::Over(End::Forgotten),
            (_, Reply::Refused { reason, .. }) => Stage::Over(End::Refused(reason)),
            (_, Reply::Others { mut admins }) => {
                admins.truncate(crate::hello::MAX_OTHERS);
                Stage::Over(End::Others(admins))
            }
            (Stage::Ask, Reply::Asked { founding, nonce }) => match Founding::from_bytes(&founding) {
                Ok(founding) => {
                    let words = FourWords::of(&founding.id(), &self.me, &self.admin, &self.nonce, &nonce);
                    Stage::Reveal { founding, words }
                }
                Err(_) => Stage::Over(End::Nonsense),
            },
            (Stage::Reveal { founding, words } | Stage::Wait { founding, words, .. }, Reply::Waiting { agreed: admitted }) => {
                Stage::Wait { founding, words, admitted }
            }
            (Stage::Wait { founding, .. }, Reply::Invited { token }) if self.agreed => match Token::from_bytes(&token) {
                Ok(token) if token.community().id() == founding.id() => Stage::Invited(Box::new(token)),
                _ => Stage::Over(End::Nonsense),
            },
            _ => Stage::Over(End::Nonsense),
        };
    }

    /// The person here found the same words there.
    ///
    /// # Errors
    /// These are not the words, or there are none.
    pub fn agree(&mut self, said: &str) -> Result<(), OtherWords> {
        match &self.stage {
            Stage::Wait { words, .. } if words.are(said) => self.agreed = true,
            _ => return Err(OtherWords),
        }
        Ok(())
    }

    /// The words, once there are some to be compared.
    #[must_use]
    pub fn words(&self) -> Option<FourWords> {
        match self.stage {
            Stage::Wait { words, .. } => Some(words),
            _ => None,
        }
    }

    /// The community that the other node says it is of, once it has said so.
    #[must_use]
    pub fn community(&self) -> Option<&Founding> {
        match &self.stage {
            Stage::Reveal { founding, .. } | Stage::Wait { founding, .. } => Some(founding),
            _ => None,
        }
    }

    /// Whether the person here agreed, and the one there.
    #[must_use]
    pub fn agreed(&self) -> (bool, bool) {
        (self.agreed, matches!(self.stage, Stage::Wait { admitted: true, .. }))
    }

    /// How long it may still take.
    #[must_use]
    pub fn left(&self, now: Millis) -> Duration {
        self.began.plus(TERM).since(now)
    }

    /// Whether nothing has come of it yet.
    #[must_use]
    pub fn open(&self) -> bool {
        !matches!(self.stage, Stage::Invited(_) | Stage::Over(_))
    }

    /// How it ended without an invite.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        match &self.stage {
            Stage::Over(end) => Some(end),
            _ => None,
        }
    }

    /// The invite, once both people have agreed.
    #[must_use]
    pub fn invite(&self) -> Option<&Token> {
        match &self.stage {
            Stage::Invited(token) => Some(token),
            _ => None,
        }
    }
}
