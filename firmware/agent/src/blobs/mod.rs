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
mod repair;
mod small;
mod taking;
mod turn;
mod view;

pub use held::{Kept, NoRoom, Taking, Visibility};
pub use parts::asked as asked_range;
pub use provide::serve;
pub use small::hash_in;
pub use view::{BlobView, BlobsPage, Here};

use crate::limits::{BLOB_ADDING, BLOB_FETCH_IDLE, BLOB_SPARE_BYTES, BLOB_TEXT_WAIT};
#[cfg(test)]
use crate::net::MemberLine;
use crate::net::{AppImage, BlobFacts, Form, Registry, is_hash, most_say};
use crate::pieces::Incoming;
use crate::settings::{put_aside, read_whole};
#[cfg(test)]
use cluster::NodeId;
use engine::{Engine, NotImported};
use futures_util::Stream;
use hyper::body::Bytes;
use iroh_blobs::Hash;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, OnceCell, Semaphore};
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
    /// The app whose image it is.
    pub app: Option<AppImage>,
}

impl Wish {
    /// An app, for who may read it. It stays until it is removed.
    pub fn of_app(app: AppImage, visibility: Visibility) -> Self {
        let BlobFacts { name, media_type, app, .. } = BlobFacts::of_app(app);
        Self { name, media_type, visibility, pinned: true, app }
    }

    fn facts(&self, size_bytes: u64, form: Form) -> BlobFacts {
        let (name, media_type, app) = (self.name.clone(), self.media_type.clone(), self.app.clone());
        BlobFacts { name, media_type, size_bytes, form, public: self.visibility == Visibility::Public, app }
    }
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
    /// An app of that name came from a signed catalog.
    #[error(
        "this node has an app that is called `{app}`, from the catalog {catalog}: an owner may have this one take its place (`--replace`), which changes nothing of what is installed until it is updated"
    )]
    InTheWay {
        /// The app.
        app: String,
        /// From which catalog the other one is.
        catalog: String,
    },
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
    /// It is larger than what it is wanted for.
    #[error("the blob `{hash}` has {bytes} bytes, where {most} are allowed")]
    TooLong {
        /// Its hash.
        hash: String,
        /// Its bytes.
        bytes: u64,
        /// Bytes at most.
        most: usize,
    },
    /// It is something else than text.
    #[error("the blob `{0}` is no text in UTF-8")]
    NoText(String),
    /// It was waited for.
    #[error("the blob `{hash}` did not come within {} s: {why}; try again when a node that holds it is there", BLOB_TEXT_WAIT.as_secs())]
    NotCome {
        /// Its hash.
        hash: String,
        /// What went wrong last.
        why: String,
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
    /// What was held can't be read any more.
    lost: bool,
    engine: OnceCell<Engine>,
    aside: Mutex<Option<String>>,
    gateway: OnceLock<SocketAddr>,
    kept: Mutex<Kept>,
    /// Whose turn it is to change what is held.
    turns: tokio::sync::Mutex<()>,
    fetching: Mutex<BTreeMap<String, Fetching>>,
    adding: Semaphore,
    changed: Notify,
    /// Something of what is held is not as it was, for who waits for apps.
    settled: Notify,
}

/// Fetches into a store of its own, for tests that stand between this and the network.
///
/// # Errors
/// In words.
#[cfg(test)]
pub async fn try_to_fetch(folder: &Path, line: &MemberLine, from: NodeId, hash: &str, form: Form, size: u64) -> Result<(), String> {
    let engine = Engine::open(folder).await.map_err(|error| format!("{error:#}"))?.0;
    let wanted = fetch::Wanted { hash: Hash::from_str(hash).map_err(|error| error.to_string())?, form, size };
    let fetched = fetch::fetch(&engine, line, &[from], wanted, &AtomicU64::default()).await;
    let seen = engine.look(wanted.hash, form, true).await.map_err(|error| format!("{error:#}"));
    engine.close().await;
    fetched.map_err(|error| error.to_string())?;
    if seen? == engine::Look::Whole(size) { Ok(()) } else { Err("it is not what was said".to_owned()) }
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
    pub fn load(data: &Path, keeps: bool) -> Self {
        let folder = data.join(FOLDER);
        let file = folder.join(FILE);
        let (kept, lost) = match read_whole::<Kept>(&file) {
            Ok(kept) => (kept.unwrap_or_default(), false),
            Err(error) => {
                log::error!(
                    "{error:#}: what this node holds of blobs is found out from their store, and is private until somebody says otherwise"
                );
                if keeps && let Err(stays) = put_aside(&file) {
                    log::error!("it can't be put aside: {stays}");
                }
                (Kept::default(), true)
            }
        };
        Self {
            data: data.to_owned(),
            folder,
            keeps,
            lost,
            engine: OnceCell::new(),
            aside: Mutex::new(None),
            gateway: OnceLock::new(),
            kept: Mutex::new(kept),
            turns: tokio::sync::Mutex::new(()),
            fetching: Mutex::new(BTreeMap::new()),
            adding: Semaphore::new(BLOB_ADDING),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetching(&self) -> MutexGuard<'_, BTreeMap<String, Fetching>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub async fn set_quota(self: &Arc<Self>, bytes: Option<u64>) -> Result<(), Refused> {
        self.alter(move |kept| {
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

    /// Whether one more would be taken now, as far as that can be said before its bytes are known.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn may_add(&self, visibility: Visibility) -> Result<(), Refused> {
        self.may_tell(visibility)?;
        if self.room()? == 0 {
            return Err(Refused::DiskFull { needed: 1, free: 0, spare: BLOB_SPARE_BYTES });
        }
        if self.adding.available_permits() == 0 { Err(Refused::Busy) } else { Ok(()) }
    }

    /// Takes a blob in. When this answers, it is on the disk.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of it stays.
    pub async fn add<S, E>(self: &Arc<Self>, wish: Wish, body: S) -> Result<BlobView, Refused>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        self.add_slowly(wish, body, BLOB_FETCH_IDLE).await
    }

    /// The same, of what may pause for so long.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of it stays.
    pub async fn add_slowly<S, E>(self: &Arc<Self>, wish: Wish, body: S, idle: Duration) -> Result<BlobView, Refused>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let facts = wish.facts(1, Form::Raw);
        facts.check().map_err(Refused::Wrong)?;
        self.may_tell(wish.visibility)?;
        let place = self.adding.try_acquire().map_err(|_| Refused::Busy)?;
        let engine = self.engine().await?;
        let imported = engine.import(body, self.room()?, idle).await;
        drop(place);
        let imported = match imported {
            Ok(imported) => imported,
            Err(error) => {
                // The store leaves what it had begun to write: it goes when nobody else is writing.
                if let Ok(_all) = self.adding.try_acquire_many(u32::try_from(BLOB_ADDING).unwrap_or(u32::MAX)) {
                    engine.sweep().await;
                }
                return Err(Refused::NotImported(error));
            }
        };
        engine.settle().await.map_err(store)?;
        self.to_its_end(|blobs| async move { blobs.take(imported, wish).await }).await
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

    /// Begins to fetch a blob, or answers how it is when it is here or coming.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn fetch(self: &Arc<Self>, registry: Option<&Registry>, hash: &str) -> Result<BlobView, Refused> {
        self.fetch_as(registry, hash, Taking::No, |_| Ok(())).await
    }

    /// `fits` looks at what its holders say of it, before anything is done.
    async fn fetch_as(
        self: &Arc<Self>,
        registry: Option<&Registry>,
        hash: &str,
        app: Taking,
        fits: impl Fn(&BlobFacts) -> Result<(), Refused>,
    ) -> Result<BlobView, Refused> {
        let id = hash_of(hash)?;
        let here = self.kept().touch(hash);
        if here && app == Taking::No {
            return self.hope(hash);
        }
        let holders = match registry {
            Some(registry) => registry.holders_of(hash).await.map_err(store)?,
            None => Vec::new(),
        };
        let said = most_say(holders.into_iter().map(|(_, facts)| facts));
        said.as_ref().map_or(Ok(()), &fits)?;
        if here {
            self.want_app(hash, said.and_then(|facts| facts.app), app).await?;
            return self.hope(hash);
        }
        let facts = said.ok_or_else(|| Refused::Unknown(hash.to_owned()))?;
        if app != Taking::No && facts.app.is_none() {
            return Err(taking::no_app(hash));
        }
        self.to_its_end(move |blobs| async move { blobs.begin(id, facts, app).await }).await
    }

    /// Who asks again for what is held wants it tried again.
    fn hope(&self, hash: &str) -> Result<BlobView, Refused> {
        self.fetching().get_mut(hash).into_iter().for_each(Fetching::hope);
        self.changed.notify_one();
        self.one(hash)
    }

    /// Says something else of a blob.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn change(self: &Arc<Self>, hash: &str, change: Change) -> Result<BlobView, Refused> {
        hash_of(hash)?;
        let was = self.kept().blobs.get(hash).map(|held| held.visibility).ok_or_else(|| Refused::NotHere(hash.to_owned()))?;
        if let Some(visibility) = change.visibility.filter(|_| was == Visibility::Private) {
            self.may_tell(visibility)?;
        }
        let name = hash.to_owned();
        self.alter(move |kept| {
            let held = kept.blobs.get_mut(&name).ok_or(Refused::NotHere(name))?;
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
    pub async fn remove(self: &Arc<Self>, hash: &str) -> Result<(), Refused> {
        hash_of(hash)?;
        let hash = hash.to_owned();
        self.to_its_end(move |blobs| async move { blobs.let_go(hash).await }).await
    }

    /// Reads a range of a blob, or all of it; every byte is verified. What can't be read well is fetched anew.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn read(
        self: &Arc<Self>,
        hash: &str,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + use<>, Refused> {
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
        let mut pieces = self.engine().await?.read(id, facts.form, range).await.map_err(|error| {
            self.doubt(hash);
            store(error)
        })?;
        let (blobs, hash) = (Arc::clone(self), hash.to_owned());
        Ok(futures_util::stream::poll_fn(move |context| {
            let piece = pieces.poll_recv(context);
            if matches!(piece, Poll::Ready(Some(Err(_)))) {
                blobs.doubt(&hash);
            }
            piece
        }))
    }

    /// Reads all of a blob, for who reads where waiting does no harm.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn incoming(self: &Arc<Self>, hash: &str) -> Result<Incoming<std::io::Error>, Refused> {
        let size = self.one(hash)?.facts.size_bytes;
        Ok(Incoming::of(self.read(hash, 0..size).await?))
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
