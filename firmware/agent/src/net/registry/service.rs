//! A published service as a record: what it may say, and how it lies in the record's value.
//!
//! The value is JSON, so that a later version may say more: fields that are not known are passed over. What others
//! published is held to the same limits as what is published here.

use cluster::records::{Change, Kind, Record, Slot};
pub use cluster::wire::is_plain;
use contract::apps::Scheme;
use serde::{Deserialize, Serialize};

/// The layout that this version writes.
const SCHEMA: u16 = 1;
/// Longest key in bytes.
const MAX_KEY_BYTES: usize = 64;
/// Longest title in bytes.
const MAX_TITLE_BYTES: usize = 120;
/// Longest description in bytes.
const MAX_DESCRIPTION_BYTES: usize = 2000;
/// Longest category in bytes.
const MAX_CATEGORY_BYTES: usize = 40;
/// Schemes of addresses that may be published beside those that apps of the catalog speak.
const MORE_SCHEMES: [&str; 12] = ["ftp", "gemini", "irc", "ircs", "mqtts", "mumble", "rtsp", "sftp", "smb", "ssh", "ws", "wss"];
/// Languages at most.
const MAX_LANGUAGES: usize = 8;
/// Longest name of a language in bytes.
const MAX_LANGUAGE_BYTES: usize = 12;
/// Longest address in bytes.
const MAX_URL_BYTES: usize = 400;

/// How a service is, as its node sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceHealth))]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Well, as far as anybody looks.
    #[default]
    Well,
    /// It runs, and has not shown yet that it is well.
    Starting,
    /// It is stopped.
    Stopped,
    /// It should run and does not, or not well; so is what later versions say here.
    #[serde(other)]
    Ill,
}

impl Health {
    /// Whether there is nothing to say of it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_well(&self) -> bool {
        *self == Self::Well
    }
}

/// A service, as its node describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// In a few words.
    pub title: String,
    /// In some sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A word to find it by, such as `storage`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Where it is, as a whole address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Or the port on the node's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The path there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is spoken on that port; `http` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Which languages it speaks to people, such as `ca`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// How it is.
    #[serde(default, skip_serializing_if = "Health::is_well")]
    pub health: Health,
}

/// A wish to publish: the body of `PUT /api/v1/services/KEY`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceDraft))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Draft {
    /// See [`Service::title`]; the key where there is none.
    #[serde(default)]
    pub title: Option<String>,
    /// See [`Service::description`].
    #[serde(default)]
    pub description: String,
    /// See [`Service::category`].
    #[serde(default)]
    pub category: String,
    /// See [`Service::url`].
    #[serde(default)]
    pub url: Option<String>,
    /// See [`Service::port`].
    #[serde(default)]
    pub port: Option<u16>,
    /// See [`Service::path`].
    #[serde(default)]
    pub path: Option<String>,
    /// See [`Service::scheme`].
    #[serde(default)]
    pub scheme: Option<String>,
    /// See [`Service::languages`].
    #[serde(default)]
    pub languages: Vec<String>,
}

impl Draft {
    /// The service that is meant.
    ///
    /// # Errors
    /// What is wrong with it, with the mend.
    pub fn service(self, key: &str) -> Result<Service, String> {
        let Self { title, description, category, url, port, path, scheme, languages } = self;
        let title = title.unwrap_or_else(|| key.to_owned());
        let service = Service { title, description, category, url, port, path, scheme, languages, health: Health::Well };
        check_key(key)?;
        service.check()?;
        Ok(service)
    }
}

/// Whether a key is one: it stands in addresses and on command lines.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str) -> Result<(), String> {
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len());
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
    if fits && key.bytes().all(plain) && !key.starts_with(['.', '-']) {
        Ok(())
    } else {
        Err(format!("`{key}` can't name a service: use 1 to {MAX_KEY_BYTES} of a-z, 0-9, `-`, `_` and `.`, not beginning with `-` or `.`"))
    }
}

/// What an address may begin with: what a neighbour's program may be given to open.
fn check_scheme(scheme: &str) -> Result<(), String> {
    if Scheme::of(scheme).is_some() || MORE_SCHEMES.contains(&scheme) {
        return Ok(());
    }
    Err(format!(
        "`{}` is nothing that may be published: use one of {}, {}",
        scheme.escape_default(),
        Scheme::listed(),
        MORE_SCHEMES.join(", ")
    ))
}

/// The beginning of a language tag of BCP 47, in lower case.
fn is_language(tag: &str) -> bool {
    let word = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    tag.len() <= MAX_LANGUAGE_BYTES && tag.starts_with(|c: char| c.is_ascii_lowercase()) && tag.split('-').all(word)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() > most {
        return Err(format!("the {what} has {} bytes, where {most} are allowed", text.len()));
    }
    if text.chars().all(|c| is_plain(c) || (what == "description" && c == '\n')) {
        Ok(())
    } else {
        Err(format!("the {what} has control characters: leave them out"))
    }
}

impl Service {
    /// # Errors
    /// What is wrong with it, with the mend.
    fn check(&self) -> Result<(), String> {
        check_text("title", &self.title, MAX_TITLE_BYTES)?;
        if self.title.trim().is_empty() {
            return Err("the title is empty: say in a few words what this is".to_owned());
        }
        check_text("description", &self.description, MAX_DESCRIPTION_BYTES)?;
        check_text("category", &self.category, MAX_CATEGORY_BYTES)?;
        if let Some(url) = &self.url {
            check_text("address", url, MAX_URL_BYTES)?;
            let parts = url.split_once("://").filter(|(_, rest)| !rest.is_empty() && !url.contains(char::is_whitespace));
            let (scheme, _) = parts.ok_or_else(|| format!("`{url}` is no address: write it whole, such as http://192.168.1.20:8080/"))?;
            check_scheme(scheme)?;
            if self.port.is_some() || self.path.is_some() || self.scheme.is_some() {
                return Err("give either a whole address or a port with a path, not both".to_owned());
            }
        }
        if let Some(scheme) = &self.scheme {
            check_scheme(scheme)?;
            if self.port.is_none() {
                return Err("what is spoken needs a port".to_owned());
            }
        }
        if let Some(path) = &self.path {
            check_text("path", path, MAX_URL_BYTES)?;
            if !path.starts_with('/') || path.contains(char::is_whitespace) {
                return Err(format!("the path `{path}` must begin with `/` and have no blanks"));
            }
            if self.port.is_none() {
                return Err("a path needs a port".to_owned());
            }
        }
        if self.port == Some(0) {
            return Err("0 is no port".to_owned());
        }
        if self.languages.len() > MAX_LANGUAGES || !self.languages.iter().all(|tag| is_language(tag)) {
            return Err(format!("name at most {MAX_LANGUAGES} languages, each by its tag, such as ca"));
        }
        Ok(())
    }

    /// The record's value.
    fn to_bytes(&self) -> Vec<u8> {
        // Plain strings and numbers can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a record says; none if this version can't read it, or it breaks a limit.
    pub fn of(record: &Record) -> Option<Self> {
        let known = record.slot.kind == Kind::SERVICE && record.schema == SCHEMA && check_key(&record.slot.key).is_ok();
        let service: Self = known.then(|| serde_json::from_slice(&record.value).ok()).flatten()?;
        service.check().is_ok().then_some(service)
    }

    /// The change that publishes it.
    pub fn put(&self, key: &str) -> Change {
        Change::Put { slot: slot(key), schema: SCHEMA, value: self.to_bytes() }
    }

    /// Where it is reached; `host` is an address of its node.
    pub fn address(&self, host: Option<std::net::IpAddr>) -> Option<String> {
        if self.url.is_some() {
            return self.url.clone();
        }
        let (port, host) = (self.port?, host?);
        let scheme = self.scheme.as_deref().unwrap_or("http");
        let path = self.path.as_deref().unwrap_or(if scheme.starts_with("http") { "/" } else { "" });
        Some(format!("{scheme}://{}{path}", std::net::SocketAddr::new(host.to_canonical(), port)))
    }
}

/// Where a service stands among its node's records.
pub fn slot(key: &str) -> Slot {
    Slot { kind: Kind::SERVICE, key: key.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::records::Order;
    use proptest::prelude::*;

    fn record(key: &str, value: &[u8]) -> Record {
        Record { written: Order::default(), schema: SCHEMA, slot: slot(key), value: value.to_vec() }
    }

    #[test]
    fn what_is_published_is_read_back_and_fields_of_later_versions_are_passed_over() {
        let draft = Draft { description: "Two\nlines".to_owned(), port: Some(8080), path: Some("/x".to_owned()), ..Draft::default() };
        let service = draft.service("wiki").unwrap();
        let Change::Put { value, .. } = service.put("wiki") else { panic!() };
        assert_eq!(Service::of(&record("wiki", &value)), Some(service.clone()));
        assert_eq!(service.address(Some([192, 168, 1, 2].into())).as_deref(), Some("http://192.168.1.2:8080/x"));
        assert_eq!(service.address(Some("fd00::1".parse().unwrap())).as_deref(), Some("http://[fd00::1]:8080/x"));
        assert_eq!(service.address(None), None);
        let broker = Draft { port: Some(1883), scheme: Some("mqtt".to_owned()), ..Draft::default() }.service("broker").unwrap();
        assert_eq!(broker.address(Some([192, 168, 1, 2].into())).as_deref(), Some("mqtt://192.168.1.2:1883"));
        let later = br#"{"title":"x","hours":[9,17],"health":"haunted"}"#;
        let later = Service::of(&record("x", later)).unwrap();
        assert!(later.title == "x" && later.health == Health::Ill);
        for (health, said) in [(Health::Well, ""), (Health::Starting, "starting"), (Health::Stopped, "stopped"), (Health::Ill, "ill")] {
            let service = Service { health, ..service.clone() };
            let Change::Put { value, .. } = service.put("wiki") else { panic!() };
            assert_eq!(Service::of(&record("wiki", &value)), Some(service));
            assert_eq!(String::from_utf8(value).unwrap().contains(&format!("\"health\":\"{said}\"")), !said.is_empty(), "{health:?}");
        }
    }

    #[test]
    fn what_breaks_a_limit_is_refused_with_the_mend_and_not_shown_when_others_say_it() {
        let url = |url: &str| Draft { url: Some(url.to_owned()), ..Draft::default() };
        let path = |path: &str, port| Draft { path: Some(path.to_owned()), port, ..Draft::default() };
        let title = |title: &str| Draft { title: Some(title.to_owned()), ..Draft::default() };
        let wrong = [
            url("javascript:alert(1)"),
            url("http://"),
            url("http://a b"),
            url("HTTP://a"),
            path("x", Some(80)),
            path("/x", None),
            Draft { port: Some(0), ..Draft::default() },
            title(" "),
            title("\u{1b}[31mred"),
            title("\u{202e}txt.exe"),
            title(&"x".repeat(121)),
            Draft { url: Some("http://a/".to_owned()), port: Some(1), ..Draft::default() },
            Draft { scheme: Some("mqtt".to_owned()), ..Draft::default() },
            Draft { scheme: Some("java\nscript".to_owned()), port: Some(1), ..Draft::default() },
            Draft { scheme: Some("javascript".to_owned()), port: Some(1), ..Draft::default() },
            url("javascript://%0aalert(1)"),
            url("file:///etc/passwd"),
            Draft { languages: vec!["català".to_owned()], ..Draft::default() },
            Draft { languages: vec!["ca".to_owned(); 9], ..Draft::default() },
        ];
        for draft in wrong {
            let value = serde_json::to_vec(&Service {
                title: draft.title.clone().unwrap_or("t".to_owned()),
                url: draft.url.clone(),
                port: draft.port,
                path: draft.path.clone(),
                scheme: draft.scheme.clone(),
                languages: draft.languages.clone(),
                ..Service::default()
            });
            assert_eq!(Service::of(&record("k", &value.unwrap())), None, "{draft:?}");
            assert!(draft.clone().service("k").is_err(), "{draft:?}");
        }
        for key in ["", "A", "a b", "../x", ".x", "-x", "a/b", "é", &"x".repeat(65)] {
            assert!(check_key(key).is_err(), "{key}");
        }
        assert!(url("mqtt://10.0.0.1:1883").service("broker").is_ok() && url("smb://10.0.0.1/films").service("films").is_ok());
    }

    proptest! {
        #[test]
        fn no_value_of_others_panics_or_shows_control_characters(value in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC*|.*") {
            let _unread = Service::of(&record("k", &value));
            let value = serde_json::to_vec(&serde_json::json!({ "title": text, "description": text })).unwrap();
            if let Some(service) = Service::of(&record("k", &value)) {
                prop_assert!(service.title.chars().all(is_plain));
            }
        }
    }
}
