//! Copies of an app that are kept (pure): how many an owner wants on other nodes, and what is to be done for it.
//!
//! ```text
//! wish + copies + who is there ─▶ `next`: whom to offer it, which to take back ─▶ offers and leases as of every other app
//! ```
//! Architecture invariant: a node that said no, or where it came to nothing, is left alone for [`REST`]; and nobody but who placed a copy by a
//! wish has it taken back by one.

use super::place;
use super::record::{Given, Kept, Lent};
use crate::net::{Liveness, MemberView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a node may be gone, or its Docker, before its copy is made elsewhere: restarts and updates are shorter.
pub const GONE_AFTER: Duration = Duration::from_secs(300);
/// How long an offer waits for an owner before another node is asked.
pub const ANSWER_WITHIN_SECS: u64 = 24 * 3600;
/// How long a node is left alone where it came to nothing.
pub const REST_SECS: u64 = 7 * 24 * 3600;
/// Apps at most of which copies are kept.
pub const WISHES_MOST: usize = 32;

/// What an owner wants kept: `PUT /api/v1/replicas/APP`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ReplicasWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Wanted {
    /// So many other nodes run it, 16 at most; 0 takes all of them back.
    pub replicas: u16,
    /// How it is set there. Where nothing is said, as it was set before.
    pub settings: Option<BTreeMap<String, String>>,
    /// How long each runs without hearing of this node; 604800 where nothing is said.
    pub term_seconds: Option<u32>,
    /// Words to the other nodes' owners.
    pub note: String,
}

/// A wish as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Wish {
    /// So many.
    pub replicas: u16,
    /// How it is set.
    pub settings: BTreeMap<String, String>,
    /// The term.
    pub term_seconds: Option<u32>,
    /// Words to the other nodes' owners.
    pub note: String,
    /// Nodes that said no, or where it came to nothing, with when, by this node's clock.
    pub aside: BTreeMap<String, u64>,
}

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its lease.
    pub id: String,
    /// The node that runs it, or is asked to.
    pub node: String,
    /// How it stands.
    pub stands: Lent,
    /// Whether a wish placed it.
    pub placed: bool,
    /// When it was offered, by this node's clock.
    pub at: u64,
}

/// What is to be done about a wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Leases that end: their nodes did not answer.
    pub unanswered: Vec<String>,
    /// Leases that end: there are more than wanted.
    pub spare: Vec<String>,
    /// Nodes that are asked.
    pub ask: Vec<String>,
    /// So many more are wanted, and nobody is there who could be asked.
    pub missing: usize,
}

/// Who is there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The members.
    pub members: &'a [MemberView],
    /// Nodes whose owner is this node's: its policy runs their apps without asking.
    pub own: &'a BTreeSet<String>,
    /// For how long those are gone that are not there.
    pub gone: &'a BTreeMap<String, Duration>,
    /// This node's clock.
    pub now: u64,
}

/// Whether a node could run what it holds: it is there, and so is its Docker as far as that is known.
pub fn is_there(member: &MemberView) -> bool {
    member.state != Liveness::Down && member.health.as_ref().is_none_or(|health| health.docker != "stopped")
}

impl Wish {
    /// Whether a node is left alone. A clock that was set back leaves nobody alone for longer.
    fn rests(&self, node: &str, now: u64) -> bool {
        self.aside.get(node).is_some_and(|at| now < at.saturating_add(REST_SECS) && *at <= now.saturating_add(REST_SECS))
    }

    /// What is to be done for it.
    pub fn next(&self, copies: &[Copy], place: Place<'_>) -> Steps {
        let wanted = usize::from(self.replicas);
        let mut steps = Steps::default();
        let waits_too_long =
            |copy: &Copy| copy.stands == Lent::Offered && place.now.saturating_sub(copy.at) >= ANSWER_WITHIN_SECS && copy.placed;
        let (unanswered, copies): (Vec<&Copy>, Vec<&Copy>) =
            copies.iter().filter(|copy| holds(copy.stands)).partition(|it| waits_too_long(it));
        steps.unanswered = unanswered.iter().map(|copy| copy.id.clone()).collect();
        let lost = |copy: &Copy| place.gone.get(&copy.node).is_some_and(|gone| *gone >= GONE_AFTER);
        let good: Vec<&Copy> = copies.iter().filter(|copy| !lost(copy)).copied().collect();
        if good.len() > wanted {
            // Those that do not run yet go first, then those that came last: what runs for long has the most to lose.
            let mut spare: Vec<&Copy> = good.iter().filter(|copy| copy.placed).copied().collect();
            spare.sort_by(|one, other| (one.stands == Lent::Runs, other.at, &one.id).cmp(&(other.stands == Lent::Runs, one.at, &other.id)));
            steps.spare = spare.into_iter().take(good.len() - wanted).map(|copy| copy.id.clone()).collect();
        }
        if wanted == 0 {
            // Nor is it wanted on nodes that are gone.
            steps.spare.extend(copies.iter().filter(|copy| lost(copy) && copy.placed).map(|copy| copy.id.clone()));
        }
        let more = wanted.saturating_sub(good.len());
        let has = |node: &String| copies.iter().chain(&unanswered).any(|copy| copy.node == *node);
        let closed: BTreeSet<String> =
            place.members.iter().map(|member| member.id.clone()).filter(|node| has(node) || self.rests(node, place.now)).collect();
        steps.ask = place::place(place.members, &closed, place.own, more);
        steps.missing = more - steps.ask.len();
        steps
    }
}

fn holds(stands: Lent) -> bool {
    matches!(stands, Lent::Offered | Lent::Agreed | Lent::Runs)
}

impl Kept {
    /// The copies of an app that others run, or are asked to.
    pub fn copies(&self, app: &str) -> Vec<Copy> {
        let of = |(id, given): (&String, &Given)| Copy {
            id: id.clone(),
            node: given.to(),
            stands: given.stands,
            placed: given.placed,
            at: given.at,
        };
        self.given.iter().filter(|(_, given)| given.app == app && holds(given.stands)).map(of).collect()
    }

    /// Whoever said no, or where it came to nothing, is left alone for a while.
    pub fn set_aside(&mut self, now: u64) {
        for given in self.given.values_mut().filter(|given| given.placed && !holds(given.stands)) {
            given.placed = false;
            if let Some(wish) = self.replicas.get_mut(&given.app) {
                wish.aside.insert(given.to(), now);
            }
        }
        for wish in self.replicas.values_mut() {
            let rests: BTreeSet<String> = wish.aside.keys().filter(|node| wish.rests(node, now)).cloned().collect();
            wish.aside.retain(|node, _| rests.contains(node));
        }
    }
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
