//! Offering an app to other nodes: whom, whether that can be, and the order in which it is written down and told.

use super::about::About;
use super::record::{GIVEN_MOST, Given, Kept};
use super::{COPIES_MOST, EXCLUSIVE_SECONDS, Leases, Lent, Refused, SHARED_SECONDS, Wish, ending, place, time};
use crate::host;
use cluster::NodeId;
use cluster::leases::{LeaseId, Lending, Said, Terms};
use rand::RngExt;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Leases {
    /// Offers an app to a node, or to as many as copies are wanted; the ids of the leases.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was offered.
    pub async fn offer(self: &Arc<Self>, wish: Wish) -> Result<Vec<String>, Refused> {
        self.offer_as(wish, false).await
    }

    /// Likewise; `placed` says that it is one of the copies that are kept.
    pub(super) async fn offer_as(self: &Arc<Self>, wish: Wish, placed: bool) -> Result<Vec<String>, Refused> {
        let seconds = wish.term_seconds.unwrap_or(if wish.exclusive { EXCLUSIVE_SECONDS } else { SHARED_SECONDS });
        let terms = Terms { seconds, exclusive: wish.exclusive };
        if !terms.are_allowed() {
            return Err(Refused::Wrong("a term has 120 seconds to 366 days".to_owned()));
        }
        let nodes = self.whom(&wish)?;
        let (of, settings) = (wish.app.clone(), wish.settings.clone());
        self.apps.in_background(move |apps| apps.would_run(&of, settings)).await.map_err(ending)??;
        self.may_lend(&wish, terms, nodes.len())?;
        let (of, looked) = (wish.app.clone(), wish.exclusive);
        let stop = self.apps.in_background(move |apps| apps.stop_time(&of)).await.map_err(ending)?;
        if looked && stop.is_some_and(|stop| time::lead(stop) * 2 > terms.term()) {
            return Err(Refused::Wrong("the term is too short for the app to stop in time: give a longer one".to_owned()));
        }
        let visibility = self.blobs.app_is_for(&wish.app);
        let shared = self.apps.share(&self.blobs, &wish.app, visibility).await?;
        let app = shared.facts.app.ok_or_else(|| Refused::Wrong("the app could not be given to others".to_owned()))?;
        let about = About { app, hash: shared.hash, size_bytes: shared.facts.size_bytes, settings: wish.settings, note: wish.note };
        let about = about.to_bytes().map_err(Refused::Wrong)?;
        let (registry, (_, community)) = self.registry().zip(self.place()).ok_or(Refused::NoCommunity)?;
        let mut offers = Vec::new();
        for to in nodes {
            let id = LeaseId(rand::rng().random());
            offers.push(registry.sign_offer(id, community, to, terms, about.clone()).await?);
        }
        let (app, at) = (wish.app, host::now_secs());
        let ids: Vec<String> = offers.iter().map(|offer| offer.id.to_string()).collect();
        // Before anybody can ask about them.
        self.clocks().lending.extend(ids.iter().map(|id| (id.clone(), Lending::new(terms.term()))));
        // Looked at again where nobody else writes: two people may offer at once.
        let (of, noted_of) = (app.clone(), ids.clone());
        let noted = self.altered(move |kept| {
            if lent_elsewhere(kept, &of, terms) {
                return false;
            }
            for offer in offers {
                let (id, why, message) = (offer.id.to_string(), String::new(), None);
                kept.given.insert(id, Given { app: of.clone(), offer, lease: None, stands: Lent::Offered, why, message, at, placed });
            }
            true
        });
        // From here on nothing of it starts here; what began before that is seen now. Only then is anybody told.
        let there = match noted.await {
            Ok(true) => self.not_here(&app, terms),
            Ok(false) => Err(lent_already()),
            Err(error) => Err(error),
        };
        let told = there.is_ok();
        let said = self.altered(move |kept| {
            for id in noted_of {
                match kept.given.get(&id).filter(|_| told).map(|given| (given.to(), Said::Offer(given.offer.clone()))) {
                    Some((to, said)) => kept.say(&to, said),
                    None => drop(kept.given.remove(&id)),
                }
            }
        });
        let done = said.await.and(there);
        if done.is_err() {
            self.clocks().lending.retain(|id, _| !ids.contains(id));
        }
        done.map(|()| ids)
    }

    /// Which nodes are asked.
    fn whom(&self, wish: &Wish) -> Result<Vec<NodeId>, Refused> {
        let view = self.view_of_net().filter(|view| view.community.is_some()).ok_or(Refused::NoCommunity)?;
        match (&wish.node, wish.copies) {
            (Some(id), None) => {
                let member = view.members.iter().find(|member| member.id == *id && !member.me);
                let known = member.and_then(|member| NodeId::of_hex(&member.id));
                let unknown = || Refused::Wrong(format!("no other node of the community has the id `{}`", id.escape_debug()));
                known.map(|node| vec![node]).ok_or_else(unknown)
            }
            (None, Some(copies)) if !(1..=COPIES_MOST).contains(&copies) => {
                Err(Refused::Wrong(format!("there may be 1 to {COPIES_MOST} copies")))
            }
            (None, Some(copies)) if wish.exclusive && copies > 1 => Err(Refused::Wrong("an exclusive app has one copy".to_owned())),
            (None, Some(copies)) => {
                let taken: BTreeSet<String> = {
                    let kept = self.kept();
                    let same = kept.given.values().filter(|given| given.app == wish.app && given.stands != Lent::Over);
                    same.map(Given::to).collect()
                };
                let nodes = place::place(&view.members, &taken, &self.own_nodes(), copies.into());
                if nodes.len() < copies.into() {
                    let there = nodes.len();
                    return Err(Refused::Conflict(format!(
                        "{copies} copies are wanted, and {there} other nodes are there that could run one: those whose Docker runs and that have none yet"
                    )));
                }
                Ok(nodes.iter().filter_map(|id| NodeId::of_hex(id)).collect())
            }
            _ => Err(Refused::Wrong("say either which node, or how many copies".to_owned())),
        }
    }

    fn may_lend(&self, wish: &Wish, terms: Terms, more: usize) -> Result<(), Refused> {
        let kept = self.kept();
        if kept.given.values().filter(|given| given.stands != Lent::Over).count() + more > GIVEN_MOST {
            return Err(Refused::Conflict(format!("{GIVEN_MOST} apps are lent or offered already: take some back first")));
        }
        if lent_elsewhere(&kept, &wish.app, terms) {
            return Err(lent_already());
        }
        drop(kept);
        self.not_here(&wish.app, terms)
    }

    /// Nobody else may run what is exclusive, this node neither.
    fn not_here(&self, app: &str, terms: Terms) -> Result<(), Refused> {
        let hosted = self.apps.hosted(app, None);
        if terms.exclusive && (hosted.installed || hosted.busy) {
            let mend = "remove it here first (its data may stay)";
            return Err(Refused::Conflict(format!("`{app}` is installed on this node, and nobody else may run what is exclusive: {mend}")));
        }
        Ok(())
    }
}

/// Whether somebody has the app already whom this offer would not be alone with, or who is not to be alone with it.
pub(super) fn lent_elsewhere(kept: &Kept, app: &str, terms: Terms) -> bool {
    let mut others = kept.given.values().filter(|given| given.app == app && given.stands != Lent::Over);
    others.any(|given| terms.exclusive || given.offer.terms.exclusive)
}

pub(super) fn lent_already() -> Refused {
    Refused::Conflict("the app is lent or offered already, and nobody else may run what is exclusive: take that back first".to_owned())
}
