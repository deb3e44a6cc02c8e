//! A world of nodes in virtual time. It runs what is shipped and models only what the agent's driver does with
//! sockets and files.

use crate::{disk::Disk, network::Network};
use cluster::{
    Founding, Kit, Millis, NodeId, Terms, Token,
    card::Facts,
    health::{self, Health},
    node::{Admin, Node, Output},
    records::{self, Replica},
    roster::{Item, Roster},
    store::RedbStore,
    wire::Name,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long the dial that confirms an absence may take, as in the agent's driver.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(6);
/// How long records are not told again who is there, as in the agent's driver.
const PEERS_PAUSE: Duration = Duration::from_millis(100);
/// When a connection over which nothing comes any more is given up: the agent's 12 s, counted from the next keep-alive of
/// iroh, which is sent within 5 s.
const IDLE_TIMEOUT_MS: std::ops::Range<u64> = 12_000..17_000;
/// How long a dial that comes to nothing takes.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

pub const FLOOR: u64 = 1_000_000;

#[derive(Debug)]
pub enum Event {
    Datagram { from: usize, to: usize, bytes: Vec<u8> },
    Compare { from: usize, to: usize },
    Confirm { from: usize, to: usize, in_time: bool },
    Silent { at: usize, of: usize },
    Ask { from: usize, life: u64, to: usize, id: u64, frame: Vec<u8> },
    Answer { to: usize, life: u64, id: u64, frame: Option<Vec<u8>> },
}

/// What the agent keeps in files.
#[derive(Clone)]
pub struct Files {
    pub epoch: u32,
    pub roster: Vec<u8>,
}

/// One node that is on.
pub struct Life {
    pub node: Node,
    pub records: Replica<RedbStore>,
    /// How the members are, in worlds that tell it.
    pub health: Option<Health>,
    pub number: u64,
    pub members_stale: bool,
    pub peers_stale: bool,
    /// When its records may be told next who is there.
    peers_due: Millis,
}

/// Answers in a member's place: none if the member is honest.
pub type Hostile = Box<dyn FnMut(&mut StdRng, NodeId, Vec<u8>) -> Option<Vec<u8>>>;

pub struct World {
    pub seed: u64,
    pub now: Millis,
    pub rng: StdRng,
    pub net: Network,
    pub kit: Kit,
    pub founding: Founding,
    pub nodes: Vec<Option<Life>>,
    pub files: Vec<Files>,
    pub disks: Vec<Disk>,
    /// What each node's wall clock says.
    pub clocks: Vec<Option<u64>>,
    /// What a member makes of each answer that it gives.
    pub hostile: BTreeMap<usize, Hostile>,
    /// Whether nodes keep records at all.
    pub with_records: bool,
    /// Slots of records that changed at a node, for those who watch.
    pub watched: BTreeMap<usize, u64>,
    ids: BTreeMap<NodeId, usize>,
    /// Machines that run from a copy of another's card.
    copies: BTreeMap<usize, usize>,
    pub seeds: Vec<usize>,
    events: BTreeMap<(Millis, u64), Event>,
    wakes: BTreeSet<(Millis, usize)>,
    wake_of: Vec<Option<Millis>>,
    count: u64,
    /// Dials that members asked for to find out whether another lives.
    pub confirms: u64,
    /// Comparisons of rosters that members began.
    pub compares: u64,
    pub introduced: BTreeMap<(usize, usize), Millis>,
    /// Rosters are written when a node stops, and not with each change: for worlds of many nodes.
    pub saves_late: bool,
    /// The roster that was read last: after a mass restart all read the same.
    read: Option<(Vec<u8>, Roster)>,
}

pub fn seed_of(index: usize) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

thread_local! {
    static IDS: std::cell::RefCell<BTreeMap<usize, NodeId>> = const { std::cell::RefCell::new(BTreeMap::new()) };
}

pub fn id_of(index: usize) -> NodeId {
    IDS.with_borrow_mut(|ids| *ids.entry(index).or_insert_with(|| NodeId::of_seed(&seed_of(index))))
}

pub fn facts(index: usize) -> Facts {
    Facts {
        name: Name::lossy(&format!("node{index}"), ""),
        version: Name::lossy("1", ""),
        addresses: vec![format!("10.0.0.{}:4747", index % 250 + 1).parse().unwrap()],
    }
}

impl World {
    /// A world with one node, which founded the community.
    pub fn new(seed: u64, loss: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let kit = Kit::generate(&mut rng);
        let founding = kit.found(&Name::lossy("world", ""));
        let mut world = Self {
            seed,
            now: Millis(0),
            rng,
            net: Network::new(loss),
            kit,
            founding,
            nodes: Vec::new(),
            files: Vec::new(),
            disks: Vec::new(),
            clocks: Vec::new(),
            hostile: BTreeMap::new(),
            with_records: true,
            watched: BTreeMap::new(),
            ids: BTreeMap::new(),
            copies: BTreeMap::new(),
            seeds: Vec::new(),
            events: BTreeMap::new(),
            wakes: BTreeSet::new(),
            wake_of: Vec::new(),
            count: 0,
            confirms: 0,
            compares: 0,
            introduced: BTreeMap::new(),
            saves_late: false,
            read: None,
        };
        let token = world.token(1);
        let mut roster = Roster::new(world.founding.clone());
        roster.merge(Item::Certificate(token.redeem(id_of(0)))).unwrap();
        world.add(roster);
        world
    }

    pub fn token(&mut self, uses: u16) -> Token {
        let terms = Terms { uses, not_after: None };
        self.kit.invite(&self.founding, Vec::new(), terms, Vec::new(), &mut self.rng)
    }

    /// Adds a node that was admitted, and starts it.
    pub fn add(&mut self, roster: Roster) {
        let index = self.nodes.len();
        self.ids.insert(id_of(index), index);
        self.files.push(Files { epoch: 0, roster: roster.to_bytes() });
        self.disks.push(Disk::default());
        self.clocks.push(Some(2 * FLOOR));
        self.net.add_node();
        self.nodes.push(None);
        self.seeds.push(index);
        self.wake_of.push(None);
        self.start(index);
    }

    /// Adds the node `index` again, running from a copy of another node's card.
    pub fn add_copy(&mut self, of: usize) -> usize {
        let index = self.nodes.len();
        self.files.push(self.files[of].clone());
        let disk = Disk::default();
        disk.restore(&self.disks[of].image());
        self.disks.push(disk);
        self.clocks.push(Some(2 * FLOOR));
        self.net.add_node();
        self.nodes.push(None);
        self.seeds.push(of);
        self.copies.insert(of, index);
        self.wake_of.push(None);
        self.start(index);
        index
    }

    /// Starts a node from its disk, in a new epoch.
    pub fn start(&mut self, index: usize) {
        self.files[index].epoch += 1;
        let roster = self.read(index);
        let admin = (index == 0).then(|| Admin { kit: self.kit.clone(), grants: Vec::new() });
        let epoch = self.files[index].epoch;
        let seed = seed_of(self.seeds[index]);
        let node = Node::new(self.now, seed, epoch, roster, facts(index), admin, self.rng.random()).unwrap();
        let store = RedbStore::open(Box::new(self.disks[index].clone()))
            .unwrap_or_else(|error| panic!("seed {}: node {index}: {error}", self.seed));
        let community = self.founding.id();
        let records = Replica::open(self.now, store, seed, community, None, self.rng.random()).unwrap();
        self.count += 1;
        let (now, number) = (self.now, self.count);
        self.nodes[index] = Some(Life { node, records, health: None, number, members_stale: true, peers_stale: true, peers_due: now });
        self.perform(index);
    }

    fn read(&mut self, index: usize) -> Roster {
        let bytes = &self.files[index].roster;
        match &self.read {
            Some((read, roster)) if read == bytes => roster.clone(),
            _ => {
                let roster = Roster::from_bytes(bytes).unwrap();
                self.read = Some((bytes.clone(), roster.clone()));
                roster
            }
        }
    }

    /// Takes a node's power.
    pub fn cut(&mut self, index: usize) {
        self.disks[index].cut(&mut self.rng);
        self.fall_silent(index);
        self.stop(index);
    }

    /// Kills a node's process; its machine goes on.
    pub fn kill(&mut self, index: usize) {
        self.disks[index].kill();
        self.fall_silent(index);
        self.stop(index);
    }

    /// Those that are linked with a node hear nothing from it any more; each finds out by itself.
    fn fall_silent(&mut self, index: usize) {
        for at in self.net.linked(index).collect::<Vec<_>>() {
            self.silence(at, index);
        }
    }

    pub fn silence(&mut self, at: usize, of: usize) {
        let after = Duration::from_millis(self.rng.random_range(IDLE_TIMEOUT_MS));
        self.schedule(after, Event::Silent { at, of });
    }

    pub fn stop(&mut self, index: usize) {
        if let Some(life) = self.nodes[index].as_ref().filter(|_| self.saves_late) {
            self.files[index].roster = life.node.roster().to_bytes();
        }
        self.nodes[index] = None;
        self.net.unlink_all(index);
        self.rewake(index);
    }

    pub fn goodbye(&mut self, index: usize) {
        let now = self.now;
        self.nodes[index].as_mut().unwrap().node.goodbye(now);
        self.perform(index);
        self.stop(index);
    }

    /// A node that is on.
    pub fn life(&mut self, index: usize) -> &mut Life {
        let seed = self.seed;
        self.nodes[index].as_mut().unwrap_or_else(|| panic!("seed {seed}: node {index} is off"))
    }

    /// Lets a node do what it wants to after something was done to it from outside.
    pub fn touch(&mut self, index: usize) {
        self.perform(index);
    }

    pub fn reach(&self, from: usize, to: usize) -> bool {
        self.net.passes(from, to) && self.net.passes(to, from) && self.nodes[to].is_some() && self.nodes[from].is_some()
    }

    pub fn schedule(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now.plus(after), self.count), event);
    }

    fn rewake(&mut self, index: usize) {
        let wake = self.nodes[index].as_ref().map(|life| {
            let node = life.health.iter().map(Health::next_wake).fold(life.node.next_wake(), Millis::min);
            let peers = life.peers_stale.then_some(life.peers_due);
            if self.with_records { peers.into_iter().fold(node.min(life.records.next_wake()), Millis::min) } else { node }
        });
        if wake != self.wake_of[index] {
            if let Some(old) = self.wake_of[index] {
                self.wakes.remove(&(old, index));
            }
            if let Some(new) = wake {
                self.wakes.insert((new, index));
            }
            self.wake_of[index] = wake;
        }
    }

    /// Does what a node asks for, and tells its records who is there.
    pub fn perform(&mut self, from: usize) {
        let now = self.now;
        while let Some(life) = &mut self.nodes[from] {
            let outputs: Vec<Output> = life.node.outputs().collect();
            let mut quiet = outputs.is_empty();
            for output in outputs {
                self.perform_node(from, output);
            }
            let Some(life) = &mut self.nodes[from] else { return };
            if self.with_records {
                if self.net.relinked.remove(&from) {
                    life.peers_stale = true;
                }
                if life.members_stale {
                    life.members_stale = false;
                    life.records.set_members(now, life.node.admitted(), life.node.roster().digest());
                    if let Some(health) = &mut life.health {
                        health.set_members(life.node.admitted());
                    }
                }
                if life.peers_stale && life.peers_due <= now {
                    (life.peers_stale, life.peers_due) = (false, now.plus(PEERS_PAUSE));
                    let alive: Vec<NodeId> = life.node.alive().collect();
                    let linked: Vec<NodeId> = self.net.linked(from).map(|peer| id_of(self.seeds[peer])).collect();
                    if let Some(health) = &mut life.health {
                        health.set_linked(linked.clone());
                    }
                    life.records.set_peers(now, alive, linked);
                }
                let outputs: Vec<records::Output> = life.records.outputs().collect();
                quiet &= outputs.is_empty();
                for output in outputs {
                    self.perform_records(from, output);
                }
                let health = self.nodes[from].as_mut().and_then(|life| life.health.as_mut());
                let outputs: Vec<health::Output> = health.into_iter().flat_map(Health::outputs).collect();
                quiet &= outputs.is_empty();
                for output in outputs {
                    self.perform_health(from, output);
                }
            }
            if quiet {
                break;
            }
        }
        self.rewake(from);
    }

    fn perform_node(&mut self, from: usize, output: Output) {
        match output {
            Output::Send { to, bytes } => self.send(from, to, bytes),
            Output::Compare(to) => {
                let Some(&to) = self.ids.get(&to) else { return };
                self.compares += 1;
                let after = Duration::from_millis(self.rng.random_range(20..400));
                self.schedule(after, Event::Compare { from, to });
            }
            Output::Confirm(to) => {
                self.confirms += 1;
                let to = self.ids[&to];
                // A handshake and a comparison of rosters.
                let legs: Option<Vec<Duration>> = (0..4).map(|_| self.net.stream(self.now, &mut self.rng, from, to, 100)).collect();
                let after = legs.filter(|_| self.reach(from, to)).map_or(CONFIRM_TIMEOUT, |legs| legs.iter().sum());
                self.schedule(after.min(CONFIRM_TIMEOUT), Event::Confirm { from, to, in_time: after < CONFIRM_TIMEOUT });
            }
            Output::SaveEpoch(epoch) => self.files[from].epoch = epoch,
            Output::SaveRoster => {
                let life = self.nodes[from].as_mut().unwrap();
                (life.members_stale, life.peers_stale) = (true, true);
                if !self.saves_late {
                    self.files[from].roster = life.node.roster().to_bytes();
                }
            }
            Output::Changed => self.nodes[from].as_mut().unwrap().peers_stale = true,
        }
    }

    fn perform_records(&mut self, from: usize, output: records::Output) {
        match output {
            records::Output::Datagram { to, bytes } => self.send(from, to, bytes),
            records::Output::Ask { to, id, frame } => {
                assert!(frame.len() <= records::exchange::MAX_FRAME_BYTES);
                let life = self.nodes[from].as_ref().unwrap().number;
                let to = self.machine(&to);
                let after = to.and_then(|to| self.net.stream(self.now, &mut self.rng, from, to, frame.len()));
                match (to, after) {
                    (Some(to), Some(after)) => self.schedule(after, Event::Ask { from, life, to, id, frame }),
                    _ => self.schedule(DIAL_TIMEOUT, Event::Answer { to: from, life, id, frame: None }),
                }
            }
            records::Output::Changed { slots, .. } => *self.watched.entry(from).or_default() += slots.len() as u64,
        }
    }

    pub fn send(&mut self, from: usize, to: NodeId, bytes: Vec<u8>) {
        assert!(bytes.len() <= cluster::membership::MAX_DATAGRAM_BYTES);
        let Some(to) = self.machine(&to) else { return };
        if to == from {
            return;
        }
        for after in self.net.datagram(self.now, &mut self.rng, from, to, bytes.len()) {
            self.schedule(after, Event::Datagram { from, to, bytes: bytes.clone() });
        }
    }

    /// The machine that has an id: any of the two, if its card was copied.
    fn machine(&mut self, id: &NodeId) -> Option<usize> {
        let of = *self.ids.get(id)?;
        let copy = self.copies.get(&of).copied().filter(|_| self.rng.random_bool(0.5));
        Some(copy.unwrap_or(of))
    }

    /// Lets time pass until `wanted` holds; the time it took, or none if it did not within `patience`.
    pub fn until(&mut self, patience: Duration, wanted: impl FnMut(&Self) -> bool) -> Option<Duration> {
        self.until_looking(Duration::from_millis(100), patience, wanted)
    }

    /// The same, looking every `step` only.
    pub fn until_looking(&mut self, step: Duration, patience: Duration, mut wanted: impl FnMut(&Self) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now.plus(patience));
        let mut next_look = self.now;
        loop {
            if next_look <= self.now {
                if wanted(self) {
                    return Some(self.now.since(start));
                }
                next_look = self.now.plus(step);
            }
            // What was done from outside may have changed when a node wakes.
            let stale: Vec<usize> = self.net.relinked.iter().copied().collect();
            for index in stale {
                self.perform(index);
                self.net.relinked.remove(&index);
            }
            let wake = self.wakes.first().copied();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let next = [wake.map(|(at, _)| at), event].into_iter().flatten().min().unwrap_or(end);
            if next >= end {
                self.now = end;
                self.net.keep_alive(end);
                return wanted(self).then(|| self.now.since(start));
            }
            self.now = self.now.max(next);
            self.net.keep_alive(self.now);
            match wake {
                Some((at, index)) if at <= self.now => {
                    let now = self.now;
                    if let Some(life) = &mut self.nodes[index] {
                        if life.node.next_wake() <= now {
                            life.node.tick(now);
                        }
                        if let Some(health) = life.health.as_mut().filter(|health| health.next_wake() <= now) {
                            health.tick(now);
                        }
                        if self.with_records && life.records.next_wake() <= now {
                            life.records.tick(now);
                        }
                    }
                    self.perform(index);
                }
                _ => {
                    if let Some((_, event)) = self.events.pop_first() {
                        self.happen(event);
                    }
                }
            }
        }
    }

    pub fn pass(&mut self, time: Duration) {
        let _ = self.until_looking(time, time, |_| false);
    }
}
