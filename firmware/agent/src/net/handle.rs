//! What is made of each event of the network.

use super::{
    JoinFailure, LeaseQuestion, clock,
    event::{Attempt, End, Event, Sighting, Target},
    exchange::Kind,
    files,
    gate::CLOSE_NOT_ADMITTED,
    greet, join,
    state::State,
};
use cluster::{
    Certificate, NodeId,
    hello::{self, Reason, Reply, Request},
    roster::{Item, Roster, Standing},
    sync::{self, Answer},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long one member's refusal keeps this node from introducing itself to it again.
const INTRODUCE_PAUSE: Duration = Duration::from_secs(20);

impl State {
    pub(super) fn try_to_join(&mut self) {
        let Some((goal, targets)) = self.joining.as_mut().and_then(|joining| joining.begin(&self.seen)) else {
            return;
        };
        let (endpoint, me, name, events) = (self.endpoint.clone(), self.me, self.facts().name, self.events.clone());
        let lan_problem = self.lan_problem.clone();
        tokio::spawn(async move {
            let attempt = join::attempt(endpoint, me, name, goal, targets, lan_problem).await;
            let _ended = events.send(Event::Attempted(attempt)).await;
        });
    }

    pub(super) fn event(&mut self, event: Event) {
        let now = self.now();
        match event {
            // Who was a member when it was dialled, or dialled, may be none any more.
            Event::Linked { node, conn, .. } if !self.gate.admits(&node) => {
                self.links.dial_failed(&node);
                conn.close(CLOSE_NOT_ADMITTED, b"not admitted");
            }
            Event::Linked { node, conn, dialled } => {
                self.links.linked(node, conn, dialled);
                self.peers_stale = true;
                self.refusals.remove(&node);
                self.note_direct();
                self.note_way(node);
                self.tell_clock(node);
                if let Some(address) = self.links.view(&node).and_then(|link| link.address)
                    && dialled
                    && self.reached.insert(node, address) != Some(address)
                {
                    let saved = files::save_reached(&self.store, &self.reached);
                    self.note_storage(saved);
                }
                let wanted = self.compare_when_linked.remove(&node) || dialled;
                if let Some(conn) = self.links.get(&node).filter(|_| wanted) {
                    self.compare(node, conn);
                }
            }
            Event::Unclosed { node, conn } if self.gate.admits(&node) => {
                self.links.unclosed(node, conn);
                self.peers_stale = true;
            }
            Event::Unclosed { conn, .. } => conn.close(CLOSE_NOT_ADMITTED, b"not admitted"),
            Event::DialFailed { node, seen } => {
                log::debug!(node = node.short(), seen; "a member was not reached");
                self.links.dial_failed(&node);
                self.compare_when_linked.remove(&node);
                self.look_for_ways(node);
            }
            Event::Unreached { node, silent, reply } => {
                self.links.end_in_the_way(&node, silent);
                self.look_for_ways(node);
                let _gone = reply.send(());
            }
            Event::WayWanted { way, packets } => self.open_way(way, packets),
            Event::Carry { from, to, reply } => {
                let _gone = reply.send(self.carry(from, to));
            }
            Event::Anchor { node, reply } => {
                let _gone = reply.send(self.links.anchor(node));
            }
            Event::LinkLost { node, id, end } => {
                let counts = self.links.lost(&node, id);
                self.keep_clocks();
                self.peers_stale = true;
                match (end, &mut self.node) {
                    (End::Rejected, _) => self.introduce(node),
                    (End::Silent, Some(own)) if counts => own.fell_silent(now, node),
                    _ => {}
                }
            }
            // What comes late over a connection to somebody who was removed meanwhile changes nothing, and is not answered.
            Event::Datagram { node, .. }
            | Event::Question { node, .. }
            | Event::Open { node, .. }
            | Event::Give { node, .. }
            | Event::Items { node, .. }
                if !self.gate.admits(&node) => {}
            Event::Datagram { node, bytes } => {
                self.links.used(&node);
                if bytes.first() == Some(&cluster::records::summary::DATAGRAM) {
                    self.with_registry(|registry| registry.datagram(node, bytes));
                } else if cluster::health::is_datagram(&bytes) {
                    if let Some(health) = &mut self.health {
                        health.datagram(now, node, &bytes);
                    }
                } else if bytes.first() == Some(&cluster::clocks::DATAGRAM) {
                    self.hear_clock(node, &bytes);
                } else if let Some(own) = &mut self.node {
                    own.datagram(now, node, &bytes);
                }
            }
            // Where nobody waits for it, no answer comes.
            Event::Question { node, about: Kind::Leases, frame, reply } => {
                let _unanswered = self.config.lessees.try_send(LeaseQuestion { from: node, frame, reply });
            }
            Event::Question { node, about: Kind::Registry(about), frame, reply } => {
                self.with_registry(|registry| registry.question(node, about, frame, reply))
            }
            Event::Hello { from, at, request, reply } => {
                let answer = self.hello((from, at), &request);
                let _gone = reply.send(answer);
            }
            Event::Open { open, reply, .. } => {
                let answer = self.node.as_ref().map_or(Answer::Same, |node| sync::answer(node.roster(), &open));
                let _gone = reply.send(answer);
            }
            Event::Give { node, give, reply } => {
                self.take(node, give.items);
                if let Some(own) = &self.node {
                    let _gone = reply.send(sync::items(own.roster(), &give.want));
                }
            }
            Event::Marks { marks, reply } => {
                if let Some(own) = &self.node {
                    let _gone = reply.send(sync::give(own.roster(), &marks));
                }
            }
            Event::Items { node, items } => self.take(node, items.0),
            Event::Confirmed { node, reached } => {
                if !reached {
                    self.look_for_ways(node);
                }
                if let Some(own) = &mut self.node {
                    own.confirmed(now, node, reached);
                }
            }
            Event::Lan(sighting) => self.sighted(sighting),
            Event::Answered { number, answer } => self.answered(number, answer),
            Event::Attempted(attempt) => self.attempted(attempt),
            Event::Introduced { target, answer } => self.introduced(&target, answer),
        }
    }

    pub(super) fn take(&mut self, from: NodeId, items: Vec<Item>) {
        let now = self.now();
        let Some(own) = &mut self.node else { return };
        let refused = own.take(now, items);
        if refused > 0 {
            log::warn!(node = from.short(), refused; "a member passed on statements that do not verify");
        }
    }

    /// Answers a stranger; whoever is let in is on disk before it is told.
    pub(super) fn hello(&mut self, from: (NodeId, Option<IpAddr>), request: &[u8]) -> Vec<u8> {
        let now = self.now();
        // It goes through all members: whoever asks often gets what was chosen before.
        if self.seeds_due <= Instant::now() {
            self.choose_seeds();
        }
        let Some(node) = &mut self.node else {
            let words = "this node belongs to no community".to_owned();
            return match hello::read_request(request) {
                Err(cluster::wire::WireError::Version(_)) => hello::version_refusal(),
                _ => hello::reply_bytes(&Reply::Refused { reason: Reason::NO_COMMUNITY, words }),
            };
        };
        let answer = node.hello(now, &clock::now(self.config.wall), from, request, &mut self.rng);
        self.perform();
        if self.roster_unsaved.is_some() && !self.save_roster() {
            return hello::reply_bytes(&Reply::Refused { reason: Reason::BUSY, words: "this member can't write its data".to_owned() });
        }
        answer
    }

    pub(super) fn sighted(&mut self, sighting: Sighting) {
        let now = self.now();
        match sighting {
            Sighting::Gone(node) => {
                self.seen.remove(&node);
            }
            Sighting::Seen { node, addresses, says } => {
                if let Some(joining) = self.joining.as_mut().filter(|joining| joining.fits(&says)) {
                    joining.hurry();
                }
                let same = self.node.as_ref().is_some_and(|own| says.is_of(&own.founding().id()));
                self.seen.insert(node, (addresses, says));
                if let Some(own) = self.node.as_mut().filter(|_| same) {
                    match own.roster().standing(&node) {
                        Standing::Member if !self.links.is_open(&node) => own.ask(now, node),
                        Standing::Member | Standing::Suspended | Standing::Revoked => {}
                        Standing::Stranger => self.introduce(node),
                    }
                }
            }
        }
    }

    pub(super) fn attempted(&mut self, attempt: Attempt) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        let Some(admission) = attempt.admission else {
            let removed = attempt.failures.iter().any(|failure| failure.reason == super::JoinProblem::Revoked);
            joining.failed(attempt.failures);
            if removed {
                self.note_removed(true);
            }
            return;
        };
        let mut roster = Roster::new(admission.founding);
        let member = admission.member.node();
        let entered = [Item::Certificate(admission.own.clone()), Item::Certificate(admission.member)]
            .into_iter()
            .try_for_each(|item| roster.merge(item).map(|_| ()))
            .map_err(anyhow::Error::from)
            .and_then(|()| files::save_membership(&self.store, &roster, &admission.own, None))
            .and_then(|()| self.enter(roster, None));
        if let Err(error) = entered {
            let failure = JoinFailure {
                reason: super::JoinProblem::Storage,
                target: "this node's data".to_owned(),
                seen: format!("{error:#}"),
                mend: "is the data partition full or read-only?".to_owned(),
            };
            if let Some(joining) = &mut self.joining {
                joining.failed(vec![failure]);
            }
            return;
        }
        self.note_removed(false);
        let now = self.now();
        for seed in admission.seeds {
            if let Some(address) = seed.addresses.first() {
                self.reached.entry(seed.node).or_insert(*address);
            }
            self.hints.insert(seed.node, seed.addresses);
        }
        // A node that is cut off before cards came knows where to go on.
        let saved = files::save_reached(&self.store, &self.reached);
        self.note_storage(saved);
        if let Some(node) = &mut self.node {
            log::info!(community = node.founding().name().as_str(), member = member.short(); "joined");
            node.compare(now, member);
            node.ask(now, member);
        }
        self.set_door(self.config.join.door);
        self.say();
        self.perform();
    }

    /// Shows this node's certificate to a member that does not know it yet.
    pub(super) fn introduce(&mut self, node: NodeId) {
        let lately = self.introduced.get(&node).is_some_and(|last| last.elapsed() < INTRODUCE_PAUSE);
        let Some(own) = self.node.as_ref().filter(|_| !lately) else {
            return;
        };
        let Some(certificate) = own.roster().certificate(&self.me).map(Certificate::to_bytes) else {
            return;
        };
        self.introduced.insert(node, Instant::now());
        let target = Target { node, addresses: self.addresses(&node) };
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let answer = greet::ask(&endpoint, &target, &Request::Join { certificate }).await;
            let _ended = events.send(Event::Introduced { target, answer }).await;
        });
    }

    pub(super) fn introduced(&mut self, target: &Target, answer: Result<Reply, JoinFailure>) {
        let now = self.now();
        let Some(own) = &mut self.node else { return };
        match answer {
            Ok(Reply::Admitted { certificate, .. }) => {
                let theirs = Certificate::from_bytes(&certificate).ok().filter(|theirs| theirs.node() == target.node);
                own.take(now, theirs.map(Item::Certificate).into_iter().collect());
                own.ask(now, target.node);
                own.compare(now, target.node);
                self.note_removed(false);
            }
            Ok(Reply::Refused { reason, words }) => {
                // Who is no member knows nothing of it.
                let known = own.roster().standing(&target.node) == Standing::Member;
                self.refusals.insert(target.node, words);
                self.not_back = None;
                if known && reason == Reason::REVOKED {
                    self.note_removed(true);
                }
            }
            Ok(Reply::Invited { .. } | Reply::Asked { .. } | Reply::Waiting { .. } | Reply::Others { .. }) => {}
            Err(failure) => {
                log::debug!(node = target.node.short(), seen = failure.seen; "introducing this node failed");
                if !self.knows_others() {
                    self.not_back = Some(format!(
                        "no other member is known here, and {} does not answer: {}; {}",
                        failure.target, failure.seen, failure.mend
                    ));
                }
            }
        }
    }
}
