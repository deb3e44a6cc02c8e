//! What was received → the apps that are in it, each whole for this machine or refused.

use super::receive::Received;
use super::{Entry, FACTS_BYTES, ICON_BYTES, Refused};
use contract::apps::compose::PROJECT_PREFIX;
use contract::apps::{App, is_name};
use contract::arch::Arch;
use contract::oci::Digest;
use contract::oci::documents::{Descriptor, FACTS, ICON, INDEX, Index, MANIFEST, MAX_DOCUMENT_BYTES, Manifest, REF_NAME};
use std::collections::BTreeMap;
use std::path::Path;

/// The apps of a layout's list.
pub fn entries(received: &Received, arch: Arch) -> Result<Vec<Entry>, Refused> {
    let list_error = |why: String| Refused::Entry { path: "index.json".to_owned(), why };
    let list = Index::read(&received.list).map_err(|error| list_error(format!("is no list of apps: {error}")))?;
    if list.manifests.is_empty() {
        return Err(list_error("names no app".to_owned()));
    }
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for image in &list.manifests {
        let named = image.annotations.get(REF_NAME).cloned().unwrap_or_default();
        let name = usable_name(&named).ok_or_else(|| {
            let shown: String = named.chars().take(60).flat_map(char::escape_default).collect();
            list_error(format!("calls an app `{shown}`: its name must be lower-case letters, digits and `-`, 33 at most"))
        })?;
        let entry = Walk { received, app: name, arch, blobs: BTreeMap::new() }.entry(image)?;
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(list_error(format!("names the app `{name}` twice")));
        }
    }
    Ok(entries.into_values().collect())
}

/// A name that an app may have on a node: its project's name must be one too.
fn usable_name(name: &str) -> Option<&str> {
    (is_name(name) && is_name(&format!("{PROJECT_PREFIX}{name}"))).then_some(name)
}

/// Reads an app's `app.toml`.
pub fn facts(app: &str, text: &str) -> Result<App, Refused> {
    let read = contract::apps::read(&Path::new(app).join("app.toml"), text);
    read.map_err(|error| Refused::App { app: app.to_owned(), why: error.to_string() })
}

/// The walk from an app's index to its last blob.
struct Walk<'a> {
    received: &'a Received,
    app: &'a str,
    arch: Arch,
    blobs: BTreeMap<Digest, u64>,
}

impl Walk<'_> {
    fn refuse(&self, why: impl Into<String>) -> Refused {
        Refused::App { app: self.app.to_owned(), why: why.into() }
    }

    fn entry(mut self, image: &Descriptor) -> Result<Entry, Refused> {
        if image.media_type != INDEX {
            return Err(self.refuse("the list names something else than an index of images"));
        }
        let index_digest = self.blob(image)?;
        let index = Index::read(&self.read(&index_digest, MAX_DOCUMENT_BYTES)?).map_err(|error| self.refuse(error.to_string()))?;
        let Some(own) = index.image_for(self.arch) else {
            let known = |found: &Descriptor| Arch::ALL.into_iter().find(|arch| found.platform.as_ref().is_some_and(|p| p.is(*arch)));
            let built: Vec<String> = index.manifests.iter().filter_map(known).map(|arch| arch.to_string()).collect();
            let built = if built.is_empty() { "no known machine".to_owned() } else { built.join(", ") };
            return Err(Refused::Architecture { app: self.app.to_owned(), built, this: self.arch.to_string() });
        };
        if own.media_type != MANIFEST {
            return Err(self.refuse("its index names something else than an image for this machine"));
        }
        let manifest_digest = self.blob(own)?;
        let manifest = self.read(&manifest_digest, MAX_DOCUMENT_BYTES)?;
        let manifest = Manifest::read(&manifest).map_err(|error| self.refuse(error.to_string()))?;
        self.blob(&manifest.config)?;
        for layer in &manifest.layers {
            self.blob(layer)?;
        }
        let annotated = |name: &str| image.annotated(name).map_err(|error| self.refuse(error.to_string()));
        let (facts_digest, icon) = (annotated(FACTS)?, annotated(ICON)?);
        let Some(facts_digest) = facts_digest else {
            return Err(self.refuse("the list does not say which blob is its app.toml"));
        };
        let text = self.read(&facts_digest, FACTS_BYTES)?;
        let app = facts(self.app, str::from_utf8(&text).map_err(|_| self.refuse("its facts are no text"))?)?;
        if !app.architectures.contains(&self.arch) {
            return Err(self.refuse(format!("its app.toml does not name {}", self.arch)));
        }
        self.note(&facts_digest);
        if let Some(icon) = &icon {
            let bytes = self.read(icon, ICON_BYTES)?;
            if !str::from_utf8(&bytes).is_ok_and(|text| text.contains("<svg")) {
                return Err(self.refuse("its icon is no SVG"));
            }
            self.note(icon);
        }
        Ok(Entry { name: self.app.to_owned(), index: index_digest, facts: facts_digest, icon, blobs: self.blobs })
    }

    /// A blob that must have come, with the size that is said of it.
    fn blob(&mut self, of: &Descriptor) -> Result<Digest, Refused> {
        let digest = of.read_digest().map_err(|error| self.refuse(error.to_string()))?;
        match self.received.sizes.get(&digest) {
            None => Err(self.refuse(format!("{digest} is missing"))),
            Some(size) if *size != of.size => Err(self.refuse(format!("{digest} has {size} bytes, where {} are said", of.size))),
            Some(size) => {
                self.blobs.insert(digest.clone(), *size);
                Ok(digest)
            }
        }
    }

    fn note(&mut self, digest: &Digest) {
        self.blobs.insert(digest.clone(), self.received.sizes.get(digest).copied().unwrap_or_default());
    }

    fn read(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, Refused> {
        self.received.read(digest, most).map_err(|why| self.refuse(why))
    }
}
