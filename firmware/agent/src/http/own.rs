//! Apps of people's own in the API: forms and compose files that are saved, and what owners grant them. The page's forms call the same
//! functions.

use super::blobs;
use super::caller::Caller;
use super::codes;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use crate::apps::{Apps, NotSaved, OwnDetails, OwnView};
use crate::state::App;
use crate::users::Operation;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use contract::apps::own::{Definition, Form, Privilege, TEXT_BYTES};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn refused(error: NotSaved) -> Refusal {
    let status = match error {
        NotSaved::Name(_) | NotSaved::Faults(_) | NotSaved::NotAsked { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        NotSaved::Taken(_) | NotSaved::There(_) => StatusCode::CONFLICT,
        NotSaved::Unknown(_) => StatusCode::NOT_FOUND,
        NotSaved::Full | NotSaved::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    Refusal::new(status, error.to_string()).told(codes::of_own(&error))
}

/// Does what waits for the disk.
pub(super) async fn at_work<T: Send + 'static>(app: &App, work: impl FnOnce(&Arc<Apps>) -> T + Send + 'static) -> Result<T, Refusal> {
    let done = app.apps().in_background(work).await;
    done.map_err(|ending| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ending.to_string()))
}

/// All that are saved.
pub(super) async fn all(app: &App) -> Result<Vec<OwnView>, Refusal> {
    at_work(app, |apps| apps.list_own()).await
}

/// One of them.
async fn details(app: &App, name: &str) -> Result<OwnDetails, Refusal> {
    let of = name.to_owned();
    let found = at_work(app, move |apps| apps.own_details(&of)).await?;
    found.ok_or_else(|| refused(NotSaved::Unknown(name.escape_default().take(60).collect())))
}

/// That somebody may see and change what is saved under a name: what was read from a container has values that nobody typed here.
fn for_them(app: &App, name: &str, caller: &Caller) -> Result<(), Refusal> {
    match !caller.may(Operation::Own) && app.apps().is_for_owners(name) {
        false => Ok(()),
        true => {
            let why = "what is saved of it was read from a container that was made by hand, and may hold secrets: owners alone see it";
            Err(Refusal::new(StatusCode::FORBIDDEN, why))
        }
    }
}

/// One of them, for somebody.
pub(super) async fn details_for(app: &App, name: &str, caller: &Caller) -> Result<OwnDetails, Refusal> {
    for_them(app, name, caller)?;
    details(app, name).await
}

/// Saves one, and tells what it asks for. One that is `new` is not put over another.
pub(super) async fn keep(app: &App, name: &str, definition: Definition, new: bool, by: &Caller) -> Result<OwnDetails, Refusal> {
    super::apps::kept(app)?;
    for_them(app, name, by)?;
    let of = name.to_owned();
    at_work(app, move |apps| apps.save_own(&of, definition, new)).await?.map_err(refused)?;
    details(app, name).await
}

/// What is to be saved: `PUT /api/v1/own-apps/NAME`. A form, a compose file, or a blob that holds one.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnWish {
    /// What people call it.
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// One image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// A compose file's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<String>,
    /// The blob whose text that is, by its hash or an address with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

/// The compose file that is a blob, with its lines as they would be pasted.
pub(super) async fn compose_in(app: &App, blob: &str) -> Result<String, Refusal> {
    blobs::text(app, blob, TEXT_BYTES).await.map(|text| text.replace("\r\n", "\n"))
}

/// What is saved of it.
async fn defined(app: &App, wish: OwnWish) -> Result<Definition, Refusal> {
    let OwnWish { title, description, form, compose, blob } = wish;
    let compose = match blob {
        None => compose,
        Some(blob) if form.is_none() && compose.is_none() => Some(compose_in(app, &blob).await?),
        Some(_) => {
            let why = "an app of one's own is either a form (`form`), a compose file (`compose`), or a blob that is one (`blob`)";
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
    };
    Ok(Definition { title, description, form, compose })
}

/// Grants one what an owner ticked.
pub(super) async fn allow(app: &App, name: &str, grants: BTreeSet<Privilege>, by: &Caller) -> Result<OwnDetails, Refusal> {
    super::apps::kept(app)?;
    let (of, by) = (name.to_owned(), by.words());
    at_work(app, move |apps| apps.grant_own(&of, grants, &by)).await?.map_err(refused)?;
    details(app, name).await
}

/// Forgets one.
pub(super) async fn remove(app: &App, name: &str) -> Result<(), Refusal> {
    let of = name.to_owned();
    match at_work(app, move |apps| apps.forget_own(&of)).await?.map_err(refused)? {
        true => Ok(()),
        false => Err(refused(NotSaved::Unknown(name.escape_default().take(60).collect()))),
    }
}

/// Apps of people's own that are saved, by name: a page of them.
#[derive(serde::Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OwnAppsPage {
    /// They.
    apps: Vec<OwnView>,
    /// For the page after this: `after` of the next question; none at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// That an app of a person's own was forgotten.
#[derive(serde::Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OwnForgotten {
    /// Its name.
    forgotten: String,
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let (apps, next) = paging::cut(all(&app).await?, Order::Up, |app| app.name.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| OwnAppsPage { apps, next }))
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<OwnDetails>, Refusal> {
    details_for(&app, &name, &caller).await.map(Json)
}

pub(super) async fn save(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wish): Json<OwnWish>,
) -> Result<Json<OwnView>, Refusal> {
    for_them(&app, &name, &caller)?;
    let definition = defined(&app, wish).await?;
    keep(&app, &name, definition, false, &caller).await.map(|details| Json(details.view))
}

pub(super) async fn grant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(grants): Json<BTreeSet<Privilege>>,
) -> Result<Json<OwnView>, Refusal> {
    allow(&app, &name, grants, &caller).await.map(|details| Json(details.view))
}

pub(super) async fn forget(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<OwnForgotten>, Refusal> {
    remove(&app, &name).await?;
    Ok(Json(OwnForgotten { forgotten: name }))
}
