//! Several admins: who decides, that none decides about another, and what is left of what a dismissed one decided.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may end so")]

use cluster::{
    Clock, Founding, Kit, Millis, NodeId, Refusal, Terms, Token,
    admission::Grant,
    card::Facts,
    node::{Admin, Node},
    revocation::Whom,
    roster::{Item, MAX_REVOCATIONS_OF_ADMIN, Roster, Standing},
    wire::Name,
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

const NOW: Clock = Clock { floor: 1_000, sure: Some(2_000) };
const T: Millis = Millis(0);

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

fn id(seed: u8) -> NodeId {
    NodeId::of_seed(&[seed; 32])
}

/// Some nodes of one community; the first holds the founder's kit.
struct Town {
    kit: Kit,
    founding: Founding,
    nodes: Vec<Node>,
    rng: StdRng,
}

impl Town {
    /// The nodes have the seeds 1, 2, …
    fn new(count: u8) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let kit = Kit::generate(&mut rng);
        let founding = kit.found(&name("Gràcia"));
        let token = kit.invite(&founding, Vec::new(), Terms { uses: 100, not_after: None }, Vec::new(), &mut rng);
        let nodes = (1..=count)
            .map(|seed| {
                let mut roster = Roster::new(founding.clone());
                roster.merge(Item::Certificate(token.redeem(id(seed)))).unwrap();
                let facts = Facts { name: name("x"), version: name("1"), addresses: Vec::new() };
                let admin = (seed == 1).then(|| Admin { kit: kit.clone(), grants: Vec::new() });
                Node::new(T, [seed; 32], 1, roster, facts, admin, u64::from(seed)).unwrap()
            })
            .collect();
        let mut town = Self { kit, founding, nodes, rng };
        town.meet();
        town
    }

    /// All tell each other all.
    fn meet(&mut self) {
        let all: Vec<Item> = self.nodes.iter().flat_map(|node| node.roster().items(|_| true)).collect();
        for node in &mut self.nodes {
            assert_eq!(node.take(T, all.iter().take(300).cloned().collect()), 0);
        }
        let digests: Vec<_> = self.nodes.iter().map(|node| node.roster().digest()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "all hold the same");
    }

    fn appoint(&mut self, whom: u8) {
        self.nodes[0].appoint(T, id(whom)).unwrap();
        self.meet();
    }

    fn standing(&self, seed: u8) -> Standing {
        self.nodes[0].roster().standing(&id(seed))
    }

    fn invite(&mut self, by: usize, uses: u16) -> Token {
        self.nodes[by].invite(Terms { uses, not_after: None }, &mut self.rng).unwrap()
    }

    /// Lets a node in.
    fn let_in(&mut self, token: &Token, seed: u8) {
        assert_eq!(self.nodes[0].take(T, vec![Item::Certificate(token.redeem(id(seed)))]), 0);
        self.meet();
    }

    fn chain(&self, seed: u8) -> Vec<Grant> {
        vec![self.kit.grant(&self.founding, id(seed))]
    }

    /// What a node with `seed` signs as an admin, whether or not its own program would.
    fn said(&self, seed: u8, whom: Whom) -> Item {
        Item::Revocation(Kit::of_node([seed; 32]).revoke(&self.founding, self.chain(seed), whom))
    }
}

#[test]
fn who_is_made_an_admin_decides_too_and_anybody_can_check_it() {
    let mut town = Town::new(4);
    assert!(town.nodes[1].admin().is_none() && town.nodes[0].admin().is_some());
    assert_eq!(town.nodes[1].appoint(T, id(3)), Err(Refusal::NoAdmin));
    assert_eq!(town.nodes[0].appoint(T, id(50)), Err(Refusal::Stranger(id(50))));
    town.appoint(2);
    assert!(town.nodes[1].admin().is_some_and(|admin| admin.grants.len() == 1 && admin.kit.public() == id(2)));
    let token = Token::parse(&town.invite(1, 1).to_text()).unwrap();
    // Somebody who knows nothing but the founding lets the newcomer in.
    let mut elsewhere = Roster::new(town.founding.clone());
    assert_eq!(elsewhere.admit(token.redeem(id(20)), &NOW), Ok(true));
    town.nodes[1].revoke(T, id(4)).unwrap();
    town.meet();
    assert_eq!(town.standing(4), Standing::Revoked);
    assert!(town.nodes[3].admin().is_none());
    // After a restart it is still one, from the roster alone.
    let roster = Roster::from_bytes(&town.nodes[1].roster().to_bytes()).unwrap();
    let facts = Facts { name: name("x"), version: name("1"), addresses: Vec::new() };
    assert!(Node::new(T, [2; 32], 2, roster, facts, None, 1).unwrap().admin().is_some());
}

#[test]
fn no_admin_decides_about_another_but_the_founder() {
    let mut town = Town::new(4);
    town.appoint(2);
    town.appoint(3);
    // About the founder's node, an equal, itself; by its own program and by one that was written for it.
    for (by, whom) in [(2_u8, 1_u8), (2, 3), (3, 2)] {
        let node = &mut town.nodes[usize::from(by) - 1];
        assert_eq!(node.revoke(T, id(whom)), Err(Refusal::Rank), "{by} {whom}");
        assert_eq!(node.dismiss(T, id(whom), false), Err(Refusal::Rank), "{by} {whom}");
        assert_eq!(node.appoint(T, id(4)), Err(Refusal::Rank));
        let key = town.nodes[0].roster().certificate(&id(whom)).unwrap().invite().name();
        let mut roster = town.nodes[0].roster().clone();
        for what in [Whom::Node(id(whom)), Whom::Invite { key, but: Vec::new() }] {
            roster.merge(town.said(by, what)).unwrap();
        }
        for about in [whom, by] {
            assert_eq!(roster.merge(town.said(by, Whom::Admin { key: id(about), but: Vec::new() })), Err(Refusal::Rank));
        }
        assert_eq!((roster.standing(&id(whom)), roster.is_admin(&id(whom))), (Standing::Member, true), "{by} {whom}");
    }
    // Nor does one make another.
    let chain = [town.chain(2), vec![Kit::of_node([2; 32]).grant(&town.founding, id(4))]].concat();
    let said = Kit::of_node([4; 32]).revoke(&town.founding, chain, Whom::Node(id(9)));
    assert_eq!(said.verify(&town.founding), Err(Refusal::TooMany("grants")));
    let own = Item::Appointment(Kit::of_node([2; 32]).appoint(&town.founding, id(4)));
    assert_eq!(town.nodes[0].roster().clone().merge(own), Err(Refusal::Signature("grant")));
    assert_eq!(town.nodes[0].dismiss(T, id(4), false), Err(Refusal::Ordinary));
    assert_eq!(town.nodes[0].dismiss(T, id(1), false), Err(Refusal::Rank));
    let founder = Whom::Admin { key: town.founding.founder(), but: Vec::new() };
    let founder = Item::Revocation(town.kit.revoke(&town.founding, Vec::new(), founder));
    assert_eq!(town.nodes[0].roster().clone().merge(founder), Err(Refusal::Rank));
    // The founder takes one out, and with the node its say.
    town.nodes[0].revoke(T, id(2)).unwrap();
    town.meet();
    assert_eq!((town.standing(2), town.standing(3)), (Standing::Revoked, Standing::Member));
    let late = town.said(2, Whom::Node(id(4)));
    town.nodes[0].take(T, vec![late]);
    assert_eq!(town.standing(4), Standing::Member, "what a removed admin says is void");
}

#[test]
fn what_a_dismissed_admin_decided_stays_and_what_it_says_later_is_void() {
    for undo in [false, true] {
        let mut town = Town::new(5);
        town.appoint(2);
        let (token, unused) = (town.invite(1, 10), town.invite(1, 10));
        town.let_in(&token, 20);
        town.nodes[1].revoke(T, id(4)).unwrap();
        // It closes its own invite and keeps a place in it for later.
        let kept_place = town.said(2, Whom::Invite { key: token.invite().name(), but: vec![id(20).min(id(21)), id(20).max(id(21))] });
        town.nodes[1].take(T, vec![kept_place]);
        town.meet();
        town.nodes[0].dismiss(T, id(2), undo).unwrap();
        town.meet();
        assert_eq!(town.standing(2), Standing::Member, "it is a member as before");
        assert!(town.nodes[1].admin().is_none());
        assert_eq!(town.standing(20), Standing::Member, "whom it let in stays");
        assert_eq!(town.standing(4), if undo { Standing::Member } else { Standing::Revoked }, "{undo}");
        for (late, token) in [(21, &token), (22, &unused)] {
            assert_eq!(town.nodes[0].roster().clone().admit(token.redeem(id(late)), &NOW), Err(Refusal::Revoked), "{late}");
        }
        let before = town.nodes[0].roster().digest();
        let late = town.said(2, Whom::Node(id(5)));
        assert_eq!(town.nodes[0].take(T, vec![late]), 0);
        assert_eq!((town.standing(5), town.nodes[0].roster().digest()), (Standing::Member, before), "it leaves no trace");
        assert_eq!(town.nodes[0].appoint(T, id(2)), Err(Refusal::Dismissed));
        let read = Roster::from_bytes(&town.nodes[0].roster().to_bytes()).unwrap();
        assert_eq!((read.digest(), read.members()), (town.nodes[0].roster().digest(), town.nodes[0].roster().members()));
    }
}

#[test]
fn no_decision_is_shown_under_another_chain() {
    let town = Town::new(1);
    let two = Kit::of_node([2; 32]);
    let [said, other] = [2, 3].map(|seed| two.revoke(&town.founding, town.chain(seed), Whom::Node(id(9))));
    assert_eq!((said.verify(&town.founding), other.verify(&town.founding)), (Ok(()), Err(Refusal::Signature("revocation"))));
}

#[test]
fn an_admin_fills_its_own_room_alone() {
    let mut town = Town::new(5);
    town.appoint(2);
    town.appoint(3);
    let mut roster = town.nodes[0].roster().clone();
    let junk = |number: u16| {
        let mut key = [7; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Whom::Node(cluster::keys::Key(key))
    };
    for number in 0..600_u16 {
        let full = roster.merge(town.said(2, junk(number))).is_err();
        assert_eq!(full, usize::from(number) >= MAX_REVOCATIONS_OF_ADMIN, "{number}");
    }
    assert_eq!(roster.merge(town.said(3, Whom::Node(id(4)))), Ok(true));
    assert_eq!(roster.standing(&id(4)), Standing::Revoked);
    // What others said is given first.
    let junk_is_last = roster.items(|_| true).into_iter().skip_while(|item| !matches!(item, Item::Revocation(_)));
    assert!(junk_is_last.into_iter().all(|item| matches!(item, Item::Revocation(_))));
    for whom in roster.whom_to_dismiss(&id(2), true) {
        roster.merge(Item::Revocation(town.kit.revoke(&town.founding, Vec::new(), whom))).unwrap();
    }
    assert!(!roster.is_admin(&id(2)));
    assert!(roster.marks().len() < 30, "what was junk is gone: {}", roster.marks().len());
    for number in 0..80_u8 {
        let full = roster.merge(Item::Appointment(town.kit.appoint(&town.founding, id(100 + number)))).is_err();
        assert_eq!(full, number >= 61, "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever comes first, who is a member and who decides is the same.
    #[test]
    fn who_decides_depends_on_no_order(picked in prop::collection::vec((1..5_u8, 1..9_u8, 0..5_u8, prop::collection::vec(any::<prop::sample::Index>(), 0..9)), 1..9), order in Just((0..96).collect::<Vec<usize>>()).prop_shuffle()) {
        let mut town = Town::new(6);
        for seed in 2..5 { town.appoint(seed); }
        // Some came by admins, one of them by the founder too.
        for (by, seed) in [(1, 7), (1, 8), (2, 7), (3, 9)] {
            let token = town.invite(by, 1);
            town.let_in(&token, seed);
        }
        let mut items = town.nodes[0].roster().items(|_| true);
        let invites: Vec<_> = items.iter().filter_map(|item| match item { Item::Certificate(it) => Some(it.invite().name()), _ => None }).collect();
        for (by, whom, what, kept) in picked {
            let mut but: Vec<_> = kept.iter().map(|at| at.get(&items).mark()).collect();
            but.sort_unstable();
            but.dedup();
            let key = invites[usize::from(whom) % invites.len()];
            let founder = |whom| Item::Revocation(town.kit.revoke(&town.founding, Vec::new(), whom));
            items.push(match (what, by) {
                (0, 1) => founder(Whom::Node(id(whom + 4))),
                (0, _) => town.said(by, Whom::Node(id(whom))),
                (1, 1) => founder(Whom::Invite { key, but: Vec::new() }),
                (1, _) => town.said(by, Whom::Invite { key, but: vec![id(whom)] }),
                (2, _) => Item::Appointment(town.kit.appoint(&town.founding, id(whom))),
                _ => founder(Whom::Admin { key: id(2 + whom % 3), but }),
            });
        }
        let merged = |order: &mut dyn Iterator<Item = usize>, at_once: bool| {
            let (mut roster, mut later) = (Roster::new(town.founding.clone()), Vec::new());
            let given: Vec<Item> = order.filter_map(|index| items.get(index)).cloned().collect();
            // Cards want their certificate first.
            for item in given {
                if at_once || matches!(item, Item::Card(_)) { later.push(item); } else { roster.merge(item).unwrap(); }
            }
            later.sort_by_key(|item| matches!(item, Item::Card(_)));
            assert_eq!(roster.merge_all(later).1, 0);
            let said = (1..10).map(|seed| (roster.standing(&id(seed)), roster.is_admin(&id(seed)))).collect::<Vec<_>>();
            (roster.digest(), said, roster.to_bytes())
        };
        let forward = merged(&mut (0..items.len()), false);
        prop_assert_eq!(&merged(&mut order.iter().copied(), false), &forward);
        prop_assert_eq!(&merged(&mut order.iter().copied(), true), &forward);
    }
}
