//! The one task that owns the network part's state: it feeds the core's state machine and does what that asks for.

use super::{
    ClusterView, Command, DoorConfig, JoinFailure, NetConfig, NetHandle, clock, endpoint, exchange,
    files::{self, Kept},
    gate::{Gate, MEMBER_ALPN},
    greet::{self, Target},
    identity::Identity,
    ids::{endpoint_addr, node_id},
    join::{self, Attempt, Goal, Joining},
    lan::{self, Says, Sighting},
    links::Links,
    store::Store,
};
use anyhow::Result;
use cluster::{
    Certificate, Clock, Kit, Millis, NodeId, Terms,
    card::Facts,
    hello::{self, Reason, Reply, Request},
    node::{Admin, Door, Node, Output},
    roster::{Item, Roster, Standing},
    sync::{self, Answer, Give, Items, Open},
    wire::Name,
};
use iroh::{Endpoint, endpoint::Connection};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// Commands waiting; more senders wait.
const COMMAND_QUEUE: usize = 16;
/// Events waiting; the network's tasks wait beyond that.
const EVENT_QUEUE: usize = 256;
/// How often addresses are looked at and the view is made anew, news or not.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How long a changed roster may stay unwritten. One that admits somebody is written before that is said.
const ROSTER_DELAY: Duration = Duration::from_secs(2);
/// How long one member's refusal keeps this node from introducing itself to it again.
const INTRODUCE_PAUSE: Duration = Duration::from_secs(20);
/// How long the dial that confirms a member's absence may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a goodbye may take to leave this machine.
pub(super) const GOODBYE_DELAY: Duration = Duration::from_millis(400);

/// What happens on the network.
pub enum Event {
    /// A connection to a member is up; the gate let it through.
    Linked {
        node: NodeId,
        conn: Connection,
        dialled: bool,
    },
    /// A dial came to nothing.
    DialFailed { node: NodeId, seen: String },
    /// A connection ended; `rejected` if the other side does not know this node.
    LinkLost {
        node: NodeId,
        id: usize,
        rejected: bool,
    },
    /// A datagram of a member.
    Datagram { node: NodeId, bytes: Vec<u8> },
    /// A stranger asks.
    Hello {
        from: NodeId,
        request: Vec<u8>,
        reply: oneshot::Sender<Vec<u8>>,
    },
    /// A member starts comparing rosters.
    Open {
        open: Open,
        reply: oneshot::Sender<Answer>,
    },
    /// It gives and asks.
    Give {
        node: NodeId,
        give: Give,
        reply: oneshot::Sender<Items>,
    },
    /// Marks came for a comparison that this node started.
    Marks {
        marks: Vec<cluster::roster::Mark>,
        reply: oneshot::Sender<Give>,
    },
    /// Items came for it.
    Items { node: NodeId, items: Items },
    /// How a confirming dial went.
    Confirmed { node: NodeId, reached: bool },
    /// Somebody on the local network.
    Lan(Sighting),
    /// What an attempt to join came to.
    Attempted(Attempt),
    /// What a member answered when this node introduced itself.
    Introduced {
        target: Target,
        answer: Result<Reply, JoinFailure>,
    },
}

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
    Ok(NetHandle {
        view,
        commands: command_sender,
    })
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
    events: mpsc::Sender<Event>,
    started: Instant,
    pub(super) rng: StdRng,
    /// The member, once this node is one.
    pub(super) node: Option<Node>,
    pub(super) joining: Option<Joining>,
    pub(super) seen: BTreeMap<NodeId, (Vec<SocketAddr>, Says)>,
    reached: BTreeMap<NodeId, SocketAddr>,
    /// Addresses that came with joining, until cards are known.
    hints: BTreeMap<NodeId, Vec<SocketAddr>>,
    compare_when_linked: BTreeSet<NodeId>,
    introduced: BTreeMap<NodeId, Instant>,
    pub(super) refusals: BTreeMap<NodeId, String>,
    pub(super) lan_enabled: bool,
    pub(super) lan_problem: Option<String>,
    said: Option<Says>,
    roster_unsaved: Option<Instant>,
    pub(super) storage_problem: Option<String>,
    pub(super) problems: Vec<String>,
}

impl Driver {
    /// What is done at start: go on as a member, found, or join.
    async fn begin(&mut self, kept: Option<Kept>) -> Result<()> {
        let join = self.config.join.clone();
        if join.mdns || join.lan {
            match lan::start(&self.endpoint, self.events.clone()).await {
                Ok(()) => self.lan_enabled = true,
                Err(error) => self.lan_problem = Some(format!("{error:#}")),
            }
        }
        match kept {
            Some(kept) => {
                self.reached = kept.reached;
                self.check_config(&kept.roster);
                self.enter(kept.roster, kept.admin)?;
            }
            None => {
                if let Some(found) = join.found {
                    match self.found(&found.name, found.kit.as_deref()) {
                        Ok(_) => {}
                        Err(why) => self.problems.push(format!(
                            "the community `{}` could not be founded: {why}",
                            found.name
                        )),
                    }
                } else if let Some(text) = join.token {
                    self.joining = Some(match join::read_token(&text, &clock::now()) {
                        Ok(token) => Joining::new(Goal::Token(Box::new(token))),
                        Err(failure) => Joining::hopeless("a community by token", failure),
                    });
                } else if join.lan {
                    self.joining = Some(Joining::new(Goal::Lan));
                }
            }
        }
        self.set_door(self.config.join.door);
        self.housekeeping();
        Ok(())
    }

    /// Says where `cloudy.toml` asks for another community than the one that this node belongs to.
    fn check_config(&mut self, roster: &Roster) {
        let clock = Clock {
            floor: 0,
            sure: None,
        };
        let token = self
            .config
            .join
            .token
            .as_deref()
            .map(|text| join::read_token(text, &clock));
        if let Some(Ok(token)) = token
            && token.community().id() != roster.founding().id()
        {
            self.problems.push(format!(
                "`cloudy.toml` has a token for `{}`, but this node belongs to `{}`: leave that first (`cloudy leave`), or remove the token",
                token.community().name(),
                roster.founding().name()
            ));
        }
    }

    pub(super) fn set_door(&mut self, door: DoorConfig) {
        let now = self.now();
        let Some(node) = &mut self.node else { return };
        node.set_door(match door {
            DoorConfig::Closed => Door::Closed,
            DoorConfig::Open => Door::Open,
            DoorConfig::OpenMinutes(minutes) => {
                Door::Until(now.plus(Duration::from_secs(60 * u64::from(minutes))))
            }
        });
        if door != DoorConfig::Closed && node.admin().is_none() {
            self.problems.push("the door is set open, but this node holds no key that can invite: open it on the node that does".to_owned());
        }
    }

    /// Founds a community here. Answers with the kit's text.
    pub(super) fn found(&mut self, name: &str, kit: Option<&str>) -> Result<String, String> {
        if let Some(node) = &self.node {
            return Err(format!(
                "this node belongs to `{}` already: leave that first (`cloudy leave`)",
                node.founding().name()
            ));
        }
        let name = Name::try_from(name).map_err(|error| error.to_string())?;
        let kit = match kit {
            Some(text) => Kit::parse(text).map_err(|error| error.to_string())?,
            None => Kit::generate(&mut self.rng),
        };
        let kit = kit.with_community(name.clone());
        let founding = kit.found(&name);
        let token = kit.invite(
            &founding,
            Vec::new(),
            Terms {
                uses: 1,
                not_after: None,
            },
            Vec::new(),
            &mut self.rng,
        );
        let own = token.redeem(self.me);
        let mut roster = Roster::new(founding);
        roster
            .merge(Item::Certificate(own.clone()))
            .map_err(|refusal| refusal.to_string())?;
        let text = kit.to_text();
        let admin = Admin {
            kit,
            grants: Vec::new(),
        };
        files::save_membership(&self.store, &roster, &own, Some(&admin))
            .map_err(|error| format!("{error:#}"))?;
        self.enter(roster, Some(admin))
            .map_err(|error| format!("{error:#}"))?;
        log::info!(community = name.as_str(); "founded a community");
        Ok(text)
    }

    /// Becomes a member that runs.
    fn enter(&mut self, roster: Roster, admin: Option<Admin>) -> Result<()> {
        let now = self.now();
        let facts = self.facts();
        let random = self.rng.random();
        self.node = Some(Node::new(
            now,
            self.identity.key.to_bytes(),
            self.identity.epoch,
            roster,
            facts,
            admin,
            random,
        )?);
        self.joining = None;
        self.perform();
        Ok(())
    }

    fn facts(&self) -> Facts {
        let name = Name::lossy(&self.config.name, "unnamed");
        let version = Name::lossy(&self.config.version, "unknown");
        Facts {
            name,
            version,
            addresses: self.own_addresses(),
        }
    }

    /// Where others can reach this node, at most what a card holds.
    pub(super) fn own_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.endpoint.addr().ip_addrs().copied().collect();
        if addresses.is_empty() {
            addresses = self
                .endpoint
                .bound_sockets()
                .into_iter()
                .filter(|address| !address.ip().is_unspecified())
                .collect();
        }
        addresses.sort_by_key(|address| (address.ip().is_loopback(), address.is_ipv6(), *address));
        addresses.truncate(cluster::card::MAX_CARD_ADDRESSES);
        addresses
    }

    pub(super) fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn run(
        &mut self,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::Receiver<Event>,
        view: watch::Sender<ClusterView>,
    ) {
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
            if self
                .roster_unsaved
                .is_some_and(|since| since.elapsed() >= ROSTER_DELAY)
            {
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
        let node = self.node.as_ref().and_then(|node| {
            self.started
                .checked_add(Duration::from_millis(node.next_wake().0))
        });
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
    fn addresses(&self, node: &NodeId) -> Vec<SocketAddr> {
        let card = self
            .node
            .as_ref()
            .and_then(|own| own.roster().card(node))
            .map(|card| card.facts().addresses.as_slice())
            .unwrap_or_default();
        let seen = self
            .seen
            .get(node)
            .map(|(addresses, _)| addresses.as_slice())
            .unwrap_or_default();
        let hints = self.hints.get(node).map(Vec::as_slice).unwrap_or_default();
        let all: BTreeSet<SocketAddr> = self
            .reached
            .get(node)
            .into_iter()
            .chain(card)
            .chain(seen)
            .chain(hints)
            .copied()
            .collect();
        all.into_iter().collect()
    }

    /// Does what the state machine asks for.
    pub(super) fn perform(&mut self) {
        loop {
            let outputs: Vec<Output> = self
                .node
                .as_mut()
                .map(|node| node.outputs().collect())
                .unwrap_or_default();
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

    fn compare(&self, node: NodeId, conn: Connection) {
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
        let (endpoint, events, open) = (
            self.endpoint.clone(),
            self.events.clone(),
            sync::open(own.roster()),
        );
        tokio::spawn(async move {
            let check = async {
                let conn = endpoint.connect(address, MEMBER_ALPN).await?;
                exchange::compare(&conn, node, open, &events).await?;
                anyhow::Ok(conn)
            };
            let dialled = tokio::time::timeout(CONFIRM_TIMEOUT, check)
                .await
                .ok()
                .and_then(Result::ok);
            let reached = dialled.is_some();
            if let Some(conn) = dialled {
                let _ended = events
                    .send(Event::Linked {
                        node,
                        conn,
                        dialled: true,
                    })
                    .await;
            }
            let _ended = events.send(Event::Confirmed { node, reached }).await;
        });
    }

    fn try_to_join(&mut self) {
        let Some((goal, targets)) = self
            .joining
            .as_mut()
            .and_then(|joining| joining.begin(&self.seen))
        else {
            return;
        };
        let (endpoint, me, name, events) = (
            self.endpoint.clone(),
            self.me,
            self.facts().name,
            self.events.clone(),
        );
        let lan_problem = self.lan_problem.clone();
        tokio::spawn(async move {
            let attempt = join::attempt(endpoint, me, name, goal, targets, lan_problem).await;
            let _ended = events.send(Event::Attempted(attempt)).await;
        });
    }

    fn event(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Linked {
                node,
                conn,
                dialled,
            } => {
                self.links.linked(node, conn, dialled);
                self.refusals.remove(&node);
                if let Some(address) = self.links.view(&node).and_then(|link| link.address)
                    && dialled
                    && self.reached.insert(node, address) != Some(address)
                {
                    let saved = files::save_reached(&self.store, &self.reached);
                    self.note_storage(saved);
                }
                let wanted = self.compare_when_linked.remove(&node) || dialled;
                if let Some(conn) = self.links.get(&node).filter(|_| wanted) {
                    self.compare(node, conn);
                }
            }
            Event::DialFailed { node, seen } => {
                log::debug!(node = node.short(), seen; "a member was not reached");
                self.links.dial_failed(&node);
                self.compare_when_linked.remove(&node);
            }
            Event::LinkLost { node, id, rejected } => {
                self.links.lost(&node, id);
                if rejected {
                    self.introduce(node);
                }
            }
            Event::Datagram { node, bytes } => {
                self.links.used(&node);
                if let Some(own) = &mut self.node {
                    own.datagram(now, node, &bytes);
                }
            }
            Event::Hello {
                from,
                request,
                reply,
            } => {
                let answer = self.hello(from, &request);
                let _gone = reply.send(answer);
            }
            Event::Open { open, reply } => {
                let answer = self
                    .node
                    .as_ref()
                    .map_or(Answer::Same, |node| sync::answer(node.roster(), &open));
                let _gone = reply.send(answer);
            }
            Event::Give { node, give, reply } => {
                self.take(node, give.items);
                if let Some(own) = &self.node {
                    let _gone = reply.send(sync::items(own.roster(), &give.want));
                }
            }
            Event::Marks { marks, reply } => {
                if let Some(own) = &self.node {
                    let _gone = reply.send(sync::give(own.roster(), &marks));
                }
            }
            Event::Items { node, items } => self.take(node, items.0),
            Event::Confirmed { node, reached } => {
                if let Some(own) = &mut self.node {
                    own.confirmed(now, node, reached);
                }
            }
            Event::Lan(sighting) => self.sighted(sighting),
            Event::Attempted(attempt) => self.attempted(attempt),
            Event::Introduced { target, answer } => self.introduced(&target, answer),
        }
    }

    fn take(&mut self, from: NodeId, items: Vec<Item>) {
        let now = self.now();
        let Some(own) = &mut self.node else { return };
        let refused = own.take(now, items);
        if refused > 0 {
            log::warn!(node = from.short(), refused; "a member passed on statements that do not verify");
        }
    }

    /// Answers a stranger; whoever is let in is on disk before it is told.
    fn hello(&mut self, from: NodeId, request: &[u8]) -> Vec<u8> {
        let now = self.now();
        let Some(node) = &mut self.node else {
            let words = "this node belongs to no community".to_owned();
            return match hello::read_request(request) {
                Err(cluster::wire::WireError::Version(_)) => hello::version_refusal(),
                _ => hello::reply_bytes(&Reply::Refused {
                    reason: Reason::NO_COMMUNITY,
                    words,
                }),
            };
        };
        let answer = node.hello(now, &clock::now(), from, request, &mut self.rng);
        self.perform();
        if self.roster_unsaved.is_some() && !self.save_roster() {
            return hello::reply_bytes(&Reply::Refused {
                reason: Reason::BUSY,
                words: "this member can't write its data".to_owned(),
            });
        }
        answer
    }

    fn sighted(&mut self, sighting: Sighting) {
        let now = self.now();
        match sighting {
            Sighting::Gone(node) => {
                self.seen.remove(&node);
            }
            Sighting::Seen {
                node,
                addresses,
                says,
            } => {
                if self.seen.len() >= lan::MAX_SEEN && !self.seen.contains_key(&node) {
                    return;
                }
                if let Some(joining) = self.joining.as_mut().filter(|joining| joining.fits(&says)) {
                    joining.hurry();
                }
                let same = self
                    .node
                    .as_ref()
                    .is_some_and(|own| says.is_of(&own.founding().id()));
                self.seen.insert(node, (addresses, says));
                if let Some(own) = self.node.as_mut().filter(|_| same) {
                    match own.roster().standing(&node) {
                        Standing::Member if !self.links.is_open(&node) => own.ask(now, node),
                        Standing::Member | Standing::Suspended => {}
                        Standing::Stranger => self.introduce(node),
                    }
                }
            }
        }
    }

    fn attempted(&mut self, attempt: Attempt) {
        let Some(joining) = &mut self.joining else {
            return;
        };
        let Some(admission) = attempt.admission else {
            joining.failed(attempt.failures);
            return;
        };
        let mut roster = Roster::new(admission.founding);
        let member = admission.member.node();
        let entered = [
            Item::Certificate(admission.own.clone()),
            Item::Certificate(admission.member),
        ]
        .into_iter()
        .try_for_each(|item| roster.merge(item).map(|_| ()))
        .map_err(anyhow::Error::from)
        .and_then(|()| files::save_membership(&self.store, &roster, &admission.own, None))
        .and_then(|()| self.enter(roster, None));
        if let Err(error) = entered {
            let failure = JoinFailure {
                reason: super::JoinProblem::Storage,
                target: "this node's data".to_owned(),
                seen: format!("{error:#}"),
                mend: "is the data partition full or read-only?".to_owned(),
            };
            if let Some(joining) = &mut self.joining {
                joining.failed(vec![failure]);
            }
            return;
        }
        let now = self.now();
        for seed in admission.seeds {
            if let Some(address) = seed.addresses.first() {
                self.reached.entry(seed.node).or_insert(*address);
            }
            self.hints.insert(seed.node, seed.addresses);
        }
        if let Some(node) = &mut self.node {
            log::info!(community = node.founding().name().as_str(), member = member.short(); "joined");
            node.compare(now, member);
            node.ask(now, member);
        }
        self.set_door(self.config.join.door);
        self.say();
        self.perform();
    }

    /// Shows this node's certificate to a member that does not know it yet.
    fn introduce(&mut self, node: NodeId) {
        let lately = self
            .introduced
            .get(&node)
            .is_some_and(|last| last.elapsed() < INTRODUCE_PAUSE);
        let Some(own) = self.node.as_ref().filter(|_| !lately) else {
            return;
        };
        let Some(certificate) = own
            .roster()
            .certificate(&self.me)
            .map(Certificate::to_bytes)
        else {
            return;
        };
        self.introduced.insert(node, Instant::now());
        let target = Target {
            node,
            addresses: self.addresses(&node),
        };
        let (endpoint, events) = (self.endpoint.clone(), self.events.clone());
        tokio::spawn(async move {
            let answer = greet::ask(&endpoint, &target, &Request::Join { certificate }).await;
            let _ended = events.send(Event::Introduced { target, answer }).await;
        });
    }

    fn introduced(&mut self, target: &Target, answer: Result<Reply, JoinFailure>) {
        let now = self.now();
        let Some(own) = &mut self.node else { return };
        match answer {
            Ok(Reply::Admitted { certificate, .. }) => {
                let theirs = Certificate::from_bytes(&certificate)
                    .ok()
                    .filter(|theirs| theirs.node() == target.node);
                own.take(now, theirs.map(Item::Certificate).into_iter().collect());
                own.ask(now, target.node);
                own.compare(now, target.node);
            }
            Ok(Reply::Refused { words, .. }) => {
                self.refusals.insert(target.node, words);
            }
            Ok(Reply::Invited { .. }) => {}
            Err(failure) => {
                log::debug!(node = target.node.short(), seen = failure.seen; "introducing this node failed")
            }
        }
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
