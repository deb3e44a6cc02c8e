//! The apps that this node can install: their facts, icons and images, as blobs that are named by their sha256.
//!
//! Architecture invariant: a blob stands under its name only when every byte of it was seen to have that digest and is on the disk;
//! what is named in the list is whole. What neither the list nor an installed app names is removed.

mod give;
mod receive;
mod walk;

use super::face::Face;
use crate::limits::CATALOG_SPARE_BYTES;
use crate::settings::{read_or_put_aside, write_whole};
use contract::apps::App;
use contract::arch::Arch;
use contract::oci::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The list, in the catalog's folder.
const LIST: &str = "catalog.json";
/// Blobs by their digests' digits.
const BLOBS: &str = "blobs";
/// What is being received: another process's leftovers are removed at the start.
const INCOMING: &str = "incoming";
/// Bytes of an `app.toml` at most.
const FACTS_BYTES: u64 = 64 * 1024;
/// Bytes of an icon at most.
const ICON_BYTES: u64 = 256 * 1024;

/// An app with its image for this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The index of its images: what Docker pulls.
    pub index: Digest,
    /// Its `app.toml`.
    pub facts: Digest,
    /// Its icon (SVG).
    pub icon: Option<Digest>,
    /// All its blobs with their sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
}

/// Why something was not taken into the catalog.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// An entry of the tar.
    #[error("`{path}` {why}; send what `cargo xtask app NAME` wrote, as it is")]
    Entry {
        /// Where in the tar.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// An app in it.
    #[error("the app `{app}` can't be used: {why}; build it anew with `cargo xtask app NAME`")]
    App {
        /// Which.
        app: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is for other machines.
    #[error("the app `{app}` was built for {built}, and this node is {this}: build it with `cargo xtask app {app} --arch {this}`")]
    Architecture {
        /// Which.
        app: String,
        /// For which machines there is an image.
        built: String,
        /// What this machine is.
        this: String,
    },
    /// It is something else than was wanted.
    #[error("it holds {found}, and not the app `{wanted}` in the version of which its holders speak: nothing of it was taken")]
    Other {
        /// What was wanted.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// No room.
    #[error("{needed} bytes are needed and {free} are free, of which {spare} are kept for the node itself: remove what is not needed")]
    Room {
        /// By the next blob.
        needed: u64,
        /// On the file system.
        free: u64,
        /// What stays free.
        spare: u64,
    },
    /// Another is being received.
    #[error("the catalog takes something else at present: try again when that is done")]
    Busy,
    /// The machine is none that apps are built for.
    #[error("apps are built for amd64, arm64 and armhf; this machine is none of them")]
    Machine,
    /// Something in the catalog's own folder.
    #[error("{doing} failed")]
    Io {
        /// What was done, to what.
        doing: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What came was cut.
    #[error("what was sent ended too soon or can't be read as a tar")]
    Cut(#[source] std::io::Error),
    /// The list could not be kept.
    #[error("the list of apps could not be kept: {0}")]
    Kept(String),
}

impl Refused {
    fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// An app's facts, and what people meet of it.
type Known = (Arc<App>, Arc<Face>);

/// The catalog of this node.
#[derive(Debug)]
pub struct Catalog {
    folder: PathBuf,
    arch: Option<Arch>,
    list: Mutex<BTreeMap<String, Entry>>,
    /// What was read of apps, by their names and the digests of their facts and images: a page that looks every few seconds reads no disk.
    known: Mutex<BTreeMap<(String, Digest, Digest), Known>>,
    receiving: Mutex<()>,
}

/// The architecture of this machine, in the builder's words.
pub fn this_arch() -> Option<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Arch::Amd64),
        "aarch64" => Some(Arch::Arm64),
        "arm" => Some(Arch::Armhf),
        _ => None,
    }
}

impl Catalog {
    /// The catalog in `folder`, which is made when something is taken. A list that can't be read is said and put aside.
    pub fn open(folder: &Path, arch: Option<Arch>) -> Self {
        let _ = fs::remove_dir_all(folder.join(INCOMING));
        let list = read_or_put_aside(&folder.join(LIST), "the catalog is empty now: add the apps again");
        Self { folder: folder.to_owned(), arch, list: Mutex::new(list), known: Mutex::default(), receiving: Mutex::new(()) }
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blobs(&self) -> PathBuf {
        self.folder.join(BLOBS)
    }

    /// Where a blob lies, if it is there.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// What this machine is.
    pub fn arch(&self) -> Option<Arch> {
        self.arch
    }

    /// All apps, by name.
    pub fn entries(&self) -> Vec<Entry> {
        self.list().values().cloned().collect()
    }

    /// The app of that name.
    pub fn get(&self, name: &str) -> Option<Entry> {
        self.list().get(name).cloned()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, Digest, Digest), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an app's `app.toml` says.
    ///
    /// # Errors
    /// Its blob is gone or damaged.
    pub fn facts(&self, entry: &Entry) -> Result<Arc<App>, Refused> {
        Ok(self.read(entry)?.0)
    }

    /// What people meet of an app.
    ///
    /// # Errors
    /// As [`Self::facts`].
    pub fn face(&self, entry: &Entry) -> Result<Arc<Face>, Refused> {
        Ok(self.read(entry)?.1)
    }

    fn read(&self, entry: &Entry) -> Result<Known, Refused> {
        let key = (entry.name.clone(), entry.facts.clone(), entry.index.clone());
        let known = self.known().get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let app = walk::facts(&entry.name, &self.facts_text(entry)?)?;
        let face = Face::of(&app, entry.index.to_string());
        let known = (Arc::new(app), Arc::new(face));
        self.known().insert(key, known.clone());
        Ok(known)
    }

    /// The text of an app's `app.toml`, from the disk.
    ///
    /// # Errors
    /// Its blob is gone or damaged.
    pub fn facts_text(&self, entry: &Entry) -> Result<String, Refused> {
        let path = self.blob(&entry.facts);
        let damaged = |why: String| Refused::App { app: entry.name.clone(), why };
        let bytes = fs::read(&path).map_err(Refused::io(format!("reading `{}`", path.display())))?;
        if Digest::of(&bytes) != entry.facts {
            return Err(damaged("its facts are damaged on this node's disk".to_owned()));
        }
        String::from_utf8(bytes).map_err(|_| damaged("its facts are no text".to_owned()))
    }

    /// Takes all apps of an image layout that comes as a tar, or none: their names. `kept` says what else must stay.
    ///
    /// # Errors
    /// See [`Refused`]; the catalog is as it was.
    pub fn take(&self, tar: impl Read, kept: impl FnOnce() -> Vec<Entry>) -> Result<Vec<String>, Refused> {
        self.take_if(tar, |_| Ok(()), kept)
    }

    /// Takes one app in one version, or nothing: whatever else is in the tar is refused.
    ///
    /// # Errors
    /// See [`Refused`]; the catalog is as it was.
    pub fn take_app(&self, tar: impl Read, name: &str, index: &Digest, kept: impl FnOnce() -> Vec<Entry>) -> Result<(), Refused> {
        let wanted = |found: &[Entry]| match found {
            [one] if one.name == name && one.index == *index => Ok(()),
            others => {
                let found = others.iter().map(|entry| format!("`{}` ({})", entry.name, entry.index)).collect::<Vec<_>>().join(", ");
                Err(Refused::Other { wanted: name.to_owned(), found })
            }
        };
        self.take_if(tar, wanted, kept).map(drop)
    }

    fn take_if(
        &self,
        tar: impl Read,
        may: impl FnOnce(&[Entry]) -> Result<(), Refused>,
        kept: impl FnOnce() -> Vec<Entry>,
    ) -> Result<Vec<String>, Refused> {
        let arch = self.arch.ok_or(Refused::Machine)?;
        let _one = self.receiving.try_lock().map_err(|_| Refused::Busy)?;
        let incoming = self.folder.join(INCOMING);
        let taken = self.receive(tar, &incoming, arch, may);
        let _ = fs::remove_dir_all(&incoming);
        let taken = taken?;
        let mut next = self.list().clone();
        let names = taken.iter().map(|entry| entry.name.clone()).collect();
        next.extend(taken.into_iter().map(|entry| (entry.name.clone(), entry)));
        self.keep(next, &kept())?;
        Ok(names)
    }

    /// Receives into `incoming`; whole blobs of the apps then stand under their names.
    fn receive(
        &self,
        tar: impl Read,
        incoming: &Path,
        arch: Arch,
        may: impl FnOnce(&[Entry]) -> Result<(), Refused>,
    ) -> Result<Vec<Entry>, Refused> {
        let _ = fs::remove_dir_all(incoming);
        for folder in [incoming, &self.blobs()] {
            fs::create_dir_all(folder).map_err(Refused::io(format!("making `{}`", folder.display())))?;
        }
        let room = |needed: u64| room(&self.folder, needed);
        let received = receive::receive(tar, incoming, &self.blobs(), &room)?;
        let entries = walk::entries(&received, arch)?;
        may(&entries)?;
        // Blobs first, then the list that names them.
        let wanted: BTreeSet<&Digest> = entries.iter().flat_map(|entry| entry.blobs.keys()).collect();
        for digest in wanted {
            let (from, to) = (incoming.join(digest.hex()), self.blob(digest));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => {}
                moved => moved.map_err(Refused::io(format!("moving a blob to `{}`", to.display())))?,
            }
        }
        let synced = fs::File::open(self.blobs()).and_then(|folder| folder.sync_all());
        synced.map_err(Refused::io(format!("syncing `{}`", self.blobs().display())))?;
        Ok(entries)
    }

    /// Takes an app out of the list; whether it was there. What an installed app needs stays.
    ///
    /// # Errors
    /// The list could not be kept.
    pub fn forget(&self, name: &str, kept: impl FnOnce() -> Vec<Entry>) -> Result<bool, Refused> {
        let _one = self.receiving.try_lock().map_err(|_| Refused::Busy)?;
        let mut next = self.list().clone();
        let there = next.remove(name).is_some();
        if there {
            self.keep(next, &kept())?;
        }
        Ok(there)
    }

    /// Removes what nothing names any more; not while something is being received.
    pub fn clean(&self, kept: &[Entry]) {
        let Ok(_one) = self.receiving.try_lock() else { return };
        self.remove_unnamed(kept);
    }

    /// Keeps the list, and removes what neither it nor `kept` names.
    fn keep(&self, next: BTreeMap<String, Entry>, kept: &[Entry]) -> Result<(), Refused> {
        let bytes = serde_json::to_vec(&next).map_err(|error| Refused::Kept(error.to_string()))?;
        write_whole(&self.folder.join(LIST), &bytes, 0o640).map_err(|error| Refused::Kept(format!("{error:#}")))?;
        *self.list() = next;
        self.remove_unnamed(kept);
        Ok(())
    }

    fn remove_unnamed(&self, kept: &[Entry]) {
        let named = named(self.list().values().chain(kept));
        self.known().retain(|(_, facts, index), _| named.contains(facts.hex()) && named.contains(index.hex()));
        let Ok(folder) = fs::read_dir(self.blobs()) else { return };
        for file in folder.flatten().filter(|file| !file.file_name().to_str().is_some_and(|name| named.contains(name))) {
            if let Err(error) = fs::remove_file(file.path()) {
                log::warn!("`{}` is not needed any more and can't be removed: {error}", file.path().display());
            }
        }
    }
}

/// The files that these apps need.
fn named<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<String> {
    entries.flat_map(|entry| entry.blobs.keys()).map(|digest| digest.hex().to_owned()).collect()
}

/// Whether there is room for so many bytes beside what the node itself needs.
fn room(folder: &Path, needed: u64) -> Result<(), Refused> {
    let doing = || format!("asking how much is free at `{}`", folder.display());
    let free = crate::host::free(folder).map_err(|error| Refused::Io { doing: doing(), source: error.into() })?;
    fits(needed, free)
}

/// Whether so many bytes fit into what is free, beside what the node itself needs (pure).
pub fn fits(needed: u64, free: u64) -> Result<(), Refused> {
    let spare = CATALOG_SPARE_BYTES;
    if free.saturating_sub(spare) < needed { Err(Refused::Room { needed, free, spare }) } else { Ok(()) }
}

#[cfg(test)]
pub mod tests;
