//! What strangers are answered: by an invite, at an open door, by four words.

use super::{Door, Node, Output};
use crate::{
    admission::{Certificate, Refusal, Terms},
    card::Card,
    clock::{Clock, Millis},
    hello::{self, MAX_OTHERS, Reason, Reply, Request},
    keys::NodeId,
    roster::Standing,
    wire::{Name, WireError},
    words::{Answer, Newcomer},
};
use rand::{CryptoRng, RngExt};
use std::net::IpAddr;

/// How long an invite may be used that is given without one having been made by hand: at an open door, or by four words.
const GIVEN_INVITE_VALID_SECONDS: u64 = 600;

impl Node {
    /// Answers a stranger, who comes from that address as far as that is known.
    pub fn hello(
        &mut self,
        now: Millis,
        clock: &Clock,
        (from, at): (NodeId, Option<IpAddr>),
        request: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let reply = match hello::read_request(request) {
            Err(WireError::Version(_)) => return hello::version_refusal(),
            Err(error) => refuse(Reason::INVALID, error.to_string()),
            Ok(Request::Join { certificate }) => match self.join(now, clock, from, &certificate) {
                Ok(reply) => reply,
                Err(refusal) => refuse(Reason::from(&refusal), refusal.to_string()),
            },
            Ok(_) if self.roster.standing(&from) == Standing::Revoked => refuse(Reason::REVOKED, Refusal::Revoked.to_string()),
            Ok(Request::Knock { .. }) => match (self.door(now), &self.admin) {
                (Door::Closed, _) => refuse(Reason::DOOR_CLOSED, "the door is closed".to_owned()),
                (_, None) => refuse(Reason::DOOR_CLOSED, "this member holds no key that can invite".to_owned()),
                (_, Some(_)) => match self.give_invite(clock, rng) {
                    Some(token) => Reply::Invited { token },
                    None => refuse(Reason::DOOR_CLOSED, String::new()),
                },
            },
            Ok(Request::Withdraw) => {
                self.newcomers.withdraw(now, &from);
                self.outputs.push_back(Output::Changed);
                refuse(Reason::NOT_ASKED, "it is forgotten".to_owned())
            }
            Ok(request) if self.admin.is_some() => self.by_words(now, clock, (from, at), request, rng),
            Ok(_) => Reply::Others { admins: self.other_admins() },
        };
        hello::reply_bytes(&reply)
    }

    fn join(&mut self, now: Millis, clock: &Clock, from: NodeId, certificate: &[u8]) -> Result<Reply, Refusal> {
        let certificate = Certificate::from_bytes(certificate)?;
        if certificate.node() != from {
            return Err(Refusal::OtherNode(certificate.node()));
        }
        if self.roster.admit(certificate, clock)? {
            self.roster_changed(now);
        }
        self.newcomers.forget(&from);
        let own = self.roster.certificate(&self.me).map(Certificate::to_bytes).unwrap_or_default();
        Ok(Reply::Admitted { certificate: own, seeds: self.seeds() })
    }

    /// An invite for one node, which is to use it at once.
    fn give_invite(&self, clock: &Clock, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let not_after = clock.sure.map(|now| now.saturating_add(GIVEN_INVITE_VALID_SECONDS));
        self.invite(Terms { uses: 1, not_after }, rng).map(|token| token.to_bytes())
    }

    /// Answers a newcomer that would come in by four words.
    fn by_words(
        &mut self,
        now: Millis,
        clock: &Clock,
        (from, at): (NodeId, Option<IpAddr>),
        request: Request,
        rng: &mut impl CryptoRng,
    ) -> Reply {
        let answer = match request {
            Request::Ask { name, commitment } => {
                let nonce = rng.random();
                match self.newcomers.ask(now, (from, at), name, commitment, nonce) {
                    Ok(()) => return Reply::Asked { founding: self.founding().to_bytes(), nonce },
                    Err(reason) => Err(reason),
                }
            }
            Request::Reveal { nonce } => {
                let community = self.founding().id();
                self.newcomers.reveal(now, &community, &self.me, from, &nonce)
            }
            Request::Decided { agreed } => self.newcomers.decided(now, &from, agreed),
            Request::Join { .. } | Request::Knock { .. } | Request::Withdraw => Err(Reason::INVALID),
        };
        self.outputs.push_back(Output::Changed);
        match answer {
            Ok(Answer::Waiting { admitted }) => Reply::Waiting { agreed: admitted },
            Ok(Answer::Invite(Some(token))) => Reply::Invited { token },
            Ok(Answer::Invite(None)) => match self.give_invite(clock, rng) {
                Some(token) => {
                    self.newcomers.given(&from, token.clone());
                    Reply::Invited { token }
                }
                None => Reply::Others { admins: self.other_admins() },
            },
            Err(reason) => refuse(reason, said(reason).to_owned()),
        }
    }

    /// Admins whom a newcomer may ask, those first that are there.
    fn other_admins(&self) -> Vec<(NodeId, Name)> {
        let alive: Vec<NodeId> = self.membership.alive().collect();
        let admins = self.roster.nodes().filter(|node| *node != self.me && self.roster.is_admin(node));
        let mut admins: Vec<NodeId> = admins.filter(|node| self.roster.standing(node) == Standing::Member).collect();
        admins.sort_by_key(|node| (!alive.contains(node), *node));
        let named = |node: NodeId| {
            let name = self.roster.card(&node).map(|card: &Card| card.facts().name.clone());
            (node, name.unwrap_or_else(|| Name::lossy(&node.short(), "unnamed")))
        };
        admins.into_iter().take(MAX_OTHERS).map(named).collect()
    }

    /// Those who wait for a person to compare the words, or were let in and are not members yet.
    #[must_use]
    pub fn newcomers(&self, now: Millis) -> Vec<Newcomer> {
        if self.admin.is_some() { self.newcomers.waiting(now) } else { Vec::new() }
    }

    /// A person compared the words of a newcomer, and lets it in or not; what it calls itself.
    ///
    /// # Errors
    /// This node can't let in, or none asks by that key and these words, or it has its invite already.
    pub fn decide_newcomer(&mut self, now: Millis, node: &NodeId, words: &str, admit: bool) -> Result<Name, Refusal> {
        if self.admin.is_none() {
            return Err(Refusal::NoAdmin);
        }
        let decided = self.newcomers.decide(now, node, words, admit).map_err(|reason| match reason {
            Reason::USED => Refusal::Used { uses: 1 },
            _ => Refusal::Stranger(*node),
        })?;
        self.outputs.push_back(Output::Changed);
        Ok(decided)
    }
}

/// A reason in words, for logs and programs.
fn said(reason: Reason) -> &'static str {
    match reason {
        Reason::BUSY => "too many ask at present",
        Reason::DENIED => "a person here said no",
        Reason::NOT_ASKED => "nobody of that key asks here",
        _ => "this is not what was committed to",
    }
}

fn refuse(reason: Reason, mut words: String) -> Reply {
    let mut end = words.len().min(200);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    Reply::Refused { reason, words }
}
