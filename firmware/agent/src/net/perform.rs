//! Doing what the state machine asks for, and what is due of its own accord.

use super::{
    endpoint::member_options,
    event::{Event, Says},
    exchange,
    gate::MEMBER_ALPN,
    ids::endpoint_paths,
    lan, meant,
    state::State,
};
use cluster::{
    NodeId,
    node::{Door, Output},
    sync,
};
use iroh::endpoint::Connection;
use std::time::{Duration, Instant};

/// How long the dial that confirms a member's absence may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(6);

impl State {
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
                        let paths = self.paths_unless_linked(&to);
                        self.links.send(to, bytes, || paths);
                    }
                    Output::Confirm(node) => self.confirm(node),
                    Output::Compare(node) => match self.links.get(&node) {
                        Some(conn) => self.compare(node, conn),
                        None => {
                            self.compare_when_linked.insert(node);
                            let paths = self.paths_unless_linked(&node);
                            self.links.dial(node, || paths);
                        }
                    },
                    Output::SaveEpoch(epoch) => {
                        self.identity.epoch = epoch;
                        if let Some(health) = &mut self.health {
                            health.set_epoch(epoch);
                        }
                        let saved = self.identity.save_epoch(&self.store);
                        self.note_storage(saved);
                    }
                    Output::SaveRoster => {
                        if let Some(node) = &self.node {
                            let admitted = node.admitted();
                            self.links.keep(&admitted);
                            self.gate.set(admitted);
                            (self.members_stale, self.news) = (true, true);
                            self.roster_unsaved.get_or_insert_with(Instant::now);
                        }
                    }
                    Output::Changed => (self.peers_stale, self.news) = (true, true),
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
    fn confirm(&mut self, node: NodeId) {
        // Its addresses may be what failed.
        self.look_for_ways(node);
        let Some(own) = &self.node else { return };
        let Some(address) = endpoint_paths(&node, self.paths(&node)) else {
            return;
        };
        let (endpoint, events, open) = (self.endpoint.clone(), self.events.clone(), sync::open(own.roster()));
        tokio::spawn(async move {
            let check = async {
                let options = member_options().map_err(anyhow::Error::msg)?;
                let conn = meant::dial(&endpoint, address, MEMBER_ALPN, options).await.map_err(anyhow::Error::msg)?;
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

    pub(super) fn housekeeping(&mut self) {
        let now = self.now();
        let facts = self.facts();
        if let Some(node) = &mut self.node {
            node.set_facts(now, facts);
        }
        if self.lan.is_some() {
            let before = std::mem::replace(&mut self.lan_problem, lan::problem());
            // A network came up after the last try.
            if before.is_some()
                && self.lan_problem.is_none()
                && let Some(joining) = &mut self.joining
            {
                joining.hurry();
            }
        }
        self.come_back();
        self.tell_clocks();
        self.say();
        self.perform();
        self.say_facts();
        self.note_direct();
        self.hold_anchors();
    }

    /// Says on the local network what this node is.
    pub(super) fn say(&mut self) {
        let now = self.now();
        let name = Some(self.facts().name);
        let says = match &self.node {
            Some(node) => Says {
                community: Some(node.founding().id().short()),
                door_open: node.door(now) != Door::Closed && node.admin().is_some(),
                can_invite: node.admin().is_some(),
                name,
                community_name: Some(node.founding().name().clone()),
            },
            None => Says { name, ..Says::default() },
        };
        if let Some(lan) = &self.lan {
            lan.send_if_modified(|said| {
                let new = *said != says;
                *said = says;
                new
            });
        }
    }
}
