//! The network part on loopback, with real endpoints: joining, refusing, restarting.

use super::{
    ClusterView, Command, CommandResult, DoorConfig, FoundConfig, JoinConfig, JoinProblem, Liveness, NetConfig, NetHandle,
    gate::{Gate, HELLO_ALPN, MEMBER_ALPN},
    greet::{self, Target},
    start,
};
use cluster::{
    Certificate, Kit, Terms, Token,
    hello::{Reply, Request},
    wire::Name,
};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey, endpoint::presets};
use rand::{SeedableRng, rngs::StdRng};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(data: &Path, name: &str, join: JoinConfig) -> NetConfig {
    NetConfig {
        data: data.to_owned(),
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        join,
    }
}

fn founding() -> JoinConfig {
    JoinConfig { found: Some(FoundConfig { name: "Gràcia".into(), kit: None }), ..JoinConfig::default() }
}

fn by_token(token: &str) -> JoinConfig {
    JoinConfig { token: Some(token.to_owned()), ..JoinConfig::default() }
}

/// Waits until the view is as wanted; says what it was if it never is.
async fn until(handle: &NetHandle, what: &str, wanted: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let mut view = handle.view.clone();
    let waited = timeout(PATIENCE, view.wait_for(|view| wanted(view))).await;
    match waited {
        Ok(seen) => seen.unwrap().clone(),
        Err(_) => panic!("{what}: never seen; the view is {:#?}", handle.view.borrow()),
    }
}

async fn command<T>(handle: &NetHandle, make: impl FnOnce(oneshot::Sender<CommandResult<T>>) -> Command) -> CommandResult<T> {
    let (reply, answer) = oneshot::channel();
    handle.commands.send(make(reply)).await.unwrap();
    timeout(PATIENCE, answer).await.unwrap().unwrap()
}

async fn invite(handle: &NetHandle, uses: u16) -> String {
    command(handle, |reply| Command::Invite { uses, valid_seconds: Some(3600), reply }).await.unwrap()
}

fn alive(view: &ClusterView) -> usize {
    view.members.iter().filter(|member| member.state == Liveness::Alive).count()
}

async fn shut_down(handle: NetHandle) {
    command(&handle, |reply| Command::Shutdown { reply }).await.unwrap();
}

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
    let found = FoundConfig { name: name.to_string(), kit: Some(kit.to_text()) };
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
async fn strangers_reach_hello_only() {
    let data = tempfile::tempdir().unwrap();
    let a = start(config(data.path(), "a", founding())).await.unwrap();
    let token = Token::parse(&invite(&a, 1).await).unwrap();
    let stranger = Stranger::bind().await;

    // The members' protocol: closed before a stream is served.
    let conn = stranger.endpoint.connect(stranger.address(&a), MEMBER_ALPN).await;
    if let Ok(conn) = conn {
        let end = timeout(PATIENCE, conn.closed()).await.unwrap();
        assert!(end.to_string().contains("403"), "{end}");
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
async fn the_doctor_says_why_nobody_answers() {
    let mut rng = StdRng::seed_from_u64(3);
    let kit = Kit::generate(&mut rng);
    let founding = kit.found(&Name::try_from("nobody").unwrap());
    let node = cluster::keys::Key::of_seed(&[9; 32]);
    let seed = |address: &str| cluster::Seed { node, addresses: vec![address.parse().unwrap()] };
    let cases = [
        (vec![], JoinProblem::NoAddress),
        // Discard: nobody listens there.
        (vec![seed("127.0.0.1:9")], JoinProblem::PortRefused),
    ];
    for (seeds, reason) in cases {
        let token = kit.invite(&founding, Vec::new(), Terms { uses: 1, not_after: None }, seeds, &mut rng);
        let data = tempfile::tempdir().unwrap();
        let handle = start(config(data.path(), "x", by_token(&token.to_text()))).await.unwrap();
        let seen = until(&handle, "a failure", |view| view.joining.as_ref().is_some_and(|join| !join.failures.is_empty())).await;
        assert_eq!(seen.joining.unwrap().failures[0].reason, reason);
    }
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

/// Somebody who speaks the protocols without being a member.
struct Stranger {
    endpoint: Endpoint,
}

impl Stranger {
    async fn bind() -> Self {
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::generate())
            .relay_mode(RelayMode::Disabled)
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0".parse::<SocketAddr>().unwrap())
            .unwrap()
            .bind()
            .await
            .unwrap();
        Self { endpoint }
    }

    fn id(&self) -> cluster::NodeId {
        super::ids::node_id(&self.endpoint.id())
    }

    fn target(&self, of: &NetHandle) -> Target {
        let view = of.view.borrow();
        let id: iroh::EndpointId = view.me.id.parse().unwrap();
        Target { node: super::ids::node_id(&id), addresses: view.me.addresses.clone() }
    }

    fn address(&self, of: &NetHandle) -> EndpointAddr {
        let target = self.target(of);
        super::ids::endpoint_addr(&target.node, target.addresses).unwrap()
    }

    async fn ask(&self, of: &NetHandle, request: &Request) -> Reply {
        greet::ask(&self.endpoint, &self.target(of), request).await.unwrap()
    }
}

#[test]
fn the_gate_starts_closed() {
    assert!(!Gate::default().admits(&cluster::keys::Key([0; 32])));
    assert_ne!(HELLO_ALPN, MEMBER_ALPN);
}
