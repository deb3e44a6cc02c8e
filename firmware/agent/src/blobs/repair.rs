//! What is done where the disk did not keep what it was given: a damaged database, a damaged blob, what was begun and has no end.

use super::engine::{DATABASE, Engine};
use crate::limits::BLOB_GC_EVERY;
use crate::net::Form;
use anyhow::{Context, Result, anyhow};
use cluster::store::is_damage;
use iroh_blobs::api::blobs::BlobStatus;
use iroh_blobs::{Hash, HashAndFormat};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tokio::time::timeout;

/// What a damaged one is called; one is kept.
const ASIDE: &str = "blobs.db.damaged";
/// Where the files of a damaged database wait to be taken in again.
const RESCUED: &str = "rescued";
/// How many of them are taken in before they are removed: of parts, at most 16 MiB each.
const RESCUED_AT_ONCE: usize = 8;
/// Where the store writes what it has not taken in yet.
const TEMP: &str = "temp";
/// What a part is called that stays while what is bad beside it is cleared away.
const GOOD: &str = "good-";
/// Memory for looking through a database before it is used.
const CHECK_CACHE_BYTES: usize = 1024 * 1024;

/// Looks a database through, as the store itself does not.
fn check(database: &Path) -> Result<()> {
    let opened = redb::Builder::new().set_cache_size(CHECK_CACHE_BYTES).set_check_integrity_on_open(true).open(database);
    opened.map(drop).map_err(|error| anyhow!(redb::Error::from(error)))
}

/// Makes the folder ready: what was begun and has no end goes, and what is wrong with the database is found out.
pub fn prepare(folder: &Path) -> Result<Option<String>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
    empty(&folder.join(TEMP))?;
    let database = folder.join(DATABASE);
    if !database.exists() {
        return Ok(None);
    }
    match check(&database) {
        Err(error) if error.downcast_ref().is_some_and(is_damage) => {
            // First the files, then the database: cut in between, it is found damaged again.
            gather(&folder.join("data"), &folder.join(RESCUED))?;
            std::fs::rename(&database, folder.join(ASIDE)).context("putting the damaged database of blobs aside")?;
            Ok(Some(format!("{} ({error})", folder.join(ASIDE).display())))
        }
        checked => checked.map(|()| None).context("opening the database of blobs"),
    }
}

fn empty(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        std::fs::remove_file(entry.path()).with_context(|| format!("removing `{}`", entry.path().display()))?;
    }
    Ok(())
}

/// Moves the files of blobs, whole or not, out of the way of a new database.
fn gather(data: &Path, rescued: &Path) -> Result<()> {
    std::fs::create_dir_all(rescued)?;
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "data") {
            std::fs::rename(&path, rescued.join(entry.file_name()))?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

impl Engine {
    /// Whether a database was lost, and nobody has looked yet what is there all the same.
    pub fn was_rescued(&self) -> bool {
        self.folder.join(RESCUED).exists()
    }

    /// Somebody has looked.
    ///
    /// # Errors
    /// The folder can't be removed.
    pub fn rescue_is_done(&self) -> Result<()> {
        if self.was_rescued() {
            std::fs::remove_dir_all(self.folder.join(RESCUED)).context("removing the folder of rescued files")
        } else {
            Ok(())
        }
    }

    /// Takes the files of a lost database in again, some at a time, since each lies on the disk twice meanwhile: each stands under its hash, or
    /// under one that nobody asks for.
    pub async fn take_in(&self) -> Result<()> {
        let files: Vec<PathBuf> = std::fs::read_dir(self.folder.join(RESCUED))?.flatten().map(|entry| entry.path()).collect();
        for some in files.chunks(RESCUED_AT_ONCE) {
            for file in some {
                let tag = self.store.add_path(file).temp_tag().await.with_context(|| format!("taking `{}` in again", file.display()))?;
                self.store.tags().set(format!("rescued-{}", tag.hash().to_hex()), tag.hash_and_format()).await?;
            }
            self.settle().await?;
            for file in some {
                std::fs::remove_file(file).with_context(|| format!("removing `{}`", file.display()))?;
            }
        }
        Ok(())
    }

    /// Removes what was begun to be written and has no end. Nothing may be written meanwhile.
    pub async fn sweep(&self) {
        let temp = self.folder.join(TEMP);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || empty(&temp)).await {
            log::warn!(error:% = format!("{error:#}"); "what was begun to be written can't be removed");
        }
    }

    /// What of a blob is there, and damaged.
    ///
    /// # Errors
    /// The store fails.
    pub async fn bad(&self, hash: Hash, form: Form) -> Result<BTreeSet<Hash>> {
        let mut bad = BTreeSet::new();
        for part in self.all_of(hash, form).await {
            if matches!(self.store.status(part).await?, BlobStatus::Complete { .. }) && !self.is_good(part).await {
                bad.insert(part);
            }
        }
        Ok(bad)
    }

    /// Clears away what is bad of these blobs; everything else of them stays.
    ///
    /// # Errors
    /// The store fails, or does not come to it. The blobs are kept in each case.
    pub async fn clear(&self, blobs: &[(Hash, Form)], bad: &BTreeSet<Hash>) -> Result<()> {
        for (hash, form) in blobs {
            for part in self.all_of(*hash, *form).await.into_iter().filter(|part| !bad.contains(part)) {
                self.store.tags().set(format!("{GOOD}{}", part.to_hex()), HashAndFormat::raw(part)).await?;
            }
        }
        let cleared = self.without(blobs, bad).await;
        for (hash, form) in blobs {
            self.keep(*hash, *form).await?;
        }
        self.store.tags().delete_prefix(GOOD).await?;
        cleared
    }

    async fn without(&self, blobs: &[(Hash, Form)], bad: &BTreeSet<Hash>) -> Result<()> {
        for (hash, _) in blobs {
            self.store.tags().delete(hash.to_hex()).await?;
        }
        let gone = async {
            for hash in bad {
                while !matches!(self.store.status(*hash).await?, BlobStatus::NotFound) {
                    // Whatever was looked through just now may have been before the names were taken away.
                    self.litter.store(true, Ordering::Relaxed);
                    tokio::time::sleep(BLOB_GC_EVERY / 10).await;
                }
            }
            anyhow::Ok(())
        };
        timeout(4 * BLOB_GC_EVERY, gone).await.context("clearing what is damaged away")?
    }
}
