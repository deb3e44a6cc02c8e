//! Indexes and manifests of images (image-spec 1.1) as the builder writes them and the node reads them. What is read is not believed:
//! every document has a type that is known here, and bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::arch::Arch;

/// A layer, compressed by zstd.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The layers that a node takes.
pub const LAYERS: [&str; 3] = [LAYER, "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar"];
/// The configuration of an image.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The image of one architecture.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The images of all architectures.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation that names an index in a layout: the app's name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation, in a layout's list, that says which blob is the app's `app.toml`.
pub const FACTS: &str = "cloudy.app.facts";
/// The same of its icon.
pub const ICON: &str = "cloudy.app.icon";
/// Bytes of an index, manifest or configuration at most.
pub const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024;
/// What an index lists, and layers of an image, at most.
pub const MAX_LISTED: usize = 256;

/// A reference to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its kind.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Which machines it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Which machines an image is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Such as `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An index: of a layout, or of an image's architectures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`]; a layout's list may say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it lists.
    pub manifests: Vec<Descriptor>,
}

/// The image of one architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    pub media_type: String,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// Why a document is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// No JSON of that shape.
    #[error("it can't be read as {what}: {why}")]
    Shape {
        /// What was expected.
        what: &'static str,
        /// The parser's words, with line and column.
        why: String,
    },
    /// A type or version that is not known here.
    #[error("its {what} is `{found}`, where `{wanted}` was expected")]
    Type {
        /// Of what.
        what: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        wanted: String,
    },
    /// A digest that is none.
    #[error("`{0}` is no sha256 digest")]
    Digest(String),
    /// More than is allowed.
    #[error("it has {found} {what}; {most} are allowed")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many may be.
        most: u64,
    },
}

impl Descriptor {
    /// Its digest, read.
    ///
    /// # Errors
    /// It is none.
    pub fn read_digest(&self) -> Result<Digest, Bad> {
        Digest::parse(&self.digest).ok_or_else(|| Bad::Digest(short(&self.digest)))
    }

    /// The digest that an annotation names; none where it is not there.
    ///
    /// # Errors
    /// It names no digest.
    pub fn annotated(&self, name: &str) -> Result<Option<Digest>, Bad> {
        let read = |text: &String| Digest::parse(text).ok_or_else(|| Bad::Digest(short(text)));
        self.annotations.get(name).map(read).transpose()
    }
}

impl Platform {
    /// The platform of an architecture.
    pub fn of(arch: Arch) -> Self {
        let (architecture, variant) = arch.oci();
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: variant.map(str::to_owned) }
    }

    /// Whether it is for machines of that architecture. A variant that is not said is any (image-spec, "platform").
    pub fn is(&self, arch: Arch) -> bool {
        let wanted = Self::of(arch);
        let variant = self.variant.is_none() || self.variant == wanted.variant;
        self.os == wanted.os && self.architecture == wanted.architecture && variant
    }
}

impl Index {
    /// Reads one.
    ///
    /// # Errors
    /// See [`Bad`].
    pub fn read(bytes: &[u8]) -> Result<Self, Bad> {
        let index: Self = document(bytes, "an index of images")?;
        version(index.schema_version)?;
        if let Some(media_type) = &index.media_type {
            is_type("type", media_type, &[INDEX])?;
        }
        not_many("images", index.manifests.len())?;
        Ok(index)
    }

    /// The image for an architecture.
    pub fn image_for(&self, arch: Arch) -> Option<&Descriptor> {
        let fits = |found: &&Descriptor| found.platform.as_ref().is_some_and(|platform| platform.is(arch));
        self.manifests.iter().find(fits)
    }
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// See [`Bad`].
    pub fn read(bytes: &[u8]) -> Result<Self, Bad> {
        let manifest: Self = document(bytes, "an image's manifest")?;
        version(manifest.schema_version)?;
        is_type("type", &manifest.media_type, &[MANIFEST])?;
        is_type("configuration's type", &manifest.config.media_type, &[CONFIG])?;
        not_many("layers", manifest.layers.len())?;
        for layer in &manifest.layers {
            is_type("layer's type", &layer.media_type, &LAYERS)?;
        }
        Ok(manifest)
    }
}

/// The type that an index or manifest has, and is served with.
///
/// # Errors
/// It is neither.
pub fn media_type(bytes: &[u8]) -> Result<String, Bad> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: String,
    }
    let typed: Typed = document(bytes, "an index or manifest")?;
    is_type("type", &typed.media_type, &[INDEX, MANIFEST])?;
    Ok(typed.media_type)
}

fn document<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &'static str) -> Result<T, Bad> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found > MAX_DOCUMENT_BYTES {
        return Err(Bad::Many { what: "bytes", found, most: MAX_DOCUMENT_BYTES });
    }
    serde_json::from_slice(bytes).map_err(|error| Bad::Shape { what, why: error.to_string() })
}

fn version(found: u32) -> Result<(), Bad> {
    if found == 2 {
        return Ok(());
    }
    Err(Bad::Type { what: "version", found: found.to_string(), wanted: "2".to_owned() })
}

fn is_type(what: &'static str, found: &str, known: &[&str]) -> Result<(), Bad> {
    if known.contains(&found) {
        return Ok(());
    }
    Err(Bad::Type { what, found: short(found), wanted: known.join("` or `") })
}

fn not_many(what: &'static str, found: usize) -> Result<(), Bad> {
    if found <= MAX_LISTED {
        return Ok(());
    }
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Err(Bad::Many { what, found: number(found), most: number(MAX_LISTED) })
}

/// What others wrote, as it may stand in a message.
fn short(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(layer: &str) -> String {
        let digest = format!("sha256:{}", "0".repeat(64));
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{CONFIG}","digest":"{digest}","size":2}},
               "layers":[{{"mediaType":"{layer}","digest":"{digest}","size":3}}]}}"#
        )
    }

    #[test]
    fn a_manifest_is_read_and_one_of_another_kind_is_refused() {
        let read = Manifest::read(manifest(LAYER).as_bytes()).unwrap();
        assert_eq!(read.layers[0].size, 3);
        assert_eq!(media_type(manifest(LAYER).as_bytes()).unwrap(), MANIFEST);
        // Layers that are fetched from elsewhere, and programs of another runtime.
        for layer in ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "application/wasm"] {
            assert!(Manifest::read(manifest(layer).as_bytes()).unwrap_err().to_string().contains(layer));
        }
        assert!(media_type(br#"{"mediaType":"text/html"}"#).is_err());
        assert!(Index::read(br#"{"schemaVersion":1,"manifests":[]}"#).is_err());
        let long = vec![b' '; usize::try_from(MAX_DOCUMENT_BYTES).unwrap() + 1];
        assert!(matches!(Index::read(&long), Err(Bad::Many { what: "bytes", .. })));
    }

    #[test]
    fn an_image_is_chosen_by_the_machine() {
        let list: Vec<String> = Arch::ALL
            .iter()
            .map(|arch| {
                let platform = serde_json::to_string(&Platform::of(*arch)).unwrap();
                format!(r#"{{"mediaType":"{MANIFEST}","digest":"{arch}","size":1,"platform":{platform}}}"#)
            })
            .collect();
        let index = Index::read(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(",")).as_bytes()).unwrap();
        for arch in Arch::ALL {
            assert_eq!(index.image_for(arch).unwrap().digest, arch.to_string());
        }
        assert!(index.manifests[0].read_digest().is_err());
        let other = Platform { variant: Some("v6".to_owned()), ..Platform::of(Arch::Armhf) };
        assert!(!other.is(Arch::Armhf));
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_panics_or_shows_control_characters(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".*") {
            let _any = (Index::read(&bytes), Manifest::read(&bytes), media_type(&bytes));
            let typed = serde_json::to_vec(&serde_json::json!({ "mediaType": text })).unwrap();
            if let Err(bad) = media_type(&typed) {
                prop_assert!(!bad.to_string().chars().any(char::is_control));
            }
        }
    }
}
