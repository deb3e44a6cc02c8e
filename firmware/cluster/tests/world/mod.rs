//! A world of nodes in virtual time: seeded loss, delay, partitions, restarts. It runs what is shipped and models
//! only what the agent's driver does with sockets: datagrams may be lost, exchanges on streams are late instead.

use cluster::{
    Card, Clock, Founding, Kit, Millis, NodeId, Terms, Token,
    card::Facts,
    hello::{self, Reply, Request},
    membership::Liveness,
    node::{Admin, Node, Output},
    roster::{Item, Roster, Standing},
    sync,
    wire::Name,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Between two nodes introducing themselves to the same member, as in the agent's driver.
const INTRODUCE_PAUSE: Duration = Duration::from_secs(20);

pub const CLOCK: Clock = Clock { floor: 1_000_000, sure: Some(2_000_000) };

#[derive(Debug)]
enum Event {
    Datagram { from: usize, to: usize, bytes: Vec<u8> },
    Compare { from: usize, to: usize },
    Confirm { from: usize, to: usize },
}

/// What lies on a node's disk.
#[derive(Clone)]
pub struct Disk {
    pub epoch: u32,
    pub roster: Vec<u8>,
}

pub struct World {
    pub now: Millis,
    pub rng: StdRng,
    /// Share of datagrams that are lost.
    pub loss: f64,
    pub kit: Kit,
    pub founding: Founding,
    pub nodes: Vec<Option<Node>>,
    pub disks: Vec<Disk>,
    /// Which side of a partition a node is on.
    pub side: Vec<u32>,
    pub datagrams: u64,
    pub bytes: u64,
    pub lost: u64,
    /// How often a node that ran and was connected was held for down by another, as seen by `check_alive`.
    ids: BTreeMap<NodeId, usize>,
    events: BTreeMap<(Millis, u64), Event>,
    count: u64,
    introduced: BTreeMap<(usize, usize), Millis>,
}

pub fn seed_of(index: usize) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

pub fn id_of(index: usize) -> NodeId {
    NodeId::of_seed(&seed_of(index))
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
            now: Millis(0),
            rng,
            loss,
            kit,
            founding,
            nodes: Vec::new(),
            disks: Vec::new(),
            side: Vec::new(),
            datagrams: 0,
            bytes: 0,
            lost: 0,
            ids: BTreeMap::new(),
            events: BTreeMap::new(),
            count: 0,
            introduced: BTreeMap::new(),
        };
        let token = world.token(1);
        let mut roster = Roster::new(world.founding.clone());
        roster.merge(Item::Certificate(token.redeem(id_of(0)))).unwrap();
        world.add(0, roster);
        world
    }

    pub fn token(&mut self, uses: u16) -> Token {
        let terms = Terms { uses, not_after: None };
        self.kit.invite(&self.founding, Vec::new(), terms, Vec::new(), &mut self.rng)
    }

    fn add(&mut self, index: usize, roster: Roster) {
        assert_eq!(index, self.nodes.len());
        self.ids.insert(id_of(index), index);
        self.disks.push(Disk { epoch: 0, roster: roster.to_bytes() });
        self.side.push(0);
        self.nodes.push(None);
        self.start(index);
    }

    /// Starts a node from its disk, in a new epoch.
    pub fn start(&mut self, index: usize) {
        self.disks[index].epoch += 1;
        let roster = Roster::from_bytes(&self.disks[index].roster).unwrap();
        let admin = (index == 0).then(|| Admin { kit: self.kit.clone(), grants: Vec::new() });
        let random = self.rng.random();
        let epoch = self.disks[index].epoch;
        let node = Node::new(self.now, seed_of(index), epoch, roster, facts(index), admin, random);
        self.nodes[index] = Some(node.unwrap());
        self.perform(index);
    }

    /// Takes a node's power.
    pub fn cut(&mut self, index: usize) {
        self.nodes[index] = None;
    }

    pub fn goodbye(&mut self, index: usize) {
        let now = self.now;
        self.nodes[index].as_mut().unwrap().goodbye(now);
        self.perform(index);
        self.nodes[index] = None;
    }

    fn reach(&self, from: usize, to: usize) -> bool {
        self.side[from] == self.side[to] && self.nodes[to].is_some() && self.nodes[from].is_some()
    }

    /// A stranger or member says hello to `via`.
    pub fn hello(&mut self, from: NodeId, via: usize, request: &Request) -> Reply {
        let now = self.now;
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let bytes = hello::request_bytes(request);
        let reply = self.nodes[via].as_mut().unwrap().hello(now, &CLOCK, from, &bytes, &mut rng);
        self.perform(via);
        hello::read_reply(&reply).unwrap()
    }

    /// A new node joins through `via`.
    pub fn join(&mut self, via: usize, token: &Token) -> Result<usize, Reply> {
        let index = self.nodes.len();
        let own = token.redeem(id_of(index));
        match self.hello(id_of(index), via, &Request::Join { certificate: own.to_bytes() }) {
            Reply::Admitted { certificate, .. } => {
                let mut roster = Roster::new(token.community().clone());
                roster.merge(Item::Certificate(own)).unwrap();
                let theirs = cluster::Certificate::from_bytes(&certificate).unwrap();
                assert_eq!(theirs.node(), id_of(via));
                roster.merge(Item::Certificate(theirs)).unwrap();
                self.add(index, roster);
                let now = self.now;
                let node = self.nodes[index].as_mut().unwrap();
                node.compare(now, id_of(via));
                node.ask(now, id_of(via));
                self.perform(index);
                Ok(index)
            }
            refused => Err(refused),
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now.plus(after), self.count), event);
    }

    fn perform(&mut self, from: usize) {
        while let Some(node) = &mut self.nodes[from] {
            let outputs: Vec<Output> = node.outputs().collect();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Send { to, bytes } => {
                        assert!(bytes.len() <= cluster::membership::MAX_DATAGRAM_BYTES);
                        let Some(&to) = self.ids.get(&to) else { continue };
                        self.datagrams += 1;
                        self.bytes += bytes.len() as u64;
                        if self.rng.random_bool(self.loss) {
                            self.lost += 1;
                        } else {
                            let after = Duration::from_millis(self.rng.random_range(2..60));
                            self.schedule(after, Event::Datagram { from, to, bytes });
                        }
                    }
                    Output::Compare(to) => {
                        let Some(&to) = self.ids.get(&to) else { continue };
                        let after = Duration::from_millis(self.rng.random_range(20..400));
                        self.schedule(after, Event::Compare { from, to });
                    }
                    Output::Confirm(to) => {
                        let to = self.ids[&to];
                        let after = Duration::from_millis(self.rng.random_range(100..8000));
                        self.schedule(after, Event::Confirm { from, to });
                    }
                    Output::SaveEpoch(epoch) => self.disks[from].epoch = epoch,
                    Output::SaveRoster => {
                        let bytes = self.nodes[from].as_ref().unwrap().roster().to_bytes();
                        self.disks[from].roster = bytes;
                    }
                    Output::Changed => {}
                }
            }
        }
    }

    fn admits(&self, node: usize, other: usize) -> bool {
        self.nodes[node].as_ref().is_some_and(|node| node.roster().standing(&id_of(other)) == Standing::Member)
    }

    /// As the driver does when the other side closes the connection since it does not know this node.
    fn introduce(&mut self, from: usize, to: usize) {
        let last = self.introduced.get(&(from, to));
        if last.is_some_and(|last| self.now.since(*last) < INTRODUCE_PAUSE) {
            return;
        }
        self.introduced.insert((from, to), self.now);
        let own = self.nodes[from].as_ref().unwrap().roster().certificate(&id_of(from)).unwrap();
        let request = Request::Join { certificate: own.to_bytes() };
        if let Reply::Admitted { certificate, .. } = self.hello(id_of(from), to, &request) {
            let theirs = cluster::Certificate::from_bytes(&certificate).unwrap();
            let now = self.now;
            let node = self.nodes[from].as_mut().unwrap();
            node.take(now, vec![Item::Certificate(theirs)]);
            node.ask(now, id_of(to));
            node.compare(now, id_of(to));
            self.perform(from);
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Datagram { from, to, bytes } => {
                // Whoever sent it may be gone by now.
                if self.side[from] != self.side[to] || self.nodes[to].is_none() {
                } else if !self.admits(to, from) {
                    if self.reach(from, to) {
                        self.introduce(from, to);
                    }
                } else {
                    self.nodes[to].as_mut().unwrap().datagram(now, id_of(from), &bytes);
                    self.perform(to);
                }
            }
            Event::Compare { from, to } => {
                if !self.reach(from, to) || !self.admits(from, to) {
                } else if !self.admits(to, from) {
                    self.introduce(from, to);
                } else {
                    self.compare(from, to);
                }
            }
            Event::Confirm { from, to } => {
                let reached = self.reach(from, to) && self.admits(to, from);
                if let Some(node) = self.nodes[from].as_mut() {
                    node.confirmed(now, id_of(to), reached);
                    self.perform(from);
                }
            }
        }
    }

    fn compare(&mut self, from: usize, to: usize) {
        let now = self.now;
        let roster = |world: &Self, index: usize| world.nodes[index].as_ref().unwrap().roster().clone();
        let open: sync::Open = sync::read(&sync::frame(&sync::open(&roster(self, from)))).unwrap();
        let answer = sync::read(&sync::frame(&sync::answer(&roster(self, to), &open))).unwrap();
        let sync::Answer::Marks(marks) = answer else { return };
        let give: sync::Give = sync::read(&sync::frame(&sync::give(&roster(self, from), &marks))).unwrap();
        self.nodes[to].as_mut().unwrap().take(now, give.items);
        let items: sync::Items = sync::read(&sync::frame(&sync::items(&roster(self, to), &give.want))).unwrap();
        self.nodes[from].as_mut().unwrap().take(now, items.0);
        self.perform(to);
        self.perform(from);
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
            let wake = self.nodes.iter().enumerate().filter_map(|(index, node)| Some((node.as_ref()?.next_wake(), index))).min();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let next = [wake.map(|(at, _)| at), event].into_iter().flatten().min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return wanted(self).then(|| self.now.since(start));
            }
            self.now = self.now.max(next);
            match wake {
                Some((at, index)) if at <= self.now => {
                    let now = self.now;
                    if let Some(node) = &mut self.nodes[index] {
                        node.tick(now);
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
        let _ = self.until(time, |_| false);
    }

    /// Whom a node holds for alive.
    pub fn alive(&self, index: usize) -> BTreeSet<NodeId> {
        let node = self.nodes[index].as_ref().unwrap();
        let alive = node.beliefs().into_iter().filter(|(_, belief)| belief.state != Liveness::Down);
        alive.map(|(node, _)| node).collect()
    }

    /// Whether all running nodes of `side` see each other and nobody else.
    pub fn agrees(&self, side: u32) -> bool {
        let there: Vec<usize> = (0..self.nodes.len()).filter(|index| self.side[*index] == side && self.nodes[*index].is_some()).collect();
        there.iter().all(|index| {
            let others: BTreeSet<NodeId> = there.iter().filter(|other| *other != index).map(|other| id_of(*other)).collect();
            self.alive(*index) == others
        })
    }

    /// Whether all running nodes hold the same roster.
    pub fn same_rosters(&self) -> bool {
        let digests: BTreeSet<[u8; 32]> = self.nodes.iter().flatten().map(|node| node.roster().digest()).collect();
        digests.len() == 1
    }

    pub fn card(&self, at: usize, of: usize) -> Option<&Card> {
        self.nodes[at].as_ref()?.roster().card(&id_of(of))
    }
}
