//! HTTP: the page and the API. Over the network everybody reads what is shared, apps with their token use their store, and users do
//! what `users::may` allows; those who reach the local socket may do all of it and some things more.
//!
//! ```text
//! serve (who is there) ─▶ guard (host, origin) ─▶ allow (session, token, table, csrf, journal) ─▶ page or API
//! ```

mod allow;
mod apps;
mod at;
mod audit;
mod backups;
mod blobs;
mod browse;
mod by_hand;
mod caller;
mod catalogs;
mod changes;
mod codes;
mod contained;
mod encrypted;
mod follow;
mod forms;
mod guard;
mod hidden;
mod household;
mod jobs;
mod leases;
mod metrics;
mod multipart;
mod muted;
mod nodes;
mod once;
#[cfg(test)]
mod openapi;
mod own;
mod pages;
mod paging;
mod places;
mod problem;
mod routes;
mod serve;
mod services;
mod settings;
mod setup;
mod shared_apps;
mod storage;
mod store;
#[cfg(test)]
mod tests;
mod tunnels;
mod users;
mod versions;
mod words;

pub use blobs::{NewBlob, NewQuota};
pub use changes::{
    DismissRequest, FoundRequest, InviteRequest, JoinRequest, MinutesRequest, NameRequest, NodeRequest, UnitRequest, may_change,
};
pub use contained::contained;
pub use follow::Seats;
pub use guard::LOCAL_DOMAINS;
pub use hidden::HideWish;
pub use household::{HouseholdAnswer, HouseholdWish};
pub use leases::{Decision as LeaseDecision, Word as LeaseWord};
pub use own::OwnWish;
pub use serve::{Encrypted, Listener, Peer, serve};
pub use settings::{PowerRequest, ResetRequest};
pub use shared_apps::Sharing;
pub use storage::MoveWish;
pub use tunnels::TunnelWish;
pub use users::{NewPassword, NewRole, NewToken, NewUser};
pub use versions::unchanged;
pub use words::{AskRequest, NewcomerDecision, SameWords};

use crate::limits::HTTP_BODY_BYTES;
use crate::state::App;
use crate::text::Lang;
use crate::users::Operation;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use problem::Refusal;
use routes::Side;
use std::sync::Arc;

/// What is served on the network.
pub fn network(app: Arc<App>) -> Router {
    let name: Arc<str> = app.name().into();
    let stores = routes::router(|route| route.operation == Operation::Store);
    routes::router(|route| route.side() != Side::Local && route.operation != Operation::Store)
        .merge(stores.route_layer(middleware::from_fn_with_state(Arc::clone(&app), store::needs_token)))
        .route_layer(middleware::from_fn(versions::tagged))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The page is at /, the API is told at /api.\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), encrypted::lead))
        .layer(middleware::from_fn_with_state(name, guard::guard))
        .layer(middleware::from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// What is served on the local socket: the same API, and what stays on the node.
pub fn local(app: Arc<App>) -> Router {
    routes::router(|route| route.side() != Side::Network)
        .route_layer(middleware::from_fn(versions::tagged))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is no such thing in this API") })
        .layer(middleware::from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// What is served to the other nodes of this one's owner: the API, but for what is a person's own here, and for further nodes.
pub fn household(app: Arc<App>) -> Router {
    // Whose a node is, is said on that node; so is who may come without HTTPS, which depends on how they came.
    const HERE: [&str; 2] = ["session", "https_set"];
    let theirs = |operation| matches!(operation, Operation::Look | Operation::Inspect | Operation::Operate | Operation::Own);
    let away =
        |route: &routes::Route| [at::PREFIX, household::PATH].iter().any(|path| route.path.starts_with(path)) || HERE.contains(&route.id);
    routes::router(|route| route.side() == Side::Both && theirs(route.operation) && !away(route))
        .route_layer(middleware::from_fn(versions::tagged))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), allow::allow))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is no such thing that is done on another node: do it there") })
        .layer(middleware::from_fn(problem::in_form))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// A text as a part of an address (RFC 3986, section 2), which it is in a header too (RFC 8187).
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn lang(headers: &HeaderMap) -> Lang {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).map(Lang::accepted).unwrap_or_default()
}

async fn show_status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    Json(app.status(lang(&headers)).await).into_response()
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    match app.view() {
        Some(view) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&view)).into_response(),
        None => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, changes::NO_NETWORK).into_response(),
    }
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/page.js"))
}

async fn upload_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/upload.js"))
}

async fn log_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/log.js"))
}

async fn zone_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/zone.js"))
}

async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../../assets/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
