//! What was made with Docker by hand, in the API: seen by operators; adopted and taken away by owners. The page's forms call the same
//! functions.

use super::apps::{Begun, refused};
use super::caller::Caller;
use super::problem::Refusal;
use crate::apps::{AdoptWish, HandView, JobView};
use crate::broker::{ByHand, Thing};
use crate::state::App;
use crate::users::Operation;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use std::sync::Arc;

/// That something was taken away.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HandCleared {
    /// What, as it was asked for.
    removed: String,
}

/// All of it.
pub(super) async fn all(app: &App) -> Result<ByHand, Refusal> {
    app.apps().by_hand().await.map_err(refused)
}

/// What one container would be as an app. A command may have a password in it, so owners alone are told.
pub(super) async fn look(app: &App, container: &str, caller: &Caller) -> Result<HandView, Refusal> {
    let mut view = app.apps().look_by_hand(container).await.map_err(refused)?;
    if !caller.may(Operation::Own) {
        view.command.clear();
    }
    Ok(view)
}

/// Begins to make an app of it.
pub(super) async fn begin(app: &App, container: &str, wish: AdoptWish) -> Result<JobView, Refusal> {
    super::apps::kept(app)?;
    app.apps().adopt(container, wish).await.map_err(refused)
}

/// Takes something away.
pub(super) async fn clear(app: &App, thing: Thing) -> Result<(), Refusal> {
    super::apps::kept(app)?;
    app.apps().clear_by_hand(thing).await.map_err(refused)
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<ByHand>, Refusal> {
    all(&app).await.map(Json)
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<HandView>, Refusal> {
    look(&app, &id, &caller).await.map(Json)
}

pub(super) async fn adopt(State(app): State<Arc<App>>, Path(id): Path<String>, Json(wish): Json<AdoptWish>) -> Begun {
    begin(&app, &id, wish).await.map(|job| (StatusCode::ACCEPTED, Json(job)))
}

async fn cleared(app: &App, thing: Thing, which: String) -> Result<Json<HandCleared>, Refusal> {
    clear(app, thing).await.map(|()| Json(HandCleared { removed: which }))
}

pub(super) async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<HandCleared>, Refusal> {
    cleared(&app, Thing::Container(id.clone()), id).await
}

pub(super) async fn remove_image(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<HandCleared>, Refusal> {
    cleared(&app, Thing::Image(id.clone()), id).await
}

pub(super) async fn remove_volume(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<HandCleared>, Refusal> {
    cleared(&app, Thing::Volume(name.clone()), name).await
}
