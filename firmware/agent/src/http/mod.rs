//! HTTP: the page and the API. Over the network everybody reads what is shared, apps with their token use their store, and users do
//! what `users::may` allows; those who reach the local socket may do all of it and some things more.
//!
//! ```text
//! serve (who is there) ─▶ guard (host, origin) ─▶ allow (session, token, table, csrf, journal) ─▶ page or API
//! ```

mod allow;
mod apps;
mod caller;
mod changes;
mod forms;
mod guard;
mod metrics;
mod multipart;
mod own;
mod pages;
mod problem;
mod routes;
mod serve;
mod services;
mod store;
#[cfg(test)]
mod tests;
mod users;

pub use changes::{InviteRequest, JoinRequest, MinutesRequest, NameRequest, UnitRequest, may_change};
pub use serve::{Listener, serve};
pub use users::{NewPassword, NewRole, NewToken, NewUser};

use crate::limits::HTTP_BODY_BYTES;
use crate::state::App;
use crate::text::Lang;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use problem::Refusal;
use std::sync::Arc;

/// What is served on the network.
pub fn network(app: Arc<App>) -> Router {
    let name: Arc<str> = app.name().into();
    Router::new()
        .merge(forms::router())
        .route("/style.css", get(|| asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("../../assets/page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("../../assets/icon.svg"))))
        .merge(store::router().route_layer(middleware::from_fn_with_state(Arc::clone(&app), store::needs_token)))
        .merge(api())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The page is at /, the API at /api/v1/status.\n") })
        .layer(middleware::from_fn_with_state(name, guard::guard))
        .layer(middleware::from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// What is served on the local socket: the same API, and what stays on the node.
pub fn local(app: Arc<App>) -> Router {
    Router::new()
        .merge(api())
        .merge(changes::local())
        .merge(users::local())
        .merge(store::router())
        .merge(store::owning())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is no such thing in this API") })
        .layer(middleware::from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// The API, who may do what of it being decided in `allow`.
fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/status", get(show_status))
        .route("/api/v1/nodes", get(show_nodes))
        .route("/metrics", get(show_metrics))
        .merge(services::reading())
        .merge(services::changing())
        .merge(apps::reading())
        .merge(apps::changing())
        .merge(own::router())
        .merge(changes::owning())
        .merge(users::router())
}

fn lang(headers: &HeaderMap) -> Lang {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).map(Lang::accepted).unwrap_or_default()
}

async fn show_status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    Json(app.status(lang(&headers)).await).into_response()
}

async fn show_nodes(State(app): State<Arc<App>>) -> Response {
    match app.view() {
        Some(view) => Json(view).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "The network part of the agent does not run.\n").into_response(),
    }
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    match app.view() {
        Some(view) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&view)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "The network part of the agent does not run.\n").into_response(),
    }
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
