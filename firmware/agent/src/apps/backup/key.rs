//! The key that backups are encrypted to. An owner keeps its secret half off the node; the node keeps the public one.

use crate::settings::{read_or_put_aside, write_whole};
use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Which key backups are for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BackupKey))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyView {
    /// Its public half (`age1…`); none while there is no key.
    pub recipient: Option<String>,
}

/// A key that already exists: `PUT /api/v1/backup-key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BackupKeyChoice))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Key {
    /// Its public half: `age1…`.
    pub recipient: String,
}

/// A new key, told once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewBackupKey))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewKey {
    /// Its public half: `age1…`.
    pub recipient: String,
    /// Its secret half: `AGE-SECRET-KEY-1…`. This node does not keep it.
    pub secret: String,
}

/// Why a key is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAKey {
    /// It is the other half.
    #[error("this is the secret half of a key: it belongs on paper and on no node; give the public half, which begins with `age1`")]
    Secret,
    /// It is none.
    #[error("this is no key for backups: the public half is one word that begins with `age1`, as `age-keygen` or this node says it")]
    Wrong,
    /// It could not be written.
    #[error("the key could not be kept: {0}")]
    NotKept(String),
}

/// The key of this node.
#[derive(Debug)]
pub struct BackupKey {
    file: PathBuf,
    kept: Mutex<KeyView>,
}

impl BackupKey {
    /// Reads the file; one that can't be read is said and put aside.
    pub fn open(file: &Path) -> Self {
        let kept = read_or_put_aside(file, "no key for backups is known any more: set it again");
        Self { file: file.to_owned(), kept: Mutex::new(kept) }
    }

    /// Which it is.
    pub fn view(&self) -> KeyView {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is encrypted to; nothing while there is no key.
    pub fn recipient(&self) -> Option<Recipient> {
        Recipient::from_str(&self.view().recipient?).ok()
    }

    /// A new key. Its secret half is in the answer and nowhere else.
    ///
    /// # Errors
    /// It can't be kept.
    pub fn make(&self) -> Result<NewKey, NotAKey> {
        let identity = Identity::generate();
        let recipient = identity.to_public().to_string();
        self.keep(recipient.clone())?;
        Ok(NewKey { recipient, secret: identity.to_string().expose_secret().to_owned() })
    }

    /// Takes a key that already exists.
    ///
    /// # Errors
    /// It is none, or can't be kept.
    pub fn set(&self, said: &str) -> Result<KeyView, NotAKey> {
        let said = said.trim();
        if said.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(NotAKey::Secret);
        }
        let recipient = Recipient::from_str(said).map_err(|_| NotAKey::Wrong)?;
        self.keep(recipient.to_string())?;
        Ok(self.view())
    }

    fn keep(&self, recipient: String) -> Result<(), NotAKey> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let next = KeyView { recipient: Some(recipient) };
        let written = || {
            let folder = self.file.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
            write_whole(&self.file, &serde_json::to_vec(&next)?, 0o600)
        };
        written().map_err(|error: anyhow::Error| NotAKey::NotKept(format!("{error:#}")))?;
        *kept = next;
        Ok(())
    }
}

/// The secret half of a key, as a person wrote it: alone, or in the file that `age-keygen` writes.
pub fn secret(said: &str) -> Option<Identity> {
    let line = said.lines().map(str::trim).find(|line| line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-"))?;
    Identity::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_half_is_told_once_and_kept_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps/backup-key.json");
        let key = BackupKey::open(&file);
        assert!(key.recipient().is_none());
        let new = key.make().unwrap();
        assert_eq!(secret(&format!("# made today\n {} \n", new.secret)).unwrap().to_public().to_string(), new.recipient);
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.contains(&new.recipient) && !written.contains("SECRET"), "{written}");
        let again = BackupKey::open(&file);
        assert_eq!(again.view().recipient.as_deref(), Some(new.recipient.as_str()));
        let other = Identity::generate().to_public().to_string();
        assert_eq!(again.set(&format!(" {other}\n")).unwrap().recipient, Some(other.clone()));
        // What is no public half changes nothing.
        assert!(again.set(&new.secret).unwrap_err().to_string().contains("belongs on paper"));
        for wrong in ["", "age1", "age1qqqq", "ssh-ed25519 AAAA"] {
            assert!(matches!(again.set(wrong), Err(NotAKey::Wrong)), "{wrong}");
        }
        assert_eq!(again.view().recipient, Some(other));
        assert!(secret("AGE-SECRET-KEY-1XYZ").is_none() && secret("hello").is_none());
    }
}
