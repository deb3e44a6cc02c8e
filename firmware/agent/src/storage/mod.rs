//! Disks beside the node's own, on which apps may keep their data: `docs/storage.md`.
//!
//! ```text
//! facts: sysfs, mountinfo, udev ─▶ rules (pure) ─┬▶ keep: asks the root unit, stops and starts apps
//!        a person prepares, takes away ──────────┘        cloudy-disk@ASK.service ─▶ root: judges again, writes, mounts
//! ```
//! Architecture invariant: the disk of this system is never prepared, whoever asks; the root unit judges by what it sees itself.

pub mod facts;
mod keep;
mod root;
mod rules;

pub use facts::{Mounted, Places};
pub use keep::keep;
pub use root::run;
pub use rules::{NotPrepared, Placed};

use crate::settings::{read_or_put_aside, read_whole, write_whole};
use crate::units::{self, Systemd};
use contract::guid::Guid;
use contract::storage::{DiskId, is_name};
use rand::RngExt;
use rules::Ask;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::sync::Mutex;

/// Disks that are known, below the data folder.
const FILE: &str = "storage.json";

/// Disks that this node uses; others of ours are not mounted until an owner says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Known {
    /// Their names.
    pub disks: BTreeMap<DiskId, String>,
}

/// What the root unit says of a disk, below [`contract::storage::MOUNTS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Said {
    /// Of the disk as it was plugged in then; of each, where several say that they are the same.
    pub sequences: Vec<String>,
    /// How it is.
    pub how: SaidHow,
    /// Why, in a sentence with the mend.
    pub why: String,
}

/// How a disk is that is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaidHow {
    /// It may be unplugged.
    Ejected,
    /// It can't be used.
    Wrong,
}

/// How a disk is for apps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DiskState {
    /// This node's system is on it.
    System,
    /// It can be prepared.
    Free,
    /// It can't be prepared; `wrong` says why.
    Refused,
    /// It was prepared by another node: it can be used here once an owner says so.
    Strange,
    /// It was plugged in and is looked at.
    Coming,
    /// Apps may keep their data on it.
    Ready,
    /// It is in its place and takes nothing more that is written; `wrong` says so.
    ReadOnly,
    /// It may be unplugged.
    Ejected,
    /// It can't be used; `wrong` says why.
    Wrong,
    /// It is not plugged in, and apps wait for it.
    #[default]
    Missing,
}

/// A disk as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct DiskView {
    /// Which disk it is, once it was prepared.
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub id: Option<DiskId>,
    /// What it is called, likewise.
    pub name: Option<String>,
    /// How it is.
    pub state: DiskState,
    /// Its path, such as `/dev/sda`; empty while it is not plugged in.
    pub disk: String,
    /// What it is known by until it is unplugged: who prepares it says it, so that no other disk is written.
    pub mark: String,
    /// Maker and model.
    pub model: String,
    /// Its size.
    pub bytes: u64,
    /// Its serial number, as far as it says one.
    pub serial: String,
    /// How it is attached: `usb`, `ata`, …
    pub bus: String,
    /// The file systems on it.
    pub holds: Vec<String>,
    /// Bytes that are free, where it is in use.
    pub free_bytes: Option<u64>,
    /// Apps whose data lie on it.
    pub apps: Vec<String>,
    /// Why it can't be used, with the mend.
    pub wrong: Option<String>,
}

/// `GET /api/v1/storage`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct StorageView {
    /// The disks of this node, and those that apps wait for.
    pub disks: Vec<DiskView>,
}

/// A disk that shall be prepared: `POST /api/v1/storage`. All that is on it is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DiskPrepare))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrepareWish {
    /// The disk: `/dev/sda`.
    pub disk: String,
    /// Its mark, as it was seen.
    pub mark: String,
    /// What it shall be called: 16 letters and digits at most.
    pub name: String,
    /// Whether all that is on it may be lost.
    #[serde(default)]
    pub erase: bool,
}

/// What can be done with a disk that was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DiskAction))]
#[serde(rename_all = "kebab-case")]
pub enum DiskAction {
    /// Use it, though another node prepared it, or after it was to be unplugged.
    Use,
    /// Stop the apps whose data lie on it, and unmount it.
    Eject,
    /// Mend a file system that is damaged, as well as can be.
    Repair,
    /// Count what apps kept on one that is lost as lost: they can be restored from backups then.
    Forget,
}

/// Why nothing was done with a disk.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// The name.
    #[error("a disk's name has 16 letters and digits at most, and may have blanks, `-`, `_` and `.` between them")]
    Name,
    /// Another has it.
    #[error("another disk is called `{0}`: choose another name")]
    Named(String),
    /// Nobody said that all may be lost.
    #[error("all that is on the disk would be lost: say that it may be")]
    Erase,
    /// It must not be prepared.
    #[error(transparent)]
    Refused(#[from] NotPrepared),
    /// There is no such disk.
    #[error("no disk with that id is plugged in")]
    Absent,
    /// It is not so that this can be done.
    #[error("{0}")]
    State(String),
    /// It can't be written down.
    #[error("it can't be kept: {0}")]
    NotKept(String),
    /// The root unit did not do it.
    #[error("{0}")]
    Unit(String),
    /// systemd.
    #[error(transparent)]
    Systemd(#[from] units::Error),
}

/// The disks of this node.
pub struct Storage {
    file: PathBuf,
    places: Places,
    /// The kernel's name of the disk that this system was started from.
    running: Option<String>,
    systemd: Arc<Systemd>,
    known: StdMutex<Known>,
    /// One thing at a time is done with disks.
    one: Mutex<()>,
    /// Apps that were started since their disk came.
    tried: StdMutex<BTreeSet<String>>,
}

impl Storage {
    /// Of the node whose data lie there. `running` is the disk that it was started from, where this is an image.
    pub fn open(data: &Path, running: Option<&str>, systemd: Arc<Systemd>, places: Places) -> Self {
        let file = data.join(FILE);
        let known = read_or_put_aside(&file, "no disk is known any more: an owner says anew which are used");
        let running = running.map(|disk| disk.strip_prefix("/dev/").unwrap_or(disk).to_owned());
        Self { file, places, running, systemd, known: StdMutex::new(known), one: Mutex::new(()), tried: StdMutex::default() }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a disk is called.
    pub fn name(&self, id: DiskId) -> String {
        self.known().disks.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Whether apps may keep their data there now.
    pub fn is_ready(&self, id: DiskId) -> bool {
        self.places.usable(id).is_some() && self.places.mounted(id).is_some_and(|mounted| !mounted.only_read)
    }

    /// The disks as they are now. `placed` are the apps whose data lie on one. It waits for the disk.
    ///
    /// # Errors
    /// Nobody can say which there are: that is not that there are none.
    pub fn view(&self, placed: &BTreeMap<String, DiskId>) -> Result<(StorageView, BTreeMap<DiskId, Mounted>), NotDone> {
        let all = self.places.look().map_err(|error| NotDone::State(format!("nobody can say which disks there are: {error}")))?;
        let known = self.known();
        let ids: BTreeSet<DiskId> =
            all.iter().filter_map(|seen| seen.ours()).map(|(id, _)| id).chain(known.disks.keys().copied()).collect();
        let mounted = self.places.all_mounted(ids.iter().copied());
        let said = ids.iter().filter_map(|id| Some((*id, self.said(*id)?))).collect();
        let mut disks = rules::views(&all, self.running.as_deref(), &known, &mounted, &said, placed);
        for disk in disks.iter_mut().filter(|disk| disk.state == DiskState::Ready) {
            disk.free_bytes = disk.id.and_then(|id| crate::host::free(&self.places.folder(id)).ok());
        }
        Ok((StorageView { disks }, mounted))
    }

    fn said(&self, id: DiskId) -> Option<Said> {
        read_whole(&said_file(&self.places.mounts, id)).ok().flatten()
    }

    /// Notes that a disk is used here.
    fn note(&self, id: DiskId, name: &str) -> Result<(), NotDone> {
        let mut known = self.known();
        known.disks.insert(id, name.to_owned());
        let bytes = serde_json::to_vec(&known).map_err(|error| NotDone::NotKept(error.to_string()))?;
        write_whole(&self.file, &bytes, 0o600).map_err(|error| NotDone::NotKept(format!("{error:#}")))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Asks the root unit, and waits until it is done.
    async fn ask(&self, ask: &Ask) -> Result<(), NotDone> {
        let done = self.systemd.start_disk(&ask.unit()).await;
        let why = self.said(ask.id()).filter(|said| said.how == SaidHow::Wrong).map(|said| said.why);
        match (done, why) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(why)) => Err(NotDone::Unit(why)),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Makes a disk one of ours, to the end, whoever hangs up meanwhile. Which it will be is written down before anything is done, so that
    /// it is used from the moment on when it is finished.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn prepare(self: &Arc<Self>, apps: &Arc<crate::apps::Apps>, wish: PrepareWish) -> Result<(), NotDone> {
        let PrepareWish { disk, mark, name, erase } = wish;
        let name = name.trim().to_owned();
        if !is_name(&name) {
            return Err(NotDone::Name);
        }
        if !erase {
            return Err(NotDone::Erase);
        }
        let (storage, apps) = (Arc::clone(self), Arc::clone(apps));
        let done = tokio::spawn(async move {
            let _one = storage.one.lock().await;
            if storage.known().disks.values().any(|other| *other == name) {
                return Err(NotDone::Named(name));
            }
            let disk = disk.strip_prefix("/dev/").unwrap_or(&disk).to_owned();
            let all = storage.places.look().map_err(|error| NotDone::State(error.to_string()))?;
            let on = rules::on(rules::meant(&all, &disk, &mark, storage.running.as_deref())?, &apps.places());
            if !on.is_empty() {
                let why = "the data of these apps lie on the disk: move them back, or remove them with their data, before it is erased";
                return Err(NotDone::State(format!("{why}: {}", on.join(", "))));
            }
            let id = DiskId(Guid::from_random(rand::rng().random()));
            storage.note(id, &name)?;
            let done = storage.ask(&Ask::Prepare { disk, mark, id, name }).await;
            match done {
                Ok(()) => storage.ask(&Ask::Mount(id)).await,
                Err(error) => {
                    // Where the unit did not end, the disk may be finished yet.
                    if matches!(error, NotDone::Unit(_)) {
                        storage.forget(id);
                    }
                    Err(error)
                }
            }
        });
        done.await.map_err(|error| NotDone::State(error.to_string()))?
    }

    /// A disk that was not made after all.
    fn forget(&self, id: DiskId) {
        let mut known = self.known();
        known.disks.remove(&id);
        let written = serde_json::to_vec(&known).map_err(anyhow::Error::from).and_then(|bytes| write_whole(&self.file, &bytes, 0o600));
        if let Err(error) = written {
            log::warn!("a disk that there is not stays noted: {error:#}");
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Has what was put aside on a disk taken away.
    pub async fn tidy(&self, id: DiskId) {
        if let Err(error) = self.ask(&Ask::Tidy(id)).await {
            log::warn!("what was put aside on the disk `{}` stays until it is mounted anew: {error}", self.name(id));
        }
    }
}

/// Where the root unit says how a disk is.
fn said_file(mounts: &Path, id: DiskId) -> PathBuf {
    mounts.join(format!("{id}.json"))
}
