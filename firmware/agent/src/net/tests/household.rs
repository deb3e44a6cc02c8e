//! Who reaches a node's API as a node of the same owner, asked with the protocol itself.

use super::super::{Command, CommandResult, HouseholdWish, NetHandle, ids::node_id};
use super::{PATIENCE, by_token, command, config, desks, founding, invite, until};
use crate::household::{Acting, Server, serve};
use crate::http::Peer;
use crate::net::{self, Purpose};
use crate::users::{Role, Scope};
use axum::{Extension, Router, routing::get};
use cluster::{CommunityId, NodeId, records::Ownership};
use iroh::endpoint::Connection;
use tokio::{sync::mpsc, time::timeout};

const ACTING: Acting = Acting { user: String::new(), role: Role::Operator, scope: Scope::Read };

fn id(handle: &NetHandle) -> NodeId {
    node_id(&handle.view.borrow().me.id.parse().unwrap())
}

/// A roof that says who asks, and a member.
async fn two(data: &[tempfile::TempDir; 2]) -> (NetHandle, NetHandle) {
    let (household, waiting) = mpsc::channel(4);
    let roof = net::NetConfig { desks: net::Desks { household, ..desks() }, ..config(data[0].path(), "roof", founding()) };
    let roof = net::start(roof).await.unwrap();
    until(&roof, "it is founded", |view| view.community.is_some()).await;
    let who = |Extension(peer): Extension<Peer>, Extension(acting): Extension<Acting>| async move { format!("{peer:?} {acting:?}") };
    tokio::spawn(serve(Server::new(roof.clone(), move || Router::new().route("/who", get(who))), waiting));
    let token = invite(&roof, 1).await;
    let member = net::start(config(data[1].path(), "member", by_token(&token))).await.unwrap();
    for handle in [&roof, &member] {
        until(handle, "both are in", |view| super::alive(view) == 2).await;
    }
    (roof, member)
}

async fn line(from: &NetHandle, to: &NetHandle) -> Connection {
    timeout(PATIENCE, from.line.dial(&id(to), Purpose::Household)).await.unwrap().unwrap()
}

/// What is answered; none where nothing is.
async fn asked(conn: &Connection, head: &[u8]) -> Option<String> {
    let (mut send, mut recv) = timeout(PATIENCE, conn.open_bi()).await.unwrap().ok()?;
    send.write_all(&[head, b"GET /who HTTP/1.1\r\nhost: localhost\r\nx-role: owner\r\n\r\n"].concat()).await.ok()?;
    let answer = timeout(PATIENCE, recv.read_to_end(4096)).await.unwrap().ok()?;
    Some(String::from_utf8(answer).unwrap()).filter(|answer| !answer.is_empty())
}

async fn belongs(handle: &NetHandle, wish: HouseholdWish) -> CommandResult<()> {
    command(handle, |reply| Command::Household { wish, reply }).await.map(drop)
}

async fn until_known(handle: &NetHandle, how_many: usize) {
    let known = |view: &net::ClusterView| view.records.as_ref().is_some_and(|records| records.household.len() == how_many);
    until(handle, "the household is known", known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_node_of_the_same_owner_is_served_and_only_as_long_as_it_is_one() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (roof, member) = two(&data).await;
    let refused = async || {
        let conn = line(&member, &roof).await;
        assert_eq!(asked(&conn, &ACTING.head()).await, None);
        let ended = format!("{:?}", timeout(PATIENCE, conn.closed()).await.unwrap());
        assert!(ended.contains("403"), "{ended}");
    };
    // Of no owner, both; then of two.
    refused().await;
    belongs(&roof, HouseholdWish::Begin { kit: None, new_key: false }).await.unwrap();
    refused().await;
    belongs(&member, HouseholdWish::Begin { kit: None, new_key: false }).await.unwrap();
    refused().await;
    // A certificate for another node, or of another community, is none for this one; one by its owner is, once it is taken.
    let registry = roof.registry.borrow().clone().unwrap();
    let community = registry.with(|copy, _| copy.community()).await.unwrap();
    for wrong in [Ownership::sign(&[9; 32], community, id(&roof)), Ownership::sign(&[9; 32], CommunityId([7; 32]), id(&member))] {
        let error = belongs(&member, HouseholdWish::Take { ownership: wrong }).await.unwrap_err();
        assert!(error.contains("not of this node"), "{error}");
    }
    // Another owner's node does not change hands by the way; and a new key is its own owner's.
    let error = belongs(&member, HouseholdWish::Take { ownership: Ownership::sign(&[9; 32], community, id(&member)) }).await.unwrap_err();
    assert!(error.contains("another owner"), "{error}");
    let owner = async || registry.with(|copy, _| copy.ownership()).await.unwrap().unwrap().owner;
    let before = owner().await;
    belongs(&roof, HouseholdWish::Begin { kit: None, new_key: false }).await.unwrap();
    assert_eq!(owner().await, before);
    belongs(&roof, HouseholdWish::Begin { kit: None, new_key: true }).await.unwrap();
    assert_ne!(owner().await, before);
    belongs(&member, HouseholdWish::Leave).await.unwrap();
    let (node, ownership) = command(&roof, |reply| Command::Certify { node: id(&member).hex(), reply }).await.unwrap();
    assert_eq!(node, id(&member));
    refused().await;
    belongs(&member, HouseholdWish::Take { ownership }).await.unwrap();
    until_known(&roof, 1).await;
    until_known(&member, 1).await;

    let conn = line(&member, &roof).await;
    let answer = asked(&conn, &ACTING.head()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Operator") && !answer.contains("Owner"), "{answer}");
    assert!(answer.contains(&format!("{:?}", id(&member))), "who asks is told by the connection: {answer}");
    for nonsense in [&b"\x02\x02\x02\x00"[..], b"\x01\x09\x02\x00", b"GET "] {
        assert_eq!(asked(&conn, nonsense).await, None, "{nonsense:?}");
    }

    // What is open ends with the household.
    belongs(&member, HouseholdWish::Leave).await.unwrap();
    let ended = format!("{:?}", timeout(PATIENCE, conn.closed()).await.unwrap());
    assert!(ended.contains("403"), "{ended}");
    refused().await;
}
