//! The signed catalog of built apps (docs/catalogs.md): its publisher's key lies in a file, and each publication has a higher number than
//! the last. Beside it lie the apps' blobs, as a node that has the apps gives them. No node is needed for any of it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use cluster::catalog::{Build, Catalog, Contents, Listed, PART_BYTES, Words, is_name, key_from_text, key_to_text};
use contract::apps::App;
use contract::oci::Digest;
use contract::oci::documents::{FACTS, ICON, MAX_DOCUMENT_BYTES, Manifest};
use contract::oci::pack::{list, pack};
use rand::Rng as _;
use tempfile::NamedTempFile;

use super::oci::Layout;
use crate::board::Arch;

/// Who publishes a catalog.
pub struct Publisher {
    seed: [u8; 32],
    /// What the catalog is called.
    name: String,
    /// Where the key is to be kept, where it was made just now.
    new: Option<PathBuf>,
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The catalog.
    pub file: PathBuf,
    /// Its number.
    pub number: u64,
    /// The publisher's public key.
    pub key: String,
    /// The apps' blobs.
    pub blobs: Vec<PathBuf>,
}

impl Publisher {
    /// A new key, which is written to `file` once something is published.
    pub fn new(file: &Path, name: &str) -> Result<Self> {
        ensure!(is_name(name), "a catalog's name is lower-case letters, digits and `-`, 33 at most, and begins with a letter");
        ensure!(!file.exists(), "`{}` is there already: with that key the catalog is published again, without --new-key", file.display());
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        Ok(Self { seed, name: name.to_owned(), new: Some(file.to_owned()) })
    }

    /// The key in `file`: one that was made here, or that `cloudy catalog key` printed.
    pub fn read(file: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => bail!("`{}` is not there: --new-key NAME makes it", file.display()),
            read => read.with_context(|| format!("failed to read `{}`", file.display()))?,
        };
        let (seed, name) = key_from_text(text.trim()).with_context(|| format!("`{}` is no key of a catalog", file.display()))?;
        Ok(Self { seed, name, new: None })
    }

    fn keep(&self) -> Result<()> {
        let Some(file) = &self.new else { return Ok(()) };
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).and_then(|mut to| {
            to.write_all(format!("{}\n", key_to_text(&self.seed, &self.name)).as_bytes())?;
            to.sync_all()
        });
        written.with_context(|| format!("failed to write the key to `{}`", file.display()))
    }

    /// What was published last by what lies in `file`; none at first.
    fn last(&self, file: &Path) -> Result<Option<Catalog>> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound && self.new.is_some() => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "what was published last is not in `{0}`, and would count as newer: a node that follows the catalog has it (`cloudy catalog save KEY {0}`)",
                file.display()
            ),
            Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", file.display())),
        };
        let last = Catalog::from_bytes(&bytes).with_context(|| format!("`{}`", file.display()))?;
        ensure!(
            last.key() == cluster::keys::Key::of_seed(&self.seed),
            "`{}` is signed by another key: remove it, or choose another name",
            file.display()
        );
        ensure!(!last.contents().revoked, "the key of this catalog was given up: publish with a new one");
        Ok(Some(last))
    }

    /// Publishes apps of a layout, each for the machines that are named.
    pub fn publish(&self, layout: &Layout, apps: &[(&App, Vec<Arch>)], title: Option<Words>) -> Result<Published> {
        let folder = layout.catalogs().join(&self.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        let file = folder.join(format!("{}.catalog", self.name));
        let last = self.last(&file)?;
        let said = last.as_ref().map(Catalog::contents);
        let title = title.or_else(|| said.map(|said| said.title.clone())).context("say what people call the catalog: --title")?;
        let number =
            said.map_or(Some(1), |said| said.number.checked_add(1)).context("there is no higher number: publish with a new key")?;
        let (mut listed, mut blobs) = (Vec::new(), Vec::new());
        for (app, arches) in apps {
            let (now, files) = list_app(layout, app, arches, &folder).with_context(|| format!("failed to pack {}", app.name))?;
            listed.push(now.with_builds_of(said));
            blobs.extend(files);
        }
        let contents = Contents { name: self.name.clone(), title, number, revoked: false, apps: listed };
        let catalog = Catalog::sign(&self.seed, contents)?;
        let mut aside = aside(&folder)?;
        aside.write_all(&catalog.to_bytes())?;
        // Two publications of one number would be a fork for good: it is on the disk before anybody gets it.
        aside.as_file().sync_all()?;
        self.keep()?;
        aside.persist(&file).with_context(|| format!("failed to write `{}`", file.display()))?;
        File::open(&folder)?.sync_all()?;
        Ok(Published { file, number, key: catalog.key().hex(), blobs })
    }
}

/// An app of a layout that was built before, with the machines that it is there for.
pub fn built(layout: &Layout, name: &str) -> Result<(App, Vec<Arch>)> {
    let named = layout.named(name)?;
    let facts = named.annotated(FACTS)?.context("the layout's list does not say which blob is its app.toml")?;
    let path = layout.blob(&facts.to_string());
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let app = contract::apps::read(&Path::new(name).join("app.toml"), &text)?;
    let index = layout.read_index(&named.digest)?;
    let arches = app.architectures.iter().copied().filter(|arch| index.image_for(*arch).is_some()).collect();
    Ok((app, arches))
}

/// A file that is renamed once it is whole.
fn aside(folder: &Path) -> Result<NamedTempFile> {
    let made = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o644)).tempfile_in(folder);
    made.with_context(|| format!("failed to write into `{}`", folder.display()))
}

/// An app as a catalog lists it, and the files of its blobs.
fn list_app(layout: &Layout, app: &App, arches: &[Arch], folder: &Path) -> Result<(Listed, Vec<PathBuf>)> {
    let named = layout.named(&app.name)?;
    let index = named.read_digest()?;
    let (mut builds, mut files) = (Vec::new(), Vec::new());
    for arch in arches {
        let (facts, icon) = (named.annotated(FACTS)?.context("its list does not say which blob is its app.toml")?, named.annotated(ICON)?);
        let list = serde_json::to_vec(&list(&app.name, (&index, named.size), &facts, icon.as_ref()))?;
        let digests: BTreeSet<Digest> = image(layout, &index, *arch)?.into_iter().chain([index.clone(), facts]).chain(icon).collect();
        let blobs: Vec<(Digest, PathBuf)> = digests.into_iter().map(|digest| (digest.clone(), layout.blob(&digest.to_string()))).collect();
        let file = folder.join(format!("{}-{}.tar", app.name, arch.debian()));
        let mut blob = Blob::new(aside(folder)?);
        pack(&list, &blobs, &mut blob)?;
        let (aside, hash, size_bytes) = blob.finish();
        aside.persist(&file).with_context(|| format!("failed to write `{}`", file.display()))?;
        builds.push(Build { machine: arch.debian().to_owned(), hash, size_bytes });
        files.push(file);
    }
    let words = |words: &contract::apps::Words| Words { en: words.en.clone(), es: words.es.clone(), ca: words.ca.clone() };
    let bytes = data_encoding::HEXLOWER.decode(index.hex().as_bytes())?;
    let listed = Listed {
        name: app.name.clone(),
        index: bytes.try_into().ok().context("its digest is no SHA-256")?,
        category: app.category.word().to_owned(),
        title: words(&app.title),
        description: words(&app.description),
        builds,
    };
    Ok((listed, files))
}

/// What belongs to the image for one kind of machine, beside the index.
fn image(layout: &Layout, index: &Digest, arch: Arch) -> Result<Vec<Digest>> {
    let index = layout.read_index(&index.to_string())?;
    let own = index.image_for(arch).with_context(|| format!("it is not built for {arch}"))?;
    let path = layout.blob(&own.digest);
    ensure!(own.size <= MAX_DOCUMENT_BYTES, "`{}` is too long", path.display());
    let manifest = Manifest::read(&std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?)?;
    let parts = manifest.layers.iter().chain([&manifest.config, own]).map(|part| part.read_digest());
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Hashes what passes as a node's blob: by BLAKE3; what has several parts, by the hashes of those.
struct Blob<W> {
    to: W,
    part: blake3::Hasher,
    of_part: u64,
    parts: Vec<u8>,
    bytes: u64,
}

impl<W: Write> Blob<W> {
    fn new(to: W) -> Self {
        Self { to, part: blake3::Hasher::new(), of_part: 0, parts: Vec::new(), bytes: 0 }
    }

    fn end_part(&mut self) {
        self.parts.extend(self.part.finalize().as_bytes());
        self.part.reset();
        self.of_part = 0;
    }

    fn finish(mut self) -> (W, [u8; 32], u64) {
        if self.of_part > 0 {
            self.end_part();
        }
        let only = self.parts.as_slice().try_into().ok();
        (self.to, only.unwrap_or_else(|| *blake3::hash(&self.parts).as_bytes()), self.bytes)
    }
}

impl<W: Write> Write for Blob<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = usize::try_from(PART_BYTES - self.of_part).unwrap_or(usize::MAX);
        let written = self.to.write(bytes.get(..room).unwrap_or(bytes))?;
        self.part.update(bytes.get(..written).unwrap_or_default());
        (self.of_part, self.bytes) = (self.of_part + written as u64, self.bytes + written as u64);
        if self.of_part == PART_BYTES {
            self.end_part();
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "the agent's tests use more of it")]
#[path = "../../../firmware/agent/tests/support/layout.rs"]
mod layout;

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Option<Words> {
        Some(Words { en: text.to_owned(), es: text.to_owned(), ca: text.to_owned() })
    }

    #[test]
    fn a_catalog_is_made_without_a_node_and_read_as_a_node_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let (images, key) = (folder.path().join("apps"), folder.path().join("gracia.key"));
        layout::layout(&images, 1);
        let layout = Layout::at(&images).unwrap();
        let (app, all) = built(&layout, "broker").unwrap();
        assert_eq!(all, Arch::ALL);
        let both = [(&app, vec![Arch::Amd64, Arch::Arm64])];
        let read = |file: &Path| Catalog::from_bytes(&std::fs::read(file).unwrap()).unwrap();

        assert!(format!("{:#}", Publisher::read(&key).err().unwrap()).contains("--new-key"));
        assert!(Publisher::new(&key, "../x").is_err());
        let new = Publisher::new(&key, "gracia").unwrap();
        assert!(format!("{:#}", new.publish(&layout, &both, None).unwrap_err()).contains("--title"));
        assert!(!key.exists(), "no key stays of what was refused");
        let first = new.publish(&layout, &both, title("Neighbours")).unwrap();
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Publisher::new(&key, "gracia").is_err(), "a key is never written over");
        let catalog = read(&first.file);
        assert_eq!((catalog.key().hex(), catalog.contents().number, first.number), (first.key.clone(), 1, 1));
        let broker = &catalog.contents().apps[0];
        let tar = std::fs::read(&first.blobs[0]).unwrap();
        assert_eq!(broker.build("amd64").unwrap().hash, *blake3::hash(&tar).as_bytes());
        assert!(first.blobs.len() == 2 && tar.len() as u64 == broker.build("amd64").unwrap().size_bytes);

        // The key comes back from its file. The next one has a higher number; of the same version, what was built for others stays.
        let again = Publisher::read(&key).unwrap();
        let second = again.publish(&layout, &[(&app, vec![Arch::Armhf])], None).unwrap();
        let catalog = read(&second.file);
        assert_eq!((second.number, second.key), (2, first.key));
        assert_eq!(
            catalog.contents().apps[0].builds.iter().map(|build| build.machine.as_str()).collect::<Vec<_>>(),
            ["amd64", "arm64", "armhf"]
        );
        assert_eq!(catalog.contents().title.ca, "Neighbours");
        layout::layout(&images, 2);
        again.publish(&layout, &[(&app, vec![Arch::Armhf])], None).unwrap();
        assert_eq!(read(&second.file).contents().apps[0].builds.len(), 1, "another version");

        // Nothing begins again at the first number, and no other key publishes in its place.
        let other = Publisher::new(&folder.path().join("other.key"), "gracia").unwrap();
        assert!(format!("{:#}", other.publish(&layout, &both, title("x")).unwrap_err()).contains("another key"));
        std::fs::remove_file(&second.file).unwrap();
        assert!(format!("{:#}", again.publish(&layout, &both, title("x")).unwrap_err()).contains("cloudy catalog save"));
    }

    #[test]
    fn a_large_blob_is_known_by_the_hashes_of_its_parts() {
        let part = usize::try_from(PART_BYTES).unwrap();
        let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        for extra in [0, 1] {
            let bytes: Vec<u8> = (0..part + extra).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut blob = Blob::new(Vec::new());
            bytes.chunks(1_000_003).for_each(|chunk| blob.write_all(chunk).unwrap());
            let (written, found, size) = blob.finish();
            let of_parts = || hash(&[hash(&bytes[..part]), hash(&bytes[part..])].concat());
            assert!(written == bytes && size == bytes.len() as u64);
            assert_eq!(found, if extra == 0 { hash(&bytes) } else { of_parts() });
        }
    }
}
