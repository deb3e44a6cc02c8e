//! Backups of apps in the API: the key that they are for, those that there are, making one, and restoring one. The page's forms call the
//! same functions.

use super::apps::{accepted, begin, kept, refused};
use super::blobs::{asked, refused as blob_refused};
use super::own::at_work;
use super::paging;
use super::problem::Refusal;
use crate::apps::{BackupView, BackupWish, JobView, Key, KeyView, NewKey, NotAKey, RestoreWish};
use crate::net::BlobSearch;
use crate::state::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;

/// A page of the backups that nodes hold, by the hashes of their blobs.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct BackupsPage {
    /// The backups.
    pub backups: Vec<BackupView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

fn no_key(error: NotAKey) -> Refusal {
    let status = match error {
        NotAKey::Secret | NotAKey::Wrong => StatusCode::UNPROCESSABLE_ENTITY,
        NotAKey::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    Refusal::new(status, error.to_string())
}

async fn at_key<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&crate::apps::BackupKey) -> Result<T, NotAKey> + Send + 'static,
) -> Result<T, Refusal> {
    kept(app)?;
    at_work(app, move |apps| work(apps.backup_key())).await?.map_err(no_key)
}

/// Makes a key; its secret half is told this once.
pub(super) async fn new_key(app: &App) -> Result<NewKey, Refusal> {
    at_key(app, |key| key.make()).await
}

/// Takes a key that already exists.
pub(super) async fn choose_key(app: &App, key: Key) -> Result<KeyView, Refusal> {
    at_key(app, move |kept| kept.set(&key.recipient)).await
}

/// A page of the backups that nodes hold.
pub(super) async fn find(app: &App, search: BlobSearch) -> Result<BackupsPage, Refusal> {
    let found = app.apps().backups(app.blobs(), app.registry().as_ref(), search).await;
    found.map(|(backups, next)| BackupsPage { backups, next }).map_err(blob_refused)
}

/// All backups that are on this node, whatever others tell of theirs.
pub(super) async fn held(app: &App) -> Result<Vec<BackupView>, Refusal> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let search = BlobSearch { limit: Some(paging::MAX_PAGE), after, ..BlobSearch::default() };
        let (backups, next) = app.apps().backups(app.blobs(), None, search).await.map_err(blob_refused)?;
        all.extend(backups);
        match next {
            Some(next) => after = next,
            None => return Ok(all),
        }
    }
}

/// Begins to make a backup of an app.
pub(super) async fn begin_backup(app: &App, name: String, wish: BackupWish) -> Result<JobView, Refusal> {
    kept(app)?;
    begin(app, move |apps| apps.back_up(&name, wish)).await
}

/// Begins to restore one.
pub(super) async fn begin_restore(app: &App, hash: &str, wish: RestoreWish) -> Result<JobView, Refusal> {
    kept(app)?;
    app.apps().restore(hash, wish).await.map_err(refused)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    uri: Uri,
    query: Result<Query<BlobSearch>, QueryRejection>,
) -> Result<Response, Refusal> {
    let search = asked(query)?;
    let page = find(&app, search).await?;
    Ok(paging::answer(&uri, page.next.clone(), |_| page))
}

pub(super) async fn make(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(wish): Json<BackupWish>,
) -> Result<(StatusCode, Json<JobView>), Refusal> {
    accepted(begin_backup(&app, name, wish).await)
}

pub(super) async fn restore(
    State(app): State<Arc<App>>,
    Path(hash): Path<String>,
    Json(wish): Json<RestoreWish>,
) -> Result<(StatusCode, Json<JobView>), Refusal> {
    accepted(begin_restore(&app, &hash, wish).await)
}

pub(super) async fn key(State(app): State<Arc<App>>) -> Json<KeyView> {
    Json(app.apps().backup_key().view())
}

pub(super) async fn make_key(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<NewKey>), Refusal> {
    new_key(&app).await.map(|key| (StatusCode::CREATED, Json(key)))
}

pub(super) async fn set_key(State(app): State<Arc<App>>, Json(key): Json<Key>) -> Result<Json<KeyView>, Refusal> {
    choose_key(&app, key).await.map(Json)
}
