//! How the network part begins: it goes on as a member, founds a community, or joins one.

use super::{
    CommandResult, DoorConfig, FoundConfig, clock,
    commands::member_already,
    files::{self, Kept},
    ids,
    join::{self, Goal, Joining},
    lan,
    state::State,
};
use anyhow::Result;
use cluster::{
    Clock, Kit, Terms,
    node::{Admin, Door, Node},
    roster::{Item, Roster},
    wire::Name,
};
use rand::RngExt;
use std::{collections::BTreeSet, time::Duration};

const NO_MEMBER: &str =
    "`member` is one of the community that the recovery kit founded, as `ID@ADDRESS`: its own page of the microcloud says it";

impl State {
    /// What is done at start: go on as a member, found, or join.
    pub(super) async fn begin(&mut self, kept: Option<Kept>) -> Result<()> {
        let join = self.config.join.clone();
        if join.mdns || join.lan {
            match lan::start(&self.endpoint, self.events.clone()) {
                Ok(lan) => self.lan = Some(lan),
                Err(error) => self.lan_problem = Some(format!("{error:#}")),
            }
        }
        match kept {
            Some(kept) => {
                self.reached = kept.reached;
                // What was left of another community says nothing in this one.
                let (community, me) = (kept.roster.founding().id(), self.me);
                self.ownership.send_replace(kept.ownership.filter(|ownership| ownership.verifies(community, me)));
                // Where it came back without one and found nobody, it may be told later.
                if let Some((node, address)) = join.found.and_then(|found| found.member).as_deref().and_then(ids::placed) {
                    self.hints.insert(node, vec![address]);
                }
                self.check_config(&kept.roster);
                self.enter(kept.roster, kept.admin)?;
            }
            None => {
                if let Some(found) = join.found {
                    match self.found(&found) {
                        Ok(_) => {}
                        Err(why) => self.problems.push(format!(
                            "the community `{}` could not be founded: {why}; mend `found`, `kit` or `member` in cloudy.toml and restart the node",
                            found.name
                        )),
                    }
                } else if let Some(text) = join.token {
                    self.joining = Some(match join::read_token(&text, &clock::now(self.config.wall)) {
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
    pub(super) fn check_config(&mut self, roster: &Roster) {
        let clock = Clock { floor: 0, sure: None };
        let token = self.config.join.token.as_deref().map(|text| join::read_token(text, &clock));
        if let Some(Ok(token)) = token
            && token.community().id() != roster.founding().id()
        {
            self.problems.push(format!(
                "`cloudy.toml` has a token for `{}`, but this node belongs to `{}`; leave that first (`cloudy leave`), or remove the token",
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
            DoorConfig::OpenMinutes(minutes) => Door::Until(now.plus(Duration::from_secs(60 * u64::from(minutes)))),
        });
        if door != DoorConfig::Closed && node.admin().is_none() {
            self.problems
                .push("the door is set open, but this node holds no key that can invite; open it on the node that does".to_owned());
        }
    }

    /// Founds a community here, or comes back into the one that the kit founded. Answers with the kit's text.
    pub(super) fn found(&mut self, found: &FoundConfig) -> CommandResult<String> {
        if let Some(node) = &self.node {
            return Err(member_already(node));
        }
        let name = Name::try_from(found.name.as_str()).map_err(|error| error.to_string())?;
        let kit = match &found.kit {
            Some(text) => Kit::parse(text).map_err(|error| error.to_string())?,
            None => Kit::generate(&mut self.rng),
        };
        // Under another name it would be another community, and nobody would be found.
        if let Some(other) = kit.community().filter(|other| **other != name) {
            return Err(format!("this recovery kit is of the community `{other}`, not of `{name}`: give that name").into());
        }
        if let Some(text) = &found.member {
            let (node, address) = ids::placed(text).filter(|_| found.kit.is_some()).ok_or(NO_MEMBER)?;
            self.reached.insert(node, address);
            files::save_reached(&self.store, &self.reached).map_err(|error| format!("{error:#}"))?;
        }
        let kit = kit.with_community(name.clone());
        let founding = kit.found(&name);
        let token = kit.invite(&founding, Vec::new(), Terms { uses: 1, not_after: None }, Vec::new(), &mut self.rng);
        let own = token.redeem(self.me);
        let mut roster = Roster::new(founding);
        roster.merge(Item::Certificate(own.clone())).map_err(|refusal| refusal.to_string())?;
        let text = kit.to_text();
        let admin = Admin { kit, grants: Vec::new() };
        files::save_membership(&self.store, &roster, &own, Some(&admin)).map_err(|error| format!("{error:#}"))?;
        self.enter(roster, Some(admin)).map_err(|error| format!("{error:#}"))?;
        log::info!(community = name.as_str(); "founded a community");
        Ok(text)
    }

    /// Becomes a member that runs.
    pub(super) fn enter(&mut self, roster: Roster, admin: Option<Admin>) -> Result<()> {
        let now = self.now();
        let facts = self.facts();
        let random = self.rng.random();
        self.open_registry(roster.founding().id())?;
        self.open_health(roster.founding().id());
        self.node = Some(Node::new(now, self.identity.key.to_bytes(), self.identity.epoch, roster, facts, admin, random)?);
        self.joining = None;
        self.stop_asking();
        self.come_back();
        self.perform();
        Ok(())
    }

    /// A member that knows no other shows itself to those of whom it was told where they are: it came back with the recovery kit.
    pub(super) fn come_back(&mut self) {
        if self.knows_others() {
            self.not_back = None;
            return;
        }
        for told in self.reached.keys().chain(self.hints.keys()).copied().collect::<BTreeSet<_>>() {
            self.introduce(told);
        }
    }

    /// Whether it is a member and has heard of another.
    pub(super) fn knows_others(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.roster().nodes().any(|known| known != self.me))
    }
}
