//! A signed catalog of apps as a record: which publication a node holds, so that others can fetch it as a blob.
//!
//! A record says what its node claims: nothing of it is believed before the catalog itself was fetched and its signature verified.

use super::copy::Copy;
use super::{Facts, Holder, Refused, Registry, is_hash, is_plain};
use cluster::catalog::{Mark, Words, is_name};
use cluster::keys::Key;
use cluster::records::{Change, Kind, Record, Slot};
use cluster::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The layout that this version writes.
const SCHEMA: u16 = 1;
/// Catalogs of one node that are looked at.
pub const MAX_CATALOGS: usize = 50;
/// Longest title in bytes.
const MAX_TITLE_BYTES: usize = 160;

/// What a node says of a catalog that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CatalogNews {
    /// How its publisher calls it.
    pub name: String,
    /// What people call it.
    pub title: Words,
    /// Which publication it is.
    #[serde(flatten)]
    pub mark: Mark,
}

impl CatalogNews {
    fn is_good(&self) -> bool {
        let title = |(_, text): &(&str, &str)| text.len() <= MAX_TITLE_BYTES && text.chars().all(is_plain);
        is_name(&self.name) && is_hash(&self.mark.hash) && self.mark.number > 0 && self.title.by_language().iter().all(title)
    }

    /// What a record says; none if this version can't read it, or it breaks a limit.
    pub fn of(record: &Record) -> Option<(Key, Self)> {
        let known = record.slot.kind == Kind::CATALOG && record.schema == SCHEMA;
        let key = Key::of_hex(&record.slot.key).filter(|key| known && key.hex() == record.slot.key)?;
        let news: Self = serde_json::from_slice(&record.value).ok()?;
        news.is_good().then_some((key, news))
    }

    fn put(&self, key: &str) -> Change {
        // Plain strings and numbers can't fail.
        Change::Put { slot: slot(key), schema: SCHEMA, value: serde_json::to_vec(self).unwrap_or_default() }
    }
}

fn slot(key: &str) -> Slot {
    Slot { kind: Kind::CATALOG, key: key.to_owned() }
}

/// A catalog, as one node tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldCatalog {
    /// Its key in hexadecimal.
    pub key: String,
    /// What is said of it.
    pub news: CatalogNews,
    /// By whom.
    pub holder: Holder,
}

fn list(copy: &Copy) -> Result<Vec<ToldCatalog>, StoreError> {
    let mut all = Vec::new();
    for node in copy.view().members() {
        let facts = copy.get(node, &Facts::slot())?.and_then(|record| Facts::of(&record)).unwrap_or_default();
        let mut of_one = 0;
        let _ended = copy.each_of(node, Kind::CATALOG, "", &mut |found| {
            if let Some((key, news)) = CatalogNews::of(&found.record) {
                let holder = Holder { node: node.hex(), node_name: facts.name.clone(), me: *node == copy.me(), state: None };
                all.push(ToldCatalog { key: key.hex(), news, holder });
            }
            of_one += 1;
            if of_one >= MAX_CATALOGS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(all)
}

impl Registry {
    /// Says which catalogs this node holds, by their keys, and nothing of others any more. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn tell_catalogs(&self, held: BTreeMap<String, CatalogNews>) -> Result<(), Refused> {
        self.with(move |copy, now| {
            let (me, mut changes, mut told) = (copy.me(), Vec::new(), BTreeMap::new());
            let _ended = copy.each_of(&me, Kind::CATALOG, "", &mut |found| {
                told.insert(found.record.slot.key.clone(), CatalogNews::of(&found.record).map(|(_, news)| news));
                ControlFlow::Continue(())
            })?;
            changes.extend(told.keys().filter(|key| !held.contains_key(*key)).map(|key| Change::Remove(slot(key))));
            let same = |key: &String, news| told.get(key).is_some_and(|told| told.as_ref() == Some(news));
            changes.extend(held.iter().filter(|(key, news)| !same(key, news)).map(|(key, news)| news.put(key)));
            if changes.is_empty() { Ok(()) } else { copy.write(now, &changes).map(drop) }
        })
        .await?
        .map_err(Refused::Write)
    }

    /// What all nodes tell of catalogs.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn catalogs(&self) -> Result<Vec<ToldCatalog>, Refused> {
        self.with(move |copy, _| list(copy)).await?.map_err(|error| Refused::Closed(error.to_string()))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use cluster::records::Order;
    use proptest::prelude::*;

    pub fn some_news(number: u64, hash: &str) -> CatalogNews {
        let words = |text: &str| text.to_owned();
        let title = Words { en: words("Neighbours"), es: words("Vecinos"), ca: words("Veïns") };
        CatalogNews { name: "gracia".to_owned(), title, mark: Mark { number, hash: hash.repeat(32), revoked: false } }
    }

    fn record(key: &str, value: &[u8]) -> Record {
        Record { written: Order::default(), schema: SCHEMA, slot: slot(key), value: value.to_vec() }
    }

    #[test]
    fn what_is_told_is_read_back_and_what_breaks_a_limit_is_not_read() {
        let (key, good) = ("0a".repeat(32), some_news(3, "0f"));
        let Change::Put { value, .. } = good.put(&key) else { panic!() };
        assert_eq!(CatalogNews::of(&record(&key, &value)).unwrap().1, good);
        for other in [key.to_uppercase(), "x".to_owned(), key[1..].to_owned()] {
            assert_eq!(CatalogNews::of(&record(&other, &value)), None, "{other}");
        }
        let wrong = [
            some_news(0, "0f"),
            some_news(3, "0F"),
            CatalogNews { name: "../x".to_owned(), ..good.clone() },
            CatalogNews { title: Words { en: "\u{1b}[2J".to_owned(), ..Words::default() }, ..good.clone() },
            CatalogNews { title: Words { ca: "x".repeat(161), ..Words::default() }, ..good },
        ];
        for news in wrong {
            let Change::Put { value, .. } = news.put(&key) else { panic!() };
            assert_eq!(CatalogNews::of(&record(&key, &value)), None, "{news:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_of_others_panics_or_shows_control_characters(value in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC*|.*") {
            let key = "0a".repeat(32);
            let _unread = CatalogNews::of(&record(&key, &value));
            let title = serde_json::json!({ "en": text, "es": text, "ca": "" });
            let said = serde_json::json!({ "name": "x", "title": title, "number": 1, "hash": "0f".repeat(32), "revoked": false });
            if let Some((_, news)) = CatalogNews::of(&record(&key, &serde_json::to_vec(&said).unwrap())) {
                prop_assert!(news.title.en.chars().all(is_plain));
            }
        }
    }
}
