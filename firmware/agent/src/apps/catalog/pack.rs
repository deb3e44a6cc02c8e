//! Blobs of an image layout → a tar of it, the same bytes for the same blobs. What is read is held to its digest on the way.

use contract::oci::Digest;
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

/// Writes the tar: the list, then the blobs, each at its place.
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
