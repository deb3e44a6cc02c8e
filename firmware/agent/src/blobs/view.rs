//! What is shown of blobs.

use super::{Blobs, Refused, Taking, Visibility, fetch::NotFetched, held::Held};
use crate::limits::BLOB_TELL_EVERY;
use crate::net::{BlobFacts, BlobSearch, Holder, Registry};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::AbortHandle;

/// A blob that is being fetched.
#[derive(Debug, Default)]
pub struct Fetching {
    /// Bytes that are here.
    pub bytes: Arc<AtomicU64>,
    /// Whether somebody is asked at this moment.
    pub at_work: bool,
    /// When somebody was asked last.
    pub tried: Option<Instant>,
    /// How often in a row nothing came of it.
    failures: u32,
    /// To ask again would end as before.
    hopeless: bool,
    /// What went wrong last.
    pub problem: Option<String>,
    /// What fetches it.
    pub task: Option<AbortHandle>,
}

impl Fetching {
    fn come(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nobody is to be asked now: somebody is, or was just now, or that helps nothing.
    pub fn rests(&self) -> bool {
        let rest = (BLOB_TELL_EVERY / 2).saturating_mul(1 << self.failures.min(6));
        self.at_work || self.hopeless || self.tried.is_some_and(|tried| tried.elapsed() < rest)
    }

    /// Notes that nothing came of it.
    pub fn failed(&mut self, error: &NotFetched) {
        self.at_work = false;
        self.tried = Some(Instant::now());
        self.failures = if matches!(error, NotFetched::Damaged) { 0 } else { self.failures.saturating_add(1) };
        self.hopeless = matches!(error, NotFetched::Other);
        self.problem = Some(error.to_string());
    }

    /// Lets it be tried again at once.
    pub fn hope(&mut self) {
        (self.failures, self.hopeless) = (0, false);
        self.tried = self.tried.and_then(|tried| tried.checked_sub(BLOB_TELL_EVERY));
    }

    /// Fetches it no further.
    pub fn stop(self) {
        self.task.into_iter().for_each(|task| task.abort());
    }
}

/// A blob, of this node or of others.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BlobView {
    /// BLAKE3, 64 hexadecimal digits.
    pub hash: String,
    /// What it is.
    #[serde(flatten)]
    pub facts: BlobFacts,
    /// How it is on this node; none where it is not here.
    pub here: Option<Here>,
    /// Who says to hold it. Left out where one blob is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holders: Option<Vec<Holder>>,
}

/// A blob on this node.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobHere))]
#[serde(rename_all = "kebab-case")]
pub struct Here {
    /// Who may read it.
    pub visibility: Visibility,
    /// Whether it stays when room is needed.
    pub pinned: bool,
    /// Whether all of it is here.
    pub complete: bool,
    /// Bytes that have come.
    pub fetched_bytes: u64,
    /// Why it is not here yet.
    pub problem: Option<String>,
    /// How far this node is with the app in it.
    pub taking: Taking,
}

/// A page of blobs, by hash.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BlobsPage {
    /// The blobs.
    pub blobs: Vec<BlobView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

impl Blobs {
    fn here(&self, hash: &str, held: &Held) -> Here {
        let (visibility, pinned, complete) = (held.visibility, held.pinned, held.complete);
        let fetching = self.fetching();
        let coming = fetching.get(hash).filter(|_| !complete);
        let fetched_bytes = if complete { held.facts.size_bytes } else { coming.map(Fetching::come).unwrap_or_default() };
        let problem = coming.and_then(|fetching| fetching.problem.clone());
        Here { visibility, pinned, complete, fetched_bytes, problem, taking: held.taking.clone() }
    }

    /// One that is on this node.
    ///
    /// # Errors
    /// It is not.
    pub fn one(&self, hash: &str) -> Result<BlobView, Refused> {
        let held = self.kept().blobs.get(hash).cloned().ok_or_else(|| Refused::NotHere(hash.to_owned()))?;
        Ok(BlobView { hash: hash.to_owned(), here: Some(self.here(hash, &held)), facts: held.facts, holders: None })
    }

    /// A page of all that nodes hold, this one among them. Who may not look at all of it sees what is public.
    ///
    /// # Errors
    /// It can't be understood, or the records can't be read.
    pub async fn page(&self, registry: Option<&Registry>, search: BlobSearch, all: bool) -> Result<BlobsPage, Refused> {
        search.check().map_err(Refused::Wrong)?;
        let mut found = match registry {
            Some(registry) => registry.blobs(search.clone(), !all).await.map_err(super::store)?,
            None => std::collections::BTreeMap::new(),
        };
        let mut page = BlobsPage::default();
        let mut own: std::collections::BTreeMap<String, Held> = self
            .kept()
            .blobs
            .iter()
            .filter(|(hash, held)| search.fits(hash, &held.facts))
            .map(|(hash, held)| (hash.clone(), held.clone()))
            .collect();
        let hashes: std::collections::BTreeSet<String> = found.keys().chain(own.keys()).cloned().collect();
        for hash in hashes {
            let (told, held) = (found.remove(&hash), own.remove(&hash));
            let public = told.as_ref().is_some_and(|told| told.facts.public)
                || held.as_ref().is_some_and(|held| held.visibility == Visibility::Public);
            if !all && !public {
                continue;
            }
            if page.blobs.len() == search.most() {
                page.next = page.blobs.last().map(|last| last.hash.clone());
                break;
            }
            // How it is here is for those who may look, or nobody's secret.
            let shown = held.as_ref().filter(|held| all || held.visibility == Visibility::Public);
            let here = shown.map(|held| self.here(&hash, held));
            let holders = told.as_ref().map(|told| told.holders.clone()).unwrap_or_default();
            let Some(facts) = held.map(|held| held.facts).or(told.map(|told| told.facts)) else { continue };
            page.blobs.push(BlobView { hash, facts, here, holders: Some(holders) });
        }
        Ok(page)
    }

    /// A blob that everybody may read; none where there is no such blob on this node.
    pub fn public(&self, hash: &str) -> Option<BlobFacts> {
        let kept = self.kept();
        let held = kept.blobs.get(hash).filter(|held| held.complete && held.visibility == Visibility::Public);
        held.map(|held| held.facts.clone())
    }
}
