//! The registry's database as a file: room is looked for before a write, growth is allocated or refused as a whole,
//! and a damaged file is put aside.

use cluster::store::{Storage, StoreError};
use nix::{errno::Errno, fcntl::posix_fallocate};
use redb::{StorageBackend, backends::FileBackend};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Below so many free bytes no record is written: others on this disk need some too, and removing must go on.
const SPARE_BYTES: u64 = 8 * 1024 * 1024;

/// A file on data.
#[derive(Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    /// Where a damaged one is put; one is kept, the newest.
    aside: PathBuf,
}

impl DatabaseFile {
    /// The database of the network part whose folder this is.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("records.redb"), aside: folder.join("records.redb.damaged") }
    }

    /// Removes it, and what was put aside.
    ///
    /// # Errors
    /// A file is there and can't be removed.
    pub fn remove(&self) -> io::Result<()> {
        for path in [&self.path, &self.aside] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync_folder()
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn failed(&self, doing: &str, error: &io::Error) -> StoreError {
        let text = format!("{doing} `{}`: {error}", self.path.display());
        if error.kind() == io::ErrorKind::StorageFull { StoreError::Full(text) } else { StoreError::Disk(text) }
    }
}

impl Storage for DatabaseFile {
    fn open(&mut self) -> Result<Box<dyn StorageBackend>, StoreError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        let file = opened.map_err(|error| self.failed("opening", &error))?;
        // Two programs that write one database would tear it. The lock ends with the program, however that ends.
        file.try_lock().map_err(|error| self.failed("locking", &error.into()))?;
        self.sync_folder().map_err(|error| self.failed("keeping", &error))?;
        let grown = file.try_clone().map_err(|error| self.failed("opening", &error))?;
        let inner = FileBackend::new(file).map_err(|error| StoreError::Disk(error.to_string()))?;
        Ok(Box::new(Allocated { inner, file: grown }))
    }

    fn room(&mut self) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        match crate::host::free(folder) {
            Ok(free) if free < SPARE_BYTES => {
                Err(StoreError::Full(format!("{} KB are free in `{}`, {} are needed", free / 1024, folder.display(), SPARE_BYTES / 1024)))
            }
            // What can't be asked is found out by writing.
            _ => Ok(()),
        }
    }

    fn put_aside(&mut self) -> Result<String, StoreError> {
        fs::rename(&self.path, &self.aside)
            .and_then(|()| self.sync_folder())
            .map_err(|error| self.failed("putting aside the damaged", &error))?;
        Ok(self.aside.display().to_string())
    }
}

/// A file whose growth is allocated: a write into what was grown never finds the disk full.
#[derive(Debug)]
struct Allocated {
    inner: FileBackend,
    file: File,
}

impl StorageBackend for Allocated {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.inner.len()?;
        if len > now {
            let (from, more) = (now.try_into().map_err(too_large)?, (len - now).try_into().map_err(too_large)?);
            match posix_fallocate(&self.file, from, more) {
                Ok(()) => {}
                // A file system that can't allocate grows as it can.
                Err(Errno::EOPNOTSUPP | Errno::EINVAL) => {}
                Err(errno) => {
                    // A part may have been allocated.
                    let _refused = self.inner.set_len(now);
                    return Err(errno.into());
                }
            }
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

fn too_large<E>(_: E) -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::store::{Batch, RedbStore, Store, Sync, Table};

    #[test]
    fn what_was_synced_is_there_again_and_two_programs_do_not_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RedbStore::open(Box::new(DatabaseFile::new(folder.path())));
        let mut store = open().unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Records, b"key".as_slice(), b"value".as_slice());
        store.commit(&batch, Sync::Now).unwrap();
        assert!(matches!(open(), Err(StoreError::Disk(_))), "opened twice");
        drop(store);
        let store = open().unwrap();
        assert_eq!(store.get(Table::Records, b"key").unwrap().as_deref(), Some(b"value".as_slice()));
        assert_eq!(store.aside(), None);
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_a_new_one_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.redb");
        for damage in [b"no database at all".repeat(1000), Vec::from([0xff; 100])] {
            fs::write(&path, &damage).unwrap();
            let store = RedbStore::open(Box::new(DatabaseFile::new(folder.path()))).unwrap();
            assert!(store.aside().is_some_and(|place| place.contains("records.redb.damaged")), "{:?}", store.aside());
            assert_eq!(fs::read(folder.path().join("records.redb.damaged")).unwrap(), damage);
            drop(store);
            fs::remove_file(&path).unwrap();
        }
    }
}
