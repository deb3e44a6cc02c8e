//! What is kept of leases: those that this node gave, those that it holds, and the owner's policy. What changes them by what the other
//! side says is decided here, purely.

use super::about::About;
use super::plan::Stands;
use super::policy::Policy;
use super::replicas;
use crate::settings::{read_or_put_aside, write_whole};
use anyhow::{Context, Result};
use cluster::leases::{Lease, LeaseId, MAX_REASON_BYTES, Offer, Said, Terms};
use cluster::wire;
use data_encoding::BASE64;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// Leases that are over and still shown, of each side.
const OVER_KEPT: usize = 30;
/// Offers of all nodes that wait for an owner at most.
const ASKED_OF_ALL: usize = 64;
/// What is to be told to one node at most; beyond it, nobody is answered who asked of its own accord.
const TELL_OF_ONE: usize = 64;
/// Offers of one node that wait for an owner at most.
pub const ASKED_OF_ONE: usize = 8;
/// Offers and leases that a node gives at most.
pub const GIVEN_MOST: usize = 64;
/// Longest statement in bytes.
const MAX_STATEMENT_BYTES: usize = cluster::messages::MAX_BODY_BYTES;

/// A signed statement, kept in JSON as the bytes that were said.
mod statement {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&wire::encode(value)))
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        wire::decode(&bytes, MAX_STATEMENT_BYTES).map_err(D::Error::custom)
    }
}

/// How a lease stands on the lender's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseGiven))]
#[serde(rename_all = "kebab-case")]
pub enum Lent {
    /// Nothing was heard yet.
    Offered,
    /// The other owner agreed, and the app is on its way.
    Agreed,
    /// It runs there.
    Runs,
    /// It is to end, and may still run there.
    Ending,
    /// It is over.
    Over,
}

/// A lease that this node gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Given {
    /// The app's name.
    pub app: String,
    /// What was offered, and to whom.
    #[serde(with = "statement")]
    pub offer: Offer,
    /// What the holder signed.
    #[serde(default)]
    pub lease: Option<Agreed>,
    /// How it stands.
    pub stands: Lent,
    /// Why it is over.
    #[serde(default)]
    pub why: String,
    /// The message that carried the offer, in hexadecimal.
    #[serde(default)]
    pub message: Option<String>,
    /// When it was offered, by this node's clock.
    pub at: u64,
    /// It is one of the copies that are kept, and not offered by hand.
    #[serde(default)]
    pub placed: bool,
}

/// A lease as it was signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agreed(#[serde(with = "statement")] pub Lease);

/// A lease that this node holds, or is asked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// What is offered, and by whom.
    #[serde(with = "statement")]
    pub offer: Offer,
    /// What is to run.
    pub about: About,
    /// How it stands.
    pub stands: Stands,
    /// Why it is over.
    #[serde(default)]
    pub why: String,
    /// The job that installs it.
    #[serde(default)]
    pub job: Option<u64>,
    /// Its blob was asked for.
    #[serde(default)]
    pub fetched: bool,
    /// Its installation was begun.
    #[serde(default)]
    pub begun: bool,
    /// It stands still for want of time.
    #[serde(default)]
    pub paused: bool,
    /// Its owner stopped it.
    #[serde(default)]
    pub stopped: bool,
    /// Its owner agreed to it when the page said that it takes the place of another version.
    #[serde(default)]
    pub replaces: bool,
    /// When it was offered, by this node's clock.
    pub at: u64,
}

/// What is to be told, once it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToTell {
    /// Whom, in hexadecimal.
    pub to: String,
    /// What.
    #[serde(with = "statement")]
    pub said: Said,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kept {
    /// The owner's policy.
    pub policy: Policy,
    /// By the lease's id.
    pub given: BTreeMap<String, Given>,
    /// Likewise.
    pub held: BTreeMap<String, Held>,
    /// In this order.
    pub tell: Vec<ToTell>,
    /// Apps of which copies are kept, by name.
    pub replicas: BTreeMap<String, replicas::Wish>,
}

/// What became of something that was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It changed nothing.
    Nothing,
    /// It did.
    Changed,
    /// An offer is new: it is to be judged.
    New(String),
    /// The app has stopped at the holder's.
    GivenBack(String),
}

impl Given {
    /// The holder in hexadecimal.
    pub fn to(&self) -> String {
        self.offer.holder.hex()
    }

    /// It is over. Passwords are forgotten with it.
    pub fn over(&mut self) {
        self.stands = Lent::Over;
        self.offer.about.clear();
    }

    /// Whether the holder may be granted time.
    pub fn may_be_granted(&self) -> bool {
        matches!(self.stands, Lent::Offered | Lent::Agreed | Lent::Runs)
    }
}

impl Held {
    /// The lender in hexadecimal.
    pub fn from(&self) -> String {
        self.offer.lender.hex()
    }

    /// It is over. Passwords are forgotten with it.
    pub fn over(&mut self, why: &str) {
        (self.stands, self.why) = (Stands::Over, why.to_owned());
        self.offer.about.clear();
        self.about.settings.clear();
    }

    /// The terms.
    pub fn terms(&self) -> Terms {
        self.offer.terms
    }

    /// Whether it holds a place: it runs here or is about to.
    pub fn holds(&self) -> bool {
        matches!(self.stands, Stands::Agreed | Stands::Runs | Stands::Ending)
    }
}

impl Kept {
    /// Reads the file; one that can't be read is put aside.
    pub fn load(file: &Path) -> Self {
        read_or_put_aside(file, "no lease is known any more: apps of others run on until they are removed by hand")
    }

    /// Writes the file: on disk when this returns, for this user alone.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
        write_whole(file, &serde_json::to_vec(self)?, 0o600)
    }

    /// Notes what is to be told.
    pub fn say(&mut self, to: &str, said: Said) {
        self.tell.push(ToTell { to: to.to_owned(), said });
    }

    /// What a member said. `me` and `community` are this node's, `now` is its clock.
    pub fn hear(&mut self, from: &cluster::NodeId, said: Said, me: &cluster::NodeId, community: &cluster::CommunityId, now: u64) -> Heard {
        match said {
            Said::Offer(offer) => self.offered(from, offer, me, community, now),
            Said::Lease(lease) => match self.given_to(from, &lease.id) {
                Some(given) if given.stands == Lent::Offered && lease.is_of(&given.offer) => {
                    (given.stands, given.lease) = (Lent::Agreed, Some(Agreed(lease)));
                    Heard::Changed
                }
                _ => Heard::Nothing,
            },
            Said::Refused { id, why } => match self.given_to(from, &id) {
                Some(given) if matches!(given.stands, Lent::Offered | Lent::Ending) => {
                    if given.why.is_empty() {
                        given.why = why;
                    }
                    given.over();
                    Heard::GivenBack(id.to_string())
                }
                _ => Heard::Nothing,
            },
            Said::Runs { id } => match self.given_to(from, &id) {
                Some(given) if given.stands == Lent::Agreed => {
                    given.stands = Lent::Runs;
                    Heard::Changed
                }
                _ => Heard::Nothing,
            },
            Said::Ended { id, why } => match self.given_to(from, &id) {
                Some(given) if given.stands != Lent::Over => {
                    if given.why.is_empty() {
                        given.why = why;
                    }
                    given.over();
                    Heard::GivenBack(id.to_string())
                }
                _ => Heard::Nothing,
            },
            Said::End { id } => match self.held.get_mut(&id.to_string()) {
                Some(held) if held.offer.lender == *from => match end(held, "its lender took it back") {
                    // Nothing of it runs: its lender need not wait.
                    _ if held.stands == Stands::Over => self.answer(from, Said::Ended { id, why: String::new() }),
                    heard => heard,
                },
                _ => Heard::Nothing,
            },
        }
    }

    fn offered(&mut self, from: &cluster::NodeId, offer: Offer, me: &cluster::NodeId, community: &cluster::CommunityId, now: u64) -> Heard {
        let id = offer.id.to_string();
        // An offer that somebody passes on, or changed, says nothing.
        if !offer.is_good(community, from, me) {
            return Heard::Nothing;
        }
        match self.held.get(&id) {
            // It was written down, and then the agent ended before it was judged.
            Some(held) if held.stands == Stands::Asked && held.offer == offer => return Heard::New(id),
            Some(_) => return Heard::Nothing,
            None => {}
        }
        let about = match About::read(&offer.about) {
            Ok(about) => about,
            Err(why) => return self.refuse(from, offer.id, why),
        };
        let asked = || self.held.values().filter(|held| held.stands == Stands::Asked);
        if asked().count() >= ASKED_OF_ALL || asked().filter(|held| held.offer.lender == *from).count() >= ASKED_OF_ONE {
            return self.refuse(from, offer.id, "too many offers wait for its owner already".to_owned());
        }
        let (why, at) = (String::new(), now);
        let (stands, job, fetched, begun, paused, stopped, replaces) = (Stands::Asked, None, false, false, false, false, false);
        let held = Held { offer, about, stands, why, job, fetched, begun, paused, stopped, replaces, at };
        self.held.insert(id.clone(), held);
        Heard::New(id)
    }

    fn refuse(&mut self, to: &cluster::NodeId, id: LeaseId, why: String) -> Heard {
        let why = sentence(&why);
        self.answer(to, Said::Refused { id, why })
    }

    /// Answers who said something of its own accord, if it takes what it is told.
    fn answer(&mut self, to: &cluster::NodeId, said: Said) -> Heard {
        let to = to.hex();
        if self.tell.iter().filter(|tell| tell.to == to).count() < TELL_OF_ONE {
            self.say(&to, said);
        }
        Heard::Changed
    }

    fn given_to(&mut self, holder: &cluster::NodeId, id: &LeaseId) -> Option<&mut Given> {
        self.given.get_mut(&id.to_string()).filter(|given| given.offer.holder == *holder)
    }

    /// What an owner or the policy says to an offer: yes, and whether it may take the place of another version, or why not. False if it waits
    /// for nobody.
    pub fn decide(&mut self, id: &str, answer: Result<(Lease, bool), String>) -> bool {
        let Some(held) = self.held.get_mut(id).filter(|held| held.stands == Stands::Asked) else { return false };
        let (to, said) = match answer {
            Ok((lease, replaces)) => {
                (held.stands, held.replaces) = (Stands::Agreed, replaces);
                (held.from(), Said::Lease(lease))
            }
            Err(why) => {
                let why = sentence(&why);
                held.over(&why);
                (held.from(), Said::Refused { id: held.offer.id, why })
            }
        };
        self.say(&to, said);
        true
    }

    /// This side ends a lease; false if there is nothing to end.
    pub fn end(&mut self, id: &str, why: &str) -> bool {
        if let Some(held) = self.held.get_mut(id) {
            return end(held, why) == Heard::Changed;
        }
        let Some(given) = self.given.get_mut(id).filter(|given| given.may_be_granted()) else { return false };
        (given.stands, given.why) = (Lent::Ending, sentence(why));
        let (to, said) = (given.to(), Said::End { id: given.offer.id });
        // Nobody waits for the end of what others may run too.
        if !given.offer.terms.exclusive {
            given.over();
        }
        self.say(&to, said);
        true
    }

    /// Forgets the oldest of what is over.
    pub fn forget(&mut self) {
        let mut given: Vec<(u64, String)> =
            self.given.iter().filter(|(_, given)| given.stands == Lent::Over).map(|(id, given)| (given.at, id.clone())).collect();
        let mut held: Vec<(u64, String)> =
            self.held.iter().filter(|(_, held)| held.stands == Stands::Over).map(|(id, held)| (held.at, id.clone())).collect();
        for (over, forget) in [(&mut given, 0), (&mut held, 1)] {
            over.sort();
            let spare = over.len().saturating_sub(OVER_KEPT);
            for (_, id) in over.drain(..spare) {
                if forget == 0 { drop(self.given.remove(&id)) } else { drop(self.held.remove(&id)) }
            }
        }
    }
}

fn end(held: &mut Held, why: &str) -> Heard {
    match held.stands {
        Stands::Asked => held.over(why),
        Stands::Agreed | Stands::Runs => (held.stands, held.why) = (Stands::Ending, sentence(why)),
        Stands::Ending | Stands::Over => return Heard::Nothing,
    }
    Heard::Changed
}

/// A reason as it may be kept, and said to the other side.
fn sentence(why: &str) -> String {
    let mut said: String = why.chars().take(MAX_REASON_BYTES).map(|c| if c.is_control() { ' ' } else { c }).collect();
    while said.len() > MAX_REASON_BYTES {
        said.pop();
    }
    said
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
