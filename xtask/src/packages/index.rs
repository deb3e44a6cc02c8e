//! The Packages files that apt fetched and verified, as values: from a url to sha256 and size, and from a name to who has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use super::deb::{ControlFields, Relation};
use super::lock::LockedPackage;

/// The fields that are kept of each stanza: all others are read over.
const FIELDS: [&str; 10] =
    ["Package:", "Version:", "Architecture:", "Essential:", "Depends:", "Pre-Depends:", "Provides:", "Filename:", "Size:", "SHA256:"];

/// All stanzas of the indexes of one architecture.
#[derive(Debug, Default)]
pub struct Index {
    stanzas: Vec<Stanza>,
    by_url: BTreeMap<String, usize>,
    /// Package name → its stanzas.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Virtual name → names of packages that provide it.
    providers: BTreeMap<String, BTreeSet<String>>,
}

/// One version of one package.
#[derive(Debug)]
pub struct Stanza {
    /// The kept fields.
    pub fields: ControlFields,
    /// The key of the source that has it.
    pub source: String,
}

impl Stanza {
    /// It as an entry of a lock.
    pub fn locked(&self, payload: bool) -> Result<LockedPackage> {
        let fields = &self.fields;
        let need =
            |name: &str| fields.get(name).with_context(|| format!("the index has no {name} for {}", fields.package())).map(str::to_owned);
        Ok(LockedPackage {
            name: need("Package")?,
            version: need("Version")?,
            arch: need("Architecture")?,
            sha256: need("SHA256")?,
            size: need("Size")?.parse().with_context(|| format!("the size of {} is not a number", fields.package()))?,
            source: self.source.clone(),
            path: need("Filename")?,
            payload,
            suite: None,
        })
    }

    /// All that it needs: Pre-Depends and Depends.
    pub fn needs(&self) -> Vec<Vec<Relation>> {
        let mut needs = self.fields.pre_depends();
        needs.extend(self.fields.depends());
        needs
    }
}

impl Index {
    /// Adds the Packages file `text` of the source `key` with the base `url`.
    pub fn add(&mut self, key: &str, url: &str, text: &str) -> Result<()> {
        for stanza in text.split("\n\n") {
            let mut kept = String::new();
            let mut keep = false;
            for line in stanza.lines() {
                if !line.starts_with([' ', '\t']) {
                    keep = FIELDS.iter().any(|field| line.starts_with(field));
                }
                if keep {
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
            if kept.is_empty() {
                continue;
            }
            let fields = ControlFields::parse(&kept)?;
            let number = self.stanzas.len();
            let name = fields.package().to_owned();
            if let Some(path) = fields.get("Filename") {
                self.by_url.insert(format!("{url}/{path}"), number);
            }
            for provided in fields.provides() {
                self.providers.entry(provided.name).or_default().insert(name.clone());
            }
            self.by_name.entry(name).or_default().push(number);
            self.stanzas.push(Stanza { fields, source: key.to_owned() });
        }
        Ok(())
    }

    /// Adds packages of an older lock that are in no index any more, under the urls that apt sees them at.
    pub fn add_kept(&mut self, folder: &Path, kept: &[(LockedPackage, ControlFields)]) {
        for (package, control) in kept {
            let number = self.stanzas.len();
            let mut fields = control.clone();
            fields.set("Filename", &package.path);
            fields.set("Size", &package.size.to_string());
            fields.set("SHA256", &package.sha256);
            self.by_url.insert(format!("copy:{}/{}.deb", folder.display(), package.sha256), number);
            self.by_name.entry(package.name.clone()).or_default().push(number);
            self.stanzas.push(Stanza { fields, source: package.source.clone() });
        }
    }

    /// Adds a Packages file on disk.
    pub fn add_file(&mut self, key: &str, url: &str, file: &Path) -> Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        self.add(key, url, &text).with_context(|| format!("failed to read {}", file.display()))
    }

    /// The stanza of a url as apt prints it (with `%xx` escapes).
    pub fn by_url(&self, url: &str) -> Option<&Stanza> {
        self.by_url.get(&unescape(url)).and_then(|number| self.stanzas.get(*number))
    }

    /// All versions of a package.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &Stanza> {
        self.by_name.get(name).into_iter().flatten().filter_map(|number| self.stanzas.get(*number))
    }

    /// Whether that version of a package is here.
    pub fn has(&self, name: &str, version: &str) -> bool {
        self.versions(name).any(|stanza| stanza.fields.version() == version)
    }

    /// Names of all packages that are Essential in any suite.
    pub fn essential(&self) -> BTreeSet<&str> {
        self.stanzas.iter().filter(|stanza| stanza.fields.essential()).map(|stanza| stanza.fields.package()).collect()
    }

    /// Names of all packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Who provides a virtual package; empty for a real one.
    pub fn providers(&self, name: &str) -> BTreeSet<&str> {
        if self.by_name.contains_key(name) {
            return BTreeSet::new();
        }
        self.providers.get(name).into_iter().flatten().map(String::as_str).collect()
    }
}

/// Undoes the `%xx` of a url.
fn unescape(url: &str) -> String {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: mawk\nVersion: 1.3\nArchitecture: amd64\nDescription: x\n Provides: no\nProvides: awk\nFilename: pool/m/mawk_1.3+b1_amd64.deb\n\
                        Size: 5\nSHA256: 00\n\nPackage: gawk\nVersion: 5\nArchitecture: amd64\nProvides: awk\nEssential: yes\nFilename: pool/g.deb\nSize: 6\nSHA256: 11\n";

    #[test]
    fn urls_names_and_providers() {
        let mut index = Index::default();
        index.add("debian", "http://m/d", TEXT).unwrap();
        let stanza = index.by_url("http://m/d/pool/m/mawk_1.3%2bb1_amd64.deb").unwrap();
        let locked = stanza.locked(true).unwrap();
        assert_eq!(
            (locked.name.as_str(), locked.size, locked.path.as_str(), locked.payload),
            ("mawk", 5, "pool/m/mawk_1.3+b1_amd64.deb", true)
        );
        assert_eq!(index.providers("awk").into_iter().collect::<Vec<_>>(), ["gawk", "mawk"]);
        assert!(index.providers("mawk").is_empty());
        assert_eq!(index.essential().into_iter().collect::<Vec<_>>(), ["gawk"]);
        assert!(index.by_url("http://m/d/pool/none.deb").is_none());
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("a%2bb%3A%zz%"), "a+b:%zz%");
    }
}
