//! On which disk an app keeps its data: what is recorded of that, what waits for a disk, and moving.

use super::plan::{Kind, Step};
use super::record::{Aim, Job, What};
use super::{Apps, JobView, Refused};
use crate::broker::{self, Request};
use crate::limits::{DISK_WAIT, DISKS_LOOK_EVERY};
use crate::revision::Expected;
use crate::storage::Placed;
use contract::storage::DiskId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// A job that needs a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlace {
    /// Its number.
    pub job: u64,
    /// Of which app.
    pub app: String,
}

impl Apps {
    /// Apps whose data lie on another disk than the node's own.
    pub fn places(&self) -> BTreeMap<String, DiskId> {
        self.kept().places.clone()
    }

    /// How those that are installed are now.
    pub async fn placed(&self) -> Vec<Placed> {
        let seen = self.seen().await;
        let kept = self.kept();
        let installed = kept.places.iter().filter(|(app, _)| kept.apps.contains_key(*app));
        installed
            .map(|(app, disk)| Placed {
                app: app.clone(),
                disk: *disk,
                up: Self::of(&seen, app).map(|state| state.run.is_up()),
                resting: kept.resting.contains(app),
                busy: kept.busy(app).is_some(),
            })
            .collect()
    }

    /// Apps whose disk is not there, with what is said of it. It replaces what was said before.
    pub fn wait_for_disks(&self, apps: BTreeMap<String, String>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = apps;
    }

    /// Why an app waits for its disk.
    pub(super) fn waits_for_disk(&self, app: &str) -> Option<String> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned()
    }

    /// A job that is at work with a disk.
    pub fn job_at(&self, disk: DiskId) -> Option<JobPlace> {
        let kept = self.kept();
        let mut open = kept.jobs.iter().filter(|job| !job.course.phase.is_over());
        let job = open.find(|job| job.to == Some(disk) || kept.places.get(&job.app) == Some(&disk))?;
        Some(JobPlace { job: job.id, app: job.app.clone() })
    }

    /// After a start of the node disks are mounted a moment later than jobs are taken up again. One that does not come is not waited for.
    pub(super) async fn wait_for_its_disk(&self, id: u64, job: &Job, step: Step) {
        if matches!(step, Step::Pull | Step::Stop | Step::Down | Step::Check) {
            return;
        }
        let needed: Vec<DiskId> = job.to.into_iter().chain(self.kept().places.get(&job.app).copied()).collect();
        let begun = Instant::now();
        while needed.iter().any(|disk| self.disks.usable(*disk).is_none()) && begun.elapsed() < DISK_WAIT {
            self.say(id, |live| live.waits = Some("the disk with the app's data is not there yet".to_owned()));
            tokio::time::sleep(DISKS_LOOK_EVERY / 4).await;
        }
        if !needed.is_empty() {
            self.say(id, |live| live.waits = None);
        }
    }

    /// Notes that something was put aside on a disk.
    pub(super) fn is_untidy(&self, disk: Option<DiskId>) {
        self.untidy.lock().unwrap_or_else(PoisonError::into_inner).extend(disk);
    }

    /// The disks on which something was put aside since this was asked last.
    pub fn take_untidy(&self) -> BTreeSet<DiskId> {
        std::mem::take(&mut self.untidy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets what apps kept on a disk that is lost: they are installed as before, keep nothing, and stand still.
    ///
    /// # Errors
    /// See [`Refused`]; what was forgotten until then stays forgotten.
    pub async fn give_up(self: &Arc<Self>, disk: DiskId) -> Result<(), Refused> {
        for (name, _) in self.places().into_iter().filter(|(_, at)| *at == disk) {
            if let Some(busy) = self.kept().busy(&name) {
                return Err(Refused::Busy { id: busy.id, app: name });
            }
            let request = Request::GiveUp { app: name.clone(), disk };
            broker::ask::<()>(&self.broker, &request, |_| ()).await.map_err(|error| Refused::Docker(error.to_string()))?;
            let forget = move |apps: &Arc<Self>| {
                apps.alter(|kept| {
                    kept.places.remove(&name);
                    kept.resting.insert(name);
                    Ok(())
                })
            };
            self.in_background(forget).await.map_err(|error| Refused::NotKept(error.to_string()))??;
        }
        Ok(())
    }

    /// Begins to move an app's data to a disk; to the node's own without.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was done.
    pub fn move_to(self: &Arc<Self>, name: &str, disk: Option<DiskId>) -> Result<JobView, Refused> {
        let now = self.kept().places.get(name).copied();
        if let Some(why) = self.waits_for_disk(name) {
            return Err(Refused::Barred { app: name.to_owned(), why });
        }
        self.begin(name, Kind::Move, &Expected::anything(), |installed| match installed.map(|installed| &installed.what) {
            Some(What::Own(_)) => Err(Refused::NotMoved),
            _ if now == disk => Err(Refused::ThereAlready(name.to_owned())),
            _ => Ok(Aim { to: disk, ..Aim::default() }),
        })
    }
}
