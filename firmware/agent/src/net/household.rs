//! Whose this node is: an owner (a household) certifies its nodes with its key, which is its recovery kit. The certificate stands in the
//! head of the node's records, so that all members know it.
//!
//! Architecture invariant: a node is an owner's only by its own owner's wish. A certificate that somebody made counts for nothing until
//! then.

use super::{CommandResult, commands::no_community, files, state::State};
use cluster::{CommunityId, Kit, NodeId, keys::Key, records::Ownership};
use tokio::sync::oneshot;

/// What is wished about the household.
#[derive(Debug)]
pub enum HouseholdWish {
    /// This node is of the owner whose key is this kit's text; without one, of the key that is here, or of a new one.
    Begin {
        /// The recovery kit's text.
        kit: Option<String>,
        /// A new key, whichever is here.
        new_key: bool,
    },
    /// This node is of the owner of another, which has certified it.
    Take {
        /// The certificate.
        ownership: Ownership,
    },
    /// This node is no owner's any more.
    Leave,
}

/// The household that a node is of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HouseholdBegun {
    /// The owner's public key.
    pub owner: Key,
    /// The text of a key that was made just now, which must be saved.
    pub kit: Option<String>,
    /// Why members hear of it only when this node starts again.
    pub late: Option<String>,
}

/// What is answered to a wish that is kept, and that members were told of or were not. A new key is told all the same: it is shown this once.
fn told(begun: Option<HouseholdBegun>, said: Result<(), String>) -> CommandResult<Option<HouseholdBegun>> {
    let Err(why) = said else { return Ok(begun) };
    let late = format!("this is kept, but members hear of it only when this node starts again: {why}");
    match begun {
        Some(begun) if begun.kit.is_some() => Ok(Some(HouseholdBegun { late: Some(late), ..begun })),
        _ => Err(late.into()),
    }
}

impl State {
    fn community_id(&self) -> CommandResult<CommunityId> {
        Ok(self.node.as_ref().ok_or_else(no_community)?.founding().id())
    }

    /// The owner's key that is here: of the household that began here, or the recovery kit of whoever founded the community.
    fn owner_key(&self) -> CommandResult<Option<Kit>> {
        let own = files::load_owner_key(&self.store).map_err(|error| format!("{error:#}"))?;
        let founder = self.node.as_ref().and_then(|node| node.admin()).filter(|admin| admin.grants.is_empty());
        Ok(own.or_else(|| founder.map(|admin| admin.kit.clone())))
    }

    /// Does what is wished, and answers when members can hear of it.
    pub(super) fn household(&mut self, wish: HouseholdWish, reply: oneshot::Sender<CommandResult<Option<HouseholdBegun>>>) {
        match self.belongs(wish) {
            Ok(begun) => self.say_ownership(begun, reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Whose this node is from now on. It is on disk when this returns.
    fn belongs(&mut self, wish: HouseholdWish) -> CommandResult<Option<HouseholdBegun>> {
        let community = self.community_id()?;
        let now = *self.ownership.borrow();
        let other = |owner: Key| now.is_some_and(|now| now.owner != owner);
        const TAKEN: &str = "this node is of another owner already: take it out of that household first (`cloudy household leave`)";
        let (ownership, kit) = match wish {
            HouseholdWish::Begin { kit: Some(text), .. } => {
                let kit = Kit::parse(&text).map_err(|error| error.to_string())?;
                (Some(kit.own(community, self.me)), None)
            }
            HouseholdWish::Begin { kit: None, new_key } => {
                let (kit, new) = match self.owner_key()?.filter(|_| !new_key) {
                    Some(kit) => (kit, false),
                    None => (Kit::generate(&mut self.rng), true),
                };
                if !new_key && other(kit.public()) {
                    return Err(TAKEN.into());
                }
                if new {
                    files::save_owner_key(&self.store, &kit).map_err(|error| format!("{error:#}"))?;
                }
                (Some(kit.own(community, self.me)), new.then(|| kit.to_text()))
            }
            HouseholdWish::Take { ownership } if !ownership.verifies(community, self.me) => {
                return Err("what that node signed is not of this node in this microcloud: ask it to say it anew".into());
            }
            HouseholdWish::Take { ownership } if other(ownership.owner) => return Err(TAKEN.into()),
            HouseholdWish::Take { ownership } => (Some(ownership), None),
            HouseholdWish::Leave => (None, None),
        };
        files::save_ownership(&self.store, ownership.as_ref()).map_err(|error| format!("{error:#}"))?;
        self.ownership.send_replace(ownership);
        Ok(ownership.map(|ownership| HouseholdBegun { owner: ownership.owner, kit, late: None }))
    }

    /// Tells the records whose this node is at the moment when they hear of it: of two wishes the last holds, whichever is told first.
    fn say_ownership(&self, begun: Option<HouseholdBegun>, reply: oneshot::Sender<CommandResult<Option<HouseholdBegun>>>) {
        let (registry, ownership) = (self.registry.borrow().clone(), self.ownership.subscribe());
        tokio::spawn(async move {
            let said = match registry {
                Some(registry) => registry.set_ownership(ownership).await.map_err(|error| error.to_string()),
                None => Err("the records are closed".to_owned()),
            };
            let _gone = reply.send(told(begun, said));
        });
    }

    /// Certifies another node with the owner's key, if it is here.
    pub(super) fn certify(&self, node: &str) -> CommandResult<(NodeId, Ownership)> {
        let community = self.community_id()?;
        let (node, name) = self.known(node)?;
        if node == self.me {
            return Err(format!("`{name}` is this node").into());
        }
        let kit = self.owner_key()?.ok_or(
            "the owner's key is not on this node: do it on the node where the household began, or give that node the recovery kit (`cloudy household begin --kit`)",
        )?;
        if self.ownership.borrow().is_none_or(|ownership| ownership.owner != kit.public()) {
            return Err("this node is not of the owner whose key is here: `cloudy household begin` first".into());
        }
        Ok((node, kit.own(community, node)))
    }

    /// The text of the key of the household that began here.
    pub(super) fn household_kit(&self) -> CommandResult<String> {
        Ok(self.owner_key()?.ok_or("the owner's key is not on this node: it is where the household began, and on paper")?.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_told_although_the_records_refuse() {
        let owner = Key([3; 32]);
        let begun = |kit: Option<&str>| Some(HouseholdBegun { owner, kit: kit.map(str::to_owned), late: None });
        let full = || Err("no room".to_owned());
        assert_eq!(told(begun(Some("kit")), Ok(())), Ok(begun(Some("kit"))));
        let made = told(begun(Some("kit")), full()).unwrap().unwrap();
        assert!(made.kit.as_deref() == Some("kit") && made.late.unwrap().ends_with("no room"));
        for without in [begun(None), None] {
            assert!(told(without, full()).unwrap_err().contains("starts again: no room"));
        }
    }
}
