//! How samples of the nodes' health spread: who gets them, at what cost, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

use cluster::{
    CommunityId, Millis, NodeId,
    health::{self, Docker, Figures, HAS, Health, Link, MAX_LINKS, MAX_TEXT_BYTES, Order, Output, SAMPLES, Said, Sample, WANTS, short},
    membership::MAX_DATAGRAM_BYTES,
};
use proptest::test_runner::Config as ProptestConfig;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const COMMUNITY: CommunityId = CommunityId([5; 32]);

fn seed_of(index: usize) -> [u8; 32] {
    let mut seed = [3; 32];
    seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

fn figures(uptime: u32) -> Figures {
    Figures {
        uptime_seconds: uptime,
        load_hundredths: 123,
        cpu_percent: 12,
        cpus: 4,
        memory_total_mb: 4096,
        memory_available_mb: 3000,
        storage_total_mb: 64_000,
        storage_available_mb: 50_000,
        temperature_celsius: Some(51),
        docker: Docker::Running { version: "26.1.5+dfsg1".to_owned(), containers: 7 },
        version: "0.1.0".to_owned(),
        links: (0..12).map(|n| Link { node: [n; 4], rtt_ms: 20, lost_permille: 3 }).collect(),
    }
}

/// Some nodes, each linked to a dozen, with loss.
struct World {
    now: Millis,
    rng: StdRng,
    loss: f64,
    nodes: Vec<Health>,
    ids: BTreeMap<NodeId, usize>,
    bytes: u64,
}

impl World {
    fn new(count: usize, loss: f64, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let id = |index: usize| NodeId::of_seed(&seed_of(index));
        let members: BTreeSet<NodeId> = (0..count).map(id).collect();
        let mut links = vec![BTreeSet::new(); count];
        for one in 0..count {
            for other in (0..count).filter(|other| *other != one).sample(&mut rng, 6) {
                links[one].insert(other);
                links[other].insert(one);
            }
        }
        let nodes = links.into_iter().enumerate().map(|(index, linked)| {
            let mut node = Health::new(Millis(0), seed_of(index), COMMUNITY, 1, index as u64);
            node.set_members(members.clone());
            node.set_linked(linked.into_iter().map(id).collect());
            node
        });
        let (nodes, ids) = (nodes.collect(), (0..count).map(|index| (id(index), index)).collect());
        Self { now: Millis(0), rng, loss, nodes, ids, bytes: 0 }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        loop {
            let next = self.nodes.iter().map(Health::next_wake).min().unwrap();
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            for from in 0..self.nodes.len() {
                if self.nodes[from].next_wake() > self.now {
                    continue;
                }
                self.nodes[from].tick(self.now);
                let outputs: Vec<Output> = self.nodes[from].outputs().collect();
                for output in outputs {
                    match output {
                        Output::Sample => {
                            let uptime = u32::try_from(self.now.0 / 1000).unwrap();
                            self.nodes[from].say(self.now, figures(uptime));
                        }
                        Output::Send { to, bytes } => {
                            assert!(bytes.len() <= MAX_DATAGRAM_BYTES);
                            self.bytes += bytes.len() as u64 + 90;
                            if !self.rng.random_bool(self.loss) {
                                let sender = NodeId::of_seed(&seed_of(from));
                                self.nodes[self.ids[&to]].datagram(self.now, sender, &bytes);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn nearly_all_know_how_nearly_all_are_and_the_cost_does_not_grow() {
    for (count, loss) in [(3, 0.0), (12, 0.0), (60, 0.2), (150, 0.05)] {
        let mut world = World::new(count, loss, 7);
        let period = health::period(count);
        world.pass(period * 6);
        let before = world.bytes;
        world.pass(period * 4);
        let rate = (world.bytes - before) as f64 / (period * 4).as_secs_f64() / count as f64;
        let ages =
            world.nodes.iter().flat_map(|node| node.known().map(|known| world.now.0 / 1000 - u64::from(known.figures.uptime_seconds)));
        let mut ages: Vec<u64> = ages.collect();
        ages.sort_unstable();
        let known = ages.len() as f64 / (count * count) as f64;
        let at = |share: f64| ages[((ages.len() - 1) as f64 * share) as usize];
        println!(
            "{count} nodes, {loss} lost: a sample every {} s, {:.2} % known, half no older than {} s, 99 % than {} s; {rate:.0} bytes/s and node",
            period.as_secs(),
            known * 100.0,
            at(0.5),
            at(0.99)
        );
        assert!(known > 0.995, "{known}");
        assert!(at(0.99) <= 3 * period.as_secs());
        assert!(rate < 250.0, "{rate}");
        assert!(world.nodes.iter().all(|node| node.refused() == 0));
    }
}

fn datagram(samples: &[Sample]) -> Vec<u8> {
    let mut bytes = vec![SAMPLES];
    for sample in samples {
        let body = cluster::wire::encode(sample);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

#[test]
fn a_liar_speaks_for_itself_only() {
    let mut node = Health::new(Millis(0), seed_of(0), COMMUNITY, 1, 0);
    let id = |index: usize| NodeId::of_seed(&seed_of(index));
    node.set_members((0..3).map(id).collect());
    let known = |node: &Health, index: usize| node.of(&id(index)).map(|known| known.figures.uptime_seconds);
    let sign = |index: usize, order, uptime| Sample::sign(&seed_of(index), COMMUNITY, order, figures(uptime));
    node.datagram(Millis(1), id(2), &datagram(&[sign(1, (3, 5), 100)]));
    assert_eq!(known(&node, 1), Some(100));
    // Older ones, of another life, of another community, of strangers and from strangers, in this node's own name.
    node.datagram(Millis(2), id(2), &datagram(&[sign(1, (3, 4), 1), sign(1, (2, 9), 2), sign(9, (9, 9), 3), sign(0, (9, 9), 4)]));
    node.datagram(Millis(2), id(9), &datagram(&[sign(1, (3, 6), 5)]));
    let foreign = Sample::sign(&seed_of(1), CommunityId([6; 32]), (3, 7), figures(6));
    node.datagram(Millis(2), id(2), &datagram(&[foreign]));
    assert_eq!((known(&node, 1), known(&node, 0), node.refused()), (Some(100), None, 1));
    assert_eq!((known(&node, 9), node.known().count()), (None, 1));
    // Any change of what was signed.
    let valid = datagram(&[sign(1, (4, 1), 200)]);
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..ProptestConfig::default().cases.max(20_000) {
        let mut bytes = valid.clone();
        let at = rng.random_range(1..bytes.len());
        match rng.random_range(0..3) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.truncate(at),
            _ => bytes.insert(at, rng.random()),
        }
        node.datagram(Millis(3), id(1), &bytes);
        assert_eq!(known(&node, 1), Some(100), "{bytes:?}");
    }
    // What is beyond the limits, though well signed.
    let link = Link { node: [1; 4], rtt_ms: 1, lost_permille: 1 };
    for wrong in [
        Figures { version: "x".repeat(MAX_TEXT_BYTES + 1), ..figures(7) },
        Figures { version: "\u{1b}[2J".to_owned(), ..figures(7) },
        Figures { version: "\u{202e}".to_owned(), ..figures(7) },
        Figures { docker: Docker::Running { version: "a b".to_owned(), containers: 1 }, ..figures(7) },
        Figures { cpu_percent: 101, ..figures(7) },
        Figures { links: vec![link; MAX_LINKS + 1], ..figures(7) },
        Figures { links: vec![Link { lost_permille: 1001, ..link }], ..figures(7) },
    ] {
        let sample = Sample::sign(&seed_of(1), COMMUNITY, (4, 2), wrong);
        assert!(!sample.verifies(COMMUNITY), "{sample:?}");
        node.datagram(Millis(4), id(1), &datagram(&[sample]));
        assert_eq!(known(&node, 1), Some(100));
    }
    // Too many, too long, and what follows a sample that does not verify.
    let refused = node.refused();
    let many = [&[SAMPLES], [0, 1, 9].repeat(9).as_slice(), &valid[1..]].concat();
    let long = datagram(&vec![sign(1, (4, 2), 8); 8]);
    assert!(many.len() < MAX_DATAGRAM_BYTES && long.len() > MAX_DATAGRAM_BYTES);
    let foreign = Sample::sign(&seed_of(2), CommunityId([6; 32]), (9, 9), figures(9));
    let after_a_lie = datagram(&[foreign, sign(1, (4, 1), 200)]);
    for bytes in [many, long, after_a_lie] {
        node.datagram(Millis(4), id(2), &bytes);
    }
    assert_eq!((known(&node, 1), node.refused()), (Some(100), refused + 3));
    node.datagram(Millis(5), id(1), &valid);
    assert_eq!(known(&node, 1), Some(200));
    // A sample of a layout that is yet to come takes the others of its datagram with it no more than itself.
    let mut newer = datagram(&[sign(1, (4, 3), 300)]);
    newer[3] += 1;
    newer.extend_from_slice(&datagram(&[sign(2, (1, 1), 400)])[1..]);
    node.datagram(Millis(6), id(1), &newer);
    assert_eq!((known(&node, 1), known(&node, 2), node.refused()), (Some(200), Some(400), refused + 3));
    // Who is no member any more is forgotten.
    node.set_members([id(0), id(2)].into());
    assert_eq!(known(&node, 1), None);
}

#[test]
fn a_node_that_goes_on_in_a_later_epoch_is_heard_again() {
    let id = |index: usize| NodeId::of_seed(&seed_of(index));
    let mut other = Health::new(Millis(0), seed_of(1), COMMUNITY, 1, 0);
    other.set_members((0..2).map(id).collect());
    other.datagram(Millis(1), id(0), &datagram(&[Sample::sign(&seed_of(0), COMMUNITY, (7, 3), figures(100))]));
    // A restored old card: its epoch is behind what others hold, until its neighbours tell.
    let mut restored = Health::new(Millis(0), seed_of(0), COMMUNITY, 2, 0);
    restored.set_members((0..2).map(id).collect());
    restored.set_linked(vec![id(1)]);
    for (now, epoch, known) in [(2000, 2, 100), (9000, 8, 200)] {
        restored.set_epoch(epoch);
        restored.say(Millis(now), figures(200));
        restored.tick(Millis(now));
        talk(Millis(now), &mut restored, &mut other);
        assert_eq!(other.of(&id(0)).map(|known| known.figures.uptime_seconds), Some(known));
    }
}

/// Lets two nodes say to each other what they have to say; how many datagrams of each kind that took.
fn talk(now: Millis, one: &mut Health, other: &mut Health) -> BTreeMap<u8, usize> {
    let mut kinds = BTreeMap::new();
    loop {
        let said: Vec<(bool, Output)> =
            one.outputs().map(|output| (true, output)).chain(other.outputs().map(|output| (false, output))).collect();
        let mut quiet = true;
        for (of_one, output) in said {
            let Output::Send { to, bytes } = output else { continue };
            let (from, at) = if of_one { (&*one, &*other) } else { (&*other, &*one) };
            assert_eq!(to, at.me());
            let from = from.me();
            *kinds.entry(bytes[0]).or_default() += 1;
            if of_one { &mut *other } else { &mut *one }.datagram(now, from, &bytes);
            quiet = false;
        }
        if quiet {
            return kinds;
        }
    }
}

/// Two members of three, linked with each other.
fn pair() -> (Health, Health) {
    let id = |index: usize| NodeId::of_seed(&seed_of(index));
    let node = |index: usize| {
        let mut node = Health::new(Millis(0), seed_of(index), COMMUNITY, 1, 0);
        node.set_members((0..3).map(id).collect());
        node.set_linked(vec![id(1 - index)]);
        node
    };
    (node(0), node(1))
}

fn words(kind: u8, body: &impl serde::Serialize) -> Vec<u8> {
    [vec![kind], cluster::wire::encode(body)].concat()
}

#[test]
fn a_sample_goes_to_whoever_has_it_not_and_once() {
    let (mut one, mut other) = pair();
    one.say(Millis(0), figures(1));
    one.tick(Millis(0));
    assert_eq!(talk(Millis(0), &mut one, &mut other), BTreeMap::from([(HAS, 1), (WANTS, 1), (SAMPLES, 1)]));
    assert_eq!(other.of(&one.me()).unwrap().figures.uptime_seconds, 1);
    // Whoever has it is told, but does not ask; and who told is not told.
    let order: Order = (1, 1);
    let me = one.me();
    other.datagram(Millis(1), NodeId::of_seed(&seed_of(2)), &words(HAS, &vec![(short(&me), order)]));
    other.tick(Millis(20_000));
    assert!(!other.outputs().any(|output| matches!(output, Output::Send { .. })));
}

#[test]
fn what_is_asked_for_and_does_not_come_is_asked_for_again() {
    let (mut one, mut other) = pair();
    one.say(Millis(0), figures(1));
    one.tick(Millis(0));
    let told: Vec<Output> = one.outputs().collect();
    let Some(Output::Send { bytes, .. }) = told.iter().find(|output| matches!(output, Output::Send { .. })) else { panic!("{told:?}") };
    let wants =
        |node: &mut Health| node.outputs().filter(|output| matches!(output, Output::Send { bytes, .. } if bytes[0] == WANTS)).count();
    let me = one.me();
    other.datagram(Millis(0), me, bytes);
    other.datagram(Millis(1), NodeId::of_seed(&seed_of(2)), bytes);
    assert_eq!(wants(&mut other), 1, "one is asked, not both");
    let (mut again, mut now) = (0, Millis(1));
    other.tick(now);
    while other.next_wake() < Millis(9_000) {
        assert!(other.next_wake() > now, "what is due is done");
        now = other.next_wake();
        other.tick(now);
        again += wants(&mut other);
    }
    assert_eq!(again, 2);
    // Then anybody may be asked.
    other.datagram(Millis(9_000), me, bytes);
    assert_eq!(wants(&mut other), 1);
}

#[test]
fn who_says_that_it_has_what_is_to_come_keeps_no_news_away() {
    let (mut one, mut other) = pair();
    let (me, liar) = (one.me(), NodeId::of_seed(&seed_of(2)));
    other.datagram(Millis(0), liar, &words(HAS, &vec![(short(&me), (u32::MAX, u32::MAX))]));
    one.say(Millis(0), figures(1));
    one.tick(Millis(0));
    for output in one.outputs().collect::<Vec<_>>() {
        if let Output::Send { bytes, .. } = output {
            other.datagram(Millis(1), me, &bytes);
        }
    }
    let asked: Vec<NodeId> =
        other.outputs().filter_map(|output| if let Output::Send { to, .. } = output { Some(to) } else { None }).collect();
    assert_eq!(asked, [liar, me]);
}

#[test]
fn who_says_that_it_has_a_sample_and_gives_none_keeps_it_from_nobody() {
    let (mut one, mut other) = pair();
    let (me, liar) = (one.me(), NodeId::of_seed(&seed_of(2)));
    // The order of the next sample is no secret.
    other.datagram(Millis(0), liar, &words(HAS, &vec![(short(&me), (1_u32, 1_u32))]));
    one.say(Millis(0), figures(1));
    one.tick(Millis(0));
    for output in one.outputs().collect::<Vec<_>>() {
        if let Output::Send { bytes, .. } = output {
            other.datagram(Millis(1), me, &bytes);
        }
    }
    let asked = |node: &mut Health| {
        node.outputs().filter_map(|output| if let Output::Send { to, .. } = output { Some(to) } else { None }).collect::<Vec<_>>()
    };
    assert_eq!(asked(&mut other), [liar]);
    other.tick(Millis(3_000));
    assert!(asked(&mut other).contains(&me), "the one who is honest is asked next");
}

#[test]
fn nobody_gets_more_than_it_can_need() {
    let (mut one, _) = pair();
    one.say(Millis(0), figures(1));
    let (me, other) = (one.me(), NodeId::of_seed(&seed_of(1)));
    let mut given = 0;
    for round in 0..1000 {
        one.datagram(Millis(round), other, &words(WANTS, &vec![short(&me); 64]));
        given += one.outputs().filter(|output| matches!(output, Output::Send { .. })).count();
    }
    assert_eq!(given, 2 * 3 + 64);
    one.say(Millis(60_000), figures(2));
    one.datagram(Millis(60_000), other, &words(WANTS, &vec![short(&me)]));
    assert!(one.outputs().any(|output| matches!(output, Output::Send { bytes, .. } if bytes[0] == SAMPLES)));
    // Of strangers, nothing is asked and to them nothing is given; more than fits is refused.
    let stranger = NodeId::of_seed(&seed_of(9));
    one.datagram(Millis(60_001), stranger, &words(WANTS, &vec![short(&me)]));
    one.datagram(Millis(60_001), other, &words(HAS, &vec![(short(&stranger), (9_u32, 9_u32)), (short(&me), (9, 9))]));
    assert_eq!((one.outputs().count(), one.refused()), (0, 0));
    one.datagram(Millis(60_001), other, &words(WANTS, &vec![short(&me); 65]));
    assert_eq!((one.outputs().count(), one.refused()), (0, 1));
    // Of a layout that is yet to come nothing is understood, and nothing is thought ill of.
    let mut newer = words(WANTS, &vec![short(&me)]);
    newer[1] += 1;
    assert_eq!(health::read(&newer), Ok(Said::Wants(Vec::new())));
}

proptest::proptest! {
    #[test]
    fn whatever_a_member_says_is_bounded(kind in HAS - 1..=WANTS + 1, body in proptest::collection::vec(proptest::num::u8::ANY, 0..1500), version: bool) {
        let mut bytes = vec![kind];
        bytes.extend(version.then_some(cluster::wire::VERSION));
        bytes.extend(body);
        match health::read(&bytes) {
            Ok(Said::Samples(samples)) => proptest::prop_assert!(samples.len() <= 8),
            Ok(Said::Has(named)) => proptest::prop_assert!(named.len() <= 64),
            Ok(Said::Wants(named)) => proptest::prop_assert!(named.len() <= 64),
            Err(_) => {}
        }
        let (mut node, other) = pair();
        node.datagram(Millis(0), other.me(), &bytes);
        let sent: usize = node.outputs().map(|output| if let Output::Send { bytes, .. } = output { bytes.len() } else { 0 }).sum();
        proptest::prop_assert!(sent <= MAX_DATAGRAM_BYTES);
    }
}
