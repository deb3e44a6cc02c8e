//! iroh over ways alone: two endpoints that have no address of each other, and what is refused over such a connection.

use super::super::{
    event::Event,
    gate::{Gate, MEMBER_ALPN},
    ids::{endpoint_paths, node_id},
    ways::{self, Ways},
};
use super::PATIENCE;
use cluster::NodeId;
use iroh::{Endpoint, RelayMode, SecretKey, endpoint::presets};
use std::collections::BTreeSet;
use tokio::{sync::mpsc, time::timeout};

struct End {
    endpoint: Endpoint,
    ways: Ways,
    wanted: mpsc::Receiver<Event>,
    node: NodeId,
}

impl End {
    async fn start(seed: u8) -> Self {
        let (events, wanted) = mpsc::channel(8);
        let gate = Gate::default();
        let ways = Ways::new(events, gate);
        let builder = Endpoint::builder(presets::Minimal).secret_key(SecretKey::from_bytes(&[seed; 32])).relay_mode(RelayMode::Disabled);
        let builder = builder.alpns(vec![MEMBER_ALPN.to_vec()]).clear_ip_transports();
        let endpoint = ways.install(builder).bind().await.unwrap();
        let node = node_id(&endpoint.id());
        Self { endpoint, ways, wanted, node }
    }
}

#[tokio::test]
async fn a_connection_goes_over_a_way_and_no_way_over_that() {
    let (carrier, mut one, two) = (node_id(&SecretKey::from_bytes(&[3; 32]).public()), End::start(1).await, End::start(2).await);
    one.ways.know(two.node, vec![carrier]);
    let address = endpoint_paths(&two.node, one.ways.to(&two.node)).unwrap();
    let server = tokio::spawn({
        let endpoint = two.endpoint.clone();
        async move {
            let conn = endpoint.accept().await.unwrap().accept().unwrap().await.unwrap();
            let (mut send, mut recv) = conn.accept_bi().await.unwrap();
            let said = recv.read_to_end(1 << 20).await.unwrap();
            send.write_all(&said).await.unwrap();
            send.finish().unwrap();
            conn.closed().await;
        }
    });
    // What the member between does with packets, without one.
    tokio::spawn({
        let (ways, there) = (one.ways.clone(), two.ways.clone());
        let from = one.node;
        async move {
            while let Some(event) = one.wanted.recv().await {
                if let Event::WayWanted { way, packets } = event {
                    ways::splice(&ways, way, packets, &there, ways::Way { through: way.through, to: from });
                }
            }
        }
    });
    let conn = timeout(PATIENCE, one.endpoint.connect(address, MEMBER_ALPN)).await.unwrap().unwrap();
    assert!(!ways::is_direct(&conn));
    let path = conn.paths().iter().find(|path| path.is_selected()).map(|path| path.remote_addr().clone()).unwrap();
    assert_eq!(ways::Way::through(&path), Some(carrier));
    let said: Vec<u8> = (0..300_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (mut send, mut recv) = conn.open_bi().await.unwrap();
    let (wrote, heard) = tokio::join!(
        async {
            send.write_all(&said).await?;
            anyhow::Ok(send.finish()?)
        },
        timeout(PATIENCE, recv.read_to_end(1 << 20))
    );
    wrote.unwrap();
    assert!(heard.unwrap().unwrap() == said, "what comes back is what was said");

    let (_none, packets) = mpsc::channel(1);
    let nested = ways::Way { through: two.node, to: carrier };
    let refused = timeout(PATIENCE, ways::begin(&conn, nested, packets, &one.ways)).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("itself reached by a way"), "{refused}");
    conn.close(0_u32.into(), b"done");
    server.await.unwrap();
}

#[tokio::test]
async fn who_is_no_member_is_not_brought() {
    let seeds = [[1; 32], [2; 32]].map(|seed| SecretKey::from_bytes(&seed));
    let bind = async |key| Endpoint::builder(presets::Minimal).secret_key(key).alpns(vec![MEMBER_ALPN.to_vec()]).bind().await.unwrap();
    let (carrier, end) = (bind(seeds[0].clone()).await, bind(seeds[1].clone()).await);
    let gate = Gate::default();
    let (member, stranger) = (cluster::keys::Key([5; 32]), cluster::keys::Key([6; 32]));
    gate.set(BTreeSet::from([member]));
    let ways = Ways::new(mpsc::channel(1).0, gate);
    let (at, through) = (end.addr(), node_id(&carrier.id()));
    let server = tokio::spawn(async move {
        let conn = end.accept().await.unwrap().accept().unwrap().await.unwrap();
        for _ in 0..2 {
            let (send, recv) = conn.accept_bi().await.unwrap();
            tokio::spawn({
                let (conn, ways) = (conn.clone(), ways.clone());
                async move { ways::take(&conn, send, recv, through, &ways).await }
            });
        }
        conn.closed().await;
    });
    let conn = timeout(PATIENCE, carrier.connect(at, MEMBER_ALPN)).await.unwrap().unwrap();
    for (from, answer) in [(stranger, ways::Refusal::NotAdmitted.byte()), (member, 0)] {
        let (mut send, mut recv) = conn.open_bi().await.unwrap();
        send.write_all(&from.0).await.unwrap();
        let mut said = [u8::MAX];
        timeout(PATIENCE, recv.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!(said, [answer]);
    }
    conn.close(0_u32.into(), b"done");
    server.await.unwrap();
}
