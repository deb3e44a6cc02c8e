//! An app that lies in a blob, as its holder says: enough to show it in a store before a byte of it is fetched.

use super::{blobs::BlobFacts, is_plain};
use contract::apps::is_name;
use contract::oci::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The media type of an OCI image layout in a tar, as nodes give it to each other.
const APP_MEDIA_TYPE: &str = "application/vnd.cloudy.app.v1+tar";
/// Longest title in bytes.
const MAX_TITLE_BYTES: usize = 160;
/// Longest description in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1000;
/// Longest category or architecture in bytes.
const MAX_WORD_BYTES: usize = 30;
/// Languages at most.
const MAX_LANGUAGES: usize = 3;
/// All of it as JSON, so that the record has room for what else is said of a blob.
const MAX_BYTES: usize = 3200;

/// An app whose image a blob holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AppImage {
    /// Its name.
    pub name: String,
    /// The index of its images: which version it is.
    #[cfg_attr(test, schema(value_type = String))]
    pub index: Digest,
    /// For which machines it is: `amd64`, `arm64` or `armhf`.
    pub architecture: String,
    /// Where it stands in the store.
    pub category: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// What it is for, by language.
    #[serde(default)]
    pub description: BTreeMap<String, String>,
}

impl AppImage {
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) {
            return Err(format!("`{}` is no name of an app", self.name.escape_debug()));
        }
        let word =
            |text: &str| text.len() <= MAX_WORD_BYTES && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if !word(&self.architecture) || !word(&self.category) {
            return Err("its architecture or category is no word".to_owned());
        }
        for (texts, most) in [(&self.title, MAX_TITLE_BYTES), (&self.description, MAX_DESCRIPTION_BYTES)] {
            let plain = |(language, text): (&String, &String)| word(language) && text.len() <= most && text.chars().all(is_plain);
            if texts.len() > MAX_LANGUAGES || !texts.iter().all(plain) {
                return Err(format!(
                    "its words are in at most {MAX_LANGUAGES} languages, of at most {most} bytes, without control characters"
                ));
            }
        }
        match serde_json::to_vec(self) {
            Ok(bytes) if bytes.len() <= MAX_BYTES => Ok(()),
            _ => Err(format!("its words have more than {MAX_BYTES} bytes together: shorten its descriptions")),
        }
    }

    /// What a holder says, or nothing where this version can't read it: then the blob is a file like others.
    pub(super) fn lenient<'de, D: serde::Deserializer<'de>>(said: D) -> Result<Option<Self>, D::Error> {
        let said = serde_json::Value::deserialize(said)?;
        Ok(serde_json::from_value(said).ok().filter(|app: &Self| app.check().is_ok()))
    }
}

impl BlobFacts {
    /// Of an app, without knowing yet how large its blob is.
    pub fn of_app(app: AppImage) -> Self {
        Self { name: format!("{}.tar", app.name), media_type: APP_MEDIA_TYPE.to_owned(), app: Some(app), ..Self::default() }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn an_app(name: &str) -> AppImage {
        let title = [("en".to_owned(), "Broker".to_owned())].into();
        let (architecture, category) = ("amd64".to_owned(), "messages".to_owned());
        AppImage { name: name.to_owned(), index: Digest::of(b"x"), architecture, category, title, description: BTreeMap::new() }
    }

    #[test]
    fn what_breaks_a_limit_is_refused_here_and_a_file_like_others_when_others_say_it() {
        let words = |count: usize, text: &str| (0..count).map(|n| (format!("l{n}"), text.to_owned())).collect::<BTreeMap<_, _>>();
        let good = an_app("broker");
        assert_eq!(good.check(), Ok(()));
        let wrong = [
            AppImage { name: "../broker".to_owned(), ..good.clone() },
            AppImage { architecture: "AMD".to_owned(), ..good.clone() },
            AppImage { category: "x".repeat(31), ..good.clone() },
            AppImage { title: words(1, "a\u{202e}b"), ..good.clone() },
            AppImage { title: words(1, &"x".repeat(161)), ..good.clone() },
            AppImage { title: words(4, "x"), ..good.clone() },
            AppImage { description: words(3, &"\"".repeat(900)), ..good.clone() },
        ];
        for app in wrong {
            assert!(app.check().is_err(), "{app:?}");
            let facts = BlobFacts { size_bytes: 5, ..BlobFacts::of_app(app) };
            assert!(facts.check().is_err());
            let read: BlobFacts = serde_json::from_slice(&serde_json::to_vec(&facts).unwrap()).unwrap();
            assert_eq!(read.app, None);
            assert_eq!(read.name, facts.name);
        }
    }

    #[test]
    fn an_app_is_read_back_and_its_record_has_room_for_it() {
        let long = |language: &str| (language.to_owned(), "ñ".repeat(400));
        let facts = BlobFacts::of_app(AppImage { description: ["en", "es", "ca"].map(long).into(), ..an_app("broker") });
        let facts = BlobFacts { size_bytes: 5, ..facts };
        assert_eq!(facts.check(), Ok(()));
        let bytes = serde_json::to_vec(&facts).unwrap();
        assert!(bytes.len() <= 4096);
        assert_eq!(serde_json::from_slice::<BlobFacts>(&bytes).unwrap(), facts);
    }
}
