//! An app of the catalog → the image layout that another node takes: the same bytes wherever the same version is given.

use super::pack::pack;
use super::{Catalog, Entry, Refused};
use crate::net::AppImage;
use crate::pieces;
use contract::oci::Digest;
use contract::oci::documents::{Descriptor, FACTS, ICON, INDEX, Index, REF_NAME};
use hyper::body::Bytes;
use std::path::PathBuf;
use tokio::sync::mpsc::Receiver;

impl Catalog {
    /// What is said of an app before a byte of it is fetched. Facts that were never read wait for the disk.
    ///
    /// # Errors
    /// Its facts can't be read.
    pub fn said(&self, entry: &Entry) -> Result<AppImage, Refused> {
        let (face, arch) = (self.face(entry)?, self.arch.ok_or(Refused::Machine)?);
        Ok(AppImage {
            name: entry.name.clone(),
            index: entry.index.clone(),
            architecture: arch.to_string(),
            category: face.category.word().to_owned(),
            title: face.title.by_language(),
            description: face.description.by_language(),
        })
    }

    /// An app as a tar, piece by piece. What is damaged ends it.
    ///
    /// # Errors
    /// Its list can't be written.
    pub fn give(&self, entry: &Entry) -> Result<Receiver<std::io::Result<Bytes>>, Refused> {
        let list = serde_json::to_vec(&list(entry)).map_err(|error| Refused::Kept(error.to_string()))?;
        let blobs: Vec<(Digest, PathBuf)> = entry.blobs.keys().map(|digest| (digest.clone(), self.blob(digest))).collect();
        Ok(pieces::written(move |to| pack(&list, &blobs, to)))
    }
}

/// The list of a layout that has this app alone.
fn list(entry: &Entry) -> Index {
    let icon = entry.icon.as_ref().map(|icon| (ICON, icon.to_string()));
    let said = [(REF_NAME, entry.name.clone()), (FACTS, entry.facts.to_string())].into_iter().chain(icon);
    let image = Descriptor {
        media_type: INDEX.to_owned(),
        digest: entry.index.to_string(),
        size: entry.blobs.get(&entry.index).copied().unwrap_or_default(),
        platform: None,
        annotations: said.map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: vec![image] }
}
