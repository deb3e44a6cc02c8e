//! What `cargo xtask app` writes is taken whole; what anybody else made of it is refused, and nothing is left of it.

use super::*;
use contract::oci::documents::{CONFIG, Descriptor, FACTS, ICON, INDEX, Index, LAYER, MANIFEST, Manifest, Platform, REF_NAME};
use proptest::prelude::*;

/// An app's facts, as small as they may be.
pub const FACTS_TEXT: &str = r#"
category = "messages"
title = { en = "Broker", es = "Broker", ca = "Broker" }
description = { en = "A broker.", es = "Un broker.", ca = "Un broker." }
limits.memory-mb = 64
image.packages = ["mosquitto"]
run = { command = ["/usr/bin/x"], user = "broker", uid = 20001 }
ports.mqtt = { container = 1883, scheme = "mqtt" }
volumes.data = { path = "/var/lib/x", title = { en = "Data", es = "Datos", ca = "Dades" } }
settings.password = { kind = "password", environment = "PASSWORD", title = { en = "P", es = "P", ca = "P" } }
"#;

/// An image layout in memory: file name → content.
#[derive(Clone)]
pub struct Layout {
    pub files: Vec<(String, Vec<u8>)>,
    list: Index,
}

impl Layout {
    /// One app, for amd64, whose layer holds `layer`.
    pub fn of(app: &str, facts: &str, layer: &[u8]) -> Self {
        let mut layout = Self { files: Vec::new(), list: Index { schema_version: 2, media_type: None, manifests: Vec::new() } };
        layout.add(app, facts, layer);
        layout
    }

    pub fn put(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        let name = format!("blobs/sha256/{}", digest.hex());
        if !self.files.iter().any(|(known, _)| *known == name) {
            self.files.push((name, bytes.to_vec()));
        }
        let (media_type, size) = (media_type.to_owned(), bytes.len().try_into().unwrap());
        Descriptor { media_type, digest: digest.to_string(), size, platform: None, annotations: BTreeMap::new() }
    }

    pub fn add(&mut self, app: &str, facts: &str, layer: &[u8]) {
        let layer = self.put(LAYER, layer);
        let config = self.put(CONFIG, b"{}");
        let manifest = Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers: vec![layer] };
        let manifest = self.put(MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        let own = Descriptor { platform: Some(Platform::of(Arch::Amd64)), ..manifest };
        // An image for other machines, whose blobs are not sent.
        let other = Descriptor { digest: Digest::of(b"other").to_string(), platform: Some(Platform::of(Arch::Armhf)), ..own.clone() };
        let index = Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: vec![own, other] };
        let index = self.put(INDEX, &serde_json::to_vec(&index).unwrap());
        let facts = self.put("", facts.as_bytes()).digest;
        let icon = self.put("", b"<svg/>").digest;
        let annotations = [(REF_NAME, app.to_owned()), (FACTS, facts), (ICON, icon)].into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        self.list.manifests.push(Descriptor { annotations, ..index });
    }

    pub fn tar(&self) -> Vec<u8> {
        let mut files = self.files.clone();
        files.insert(0, ("oci-layout".to_owned(), b"{}".to_vec()));
        files.insert(1, ("./index.json".to_owned(), serde_json::to_vec(&self.list).unwrap()));
        tar(&files)
    }
}

fn header(size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size.try_into().unwrap());
    header.set_mode(0o644);
    header
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        builder.append_data(&mut header(bytes.len()), name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn catalog() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path(), Some(Arch::Amd64));
    (folder, catalog)
}

fn none() -> Vec<Entry> {
    Vec::new()
}

fn blobs(catalog: &Catalog) -> BTreeSet<String> {
    let folder = fs::read_dir(catalog.blobs()).map(|folder| folder.flatten().collect()).unwrap_or_else(|_| Vec::new());
    folder.into_iter().map(|file| file.file_name().into_string().unwrap()).collect()
}

/// Refused, with these words, and nothing is left of it.
fn refused(tar: &[u8], words: &str) {
    let (folder, catalog) = catalog();
    let error = catalog.take(tar, none).unwrap_err();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.contains(words), "{said}");
    assert!(catalog.entries().is_empty() && blobs(&catalog).is_empty() && !folder.path().join(INCOMING).exists(), "{words}");
}

#[test]
fn an_app_is_taken_with_all_its_blobs_and_known_after_a_restart() {
    let (folder, catalog) = catalog();
    let layout = Layout::of("broker", FACTS_TEXT, b"layer");
    assert_eq!(catalog.take(layout.tar().as_slice(), none).unwrap(), ["broker"]);
    let entry = Catalog::open(folder.path(), Some(Arch::Amd64)).get("broker").unwrap();
    assert_eq!(entry.blobs.len(), 6);
    for (digest, size) in &entry.blobs {
        let bytes = fs::read(catalog.blob(digest)).unwrap();
        assert_eq!((&Digest::of(&bytes), u64::try_from(bytes.len()).unwrap()), (digest, *size));
    }
    assert_eq!(catalog.facts(&entry).unwrap().ports["mqtt"].container, 1883);
    // The same again changes nothing.
    let before = blobs(&catalog);
    catalog.take(layout.tar().as_slice(), none).unwrap();
    assert_eq!(blobs(&catalog), before);
    // Damage on this node's disk is noticed when it is used.
    fs::write(catalog.blob(&entry.facts), "x").unwrap();
    assert!(catalog.facts_text(&entry).unwrap_err().to_string().contains("damaged"));
    let again = Catalog::open(folder.path(), Some(Arch::Amd64));
    assert!(again.facts(&entry).unwrap_err().to_string().contains("damaged"));
    // What was read before is known only as long as something names it.
    assert!(catalog.facts(&entry).is_ok() && catalog.forget("broker", none).unwrap());
    assert!(catalog.facts(&entry).is_err());
}

#[test]
fn what_nothing_names_any_more_goes_and_what_an_installed_app_needs_stays() {
    let (_folder, catalog) = catalog();
    catalog.take(Layout::of("broker", FACTS_TEXT, b"one").tar().as_slice(), none).unwrap();
    let first = catalog.get("broker").unwrap();
    let old = first.clone();
    catalog.take(Layout::of("broker", FACTS_TEXT, b"two").tar().as_slice(), move || vec![old]).unwrap();
    let second = catalog.get("broker").unwrap();
    assert!(first.index != second.index);
    assert!(named([&first, &second].into_iter()).is_subset(&blobs(&catalog)), "the installed one's and the new one's");
    catalog.clean(&[]);
    assert_eq!(blobs(&catalog), named([&second].into_iter()));
    assert!(catalog.forget("broker", none).unwrap() && !catalog.forget("broker", none).unwrap());
    assert!(blobs(&catalog).is_empty());
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    let layout = Layout::of("broker", FACTS_TEXT, b"layer");
    for n in 0..layout.files.len() {
        let mut changed = layout.clone();
        changed.files[n].1.push(b' ');
        refused(&changed.tar(), "holds something else");
        let mut cut = layout.clone();
        cut.files.remove(n);
        refused(&cut.tar(), "is missing");
    }
    refused(&layout.tar()[..layout.tar().len() / 2], "ended too soon");
    // Also where the catalog has the true one: what came is what is judged.
    let (_folder, catalog) = catalog();
    catalog.take(layout.tar().as_slice(), none).unwrap();
    let mut changed = layout;
    changed.files[0].1[0] ^= 1;
    assert!(catalog.take(changed.tar().as_slice(), none).is_err());
}

#[test]
fn what_an_image_layout_has_not_is_refused_by_its_name() {
    let layout = Layout::of("broker", FACTS_TEXT, b"layer");
    let good = layout.tar();
    let with = |name: &str, kind: tar::EntryType, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        let bytes = name.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        [header.as_bytes().as_slice(), &good].concat()
    };
    let regular = tar::EntryType::Regular;
    for name in ["../../etc/passwd", "/etc/passwd", "blobs/sha256/../../x", "blobs/sha256/ab", "repositories"] {
        refused(&with(name, regular, 0), "is no file of an image layout");
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char, tar::EntryType::GNULongName, tar::EntryType::XHeader]
    {
        refused(&with("index.json", kind, 0), "is of a kind");
    }
    refused(&with("index.json", regular, 1 << 40), "bytes, where");
    refused(&with(&format!("blobs/sha256/{}", "0".repeat(64)), regular, 1 << 40), "bytes, where");
    let twice = [&layout.files[..], &layout.files[..1]].concat();
    refused(&Layout { files: twice, list: layout.list.clone() }.tar(), "comes twice");
    refused(&tar(&layout.files), "`index.json` is not in it");
    let many: Vec<_> = (0..10_001).map(|_| ("x".to_owned(), Vec::new())).collect();
    let folders = tar(&many);
    let folders = folders.chunks(512).flat_map(|block| {
        let mut block = block.to_vec();
        if block[0] == b'x' {
            block[156] = b'5';
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(&block);
            header.set_cksum();
            block = header.as_bytes().to_vec();
        }
        block
    });
    refused(&folders.collect::<Vec<u8>>(), "one entry more");
}

#[test]
fn an_app_that_can_t_run_here_is_refused_before_anything_is_kept() {
    let mut other = Layout::of("broker", FACTS_TEXT, b"layer");
    other.files.clear();
    let index = other.list.manifests[0].clone();
    let only = Descriptor { platform: Some(Platform::of(Arch::Arm64)), annotations: BTreeMap::new(), ..index };
    let bytes = serde_json::to_vec(&Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: vec![only] }).unwrap();
    let put = other.put(INDEX, &bytes);
    other.list.manifests[0] = Descriptor { annotations: other.list.manifests[0].annotations.clone(), ..put };
    refused(&other.tar(), "was built for arm64, and this node is amd64");

    refused(&Layout::of("broker", "category = 1", b"layer").tar(), "app.toml");
    refused(&Layout::of("../x", FACTS_TEXT, b"layer").tar(), "its name must be");
    refused(&Layout::of(&"x".repeat(34), FACTS_TEXT, b"layer").tar(), "its name must be");
    let mut wrong = Layout::of("broker", FACTS_TEXT, b"layer");
    wrong.list.manifests[0].size += 1;
    refused(&wrong.tar(), "are said");
    let mut bare = Layout::of("broker", FACTS_TEXT, b"layer");
    bare.list.manifests[0].annotations.remove(FACTS);
    refused(&bare.tar(), "does not say which blob is its app.toml");
    let mut twice = Layout::of("broker", FACTS_TEXT, b"layer");
    twice.add("broker", FACTS_TEXT, b"other");
    refused(&twice.tar(), "names the app `broker` twice");
}

/// What a catalog gives of an app, to its end.
async fn given(catalog: &Catalog, app: &str) -> std::io::Result<Vec<u8>> {
    let mut pieces = catalog.give(&catalog.get(app).unwrap()).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.recv().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_a_catalog_gives_another_takes_and_gives_on_the_same() {
    let (_folder, garden) = catalog();
    garden.take(Layout::of("broker", FACTS_TEXT, &[7; 300_000]).tar().as_slice(), none).unwrap();
    let bytes = given(&garden, "broker").await.unwrap();
    let said = garden.said(&garden.get("broker").unwrap()).unwrap();
    assert_eq!(said.check(), Ok(()));
    let (_folder, roof) = catalog();
    roof.take_app(bytes.as_slice(), "broker", &said.index, none).unwrap();
    assert_eq!(roof.entries(), garden.entries());
    assert!(given(&roof, "broker").await.unwrap() == bytes);
}

#[tokio::test]
async fn what_is_damaged_on_the_disk_is_given_to_nobody() {
    let (_folder, catalog) = catalog();
    let layer = vec![7; 300_000];
    catalog.take(Layout::of("broker", FACTS_TEXT, &layer).tar().as_slice(), none).unwrap();
    let place = catalog.blob(&Digest::of(&layer));
    for damaged in [[&[8], &layer[1..]].concat(), layer[1..].to_vec(), [&layer[..], &[7]].concat(), Vec::new()] {
        fs::write(&place, damaged).unwrap();
        let said = given(&catalog, "broker").await.unwrap_err().to_string();
        assert!(said.contains("is damaged"), "{said}");
    }
}

#[test]
fn nothing_is_taken_but_the_app_and_version_that_was_said() {
    let mine = Layout::of("broker", FACTS_TEXT, b"mine");
    let (_folder, catalog) = catalog();
    catalog.take(mine.tar().as_slice(), none).unwrap();
    let entry = catalog.get("broker").unwrap();
    let other = Layout::of("broker", FACTS_TEXT, b"other");
    let mut more = mine.clone();
    more.add("wiki", FACTS_TEXT, b"more");
    let before = (catalog.entries(), blobs(&catalog));
    for (tar, name) in [(other.tar(), "broker"), (more.tar(), "broker"), (mine.tar(), "wiki")] {
        let error = catalog.take_app(tar.as_slice(), name, &entry.index, none).unwrap_err();
        assert!(matches!(error, Refused::Other { .. }), "{error}");
        assert_eq!((catalog.entries(), blobs(&catalog)), before, "{name}");
    }
    catalog.take_app(mine.tar().as_slice(), "broker", &entry.index, none).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Bytes of a good tar are changed, taken out, or doubled: it is refused and leaves nothing, or what is taken is what it says.
    #[test]
    fn a_changed_tar_is_refused_or_whole(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = Layout::of("broker", FACTS_TEXT, b"layer").tar();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (_folder, catalog) = catalog();
        match catalog.take(bytes.as_slice(), none) {
            Err(error) => {
                let said = format!("{:#}", anyhow::Error::from(error));
                prop_assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
                prop_assert!(blobs(&catalog).is_empty() && catalog.entries().is_empty());
            }
            Ok(_) => {
                for digest in catalog.entries().iter().flat_map(|entry| entry.blobs.keys()) {
                    prop_assert_eq!(&Digest::of(&fs::read(catalog.blob(digest)).unwrap()), digest);
                }
            }
        }
    }
}
