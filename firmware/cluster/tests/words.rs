//! Four words between a newcomer and an admin's node: who stands between, who cheats, who only knocks often.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

use cluster::{
    Clock, Founding, Kit, Millis, NodeId, Terms, Token,
    card::Facts,
    hello::{self, Reason, Reply, Request},
    node::{Admin, Node},
    roster::{Item, Roster},
    wire::Name,
    words::{Asking, End, FourWords, MAX_NEWCOMERS, MAX_OF_SOURCE, Nonce, TERM, commitment},
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const CLOCK: Clock = Clock { floor: 1_000, sure: Some(2_000) };
const NEWCOMER: u8 = 9;

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn id(seed: u8) -> NodeId {
    NodeId::of_seed(&[seed; 32])
}

fn after(seconds: u64) -> Millis {
    Millis(0).plus(Duration::from_secs(seconds))
}

/// A member with the founder's kit or without.
struct Member {
    node: Node,
    founding: Founding,
    now: Millis,
    rng: StdRng,
}

impl Member {
    fn new(seed: u8, admin: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let kit = Kit::generate(&mut rng);
        let founding = kit.found(&name("Gràcia"));
        let token = kit.invite(&founding, Vec::new(), Terms { uses: 100, not_after: None }, Vec::new(), &mut rng);
        let mut roster = Roster::new(founding.clone());
        roster.merge(Item::Certificate(token.redeem(id(seed)))).unwrap();
        roster.merge(Item::Certificate(token.redeem(id(50)))).unwrap();
        roster.merge(Item::Appointment(kit.appoint(&founding, id(50)))).unwrap();
        let facts = Facts { name: name("x"), version: name("1"), addresses: Vec::new() };
        let admin = admin.then_some(Admin { kit, grants: Vec::new() });
        let node = Node::new(Millis(0), [seed; 32], 1, roster, facts, admin, 1).unwrap();
        Self { node, founding, now: Millis(0), rng: StdRng::seed_from_u64(u64::from(seed)) }
    }

    /// Each has an address of its own.
    fn hear(&mut self, from: NodeId, request: &Request) -> Reply {
        let [a, b, c, ..] = from.0;
        self.hear_at(from, Some(Ipv4Addr::new(10, a, b, c).into()), request)
    }

    fn hear_at(&mut self, from: NodeId, at: Option<IpAddr>, request: &Request) -> Reply {
        let bytes = self.node.hello(self.now, &CLOCK, (from, at), &hello::request_bytes(request), &mut self.rng);
        hello::read_reply(&bytes).unwrap()
    }

    fn words(&self) -> Vec<String> {
        self.node.newcomers(self.now).iter().map(|newcomer| newcomer.words.to_string()).collect()
    }

    fn decide(&mut self, node: NodeId, words: &str, admit: bool) -> bool {
        self.node.decide_newcomer(self.now, &node, words, admit).is_ok()
    }
}

fn newcomer(admin: NodeId) -> Asking {
    Asking::new(Millis(0), id(NEWCOMER), admin, name("attic"), &mut StdRng::seed_from_u64(1))
}

/// One question and its answer.
fn say(asking: &mut Asking, member: &mut Member) -> Reply {
    let request = asking.request(member.now).unwrap();
    let reply = member.hear(id(NEWCOMER), &request);
    asking.answer(reply.clone());
    reply
}

/// As far as the words.
fn compared(member: &mut Member) -> (Asking, String) {
    let mut asking = newcomer(member.node.me());
    for _ in 0..2 {
        say(&mut asking, member);
    }
    let words = asking.words().unwrap().to_string();
    (asking, words)
}

fn refused(reply: &Reply) -> Option<Reason> {
    match reply {
        Reply::Refused { reason, .. } => Some(*reason),
        _ => None,
    }
}

#[test]
fn both_see_the_same_words_and_the_newcomer_comes_in_once_both_have_agreed_in_any_order() {
    for newcomer_first in [true, false] {
        let mut member = Member::new(1, true);
        let (mut asking, words) = compared(&mut member);
        assert_eq!(member.words(), [words.as_str()]);
        assert_eq!(words.split(' ').count(), 4);
        assert_eq!(asking.community().unwrap().id(), member.founding.id());
        if newcomer_first {
            asking.agree(&words).unwrap();
            assert!(matches!(say(&mut asking, &mut member), Reply::Waiting { agreed: false }));
            assert!(member.node.newcomers(member.now)[0].agreed);
            assert!(member.decide(id(NEWCOMER), &words, true));
        } else {
            assert!(member.decide(id(NEWCOMER), &words, true));
            assert!(matches!(say(&mut asking, &mut member), Reply::Waiting { agreed: true }));
            assert_eq!(asking.agreed(), (false, true));
            asking.agree(&words.to_uppercase()).unwrap();
        }
        let first = say(&mut asking, &mut member);
        let token = asking.invite().unwrap().clone();
        assert_eq!(token.invite().terms(), &Terms { uses: 1, not_after: Some(2_600) });
        assert!(asking.request(member.now).is_none());
        // What was given can't be taken back by a no, and is not said to be.
        assert!(!member.decide(id(NEWCOMER), &words, false));
        // An answer that was lost is given again, and is no second invite.
        assert_eq!(member.hear(id(NEWCOMER), &Request::Decided { agreed: true }), first);
        let certificate = token.redeem(id(NEWCOMER)).to_bytes();
        assert!(matches!(member.hear(id(NEWCOMER), &Request::Join { certificate }), Reply::Admitted { .. }));
        assert!(member.words().is_empty(), "it is in");
    }
}

#[test]
fn without_either_yes_nobody_is_let_in() {
    let mut member = Member::new(1, true);
    let (mut asking, words) = compared(&mut member);
    for agreed in [false, true, true] {
        let reply = member.hear(id(NEWCOMER), &Request::Decided { agreed });
        assert_eq!(reply, Reply::Waiting { agreed: false }, "the admin said nothing");
    }
    assert!(member.decide(id(NEWCOMER), &words, true));
    let reply = member.hear(id(NEWCOMER), &Request::Decided { agreed: false });
    assert_eq!(reply, Reply::Waiting { agreed: true }, "the newcomer's person said nothing");

    // An admin's node that gives an invite at once is not believed.
    let mut rng = StdRng::seed_from_u64(3);
    let token = member.node.invite(Terms { uses: 1, not_after: None }, &mut rng).unwrap().to_bytes();
    asking.answer(Reply::Invited { token });
    assert!(asking.invite().is_none());
    assert_eq!(asking.end(), Some(&End::Nonsense));
}

#[test]
fn an_invite_of_another_community_is_not_taken() {
    let mut member = Member::new(1, true);
    let (mut asking, words) = compared(&mut member);
    asking.agree(&words).unwrap();
    let mut rng = StdRng::seed_from_u64(4);
    let kit = Kit::generate(&mut rng);
    let other = kit.invite(&kit.found(&name("Gràcia")), Vec::new(), Terms { uses: 1, not_after: None }, Vec::new(), &mut rng);
    asking.answer(Reply::Invited { token: other.to_bytes() });
    assert!(asking.invite().is_none() && asking.end() == Some(&End::Nonsense));
}

#[test]
fn who_stands_between_the_two_gets_other_words_on_the_two_pages() {
    const BETWEEN: u8 = 66;
    for seed in 0..50 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut member = Member::new(1, true);
        let admin = member.node.me();
        // It shows the newcomer the true community, and a nonce of its own or the admin's.
        let mut asking = newcomer(id(BETWEEN));
        let Some(Request::Ask { commitment: theirs, .. }) = asking.request(member.now) else { panic!("it asks first") };
        let mine: Nonce = rng.random();
        let Reply::Asked { founding, nonce } =
            member.hear(id(BETWEEN), &Request::Ask { name: name("attic"), commitment: commitment(&id(BETWEEN), &admin, &mine) })
        else {
            panic!("not answered")
        };
        asking.answer(Reply::Asked { founding, nonce });
        let Some(Request::Reveal { nonce: revealed }) = asking.request(member.now) else { panic!("it reveals") };
        // What it had shown before it knew what the newcomer would reveal is all that it may reveal.
        assert_ne!(theirs, commitment(&id(BETWEEN), &admin, &revealed));
        assert!(matches!(member.hear(id(BETWEEN), &Request::Reveal { nonce: mine }), Reply::Waiting { .. }));
        asking.answer(Reply::Waiting { agreed: false });
        assert_ne!(member.words(), [asking.words().unwrap().to_string()]);
    }
}

#[test]
fn who_only_passes_on_what_both_say_is_found_by_the_commitment() {
    const BETWEEN: u8 = 66;
    let mut member = Member::new(1, true);
    let mut asking = newcomer(id(BETWEEN));
    let asked = member.hear(id(BETWEEN), &asking.request(member.now).unwrap());
    asking.answer(asked);
    let reply = member.hear(id(BETWEEN), &asking.request(member.now).unwrap());
    assert_eq!(refused(&reply), Some(Reason::INVALID));
    assert!(member.words().is_empty());
}

#[test]
fn what_was_not_committed_to_can_not_be_revealed_nor_tried_again() {
    let mut member = Member::new(1, true);
    let admin = member.node.me();
    let (good, other): (Nonce, Nonce) = ([1; 32], [2; 32]);
    let ask = Request::Ask { name: name("attic"), commitment: commitment(&id(NEWCOMER), &admin, &good) };
    assert!(matches!(member.hear(id(NEWCOMER), &ask), Reply::Asked { .. }));
    assert_eq!(refused(&member.hear(id(NEWCOMER), &Request::Reveal { nonce: other })), Some(Reason::INVALID));
    assert_eq!(refused(&member.hear(id(NEWCOMER), &Request::Reveal { nonce: good })), Some(Reason::NOT_ASKED));
    assert_eq!(refused(&member.hear(id(NEWCOMER), &Request::Decided { agreed: true })), Some(Reason::NOT_ASKED));
    assert!(member.words().is_empty());
    // Nobody tries nonces one after the other.
    assert_eq!(refused(&member.hear(id(NEWCOMER), &ask)), Some(Reason::BUSY));
    member.now = after(5);
    assert!(matches!(member.hear(id(NEWCOMER), &ask), Reply::Asked { .. }));
    // Words are of this question: once it asks anew, a person's click on the old ones decides nothing.
    member.hear(id(NEWCOMER), &Request::Reveal { nonce: good });
    let old = member.words().remove(0);
    member.now = after(10);
    member.hear(id(NEWCOMER), &ask);
    member.hear(id(NEWCOMER), &Request::Reveal { nonce: good });
    assert_ne!(member.words(), [old.as_str()]);
    assert!(!member.decide(id(NEWCOMER), &old, true));
    assert!(matches!(member.hear(id(NEWCOMER), &Request::Decided { agreed: true }), Reply::Waiting { agreed: false }));
}

#[test]
fn newcomers_are_few_push_nobody_out_and_have_their_time() {
    let mut member = Member::new(1, true);
    let admin = member.node.me();
    let (asking, words) = compared(&mut member);
    let flood = |member: &mut Member, from: NodeId| {
        let nonce = [4; 32];
        let ask = Request::Ask { name: name("x"), commitment: commitment(&from, &admin, &nonce) };
        let reply = member.hear(from, &ask);
        member.hear(from, &Request::Reveal { nonce });
        refused(&reply)
    };
    let stranger = |n: u32| NodeId::of_seed(&[n.to_le_bytes(); 8].concat().try_into().unwrap());
    let taken = (0..1000).filter(|n| flood(&mut member, stranger(*n)).is_none()).count();
    assert_eq!(taken, MAX_NEWCOMERS - 1);
    assert_eq!(flood(&mut member, stranger(2000)), Some(Reason::BUSY));
    assert!(member.words().len() == MAX_NEWCOMERS && member.words().contains(&words), "who came first stays");

    // A person's no makes room, and is told for a while.
    let annoying = member.node.newcomers(member.now).into_iter().find(|newcomer| newcomer.node != id(NEWCOMER)).unwrap();
    member.now = after(6);
    assert!(member.decide(annoying.node, &annoying.words.to_string(), false));
    assert_eq!(refused(&member.hear(annoying.node, &Request::Decided { agreed: true })), Some(Reason::DENIED));
    assert_eq!(flood(&mut member, annoying.node), Some(Reason::DENIED));
    assert_eq!(flood(&mut member, stranger(2000)), None);

    // The time of all is over, whether they go on asking or not.
    member.now = Millis(0).plus(TERM);
    let reply = member.hear(id(NEWCOMER), &Request::Decided { agreed: true });
    assert_eq!(refused(&reply), Some(Reason::NOT_ASKED));
    assert!(!member.decide(id(NEWCOMER), &words, true));
    let mut asking = asking;
    assert_eq!(asking.request(member.now), None);
    assert_eq!(asking.end(), Some(&End::Late));
}

/// Asks and reveals; why it was refused.
fn asks(member: &mut Member, from: NodeId, at: Option<IpAddr>) -> Option<Reason> {
    let nonce = [4; 32];
    let ask = Request::Ask { name: name("x"), commitment: commitment(&from, &member.node.me(), &nonce) };
    let reply = member.hear_at(from, at, &ask);
    member.hear_at(from, at, &Request::Reveal { nonce });
    refused(&reply)
}

#[test]
fn who_is_silent_and_was_not_let_in_gives_its_place_to_who_comes() {
    let mut member = Member::new(1, true);
    let flood: Vec<NodeId> = (0..MAX_NEWCOMERS).map(|n| id(100 + u8::try_from(n).unwrap())).collect();
    for (n, from) in flood.iter().enumerate() {
        assert_eq!(asks(&mut member, *from, Some(Ipv4Addr::new(10, 0, 0, u8::try_from(n).unwrap()).into())), None);
    }
    let words = |member: &Member, node: NodeId| {
        let waiting = member.node.newcomers(member.now);
        waiting.into_iter().find(|newcomer| newcomer.node == node).map(|newcomer| newcomer.words.to_string())
    };
    // The first was let in, the second still asks: neither gives way.
    let first = words(&member, flood[0]).unwrap();
    assert!(member.decide(flood[0], &first, true));
    member.now = after(20);
    assert!(matches!(member.hear(flood[1], &Request::Decided { agreed: false }), Reply::Waiting { .. }));
    member.now = after(30);
    assert_eq!(refused(&say(&mut newcomer(member.node.me()), &mut member)), Some(Reason::BUSY), "30 s are no silence yet");
    member.now = after(31);
    let (_, words_of_real) = compared(&mut member);
    assert_eq!(words(&member, id(NEWCOMER)), Some(words_of_real));
    for later in 0..20 {
        asks(&mut member, id(200 + later), Some(Ipv4Addr::new(10, 1, 0, later).into()));
    }
    let left: Vec<NodeId> = member.node.newcomers(member.now).into_iter().map(|newcomer| newcomer.node).collect();
    assert!(left.len() == MAX_NEWCOMERS && [flood[0], flood[1], id(NEWCOMER)].iter().all(|node| left.contains(node)), "{left:?}");
    assert!(flood[2..].iter().all(|node| !left.contains(node)));
}

#[test]
fn no_source_takes_more_than_two_of_the_places() {
    let v6 = |host: u16| Some(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, host)));
    let local = |host: u16| Some(IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host)));
    let mapped = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()));
    let plain = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
    // (where the three come from, how many are taken)
    let cases = [
        ([plain, plain, plain], 2),
        ([plain, mapped, plain], 2),
        ([v6(1), v6(2), v6(3)], 2),
        ([local(1), local(2), local(3)], 3),
        ([None, None, None], 2),
        ([plain, v6(1), None], 3),
    ];
    for (places, expected) in cases {
        let mut member = Member::new(1, true);
        let taken = (0..).zip(places).filter(|(n, at)| asks(&mut member, id(100 + n), *at).is_none()).count();
        assert_eq!(taken, expected, "{places:?}");
        assert_eq!(asks(&mut member, id(90), Some(Ipv4Addr::new(198, 51, 100, 1).into())), None, "others have places");
    }
    // Who asks anew from elsewhere takes no third place there; one that is silent gives way to another of its source first.
    let mut member = Member::new(1, true);
    let other = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 2)));
    assert_eq!([(1, plain), (2, plain), (3, other)].map(|(n, at)| asks(&mut member, id(100 + n), at)), [None; 3]);
    member.now = after(6);
    assert_eq!(asks(&mut member, id(103), plain), Some(Reason::BUSY));
    member.now = after(40);
    assert_eq!(asks(&mut member, id(104), plain), None);
    let left: Vec<NodeId> = member.node.newcomers(member.now).into_iter().map(|newcomer| newcomer.node).collect();
    assert!(left.len() == 3 && left.contains(&id(103)) && left.contains(&id(104)), "{left:?}");
}

proptest! {
    /// Whoever comes whenever from wherever: there are few, of a source two, and who asks each few seconds keeps its place.
    #[test]
    fn who_goes_on_asking_keeps_its_place_against_any_flood(steps in prop::collection::vec((0..60_u8, 0..6_u8, 0..20_u64), 0..80)) {
        let mut member = Member::new(1, true);
        compared(&mut member);
        let mut now = 0;
        let mut from = std::collections::BTreeMap::new();
        for (who, at, wait) in steps {
            now += wait;
            member.now = after(now.min(TERM.as_secs() - 1));
            if asks(&mut member, id(100 + who), Some(Ipv4Addr::new(192, 0, 2, at).into())).is_none() {
                from.insert(id(100 + who), at);
            }
            let here = matches!(member.hear(id(NEWCOMER), &Request::Decided { agreed: false }), Reply::Waiting { .. });
            prop_assert!(here && member.words().len() <= MAX_NEWCOMERS);
            for at in 0..6 {
                let there = member.node.newcomers(member.now).iter().filter(|newcomer| from.get(&newcomer.node) == Some(&at)).count();
                prop_assert!(there <= MAX_OF_SOURCE);
            }
        }
    }
}

#[test]
fn who_was_let_in_is_shown_so_until_it_is_in_through_any_member() {
    let mut member = Member::new(1, true);
    let (mut asking, words) = compared(&mut member);
    asking.agree(&words).unwrap();
    assert!(member.decide(id(NEWCOMER), &words, true));
    say(&mut asking, &mut member);
    member.now = after(40);
    let shown = member.node.newcomers(member.now);
    assert!(matches!(&shown[..], [newcomer] if newcomer.admitted && newcomer.agreed), "{shown:?}");
    // It came in through another member, whose news arrive here.
    let certificate = asking.invite().unwrap().redeem(id(NEWCOMER));
    assert_eq!(member.node.take(member.now, vec![Item::Certificate(certificate)]), 0);
    assert!(member.node.newcomers(member.now).is_empty());
}

#[test]
fn who_reveals_nothing_is_shown_to_nobody_and_forgotten_soon() {
    let mut member = Member::new(1, true);
    for n in 0..MAX_NEWCOMERS {
        let from = NodeId::of_seed(&[100 + u8::try_from(n).unwrap(); 32]);
        assert_eq!(refused(&member.hear(from, &Request::Ask { name: name("x"), commitment: [0; 32] })), None);
    }
    assert!(member.words().is_empty());
    assert_eq!(refused(&say(&mut newcomer(member.node.me()), &mut member)), Some(Reason::BUSY));
    member.now = after(30);
    compared(&mut member);
}

#[test]
fn a_no_a_withdrawal_and_a_restart_are_told_apart() {
    let mut member = Member::new(1, true);
    let (mut asking, words) = compared(&mut member);
    assert!(member.decide(id(NEWCOMER), &words, false));
    say(&mut asking, &mut member);
    assert_eq!((asking.end(), asking.words()), (Some(&End::Denied), None));

    let mut member = Member::new(1, true);
    let (mut asking, words) = compared(&mut member);
    member.hear(id(NEWCOMER), &Request::Withdraw);
    assert!(member.words().is_empty() && !member.decide(id(NEWCOMER), &words, true));
    let mut again = Member::new(1, true);
    assert_eq!(refused(&say(&mut asking, &mut again)), Some(Reason::NOT_ASKED));
    assert_eq!(asking.end(), Some(&End::Forgotten));
    assert!(asking.agree(&words).is_err(), "nothing is agreed to when it is over");
}

#[test]
fn who_can_let_nobody_in_names_those_who_can() {
    let mut member = Member::new(2, false);
    let mut asking = newcomer(member.node.me());
    say(&mut asking, &mut member);
    let Some(End::Others(admins)) = asking.end() else { panic!("{:?}", asking.end()) };
    assert_eq!(admins.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [id(50)]);
    assert!(!member.decide(id(NEWCOMER), "a b c d", true));
}

proptest! {
    /// Each part changes the words, and a list has no more than it should.
    #[test]
    fn words_depend_on_each_part(parts in any::<[[u8; 32]; 5]>(), which in 0..5_usize, bit in 0..256_usize) {
        let of = |parts: &[[u8; 32]; 5]| {
            let [community, newcomer, admin, theirs, ours] = *parts;
            FourWords::of(&cluster::CommunityId(community), &cluster::keys::Key(newcomer), &cluster::keys::Key(admin), &theirs, &ours)
        };
        let mut changed = parts;
        changed[which][bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(of(&parts), of(&changed));
        prop_assert!(of(&parts).are(&of(&parts).to_string()) && !of(&parts).are(&of(&changed).to_string()));
        prop_assert!(of(&parts).all().iter().all(|word| (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    /// Whatever the other side answers, nothing is taken before this side's person agreed.
    #[test]
    fn whatever_is_answered_nothing_is_taken_before_a_person_agreed(answers in prop::collection::vec(0..8_u8, 0..12)) {
        let mut member = Member::new(1, true);
        let token: Token = member.node.invite(Terms { uses: 1, not_after: None }, &mut StdRng::seed_from_u64(5)).unwrap();
        let mut asking = newcomer(member.node.me());
        for answer in answers {
            let refused = |reason| Reply::Refused { reason, words: String::new() };
            let reply = match answer {
                0 => Reply::Asked { founding: member.founding.to_bytes(), nonce: [answer; 32] },
                1 => Reply::Waiting { agreed: true },
                2 => Reply::Invited { token: token.to_bytes() },
                3 => Reply::Others { admins: vec![(id(1), name("x")); 40] },
                4 => refused(Reason::BUSY),
                5 => refused(Reason(200)),
                6 => Reply::Admitted { certificate: Vec::new(), seeds: Vec::new() },
                _ => match asking.request(member.now) { Some(request) => member.hear(id(NEWCOMER), &request), None => break },
            };
            asking.answer(reply);
            prop_assert!(asking.invite().is_none());
            prop_assert!(!matches!(asking.end(), Some(End::Others(admins)) if admins.len() > hello::MAX_OTHERS));
        }
    }
}
