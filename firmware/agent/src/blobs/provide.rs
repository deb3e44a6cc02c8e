//! Serving blobs to members: who comes, for what, and how much.
//!
//! Architecture invariant: a member gets what this node shares and nothing else, and who is no member any more gets nothing from the
//! next 16 KiB on, over a connection that is open too.

use super::Blobs;
use crate::limits::{BLOB_BYTES_AN_HOUR, BLOB_CALLER_IDLE, BLOB_CALLERS, BLOB_CALLERS_OF_ONE, BLOB_STREAMS};
use crate::net::{Form, MemberLine, MemberPlaces};
use cluster::NodeId;
use iroh::endpoint::{Connection, VarInt};
use iroh_blobs::Hash;
use iroh_blobs::provider::events::{
    AbortReason, ConnectMode, EventMask, EventSender, ObserveMode, ProviderMessage, RequestMode, ThrottleMode,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What is asked before it is done: a get may be refused, and each piece of it; nothing else is done at all.
const MASK: EventMask = EventMask {
    connected: ConnectMode::None,
    get: RequestMode::Intercept,
    get_many: RequestMode::Disabled,
    push: RequestMode::Disabled,
    observe: ObserveMode::Intercept,
    throttle: ThrottleMode::Intercept,
};
/// Requests of one caller that wait to be judged.
const WAITING: usize = 8;
/// Close code: too many at once.
const CLOSE_BUSY: VarInt = VarInt::from_u32(429);
/// How long what a member fetched counts.
const HOUR: Duration = Duration::from_secs(3600);

/// What each member fetched in its running hour.
#[derive(Debug, Default)]
pub struct Quotas(BTreeMap<NodeId, (Duration, u64)>);

impl Quotas {
    /// Counts so many bytes more; false if that is too much. `now` is the time since some start.
    pub fn take(&mut self, node: NodeId, bytes: u64, now: Duration) -> bool {
        self.0.retain(|_, (began, _)| now.saturating_sub(*began) < HOUR);
        let (_, taken) = self.0.entry(node).or_insert((now, 0));
        *taken = taken.saturating_add(bytes);
        *taken <= BLOB_BYTES_AN_HOUR
    }
}

/// Serves everybody who comes, until nobody can come any more.
pub async fn serve(blobs: Arc<Blobs>, line: MemberLine, mut callers: mpsc::Receiver<(NodeId, Connection)>) {
    let (places, quotas, began) = (MemberPlaces::new(BLOB_CALLERS, BLOB_CALLERS_OF_ONE), Arc::new(Mutex::default()), Instant::now());
    // They end with this.
    let mut open = JoinSet::new();
    while let Some((node, conn)) = callers.recv().await {
        while open.try_join_next().is_some() {}
        let Some(place) = places.take(node) else {
            conn.close(CLOSE_BUSY, b"busy");
            continue;
        };
        let (blobs, line, quotas) = (Arc::clone(&blobs), line.clone(), Arc::clone(&quotas));
        open.spawn(async move {
            let Ok(engine) = blobs.engine().await else { return };
            conn.set_max_concurrent_bi_streams(BLOB_STREAMS.into());
            conn.set_max_concurrent_uni_streams(0_u32.into());
            let (events, messages) = EventSender::channel(WAITING, MASK);
            let judge = judge(&blobs, &line, (&place.whose, &quotas), began, messages);
            let serve = iroh_blobs::provider::handle_connection(conn.clone(), engine.store().clone(), events);
            tokio::select! {
                () = serve => {}
                () = judge => conn.close(CLOSE_BUSY, b"nothing was asked"),
            }
        });
    }
}

async fn judge(
    blobs: &Blobs,
    line: &MemberLine,
    (node, quotas): (&NodeId, &Mutex<Quotas>),
    began: Instant,
    mut messages: mpsc::Receiver<ProviderMessage>,
) {
    // Who asks for nothing makes room for others.
    while let Ok(Some(message)) = timeout(BLOB_CALLER_IDLE, messages.recv()).await {
        match message {
            ProviderMessage::GetRequestReceived(asked) => {
                let request = &asked.inner.request;
                // Any blob can be read as a list of hashes: only what is one here opens what it names.
                let parts = request.ranges.iter_non_empty_infinite().take(2).any(|(child, _)| child > 0);
                let may = line.admits(node) && blobs.shares(&request.hash, parts);
                let _gone = asked.tx.send(if may { Ok(()) } else { Err(AbortReason::Permission) }).await;
            }
            ProviderMessage::Throttle(asked) => {
                let within = quotas.lock().unwrap_or_else(PoisonError::into_inner).take(*node, asked.inner.size, began.elapsed());
                let judged = if !line.admits(node) {
                    Err(AbortReason::Permission)
                } else if within {
                    Ok(())
                } else {
                    Err(AbortReason::RateLimited)
                };
                let _gone = asked.tx.send(judged).await;
            }
            ProviderMessage::ObserveRequestReceived(asked) => drop(asked.tx.send(Err(AbortReason::Permission)).await),
            // By the mask, none of these is done.
            _ => {}
        }
    }
}

impl Blobs {
    /// Whether members may have a blob, or its parts.
    fn shares(&self, hash: &Hash, parts: bool) -> bool {
        let kept = self.kept();
        let held = kept.blobs.get(&hash.to_hex()).filter(|held| held.complete && (!parts || held.facts.form == Form::HashSeq));
        held.is_some_and(|held| held.visibility > super::Visibility::Private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_took_its_share_waits_for_the_next_hour_and_others_do_not() {
        let (mut quotas, [a, b]) = (Quotas::default(), [1, 2].map(|n| cluster::keys::Key([n; 32])));
        let at = Duration::from_secs;
        assert!(quotas.take(a, BLOB_BYTES_AN_HOUR, at(5)));
        assert!(!quotas.take(a, 1, at(6)) && quotas.take(b, 1, at(6)) && !quotas.take(a, u64::MAX, at(3604)));
        assert!(quotas.take(a, 1, at(3605)));
        assert!(quotas.0.len() == 2 && quotas.take(b, 1, at(10_000)) && quotas.0.len() == 1);
    }
}
