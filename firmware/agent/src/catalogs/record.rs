//! What is kept of catalogs: which are followed and which publication of each was taken last, where apps of the store come from, and which
//! are on their way.

use cluster::catalog::Mark;
use contract::oci::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Versions of an app that are known to be of its source.
const VERSIONS_KNOWN: usize = 8;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kept {
    /// Catalogs that are followed, by their keys in hexadecimal.
    pub followed: BTreeMap<String, Followed>,
    /// Where apps of the store come from, by their names.
    pub sources: BTreeMap<String, Source>,
    /// Apps that are on their way, by their names.
    pub wanted: BTreeMap<String, Wanted>,
}

/// A catalog that is followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Followed {
    /// Which publication was taken last; none before the first. It outlives the catalog's file, so that no older one is taken.
    pub mark: Option<Mark>,
    /// The hash of another publication with the same number, which its key has signed too.
    pub fork: Option<String>,
    /// An owner follows it all the same.
    pub decided: bool,
    /// The blob as which this node gives it to others.
    pub given: Option<String>,
}

impl Followed {
    /// Whether nothing is taken of it: its key has signed two with one number, and no owner has decided since.
    pub fn is_refused(&self) -> bool {
        self.fork.is_some() && !self.decided
    }

    /// An owner follows it, whatever is known of it.
    pub fn decide(&mut self) {
        self.decided = self.fork.is_some();
    }
}

/// The catalog that an app was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// The catalog's key in hexadecimal.
    pub key: String,
    /// Versions that were taken from there, the newest last.
    pub versions: Vec<Digest>,
}

impl Source {
    /// Whether that version was taken from there.
    pub fn has(&self, version: &Digest) -> bool {
        self.versions.contains(version)
    }
}

/// An app that is fetched from a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wanted {
    /// The catalog's key in hexadecimal.
    pub key: String,
    /// The version.
    pub index: Digest,
    /// Its blob.
    pub hash: String,
    /// Whether it is installed once it is here.
    pub install: bool,
}

impl Kept {
    /// Notes that an app of the store is of that catalog, in this version; of those of before, what is `installed` stays known.
    pub fn is_of(&mut self, app: &str, key: &str, version: &Digest, installed: Option<&Digest>) {
        let same = self.sources.remove(app).filter(|source| source.key == key);
        let mut versions = same.map(|source| source.versions).unwrap_or_default();
        versions.retain(|known| known != version);
        versions.push(version.clone());
        let mut over = versions.len().saturating_sub(VERSIONS_KNOWN);
        versions.retain(|known| {
            let goes = over > 0 && Some(known) != installed;
            over -= usize::from(goes);
            !goes
        });
        self.sources.insert(app.to_owned(), Source { key: key.to_owned(), versions });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_app_s_source_the_last_versions_are_known_and_none_of_another() {
        let version = |number: u8| Digest::of(&[number]);
        let mut kept = Kept::default();
        (0..10).for_each(|number| kept.is_of("broker", "a", &version(number), None));
        let source = &kept.sources["broker"];
        assert!(source.versions.len() == VERSIONS_KNOWN && source.has(&version(9)) && source.has(&version(2)) && !source.has(&version(1)));
        // However many newer ones came since: what is installed is of that catalog still, and so may be updated from there.
        (10..40).for_each(|number| kept.is_of("broker", "a", &version(number), Some(&version(2))));
        let source = &kept.sources["broker"];
        assert!(source.versions.len() == VERSIONS_KNOWN && source.has(&version(2)) && source.has(&version(39)) && !source.has(&version(9)));
        kept.is_of("broker", "b", &version(1), Some(&version(2)));
        assert_eq!(kept.sources["broker"], Source { key: "b".to_owned(), versions: vec![version(1)] });
        let read: Kept = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(read, kept);
    }
}
