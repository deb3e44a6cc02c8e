//! The part of the OCI distribution protocol that a read-only registry on loopback speaks (distribution-spec 1.1, "Pull"): what is
//! asked, and the headers of the answer. Whoever serves it only reads and writes.

pub mod documents;
pub mod pack;

use serde::{Deserialize, Serialize};

/// A digest: sha256 in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl TryFrom<String> for Digest {
    type Error = documents::Bad;

    fn try_from(text: String) -> Result<Self, documents::Bad> {
        Self::parse(&text).ok_or(documents::Bad::Digest(text))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl Digest {
    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        (hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))).then(|| Self(hex.to_owned()))
    }

    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes)))
    }

    /// Reads the 64 digits alone.
    pub fn from_hex(hex: &str) -> Option<Self> {
        Self::parse(&format!("sha256:{hex}"))
    }

    /// The digits alone: a file's name.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What is asked. Tags are not served: an image is pulled by its digest or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whether this is a registry.
    Version,
    /// An index or manifest.
    Manifest {
        /// The repository.
        name: String,
        /// Which.
        digest: Digest,
    },
    /// A layer or configuration.
    Blob {
        /// The repository.
        name: String,
        /// Which.
        digest: Digest,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is a registry.
    Version,
    /// A blob.
    Blob(Digest),
    /// A manifest or index, of this type.
    Manifest(Digest, String),
    /// There is no such thing.
    Nothing,
}

impl Ask {
    /// Reads a request's method and path; `None` for everything that is not served.
    pub fn parse(method: &str, path: &str) -> Option<Self> {
        if !["GET", "HEAD"].contains(&method) {
            return None;
        }
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some(Self::Version);
        }
        let (rest, digest) = rest.rsplit_once('/')?;
        let digest = Digest::parse(digest)?;
        let (name, kind) = rest.rsplit_once('/')?;
        let good = !name.is_empty() && name.split('/').all(|part| !part.is_empty()) && name.chars().all(is_of_a_name);
        let name = good.then(|| name.to_owned())?;
        match kind {
            "manifests" => Some(Self::Manifest { name, digest }),
            "blobs" => Some(Self::Blob { name, digest }),
            _ => None,
        }
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "/-_".contains(c)
}

/// The headers of an answer, beside its length.
pub fn headers(found: &Found) -> Vec<(&'static str, String)> {
    let mut headers = vec![("Docker-Distribution-Api-Version", "registry/2.0".to_owned())];
    match found {
        Found::Version | Found::Nothing => {}
        Found::Blob(digest) => {
            headers.push(("Content-Type", "application/octet-stream".to_owned()));
            headers.push(("Docker-Content-Digest", digest.to_string()));
        }
        Found::Manifest(digest, media_type) => {
            headers.push(("Content-Type", media_type.clone()));
            headers.push(("Docker-Content-Digest", digest.to_string()));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pull_is_understood_and_nothing_else() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let parsed = Digest::parse(&digest).unwrap();
        assert_eq!(Ask::parse("GET", "/v2/"), Some(Ask::Version));
        let (name, digest_of) = ("mosquitto".to_owned(), parsed.clone());
        assert_eq!(Ask::parse("HEAD", &format!("/v2/mosquitto/manifests/{digest}")), Some(Ask::Manifest { name, digest: digest_of }));
        let name = "a/b".to_owned();
        assert_eq!(Ask::parse("GET", &format!("/v2/a/b/blobs/{digest}")), Some(Ask::Blob { name, digest: parsed }));
        for path in ["/", "/v2", "/v2/x/manifests/latest", "/v2/x/blobs/sha256:../../../etc/passwd", "/v2/x/tags/list"] {
            assert_eq!(Ask::parse("GET", path), None, "{path}");
        }
        assert_eq!(Ask::parse("PUT", &format!("/v2/a/blobs/{digest}")), None);
        assert_eq!(Ask::parse("GET", &format!("/v2/../blobs/{digest}")), None);
        assert_eq!(Ask::parse("GET", &format!("/v2/A/blobs/{digest}")), None);
    }

    proptest! {
        /// Nothing that is asked leads out of a folder of blobs.
        #[test]
        fn what_is_parsed_is_a_plain_name(path in "(/v2/)?[a-z./%]{0,20}/(blobs|manifests)/(sha256:)?[0-9a-f./]{0,70}") {
            if let Some(Ask::Blob { digest, name } | Ask::Manifest { digest, name }) = Ask::parse("GET", &path) {
                prop_assert!(digest.hex().chars().all(|c| c.is_ascii_hexdigit()) && digest.hex().len() == 64);
                prop_assert!(!name.contains("..") && !name.contains('%'));
            }
        }
    }
}
