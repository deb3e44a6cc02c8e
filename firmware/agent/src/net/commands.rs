//! What people wish: each command is checked, done and answered here.

use super::{
    Command, CommandResult, DoorConfig, JoinFailure, JoinProblem, Successor, Unwilling, clock, files,
    identity::Identity,
    join::{self, Goal, Joining},
    state::State,
};
use crate::text::{Code, Told};
use cluster::{Millis, NodeId, Refusal, Terms, admission::MAX_USES, membership::Liveness, node::Node, roster::Standing};
use std::time::Duration;

/// How long a goodbye may take to leave this machine.
const GOODBYE_DELAY: Duration = Duration::from_millis(400);
/// How long closing the endpoint may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long what comes in a lost node's place may take to come.
const SUCCESSOR_VALID: Duration = Duration::from_secs(7 * 86_400);

pub(super) const NO_COMMUNITY: &str =
    "this node belongs to no community: found one (`cloudy found NAME`) or join one (`cloudy join TOKEN`)";

/// Likewise, in words.
pub(super) fn no_community() -> Unwilling {
    Unwilling::told(NO_COMMUNITY, Code::NoCommunity)
}

/// Who belongs to one joins no other.
pub(super) fn member_already(node: &Node) -> Unwilling {
    let name = node.founding().name();
    Unwilling::told(
        format!("this node belongs to `{name}` already: leave that first (`cloudy leave`)"),
        Told::new(Code::MemberAlready, &[&name]),
    )
}

impl State {
    /// Does a command and answers it; a caller that has gone away misses the answer, nothing else.
    pub(super) async fn command(&mut self, command: Command) {
        match command {
            Command::Found { found, reply } => drop(reply.send(self.found(&found))),
            Command::Invite { uses, valid_seconds, reply } => drop(reply.send(self.invite(uses, valid_seconds))),
            Command::Join { token, reply } => drop(reply.send(self.join(&token))),
            Command::OpenDoor { minutes, reply } => drop(reply.send(self.open_door(minutes))),
            Command::Ask { node, reply } => drop(reply.send(self.ask(&node))),
            Command::SameWords { words, reply } => drop(reply.send(self.same_words(&words))),
            Command::StopAsking { reply } => {
                self.stop_asking();
                drop(reply.send(Ok(())));
            }
            Command::Decide { node, words, admit, reply } => drop(reply.send(self.decide_newcomer(&node, &words, admit))),
            Command::Kit { reply } => drop(reply.send(self.kit())),
            Command::Leave { reply } => drop(reply.send(self.leave().await)),
            Command::Revoke { node, reply } => drop(reply.send(self.revoke(&node))),
            Command::Replace { node, reply } => drop(reply.send(self.replace(&node))),
            Command::Appoint { node, reply } => drop(reply.send(self.appoint(&node))),
            Command::Dismiss { node, undo, reply } => drop(reply.send(self.dismiss(&node, undo))),
            Command::Household { wish, reply } => self.household(wish, reply),
            Command::Certify { node, reply } => drop(reply.send(self.certify(&node))),
            Command::HouseholdKit { reply } => drop(reply.send(self.household_kit())),
            Command::Health { figures } => self.say_health(figures),
            Command::AskLender { node, frame, reply } => self.ask_lender(node, frame, reply),
            Command::Rename { name, reply } => drop(reply.send(self.rename(name))),
            Command::Shutdown { reply } => {
                self.shut_down().await;
                drop(reply.send(Ok(())));
            }
        }
        self.perform();
    }

    fn invite(&mut self, uses: u16, valid_seconds: Option<u64>) -> CommandResult<String> {
        self.choose_seeds();
        let node = self.node.as_ref().ok_or_else(no_community)?;
        if !(1..=MAX_USES).contains(&uses) {
            return Err(format!("an invite is good for 1 to {MAX_USES} nodes, not {uses}").into());
        }
        let not_after = match (valid_seconds, clock::now(self.config.wall).sure) {
            (None, _) => None,
            (Some(seconds), Some(now)) => Some(now.saturating_add(seconds)),
            (Some(_), None) => {
                let why = "this node's clock is unsure, so it can't say when an invite expires: wait until it is set from the network, or make an invite that does not expire";
                return Err(Unwilling::told(why, Code::ClockUnsure));
            }
        };
        let token = node.invite(Terms { uses, not_after }, &mut self.rng);
        let why = "this node holds no key that can invite: do it on the node that founded the community, or where the recovery kit is";
        let token = token.ok_or_else(|| Unwilling::told(why, Code::MayNotInvite))?;
        Ok(token.to_text())
    }

    fn join(&mut self, text: &str) -> CommandResult<String> {
        if let Some(node) = &self.node {
            return Err(member_already(node));
        }
        let token = join::read_token(text, &clock::now(self.config.wall)).map_err(|failure| unreadable(&failure))?;
        let name = token.community().name().to_string();
        self.stop_asking();
        self.joining = Some(Joining::new(Goal::Token(Box::new(token))));
        Ok(name)
    }

    fn open_door(&mut self, minutes: u32) -> CommandResult<()> {
        let node = self.node.as_ref().ok_or_else(no_community)?;
        if minutes > 0 && node.admin().is_none() {
            return Err(Unwilling::told("this node holds no key that can invite: open the door on the node that does", Code::MayNotInvite));
        }
        self.set_door(if minutes == 0 { DoorConfig::Closed } else { DoorConfig::OpenMinutes(minutes) });
        self.say();
        Ok(())
    }

    fn kit(&self) -> CommandResult<String> {
        let node = self.node.as_ref().ok_or_else(no_community)?;
        let admin = node.admin().ok_or("this node holds no recovery kit")?;
        if !admin.grants.is_empty() {
            return Err(
                "this node decides by a key of its own, which dies with it: the recovery kit lies with those who founded the microcloud"
                    .into(),
            );
        }
        Ok(admin.kit.to_text())
    }

    /// Takes a node out. It is on the disk when this answers, and with its members a moment later.
    fn revoke(&mut self, id: &str) -> CommandResult<String> {
        let (node, name) = self.known(id)?;
        if node == self.me {
            return Err("this node can't remove itself: `cloudy leave` takes it out".into());
        }
        self.decide(|own, now| own.revoke(now, node), "that the node was removed")?;
        log::warn!(node = node.short(), name; "a node was removed from the community");
        Ok(name)
    }

    /// Takes a node out that is gone, and makes an invite for what comes in its place. Refused, it has done nothing.
    fn replace(&mut self, id: &str) -> CommandResult<Successor> {
        let (node, name) = self.known(id)?;
        let beliefs = self.node.as_ref().map(Node::beliefs).unwrap_or_default();
        if node == self.me || beliefs.get(&node).is_some_and(|belief| belief.state != Liveness::Down) {
            return Err(format!(
                "`{name}` is here, so nothing takes its place: switch it off first. What harms the microcloud is removed (`cloudy revoke`)"
            )
            .into());
        }
        let valid = clock::now(self.config.wall).sure.map(|_| SUCCESSOR_VALID.as_secs());
        let token = self.invite(1, valid)?;
        self.revoke(id)?;
        Ok(Successor { name, token })
    }

    fn appoint(&mut self, id: &str) -> CommandResult<String> {
        let (node, name) = self.known(id)?;
        self.decide(|own, now| own.appoint(now, node), "that the node is an admin")?;
        log::info!(node = node.short(), name; "a node was made an admin");
        Ok(name)
    }

    fn dismiss(&mut self, id: &str, undo: bool) -> CommandResult<String> {
        let (node, name) = self.known(id)?;
        self.decide(|own, now| own.dismiss(now, node, undo), "that the node is no admin any more")?;
        log::warn!(node = node.short(), name, undo; "a node is no admin any more");
        Ok(name)
    }

    /// A node of the community by its id, and what it is called.
    pub(super) fn known(&self, id: &str) -> CommandResult<(NodeId, String)> {
        let roster = self.node.as_ref().ok_or_else(no_community)?.roster();
        let wanted = roster.nodes().find(|known| known.hex() == id);
        let wanted = wanted.ok_or_else(|| {
            Unwilling::told(
                format!("no node of the community has the id `{}`: `cloudy nodes` lists them", id.escape_debug()),
                Code::NodeUnknown,
            )
        })?;
        Ok((wanted, roster.card(&wanted).map_or_else(|| wanted.short(), |card| card.facts().name.to_string())))
    }

    /// Decides as an admin. It is on the disk when this answers; `what` would be forgotten otherwise.
    fn decide(&mut self, decision: impl FnOnce(&mut Node, Millis) -> Result<(), Refusal>, what: &str) -> CommandResult<()> {
        let now = self.now();
        decision(self.node.as_mut().ok_or_else(no_community)?, now).map_err(|refusal| match refusal {
            Refusal::NoAdmin => Unwilling::told("this node holds no key that decides who belongs to the community: do it on the node that founded it, on another admin's, or where the recovery kit is", Code::MayNotDecide),
            Refusal::Rank => Unwilling::told("only the key of those who founded the community decides about admins: do it on the node that founded it, or where the recovery kit is", Code::MayNotDecide),
            other => other.to_string().into(),
        })?;
        self.perform();
        if !self.save_roster() {
            let why = format!("this node can't write its data, so after a restart it would not know {what}: make room, and try again");
            return Err(Unwilling::told(why, Code::NotKept));
        }
        // Whether this node may let others in may have changed with it.
        self.say();
        Ok(())
    }

    async fn leave(&mut self) -> CommandResult<bool> {
        let removed = self.removed || self.node.as_ref().is_some_and(|node| node.roster().standing(&self.me) == Standing::Revoked);
        match &self.node {
            Some(node) => files::forget(&self.store, node.admin()).map_err(|error| format!("{error:#}"))?,
            None => {
                self.joining = None;
                self.stop_asking();
            }
        }
        if removed {
            // Whoever was removed by its key may be invited again under another.
            Identity::forget(&self.store).map_err(|error| format!("{error:#}"))?;
            self.removed = false;
        }
        if self.node.is_some() {
            self.goodbye().await;
            self.close_registry(true).await;
            (self.node, self.health) = (None, None);
            self.ownership.send_replace(None);
            self.refusals.clear();
            self.reached.clear();
            self.hints.clear();
            self.not_back = None;
            self.say();
        }
        Ok(removed)
    }

    fn rename(&mut self, name: String) -> CommandResult<()> {
        cluster::wire::Name::try_from(name.as_str()).map_err(|error| error.to_string())?;
        self.config.name = name;
        self.housekeeping();
        Ok(())
    }

    /// Says goodbye and gives the datagrams a moment to leave.
    async fn goodbye(&mut self) {
        let now = self.now();
        if let Some(node) = &mut self.node {
            node.goodbye(now);
            self.perform();
            // Whoever asks whether this node is really gone finds the gate closed.
            self.gate.set(Default::default());
            tokio::time::sleep(GOODBYE_DELAY).await;
            self.links.keep(&Default::default());
        }
    }

    /// The last thing: say goodbye, keep the roster, close the endpoint.
    pub(super) async fn shut_down(&mut self) {
        self.stop_asking_now().await;
        self.goodbye().await;
        self.close_registry(false).await;
        self.save_roster();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.endpoint.close()).await.is_err() {
            log::warn!("closing the network took too long");
        }
    }
}

/// Why an invite is not taken. Of one that a newer version made, another invite is no mend.
fn unreadable(failure: &JoinFailure) -> Unwilling {
    let why = format!("{}; {}", failure.seen, failure.mend);
    if failure.reason == JoinProblem::ProtocolVersion { why.into() } else { Unwilling::told(why, Code::NoInvite) }
}
