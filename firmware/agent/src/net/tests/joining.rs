//! Joining by token: the right one, and every wrong one; leaving and coming back.

use super::super::{ClusterView, Command, DoorConfig, FoundConfig, JoinConfig, JoinProblem, Liveness, start};
use super::{Stranger, alive, by_token, command, config, founding, invite, shut_down, until};
use cluster::{
    Kit, Terms, Token,
    hello::{Reply, Request},
    wire::Name,
};
use rand::{SeedableRng, rngs::StdRng};

#[tokio::test]
async fn nodes_join_by_token_and_a_restarted_one_is_the_same_member() {
    let (a_data, b_data, c_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let token = invite(&a, 2).await;
    let b = start(config(b_data.path(), "b", by_token(&token))).await.unwrap();
    let c = start(config(c_data.path(), "c", by_token(&token))).await.unwrap();
    for handle in [&a, &b, &c] {
        let view = until(handle, "three alive", |view| alive(view) == 3).await;
        assert_eq!(view.community.unwrap().name, "Gràcia");
        assert!(view.joining.is_none());
        let view = until(handle, "all names", |view| view.members.iter().all(|member| !member.name.is_empty())).await;
        assert_eq!(view.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
    let b_id = b.view.borrow().me.id.clone();
    let state = |view: &ClusterView| view.members.iter().find(|member| member.id == b_id).map(|member| (member.state, member.epoch));
    shut_down(b).await;
    until(&a, "b's goodbye", |view| state(view) == Some((Liveness::Down, 1))).await;
    // It comes back with no token, on another port.
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    until(&a, "b back", |view| state(view) == Some((Liveness::Alive, 2)) && view.members.len() == 3).await;
    until(&b, "b sees all", |view| alive(view) == 3).await;
}

#[tokio::test]
async fn a_used_token_a_foreign_one_and_nonsense_are_told_apart() {
    let (a_data, b_data, c_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let token = invite(&a, 1).await;
    let b = start(config(b_data.path(), "b", by_token(&token))).await.unwrap();
    until(&b, "b joined", |view| view.community.is_some()).await;
    let c = start(config(c_data.path(), "c", by_token(&token))).await.unwrap();
    let failed =
        |view: &ClusterView, reason| view.joining.as_ref().is_some_and(|join| join.failures.iter().any(|failure| failure.reason == reason));
    until(&c, "used", |view| failed(view, JoinProblem::Used)).await;
    until(&a, "b alive", |view| alive(view) == 2 && view.members.len() == 2).await;

    // A token of another community that names `a` as its seed: `a` refuses it as foreign.
    let mut rng = StdRng::seed_from_u64(1);
    let name = Name::try_from("elsewhere").unwrap();
    let kit = Kit::generate(&mut rng);
    let view = a.view.borrow().clone();
    let a_seed = Token::parse(&token).unwrap().seeds()[0].clone();
    assert_eq!(a_seed.node.hex(), view.me.id);
    let foreign = kit.invite(&kit.found(&name), Vec::new(), Terms { uses: 1, not_after: None }, vec![a_seed], &mut rng);
    let d_data = tempfile::tempdir().unwrap();
    let d = start(config(d_data.path(), "d", by_token(&foreign.to_text()))).await.unwrap();
    until(&d, "foreign", |view| failed(view, JoinProblem::Foreign)).await;

    let e_data = tempfile::tempdir().unwrap();
    let e = start(config(e_data.path(), "e", by_token("hello"))).await.unwrap();
    until(&e, "not a token", |view| failed(view, JoinProblem::NotAToken)).await;
    let cut = &token[..token.len() - 9];
    let error = command(&e, |reply| Command::Join { token: cut.to_owned(), reply }).await.unwrap_err();
    assert!(error.contains("checksum"), "{error}");
    // The right way, at last.
    let token = invite(&a, 1).await;
    command(&e, |reply| Command::Join { token: token.to_uppercase(), reply }).await.unwrap();
    until(&e, "joined after all", |view| alive(view) == 3).await;
}

#[tokio::test]
async fn an_expired_token_is_refused_by_both_sides() {
    let data = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(2);
    let name = Name::try_from("Gràcia").unwrap();
    let kit = Kit::generate(&mut rng);
    let found = FoundConfig { name: name.to_string(), kit: Some(kit.to_text()), member: None };
    let a = start(config(data.path(), "a", JoinConfig { found: Some(found), ..JoinConfig::default() })).await.unwrap();
    let view = a.view.borrow().clone();
    assert_eq!(view.community.as_ref().unwrap().id, kit.found(&name).id().hex());
    let terms = Terms { uses: 1, not_after: Some(1_600_000_000) };
    let expired = kit.invite(&kit.found(&name), Vec::new(), terms, Vec::new(), &mut rng);
    let b_data = tempfile::tempdir().unwrap();
    let b = start(config(b_data.path(), "b", by_token(&expired.to_text()))).await.unwrap();
    let view = until(&b, "expired", |view| view.joining.is_some()).await;
    let joining = view.joining.unwrap();
    assert_eq!((joining.retrying, joining.failures[0].reason), (false, JoinProblem::Expired));

    // A newcomer that does not look at the time is refused too.
    let stranger = Stranger::bind().await;
    let reply = stranger.ask(&a, &Request::Join { certificate: expired.redeem(stranger.id()).to_bytes() }).await;
    assert!(matches!(reply, Reply::Refused { reason: cluster::hello::Reason::EXPIRED, .. }), "{reply:?}");
}

#[tokio::test]
async fn a_member_that_leaves_is_nobody_and_may_come_again() {
    let (a_data, b_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let door = JoinConfig { door: DoorConfig::Open, ..founding() };
    let a = start(config(a_data.path(), "a", door)).await.unwrap();
    let b = start(config(b_data.path(), "b", by_token(&invite(&a, 1).await))).await.unwrap();
    until(&b, "joined", |view| alive(view) == 2).await;
    assert!(command(&b, |reply| Command::Invite { uses: 1, valid_seconds: None, reply }).await.is_err());
    command(&b, |reply| Command::Leave { reply }).await.unwrap();
    until(&b, "left", |view| view.community.is_none() && view.members.len() == 1).await;
    until(&a, "gone", |view| alive(view) == 1).await;
    let token = invite(&a, 1).await;
    command(&b, |reply| Command::Join { token, reply }).await.unwrap();
    until(&b, "joined again", |view| alive(view) == 2).await;
}
