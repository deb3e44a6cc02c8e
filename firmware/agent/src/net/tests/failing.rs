//! What a node says when nobody answers it, or it is not let in: each kind of failure with what was seen, where, and the mend.

use super::super::{
    JoinFailure, JoinProblem,
    event::Target,
    gate::HELLO_ALPN,
    greet,
    join::{Goal, attempt, token_failure},
    start,
};
use super::{Stranger, by_token, config, founding, until};
use crate::{
    doctor::{Looked, Verdict, examine},
    problems::tests::well,
};
use cluster::{
    CommunityId, Kit, Refusal, Seed, Terms, Token,
    hello::Reason,
    keys::Key,
    wire::{Name, WireError},
};
use iroh::{Endpoint, RelayMode, SecretKey, endpoint::presets};
use rand::{SeedableRng, rngs::StdRng};
use std::{collections::BTreeSet, net::SocketAddr};
use tokio::net::UdpSocket;

#[tokio::test]
async fn the_doctor_says_why_nobody_answers() {
    let mut rng = StdRng::seed_from_u64(3);
    let kit = Kit::generate(&mut rng);
    let founding = kit.found(&Name::try_from("nobody").unwrap());
    let node = Key::of_seed(&[9; 32]);
    let seed = |address: &str| Seed { node, addresses: vec![address.parse().unwrap()] };
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

/// Whom what stands for every kind of failure is held to: a new one is to be put here.
const ALL: [JoinProblem; 16] = [
    JoinProblem::NoAddress,
    JoinProblem::NoRoute,
    JoinProblem::PortRefused,
    JoinProblem::Timeout,
    JoinProblem::Expired,
    JoinProblem::Used,
    JoinProblem::Foreign,
    JoinProblem::NotAToken,
    JoinProblem::ChecksumWrong,
    JoinProblem::BadSignature,
    JoinProblem::Revoked,
    JoinProblem::ProtocolVersion,
    JoinProblem::DoorClosed,
    JoinProblem::NoMulticast,
    JoinProblem::Busy,
    JoinProblem::Storage,
];

/// What a text that is to be a token failed at.
fn of_text(text: &str) -> JoinFailure {
    token_failure(&Token::parse(text).unwrap_err())
}

/// Somebody who answers every hello with these bytes, and where.
async fn answering(bytes: &'static [u8]) -> Target {
    let builder = Endpoint::builder(presets::Minimal).secret_key(SecretKey::generate()).relay_mode(RelayMode::Disabled);
    let builder = builder.clear_ip_transports().bind_addr("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let endpoint = builder.alpns(vec![HELLO_ALPN.to_vec()]).bind().await.unwrap();
    let target = Target { node: super::super::ids::node_id(&endpoint.id()), addresses: endpoint.bound_sockets() };
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(conn) = incoming.accept().unwrap().await else { continue };
            let (mut send, mut recv) = conn.accept_bi().await.unwrap();
            recv.read_to_end(10_000).await.unwrap();
            send.write_all(bytes).await.unwrap();
            send.finish().unwrap();
            conn.closed().await;
        }
    });
    target
}

/// The one failure of a try.
async fn failure(goal: Goal, targets: Vec<Target>, lan_problem: Option<&str>) -> JoinFailure {
    let stranger = Stranger::bind().await;
    let name = Name::try_from("x").unwrap();
    let mut tried = attempt(stranger.endpoint.clone(), stranger.id(), name, goal, targets, lan_problem.map(str::to_owned)).await;
    assert!(tried.admission.is_none() && tried.failures.len() == 1, "{:?}", tried.failures);
    tried.failures.remove(0)
}

/// Where nobody is who answers.
fn nobody_at(address: &str) -> Vec<Target> {
    vec![Target { node: Key::of_seed(&[9; 32]), addresses: vec![address.parse().unwrap()] }]
}

/// A node that is let in and can't keep that.
async fn not_kept() -> JoinFailure {
    let [a_data, b_data] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = start(config(a_data.path(), "a", founding())).await.unwrap();
    let token = super::invite(&a, 1).await;
    // Where a file would be written before it takes its place.
    std::fs::create_dir_all(b_data.path().join("net/membership.new")).unwrap();
    let b = start(config(b_data.path(), "b", by_token(&token))).await.unwrap();
    let view = until(&b, "a failure", |view| view.joining.as_ref().is_some_and(|join| !join.failures.is_empty())).await;
    assert!(view.community.is_none());
    view.joining.unwrap().failures.remove(0)
}

#[tokio::test]
async fn each_kind_of_failure_says_what_was_seen_where_and_the_mend() {
    let mut rng = StdRng::seed_from_u64(4);
    let kit = Kit::generate(&mut rng);
    let founding_of_kit = kit.found(&Name::try_from("Gràcia").unwrap());
    let token = kit.invite(&founding_of_kit, Vec::new(), Terms { uses: 1, not_after: None }, Vec::new(), &mut rng);
    let goal = || Goal::Token(Box::new(token.clone()));
    let text = token.to_text();

    let data = tempfile::tempdir().unwrap();
    let closed = start(config(data.path(), "a", founding())).await.unwrap();
    until(&closed, "it is founded", |view| view.community.is_some()).await;
    let closed = vec![Stranger::bind().await.target(&closed)];
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at_silent = nobody_at(&silent.local_addr().unwrap().to_string());
    let target = &closed[0];

    // What is said of the token itself.
    let mut failures = vec![
        (JoinProblem::NotAToken, of_text("hello")),
        (JoinProblem::ChecksumWrong, of_text(&text[..text.len() - 9])),
        (JoinProblem::ProtocolVersion, token_failure(&Refusal::Wire(WireError::Version(9)))),
        (JoinProblem::NotAToken, token_failure(&Refusal::Wire(WireError::Malformed))),
        (JoinProblem::Expired, token_failure(&Refusal::Expired { seconds: 500 })),
        (JoinProblem::Used, token_failure(&Refusal::Used { uses: 1 })),
        (JoinProblem::Foreign, token_failure(&Refusal::Foreign(CommunityId([1; 32])))),
        (JoinProblem::BadSignature, token_failure(&Refusal::Signature("invite"))),
    ];
    // What a member answers, also one of a later version.
    failures.extend(
        [
            (JoinProblem::Foreign, Reason::NO_COMMUNITY),
            (JoinProblem::BadSignature, Reason::INVALID),
            (JoinProblem::Foreign, Reason::FOREIGN),
            (JoinProblem::Expired, Reason::EXPIRED),
            (JoinProblem::Used, Reason::USED),
            (JoinProblem::Revoked, Reason::REVOKED),
            (JoinProblem::DoorClosed, Reason::DOOR_CLOSED),
            (JoinProblem::Busy, Reason::BUSY),
            (JoinProblem::Revoked, Reason::FULL),
            (JoinProblem::BadSignature, Reason(99)),
        ]
        .map(|(problem, reason)| (problem, greet::refused(target, reason, "in its words"))),
    );
    // What is seen of the network, and of who answers there.
    let nowhere = || vec![Target { node: Key::of_seed(&[9; 32]), addresses: Vec::new() }];
    failures.extend([
        (JoinProblem::NoAddress, failure(Goal::Lan, Vec::new(), None).await),
        (JoinProblem::NoAddress, failure(goal(), Vec::new(), None).await),
        (JoinProblem::NoAddress, failure(goal(), nowhere(), None).await),
        (JoinProblem::NoMulticast, failure(goal(), Vec::new(), Some("port 5353 is taken")).await),
        (JoinProblem::PortRefused, failure(goal(), nobody_at("127.0.0.1:9"), None).await),
        // To all of a network at once nothing is sent unless one asks for it.
        (JoinProblem::NoRoute, failure(goal(), nobody_at("255.255.255.255:9"), None).await),
        (JoinProblem::Timeout, failure(goal(), at_silent, None).await),
        (JoinProblem::DoorClosed, failure(Goal::Lan, closed.clone(), None).await),
        (JoinProblem::Foreign, failure(goal(), closed.clone(), None).await),
        (JoinProblem::ProtocolVersion, failure(goal(), vec![answering(&[0, 5, 6]).await], None).await),
        (JoinProblem::ProtocolVersion, failure(goal(), vec![answering(b"hello").await], None).await),
        (JoinProblem::Storage, not_kept().await),
    ]);

    let mut seen = BTreeSet::new();
    for (reason, failure) in &failures {
        assert_eq!(failure.reason, *reason, "{failure:?}");
        seen.insert(format!("{reason:?}"));
        for words in [&failure.target, &failure.seen, &failure.mend] {
            // A sentence's part, of words, that says something.
            assert!(words.len() > 8 && words.contains(' ') && !words.chars().any(char::is_control), "{failure:?}");
        }
        assert_ne!(failure.seen, failure.mend);
        shown_by_the_doctor(failure);
    }
    assert_eq!(seen, ALL.map(|problem| format!("{problem:?}")).into(), "each kind is there");
    // Those of the network name the address, and how to go on differs from kind to kind.
    let of = |reason| failures.iter().filter(move |(of, _)| *of == reason).map(|(_, failure)| failure);
    assert!(of(JoinProblem::PortRefused).all(|failure| failure.target.contains("127.0.0.1:9") && failure.seen.contains("127.0.0.1:9")));
    assert!(of(JoinProblem::Timeout).all(|failure| failure.mend.contains("firewall") && failure.seen.contains(" s")));
    assert!(of(JoinProblem::NoRoute).all(|failure| failure.mend.contains("gateway")));
    assert!(of(JoinProblem::Revoked).any(|failure| failure.mend.contains("cloudy leave")));
    assert!(of(JoinProblem::ProtocolVersion).any(|failure| failure.seen.contains("5 to 6") && failure.mend.contains("older of the two")));
    assert!(of(JoinProblem::Storage).all(|failure| failure.seen.contains("membership")));
    let mends = ALL.map(|reason| of(reason).next().unwrap().mend.clone());
    assert!(mends.iter().collect::<BTreeSet<_>>().len() >= 12, "{mends:?}");
}

fn shown_by_the_doctor(failure: &JoinFailure) {
    let joining = super::super::JoinState {
        what: "a community".to_owned(),
        attempts: 1,
        next_attempt_seconds: 1,
        retrying: true,
        failures: vec![failure.clone()],
    };
    let view = super::ClusterView { joining: Some(joining), ..super::ClusterView::default() };
    let checks = examine(&well(), Some(&view), &Looked::default());
    let shown = |check: &crate::doctor::Check| {
        check.check == "join"
            && check.verdict == Verdict::Ill
            && check.seen == format!("{}: {}", failure.target, failure.seen)
            && check.mend == failure.mend
    };
    assert!(checks.iter().any(shown), "{checks:?}");
}
