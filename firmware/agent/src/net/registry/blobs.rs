//! Blobs that nodes hold, as records: what a holder says of one, who holds it, and the list of all.
//!
//! The value is JSON, so that a later version may say more. What others say is held to the same limits as what is said here.

use super::app_image::AppImage;
use super::{Copy, Facts, Refused, Registry, is_plain, services::fold};
use crate::net::Liveness;
use cluster::{
    NodeId,
    records::{Change, Kind, Record, Slot},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// The layout that this version writes.
const SCHEMA: u16 = 1;
/// Blobs that one node tells of at most: the rest of what a node may say is for services and what apps keep.
pub const MAX_TOLD: usize = 200;
/// Longest name in bytes: what file systems take.
const MAX_NAME_BYTES: usize = 200;
/// Longest media type in bytes.
const MAX_TYPE_BYTES: usize = 100;
/// The largest blob in bytes.
pub const MAX_BLOB_BYTES: u64 = 1 << 40;
/// What a large blob is cut into: so can parts come from several neighbours at once.
pub use cluster::catalog::PART_BYTES;
/// Most blobs of one page.
const MAX_PAGE: usize = 200;
/// Of one page, where nothing else is asked for.
const PAGE: usize = 50;
/// Longest text that is searched for, in bytes.
const MAX_TEXT_BYTES: usize = 200;

/// How the bytes lie under the hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The hash is BLAKE3 of the bytes.
    #[default]
    Raw,
    /// The hash is BLAKE3 of the hashes of the parts, each of 16 MiB but the last.
    HashSeq,
}

/// A blob, as a node that holds it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BlobFacts {
    /// A file's name, without folders.
    pub name: String,
    /// What it is (RFC 6838), such as `image/png`; empty where nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// How large it is.
    pub size_bytes: u64,
    /// How it lies under its hash.
    #[serde(default)]
    pub form: Form,
    /// Whether everybody on the network of a holder may read it by its hash, not members alone.
    #[serde(default)]
    pub public: bool,
    /// The app whose image it is; none where it is a file.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "AppImage::lenient")]
    pub app: Option<AppImage>,
}

/// Whether this is a hash: BLAKE3 as 64 hexadecimal digits in lower case.
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl BlobFacts {
    /// # Errors
    /// What is wrong with them, with the mend.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(format!("the name has {} bytes, where 1 to {MAX_NAME_BYTES} are allowed", name.len()));
        }
        if !name.chars().all(is_plain) || name.contains(['/', '\\']) || matches!(name.as_str(), "." | "..") {
            return Err(format!("`{}` can't name a file: leave out folders and control characters", name.escape_debug()));
        }
        if !self.media_type.is_empty() && !is_media_type(&self.media_type) {
            return Err(format!("`{}` is no media type: write it such as image/png, or leave it out", self.media_type.escape_debug()));
        }
        if self.size_bytes > MAX_BLOB_BYTES {
            return Err(format!("it has {} bytes, where {MAX_BLOB_BYTES} are allowed", self.size_bytes));
        }
        if (self.form == Form::HashSeq) != (self.size_bytes > PART_BYTES) {
            return Err(format!("what has more than {PART_BYTES} bytes is a sequence of parts, and nothing else is"));
        }
        self.app.as_ref().map_or(Ok(()), AppImage::check)
    }

    /// Whether it has as many bytes, in the same form.
    fn is_as_large(&self, other: &Self) -> bool {
        self.size_bytes == other.size_bytes && self.form == other.form
    }

    /// What a record says; none if this version can't read it, or it breaks a limit.
    pub fn of(record: &Record) -> Option<Self> {
        let known = record.slot.kind == Kind::BLOB && record.schema == SCHEMA && is_hash(&record.slot.key);
        let facts: Self = known.then(|| serde_json::from_slice(&record.value).ok()).flatten()?;
        facts.check().is_ok().then_some(facts)
    }

    fn put(&self, hash: &str) -> Change {
        // Plain strings and numbers can't fail.
        Change::Put { slot: slot(hash), schema: SCHEMA, value: serde_json::to_vec(self).unwrap_or_default() }
    }
}

/// RFC 6838, section 4.2, without parameters.
fn is_media_type(text: &str) -> bool {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= MAX_TYPE_BYTES && text.split_once('/').is_some_and(|(kind, rest)| plain(kind) && plain(rest))
}

fn slot(hash: &str) -> Slot {
    Slot { kind: Kind::BLOB, key: hash.to_owned() }
}

/// What is looked for: the query of `GET /api/v1/blobs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BlobSearch {
    /// Words that all must be in the name or the hash; case and accents do not matter.
    pub text: String,
    /// Most blobs of this page, at most [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// What the page before gave as `next`: a hash.
    pub after: String,
    /// Apps alone.
    pub apps: bool,
}

impl BlobSearch {
    /// # Errors
    /// In words: it can't be understood.
    pub fn check(&self) -> Result<(), String> {
        if self.text.len() > MAX_TEXT_BYTES {
            return Err(format!("the text has {} bytes, where {MAX_TEXT_BYTES} can be searched for", self.text.len()));
        }
        if self.after.is_empty() || is_hash(&self.after) {
            Ok(())
        } else {
            Err(format!("`{}` is not what a page gave as `next`", self.after.escape_debug()))
        }
    }

    /// Whether a blob is what is looked for.
    pub fn fits(&self, hash: &str, facts: &BlobFacts) -> bool {
        let name = fold(&facts.name);
        *hash > *self.after
            && (facts.app.is_some() || !self.apps)
            && self.text.split_whitespace().map(fold).all(|word| name.contains(&word) || hash.contains(&word))
    }

    /// Most blobs of this page.
    pub fn most(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE)
    }
}

/// Who holds a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Holder {
    /// The node's id.
    pub node: String,
    /// Its name, as it says.
    pub node_name: String,
    /// Whether it is this node.
    pub me: bool,
    /// How it is, as far as that is known.
    pub state: Option<Liveness>,
}

/// A blob that nodes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What most holders say of it.
    pub facts: BlobFacts,
    /// Who holds it.
    pub holders: Vec<Holder>,
}

fn list(copy: &Copy, search: &BlobSearch, public: bool) -> Result<BTreeMap<String, Told>, StoreError> {
    let mut all: BTreeMap<String, (Vec<BlobFacts>, Vec<Holder>)> = BTreeMap::new();
    for node in copy.view().members() {
        let facts = copy.get(node, &Facts::slot())?.and_then(|record| Facts::of(&record)).unwrap_or_default();
        let mut of_one = 0;
        let _ended = copy.each_of(node, Kind::BLOB, "", &mut |found| {
            let hash = &found.record.slot.key;
            let Some(said) = BlobFacts::of(&found.record).filter(|said| (said.public || !public) && search.fits(hash, said)) else {
                return ControlFlow::Continue(());
            };
            let holder = Holder { node: node.hex(), node_name: facts.name.clone(), me: *node == copy.me(), state: None };
            let (facts, holders) = all.entry(hash.clone()).or_default();
            facts.push(said);
            holders.push(holder);
            of_one += 1;
            // Of each node come the first of the page, by hash, and one more: so no blob of the page is left out.
            if of_one > search.most() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    let told = |(hash, (facts, holders)): (String, (Vec<BlobFacts>, Vec<Holder>))| Some((hash, Told { facts: most_say(facts)?, holders }));
    Ok(all.into_iter().filter_map(told).collect())
}

/// Of what holders say of a blob, what most of them say, of its size first of all: one that lies does not keep others from having it.
pub fn most_say(said: impl IntoIterator<Item = BlobFacts>) -> Option<BlobFacts> {
    let mut groups: Vec<(usize, BlobFacts)> = Vec::new();
    for facts in said {
        match groups.iter_mut().find(|(_, other)| other.is_as_large(&facts) && other.app == facts.app) {
            Some((count, _)) => *count += 1,
            None => groups.push((1, facts)),
        }
    }
    let of_size = |facts: &BlobFacts| groups.iter().filter(|(_, other)| other.is_as_large(facts)).map(|(count, _)| count).sum::<usize>();
    // Who fetched it as a file says nothing of an app in it. Of as many, the first.
    let most = groups.iter().rev().max_by_key(|(count, facts)| (of_size(facts), facts.app.is_some(), *count));
    most.map(|(_, facts)| facts.clone())
}

impl Registry {
    /// Says which blobs this node holds, and nothing of others any more. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn tell_blobs(&self, held: BTreeMap<String, BlobFacts>) -> Result<(), Refused> {
        self.with(move |copy, now| {
            let (me, mut changes, mut same) = (copy.me(), Vec::new(), BTreeSet::new());
            let _ended = copy.each_of(&me, Kind::BLOB, "", &mut |found| {
                let hash = &found.record.slot.key;
                match held.get(hash) {
                    None => changes.push(Change::Remove(slot(hash))),
                    Some(facts) if BlobFacts::of(&found.record).as_ref() == Some(facts) => drop(same.insert(hash.clone())),
                    Some(_) => {}
                }
                ControlFlow::Continue(())
            })?;
            changes.extend(held.iter().filter(|(hash, _)| !same.contains(*hash)).map(|(hash, facts)| facts.put(hash)));
            if changes.is_empty() { Ok(()) } else { copy.write(now, &changes).map(drop) }
        })
        .await?
        .map_err(Refused::Write)
    }

    /// Blobs that are looked for, by hash, as all nodes say: enough for a page of them. With `public`, only those that are said to be so.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn blobs(&self, search: BlobSearch, public: bool) -> Result<BTreeMap<String, Told>, Refused> {
        self.with(move |copy, _| list(copy, &search, public)).await?.map_err(|error| Refused::Closed(error.to_string()))
    }

    /// Who else says to hold a blob, and what each says of it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn holders_of(&self, hash: &str) -> Result<Vec<(NodeId, BlobFacts)>, Refused> {
        let slot = slot(hash);
        self.with(move |copy, _| {
            let me = copy.me();
            let others = copy.view().members().iter().filter(|node| **node != me);
            let mut all = Vec::new();
            for node in others {
                all.extend(copy.get(node, &slot)?.as_ref().and_then(BlobFacts::of).map(|facts| (*node, facts)));
            }
            Ok(all)
        })
        .await?
        .map_err(|error: StoreError| Refused::Closed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::records::Order;
    use proptest::prelude::*;

    fn facts(name: &str) -> BlobFacts {
        BlobFacts { name: name.to_owned(), size_bytes: 5, ..BlobFacts::default() }
    }

    fn record(hash: &str, value: Vec<u8>) -> Record {
        Record { written: Order::default(), schema: SCHEMA, slot: slot(hash), value }
    }

    fn hash() -> String {
        "0f".repeat(32)
    }

    #[test]
    fn what_is_told_is_read_back_and_fields_of_later_versions_are_passed_over() {
        let told = BlobFacts { media_type: "image/svg+xml".to_owned(), public: true, ..facts("Plànol.svg") };
        let Change::Put { value, .. } = told.put(&hash()) else { panic!() };
        assert_eq!(BlobFacts::of(&record(&hash(), value)), Some(told));
        let later = br#"{"name":"x","size-bytes":5,"licence":"CC0"}"#.to_vec();
        assert_eq!(BlobFacts::of(&record(&hash(), later)), Some(facts("x")));
    }

    #[test]
    fn what_breaks_a_limit_is_refused_here_and_not_shown_when_others_say_it() {
        let wrong = [
            facts(""),
            facts(".."),
            facts("a/b"),
            facts("..\\b"),
            facts("a\u{202e}gpj.exe"),
            facts("a\nb"),
            facts(&"x".repeat(201)),
            BlobFacts { media_type: "text/html; charset=x".to_owned(), ..facts("a") },
            BlobFacts { media_type: "text/\r\nSet-Cookie".to_owned(), ..facts("a") },
            BlobFacts { size_bytes: MAX_BLOB_BYTES + 1, form: Form::HashSeq, ..facts("a") },
            BlobFacts { size_bytes: PART_BYTES + 1, ..facts("a") },
            BlobFacts { form: Form::HashSeq, ..facts("a") },
        ];
        for facts in wrong {
            assert!(facts.check().is_err(), "{facts:?}");
            assert_eq!(BlobFacts::of(&record(&hash(), serde_json::to_vec(&facts).unwrap())), None, "{facts:?}");
        }
        let good = serde_json::to_vec(&facts("a")).unwrap();
        for key in ["x", &hash().to_uppercase(), &hash()[1..], &format!("{}0", hash())] {
            assert_eq!(BlobFacts::of(&record(key, good.clone())), None, "{key}");
        }
    }

    #[test]
    fn one_holder_that_lies_is_not_believed() {
        let sized = |name: &str, size_bytes| BlobFacts { size_bytes, ..facts(name) };
        let say = |all: &[BlobFacts]| most_say(all.to_vec()).map(|facts| facts.name);
        assert_eq!(say(&[sized("lie", 1), sized("a", 5), sized("b", 5)]).as_deref(), Some("a"));
        assert_eq!(say(&[sized("first", 1), sized("second", 5)]).as_deref(), Some("first"));
        assert_eq!(say(&[]), None);
        let app = |name: &str, app: &str| BlobFacts { app: Some(super::super::app_image::tests::an_app(app)), ..facts(name) };
        assert_eq!(say(&[app("lie", "bank"), app("a", "broker"), app("b", "broker")]).as_deref(), Some("a"));
        assert_eq!(say(&[facts("plain"), facts("plain"), app("a", "broker")]).as_deref(), Some("a"));
        // Two that lie alike of what it is, and three of which each says something else of its size.
        assert_eq!(say(&[sized("x", 1), sized("y", 2), app("a", "broker"), sized("z", 3), app("b", "broker")]).as_deref(), Some("a"));
    }

    #[test]
    fn a_search_looks_at_names_and_hashes_after_its_cursor() {
        let search = |text: &str, after: &str| BlobSearch { text: text.to_owned(), after: after.to_owned(), ..BlobSearch::default() };
        let photo = facts("Festa de Gràcia.jpg");
        for (text, after, fits) in [
            ("", "", true),
            ("gracia FESTA", "", true),
            ("0f0f", "", true),
            ("festa pdf", "", false),
            ("", &"0e".repeat(32), true),
            ("", &hash(), false),
        ] {
            assert_eq!(search(text, after).fits(&hash(), &photo), fits, "{text} {after}");
        }
        let app = BlobFacts { app: Some(super::super::app_image::tests::an_app("broker")), ..facts("broker.tar") };
        let apps = |text: &str| BlobSearch { apps: true, ..search(text, "") };
        assert!(apps("").fits(&hash(), &app) && !apps("").fits(&hash(), &photo) && apps("broker").fits(&hash(), &app));
        assert!(search("", "x").check().is_err() && search(&"x".repeat(201), "").check().is_err() && search("a", &hash()).check().is_ok());
    }

    proptest! {
        #[test]
        fn no_value_of_others_panics_or_names_a_place(value in prop::collection::vec(any::<u8>(), 0..300), name in "\\PC*|.*") {
            let _unread = BlobFacts::of(&record(&hash(), value));
            let value = serde_json::to_vec(&serde_json::json!({ "name": name, "size-bytes": 1 })).unwrap();
            if let Some(facts) = BlobFacts::of(&record(&hash(), value)) {
                prop_assert!(facts.name.chars().all(is_plain) && !facts.name.contains('/'));
            }
        }
    }
}
