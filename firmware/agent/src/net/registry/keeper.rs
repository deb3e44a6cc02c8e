//! The thread: it feeds the replica and passes on what that wants.

use super::{About, AppChanged, Changed, Config, Copy, Output, Outputs, RegistryView, file::DatabaseFile, owned};
use cluster::{
    Millis, NodeId,
    keys::Key,
    messages,
    records::{Kind, view::Root},
    store::{Batch, RedbStore, Store, StoreError, Sync},
};
use data_encoding::HEXLOWER;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::timeout,
};

/// After a failed attempt to open the database.
const OPEN_AGAIN: Duration = Duration::from_secs(10);
/// The longest sleep, so that a wake far in the future is no overflow.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Something to do with the copy.
pub type Work = Box<dyn FnOnce(&mut Copy, Millis) + Send>;

/// What comes to the thread.
pub enum Input {
    /// Who is admitted.
    Members { members: BTreeSet<NodeId>, context: [u8; 32] },
    /// Who is there, and who is linked.
    Peers { alive: Vec<NodeId>, linked: Vec<NodeId> },
    /// A datagram of a member.
    Datagram { from: NodeId, bytes: Vec<u8> },
    /// A member asks.
    Question { from: NodeId, about: About, frame: Vec<u8>, reply: oneshot::Sender<Vec<u8>> },
    /// What came of a question.
    Answered { about: About, id: u64, frame: Option<Vec<u8>> },
    /// A look or a write.
    With(Work),
    /// The last thing.
    Stop { forget: bool, reply: oneshot::Sender<()> },
}

/// Where the thread tells what happens.
pub struct Told {
    /// What is shown of it.
    pub view: watch::Sender<RegistryView>,
    /// Records that changed.
    pub changes: broadcast::Sender<Changed>,
    /// What apps say.
    pub app_changes: broadcast::Sender<AppChanged>,
    /// A message came, or has its outcome.
    pub messages: watch::Sender<u64>,
}

/// What the thread owns beside the copy.
pub struct Keeper {
    config: Config,
    inputs: mpsc::Receiver<Input>,
    outputs: Outputs,
    told: Told,
    started: Instant,
    members: Option<(BTreeSet<NodeId>, [u8; 32])>,
    peers: Option<(Vec<NodeId>, Vec<NodeId>)>,
    aside: Option<String>,
    /// The nodes of this node's owner, with the view's root and the owner by which they were looked up.
    household: ((Root, Option<Key>), Vec<String>),
}

impl Keeper {
    pub fn new(config: Config, inputs: mpsc::Receiver<Input>, outputs: Outputs, told: Told) -> Self {
        Self {
            config,
            inputs,
            outputs,
            told,
            started: Instant::now(),
            members: None,
            peers: None,
            aside: None,
            household: Default::default(),
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Runs until it is stopped or nobody is left who could ask.
    pub fn run(mut self) {
        // Only to wait for an input and a moment at once.
        match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime.block_on(self.live()),
            Err(error) => self.say(&StoreError::Disk(format!("the thread of the records could not begin: {error}"))),
        }
    }

    fn say(&self, error: &StoreError) {
        log::error!(error:%; "this node's records can't be opened");
        self.told.view.send_modify(|view| view.problem = Some(error.to_string()));
    }

    async fn live(&mut self) {
        let mut copy = loop {
            match self.open() {
                Ok(copy) => break copy,
                Err(error) => self.say(&error),
            }
            if !self.wait_closed().await {
                return;
            }
        };
        if let Some((members, context)) = self.members.take() {
            copy.set_members(self.now(), members, context);
        }
        if let Some((alive, linked)) = self.peers.take() {
            copy.set_peers(self.now(), alive, linked);
        }
        loop {
            self.perform(&mut copy);
            self.show(&mut copy);
            let sleep = Duration::from_millis(copy.next_wake().0.saturating_sub(self.now().0)).min(LONGEST_SLEEP);
            match timeout(sleep, self.inputs.recv()).await {
                Ok(Some(Input::Stop { forget, reply })) => {
                    self.stop(copy, forget);
                    let _gone = reply.send(());
                    return;
                }
                Ok(Some(input)) => self.input(&mut copy, input),
                Ok(None) => {
                    self.stop(copy, false);
                    return;
                }
                Err(_) => {}
            }
            let now = self.now();
            if copy.next_wake() <= now {
                copy.tick(now);
            }
        }
    }

    fn open(&mut self) -> Result<Copy, StoreError> {
        let store = RedbStore::open(Box::new(DatabaseFile::new(&self.config.folder)))?;
        if let Some(place) = store.aside() {
            log::error!(place; "this node's records were damaged and are fetched again from its neighbours");
            self.aside = Some(place.to_owned());
        }
        Copy::open(self.now(), store, &self.config)
    }

    /// Waits until the database is to be tried again; what comes meanwhile is refused. False at the end.
    async fn wait_closed(&mut self) -> bool {
        let again = Instant::now() + OPEN_AGAIN;
        loop {
            match timeout(again.saturating_duration_since(Instant::now()), self.inputs.recv()).await {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(input)) => match input {
                    Input::Members { members, context } => self.members = Some((members, context)),
                    Input::Peers { alive, linked } => self.peers = Some((alive, linked)),
                    Input::Question { about, reply, .. } => drop(reply.send(about.busy())),
                    Input::Datagram { .. } | Input::Answered { .. } | Input::With(_) => {}
                    Input::Stop { forget, reply } => {
                        self.forget(forget);
                        let _gone = reply.send(());
                        return false;
                    }
                },
            }
        }
    }

    fn input(&self, copy: &mut Copy, input: Input) {
        let now = self.now();
        match input {
            Input::Members { members, context } => copy.set_members(now, members, context),
            Input::Peers { alive, linked } => copy.set_peers(now, alive, linked),
            Input::Datagram { from, bytes } => copy.datagram(now, from, &bytes),
            Input::Question { from, about: About::Records, frame, reply } => drop(reply.send(copy.answer(now, from, &frame))),
            Input::Question { from, about: About::Messages, frame, reply } => {
                let _gone = reply.send(copy.take_messages(from, &frame));
                self.told.messages.send_modify(|count| *count += 1);
            }
            Input::Answered { about: About::Records, id, frame } => copy.answered(now, id, frame.as_deref()),
            Input::Answered { about: About::Messages, id, frame } => copy.messages_answered(now, id, frame.as_deref()),
            Input::With(work) => work(copy, now),
            // Taken by the loop.
            Input::Stop { .. } => {}
        }
    }

    /// Does what the replica asks for.
    fn perform(&self, copy: &mut Copy) {
        loop {
            for cluster::appstore::Output::Changed { app, keys } in copy.apps.outputs() {
                let _unwatched = self.told.app_changes.send(AppChanged::of(&app, keys));
            }
            let sent: Vec<_> = copy.outbox.outputs().collect();
            let wanted: Vec<_> = copy.outputs().collect();
            if wanted.is_empty() && sent.is_empty() {
                return;
            }
            for output in sent {
                match output {
                    messages::Output::Ask { to, id, frame } => {
                        if self.outputs.try_send(Output::Ask { to, about: About::Messages, id, frame }).is_err() {
                            copy.messages_answered(self.now(), id, None);
                        }
                    }
                    messages::Output::Settled { .. } => self.told.messages.send_modify(|count| *count += 1),
                }
            }
            for output in wanted {
                match output {
                    cluster::records::Output::Datagram { to, bytes } => {
                        let _dropped = self.outputs.try_send(Output::Datagram { to, bytes });
                    }
                    cluster::records::Output::Ask { to, id, frame } => {
                        if self.outputs.try_send(Output::Ask { to, about: About::Records, id, frame }).is_err() {
                            copy.answered(self.now(), id, None);
                        }
                    }
                    cluster::records::Output::Changed { node, slots } => {
                        let Copy { replica, apps, .. } = copy;
                        apps.changed(replica, node, &slots);
                        // Everybody may watch these; what apps say is for those who may read it.
                        let records: Vec<_> = slots.into_iter().filter(|slot| slot.kind != Kind::APP).map(Into::into).collect();
                        if !records.is_empty() {
                            let _unwatched = self.told.changes.send(Changed { node: node.hex(), records });
                        }
                    }
                }
            }
        }
    }

    fn show(&mut self, copy: &mut Copy) {
        let order = copy.own_order();
        // Whose members are changes no more often than the view does.
        let of = (copy.root(), owned::owner(copy));
        if self.household.0 != of {
            self.household = (of, owned::household(copy));
            owned::settle(copy, self.now());
        }
        let view = RegistryView {
            root: HEXLOWER.encode(&copy.root()),
            members: copy.view().members().len(),
            holders: copy.holders().len(),
            phase: copy.phase().into(),
            epoch: order.epoch,
            sequence: order.sequence,
            problem: copy.problem().or(copy.apps.problem()).map(ToString::to_string),
            restored: copy.is_restored(),
            owner: of.1.map(|owner| owner.hex()),
            household: self.household.1.clone(),
            put_aside: self.aside.clone(),
            copied: copy.copied(self.now()).iter().map(NodeId::hex).collect(),
        };
        let changed = self.told.view.send_if_modified(|shown| {
            let new = *shown != view;
            if new {
                *shown = view;
            }
            new
        });
        if changed {
            // The driver shows it soon anyway, should there be no room to tell it.
            let _full = self.outputs.try_send(Output::Shown);
        }
    }

    /// Keeps what is not on disk yet.
    fn stop(&self, mut copy: Copy, forget: bool) {
        if let Err(error) = copy.store_mut().commit(&Batch::default(), Sync::Now) {
            log::error!(error:%; "what neighbours told last is not kept; it is fetched again");
        }
        drop(copy);
        self.forget(forget);
    }

    fn forget(&self, forget: bool) {
        if forget && let Err(error) = DatabaseFile::new(&self.config.folder).remove() {
            log::error!(error:%; "the records of the community that was left could not be removed");
        }
    }
}
