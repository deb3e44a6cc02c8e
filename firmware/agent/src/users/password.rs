//! Passwords: Argon2id, one at a time, since each takes 19 MiB and a processor for a while.

use crate::limits::{
    PASSWORD_MAX_BYTES, PASSWORD_MEMORY_KIB, PASSWORD_MIN_CHARS, PASSWORD_PASSES, PASSWORDS_AGAIN_SECS, PASSWORDS_WAITING,
};
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::Rng;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A hash of no password, made by the same parameters: who names nobody waits as long as who names somebody.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y2xvdWR5IG5vYm9keSEhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Others are before.
    #[error("this node is looking at other passwords: try again in {PASSWORDS_AGAIN_SECS} seconds")]
    Busy,
    /// Too short, or too long.
    #[error("a password has at least {PASSWORD_MIN_CHARS} characters, and {PASSWORD_MAX_BYTES} bytes at most")]
    Length,
    /// What should not be.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// The one place where passwords are hashed.
#[derive(Debug)]
pub struct Passwords {
    one: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

/// The turn to hash a password.
pub struct Turn {
    _one: OwnedSemaphorePermit,
    _room: OwnedSemaphorePermit,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), room: Arc::new(Semaphore::new(1 + PASSWORDS_WAITING)) }
    }
}

impl Passwords {
    /// Waits for a turn, if not too many wait already.
    ///
    /// # Errors
    /// Too many do.
    pub async fn turn(&self) -> Result<Turn, Refused> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| Refused::Busy)?;
        let one = Arc::clone(&self.one).acquire_owned().await.map_err(|_| Refused::Busy)?;
        Ok(Turn { _one: one, _room: room })
    }
}

impl Turn {
    /// Hashes a password, as a PHC string.
    ///
    /// # Errors
    /// It is too short or too long.
    pub async fn hash(self, password: String) -> Result<String, Refused> {
        if password.chars().count() < PASSWORD_MIN_CHARS || password.len() > PASSWORD_MAX_BYTES {
            return Err(Refused::Length);
        }
        self.work(move || {
            let mut salt = [0; 16];
            rand::rng().fill_bytes(&mut salt);
            let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| Refused::Hash(error.to_string()))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a password is the one of that hash. Without one it is none, and takes as long.
    ///
    /// # Errors
    /// The agent ends.
    pub async fn is(self, password: String, hash: Option<String>) -> Result<bool, Refused> {
        self.work(move || {
            let known = hash.is_some();
            let password = password.get(..password.len().min(PASSWORD_MAX_BYTES + 1)).unwrap_or_default();
            let same = match argon2()?.verify_password(password.as_bytes(), hash.as_deref().unwrap_or(NOBODY)) {
                Ok(()) => true,
                Err(Error::PasswordInvalid) => false,
                // What can't be read was not held against anything, and took no time.
                Err(error) => return Err(Refused::Hash(error.to_string())),
            };
            Ok(same && known)
        })
        .await
    }

    /// Off the agent's one thread. The turn ends with the work, also where nobody waits for it any more.
    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Refused> {
        let worked = tokio::task::spawn_blocking(move || {
            let out = work();
            drop(self);
            out
        });
        worked.await.map_err(|error| Refused::Hash(error.to_string()))?
    }
}

fn argon2() -> Result<Argon2<'static>, Refused> {
    let params = Params::new(PASSWORD_MEMORY_KIB, PASSWORD_PASSES, 1, None).map_err(|error| Refused::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_password_is_itself_and_nobody_has_none() {
        let passwords = Passwords::default();
        let hash = passwords.turn().await.unwrap().hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = passwords.turn().await.unwrap().hash("correct horse".to_owned()).await.unwrap();
        assert_ne!(hash, again, "salted");
        for (said, known, expected) in [
            ("correct horse", Some(&hash), true),
            ("correct horsf", Some(&hash), false),
            ("", Some(&hash), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.turn().await.unwrap().is(said.to_owned(), known.cloned()).await.unwrap(), expected, "{said}");
        }
        for bad in ["short", &"x".repeat(PASSWORD_MAX_BYTES + 1)] {
            assert!(matches!(passwords.turn().await.unwrap().hash(bad.to_owned()).await, Err(Refused::Length)));
        }
    }

    #[test]
    fn nobodys_hash_costs_what_anybodys_does() {
        // One that could not be read would be refused at once.
        let error = argon2().unwrap().verify_password(b"x", NOBODY).unwrap_err();
        assert!(matches!(error, Error::PasswordInvalid), "{error:?}");
        let params = format!("$argon2id$v=19$m={PASSWORD_MEMORY_KIB},t={PASSWORD_PASSES},p=1$");
        assert!(NOBODY.starts_with(&params));
    }

    #[tokio::test]
    async fn one_is_hashed_one_waits_and_the_third_comes_again() {
        let passwords = Arc::new(Passwords::default());
        let first = passwords.turn().await.unwrap();
        let second = tokio::spawn({
            let passwords = Arc::clone(&passwords);
            async move { passwords.turn().await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let third = tokio::time::timeout(Duration::from_secs(5), passwords.turn()).await;
        assert!(matches!(third, Ok(Err(Refused::Busy))));
        assert!(!second.is_finished());
        drop(first);
        drop(second.await.unwrap().unwrap());
        assert!(passwords.turn().await.is_ok());
    }

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_its_work() {
        let passwords = Passwords::default();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let turn = passwords.turn().await.unwrap();
        let work = turn.work(move || wait.recv().map_err(|error| Refused::Hash(error.to_string())));
        // Who asked leaves; the memory is still in use.
        assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());
        assert_eq!(passwords.one.available_permits(), 0);
        go.send(()).unwrap();
        let _again = passwords.turn().await.unwrap();
    }
}
