//! The replicated registry as it runs: a thread that owns this node's copy of all records, since it syncs to disk.
//!
//! Architecture invariant: nobody waits for anybody in a circle. The driver never waits for the thread, the thread
//! never waits for the driver; what finds a queue full is dropped or refused, as on a network.

mod app_image;
mod apps;
mod blobs;
mod catalogs;
mod copy;
mod facts;
mod file;
mod hidden;
mod keeper;
mod messages;
mod owned;
mod service;
mod services;
mod view;

pub use app_image::AppImage;
#[cfg(test)]
pub use app_image::tests::an_app;
pub use apps::AppChanged;
pub use blobs::{BlobFacts, BlobSearch, Form, Holder, MAX_BLOB_BYTES, MAX_TOLD, PART_BYTES, is_hash, most_say};
#[cfg(test)]
pub use catalogs::tests::some_news;
pub use catalogs::{CatalogNews, MAX_CATALOGS, ToldCatalog};
pub use facts::Machine;
pub use hidden::{HiddenMark, Hide, Lens, ServiceRef, admins, check_reason};
pub use messages::{NotSent, Standing, kind};
pub use service::{Draft, Health as ServiceHealth, Service, check_key, is_plain};
#[cfg(test)]
pub use services::MAX_PAGE as SERVICES_PAGE;
pub use services::{Listed, Page, Search};
pub use view::{Changed, OwnPhase, RegistryView};

pub(super) use facts::Facts;

use cluster::{
    CommunityId, Millis, NodeId,
    messages::frame::frame as messages_frame,
    records::{self, Change, Order, Ownership, WriteError},
};
use copy::Copy;
use keeper::{Input, Keeper, Told};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Inputs waiting for the thread; datagrams beyond are dropped, others wait or are refused.
const INPUT_QUEUE: usize = 256;
/// What the thread wants sent and is not sent yet.
const OUTPUT_QUEUE: usize = 256;
/// Changes that a slow watcher may be behind before it is told that it missed some.
const CHANGE_QUEUE: usize = 256;
/// How long the thread may take to keep what is not on disk yet when the agent stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the thread wants done on the network.
#[derive(Debug)]
pub(super) enum Output {
    /// Send a datagram.
    Datagram { to: NodeId, bytes: Vec<u8> },
    /// What is shown of the registry has changed.
    Shown,
    /// Ask a member over a stream, and give the answer back by [`Registry::answered`].
    Ask { to: NodeId, about: About, id: u64, frame: Vec<u8> },
}

/// What a frame between members is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Records.
    Records,
    /// Directed messages.
    Messages,
}

/// Where outputs go.
pub(super) type Outputs = mpsc::Sender<Output>;

/// What the thread is started with.
pub(super) struct Config {
    /// The network part's folder.
    pub folder: PathBuf,
    /// The node's secret key.
    pub seed: [u8; 32],
    /// The community.
    pub community: CommunityId,
    /// The owner that certified this node, if one did.
    pub ownership: Option<Ownership>,
    /// Feeds random choices.
    pub random: u64,
}

/// Why nothing came of a wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The database can't be opened.
    #[error("this node's records can't be read at present: {0}")]
    Closed(String),
    /// It was refused.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// This node leaves its community, or the agent stops.
    #[error("this node's records are being closed")]
    Gone,
}

/// The running registry. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Registry {
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<RegistryView>,
    changes: broadcast::Sender<Changed>,
    app_changes: broadcast::Sender<AppChanged>,
    messages: watch::Sender<u64>,
}

/// Makes the queue of outputs.
pub(super) fn outputs() -> (Outputs, mpsc::Receiver<Output>) {
    mpsc::channel(OUTPUT_QUEUE)
}

impl About {
    /// What is answered where nothing can be taken now.
    fn busy(self) -> Vec<u8> {
        match self {
            Self::Records => records::exchange::frame(&records::exchange::Answer::Busy),
            Self::Messages => messages_frame(&cluster::messages::frame::Answer::Busy),
        }
    }
}

impl Registry {
    /// Starts the thread. The database is opened there: a large one takes its time.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub(super) fn start(config: Config, outputs: Outputs) -> std::io::Result<Self> {
        let (inputs, waiting) = mpsc::channel(INPUT_QUEUE);
        let (view_sender, view) = watch::channel(RegistryView::default());
        let (changes, _) = broadcast::channel(CHANGE_QUEUE);
        let (app_changes, _) = broadcast::channel(CHANGE_QUEUE);
        let messages = watch::Sender::new(0);
        let told = Told { view: view_sender, changes: changes.clone(), app_changes: app_changes.clone(), messages: messages.clone() };
        let keeper = Keeper::new(config, waiting, outputs, told);
        std::thread::Builder::new().name("records".to_owned()).spawn(move || keeper.run())?;
        Ok(Self { inputs, view, changes, app_changes, messages })
    }

    /// What is shown of it now.
    pub fn view(&self) -> RegistryView {
        self.view.borrow().clone()
    }

    /// Changes as they come.
    pub fn watch(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// Lets the thread work with the copy and waits for what came of it. It must be quick: everything else waits.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(super) async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Copy, Millis) -> T + Send + 'static) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |copy: &mut Copy, now: Millis| drop(reply.send(work(copy, now))));
        self.inputs.send(Input::With(work)).await.map_err(|_| Refused::Gone)?;
        answer.await.map_err(|_| self.closed())
    }

    /// Changes this node's records, all or nothing. When this answers, they are on disk.
    ///
    /// # Errors
    /// See [`Refused`]; nothing of it was done.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<Order, Refused> {
        self.with(move |copy, now| copy.write(now, &changes)).await?.map_err(Refused::Write)
    }

    /// The members that were heard to hold this view, this node among them: ids in hexadecimal.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn holders(&self) -> Result<Vec<String>, Refused> {
        self.with(|copy, _| copy.holders().iter().map(NodeId::hex).collect()).await
    }

    fn closed(&self) -> Refused {
        self.view.borrow().problem.clone().map_or(Refused::Gone, Refused::Closed)
    }

    /// Who is admitted, and the roster's digest.
    pub(super) fn set_members(&self, members: BTreeSet<NodeId>, context: [u8; 32]) -> bool {
        self.inputs.try_send(Input::Members { members, context }).is_ok()
    }

    /// Who is there, and who is linked.
    pub(super) fn set_peers(&self, alive: Vec<NodeId>, linked: Vec<NodeId>) -> bool {
        self.inputs.try_send(Input::Peers { alive, linked }).is_ok()
    }

    /// A datagram of a member; dropped if too many wait.
    pub(super) fn datagram(&self, from: NodeId, bytes: Vec<u8>) {
        let _dropped = self.inputs.try_send(Input::Datagram { from, bytes });
    }

    /// A member asks over a stream; the answer is one frame.
    pub(super) fn question(&self, from: NodeId, about: About, frame: Vec<u8>, reply: oneshot::Sender<Vec<u8>>) {
        if let Err(full) = self.inputs.try_send(Input::Question { from, about, frame, reply })
            && let Input::Question { reply, .. } = full.into_inner()
        {
            let _gone = reply.send(about.busy());
        }
    }

    /// What came of an [`Output::Ask`].
    pub(super) async fn answered(&self, about: About, id: u64, frame: Option<Vec<u8>>) {
        let _gone = self.inputs.send(Input::Answered { about, id, frame }).await;
    }

    /// Keeps what is not on disk yet and ends the thread; `forget` removes the database.
    pub(super) async fn stop(self, forget: bool) {
        let (reply, answer) = oneshot::channel();
        let stopped = async {
            if self.inputs.send(Input::Stop { forget, reply }).await.is_ok() {
                let _gone = answer.await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, stopped).await.is_err() {
            log::warn!("closing this node's records took too long");
        }
    }
}
