//! Fetching a blob from members that hold it: parts from several at once, each byte verified as it comes, resumed where it broke off.

use super::engine::Engine;
use super::parts;
use crate::limits::{BLOB_FETCH_IDLE, BLOB_PROVIDERS};
use crate::net::{Form, MemberLine, Purpose};
use cluster::NodeId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use iroh::endpoint::{Connection, VarInt};
use iroh_blobs::Hash;
use iroh_blobs::api::remote::GetProgressItem;
use iroh_blobs::protocol::{ChunkRanges, GetRequest};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::time::timeout;

/// What may come beyond what was asked for before it is given up: what is on its way in queues.
const SLACK_BYTES: u64 = 1024 * 1024;
/// Close code: done.
const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// What is fetched.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its hash.
    pub hash: Hash,
    /// How it lies.
    pub form: Form,
    /// How large it is, as its holders say.
    pub size: u64,
}

/// Why it is not here yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// No holder gave it.
    #[error("no node that holds it gave it: {0}")]
    Nobody(String),
    /// It is not what its holders say.
    #[error("it is not laid out as the nodes that hold it say, so it can't be used")]
    Other,
    /// What came in an earlier run is damaged.
    #[error("what had come of it is damaged, and all of it comes anew")]
    Damaged,
    /// This node's store failed.
    #[error("it can't be kept: {0}")]
    Store(String),
}

/// What went wrong with one holder.
enum Seen {
    /// There is more of it than its holders say: so it is with all of them, since the bytes were verified.
    More,
    /// In words.
    Words(String),
}

impl From<String> for Seen {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

/// Fetches what is missing of a blob.
///
/// # Errors
/// See [`NotFetched`]. What has come stays.
pub async fn fetch(engine: &Engine, line: &MemberLine, holders: &[NodeId], wanted: Wanted, done: &AtomicU64) -> Result<(), NotFetched> {
    if holders.is_empty() {
        return Err(NotFetched::Nobody("none of them is there".to_owned()));
    }
    // The first part, or the list of all.
    let first = GetRequest::blob(wanted.hash);
    let most = if wanted.form == Form::Raw { wanted.size } else { parts::count(wanted.size) * 32 };
    let mut seen = Vec::new();
    let mut got = false;
    for node in holders {
        match one(engine, line, node, &first, most, done).await {
            Ok(()) => {
                got = true;
                break;
            }
            Err(Seen::More) => return Err(NotFetched::Other),
            Err(Seen::Words(error)) => seen.push(format!("{}: {error}", node.short())),
        }
    }
    if !got {
        return Err(NotFetched::Nobody(seen.join("; ")));
    }
    if wanted.form == Form::Raw {
        return Ok(());
    }
    let hashes = engine.hashes(wanted.hash).await.map_err(|_| NotFetched::Other)?;
    if hashes.len() as u64 != parts::count(wanted.size) {
        return Err(NotFetched::Other);
    }
    done.store(0, Ordering::Relaxed);
    let queue: &Mutex<VecDeque<u64>> = &Mutex::new((0..hashes.len() as u64).collect());
    let left = || queue.lock().unwrap_or_else(PoisonError::into_inner).len();
    let mut good: Vec<&NodeId> = holders.iter().collect();
    // Each time with those alone that did not fail: what others gave back at the end is left for them.
    while left() > 0 && !good.is_empty() {
        let mut rest = std::mem::take(&mut good).into_iter();
        let begin = |node| async move { (node, some_parts(engine, line, node, wanted, queue, done).await) };
        let mut at_work: FuturesUnordered<_> = rest.by_ref().take(BLOB_PROVIDERS).map(begin).collect();
        while let Some((node, ended)) = at_work.next().await {
            match ended {
                Ok(()) => good.push(node),
                Err(Seen::More) => return Err(NotFetched::Other),
                Err(Seen::Words(error)) => {
                    seen.push(error);
                    // Another takes the place of one that failed.
                    at_work.extend(rest.next().map(begin));
                }
            }
        }
    }
    if left() == 0 { Ok(()) } else { Err(NotFetched::Nobody(seen.join("; "))) }
}

async fn one(engine: &Engine, line: &MemberLine, node: &NodeId, request: &GetRequest, most: u64, done: &AtomicU64) -> Result<(), Seen> {
    let local = engine.store().remote().local_for_request(request.clone()).await.map_err(|error| error.to_string())?;
    if local.is_complete() {
        return Ok(());
    }
    let conn = line.dial(node, Purpose::Blobs).await?;
    let got = get(engine, &conn, request, most, done, 0).await;
    conn.close(CLOSE_DONE, b"done");
    got
}

/// Fetches parts from one holder until none is left. One that failed goes back for others.
async fn some_parts(
    engine: &Engine,
    line: &MemberLine,
    node: &NodeId,
    wanted: Wanted,
    queue: &Mutex<VecDeque<u64>>,
    done: &AtomicU64,
) -> Result<(), Seen> {
    let of = |error: String| Seen::Words(format!("{}: {error}", node.short()));
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // First the line, then a part: who can't be reached keeps none from the others.
    let conn = line.dial(node, Purpose::Blobs).await.map_err(of)?;
    let ended = loop {
        let Some(part) = take() else { break Ok(()) };
        let request = GetRequest::builder().child(part, ChunkRanges::all()).build(wanted.hash);
        let size = parts::size_of(part, wanted.size);
        if let Err(error) = get(engine, &conn, &request, size, done, size).await {
            queue.lock().unwrap_or_else(PoisonError::into_inner).push_front(part);
            break Err(match error {
                Seen::More => error,
                Seen::Words(words) => of(words),
            });
        }
    };
    conn.close(CLOSE_DONE, b"done");
    ended
}

/// Gets what is missing of one request. `counts` is what it counts once it is here.
async fn get(engine: &Engine, conn: &Connection, request: &GetRequest, most: u64, done: &AtomicU64, counts: u64) -> Result<(), Seen> {
    let remote = engine.store().remote();
    let local = remote.local_for_request(request.clone()).await.map_err(|error| error.to_string())?;
    // What has come counts too: or a bit more would come with each try.
    let had = local.local_bytes();
    if had > most {
        return Err(Seen::More);
    }
    if !local.is_complete() {
        let mut items = std::pin::pin!(remote.execute_get(conn.clone(), local.missing()).stream());
        loop {
            match timeout(BLOB_FETCH_IDLE, items.next()).await {
                Err(_) => return Err(format!("nothing came for {} s", BLOB_FETCH_IDLE.as_secs()).into()),
                Ok(None) => return Err("it broke off".to_owned().into()),
                Ok(Some(GetProgressItem::Done(_))) => break,
                Ok(Some(GetProgressItem::Error(error))) => return Err(error.to_string().into()),
                Ok(Some(GetProgressItem::Progress(bytes))) => {
                    if had.saturating_add(bytes) > most.saturating_add(SLACK_BYTES) {
                        return Err(Seen::More);
                    }
                    if counts == 0 {
                        done.store(bytes, Ordering::Relaxed);
                    }
                }
            }
        }
    }
    if counts > 0 {
        done.fetch_add(counts, Ordering::Relaxed);
    } else {
        done.store(most, Ordering::Relaxed);
    }
    Ok(())
}
