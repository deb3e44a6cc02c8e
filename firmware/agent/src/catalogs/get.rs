//! An app of a catalog → the store of this node: it is fetched as a blob, taken by `apps`, and installed where that is wished.

use super::plan::{InTheWay, There, Way, takes_from, way};
use super::record::Wanted;
use super::{Catalogs, Refused, by_language, check_key, digest, lock};
use crate::apps::{AppSource, JobView, Wish};
use crate::net::AppImage;
use cluster::catalog::Listed;
use contract::oci::Digest;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is wished of an app of a catalog: `POST /api/v1/catalogs/KEY/apps/NAME`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogAppWish))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GetWish {
    /// Whether it is installed once it is here. Where something must be said for that, it waits in the store.
    pub install: bool,
    /// Whether it takes the place of another app of that name in the store.
    pub replace: bool,
}

/// What has begun.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogAppBegun))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Begun {
    /// The app.
    pub app: String,
    /// The hash of its blob.
    pub hash: String,
    /// Whether it is in the store in that version already; else it is on its way.
    pub in_store: bool,
    /// The job that installs it, where that has begun.
    pub job: Option<u64>,
}

impl Catalogs {
    /// An app of a catalog that is followed, with its version.
    pub(super) fn listed(&self, key: &str, name: &str) -> Result<(Listed, Digest), Refused> {
        check_key(key)?;
        let followed = self.kept().followed.get(key).cloned().ok_or_else(|| Refused::NotFollowed(key.to_owned()))?;
        if followed.is_refused() {
            return Err(followed.forked());
        }
        let catalog = self.catalog(key).ok_or_else(|| Refused::NotCome(key.to_owned()))?;
        let found = catalog.contents().apps.iter().find(|app| app.name == name).cloned();
        found
            .and_then(|app| Some((digest(&app.index)?, app)))
            .map(|(index, app)| (app, index))
            .ok_or_else(|| Refused::NoApp(name.to_owned()))
    }

    /// Fetches an app of a catalog into the store, and installs it there where that is wished.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub async fn get(self: &Arc<Self>, key: &str, name: &str, wish: &GetWish) -> Result<Begun, Refused> {
        let (listed, index) = self.listed(key, name)?;
        lock(&self.live).failures.forget(key, name);
        self.begin(key, &listed, &index, wish).await
    }

    /// The same of an app that is listed, whoever wishes it.
    pub(super) async fn begin(self: &Arc<Self>, key: &str, listed: &Listed, index: &Digest, wish: &GetWish) -> Result<Begun, Refused> {
        let _one = self.getting.lock().await;
        let (name, index) = (listed.name.as_str(), index.clone());
        let (app, hash, size_bytes) = self.image(listed, &index)?;
        let found = self.way(key, name, &index, wish.replace).map_err(|why| self.in_the_way(name, why))?;
        let begun = Begun { app: name.to_owned(), hash: hash.clone(), in_store: found == Way::Here, job: None };
        if found == Way::Here {
            let (of, key, installed) = (name.to_owned(), key.to_owned(), self.apps.under(name).1);
            self.alter(move |kept| {
                kept.is_of(&of, &key, &index, installed.as_ref().map(|entry| &entry.index));
                Ok(())
            })
            .await?;
            let job = if wish.install { self.install(name).await?.map(|job| job.id) } else { None };
            return Ok(Begun { job, ..begun });
        }
        // First it is noted: whoever asks for another one of that name meanwhile is told.
        let wanted = Wanted { key: key.to_owned(), index, hash: hash.clone(), install: wish.install };
        let of = name.to_owned();
        let before = self.kept().wanted.get(name).map(|before| before.hash.clone()).filter(|before| *before != hash);
        self.alter(move |kept| {
            if let Some(other) = kept.wanted.get(&of).filter(|other| other.key != wanted.key) {
                return Err(Refused::Coming(other.key.clone()));
            }
            kept.wanted.insert(of, wanted);
            Ok(())
        })
        .await?;
        // Another version that was on its way comes no more: only one of them is to be in the store.
        if let Some(before) = before {
            self.blobs.want_no_more(&before).await;
        }
        if let Err(error) = self.blobs.fetch_signed_app(&hash, app, size_bytes).await {
            self.want_no_more(name).await?;
            return Err(error.into());
        }
        self.wake.notify_one();
        Ok(begun)
    }

    /// What is on its way under that name from a catalog comes no more: an owner wants the blob `hash` there.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn give_way(self: &Arc<Self>, name: &str, hash: &str) -> Result<(), Refused> {
        let _one = self.getting.lock().await;
        let before = self.kept().wanted.get(name).map(|before| before.hash.clone()).filter(|before| before != hash);
        let Some(before) = before else { return Ok(()) };
        self.want_no_more(name).await?;
        self.blobs.want_no_more(&before).await;
        Ok(())
    }

    async fn want_no_more(self: &Arc<Self>, name: &str) -> Result<(), Refused> {
        let of = name.to_owned();
        self.alter(move |kept| {
            kept.wanted.remove(&of);
            Ok(())
        })
        .await
    }

    /// What is said of an app, and the blob of its images for this machine.
    fn image(&self, listed: &Listed, index: &Digest) -> Result<(AppImage, String, u64), Refused> {
        let this = self.apps.catalog().arch().map(|arch| arch.to_string()).unwrap_or_default();
        let build = listed.build(&this).ok_or_else(|| {
            let built: Vec<&str> = listed.builds.iter().map(|build| build.machine.as_str()).collect();
            Refused::Machine { app: listed.name.clone(), built: built.join(", "), this: this.clone() }
        })?;
        let app = AppImage {
            name: listed.name.clone(),
            index: index.clone(),
            architecture: this,
            category: listed.category.clone(),
            title: by_language(&listed.title),
            description: by_language(&listed.description),
        };
        Ok((app, HEXLOWER.encode(&build.hash), build.size_bytes))
    }

    /// What there is under an app's name.
    fn under<T>(&self, name: &str, look: impl FnOnce(&There<'_>) -> T) -> T {
        let (store, installed, own) = self.apps.under(name);
        let kept = self.kept();
        look(&There {
            store: store.as_ref().map(|entry| &entry.index),
            installed: installed.as_ref().map(|entry| &entry.index),
            source: kept.sources.get(name),
            wanted: kept.wanted.get(name),
            own,
        })
    }

    pub(super) fn way(&self, key: &str, name: &str, index: &Digest, owner_said_so: bool) -> Result<Way, InTheWay> {
        self.under(name, |there| way(there, key, index, owner_said_so))
    }

    /// The catalog of whose app one would take the place that comes another way: see [`takes_from`].
    pub fn would_take_from(&self, app: &AppImage) -> Option<AppSource> {
        let key = self.under(&app.name, |there| takes_from(there, &app.index).map(str::to_owned))?;
        Some(self.source(&key))
    }

    /// A catalog as where an app comes from.
    pub(super) fn source(&self, key: &str) -> AppSource {
        let catalog = self.catalog(key);
        let said = catalog.as_deref().map(cluster::catalog::Catalog::contents);
        AppSource {
            key: key.to_owned(),
            name: said.map(|said| said.name.clone()).unwrap_or_default(),
            title: said.map(|said| by_language(&said.title)).unwrap_or_default(),
        }
    }

    fn in_the_way(&self, name: &str, why: InTheWay) -> Refused {
        let app = name.to_owned();
        match why {
            InTheWay::Own => Refused::Own(app),
            InTheWay::Coming { .. } => Refused::Coming(app),
            InTheWay::Other { key: None } => {
                Refused::Other { app, whose: "which was added by hand or fetched from a neighbour".to_owned() }
            }
            InTheWay::Other { key: Some(key) } => {
                let title = self.catalog(&key).map(|catalog| catalog.contents().title.en.clone());
                let short = key.get(..10).unwrap_or_default();
                Refused::Other {
                    app,
                    whose: format!("from the catalog `{}` ({short})", title.unwrap_or_else(|| "that is followed no more".to_owned())),
                }
            }
        }
    }

    /// Begins to install an app of the store, if it is not installed.
    pub(super) async fn install(&self, name: &str) -> Result<Option<JobView>, Refused> {
        if self.apps.under(name).1.is_some() {
            return Ok(None);
        }
        let of = name.to_owned();
        let begun = self.apps.in_background(move |apps| apps.install(&of, Wish::default())).await;
        Ok(Some(begun.map_err(|error| Refused::NotKept(error.to_string()))??))
    }
}
