//! Apps that go from node to node: one of the catalog is given to the microcloud as a blob, and one that another node gives is fetched and
//! taken into the catalog.
//!
//! Architecture invariant: what came is taken only if it is that app in that version of which its holders speak, and nothing beside it.

use super::catalog::Refused as NotTaken;
use super::{Apps, Refused};
use crate::blobs::{BlobView, Blobs, Here, Refused as BlobRefused, Taking, Visibility, Wish};
use crate::limits::APP_TAKE_AGAIN;
use crate::net::{AppImage, BlobSearch, Holder, Registry};
use crate::pieces::stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinError;
use tokio::time::sleep;

/// An app that nodes of the microcloud give.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct FoundApp {
    /// The hash of its blob.
    pub hash: String,
    /// What its holders say of it.
    pub app: AppImage,
    /// Bytes to fetch.
    pub size_bytes: u64,
    /// Who gives it.
    pub holders: Vec<Holder>,
    /// How its blob is on this node; none where it is not here.
    pub here: Option<Here>,
    /// Whether the catalog has an app of that name.
    pub known: bool,
    /// Whether the catalog has it in this very version.
    pub in_catalog: bool,
    /// Whether it is for machines like this one.
    pub fits: bool,
    /// The signed catalog of whose app it would take the place: for that it must be asked (`replace`).
    pub takes_from: Option<AppSource>,
}

/// A signed catalog as where an app comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AppSource {
    /// The catalog's key: 64 hexadecimal digits.
    pub key: String,
    /// How its publisher calls it; empty where it is followed no more, or has not come.
    pub name: String,
    /// What people call it, by language; likewise.
    pub title: BTreeMap<String, String>,
}

impl AppSource {
    /// The beginning of its key, by which people tell catalogs apart.
    pub fn short(&self) -> &str {
        self.key.get(..10).unwrap_or(&self.key)
    }

    /// Why another app is not taken in place of one of it.
    pub fn in_the_way(&self, app: &AppImage) -> BlobRefused {
        let catalog = if self.name.is_empty() { self.short().to_owned() } else { format!("{} ({})", self.name, self.short()) };
        BlobRefused::InTheWay { app: app.name.clone(), catalog }
    }
}

/// Why an app is not shared.
#[derive(Debug, thiserror::Error)]
pub enum NotShared {
    /// There is none.
    #[error(transparent)]
    App(#[from] Refused),
    /// By the catalog.
    #[error(transparent)]
    Taken(#[from] NotTaken),
    /// By the blobs.
    #[error(transparent)]
    Blob(#[from] BlobRefused),
}

/// The agent ends meanwhile.
fn ending(error: JoinError) -> Refused {
    Refused::NotKept(error.to_string())
}

impl Apps {
    /// Gives an app of the catalog to the microcloud, in the version that the catalog has; a version that this node gave before, no more.
    ///
    /// # Errors
    /// There is none of that name, something of it is damaged, or there is no room.
    pub async fn share(self: &Arc<Self>, blobs: &Arc<Blobs>, name: &str, visibility: Visibility) -> Result<BlobView, NotShared> {
        let entry = self.catalog.get(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        let said = self.in_background(move |apps| Ok::<_, NotTaken>((apps.catalog.said(&entry)?, apps.catalog.give(&entry)?))).await;
        let (app, pieces): (AppImage, Receiver<_>) = said.map_err(ending)??;
        let shared = blobs.add(Wish::of_app(app, visibility), stream(pieces)).await?;
        for (hash, app) in blobs.apps_given() {
            if app.name == name && hash != shared.hash {
                blobs.remove(&hash).await?;
            }
        }
        Ok(shared)
    }

    /// A page of the apps that nodes give, and the cursor of the next.
    ///
    /// # Errors
    /// It can't be understood, or the records can't be read.
    pub async fn found_elsewhere(
        &self,
        blobs: &Blobs,
        registry: Option<&Registry>,
        search: BlobSearch,
    ) -> Result<(Vec<FoundApp>, Option<String>), BlobRefused> {
        let page = blobs.page(registry, BlobSearch { apps: true, ..search }, true).await?;
        let this = self.catalog.arch().map(|arch| arch.to_string());
        let view = |blob: BlobView| {
            let app = blob.facts.app?;
            let entry = self.catalog.get(&app.name);
            Some(FoundApp {
                hash: blob.hash,
                size_bytes: blob.facts.size_bytes,
                holders: blob.holders.unwrap_or_default(),
                here: blob.here,
                known: entry.is_some(),
                in_catalog: entry.is_some_and(|entry| entry.index == app.index),
                fits: this.as_ref() == Some(&app.architecture),
                takes_from: None,
                app,
            })
        };
        Ok((page.blobs.into_iter().filter_map(view).collect(), page.next))
    }

    /// Takes apps that have come into the catalog, until the agent ends. `whose` says of which signed catalog's app one would take the place:
    /// it does where somebody said so, and else is not taken.
    pub async fn keep_taking(self: Arc<Self>, blobs: Arc<Blobs>, whose: impl Fn(&AppImage) -> Option<AppSource>) {
        loop {
            let mut again = false;
            for (hash, app) in blobs.apps_wanted() {
                // Others were taken meanwhile, which takes its time.
                let Some(replace) = blobs.may_replace(&hash) else { continue };
                let taken = match whose(&app).filter(|_| !replace) {
                    Some(source) => Err(source.in_the_way(&app).into()),
                    None => self.take_one(&blobs, &hash, &app).await,
                };
                match taken {
                    // Another is being received: its turn comes.
                    Err(NotShared::Taken(NotTaken::Busy)) => again = true,
                    taken => {
                        let why = taken.err().map(|error| format!("{:#}", anyhow::Error::from(error)));
                        if let Some(why) = &why {
                            log::error!(hash, app = app.name, error = why; "an app that was fetched is not taken into the catalog");
                        }
                        if let Err(error) = blobs.app_is_taken(&hash, why).await {
                            log::error!(hash, error:%; "that an app was taken can't be noted");
                            again = true;
                        }
                    }
                }
            }
            if again {
                sleep(APP_TAKE_AGAIN).await;
            } else {
                blobs.app_may_have_come().await;
            }
        }
    }

    async fn take_one(self: &Arc<Self>, blobs: &Arc<Blobs>, hash: &str, app: &AppImage) -> Result<(), NotShared> {
        let coming = blobs.incoming(hash).await?;
        let (name, index) = (app.name.clone(), app.index.clone());
        let taken = self.in_background(move |apps| apps.catalog.take_app(coming, &name, &index, || apps.in_use())).await;
        Ok(taken.map_err(ending)??)
    }
}

impl FoundApp {
    /// Whether it is on its way into the catalog.
    pub fn coming(&self) -> bool {
        self.here.as_ref().is_some_and(|here| matches!(here.taking, Taking::Wanted { .. }))
    }

    /// Why it is not in the catalog, though somebody wanted it.
    pub fn problem(&self) -> Option<&str> {
        match self.here.as_ref()? {
            Here { taking: Taking::Refused { why }, .. } => Some(why),
            Here { taking: Taking::Wanted { .. }, problem, .. } => problem.as_deref(),
            Here { .. } => None,
        }
    }
}

/// What a page shows of what nodes give: what is on its way, and what the catalog has not in that version; of each giver so many at most, so
/// that none hides the rest.
#[derive(Debug, Default)]
pub struct Shelf {
    shown: Vec<FoundApp>,
    of_giver: BTreeMap<String, usize>,
}

impl Shelf {
    /// Most that it shows.
    const MOST: usize = 100;
    /// Of one giver.
    const OF_GIVER: usize = 30;

    /// Puts one up, if there is a place for it.
    pub fn put(&mut self, found: FoundApp) {
        if found.in_catalog && !found.coming() {
            return;
        }
        let giver = found.holders.first().map(|holder| holder.node.clone()).unwrap_or_default();
        let count = self.of_giver.entry(giver).or_default();
        *count += 1;
        if found.coming() || *count <= Self::OF_GIVER {
            self.shown.push(found);
        }
    }

    /// Whether no more need be looked for.
    pub fn is_full(&self) -> bool {
        self.shown.len() >= Self::MOST
    }

    /// What is shown: first what is on its way, then what can be had on a machine like this one.
    pub fn into_shown(mut self) -> Vec<FoundApp> {
        self.shown.sort_by_key(|found| (!found.coming(), !found.fits));
        self.shown.truncate(Self::MOST);
        self.shown
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::net::an_app;

    pub fn found(name: &str, giver: &str, taking: Option<Taking>) -> FoundApp {
        let here =
            |taking| Here { visibility: Visibility::Community, pinned: false, complete: false, fetched_bytes: 3, problem: None, taking };
        FoundApp {
            hash: "0f".repeat(32),
            app: an_app(name),
            size_bytes: 10,
            holders: vec![Holder { node: giver.to_owned(), node_name: giver.to_owned(), me: false, state: None }],
            here: taking.map(here),
            known: false,
            in_catalog: false,
            fits: true,
            takes_from: None,
        }
    }

    #[test]
    fn no_giver_hides_the_others_and_what_is_coming_stands_first() {
        let mut shelf = Shelf::default();
        (0..500).for_each(|n| shelf.put(found(&format!("fake{n}"), "hostile", None)));
        shelf.put(FoundApp { in_catalog: true, ..found("mine", "garden", None) });
        shelf.put(FoundApp { fits: false, ..found("other", "garden", None) });
        shelf.put(found("wiki", "garden", None));
        shelf.put(found("late", "hostile", Some(Taking::Wanted { replace: false })));
        assert!(!shelf.is_full());
        let names: Vec<String> = shelf.into_shown().into_iter().map(|found| found.app.name).collect();
        assert_eq!((names.len(), names[0].as_str(), names.last().unwrap().as_str()), (33, "late", "other"));
        assert!(names.contains(&"wiki".to_owned()) && !names.contains(&"mine".to_owned()));
    }
}
