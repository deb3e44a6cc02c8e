//! The network part's files in `DATA/net/`: written aside, synced, renamed, and checked when read.
//!
//! Each file is a 5-byte magic, the body, and the first 8 bytes of the body's SHA-256. A file that fails
//! the check is kept aside as `NAME.corrupt`, so that nothing is lost silently.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// First bytes of each file; the last is the format's version.
const MAGIC: &[u8; 5] = b"cldy\x01";
/// Bytes of the checksum at the end.
const CHECK_BYTES: usize = 8;
/// No file of the network part is larger, so a larger one is corrupt.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The folder of the network part.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// What reading a file gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// There is none.
    Absent,
    /// Its body.
    Body(Vec<u8>),
    /// It was damaged and now lies aside under this path.
    Corrupt(PathBuf),
}

impl Store {
    /// Opens (and makes, mode 0700) `data/net`.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(data: &Path) -> Result<Self> {
        let folder = data.join("net");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("failed to make the folder `{}`: is the data partition full or read-only?", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a file's body.
    ///
    /// # Errors
    /// The file is there and can't be read, or a damaged one can't be put aside.
    pub fn read(&self, name: &str) -> Result<Stored> {
        let path = self.folder.join(name);
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stored::Absent),
            Ok(meta) if meta.len() > MAX_FILE_BYTES => None,
            _ => Some(fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?),
        };
        match found.as_deref().and_then(unwrap_file) {
            Some(body) => Ok(Stored::Body(body.to_vec())),
            None => {
                let aside = self.folder.join(format!("{name}.corrupt"));
                fs::rename(&path, &aside).with_context(|| format!("failed to put the damaged `{}` aside", path.display()))?;
                Ok(Stored::Corrupt(aside))
            }
        }
    }

    /// Writes a file (mode 0600) so that after a power cut either the old or the new body is there.
    /// When this returns, the new one is on disk.
    ///
    /// # Errors
    /// Any step fails; the old body is still there.
    pub fn write(&self, name: &str, body: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let aside = self.folder.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&wrap_file(body))?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        write().with_context(|| format!("failed to write `{}`: is the data partition full or read-only?", path.display()))
    }

    /// Removes a file; none is fine too.
    ///
    /// # Errors
    /// It is there and can't be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.and_then(|()| fs::File::open(&self.folder)?.sync_all()),
        }
        .with_context(|| format!("failed to remove `{}`", path.display()))
    }
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&Sha256::digest(body)[..CHECK_BYTES]);
    check
}

fn wrap_file(body: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), body, &check(body)].concat()
}

fn unwrap_file(file: &[u8]) -> Option<&[u8]> {
    let (body, found) = file.strip_prefix(MAGIC.as_slice())?.split_last_chunk::<CHECK_BYTES>()?;
    (check(body) == *found).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_sees_a_half_written_file() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let bodies = [vec![1; 300_000], vec![2; 500_000]];
        store.write("x", &bodies[0]).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let Ok(Stored::Body(body)) = store.read("x") else { return false };
                    if !bodies.contains(&body) {
                        return false;
                    }
                }
                true
            });
            for turn in 0..40 {
                store.write("x", &bodies[turn % 2]).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap(), "a reader saw a part of a file");
        });
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_said() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        assert_eq!(store.read("x").unwrap(), Stored::Absent);
        store.write("x", b"body").unwrap();
        assert_eq!(store.read("x").unwrap(), Stored::Body(b"body".to_vec()));
        let path = data.path().join("net/x");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(store.read("x").unwrap(), Stored::Corrupt(_)), "byte {at}");
        }
        fs::write(&path, &good[..7]).unwrap();
        assert!(matches!(store.read("x").unwrap(), Stored::Corrupt(_)));
        store.remove("x").unwrap();
        assert_eq!(store.read("x").unwrap(), Stored::Absent);
    }
}
