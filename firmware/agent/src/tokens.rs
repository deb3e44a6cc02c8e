//! Tokens by which apps use their store over the network: each opens one app's. Kept are hashes alone.

use crate::settings::{read_whole, write_whole};
use crate::users::Secret;
use anyhow::{Result, ensure};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file, below the agent's data folder.
const FILE: &str = "app-tokens.json";
/// Most tokens that are kept.
const MAX_TOKENS: usize = 256;
/// What a token begins with, so that people and secret scanners know it.
const PREFIX: &str = "cloudy-app-";

/// Hashes of tokens, with the app that each opens.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Kept {
    tokens: BTreeMap<String, String>,
}

/// The tokens of this node.
#[derive(Debug)]
pub struct AppTokens {
    file: PathBuf,
    kept: Mutex<Kept>,
}

fn hash(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

impl AppTokens {
    /// Reads what is kept in the agent's data folder. What can't be read opens nothing, and is said.
    pub fn load(data: &Path) -> Self {
        let file = data.join(FILE);
        let read = read_whole(&file).unwrap_or_else(|error| {
            log::error!("{error:#}: the tokens of apps open nothing; make new ones with `cloudy store token APP`");
            None
        });
        Self { file, kept: Mutex::new(read.unwrap_or_default()) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a token that opens `app`. It is on disk when this returns.
    ///
    /// # Errors
    /// It could not be kept, or there are too many.
    pub fn make(&self, app: &str) -> Result<String> {
        let token = format!("{PREFIX}{}", Secret::random().text());
        let mut kept = self.kept();
        ensure!(kept.tokens.len() < MAX_TOKENS, "there are {MAX_TOKENS} tokens already: take some back with `cloudy store revoke APP`");
        let mut new = kept.clone();
        new.tokens.insert(hash(&token), app.to_owned());
        self.write(&new)?;
        *kept = new;
        Ok(token)
    }

    /// Takes all tokens of `app` back; how many there were. They open nothing from here on, also if that can't be kept.
    ///
    /// # Errors
    /// It could not be kept: after a restart they would open again.
    pub fn revoke(&self, app: &str) -> Result<usize> {
        let mut kept = self.kept();
        let before = kept.tokens.len();
        kept.tokens.retain(|_, of| of != app);
        self.write(&kept)?;
        Ok(before - kept.tokens.len())
    }

    fn write(&self, kept: &Kept) -> Result<()> {
        write_whole(&self.file, &serde_json::to_vec(kept)?, 0o600)
    }

    /// Whether a token opens `app`. Hashes are looked up, so how long it takes says nothing of what is kept.
    #[must_use]
    pub fn opens(&self, token: &str, app: &str) -> bool {
        token.starts_with(PREFIX) && self.kept().tokens.get(&hash(token)).is_some_and(|of| of == app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_app_alone_and_after_a_restart_too() {
        let data = tempfile::tempdir().unwrap();
        let tokens = AppTokens::load(data.path());
        let (notes, other) = (tokens.make("notes").unwrap(), tokens.make("other").unwrap());
        let again = AppTokens::load(data.path());
        for tokens in [&tokens, &again] {
            assert!(tokens.opens(&notes, "notes") && tokens.opens(&other, "other"));
            assert!(!tokens.opens(&notes, "other") && !tokens.opens("cloudy-app-", "notes") && !tokens.opens("", "notes"));
        }
        let kept = std::fs::read_to_string(data.path().join(FILE)).unwrap();
        assert!(!kept.contains(&notes[PREFIX.len()..]));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join(FILE)).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(tokens.revoke("notes").unwrap(), 1);
        for tokens in [&tokens, &AppTokens::load(data.path())] {
            assert!(!tokens.opens(&notes, "notes") && tokens.opens(&other, "other"));
        }
        std::fs::write(data.path().join(FILE), "{").unwrap();
        assert!(!AppTokens::load(data.path()).opens(&other, "other"));
    }

    #[test]
    fn there_is_an_end_and_what_is_not_kept_opens_nothing() {
        let data = tempfile::tempdir().unwrap();
        let tokens = AppTokens::load(data.path());
        for _ in 0..MAX_TOKENS {
            tokens.make("notes").unwrap();
        }
        assert!(tokens.make("other").is_err());
        assert_eq!(tokens.revoke("notes").unwrap(), MAX_TOKENS);
        tokens.make("other").unwrap();
        // Where the file can't be written, there is no new token.
        let nowhere = AppTokens::load(&data.path().join("nowhere"));
        assert!(nowhere.make("notes").is_err() && nowhere.kept().tokens.is_empty());
    }
}
