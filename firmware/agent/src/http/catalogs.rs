//! Signed catalogs of apps in the API: those that are followed, their apps, and those that this node publishes. The page's forms call the
//! same functions.

use super::apps::{kept, refused as app_refused};
use super::blobs::refused as blob_refused;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use super::shared_apps::refused as not_shared;
use crate::catalogs::{Begun, CatalogDetails, CatalogInfo, GetWish, PublishWish, Refused, SavedKey};
use crate::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use cluster::catalog::MAX_CATALOG_BYTES;
use serde::Serialize;
use std::sync::Arc;

/// A page of catalogs, by their keys.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct CatalogsPage {
    /// The catalogs.
    pub catalogs: Vec<CatalogInfo>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// What is followed no more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CatalogUnfollowed))]
pub struct Unfollowed {
    /// Its key.
    pub unfollowed: String,
}

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) fn refused(error: Refused) -> Refusal {
    let status = match error {
        Refused::App(error) => return app_refused(error),
        Refused::Blob(error) => return blob_refused(error),
        Refused::NotShared(error) => return not_shared(error),
        Refused::Wrong(_)
        | Refused::NoKey(_)
        | Refused::NoSecret(_)
        | Refused::OtherKey { .. }
        | Refused::Machine { .. }
        | Refused::Publishing(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Older { .. }
        | Refused::Fork(_)
        | Refused::Revoked
        | Refused::TooMany
        | Refused::NotCome(_)
        | Refused::Other { .. }
        | Refused::Coming(_)
        | Refused::Own(_) => StatusCode::CONFLICT,
        Refused::NotFollowed(_) | Refused::NoApp(_) | Refused::NotMine(_) => StatusCode::NOT_FOUND,
        Refused::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    Refusal::new(status, error.to_string())
}

/// Follows a catalog.
pub(super) async fn begin_to_follow(app: &App, key: &str) -> Result<CatalogInfo, Refusal> {
    kept(app)?;
    app.catalogs().follow(key).await.map_err(refused)
}

/// Follows one no more.
pub(super) async fn end_following(app: &App, key: &str) -> Result<(), Refusal> {
    kept(app)?;
    app.catalogs().unfollow(key).await.map_err(refused)
}

/// Begins to fetch an app of one.
pub(super) async fn begin_to_get(app: &App, key: &str, name: &str, wish: &GetWish) -> Result<Begun, Refusal> {
    kept(app)?;
    app.catalogs().get(key, name, wish).await.map_err(refused)
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let (catalogs, next) = paging::cut(app.catalogs().list().await, Order::Up, |one| one.key.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| CatalogsPage { catalogs, next }))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(key): Path<String>) -> Answer<CatalogDetails> {
    let found = app.catalogs().one(&key).await;
    found.map(Json).ok_or_else(|| refused(Refused::NotFollowed(key.chars().take(80).flat_map(char::escape_default).collect())))
}

pub(super) async fn add(State(app): State<Arc<App>>, body: Body) -> Answer<CatalogInfo> {
    kept(&app)?;
    let bytes = axum::body::to_bytes(body, MAX_CATALOG_BYTES).await.map_err(|_| {
        let why = format!("a catalog has {MAX_CATALOG_BYTES} bytes at most, and this is longer, or was cut");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    })?;
    app.catalogs().add(bytes.into()).await.map(Json).map_err(refused)
}

pub(super) async fn follow(State(app): State<Arc<App>>, Path(key): Path<String>) -> Answer<CatalogInfo> {
    begin_to_follow(&app, &key).await.map(Json)
}

pub(super) async fn unfollow(State(app): State<Arc<App>>, Path(key): Path<String>) -> Answer<Unfollowed> {
    end_following(&app, &key).await?;
    Ok(Json(Unfollowed { unfollowed: key }))
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path((key, name)): Path<(String, String)>,
    Json(wish): Json<GetWish>,
) -> Result<(StatusCode, Json<Begun>), Refusal> {
    begin_to_get(&app, &key, &name, &wish).await.map(|begun| (StatusCode::ACCEPTED, Json(begun)))
}

pub(super) async fn publish(State(app): State<Arc<App>>, Path(name): Path<String>, Json(wish): Json<PublishWish>) -> Answer<CatalogInfo> {
    kept(&app)?;
    app.catalogs().publish(&name, wish).await.map(Json).map_err(refused)
}

pub(super) async fn give_up(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<CatalogInfo> {
    kept(&app)?;
    app.catalogs().give_up(&name).await.map(Json).map_err(refused)
}

pub(super) async fn key(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<SavedKey> {
    app.catalogs().saved_key(&name).map(Json).map_err(refused)
}

pub(super) async fn bring_key(State(app): State<Arc<App>>, Path(name): Path<String>, Json(saved): Json<SavedKey>) -> Answer<CatalogInfo> {
    kept(&app)?;
    app.catalogs().bring_key(&name, &saved).await.map(Json).map_err(refused)
}
