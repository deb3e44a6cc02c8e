//! HTTP: the page and the reading API for everybody, changes for those who reach the local socket.

mod changes;
mod guard;
mod page;
mod serve;
mod services;
mod store;

pub use changes::{InviteRequest, JoinRequest, MinutesRequest, NameRequest, UnitRequest, may_change, router as changes};
pub use serve::{Listener, serve};

use crate::limits::HTTP_BODY_BYTES;
use crate::net::{ClusterView, Page, Search};
use crate::state::App;
use crate::status::Status;
use crate::text::Lang;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use std::sync::Arc;

/// What everybody may ask: reading only.
pub fn reading(app: Arc<App>) -> Router {
    let name: Arc<str> = app.name().into();
    Router::new()
        .route("/", get(show_page))
        .route("/body", get(show_body))
        .route("/style.css", get(|| asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("../../assets/page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("../../assets/icon.svg"))))
        .merge(api())
        .merge(store::router().route_layer(middleware::from_fn_with_state(Arc::clone(&app), store::needs_token)))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The page is at /, the API at /api/v1/status.\n") })
        .layer(middleware::from_fn_with_state(name, guard::guard))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// The reading half of the API.
fn api() -> Router<Arc<App>> {
    Router::new().route("/api/v1/status", get(show_status)).route("/api/v1/nodes", get(show_nodes)).merge(services::reading())
}

fn lang(headers: &HeaderMap) -> Lang {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).map(Lang::accepted).unwrap_or_default()
}

async fn show_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = lang(&headers);
    let (status, view, services) = shown(&app, lang).await;
    html(page::page(&status, view.as_ref(), &services, lang).into_string())
}

async fn show_body(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = lang(&headers);
    let (status, view, services) = shown(&app, lang).await;
    html(page::body(&status, view.as_ref(), &services, lang).into_string())
}

/// What the page shows.
async fn shown(app: &App, lang: Lang) -> (Status, Option<ClusterView>, Page) {
    let services = services::find(app, &Search::default()).await.unwrap_or_default();
    (app.status(lang).await, app.view(), services)
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

fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::VARY, "Accept-Language")], text).into_response()
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
