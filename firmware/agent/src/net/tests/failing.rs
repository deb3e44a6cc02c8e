//! What a node says when nobody answers it.

use super::super::{JoinProblem, start};
use super::{by_token, config, until};
use cluster::{Kit, Terms, wire::Name};
use rand::{SeedableRng, rngs::StdRng};

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
