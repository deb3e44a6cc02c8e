//! What goes on by itself: newer publications are fetched as nodes tell of them, what this node has is told, and apps that were asked for
//! are noted and installed once they are here.

use super::failures::Failures;
use super::plan::{Candidate, Way, candidates};
use super::record::Wanted;
use super::{Catalogs, Refused, lock};
use crate::apps::Refused as AppRefused;
use crate::blobs::{Refused as BlobRefused, Taking, Visibility, Wish};
use crate::limits::{CATALOG_DISTRUST, CATALOG_LOOK_EVERY, CATALOG_LOOK_REST, CATALOG_LOOK_SOON, CATALOG_TRY_AGAIN};
use crate::net::{CatalogNews, NetHandle, Registry, ToldCatalog};
use crate::pieces::stream;
use cluster::catalog::{MAX_CATALOG_BYTES, Mark};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

/// What a catalog's file is.
const MEDIA_TYPE: &str = "application/vnd.cloudy.catalog.v1";
/// The word of the records that tell of catalogs.
const KIND: &str = "catalog";
/// How often a publication is looked for that a node tells of and nobody holds.
const LOOKS_FOR_UNKNOWN: u32 = 10;
/// Notes of who said what was not so, and of what did not come, at most.
const NOTES: usize = 1000;

/// What is known while the agent runs, and of no use after a restart.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// What is wrong with catalogs, by their keys.
    pub problems: BTreeMap<String, String>,
    /// Apps that did not come.
    pub failures: Failures,
    /// Nodes that told what was not so, by the catalog's key and their ids.
    liars: BTreeMap<(String, String), Instant>,
    /// Blobs that did not come.
    failed: BTreeMap<String, Instant>,
    /// How often blobs were looked for that nobody tells of.
    unknown: BTreeMap<String, u32>,
}

impl Live {
    fn believes(&self, key: &str, node: &str) -> bool {
        self.liars.get(&(key.to_owned(), node.to_owned())).is_none_or(|since| since.elapsed() > CATALOG_DISTRUST)
    }

    fn rests(&self, hash: &str) -> bool {
        self.failed.get(hash).is_some_and(|since| since.elapsed() < CATALOG_TRY_AGAIN)
    }

    fn distrust(&mut self, key: &str, candidate: &Candidate) {
        if self.liars.len() > NOTES {
            self.liars.clear();
        }
        self.liars.extend(candidate.tellers.iter().map(|node| ((key.to_owned(), node.clone()), Instant::now())));
    }

    /// Whether a publication that nobody holds yet is looked for again soon: some times, then it rests as what does not come.
    fn may_come(&mut self, hash: &str) -> bool {
        if self.unknown.len() > NOTES {
            self.unknown.clear();
        }
        let looks = self.unknown.entry(hash.to_owned()).or_default();
        *looks += 1;
        let soon = *looks < LOOKS_FOR_UNKNOWN;
        if !soon {
            self.unknown.remove(hash);
            self.did_not_come(hash);
        }
        soon
    }

    fn did_not_come(&mut self, hash: &str) {
        if self.failed.len() > NOTES {
            self.failed.clear();
        }
        self.failed.insert(hash.to_owned(), Instant::now());
    }
}

/// Waits until a node says something else of a catalog, or this one comes into a microcloud.
async fn news(registry: Option<&Registry>, net: Option<&NetHandle>) {
    let Some(registry) = registry else {
        let Some(net) = net else { return std::future::pending().await };
        let mut registry = net.registry.clone();
        registry.mark_unchanged();
        if registry.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        return;
    };
    let mut changes = registry.watch();
    loop {
        match changes.recv().await {
            Ok(changed) if changed.records.iter().any(|record| record.kind == KIND) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Catalogs {
    /// Does all that, until the agent ends.
    pub async fn keep_going(self: Arc<Self>) {
        loop {
            let registry = self.registry();
            let changed = news(registry.as_ref(), self.net.as_ref());
            let work = async {
                let soon = self.go_on(registry.as_ref()).await;
                sleep(CATALOG_LOOK_REST).await;
                soon
            };
            // What changes while it is looked is not missed.
            let mut changed = std::pin::pin!(changed);
            let mut work = std::pin::pin!(work);
            let (soon, heard) = tokio::select! {
                soon = &mut work => (soon, false),
                () = &mut changed => (work.await, true),
            };
            if heard {
                continue;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = changed => {}
                () = sleep(if soon { CATALOG_LOOK_SOON } else { CATALOG_LOOK_EVERY }) => {}
            }
        }
    }

    /// Whether it is worth looking again soon.
    async fn go_on(self: &Arc<Self>, registry: Option<&Registry>) -> bool {
        let mut soon = false;
        // Where none is followed, nobody needs what all nodes tell.
        if let Some(registry) = registry.filter(|_| !self.kept().followed.is_empty()) {
            match registry.catalogs().await {
                Ok(told) => soon = self.look(registry, &told).await,
                Err(error) => log::warn!(error:%; "what nodes tell of catalogs can't be read"),
            }
        }
        self.give().await;
        if let Some(registry) = registry
            && let Err(error) = registry.tell_catalogs(self.held()).await
        {
            log::warn!(error:%; "the nodes can't be told which catalogs are here");
        }
        self.want_updates().await;
        let wanted = self.kept().wanted.clone();
        for (app, wanted) in wanted {
            soon |= match self.see_to(&app, &wanted).await {
                Ok(still) => still,
                Err(error) => {
                    log::warn!(app = app.as_str(), error:%; "what was asked for of a catalog is not done");
                    true
                }
            };
        }
        soon
    }

    /// Fetches what is newer of what nodes tell; whether something was not there yet.
    pub(super) async fn look(self: &Arc<Self>, registry: &Registry, told: &[ToldCatalog]) -> bool {
        let followed = self.kept().followed.clone();
        let mut soon = false;
        for (key, followed) in followed {
            let here = (&followed, self.catalog(&key).is_some());
            let counts = |node: &str, mark: &Mark| {
                let live = lock(&self.live);
                live.believes(&key, node) && !live.rests(&mark.hash)
            };
            let tried = candidates(told, &key, here, counts);
            for candidate in tried {
                match self.try_one(registry, &key, &candidate).await {
                    Ok(()) => {
                        lock(&self.live).problems.remove(&key);
                        break;
                    }
                    Err(error) => {
                        log::warn!(key = key.as_str(), hash = candidate.mark.hash.as_str(), error:%; "a catalog that nodes tell of is not taken");
                        let mut live = lock(&self.live);
                        match &error {
                            // Whoever told of it may hold it in a moment; who never does holds nobody up.
                            Refused::Blob(BlobRefused::Unknown(_)) => {
                                soon |= live.may_come(&candidate.mark.hash);
                            }
                            Refused::Blob(_) | Refused::NotKept(_) => live.did_not_come(&candidate.mark.hash),
                            // That is its publisher's doing, and not that of who passes it on.
                            Refused::Fork(_) | Refused::NotFollowed(_) => {}
                            _ => live.distrust(&key, &candidate),
                        }
                        live.problems.insert(key.clone(), error.to_string());
                    }
                }
            }
        }
        soon
    }

    async fn try_one(self: &Arc<Self>, registry: &Registry, key: &str, candidate: &Candidate) -> Result<(), Refused> {
        let hash = &candidate.mark.hash;
        let held = self.blobs.one(hash).is_ok();
        let bytes = self.blobs.small(Some(registry), hash, MAX_CATALOG_BYTES).await?;
        let taken = self.take(bytes, Some(key)).await;
        // Nothing stays of what is no catalog; what is one is given on.
        if taken.is_err() && !held {
            self.blobs.remove(hash).await?;
        }
        taken.map(drop)
    }

    /// Gives what was taken to others, as a blob; the publication before it, no more.
    async fn give(self: &Arc<Self>) {
        let followed = self.kept().followed.clone();
        for (key, followed) in followed {
            let (Some(catalog), Some(mark)) = (self.catalog(&key), followed.mark) else { continue };
            let pinned = self.blobs.one(&mark.hash).is_ok_and(|blob| blob.here.is_some_and(|here| here.pinned));
            if followed.given.as_ref() == Some(&mark.hash) && pinned {
                continue;
            }
            let wish = Wish {
                name: format!("{}.catalog", catalog.contents().name),
                media_type: MEDIA_TYPE.to_owned(),
                visibility: Visibility::Community,
                pinned: true,
                app: None,
            };
            let bytes = catalog.to_bytes();
            let body = stream(crate::pieces::written(move |to| to.write_all(&bytes)));
            if let Err(error) = self.blobs.add(wish, body).await {
                log::warn!(error:%; "a catalog that is followed can't be given to others");
                continue;
            }
            let old = followed.given.filter(|given| *given != mark.hash);
            let noted = self.alter(move |kept| {
                kept.followed.entry(key).and_modify(|followed| followed.given = Some(mark.hash));
                Ok(())
            });
            if let Err(error) = noted.await {
                log::warn!(error:%; "that a catalog is given to others can't be noted");
            } else if let Some(old) = old
                && let Err(error) = self.blobs.remove(&old).await
            {
                log::warn!(error:%; "an older catalog is still given to others");
            }
        }
    }

    /// What this node tells of the catalogs that it gives.
    fn held(&self) -> BTreeMap<String, CatalogNews> {
        let kept = self.kept();
        let news = |(key, followed): (&String, &super::record::Followed)| {
            let mark = followed.mark.clone().filter(|mark| followed.given.as_ref() == Some(&mark.hash))?;
            let catalog = self.catalog(key)?;
            let contents = catalog.contents();
            Some((key.clone(), CatalogNews { name: contents.name.clone(), title: contents.title.clone(), mark }))
        };
        kept.followed.iter().filter_map(news).take(crate::net::MAX_CATALOGS).collect()
    }

    /// Fetches newer versions of what is installed from a catalog, so that it can be said what an update changes. Nothing is updated.
    async fn want_updates(self: &Arc<Self>) {
        let sources = self.kept().sources.clone();
        for (app, source) in sources {
            let (Ok((listed, index)), (Some(store), Some(_), _)) = (self.listed(&source.key, &app), self.apps.under(&app)) else {
                continue;
            };
            let of = (source.key.as_str(), app.as_str());
            let waits = self.kept().wanted.contains_key(&app) || lock(&self.live).failures.rests(Instant::now(), of, &index);
            if store.index == index || waits || self.way(&source.key, &app, &index, false) != Ok(Way::Fetch) {
                continue;
            }
            if let Err(error) = self.begin(&source.key, &listed, &index, &super::GetWish::default()).await {
                log::warn!(app = app.as_str(), error:%; "a newer version of an app of a catalog is not fetched");
                lock(&self.live).failures.note(Instant::now(), of, &index, error.to_string());
            }
        }
    }

    /// Goes on with an app that was asked for; whether it is still on its way.
    pub(super) async fn see_to(self: &Arc<Self>, app: &str, wanted: &Wanted) -> Result<bool, Refused> {
        let one = self.getting.lock().await;
        // Another one may have been asked for since it was looked what is.
        if self.kept().wanted.get(app) != Some(wanted) {
            return Ok(true);
        }
        let taking = self.blobs.one(&wanted.hash).ok().and_then(|blob| blob.here).map(|here| here.taking);
        let problem = match taking {
            Some(Taking::Wanted { .. }) => return Ok(true),
            // The store's is the one that was wished, and not one that came into it meanwhile under that name.
            Some(Taking::Taken) if self.apps.under(app).0.is_some_and(|store| store.index == wanted.index) => None,
            Some(Taking::Taken) => Some("another version of it came into the store meanwhile: fetch it again".to_owned()),
            Some(Taking::Refused { why }) => Some(why),
            Some(Taking::No) | None => Some("its blob was removed while it came".to_owned()),
        };
        let (key, index) = (wanted.key.as_str(), &wanted.index);
        let is_here = problem.is_none();
        let install = wanted.install && is_here;
        let (name, taken, installed) = (app.to_owned(), wanted.clone(), self.apps.under(app).1);
        self.alter(move |kept| {
            kept.wanted.remove(&name);
            if is_here {
                kept.is_of(&name, &taken.key, &taken.index, installed.as_ref().map(|entry| &entry.index));
            }
            Ok(())
        })
        .await?;
        drop(one);
        if is_here {
            lock(&self.live).failures.forget(key, app);
        }
        let problem = match (problem, install) {
            (None, true) => match self.install(app).await {
                // What must be said is asked for by the store.
                Ok(_) | Err(Refused::App(AppRefused::Choice(_))) => None,
                Err(error) => Some(error.to_string()),
            },
            (problem, _) => problem,
        };
        if let Some(problem) = problem {
            log::warn!(app, problem = problem.as_str(); "an app of a catalog is not as it was wished");
            lock(&self.live).failures.note(Instant::now(), (key, app), index, problem);
        }
        Ok(false)
    }
}
