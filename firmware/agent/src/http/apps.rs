//! Apps in the API: what is installed for everybody; the catalog, changes, settings and logs for operators (`jobs` has what becomes of
//! changes). The page's forms call the same functions.

use super::caller::Caller;
use super::codes;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use super::services::NO_COMMUNITY;
use super::versions::{IfMatch, Revision};
use crate::apps::{AppView, Apps, CatalogView, JobView, NotPublished, Publication, Refused, UpdateView, Wish, catalog};
use crate::pieces::Incoming;
use crate::revision::Expected;
use crate::state::App;
use crate::text::Code;
use crate::units::Action;
use crate::users::Operation;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Lines of a log where nobody says how many.
pub(super) const LOG_LINES: u32 = 100;

/// A page of apps of this node, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AppsPage {
    /// The apps.
    pub apps: Vec<AppView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// A page of the catalog, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct CatalogPage {
    /// What can be installed.
    pub apps: Vec<CatalogView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// What was taken into the catalog.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogAdded))]
pub struct Added {
    /// Names of apps.
    pub added: Vec<String>,
}

/// What the catalog has no more.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogForgotten))]
pub struct Forgotten {
    /// Name of the app.
    pub forgotten: String,
}

/// What an app said last.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppLogs))]
pub struct Logs {
    /// Its last lines, the newest at the end.
    pub logs: String,
}

/// Whether an app is published.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppPublished))]
pub struct Told {
    /// Name of the app.
    pub name: String,
    /// Whether.
    pub published: bool,
}

type Answer<T> = Result<Json<T>, Refusal>;
type Asked = Result<Query<Paging>, QueryRejection>;
/// What begins a job.
pub(super) type Begun = Result<(StatusCode, Json<JobView>), Refusal>;

fn refuse(status: StatusCode, error: String) -> Refusal {
    Refusal::new(status, error)
}

fn said(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

pub(super) fn not_taken(error: catalog::Refused) -> Refusal {
    use catalog::Refused as No;
    let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
    let status = match &error {
        No::Entry { .. } | No::App { .. } | No::Architecture { .. } | No::Machine | No::Other { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        No::Cut(_) => StatusCode::BAD_REQUEST,
        No::Busy => StatusCode::CONFLICT,
        No::Room { .. } => StatusCode::INSUFFICIENT_STORAGE,
        No::Io { source, .. } if full(source) => StatusCode::INSUFFICIENT_STORAGE,
        No::Io { .. } | No::Kept(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let told = codes::of_catalog(&error);
    refuse(status, said(error)).told(told)
}

pub(super) fn refused(error: Refused) -> Refusal {
    let status = match error {
        Refused::Unknown(_) | Refused::NotInstalled(_) | Refused::NoContainer(_) => StatusCode::NOT_FOUND,
        Refused::Installed(_)
        | Refused::Busy { .. }
        | Refused::Port(_)
        | Refused::InTheWay(_)
        | Refused::NoBackupKey
        | Refused::Adopted { .. }
        | Refused::NotAdopted(_)
        | Refused::ToAdopt { .. }
        | Refused::ByHand(_)
        | Refused::ThereAlready(_)
        | Refused::DiskNotReady
        | Refused::Barred { .. } => StatusCode::CONFLICT,
        Refused::Choice(_)
        | Refused::Faults(_)
        | Refused::NotTaken { .. }
        | Refused::NoSecretKey
        | Refused::Backup(_)
        | Refused::NotMoved => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Blob(error) => return super::blobs::refused(error),
        Refused::NotSaved(error) => return super::own::refused(error),
        Refused::NotGranted(_) => StatusCode::FORBIDDEN,
        Refused::Changed(_) => StatusCode::PRECONDITION_FAILED,
        Refused::Facts(error) => return not_taken(error),
        Refused::Docker(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::NoRoom { .. } | Refused::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    let told = codes::of_app(&error);
    refuse(status, said(error)).told(told)
}

/// The agent ends while it is at work.
fn ending(error: tokio::task::JoinError) -> Refusal {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Begins a job, which waits for the disk.
pub(super) async fn begin(
    app: &App,
    wish: impl FnOnce(&Arc<Apps>) -> Result<JobView, Refused> + Send + 'static,
) -> Result<JobView, Refusal> {
    app.apps().in_background(wish).await.map_err(ending)?.map_err(refused)
}

pub(super) fn accepted(begun: Result<JobView, Refusal>) -> Begun {
    begun.map(|job| (StatusCode::ACCEPTED, Json(job)))
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Asked) -> Result<Response, Refusal> {
    let (apps, next) = paging::cut(app.apps().list().await, Order::Up, |app| app.name.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| AppsPage { apps, next }))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let found = app.apps().list().await.into_iter().find(|app| app.name == name);
    let app = found.ok_or_else(|| refused(Refused::NotInstalled(name)))?;
    Ok((Extension(Revision(app.revision)), Json(app)).into_response())
}

pub(super) async fn list_catalog(State(app): State<Arc<App>>, uri: Uri, asked: Asked) -> Result<Response, Refusal> {
    let listed = app.apps().in_background(|apps| apps.list_catalog()).await;
    let mut listed = listed.map_err(|ending| refuse(StatusCode::SERVICE_UNAVAILABLE, ending.to_string()))?;
    let mut origins = app.catalogs().origins();
    listed.iter_mut().for_each(|listed| listed.source = origins.remove(&listed.name));
    let (apps, next) = paging::cut(listed, Order::Up, |app| app.name.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| CatalogPage { apps, next }))
}

/// Refuses where the record of what is begun would be gone at the next start.
pub(super) fn kept(app: &App) -> Result<(), Refusal> {
    let why = "this node's data is not kept in this run, so nothing is done with apps: `cloudy status` says what is wrong with it";
    if app.keeps() { Ok(()) } else { Err(refuse(StatusCode::CONFLICT, why.to_owned()).told(crate::text::Told::from(Code::DataNotKept))) }
}

pub(super) async fn add(State(app): State<Arc<App>>, body: Body) -> Answer<Added> {
    kept(&app)?;
    let upload = Incoming::of_upload(body.into_data_stream());
    let taken = app.apps().in_background(move |apps| apps.catalog().take(upload, || apps.in_use())).await.map_err(ending)?;
    taken.map(|added| Json(Added { added })).map_err(not_taken)
}

pub(super) async fn forget(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Forgotten> {
    let of = name.clone();
    match app.apps().in_background(move |apps| apps.catalog().forget(&of, || apps.in_use())).await.map_err(ending)? {
        Ok(true) => Ok(Json(Forgotten { forgotten: name })),
        Ok(false) => Err(refused(Refused::Unknown(name))),
        Err(error) => Err(not_taken(error)),
    }
}

/// Begins to install an app.
pub(super) async fn begin_install(app: &App, name: String, wish: Wish) -> Result<JobView, Refusal> {
    kept(app)?;
    begin(app, move |apps| apps.install(&name, wish)).await
}

/// Begins to change one.
pub(super) async fn begin_change(app: &App, name: String, wish: Wish, expected: Expected) -> Result<JobView, Refusal> {
    kept(app)?;
    begin(app, move |apps| apps.change(&name, wish, &expected)).await
}

/// Begins to remove one.
pub(super) async fn begin_remove(app: &App, name: String, with_data: bool, expected: Expected) -> Result<JobView, Refusal> {
    kept(app)?;
    begin(app, move |apps| apps.remove(&name, with_data, &expected)).await
}

/// Begins to start, stop or restart one.
pub(super) async fn begin_action(app: &App, name: String, action: &str) -> Result<JobView, Refusal> {
    let Some(known) = Action::value_variants().iter().find(|known| known.word() == action) else {
        let error = format!("an app can be started, stopped and restarted; not `{}`", action.escape_default());
        return Err(refuse(StatusCode::NOT_FOUND, error));
    };
    let action = *known;
    begin(app, move |apps| apps.act(&name, action)).await
}

pub(super) async fn install(State(app): State<Arc<App>>, Path(name): Path<String>, Json(wish): Json<Wish>) -> Begun {
    accepted(begin_install(&app, name, wish).await)
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
    Json(wish): Json<Wish>,
) -> Begun {
    accepted(begin_change(&app, name, wish, expected).await)
}

/// `DELETE /api/v1/apps/NAME?with-data=true`
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Removing {
    #[serde(default)]
    with_data: bool,
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(removing): Query<Removing>,
    IfMatch(expected): IfMatch,
) -> Begun {
    accepted(begin_remove(&app, name, removing.with_data, expected).await)
}

pub(super) async fn act(State(app): State<Arc<App>>, Path((name, action)): Path<(String, String)>) -> Begun {
    accepted(begin_action(&app, name, &action).await)
}

pub(super) async fn settings(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let (settings, revision) = app.apps().settings(&name).ok_or_else(|| refused(Refused::NotInstalled(name)))?;
    Ok((Extension(Revision(revision)), Json(settings)).into_response())
}

pub(super) async fn changes(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<UpdateView> {
    what_changes(&app, name).await.map(Json)
}

/// What an update of an app would change.
pub(super) async fn what_changes(app: &App, name: String) -> Result<UpdateView, Refusal> {
    app.apps().in_background(move |apps| apps.update(&name)).await.map_err(ending)?.map_err(refused)
}

/// `GET /api/v1/apps/NAME/logs`
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lines {
    lines: Option<u32>,
}

impl Lines {
    /// How many are wanted.
    pub(super) fn wanted(&self) -> u32 {
        self.lines.unwrap_or(LOG_LINES)
    }
}

pub(super) async fn logs(State(app): State<Arc<App>>, Path(name): Path<String>, Query(lines): Query<Lines>) -> Answer<Logs> {
    read_logs(&app, &name, lines.wanted()).await.map(|logs| Json(Logs { logs }))
}

/// What an app said last.
pub(super) async fn read_logs(app: &App, name: &str, lines: u32) -> Result<String, Refusal> {
    app.apps().logs(name, lines).await.map_err(refused)
}

pub(super) async fn publish(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
    Json(wanted): Json<Publication>,
) -> Answer<Told> {
    set_publication(&app, &caller, &name, Some(wanted), expected).await?;
    Ok(Json(Told { name, published: true }))
}

pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
) -> Answer<Told> {
    set_publication(&app, &caller, &name, None, expected).await?;
    Ok(Json(Told { name, published: false }))
}

/// Publishes an app, or no more. Under this node's name an address of any machine is the owner's to say, as with what is published by hand.
pub(super) async fn set_publication(
    app: &App,
    caller: &Caller,
    name: &str,
    wanted: Option<Publication>,
    expected: Expected,
) -> Result<(), Refusal> {
    if let Some(url) = wanted.as_ref().and_then(|wanted| wanted.url.as_ref()).filter(|_| !caller.may(Operation::Own)) {
        let of = name.to_owned();
        let now = app.apps().in_background(move |apps| apps.changeable(&of, false)).await.ok().flatten();
        if now.and_then(|now| now.publication?.url).as_ref() != Some(url) {
            return Err(refuse(StatusCode::FORBIDDEN, "owners alone publish an app at an address of its own: leave it out".to_owned()));
        }
    }
    let registry = app.registry().ok_or_else(|| refuse(StatusCode::CONFLICT, NO_COMMUNITY.to_owned()))?;
    app.apps().publish(&registry, name, wanted, expected).await.map_err(|error| match error {
        NotPublished::Refused(error) => refused(error),
        NotPublished::Records(error) => super::services::refused(&error),
        error @ NotPublished::Taken(_) => {
            let told = codes::of_publication(&error);
            refuse(StatusCode::CONFLICT, said(error)).told(told)
        }
        error @ NotPublished::Draft(_) => refuse(StatusCode::UNPROCESSABLE_ENTITY, said(error)),
    })
}
