//! Signed catalogs of apps: several are followed at once, by their publishers' keys, and this node may publish its own.
//!
//! ```text
//! publish ─▶ signed file ─▶ blob, told of by a record ─▶ look: fetched, verified ─▶ take ─▶ the store shows its apps ─▶ get ─▶ apps
//! a file on a stick ───────────────────────────────────────────────────────────────┘
//! ```
//! Architecture invariant: a catalog is taken only with its key's signature and a higher number than the last; an app takes the place of
//! another publisher's app of the same name only where an owner said so.

mod failures;
mod get;
mod going;
mod plan;
mod publish;
mod record;
mod shown;
#[cfg(test)]
mod tests;

pub use get::{Begun, GetWish};
pub use publish::{PublishWish, SavedKey};
#[cfg(test)]
pub use shown::tests::{an_offer, some_catalog};
pub use shown::{CatalogDetails, CatalogInfo, Offer};

use crate::apps::{Apps, NotShared, Refused as AppRefused};
use crate::blobs::{Blobs, Refused as BlobRefused};
use crate::limits::CATALOGS_FOLLOWED;
use crate::net::{NetHandle, Registry, is_hash};
use crate::settings::{read_or_put_aside, write_whole};
use cluster::catalog::{Catalog, News, Words, Wrong, news};
use cluster::text::TextError;
use contract::oci::Digest;
use data_encoding::HEXLOWER;
use going::Live;
use iroh_blobs::Hash;
use record::{Followed, Kept};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The folder, below the agent's data folder.
const FOLDER: &str = "catalogs";
/// The file there that says which are followed.
const FILE: &str = "followed.json";

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is no catalog, or breaks a limit.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// It is no key.
    #[error("`{0}` is no key of a catalog: 64 hexadecimal digits in lower case, as `cloudy catalog ls` shows them")]
    NoKey(String),
    /// It is no secret key.
    #[error("{0}")]
    NoSecret(#[from] TextError),
    /// Signed by another key than that which is followed.
    #[error("it is signed by the key {found}, where {wanted} is followed: it is another publisher's catalog, or somebody pretends")]
    OtherKey {
        /// The key that is followed.
        wanted: String,
        /// The key that signed it.
        found: String,
    },
    /// A lower number than what was taken.
    #[error("it is publication {shown}, and {had} was taken already: an older one is not taken; ask its publisher for the newest")]
    Older {
        /// What was taken.
        had: u64,
        /// What was shown.
        shown: u64,
    },
    /// Another one of the same number.
    #[error(
        "its publisher has signed two different catalogs as publication {0}: the key is in two places, or was restored from an old copy; what is here stays, and nothing more is taken of it until an owner decides: go on with it (`cloudy catalog follow KEY` again) or leave it (`cloudy catalog unfollow KEY`)"
    )]
    Fork(u64),
    /// Its key is not to be believed.
    #[error(
        "the key of this catalog was given up by its publisher: nothing that it signs is taken any more; follow the publisher's new key"
    )]
    Revoked,
    /// Nobody follows it.
    #[error("no catalog with the key `{0}` is followed: `cloudy catalog ls` lists those that are")]
    NotFollowed(String),
    /// Too many.
    #[error("{CATALOGS_FOLLOWED} catalogs are followed already: leave one first (`cloudy catalog unfollow KEY`)")]
    TooMany,
    /// It is not here yet.
    #[error("of the catalog `{0}` nothing has come yet: it is fetched when a node that has it is there")]
    NotCome(String),
    /// The catalog has no such app.
    #[error("the catalog has no app `{0}`")]
    NoApp(String),
    /// It is for other machines.
    #[error("`{app}` is there for {built}, and this node is {this}")]
    Machine {
        /// Which.
        app: String,
        /// For which machines it is.
        built: String,
        /// What this one is.
        this: String,
    },
    /// An app of somebody else has that name.
    #[error(
        "this node has another app that is called `{app}`, {whose}: an owner may have this one take its place (`--replace`), which changes nothing of what is installed until it is updated"
    )]
    Other {
        /// The app.
        app: String,
        /// Where the other one is from.
        whose: String,
    },
    /// Another one is coming.
    #[error("another app that is called `{0}` is on its way from another catalog: wait until it is here")]
    Coming(String),
    /// A person's own app has that name.
    #[error("an own app is called `{0}`: give it another name, or forget it (`cloudy app own {0} --forget`), and try again")]
    Own(String),
    /// This node does not publish it.
    #[error("this node publishes no catalog `{0}`: `cloudy catalog ls` says which it does")]
    NotMine(String),
    /// It can't be published so.
    #[error("{0}")]
    Publishing(String),
    /// By the apps.
    #[error(transparent)]
    App(#[from] AppRefused),
    /// They can't be shared.
    #[error(transparent)]
    NotShared(#[from] NotShared),
    /// By the blobs.
    #[error(transparent)]
    Blob(#[from] BlobRefused),
    /// It could not be written.
    #[error("it can't be kept, so nothing was done: {0}")]
    NotKept(String),
}

/// The catalogs of this node.
pub struct Catalogs {
    folder: PathBuf,
    apps: Arc<Apps>,
    blobs: Arc<Blobs>,
    net: Option<NetHandle>,
    kept: Mutex<Kept>,
    /// Held while something is written, which waits for the disk; `kept` itself never is.
    altering: Mutex<()>,
    /// The catalogs themselves, by their keys.
    files: Mutex<BTreeMap<String, Arc<Catalog>>>,
    live: Mutex<Live>,
    /// Held while a catalog is taken or published.
    taking: tokio::sync::Mutex<()>,
    /// Held while it changes what is on its way, so that what was noted has begun too.
    getting: tokio::sync::Mutex<()>,
    wake: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this is a key: written as hashes are.
fn check_key(key: &str) -> Result<(), Refused> {
    let shown = || key.chars().take(80).flat_map(char::escape_default).collect();
    if is_hash(key) { Ok(()) } else { Err(Refused::NoKey(shown())) }
}

fn digest(bytes: &[u8; 32]) -> Option<Digest> {
    Digest::from_hex(&HEXLOWER.encode(bytes))
}

fn by_language(words: &Words) -> BTreeMap<String, String> {
    words.by_language().into_iter().map(|(tag, text)| (tag.to_owned(), text.to_owned())).collect()
}

impl Catalogs {
    /// Reads what is kept below the agent's data folder. A catalog's file that is damaged is fetched again.
    pub fn open(data: &Path, apps: Arc<Apps>, blobs: Arc<Blobs>, net: Option<NetHandle>) -> Self {
        let folder = data.join(FOLDER);
        let mut kept: Kept = read_or_put_aside(&folder.join(FILE), "no catalog is followed any more: follow them again");
        let mut files = BTreeMap::new();
        for (key, followed) in &mut kept.followed {
            match read(&folder, key, followed) {
                Ok(catalog) => drop(catalog.map(|catalog| files.insert(key.clone(), Arc::new(catalog)))),
                Err(why) => log::error!(key = key.as_str(), why = why.as_str(); "the file of a catalog can't be used: it is fetched again"),
            }
        }
        Self {
            folder,
            apps,
            blobs,
            net,
            kept: Mutex::new(kept),
            altering: Mutex::default(),
            files: Mutex::new(files),
            live: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            getting: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    fn registry(&self) -> Option<Registry> {
        self.net.as_ref().and_then(|net| net.registry.borrow().clone())
    }

    fn catalog(&self, key: &str) -> Option<Arc<Catalog>> {
        lock(&self.files).get(key).cloned()
    }

    /// Changes what is kept; it is on the disk when this returns. Where that fails, nothing is changed.
    async fn alter<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Kept) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.in_background(move |catalogs| {
            let _one = lock(&catalogs.altering);
            let now = catalogs.kept().clone();
            let mut next = now.clone();
            let outcome = change(&mut next)?;
            if next != now {
                let bytes = serde_json::to_vec_pretty(&next).map_err(|error| Refused::NotKept(error.to_string()))?;
                catalogs.write(FILE, &bytes, 0o640)?;
                *catalogs.kept() = next;
            }
            Ok(outcome)
        })
        .await
    }

    fn write(&self, file: &str, bytes: &[u8], mode: u32) -> Result<(), Refused> {
        let not_kept = |error: String| Refused::NotKept(error);
        std::fs::create_dir_all(&self.folder).map_err(|error| not_kept(format!("making `{}`: {error}", self.folder.display())))?;
        write_whole(&self.folder.join(file), bytes, mode).map_err(|error| not_kept(format!("{error:#}")))
    }

    async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let catalogs = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&catalogs)).await.map_err(|error| Refused::NotKept(error.to_string()))?
    }

    /// Follows the catalog of that key: it is fetched, and each newer one after it. Who follows one of which two of one number are known has
    /// decided that it goes on.
    ///
    /// # Errors
    /// It is no key, there are too many, or it can't be kept.
    pub async fn follow(self: &Arc<Self>, key: &str) -> Result<CatalogInfo, Refused> {
        check_key(key)?;
        let of = key.to_owned();
        self.alter(move |kept| {
            if !kept.followed.contains_key(&of) && kept.followed.len() >= CATALOGS_FOLLOWED {
                return Err(Refused::TooMany);
            }
            kept.followed.entry(of).or_default().decide();
            Ok(())
        })
        .await?;
        lock(&self.live).problems.remove(key);
        self.wake.notify_one();
        self.info(key).await.ok_or_else(|| Refused::NotFollowed(key.to_owned()))
    }

    /// Follows it no more. Apps that were taken from it stay.
    ///
    /// # Errors
    /// Nobody follows it, or it can't be kept.
    pub async fn unfollow(self: &Arc<Self>, key: &str) -> Result<(), Refused> {
        check_key(key)?;
        let _one = self.taking.lock().await;
        let _getting = self.getting.lock().await;
        let of = key.to_owned();
        let coming = self.kept().wanted.clone();
        for wanted in coming.into_values().filter(|wanted| wanted.key == key) {
            self.blobs.want_no_more(&wanted.hash).await;
        }
        let followed = self
            .alter(move |kept| {
                kept.wanted.retain(|_, wanted| wanted.key != of);
                kept.followed.remove(&of).ok_or(Refused::NotFollowed(of))
            })
            .await?;
        lock(&self.files).remove(key);
        let _ = std::fs::remove_file(self.folder.join(file_of(key)));
        if let Some(given) = followed.given
            && let Err(error) = self.blobs.remove(&given).await
        {
            log::warn!(error:%; "a catalog that is followed no more is still given to others");
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Takes a catalog that somebody brought, and follows it.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub async fn add(self: &Arc<Self>, bytes: Vec<u8>) -> Result<CatalogInfo, Refused> {
        let key = Catalog::from_bytes(&bytes)?.key().hex();
        let full = {
            let kept = self.kept();
            !kept.followed.contains_key(&key) && kept.followed.len() >= CATALOGS_FOLLOWED
        };
        if full {
            return Err(Refused::TooMany);
        }
        self.take(bytes, None).await?;
        self.info(&key).await.ok_or(Refused::NotFollowed(key))
    }

    /// Takes a catalog, if it is newer than what was taken; whether it was. Where a key is `expected`, only that of this key, and only
    /// while it is followed.
    async fn take(self: &Arc<Self>, bytes: Vec<u8>, expected: Option<&str>) -> Result<bool, Refused> {
        let _one = self.taking.lock().await;
        let catalog = Catalog::from_bytes(&bytes)?;
        let key = catalog.key().hex();
        if let Some(wanted) = expected.filter(|expected| *expected != key) {
            return Err(Refused::OtherKey { wanted: wanted.to_owned(), found: key });
        }
        if expected.is_some() && !self.kept().followed.contains_key(&key) {
            return Err(Refused::NotFollowed(key));
        }
        let mark = catalog.mark(&Hash::new(&bytes).to_hex());
        let followed = self.kept().followed.get(&key).cloned().unwrap_or_default();
        let had = &followed.mark;
        match news(had.as_ref(), &mark) {
            News::Newer if followed.is_refused() && !mark.revoked => return Err(followed.forked()),
            News::Same if self.catalog(&key).is_some() => return Ok(false),
            News::Newer | News::Same => {}
            News::Older => return Err(Refused::Older { had: had.as_ref().map(|had| had.number).unwrap_or_default(), shown: mark.number }),
            News::Revoked => return Err(Refused::Revoked),
            News::Fork => {
                log::error!(key = key.as_str(), number = mark.number; "a catalog was signed twice with one number");
                let number = mark.number;
                self.alter(move |kept| {
                    kept.followed.entry(key).or_default().fork.get_or_insert(mark.hash);
                    Ok(())
                })
                .await?;
                return Err(Refused::Fork(number));
            }
        }
        // First the file, then what says that it was taken: a file that is newer than what is said is found at the next start.
        let file = file_of(&key);
        self.in_background(move |catalogs| catalogs.write(&file, &bytes, 0o640)).await?;
        let of = key.clone();
        self.alter(move |kept| {
            let followed = kept.followed.entry(of).or_default();
            // The same again, whose file was lost, says nothing new.
            if followed.mark.as_ref() != Some(&mark) {
                (followed.fork, followed.decided) = (None, false);
            }
            followed.mark = Some(mark);
            Ok(())
        })
        .await?;
        log::info!(key = key.as_str(), number = catalog.contents().number; "a catalog was taken");
        lock(&self.files).insert(key, Arc::new(catalog));
        self.wake.notify_one();
        Ok(true)
    }
}

impl Followed {
    /// Why nothing is taken of it.
    fn forked(&self) -> Refused {
        Refused::Fork(self.mark.as_ref().map(|mark| mark.number).unwrap_or_default())
    }
}

fn file_of(key: &str) -> String {
    format!("{key}.catalog")
}

/// The file of a catalog that is followed, if there is one. One that is newer than what is said was taken just before the agent ended.
fn read(folder: &Path, key: &str, followed: &mut Followed) -> Result<Option<Catalog>, String> {
    let Some(mark) = followed.mark.clone() else { return Ok(None) };
    let bytes = std::fs::read(folder.join(file_of(key))).map_err(|error| error.to_string())?;
    let catalog = Catalog::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let found = catalog.mark(&Hash::new(&bytes).to_hex());
    match news(Some(&mark), &found) {
        News::Same | News::Newer if catalog.key().hex() == key => {
            followed.mark = Some(found);
            Ok(Some(catalog))
        }
        _ => Err("it is not what was taken last".to_owned()),
    }
}
