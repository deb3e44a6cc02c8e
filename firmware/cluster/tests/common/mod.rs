//! A store in memory, for tests of what stands on one.

use cluster::store::{Batch, Store, StoreError, Sync, Table, Visit};
use std::collections::BTreeMap;

/// A store in memory.
#[derive(Default, Clone)]
pub struct Memory {
    pub rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub fails: bool,
}

impl Store for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }
    fn scan(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for ((of, key), value) in self.rows.range((table, prefix.to_vec())..) {
            if *of != table || !key.starts_with(prefix) || visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
    fn commit(&mut self, batch: &Batch, _: Sync) -> Result<(), StoreError> {
        if self.fails {
            return Err(StoreError::Full("no room".to_owned()));
        }
        for (table, key, value) in &batch.changes {
            match value {
                Some(value) => drop(self.rows.insert((*table, key.clone()), value.clone())),
                None => drop(self.rows.remove(&(*table, key.clone()))),
            }
        }
        Ok(())
    }
    fn losses(&self) -> u64 {
        0
    }
}
