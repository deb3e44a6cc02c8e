//! Blobs: files by their hash, which nodes hold, give each other and verify as they come.
//!
//! ```text
//! held (what and why, pure) ─▶ told to all as records ─▶ fetch from those who hold it ◀─ provide to members
//!                └─▶ engine: iroh-blobs in DATA/blobs
//! ```
//! Architecture invariant: a blob is said to be here only when all of it is on the disk, and a blob that is named in `held.json` is kept
//! from being cleared away before that file names it.

mod engine;
mod fetch;
pub mod gateway;
mod going;
mod held;
mod parts;
mod provide;
mod view;

pub use held::{Kept, NoRoom, Visibility};
pub use parts::asked as asked_range;
pub use provide::serve;
pub use view::{BlobView, BlobsPage, Here};

use crate::limits::{BLOB_ADDING, BLOB_SPARE_BYTES};
use crate::net::{BlobFacts, Registry, is_hash};
#[cfg(test)]
use crate::net::{BlobLine, Form};
use crate::settings::{read_or_put_aside, write_whole};
#[cfg(test)]
use cluster::NodeId;
use engine::{Engine, Look, NotImported};
use futures_util::Stream;
use hyper::body::Bytes;
use iroh_blobs::Hash;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{Notify, OnceCell, Semaphore, mpsc};
use view::Fetching;

/// The folder, below the agent's data folder.
const FOLDER: &str = "blobs";
/// The file there that says which blobs are held.
const FILE: &str = "held.json";

/// What somebody wants to add.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Name and media type.
    pub name: String,
    /// Empty where nobody said.
    pub media_type: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether it stays when room is needed.
    pub pinned: bool,
}

/// What of a blob shall be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobChange))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Change {
    /// Its name.
    pub name: Option<String>,
    /// Who may read it.
    pub visibility: Option<Visibility>,
    /// Whether it stays when room is needed.
    pub pinned: Option<bool>,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none of that hash.
    #[error("no blob `{0}` is on this node: `cloudy blob ls` shows what there is, `cloudy blob get HASH` fetches one")]
    NotHere(String),
    /// It is being fetched.
    #[error("the blob `{0}` is not whole yet: it is being fetched")]
    NotWhole(String),
    /// No member says to hold it.
    #[error("no node of the microcloud says that it holds `{0}`: was it taken back, or is the hash another?")]
    Unknown(String),
    /// Something of the wish can't be.
    #[error("{0}")]
    Wrong(String),
    /// There is no room for it.
    #[error("{0}")]
    NoRoom(#[from] NoRoom),
    /// Nor on the disk.
    #[error(
        "{needed} bytes are needed and {free} are free on the disk, of which {spare} are kept for the node itself: remove what is not needed"
    )]
    DiskFull {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        spare: u64,
    },
    /// Too many at once.
    #[error("{BLOB_ADDING} blobs are being added already: try again when one is done")]
    Busy,
    /// It did not come whole.
    #[error(transparent)]
    NotImported(NotImported),
    /// It can't be read or written.
    #[error("the store of blobs fails: {0}; `cloudy doctor` says how the disk is")]
    Store(String),
    /// Data is not kept in this run.
    #[error("this node's data is not kept in this run, so no blobs are: `cloudy status` says what is wrong with it")]
    NotKept,
}

/// The blobs of this node.
pub struct Blobs {
    data: PathBuf,
    folder: PathBuf,
    keeps: bool,
    engine: OnceCell<Engine>,
    aside: Mutex<Option<String>>,
    gateway: OnceLock<SocketAddr>,
    kept: Mutex<Kept>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: tokio::sync::Mutex<()>,
    fetching: Mutex<BTreeMap<String, Fetching>>,
    adding: Semaphore,
    changed: Notify,
}

/// Fetches into a store of its own, for tests that stand between this and the network.
///
/// # Errors
/// In words.
#[cfg(test)]
pub async fn try_to_fetch(
    folder: &std::path::Path,
    line: &BlobLine,
    from: NodeId,
    hash: &str,
    form: Form,
    size: u64,
) -> Result<(), String> {
    let engine = Engine::open(folder).await.map_err(|error| format!("{error:#}"))?.0;
    let wanted = fetch::Wanted { hash: Hash::from_str(hash).map_err(|error| error.to_string())?, form, size };
    let fetched = fetch::fetch(&engine, line, &[from], wanted, &AtomicU64::default()).await;
    let seen = engine.look(wanted.hash, form, true).await.map_err(|error| format!("{error:#}"));
    engine.close().await;
    fetched.map_err(|error| error.to_string())?;
    if seen? == Look::Whole(size) { Ok(()) } else { Err("it is not what was said".to_owned()) }
}

fn hash_of(text: &str) -> Result<Hash, Refused> {
    let refused = || Refused::Wrong(format!("`{}` is no hash: 64 hexadecimal digits in lower case", text.escape_debug()));
    if is_hash(text) { Hash::from_str(text).map_err(|_| refused()) } else { Err(refused()) }
}

fn store(error: impl std::fmt::Display) -> Refused {
    Refused::Store(format!("{error:#}"))
}

impl Blobs {
    /// Reads what is held below the agent's data folder. `keeps` says whether data outlives this run.
    pub fn load(data: &std::path::Path, keeps: bool) -> Self {
        let folder = data.join(FOLDER);
        let kept: Kept = read_or_put_aside(&folder.join(FILE), "what this node holds of blobs is not known any more");
        Self {
            data: data.to_owned(),
            folder,
            keeps,
            engine: OnceCell::new(),
            aside: Mutex::new(None),
            gateway: OnceLock::new(),
            kept: Mutex::new(kept),
            writing: tokio::sync::Mutex::new(()),
            fetching: Mutex::new(BTreeMap::new()),
            adding: Semaphore::new(BLOB_ADDING),
            changed: Notify::new(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, opened when it is used first: a node without blobs spares its memory.
    async fn engine(&self) -> Result<&Engine, Refused> {
        if !self.keeps {
            return Err(Refused::NotKept);
        }
        self.engine.get_or_try_init(|| self.open()).await.map_err(store)
    }

    async fn open(&self) -> anyhow::Result<Engine> {
        let (engine, aside) = Engine::open(&self.folder).await?;
        let held = self.kept().blobs.clone();
        if let Some(place) = aside {
            log::error!(place; "the database of blobs was damaged; what lies in files is taken in again, and the rest is fetched");
            for (hash, held) in held.iter().filter(|(_, held)| held.complete) {
                let there = engine.look(Hash::from_str(hash)?, held.facts.form, true).await?;
                if there != Look::Whole(held.facts.size_bytes)
                    && let Some(held) = self.kept().blobs.get_mut(hash)
                {
                    held.complete = false;
                }
            }
            *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        }
        // First what is held is kept, then what is not held is let go.
        for (hash, held) in &held {
            engine.keep(Hash::from_str(hash)?, held.facts.form).await?;
        }
        engine.keep_only(&held.into_keys().collect()).await?;
        Ok(engine)
    }

    /// Changes what is held, and brings that to the disk before it counts.
    async fn alter<T>(&self, work: impl FnOnce(&mut Kept) -> Result<T, Refused>) -> Result<T, Refused> {
        let _one = self.writing.lock().await;
        let mut kept = self.kept().clone();
        let outcome = work(&mut kept)?;
        let (path, bytes) = (self.folder.join(FILE), serde_json::to_vec_pretty(&kept).map_err(store)?);
        let written = tokio::task::spawn_blocking(move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            write_whole(&path, &bytes, 0o640)
        });
        written.await.map_err(store)?.map_err(store)?;
        // Uses are noted in memory alone meanwhile.
        let mut now = self.kept();
        kept.uses = kept.uses.max(now.uses);
        *now = kept;
        drop(now);
        self.changed.notify_one();
        Ok(outcome)
    }

    /// How many bytes blobs may have together.
    pub fn quota(&self) -> u64 {
        let set = self.kept().quota_bytes;
        set.unwrap_or_else(|| crate::host::size(&self.data).unwrap_or_default() / 2)
    }

    /// Bytes that blobs may have and do have together, and whether somebody said so.
    pub fn room_used(&self) -> (u64, u64, bool) {
        let quota = self.quota();
        let kept = self.kept();
        (quota, kept.sum(), kept.quota_bytes.is_some())
    }

    /// Sets it; none for half of the disk.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn set_quota(&self, bytes: Option<u64>) -> Result<(), Refused> {
        self.alter(|kept| {
            kept.quota_bytes = bytes;
            Ok(())
        })
        .await
    }

    /// Bytes for one more blob: as the quota says, and the disk.
    fn room(&self) -> Result<u64, Refused> {
        let free = crate::host::free(&self.data).map_err(store)?.saturating_sub(BLOB_SPARE_BYTES);
        let quota = self.quota();
        Ok(self.kept().left(quota).min(free))
    }

    /// Takes a blob in. When this answers, it is on the disk.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of it stays.
    pub async fn add<S, E>(&self, wish: Wish, body: S) -> Result<BlobView, Refused>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let Wish { name, media_type, visibility, pinned } = wish;
        BlobFacts { name: name.clone(), media_type: media_type.clone(), size_bytes: 1, ..BlobFacts::default() }
            .check()
            .map_err(Refused::Wrong)?;
        self.may_tell(visibility)?;
        let _place = self.adding.try_acquire().map_err(|_| Refused::Busy)?;
        let engine = self.engine().await?;
        let imported = engine.import(body, self.room()?).await.map_err(Refused::NotImported)?;
        let (hash, form, size_bytes) = (imported.hash.to_hex(), imported.form, imported.size);
        self.let_go(size_bytes, &hash).await?;
        engine.keep(imported.hash, form).await.map_err(store)?;
        engine.settle().await.map_err(store)?;
        let facts = BlobFacts { name, media_type, size_bytes, form, public: visibility == Visibility::Public };
        self.alter(|kept| {
            kept.enter(hash.clone(), facts, visibility, pinned, true);
            Ok(())
        })
        .await?;
        self.one(&hash)
    }

    fn may_tell(&self, visibility: Visibility) -> Result<(), Refused> {
        if visibility == Visibility::Private || self.kept().may_tell_more() {
            return Ok(());
        }
        Err(Refused::Wrong(format!(
            "this node tells the microcloud of {} blobs already, and more would not fit: make this one private, or put several files into one archive",
            crate::net::MAX_TOLD
        )))
    }

    /// Makes room by letting go of what is not pinned.
    async fn let_go(&self, needed: u64, but: &str) -> Result<(), Refused> {
        let quota = self.quota();
        let mut gone = self.kept().make_room(needed, quota)?;
        gone.retain(|hash| hash != but);
        if gone.is_empty() {
            return Ok(());
        }
        log::info!(count = gone.len(); "blobs that were used least lately make room for another");
        self.alter(|kept| {
            gone.iter().for_each(|hash| drop(kept.blobs.remove(hash)));
            Ok(())
        })
        .await?;
        self.forget_unheld().await
    }

    async fn forget_unheld(&self) -> Result<(), Refused> {
        let held = self.kept().blobs.keys().cloned().collect();
        self.engine().await?.keep_only(&held).await.map_err(store)
    }

    /// Begins to fetch a blob, or answers how it is when it is here or coming.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn fetch(&self, registry: Option<&Registry>, hash: &str) -> Result<BlobView, Refused> {
        let id = hash_of(hash)?;
        if self.kept().touch(hash) {
            return self.one(hash);
        }
        let holders = match registry {
            Some(registry) => registry.holders_of(hash).await.map_err(store)?,
            None => Vec::new(),
        };
        let facts = held::most_say(holders.into_iter().map(|(_, facts)| facts)).ok_or_else(|| Refused::Unknown(hash.to_owned()))?;
        let engine = self.engine().await?;
        let free = crate::host::free(&self.data).map_err(store)?;
        let spare = BLOB_SPARE_BYTES;
        self.let_go(facts.size_bytes, hash).await?;
        if free.saturating_sub(spare) < facts.size_bytes {
            return Err(Refused::DiskFull { needed: facts.size_bytes, free, spare });
        }
        engine.keep(id, facts.form).await.map_err(store)?;
        self.alter(|kept| {
            let visibility = if facts.public { Visibility::Public } else { Visibility::Community };
            kept.enter(hash.to_owned(), facts, visibility, false, false);
            Ok(())
        })
        .await?;
        self.one(hash)
    }

    /// Says something else of a blob.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn change(&self, hash: &str, change: Change) -> Result<BlobView, Refused> {
        hash_of(hash)?;
        let was = self.kept().blobs.get(hash).map(|held| held.visibility).ok_or_else(|| Refused::NotHere(hash.to_owned()))?;
        if let Some(visibility) = change.visibility.filter(|_| was == Visibility::Private) {
            self.may_tell(visibility)?;
        }
        self.alter(|kept| {
            let held = kept.blobs.get_mut(hash).ok_or_else(|| Refused::NotHere(hash.to_owned()))?;
            held.visibility = change.visibility.unwrap_or(held.visibility);
            held.pinned = change.pinned.unwrap_or(held.pinned);
            held.facts.name = change.name.unwrap_or_else(|| held.facts.name.clone());
            held.facts.public = held.visibility == Visibility::Public;
            held.facts.check().map_err(Refused::Wrong)
        })
        .await?;
        self.one(hash)
    }

    /// Lets go of a blob; its room is free soon after.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn remove(&self, hash: &str) -> Result<(), Refused> {
        hash_of(hash)?;
        self.alter(|kept| kept.blobs.remove(hash).map(drop).ok_or_else(|| Refused::NotHere(hash.to_owned()))).await?;
        self.fetching().remove(hash);
        self.forget_unheld().await
    }

    /// Reads a range of a blob, or all of it; every byte is verified. What can't be read well is fetched anew.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn read(self: &Arc<Self>, hash: &str, range: Range<u64>) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, Refused> {
        let id = hash_of(hash)?;
        let facts = {
            let mut kept = self.kept();
            kept.touch(hash);
            let held = kept.blobs.get(hash).ok_or_else(|| Refused::NotHere(hash.to_owned()))?;
            if !held.complete {
                return Err(Refused::NotWhole(hash.to_owned()));
            }
            held.facts.clone()
        };
        let read = self.engine().await?.read(id, facts.form, range).await;
        let mut pieces = match read {
            Ok(pieces) => pieces,
            Err(error) => {
                self.is_damaged(hash).await;
                return Err(store(error));
            }
        };
        let (sender, passed) = mpsc::channel(1);
        let (blobs, hash) = (Arc::clone(self), hash.to_owned());
        tokio::spawn(async move {
            while let Some(piece) = pieces.recv().await {
                let failed = piece.is_err();
                if failed {
                    blobs.is_damaged(&hash).await;
                }
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(passed)
    }

    /// A blob that was whole is not any more: it is fetched anew from those who hold it.
    async fn is_damaged(&self, hash: &str) {
        log::error!(hash; "a blob is damaged on this node's disk; it is fetched anew from the nodes that hold it");
        let altered = self.alter(|kept| {
            kept.blobs.get_mut(hash).into_iter().for_each(|held| held.complete = false);
            Ok(())
        });
        if let Err(error) = altered.await {
            log::error!(error:%; "that can't be noted");
        }
    }

    fn fetching(&self) -> MutexGuard<'_, BTreeMap<String, Fetching>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where public blobs are given to everybody, once that is known.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.gateway.get().copied()
    }

    /// Notes that.
    pub fn is_given_at(&self, address: SocketAddr) {
        self.gateway.get_or_init(|| address);
    }

    /// Where a damaged database was put aside at this start.
    pub fn aside(&self) -> Option<String> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the store calmly, if it was opened.
    pub async fn close(&self) {
        if let Some(engine) = self.engine.get() {
            engine.close().await;
        }
    }
}
