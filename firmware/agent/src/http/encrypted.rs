//! HTTPS in the API and on the page: how the node is reached by it, what a browser is to trust, and whether plain HTTP leads there. The
//! page's forms call the same functions.

use super::caller::{Caller, Who};
use super::guard::bare;
use super::problem::Refusal;
use super::serve::Encrypted;
use crate::https::{Choice, Https, HttpsView};
use crate::state::App;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use std::sync::Arc;

/// What stays on plain HTTP: what a browser needs before it can trust,
const ROOT: &str = "/root.crt";
/// and the store of apps, which hold tokens and trust no root.
const STORE: &str = "/api/v1/store/";
const NONE: &str = "this node serves no HTTPS: `systemctl status cloudy` says why";
const COME_FIRST: &str =
    "come to this page by HTTPS first, without a warning of the browser: whoever closes plain HTTP before that may be locked out";

fn https(app: &App) -> Result<&Arc<Https>, Refusal> {
    app.https().ok_or_else(|| Refusal::new(StatusCode::CONFLICT, NONE))
}

/// How the node is reached.
pub(super) fn view(app: &App) -> Result<HttpsView, Refusal> {
    https(app).map(|https| https.view())
}

/// Says whether plain HTTP leads to HTTPS. Only who came by it closes the other way.
pub(super) async fn choose(app: &App, caller: &Caller, choice: Choice) -> Result<HttpsView, Refusal> {
    let https = Arc::clone(https(app)?);
    if choice.only && !caller.encrypted && !matches!(caller.who, Who::Local) {
        return Err(Refusal::new(StatusCode::CONFLICT, COME_FIRST));
    }
    // It waits for the disk.
    let chosen = tokio::task::spawn_blocking(move || https.choose(choice).map(|()| https.view())).await;
    let chosen = chosen.map_err(|ending| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ending.to_string()))?;
    chosen.map_err(|error| Refusal::new(StatusCode::INSUFFICIENT_STORAGE, format!("it could not be kept: {error:#}")))
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Result<Json<HttpsView>, Refusal> {
    view(&app).map(Json)
}

pub(super) async fn set(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Json(choice): Json<Choice>,
) -> Result<Json<HttpsView>, Refusal> {
    choose(&app, &caller, choice).await.map(Json)
}

/// `GET /root.crt`: what a browser or a phone is told to trust.
pub(super) async fn root(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let kind = [(header::CONTENT_TYPE, "application/x-x509-ca-cert"), (header::CONTENT_DISPOSITION, "attachment; filename=\"cloudy.crt\"")];
    Ok((kind, https(&app)?.root_der()).into_response())
}

/// Leads who comes by plain HTTP to HTTPS, where an owner has said so. `guard` has seen that the host is this node.
pub async fn lead(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let plain = request.extensions().get::<Encrypted>() == Some(&Encrypted(false));
    let led =
        app.https().filter(|https| plain && https.is_only() && request.uri().path() != ROOT && !request.uri().path().starts_with(STORE));
    match led {
        Some(https) => {
            let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            Redirect::temporary(&format!("{}{path}", https.view().at(bare(host)))).into_response()
        }
        None => next.run(request).await,
    }
}
