//! HTTP: the page and the reading API for everybody, the store for apps with their token, changes for those who reach the
//! local socket.

mod apps;
mod changes;
mod guard;
mod metrics;
mod page;
mod serve;
mod services;
mod store;

pub use changes::{InviteRequest, JoinRequest, MinutesRequest, NameRequest, UnitRequest, may_change, router as changes};
pub use serve::{Listener, serve};

use crate::apps::AppView;
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

/// What everybody may ask: reading only. What apps keep is for those that show their token.
pub fn reading(app: Arc<App>) -> Router {
    let name: Arc<str> = app.name().into();
    Router::new()
        .route("/", get(show_page))
        .route("/body", get(show_body))
        .route("/style.css", get(|| asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("../../assets/page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("../../assets/icon.svg"))))
        .merge(store::router().route_layer(middleware::from_fn_with_state(Arc::clone(&app), store::needs_token)))
        .merge(api())
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The page is at /, the API at /api/v1/status.\n") })
        .layer(middleware::from_fn_with_state(name, guard::guard))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES))
        .with_state(app)
}

/// The reading half of the API.
fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/status", get(show_status))
        .route("/api/v1/nodes", get(show_nodes))
        .route("/metrics", get(show_metrics))
        .merge(services::reading())
        .merge(apps::reading())
}

fn lang(headers: &HeaderMap) -> Lang {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).map(Lang::accepted).unwrap_or_default()
}

async fn show_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = lang(&headers);
    let (status, view, services, apps) = shown(&app, lang).await;
    html(page::page(&status, view.as_ref(), &services, &apps, lang).into_string())
}

async fn show_body(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = lang(&headers);
    let (status, view, services, apps) = shown(&app, lang).await;
    html(page::body(&status, view.as_ref(), &services, &apps, lang).into_string())
}

/// What the page shows.
async fn shown(app: &App, lang: Lang) -> (Status, Option<ClusterView>, Page, Vec<AppView>) {
    let services = services::find(app, &Search::default()).await.unwrap_or_default();
    (app.status(lang).await, app.view(), services, app.apps().list().await)
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

fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::VARY, "Accept-Language")], text).into_response()
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    /// Everything that changes something.
    const CHANGES: [(&str, &str); 26] = [
        ("POST", "/api/v1/found"),
        ("POST", "/api/v1/invite"),
        ("POST", "/api/v1/join"),
        ("POST", "/api/v1/rename"),
        ("POST", "/api/v1/leave"),
        ("POST", "/api/v1/kit"),
        ("POST", "/api/v1/door"),
        ("POST", "/api/v1/unit"),
        ("POST", "/api/v1/install"),
        ("GET", "/api/v1/install"),
        ("POST", "/api/v1/services"),
        ("PUT", "/api/v1/services/x"),
        ("DELETE", "/api/v1/services/x"),
        ("GET", "/api/v1/catalog"),
        ("POST", "/api/v1/catalog"),
        ("DELETE", "/api/v1/catalog/x"),
        ("POST", "/api/v1/apps/x"),
        ("PUT", "/api/v1/apps/x"),
        ("DELETE", "/api/v1/apps/x"),
        ("POST", "/api/v1/apps/x/start"),
        ("GET", "/api/v1/apps/x/settings"),
        ("GET", "/api/v1/apps/x/logs"),
        ("PUT", "/api/v1/apps/x/publication"),
        ("DELETE", "/api/v1/apps/x/publication"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/api/v1/jobs/1"),
    ];

    /// An agent alone, with nobody to ask.
    fn agent(data: &std::path::Path) -> Arc<App> {
        let (data, broker, registry) = (data.to_owned(), data.join("none.sock"), ([127, 0, 0, 1], 4748).into());
        Arc::new(App::new(data, broker, "garden".to_owned(), Vec::new(), None, None, registry))
    }

    /// The status that a router answers with.
    async fn status(router: Router, method: &str, path: &str) -> u16 {
        status_with(router, method, path, "").await
    }

    async fn status_with(router: Router, method: &str, path: &str, headers: &str) -> u16 {
        answer(router, method, path, headers).await.0
    }

    /// Whether a router has such a thing at all; what it has may still say that there is no such app.
    async fn is_there(router: Router, method: &str, path: &str) -> bool {
        let (status, body) = answer(router, method, path, "").await;
        status != 405 && !body.contains("no such thing in this API")
    }

    async fn answer(router: Router, method: &str, path: &str, headers: &str) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let server = tokio::spawn(serve(Listener::Tcp(listener), router, stopping));
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}");
        stream.write_all(format!("{head}content-length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.send(true).unwrap();
        server.await.unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    #[tokio::test]
    async fn the_network_serves_reading_only() {
        let data = tempfile::tempdir().unwrap();
        let app = agent(data.path());
        for (method, path) in CHANGES {
            let far = status(reading(Arc::clone(&app)), method, path).await;
            assert!(matches!(far, 404 | 405), "{method} {path}: {far}");
            assert!(is_there(changes(Arc::clone(&app)), method, path).await, "{method} {path} is not there at all");
        }
    }

    /// The store for apps: over the network for those who show a token.
    const STORE: [(&str, &str); 6] = [
        ("GET", "/api/v1/store/notes"),
        ("POST", "/api/v1/store/notes"),
        ("GET", "/api/v1/store/notes/a/b"),
        ("PUT", "/api/v1/store/notes/a/b"),
        ("POST", "/api/v1/store/notes/a/b"),
        ("DELETE", "/api/v1/store/notes/a/b"),
    ];

    /// What says who may use it: for the local socket alone.
    const OWNING: [(&str, &str); 6] = [
        ("GET", "/api/v1/store"),
        ("GET", "/api/v1/store-own/notes"),
        ("POST", "/api/v1/store-token/notes"),
        ("DELETE", "/api/v1/store-token/notes"),
        ("GET", "/api/v1/store-writers/notes"),
        ("PUT", "/api/v1/store-writers/notes"),
    ];

    #[tokio::test]
    async fn a_store_opens_to_its_own_token_and_a_token_opens_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let app = agent(data.path());
        let tokens = ["notes", "other"].map(|of| app.app_tokens().make(of).unwrap());
        let [own, other] = tokens.map(|token| format!("authorization: Bearer {token}\r\n"));
        let twice = format!("{other}{own}");
        for (method, path) in STORE {
            for headers in ["", "authorization: Bearer\r\n", "authorization: Bearer cloudy-app-\r\n", &other, &twice, &other.to_lowercase()]
            {
                let far = status_with(reading(Arc::clone(&app)), method, path, headers).await;
                assert_eq!(far, 401, "{method} {path} {headers}");
            }
            // This node belongs to no microcloud, which is asked after who may ask and what; `{}` is no value of a key.
            for headers in [&own, &own.replace("Bearer", "bearer")] {
                let opened = status_with(reading(Arc::clone(&app)), method, path, headers).await;
                assert!(matches!(opened, 409 | 422), "{method} {path}: {opened}");
            }
            let near = status(changes(Arc::clone(&app)), method, path).await;
            assert!(matches!(near, 409 | 422), "{method} {path}: {near}");
        }
        for (method, path) in OWNING.into_iter().chain(CHANGES) {
            let far = status_with(reading(Arc::clone(&app)), method, path, &own).await;
            assert!(matches!(far, 404 | 405), "{method} {path}: {far}");
            assert!(is_there(changes(Arc::clone(&app)), method, path).await, "{method} {path} is not there at all");
        }
    }
}
