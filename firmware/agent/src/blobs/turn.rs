//! One change at a time: what is held, what the store keeps for it and what is cleared away are changed together, and to their end, whoever
//! hangs up meanwhile.

use super::engine::{Engine, Imported, Look};
use super::held::{Kept, Taking};
use super::{BlobView, Blobs, FILE, Refused, Visibility, Wish, hash_of, store};
use crate::limits::BLOB_SPARE_BYTES;
use crate::net::{BlobFacts, Form};
use crate::settings::write_whole;
use iroh_blobs::Hash;
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use tokio::sync::MutexGuard;

/// The right to change what is held. Who has it must not open the store, which takes a turn itself.
pub(super) struct Turn<'a>(#[expect(dead_code, reason = "it is held, not used")] MutexGuard<'a, ()>);

impl Blobs {
    async fn turn(&self) -> Turn<'_> {
        Turn(self.turns.lock().await)
    }

    /// Does something to its end, also when the one who waits for it goes away.
    pub(super) async fn to_its_end<T, F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refused>> + Send + 'static,
    {
        tokio::spawn(work(Arc::clone(self))).await.map_err(store)?
    }

    /// The store, opened when it is used first: a node without blobs spares its memory.
    pub(super) async fn engine(self: &Arc<Self>) -> Result<&Engine, Refused> {
        if !self.keeps {
            return Err(Refused::NotKept);
        }
        if self.engine.get().is_none() {
            self.to_its_end(|blobs| async move { blobs.engine.get_or_try_init(|| blobs.open()).await.map(drop).map_err(store) }).await?;
        }
        self.engine.get().ok_or_else(|| Refused::Store("it is not open".to_owned()))
    }

    /// Whether the store has it, held or not.
    #[cfg(test)]
    pub async fn stores(self: &Arc<Self>, hash: Hash) -> bool {
        self.engine().await.unwrap().store().has(hash).await.unwrap()
    }

    async fn open(&self) -> anyhow::Result<Engine> {
        let turn = self.turn().await;
        let (engine, aside) = Engine::open(&self.folder).await?;
        if self.lost && self.kept().blobs.is_empty() {
            self.find_out(&turn, &engine).await?;
        }
        if engine.was_rescued() {
            log::error!("the database of blobs was damaged: what lies in files was taken in again, and the rest is fetched");
            let mut missing = Vec::new();
            for (hash, form, size) in self.whole_ones() {
                if engine.look(Hash::from_str(&hash)?, form, true).await? != Look::Whole(size) {
                    missing.push(hash);
                }
            }
            self.alter_in(&turn, |kept| {
                kept.are_not_whole(missing.iter());
                Ok(())
            })
            .await?;
        }
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = aside;
        // First what is held is kept, then what is not held is let go.
        let held = self.kept().blobs.clone();
        let named = engine.named().await?;
        for (hash, held) in &held {
            let kept = (Hash::from_str(hash)?, held.facts.form);
            if !named.contains(&kept) {
                engine.keep(kept.0, kept.1).await?;
            }
        }
        engine.keep_only(&held.into_keys().collect()).await?;
        engine.rescue_is_done()?;
        Ok(engine)
    }

    fn whole_ones(&self) -> Vec<(String, Form, u64)> {
        let kept = self.kept();
        let whole = kept.blobs.iter().filter(|(_, held)| held.complete);
        whole.map(|(hash, held)| (hash.clone(), held.facts.form, held.facts.size_bytes)).collect()
    }

    /// What is held, where the file that said so is lost: all that the store keeps whole, under a name that says nothing.
    async fn find_out(&self, turn: &Turn<'_>, engine: &Engine) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for (hash, form) in engine.named().await? {
            if let Look::Whole(size_bytes) = engine.look(hash, form, false).await? {
                let hash = hash.to_hex();
                let name = hash.get(..16).unwrap_or(&hash).to_owned();
                found.push((hash, BlobFacts { name, size_bytes, form, ..BlobFacts::default() }));
            }
        }
        let altered = self.alter_in(turn, |kept| {
            found.into_iter().for_each(|(hash, facts)| kept.enter(hash, facts, Visibility::Private, true, true, Taking::No));
            Ok(())
        });
        Ok(altered.await?)
    }

    /// Changes what is held, in a turn of its own.
    pub(super) async fn alter<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Kept) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.to_its_end(|blobs| async move {
            let turn = blobs.turn().await;
            blobs.alter_in(&turn, work).await
        })
        .await
    }

    /// Changes what is held, and brings that to the disk before it counts.
    async fn alter_in<T>(&self, _turn: &Turn<'_>, work: impl FnOnce(&mut Kept) -> Result<T, Refused>) -> Result<T, Refused> {
        if !self.keeps {
            return Err(Refused::NotKept);
        }
        let mut kept = self.kept().clone();
        let outcome = work(&mut kept)?;
        let (folder, bytes) = (self.folder.clone(), serde_json::to_vec_pretty(&kept).map_err(store)?);
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            write_whole(&folder.join(FILE), &bytes, 0o640)
        });
        written.await.map_err(store)?.map_err(store)?;
        let mut now = self.kept();
        // Uses are noted in memory alone meanwhile.
        kept.uses = kept.uses.max(now.uses);
        for (hash, held) in &mut kept.blobs {
            held.used = now.blobs.get(hash).map_or(held.used, |old| old.used.max(held.used));
        }
        *now = kept;
        drop(now);
        self.changed.notify_one();
        self.settled.notify_one();
        Ok(outcome)
    }

    fn names(&self) -> BTreeSet<String> {
        self.kept().blobs.keys().cloned().collect()
    }

    /// Holds what was taken in.
    pub(super) async fn take(self: Arc<Self>, imported: Imported, wish: Wish) -> Result<BlobView, Refused> {
        let engine = self.engine().await?;
        let turn = self.turn().await;
        let (hash, form, size_bytes) = (imported.hash.to_hex(), imported.form, imported.size);
        let (facts, visibility, pinned) = (wish.facts(size_bytes, form), wish.visibility, wish.pinned);
        engine.keep(imported.hash, form).await.map_err(store)?;
        let quota = self.quota();
        let entered = self.alter_in(&turn, |kept| {
            kept.room_for(&hash, size_bytes, quota)?;
            // An app that is added was made of this node's own catalog.
            let taking = if facts.app.is_some() { Taking::Taken } else { Taking::No };
            kept.enter(hash.clone(), facts, visibility, pinned, true, taking);
            Ok(())
        });
        let entered = entered.await;
        engine.keep_only(&self.names()).await.map_err(store)?;
        self.fetching().remove(&hash);
        entered?;
        self.one(&hash)
    }

    /// Holds what is to be fetched.
    pub(super) async fn begin(self: Arc<Self>, id: Hash, facts: BlobFacts, taking: Taking) -> Result<BlobView, Refused> {
        let engine = self.engine().await?;
        let turn = self.turn().await;
        let hash = id.to_hex();
        if self.kept().blobs.contains_key(&hash) {
            return self.one(&hash);
        }
        engine.keep(id, facts.form).await.map_err(store)?;
        let (quota, needed) = (self.quota(), facts.size_bytes);
        let free = crate::host::free(&self.data).map_err(store)?;
        let entered = self.alter_in(&turn, |kept| {
            let coming = kept.coming();
            let freed = kept.room_for(&hash, needed, quota)?;
            let spare = BLOB_SPARE_BYTES;
            if free.saturating_add(freed).saturating_sub(spare).saturating_sub(coming) < needed {
                return Err(Refused::DiskFull { needed, free, spare });
            }
            let visibility = match (kept.may_tell_more(), facts.public) {
                // The nodes can't be told of more, and who is not told of it can't have it.
                (false, _) => Visibility::Private,
                (true, true) => Visibility::Public,
                (true, false) => Visibility::Community,
            };
            kept.enter(hash.clone(), facts, visibility, false, false, taking);
            Ok(())
        });
        let entered = entered.await;
        engine.keep_only(&self.names()).await.map_err(store)?;
        entered?;
        self.one(&hash)
    }

    /// Holds a blob no more.
    pub(super) async fn let_go(self: Arc<Self>, hash: String) -> Result<(), Refused> {
        let engine = self.engine().await?;
        let turn = self.turn().await;
        self.alter_in(&turn, |kept| kept.blobs.remove(&hash).map(drop).ok_or_else(|| Refused::NotHere(hash.clone()))).await?;
        self.fetching().remove(&hash).into_iter().for_each(super::Fetching::stop);
        engine.keep_only(&self.names()).await.map_err(store)
    }

    /// Notes that all of a blob is here, and how large it really is.
    pub(super) async fn is_here(self: &Arc<Self>, engine: &Engine, hash: &str, size: u64) -> Result<(), Refused> {
        engine.settle().await.map_err(store)?;
        let hash = hash.to_owned();
        self.alter(move |kept| {
            kept.blobs.get_mut(&hash).into_iter().for_each(|held| (held.complete, held.facts.size_bytes) = (true, size));
            Ok(())
        })
        .await
    }

    /// A blob could not be read: if that is so when it is looked at again, what is bad of it is cleared away and fetched anew.
    pub(super) fn doubt(self: &Arc<Self>, hash: &str) {
        let (blobs, hash) = (Arc::clone(self), hash.to_owned());
        tokio::spawn(async move {
            if let Err(error) = blobs.mend(&hash).await {
                log::error!(hash, error:%; "a blob can't be read, and can't be mended");
            }
        });
    }

    /// Clears away what is bad of a blob, and of others that share it; what is good of them stays.
    pub(super) async fn mend(self: &Arc<Self>, hash: &str) -> Result<(), Refused> {
        let (id, engine) = (hash_of(hash)?, self.engine().await?);
        let turn = self.turn().await;
        let Some(form) = self.kept().blobs.get(hash).map(|held| held.facts.form) else { return Ok(()) };
        let bad = engine.bad(id, form).await.map_err(store)?;
        if bad.is_empty() {
            // Nothing is to be cleared away; what is missing comes.
            if engine.look(id, form, false).await.map_err(store)? == Look::NotWhole {
                let hash = hash.to_owned();
                self.alter_in(&turn, |kept| {
                    kept.are_not_whole([&hash].into_iter());
                    Ok(())
                })
                .await?;
            }
            return Ok(());
        }
        let held: Vec<(String, Form)> = self.kept().blobs.iter().map(|(hash, held)| (hash.clone(), held.facts.form)).collect();
        let mut touched = Vec::new();
        for (name, form) in held {
            let other = hash_of(&name)?;
            if engine.all_of(other, form).await.iter().any(|part| bad.contains(part)) {
                touched.push((name, other, form));
            }
        }
        log::error!(hash, blobs = touched.len(); "a blob is damaged on this node's disk; what is bad of it is fetched anew from the nodes that hold it");
        self.alter_in(&turn, |kept| {
            kept.are_not_whole(touched.iter().map(|(name, ..)| name));
            Ok(())
        })
        .await?;
        let touched: Vec<(Hash, Form)> = touched.into_iter().map(|(_, hash, form)| (hash, form)).collect();
        engine.clear(&touched, &bad).await.map_err(store)
    }

    /// Parts of blobs that are given to nobody: what holds one of them is made to get at it.
    pub(super) async fn private_parts(&self, engine: &Engine, but: &str) -> Result<BTreeSet<Hash>, Refused> {
        let private: Vec<(String, Form)> = {
            let kept = self.kept();
            let private = kept.blobs.iter().filter(|(hash, held)| held.visibility == Visibility::Private && *hash != but);
            private.map(|(hash, held)| (hash.clone(), held.facts.form)).collect()
        };
        let mut parts = BTreeSet::new();
        for (hash, form) in private {
            parts.extend(engine.all_of(hash_of(&hash)?, form).await);
        }
        Ok(parts)
    }
}
