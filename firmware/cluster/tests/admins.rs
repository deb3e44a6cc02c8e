//! Several admins: who decides, who is above whom, and what is left of what a dismissed one decided.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may end so")]

use cluster::{
    Clock, Founding, Kit, Millis, NodeId, Refusal, Terms, Token,
    admission::Grant,
    card::Facts,
    node::{Admin, Node},
    revocation::{Revocation, Whom},
    roster::{Item, Roster, Standing},
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

    fn appoint(&mut self, by: usize, whom: u8) {
        self.nodes[by].appoint(T, id(whom)).unwrap();
        self.meet();
    }

    fn standing(&self, seed: u8) -> Standing {
        self.nodes[0].roster().standing(&id(seed))
    }

    fn invite(&mut self, by: usize, uses: u16) -> Token {
        self.nodes[by].invite(Terms { uses, not_after: None }, &mut self.rng).unwrap()
    }

    /// What a node with `seed` signs as an admin, whether or not its own program would.
    fn said(&self, seed: u8, grants: Vec<Grant>, whom: Whom) -> Item {
        Item::Revocation(Kit::of_node([seed; 32]).revoke(&self.founding, grants, whom))
    }

    fn chain(&self, seed: u8) -> Vec<Grant> {
        self.nodes[0].roster().grants_of(&id(seed)).unwrap().to_vec()
    }
}

#[test]
fn who_is_made_an_admin_decides_too_and_anybody_can_check_it() {
    let mut town = Town::new(4);
    assert!(town.nodes[1].admin().is_none() && town.nodes[0].admin().is_some());
    assert_eq!(town.nodes[1].appoint(T, id(3)), Err(Refusal::NoAdmin));
    assert_eq!(town.nodes[0].appoint(T, id(50)), Err(Refusal::Stranger(id(50))));
    town.appoint(0, 2);
    assert!(town.nodes[1].admin().is_some_and(|admin| admin.grants.len() == 1 && admin.kit.public() == id(2)));
    let token = Token::parse(&town.invite(1, 1).to_text()).unwrap();
    // Somebody who knows nothing but the founding lets the newcomer in.
    let mut elsewhere = Roster::new(town.founding.clone());
    assert_eq!(elsewhere.admit(token.redeem(id(20)), &NOW), Ok(true));
    town.appoint(1, 3);
    town.nodes[2].revoke(T, id(4)).unwrap();
    town.meet();
    assert_eq!(town.standing(4), Standing::Revoked);
    assert!(town.nodes[3].admin().is_none());
    // After a restart it is still one, from the roster alone.
    let roster = Roster::from_bytes(&town.nodes[2].roster().to_bytes()).unwrap();
    let facts = Facts { name: name("x"), version: name("1"), addresses: Vec::new() };
    assert_eq!(Node::new(T, [3; 32], 2, roster, facts, None, 1).unwrap().admin().map(|admin| admin.grants.len()), Some(2));
}

#[test]
fn nobody_is_taken_out_or_dismissed_but_from_above() {
    let mut town = Town::new(5);
    town.appoint(0, 2);
    town.appoint(0, 3);
    town.appoint(1, 4);
    // The founder's node, an equal, itself; by its own program and by one that was written for it.
    for (by, whom) in [(2_u8, 1_u8), (2, 3), (4, 2), (4, 3), (3, 4)] {
        let node = &mut town.nodes[usize::from(by) - 1];
        assert_eq!(node.revoke(T, id(whom)), Err(Refusal::Rank), "{by} {whom}");
        assert_eq!(node.dismiss(T, id(whom), false), Err(Refusal::Rank), "{by} {whom}");
        let token = town.nodes[0].roster().certificate(&id(whom)).unwrap().invite().key();
        let chain = town.chain(by);
        for what in [Whom::Node(id(whom)), Whom::Invite { key: token, but: Vec::new() }, Whom::Admin { key: id(whom), but: Vec::new() }] {
            let mut roster = town.nodes[0].roster().clone();
            roster.merge(town.said(by, chain.clone(), what)).unwrap();
            assert_eq!(roster.standing(&id(whom)), Standing::Member, "{by} {whom}");
            assert!(roster.admins().has(&id(whom)), "{by} {whom}");
        }
    }
    assert_eq!(town.nodes[1].dismiss(T, id(5), false), Err(Refusal::Ordinary));
    let founder = Whom::Admin { key: town.founding.founder(), but: Vec::new() };
    let mut roster = town.nodes[0].roster().clone();
    assert_eq!(roster.merge(Item::Revocation(town.kit.revoke(&town.founding, Vec::new(), founder))), Err(Refusal::Rank));
    // From above it goes, and with the node its say.
    town.nodes[1].revoke(T, id(4)).unwrap();
    town.meet();
    town.nodes[0].revoke(T, id(2)).unwrap();
    town.meet();
    assert_eq!((town.standing(4), town.standing(2), town.standing(3)), (Standing::Revoked, Standing::Revoked, Standing::Member));
    let late = town.said(2, vec![town.kit.grant(&town.founding, id(2))], Whom::Node(id(5)));
    town.nodes[0].take(T, vec![late]);
    assert_eq!(town.standing(5), Standing::Member, "what a removed admin says is void");
}

#[test]
fn of_two_who_remove_each_other_the_one_above_stays() {
    let mut town = Town::new(3);
    town.appoint(0, 2);
    town.appoint(1, 3);
    let up = town.said(3, town.chain(3), Whom::Node(id(2)));
    let up_too = town.said(3, town.chain(3), Whom::Admin { key: id(2), but: Vec::new() });
    let down = town.said(2, town.chain(2), Whom::Admin { key: id(3), but: Vec::new() });
    let down_too = town.said(2, town.chain(2), Whom::Node(id(3)));
    for order in [[&up, &up_too, &down, &down_too], [&down, &down_too, &up, &up_too], [&down_too, &up, &down, &up_too]] {
        let mut roster = town.nodes[0].roster().clone();
        for item in order {
            roster.merge(item.clone()).unwrap();
        }
        assert_eq!((roster.standing(&id(2)), roster.standing(&id(3))), (Standing::Member, Standing::Revoked));
        assert!(roster.admins().has(&id(2)) && !roster.admins().has(&id(3)));
    }
}

#[test]
fn what_a_dismissed_admin_decided_stays_and_what_it_says_later_is_void() {
    for undo in [false, true] {
        let mut town = Town::new(5);
        town.appoint(0, 2);
        let token = town.invite(1, 10);
        let unused = town.invite(1, 10);
        let came = Item::Certificate(token.redeem(id(20)));
        town.nodes[0].take(T, vec![came]);
        town.meet();
        town.appoint(1, 3);
        town.nodes[1].revoke(T, id(4)).unwrap();
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
        let grants = vec![town.kit.grant(&town.founding, id(2))];
        for late in [Whom::Node(id(5)), Whom::Admin { key: id(3), but: Vec::new() }] {
            let late = town.said(2, grants.clone(), late);
            town.nodes[0].take(T, vec![late]);
        }
        town.meet();
        assert_eq!(town.standing(5), Standing::Member);
        assert_eq!(town.nodes[0].appoint(T, id(2)), Err(Refusal::Dismissed));
        // Whom it had made an admin is one still, with all that belongs to it.
        assert!(town.nodes[2].admin().is_some());
        let next = town.invite(2, 1);
        assert_eq!(town.nodes[0].roster().clone().admit(next.redeem(id(23)), &NOW), Ok(true));
        town.nodes[2].revoke(T, id(5)).unwrap();
        town.meet();
        assert_eq!(town.standing(5), Standing::Revoked);
    }
}

#[test]
fn an_admin_gives_it_up_itself() {
    let mut town = Town::new(3);
    town.appoint(0, 2);
    town.nodes[1].dismiss(T, id(2), false).unwrap();
    town.meet();
    assert!(town.nodes[1].admin().is_none());
    assert_eq!(town.standing(2), Standing::Member);
}

#[test]
fn a_chain_is_bounded_and_nobody_stands_in_it_twice() {
    let mut town = Town::new(6);
    for whom in 2..=5 {
        town.appoint(usize::from(whom) - 2, whom);
    }
    assert_eq!(town.chain(5).len(), 4);
    assert_eq!(town.nodes[4].appoint(T, id(6)), Err(Refusal::TooMany("grants")));
    let (kit, founding) = (town.kit.clone(), town.founding.clone());
    let (two, three) = (Kit::of_node([2; 32]), Kit::of_node([3; 32]));
    let mut roster = Roster::new(founding.clone());
    let first = vec![kit.grant(&founding, id(2)), two.grant(&founding, id(3))];
    let round = three.appoint(&founding, first.clone(), id(2));
    assert_eq!(roster.merge(Item::Appointment(round)), Err(Refusal::TooMany("grants to one admin")));
    let back = three.appoint(&founding, first, founding.founder());
    assert_eq!(roster.merge(Item::Appointment(back)), Err(Refusal::TooMany("grants to one admin")));
    // Under another chain than it was signed with, nothing is shown.
    let invite = two.invite(&founding, vec![kit.grant(&founding, id(2))], Terms { uses: 1, not_after: None }, Vec::new(), &mut town.rng);
    let longer = vec![kit.grant(&founding, id(4)), Kit::of_node([4; 32]).grant(&founding, id(2))];
    let said = two.revoke(&founding, vec![kit.grant(&founding, id(2))], Whom::Node(id(9)));
    let bytes = cluster::wire::encode(&said);
    let other = cluster::wire::encode(&two.revoke(&founding, longer, Whom::Node(id(9))));
    let signature = &bytes[bytes.len() - 64..];
    let swapped = [&other[..other.len() - 64], signature].concat();
    let swapped: Revocation = cluster::wire::decode(&swapped, 4096).unwrap();
    assert_eq!(swapped.verify(&founding), Err(Refusal::Signature("revocation")));
    assert_eq!(invite.redeem(id(9)).verify(&founding), Ok(()));
    for number in 0..80_u8 {
        let full = roster.merge(Item::Appointment(kit.appoint(&founding, Vec::new(), id(100 + number % 100)))).is_err();
        assert_eq!(full, number >= 64, "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever comes first, who is a member and who decides is the same.
    #[test]
    fn who_decides_depends_on_no_order(picked in prop::collection::vec((2..6_u8, 1..7_u8, 0..4_u8, any::<bool>()), 1..8), order in Just((0..64).collect::<Vec<usize>>()).prop_shuffle()) {
        let mut town = Town::new(6);
        town.appoint(0, 2);
        town.appoint(0, 3);
        town.appoint(1, 4);
        town.appoint(2, 4);
        town.appoint(3, 5);
        let mut items = town.nodes[0].roster().items(|_| true);
        // Two ways in which the same admin became one.
        let two_ways = Kit::of_node([3; 32]).appoint(&town.founding, town.chain(3), id(4));
        items.push(Item::Appointment(two_ways));
        for (by, whom, what, keeping) in picked {
            let marks = || { let mut marks: Vec<_> = items.iter().map(Item::mark).collect(); marks.sort_unstable(); marks.dedup(); marks };
            let but = if keeping { marks() } else { Vec::new() };
            let what = match what {
                0 => Whom::Node(id(whom)),
                1 => Whom::Invite { key: town.nodes[0].roster().certificate(&id(whom)).unwrap().invite().key(), but: Vec::new() },
                _ => Whom::Admin { key: id(whom), but },
            };
            items.push(town.said(by, town.chain(by), what));
        }
        let merged = |order: &mut dyn Iterator<Item = usize>| {
            let (mut roster, mut later) = (Roster::new(town.founding.clone()), Vec::new());
            for item in order.filter_map(|index| items.get(index)) {
                // Cards want their certificate first.
                if roster.merge(item.clone()).is_err() { later.push(item); }
            }
            for item in later { roster.merge(item.clone()).unwrap(); }
            let said = (1..7).map(|seed| (roster.standing(&id(seed)), roster.admins().has(&id(seed)), roster.grants_of(&id(seed)).map(<[Grant]>::len)));
            (roster.digest(), said.collect::<Vec<_>>())
        };
        let forward = merged(&mut (0..items.len()));
        prop_assert_eq!(&merged(&mut order.iter().copied()), &forward);
        prop_assert!(forward.1[0].1 && forward.1[0].0 == Standing::Member, "the founder's node stays, whatever they say");
    }
}
