//! Blobs in the API: what is public for everybody, all of it for operators.

use super::caller::Caller;
use super::codes;
use super::paging;
use super::problem::Refusal;
use crate::blobs::{BlobView, BlobsPage, Change, Refused, Visibility, Wish, gateway, hash_in};
use crate::limits::BLOB_REST;
use crate::net::BlobSearch;
use crate::state::App;
use crate::users::Operation;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `POST /api/v1/blobs?name=…`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewBlob {
    /// A file's name, without folders.
    pub name: String,
    /// What it is, such as `image/png`.
    #[serde(default)]
    pub media_type: String,
    /// Who may read it.
    #[serde(default)]
    pub visibility: Visibility,
}

/// How much room blobs have: `GET /api/v1/blob-quota`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobQuota))]
#[serde(rename_all = "kebab-case")]
pub struct Quota {
    /// Bytes that all blobs of this node may have together.
    quota_bytes: u64,
    /// Bytes that they have.
    used_bytes: u64,
    /// Whether the quota was set; else it is half of the disk.
    set: bool,
    /// Where public blobs are given to everybody, as `http://NODE:PORT/HASH`; none where that could not be opened.
    gateway_port: Option<u16>,
    /// Where a damaged database of blobs was put aside at this start, and what was wrong with it.
    put_aside: Option<String>,
}

/// Another quota: `PUT /api/v1/blob-quota`
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewBlobQuota))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewQuota {
    /// Bytes; none for half of the disk.
    pub quota_bytes: Option<u64>,
}

/// What this node holds no more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BlobRemoved))]
#[serde(rename_all = "kebab-case")]
pub struct Removed {
    /// Its hash.
    removed: String,
}

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) fn refused(error: Refused) -> Refusal {
    let status = match &error {
        Refused::NotHere(_) | Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::NotWhole(_) | Refused::InTheWay { .. } => StatusCode::CONFLICT,
        Refused::Wrong(_) | Refused::TooLong { .. } | Refused::NoText(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::NoRoom(_) | Refused::DiskFull { .. } | Refused::NotKept => StatusCode::INSUFFICIENT_STORAGE,
        Refused::Busy | Refused::Store(_) | Refused::NotCome { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refused::NotImported(why) => why.status(),
    };
    Refusal::new(status, error.to_string()).told(codes::of_blob(&error))
}

/// What is looked for.
pub(super) fn asked(query: Result<Query<BlobSearch>, QueryRejection>) -> Result<BlobSearch, Refusal> {
    query.map(|Query(search)| search).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))
}

/// A page of what nodes hold, as far as the one who asks may see it.
pub(super) async fn find(app: &App, caller: &Caller, search: BlobSearch) -> Result<BlobsPage, Refusal> {
    app.blobs().page(app.registry().as_ref(), search, caller.may(Operation::Inspect)).await.map_err(refused)
}

/// Begins to fetch a blob.
pub(super) async fn begin_fetch(app: &App, hash: &str) -> Result<BlobView, Refusal> {
    app.blobs().fetch(app.registry().as_ref(), hash).await.map_err(refused)
}

/// The text of a blob that somebody named by its hash or address, of so many bytes at most; fetched first where it is not here.
pub(super) async fn text(app: &App, typed: &str, most: usize) -> Result<String, Refusal> {
    let hash = hash_in(typed).map_err(refused)?;
    app.blobs().text(app.registry().as_ref(), hash, most).await.map_err(refused)
}

/// Says something else of one.
pub(super) async fn alter(app: &App, hash: &str, change: Change) -> Result<BlobView, Refusal> {
    app.blobs().change(hash, change).await.map_err(refused)
}

/// Removes one from this node.
pub(super) async fn let_go(app: &App, hash: &str) -> Result<(), Refusal> {
    app.blobs().remove(hash).await.map_err(refused)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    query: Result<Query<BlobSearch>, QueryRejection>,
) -> Result<Response, Refusal> {
    let search = asked(query)?;
    let page = find(&app, &caller, search).await?;
    Ok(paging::answer(&uri, page.next.clone(), |_| page))
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    query: Result<Query<NewBlob>, QueryRejection>,
    body: Body,
) -> Result<(StatusCode, Json<BlobView>), Refusal> {
    let Query(NewBlob { name, media_type, visibility }) =
        query.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let wish = Wish { name, media_type, visibility, pinned: true, app: None };
    let mut stream = body.into_data_stream();
    let added = app.blobs().add(wish, &mut stream).await.map_err(refused);
    if added.is_err() {
        // Who is refused while still sending would hear of a broken connection and not why: the rest is read for a while.
        let rest = async { while stream.next().await.is_some_and(|piece| piece.is_ok()) {} };
        let _enough = tokio::time::timeout(BLOB_REST, rest).await;
    }
    added.map(|added| (StatusCode::CREATED, Json(added)))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(hash): Path<String>) -> Answer<BlobView> {
    app.blobs().one(&hash).map(Json).map_err(refused)
}

pub(super) async fn content(State(app): State<Arc<App>>, Path(hash): Path<String>, asked: HeaderMap) -> Result<Response, Refusal> {
    let facts = app.blobs().one(&hash).map_err(refused)?.facts;
    // Of this address a browser runs pages: whatever it is, it is saved and never shown.
    gateway::answer(app.blobs(), &hash, &facts, &asked, false).await.map_err(refused)
}

pub(super) async fn fetch(State(app): State<Arc<App>>, Path(hash): Path<String>) -> Result<(StatusCode, Json<BlobView>), Refusal> {
    begin_fetch(&app, &hash).await.map(|blob| (StatusCode::ACCEPTED, Json(blob)))
}

pub(super) async fn change(State(app): State<Arc<App>>, Path(hash): Path<String>, Json(change): Json<Change>) -> Answer<BlobView> {
    alter(&app, &hash, change).await.map(Json)
}

pub(super) async fn remove(State(app): State<Arc<App>>, Path(hash): Path<String>) -> Answer<Removed> {
    let_go(&app, &hash).await?;
    Ok(Json(Removed { removed: hash }))
}

fn room(app: &App) -> Quota {
    let (quota_bytes, used_bytes, set) = app.blobs().room_used();
    let gateway_port = app.blobs().gateway().map(|address| address.port());
    Quota { quota_bytes, used_bytes, set, gateway_port, put_aside: app.blobs().aside() }
}

pub(super) async fn quota(State(app): State<Arc<App>>) -> Json<Quota> {
    Json(room(&app))
}

pub(super) async fn set_quota(State(app): State<Arc<App>>, Json(new): Json<NewQuota>) -> Answer<Quota> {
    app.blobs().set_quota(new.quota_bytes).await.map_err(refused)?;
    Ok(Json(room(&app)))
}
