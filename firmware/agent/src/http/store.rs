//! The store for apps in the API: `/api/v1/store/APP/KEY`. Everybody on the local socket may use it; over the network
//! it is for apps that show the token of theirs (`Authorization: Bearer …`).
//!
//! Values are text in JSON, or base 64 where they are not text. The causal context is the `ETag`.

mod answers;

pub use answers::{AllWritten, AppToken, KeysPage, Names, OneName, Revoked, WritersView, Written};

use super::problem::Refusal;
use super::services::{NO_COMMUNITY, refused};
use crate::net::{AppChanged, Registry};
use crate::state::App as Agent;
use crate::tokens::AppTokens;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use cluster::appstore::{App, AppError, Change, Condition, ETag, Value, Wish, Writers};
use cluster::records::WriteError;
use cluster::store::StoreError;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

/// Room for one app's watches, where it is served at a socket of its own: no app takes that of others.
#[derive(Clone, Debug)]
pub struct OwnWatches(pub Arc<Semaphore>);

/// Most keys of one page.
pub const MAX_PAGE: usize = 100;

/// A value as it is read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreValue))]
#[serde(rename_all = "kebab-case")]
pub struct Read {
    /// The key.
    key: String,
    /// Its context, for `If-Match`.
    etag: String,
    /// A register's concurrent values; usually one.
    values: Vec<Text>,
    /// What was counted up and down in all; none where it is no counter.
    counter: Option<i128>,
    /// The elements of a set; none where it is no set.
    set: Option<Vec<Text>>,
}

/// Bytes: text where they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreText))]
#[serde(untagged, deny_unknown_fields)]
pub enum Text {
    Text(String),
    Base64 {
        /// Bytes that are no text, in base 64.
        base64: String,
    },
}

impl Text {
    fn of(bytes: &[u8]) -> Self {
        str::from_utf8(bytes).map_or_else(|_| Self::Base64 { base64: BASE64.encode(bytes) }, |text| Self::Text(text.to_owned()))
    }

    fn bytes(self) -> Result<Vec<u8>, No> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64 { base64 } => BASE64.decode(base64.as_bytes()).map_err(|_| No::unprocessable("the base 64 can't be read")),
        }
    }
}

impl Read {
    fn of(key: String, value: &Value) -> Self {
        let text = |bytes: &Vec<u8>| Text::of(bytes);
        Self {
            key,
            etag: value.etag.to_string(),
            values: value.values.iter().map(text).collect(),
            counter: value.counter,
            set: value.set.as_ref().map(|set| set.iter().map(text).collect()),
        }
    }
}

/// A change as it is asked for: one of the five, and perhaps a condition.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreChange))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wanted {
    /// Only in batches: elsewhere the path says it.
    key: Option<String>,
    /// Set the register to this.
    put: Option<Text>,
    /// `true`: delete the register's value.
    delete: Option<bool>,
    /// Count by so much.
    add: Option<i64>,
    /// Put this into the set.
    insert: Option<Text>,
    /// Take this out of the set.
    take: Option<Text>,
    /// A context (ETag): only if the key is as it was when it had that.
    if_match: Option<String>,
    /// `*`: only if there is nothing under the key.
    if_none_match: Option<String>,
}

/// `POST /api/v1/store/APP`
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreBatch))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Batch {
    /// Each with its key.
    changes: Vec<Wanted>,
}

/// `GET /api/v1/store/APP`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Paging {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

/// `PUT /api/v1/store-writers/APP`: ids of nodes or owners, or none for all members.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreWritersSet))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WritersRequest {
    /// Who may write beside the owner; none: every member.
    pub only: Option<Vec<String>>,
}

/// Lets a request of the network pass if it shows the token of the app that it is about.
pub async fn needs_token(
    State(agent): State<Arc<Agent>>,
    Path(params): Path<HashMap<String, String>>,
    request: Request,
    next: Next,
) -> Response {
    let mut shown = request.headers().get_all(header::AUTHORIZATION).iter();
    let token = match (shown.next().and_then(|value| value.to_str().ok()), shown.next()) {
        (Some(value), None) => value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
        _ => None,
    };
    let token = token.map(|(_, token)| token.trim()).unwrap_or_default();
    let app = params.get("app").map(String::as_str).unwrap_or_default();
    if agent.app_tokens().opens(token, app) {
        return next.run(request).await;
    }
    let mut response = refuse(StatusCode::UNAUTHORIZED, "show this app's token: `cloudy store token APP` on the node makes one");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// A refusal that is no answer yet: an answer is large to be passed about.
struct No(StatusCode, String);

impl No {
    fn unprocessable(error: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, error.into())
    }
}

impl From<No> for Response {
    fn from(No(status, error): No) -> Self {
        refuse(status, error)
    }
}

fn registry(agent: &Agent) -> Result<Registry, No> {
    agent.registry().ok_or_else(|| No(StatusCode::CONFLICT, NO_COMMUNITY.to_owned()))
}

type Answer = Result<Response, Response>;

fn refuse(status: StatusCode, error: impl ToString) -> Response {
    Refusal::new(status, error.to_string()).into_response()
}

fn named(app: &str) -> Result<App, No> {
    App::try_from(app).map_err(|error| No::unprocessable(error.to_string()))
}

fn unread(error: &StoreError) -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, error)
}

/// What a refused write answers.
fn unwritten(error: &AppError) -> Response {
    let status = match error {
        AppError::Key(_) | AppError::TooManyWishes(_) | AppError::Named(_) => StatusCode::UNPROCESSABLE_ENTITY,
        AppError::Share { error: cluster::appstore::ShareError::TooLong { .. }, .. } => StatusCode::PAYLOAD_TOO_LARGE,
        AppError::Share { .. } => StatusCode::CONFLICT,
        AppError::NotYet | AppError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        AppError::MayNotWrite(_) => StatusCode::FORBIDDEN,
        AppError::Changed { .. } => StatusCode::PRECONDITION_FAILED,
        AppError::Full { .. } | AppError::Writers(_) => StatusCode::INSUFFICIENT_STORAGE,
        AppError::Write(WriteError::TooMuch { .. } | WriteError::Store(StoreError::Full(_))) => StatusCode::INSUFFICIENT_STORAGE,
        AppError::Write(WriteError::Copied) => StatusCode::CONFLICT,
        AppError::Write(WriteError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
        AppError::Write(WriteError::Key(_) | WriteError::Value { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut response = refuse(status, error);
    if let AppError::Changed { etag, .. } = error {
        with_etag(&mut response, *etag);
    }
    response
}

fn with_etag(response: &mut Response, etag: ETag) {
    if let Ok(value) = format!("\"{etag}\"").parse() {
        response.headers_mut().insert(header::ETAG, value);
    }
}

pub(super) async fn read(State(agent): State<Arc<Agent>>, Path((app, key)): Path<(String, String)>) -> Answer {
    if !cluster::appstore::is_key(&key) {
        return Err(unwritten(&AppError::Key(key.chars().take(60).collect())));
    }
    let value = registry(&agent)?.app_read(named(&app)?, key.clone()).await.map_err(|error| refused(&error).into_response())?;
    let value = value.map_err(|error| unread(&error))?;
    if value.is_empty() {
        return Err(refuse(StatusCode::NOT_FOUND, format!("there is nothing under `{key}`")));
    }
    let mut response = Json(Read::of(key, &value)).into_response();
    with_etag(&mut response, value.etag);
    Ok(response)
}

pub(super) async fn list(
    State(agent): State<Arc<Agent>>,
    Path(app): Path<String>,
    uri: Uri,
    Query(paging): Query<Paging>,
    own: Option<Extension<OwnWatches>>,
    headers: HeaderMap,
) -> Answer {
    let (app, registry) = (named(&app)?, registry(&agent)?);
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        return Ok(watch(&agent, &registry, &app, own.map(|Extension(own)| own))?);
    }
    let limit = paging.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let found = registry
        .app_list(app, paging.after, limit)
        .await
        .map_err(|error| refused(&error).into_response())?
        .map_err(|error| unread(&error))?;
    let next = found.keys.last().filter(|_| found.more).map(|(key, _)| key.clone());
    let keys = found.keys.into_iter().map(|(key, value)| Read::of(key, &value)).collect();
    Ok(super::paging::answer(&uri, next, |next| KeysPage { keys, next }))
}

/// Changes of an app as they come: `changed` with its keys (or `all`), `missed` when the watcher was too slow: then, too,
/// any key may have changed.
fn watch(agent: &Agent, registry: &Registry, app: &App, own: Option<OwnWatches>) -> Result<Response, No> {
    let full = |_| No(StatusCode::SERVICE_UNAVAILABLE, "too many watch already: try again later".to_owned());
    let own = own.map(|OwnWatches(own)| own.try_acquire_owned()).transpose().map_err(full)?;
    let permit = (agent.app_watchers().try_acquire_owned().map_err(full)?, own);
    let (changes, app) = (registry.watch_apps(), app.to_string());
    let events = futures_util::stream::unfold((changes, app, permit), |(mut changes, app, permit)| async move {
        loop {
            let event = match changes.recv().await {
                Ok(AppChanged { app: of, .. }) if of != app => continue,
                Ok(changed) => Event::default().event("changed").json_data(&changed),
                Err(RecvError::Lagged(missed)) => Event::default().event("missed").json_data(missed),
                Err(RecvError::Closed) => return None,
            };
            return Some((event, (changes, app, permit)));
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// What a header says. A condition that can't be read is refused: as if it were not there, the write would be done.
fn header_once(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, No> {
    let mut said = headers.get_all(name).iter();
    match (said.next().map(HeaderValue::to_str), said.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text.to_owned())),
        _ => Err(No::unprocessable(format!("{name} can't be read: give it once, with one context"))),
    }
}

/// The one change that is wanted.
fn wish(wanted: Wanted, key: Option<String>, headers: Option<&HeaderMap>) -> Result<Wish, No> {
    let Wanted { key: named, put, delete, add, insert, take, if_match, if_none_match } = wanted;
    let one = || No::unprocessable("name one of put, delete, add, insert and take for each key");
    let key = match (named, key) {
        (Some(key), None) | (None, Some(key)) => key,
        _ => return Err(No::unprocessable("name the key once")),
    };
    let text = |text: Option<Text>, make: fn(Vec<u8>) -> Change| text.map(|text| text.bytes().map(make)).transpose();
    let all = [
        text(put, Change::Put)?,
        delete.filter(|delete| *delete).map(|_| Change::Delete),
        add.map(Change::Add),
        text(insert, Change::Insert)?,
        text(take, Change::Take)?,
    ];
    let mut all = all.into_iter().flatten();
    let (Some(change), None) = (all.next(), all.next()) else { return Err(one()) };
    let (is, absent) = match headers {
        Some(headers) => (header_once(headers, &header::IF_MATCH)?, header_once(headers, &header::IF_NONE_MATCH)?),
        None => (None, None),
    };
    let condition = match (if_match.or(is), if_none_match.or(absent)) {
        (None, None) => None,
        (Some(etag), None) => {
            let etag = etag.trim().trim_matches('"').parse();
            Some(Condition::Is(etag.map_err(|_| No(StatusCode::PRECONDITION_FAILED, "that is no context of this store".to_owned()))?))
        }
        (None, Some(any)) if any.trim() == "*" => Some(Condition::Absent),
        _ => return Err(No::unprocessable("give If-Match with a context, or If-None-Match with *")),
    };
    Ok(Wish { key, change, condition })
}

async fn write(agent: &Agent, app: &str, wishes: Vec<Wish>) -> Result<Vec<(String, ETag)>, Response> {
    let keys: Vec<String> = wishes.iter().map(|wish| wish.key.clone()).collect();
    let written = registry(agent)?.app_write(named(app)?, wishes).await.map_err(|error| refused(&error).into_response())?;
    let etags = written.map_err(|error| unwritten(&error))?;
    Ok(keys.into_iter().zip(etags).collect())
}

async fn write_one(agent: &Agent, app: &str, wish: Wish) -> Answer {
    let written = write(agent, app, vec![wish]).await?;
    let Some((key, etag)) = written.into_iter().next() else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let mut response = Json(Written { key, etag: etag.to_string() }).into_response();
    with_etag(&mut response, etag);
    Ok(response)
}

/// `PUT`: the body is the register's value, as JSON text or `{"base64": …}`.
pub(super) async fn put(
    State(agent): State<Arc<Agent>>,
    Path((app, key)): Path<(String, String)>,
    headers: HeaderMap,
    Json(text): Json<Text>,
) -> Answer {
    let wanted =
        Wanted { key: None, put: Some(text), delete: None, add: None, insert: None, take: None, if_match: None, if_none_match: None };
    write_one(&agent, &app, wish(wanted, Some(key), Some(&headers))?).await
}

pub(super) async fn delete(State(agent): State<Arc<Agent>>, Path((app, key)): Path<(String, String)>, headers: HeaderMap) -> Answer {
    let wanted =
        Wanted { key: None, put: None, delete: Some(true), add: None, insert: None, take: None, if_match: None, if_none_match: None };
    write_one(&agent, &app, wish(wanted, Some(key), Some(&headers))?).await
}

/// `POST`: a change by name.
pub(super) async fn change(
    State(agent): State<Arc<Agent>>,
    Path((app, key)): Path<(String, String)>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Answer {
    write_one(&agent, &app, wish(wanted, Some(key), Some(&headers))?).await
}

pub(super) async fn batch(
    State(agent): State<Arc<Agent>>,
    Path(app): Path<String>,
    headers: HeaderMap,
    Json(batch): Json<Batch>,
) -> Answer {
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "in a batch, each change names its own if-match or if-none-match"));
    }
    let wishes = batch.changes.into_iter().map(|wanted| wish(wanted, None, None)).collect::<Result<Vec<_>, _>>()?;
    let written = write(&agent, &app, wishes).await?;
    let keys = written.into_iter().map(|(key, etag)| Written { key, etag: etag.to_string() }).collect();
    Ok(Json(AllWritten { keys }).into_response())
}

pub(super) async fn names(State(agent): State<Arc<Agent>>) -> Answer {
    let apps = registry(&agent)?.app_names().await.map_err(|error| refused(&error).into_response())?;
    Ok(Json(Names { apps }).into_response())
}

pub(super) async fn own(State(agent): State<Arc<Agent>>, Path(label): Path<String>) -> Answer {
    let app = registry(&agent)?.app_owned(label).await.map_err(|error| refused(&error).into_response())?;
    let app = app.map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    Ok(Json(OneName { app: app.as_str().to_owned() }).into_response())
}

pub(super) async fn token(State(agent): State<Arc<Agent>>, Path(app): Path<String>) -> Answer {
    let app = named(&app)?;
    let token = kept(&agent, move |tokens| tokens.make(app.as_str())).await?;
    Ok(Json(AppToken { token }).into_response())
}

pub(super) async fn revoke(State(agent): State<Arc<Agent>>, Path(app): Path<String>) -> Answer {
    let app = named(&app)?;
    let revoked = kept(&agent, move |tokens| tokens.revoke(app.as_str())).await?;
    Ok(Json(Revoked { revoked }).into_response())
}

/// A change of the tokens, which waits for the disk.
async fn kept<T: Send + 'static>(
    agent: &Arc<Agent>,
    change: impl FnOnce(&AppTokens) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let agent = Arc::clone(agent);
    let changed = tokio::task::spawn_blocking(move || change(agent.app_tokens())).await;
    changed
        .map_err(anyhow::Error::from)
        .flatten()
        .map_err(|error| refuse(StatusCode::INSUFFICIENT_STORAGE, format!("the tokens could not be kept: {error:#}")))
}

pub(super) async fn writers(State(agent): State<Arc<Agent>>, Path(app): Path<String>) -> Answer {
    let app = named(&app)?;
    let facts = registry(&agent)?.app_facts(app.clone()).await.map_err(|error| refused(&error).into_response())?;
    let only = match facts.manifest.as_ref().map(cluster::appstore::Manifest::writers) {
        Some(Writers::All) => None,
        Some(Writers::Only(keys)) => Some(keys.iter().map(cluster::keys::Key::hex).collect()),
        None => app.is_owned().then(Vec::new),
    };
    Ok(Json(WritersView { only, this_node_writes: facts.writes }).into_response())
}

pub(super) async fn set_writers(State(agent): State<Arc<Agent>>, Path(app): Path<String>, Json(request): Json<WritersRequest>) -> Answer {
    let key = |id: &String| {
        cluster::keys::Key::of_hex(id)
            .ok_or_else(|| No::unprocessable(format!("`{}` is no id: 64 hexadecimal digits", id.chars().take(70).collect::<String>())))
    };
    let writers = match &request.only {
        None => Writers::All,
        Some(ids) => Writers::Only(ids.iter().map(key).collect::<Result<_, _>>()?),
    };
    let done = registry(&agent)?.app_writers(named(&app)?, writers).await.map_err(|error| refused(&error).into_response())?;
    done.map_err(|error| unwritten(&error))?;
    Ok(Json(OneName { app }).into_response())
}
