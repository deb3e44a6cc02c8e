//! The store on redb: copy-on-write B-trees in one file, each page with a checksum.
//!
//! redb refuses all work after a failed write until it is opened again, so a failure here ends the database and
//! opens it anew from the storage: what was synced is there, and reads go on. The cache is bounded (redb's own
//! default is 1 GiB), and the whole file is checked when it is opened, so that a damaged one is told and put
//! aside instead of ending the program.

use super::{Batch, Store, StoreError, Sync, Table, Visit};
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend, StorageError, TableDefinition, TableError};
use std::fmt;

/// Memory for redb's cache.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// The format of the tables; an older or newer one is not read.
const FORMAT: u32 = 1;
/// Where the format stands in [`Table::Meta`].
const FORMAT_KEY: &[u8] = b"format";

type Bytes = &'static [u8];

fn definition(table: Table) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(table.name())
}

/// Where the database's bytes lie: a file, or the simulator's disk.
pub trait Storage: Send {
    /// The bytes as they are now, opened anew; called at start and after a failure.
    ///
    /// # Errors
    /// It can't be opened.
    fn open(&mut self) -> Result<Box<dyn StorageBackend>, StoreError>;

    /// Whether there is room for a write. Asked before each, since a write that fails half-way costs the database
    /// its unsynced part and a full check. Growing must fail as a whole too (allocate, do not only extend).
    ///
    /// # Errors
    /// [`StoreError::Full`].
    fn room(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Puts a damaged database aside, so that the next [`Storage::open`] finds nothing. Tells where it lies.
    ///
    /// # Errors
    /// It can't be put aside.
    fn put_aside(&mut self) -> Result<String, StoreError>;
}

/// A boxed backend as a backend.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

type Io<T> = std::io::Result<T>;

impl StorageBackend for Boxed {
    fn len(&self) -> Io<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Io<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Io<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> Io<()> {
        self.0.close()
    }
}

/// The store.
pub struct RedbStore {
    storage: Box<dyn Storage>,
    /// None after a failure that opening anew did not mend; tried again at the next use.
    database: Option<Database>,
    losses: u64,
    /// Whether something is committed that is not synced.
    unsynced: bool,
    aside: Option<String>,
    sync_always_later: bool,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("open", &self.database.is_some()).field("losses", &self.losses).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the database, or makes it. A damaged one is put aside and a new one made: see [`RedbStore::aside`].
    ///
    /// # Errors
    /// The storage can't be opened or written.
    pub fn open(mut storage: Box<dyn Storage>) -> Result<Self, StoreError> {
        let mut aside = None;
        let database = match begin(storage.as_mut()) {
            Err(StoreError::Corrupt(why)) => {
                let place = storage.put_aside()?;
                aside = Some(format!("{place} ({why})"));
                begin(storage.as_mut())?
            }
            opened => opened?,
        };
        Ok(Self { storage, database: Some(database), losses: 0, unsynced: false, aside, sync_always_later: false })
    }

    /// Where a damaged database was put when this one was opened, and what was wrong with it.
    #[must_use]
    pub fn aside(&self) -> Option<&str> {
        self.aside.as_deref()
    }

    /// Takes the sync out of every commit. Only for the test that proves that the sync is what keeps data.
    #[doc(hidden)]
    pub fn never_sync(&mut self) {
        self.sync_always_later = true;
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| StoreError::Disk("it could not be opened again after a failure".to_owned()))
    }

    /// After a failure: ends the database and opens what lies on disk.
    fn reopen(&mut self) {
        self.database = None;
        if std::mem::take(&mut self.unsynced) {
            self.losses += 1;
        }
        self.database = begin(self.storage.as_mut()).ok();
    }

    fn write(&self, batch: &Batch, sync: Sync) -> Result<(), StoreError> {
        let mut transaction = self.database()?.begin_write().map_err(|error| from(error.into()))?;
        let durability = if sync == Sync::Now && !self.sync_always_later { Durability::Immediate } else { Durability::None };
        transaction.set_durability(durability).map_err(|error| from(error.into()))?;
        for table in Table::ALL {
            if batch.changes.iter().any(|(of, ..)| *of == table) {
                let mut open = transaction.open_table(definition(table)).map_err(|error| from(error.into()))?;
                for (_, key, value) in batch.changes.iter().filter(|(of, ..)| *of == table) {
                    match value {
                        Some(value) => open.insert(key.as_slice(), value.as_slice()).map(drop),
                        None => open.remove(key.as_slice()).map(drop),
                    }
                    .map_err(|error| from(error.into()))?;
                }
            }
        }
        transaction.commit().map_err(|error| from(error.into()))
    }
}

fn begin(storage: &mut dyn Storage) -> Result<Database, StoreError> {
    let backend = Boxed(storage.open()?);
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| from(error.into()))?;
    let read = database.begin_read().map_err(|error| from(error.into()))?;
    let format = match read.open_table(definition(Table::Meta)) {
        Ok(meta) => meta.get(FORMAT_KEY).map_err(|error| from(error.into()))?.map(|value| value.value().to_vec()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(from(error.into())),
    };
    match format {
        Some(found) if found == FORMAT.to_be_bytes() && has_all_tables(&read)? => return Ok(database),
        // Tables that an earlier version did not know are added below.
        Some(found) if found == FORMAT.to_be_bytes() => {}
        Some(found) => return Err(StoreError::Corrupt(format!("its format is {found:?}, where this program knows {FORMAT}"))),
        None => {}
    }
    let transaction = database.begin_write().map_err(|error| from(error.into()))?;
    for table in Table::ALL {
        transaction.open_table(definition(table)).map_err(|error| from(error.into()))?;
    }
    {
        let mut meta = transaction.open_table(definition(Table::Meta)).map_err(|error| from(error.into()))?;
        meta.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice()).map_err(|error| from(error.into()))?;
    }
    transaction.commit().map_err(|error| from(error.into()))?;
    Ok(database)
}

fn has_all_tables(read: &ReadTransaction) -> Result<bool, StoreError> {
    for table in Table::ALL {
        match read.open_table(definition(table)) {
            Ok(_) => {}
            Err(TableError::TableDoesNotExist(_)) => return Ok(false),
            Err(error) => return Err(from(error.into())),
        }
    }
    Ok(true)
}

fn from(error: redb::Error) -> StoreError {
    let text = error.to_string();
    match error {
        redb::Error::Io(io) if is_full(&io) => StoreError::Full(text),
        error if is_damage(&error) => StoreError::Corrupt(text),
        _ => StoreError::Disk(text),
    }
}

/// Whether an error of redb says that a database is damaged, or of another version: to open it again helps nothing.
#[must_use]
pub fn is_damage(error: &redb::Error) -> bool {
    use redb::Error as E;
    match error {
        E::Corrupted(_) | E::UpgradeRequired(_) | E::RepairAborted | E::TableTypeMismatch { .. } | E::TypeDefinitionChanged { .. } => true,
        // A page beyond the end is one that a damaged page or header names: a disk that fails says something else.
        E::Io(io) => matches!(io.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof),
        _ => false,
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge)
}

impl Store for RedbStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.database()?.begin_read().map_err(|error| from(error.into()))?;
        let table = read.open_table(definition(table)).map_err(|error| from(error.into()))?;
        let value = table.get(key).map_err(|error: StorageError| from(error.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let read = self.database()?.begin_read().map_err(|error| from(error.into()))?;
        let table = read.open_table(definition(table)).map_err(|error| from(error.into()))?;
        for entry in table.range(prefix..).map_err(|error: StorageError| from(error.into()))? {
            let (key, value) = entry.map_err(|error| from(error.into()))?;
            if !key.value().starts_with(prefix) || visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch, sync: Sync) -> Result<(), StoreError> {
        if self.database.is_none() {
            self.reopen();
        }
        if batch.is_empty() && !(sync == Sync::Now && self.unsynced) {
            return Ok(());
        }
        // Taking records away is how room is made; the head that says so is of the same length as the last.
        let grows = |table: &Table| matches!(table, Table::Records | Table::Outbox | Table::Effects);
        if batch.changes.iter().any(|(table, _, value)| grows(table) && value.is_some()) {
            self.storage.room()?;
        }
        match self.write(batch, sync) {
            Ok(()) => {
                self.unsynced = sync == Sync::Later;
                Ok(())
            }
            Err(error) => {
                self.reopen();
                Err(error)
            }
        }
    }

    fn losses(&self) -> u64 {
        self.losses
    }
}
