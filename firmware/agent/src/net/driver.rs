//! The one task that owns the network part's state: it feeds the core's state machine and does what that asks for.

use super::{
    ClusterView, Command, MemberLine, NetConfig, NetHandle,
    asking::Question,
    endpoint,
    event::Event,
    files,
    gate::Gate,
    identity::Identity,
    ids::node_id,
    join::Joining,
    links::Links,
    records::SaidFacts,
    registry,
    state::State,
    store::Store,
    ways::{Carried, Ways},
};
use anyhow::Result;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Commands waiting; more senders wait.
const COMMAND_QUEUE: usize = 16;
/// Events waiting; the network's tasks wait beyond that.
const EVENT_QUEUE: usize = 256;
/// How often addresses are looked at and the view is made anew, news or not.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How long what is shown stays as it is: it is made of all members, and events come by the hundred. After a command it is made at once, since
/// whoever gave that looks what came of it.
const SHOW_PAUSE: Duration = Duration::from_millis(100);
/// The same while nothing happens but datagrams, as at rest: of who is there they change when it was heard and how it is, and whoever looks at
/// that does not see a second.
const SHOW_PAUSE_AT_REST: Duration = Duration::from_secs(1);
/// How long a changed roster may stay unwritten. One that admits somebody is written before that is said.
const ROSTER_DELAY: Duration = Duration::from_secs(2);

/// Binds the endpoint and starts the task.
///
/// # Errors
/// The identity can't be read or written, or no socket can be bound.
pub async fn start(config: NetConfig) -> Result<NetHandle> {
    let store = Store::open(&config.data)?;
    let identity = Identity::load(&store)?;
    let removed = Identity::was_removed(&store);
    let mut problems = Vec::new();
    let kept = files::load(&store, &mut problems)?;
    let gate = Gate::default();
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let ways = Ways::new(events_sender.clone(), gate.clone());
    let endpoint = endpoint::bind(identity.key.clone(), &config.bind, gate.clone(), &ways).await?;
    tokio::spawn(endpoint::accept(endpoint.clone(), events_sender.clone(), config.desks.clone()));
    let me = node_id(&identity.key.public());
    let (line_endpoint, line_gate) = (endpoint.clone(), gate.clone());
    let (registry_outputs, wanted) = registry::outputs();
    let (registry_sender, registry) = watch::channel(None);
    let (samples_sender, samples) = watch::channel(0);
    let mut state = State {
        me,
        links: Links::new(me, endpoint.clone(), events_sender.clone(), ways.clone()),
        config,
        store,
        identity,
        endpoint,
        gate,
        ways: ways.clone(),
        carried: Carried::default(),
        anchors: BTreeMap::new(),
        anchors_due: Instant::now(),
        events: events_sender,
        started: Instant::now(),
        rng: StdRng::from_rng(&mut rand::rng()),
        node: None,
        joining: None,
        asking: None,
        questions: 0,
        registry: registry_sender,
        registry_outputs,
        peers_stale: true,
        peers_due: Instant::now(),
        members_stale: true,
        news: true,
        seeds_due: Instant::now(),
        said_facts: SaidFacts::default(),
        ownership: watch::Sender::new(None),
        health: None,
        samples: samples_sender,
        clocks: BTreeMap::new(),
        clocks_due: Instant::now(),
        clock_began: 0,
        seen: BTreeMap::new(),
        reached: BTreeMap::new(),
        hints: BTreeMap::new(),
        compare_when_linked: BTreeSet::new(),
        introduced: BTreeMap::new(),
        refusals: BTreeMap::new(),
        lan: None,
        lan_problem: None,
        not_back: None,
        removed,
        roster_unsaved: None,
        storage_problem: None,
        problems,
    };
    state.begin(kept).await?;
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (view_sender, view) = watch::channel(state.view());
    tokio::spawn(run(state, commands, events, wanted, view_sender));
    let line = MemberLine::new(line_endpoint, line_gate, ways, view.clone());
    Ok(NetHandle { view, commands: command_sender, samples, registry, line })
}

async fn run(
    mut state: State,
    mut commands: mpsc::Receiver<Command>,
    mut events: mpsc::Receiver<Event>,
    mut wanted: mpsc::Receiver<registry::Output>,
    view: watch::Sender<ClusterView>,
) {
    let mut housekeeping = Instant::now() + HOUSEKEEPING;
    let mut shown = Instant::now();
    let mut stale = false;
    loop {
        let show = stale.then(|| shown + show_pause(state.news));
        let due = [due(&state), show].into_iter().flatten().fold(housekeeping, Instant::min);
        let mut commanded = false;
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Shutdown { reply }) => {
                    state.shut_down().await;
                    let _gone = reply.send(Ok(()));
                    return;
                }
                Some(command) => {
                    state.command(command).await;
                    commanded = true;
                }
                None => {
                    state.shut_down().await;
                    return;
                }
            },
            Some(event) = events.recv() => {
                state.news |= !matches!(event, Event::Datagram { .. });
                state.event(event);
            }
            Some(output) = wanted.recv() => state.registry_wants(output, &view),
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let now = state.now();
        if let Some(node) = &mut state.node
            && node.next_wake() <= now
        {
            node.tick(now);
        }
        state.perform();
        state.tell_health();
        state.tell_registry();
        state.tick_health();
        state.try_to_join();
        state.go_on_asking();
        if state.roster_unsaved.is_some_and(|since| since.elapsed() >= ROSTER_DELAY) {
            state.save_roster();
        }
        if housekeeping <= Instant::now() {
            housekeeping = Instant::now() + HOUSEKEEPING;
            state.housekeeping();
        }
        stale = !commanded && shown.elapsed() < show_pause(state.news);
        if !stale {
            view.send_replace(state.view());
            state.news = false;
            shown = Instant::now();
        }
    }
}

/// How long what is shown stays as it is.
const fn show_pause(news: bool) -> Duration {
    if news { SHOW_PAUSE } else { SHOW_PAUSE_AT_REST }
}

/// When something is to be done next, housekeeping apart.
fn due(state: &State) -> Option<Instant> {
    let node = state.node.as_ref().and_then(|node| state.started.checked_add(Duration::from_millis(node.next_wake().0)));
    let joining = state.joining.as_ref().and_then(Joining::due);
    let asking = state.asking.as_ref().and_then(Question::due);
    let health = state.health.as_ref().and_then(|health| state.started.checked_add(Duration::from_millis(health.next_wake().0)));
    let roster = state.roster_unsaved.map(|since| since + ROSTER_DELAY);
    [node, joining, asking, roster, health, state.peers_due()].into_iter().flatten().min()
}
