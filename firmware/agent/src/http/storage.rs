//! Disks beside the node's own, in the API: how they are, preparing one, taking it away, and moving an app's data. The page's forms call
//! the same functions.

use super::apps::{Begun, accepted, begin, kept, refused as app_refused};
use super::problem::Refusal;
use crate::apps::{JobView, Refused};
use crate::state::App;
use crate::storage::{DiskAction, NotDone, PrepareWish, StorageView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use contract::storage::DiskId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where an app's data shall lie: `POST /api/v1/apps/NAME/move`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MoveWish {
    /// The disk's id; the node's own storage without.
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub disk: Option<DiskId>,
}

fn refused(error: NotDone) -> Refusal {
    let status = match error {
        NotDone::Name | NotDone::Erase => StatusCode::UNPROCESSABLE_ENTITY,
        NotDone::Absent => StatusCode::NOT_FOUND,
        NotDone::Named(_) | NotDone::Refused(_) | NotDone::State(_) | NotDone::Unit(_) => StatusCode::CONFLICT,
        NotDone::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
        NotDone::Systemd(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, format!("{:#}", anyhow::Error::from(error)))
}

/// The disks as they are now.
pub(super) async fn look(app: &App) -> Result<StorageView, Refusal> {
    let (storage, places) = (Arc::clone(app.storage()), app.apps().places());
    let looked = tokio::task::spawn_blocking(move || storage.view(&places)).await;
    let looked = looked.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    looked.map(|(view, _)| view).map_err(refused)
}

/// Makes a disk one of ours.
pub(super) async fn make(app: &App, wish: PrepareWish) -> Result<StorageView, Refusal> {
    kept(app)?;
    app.storage().prepare(app.apps(), wish).await.map_err(refused)?;
    look(app).await
}

/// Does something with one.
pub(super) async fn treat(app: &App, id: &str, action: &str) -> Result<StorageView, Refusal> {
    kept(app)?;
    let absent = |why: String| Refusal::new(StatusCode::NOT_FOUND, why);
    let action: DiskAction = serde_json::from_value(action.into())
        .map_err(|_| absent("a disk can be used, ejected, repaired or forgotten: `use`, `eject`, `repair`, `forget`".to_owned()))?;
    let id: DiskId = id.parse().map_err(absent)?;
    app.storage().act(app.apps(), id, action).await.map_err(refused)?;
    look(app).await
}

/// Begins to move an app's data.
pub(super) async fn begin_move(app: &App, name: String, wish: MoveWish) -> Result<JobView, Refusal> {
    kept(app)?;
    if wish.disk.is_some_and(|disk| !app.storage().is_ready(disk)) {
        return Err(app_refused(Refused::DiskNotReady));
    }
    begin(app, move |apps| apps.move_to(&name, wish.disk)).await
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Result<Json<StorageView>, Refusal> {
    look(&app).await.map(Json)
}

pub(super) async fn prepare(State(app): State<Arc<App>>, Json(wish): Json<PrepareWish>) -> Result<Json<StorageView>, Refusal> {
    make(&app, wish).await.map(Json)
}

pub(super) async fn act(State(app): State<Arc<App>>, Path((id, action)): Path<(String, String)>) -> Result<Json<StorageView>, Refusal> {
    treat(&app, &id, &action).await.map(Json)
}

pub(super) async fn move_app(State(app): State<Arc<App>>, Path(name): Path<String>, Json(wish): Json<MoveWish>) -> Begun {
    accepted(begin_move(&app, name, wish).await)
}
