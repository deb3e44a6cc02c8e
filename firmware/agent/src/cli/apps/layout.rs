//! An image layout on this machine → the tar that the agent takes: of a folder only what this machine needs, the list first.

use crate::apps::catalog::this_arch;
use anyhow::{Context, Result, ensure};
use contract::oci::Digest;
use contract::oci::documents::{Descriptor, FACTS, ICON, Index, Manifest, REF_NAME};
use hyper::body::Bytes;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait to be sent, and bytes of one.
const WAITING_PIECES: usize = 4;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes pieces into a channel.
struct Pieces(Sender<std::io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is sent of `path`: a tar as it is, or what `names` (all without any) need of a folder.
///
/// # Errors
/// It can't be read, or has no such app.
pub fn pieces(path: &Path, names: &[String]) -> Result<Receiver<std::io::Result<Bytes>>> {
    let reading = || format!("reading `{}`", path.display());
    let (sender, receiver) = channel(WAITING_PIECES);
    if path.is_dir() {
        let (list, blobs) = chosen(path, names)?;
        let folder = path.to_owned();
        tokio::task::spawn_blocking(move || report(&sender.clone(), pack(&folder, &list, &blobs, sender)));
    } else {
        ensure!(names.is_empty(), "of a tar all apps are taken: name a folder to choose some");
        let file = File::open(path).with_context(reading)?;
        tokio::task::spawn_blocking(move || report(&sender.clone(), copy(file, sender)));
    }
    Ok(receiver)
}

/// What went wrong ends the upload.
fn report(sender: &Sender<std::io::Result<Bytes>>, outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        let _gone = sender.blocking_send(Err(error));
    }
}

fn copy(mut file: File, sender: Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    std::io::copy(&mut file, &mut std::io::BufWriter::with_capacity(PIECE_BYTES, Pieces(sender))).map(drop)
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

fn pack(folder: &Path, list: &[u8], blobs: &BTreeSet<Digest>, sender: Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(std::io::BufWriter::with_capacity(PIECE_BYTES, Pieces(sender)));
    let header = |size: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header
    };
    tar.append_data(&mut header(u64::try_from(list.len()).unwrap_or_default()), "index.json", list)?;
    for digest in blobs {
        let path = blob(folder, digest);
        let named = |error: std::io::Error| std::io::Error::other(format!("reading `{}`: {error}", path.display()));
        let file = File::open(&path).map_err(named)?;
        let size = file.metadata().map_err(named)?.len();
        tar.append_data(&mut header(size), format!("blobs/sha256/{}", digest.hex()), file.take(size))?;
    }
    tar.into_inner()?.flush()
}
