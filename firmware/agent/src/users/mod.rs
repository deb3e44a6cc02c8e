//! Users of this node: who they are, their sessions and their programs' tokens.
//!
//! ```text
//! request ─▶ session or token (secret) ─▶ user (record) ─▶ rights ─▶ the table (role)
//! password ─▶ tries ─▶ turn ─▶ Argon2id ─▶ session
//! ```
//! Architecture invariant: what is kept of passwords, sessions, tokens are hashes; what a session or token may is asked anew at each
//! request from what its user is then.

mod claim;
mod password;
mod record;
mod role;
mod secret;
mod sessions;
mod tries;

pub use claim::Way;
pub use password::Refused as PasswordRefused;
pub use record::{Kept, Refused as RuleRefused, Token, is_name};
pub use role::{Operation, Rights, Role, Scope, may};
pub use secret::{Secret, bearer, cookie, no_cookie, session as session_of};
pub use sessions::{At, Place};

use crate::host;
use crate::limits::{FREE_TRIES_OF_ADDRESS, FREE_TRIES_OF_NAME, LONGEST_WAIT_OF_ADDRESS, LONGEST_WAIT_OF_NAME};
use crate::links;
use crate::revision::Expected;
use crate::settings::{put_aside, read_whole, write_whole};
use password::Passwords;
use secret::Code;
use serde::{Deserialize, Serialize};
use sessions::{Sessions, Whose, Written};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tries::Tries;

/// The files, below the agent's data folder.
const FILE: &str = "users.json";
const SESSIONS_FILE: &str = "sessions.json";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A rule about users.
    #[error(transparent)]
    Rule(#[from] record::Refused),
    /// The password.
    #[error(transparent)]
    Password(#[from] password::Refused),
    /// The same for a name that nobody has.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too often.
    #[error("too many wrong tries: try again in {0} seconds")]
    Wait(u64),
    /// The claim code.
    #[error("the claim code is wrong: `cloudy user claim-code` on the node shows it")]
    Code,
    /// What would be written is lost, or there may be users whom nobody sees.
    #[error("users can't be changed: {0}")]
    NotKept(String),
}

/// A person, as owners see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UserView {
    /// The name.
    pub name: String,
    /// What the person is on this node.
    pub role: Role,
    /// Another one after each change: `If-Match: "REVISION"` changes the person only as it was seen.
    pub revision: u64,
}

/// The users of this node.
#[derive(Debug)]
pub struct Users {
    file: PathBuf,
    kept: Mutex<Kept>,
    /// Held while something is written, which waits for the disk; `kept` itself never is.
    altering: Mutex<()>,
    /// Whether data is kept in this run.
    keeps: AtomicBool,
    /// Whether what was kept could be read.
    readable: AtomicBool,
    sessions_file: PathBuf,
    sessions: Mutex<Sessions>,
    by_place: Mutex<Tries<Place>>,
    by_name: Mutex<Tries<String>>,
    passwords: Passwords,
    code: Code,
    /// The time, which stands still in tests.
    now: fn() -> Instant,
    /// Whether an address is of a link of this machine; in tests none is, whatever links it has.
    is_near: fn(IpAddr) -> bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Users {
    /// Reads what is kept in the agent's data folder. What can't be read stays where it is and nobody can log in: an owner may be in it,
    /// so it does not make the node one without.
    pub fn load(data: &Path, keeps: bool) -> Self {
        let file = data.join(FILE);
        let (kept, readable) = match read_whole(&file) {
            Ok(kept) => (kept.unwrap_or_default(), true),
            Err(error) => {
                log::error!("{error:#}: nobody can log in; make an owner anew with `cloudy user add NAME --role owner`");
                (Kept::default(), false)
            }
        };
        let sessions_file = data.join(SESSIONS_FILE);
        // Without its users nobody has a session.
        let written = if keeps && readable { read_whole::<Written>(&sessions_file) } else { Ok(None) };
        let written = written.unwrap_or_else(|error| {
            log::warn!("{error:#}: all log in anew");
            None
        });
        let sessions = Sessions::of(written.unwrap_or_default(), Instant::now(), host::now_secs());
        Self {
            file,
            kept: Mutex::new(kept),
            altering: Mutex::new(()),
            keeps: AtomicBool::new(keeps),
            readable: AtomicBool::new(readable),
            sessions_file,
            sessions: Mutex::new(sessions),
            by_place: Mutex::new(Tries::new(FREE_TRIES_OF_ADDRESS, LONGEST_WAIT_OF_ADDRESS)),
            by_name: Mutex::new(Tries::new(FREE_TRIES_OF_NAME, LONGEST_WAIT_OF_NAME)),
            passwords: Passwords::default(),
            code: Code::random(),
            now: Instant::now,
            is_near: links::is_near,
        }
    }

    /// It is not known whether data is kept: nothing is changed, and nobody claims the node.
    pub fn distrust(&self) {
        self.keeps.store(false, Ordering::Relaxed);
    }

    /// Changes what is kept; it is on the disk when this returns. Where that fails, nothing is changed.
    async fn alter<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Kept) -> Result<T, record::Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let users = Arc::clone(self);
        let altered = tokio::task::spawn_blocking(move || users.alter_now(change)).await;
        altered.unwrap_or_else(|error| Err(Refused::NotKept(error.to_string())))
    }

    fn alter_now<T>(&self, change: impl FnOnce(&mut Kept) -> Result<T, record::Refused>) -> Result<T, Refused> {
        let _one = lock(&self.altering);
        if !self.keeps.load(Ordering::Relaxed) {
            let why = "this node's data is not kept in this run; `cloudy status` says what is wrong with it";
            return Err(Refused::NotKept(why.to_owned()));
        }
        let mut next = lock(&self.kept).clone();
        let out = change(&mut next)?;
        self.write(&next).map_err(|error| Refused::NotKept(format!("{error:#}")))?;
        *lock(&self.kept) = next;
        Ok(out)
    }

    fn write(&self, kept: &Kept) -> anyhow::Result<()> {
        if !self.readable.load(Ordering::Relaxed) {
            put_aside(&self.file)?;
            self.readable.store(true, Ordering::Relaxed);
        }
        write_whole(&self.file, &serde_json::to_vec(kept)?, 0o600)
    }

    /// Opens a session of a person as the person is now, if that is who is `meant`, in place of the one that was shown.
    async fn open_session(
        self: &Arc<Self>,
        name: &str,
        at: At,
        meant: impl FnOnce(&record::User) -> bool,
        shown: Option<&Secret>,
    ) -> Result<Secret, Refused> {
        let revision = lock(&self.kept).users.get(name).filter(|user| meant(user)).map(|user| user.revision);
        let whose = Whose { user: name.to_owned(), revision: revision.ok_or(Refused::Wrong)? };
        if let Some(shown) = shown {
            lock(&self.sessions).close(shown);
        }
        let id = lock(&self.sessions).open(whose, at, (self.now)());
        self.keep_sessions().await;
        Ok(id)
    }

    /// Brings the sessions to the disk.
    async fn keep_sessions(self: &Arc<Self>) {
        let users = Arc::clone(self);
        if let Err(error) = tokio::task::spawn_blocking(move || users.keep_sessions_now()).await {
            log::error!("sessions end with the agent: {error}");
        }
    }

    /// Where that fails, none lies there: one that was ended would come back.
    fn keep_sessions_now(&self) {
        let _one = lock(&self.altering);
        if !self.keeps.load(Ordering::Relaxed) {
            return;
        }
        let written = lock(&self.sessions).write((self.now)(), host::now_secs());
        let bytes = serde_json::to_vec(&written).map_err(anyhow::Error::from);
        if let Err(error) = bytes.and_then(|bytes| write_whole(&self.sessions_file, &bytes, 0o600)) {
            log::error!("sessions end with the agent: {error:#}");
            if let Err(error) = std::fs::remove_file(&self.sessions_file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                log::error!("`{}` can't be removed: {error}", self.sessions_file.display());
            }
        }
    }

    /// How the one at that address can claim this node.
    pub fn claim_way(&self, ip: IpAddr) -> Way {
        let owned = self.owned();
        claim::way(claim::Facts {
            owned,
            sure: self.keeps.load(Ordering::Relaxed) && self.readable.load(Ordering::Relaxed),
            up: host::uptime(),
            // The kernel is asked only while it matters.
            near: !owned && (self.is_near)(ip),
        })
    }

    /// Whether somebody owns this node.
    pub fn owned(&self) -> bool {
        lock(&self.kept).owned()
    }

    /// The code with which a node that nobody owns is claimed from anywhere: another after each start.
    pub fn claim_code(&self) -> String {
        self.code.text()
    }

    /// Makes the one at that address the first owner; the new session.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn claim(self: &Arc<Self>, at: impl Into<At>, code: &str, name: String, password: String) -> Result<Secret, Refused> {
        let at = at.into();
        let place = Place::from(at.ip);
        match self.claim_way(at.ip) {
            Way::Owned => return Err(record::Refused::Claimed.into()),
            Way::Unsure => return Err(Refused::NotKept("this node may have an owner who can't be read at present".to_owned())),
            Way::Open => {}
            Way::Code => {
                self.count(place, None)?;
                if !self.code.is(code) {
                    return Err(Refused::Code);
                }
                lock(&self.by_place).forgive(&place);
            }
        }
        if !is_name(&name) {
            return Err(record::Refused::Name.into());
        }
        let hash = self.passwords.turn().await?.hash(password).await?;
        let owner = name.clone();
        self.alter(move |kept| kept.claim(&owner, hash)).await?;
        self.open_session(&name, at, |_| true, None).await
    }

    /// Counts a try, unless there were too many.
    fn count(&self, place: Place, name: Option<&str>) -> Result<(), Refused> {
        let now = (self.now)();
        let (mut places, mut names) = (lock(&self.by_place), lock(&self.by_name));
        let name = name.map(str::to_owned);
        let wait = places.wait(&place, now).max(name.as_ref().and_then(|name| names.wait(name, now)));
        if let Some(wait) = wait {
            return Err(Refused::Wait(wait.as_secs() + 1));
        }
        places.count(&place, now);
        if let Some(name) = name {
            names.count(&name, now);
        }
        Ok(())
    }

    /// Whether that is the person's password; what it was held against. A name that nobody has takes as long.
    async fn verify(&self, place: Place, name: &str, password: String) -> Result<String, Refused> {
        let turn = self.passwords.turn().await?;
        let known = if is_name(name) { name } else { "" };
        self.count(place, Some(known))?;
        let hash = lock(&self.kept).users.get(name).map(|user| user.password.clone());
        match (turn.is(password, hash.clone()).await?, hash) {
            (true, Some(hash)) => {
                lock(&self.by_place).forgive(&place);
                lock(&self.by_name).forgive(&known.to_owned());
                Ok(hash)
            }
            _ => Err(Refused::Wrong),
        }
    }

    /// Logs a person in: a new session, in place of the one that was shown.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn login(
        self: &Arc<Self>,
        at: impl Into<At>,
        name: &str,
        password: String,
        shown: Option<&Secret>,
    ) -> Result<Secret, Refused> {
        let at = at.into();
        let hash = self.verify(at.ip.into(), name, password).await?;
        // The password may have been changed meanwhile, which ended all sessions; one of the person as it was before is none.
        self.open_session(name, at, |user| user.password == hash, shown).await
    }

    /// Changes one's own password, shown the old one. All sessions end; the new one is given back.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn change_password(self: &Arc<Self>, at: impl Into<At>, name: &str, old: String, new: String) -> Result<Secret, Refused> {
        let at = at.into();
        self.verify(at.ip.into(), name, old).await?;
        self.set_password(name, new, Expected::anything()).await?;
        self.open_session(name, at, |_| true, None).await
    }

    /// Whose session that is, and what the person is now. `counts`: whether this is a use of it.
    pub fn session(&self, id: &Secret, at: impl Into<At>, counts: bool) -> Option<(String, Role)> {
        let whose = lock(&self.sessions).user(id, at.into(), (self.now)(), counts)?;
        let role = lock(&self.kept).users.get(&whose.user).filter(|user| user.revision == whose.revision)?.role;
        Some((whose.user, role))
    }

    /// Notes on the disk that sessions are used, where that is due.
    pub fn keep_uses(self: &Arc<Self>) {
        if lock(&self.sessions).is_due((self.now)()) {
            let users = Arc::clone(self);
            tokio::task::spawn_blocking(move || users.keep_sessions_now());
        }
    }

    /// The token of that secret, and what its user is now.
    pub fn token(&self, secret: &Secret) -> Option<(Token, Role)> {
        lock(&self.kept).token(secret)
    }

    /// Ends a session.
    pub async fn logout(self: &Arc<Self>, id: &Secret) {
        lock(&self.sessions).close(id);
        self.keep_sessions().await;
    }

    /// Ends all sessions of a person; how many there were.
    pub async fn logout_everywhere(self: &Arc<Self>, name: &str) -> usize {
        let ended = lock(&self.sessions).close_all_of(name);
        self.keep_sessions().await;
        ended
    }

    /// All users with their roles, by name.
    pub fn list(&self) -> Vec<(String, Role)> {
        lock(&self.kept).users.iter().map(|(name, user)| (name.clone(), user.role)).collect()
    }

    /// The same as they are shown to owners.
    pub fn people(&self) -> Vec<UserView> {
        let view = |(name, user): (&String, &record::User)| UserView { name: name.clone(), role: user.role, revision: user.revision };
        lock(&self.kept).users.iter().map(view).collect()
    }

    /// Adds a person.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn add(self: &Arc<Self>, name: String, role: Role, password: String) -> Result<(), Refused> {
        let hash = self.passwords.turn().await?.hash(password).await?;
        self.alter(move |kept| kept.add(&name, role, hash)).await
    }

    /// Removes a person, with tokens and sessions.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn remove(self: &Arc<Self>, name: &str, expected: Expected) -> Result<(), Refused> {
        let of = name.to_owned();
        self.alter(move |kept| kept.remove(&of, &expected)).await?;
        self.logout_everywhere(name).await;
        Ok(())
    }

    /// Gives a person another role, who logs in anew.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn set_role(self: &Arc<Self>, name: &str, role: Role, expected: Expected) -> Result<(), Refused> {
        let of = name.to_owned();
        self.alter(move |kept| kept.set_role(&of, role, &expected)).await?;
        self.logout_everywhere(name).await;
        Ok(())
    }

    /// Gives a person another password, who logs in anew.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn set_password(self: &Arc<Self>, name: &str, password: String, expected: Expected) -> Result<(), Refused> {
        let hash = self.passwords.turn().await?.hash(password).await?;
        let of = name.to_owned();
        self.alter(move |kept| kept.set_password(&of, hash, &expected)).await?;
        self.logout_everywhere(name).await;
        Ok(())
    }

    /// Shows a person something no more of what is shared, or again.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn set_muted(self: &Arc<Self>, name: &str, what: String, muted: bool) -> Result<(), Refused> {
        let of = name.to_owned();
        self.alter(move |kept| if muted { kept.mute(&of, what) } else { kept.unmute(&of, &what) }).await
    }

    /// What a person has muted.
    pub fn muted(&self, name: &str) -> BTreeSet<String> {
        lock(&self.kept).muted(name)
    }

    /// Makes a token for a person's program: its number, and its text, which is shown this once.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn make_token(self: &Arc<Self>, user: &str, scope: Scope, label: String) -> Result<(u64, String), Refused> {
        let (secret, user) = (Secret::random(), user.to_owned());
        let text = format!("{}{}", secret::TOKEN_PREFIX, secret.text());
        let id = self.alter(move |kept| kept.add_token(&secret, &user, scope, &label)).await?;
        Ok((id, text))
    }

    /// Takes a person's token back.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn revoke_token(self: &Arc<Self>, user: &str, id: u64) -> Result<(), Refused> {
        let user = user.to_owned();
        self.alter(move |kept| kept.revoke_token(&user, id)).await
    }

    /// All tokens, of one person or of all.
    pub fn tokens(&self, of: Option<&str>) -> Vec<Token> {
        lock(&self.kept).tokens(of)
    }
}

#[cfg(test)]
mod tests;
