//! Requests that are done once, however often they come: whoever says an `Idempotency-Key` may ask again when no answer came, and gets
//! the first one's answer. [`Ledger`] decides (pure, the time is passed in), [`Onces`] keeps.
//!
//! Architecture invariant: nothing is begun under a key before that is on the disk, so no restart does it a second time. What was at
//! work when the agent stopped is answered with "nobody knows", never done again.
//!
//! Architecture invariant: no secret is written: of a request the disk has a hash of what may be known ([`public`]), of an answer with a
//! secret in it only that there was one. Both are compared and given out whole while the agent runs.

use crate::limits::{ONCE_ANSWER_BYTES, ONCE_KEPT, ONCE_KEPT_OF_ONE, ONCE_LIFE};
use crate::settings::{read_or_put_aside, write_whole};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The file, below the agent's data folder.
const FILE: &str = "once.json";
/// Fields of requests whose text is no secret. Of every other text the disk has nothing, not even a hash: one could be guessed by it.
const PUBLIC_FIELDS: [&str; 11] = ["name", "role", "scope", "label", "unit", "action", "disk", "key", "category", "scheme", "path"];
/// How deep a request is looked into.
const DEPTH: usize = 8;

/// A request under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asks: a user's name; empty for the local socket.
    who: String,
    /// The hash of the key.
    key: String,
    /// The hash of all of it.
    whole: String,
    /// The hash of what may be known of it.
    public: String,
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    HEXLOWER.encode(&hasher.finalize())
}

/// What of a request's body may be known: numbers, and texts of [`PUBLIC_FIELDS`].
fn public(body: &Value, known: bool, depth: usize) -> Value {
    match body {
        Value::Object(fields) if depth > 0 => {
            let field = |(name, value): (&String, &Value)| (name.clone(), public(value, PUBLIC_FIELDS.contains(&name.as_str()), depth - 1));
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) if depth > 0 => items.iter().map(|item| public(item, false, depth - 1)).collect(),
        Value::String(_) if known => body.clone(),
        Value::Number(_) | Value::Bool(_) => body.clone(),
        _ => Value::Null,
    }
}

impl Asked {
    /// `what` is method and address.
    pub fn new(who: &str, key: &str, what: &str, body: &[u8]) -> Self {
        let known = serde_json::from_slice(body).map(|body| public(&body, false, DEPTH)).unwrap_or_default().to_string();
        Self {
            who: who.to_owned(),
            key: hash(&[key.as_bytes()]),
            whole: hash(&[what.as_bytes(), body]),
            public: hash(&[what.as_bytes(), known.as_bytes()]),
        }
    }
}

/// The key of an `Idempotency-Key`: 1 to 128 visible characters, quoted or not.
pub fn key(header: &str) -> Option<&str> {
    let header = header.trim();
    let key = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(header);
    (!key.is_empty() && key.len() <= 128 && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"')).then_some(key)
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It is at work; in an agent that is started after that, nobody knows.
    Begun,
    /// It was done. The answer is not here where it has a secret or is long.
    Done(Option<Answer>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    who: String,
    key: String,
    public: String,
    outcome: Outcome,
    /// Seconds since it was begun, when this was written: no clock that is set by anybody is asked.
    age_seconds: u64,
    /// Known while the agent runs that it was asked of.
    #[serde(skip)]
    whole: Option<String>,
    /// The same.
    #[serde(skip)]
    secret: Option<Answer>,
    /// When it was begun, or read with that age: seconds of this agent's life.
    #[serde(skip)]
    since: u64,
}

impl Entry {
    fn age(&self, now: u64) -> u64 {
        self.age_seconds.saturating_add(now.saturating_sub(self.since))
    }

    fn is(&self, asked: &Asked) -> bool {
        self.who == asked.who && self.key == asked.key
    }

    fn at_work(&self) -> bool {
        self.outcome == Outcome::Begun && self.whole.is_some()
    }
}

/// What is to be done with a request under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done now.
    Go,
    /// It was done, and this was the answer.
    Again(Answer),
    /// It is at work.
    AtWork,
    /// Another request came under this key.
    Other,
    /// It was at work when an agent before this one stopped.
    Unknown,
    /// It was done, and its answer is not kept.
    Unkept,
    /// All that are remembered are at work.
    Full,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Ledger {
    /// The oldest first.
    entries: Vec<Entry>,
}

impl Ledger {
    /// Takes a request in; what is to be done with it.
    pub fn begin(&mut self, asked: &Asked, now: u64) -> Verdict {
        self.entries.retain(|entry| entry.at_work() || entry.age(now) < ONCE_LIFE.as_secs());
        if let Some(entry) = self.entries.iter().find(|entry| entry.is(asked)) {
            let same = entry.whole.as_ref().map_or(entry.public == asked.public, |whole| *whole == asked.whole);
            return match &entry.outcome {
                _ if !same => Verdict::Other,
                Outcome::Begun if entry.whole.is_some() => Verdict::AtWork,
                Outcome::Begun => Verdict::Unknown,
                Outcome::Done(kept) => kept.clone().or_else(|| entry.secret.clone()).map_or(Verdict::Unkept, Verdict::Again),
            };
        }
        let of_one = self.entries.iter().filter(|entry| entry.who == asked.who).count();
        if of_one >= ONCE_KEPT_OF_ONE && !self.drop_oldest(|entry| entry.who == asked.who) {
            return Verdict::Full;
        }
        if self.entries.len() >= ONCE_KEPT && !self.drop_oldest(|_| true) {
            return Verdict::Full;
        }
        let Asked { who, key, whole, public } = asked.clone();
        let (outcome, whole) = (Outcome::Begun, Some(whole));
        self.entries.push(Entry { who, key, public, outcome, age_seconds: 0, whole, secret: None, since: now });
        Verdict::Go
    }

    fn drop_oldest(&mut self, of: impl Fn(&Entry) -> bool) -> bool {
        let oldest = self.entries.iter().position(|entry| of(entry) && !entry.at_work());
        oldest.map(|at| self.entries.remove(at)).is_some()
    }

    /// It was done. Where there is a `secret` in its answer, that is known while this agent runs.
    pub fn done(&mut self, asked: &Asked, answer: Answer, secret: bool) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.is(asked)) else { return };
        let answer = (answer.body.len() <= ONCE_ANSWER_BYTES).then_some(answer);
        let (kept, known) = if secret { (None, answer) } else { (answer, None) };
        (entry.outcome, entry.secret) = (Outcome::Done(kept), known);
    }

    /// It was refused, so nothing was done: it may be tried again.
    pub fn refused(&mut self, asked: &Asked) {
        self.entries.retain(|entry| !entry.is(asked));
    }

    /// Forgets what a person asked.
    pub fn forget(&mut self, who: &str) {
        self.entries.retain(|entry| entry.who != who);
    }

    /// As it is written: each with its age.
    fn written(&self, now: u64) -> Self {
        Self { entries: self.entries.iter().map(|entry| Entry { age_seconds: entry.age(now), since: now, ..entry.clone() }).collect() }
    }
}

/// The requests of this node that are done once.
#[derive(Debug)]
pub struct Onces {
    file: PathBuf,
    ledger: Mutex<Ledger>,
    /// Held while something is written, which waits for the disk; the ledger itself never is.
    writing: Mutex<()>,
    /// Whether data is kept in this run; if not, this holds while the agent runs, as does what it did.
    keeps: bool,
    started: Instant,
}

impl Onces {
    /// Reads what is kept in the agent's data folder.
    pub fn load(data: &Path, keeps: bool) -> Self {
        let file = data.join(FILE);
        let ledger = read_or_put_aside(&file, "which requests were done is not known any more");
        Self { file, ledger: Mutex::new(ledger), writing: Mutex::default(), keeps, started: Instant::now() }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> anyhow::Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.keeps {
            return Ok(());
        }
        let now = { self.ledger().written(self.started.elapsed().as_secs()) };
        write_whole(&self.file, &serde_json::to_vec(&now)?, 0o600)
    }

    async fn keep(self: &Arc<Self>) -> anyhow::Result<()> {
        let onces = Arc::clone(self);
        tokio::task::spawn_blocking(move || onces.write()).await?
    }

    /// Takes a request in. It is on the disk when this says [`Verdict::Go`].
    ///
    /// # Errors
    /// That it is begun can't be kept, so it must not be.
    pub async fn begin(self: &Arc<Self>, asked: &Asked) -> anyhow::Result<Verdict> {
        let verdict = { self.ledger().begin(asked, self.started.elapsed().as_secs()) };
        if verdict == Verdict::Go
            && let Err(error) = self.keep().await
        {
            self.ledger().refused(asked);
            return Err(error);
        }
        Ok(verdict)
    }

    /// It is over: with an answer it was done, without one it was refused.
    pub async fn end(self: &Arc<Self>, asked: &Asked, answer: Option<Answer>, secret: bool) {
        {
            let mut ledger = self.ledger();
            match answer {
                Some(answer) => ledger.done(asked, answer, secret),
                None => ledger.refused(asked),
            }
        }
        if let Err(error) = self.keep().await {
            log::error!("what became of a request can't be kept: {error:#}");
        }
    }

    /// Lets nothing be written while the guard lives.
    #[cfg(test)]
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap()
    }

    /// How many are at work.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.ledger().entries.iter().filter(|entry| entry.at_work()).count()
    }

    /// Forgets what a person asked, who is no more.
    pub async fn forget(self: &Arc<Self>, who: &str) {
        {
            self.ledger().forget(who);
        }
        if let Err(error) = self.keep().await {
            log::error!("that requests are forgotten can't be kept: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests;
