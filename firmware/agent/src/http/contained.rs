//! What an app is served inside of its container, at a socket of its own: its store, and what everybody on the network may read of the
//! nodes. It needs no token, since the socket is only in that container; it may do what a token of that app could, and no more.
//!
//! It is not trusted: how much it may ask and watch is bounded for each app alone, so that it takes nothing from others.

use super::problem::{self, Refusal};
use super::store::OwnWatches;
use super::{allow, routes};
use crate::limits::{APP_STORE_READS, APP_STORE_WATCHES, APP_STORE_WRITES, HTTP_BODY_BYTES};
use crate::state::App;
use crate::users::Operation;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What is served beside the store, by its name in the table: an app needs to know on which node it is.
const BESIDE: &str = "nodes";

/// One app at its socket.
struct Its {
    /// Its name.
    app: String,
    reads: Mutex<Pace>,
    writes: Mutex<Pace>,
}

/// What the app of that name is served.
pub fn contained(agent: Arc<App>, app: &str) -> Router {
    let pace = |of| Mutex::new(Pace::new(of, Instant::now()));
    let its = Arc::new(Its { app: app.to_owned(), reads: pace(APP_STORE_READS), writes: pace(APP_STORE_WRITES) });
    routes::router(|route| route.operation == Operation::Store)
        .route_layer(from_fn_with_state(Arc::clone(&its), own_alone))
        .merge(routes::router(|route| route.id == BESIDE))
        .route_layer(from_fn_with_state(Arc::clone(&agent), allow::allow))
        .route_layer(from_fn_with_state(its, in_pace))
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "an app is served its store here, `/api/v1/store/APP`, and nothing else")
        })
        .layer(Extension(OwnWatches(Arc::new(Semaphore::new(APP_STORE_WATCHES)))))
        .layer(from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(agent)
}

/// Whether a store is the app's: the one of its name, which all members write, or one of that name that has an owner.
fn is_its_own(app: &str, store: &str) -> bool {
    store.split_once('.').map_or(store, |(label, _)| label) == app
}

/// Lets a request pass that is about the app's own store.
async fn own_alone(State(its): State<Arc<Its>>, Path(params): Path<HashMap<String, String>>, request: Request, next: Next) -> Response {
    if params.get("app").is_some_and(|store| is_its_own(&its.app, store)) {
        return next.run(request).await;
    }
    let app = &its.app;
    let why = format!("this is the socket of `{app}`: its stores are `{app}` and `{app}.OWNER`, and others are not for it");
    Refusal::new(StatusCode::FORBIDDEN, why).into_response()
}

/// Refuses what comes too fast, before anything is done for it.
async fn in_pace(State(its): State<Arc<Its>>, request: Request, next: Next) -> Response {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let pace = if reading { &its.reads } else { &its.writes };
    let wait = pace.lock().unwrap_or_else(PoisonError::into_inner).ask(Instant::now());
    let Err(wait) = wait else { return next.run(request).await };
    let again = Some(wait.as_secs().saturating_add(1));
    Refusal { again, ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "the app asks too often: slower, please") }.into_response()
}

/// So many at once, and one more each time that so long has passed. The time is said by those who ask.
#[derive(Debug)]
struct Pace {
    /// What one costs.
    each: Duration,
    /// What may be owed.
    most: Duration,
    /// When all that was asked is paid for.
    paid: Instant,
}

impl Pace {
    fn new((most, each): (u32, Duration), now: Instant) -> Self {
        Self { each, most: each.saturating_mul(most), paid: now }
    }

    /// Counts one, or says how long to wait for it; what was refused costs nothing.
    fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        let paid = self.paid.max(now) + self.each;
        let owed = paid.saturating_duration_since(now);
        if owed > self.most {
            return Err(owed.saturating_sub(self.most));
        }
        self.paid = paid;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_an_app_s_by_its_whole_name() {
        assert!(is_its_own("glance", "glance") && is_its_own("glance", "glance.aaaaaaaaaaaaaaaaaaaaaaaaaa"));
        for other in ["glances", "glanc", "", ".glance", "notes", "notes.glance", "glance/x", "GLANCE"] {
            assert!(!is_its_own("glance", other), "{other}");
        }
    }

    #[test]
    fn a_flood_is_let_through_at_its_pace_and_no_faster() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new((3, second), begun);
        assert_eq!((0..10).filter(|_| pace.ask(begun).is_ok()).count(), 3);
        assert_eq!(pace.ask(begun), Err(second));
        // In a minute of asking all the time, one a second more.
        let asked = (0..6000).filter(|n| pace.ask(begun + Duration::from_millis(10) * *n).is_ok()).count();
        assert!((59..=60).contains(&asked), "{asked}");
        // Who was silent has no more than that at once, and a clock that stands still gives nothing.
        let later = begun + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| pace.ask(later).is_ok()).count(), 3);
        assert!(pace.ask(begun).is_err());
    }
}
