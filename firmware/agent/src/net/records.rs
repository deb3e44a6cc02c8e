//! The driver's side of the registry: opening and closing it, telling it who is there, doing what it wants, and saying
//! what this node is.

use super::{
    ClusterView,
    exchange::{self, Kind},
    registry::{Config, Facts, Output, Refused, Registry},
    state::State,
};
use anyhow::{Context, Result};
use cluster::{CommunityId, NodeId, records::Order};
use rand::RngExt;
use std::time::{Duration, Instant};
use tokio::sync::{
    oneshot::{self, error::TryRecvError},
    watch,
};

/// How long the registry is not told again who is there: after a restart of all, somebody comes every few milliseconds.
const PEERS_PAUSE: Duration = Duration::from_millis(100);

/// What this node said of itself.
#[derive(Default)]
pub(super) struct SaidFacts {
    said: Option<Facts>,
    /// What is being written.
    writing: Option<(Facts, oneshot::Receiver<Result<Order, Refused>>)>,
}

impl SaidFacts {
    fn is_silent(&self) -> bool {
        self.said.is_none() && self.writing.is_none()
    }
}

impl State {
    /// Opens the records of the community.
    pub(super) fn open_registry(&mut self, community: CommunityId) -> Result<()> {
        let config = Config {
            folder: self.store.folder().to_owned(),
            seed: self.identity.key.to_bytes(),
            community,
            ownership: *self.ownership.borrow(),
            random: self.rng.random(),
        };
        let registry = Registry::start(config, self.registry_outputs.clone()).context("the thread of the records could not begin")?;
        (self.members_stale, self.peers_stale, self.said_facts) = (true, true, SaidFacts::default());
        self.registry.send_replace(Some(registry));
        Ok(())
    }

    /// Closes the records; `forget` removes them.
    pub(super) async fn close_registry(&mut self, forget: bool) {
        if let Some(registry) = self.registry.send_replace(None) {
            registry.stop(forget).await;
        }
    }

    pub(super) fn with_registry(&self, work: impl FnOnce(&Registry)) {
        if let Some(registry) = self.registry.borrow().as_ref() {
            work(registry);
        }
    }

    /// Tells the registry who is a member and who is there, if that has changed. A full queue is tried again.
    pub(super) fn tell_registry(&mut self) {
        let new_here = self.members_stale && self.said_facts.is_silent();
        self.tell_members_and_peers();
        if new_here {
            self.say_facts();
        }
    }

    fn tell_members_and_peers(&mut self) {
        let registry = self.registry.borrow();
        let (Some(registry), Some(node)) = (registry.as_ref(), &self.node) else { return };
        if self.members_stale {
            self.members_stale = !registry.set_members(node.admitted(), node.roster().digest());
        }
        let now = Instant::now();
        if self.peers_stale && self.peers_due <= now {
            self.peers_due = now + PEERS_PAUSE;
            self.peers_stale = !registry.set_peers(node.alive().collect(), self.links.linked_nodes());
        }
    }

    /// When it is to be told next; none where there is nothing to tell, or nobody.
    pub(super) fn peers_due(&self) -> Option<Instant> {
        (self.peers_stale && self.node.is_some() && self.registry.borrow().is_some()).then_some(self.peers_due)
    }

    /// Does what the registry wants.
    pub(super) fn registry_wants(&mut self, output: Output, view: &watch::Sender<ClusterView>) {
        match output {
            // At once, since it may be of what was written here: whoever wrote looks what came of it.
            Output::Shown => view.send_modify(|view| self.show_records(view)),
            Output::Datagram { to, bytes } => {
                let paths = self.paths_unless_linked(&to);
                self.links.send(to, bytes, || paths);
            }
            Output::Ask { to, about, id, frame } => {
                let paths = self.paths_unless_linked(&to);
                let conn = self.links.connection(to, || paths);
                let Some(registry) = self.registry.borrow().clone() else { return };
                tokio::spawn(async move {
                    let answer = match conn.await {
                        Ok(conn) => exchange::ask(&conn, Kind::Registry(about), &frame).await,
                        Err(_) => Err(anyhow::anyhow!("it was not reached")),
                    };
                    if let Err(error) = &answer {
                        log::debug!(node = to.short(), about:?, error:% = error; "asking a member failed");
                    }
                    registry.answered(about, id, answer.ok()).await;
                });
            }
        }
    }

    /// Asks a member whether what it lent may go on; nothing is answered where it is not reached.
    pub(super) fn ask_lender(&mut self, node: NodeId, frame: Vec<u8>, reply: oneshot::Sender<Vec<u8>>) {
        let paths = self.paths_unless_linked(&node);
        let conn = self.links.connection(node, || paths);
        tokio::spawn(async move {
            let Ok(conn) = conn.await else { return };
            match exchange::ask(&conn, Kind::Leases, &frame).await {
                Ok(answer) => drop(reply.send(answer)),
                Err(error) => log::debug!(node = node.short(), error:% = error; "asking a lender failed"),
            }
        });
    }

    /// Says what this node is, where that is not what it said last.
    pub(super) fn say_facts(&mut self) {
        if let Some((facts, mut writing)) = self.said_facts.writing.take() {
            match writing.try_recv() {
                Ok(Ok(_)) => self.said_facts.said = Some(facts),
                Ok(Err(error)) => log::debug!(error:%; "what this node is could not be said"),
                Err(TryRecvError::Empty) => {
                    self.said_facts.writing = Some((facts, writing));
                    return;
                }
                Err(TryRecvError::Closed) => {}
            }
        }
        let card = self.facts();
        let facts = Facts {
            name: card.name.to_string(),
            version: card.version.to_string(),
            addresses: card.addresses,
            machine: self.config.machine.clone(),
        };
        let Some(registry) = self.registry.borrow().clone() else { return };
        if self.said_facts.said.as_ref() != Some(&facts) {
            let (reply, answer) = oneshot::channel();
            let change = facts.put();
            self.said_facts.writing = Some((facts, answer));
            tokio::spawn(async move { drop(reply.send(registry.write(vec![change]).await)) });
        }
    }
}
