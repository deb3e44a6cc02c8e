//! What apps say and what they use, while somebody looks: logs as they come (server-sent events), and figures.

use super::apps::refused;
use super::caller::Caller;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use crate::apps::{Following, UseView};
use crate::limits::{FOLLOW_LOOK_EVERY, FOLLOWERS, FOLLOWERS_OF_ONE, LOG_MAX_LINES};
use crate::state::App;
use crate::users::Operation;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for those who follow what apps say: so many on this node, and of those so many for one person.
#[derive(Default)]
pub struct Seats(Mutex<BTreeMap<Option<String>, usize>>);

impl Seats {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Option<String>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a person, or for who is at the local socket; why there is none.
    fn take(self: &Arc<Self>, who: Option<&str>) -> Result<Seat, &'static str> {
        let (mut taken, who) = (self.taken(), who.map(str::to_owned));
        if taken.values().sum::<usize>() >= FOLLOWERS {
            return Err("too many follow logs already: try again later");
        }
        let its = taken.entry(who.clone()).or_default();
        if *its >= FOLLOWERS_OF_ONE {
            return Err("you follow too many logs already: close one of them");
        }
        *its += 1;
        Ok(Seat { all: Arc::clone(self), who })
    }
}

/// One's place among those who follow; free again when it is dropped.
struct Seat {
    all: Arc<Seats>,
    who: Option<String>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.all.taken();
        if let Some(its) = taken.get_mut(&self.who) {
            *its = its.saturating_sub(1);
        }
        taken.retain(|_, its| *its > 0);
    }
}

/// Somebody who follows.
struct Reading {
    app: Arc<App>,
    caller: Caller,
    following: Following,
    _seat: Seat,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Event, axum::Error>, Self)> {
        loop {
            let news = tokio::select! {
                news = self.following.next() => Some(news?),
                () = tokio::time::sleep(FOLLOW_LOOK_EVERY) => None,
            };
            // What a person may is asked anew before each word, and where none is said.
            if !self.caller.still_may(self.app.users(), Operation::Inspect) {
                return None;
            }
            if let Some(news) = news {
                return Some((Event::default().event("log").json_data(&news), self));
            }
        }
    }
}

/// The last lines of an app, then each as it is said; the end when the app is there no more, or who asks may not any more.
pub(super) async fn logs(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(lines): Query<super::apps::Lines>,
) -> Result<Response, Refusal> {
    let full = |why| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let seat = app.followers().take(caller.key().as_deref()).map_err(full)?;
    let following = app.apps().follow(&name, lines.wanted().min(LOG_MAX_LINES)).map_err(refused)?;
    let reading = Reading { app, caller, following, _seat: seat };
    Ok(Sse::new(futures_util::stream::unfold(reading, Reading::next)).keep_alive(KeepAlive::default()).into_response())
}

/// A page of what apps use, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppUsesPage))]
pub struct UsesPage {
    /// Apps that run.
    pub apps: Vec<UseView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// `GET /api/v1/app-uses`
pub(super) async fn uses(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let all = app.apps().uses().await.map_err(refused)?;
    let (apps, next) = paging::cut(all, Order::Up, |its| its.name.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| UsesPage { apps, next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_for_one_person_not_all_of_it() {
        let seats = Arc::new(Seats::default());
        let mut ana: Vec<Seat> = (0..FOLLOWERS_OF_ONE).map(|_| seats.take(Some("ana")).unwrap()).collect();
        assert!(seats.take(Some("ana")).is_err_and(|why| why.contains("close one")));
        let local: Vec<Seat> = (0..FOLLOWERS_OF_ONE).map(|_| seats.take(None).unwrap()).collect();
        let others: Vec<Seat> = (0..FOLLOWERS - 2 * FOLLOWERS_OF_ONE).map(|n| seats.take(Some(&n.to_string())).unwrap()).collect();
        assert!(seats.take(Some("ben")).is_err_and(|why| why.contains("too many")));
        ana.pop();
        let ben = seats.take(Some("ben")).unwrap();
        assert!(seats.take(Some("ana")).is_err(), "it is taken");
        drop((ana, local, others, ben));
        assert!(seats.taken().is_empty(), "nothing is kept of who has gone");
    }
}
