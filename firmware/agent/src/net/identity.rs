//! Who this node is: its ed25519 key and its epoch, both kept on data.

use super::store::{Store, Stored};
use anyhow::{Context, Result, bail};
use iroh::SecretKey;

const KEY_FILE: &str = "node.key";
const EPOCH_FILE: &str = "epoch";
/// There while members say that this node was removed.
const REMOVED_FILE: &str = "removed";

/// The node's key and epoch.
#[derive(Debug)]
pub struct Identity {
    /// The node key; its public half is the node id.
    pub key: SecretKey,
    /// How often the node has started, this time included.
    pub epoch: u32,
}

impl Identity {
    /// Reads the identity, or makes it at the first start, and opens a new epoch. It is on disk when this returns.
    ///
    /// # Errors
    /// The files can't be read or written, or the key is damaged: a new key would be another node, so that is
    /// left to a person.
    pub fn load(store: &Store) -> Result<Self> {
        let key = match store.read(KEY_FILE)? {
            Stored::Body(body) => {
                let bytes: [u8; 32] =
                    body.as_slice().try_into().context("the node key file has the wrong size; remove it to become a new node")?;
                SecretKey::from_bytes(&bytes)
            }
            Stored::Absent => {
                let key = SecretKey::generate();
                store.write(KEY_FILE, &key.to_bytes())?;
                key
            }
            Stored::Corrupt(aside) => bail!(
                "the node key is damaged and lies aside as `{}`; start again to become a new node, or restore it from a copy",
                aside.display()
            ),
        };
        let last = match store.read(EPOCH_FILE)? {
            Stored::Body(body) => body.as_slice().try_into().map(u32::from_le_bytes).unwrap_or_default(),
            // A lost epoch is found again: the neighbours know it (see `cluster::membership`).
            Stored::Absent | Stored::Corrupt(_) => 0,
        };
        let identity = Self { key, epoch: last.saturating_add(1) };
        identity.save_epoch(store)?;
        Ok(identity)
    }

    /// Forgets who this node was: at its next start it is another.
    ///
    /// # Errors
    /// The files can't be removed.
    pub fn forget(store: &Store) -> Result<()> {
        store.remove(KEY_FILE)?;
        store.remove(EPOCH_FILE)?;
        store.remove(REMOVED_FILE)
    }

    /// Whether members said that this node was removed, before this start too.
    pub fn was_removed(store: &Store) -> bool {
        matches!(store.read(REMOVED_FILE), Ok(Stored::Body(_)))
    }

    /// Notes what they say.
    ///
    /// # Errors
    /// It can't be written.
    pub fn note_removed(store: &Store, removed: bool) -> Result<()> {
        if removed { store.write(REMOVED_FILE, &[]) } else { store.remove(REMOVED_FILE) }
    }

    /// Puts the epoch on disk.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save_epoch(&self, store: &Store) -> Result<()> {
        store.write(EPOCH_FILE, &self.epoch.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_the_same_node_in_a_new_epoch() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let first = Identity::load(&store).unwrap();
        let second = Identity::load(&store).unwrap();
        assert_eq!(first.key.public(), second.key.public());
        assert_eq!((first.epoch, second.epoch), (1, 2));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join("net/node.key")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}
