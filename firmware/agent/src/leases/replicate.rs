//! Keeps copies: looks at who is there, and does what `replicas` decides.

use super::offer::{lent_already, lent_elsewhere};
use super::replicas::{Copy, Place, Steps, WISHES_MOST, Wanted, Wish, is_there};
use super::{COPIES_MOST, Clocks, Consent, Leases, Lent, Refused, ReplicasView, SHARED_SECONDS, ending};
use crate::host;
use crate::limits::{LEASE_LOOK_EVERY, LEASE_REST, LEASE_TRY_AGAIN, LEASE_TURN_PAUSE};
use crate::net::ClusterView;
use cluster::Millis;
use cluster::leases::Terms;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What came of keeping an app's copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// So many more are wanted, and nobody is there who could be asked.
    missing: usize,
    /// Why it does not go on, and when that was found.
    failed: Option<(String, Millis)>,
}

impl Leases {
    /// The owner's other nodes: those of its household, and those whose apps run here without being asked.
    pub(super) fn own_nodes(&self) -> BTreeSet<String> {
        let kept = self.kept();
        let named = kept.policy.nodes.iter().filter(|(_, consent)| **consent == Consent::Accept).map(|(node, _)| node.clone());
        named.chain(self.household()).collect()
    }

    /// The other nodes of this one's owner.
    pub(super) fn household(&self) -> Vec<String> {
        let registry = self.net.as_ref().and_then(|net| net.registry.borrow().clone());
        registry.map(|registry| registry.view().household).unwrap_or_default()
    }

    /// Says how many copies of an app are kept on other nodes.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was changed.
    pub async fn set_replicas(self: &Arc<Self>, app: String, wanted: Wanted) -> Result<(), Refused> {
        let terms = Terms { seconds: wanted.term_seconds.unwrap_or(SHARED_SECONDS), exclusive: false };
        if !terms.are_allowed() {
            return Err(Refused::Wrong("a term has 120 seconds to 366 days".to_owned()));
        }
        if wanted.replicas > COPIES_MOST {
            return Err(Refused::Wrong(format!("at most {COPIES_MOST} copies are kept")));
        }
        if wanted.replicas == 0 {
            return self.altered(move |kept| kept.replicas.get_mut(&app).into_iter().for_each(|wish| wish.replicas = 0)).await;
        }
        self.view_of_net().filter(|view| view.community.is_some()).ok_or(Refused::NoCommunity)?;
        let settings =
            wanted.settings.unwrap_or_else(|| self.kept().replicas.get(&app).map(|wish| wish.settings.clone()).unwrap_or_default());
        let (of, said) = (app.clone(), settings.clone());
        self.apps.in_background(move |apps| apps.would_run(&of, said)).await.map_err(ending)??;
        let (replicas, term_seconds, note) = (wanted.replicas, wanted.term_seconds, wanted.note);
        // Whoever said no before may be asked again: the owner says it anew.
        let wish = Wish { replicas, settings, term_seconds, note, aside: BTreeMap::new() };
        let set = self.altered(move |kept| {
            if lent_elsewhere(kept, &app, terms) {
                return Err(lent_already());
            }
            if kept.replicas.len() >= WISHES_MOST && !kept.replicas.contains_key(&app) {
                return Err(Refused::Conflict(format!("copies of {WISHES_MOST} apps are kept already: give one up first")));
            }
            kept.replicas.insert(app, wish);
            Ok(())
        });
        set.await?
    }

    /// Keeps copies, for ever.
    pub async fn keep_replicas(self: Arc<Self>) {
        loop {
            let some = !self.kept().replicas.is_empty();
            if some && let Some(view) = self.view_of_net().filter(|view| view.community.is_some()) {
                self.keep_copies(&view).await;
            }
            // Whoever makes news all the time makes no more turns than this.
            tokio::time::sleep(LEASE_TURN_PAUSE).await;
            tokio::select! {
                () = self.counted.notified() => {}
                () = tokio::time::sleep(if some { LEASE_LOOK_EVERY } else { LEASE_REST }) => {}
            }
        }
    }

    async fn keep_copies(self: &Arc<Self>, view: &ClusterView) {
        let wishes = self.kept().replicas.clone();
        let (own, now) = (self.own_nodes(), self.now());
        let copies: BTreeMap<String, Vec<Copy>> = wishes.keys().map(|app| (app.clone(), self.kept().copies(app))).collect();
        let gone = {
            let mut clocks = self.clocks();
            note_gone(&mut clocks.gone, view, copies.values().flatten().map(|copy| copy.node.as_str()).collect(), now);
            clocks.keeping.retain(|app, _| wishes.contains_key(app));
            clocks.gone.iter().map(|(node, since)| (node.clone(), now.since(*since))).collect()
        };
        for (app, wish) in wishes {
            let copies = copies.get(&app).map(Vec::as_slice).unwrap_or_default();
            let steps = wish.next(copies, Place { members: &view.members, own: &own, gone: &gone, now: host::now_secs() });
            if let Err(error) = self.step(&app, &wish, steps, now).await {
                log::warn!(app:% = app; "a copy can't be kept now: {error}");
                self.clocks().keeping.entry(app).or_default().failed = Some((error.to_string(), self.now()));
            }
        }
    }

    async fn step(self: &Arc<Self>, app: &str, wish: &Wish, steps: Steps, now: Millis) -> Result<(), Refused> {
        for id in steps.unanswered {
            self.end_given(&id, "nobody answered within a day".to_owned()).await;
        }
        if !steps.spare.is_empty() || wish.replicas == 0 {
            let (of, spare) = (app.to_owned(), steps.spare);
            let ended = self.altered(move |kept| {
                for id in &spare {
                    // Nobody is left alone for it.
                    kept.given.get_mut(id).into_iter().for_each(|given| given.placed = false);
                    kept.end(id, "fewer copies are wanted");
                }
                let wanted = kept.replicas.get(&of).is_some_and(|wish| wish.replicas > 0);
                if !wanted && kept.copies(&of).iter().all(|copy| !copy.placed) {
                    kept.replicas.remove(&of);
                }
                spare
            });
            for id in ended.await? {
                self.clocks().lending.get_mut(&id).into_iter().for_each(cluster::leases::Lending::end);
            }
        }
        {
            let mut clocks = self.clocks();
            let kept = clocks.keeping.entry(app.to_owned()).or_default();
            kept.missing = steps.missing;
            if kept.failed.as_ref().is_some_and(|(_, at)| now.since(*at) < LEASE_TRY_AGAIN) {
                return Ok(());
            }
        }
        for node in steps.ask {
            let (app, node, settings) = (app.to_owned(), Some(node), wish.settings.clone());
            let (term_seconds, note) = (wish.term_seconds, wish.note.clone());
            self.offer_as(super::Wish { app, node, settings, term_seconds, note, copies: None, exclusive: false }, true).await?;
        }
        self.clocks().keeping.entry(app.to_owned()).or_default().failed = None;
        Ok(())
    }
}

/// Notes since when nodes with copies are not there.
fn note_gone(gone: &mut BTreeMap<String, Millis>, view: &ClusterView, nodes: BTreeSet<&str>, now: Millis) {
    gone.retain(|node, _| nodes.contains(node.as_str()));
    for node in nodes {
        let member = view.members.iter().find(|member| member.id == *node);
        if member.is_some_and(is_there) {
            gone.remove(node);
        } else {
            gone.entry(node.to_owned()).or_insert(now);
        }
    }
}

/// How keeping an app's copies stands.
pub fn shown(app: &str, wish: &Wish, copies: &[Copy], clocks: &Clocks) -> ReplicasView {
    let is_gone = |copy: &Copy| clocks.gone.contains_key(&copy.node);
    let count = |of: &dyn Fn(&Copy) -> bool| u16::try_from(copies.iter().filter(|copy| of(copy)).count()).unwrap_or(u16::MAX);
    let kept = clocks.keeping.get(app).cloned().unwrap_or_default();
    ReplicasView {
        app: app.to_owned(),
        wanted: wish.replicas,
        running: count(&|copy| copy.stands == Lent::Runs && !is_gone(copy)),
        coming: count(&|copy| copy.stands != Lent::Runs && !is_gone(copy)),
        gone: count(&|copy| is_gone(copy)),
        missing: u16::try_from(kept.missing).unwrap_or(u16::MAX),
        left_alone: u16::try_from(wish.aside.len()).unwrap_or(u16::MAX),
        settings: wish.settings.keys().cloned().collect(),
        why: kept.failed.map(|(why, _)| why).unwrap_or_default(),
    }
}
