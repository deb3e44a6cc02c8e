//! Apps on this node: the catalog, what is installed, and the jobs that change it.
//!
//! ```text
//! cloudy app add ─▶ catalog ─┬▶ wishes (checked) ─▶ record ─▶ drive: plan decides, the broker acts ─▶ record
//! a form, a compose file ─▶ own ─┘
//! ```
//! Architecture invariant: what a job does is decided by `plan` from what is recorded and seen; it is recorded before the next step.

mod asked;
mod backup;
mod by_hand;
pub mod catalog;
mod changes;
mod drive;
mod face;
mod follow;
mod hosted;
mod own;
mod places;
mod plan;
mod ports;
mod publish;
mod record;
pub mod registry;
mod shared;
mod shown;
#[cfg(test)]
pub mod tests;
pub mod typed;
mod uses;
mod wishes;

pub use asked::{Asked as JobAsked, asked_by};
pub use backup::{BackupKey, BackupView, BackupWish, Key, KeyView, NewKey, NotAKey, RestoreWish};
pub use by_hand::{AdoptWish, HandView};
#[cfg(test)]
pub use changes::tests::an_update;
pub use changes::{Change, Part, UpdateView};
pub use face::Face;
pub use follow::{Following, LogNews};
pub use hosted::{Bar, NOT_NOW};
pub use own::NotSaved;
pub use places::JobPlace;
pub use plan::Kind as JobKind;
pub use ports::Refused as PortRefused;
pub use publish::NotPublished;
use publish::Watched;
pub use record::Publication;
#[cfg(test)]
pub use shared::tests::found as a_found_app;
pub use shared::{AppSource, FoundApp, NotShared, Shelf};
pub use shown::{AppView, AskedView, CatalogView, Changeable, JobView, OwnDetails, OwnView, PortView};
pub use uses::UseView;
pub use wishes::{Refused, Wish};

use crate::blobs::Blobs;
use crate::broker::{self, Projects, Request};
use crate::limits::{APPS_MAX_AGE, USES_MAX_AGE};
use crate::sampled::Sampled;
use crate::storage::Places;
use crate::units::{DOCKER_UNIT, Systemd};
use catalog::{Catalog, Entry};
use contract::storage::DiskId;
use follow::Followed;
use own::OwnApps;
use record::{Kept, What};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use uses::Uses;

/// What is kept, below the agent's data folder.
const FOLDER: &str = "apps";

/// What is known of a job while it runs, and of no use after a restart.
#[derive(Clone, Debug, Default)]
struct Live {
    /// How far its step is.
    progress: Option<broker::Progress>,
    /// What it waits for.
    waits: Option<String>,
}

/// The apps of this node.
pub struct Apps {
    file: PathBuf,
    broker: PathBuf,
    catalog: Arc<Catalog>,
    own: OwnApps,
    blobs: Arc<Blobs>,
    backup_key: BackupKey,
    systemd: Arc<Systemd>,
    /// Ports of the node's own, with what is said of them.
    own_ports: Mutex<Vec<(u16, String)>>,
    kept: Mutex<Kept>,
    /// Held while something is written, which waits for the disk; `kept` itself never is.
    altering: Mutex<()>,
    live: Mutex<BTreeMap<u64, Live>>,
    seen: Sampled<Result<Projects, String>>,
    uses: Uses,
    followed: Followed,
    /// Something has changed that published services depend on.
    changed: Notify,
    /// A job is not as it was.
    told: watch::Sender<()>,
    /// The agent ends: jobs are left as they are recorded.
    leaving: AtomicBool,
    /// Apps that must not start.
    barred: Mutex<BTreeMap<String, Bar>>,
    /// Held while somebody says what becomes of what was made by hand.
    by_hand: tokio::sync::Mutex<()>,
    /// Apps that wait for their disk, with what is said of it.
    waiting: Mutex<BTreeMap<String, String>>,
    /// What is told of those that are published depends on what was seen before.
    watched: Mutex<Watched>,
    /// Disks on which something was put aside.
    untidy: Mutex<BTreeSet<DiskId>>,
    /// Where disks are mounted.
    disks: Places,
}

impl Apps {
    /// Opens what is kept below `data`. `pages` are the addresses of the node's page, `registry` that of the registry on loopback; backups
    /// are kept among the `blobs`.
    pub fn open(
        data: &Path,
        broker: PathBuf,
        blobs: Arc<Blobs>,
        systemd: Arc<Systemd>,
        pages: &[SocketAddr],
        registry: SocketAddr,
    ) -> Self {
        let folder = data.join(FOLDER);
        let mut own_ports: Vec<(u16, String)> = pages.iter().map(|page| (page.port(), "this node's page".to_owned())).collect();
        own_ports.push((registry.port(), "this node's registry of images".to_owned()));
        let file = folder.join("apps.json");
        let kept = Kept::load(&file);
        let catalog = Catalog::open(&folder.join("catalog"), catalog::this_arch());
        catalog.clean(&kept.entries());
        Self {
            file,
            broker,
            catalog: Arc::new(catalog),
            own: OwnApps::open(&folder.join("own.json")),
            blobs,
            backup_key: BackupKey::open(&folder.join("backup-key.json")),
            systemd,
            own_ports: Mutex::new(own_ports),
            kept: Mutex::new(kept),
            altering: Mutex::new(()),
            live: Mutex::default(),
            seen: Sampled::new(APPS_MAX_AGE),
            uses: Uses::new(USES_MAX_AGE),
            followed: Followed::default(),
            changed: Notify::new(),
            told: watch::Sender::new(()),
            leaving: AtomicBool::new(false),
            barred: Mutex::default(),
            by_hand: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            untidy: Mutex::default(),
            watched: Mutex::default(),
            disks: Places::default(),
        }
    }

    /// Records nothing of jobs any more: what becomes of their steps from now on is the agent's end, and not theirs.
    pub fn leave_jobs(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Keeps a port for the node's own use. Not if an app that is installed has it: that app was here first.
    pub fn keep_port(&self, port: u16, what: &str) -> bool {
        let taken = self.has_port(port);
        if !taken {
            self.own_ports.lock().unwrap_or_else(PoisonError::into_inner).push((port, what.to_owned()));
        }
        !taken
    }

    /// Whether an app that is installed has a port.
    pub fn has_port(&self, port: u16) -> bool {
        self.kept().with_ports().any(|(_, app)| app.choices.ports.values().any(|its| *its == port))
    }

    /// The ports of the node's own: its page, its registry.
    pub fn node_ports(&self) -> Vec<u16> {
        self.own_ports.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(port, _)| *port).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept; it is on the disk when this returns, which may take a while. Where that fails, nothing is changed.
    fn alter<T>(&self, change: impl FnOnce(&mut Kept) -> Result<T, Refused>) -> Result<T, Refused> {
        let _one = self.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.kept().clone();
        let mut next = now.clone();
        let out = change(&mut next)?;
        if next != now {
            next.save(&self.file).map_err(|error| Refused::NotKept(format!("{error:#}")))?;
            *self.kept() = next;
            self.told.send_replace(());
        }
        Ok(out)
    }

    /// Does what waits for the disk on a thread of its own: the agent's one thread has neighbours to answer.
    ///
    /// # Errors
    /// The agent ends.
    pub async fn in_background<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let apps = Arc::clone(self);
        tokio::task::spawn_blocking(asked::carried(move || work(&apps))).await
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is known of a job while it runs, and tells those who watch it.
    fn say(&self, id: u64, note: impl FnOnce(&mut Live)) {
        note(self.live().entry(id).or_default());
        self.told.send_replace(());
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What the catalog must keep for apps that are installed.
    pub fn in_use(&self) -> Vec<Entry> {
        self.kept().entries()
    }

    /// What there is under a name: the app of the catalog, the one that is installed from there, and whether a person saved an own app so.
    pub fn under(&self, name: &str) -> (Option<Entry>, Option<Entry>, bool) {
        let installed = self.kept().apps.get(name).and_then(|its| its.entry().cloned());
        (self.catalog.get(name), installed, self.own.get(name).is_some())
    }

    /// Apps of the catalog that are installed and use the store, with their users' numbers. Facts that were never read wait for the disk.
    pub async fn that_use_the_store(self: &Arc<Self>) -> BTreeMap<String, u32> {
        let its = |apps: &Arc<Self>| {
            let installed: Vec<(String, Entry)> =
                apps.kept().apps.iter().filter_map(|(name, its)| Some((name.clone(), its.entry()?.clone()))).collect();
            let uses = |(name, entry): (String, Entry)| {
                let facts = apps.catalog.facts(&entry).ok().filter(|facts| facts.store && facts.name == name)?;
                Some((name, facts.run.uid))
            };
            installed.into_iter().filter_map(uses).collect()
        };
        self.in_background(its).await.unwrap_or_default()
    }

    /// What people meet of an app. Facts that were never read wait for the disk.
    fn face(&self, name: &str, what: &What) -> Result<Arc<Face>, Refused> {
        match what {
            What::Entry(entry) => Ok(self.catalog.face(entry)?),
            What::Own(own) => Ok(self.own.read(name, &own.saved.definition)?.0),
        }
    }

    /// What would be installed under that name now: what a person saved, or an app of the catalog.
    fn found(&self, name: &str) -> Option<What> {
        let own = self.own.get(name).map(|saved| What::Own(Box::new(record::Own { saved, again: false })));
        own.or_else(|| self.catalog.get(name).map(What::Entry))
    }

    /// Asks the broker what reaches Docker. A stopped Docker is not asked: that would start it, against the owner's wish.
    async fn ask_docker<T: DeserializeOwned>(&self, request: &Request) -> Result<T, String> {
        if self.systemd.is_stopped(DOCKER_UNIT).await {
            return Err(format!(
                "Docker does not run: the button on this node's first page starts it, or `cloudy unit start {DOCKER_UNIT}`"
            ));
        }
        broker::ask(&self.broker, request, |_| ()).await.map_err(|error| error.to_string())
    }

    /// How apps are, asked now.
    async fn look(&self) -> Result<Projects, String> {
        self.ask_docker(&Request::Projects {}).await
    }

    /// How apps are, as it was seen a few seconds ago at most. Where there are none, nobody is asked.
    async fn seen(&self) -> Result<Projects, String> {
        let any = { !self.kept().apps.is_empty() };
        if any { self.seen.get(async || self.look().await).await } else { Ok(Projects::new()) }
    }

    /// What an app said last.
    ///
    /// # Errors
    /// It is not installed, or Docker can't be asked.
    pub async fn logs(&self, app: &str, lines: u32) -> Result<String, Refused> {
        if !self.kept().apps.contains_key(app) {
            return Err(Refused::NotInstalled(app.to_owned()));
        }
        self.ask_docker(&Request::Logs { app: app.to_owned(), lines }).await.map_err(Refused::Docker)
    }
}
