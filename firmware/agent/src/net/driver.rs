//! The one task that owns the network part's state: it feeds the core's state machine and does what that asks for.

use super::{
    ClusterView, Command, NetConfig, NetHandle, endpoint,
    events::Event,
    exchange, files,
    gate::{Gate, MEMBER_ALPN},
    identity::Identity,
    ids::{endpoint_addr, node_id},
    join::Joining,
    lan::{self, Says},
    links::Links,
    store::Store,
};
use anyhow::Result;
use cluster::{
    Millis, NodeId,
    node::{Door, Node, Output},
    sync,
};
use iroh::{Endpoint, endpoint::Connection};
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Commands waiting; more senders wait.
const COMMAND_QUEUE: usize = 16;
/// Events waiting; the network's tasks wait beyond that.
const EVENT_QUEUE: usize = 256;
/// How often addresses are looked at and the view is made anew, news or not.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How long a changed roster may stay unwritten. One that admits somebody is written before that is said.
const ROSTER_DELAY: Duration = Duration::from_secs(2);
/// How long the dial that confirms a member's absence may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a goodbye may take to leave this machine.
pub(super) const GOODBYE_DELAY: Duration = Duration::from_millis(400);

/// Binds the endpoint and starts the task.
///
/// # Errors
/// The identity can't be read or written, or no socket can be bound.
pub async fn start(config: NetConfig) -> Result<NetHandle> {
    let store = Store::open(&config.data)?;
    let identity = Identity::load(&store)?;
    let mut problems = Vec::new();
    let kept = files::load(&store, &mut problems)?;
    let gate = Gate::default();
    let endpoint = endpoint::bind(identity.key.clone(), &config.bind, gate.clone()).await?;
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    tokio::spawn(endpoint::accept(endpoint.clone(), events_sender.clone()));
    let me = node_id(&identity.key.public());
    let mut driver = Driver {
        me,
        links: Links::new(me, endpoint.clone(), events_sender.clone()),
        config,
        store,
        identity,
        endpoint,
        gate,
        events: events_sender,
        started: Instant::now(),
        rng: StdRng::from_rng(&mut rand::rng()),
        node: None,
        joining: None,
        seen: BTreeMap::new(),
        reached: BTreeMap::new(),
        hints: BTreeMap::new(),
        compare_when_linked: BTreeSet::new(),
        introduced: BTreeMap::new(),
        refusals: BTreeMap::new(),
        lan_enabled: false,
        lan_problem: None,
        said: None,
        roster_unsaved: None,
        storage_problem: None,
        problems,
    };
    driver.begin(kept).await?;
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (view_sender, view) = watch::channel(driver.view());
    tokio::spawn(async move { driver.run(commands, events, view_sender).await });
    Ok(NetHandle { view, commands: command_sender })
}

/// The state of the network part.
pub(super) struct Driver {
    pub(super) me: NodeId,
    pub(super) config: NetConfig,
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) endpoint: Endpoint,
    pub(super) gate: Gate,
    pub(super) links: Links,
    pub(super) events: mpsc::Sender<Event>,
    started: Instant,
    pub(super) rng: StdRng,
    /// The member, once this node is one.
    pub(super) node: Option<Node>,
    pub(super) joining: Option<Joining>,
    pub(super) seen: BTreeMap<NodeId, (Vec<SocketAddr>, Says)>,
    pub(super) reached: BTreeMap<NodeId, SocketAddr>,
    /// Addresses that came with joining, until cards are known.
    pub(super) hints: BTreeMap<NodeId, Vec<SocketAddr>>,
    pub(super) compare_when_linked: BTreeSet<NodeId>,
    pub(super) introduced: BTreeMap<NodeId, Instant>,
    pub(super) refusals: BTreeMap<NodeId, String>,
    pub(super) lan_enabled: bool,
    pub(super) lan_problem: Option<String>,
    pub(super) said: Option<Says>,
    pub(super) roster_unsaved: Option<Instant>,
    pub(super) storage_problem: Option<String>,
    pub(super) problems: Vec<String>,
}

impl Driver {
    pub(super) fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn run(&mut self, mut commands: mpsc::Receiver<Command>, mut events: mpsc::Receiver<Event>, view: watch::Sender<ClusterView>) {
        let mut housekeeping = Instant::now() + HOUSEKEEPING;
        loop {
            let due = self.due().unwrap_or(housekeeping).min(housekeeping);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => {
                        self.shut_down().await;
                        let _gone = reply.send(Ok(()));
                        return;
                    }
                    Some(command) => self.command(command).await,
                    None => {
                        self.shut_down().await;
                        return;
                    }
                },
                Some(event) = events.recv() => self.event(event),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let now = self.now();
            if let Some(node) = &mut self.node
                && node.next_wake() <= now
            {
                node.tick(now);
            }
            self.perform();
            self.try_to_join();
            if self.roster_unsaved.is_some_and(|since| since.elapsed() >= ROSTER_DELAY) {
                self.save_roster();
            }
            if housekeeping <= Instant::now() {
                housekeeping = Instant::now() + HOUSEKEEPING;
                self.housekeeping();
            }
            view.send_replace(self.view());
        }
    }

    /// When something is to be done next, housekeeping apart.
    fn due(&self) -> Option<Instant> {
        let node = self.node.as_ref().and_then(|node| self.started.checked_add(Duration::from_millis(node.next_wake().0)));
        let joining = self.joining.as_ref().and_then(Joining::due);
        let roster = self.roster_unsaved.map(|since| since + ROSTER_DELAY);
        [node, joining, roster].into_iter().flatten().min()
    }

    pub(super) fn housekeeping(&mut self) {
        let now = self.now();
        let facts = self.facts();
        if let Some(node) = &mut self.node {
            node.set_facts(now, facts);
        }
        if self.lan_enabled {
            self.lan_problem = lan::problem();
        }
        self.say();
        self.perform();
    }

    /// Says on the local network what this node is.
    pub(super) fn say(&mut self) {
        let now = self.now();
        let says = self.node.as_ref().map_or_else(Says::default, |node| Says {
            community: Some(node.founding().id().short()),
            door_open: node.door(now) != Door::Closed && node.admin().is_some(),
        });
        if self.lan_enabled && self.said.as_ref() != Some(&says) {
            lan::say(&self.endpoint, &says);
            self.said = Some(says);
        }
    }

    /// Where a member may be reached: where it was, what it says, what was seen on the local network.
    pub(super) fn addresses(&self, node: &NodeId) -> Vec<SocketAddr> {
        let card =
            self.node.as_ref().and_then(|own| own.roster().card(node)).map(|card| card.facts().addresses.as_slice()).unwrap_or_default();
        let seen = self.seen.get(node).map(|(addresses, _)| addresses.as_slice()).unwrap_or_default();
        let hints = self.hints.get(node).map(Vec::as_slice).unwrap_or_default();
        let all: BTreeSet<SocketAddr> = self.reached.get(node).into_iter().chain(card).chain(seen).chain(hints).copied().collect();
        all.into_iter().collect()
    }

    /// Does what the state machine asks for.
    pub(super) fn perform(&mut self) {
        loop {
            let outputs: Vec<Output> = self.node.as_mut().map(|node| node.outputs().collect()).unwrap_or_default();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Send { to, bytes } => {
                        let addresses = self.addresses(&to);
                        self.links.send(to, bytes, || addresses);
                    }
                    Output::Confirm(node) => self.confirm(node),
                    Output::Compare(node) => match self.links.get(&node) {
                        Some(conn) => self.compare(node, conn),
                        None => {
                            self.compare_when_linked.insert(node);
                            let addresses = self.addresses(&node);
                            self.links.dial(node, || addresses);
                        }
                    },
                    Output::SaveEpoch(epoch) => {
                        self.identity.epoch = epoch;
                        let saved = self.identity.save_epoch(&self.store);
                        self.note_storage(saved);
                    }
                    Output::SaveRoster => {
                        if let Some(node) = &self.node {
                            let admitted = node.admitted();
                            self.links.keep(&admitted);
                            self.gate.set(admitted);
                            self.roster_unsaved.get_or_insert_with(Instant::now);
                        }
                    }
                    Output::Changed => {}
                }
            }
        }
    }

    pub(super) fn compare(&self, node: NodeId, conn: Connection) {
        let Some(own) = &self.node else { return };
        let (open, events) = (sync::open(own.roster()), self.events.clone());
        tokio::spawn(async move {
            if let Err(error) = exchange::compare(&conn, node, open, &events).await {
                log::debug!(node = node.short(), error:% = error; "comparing rosters failed");
            }
        });
    }

    /// Dials a member anew, whatever connection there is, since that may be dead without knowing it. It counts as
    /// reached once it has compared rosters: a node that is leaving still shakes hands.
    fn confirm(&self, node: NodeId) {
        let Some(own) = &self.node else { return };
        let Some(address) = endpoint_addr(&node, self.addresses(&node)) else {
            return;
        };
        let (endpoint, events, open) = (self.endpoint.clone(), self.events.clone(), sync::open(own.roster()));
        tokio::spawn(async move {
            let check = async {
                let conn = endpoint.connect(address, MEMBER_ALPN).await?;
                exchange::compare(&conn, node, open, &events).await?;
                anyhow::Ok(conn)
            };
            let dialled = tokio::time::timeout(CONFIRM_TIMEOUT, check).await.ok().and_then(Result::ok);
            let reached = dialled.is_some();
            if let Some(conn) = dialled {
                let _ended = events.send(Event::Linked { node, conn, dialled: true }).await;
            }
            let _ended = events.send(Event::Confirmed { node, reached }).await;
        });
    }

    /// Writes the roster. True if it is on disk.
    pub(super) fn save_roster(&mut self) -> bool {
        let Some(node) = &self.node else { return true };
        let saved = files::save_roster(&self.store, node.roster());
        let done = saved.is_ok();
        self.roster_unsaved = if done { None } else { Some(Instant::now()) };
        self.note_storage(saved);
        done
    }

    pub(super) fn note_storage(&mut self, saved: Result<()>) {
        self.storage_problem = saved.err().map(|error| {
            log::error!(error:% = format!("{error:#}"); "the network part can't write its data");
            format!("{error:#}")
        });
    }
}
