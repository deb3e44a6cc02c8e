//! Jobs in the API: what is being done with apps, as a list, one by one, and as it happens (server-sent events).

use super::caller::Caller;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use crate::apps::JobView;
use crate::limits::JOBS_WATCH_LIFE;
use crate::state::App;
use crate::users::Operation;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// A page of jobs, the newest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// What of the jobs is asked for, and the cursor of the page after it.
pub(super) fn page_of(app: &App, asked: &Paging) -> Result<(Vec<JobView>, Option<String>), Refusal> {
    paging::cut(app.apps().jobs(), Order::Down, |job| job.id, asked)
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let (jobs, next) = page_of(&app, &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| JobsPage { jobs, next }))
}

fn none(id: u64) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no job {id}; old ones are forgotten"))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<Json<JobView>, Refusal> {
    app.apps().job_view(id).map(Json).ok_or_else(|| none(id))
}

/// What those who watch were told of each job: its hash.
#[derive(Default)]
struct Told(BTreeMap<u64, u64>);

impl Told {
    /// The jobs of `now` that are not as they were told, the oldest first. What is not there any more is forgotten.
    fn news(&mut self, mut now: Vec<JobView>) -> VecDeque<JobView> {
        now.sort_by_key(|job| job.id);
        let hash = |job: &JobView| {
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(job).unwrap_or_default().hash(&mut hasher);
            hasher.finish()
        };
        let before = std::mem::take(&mut self.0);
        now.into_iter()
            .filter(|job| {
                let hash = hash(job);
                self.0.insert(job.id, hash);
                before.get(&job.id) != Some(&hash)
            })
            .collect()
    }
}

/// Somebody who watches.
struct Watching {
    app: Arc<App>,
    caller: Caller,
    /// Only this job, until it is over.
    only: Option<u64>,
    changes: watch::Receiver<()>,
    told: Told,
    news: VecDeque<JobView>,
    over: bool,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Watching {
    fn look(&mut self) {
        let apps = self.app.apps();
        let now = match self.only {
            Some(id) => apps.job_view(id).into_iter().collect(),
            None => apps.jobs(),
        };
        self.over = self.only.is_some() && now.iter().all(|job| job.over);
        self.news = self.told.news(now);
    }

    async fn next(mut self) -> Option<(Result<Event, axum::Error>, Self)> {
        loop {
            // What a person may is asked anew before each word.
            if !self.caller.still_may(self.app.users(), Operation::Inspect) {
                return None;
            }
            if let Some(job) = self.news.pop_front() {
                return Some((Event::default().event("job").json_data(&job), self));
            }
            if self.over {
                return None;
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.until) => return None,
            }
            self.look();
        }
    }
}

fn begin(app: Arc<App>, caller: Caller, only: Option<u64>) -> Result<Response, Refusal> {
    let Ok(permit) = app.watchers().try_acquire_owned() else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many watch already: try again later"));
    };
    let mut changes = app.apps().watch_jobs();
    changes.mark_changed();
    let mut told = Told::default();
    if only.is_none() {
        // What was over before is in the list.
        told.news(app.apps().jobs().into_iter().filter(|job| job.over).collect());
    }
    let until = Instant::now() + JOBS_WATCH_LIFE;
    let watching = Watching { app, caller, only, changes, told, news: VecDeque::new(), over: false, until, _permit: permit };
    Ok(Sse::new(futures_util::stream::unfold(watching, Watching::next)).keep_alive(KeepAlive::default()).into_response())
}

/// All jobs that are not over, as they are; then each that is not as it was told.
pub(super) async fn events(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Refusal> {
    begin(app, caller, None)
}

/// One job, as it is; then each time when it is another; the end when it is over.
pub(super) async fn events_of_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Result<Response, Refusal> {
    app.apps().job_view(id).ok_or_else(|| none(id))?;
    begin(app, caller, Some(id))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::apps::{JobAsked, JobKind};

    pub fn job(id: u64, done: usize) -> JobView {
        JobView {
            id,
            app: "wiki".to_owned(),
            kind: JobKind::Start,
            state: "running".to_owned(),
            over: false,
            step: None,
            done,
            steps: 2,
            progress: None,
            waits: None,
            reason: None,
            output: String::new(),
            backup: None,
            asked: JobAsked::default(),
        }
    }

    #[test]
    fn each_is_told_once_of_what_is_new() {
        let mut told = Told::default();
        let ids = |news: VecDeque<JobView>| news.into_iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(ids(told.news(vec![job(2, 0), job(1, 0)])), [1, 2]);
        assert!(ids(told.news(vec![job(2, 0), job(1, 0)])).is_empty());
        assert_eq!(ids(told.news(vec![job(3, 0), job(2, 1), job(1, 0)])), [2, 3]);
        told.news(vec![job(3, 0)]);
        assert_eq!(told.0.len(), 1, "what is forgotten there is forgotten here");
    }
}
