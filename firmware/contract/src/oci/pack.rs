//! An app's images for one kind of machine → a tar of their layout: the same bytes wherever the same version is packed. What is read is
//! held to its digest on the way.

use super::Digest;
use super::documents::{Descriptor, FACTS, ICON, INDEX, Index, REF_NAME};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::path::PathBuf;

/// A file that must have a digest; its last byte comes only where it has.
struct Held {
    file: File,
    hash: Sha256,
    left: u64,
    digest: Digest,
}

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.file.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        if (self.left == 0 || read == 0) && data_encoding::HEXLOWER.encode(&self.hash.clone().finalize()) != self.digest.hex() {
            return Err(Error::other(format!("{} is damaged", self.digest)));
        }
        Ok(read)
    }
}

/// The list of a layout that has this app alone: its name, its index with the index's bytes, its facts and its icon.
pub fn list(app: &str, (index, bytes): (&Digest, u64), facts: &Digest, icon: Option<&Digest>) -> Index {
    let icon = icon.map(|icon| (ICON, icon.to_string()));
    let said = [(REF_NAME, app.to_owned()), (FACTS, facts.to_string())].into_iter().chain(icon);
    let image = Descriptor {
        media_type: INDEX.to_owned(),
        digest: index.to_string(),
        size: bytes,
        platform: None,
        annotations: said.map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: vec![image] }
}

/// Writes the tar: the list, then the blobs, each at its place. Blobs stand in the order of their digests.
///
/// # Errors
/// A blob can't be read, or has another digest; or nobody reads what is written.
pub fn pack(list: &[u8], blobs: &[(Digest, PathBuf)], to: &mut dyn Write) -> Result<()> {
    let mut tar = tar::Builder::new(to);
    let header = |size: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header
    };
    tar.append_data(&mut header(u64::try_from(list.len()).unwrap_or_default()), "index.json", list)?;
    for (digest, path) in blobs {
        let named = |error: Error| Error::new(error.kind(), format!("reading `{}`: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        let left = file.metadata().map_err(named)?.len();
        let held = Held { file, hash: Sha256::new(), left, digest: digest.clone() };
        tar.append_data(&mut header(left), format!("blobs/sha256/{}", digest.hex()), held).map_err(named)?;
    }
    tar.into_inner().map(drop)
}
