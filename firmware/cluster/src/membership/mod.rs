//! Who is there: foca (SWIM) held to what the community knows.
//!
//! A datagram is looked at before foca sees it: its source must be the node that the connection proves, and
//! every id in it must be admitted, else the id (or the message) is dropped. What foca says is a hint: a member
//! that it gives up counts as down only when this node's own dial failed too. Admitted members that are not
//! seen alive are asked again and again, so a node that was cut off is found when it returns.
//!
//! The epoch (one for each start, kept on disk) makes a restarted node the same member in a new life; renewals
//! within one life are counted beside it and need no disk. A node that hears of a later epoch of its own was
//! restored from an old copy: it moves beyond that epoch and says so.

mod beliefs;
mod clean;
mod probe;
mod settings;

pub use beliefs::{Belief, Liveness};
pub use settings::MAX_DATAGRAM_BYTES;

use crate::{clock::Millis, keys::NodeId, wire};
use clean::Unclean;
use foca::{AccumulatingRuntime, Foca, Identity, Member, NoCustomBroadcast, OwnedNotification, PostcardCodec, State, Timer};
use probe::Probe;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use serde::{Deserialize, Serialize};
use settings::*;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// One life of a node, as the gossip names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The node.
    pub node: NodeId,
    /// Its epoch: how often it has started.
    pub epoch: u32,
    /// How often it came back within this epoch after others had given it up.
    pub renewal: u32,
}

impl Identity for Life {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { renewal: self.renewal.checked_add(1)?, ..self.clone() })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.epoch, self.renewal) > (adversary.epoch, adversary.renewal)
    }
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes as a datagram, dialling if need be; they may be lost.
    Send {
        /// To whom.
        to: NodeId,
        /// At most [`MAX_DATAGRAM_BYTES`].
        bytes: Vec<u8>,
    },
    /// Dial this member and tell [`Membership::confirmed`] how it went.
    Confirm(NodeId),
    /// A member spoke of somebody that is not admitted here: compare rosters with it.
    Compare(NodeId),
    /// A member is there that was not before.
    Up(NodeId),
    /// The own epoch is this now: write it to disk.
    Epoch(u32),
    /// What [`Membership::states`] says has changed.
    Changed,
}

/// Datagrams that were refused, by reason; for tests and diagnosis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Too long, another version, or malformed.
    pub malformed: u64,
    /// The source is not the node at the other end.
    pub source: u64,
    /// It names nodes that are not admitted, or comes from one.
    pub stranger: u64,
    /// foca did not want it.
    pub foca: u64,
}

/// The membership state machine of one node in one community.
pub struct Membership {
    foca: Foca<Life, PostcardCodec, StdRng, NoCustomBroadcast>,
    rng: StdRng,
    timers: BTreeMap<(Millis, u64), Timer<Life>>,
    timer_count: u64,
    outputs: VecDeque<Output>,
    admitted: BTreeSet<NodeId>,
    heard: BTreeMap<NodeId, Millis>,
    /// The last probe, until it is answered.
    probe: Option<Probe>,
    /// Until when members are probed more often.
    trouble_until: Millis,
    /// Members that foca gave up and whose own dial is under way, until when.
    confirming: BTreeMap<NodeId, Millis>,
    /// Members that foca gave up but that were reached from here: until when they may take to come back.
    reached: BTreeMap<NodeId, Millis>,
    /// Members whose connection fell silent: until when their suspicion lasts, and whether the own dial failed.
    silent: BTreeMap<NodeId, (Millis, bool)>,
    /// Members that said goodbye themselves, so that nothing needs confirming, and whether they signed it.
    parted: BTreeMap<NodeId, bool>,
    next_retry: Millis,
    /// Since when members are suspected.
    suspects: BTreeMap<NodeId, Millis>,
    next_suspects: Millis,
    refused: Refused,
    left: bool,
}

impl Membership {
    /// A node in its `epoch`, knowing nobody. `seed` feeds its random choices.
    #[must_use]
    pub fn new(me: NodeId, epoch: u32, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let foca_rng = StdRng::seed_from_u64(rng.random());
        Self {
            foca: Foca::new(Life { node: me, epoch, renewal: 0 }, config(), foca_rng, PostcardCodec),
            rng,
            timers: BTreeMap::new(),
            timer_count: 0,
            outputs: VecDeque::new(),
            admitted: BTreeSet::new(),
            heard: BTreeMap::new(),
            probe: None,
            trouble_until: Millis(0),
            confirming: BTreeMap::new(),
            reached: BTreeMap::new(),
            silent: BTreeMap::new(),
            parted: BTreeMap::new(),
            next_retry: Millis(0),
            suspects: BTreeMap::new(),
            next_suspects: Millis(0),
            refused: Refused::default(),
            left: false,
        }
    }

    /// This node's present life.
    #[must_use]
    pub fn me(&self) -> &Life {
        self.foca.identity()
    }

    /// What was refused so far.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Takes the set of admitted members (this node may be among them). New ones are asked at once.
    pub fn set_admitted(&mut self, now: Millis, admitted: BTreeSet<NodeId>) {
        let me = self.me().node;
        let new: Vec<NodeId> = admitted.iter().filter(|node| **node != me && !self.admitted.contains(*node)).copied().collect();
        self.admitted = admitted;
        // All at once would be a storm in a large community: the first few now, the others are met through them
        // and by the retries.
        for node in new.into_iter().sample(&mut self.rng, RETRY_MEMBERS_ALONE) {
            self.announce(now, node);
        }
        self.outputs.push_back(Output::Changed);
    }

    /// Asks a member for all it knows.
    pub fn announce(&mut self, now: Millis, node: NodeId) {
        let known = self.foca.iter_membership_state().find(|member| member.id().node == node).map(|member| member.id().clone());
        let to = known.unwrap_or(Life { node, epoch: 0, renewal: 0 });
        self.with_foca(now, |foca, runtime| foca.announce(to, runtime));
    }

    /// When [`Membership::tick`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let timer = self.timers.keys().next().map_or(Millis(u64::MAX), |(at, _)| *at);
        let silent = self.silent.values().map(|(until, _)| until);
        let confirm = self.confirming.values().chain(self.reached.values()).chain(silent).min().copied().unwrap_or(Millis(u64::MAX));
        let probe = self.probe.as_ref().and_then(Probe::again_at).unwrap_or(Millis(u64::MAX));
        timer.min(confirm).min(probe).min(self.next_retry).min(self.next_suspects)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            // Others are asked to probe since it was not answered.
            if matches!(timer, Timer::SendIndirectProbe { .. }) && self.probe.is_some() {
                self.trouble(now);
            }
            self.with_foca(now, |foca, runtime| foca.handle_timer(timer, runtime));
        }
        if let Some((to, bytes)) = self.probe.as_mut().and_then(|probe| probe.again(now)) {
            self.outputs.push_back(Output::Send { to, bytes });
        }
        let failed: Vec<NodeId> = self.confirming.iter().filter(|(_, until)| **until <= now).map(|(node, _)| *node).collect();
        for node in failed {
            self.confirmed(now, node, false);
        }
        let still_down: Vec<NodeId> = self.reached.iter().filter(|(_, until)| **until <= now).map(|(node, _)| *node).collect();
        for node in still_down {
            self.reached.remove(&node);
            self.confirm(now, node);
        }
        let over: Vec<(NodeId, bool)> =
            self.silent.iter().filter(|(_, (until, _))| *until <= now).map(|(node, (_, unreached))| (*node, *unreached)).collect();
        for (node, unreached) in over {
            self.silent.remove(&node);
            if unreached {
                self.give_up(now, node, true);
            }
        }
        if self.next_retry <= now {
            self.next_retry = now.plus(RETRY_PERIOD);
            self.retry(now);
        }
        if self.next_suspects <= now {
            self.next_suspects = now.plus(SUSPECTS_PERIOD);
            self.end_suspicions(now);
        }
    }

    /// Dials those who are suspected for longer than a suspicion lasts.
    fn end_suspicions(&mut self, now: Millis) {
        let members = self.foca.iter_members().filter(|member| member.state() == State::Suspect);
        let suspects: BTreeSet<NodeId> = members.map(|member| member.id().node).collect();
        self.suspects.retain(|node, _| suspects.contains(node));
        for node in suspects {
            let since = *self.suspects.entry(node).or_insert(now);
            if now.since(since) > SUSPECT_TO_DOWN && !self.confirming.contains_key(&node) {
                self.confirm(now, node);
            }
        }
    }

    /// The connection to a member fell silent: it is suspected, so that it may answer for itself, and dialled. This is
    /// what finds out soon that a neighbour is gone; probing goes slowly over all.
    pub fn fell_silent(&mut self, now: Millis, node: NodeId) {
        let known = self.foca.iter_members().find(|member| member.id().node == node && member.state() == State::Alive).cloned();
        let Some(member) = known.filter(|_| !self.left && !self.confirming.contains_key(&node)) else { return };
        self.silent.insert(node, (now.plus(SILENT_TO_DOWN), false));
        self.trouble(now);
        self.confirm(now, node);
        let suspect = Member::new(member.id().clone(), member.incarnation(), State::Suspect);
        self.with_foca(now, |foca, runtime| foca.apply_many(std::iter::once(suspect), true, runtime));
        self.outputs.push_back(Output::Changed);
    }

    /// From now on members are probed more often for a while.
    fn trouble(&mut self, now: Millis) {
        self.trouble_until = now.plus(TROUBLE);
        let soon = now.plus(self.probe_period(now));
        let late: Vec<(Millis, u64)> = self
            .timers
            .iter()
            .filter(|((at, _), timer)| *at > soon && matches!(timer, Timer::ProbeRandomMember(_)))
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            if let Some(timer) = self.timers.remove(&key) {
                self.timers.insert((soon, key.1), timer);
            }
        }
    }

    fn probe_period(&self, now: Millis) -> Duration {
        if now >= self.trouble_until {
            return PROBE_PERIOD;
        }
        let members = u32::try_from(self.admitted.len()).unwrap_or(u32::MAX).clamp(PROBE_PERIOD_MEMBERS, 64 * PROBE_PERIOD_MEMBERS);
        (TROUBLE_PROBE_PERIOD * members / PROBE_PERIOD_MEMBERS).min(MAX_TROUBLE_PROBE_PERIOD)
    }

    /// A suspect did not answer for itself. All are told so, unless it was reached from here.
    fn give_up(&mut self, now: Millis, node: NodeId, tell: bool) {
        let suspect = self.foca.iter_members().find(|member| member.id().node == node && member.state() == State::Suspect).cloned();
        let Some(suspect) = suspect else { return };
        let down = Member::new(suspect.id().clone(), suspect.incarnation(), State::Down);
        let parted = self.parted.insert(node, false);
        self.with_foca(now, |foca, runtime| foca.apply_many(std::iter::once(down), tell, runtime));
        if parted.is_none() {
            self.parted.remove(&node);
        }
        self.outputs.push_back(Output::Changed);
    }

    /// Asks for an own dial of a member that was given up.
    fn confirm(&mut self, now: Millis, node: NodeId) {
        self.confirming.insert(node, now.plus(CONFIRM_PATIENCE));
        self.outputs.push_back(Output::Confirm(node));
    }

    /// Asks some admitted members that are not known to be alive.
    fn retry(&mut self, now: Millis) {
        if self.left {
            return;
        }
        let alive: BTreeSet<NodeId> = self.foca.iter_members().map(|member| member.id().node).collect();
        let me = self.me().node;
        let count = if alive.is_empty() { RETRY_MEMBERS_ALONE } else { RETRY_MEMBERS };
        let absent: Vec<NodeId> = self.admitted.iter().filter(|node| **node != me && !alive.contains(*node)).copied().collect();
        for node in absent.into_iter().sample(&mut self.rng, count) {
            self.announce(now, node);
        }
    }

    /// Takes a datagram that came over a connection to `from`.
    pub fn datagram(&mut self, now: Millis, from: NodeId, bytes: &[u8]) {
        if self.left {
            return;
        }
        match self.clean(from, bytes) {
            Ok(clean) => {
                self.heard.insert(from, now);
                if self.probe.as_ref().is_some_and(|probe| probe.is_answered(from, &clean.message)) {
                    self.probe = None;
                }
                // foca may leave the datagram aside: it may be to an earlier life of this node.
                if let Some(life) = clean.over {
                    self.part(now, &life, false);
                }
                // Whoever was given up for a moment is written to by its earlier name for a while: what it is told of others holds. As
                // foca does, it believes nothing of whom it gave up itself.
                let given_up = self.foca.iter_membership_state().any(|member| member.id().node == from && member.state() == State::Down);
                if !clean.late.is_empty() && !given_up {
                    self.with_foca(now, |foca, runtime| foca.apply_many(clean.late.into_iter(), true, runtime));
                } else {
                    self.with_foca(now, |foca, runtime| foca.handle_data(&clean.bytes, runtime));
                }
            }
            Err(reason) => match reason {
                Unclean::Malformed => self.refused.malformed += 1,
                Unclean::Source => self.refused.source += 1,
                Unclean::Stranger => self.refused.stranger += 1,
            },
        }
    }

    /// Somebody knows a life of this node. A later epoch than its own shows an old copy of its data.
    fn hear_of_self(&mut self, life: &Life) {
        if life.epoch > self.me().epoch {
            self.outputs.push_back(Output::Epoch(life.epoch.saturating_add(1)));
        }
    }

    /// Goes on in a later epoch; earlier ones and the present one are ignored.
    pub fn set_epoch(&mut self, now: Millis, epoch: u32) {
        if epoch > self.me().epoch {
            let life = Life { node: self.me().node, epoch, renewal: 0 };
            self.with_foca(now, |foca, runtime| foca.change_identity(life, runtime));
        }
    }

    /// How the dial asked for by [`Output::Confirm`] went. A member that was reached is told that others gave
    /// it up, so that it comes back.
    pub fn confirmed(&mut self, now: Millis, node: NodeId, reached: bool) {
        if self.confirming.remove(&node).is_none() {
            return;
        }
        // Whom foca gave up is not among these.
        let state = self.foca.iter_members().find(|member| member.id().node == node).map(Member::state);
        match self.silent.get_mut(&node) {
            Some((_, unreached)) if !reached => *unreached = true,
            _ if !reached => self.give_up(now, node, true),
            _ => drop(self.silent.remove(&node)),
        }
        if reached {
            // It is asked again where it stays suspected, or given up; once it is alive here, nobody asks. One that had its
            // time to answer and did not has never heard of the suspicion: given up, it is told so when it speaks.
            let late = self.suspects.get(&node).is_some_and(|since| now.since(*since) > SUSPECT_TO_DOWN);
            match state {
                Some(State::Suspect) if late => {
                    self.give_up(now, node, false);
                    self.reached.insert(node, now.plus(CONFIRM_PATIENCE));
                }
                Some(State::Suspect) => {
                    self.suspects.insert(node, now);
                }
                Some(_) => {}
                None => {
                    self.reached.insert(node, now.plus(CONFIRM_PATIENCE));
                }
            }
            self.announce(now, node);
        }
        self.outputs.push_back(Output::Changed);
    }

    /// A member has said itself that this life of it is over, to this node or signed. True if that was not known; what is signed is news where
    /// it was only said, since it can be passed on.
    pub fn part(&mut self, now: Millis, life: &Life, signed: bool) -> bool {
        let known = self.foca.iter_membership_state().find(|member| member.id().node == life.node);
        let order = |life: &Life| (life.epoch, life.renewal);
        let is_news = !self.left
            && life.node != self.me().node
            && self.admitted.contains(&life.node)
            && self.parted.get(&life.node).is_none_or(|was| signed && !was)
            && known.is_none_or(|known| order(known.id()) <= order(life));
        if is_news {
            self.parted.insert(life.node, signed);
            // Nothing needs an own dial any more.
            self.confirming.remove(&life.node);
            self.reached.remove(&life.node);
            self.silent.remove(&life.node);
            self.outputs.push_back(Output::Changed);
            let down = Member::new(life.clone(), foca::Incarnation::MAX, State::Down);
            self.with_foca(now, |foca, runtime| foca.apply_many(std::iter::once(down), true, runtime));
        }
        is_news
    }

    /// Says goodbye to some members; nothing is sent or taken after that.
    pub fn goodbye(&mut self, now: Millis) {
        self.left = true;
        self.with_foca(now, |foca, runtime| foca.leave_cluster(runtime));
        for _ in 1..GOODBYE_ROUNDS {
            self.with_foca(now, |foca, runtime| foca.gossip(runtime));
        }
    }

    /// What is to be done, oldest first.
    pub fn outputs(&mut self) -> impl Iterator<Item = Output> + '_ {
        self.outputs.drain(..)
    }

    /// Lets foca work and collects what it wants.
    fn with_foca(
        &mut self,
        now: Millis,
        work: impl FnOnce(&mut Foca<Life, PostcardCodec, StdRng, NoCustomBroadcast>, &mut AccumulatingRuntime<Life>) -> Result<(), foca::Error>,
    ) {
        let mut runtime = AccumulatingRuntime::new();
        if work(&mut self.foca, &mut runtime).is_err() {
            self.refused.foca += 1;
        }
        while let Some((to, data)) = runtime.to_send() {
            let bytes = [&[wire::VERSION], data.as_ref()].concat();
            if let Some(probe) = Probe::of(now, to.node, &bytes, PROBES_AGAIN) {
                self.probe = Some(probe);
            }
            self.outputs.push_back(Output::Send { to: to.node, bytes });
        }
        while let Some((after, timer)) = runtime.to_schedule() {
            let after = if matches!(timer, Timer::ProbeRandomMember(_)) { self.probe_period(now) } else { after };
            self.timer_count += 1;
            self.timers.insert((now.plus(after), self.timer_count), timer);
        }
        while let Some(notification) = runtime.to_notify() {
            match notification {
                OwnedNotification::MemberUp(life) => {
                    self.confirming.remove(&life.node);
                    self.reached.remove(&life.node);
                    self.silent.remove(&life.node);
                    self.parted.remove(&life.node);
                    self.outputs.push_back(Output::Up(life.node));
                }
                OwnedNotification::MemberDown(life) => {
                    self.reached.remove(&life.node);
                    if !self.left && !self.parted.contains_key(&life.node) {
                        self.confirm(now, life.node);
                    }
                }
                _ => {}
            }
            self.outputs.push_back(Output::Changed);
        }
    }
}
