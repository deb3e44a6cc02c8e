//! Those who are no members: what they reach, and what they are told.

use super::super::{
    Command,
    gate::{BLOBS_ALPN, Gate, HELLO_ALPN, MEMBER_ALPN},
    greet,
    ids::endpoint_addr,
    meant, start,
};
use super::{PATIENCE, Stranger, command, config, founding, invite, until};
use cluster::{
    Certificate, Token,
    hello::{Reply, Request},
    wire::Name,
};
use iroh::endpoint::ConnectOptions;
use tokio::time::timeout;

#[tokio::test]
async fn strangers_reach_hello_only() {
    let data = tempfile::tempdir().unwrap();
    let a = start(config(data.path(), "a", founding())).await.unwrap();
    let token = Token::parse(&invite(&a, 1).await).unwrap();
    let stranger = Stranger::bind().await;

    // The members' protocols: closed before a stream is served.
    for protocol in [MEMBER_ALPN, BLOBS_ALPN] {
        let conn = stranger.endpoint.connect(stranger.address(&a), protocol).await;
        if let Ok(conn) = conn {
            let end = timeout(PATIENCE, conn.closed()).await.unwrap();
            assert!(end.to_string().contains("403"), "{end}");
        }
    }
    // A protocol that does not exist.
    assert!(stranger.endpoint.connect(stranger.address(&a), b"cloudy/member/2").await.is_err());

    // Another version of hello is told which versions there are.
    let target = stranger.target(&a);
    let bytes = greet::ask_bytes(&stranger.endpoint, &target, &[9, 1, 2, 3]).await.unwrap();
    assert_eq!(bytes, [0, 1, 1]);
    let nonsense = greet::ask_bytes(&stranger.endpoint, &target, &[1; 100]).await.unwrap();
    assert!(matches!(cluster::hello::read_reply(&nonsense), Ok(Reply::Refused { .. })));
    // More than a hello may be: cut off.
    assert!(greet::ask_bytes(&stranger.endpoint, &target, &vec![1; 100_000]).await.is_err());

    // Somebody else's certificate, a forged one, and the closed door.
    let other = cluster::keys::Key::of_seed(&[7; 32]);
    let reply = stranger.ask(&a, &Request::Join { certificate: token.redeem(other).to_bytes() }).await;
    assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
    let mut forged = token.redeem(stranger.id()).to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let reply = stranger.ask(&a, &Request::Join { certificate: forged }).await;
    assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
    let knock = Request::Knock { name: Name::try_from("x").unwrap() };
    let reply = stranger.ask(&a, &knock).await;
    assert!(matches!(reply, Reply::Refused { reason: cluster::hello::Reason::DOOR_CLOSED, .. }), "{reply:?}");
    assert_eq!(a.view.borrow().members.len(), 1);

    // An open door gives an invite; its certificate lets in.
    command(&a, |reply| Command::OpenDoor { minutes: 5, reply }).await.unwrap();
    let Reply::Invited { token } = stranger.ask(&a, &knock).await else { panic!("not invited") };
    let own = Token::from_bytes(&token).unwrap().redeem(stranger.id());
    let reply = stranger.ask(&a, &Request::Join { certificate: own.to_bytes() }).await;
    let Reply::Admitted { certificate, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(Certificate::from_bytes(&certificate).unwrap().node().hex(), a.view.borrow().me.id);
    until(&a, "two members", |view| view.members.len() == 2).await;
}

#[tokio::test]
async fn who_is_not_meant_is_silent() {
    let data = tempfile::tempdir().unwrap();
    let a = start(config(data.path(), "a", founding())).await.unwrap();
    let stranger = Stranger::bind().await;
    // A member of another home has the address there that this one has here. Its answer, by a way, comes later than any from here.
    let other = endpoint_addr(&cluster::keys::Key::of_seed(&[7; 32]), stranger.target(&a).addresses).unwrap();
    let mut wrong = std::pin::pin!(meant::dial(&stranger.endpoint, other, HELLO_ALPN, ConnectOptions::new()));
    let knock = Request::Knock { name: Name::try_from("x").unwrap() };
    for _ in 0..20 {
        tokio::select! {
            biased;
            ended = &mut wrong => panic!("the dial to another was ended by one that it did not mean: {ended:?}"),
            reply = stranger.ask(&a, &knock) => assert!(matches!(reply, Reply::Refused { .. }), "who is meant answers: {reply:?}"),
        }
    }
}

#[test]
fn the_gate_starts_closed() {
    assert!(!Gate::default().admits(&cluster::keys::Key([0; 32])));
    assert_ne!(HELLO_ALPN, MEMBER_ALPN);
}
