//! What is shown of catalogs: those that are followed, those that nodes tell of, and the apps of one.

use super::plan::{InTheWay, Way};
use super::{Catalogs, by_language, digest, lock};
use crate::apps::AppSource;
use crate::net::ToldCatalog;
use cluster::catalog::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nodes that are named of those that tell of a catalog.
const TELLERS_SHOWN: usize = 20;

/// A catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SignedCatalog))]
#[serde(rename_all = "kebab-case", default)]
pub struct CatalogInfo {
    /// Its publisher's public key: 64 hexadecimal digits.
    pub key: String,
    /// How its publisher calls it. Of one that is not followed this is what nodes say.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// Whether it is followed.
    pub followed: bool,
    /// The name under which this node publishes it.
    pub mine: Option<String>,
    /// Which publication is here; none where nothing has come.
    pub number: Option<u64>,
    /// The hash of its blob.
    pub hash: Option<String>,
    /// How many apps it has.
    pub apps: usize,
    /// Its publisher has given its key up: nothing more is taken of it.
    pub revoked: bool,
    /// Its publisher has signed another one with the same number: the key is in two places, or was restored from an old copy.
    pub fork: bool,
    /// Nothing is taken of it for that, until an owner decides: follows it again, or no more.
    pub refused: bool,
    /// Why what nodes tell of it is not here.
    pub problem: Option<String>,
    /// Who tells of it, and which publication.
    pub told: Vec<Teller>,
}

/// A node that tells of a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogTeller))]
#[serde(rename_all = "kebab-case")]
pub struct Teller {
    /// The node's id.
    pub node: String,
    /// Its name, as it says.
    pub node_name: String,
    /// Which publication it has, as it says.
    pub number: u64,
}

/// A catalog with its apps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CatalogDetails {
    /// The catalog.
    #[serde(flatten)]
    pub catalog: CatalogInfo,
    /// Its apps, by name.
    pub offers: Vec<Offer>,
}

/// An app of a catalog, as it is for this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogOffer))]
#[serde(rename_all = "kebab-case", default)]
pub struct Offer {
    /// The key of its catalog.
    pub catalog: String,
    /// Its name.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// What it is for, by language.
    pub description: BTreeMap<String, String>,
    /// Where it stands in the store.
    pub category: String,
    /// The index of its images: which version it is.
    pub image: String,
    /// For which machines it is.
    pub machines: Vec<String>,
    /// Bytes to fetch for this one; none where it is for others alone.
    pub size_bytes: Option<u64>,
    /// Whether the store of this node has it in this version.
    pub in_store: bool,
    /// Whether the store or the node has it in another version of the same catalog.
    pub update: bool,
    /// The store or the node has another app of that name: the title of its catalog in English, or nothing where it came another way.
    pub other: Option<String>,
    /// Whether a person's own app has that name.
    pub own: bool,
    /// Whether it is on its way.
    pub coming: bool,
    /// Whether it is installed.
    pub installed: bool,
    /// Why it is not here, though somebody asked for it.
    pub problem: Option<String>,
}

impl CatalogInfo {
    /// The beginning of its key, by which people tell catalogs apart.
    pub fn short(&self) -> &str {
        self.key.get(..10).unwrap_or(&self.key)
    }

    fn titled(mut self, name: &str, title: &Words) -> Self {
        (self.name, self.title) = (name.to_owned(), by_language(title));
        self
    }
}

impl Catalogs {
    async fn told(&self) -> Vec<ToldCatalog> {
        let Some(registry) = self.registry() else { return Vec::new() };
        registry.catalogs().await.unwrap_or_else(|error| {
            log::warn!(error:%; "what nodes tell of catalogs can't be read");
            Vec::new()
        })
    }

    /// One that is followed or told of.
    pub async fn info(&self, key: &str) -> Option<CatalogInfo> {
        self.list().await.into_iter().find(|catalog| catalog.key == key)
    }

    /// All that are followed or told of, by their keys.
    pub async fn list(&self) -> Vec<CatalogInfo> {
        let (told, mine) = (self.told().await, self.published());
        let mut all: BTreeMap<String, CatalogInfo> = BTreeMap::new();
        for told in told {
            let info = all.entry(told.key.clone()).or_insert_with(|| {
                let info = CatalogInfo { key: told.key.clone(), ..CatalogInfo::default() };
                info.titled(&told.news.name, &told.news.title)
            });
            if info.told.len() < TELLERS_SHOWN {
                info.told.push(Teller { node: told.holder.node, node_name: told.holder.node_name, number: told.news.mark.number });
            }
        }
        for (key, followed) in self.kept().followed.clone() {
            let mut info = all.remove(&key).unwrap_or_else(|| CatalogInfo { key: key.clone(), ..CatalogInfo::default() });
            info.followed = true;
            info.problem = lock(&self.live).problems.get(&key).cloned();
            (info.fork, info.refused) = (followed.fork.is_some(), followed.is_refused());
            if let Some(mark) = followed.mark {
                (info.number, info.hash, info.revoked) = (Some(mark.number), Some(mark.hash), mark.revoked);
            }
            if let Some(catalog) = self.catalog(&key) {
                let said = catalog.contents();
                info.apps = said.apps.len();
                info = info.titled(&said.name, &said.title);
            }
            all.insert(key, info);
        }
        for (key, name) in mine {
            all.entry(key).and_modify(|info| info.mine = Some(name));
        }
        all.into_values().collect()
    }

    /// One that is followed or told of, with its apps.
    pub async fn one(&self, key: &str) -> Option<CatalogDetails> {
        Some(CatalogDetails { catalog: self.info(key).await?, offers: self.offers(key) })
    }

    /// Which catalogs apps of the store come from, by the apps' names.
    pub fn origins(&self) -> BTreeMap<String, AppSource> {
        let sources = self.kept().sources.clone();
        let origin = |(app, source): (String, super::record::Source)| {
            let store = self.apps.under(&app).0?;
            source.has(&store.index).then(|| (app, self.source(&source.key)))
        };
        sources.into_iter().filter_map(origin).collect()
    }

    /// The apps of a catalog that is followed, by name.
    pub fn offers(&self, key: &str) -> Vec<Offer> {
        let Some(catalog) = self.catalog(key) else { return Vec::new() };
        let this = self.apps.catalog().arch().map(|arch| arch.to_string()).unwrap_or_default();
        let mut offers: Vec<Offer> = Vec::new();
        for app in &catalog.contents().apps {
            let Some(index) = digest(&app.index) else { continue };
            let (store, installed, own) = self.apps.under(&app.name);
            let way = self.way(key, &app.name, &index, false);
            let other = match &way {
                Err(InTheWay::Other { key }) => {
                    let of = key.as_ref().and_then(|key| self.catalog(key));
                    Some(of.map(|catalog| catalog.contents().title.en.clone()).unwrap_or_default())
                }
                _ => None,
            };
            let wanted = self.kept().wanted.get(&app.name).filter(|wanted| wanted.key == key && wanted.index == index).cloned();
            let here = wanted.as_ref().and_then(|wanted| self.blobs.one(&wanted.hash).ok()?.here);
            let in_store = store.as_ref().is_some_and(|store| store.index == index);
            // While it is tried again, it is on its way.
            let failed = || lock(&self.live).failures.why((key, &app.name), &index).filter(|_| wanted.is_none() && !in_store);
            let problem = here.and_then(|here| here.problem).or_else(failed);
            offers.push(Offer {
                catalog: key.to_owned(),
                name: app.name.clone(),
                title: by_language(&app.title),
                description: by_language(&app.description),
                category: app.category.clone(),
                image: index.to_string(),
                machines: app.builds.iter().map(|build| build.machine.clone()).collect(),
                size_bytes: app.build(&this).map(|build| build.size_bytes),
                in_store,
                update: !in_store && way == Ok(Way::Fetch) && (store.is_some() || installed.is_some()),
                other,
                own,
                coming: wanted.is_some(),
                installed: installed.is_some(),
                problem: problem.filter(|_| !in_store),
            });
        }
        offers.sort_by(|one, other| one.name.cmp(&other.name));
        offers
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn some_catalog(followed: bool) -> CatalogInfo {
        CatalogInfo {
            key: "0a".repeat(32),
            name: "gracia".to_owned(),
            title: [("en".to_owned(), "<b>Neighbours".to_owned())].into(),
            followed,
            number: followed.then_some(3),
            told: vec![Teller { node: "0b".repeat(32), node_name: "<i>roof".to_owned(), number: 3 }],
            ..CatalogInfo::default()
        }
    }

    pub fn an_offer(name: &str) -> Offer {
        let words = |text: &str| [("en".to_owned(), text.to_owned())].into();
        Offer { catalog: name.to_owned(), name: name.to_owned(), title: words("<b>Broker"), size_bytes: Some(10), ..Offer::default() }
    }
}
