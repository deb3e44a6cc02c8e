//! Four words between running nodes: both people agree, one does not, one side goes away.

use super::super::{AskingEnd, AskingStep, AskingView, Command, CommandResult, JoinConfig, NetConfig, NetHandle, NewcomerView, start};
use super::{Stranger, alive, by_token, command, config, founding, invite, shut_down, until};
use cluster::{
    NodeId,
    hello::{Reason, Reply, Request},
    wire::Name,
    words::commitment,
};

/// Asks `of`, as somebody does who was told where it is.
async fn ask(asker: &NetHandle, of: &NetHandle) -> CommandResult<AskingView> {
    let node = of.view.borrow().me.place().unwrap();
    command(asker, |reply| Command::Ask { node, reply }).await
}

/// The words, once they show on both sides.
async fn compared(asker: &NetHandle, admin: &NetHandle) -> (String, NewcomerView) {
    let words = |step: &AskingStep| match step {
        AskingStep::Compare { words, .. } => Some(words.clone()),
        _ => None,
    };
    let view = until(asker, "words", |view| view.asking.as_ref().is_some_and(|asked| words(&asked.step).is_some())).await;
    let here = words(&view.asking.unwrap().step).unwrap();
    let me = view.me.id;
    let shown = until(admin, "the newcomer", |view| view.newcomers.iter().any(|newcomer| newcomer.node == me)).await;
    let newcomer = shown.newcomers.into_iter().find(|newcomer| newcomer.node == me).unwrap();
    assert_eq!(newcomer.words, here, "the same words on both sides");
    (here, newcomer)
}

async fn decide(admin: &NetHandle, newcomer: &NewcomerView, admit: bool) -> CommandResult<String> {
    let (node, words) = (newcomer.node.clone(), newcomer.words.clone());
    command(admin, |reply| Command::Decide { node, words, admit, reply }).await
}

async fn agree(asker: &NetHandle, words: &str) -> CommandResult<AskingView> {
    let words = words.to_owned();
    command(asker, |reply| Command::SameWords { words, reply }).await
}

async fn ended(asker: &NetHandle, why: AskingEnd) {
    let over = AskingStep::Ended { why };
    until(asker, "how it ended", |view| view.asking.as_ref().is_some_and(|asked| asked.step == over)).await;
}

#[tokio::test]
async fn a_newcomer_is_in_once_both_people_have_agreed_and_not_before() {
    let (a_data, b_data, c_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    let c = start(config(c_data.path(), "c", JoinConfig::default())).await.unwrap();
    let _asked = ask(&b, &a).await.unwrap();
    let (words, newcomer) = compared(&b, &a).await;
    assert_eq!(newcomer.name, "b");
    assert_eq!(b.view.borrow().asking.as_ref().unwrap().community.as_deref(), Some("Gràcia"));
    // With other words nothing is decided, on either side.
    assert!(agree(&b, "abandon abandon abandon abandon").await.is_err());
    let other = NewcomerView { words: "abandon abandon abandon abandon".to_owned(), ..newcomer.clone() };
    assert!(decide(&a, &other, true).await.is_err());
    // The newcomer's person first: nothing comes before the admin's.
    agree(&b, &words).await.unwrap();
    until(&a, "b's yes", |view| view.newcomers.iter().any(|newcomer| newcomer.agreed)).await;
    assert!(b.view.borrow().community.is_none() && b.view.borrow().joining.is_none());
    assert_eq!(decide(&a, &newcomer, true).await.unwrap(), "b");
    until(&b, "b is in", |view| alive(view) == 2 && view.asking.is_none()).await;
    until(&a, "a has b, and nobody asks", |view| alive(view) == 2 && view.newcomers.is_empty()).await;
    assert!(ask(&b, &a).await.unwrap_err().contains("Gràcia"), "a member asks nobody");

    // The admin first, and the newcomer takes nothing before its own.
    let _asked = ask(&c, &a).await.unwrap();
    let (words, newcomer) = compared(&c, &a).await;
    decide(&a, &newcomer, true).await.unwrap();
    let admitted = |asked: &AskingView| matches!(asked.step, AskingStep::Compare { admitted: true, agreed: false, .. });
    let view = until(&c, "the admin's yes", |view| view.asking.as_ref().is_some_and(admitted)).await;
    assert!(view.community.is_none() && view.joining.is_none());
    agree(&c, &words).await.unwrap();
    until(&c, "c is in", |view| alive(view) == 3).await;
}

#[tokio::test]
async fn a_no_is_told_and_who_stops_is_shown_no_more() {
    let (a_data, b_data, c_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    let _asked = ask(&b, &a).await.unwrap();
    let (words, newcomer) = compared(&b, &a).await;
    agree(&b, &words).await.unwrap();
    decide(&a, &newcomer, false).await.unwrap();
    ended(&b, AskingEnd::Denied).await;
    assert!(agree(&b, &words).await.is_err());
    assert!(a.view.borrow().newcomers.is_empty() && b.view.borrow().joining.is_none());

    // Another stops by itself, and is taken from the list at once.
    let c = start(config(c_data.path(), "c", JoinConfig::default())).await.unwrap();
    let _asked = ask(&c, &a).await.unwrap();
    let (_, newcomer) = compared(&c, &a).await;
    command(&c, |reply| Command::StopAsking { reply }).await.unwrap();
    until(&a, "nobody asks", |view| view.newcomers.is_empty()).await;
    assert!(c.view.borrow().asking.is_none());
    assert!(decide(&a, &newcomer, true).await.is_err(), "who stopped is not let in");
}

#[tokio::test]
async fn who_ends_while_it_asks_says_so() {
    let (a_data, b_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    let _asked = ask(&b, &a).await.unwrap();
    compared(&b, &a).await;
    shut_down(b).await;
    until(&a, "nobody asks", |view| view.newcomers.is_empty()).await;
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    assert!(b.view.borrow().asking.is_none() && b.view.borrow().joining.is_none());
}

#[tokio::test]
async fn an_admins_node_that_goes_away_is_told_and_one_that_came_back_knows_nothing() {
    let (a_data, b_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let b = start(config(b_data.path(), "b", JoinConfig::default())).await.unwrap();
    let _asked = ask(&b, &a).await.unwrap();
    let (words, newcomer) = compared(&b, &a).await;
    decide(&a, &newcomer, true).await.unwrap();
    let bind = a.view.borrow().me.addresses.clone();
    shut_down(a).await;
    until(&b, "the trouble", |view| view.asking.as_ref().is_some_and(|asked| asked.trouble.is_some())).await;
    // A yes of an earlier life lets nobody in.
    agree(&b, &words).await.unwrap();
    let a = start(NetConfig { bind, ..config(a_data.path(), "a", JoinConfig::default()) }).await.unwrap();
    ended(&b, AskingEnd::Forgotten).await;
    assert!(b.view.borrow().joining.is_none() && a.view.borrow().members.len() == 1);
}

#[tokio::test]
async fn a_member_that_can_let_nobody_in_says_who_can() {
    let (a_data, b_data, c_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let b = start(config(b_data.path(), "b", by_token(&invite(&a, 1).await))).await.unwrap();
    until(&b, "b knows a and its name", |view| view.members.iter().filter(|member| member.admin && !member.name.is_empty()).count() == 1)
        .await;
    let c = start(config(c_data.path(), "c", JoinConfig::default())).await.unwrap();
    let _asked = ask(&c, &b).await.unwrap();
    ended(&c, AskingEnd::Others { names: vec!["a".to_owned()] }).await;
    assert!(b.view.borrow().newcomers.is_empty());
}

#[tokio::test]
async fn before_a_person_said_yes_a_stranger_gets_neither_token_nor_certificate() {
    let a_data = tempfile::tempdir().unwrap();
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let stranger = Stranger::bind().await;
    let admin = NodeId::of_hex(&a.view.borrow().me.id).unwrap();
    let nonce = [7; 32];
    let name = Name::try_from("x").unwrap();
    let reply = stranger.ask(&a, &Request::Ask { name, commitment: commitment(&stranger.id(), &admin, &nonce) }).await;
    assert!(matches!(reply, Reply::Asked { .. }), "{reply:?}");
    let reply = stranger.ask(&a, &Request::Reveal { nonce }).await;
    assert_eq!(reply, Reply::Waiting { agreed: false });
    for _ in 0..3 {
        assert_eq!(stranger.ask(&a, &Request::Decided { agreed: true }).await, Reply::Waiting { agreed: false });
    }
    // Another key has nothing to do with it.
    let reply = Stranger::bind().await.ask(&a, &Request::Decided { agreed: true }).await;
    assert!(matches!(reply, Reply::Refused { reason: Reason::NOT_ASKED, .. }), "{reply:?}");
    assert_eq!(a.view.borrow().members.len(), 1);
}
