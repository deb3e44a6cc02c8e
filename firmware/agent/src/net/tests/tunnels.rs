//! Who gets to a service of this node through a tunnel, asked with the protocol itself: members, strangers, and those who were members.

use super::super::{Command, Draft, NetHandle, gate::TUNNEL_ALPN, ids::node_id};
use super::{PATIENCE, Stranger, by_token, command, config, desks, founding, invite, shut_down, until};
use crate::net::{self, JoinConfig, Purpose, Service, ServiceHealth};
use crate::tunnels::{Server, serve};
use cluster::NodeId;
use iroh::endpoint::Connection;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

/// A node with a service that says back what it hears, and a member.
struct Two {
    roof: NetHandle,
    member: NetHandle,
    server: Arc<Server>,
    /// Who came past the gate.
    came: Arc<Mutex<BTreeSet<NodeId>>>,
    port: u16,
    _data: [tempfile::TempDir; 2],
}

impl Two {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (tunnels, mut waiting) = mpsc::channel(4);
        let roof = net::start(net::NetConfig { desks: net::Desks { tunnels, ..desks() }, ..config(data[0].path(), "roof", founding()) })
            .await
            .unwrap();
        until(&roof, "it is founded", |view| view.community.is_some()).await;
        let server = Server::new(roof.line.clone(), roof.registry.clone(), || vec![9]);
        let (passed, served) = mpsc::channel(4);
        tokio::spawn(serve(Arc::clone(&server), served));
        let came = Arc::new(Mutex::default());
        let noted: Arc<Mutex<BTreeSet<NodeId>>> = Arc::clone(&came);
        tokio::spawn(async move {
            while let Some((node, conn)) = waiting.recv().await {
                noted.lock().unwrap().insert(node);
                passed.send((node, conn)).await.unwrap();
            }
        });
        let token = invite(&roof, 1).await;
        let member = net::start(config(data[1].path(), "member", JoinConfig { ..by_token(&token) })).await.unwrap();
        for handle in [&roof, &member] {
            until(handle, "both are in", |view| super::alive(view) == 2).await;
        }
        let two = Self { roof, member, server, came, port, _data: data };
        two.publish("echo", Some(port)).await;
        two
    }

    async fn publish(&self, key: &str, port: Option<u16>) {
        let service = Draft { port, ..Draft::default() }.service(key).unwrap();
        let registry = self.roof.registry.borrow().clone().unwrap();
        registry.publish(key, &service, false).await.unwrap();
    }

    async fn line(&self) -> Connection {
        let roof = node_id(&self.roof.view.borrow().me.id.parse().unwrap());
        timeout(PATIENCE, self.member.line.dial(&roof, Purpose::Tunnel)).await.unwrap().unwrap()
    }
}

/// The byte that answers, if one comes.
async fn asked(conn: &Connection, head: &[u8]) -> Option<(u8, iroh::endpoint::SendStream, iroh::endpoint::RecvStream)> {
    let (mut send, mut recv) = timeout(PATIENCE, conn.open_bi()).await.unwrap().ok()?;
    send.write_all(head).await.ok()?;
    let mut answer = [0];
    timeout(PATIENCE, recv.read_exact(&mut answer)).await.unwrap().ok()?;
    Some((answer[0], send, recv))
}

fn head(key: &str) -> Vec<u8> {
    [&[1, u8::try_from(key.len()).unwrap()], key.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_leads_to_what_is_published_now_and_to_nothing_else() {
    let two = Two::start().await;
    let conn = two.line().await;
    let (answer, mut send, mut recv) = asked(&conn, &head("echo")).await.unwrap();
    assert_eq!(answer, 0);
    send.write_all(b"hello").await.unwrap();
    let mut said = [0; 5];
    timeout(PATIENCE, recv.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(&said, b"hello");
    // Half is closed, the rest comes.
    send.write_all(b" there").await.unwrap();
    send.finish().unwrap();
    assert_eq!(timeout(PATIENCE, recv.read_to_end(100)).await.unwrap().unwrap(), b" there");

    // A port that listens, but is no service; a port of the agent's own; none at all; one where nobody is.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (key, port) in [("own", Some(9)), ("none", None), ("silent", Some(closed)), ("tunnel", Some(32_100))] {
        two.publish(key, port).await;
    }
    let wanted = two.port.to_string();
    for (key, expected) in [(wanted.as_str(), 1), ("other", 1), ("none", 2), ("own", 3), ("tunnel", 3), ("silent", 4)] {
        assert_eq!(asked(&conn, &head(key)).await.unwrap().0, expected, "{key}");
    }
    for nonsense in [b"\x02\x04echo".as_slice(), b"\x01\x00", b"\x01\xff", b"GET / HTTP/1.1\r\n\r\n", b"\x01\x02/."] {
        assert_eq!(asked(&conn, nonsense).await.unwrap().0, 6, "{nonsense:?}");
    }
    // What was refused holds no place.
    drop((send, recv));
    while two.server.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_or_moved_ends_and_what_is_said_anew_does_not() {
    let two = Two::start().await;
    let conn = two.line().await;
    two.publish("other", Some(two.port)).await;
    let registry = two.roof.registry.borrow().clone().unwrap();
    let (_, mut send, mut recv) = asked(&conn, &head("echo")).await.unwrap();
    let (_, mut moved, mut moves) = asked(&conn, &head("other")).await.unwrap();
    // The same port under another title.
    let anew = Draft { title: Some("Echo".to_owned()), port: Some(two.port), ..Draft::default() }.service("echo").unwrap();
    registry.publish("echo", &anew, false).await.unwrap();
    two.publish("other", Some(9)).await;
    assert!(timeout(PATIENCE, moves.read_to_end(100)).await.unwrap().is_err());
    let _ended = moved.finish();
    // The port of what is stopped may be another's by now; once it runs, it is there again.
    let stopped = Service { health: ServiceHealth::Stopped, port: Some(two.port), title: "Other".to_owned(), ..Service::default() };
    registry.publish("other", &stopped, false).await.unwrap();
    assert_eq!(asked(&conn, &head("other")).await.unwrap().0, 7);
    registry.publish("other", &Service { health: ServiceHealth::Well, ..stopped }, false).await.unwrap();
    let (answer, _send, mut open) = asked(&conn, &head("other")).await.unwrap();
    assert_eq!(answer, 0);
    registry.publish("other", &Service { health: ServiceHealth::Stopped, ..anew.clone() }, false).await.unwrap();
    assert!(timeout(PATIENCE, open.read_to_end(100)).await.unwrap().is_err(), "what was open to it ends");
    send.write_all(b"still").await.unwrap();
    let mut said = [0; 5];
    timeout(PATIENCE, recv.read_exact(&mut said)).await.unwrap().unwrap();

    registry.withdraw("echo").await.unwrap();
    assert!(timeout(PATIENCE, recv.read_to_end(100)).await.unwrap().is_err());
    assert_eq!(asked(&conn, &head("echo")).await.unwrap().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_let_in_and_who_is_removed_is_cut_off() {
    let two = Two::start().await;
    let stranger = Stranger::bind().await;
    let dialled = timeout(PATIENCE, stranger.endpoint.connect(stranger.address(&two.roof), TUNNEL_ALPN)).await.unwrap();
    if let Ok(conn) = dialled {
        assert!(asked(&conn, &head("echo")).await.is_none());
        timeout(PATIENCE, conn.closed()).await.unwrap();
    }
    let conn = two.line().await;
    let (answer, mut send, mut recv) = asked(&conn, &head("echo")).await.unwrap();
    assert_eq!(answer, 0);
    send.write_all(b"hello").await.unwrap();
    timeout(PATIENCE, recv.read_exact(&mut [0; 5])).await.unwrap().unwrap();

    let member = two.member.view.borrow().me.id.clone();
    let passed = BTreeSet::from([node_id(&member.parse().unwrap())]);
    assert_eq!(*two.came.lock().unwrap(), passed, "the gate lets nobody else to where streams are served");
    command(&two.roof, |reply| Command::Revoke { node: member, reply }).await.unwrap();
    let ended = timeout(PATIENCE, conn.closed()).await.unwrap();
    assert!(ended.to_string().contains("not admitted"), "{ended}");
    assert!(recv.read_to_end(10).await.is_err());
    // Nor in again, whoever it takes itself for.
    let me = node_id(&two.roof.view.borrow().me.id.parse().unwrap());
    if let Ok(conn) = timeout(PATIENCE, two.member.line.dial(&me, Purpose::Tunnel)).await.unwrap() {
        assert!(asked(&conn, &head("echo")).await.is_none());
    }
    shut_down(two.member).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_round_trip_is_measured_to_a_member_by_its_key() {
    let two = Two::start().await;
    let roof = node_id(&two.roof.view.borrow().me.id.parse().unwrap());
    let took = timeout(PATIENCE, two.member.line.round_trip(&roof)).await.unwrap().unwrap();
    assert!(!took.is_zero() && took < PATIENCE, "{took:?}");
    // Who is not known is not looked for.
    let stranger = cluster::keys::Key::of_seed(&[7; 32]);
    assert!(timeout(PATIENCE, two.member.line.round_trip(&stranger)).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_has_so_many_connections_and_no_more() {
    let two = Two::start().await;
    let conns = [two.line().await, two.line().await];
    let most = usize::try_from(crate::limits::TUNNEL_STREAMS_OF_ONE).unwrap();
    let mut held = Vec::new();
    for n in 0..most {
        let (answer, send, recv) = asked(&conns[n % 2], &head("echo")).await.unwrap();
        assert_eq!(answer, 0, "{n}");
        held.push((send, recv));
    }
    assert_eq!(asked(&conns[0], &head("echo")).await.unwrap().0, 5);
    assert_eq!(two.server.open_streams(), most);
    // A third line is not taken.
    let third = two.line().await;
    assert!(asked(&third, &head("echo")).await.is_none());
    // What is given back is there for others.
    drop(held);
    while two.server.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(&conns[1], &head("echo")).await.unwrap().0, 0);
}
