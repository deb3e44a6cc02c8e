//! An image layout on this machine → the tar that the agent takes: of a folder only what this machine needs, the list first.

use crate::apps::catalog::this_arch;
use crate::pieces;
use anyhow::{Context, Result, ensure};
use contract::oci::Digest;
use contract::oci::documents::{Descriptor, FACTS, ICON, Index, Manifest, REF_NAME};
use contract::oci::pack::pack;
use hyper::body::Bytes;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Receiver;

/// What is sent of `path`: a tar as it is, or what `names` (all without any) need of a folder.
///
/// # Errors
/// It can't be read, or has no such app.
pub fn pieces(path: &Path, names: &[String]) -> Result<Receiver<std::io::Result<Bytes>>> {
    let reading = || format!("reading `{}`", path.display());
    if path.is_dir() {
        let (list, blobs) = chosen(path, names)?;
        let blobs: Vec<_> = blobs.into_iter().map(|digest| (digest.clone(), blob(path, &digest))).collect();
        return Ok(pieces::written(move |to| pack(&list, &blobs, to)));
    }
    ensure!(names.is_empty(), "of a tar all apps are taken: name a folder to choose some");
    let mut file = File::open(path).with_context(reading)?;
    Ok(pieces::written(move |to| std::io::copy(&mut file, to).map(drop)))
}

fn blob(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

/// The list of the chosen apps, and the blobs that this machine needs of them. What is not there is left to the agent to name.
fn chosen(folder: &Path, names: &[String]) -> Result<(Vec<u8>, BTreeSet<Digest>)> {
    let file = folder.join("index.json");
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("reading `{}`: is it what `cargo xtask app` wrote?", path.display()));
    let mut list = Index::read(&read(&file)?).with_context(|| format!("`{}`", file.display()))?;
    let name = |image: &Descriptor| image.annotations.get(REF_NAME).cloned().unwrap_or_default();
    for wanted in names {
        let known: Vec<String> = list.manifests.iter().map(name).collect();
        ensure!(known.contains(wanted), "`{}` has no app `{wanted}`; it has {}", folder.display(), known.join(", "));
    }
    list.manifests.retain(|image| names.is_empty() || names.contains(&name(image)));
    let mut blobs = BTreeSet::new();
    for image in &list.manifests {
        for annotation in [FACTS, ICON] {
            blobs.extend(image.annotated(annotation)?);
        }
        let digest = image.read_digest()?;
        let index = Index::read(&read(&blob(folder, &digest))?)?;
        blobs.insert(digest);
        if let Some(own) = this_arch().and_then(|arch| index.image_for(arch)) {
            let manifest = Manifest::read(&read(&blob(folder, &own.read_digest()?))?)?;
            blobs.insert(own.read_digest()?);
            for part in manifest.layers.iter().chain([&manifest.config]) {
                blobs.insert(part.read_digest()?);
            }
        }
    }
    Ok((serde_json::to_vec(&list)?, blobs))
}
