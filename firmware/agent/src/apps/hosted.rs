//! What leases need of apps: how one of another node's is here, and which must not start now.

use super::record::What;
use super::{Apps, Refused};
use crate::broker::Run;
use contract::apps::compose::Choices;
use contract::oci::Digest;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

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
            failed: failed.map(|job| job.reason.unwrap_or_else(|| job.state.clone())),
        }
    }

    /// Whether an app is meant to run, asked now; none where Docker can't be asked.
    pub async fn is_up(&self, name: &str) -> Option<bool> {
        let seen = self.look().await.ok()?;
        Some(seen.get(name).map(|state| state.run).unwrap_or(Run::Absent).is_up())
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

    /// Apps that must not start now, each with the reason. It replaces what was said before.
    pub fn bar(&self, apps: BTreeMap<String, String>) {
        *self.bars() = apps;
    }

    fn bars(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an app must not start now.
    pub(super) fn barred(&self, name: &str) -> Option<String> {
        self.bars().get(name).cloned()
    }
}
