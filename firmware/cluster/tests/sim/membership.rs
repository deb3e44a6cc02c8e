//! Membership and admission in a simulated world: joining, being cut off, returning, restarting, cheating.

use crate::{
    figure,
    world::{World, id_of},
};
use cluster::{
    Millis,
    hello::{Reason, Reply, Request},
    membership::Liveness,
    roster::Standing,
};
use proptest::test_runner::Config as ProptestConfig;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A world of `count` nodes that all know each other.
pub fn joined(seed: u64, count: usize, loss: f64) -> World {
    let mut world = World::new(seed, loss);
    let token = world.token(1000);
    while world.nodes.len() < count {
        world.join(0, &token).unwrap();
        world.pass(Duration::from_millis(50));
    }
    let took = world.until(s(120), |world| world.agrees(0) && world.same_rosters());
    assert!(took.is_some(), "seed {seed}: not all know all after 120 s");
    world
}

#[test]
fn twenty_nodes_join_through_one_seed_with_a_fifth_of_all_datagrams_lost() {
    for seed in 0..5 {
        let mut world = joined(seed, 20, 0.2);
        // One more: how soon do all know?
        let token = world.token(1);
        let new = world.join(3, &token).unwrap();
        let took = world.until(s(60), |world| (0..new).all(|node| world.alive(node).contains(&id_of(new))));
        println!(
            "seed {seed}: a join is known to all of 21 after {took:?}; {} of {} datagrams lost",
            world.net.faults.0["lost"], world.net.datagrams
        );
        assert!(took.unwrap() <= s(15), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_node_that_is_cut_off_is_missed_and_found_again() {
    for seed in 10..13 {
        let mut world = joined(seed, 20, 0.1);
        world.part(|index| u32::from(index == 7));
        let missed = world.until(s(180), |world| world.agrees(0)).unwrap();
        world.until(s(180), |world| world.agrees(1)).unwrap();
        world.pass(s(600));
        world.heal();
        let found = world.until(s(120), |world| world.agrees(0) && world.same_rosters()).unwrap();
        println!("seed {seed}: missed by all after {missed:?}, found by all after {found:?}");
        assert!(missed <= s(60) && found <= s(60), "seed {seed}: {missed:?} {found:?}");
    }
}

#[test]
fn two_halves_meet_again() {
    let mut world = joined(20, 12, 0.1);
    world.part(|index| u32::from(index >= 6));
    world.until(s(240), |world| world.agrees(0) && world.agrees(1)).unwrap();
    world.pass(s(3600));
    world.heal();
    let found = world.until(s(120), |world| world.agrees(0) && world.same_rosters());
    println!("two halves of six agree after {found:?}");
    assert!(found.unwrap() <= s(60), "{found:?}");
}

#[test]
fn a_restarted_node_is_the_same_member_and_a_goodbye_is_heard_at_once() {
    let mut world = joined(30, 10, 0.1);
    world.goodbye(4);
    let gone = world.until(s(60), |world| world.agrees(0)).unwrap();
    assert!(gone <= s(15), "{gone:?}");
    world.start(4);
    let back = world.until(s(60), |world| world.agrees(0) && world.same_rosters()).unwrap();
    println!("a goodbye is known to all after {gone:?}, a restart after {back:?}");
    assert_eq!(world.nodes[0].as_ref().unwrap().node.roster().nodes().count(), 10);
    assert_eq!(world.card(0, 4).unwrap().order().0, 2);
    // A crash with a quick restart is hardly noticed.
    world.cut(5);
    world.start(5);
    let back = world.until(s(60), |world| world.agrees(0) && world.card(0, 5).unwrap().order().0 == 2).unwrap();
    println!("a quick restart is settled after {back:?}");
    assert!(back <= s(30));
}

#[test]
fn a_restored_old_card_goes_beyond_its_later_life() {
    let mut world = joined(40, 6, 0.0);
    let old = world.files[2].clone();
    for _ in 0..3 {
        world.cut(2);
        world.start(2);
        world.until(s(60), |world| world.agrees(0) && world.same_rosters()).unwrap();
    }
    world.cut(2);
    world.pass(s(5));
    world.files[2] = old;
    world.start(2);
    world.until(s(120), |world| world.agrees(0) && world.same_rosters()).unwrap();
    assert!(world.files[2].epoch > 4, "{}", world.files[2].epoch);
    assert_eq!(world.card(0, 2).unwrap().order().0, world.files[2].epoch);
}

#[test]
fn nobody_who_lives_is_given_up_in_half_an_hour_of_loss() {
    at_rest(s(1800));
}

#[test]
#[ignore = "slow: part of the full tests"]
fn nobody_who_lives_is_given_up_in_a_day_of_loss() {
    at_rest(s(24 * 3600));
}

fn at_rest(time: Duration) {
    let mut world = joined(50, 12, 0.2);
    let start = (world.net.datagrams, world.net.bytes);
    let given_up = world.until_looking(s(3), time, |world| !world.agrees(0));
    figure(&format!("live nodes given up in {} hours at 20 % loss", time.as_secs_f64() / 3600.0), f64::from(given_up.is_some()), 0.0, "");
    assert_eq!(given_up, None);
    let per_node_and_second = |count: u64| count as f64 / 12.0 / time.as_secs_f64();
    let datagrams = per_node_and_second(world.net.datagrams - start.0);
    println!("at rest, per node and second: {datagrams:.2} datagrams, {:.0} bytes of them", per_node_and_second(world.net.bytes - start.1));
    // Of whom a datagram was lost is no suspect, or all would speak of suspects all the time.
    assert!(datagrams < 3.0, "{datagrams} datagrams");
}

#[test]
fn who_was_suspected_and_lives_is_not_dialled_for_ever() {
    let mut world = joined(51, 6, 0.0);
    world.net.loss = 0.7;
    world.until(s(3600), |world| world.confirms > 5).expect("nobody was suspected");
    world.net.loss = 0.0;
    world.pass(s(120));
    let before = world.confirms;
    world.pass(s(600));
    assert_eq!(world.confirms, before);
    assert!(world.agrees(0));
}

#[test]
fn a_token_used_on_both_sides_of_a_partition_suspends_its_users_when_they_meet() {
    let mut world = joined(60, 6, 0.0);
    world.part(|index| u32::from((3..6).contains(&index)));
    world.until(s(240), |world| world.agrees(0) && world.agrees(1)).unwrap();
    let token = world.token(1);
    let left = world.join(0, &token).unwrap();
    // The same side knows that it is used.
    let refused = world.join(0, &token).unwrap_err();
    assert!(matches!(refused, Reply::Refused { reason: Reason::USED, .. }), "{refused:?}");
    let right = world.join(4, &token).unwrap();
    world.part(|index| u32::from((3..6).contains(&index) || index == right));
    world.pass(s(60));
    world.heal();
    let both = |world: &World| {
        (0..6).all(|node| {
            let roster = world.nodes[node].as_ref().unwrap().node.roster();
            [left, right].iter().all(|cheat| roster.standing(&id_of(*cheat)) == Standing::Suspended)
        })
    };
    world.until(s(120), both).unwrap();
    // An admin's new token brings back the one who gets it, and only that one.
    let certificate = world.token(1).redeem(id_of(left)).to_bytes();
    let reply = world.hello(id_of(left), 0, &Request::Join { certificate });
    assert!(matches!(reply, Reply::Admitted { .. }), "{reply:?}");
    let roster = world.nodes[0].as_ref().unwrap().node.roster();
    assert_eq!((roster.standing(&id_of(left)), roster.standing(&id_of(right))), (Standing::Member, Standing::Suspended));
}

#[test]
fn who_is_revoked_is_gone_everywhere_also_where_it_was_let_in_meanwhile() {
    for seed in 80..84 {
        let mut world = joined(seed, 8, 0.2);
        world.part(|index| u32::from(index >= 4));
        world.until(s(240), |world| world.agrees(0) && world.agrees(1)).unwrap();
        // Node 3 is taken out on the admin's side, and the other half hears of it only when they meet; so does node 7.
        let now = world.now;
        for gone in [3, 7] {
            world.life(0).node.revoke(now, id_of(gone)).unwrap();
        }
        world.touch(0);
        let out = |world: &World, at: usize| {
            let node = &world.nodes[at].as_ref().unwrap().node;
            let away = |gone: usize| node.roster().standing(&id_of(gone)) == Standing::Revoked && !world.alive(at).contains(&id_of(gone));
            away(3) && away(7)
        };
        let soon = world.until(s(30), |world| (0..3).all(|at| out(world, at))).expect("the admin's side knows");
        assert!(world.alive(4).contains(&id_of(7)), "the other side can't know yet");
        world.heal();
        let met = world.until(s(60), |world| [0, 1, 2, 4, 5, 6].iter().all(|at| out(world, *at))).expect("all know once they meet");
        println!("seed {seed}: a revocation is known on its side after {soon:?}, and {met:?} after the link is back on the other");
        // It knocks with what it has, at one who has heard, and with an invite that the admin made for somebody else.
        for via in [1, 5] {
            let own = world.nodes[7].as_ref().unwrap().node.roster().certificate(&id_of(7)).unwrap().to_bytes();
            let another = world.token(5).redeem(id_of(7)).to_bytes();
            for certificate in [own, another] {
                let reply = world.hello(id_of(7), via, &Request::Join { certificate });
                assert!(matches!(reply, Reply::Refused { reason: Reason::REVOKED, .. }), "{reply:?}");
            }
        }
        // The members go on, and it stays out.
        world.pass(s(120));
        for at in [0, 1, 2, 4, 5, 6] {
            assert!(out(&world, at));
            assert_eq!(world.alive(at).len(), 5 + usize::from(world.alive(at).contains(&id_of(at))));
        }
    }
}

#[test]
fn datagrams_of_strangers_and_under_false_names_change_nothing() {
    let mut world = joined(70, 4, 0.0);
    // A stranger who speaks the protocol: a member of another community.
    let mut stranger = cluster::membership::Membership::new(id_of(99), 1, 1);
    stranger.set_admitted(world.now, [id_of(0), id_of(99)].into());
    let datagrams: Vec<Vec<u8>> = stranger
        .outputs()
        .filter_map(|output| match output {
            cluster::membership::Output::Send { bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect();
    assert!(!datagrams.is_empty());
    let now = world.now;
    let node = &mut world.life(0).node;
    for bytes in &datagrams {
        node.datagram(now, id_of(99), bytes);
        // Over a member's connection, but of the stranger.
        node.datagram(now, id_of(1), bytes);
    }
    assert_eq!((node.refused().stranger, node.refused().source), (datagrams.len() as u64, datagrams.len() as u64));
    assert!(!node.beliefs().contains_key(&id_of(99)));
    assert!(node.beliefs().values().all(|belief| belief.state == Liveness::Alive));
}

/// What the one who suspects says is lost while it passes its suspicion on; then it changes its life, at which foca drops the
/// timers that end suspicions. The suspect answers everything but what it never heard.
#[test]
fn a_suspicion_that_its_suspect_never_heard_of_ends() {
    use cluster::membership::{Membership, Output};
    fn live(pair: &mut [Membership; 2], now: &mut Millis, milliseconds: u64, linked: bool) {
        for _ in 0..milliseconds / 100 {
            *now = now.plus(Duration::from_millis(100));
            for from in [0, 1] {
                pair[from].tick(*now);
                let outputs: Vec<_> = pair[from].outputs().collect();
                for output in outputs {
                    match output {
                        Output::Send { to, bytes } if linked && to == id_of(1 - from) => pair[1 - from].datagram(*now, id_of(from), &bytes),
                        Output::Confirm(node) => pair[from].confirmed(*now, node, true),
                        _ => {}
                    }
                }
            }
        }
    }
    let mut now = Millis(0);
    let mut pair = [0, 1].map(|index| Membership::new(id_of(index), 1, index as u64));
    pair.iter_mut().for_each(|one| one.set_admitted(now, (0..2).map(id_of).collect()));
    live(&mut pair, &mut now, 20_000, true);
    let state = |pair: &[Membership; 2]| pair[0].states()[&id_of(1)].state;
    assert_eq!(state(&pair), Liveness::Alive);
    pair[0].fell_silent(now, id_of(1));
    // For longer than a piece of news is passed on, and not as long as a suspicion lasts.
    live(&mut pair, &mut now, 9_000, false);
    assert_eq!(state(&pair), Liveness::Suspect);
    pair[0].set_epoch(now, 2);
    live(&mut pair, &mut now, 30_000, true);
    assert_eq!(state(&pair), Liveness::Alive);
}

/// Mutations of what real nodes send; in each run another 20,000, with the seed printed.
#[test]
fn mutated_datagrams_never_panic_and_admit_nobody() {
    let seed: u64 = std::env::var("CLOUDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("CLOUDY_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let admitted: std::collections::BTreeSet<_> = (0..5).map(id_of).collect();
    let mut now = Millis(0);
    let mut pair = [0, 1].map(|index| cluster::membership::Membership::new(id_of(index), 1, index as u64));
    for one in &mut pair {
        one.set_admitted(now, admitted.clone());
    }
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1500 {
        now = now.plus(s(1));
        for from in [0, 1] {
            pair[from].tick(now);
            let sent: Vec<_> = pair[from].outputs().collect();
            for output in sent {
                if let cluster::membership::Output::Send { to, bytes } = output {
                    if to == id_of(1 - from) {
                        pair[1 - from].datagram(now, id_of(from), &bytes);
                    }
                    corpus.push(bytes);
                }
            }
        }
    }
    let [mut receiver, _] = pair;
    assert!(corpus.len() > 50);
    for _ in 0..ProptestConfig::default().cases.max(20_000) {
        let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
        for _ in 0..rng.random_range(1..4) {
            match rng.random_range(0..4) {
                0 => bytes.truncate(rng.random_range(0..=bytes.len())),
                1 => bytes.extend(std::iter::repeat_n(rng.random::<u8>(), rng.random_range(1..1200))),
                _ if !bytes.is_empty() => {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = rng.random();
                }
                _ => {}
            }
        }
        receiver.datagram(now, id_of(1), &bytes);
        let _done: Vec<_> = receiver.outputs().collect();
        now = now.plus(Duration::from_millis(1));
        receiver.tick(now);
    }
    assert!(receiver.states().keys().all(|node| admitted.contains(node)));
    let refused = receiver.refused();
    assert!(refused.malformed > 0 && refused.source > 0, "{refused:?}");
}
