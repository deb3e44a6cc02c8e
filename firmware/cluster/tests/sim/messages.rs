//! Directed messages take effect once, whatever the network and the power do; without the sync, or with the mark in
//! a commit of its own, they would not.

use crate::{
    disk::Disk,
    figure,
    world::{id_of, seed_of},
};
use cluster::{
    Millis, NodeId,
    messages::{Inbox, MessageId, Outbox, Outcome, Output, Refusal, SendError, Take},
    store::{RedbStore, Store, Table},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::Duration,
};

const NODES: usize = 4;
const MESSAGES: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    Shipped,
    /// Commits without their sync.
    NoSync,
    /// Marks in a commit of their own.
    MarkApart,
}

#[derive(Debug)]
enum Event {
    Frame { from: usize, life: u64, to: usize, id: u64, bytes: Vec<u8> },
    Answer { to: usize, life: u64, id: u64, bytes: Option<Vec<u8>> },
    Start(usize),
}

struct Life {
    store: RedbStore,
    outbox: Outbox,
    inbox: Inbox,
    number: u64,
}

/// What the sender knows of a message.
struct Sent {
    from: usize,
    to: usize,
    id: MessageId,
    /// Whether its time may be over before it is sent.
    brief: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    refused_full: usize,
    failed_sends: usize,
    frames: usize,
    lost: usize,
    duplicated: usize,
    late: usize,
    cut_by_a_partition: usize,
    partitions: usize,
    kills: usize,
    cuts: usize,
    in_a_commit: usize,
    past: u64,
    delivered: usize,
    refused: usize,
    unknown: usize,
    untold: usize,
    /// Violations.
    effects_lost: usize,
    effects_twice: usize,
}

struct Post {
    now: Millis,
    rng: StdRng,
    build: Build,
    disks: Vec<Disk>,
    lives: Vec<Option<Life>>,
    side: [u8; NODES],
    events: BTreeMap<(Millis, u64), Event>,
    count: u64,
    sent: BTreeMap<u32, Sent>,
    bodies: u32,
    /// Numbers whose `send` failed on a dying disk: they may arrive or not.
    perhaps: BTreeSet<u32>,
    troubled: bool,
    tally: Tally,
}

fn key(number: u32) -> Vec<u8> {
    [b"seen".as_slice(), &number.to_be_bytes()].concat()
}

fn count_in(value: Option<Vec<u8>>) -> u32 {
    value.map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap()))
}

impl Post {
    fn new(seed: u64, build: Build) -> Self {
        let mut post = Self {
            now: Millis(0),
            rng: StdRng::seed_from_u64(seed),
            build,
            disks: (0..NODES).map(|_| Disk::default()).collect(),
            lives: (0..NODES).map(|_| None).collect(),
            side: [0; NODES],
            events: BTreeMap::new(),
            count: 0,
            sent: BTreeMap::new(),
            bodies: 0,
            perhaps: BTreeSet::new(),
            troubled: true,
            tally: Tally::default(),
        };
        (0..NODES).for_each(|node| post.start(node));
        post
    }

    fn start(&mut self, node: usize) {
        if self.lives[node].is_some() {
            return;
        }
        let mut store = RedbStore::open(Box::new(self.disks[node].clone())).unwrap();
        if self.build == Build::NoSync {
            store.never_sync();
        }
        let me = NodeId::of_seed(&seed_of(node));
        let mut outbox = Outbox::open(self.now, &store, me, self.rng.random()).unwrap();
        let all: BTreeSet<NodeId> = (0..NODES).map(id_of).collect();
        outbox.set_peers(self.now, all.clone(), all);
        let mut inbox = Inbox::default();
        if self.build == Build::MarkApart {
            inbox.mark_apart();
        }
        self.count += 1;
        self.lives[node] = Some(Life { store, outbox, inbox, number: self.count });
        self.perform(node);
    }

    fn stop(&mut self, node: usize, cut: bool) {
        if let Some(life) = self.lives[node].take() {
            self.tally.past += life.inbox.past();
        }
        if cut {
            self.tally.cuts += 1;
            self.disks[node].cut(&mut self.rng);
        } else {
            self.tally.kills += 1;
            self.disks[node].kill();
        }
        let after = Duration::from_millis(self.rng.random_range(10..20_000));
        self.schedule(after, Event::Start(node));
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now.plus(after), self.count), event);
    }

    fn flight(&mut self) -> Duration {
        if self.troubled && self.rng.random_bool(0.03) {
            self.tally.late += 1;
            return Duration::from_millis(self.rng.random_range(20_000..120_000));
        }
        Duration::from_millis(self.rng.random_range(2..400))
    }

    /// Whether something goes through, and how many times.
    fn copies(&mut self, from: usize, to: usize) -> usize {
        if self.side[from] != self.side[to] {
            self.tally.cut_by_a_partition += 1;
            return 0;
        }
        match self.rng.random_range(0..100) {
            0..20 if self.troubled => {
                self.tally.lost += 1;
                0
            }
            20..35 if self.troubled => {
                self.tally.duplicated += 1;
                2
            }
            _ => 1,
        }
    }

    fn perform(&mut self, node: usize) {
        loop {
            let Some(life) = &mut self.lives[node] else { return };
            if self.disks[node].is_dead() {
                self.tally.in_a_commit += 1;
                self.stop(node, true);
                return;
            }
            let number = life.number;
            let outputs: Vec<Output> = life.outbox.outputs().collect();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Ask { to, id, frame } => {
                        assert!(frame.len() <= cluster::messages::frame::MAX_FRAME_BYTES);
                        self.tally.frames += 1;
                        let to = (0..NODES).find(|node| id_of(*node) == to).unwrap();
                        for _ in 0..self.copies(node, to) {
                            let after = self.flight();
                            self.schedule(after, Event::Frame { from: node, life: number, to, id, bytes: frame.clone() });
                        }
                        // A driver tells that nothing came; here often long after the frame was taken.
                        let after = Duration::from_millis(self.rng.random_range(1000..10_000));
                        self.schedule(after, Event::Answer { to: node, life: number, id, bytes: None });
                    }
                    Output::Settled { id, outcome, .. } => {
                        let of = self.sent.values_mut().find(|sent| sent.id == id);
                        if let Some(sent) = of {
                            if self.build != Build::Shipped && sent.outcome.is_some() {
                                self.tally.effects_lost += 1;
                                continue;
                            }
                            assert!(sent.outcome.is_none(), "{id} had two outcomes: {:?} and {outcome:?}", sent.outcome);
                            let life = self.lives[node].as_ref().unwrap();
                            assert_eq!(life.outbox.outcome(&life.store, &id).unwrap(), Some((id_of(sent.to), outcome.clone())));
                            sent.outcome = Some(outcome);
                        }
                    }
                }
            }
        }
    }

    fn send(&mut self, from: usize) {
        let to = (from + self.rng.random_range(1..NODES)) % NODES;
        let brief = self.rng.random_bool(0.05);
        let patience = if brief { Duration::from_millis(self.rng.random_range(1000..30_000)) } else { Duration::from_secs(6 * 24 * 3600) };
        self.bodies += 1;
        let filler = if self.rng.random_bool(0.01) { 20_000 } else { self.rng.random_range(0..100) };
        let body = [self.bodies.to_be_bytes().as_slice(), &vec![7; filler]].concat();
        let Some(life) = &mut self.lives[from] else { return };
        match life.outbox.send(self.now, &mut life.store, id_of(to), 100, &body, patience) {
            Ok(id) => {
                self.tally.acknowledged += 1;
                self.sent.insert(self.bodies, Sent { from, to, id, brief, outcome: None });
            }
            Err(SendError::Full { .. }) => self.tally.refused_full += 1,
            Err(SendError::Store(_)) => {
                self.tally.failed_sends += 1;
                self.perhaps.insert(self.bodies);
            }
            Err(error) => panic!("{error}"),
        }
        self.perform(from);
    }

    fn take(&mut self, from: usize, to: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let later = self.rng.random_bool(0.02);
        let life = self.lives[to].as_mut()?;
        let mut handle = |delivery: &cluster::messages::Delivery<'_>, effects: &mut cluster::messages::Effects<'_>| {
            let number = u32::from_be_bytes(delivery.body[..4].try_into().unwrap());
            assert_eq!(delivery.from, id_of(from));
            if number % 50 == 0 {
                effects.put(b"never".as_slice(), b"x".as_slice());
                return Take::Refuse(Refusal::new(100, "not this one"));
            }
            if later && number % 7 == 0 {
                return Take::Later;
            }
            let (Ok(seen), Ok(total)) = (effects.get(&key(number)), effects.get(b"total")) else { return Take::Later };
            effects.put(key(number), (count_in(seen) + 1).to_be_bytes());
            effects.put(b"total".as_slice(), (count_in(total) + 1).to_be_bytes());
            Take::Done
        };
        let answer = life.inbox.take(&mut life.store, id_of(from), bytes, &mut handle);
        self.perform(to);
        self.lives[to].is_some().then_some(answer)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.start(node),
            Event::Frame { from, life, to, id, bytes } => {
                let Some(answer) = self.take(from, to, &bytes) else { return };
                for _ in 0..self.copies(to, from) {
                    let after = self.flight();
                    self.schedule(after, Event::Answer { to: from, life, id, bytes: Some(answer.clone()) });
                }
            }
            Event::Answer { to, life, id, bytes } => {
                let now = self.now;
                if let Some(asker) = self.lives[to].as_mut().filter(|asker| asker.number == life) {
                    asker.outbox.answered(now, &mut asker.store, id, bytes.as_deref());
                    self.perform(to);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        loop {
            let wakes = self.lives.iter().enumerate().filter_map(|(node, life)| Some((life.as_ref()?.outbox.next_wake(), node)));
            let wake = wakes.min();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let next = [wake.map(|(at, _)| at), event].into_iter().flatten().min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            match (wake, event) {
                (Some((at, node)), event) if event.is_none_or(|event| at <= event) => {
                    let now = self.now;
                    if let Some(life) = &mut self.lives[node] {
                        life.outbox.tick(now, &mut life.store);
                    }
                    self.perform(node);
                }
                _ => {
                    if let Some((_, event)) = self.events.pop_first() {
                        self.happen(event);
                    }
                }
            }
        }
    }

    fn trouble(&mut self) {
        let node = self.rng.random_range(0..NODES);
        let on = self.lives[node].is_some();
        match self.rng.random_range(0..60) {
            0 => {
                self.tally.partitions += 1;
                self.side = std::array::from_fn(|_| self.rng.random_range(0..2));
            }
            1..4 => self.side = [0; NODES],
            4 if on => self.stop(node, false),
            5 if on => self.stop(node, true),
            6..10 if on => self.disks[node].die_after(self.rng.random_range(0..40)),
            _ => {}
        }
    }

    /// Everything is mended; all that waits gets its outcome.
    fn mend(&mut self) {
        self.side = [0; NODES];
        self.troubled = false;
        for node in 0..NODES {
            if self.lives[node].is_some() {
                self.stop(node, false);
            }
        }
        for _ in 0..200 {
            self.pass(Duration::from_secs(60));
            if self.lives.iter().all(|life| life.as_ref().is_some_and(|life| life.outbox.waiting() == 0)) {
                return;
            }
        }
        let waiting: Vec<_> = self.lives.iter().map(|life| life.as_ref().map(|life| life.outbox.waiting())).collect();
        panic!("still waiting: {waiting:?}");
    }

    fn judge(&mut self) {
        for node in 0..NODES {
            let store = &self.lives[node].as_ref().unwrap().store;
            assert_eq!(store.get(Table::Effects, b"never").unwrap(), None, "a refused message had an effect");
            let mut seen = BTreeMap::new();
            store
                .scan(Table::Effects, b"seen", &mut |key, value| {
                    seen.insert(u32::from_be_bytes(key[4..].try_into().unwrap()), count_in(Some(value.to_vec())));
                    ControlFlow::Continue(())
                })
                .unwrap();
            let total = count_in(store.get(Table::Effects, b"total").unwrap());
            if self.build == Build::Shipped {
                assert_eq!(seen.values().sum::<u32>(), total, "node {node}");
            }
            self.tally.effects_twice += seen.values().filter(|count| **count > 1).count();
            for (number, sent) in self.sent.iter().filter(|(_, sent)| sent.to == node) {
                let count = seen.remove(number).unwrap_or(0);
                match &sent.outcome {
                    Some(Outcome::Delivered) => {
                        self.tally.delivered += 1;
                        self.tally.effects_lost += usize::from(count == 0);
                    }
                    Some(Outcome::Refused(_)) => {
                        self.tally.refused += 1;
                        self.tally.effects_twice += count as usize;
                    }
                    Some(Outcome::Unknown) => self.tally.unknown += 1,
                    // Its outcome was on disk when the power went, before it was told; or it was lost.
                    None => {
                        self.tally.untold += 1;
                        let life = self.lives[sent.from].as_ref().unwrap();
                        let kept = life.outbox.outcome(&life.store, &sent.id).unwrap();
                        let delivered = matches!(kept, None | Some((_, Outcome::Delivered)));
                        let refusable = sent.brief || number % 50 == 0;
                        self.tally.effects_lost += usize::from(count == 0 && delivered && !refusable);
                    }
                }
            }
            let strays: Vec<_> = seen.keys().filter(|number| !self.perhaps.contains(*number)).collect();
            assert!(strays.is_empty() || self.build != Build::Shipped, "never sent: {strays:?}");
        }
    }
}

fn run(seed: u64, build: Build, messages: usize) -> Tally {
    let mut post = Post::new(seed, build);
    while post.tally.acknowledged < messages {
        let pause = Duration::from_millis(post.rng.random_range(0..2000));
        post.pass(pause);
        for _ in 0..post.rng.random_range(0..10) {
            let from = post.rng.random_range(0..NODES);
            post.send(from);
        }
        post.trouble();
    }
    post.mend();
    post.judge();
    for life in post.lives.iter().flatten() {
        post.tally.past += life.inbox.past();
    }
    post.tally
}

#[test]
fn of_10000_messages_none_is_lost_and_none_takes_effect_twice() {
    let seed: u64 = std::env::var("CLOUDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("CLOUDY_SEED={seed}");
    let tally = run(seed, Build::Shipped, MESSAGES);
    println!("{tally:#?}");
    figure("effects of directed messages lost or applied twice, of 10,000", (tally.effects_lost + tally.effects_twice) as f64, 0.0, "");
    assert_eq!((tally.effects_lost, tally.effects_twice), (0, 0));
    let struck = [tally.lost, tally.duplicated, tally.late, tally.cut_by_a_partition, tally.kills, tally.cuts, tally.in_a_commit];
    assert!(struck.iter().all(|count| *count >= 20), "{struck:?}");
    assert!(tally.delivered > MESSAGES * 8 / 10 && tally.refused > 50 && tally.past > 0);
}

#[test]
fn the_sync_and_the_one_commit_are_what_keeps_them() {
    for build in [Build::NoSync, Build::MarkApart] {
        let tally = run(1, build, MESSAGES / 4);
        println!("{build:?}: lost {}, twice {}", tally.effects_lost, tally.effects_twice);
        let broken = if build == Build::NoSync { tally.effects_lost } else { tally.effects_twice };
        assert!(broken > 0, "{build:?} did no harm, so the test above proves nothing");
    }
}
