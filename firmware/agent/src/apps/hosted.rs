//! What leases need of apps: how one of another node's is here, and which must not start now.

use super::plan::Kind;
use super::record::What;
use super::{Apps, Refused};
use crate::broker::{self, Request};
use contract::apps::compose::Choices;
use contract::oci::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is said of an app that must not start now.
pub const NOT_NOW: &str = "can't be started now";

/// Why an app must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// From when on; at once without.
    pub from: Option<Instant>,
    /// The reason.
    pub why: String,
}

/// How an app is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted {
    /// Which version the catalog has.
    pub catalog: Option<Digest>,
    /// Whether it is installed.
    pub installed: bool,
    /// Whether a job is at work on it.
    pub busy: bool,
    /// Why the job that was asked about came to nothing.
    pub failed: Option<String>,
    /// Whether the last that was done with it was to stop it.
    pub stopped: bool,
}

impl Apps {
    /// How an app is, and what became of a job.
    pub fn hosted(&self, name: &str, job: Option<u64>) -> Hosted {
        let failed = job.and_then(|id| self.job_view(id)).filter(|job| job.over && job.state != "done");
        let kept = self.kept();
        Hosted {
            catalog: self.catalog.get(name).map(|entry| entry.index),
            installed: kept.apps.contains_key(name),
            busy: kept.busy(name).is_some(),
            stopped: kept.jobs.iter().rev().find(|job| job.app == name).is_some_and(|job| job.course.kind == Kind::Stop),
            failed: failed.map(|job| job.reason.unwrap_or_else(|| job.state.clone())),
        }
    }

    /// The apps that are meant to run, asked now; none where Docker can't be asked.
    pub async fn up_now(&self) -> Option<BTreeSet<String>> {
        let seen = self.look().await.ok()?;
        Some(seen.into_iter().filter(|(_, state)| state.run.is_up()).map(|(name, _)| name).collect())
    }

    /// How long an app may take to stop. Facts that were never read wait for the disk.
    pub fn stop_time(&self, name: &str) -> Option<Duration> {
        let entry = self.kept().apps.get(name).and_then(|app| app.entry().cloned()).or_else(|| self.catalog.get(name))?;
        Some(Duration::from_secs(self.catalog.facts(&entry).ok()?.run.stop_seconds.into()))
    }

    /// Whether an app of the catalog could be installed by these settings somewhere.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn would_run(self: &Arc<Self>, name: &str, settings: BTreeMap<String, String>) -> Result<(), Refused> {
        let entry = self.catalog.get(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?;
        self.target(name, What::Entry(entry), Choices { settings, ..Choices::default() }).map(drop)
    }

    /// Apps that must not start. It replaces what was said before.
    pub fn bar(&self, apps: BTreeMap<String, Bar>) {
        *self.bars() = apps;
    }

    fn bars(&self) -> MutexGuard<'_, BTreeMap<String, Bar>> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an app must not start now.
    pub(super) fn barred(&self, name: &str) -> Option<String> {
        let bars = self.bars();
        let lent = bars.get(name).filter(|bar| bar.from.is_none_or(|from| from <= Instant::now())).map(|bar| bar.why.clone());
        lent.or_else(|| self.waits_for_disk(name))
    }

    /// Stops an app at once, whatever job is at work on it, and whether or not it is installed.
    ///
    /// # Errors
    /// Docker can't be asked, or did not do it.
    pub async fn halt(&self, name: &str) -> Result<(), Refused> {
        self.tell_broker(Request::Stop { app: name.to_owned() }).await
    }

    /// Takes away what an installation left that could not be undone; what it kept stays.
    ///
    /// # Errors
    /// Docker can't be asked, or did not do it.
    pub async fn sweep(&self, name: &str) -> Result<(), Refused> {
        self.tell_broker(Request::Down { app: name.to_owned(), data: false }).await
    }

    async fn tell_broker(&self, request: Request) -> Result<(), Refused> {
        let told: Result<(), _> = broker::ask(&self.broker, &request, |_| ()).await;
        self.seen.forget().await;
        self.changed.notify_one();
        told.map_err(|error| Refused::Docker(error.to_string()))
    }
}
