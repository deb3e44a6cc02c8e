//! What goes on by itself: all nodes are told what is here, and what is not here yet is fetched.

use super::engine::Look;
use super::fetch::{self, NotFetched, Wanted};
use super::view::Fetching;
use super::{Blobs, hash_of};
use crate::limits::{BLOB_FETCHING, BLOB_TELL_EVERY};
use crate::net::{BlobFacts, MemberLine, Registry};
use cluster::NodeId;
use std::sync::Arc;
use tokio::task::JoinSet;

impl Blobs {
    /// Tells all nodes what is here and fetches what is not, until the agent ends.
    pub async fn keep_going(self: Arc<Self>, line: MemberLine, registry: impl Fn() -> Option<Registry>) {
        let mut at_work = JoinSet::new();
        if self.lost
            && let Err(error) = self.engine().await
        {
            log::error!(error:%; "what this node holds of blobs can't be found out");
        }
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                Some(_) = at_work.join_next() => {}
                () = tokio::time::sleep(BLOB_TELL_EVERY) => {}
            }
            let Some(registry) = registry().filter(|_| self.keeps) else { continue };
            let told = self.kept().told();
            if let Err(error) = registry.tell_blobs(told).await {
                log::warn!(error:%; "the nodes can't be told which blobs are here");
            }
            for hash in self.missing().into_iter().take(BLOB_FETCHING.saturating_sub(at_work.len())) {
                self.fetching().entry(hash.clone()).or_default().at_work = true;
                let task = at_work.spawn(Arc::clone(&self).fetch_one(line.clone(), registry.clone(), hash.clone()));
                if let Some(fetching) = self.fetching().get_mut(&hash) {
                    fetching.task = Some(task);
                }
            }
        }
    }

    /// What is to be fetched now: what was tried least lately comes first, so that nothing stands in its way.
    fn missing(&self) -> Vec<String> {
        let missing: Vec<String> = self.kept().blobs.iter().filter(|(_, held)| !held.complete).map(|(hash, _)| hash.clone()).collect();
        let fetching = self.fetching();
        let mut missing: Vec<_> = missing.into_iter().map(|hash| (fetching.get(&hash), hash)).collect();
        missing.retain(|(fetching, _)| !fetching.is_some_and(Fetching::rests));
        missing.sort_by_key(|(fetching, _)| fetching.and_then(|fetching| fetching.tried));
        missing.into_iter().map(|(_, hash)| hash).collect()
    }

    async fn fetch_one(self: Arc<Self>, line: MemberLine, registry: Registry, hash: String) {
        let ended = self.try_to_fetch(&line, &registry, &hash).await;
        let mut fetching = self.fetching();
        match ended {
            Ok(()) => drop(fetching.remove(&hash)),
            Err(error) => {
                log::warn!(hash, error:%; "a blob is not here yet");
                // One that was let go meanwhile is not noted again.
                fetching.get_mut(&hash).into_iter().for_each(|fetching| fetching.failed(&error));
            }
        }
    }

    async fn try_to_fetch(self: &Arc<Self>, line: &MemberLine, registry: &Registry, hash: &str) -> Result<(), NotFetched> {
        let broken = |error: &dyn std::fmt::Display| NotFetched::Store(format!("{error:#}"));
        let Some(facts) = self.kept().blobs.get(hash).map(|held| held.facts.clone()) else { return Ok(()) };
        let id = hash_of(hash).map_err(|error| broken(&error))?;
        let engine = self.engine().await.map_err(|error| broken(&error))?;
        let (done, first) = self.fetching().get(hash).map(|now| (Arc::clone(&now.bytes), now.tried.is_none())).unwrap_or_default();
        let look = async |verify| engine.look(id, facts.form, verify).await.map_err(|error| broken(&error));
        // All of it may have come before the agent ended: then nobody need be asked.
        if !(first && matches!(look(false).await?, Look::Whole(_))) {
            let holders = registry.holders_of(hash).await.map_err(|error| broken(&error))?;
            let alike = |said: &BlobFacts| said.size_bytes == facts.size_bytes && said.form == facts.form;
            let mut holders: Vec<NodeId> =
                holders.into_iter().filter(|(node, said)| line.admits(node) && alike(said)).map(|(node, _)| node).collect();
            // Those first that are likely to answer.
            holders.sort_by_key(|node| !line.is_alive(node));
            fetch::fetch(engine, line, &holders, Wanted { hash: id, form: facts.form, size: facts.size_bytes }, &done).await?;
        }
        // What came in an earlier run may have been cut by a loss of power before it was on the disk: all of it is read once.
        match look(true).await? {
            Look::Whole(size) => {
                let private = self.private_parts(engine, hash).await.map_err(|error| broken(&error))?;
                if engine.all_of(id, facts.form).await.iter().any(|part| private.contains(part)) {
                    return Err(NotFetched::Other);
                }
                self.is_here(engine, hash, size).await.map_err(|error| broken(&error))
            }
            // It is what its hash says, so it would be that again.
            Look::Uneven => Err(NotFetched::Other),
            Look::NotWhole => {
                self.mend(hash).await.map_err(|error| broken(&error))?;
                Err(NotFetched::Damaged)
            }
        }
    }
}
