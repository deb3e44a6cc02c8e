//! images/sources.toml, checked: where packages come from and which keys sign their indexes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::Spanned;

use super::lock::LockedPackage;
use super::text::is_word;
use crate::board::{ParseError, parse};

/// All sources, by key, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Sources(BTreeMap<String, Source>);

/// One archive of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its base, `http://…`, without a slash at the end.
    pub url: String,
    /// Suites below `dists/`.
    pub suites: Vec<String>,
    /// Components of each suite.
    pub components: Vec<String>,
    /// Files of public keys that its Release files must be signed by, absolute.
    pub keys: Vec<PathBuf>,
}

/// Suites as apt is to see them: those of a source, or a copy of them on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The source's key.
    pub key: String,
    /// What is seen. A copy has no keys: it is trusted, and a lock made from it says so.
    pub source: Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSource {
    url: Spanned<String>,
    suites: Vec<Spanned<String>>,
    components: Vec<Spanned<String>>,
    keys: Vec<Spanned<String>>,
}

impl Sources {
    /// Reads and checks images/sources.toml of the repo.
    pub fn read(repo: &Path) -> Result<Self> {
        let file = repo.join("images/sources.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        Self::parse(&text, &file, &repo.join("images/keys"))
    }

    /// Checks the text of a sources file; `file` is for errors, `keys` is the folder that key files are named in.
    pub fn parse(text: &str, file: &Path, keys: &Path) -> Result<Self> {
        let raw: BTreeMap<Spanned<String>, RawSource> = parse(file, text)?;
        let at = |span: Range<usize>, what: String| ParseError::at(file, text, span, what);
        let mut sources = BTreeMap::new();
        for (key, source) in raw {
            if !is_word(key.as_ref()) {
                return Err(at(key.span(), format!("`{}` is not a source's key: lower-case letters, digits and `-`", key.as_ref())).into());
            }
            let url = source.url.as_ref();
            // Hashes and signatures protect the content, so plain HTTP is enough, and a cache between can help.
            if !url.starts_with("http://") || url.ends_with('/') || url.contains(char::is_whitespace) {
                return Err(at(source.url.span(), format!("`{url}` is not a url `http://host/path` without a slash at the end")).into());
            }
            for word in source.suites.iter().chain(&source.components) {
                if !is_word(word.as_ref()) {
                    return Err(at(word.span(), format!("`{}` is not a suite or component", word.as_ref())).into());
                }
            }
            for name in &source.keys {
                if name.as_ref().contains('/') || name.as_ref().starts_with('.') {
                    return Err(at(name.span(), format!("`{}` is not the name of a file in images/keys", name.as_ref())).into());
                }
            }
            if source.keys.is_empty() || source.suites.is_empty() || source.components.is_empty() {
                return Err(at(key.span(), format!("source `{}` needs suites, components and keys", key.as_ref())).into());
            }
            let strings = |words: Vec<Spanned<String>>| words.into_iter().map(Spanned::into_inner).collect::<Vec<_>>();
            let checked = Source {
                url: source.url.into_inner(),
                suites: strings(source.suites),
                components: strings(source.components),
                keys: source.keys.iter().map(|name| keys.join(name.as_ref())).collect(),
            };
            sources.insert(key.into_inner(), checked);
        }
        Ok(Self(sources))
    }

    /// All sources: (key, source).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.0.iter().map(|(key, source)| (key.as_str(), source))
    }

    /// All sources as apt sees them.
    pub fn places(&self) -> Vec<Place> {
        self.iter().map(|(key, source)| Place { key: key.to_owned(), source: source.clone() }).collect()
    }

    /// The url of a locked package.
    pub fn url_of(&self, package: &LockedPackage) -> Result<String> {
        let source = self.0.get(&package.source).with_context(|| {
            format!("the lock takes {} from source `{}`, which images/sources.toml does not name", package.title(), package.source)
        })?;
        // Some mirrors read a plus sign as a space, so it is escaped as apt does.
        Ok(format!("{}/{}", source.url, package.path.replace('+', "%2b")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sources> {
        Sources::parse(text, Path::new("s.toml"), Path::new("/keys"))
    }

    const GOOD: &str = "[a]\nurl = \"http://127.0.0.1/d\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeys = [\"k.gpg\"]\n";

    #[test]
    fn good_is_read() {
        let sources = parse(GOOD).unwrap();
        let (key, source) = sources.iter().next().unwrap();
        assert_eq!((key, source.keys[0].as_path()), ("a", Path::new("/keys/k.gpg")));
    }

    #[test]
    fn bad_is_refused_with_its_place() {
        for (from, to, wanted) in [
            ("http://", "ftp://", "s.toml:2:7: `ftp://"),
            ("[a]", "[A]", "s.toml:1:2: `A` is not a source's key"),
            ("keys = [\"k.gpg\"]", "keys = []", "needs suites, components and keys"),
            ("k.gpg", "../k.gpg", "s.toml:5:9: `../k.gpg` is not the name"),
            ("suites", "suite", "s.toml:3:1: unknown key `suite`"),
        ] {
            let error = parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn the_repos_own_sources_are_good_and_their_keys_exist() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (_, source) in Sources::read(repo).unwrap().iter() {
            assert!(source.keys.iter().all(|key| key.is_file()), "{:?}", source.keys);
        }
    }
}
