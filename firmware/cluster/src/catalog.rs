//! A catalog of apps, signed by who publishes it: a file that goes from node to node by whatever way there is, since its signature goes
//! with it.
//!
//! Architecture invariant: a [`Catalog`] is one that its key has signed and that keeps every limit: there is no other way to have one.
//! The key is what a catalog is followed by; names and titles are what its publisher says.

use crate::keys::{self, Key, Purpose, Signature};
use crate::text::{self, Kind, TextError};
use crate::wire::{self, WireError, is_plain};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a file of a catalog begins with; wire's version follows.
const MAGIC: &[u8] = b"cloudy catalog\n";
/// Longest catalog in bytes, as a file.
pub const MAX_CATALOG_BYTES: usize = 1024 * 1024;
/// Apps at most.
pub const MAX_APPS: usize = 500;
/// Machines at most that an app is built for.
const MAX_BUILDS: usize = 8;
/// Longest name of a catalog or an app in bytes: an app's project on a node has seven more.
pub const MAX_NAME_BYTES: usize = 33;
/// Longest title in bytes.
const MAX_TITLE_BYTES: usize = 160;
/// Longest description in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1000;
/// Longest category or machine in bytes.
const MAX_WORD_BYTES: usize = 30;
/// Largest blob of an app in bytes.
const MAX_BLOB_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// What has more bytes is known by the hashes of its parts, each but the last of so many: the BLAKE3 of those one after the other.
pub const PART_BYTES: u64 = 16 * 1024 * 1024;
/// Longest saved key in bytes.
const MAX_KEY_BYTES: usize = 80;

/// The same in three languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// English.
    pub en: String,
    /// Spanish.
    pub es: String,
    /// Catalan.
    pub ca: String,
}

/// An app's images for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// For which machines: `amd64`, `arm64` or `armhf`; words of later versions are passed over.
    pub machine: String,
    /// The blob: BLAKE3.
    pub hash: [u8; 32],
    /// Its bytes.
    pub size_bytes: u64,
}

/// An app of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The version: the digest of its images' index (SHA-256).
    pub index: [u8; 32],
    /// Where it stands in a store.
    pub category: String,
    /// What people call it.
    pub title: Words,
    /// What it is for.
    pub description: Words,
    /// Where its images are, one for each kind of machine.
    pub builds: Vec<Build>,
}

/// What a catalog says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// A short name, by which its publisher calls it.
    pub name: String,
    /// What people call it.
    pub title: Words,
    /// Each publication has a higher one than that before; from 1.
    pub number: u64,
    /// The key is given up: nothing that it signs is to be taken any more, whatever its number.
    pub revoked: bool,
    /// Its apps.
    pub apps: Vec<Listed>,
}

/// Why something is no catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It begins like none.
    #[error("this is no catalog: it must be the file that `cloudy catalog publish` or `save` wrote, whole")]
    NoCatalog,
    /// It can't be read.
    #[error("the catalog can't be read: {0}; copy it anew, or update this node if the catalog is of a newer version")]
    Wire(#[from] WireError),
    /// Signed by another key, or changed since.
    #[error("the signature is wrong: the catalog was changed since it was signed, or never was; get it from its publisher again")]
    Signature,
    /// Something of it breaks a limit.
    #[error("{place}: {why}; who publishes it must publish it anew without that")]
    At {
        /// Where in it.
        place: String,
        /// What is wrong there.
        why: String,
    },
}

fn at(place: impl Into<String>, why: impl Into<String>) -> Wrong {
    Wrong::At { place: place.into(), why: why.into() }
}

/// A name as it may stand in a message.
fn shown(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_default).collect()
}

/// Whether a catalog or an app of one may be called so: it stands in addresses and on command lines.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_word(text: &str) -> bool {
    (1..=MAX_WORD_BYTES).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

impl Words {
    /// By the tags of the languages.
    #[must_use]
    pub fn by_language(&self) -> [(&'static str, &str); 3] {
        [("en", &self.en), ("es", &self.es), ("ca", &self.ca)]
    }

    /// Whether each is plain text of so many bytes at most.
    fn check(&self, place: &str, most: usize) -> Result<(), Wrong> {
        for (language, text) in self.by_language() {
            if text.len() > most || !text.chars().all(is_plain) {
                return Err(at(format!("{place}, {language}"), format!("it must be plain text of {most} bytes at most")));
            }
        }
        Ok(())
    }

    /// Likewise, and there is one in each language.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_title(&self, place: &str) -> Result<(), Wrong> {
        self.check(place, MAX_TITLE_BYTES)?;
        match self.by_language().iter().find(|(_, text)| text.trim().is_empty()) {
            Some((language, _)) => Err(at(format!("{place}, {language}"), "it is empty")),
            None => Ok(()),
        }
    }
}

impl Listed {
    fn check(&self) -> Result<(), Wrong> {
        if !is_name(&self.name) {
            let why = format!("its name must be lower-case letters, digits and `-`, {MAX_NAME_BYTES} at most");
            return Err(at(format!("the app `{}`", shown(&self.name)), why));
        }
        let place = |part: &str| format!("the app `{}`, {part}", self.name);
        if !is_word(&self.category) {
            return Err(at(place("category"), "it must be one word in lower case"));
        }
        self.title.check_title(&place("title"))?;
        self.description.check(&place("description"), MAX_DESCRIPTION_BYTES)?;
        if !(1..=MAX_BUILDS).contains(&self.builds.len()) {
            return Err(at(place("images"), format!("there must be 1 to {MAX_BUILDS}, each for another kind of machine")));
        }
        let mut machines = BTreeSet::new();
        for build in &self.builds {
            if !is_word(&build.machine) || !machines.insert(&build.machine) {
                let why = format!("`{}` is no kind of machine, or stands there twice", shown(&build.machine));
                return Err(at(place("images"), why));
            }
            if !(1..=MAX_BLOB_BYTES).contains(&build.size_bytes) {
                let why = format!("{} bytes are said, where 1 to {MAX_BLOB_BYTES} are allowed", build.size_bytes);
                return Err(at(place(&build.machine), why));
            }
        }
        Ok(())
    }

    /// The same: where it was listed in this very version before, what was built for other machines stays.
    #[must_use]
    pub fn with_builds_of(self, before: Option<&Contents>) -> Self {
        let same = before.into_iter().flat_map(|before| &before.apps).find(|app| app.name == self.name && app.index == self.index);
        let others = same.into_iter().flat_map(|app| &app.builds).filter(|build| self.build(&build.machine).is_none());
        let mut builds: Vec<Build> = self.builds.iter().chain(others).cloned().collect();
        builds.sort_by(|one, other| one.machine.cmp(&other.machine));
        Self { builds, ..self }
    }

    /// The images for one kind of machine.
    #[must_use]
    pub fn build(&self, machine: &str) -> Option<&Build> {
        self.builds.iter().find(|build| build.machine == machine)
    }
}

impl Contents {
    fn check(&self) -> Result<(), Wrong> {
        if !is_name(&self.name) {
            let why = format!("`{}` must be lower-case letters, digits and `-`, {MAX_NAME_BYTES} at most", shown(&self.name));
            return Err(at("the catalog's name", why));
        }
        self.title.check_title("the catalog's title")?;
        if self.number == 0 {
            return Err(at("the catalog's number", "the first is 1"));
        }
        if self.apps.len() > MAX_APPS || (self.revoked && !self.apps.is_empty()) {
            return Err(at("the catalog's apps", format!("there may be {MAX_APPS}, and none where its key is given up")));
        }
        let mut names = BTreeSet::new();
        for app in &self.apps {
            app.check()?;
            if !names.insert(&app.name) {
                return Err(at(format!("the app `{}`", app.name), "it stands there twice"));
            }
        }
        Ok(())
    }
}

/// A signed catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    key: Key,
    contents: Contents,
    signature: Signature,
}

impl Catalog {
    /// Signs what a catalog says with its secret key.
    ///
    /// # Errors
    /// It breaks a limit, or is too long in all.
    pub fn sign(seed: &[u8; 32], contents: Contents) -> Result<Self, Wrong> {
        contents.check()?;
        let key = Key::of_seed(seed);
        let signature = keys::sign(seed, Purpose::Catalog, &wire::encode(&(key, &contents)));
        let catalog = Self { key, contents, signature };
        let bytes = catalog.to_bytes().len();
        if bytes > MAX_CATALOG_BYTES {
            return Err(at(
                "the catalog",
                format!("it has {bytes} bytes, where {MAX_CATALOG_BYTES} are allowed: shorten its descriptions"),
            ));
        }
        Ok(catalog)
    }

    /// Reads a catalog, which is then known to be one.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Wrong> {
        let body = bytes.strip_prefix(MAGIC).ok_or(Wrong::NoCatalog)?;
        let (key, contents, signature) = wire::decode(body, MAX_CATALOG_BYTES - MAGIC.len())?;
        let read = Self { key, contents, signature };
        // One catalog has one form, so that one hash names it.
        if read.to_bytes() != bytes {
            return Err(Wrong::Wire(WireError::Malformed));
        }
        if !read.key.verifies(Purpose::Catalog, &wire::encode(&(read.key, &read.contents)), &read.signature) {
            return Err(Wrong::Signature);
        }
        read.contents.check()?;
        Ok(read)
    }

    /// The file of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [MAGIC, &wire::encode(&(self.key, &self.contents, self.signature))].concat()
    }

    /// Whose it is.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What it says.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What is known of it once it was taken.
    #[must_use]
    pub fn mark(&self, hash: &str) -> Mark {
        Mark { number: self.contents.number, hash: hash.to_owned(), revoked: self.contents.revoked }
    }
}

/// Which publication of a catalog was taken last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// The BLAKE3 hash of its file, as 64 hexadecimal digits.
    pub hash: String,
    /// Whether the key is given up.
    pub revoked: bool,
}

/// What a publication is to who has taken another one of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is to be taken.
    Newer,
    /// It is the same.
    Same,
    /// It is an older one.
    Older,
    /// It has the same number and says something else: the key signs in two places, or from an old copy.
    Fork,
    /// The key was given up: it says nothing any more.
    Revoked,
}

/// What is to be thought of `shown`, where `had` was taken last. That a key is given up counts whatever the number.
#[must_use]
pub fn news(had: Option<&Mark>, shown: &Mark) -> News {
    match had {
        None => News::Newer,
        Some(had) if had.hash == shown.hash => News::Same,
        Some(had) if had.revoked => News::Revoked,
        Some(_) if shown.revoked => News::Newer,
        Some(had) if shown.number > had.number => News::Newer,
        Some(had) if shown.number == had.number => News::Fork,
        Some(_) => News::Older,
    }
}

/// A catalog's secret key as text, to be kept in a safe place or brought to another node; with the name that its publisher uses.
#[must_use]
pub fn key_to_text(seed: &[u8; 32], name: &str) -> String {
    text::to_text(Kind::Publisher, &wire::encode(&(seed, name)))
}

/// Reads that text.
///
/// # Errors
/// It is none.
pub fn key_from_text(said: &str) -> Result<([u8; 32], String), TextError> {
    let bytes = text::from_text(Kind::Publisher, said, MAX_KEY_BYTES)?;
    let (seed, name): ([u8; 32], String) = wire::decode(&bytes, MAX_KEY_BYTES).map_err(|_| TextError::Checksum)?;
    if is_name(&name) { Ok((seed, name)) } else { Err(TextError::Checksum) }
}
