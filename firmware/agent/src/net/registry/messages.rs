//! Directed messages as the registry's thread keeps them: what goes to one member, and what came from one and waits here.

use super::{Copy, Refused, Registry};
use cluster::{
    CommunityId, Millis, NodeId,
    leases::{Lease, LeaseId, Offer, Terms},
    messages::{MessageId, Outcome, SendError, mail},
    store::StoreError,
};
use std::time::Duration;
use tokio::sync::watch;

pub use cluster::messages::mail::Mail;

/// Kinds of messages. A number is never used for another kind.
pub mod kind {
    /// About an app that runs on somebody else's node (`crate::leases`).
    pub const LEASES: u16 = 1;
    /// Those that this version knows.
    pub const KNOWN: &[u16] = &[LEASES];
}

/// How a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It waits, or is on its way.
    Waits,
    /// It has its outcome.
    Settled(Outcome),
    /// It is none of the last that this node sent.
    Unknown,
}

/// Why a message was not taken, or none can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// By what keeps messages.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The records are closed.
    #[error(transparent)]
    Closed(#[from] Refused),
    /// The disk.
    #[error("messages can't be read: {0}")]
    Store(#[from] StoreError),
}

impl Copy {
    /// Takes a frame of a member, and answers it.
    pub fn take_messages(&mut self, from: NodeId, frame: &[u8]) -> Vec<u8> {
        let store = self.replica.store_mut();
        // What can't be counted is not taken now.
        let mut room = mail::room(store, &from).ok();
        self.inbox.take(store, from, frame, &mut |delivery, effects| mail::keep(delivery, effects, kind::KNOWN, room.as_mut()))
    }

    /// What came of a frame of this node's.
    pub fn messages_answered(&mut self, now: Millis, id: u64, frame: Option<&[u8]>) {
        self.outbox.answered(now, self.replica.store_mut(), id, frame);
    }
}

impl Registry {
    /// Keeps a message for a member until it has an outcome, at most for `patience`. It is on disk when this answers.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub async fn send(&self, to: NodeId, kind: u16, body: Vec<u8>, patience: Duration) -> Result<MessageId, NotSent> {
        let sent = self.with(move |copy, now| copy.outbox.send(now, copy.replica.store_mut(), to, kind, &body, patience));
        Ok(sent.await??)
    }

    /// How a message of this node's stands.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub async fn standing(&self, id: MessageId) -> Result<Standing, NotSent> {
        let look = move |copy: &mut Copy, _| match copy.outbox.waits(&id) {
            true => Ok(Standing::Waits),
            false => {
                Ok(copy.outbox.outcome(copy.replica.store(), &id)?.map_or(Standing::Unknown, |(_, outcome)| Standing::Settled(outcome)))
            }
        };
        Ok(self.with(look).await?.map_err(|error: StoreError| error)?)
    }

    /// What came and waits.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub async fn mail(&self) -> Result<Vec<Mail>, NotSent> {
        Ok(self.with(|copy, _| mail::all(copy.replica.store())).await??)
    }

    /// Takes away what was acted on; it may be seen once more after a power cut.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub async fn mail_done(&self, done: Vec<(NodeId, u64)>) -> Result<(), NotSent> {
        Ok(self.with(move |copy, _| mail::done(copy.replica.store_mut(), &done)).await??)
    }

    /// Signs an offer of this node.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn sign_offer(
        &self,
        id: LeaseId,
        community: CommunityId,
        to: NodeId,
        terms: Terms,
        about: Vec<u8>,
    ) -> Result<Offer, Refused> {
        self.with(move |copy, _| Offer::sign(&copy.seed, id, community, to, terms, about)).await
    }

    /// Signs that this node agrees to an offer.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn sign_lease(&self, offer: Offer) -> Result<Lease, Refused> {
        self.with(move |copy, _| Lease::sign(&copy.seed, &offer)).await
    }

    /// Changes when a message came or has its outcome.
    pub fn messages(&self) -> watch::Receiver<u64> {
        self.messages.subscribe()
    }
}
