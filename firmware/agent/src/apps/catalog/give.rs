//! An app of the catalog → the image layout that another node takes: the same bytes wherever the same version is given.

use super::{Catalog, Entry, Refused};
use crate::net::AppImage;
use crate::pieces;
use contract::oci::Digest;
use contract::oci::pack::{list, pack};
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
        let index = (&entry.index, entry.blobs.get(&entry.index).copied().unwrap_or_default());
        let list = list(&entry.name, index, &entry.facts, entry.icon.as_ref());
        let list = serde_json::to_vec(&list).map_err(|error| Refused::Kept(error.to_string()))?;
        let blobs: Vec<(Digest, PathBuf)> = entry.blobs.keys().map(|digest| (digest.clone(), self.blob(digest))).collect();
        Ok(pieces::written(move |to| pack(&list, &blobs, to)))
    }
}
