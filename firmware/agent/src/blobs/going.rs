//! What goes on by itself: all nodes are told what is here, and what is not here yet is fetched.

use super::engine::{Engine, Look};
use super::fetch::{self, NotFetched, Wanted};
use super::view::Fetching;
use super::{Blobs, hash_of};
use crate::limits::{BLOB_FETCHING, BLOB_TELL_EVERY};
use crate::net::{BlobFacts, BlobLine, Form, Registry};
use cluster::NodeId;
use iroh_blobs::Hash;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

impl Blobs {
    /// Tells all nodes what is here and fetches what is not, until the agent ends.
    pub async fn keep_going(self: Arc<Self>, line: BlobLine, registry: impl Fn() -> Option<Registry>) {
        let mut at_work = JoinSet::new();
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                Some(_) = at_work.join_next() => {}
                () = tokio::time::sleep(BLOB_TELL_EVERY) => {}
            }
            let Some(registry) = registry() else { continue };
            if !self.keeps {
                continue;
            }
            let told = self.kept().told();
            if let Err(error) = registry.tell_blobs(told).await {
                log::warn!(error:%; "the nodes can't be told which blobs are here");
            }
            let missing: Vec<String> = self.kept().blobs.iter().filter(|(_, held)| !held.complete).map(|(hash, _)| hash.clone()).collect();
            for hash in missing {
                if at_work.len() >= BLOB_FETCHING || self.fetching().get(&hash).is_some_and(Fetching::rests) {
                    continue;
                }
                self.fetching().entry(hash.clone()).or_default().at_work = true;
                at_work.spawn(Arc::clone(&self).fetch_one(line.clone(), registry.clone(), hash));
            }
        }
    }

    async fn fetch_one(self: Arc<Self>, line: BlobLine, registry: Registry, hash: String) {
        let ended = self.try_to_fetch(&line, &registry, &hash).await;
        self.note(hash, ended);
    }

    fn note(&self, hash: String, ended: Result<(), NotFetched>) {
        let mut fetching = self.fetching();
        match ended {
            Ok(()) => drop(fetching.remove(&hash)),
            Err(error) => {
                log::warn!(hash, error:%; "a blob is not here yet, and is tried again");
                fetching.entry(hash).and_modify(|fetching| {
                    fetching.at_work = false;
                    fetching.tried = Some(Instant::now());
                    fetching.problem = Some(error.to_string());
                });
            }
        }
    }

    async fn try_to_fetch(&self, line: &BlobLine, registry: &Registry, hash: &str) -> Result<(), NotFetched> {
        let broken = |error: &dyn std::fmt::Display| NotFetched::Store(format!("{error:#}"));
        let Some(facts) = self.kept().blobs.get(hash).map(|held| held.facts.clone()) else { return Ok(()) };
        let id = hash_of(hash).map_err(|error| broken(&error))?;
        let holders = registry.holders_of(hash).await.map_err(|error| broken(&error))?;
        let alike = |said: &BlobFacts| said.size_bytes == facts.size_bytes && said.form == facts.form;
        let mut holders: Vec<NodeId> =
            holders.into_iter().filter(|(node, said)| line.admits(node) && alike(said)).map(|(node, _)| node).collect();
        // Those first that are likely to answer.
        holders.sort_by_key(|node| !line.is_alive(node));
        let engine = self.engine().await.map_err(|error| broken(&error))?;
        let done = self.fetching().get(hash).map(|fetching| Arc::clone(&fetching.bytes)).unwrap_or_default();
        let wanted = Wanted { hash: id, form: facts.form, size: facts.size_bytes };
        fetch::fetch(engine, line, &holders, wanted, &done).await?;
        // What came in an earlier run may have been cut by a loss of power before it was on the disk: all of it is read once.
        match engine.look(id, facts.form, true).await.map_err(|error| broken(&error))? {
            Look::Whole(size) if size == facts.size_bytes => {}
            // It is what its hash says, so it would be that again.
            Look::Whole(_) | Look::Uneven => return Err(NotFetched::Other),
            Look::NotWhole => {
                self.clear(engine, id, facts.form).await.map_err(|error| broken(&error))?;
                return Err(NotFetched::Damaged);
            }
        }
        engine.settle().await.map_err(|error| broken(&error))?;
        self.alter(|kept| {
            kept.blobs.get_mut(hash).into_iter().for_each(|held| held.complete = true);
            Ok(())
        })
        .await
        .map_err(|error| broken(&error))
    }

    /// Clears away what came of a blob, so that it comes anew.
    async fn clear(&self, engine: &Engine, hash: Hash, form: Form) -> anyhow::Result<()> {
        let mut others: BTreeSet<String> = self.kept().blobs.keys().cloned().collect();
        others.remove(&hash.to_hex());
        engine.keep_only(&others).await?;
        engine.cleared(hash, form).await?;
        engine.keep(hash, form).await
    }
}
