//! Drives jobs to their end, each in a task of its own: looks, asks `plan`, does one step through the broker, records, again.

use super::own::Saved;
use super::plan::{Course, Kind, Outcome, Seen, Step};
use super::record::{Adopting, Installed, Job, Kept, Own, What};
use super::{Apps, Live, NOT_NOW, Refused};
use crate::broker::{self, OwnProject, Project, ProjectState, Projects, Request, Run};
use crate::limits::{DOCKER_AGAIN, STEADY, STEADY_LOOK_EVERY};
use contract::apps::compose::Choices;
use contract::storage::DiskId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Apps {
    /// Takes up what an agent before this one left.
    pub fn resume(self: &Arc<Self>) {
        let open: Vec<u64> = self.kept().jobs.iter().filter(|job| !job.course.phase.is_over()).map(|job| job.id).collect();
        for id in open {
            log::info!("job {id} is taken up again");
            self.drive(id);
        }
    }

    /// Drives a job in the background.
    pub(super) fn drive(self: &Arc<Self>, id: u64) {
        self.live().insert(id, Live::default());
        let apps = Arc::clone(self);
        tokio::spawn(async move {
            apps.to_the_end(id).await;
            apps.live().remove(&id);
            apps.told.send_replace(());
            apps.seen.forget().await;
            apps.changed.notify_one();
            let _ending = apps.in_background(|apps| apps.catalog.clean(&apps.in_use())).await;
        });
    }

    fn job(&self, id: u64) -> Option<Job> {
        self.kept().jobs.iter().find(|job| job.id == id).cloned()
    }

    async fn to_the_end(self: &Arc<Self>, id: u64) {
        while let Some(job) = self.job(id) {
            let (apps, image) = tokio::join!(self.look_until_seen(id), self.has_image(&job));
            let seen = Seen { app: apps.get(&job.app).copied().unwrap_or_default(), image };
            let (course, step) = job.course.follow(seen);
            if course != job.course && !self.recorded(id, &course, None).await {
                return;
            }
            let Some(step) = step else { return };
            self.wait_for_its_disk(id, &job, step).await;
            let (course, output) = match self.step(&job, step).await {
                Err(_) if self.leaving.load(Ordering::Relaxed) => return,
                // Docker went away meanwhile: that is waited for, and says nothing of the step.
                Err(_) if self.look().await.is_err() => continue,
                Ok(()) => (course.after(Outcome::Done), None),
                Err(broker::Error::Unreachable { why, .. }) => {
                    log::warn!("job {id}: {why}");
                    (course.after(Outcome::Lost), None)
                }
                Err(broker::Error::Failed(failure)) => {
                    log::warn!("job {id}, {step:?} of `{}` failed: {}", job.app, failure.error);
                    (course.after(Outcome::Failed(failure.error)), Some(failure.output))
                }
            };
            if !self.recorded(id, &course, output).await || course.phase.is_over() {
                return;
            }
        }
    }

    /// Records a job's new course; whether it goes on.
    async fn recorded(self: &Arc<Self>, id: u64, course: &Course, output: Option<String>) -> bool {
        let course = course.clone();
        self.in_background(move |apps| apps.record(id, course, output)).await.is_ok()
    }

    /// Whether the image that a job needs next is here: then nothing need be got and recorded for it.
    async fn has_image(&self, job: &Job) -> bool {
        let entry = job.target.as_ref().and_then(Installed::entry).filter(|_| job.course.may_pull());
        let Some(entry) = entry else { return false };
        let request = Request::HasImage { app: job.app.clone(), digest: entry.index.clone() };
        broker::ask(&self.broker, &request, |_| ()).await.unwrap_or_default()
    }

    async fn look_until_seen(&self, id: u64) -> Projects {
        loop {
            match self.look().await {
                Ok(projects) => {
                    self.say(id, |live| live.waits = None);
                    return projects;
                }
                Err(why) => {
                    log::info!("job {id} waits: {why}");
                    self.say(id, |live| live.waits = Some(why));
                    tokio::time::sleep(DOCKER_AGAIN).await;
                }
            }
        }
    }

    /// One step through the broker. All of them can be done again.
    async fn step(self: &Arc<Self>, job: &Job, step: Step) -> Result<(), broker::Error> {
        let app = job.app.clone();
        let as_before = self.kept().apps.get(&app).cloned();
        let wanted = job.target.clone().or_else(|| as_before.clone());
        let at = self.kept().places.get(&app).copied();
        let place = if job.course.kind == Kind::Move { job.to } else { at };
        let request = match step {
            Step::Stop => Request::Stop { app },
            Step::Restart => match self.barred(&app) {
                Some(why) => return Err(failed(format!("`{app}` {NOT_NOW}: {why}"))),
                None => Request::Restart { app },
            },
            Step::Down => Request::Down { app, data: false },
            Step::DownWithData => Request::Down { app, data: true },
            Step::Pull => match known(wanted)? {
                Installed { what: What::Entry(entry), .. } => Request::Pull { digest: entry.index, app },
                Installed { what: What::Own(own), choices, .. } => {
                    Request::PullOwn { again: own.again, project: self.own_project(app, *own, choices) }
                }
            },
            Step::Up => self.up(app, known(wanted)?, true, place)?,
            Step::UpAsBefore => self.up(app, known(as_before)?, true, at)?,
            Step::Create => self.up(app, known(wanted)?, false, place)?,
            Step::CreateAsBefore => self.up(app, known(as_before)?, false, at)?,
            Step::Copy => match self.up(app, known(as_before)?, false, at)? {
                Request::Create { project } => Request::Move { project, to: job.to },
                _ => return Err(failed(Refused::NotMoved)),
            },
            Step::ClearOld => return self.clear(app, at, job.to).await,
            Step::ClearNew => return self.clear(app, job.to, at).await,
            Step::Save => return self.save(job).await,
            Step::Check => return self.check(job).await,
            Step::Fill => return self.fill(job).await,
            Step::Hold => Request::Hold { container: adopting(job)?.container },
            Step::MoveIn => Request::MoveIn { container: adopting(job)?.container, app },
            Step::Steady => return self.steady(&app).await,
            Step::Release => {
                let Adopting { container, was } = adopting(job)?;
                Request::Release { container, was }
            }
        };
        let id = job.id;
        let told = broker::ask(&self.broker, &request, |progress| self.say(id, |live| live.progress = Some(progress))).await;
        if step == Step::DownWithData {
            self.is_untidy(at);
        }
        self.say(id, |live| live.progress = None);
        told
    }

    /// Looks for a while whether an app goes on running: one without a health check is well as soon as it has started.
    async fn steady(&self, app: &str) -> Result<(), broker::Error> {
        let begun = Instant::now();
        loop {
            let run = self.look().await.map_err(failed)?.get(app).copied().unwrap_or_default().run;
            if !matches!(run, Run::Running | Run::Starting) {
                return Err(failed(format!("`{app}` was started, and did not go on running")));
            }
            if begun.elapsed() >= STEADY {
                return Ok(());
            }
            tokio::time::sleep(STEADY_LOOK_EVERY).await;
        }
    }

    /// What makes an app as it is wanted, and starts it or not.
    fn up(&self, app: String, installed: Installed, start: bool, place: Option<DiskId>) -> Result<Request, broker::Error> {
        if let Some(why) = self.barred(&app).filter(|_| start) {
            return Err(failed(format!("`{app}` {NOT_NOW}: {why}")));
        }
        let choices = installed.choices;
        match installed.what {
            What::Entry(entry) => {
                let facts = self.catalog.facts_text(&entry).map_err(failed)?;
                let project = Project { app, facts, digest: entry.index, choices, place };
                Ok(if start { Request::Up { project } } else { Request::Create { project } })
            }
            What::Own(own) => {
                let project = self.own_project(app, *own, choices);
                Ok(if start { Request::UpOwn { project } } else { Request::CreateOwn { project } })
            }
        }
    }

    /// Has what an app keeps at one place taken away, once it has all of it at another.
    async fn clear(&self, app: String, from: Option<DiskId>, keep: Option<DiskId>) -> Result<(), broker::Error> {
        broker::ask::<()>(&self.broker, &Request::Clear { app, from, keep }, |_| ()).await?;
        self.is_untidy(from);
        Ok(())
    }

    /// With what is granted now: what an owner took back holds for the next start.
    fn own_project(&self, app: String, own: Own, choices: Choices) -> OwnProject {
        let Saved { definition, mut grants, .. } = own.saved;
        if let Some(now) = self.own.get(&app).filter(|now| now.definition == definition) {
            grants.retain(|grant| now.grants.contains(grant));
        }
        OwnProject { app, definition, grants, choices }
    }

    /// Records a job's new course. What can't be written holds in memory: after a restart the step is done again.
    fn record(&self, id: u64, course: Course, output: Option<String>) {
        let advance = |kept: &mut Kept| {
            kept.advance(id, course.clone(), output.clone());
            Ok(())
        };
        if let Err(error) = self.alter(advance) {
            log::error!("job {id} can't be recorded: {error}");
            let _advanced = advance(&mut self.kept());
            self.told.send_replace(());
        }
    }

    /// How an app was when it was seen last.
    pub(super) fn of(seen: &Result<Projects, String>, app: &str) -> Option<ProjectState> {
        seen.as_ref().ok().map(|projects| projects.get(app).copied().unwrap_or_default())
    }
}

/// A step that came to nothing for that reason.
pub(super) fn failed(error: impl std::fmt::Display) -> broker::Error {
    broker::Error::Failed(broker::Failure { error: error.to_string(), output: String::new() })
}

/// The container whose place a job's app takes.
fn adopting(job: &Job) -> Result<Adopting, broker::Error> {
    job.adopting.clone().ok_or_else(|| failed("nothing is known of the container that it takes the place of"))
}

fn known(app: Option<Installed>) -> Result<Installed, broker::Error> {
    app.ok_or_else(|| failed("nothing is known of this app any more"))
}
