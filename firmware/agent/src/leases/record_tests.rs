//! What lender and holder say to each other, by what is kept: nothing is believed of whom it does not concern.

use super::super::about::tests::about;
use super::*;
use cluster::{CommunityId, NodeId};

const HOME: CommunityId = CommunityId([9; 32]);

fn node(number: u8) -> NodeId {
    NodeId::of_seed(&[number; 32])
}

fn offer(id: u8) -> Offer {
    strict(id, false)
}

fn strict(id: u8, exclusive: bool) -> Offer {
    let terms = Terms { seconds: 600, exclusive };
    Offer::sign(&[1; 32], LeaseId([id; 16]), HOME, node(2), terms, about("wiki").to_bytes().unwrap())
}

fn lender(offer: Offer) -> (Kept, String) {
    let id = offer.id.to_string();
    let given = Given {
        app: "wiki".to_owned(),
        offer,
        lease: None,
        stands: Lent::Offered,
        why: String::new(),
        message: None,
        at: 1,
        placed: false,
    };
    (Kept { given: [(id.clone(), given)].into(), ..Kept::default() }, id)
}

#[test]
fn an_offer_becomes_a_lease_that_both_can_show() {
    let offer = offer(7);
    let (mut lender, id) = lender(offer.clone());
    let mut holder = Kept::default();
    let hear = |kept: &mut Kept, from: u8, said: Said, me: u8| kept.hear(&node(from), said, &node(me), &HOME, 5);
    assert_eq!(hear(&mut holder, 1, Said::Offer(offer.clone()), 2), Heard::New(id.clone()));
    assert_eq!(hear(&mut holder, 1, Said::Offer(offer.clone()), 2), Heard::New(id.clone()), "it was not judged yet");
    assert!(holder.decide(&id, Ok((Lease::sign(&[2; 32], &offer), true))));
    assert!(holder.held[&id].replaces, "its owner was asked");
    assert!(!holder.decide(&id, Err(String::new())), "it is decided");
    assert_eq!(hear(&mut holder, 1, Said::Offer(offer.clone()), 2), Heard::Nothing, "it comes twice");
    let lease = holder.tell.pop().unwrap();
    assert_eq!(lease.to, node(1).hex());
    // Nobody else agrees for it, and nobody agrees to something else.
    assert_eq!(hear(&mut lender, 3, lease.said.clone(), 1), Heard::Nothing);
    assert_eq!(hear(&mut lender, 2, Said::Lease(Lease::sign(&[3; 32], &offer)), 1), Heard::Nothing);
    assert_eq!(hear(&mut lender, 2, Said::Runs { id: offer.id }, 1), Heard::Nothing, "not agreed yet");
    assert_eq!(hear(&mut lender, 2, lease.said.clone(), 1), Heard::Changed);
    assert_eq!(hear(&mut lender, 2, Said::Runs { id: offer.id }, 1), Heard::Changed);
    assert_eq!(lender.given[&id].stands, Lent::Runs);
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("leases/leases.json");
    lender.save(&file).unwrap();
    assert_eq!(Kept::load(&file), lender);
    assert!(lender.given[&id].lease.as_ref().unwrap().0.is_of(&offer));
    // The lender takes it back; the holder hears that of nobody else.
    assert!(lender.end(&id, "enough"));
    assert!(!lender.end(&id, "enough") && !lender.given[&id].may_be_granted());
    assert!(lender.given[&id].offer.about.is_empty(), "no password outlives its lease");
    let end = lender.tell.pop().unwrap().said;
    assert_eq!(hear(&mut holder, 3, end.clone(), 2), Heard::Nothing);
    assert_eq!(hear(&mut holder, 1, end, 2), Heard::Changed);
    assert_eq!(holder.held[&id].stands, Stands::Ending);
    let ended = Said::Ended { id: offer.id, why: "taken back".to_owned() };
    assert_eq!(hear(&mut lender, 3, ended.clone(), 1), Heard::Nothing);
    assert_eq!(hear(&mut lender, 2, ended.clone(), 1), Heard::Nothing, "others may run it too, so nobody waited for it");
    assert_eq!((lender.given[&id].stands, lender.given[&id].why.as_str()), (Lent::Over, "enough"));
    assert_eq!(hear(&mut lender, 2, ended, 1), Heard::Nothing);
}

#[test]
fn what_is_not_for_this_node_or_not_of_who_brings_it_is_nothing() {
    let mut holder = Kept::default();
    let mut hear = |from: u8, offer: Offer, me: u8, community: [u8; 32]| {
        holder.hear(&node(from), Said::Offer(offer), &node(me), &CommunityId(community), 5)
    };
    assert_eq!(hear(3, offer(1), 2, [9; 32]), Heard::Nothing, "passed on");
    assert_eq!(hear(1, offer(1), 3, [9; 32]), Heard::Nothing, "for another");
    assert_eq!(hear(1, offer(1), 2, [8; 32]), Heard::Nothing, "of another community");
    let mut changed = offer(1);
    changed.about = about("miner").to_bytes().unwrap();
    assert_eq!(hear(1, changed, 2, [9; 32]), Heard::Nothing);
    let strange = Offer::sign(&[1; 32], LeaseId([1; 16]), HOME, node(2), offer(1).terms, b"{}".to_vec());
    assert_eq!(hear(1, strange, 2, [9; 32]), Heard::Changed);
    for id in 0..ASKED_OF_ONE {
        assert!(matches!(hear(1, offer(u8::try_from(id).unwrap()), 2, [9; 32]), Heard::New(_)));
    }
    assert_eq!(hear(1, offer(100), 2, [9; 32]), Heard::Changed);
    assert!(holder.tell.iter().all(|tell| matches!(tell.said, Said::Refused { .. })) && holder.tell.len() == 2);
    assert_eq!(holder.held.len(), ASKED_OF_ONE);
}

#[test]
fn an_offer_that_was_taken_back_is_over_and_old_ones_are_forgotten() {
    let mut holder = Kept::default();
    for id in 0..=u8::try_from(OVER_KEPT).unwrap() {
        let offer = offer(id);
        let _new = holder.hear(&node(1), Said::Offer(offer.clone()), &node(2), &HOME, id.into());
        assert_eq!(holder.hear(&node(1), Said::End { id: offer.id }, &node(2), &HOME, 0), Heard::Changed);
    }
    assert!(holder.held.values().all(|held| held.stands == Stands::Over && !held.holds()));
    holder.forget();
    assert!(holder.held.len() == OVER_KEPT && !holder.held.contains_key(&LeaseId([0; 16]).to_string()));
    assert!(holder.held.values().all(|held| held.about.settings.is_empty() && held.offer.about.is_empty()));
}

#[test]
fn the_lender_of_an_exclusive_app_waits_for_its_holders_word() {
    let (mut lender, id) = lender(strict(7, true));
    let lease = LeaseId([7; 16]);
    assert!(lender.end(&id, "enough"));
    assert_eq!(lender.given[&id].stands, Lent::Ending);
    let refused = Said::Refused { id: lease, why: "no".to_owned() };
    assert_eq!(lender.hear(&node(3), refused.clone(), &node(1), &HOME, 5), Heard::Nothing);
    assert_eq!(lender.hear(&node(2), refused, &node(1), &HOME, 5), Heard::GivenBack(id.clone()));
    assert_eq!(lender.given[&id].why, "enough");
    // Whoever never agreed says at once that nothing runs.
    let mut holder = Kept::default();
    let _new = holder.hear(&node(1), Said::Offer(strict(7, true)), &node(2), &HOME, 5);
    assert_eq!(holder.hear(&node(1), Said::End { id: lease }, &node(2), &HOME, 5), Heard::Changed);
    assert!(matches!(holder.tell[0].said, Said::Ended { .. }));
    // One that takes nothing is answered no more, and what is said of a name without an end is cut.
    for n in 0..200 {
        let about = format!(r#"{{"hash":"x","note":"{}"}}"#, "\u{7f}".repeat(20_000));
        let bad = Offer::sign(&[1; 32], LeaseId([n; 16]), HOME, node(2), strict(7, true).terms, about.into_bytes());
        let _refused = holder.hear(&node(1), Said::Offer(bad), &node(2), &HOME, 5);
    }
    assert_eq!(holder.tell.len(), TELL_OF_ONE);
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("leases.json");
    holder.save(&file).unwrap();
    assert_eq!(Kept::load(&file), holder);
}

#[test]
fn a_node_where_a_copy_came_to_nothing_is_left_alone_and_one_whose_copy_was_spare_is_not() {
    let (mut kept, id) = lender(offer(7));
    kept.replicas.insert("wiki".to_owned(), replicas::Wish { replicas: 1, ..replicas::Wish::default() });
    let placed = |kept: &mut Kept, placed| kept.given.get_mut(&id).unwrap().placed = placed;
    let aside = |kept: &Kept| kept.replicas["wiki"].aside.clone();
    placed(&mut kept, true);
    kept.set_aside(9);
    assert!(aside(&kept).is_empty() && kept.copies("wiki").len() == 1 && kept.copies("chat").is_empty(), "it is a copy");
    kept.hear(&node(2), Said::Refused { id: offer(7).id, why: "no".to_owned() }, &node(1), &HOME, 9);
    kept.set_aside(9);
    assert_eq!(aside(&kept), [(node(2).hex(), 9)].into());
    assert!(kept.copies("wiki").is_empty());
    // It is noted once, and not for ever.
    kept.set_aside(9 + replicas::REST_SECS);
    assert!(aside(&kept).is_empty());
    placed(&mut kept, false);
    kept.set_aside(10);
    assert!(aside(&kept).is_empty(), "it was taken back, and may be asked again");
}
