//! Frames of messages from anybody: no bytes end the program, none takes effect twice, memory on disk is bounded.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod common;

use cluster::{
    Millis, NodeId,
    messages::{
        Inbox, MAX_BODY_BYTES, MAX_WAITING_PER_PEER, Outbox, Outcome, Output, Refusal, SendError, Take,
        frame::{self, Answer, Deliver, Item, LineId, MessageId, Verdict},
        mail,
    },
    store::{Store, Table},
};
use common::Memory;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

fn node(number: u8) -> NodeId {
    NodeId::of_seed(&[number; 32])
}

fn outbox(store: &Memory) -> Outbox {
    let mut outbox = Outbox::open(Millis(0), store, node(1), [5; 32]).unwrap();
    let all: BTreeSet<NodeId> = [node(1), node(2)].into();
    outbox.set_peers(Millis(0), all.clone(), all);
    outbox
}

fn asked(outbox: &mut Outbox) -> Option<(u64, Deliver)> {
    outbox.outputs().find_map(|output| match output {
        Output::Ask { id, frame, .. } => Some((id, frame::read_deliver(&frame).unwrap())),
        Output::Settled { .. } => None,
    })
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (1_u64..200, any::<[u8; 1]>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 0..20));
    proptest::collection::vec(item, 0..70).prop_map(|items| {
        let of = |(number, id, kind, body): (u64, [u8; 1], u16, Vec<u8>)| Item {
            number,
            id: MessageId([id[0]; 16]),
            kind,
            body: [number.to_be_bytes().as_slice(), &body].concat(),
        };
        let sorted: BTreeMap<u64, Item> = items.into_iter().map(of).map(|item| (item.number, item)).collect();
        sorted.into_values().collect()
    })
}

fn deliver() -> impl Strategy<Value = Deliver> {
    let line = (prop_oneof![0_u64..3, Just(u64::MAX)], 0_u64..2).prop_map(|(generation, random)| LineId { generation, random });
    (line, items()).prop_map(|(line, items)| Deliver { line, items })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        drop(frame::read_deliver(&bytes));
        drop(frame::read_answer(&bytes));
        let mut store = Memory::default();
        let answer = Inbox::default().take(&mut store, node(1), &bytes, &mut |_, _| Take::Done);
        prop_assert!(frame::read_answer(&answer).is_ok());
    }

    #[test]
    fn frames_come_back_as_they_were(deliver in deliver(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let bytes = frame::frame(&deliver);
        match frame::read_deliver(&bytes) {
            Ok(read) => prop_assert_eq!(read, deliver),
            Err(_) => prop_assert!(deliver.items.is_empty() || deliver.items.len() > frame::MAX_ITEMS),
        }
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        drop(frame::read_deliver(&bytes));
    }

    /// Whatever frames a member makes up, no (line, number) takes effect twice and its row stays small.
    #[test]
    fn a_member_that_makes_frames_up_gets_no_effect_twice(frames in proptest::collection::vec(deliver(), 1..40)) {
        let (mut store, mut inbox) = (Memory::default(), Inbox::default());
        let mut taken: Vec<(LineId, u64)> = Vec::new();
        for deliver in frames {
            let bytes = frame::frame(&deliver);
            let mut new = Vec::new();
            let answer = inbox.take(&mut store, node(1), &bytes, &mut |delivery, _| {
                new.push(u64::from_be_bytes(delivery.body[..8].try_into().unwrap()));
                if delivery.kind % 5 == 0 { Take::Refuse(Refusal::new(100, &"no".repeat(300))) } else { Take::Done }
            });
            prop_assert!(frame::read_answer(&answer).is_ok());
            taken.extend(new.into_iter().map(|number| (deliver.line, number)));
            let row = store.get(Table::Inbox, &node(1).0).unwrap().map_or(0, |row| row.len());
            prop_assert!(row <= 64 * 300, "{row} bytes are kept of one sender");
        }
        let distinct: BTreeSet<_> = taken.iter().collect();
        prop_assert_eq!(distinct.len(), taken.len());
    }

    /// Whatever a receiver answers, the sender ends with one outcome for each message and does not run away.
    #[test]
    fn a_receiver_that_makes_answers_up_harms_only_its_own(answers in proptest::collection::vec(
        prop_oneof![
            (0_usize..70).prop_map(|count| Some(frame::frame(&Answer::Verdicts(vec![Verdict::Done; count])))),
            any::<u64>().prop_map(|generation| Some(frame::frame(&Answer::Past { generation }))),
            proptest::collection::vec(any::<u8>(), 0..60).prop_map(Some),
            Just(None),
        ], 0..30)) {
        let mut store = Memory::default();
        let mut outbox = outbox(&store);
        let mut outcomes = BTreeSet::new();
        let mut now = Millis(0);
        let ids: BTreeSet<_> =
            (0..20).map(|_| outbox.send(now, &mut store, node(2), 1, b"x", Duration::from_secs(3600)).unwrap()).collect();
        for answer in answers {
            let outputs: Vec<Output> = outbox.outputs().collect();
            for output in outputs {
                match output {
                    Output::Ask { id, .. } => outbox.answered(now, &mut store, id, answer.as_deref()),
                    Output::Settled { id, .. } => prop_assert!(outcomes.insert(id), "two outcomes"),
                }
            }
            now = now.plus(Duration::from_secs(100));
            outbox.tick(now, &mut store);
        }
        now = now.plus(Duration::from_secs(4000));
        outbox.tick(now, &mut store);
        outbox.tick(now.plus(Duration::from_secs(50)), &mut store);
        for output in outbox.outputs() {
            if let Output::Settled { id, .. } = output {
                prop_assert!(outcomes.insert(id), "two outcomes");
            }
        }
        prop_assert_eq!(outcomes, ids);
    }
}

#[test]
fn what_waits_is_bounded_and_said() {
    let mut store = Memory::default();
    let mut outbox = outbox(&store);
    let hour = Duration::from_secs(3600);
    let mut send = |body: &[u8], to, patience| outbox.send(Millis(0), &mut store, to, 1, body, patience);
    assert_eq!(send(&[0; MAX_BODY_BYTES + 1], node(2), hour), Err(SendError::Body { bytes: MAX_BODY_BYTES + 1 }));
    assert_eq!(send(b"", node(3), hour), Err(SendError::Stranger(node(3))));
    assert_eq!(send(b"", node(1), hour), Err(SendError::Stranger(node(1))));
    assert_eq!(send(b"", node(2), Duration::from_secs(8 * 24 * 3600)), Err(SendError::Patience));
    for _ in 0..32 {
        send(&[0; MAX_BODY_BYTES], node(2), hour).unwrap();
    }
    assert!(matches!(send(&[0; 1], node(2), hour), Err(SendError::Full { count: 32, .. })));
    for _ in 32..MAX_WAITING_PER_PEER {
        send(b"", node(2), hour).unwrap();
    }
    assert!(matches!(send(b"", node(2), hour), Err(SendError::Full { count: MAX_WAITING_PER_PEER, .. })));
    store.fails = true;
    assert!(outbox.waiting() == MAX_WAITING_PER_PEER);
}

#[test]
fn time_that_is_over_says_whether_it_was_sent() {
    let mut store = Memory::default();
    let mut outbox = outbox(&store);
    let second = Duration::from_secs(1);
    let sent = outbox.send(Millis(0), &mut store, node(2), 1, b"a", second).unwrap();
    let (id, _) = asked(&mut outbox).unwrap();
    let unsent = outbox.send(Millis(0), &mut store, node(2), 1, b"b", second).unwrap();
    // An answer may still come.
    outbox.tick(Millis(5000), &mut store);
    assert_eq!(outbox.waiting(), 2);
    outbox.answered(Millis(5000), &mut store, id, None);
    assert_eq!(outbox.outcome(&store, &sent).unwrap(), Some((node(2), Outcome::Unknown)));
    let Some((_, Outcome::Refused(refusal))) = outbox.outcome(&store, &unsent).unwrap() else { panic!("it was never sent") };
    assert_eq!(refusal.code, Refusal::EXPIRED);
    assert_eq!(outbox.waiting(), 0);
}

#[test]
fn time_goes_on_after_a_restart_from_what_was_left() {
    let mut store = Memory::default();
    let mut first = outbox(&store);
    let id = first.send(Millis(0), &mut store, node(2), 1, b"a", Duration::from_secs(1000)).unwrap();
    // Ten minutes are written down.
    first.tick(Millis(600_000), &mut store);
    drop(first);
    // The clock of the new life starts anywhere.
    let mut second = Outbox::open(Millis(77), &store, node(1), [6; 32]).unwrap();
    second.tick(Millis(77 + 399_000), &mut store);
    assert!(second.waits(&id));
    second.tick(Millis(77 + 400_000), &mut store);
    assert_eq!(second.outcome(&store, &id).unwrap(), Some((node(2), Outcome::Unknown)));
}

/// Two machines and what goes between them, as long as something does.
struct Pair {
    store: Memory,
    receiver: Memory,
    inbox: Inbox,
    taken: Vec<Vec<u8>>,
    settled: BTreeMap<MessageId, Outcome>,
}

impl Pair {
    fn new() -> Self {
        let (store, receiver) = (Memory::default(), Memory::default());
        Self { store, receiver, inbox: Inbox::default(), taken: Vec::new(), settled: BTreeMap::new() }
    }

    fn send(&mut self, outbox: &mut Outbox, body: &[u8]) -> MessageId {
        outbox.send(Millis(0), &mut self.store, node(2), 1, body, Duration::from_secs(3600)).unwrap()
    }

    fn exchange(&mut self, outbox: &mut Outbox) {
        outbox.tick(Millis(0), &mut self.store);
        for _ in 0..6 {
            let outputs: Vec<Output> = outbox.outputs().collect();
            for output in outputs {
                match output {
                    Output::Ask { id, frame, .. } => {
                        let taken = &mut self.taken;
                        let answer = self.inbox.take(&mut self.receiver, node(1), &frame, &mut |delivery, _| {
                            taken.push(delivery.body.to_vec());
                            Take::Done
                        });
                        outbox.answered(Millis(0), &mut self.store, id, Some(&answer));
                    }
                    Output::Settled { id, outcome, .. } => drop(self.settled.insert(id, outcome)),
                }
            }
        }
    }

    /// The sender's card as it once was, in a new life.
    fn restore(&mut self, old: &Memory) -> Outbox {
        self.store = old.clone();
        let mut restored = Outbox::open(Millis(0), &self.store, node(1), [9; 32]).unwrap();
        let all: BTreeSet<NodeId> = [node(1), node(2)].into();
        restored.set_peers(Millis(0), all.clone(), all);
        restored
    }
}

/// The sender's card was restored: it starts with a number that its later life used for something else.
#[test]
fn a_restored_old_card_opens_a_new_line_and_nothing_of_it_is_lost_unseen() {
    let mut pair = Pair::new();
    let mut life = outbox(&pair.store);
    let before = pair.send(&mut life, b"one");
    // The copy is taken while this one waits.
    let old = pair.store.clone();
    pair.exchange(&mut life);
    for body in [b"two", b"thr"] {
        pair.send(&mut life, body);
        pair.exchange(&mut life);
    }
    let mut restored = pair.restore(&old);
    let after = pair.send(&mut restored, b"new");
    pair.exchange(&mut restored);
    assert_eq!(pair.settled.get(&after), Some(&Outcome::Delivered));
    assert_eq!(pair.settled.get(&before), Some(&Outcome::Unknown), "it can't know whether its later life sent it");
    assert_eq!(pair.taken, [b"one", b"two", b"thr", b"new"]);
}

/// The same, where the number is the one that the receiver has a mark of.
#[test]
fn a_number_that_another_life_used_is_not_taken_for_the_same_message() {
    let mut pair = Pair::new();
    let mut life = outbox(&pair.store);
    pair.send(&mut life, b"one");
    pair.exchange(&mut life);
    let old = pair.store.clone();
    pair.send(&mut life, b"two");
    pair.exchange(&mut life);
    let mut restored = pair.restore(&old);
    let after = pair.send(&mut restored, b"new");
    pair.exchange(&mut restored);
    assert_eq!(pair.settled.get(&after), Some(&Outcome::Delivered));
    assert_eq!(pair.taken, [b"one", b"two", b"new"]);
}

#[test]
fn what_waits_here_keeps_its_order_and_has_an_end() {
    let (mut store, mut inbox) = (Memory::default(), Inbox::default());
    let mut take = |store: &mut Memory, from: u8, numbers: std::ops::Range<u64>, kind: u16| {
        let item = |number: u64| Item {
            number,
            // Names are drawn, so they say nothing of the order.
            id: MessageId([u8::try_from(255 - number).unwrap(); 16]),
            kind,
            body: number.to_be_bytes().to_vec(),
        };
        let deliver = Deliver { line: LineId { generation: 1, random: 1 }, items: numbers.map(item).collect() };
        let mut room = mail::room(store, &node(from)).ok();
        let answer = inbox
            .take(store, node(from), &frame::frame(&deliver), &mut |delivery, effects| mail::keep(delivery, effects, &[7], room.as_mut()));
        match frame::read_answer(&answer).unwrap() {
            Answer::Verdicts(verdicts) => verdicts.len(),
            _ => 0,
        }
    };
    assert_eq!(take(&mut store, 2, 1..31, 7), 30);
    assert_eq!(take(&mut store, 2, 1..61, 7), 60, "what came is not taken twice");
    assert_eq!(take(&mut store, 3, 1..3, 7), 2);
    let waits = |store: &Memory, from: u8| -> Vec<Vec<u8>> {
        mail::all(store).unwrap().into_iter().filter(|mail| mail.from == node(from)).map(|mail| mail.body).collect()
    };
    assert_eq!(waits(&store, 2), (1..61_u64).map(|number| number.to_be_bytes().to_vec()).collect::<Vec<_>>());
    // There is room for so many of one, and others are not kept out by it.
    let most = u64::try_from(mail::MAX_MAIL_PER_PEER).unwrap();
    assert_eq!(take(&mut store, 2, 61..81, 7), usize::try_from(most - 60).unwrap());
    assert_eq!(take(&mut store, 2, most + 1..most + 9, 7), 0);
    assert_eq!(take(&mut store, 3, 3..5, 7), 2);
    let first: Vec<_> =
        mail::all(&store).unwrap().into_iter().filter(|mail| mail.from == node(2)).map(|mail| (mail.from, mail.number)).collect();
    mail::done(&mut store, &first).unwrap();
    assert!(waits(&store, 2).is_empty() && waits(&store, 3).len() == 4);
    assert_eq!(take(&mut store, 2, most + 1..most + 9, 7), 8);
    // What nobody here knows is refused, and takes no room.
    assert_eq!(take(&mut store, 4, 1..3, 8), 2);
    assert!(waits(&store, 4).is_empty());
}
