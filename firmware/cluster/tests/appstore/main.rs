//! The app store over real replicas that hear of each other in any order: all end with the same, it is what the writes
//! say, and whoever reads sees no effect without its cause.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

#[path = "../common/mod.rs"]
mod common;
mod net;

use cluster::{
    CommunityId, NodeId,
    appstore::{
        App, AppError, AppStore, Change, Condition, ETag, MAX_APP_BYTES_KEPT, MAX_APP_RECORDS, MAX_KEY_BYTES, MAX_LIST_BYTES, Manifest,
        Output, ShareError, Wish, Writers,
        entry::{Clock, Dot, Entry, MAX_ELEMENT_BYTES, MAX_REGISTER_BYTES},
    },
    records::{self, Kind, Order, Slot, WriteError},
};
use net::{COMMUNITY, Member, Net, app, id, put, seed};
use proptest::prelude::*;
use std::collections::BTreeSet;

// --- any history ---

#[derive(Debug, Clone)]
enum Step {
    Put,
    Delete,
    Add(i8),
    Insert(u8),
    Take(u8),
    Tell { from: usize, of: usize },
    Compare(usize),
    Tidy,
    Restart,
}

/// A write of the history: by whom, its number there, and what its node had seen of each.
struct Written {
    by: usize,
    number: u8,
    seen: Vec<u8>,
    step: Step,
}

impl Written {
    fn saw(&self, other: &Self) -> bool {
        self.seen[other.by] >= other.number
    }
}

const MEMBERS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Put),
        1 => Just(Step::Delete),
        2 => any::<i8>().prop_map(Step::Add),
        2 => (0_u8..3).prop_map(Step::Insert),
        2 => (0_u8..3).prop_map(Step::Take),
        8 => (0..MEMBERS, 0..MEMBERS).prop_map(|(from, of)| Step::Tell { from, of }),
        2 => (0..MEMBERS).prop_map(Step::Compare),
        2 => Just(Step::Tidy),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec((0..MEMBERS, step), 1..60)
}

fn log_of(node: usize) -> String {
    format!("log/{node}")
}

/// How many writes of each are shown at a node: each writes its number, and what it had seen, together with the write.
fn seen(net: &Net, at: usize) -> Vec<u8> {
    let logged = |node| net.read(at, &log_of(node)).values.first().map_or(0, |value| value[0]);
    (0..MEMBERS).map(logged).collect()
}

fn check_causes(net: &Net, at: usize) {
    let shown = seen(net, at);
    for node in 0..MEMBERS {
        if let Some(value) = net.read(at, &log_of(node)).values.first() {
            for (other, number) in value[1..].iter().enumerate() {
                assert!(shown[other] >= *number, "{at} shows write {} of {node} and not write {number} of {other}", value[0]);
            }
        }
    }
}

fn check(net: &Net, at: usize, history: &[Written]) {
    let register = |step: &Step| matches!(step, Step::Put | Step::Delete);
    let replaced = |write: &Written| history.iter().any(|other| register(&other.step) && !std::ptr::eq(other, write) && other.saw(write));
    let mut live: Vec<Vec<u8>> = history
        .iter()
        .filter(|write| matches!(write.step, Step::Put) && !replaced(write))
        .map(|write| vec![write.by as u8, write.number])
        .collect();
    live.sort();
    let mut values = net.read(at, "register").values;
    values.sort();
    assert_eq!(values, live, "at {at}");
    let added = |write: &Written| if let Step::Add(by) = write.step { Some(i128::from(by)) } else { None };
    let counted: Vec<i128> = history.iter().filter_map(added).collect();
    assert_eq!(net.read(at, "counter").counter.unwrap_or(0), counted.iter().sum::<i128>(), "at {at}");
    let there = |element: u8| {
        let takes = || history.iter().filter(|write| matches!(write.step, Step::Take(of) if of == element));
        history.iter().any(|add| matches!(add.step, Step::Insert(of) if of == element) && !takes().any(|take| take.saw(add)))
    };
    let expected: BTreeSet<Vec<u8>> = (0..3).filter(|element| there(*element)).map(|element| vec![element]).collect();
    assert_eq!(net.read(at, "set").set.unwrap_or_default(), expected, "at {at}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_history_ends_alike_as_its_writes_say_and_no_read_is_ahead_of_its_causes(steps in steps()) {
        let mut net = Net::new(MEMBERS);
        let mut history: Vec<Written> = Vec::new();
        for (by, step) in steps {
            match &step {
                Step::Tell { from, of } if *from != by && *of != by => net.tell(by, *from, *of),
                Step::Compare(with) if *with != by => net.compare(by, *with),
                Step::Tell { .. } | Step::Compare(_) => {}
                Step::Tidy => net.tidy(by),
                Step::Restart => {
                    let Member { replica, apps } = &mut net.members[by];
                    *apps = AppStore::open(net.now, replica, COMMUNITY).unwrap();
                }
                write => {
                    let mut seen = seen(&net, by);
                    let number = seen[by] + 1;
                    seen[by] = number;
                    let change = match write {
                        Step::Put => ("register", put(&[by as u8, number])),
                        Step::Delete => ("register", Change::Delete),
                        Step::Add(count) => ("counter", Change::Add(i64::from(*count))),
                        Step::Insert(element) => ("set", Change::Insert(vec![*element])),
                        Step::Take(element) => ("set", Change::Take(vec![*element])),
                        _ => unreachable!(),
                    };
                    let logged = [vec![number], seen.clone()].concat();
                    let log = log_of(by);
                    net.write(by, &[change, (log.as_str(), put(&logged))]);
                    history.push(Written { by, number, seen, step });
                }
            }
            check_causes(&net, by);
        }
        net.meet();
        for at in 0..MEMBERS {
            prop_assert_eq!(net.members[at].apps.waiting(), 0);
            check(&net, at, &history);
        }
        // Tidying up and meeting again changes nothing, and leaves one share of a register at most.
        (0..MEMBERS).for_each(|at| net.tidy(at));
        net.meet();
        (0..MEMBERS).for_each(|at| net.tidy(at));
        net.meet();
        let etags: BTreeSet<String> = (0..MEMBERS).map(|at| format!("{}", net.read(at, "register").etag)).collect();
        prop_assert_eq!(etags.len(), 1);
        for at in 0..MEMBERS {
            check(&net, at, &history);
        }
    }
}

proptest! {
    #[test]
    fn shares_from_anywhere_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,60}") {
        drop(Entry::from_bytes(&bytes));
        drop(Clock::from_bytes(&bytes));
        drop(Manifest::read(&bytes, COMMUNITY, &app()));
        if let Ok(app) = App::try_from(text.as_str()) {
            prop_assert_eq!(app.as_str(), text.as_str());
        }
        prop_assert!(text.len() == 32 || text.parse::<ETag>().is_err());
    }

    #[test]
    fn a_changed_manifest_is_no_manifest(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let owned = App::owned("notes", &id(0)).unwrap();
        let mut bytes = Manifest::sign(&seed(0), COMMUNITY, &owned, 7, Writers::Only(vec![id(1)])).to_bytes();
        prop_assert!(Manifest::read(&bytes, COMMUNITY, &owned).is_ok());
        prop_assert!(Manifest::read(&bytes, CommunityId([5; 32]), &owned).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Manifest::read(&bytes, COMMUNITY, &owned).is_err());
    }
}

// --- one thing at a time ---

#[test]
fn concurrent_values_are_kept_until_somebody_replaces_them() {
    let mut net = Net::new(3);
    net.write(0, &[("k", put(b"a"))]);
    net.write(1, &[("k", put(b"b"))]);
    net.meet();
    let both = net.read(2, "k");
    assert_eq!(both.values.len(), 2);
    assert_eq!((net.read(0, "k").etag, net.read(1, "k").etag), (both.etag, both.etag));
    let is = |etag| Some(Condition::Is(etag));
    let wish = |condition| Wish { key: "k".to_owned(), change: put(b"c"), condition };
    let stale = net.try_write(2, &app(), &[wish(is(ETag([1; 16])))]);
    assert_eq!(stale, Err(AppError::Changed { key: "k".to_owned(), etag: both.etag }));
    let etag = net.try_write(2, &app(), &[wish(is(both.etag))]).unwrap()[0];
    net.meet();
    for at in 0..3 {
        assert_eq!((net.read(at, "k").values, net.read(at, "k").etag), (vec![b"c".to_vec()], etag));
    }
    assert!(matches!(net.try_write(1, &app(), &[wish(Some(Condition::Absent))]), Err(AppError::Changed { .. })));
    net.write(1, &[("k", Change::Delete)]);
    net.meet();
    assert!(net.read(0, "k").is_empty());
    net.try_write(0, &app(), &[wish(Some(Condition::Absent))]).unwrap();
}

#[test]
fn a_batch_is_whole_or_nothing_and_told_at_once() {
    let mut net = Net::new(2);
    let wish = |key: &str, change| Wish { key: key.to_owned(), change, condition: None };
    let long = vec![0; MAX_REGISTER_BYTES + 1];
    let refused = net.try_write(0, &app(), &[wish("a", put(b"1")), wish("b", Change::Put(long))]);
    assert!(matches!(refused, Err(AppError::Share { error: ShareError::TooLong { .. }, .. })), "{refused:?}");
    assert!(net.read(0, "a").is_empty());
    drop(net.outputs(1));
    // The same key twice in a batch: one after the other.
    net.try_write(
        0,
        &app(),
        &[wish("a", put(b"1")), wish("n", Change::Add(2)), wish("n", Change::Add(-5)), wish("s", Change::Insert(b"x".to_vec()))],
    )
    .unwrap();
    net.compare(1, 0);
    let keys = ["a", "n", "s"].map(str::to_owned).to_vec();
    assert_eq!(net.outputs(1), [Output::Changed { app: app(), keys }]);
    assert_eq!(net.read(1, "n").counter, Some(-3));
    let listed = net.members[1].apps.list(&net.members[1].replica, &app(), "a", 10).unwrap();
    assert_eq!((listed.keys.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), listed.more), (vec!["n", "s"], false));
    let wrong = net.try_write(1, &app(), &[wish("n", put(b"x"))]);
    assert!(matches!(wrong, Err(AppError::Share { error: ShareError::OtherType { is: "counter", wanted: "register" }, .. })), "{wrong:?}");
}

#[test]
fn keys_come_in_pages_that_end_by_number_and_by_bytes() {
    // As many as there is room for, each with concurrent values of two members.
    const KEYS: usize = MAX_APP_BYTES_KEPT / (MAX_REGISTER_BYTES + 128);
    let mut net = Net::new(2);
    let names: Vec<String> = (0..KEYS).map(|number| format!("{number:02}")).collect();
    for member in 0..2 {
        for name in &names {
            net.write(member, &[(name, Change::Put(vec![b'a' + u8::try_from(member).unwrap(); MAX_REGISTER_BYTES]))]);
        }
    }
    net.meet();
    let (mut pages, mut found, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = net.members[0].apps.list(&net.members[0].replica, &app(), &after, 50).unwrap();
        pages.push(page.keys.len());
        assert!(page.keys.iter().map(|(_, value)| value.bytes()).sum::<usize>() < MAX_LIST_BYTES + 2 * MAX_REGISTER_BYTES);
        found.extend(page.keys.into_iter().map(|(key, value)| (key, value.values.len())));
        if !page.more {
            break;
        }
        after = found.last().unwrap().0.clone();
    }
    let wanted: Vec<(String, usize)> = names.iter().map(|name| (name.clone(), 2)).collect();
    assert_eq!(found, wanted);
    assert!(pages.len() > 1 && pages.iter().all(|count| *count < 50), "{pages:?}");
    let few = net.members[0].apps.list(&net.members[0].replica, &app(), "", 7).unwrap();
    assert_eq!((few.keys.len(), few.more), (7, true));
}

#[test]
fn there_is_an_end_and_deleting_makes_room() {
    let mut net = Net::new(2);
    for number in 0..MAX_APP_RECORDS - 1 {
        net.write(0, &[(&format!("{number}"), put(b"x"))]);
    }
    let wish = |key: &str, change| Wish { key: key.to_owned(), change, condition: None };
    let full = net.try_write(0, &app(), &[wish("more", put(b"x"))]);
    assert!(matches!(full, Err(AppError::Full { records, .. }) if records == MAX_APP_RECORDS + 1), "{full:?}");
    // Another app has room, and what is there can be changed and deleted.
    net.try_write(0, &App::try_from("other").unwrap(), &[wish("more", put(b"x"))]).unwrap();
    net.write(0, &[("7", put(b"y"))]);
    net.write(0, &[("7", Change::Delete)]);
    net.try_write(0, &app(), &[wish("more", put(b"x"))]).unwrap();
    let bad = ["".to_owned(), "x".repeat(MAX_KEY_BYTES + 1), "a\nb".to_owned()];
    for key in bad {
        assert_eq!(net.try_write(0, &app(), &[wish(&key, put(b"x"))]), Err(AppError::Key(key)));
    }
    let element = wish("set", Change::Insert(vec![0; MAX_ELEMENT_BYTES + 1]));
    assert!(net.try_write(1, &app(), &[element]).is_err());
    net.members[0].replica.store_mut().fails = true;
    let failed = net.try_write(0, &app(), &[wish("8", put(b"z"))]);
    assert!(matches!(failed, Err(AppError::Write(WriteError::Store(_)))), "{failed:?}");
}

#[test]
fn only_those_whom_the_owner_names_write_in_an_owned_app() {
    let mut net = Net::new(3);
    let owned = App::owned("notes", &id(0)).unwrap();
    let wish = |value: &[u8]| [Wish { key: "k".to_owned(), change: put(value), condition: None }];
    let values = |net: &Net, at: usize| {
        net.members[at].apps.read(&net.members[at].replica, &App::owned("notes", &id(0)).unwrap(), "k").unwrap().values
    };
    assert_eq!(net.try_write(1, &owned, &wish(b"1")), Err(AppError::MayNotWrite(owned.clone())));
    net.try_write(0, &owned, &wish(b"0")).unwrap();
    let publish = |net: &mut Net, by: usize, with: usize, writers| {
        let Member { replica, apps } = &mut net.members[by];
        let done = apps.publish_manifest(net.now, replica, &seed(with), &App::owned("notes", &id(0)).unwrap(), writers);
        net.pump(by, None);
        done
    };
    assert!(publish(&mut net, 1, 1, Writers::All).is_err());
    publish(&mut net, 0, 0, Writers::Only(vec![id(1)])).unwrap();
    net.meet();
    net.try_write(1, &owned, &wish(b"1")).unwrap();
    assert!(net.try_write(2, &owned, &wish(b"2")).is_err());
    net.meet();
    assert_eq!(values(&net, 2), [b"1"]);
    // A member that writes all the same is not shown.
    let dot = Dot { at: net.members[2].replica.own_order(), part: 0 };
    let entry = Entry::Register { dot, over: Vec::new(), value: Some(b"2".to_vec()) };
    say(&mut net, 2, &owned, &Clock { at: dot.at, seen: Vec::new() }, &[("k", entry)]);
    net.meet();
    assert_eq!(values(&net, 0), [b"1"]);
    // The owner takes the right back: what was written under it is hidden.
    publish(&mut net, 0, 0, Writers::Only(Vec::new())).unwrap();
    net.meet();
    assert!(values(&net, 2).iter().all(|value| value != b"1"));
    assert!(net.try_write(1, &owned, &wish(b"3")).is_err());
}

/// Says a share past the app store, as a member that does not play by the rules.
fn say(net: &mut Net, by: usize, app: &App, clock: &Clock, entries: &[(&str, Entry)]) {
    let put = |key: &str, value| records::Change::Put { slot: Slot { kind: Kind::APP, key: format!("{app}/{key}") }, schema: 1, value };
    let mut changes = vec![put("", clock.to_bytes())];
    changes.extend(entries.iter().map(|(key, entry)| put(key, entry.to_bytes())));
    net.members[by].replica.write(net.now, &changes).unwrap();
    net.pump(by, None);
}

#[test]
fn a_liar_neither_replaces_what_is_yet_to_be_written_nor_holds_others_up() {
    let mut net = Net::new(3);
    net.write(0, &[("k", put(b"a"))]);
    net.meet();
    let order = net.members[0].replica.own_order();
    // It replaces the next writes of node 0 beforehand, and says it has seen them.
    let next = |plus| Dot { at: Order { epoch: order.epoch, sequence: order.sequence + plus }, part: 0 };
    let over: Vec<(NodeId, Dot)> = (0..10).map(|plus| (id(0), next(plus))).collect();
    let entry = Entry::Register { dot: next(0), over, value: Some(b"liar".to_vec()) };
    let at = Order { epoch: u32::MAX, sequence: u64::MAX };
    for seen in [vec![(id(0), at)], Vec::new()] {
        say(&mut net, 2, &app(), &Clock { at, seen }, &[("k", entry.clone())]);
        net.meet();
        net.write(0, &[("k", put(b"b"))]);
        net.meet();
        assert_eq!(net.read(1, "k").values, [b"b"]);
    }
    // Who writes after having seen the liar's clock is shown all the same.
    net.write(1, &[("k", put(b"c"))]);
    net.meet();
    for reader in [0, 1] {
        assert_eq!(net.read(reader, "k").values, [b"c"], "at {reader}");
        assert_eq!(net.members[reader].apps.waiting(), 0);
    }
}

#[test]
fn what_is_shown_survives_a_restart_and_follows_what_was_missed() {
    let mut net = Net::new(2);
    net.write(0, &[("k", put(b"a"))]);
    net.meet();
    let etag = net.read(1, "k").etag;
    let rows = net.members[1].replica.store().rows.clone();
    net.write(0, &[("k", put(b"b"))]);
    net.meet();
    // What was committed without sync is gone: the shown shares are behind the records.
    let now = net.now;
    let apps: Vec<_> = rows.into_iter().filter(|((table, _), _)| *table == cluster::store::Table::Apps).collect();
    let Member { replica, apps: open } = &mut net.members[1];
    replica.store_mut().rows.extend(apps);
    *open = AppStore::open(now, replica, COMMUNITY).unwrap();
    assert_ne!(net.read(1, "k").etag, etag);
    assert_eq!(net.read(1, "k").values, [b"b"]);
}
