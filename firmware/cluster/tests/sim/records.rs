//! Records one property at a time: what is gone, old and copied cards, damaged and full disks, liars, limits, formats.

use crate::{
    disk::Disk,
    hostile::{forge, mutate},
    membership::{joined, s},
    world::{World, id_of, seed_of},
};
use cluster::{
    CommunityId, Millis, NodeId,
    farewell::Farewell,
    records::{
        Change, Fork, Head, Kind, Order, Output, Ownership, Phase, Record, Replica, Slot, WriteError,
        exchange::{self, Answer, Ask, Statement},
        head::{self, Live},
        record,
        summary::Datagram,
    },
    store::{RedbStore, StoreError},
};
use proptest::test_runner::Config as ProptestConfig;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeSet, time::Duration};

fn slot(key: &str) -> Slot {
    Slot { kind: Kind::SERVICE, key: key.to_owned() }
}

fn put(key: &str, value: &[u8]) -> Change {
    Change::Put { slot: slot(key), schema: 1, value: value.to_vec() }
}

fn write(world: &mut World, node: usize, change: Change) -> Result<Order, WriteError> {
    let now = world.now;
    let written = world.life(node).records.write(now, &[change]);
    world.touch(node);
    written
}

fn value(world: &World, at: usize, of: usize, key: &str) -> Option<Vec<u8>> {
    world.nodes[at].as_ref().unwrap().records.get(&id_of(of), &slot(key)).unwrap().map(|record| record.value)
}

fn settled(seed: u64, count: usize) -> World {
    let mut world = joined(seed, count, 0.05);
    world.until(s(60), World::same_views).unwrap();
    world
}

fn settle(world: &mut World) {
    world.until(s(120), |world| world.same_rosters() && world.same_views()).unwrap();
}

#[test]
fn what_is_removed_is_gone_everywhere_and_an_old_head_does_not_bring_it_back() {
    let mut world = settled(200, 5);
    write(&mut world, 1, put("a", b"1")).unwrap();
    write(&mut world, 1, put("b", b"2")).unwrap();
    settle(&mut world);
    let old = world.life(2).records.view().head(&id_of(1)).unwrap().clone();
    write(&mut world, 1, Change::Remove(slot("a"))).unwrap();
    settle(&mut world);
    assert!((0..5).all(|at| value(&world, at, 1, "a").is_none() && value(&world, at, 1, "b") == Some(b"2".to_vec())));
    let now = world.now;
    let replay = Datagram::News(Box::new(old)).to_bytes();
    world.life(3).records.datagram(now, id_of(2), &replay);
    world.touch(3);
    world.pass(s(30));
    assert!(world.same_views() && value(&world, 3, 1, "a").is_none());
}

#[test]
fn a_restored_old_card_gets_its_later_records_back_and_keeps_what_it_writes_meanwhile() {
    let mut world = settled(210, 5);
    write(&mut world, 2, put("kept", b"1")).unwrap();
    settle(&mut world);
    let old = (world.disks[2].image(), world.files[2].clone());
    for life in 0..3_u8 {
        world.cut(2);
        world.start(2);
        settle(&mut world);
        write(&mut world, 2, put("later", &[life])).unwrap();
        write(&mut world, 2, put(&format!("of-{life}"), b"x")).unwrap();
        settle(&mut world);
    }
    write(&mut world, 2, Change::Remove(slot("of-0"))).unwrap();
    settle(&mut world);
    let newest = world.life(2).records.own_order();
    world.cut(2);
    world.disks[2].restore(&old.0);
    world.files[2] = old.1;
    world.start(2);
    // It has asked nobody yet.
    write(&mut world, 2, put("meanwhile", b"m")).unwrap();
    world.pass(s(1));
    settle(&mut world);
    for at in 0..5 {
        let found = ["kept", "later", "of-0", "of-1", "of-2", "meanwhile"].map(|key| value(&world, at, 2, key));
        let expected = [Some(b"1".to_vec()), Some(vec![2]), None, Some(b"x".to_vec()), Some(b"x".to_vec()), Some(b"m".to_vec())];
        assert_eq!(found, expected, "node {at}");
    }
    assert!(world.life(2).records.own_order() > newest);
    assert_eq!(world.life(2).records.phase(), Phase::Open);
    write(&mut world, 2, put("after", b"a")).unwrap();
    settle(&mut world);
    assert_eq!(value(&world, 0, 2, "after"), Some(b"a".to_vec()));
}

#[test]
fn of_a_copied_card_all_choose_alike_and_it_is_told() {
    let mut world = settled(220, 5);
    write(&mut world, 2, put("a", b"1")).unwrap();
    settle(&mut world);
    let copy = world.add_copy(2);
    let mut told = 0;
    for round in 0..40 {
        for node in [2, copy] {
            match write(&mut world, node, put("mine", format!("{node} {round}").as_bytes())) {
                Err(WriteError::Copied) => told += 1,
                other => drop(other.unwrap()),
            }
        }
        world.pass(s(2));
    }
    assert!(told > 0);
    let copied = |world: &World, node: usize| world.nodes[node].as_ref().unwrap().records.phase() == Phase::Copied;
    assert!(copied(&world, 2) || copied(&world, copy), "neither was told");
    // Their cards go on contending for the roster, so the whole view has no rest; what each of the others holds has.
    let alike = |world: &World| {
        let heads = [0, 1, 3, 4].map(|at| world.nodes[at].as_ref().unwrap().records.view().head(&id_of(2)).map(Head::mark));
        heads.iter().all(|head| *head == heads[0])
    };
    world.until(s(120), alike).unwrap();
    let heads: BTreeSet<_> = [0, 1, 3, 4].map(|at| value(&world, at, 2, "mine")).into();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let proven = |at: &&usize| world.nodes[**at].as_ref().unwrap().records.view().fork_at(&id_of(2)).is_some();
    println!("a proof is held by {} of 4 others; {told} writes were refused", [0, 1, 3, 4].iter().filter(proven).count());
    // The others go on.
    write(&mut world, 3, put("b", b"2")).unwrap();
    world.pass(s(30));
    assert!([0, 1, 4].iter().all(|at| value(&world, *at, 3, "b") == Some(b"2".to_vec())));
}

#[test]
fn a_damaged_database_is_put_aside_and_rebuilt_from_the_neighbours() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut put_aside = 0;
    let mut world = settled(230, 4);
    for number in 0..20 {
        write(&mut world, 1, put(&format!("{number}"), &[number; 3000])).unwrap();
    }
    settle(&mut world);
    for _ in 0..12 {
        world.cut(1);
        let before = world.disks[1].aside();
        world.disks[1].damage(&mut rng);
        world.start(1);
        put_aside += world.disks[1].aside() - before;
        settle(&mut world);
        assert!((0..20).all(|number| value(&world, 1, 1, &format!("{number}")) == Some(vec![number; 3000])));
        assert!((0..20).all(|number| value(&world, 3, 1, &format!("{number}")) == Some(vec![number; 3000])));
        world.pass(s(5));
    }
    println!("of 12 damaged databases {put_aside} were put aside; the others had their damage where nothing was");
    assert!(put_aside > 3);
}

#[test]
fn on_a_full_disk_reads_go_on_and_writes_are_refused_with_the_reason() {
    for sudden in [false, true] {
        let mut world = settled(240, 3);
        write(&mut world, 1, put("before", &[1; 4000])).unwrap();
        settle(&mut world);
        world.disks[1].set_full(true, sudden);
        let mut refused = 0;
        for number in 0..300 {
            match write(&mut world, 1, put(&format!("{number}"), &[7; 4000])) {
                Err(WriteError::Store(StoreError::Full(_))) => refused += 1,
                other => drop(other.unwrap()),
            }
            assert_eq!(value(&world, 1, 1, "before"), Some(vec![1; 4000]));
        }
        assert!(refused > 0, "sudden {sudden}");
        // Room is made by taking something away.
        if !sudden {
            write(&mut world, 1, Change::Remove(slot("before"))).unwrap();
        }
        world.disks[1].set_full(false, false);
        write(&mut world, 1, Change::Remove(slot("before"))).unwrap();
        write(&mut world, 1, put("after", b"1")).unwrap();
        settle(&mut world);
        assert_eq!((value(&world, 0, 1, "before"), value(&world, 0, 1, "after")), (None, Some(b"1".to_vec())));
        println!("sudden {sudden}: {refused} of 300 writes refused");
    }
}

#[test]
fn two_hundred_services_of_4_kb_fit_and_there_is_an_end() {
    let mut world = settled(250, 3);
    let services: Vec<Change> = (0..200).map(|number| put(&format!("service-{number}"), &[number as u8; 4096])).collect();
    let now = world.now;
    world.life(1).records.write(now, &services).unwrap();
    world.touch(1);
    settle(&mut world);
    assert!((0..200).all(|number| value(&world, 2, 1, &format!("service-{number}")) == Some(vec![number as u8; 4096])));
    let more: Vec<Change> = (0..400).map(|number| put(&format!("more-{number}"), &[0; 100])).collect();
    assert!(matches!(world.life(1).records.write(now, &more), Err(WriteError::TooMuch { count: 600, .. })));
    let long = world.life(1).records.write(now, &[put("long", &[0; 4097])]);
    assert_eq!(long, Err(WriteError::Value { bytes: 4097 }));
    assert_eq!(world.life(1).records.write(now, &[put("", b"")]), Err(WriteError::Key(String::new())));
}

/// A member that signs heads whose sets are not what they say, and heads in other nodes' names.
#[test]
fn a_liar_harms_only_what_is_its_own() {
    let mut world = settled(260, 5);
    write(&mut world, 1, put("a", b"1")).unwrap();
    settle(&mut world);
    let community = world.founding.id();
    let root = world.life(0).records.root();
    let lie = |seed: &[u8; 32], epoch: u32, count: u32| {
        Head::sign(seed, community, None, Order { epoch, sequence: 0 }, Live { count, bytes: 10, hash: head::hash(&[]) })
    };
    // Signed by the liar in its own name: a set that nobody has. Signed by a stranger. Too much. Of another's owner.
    let now = world.now;
    let stranger = lie(&seed_of(77), 1, 0);
    let too_much = lie(&seed_of(4), 9, 100_000);
    let nowhere = lie(&seed_of(4), 8, 3);
    let mut forged = lie(&seed_of(4), 99, 0).to_bytes();
    let at = forged.windows(32).position(|window| window == id_of(4).0).unwrap();
    forged[at..at + 32].copy_from_slice(&id_of(1).0);
    let forged = Head::from_bytes(&forged).unwrap();
    for head in [stranger, too_much, nowhere, forged] {
        for at in 0..4 {
            let bytes = Datagram::News(Box::new(head.clone())).to_bytes();
            world.life(at).records.datagram(now, id_of(4), &bytes);
            let give = Ask::Exchange { give: vec![Statement::Head(Box::new(head.clone()))], want: Vec::new() };
            world.life(at).records.answer(now, id_of(4), &exchange::frame(&give));
            world.touch(at);
        }
    }
    world.pass(s(60));
    let records = &world.nodes[0].as_ref().unwrap().records;
    assert!(records.refused().statements >= 2, "{:?}", records.refused());
    assert_eq!(value(&world, 0, 1, "a"), Some(b"1".to_vec()));
    assert_eq!(records.root(), root, "a lie changed the view");
    // A stranger is not answered at all.
    let answer = world.life(0).records.answer(now, id_of(77), &exchange::frame(&Ask::Compare { root: [0; 32] }));
    assert_eq!(exchange::read_answer(&answer).unwrap(), Answer::Unknown);
}

#[test]
fn who_is_slow_to_answer_is_not_waited_for() {
    let mut world = settled(266, 6);
    // It tells of all that is new, and gives nothing.
    world.hostile.insert(1, Box::new(|_, _, _| None));
    let mut worst = Duration::ZERO;
    for round in 0..20 {
        let key = format!("published-{round}");
        write(&mut world, 0, put(&key, &[8; 50])).unwrap();
        let took = world.until(s(60), |world| (0..6).all(|at| value(world, at, 0, &key).is_some()));
        worst = worst.max(took.unwrap());
        world.pass(s(5));
    }
    // An answer that does not come is given up after 8 s here, and after 40 s by a node.
    assert!(worst < s(5), "{worst:?}");
    assert!(world.net.faults.0["hostile answer"] > 5, "it was asked");
}

#[test]
fn who_passes_on_what_others_say_can_not_change_it() {
    let mut world = settled(265, 3);
    for at in [0, 2] {
        world.hostile.insert(at, Box::new(|_, _, answer| Some(forge(&answer).unwrap_or(answer))));
    }
    // Node 1 hears of it only from those who change what they pass on.
    write(&mut world, 0, put("a", &[8; 50])).unwrap();
    world.pass(s(60));
    assert_eq!(value(&world, 1, 0, "a"), None);
    assert!(world.life(1).records.refused().sets > 0);
    world.hostile.clear();
    settle(&mut world);
    assert_eq!(value(&world, 1, 0, "a"), Some(vec![8; 50]));
}

#[test]
fn kinds_and_layouts_of_later_versions_are_passed_on() {
    let mut world = settled(270, 3);
    let later = Change::Put { slot: Slot { kind: Kind(200), key: "x".to_owned() }, schema: 77, value: b"later".to_vec() };
    write(&mut world, 1, later).unwrap();
    settle(&mut world);
    let found = world.life(2).records.get(&id_of(1), &Slot { kind: Kind(200), key: "x".to_owned() }).unwrap().unwrap();
    assert_eq!((found.schema, found.value.as_slice()), (77, b"later".as_slice()));
}

#[test]
fn whose_a_node_is_reaches_all_and_nothing_of_its_records_is_told_again() {
    let mut world = settled(280, 5);
    write(&mut world, 1, put("a", b"1")).unwrap();
    settle(&mut world);
    let owner = id_of(77);
    let of = |world: &World, at: usize| world.nodes[at].as_ref().unwrap().records.view().head(&id_of(1)).unwrap().household();
    assert_eq!(of(&world, 3), None);
    let community = world.life(1).records.community();
    for said in [Some(Ownership::sign(&seed_of(77), community, id_of(1))), None] {
        let now = world.now;
        let before = world.life(1).records.own_order();
        world.life(1).records.set_ownership(now, said).unwrap();
        world.life(1).records.set_ownership(now, said).unwrap();
        assert_eq!(world.life(1).records.own_order().sequence, before.sequence + 1, "what is said already is not said again");
        world.touch(1);
        settle(&mut world);
        for at in 0..5 {
            assert_eq!(of(&world, at), said.map(|_| owner));
            assert_eq!(value(&world, at, 1, "a"), Some(b"1".to_vec()));
        }
    }
    // What another owner signed for another node counts for nothing.
    let (now, foreign) = (world.now, Ownership::sign(&seed_of(77), community, id_of(2)));
    world.life(1).records.set_ownership(now, Some(foreign)).unwrap();
    world.touch(1);
    world.pass(s(20));
    assert_eq!(of(&world, 3), None);
    assert!(world.life(3).records.refused().statements > 0);
}

/// Reads an input; true if it was taken for something that its signer did not say.
type Reader = fn(&[u8], &[u8]) -> bool;

/// Mutations of valid inputs: none panics, none passes for signed that is not. `PROPTEST_CASES` says how many each.
#[test]
fn nearly_right_inputs_never_panic_nor_pass() {
    let seed: u64 = std::env::var("CLOUDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    let inputs = ProptestConfig::default().cases.max(20_000);
    println!("CLOUDY_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let community = CommunityId([3; 32]);
    const COMMUNITY: CommunityId = CommunityId([3; 32]);
    let ownership = Ownership::sign(&[8; 32], community, id_of(1));
    let sign = |bytes| {
        let live = Live { count: 3, bytes, hash: [5; 32] };
        Head::sign(&seed_of(1), community, Some(ownership), Order { epoch: 2, sequence: 7 }, live)
    };
    let (one, other) = (sign(100), sign(101));
    let fork = Fork::new(one.clone(), other).unwrap();
    let order = Order { epoch: 2, sequence: 3 };
    let record = Record { written: order, schema: 1, slot: slot("key"), value: vec![1; 200] };
    let statements = vec![Statement::Head(Box::new(one.clone())), Statement::Fork(Box::new(fork.clone()))];
    let set = Answer::Set { head: Box::new(one.clone()), marks: vec![[1; 32]; 3], bodies: vec![record.to_bytes()] };
    let life = cluster::membership::Life { node: id_of(1), epoch: 4, renewal: 1 };
    let formats: [(&str, Vec<u8>, Reader); 11] = [
        ("head", one.to_bytes(), |input, valid| {
            let same = |head: &Head| Head::from_bytes(valid).is_ok_and(|valid| valid.mark() == head.mark());
            Head::from_bytes(input).is_ok_and(|head| head.verify(COMMUNITY).is_ok() && !same(&head))
        }),
        ("fork", fork.to_bytes(), |input, valid| {
            let same = |fork: &Fork| Fork::from_bytes(valid).is_ok_and(|valid| valid.mark() == fork.mark());
            Fork::from_bytes(input).is_ok_and(|fork| fork.verify(COMMUNITY).is_ok() && !same(&fork))
        }),
        ("record", record.to_bytes(), |input, valid| {
            Record::from_bytes(input).is_ok() && input != valid && record::mark(&id_of(1), input) == record::mark(&id_of(1), valid)
        }),
        ("farewell", Farewell::sign(&seed_of(1), life).to_bytes(), |input, valid| {
            Farewell::from_bytes(input).is_ok_and(|farewell| Farewell::from_bytes(valid).is_ok_and(|valid| valid.life() != farewell.life()))
        }),
        ("news", Datagram::News(Box::new(one)).to_bytes(), |input, _| drop_it(Datagram::from_bytes(input))),
        ("summary", Datagram::Summary { root: [1; 32], holders: vec![255; 8], ask: true }.to_bytes(), |input, _| {
            drop_it(Datagram::from_bytes(input))
        }),
        ("exchange", exchange::frame(&Ask::Exchange { give: statements.clone(), want: vec![[2; 16]; 9] }), |input, _| {
            drop_it(exchange::read_ask(input))
        }),
        ("since", exchange::frame(&Ask::Since { node: id_of(1), since: Some(order) }), |input, _| drop_it(exchange::read_ask(input))),
        ("set", exchange::frame(&set), |input, _| drop_it(exchange::read_answer(input))),
        ("statements", exchange::frame(&Answer::Statements(statements)), |input, _| drop_it(exchange::read_answer(input))),
        ("bodies", exchange::frame(&Answer::Bodies(vec![record.to_bytes(); 3])), |input, _| drop_it(exchange::read_answer(input))),
    ];
    for (name, valid, wrongly_taken) in formats {
        assert!(!wrongly_taken(&valid, &valid), "{name}: the valid input itself");
        for _ in 0..inputs {
            let mut input = valid.clone();
            mutate(&mut rng, &mut input);
            assert!(!wrongly_taken(&input, &valid), "{name} took {input:?}");
        }
    }
}

fn drop_it<T, E>(read: Result<T, E>) -> bool {
    drop(read);
    false
}

#[test]
fn who_gets_no_answer_about_its_own_records_asks_others_and_not_only_waits() {
    let members: BTreeSet<NodeId> = (0..7).map(id_of).collect();
    let store = RedbStore::open(Box::new(Disk::default())).unwrap();
    let mut replica = Replica::open(Millis(0), store, seed_of(0), CommunityId([9; 32]), None, 1).unwrap();
    replica.set_members(Millis(0), members.clone(), [0; 32]);
    replica.set_peers(Millis(0), members.clone(), members);
    let (mut now, mut silent) = (Millis(0), 5);
    let same = exchange::frame(&Answer::Same);
    while replica.phase() != Phase::Open {
        assert!(now < Millis(10_000), "it waits for those who do not answer");
        for output in replica.outputs().collect::<Vec<_>>() {
            if let Output::Ask { id, .. } = output {
                let answer = (silent == 0).then_some(same.as_slice());
                silent = u32::saturating_sub(silent, 1);
                replica.answered(now, id, answer);
            }
        }
        now = now.max(replica.next_wake());
        replica.tick(now);
    }
    assert_eq!(silent, 0, "some were silent");
}

#[test]
fn who_has_few_connections_makes_another_now_and_then() {
    let told = |links: usize| {
        let members: BTreeSet<NodeId> = (0..12).map(id_of).collect();
        let linked: BTreeSet<NodeId> = (1..=links).map(id_of).collect();
        let store = RedbStore::open(Box::new(Disk::default())).unwrap();
        let mut replica = Replica::open(Millis(0), store, seed_of(0), CommunityId([9; 32]), None, 1).unwrap();
        replica.set_members(Millis(0), members.clone(), [0; 32]);
        replica.set_peers(Millis(0), members, linked.clone());
        let (mut now, mut others) = (Millis(0), 0);
        let same = exchange::frame(&Answer::Same);
        while now < Millis(120_000) {
            for output in replica.outputs().collect::<Vec<_>>() {
                match output {
                    Output::Ask { id, .. } => replica.answered(now, id, Some(&same)),
                    // What is new when it starts is told to several.
                    Output::Datagram { to, .. } if now > Millis(20_000) => others += usize::from(!linked.contains(&to)),
                    _ => {}
                }
            }
            now = now.max(replica.next_wake());
            replica.tick(now);
        }
        others
    };
    assert!((8..=13).contains(&told(2)), "one with each summary, each 10 s");
    assert_eq!(told(6), 0, "who has enough tells nobody else");
}
