//! OCI images (image-spec 1.1): layers, configurations, manifests and indexes, in an image layout that many apps share.
//!
//! Everything is a function of the trees and the plan: the same inputs give the same digests.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contract::apps::{App, Protocol};
use contract::oci::documents::{CONFIG, FACTS, ICON, INDEX, LAYER, MANIFEST, Manifest, Platform, REF_NAME};
pub use contract::oci::documents::{Descriptor, Index};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::plan::ImagePlan;
use crate::digest::{self, Key, hex};
use crate::kept;
use crate::packages::cache::Cache;
use crate::sandbox::Sandbox;
use crate::tree::erofs::write_tar;
use crate::tree::{Kind, Tree};

/// zstd's level for layers. One thread: its output then depends on nothing else.
const ZSTD: [&str; 4] = ["zstd", "-15", "--single-thread", "--stdout"];
/// Changes whenever the same tree gives another layer.
const RECIPE: &str = "layer 1";
/// Where programs of an image are looked for.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/games";

/// What a blob is and how it is known.
#[derive(Serialize)]
struct Config<'a> {
    created: String,
    architecture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'static str>,
    os: &'static str,
    config: Settings<'a>,
    rootfs: RootFs<'a>,
    history: Vec<History>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Settings<'a> {
    user: String,
    exposed_ports: BTreeMap<String, Nothing>,
    env: Vec<String>,
    cmd: &'a [String],
    volumes: BTreeMap<&'a str, Nothing>,
    working_dir: &'static str,
    labels: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct RootFs<'a> {
    r#type: &'static str,
    diff_ids: Vec<&'a str>,
}

#[derive(Serialize)]
struct History {
    created: String,
    created_by: String,
}

/// A layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The blob.
    pub blob: Descriptor,
    /// The digest of its plain tar.
    diff_id: String,
    /// Bytes of that tar.
    pub plain_bytes: u64,
}

/// An image layout: a folder of blobs by their digests.
pub struct Layout {
    root: PathBuf,
    /// Whether layers that were packed before are taken from the cache.
    cached: bool,
}

/// Counts and hashes what passes.
struct Tee<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

impl Layout {
    /// The layout in `root`, made if it is not there.
    pub fn at(root: &Path) -> Result<Self> {
        Self::made(root, true)
    }

    /// A layout for which every layer is packed anew.
    pub fn without_cache(root: &Path) -> Result<Self> {
        Self::made(root, false)
    }

    fn made(root: &Path, cached: bool) -> Result<Self> {
        let layout = Self { root: root.to_owned(), cached };
        std::fs::create_dir_all(layout.blobs()).with_context(|| format!("failed to make `{}`", root.display()))?;
        put(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(layout)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.blobs().join(digest.trim_start_matches("sha256:"))
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let digest = format!("sha256:{}", hex(&Sha256::digest(bytes)));
        put(&self.blob(&digest), bytes)?;
        let size = bytes.len() as u64;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() })
    }

    /// Reads an index that lies here.
    pub fn read_index(&self, digest: &str) -> Result<Index> {
        let path = self.blob(digest);
        let bytes = std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// The layers that a manifest lists.
    pub fn layers(&self, digest: &str) -> Result<Vec<Descriptor>> {
        let path = self.blob(digest);
        let bytes = std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        Ok(Manifest::read(&bytes)?.layers)
    }

    fn index(&self) -> Result<Index> {
        let path = self.root.join("index.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("`{}` is damaged: remove the folder", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: Vec::new() })
            }
            Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        }
    }

    /// Where catalogs of what it has land: beside it, a folder for each.
    pub fn catalogs(&self) -> PathBuf {
        self.root.with_file_name("catalogs")
    }

    /// An app's index, as the layout's list has it.
    pub fn named(&self, name: &str) -> Result<Descriptor> {
        let found = self.index()?.manifests.into_iter().find(|found| found.annotations.get(REF_NAME).is_some_and(|its| its == name));
        found.with_context(|| format!("`{}` has no app `{name}`", self.root.display()))
    }

    /// Puts an app's facts and its icon beside its image: blobs that the layout's list names.
    pub fn facts(&self, facts: &[u8], icon: Option<&[u8]>) -> Result<Vec<(&'static str, String)>> {
        let mut named = vec![(FACTS, self.put("application/toml", facts)?.digest)];
        if let Some(icon) = icon {
            named.push((ICON, self.put("image/svg+xml", icon)?.digest));
        }
        Ok(named)
    }

    /// Names an index, with more that is said of it there; what had the name before has it no more.
    pub fn name(&self, name: &str, index: &Descriptor, more: &[(&str, String)]) -> Result<()> {
        let mut all = self.index()?;
        all.manifests.retain(|found| found.annotations.get(REF_NAME).is_none_or(|its| its != name));
        let named = [(REF_NAME, name.to_owned())];
        let annotations = named.iter().chain(more).map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        all.manifests.push(Descriptor { annotations, ..index.clone() });
        all.manifests.sort_by(|a, b| a.annotations.get(REF_NAME).cmp(&b.annotations.get(REF_NAME)));
        put(&self.root.join("index.json"), &serde_json::to_vec(&all)?)
    }
}

/// Writes aside and renames.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let folder = path.parent().context("it stands in no folder")?;
        let mut file = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write `{}`", path.display()))
}

/// The layer of a tree, from the cache or packed now, in `layout`.
pub fn layer(tools: &Sandbox, cache: &Cache, layout: &Layout, tree: &Tree, epoch: u64) -> Result<Layer> {
    if !layout.cached {
        // Layers are packed side by side: each in a file of its own until its digest is known.
        let file = layout.root.join(key(tree, epoch));
        let layer = pack(tools, tree, epoch, &file)?;
        std::fs::rename(file, layout.blob(&layer.blob.digest))?;
        return Ok(layer);
    }
    let folder = cache.root().join("layers");
    std::fs::create_dir_all(&folder)?;
    let key = key(tree, epoch);
    let (facts, file) = (folder.join(format!("{key}.json")), folder.join(format!("{key}.tar.zst")));
    let kept: Option<Layer> = kept::load(&facts);
    let layer = match kept.filter(|layer| file.metadata().is_ok_and(|meta| meta.len() == layer.blob.size)) {
        Some(layer) => layer,
        None => {
            let layer = pack(tools, tree, epoch, &file)?;
            kept::store(&facts, &layer)?;
            layer
        }
    };
    let place = layout.blob(&layer.blob.digest);
    if !place.metadata().is_ok_and(|meta| meta.len() == layer.blob.size) {
        // What is taken from the cache is what was packed.
        let sum = digest::of_file(&file)?;
        anyhow::ensure!(layer.blob.digest == format!("sha256:{sum}"), "`{}` is damaged: remove it", file.display());
        let aside = tempfile::Builder::new().prefix(".making-").tempdir_in(layout.blobs())?;
        let copy = aside.path().join("blob");
        std::fs::hard_link(&file, &copy).or_else(|_| std::fs::copy(&file, &copy).map(drop))?;
        std::fs::rename(&copy, &place)?;
    }
    Ok(layer)
}

fn key(tree: &Tree, epoch: u64) -> String {
    let mut key = Key::new(RECIPE);
    ZSTD.iter().for_each(|word| key.put(word.as_bytes()));
    key.put(&epoch.to_le_bytes());
    for (path, entry) in tree.iter() {
        key.put(path.as_bytes());
        for number in [entry.mode, entry.uid, entry.gid] {
            key.put(&number.to_le_bytes());
        }
        for (name, value) in &entry.xattrs {
            key.put(name.as_bytes());
            key.put(value);
        }
        match &entry.kind {
            Kind::Directory => key.put(b"folder"),
            Kind::File(content) => key.content(content),
            Kind::Symlink(target) => [b"link".as_slice(), target.as_bytes()].iter().for_each(|part| key.put(part)),
            Kind::Hardlink(target) => [b"name".as_slice(), target.as_bytes()].iter().for_each(|part| key.put(part)),
            Kind::CharDevice(major, minor) => [*major, *minor].iter().for_each(|part| key.put(&part.to_le_bytes())),
        }
    }
    key.finish()
}

fn pack(tools: &Sandbox, tree: &Tree, epoch: u64, file: &Path) -> Result<Layer> {
    let mut seen = None;
    let packed = tools.command(ZSTD).run_with(
        |pipe| {
            let mut tee = Tee { to: BufWriter::with_capacity(1 << 20, pipe), hash: Sha256::new(), bytes: 0 };
            write_tar(tree, epoch, &mut tee)?;
            tee.flush()?;
            seen = Some((hex(&tee.hash.finalize()), tee.bytes));
            Ok(())
        },
        |_| (),
    )?;
    let (diff_id, plain_bytes) = seen.context("nothing was packed")?;
    put(file, &packed)?;
    let blob = Descriptor {
        media_type: LAYER.to_owned(),
        digest: format!("sha256:{}", hex(&Sha256::digest(&packed))),
        size: packed.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    };
    Ok(Layer { blob, diff_id: format!("sha256:{diff_id}"), plain_bytes })
}

/// The image of one architecture: its configuration and manifest.
pub fn image(layout: &Layout, app: &App, plan: &ImagePlan, layers: &[Layer]) -> Result<Descriptor> {
    let created = instant(plan.epoch);
    let history = |what: &str, epoch: u64| History { created: instant(epoch), created_by: what.to_owned() };
    let (architecture, variant) = plan.arch.oci();
    let config = Config {
        created,
        architecture,
        variant,
        os: "linux",
        config: settings(app),
        rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(|layer| layer.diff_id.as_str()).collect() },
        history: vec![history("cargo xtask app: base", plan.base_epoch), history(&format!("cargo xtask app {}", app.name), plan.epoch)],
    };
    let config = layout.put(CONFIG, &serde_json::to_vec(&config)?)?;
    let layers = layers.iter().map(|layer| layer.blob.clone()).collect();
    let manifest = Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers };
    let descriptor = layout.put(MANIFEST, &serde_json::to_vec(&manifest)?)?;
    Ok(Descriptor { platform: Some(Platform::of(plan.arch)), ..descriptor })
}

/// The index of an app's images.
pub fn index(layout: &Layout, manifests: Vec<Descriptor>) -> Result<Descriptor> {
    let index = Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests };
    layout.put(INDEX, &serde_json::to_vec(&index)?)
}

fn settings(app: &App) -> Settings<'_> {
    let protocols = |protocol: Protocol| match protocol {
        Protocol::Tcp => vec!["tcp"],
        Protocol::Udp => vec!["udp"],
        Protocol::Both => vec!["tcp", "udp"],
    };
    let ports = app.ports.values().flat_map(|port| {
        let number = port.container;
        protocols(port.protocol).into_iter().map(move |protocol| (format!("{number}/{protocol}"), Nothing {}))
    });
    let mut env = vec![PATH.to_owned(), "LANG=C.UTF-8".to_owned()];
    env.extend(app.run.environment.iter().map(|(name, value)| format!("{name}={value}")));
    Settings {
        user: format!("{0}:{0}", app.run.uid),
        exposed_ports: ports.collect(),
        env,
        cmd: &app.run.command,
        volumes: app.volumes.values().map(|volume| (volume.path.as_str(), Nothing {})).collect(),
        working_dir: "/",
        labels: BTreeMap::from([
            ("org.opencontainers.image.title", app.title.en.as_str()),
            ("org.opencontainers.image.description", app.description.en.as_str()),
        ]),
    }
}

/// RFC 3339, in UTC.
fn instant(epoch: u64) -> String {
    const DAY: u64 = 86_400;
    let second = epoch % DAY;
    format!("{}T{:02}:{:02}:{:02}Z", crate::imager::date(epoch), second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::{file, folder, link, tree};

    #[test]
    fn a_layer_s_key_sees_everything() {
        let entries = |mode: u32| {
            let mut tree = tree(&[("a", folder()), ("a/b", file("x")), ("a/c", link("b"))]);
            let mut entry = tree.get("a/b").cloned().unwrap();
            entry.mode = mode;
            tree.insert("a/b".to_owned(), entry);
            tree
        };
        let mut other = entries(0o644);
        other.insert("a/c".to_owned(), link("d"));
        let keys = [key(&entries(0o644), 1), key(&entries(0o755), 1), key(&entries(0o644), 2), key(&other, 1)];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        assert_eq!(keys[0], key(&entries(0o644), 1));
    }

    #[test]
    fn names_in_a_layout_move_and_blobs_are_named_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path()).unwrap();
        let one = layout.put(INDEX, b"{}").unwrap();
        assert_eq!(one.digest, format!("sha256:{}", hex(&Sha256::digest(b"{}"))));
        assert_eq!(std::fs::read(layout.blob(&one.digest)).unwrap(), b"{}");
        let two = layout.put(INDEX, b"{ }").unwrap();
        for (name, index) in [("b", &one), ("a", &one), ("b", &two)] {
            layout.name(name, index, &[]).unwrap();
        }
        let named: Vec<_> =
            layout.index().unwrap().manifests.into_iter().map(|found| (found.annotations[REF_NAME].clone(), found.digest)).collect();
        assert_eq!(named, [("a".to_owned(), one.digest), ("b".to_owned(), two.digest)]);
    }

    #[test]
    fn an_instant_is_written_as_docker_reads_it() {
        assert_eq!(instant(1_795_399_773), "2026-11-23T02:09:33Z");
    }
}
