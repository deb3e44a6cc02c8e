//! Publishing: apps of this node's store become a signed catalog. Its secret key stays on this node, and may be brought to another one.

use super::record::Followed;
use super::{CatalogInfo, Catalogs, Refused, lock};
use crate::limits::CATALOGS_PUBLISHED;
use crate::settings::read_whole;
use cluster::catalog::{Build, Catalog, Contents, Listed, Words, is_name, key_from_text, key_to_text};
use cluster::keys::Key;
use data_encoding::HEXLOWER;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file with the secret keys.
const KEYS: &str = "keys.json";

/// Secret keys in hexadecimal, by the names of the catalogs.
type Keys = BTreeMap<String, String>;

/// What is published: `PUT /api/v1/own-catalogs/NAME`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogPublication))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PublishWish {
    /// What people call it, by language: `en`, `es`, `ca`. A language that is left out has the words of another. None for those of before.
    pub title: BTreeMap<String, String>,
    /// Names of apps of this node's store; none for those of before, in the versions that the store has now.
    pub apps: Option<Vec<String>>,
}

/// The secret key of a catalog: `GET` and `PUT /api/v1/own-catalogs/NAME/key`
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogKey))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SavedKey {
    /// `cloudy1-publisher-…`: whoever has it publishes in this catalog's name.
    pub secret: String,
}

/// Words in three languages from what was said in some of them.
fn words(said: &BTreeMap<String, String>) -> Option<Words> {
    let any = ["en", "es", "ca"].iter().find_map(|tag| said.get(*tag))?;
    let of = |tag: &str| said.get(tag).unwrap_or(any).clone();
    Some(Words { en: of("en"), es: of("es"), ca: of("ca") })
}

impl Catalogs {
    fn keys(&self) -> Result<Keys, Refused> {
        let read = read_whole(&self.folder.join(KEYS));
        read.map(Option::unwrap_or_default).map_err(|error| Refused::NotKept(format!("the keys of this node's catalogs: {error:#}")))
    }

    fn seed(&self, name: &str) -> Result<Option<[u8; 32]>, Refused> {
        let Some(digits) = self.keys()?.remove(name) else { return Ok(None) };
        let seed = HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        seed.map(Some).ok_or_else(|| Refused::NotKept(format!("the key of `{name}` in `{KEYS}` is damaged: bring the saved one back")))
    }

    /// Names of the catalogs that this node publishes, by their keys.
    pub(super) fn published(&self) -> BTreeMap<String, String> {
        let keys = self.keys().unwrap_or_else(|error| {
            log::error!("{error}");
            Keys::new()
        });
        let key = |digits: &str| Some(Key::of_seed(&HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()?).hex());
        keys.iter().filter_map(|(name, digits)| Some((key(digits)?, name.clone()))).collect()
    }

    /// Keeps a key; on the disk when this answers, and for nobody else to read.
    async fn keep_key(self: &Arc<Self>, name: &str, seed: Option<[u8; 32]>) -> Result<(), Refused> {
        let name = name.to_owned();
        self.in_background(move |catalogs| {
            let _one = lock(&catalogs.altering);
            let mut keys = catalogs.keys()?;
            match seed {
                Some(seed) => keys.insert(name, HEXLOWER.encode(&seed)),
                None => keys.remove(&name),
            };
            if keys.len() > CATALOGS_PUBLISHED {
                return Err(Refused::Publishing(format!("a node publishes {CATALOGS_PUBLISHED} catalogs at most: give one up first")));
            }
            let bytes = serde_json::to_vec(&keys).map_err(|error| Refused::NotKept(error.to_string()))?;
            catalogs.write(KEYS, &bytes, 0o600)
        })
        .await
    }

    /// Publishes apps of the store in a catalog of this node, with a higher number than the last. At first it is made, with a key of its own.
    ///
    /// # Errors
    /// See [`Refused`]; nothing is published.
    pub async fn publish(self: &Arc<Self>, name: &str, wish: PublishWish) -> Result<CatalogInfo, Refused> {
        if !is_name(name) {
            let why = "a catalog's name is lower-case letters, digits and `-`, 33 at most, and begins with a letter";
            return Err(Refused::Publishing(why.to_owned()));
        }
        let (seed, new) = match self.seed(name)? {
            Some(seed) => (seed, false),
            None => {
                let mut seed = [0; 32];
                rand::rng().fill_bytes(&mut seed);
                (seed, true)
            }
        };
        let key = Key::of_seed(&seed).hex();
        // Another node may publish with the same key.
        let mut told = false;
        if let Some(registry) = self.registry().filter(|_| !new)
            && let Ok(all) = registry.catalogs().await
        {
            told = all.iter().any(|told| told.key == key && !told.holder.me);
            self.look(&registry, &all).await;
        }
        let before = self.catalog(&key);
        let said = before.as_deref().map(Catalog::contents);
        // Who would begin again at the first number is taken for a liar by all who follow it.
        let known = told || self.kept().followed.get(&key).is_some_and(|followed| followed.mark.is_some());
        if before.is_none() && known {
            let why = format!("what this catalog said last is not here, and would be lost: `cloudy catalog follow {key}` fetches it");
            return Err(Refused::Publishing(why));
        }
        if said.is_some_and(|said| said.revoked) {
            return Err(Refused::Revoked);
        }
        let no_title = || Refused::Publishing("say what people call it (`--title`)".to_owned());
        let title = words(&wish.title).or_else(|| said.map(|said| said.title.clone())).ok_or_else(no_title)?;
        let named = said.map(|said| said.apps.iter().map(|app| app.name.clone()).collect());
        let mut apps = Vec::new();
        for app in wish.apps.or(named).unwrap_or_default() {
            apps.push(self.share(&app).await?.with_builds_of(said));
        }
        let number = self.next_number(&key)?;
        let signed = Catalog::sign(&seed, Contents { name: name.to_owned(), title, number, revoked: false, apps })?;
        if new {
            self.keep_key(name, Some(seed)).await?;
        }
        // Who publishes it decides what it says from now on.
        let of = key.clone();
        self.alter(move |kept| {
            kept.followed.get_mut(&of).into_iter().for_each(Followed::decide);
            Ok(())
        })
        .await?;
        self.take(signed.to_bytes(), None).await?;
        self.info(&key).await.ok_or(Refused::NotFollowed(key))
    }

    fn next_number(&self, key: &str) -> Result<u64, Refused> {
        let last = self.kept().followed.get(key).and_then(|followed| followed.mark.as_ref().map(|mark| mark.number)).unwrap_or_default();
        last.checked_add(1).ok_or_else(|| Refused::Publishing("there is no higher number: publish a catalog with a new key".to_owned()))
    }

    /// An app of the store, given to the microcloud as a blob.
    async fn share(self: &Arc<Self>, name: &str) -> Result<Listed, Refused> {
        let blob = self.apps.share(&self.blobs, name, self.blobs.app_is_for(name)).await?;
        let no_app = || Refused::NoApp(name.to_owned());
        let app = blob.facts.app.ok_or_else(no_app)?;
        let bytes = |digits: &str| HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(no_app);
        Ok(Listed {
            name: app.name,
            index: bytes(app.index.hex())?,
            category: app.category,
            title: words(&app.title).unwrap_or_default(),
            description: words(&app.description).unwrap_or_default(),
            builds: vec![Build { machine: app.architecture, hash: bytes(&blob.hash)?, size_bytes: blob.facts.size_bytes }],
        })
    }

    /// Gives a catalog's key up: all who follow it are told that nothing is to be taken any more that it signs.
    ///
    /// # Errors
    /// This node does not publish it, or it can't be kept.
    pub async fn give_up(self: &Arc<Self>, name: &str) -> Result<CatalogInfo, Refused> {
        let seed = self.seed(name)?.ok_or_else(|| Refused::NotMine(name.to_owned()))?;
        let key = Key::of_seed(&seed).hex();
        let title = self
            .catalog(&key)
            .map(|catalog| catalog.contents().title.clone())
            .or_else(|| words(&[("en".to_owned(), name.to_owned())].into()));
        if self.catalog(&key).is_some_and(|catalog| catalog.contents().revoked) {
            self.keep_key(name, None).await?;
            return self.info(&key).await.ok_or(Refused::NotFollowed(key));
        }
        // A key is given up whatever it signed before, the highest number too.
        let number = self.next_number(&key).unwrap_or(u64::MAX);
        let contents = Contents { name: name.to_owned(), title: title.unwrap_or_default(), number, revoked: true, apps: Vec::new() };
        self.take(Catalog::sign(&seed, contents)?.to_bytes(), None).await?;
        self.keep_key(name, None).await?;
        self.info(&key).await.ok_or(Refused::NotFollowed(key))
    }

    /// The secret key of a catalog of this node.
    ///
    /// # Errors
    /// This node does not publish it.
    pub fn saved_key(&self, name: &str) -> Result<SavedKey, Refused> {
        let seed = self.seed(name)?.ok_or_else(|| Refused::NotMine(name.to_owned()))?;
        Ok(SavedKey { secret: key_to_text(&seed, name) })
    }

    /// Takes the key of a catalog that another node published, so that this one does too. What was published last is fetched first.
    ///
    /// # Errors
    /// It is none, or of another catalog; or another key is here under that name.
    pub async fn bring_key(self: &Arc<Self>, name: &str, saved: &SavedKey) -> Result<CatalogInfo, Refused> {
        let (seed, of) = key_from_text(&saved.secret)?;
        if of != name {
            return Err(Refused::Publishing(format!("this is the key of the catalog `{of}`, and not of `{name}`")));
        }
        if self.seed(name)?.is_some_and(|known| known != seed) {
            return Err(Refused::Publishing(format!("this node publishes another catalog that is called `{name}`: give it up first")));
        }
        self.keep_key(name, Some(seed)).await?;
        self.follow(&Key::of_seed(&seed).hex()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_missing_are_those_of_another_language() {
        let said = |said: &[(&str, &str)]| words(&said.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect());
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("fr", "x")]), None);
        let ca = said(&[("ca", "Veïns")]).unwrap();
        assert_eq!((ca.en.as_str(), ca.es.as_str()), ("Veïns", "Veïns"));
        assert_eq!(said(&[("en", "Neighbours"), ("es", "Vecinos")]).unwrap().ca, "Neighbours");
    }
}
