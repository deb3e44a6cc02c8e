//! Who gets which blob, asked with the protocol itself: by members, by those who were, and by those who ask for more than a blob.

use super::super::{
    ClusterView, Form, MemberLine, MemberView, PART_BYTES,
    endpoint::{accept, bind},
    gate::{BLOBS_ALPN, Gate},
    ids::node_id,
    ways::Ways,
};
use super::{PATIENCE, desks};
use crate::blobs::{self, Blobs, Visibility, Wish};
use bao_tree::io::BaoContentItem;
use futures_util::StreamExt;
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey, TransportAddr, endpoint::presets};
use iroh_blobs::{
    Hash,
    get::request::{GetBlobItem, get_blob},
    protocol::{GetManyRequest, GetRequest, ObserveRequest, PushRequest},
    store::mem::MemStore,
};
use std::{collections::BTreeSet, str::FromStr, sync::Arc};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// A node that serves blobs, and somebody whom its gate lets in or not.
struct Two {
    blobs: Arc<Blobs>,
    gate: Gate,
    at: EndpointAddr,
    other: Endpoint,
    _data: tempfile::TempDir,
    _view: watch::Sender<ClusterView>,
}

impl Two {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::load(data.path(), true));
        let gate = Gate::default();
        let (events, _none) = mpsc::channel(4);
        let ways = Ways::new(events.clone(), gate.clone());
        let endpoint = bind(SecretKey::from_bytes(&[1; 32]), &["127.0.0.1:0".parse().unwrap()], gate.clone(), &ways).await.unwrap();
        let (callers, waiting) = mpsc::channel(4);
        let (view, seen) = watch::channel(ClusterView::default());
        tokio::spawn(accept(endpoint.clone(), events, super::super::Desks { blobs: callers, ..desks() }));
        tokio::spawn(blobs::serve(Arc::clone(&blobs), MemberLine::new(endpoint.clone(), gate.clone(), ways, seen), waiting));
        let other = Endpoint::builder(presets::Minimal).secret_key(SecretKey::from_bytes(&[2; 32])).relay_mode(RelayMode::Disabled);
        let other = other.bind().await.unwrap();
        let at = EndpointAddr::from_parts(endpoint.id(), endpoint.bound_sockets().into_iter().map(TransportAddr::Ip));
        let two = Self { blobs, gate, at, other, _data: data, _view: view };
        two.let_in(true);
        two
    }

    fn let_in(&self, whether: bool) {
        self.gate.set(if whether { BTreeSet::from([node_id(&self.other.id())]) } else { BTreeSet::new() });
    }

    async fn add(&self, bytes: Vec<u8>, visibility: Visibility) -> Hash {
        let wish = Wish { name: "x".to_owned(), media_type: String::new(), visibility, pinned: true, app: None };
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes.into())]);
        Hash::from_str(&self.blobs.add(wish, body).await.unwrap().hash).unwrap()
    }

    /// Gets a blob; `seen` is called with how much has come. How much came, and whether that was all.
    async fn get(&self, hash: Hash, seen: impl Fn(usize)) -> (usize, bool) {
        let conn = timeout(PATIENCE, self.other.connect(self.at.clone(), BLOBS_ALPN)).await.unwrap();
        let Ok(conn) = conn else { return (0, false) };
        let mut items = get_blob(conn, hash);
        let mut come = 0;
        loop {
            match timeout(PATIENCE, items.next()).await.unwrap() {
                Some(GetBlobItem::Item(item)) => {
                    come += if let BaoContentItem::Leaf(leaf) = item { leaf.data.len() } else { 0 };
                    seen(come);
                }
                Some(GetBlobItem::Done(_)) => return (come, true),
                Some(GetBlobItem::Error(_)) | None => return (come, false),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_get_what_is_shared_and_nothing_else() {
    let two = Two::start().await;
    let shared = two.add(vec![1; 50_000], Visibility::Community).await;
    let private = two.add(vec![2; 50_000], Visibility::Private).await;
    assert_eq!(two.get(shared, drop).await, (50_000, true));
    assert_eq!(two.get(private, drop).await, (0, false));
    assert_eq!(two.get(Hash::new(b"nothing"), drop).await, (0, false));
    // A part of what is shared is not asked for by its own hash, but as a part.
    let large = two.add(vec![3; 17 * 1024 * 1024], Visibility::Community).await;
    assert_eq!(two.get(large, drop).await, (64, true));
    assert_eq!(two.get(Hash::new(vec![3; 16 * 1024 * 1024]), drop).await, (0, false));

    // What is no sequence opens nothing, though every blob can be read as a list of hashes.
    let list = two.add([private.as_bytes().as_slice(), private.as_bytes()].concat(), Visibility::Community).await;
    assert_eq!(two.get(list, drop).await, (64, true));
    let store = MemStore::new();
    for (root, child) in [(list, 0), (large, 0)] {
        let conn = two.other.connect(two.at.clone(), BLOBS_ALPN).await.unwrap();
        assert!(store.remote().execute_get(conn.clone(), GetRequest::blob(root)).complete().await.is_ok());
        let part = GetRequest::builder().child(child, iroh_blobs::protocol::ChunkRanges::all()).build(root);
        assert_eq!(store.remote().execute_get(conn, part).complete().await.is_ok(), root == large);
    }

    // Nothing but getting is done: several at once, watching what is there, and giving.
    let conn = two.other.connect(two.at.clone(), BLOBS_ALPN).await.unwrap();
    let many = GetManyRequest::from_iter([shared]);
    assert!(store.remote().execute_get_many(conn.clone(), many).complete().await.is_err());
    let mut watched = std::pin::pin!(store.remote().observe(conn.clone(), ObserveRequest::new(shared)));
    assert!(timeout(PATIENCE, watched.next()).await.unwrap().is_none_or(|seen| seen.is_err()));
    let gift = store.add_slice(b"a gift").await.unwrap();
    let push = PushRequest::new(gift.hash, GetRequest::blob(gift.hash).ranges);
    let _refused = timeout(PATIENCE, store.remote().execute_push(conn.clone(), push).complete()).await.unwrap();
    // What comes after it on the same line is done, and it is not there.
    assert!(store.remote().execute_get(conn, GetRequest::blob(shared)).complete().await.is_ok());
    assert!(!two.blobs.stores(gift.hash).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_any_more_gets_no_further() {
    let two = Two::start().await;
    let bytes = 16 * 1024 * 1024;
    let shared = two.add(vec![7; bytes], Visibility::Community).await;
    assert_eq!(two.get(shared, drop).await, (bytes, true));
    let (come, all) = two.get(shared, |come| two.let_in(come == 0)).await;
    assert!(come > 0 && come < bytes && !all, "{come} of {bytes}");
    // Nor in again.
    assert_eq!(two.get(shared, drop).await, (0, false));
    two.let_in(true);
    // It was taken back while it is fetched: what was begun ends, and nothing begins.
    let hash = shared.to_hex();
    two.blobs.change(&hash, blobs::Change { visibility: Some(Visibility::Private), ..blobs::Change::default() }).await.unwrap();
    assert_eq!(two.get(shared, drop).await, (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_lies_of_the_size_is_found_out() {
    let two = Two::start().await;
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let node = node_id(&two.at.id);
    gate.set(BTreeSet::from([node]));
    let mut seen = ClusterView::default();
    seen.members.push(MemberView { id: node.hex(), addresses: two.at.ip_addrs().copied().collect(), ..MemberView::default() });
    let (_view, seen) = watch::channel(seen);
    let ways = Ways::new(mpsc::channel(1).0, gate.clone());
    let line = MemberLine::new(two.other.clone(), gate, ways, seen);
    let fetch = async |hash: Hash, form, size| blobs::try_to_fetch(folder.path(), &line, node, &hash.to_hex(), form, size).await;

    let (part, large) = (PART_BYTES, PART_BYTES + 3_000_000);
    let raw = two.add(vec![5; 5_000_000], Visibility::Community).await;
    let sequence = two.add(vec![6; usize::try_from(large).unwrap()], Visibility::Community).await;
    // More than there should be is not taken to its end.
    // And no further with each try.
    for _ in 0..3 {
        assert!(fetch(raw, Form::Raw, 1_000_000).await.unwrap_err().contains("not laid out as"));
    }
    assert!(fetch(raw, Form::Raw, 6_000_000).await.unwrap_err().contains("not what was said"));
    for size in [2 * part + 1, 40 * part] {
        assert!(fetch(sequence, Form::HashSeq, size).await.unwrap_err().contains("not laid out as"), "{size}");
    }
    assert!(fetch(sequence, Form::HashSeq, part + 100_000).await.unwrap_err().contains("not laid out as"));
    assert!(fetch(sequence, Form::HashSeq, large + 1).await.unwrap_err().contains("not what was said"));
    assert!(fetch(raw, Form::HashSeq, large).await.is_err());
    // What is told as it is comes, after all that.
    assert_eq!(fetch(raw, Form::Raw, 5_000_000).await, Ok(()));
    assert_eq!(fetch(sequence, Form::HashSeq, large).await, Ok(()));
}
