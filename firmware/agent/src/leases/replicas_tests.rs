//! How many copies there are in the end, whatever becomes of nodes and answers.

use super::super::place::tests::member;
use super::*;

const NOW: u64 = 1_000_000_000;

fn wish(replicas: u16) -> Wish {
    Wish { replicas, ..Wish::default() }
}

fn copy(node: &str, stands: Lent, at: u64) -> Copy {
    Copy { id: format!("of-{node}"), node: node.to_owned(), stands, placed: true, at }
}

/// What is done where the nodes `a` to `e` are there, but for those that are gone for so long.
fn next(wish: &Wish, copies: &[Copy], gone: &[(&str, Duration)]) -> Steps {
    let members: Vec<MemberView> = ["a", "b", "c", "d", "e"]
        .map(|id| {
            let state = if gone.iter().any(|(node, _)| *node == id) { Liveness::Down } else { Liveness::Alive };
            MemberView { state, ..member(id, 100, "running") }
        })
        .into();
    let gone = gone.iter().map(|(node, time)| ((*node).to_owned(), *time)).collect();
    wish.next(copies, Place { members: &members, own: &BTreeSet::new(), gone: &gone, now: NOW })
}

fn ask(nodes: &[&str]) -> Steps {
    Steps { ask: nodes.iter().map(|node| (*node).to_owned()).collect(), ..Steps::default() }
}

fn spare(ids: &[&str]) -> Steps {
    Steps { spare: ids.iter().map(|id| (*id).to_owned()).collect(), ..Steps::default() }
}

#[test]
fn as_many_are_asked_as_lack_and_no_more_while_they_come() {
    let copies = [copy("a", Lent::Runs, NOW), copy("b", Lent::Offered, NOW), copy("c", Lent::Agreed, NOW)];
    assert_eq!(next(&wish(2), &[], &[]), ask(&["a", "b"]));
    assert_eq!(next(&wish(3), &copies, &[]), Steps::default());
    assert_eq!(next(&wish(4), &copies, &[]), ask(&["d"]));
    assert_eq!(next(&wish(7), &copies, &[]), Steps { missing: 2, ..ask(&["d", "e"]) });
    // What ends or is over is no copy; nor is a node asked twice at once.
    assert_eq!(next(&wish(1), &[copy("a", Lent::Ending, NOW)], &[]), ask(&["a"]));
}

#[test]
fn a_copy_whose_node_is_gone_for_long_is_made_elsewhere_and_the_spare_one_goes_when_it_is_back() {
    let copies = [copy("a", Lent::Runs, NOW - 50), copy("b", Lent::Runs, NOW - 40)];
    let short = GONE_AFTER - Duration::from_millis(1);
    assert_eq!(next(&wish(2), &copies, &[("a", short)]), Steps::default(), "it may be back in a moment");
    assert_eq!(next(&wish(2), &copies, &[("a", GONE_AFTER)]), ask(&["c"]));
    let after = [copies.as_slice(), &[copy("c", Lent::Runs, NOW)]].concat();
    assert_eq!(next(&wish(2), &after, &[("a", GONE_AFTER * 9)]), Steps::default());
    assert_eq!(next(&wish(2), &after, &[]), spare(&["of-c"]), "the one that came last");
    // One that does not run yet goes before it, and what was offered by hand stays.
    let coming = [after.as_slice(), &[copy("d", Lent::Offered, NOW - 99)]].concat();
    assert_eq!(next(&wish(2), &coming, &[]), spare(&["of-d", "of-c"]));
    let by_hand: Vec<Copy> = coming.iter().cloned().map(|copy| Copy { placed: copy.node != "d" && copy.node != "c", ..copy }).collect();
    assert_eq!(next(&wish(2), &by_hand, &[]), spare(&["of-b", "of-a"]));
}

#[test]
fn none_are_wanted_any_more() {
    let copies = [copy("a", Lent::Runs, NOW - 50), copy("b", Lent::Offered, NOW), copy("c", Lent::Runs, NOW)];
    assert_eq!(next(&wish(0), &copies, &[("a", GONE_AFTER)]), spare(&["of-b", "of-c", "of-a"]));
    assert_eq!(next(&wish(0), &[], &[]), Steps::default());
}

#[test]
fn who_says_no_or_nothing_is_left_alone_and_others_are_asked() {
    let mut wish = wish(1);
    wish.aside = [("a".to_owned(), NOW - 1), ("b".to_owned(), NOW - REST_SECS)].into();
    assert_eq!(next(&wish, &[], &[]), ask(&["b"]), "a week is over");
    wish.aside.insert("b".to_owned(), NOW + REST_SECS + 1);
    assert_eq!(next(&wish, &[], &[]), ask(&["b"]), "the clock was set back");
    wish.aside = ["a", "b", "c", "d", "e"].map(|node| (node.to_owned(), NOW)).into();
    assert_eq!(next(&wish, &[], &[]), Steps { missing: 1, ..Steps::default() });
    wish.aside.clear();
    let old = copy("a", Lent::Offered, NOW - ANSWER_WITHIN_SECS);
    assert_eq!(next(&wish, std::slice::from_ref(&old), &[]), Steps { unanswered: vec!["of-a".to_owned()], ..ask(&["b"]) });
    let young = Copy { at: old.at + 1, ..old.clone() };
    assert_eq!(next(&wish, &[young], &[]), Steps::default());
    assert_eq!(
        next(&wish, &[Copy { placed: false, ..old }], &[]),
        Steps::default(),
        "what an owner offered by hand waits as long as it may"
    );
}

/// Nodes come and go, answer, refuse and forget, in any order: once all is well, there are as many as wanted.
#[test]
fn whatever_happens_there_are_as_many_in_the_end() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    const NODES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut wish = wish(rng.random_range(0..5));
        let (mut now, mut next_id) = (NOW, 0);
        let mut copies: Vec<Copy> = Vec::new();
        let mut gone: BTreeMap<String, Duration> = BTreeMap::new();
        for round in 0..200 {
            let well = round >= 120;
            now += rng.random_range(0..20_000);
            for node in NODES {
                match gone.get(node).copied() {
                    Some(_) if well || rng.random_bool(0.3) => drop(gone.remove(node)),
                    Some(time) => drop(gone.insert(node.to_owned(), time + Duration::from_secs(200))),
                    None if !well && rng.random_bool(0.2) => drop(gone.insert(node.to_owned(), Duration::ZERO)),
                    None => {}
                }
            }
            for copy in &mut copies {
                // Whoever is gone says nothing.
                if gone.contains_key(&copy.node) {
                    continue;
                }
                match copy.stands {
                    Lent::Offered if !well && rng.random_bool(0.3) => copy.stands = Lent::Over,
                    Lent::Offered if well || rng.random_bool(0.5) => copy.stands = Lent::Runs,
                    Lent::Runs if !well && rng.random_bool(0.05) => copy.stands = Lent::Over,
                    _ => {}
                }
            }
            for copy in copies.iter().filter(|copy| copy.stands == Lent::Over) {
                wish.aside.insert(copy.node.clone(), now);
            }
            copies.retain(|copy| copy.stands != Lent::Over);
            let members = NODES.map(|id| {
                let state = if gone.contains_key(id) { Liveness::Down } else { Liveness::Alive };
                MemberView { state, ..member(id, 100, "running") }
            });
            let steps = wish.next(&copies, Place { members: &members, own: &BTreeSet::new(), gone: &gone, now });
            for node in &steps.ask {
                assert!(!wish.rests(node, now) && !gone.contains_key(node), "seed {seed}: {node} is asked");
                assert!(copies.iter().all(|copy| copy.node != *node), "seed {seed}: {node} is asked twice");
            }
            copies.retain(|copy| !steps.spare.contains(&copy.id) && !steps.unanswered.contains(&copy.id));
            for node in steps.ask {
                next_id += 1;
                copies.push(Copy { id: next_id.to_string(), node, stands: Lent::Offered, placed: true, at: now });
            }
        }
        let runs = copies.iter().filter(|copy| copy.stands == Lent::Runs).count();
        assert_eq!(runs, usize::from(wish.replicas), "seed {seed}: {copies:?}");
    }
}
