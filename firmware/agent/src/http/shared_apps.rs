//! Apps that go from node to node, in the API: what other nodes give, and giving one of this node's catalog.

use super::apps::{kept, not_taken, refused as app_refused};
use super::blobs::{asked, refused as blob_refused};
use super::catalogs::refused as catalog_refused;
use super::paging;
use super::problem::Refusal;
use crate::apps::{FoundApp, NotShared, Shelf};
use crate::blobs::{BlobView, Refused as BlobRefused, Visibility};
use crate::net::{AppImage, BlobSearch};
use crate::state::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many pages of records are looked at for that.
const PAGES_LOOKED_AT: usize = 50;

/// A page of apps that nodes give, by the hashes of their blobs.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct FoundAppsPage {
    /// The apps.
    pub apps: Vec<FoundApp>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// Who may fetch an app: `POST /api/v1/catalog/NAME/share`
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppSharing))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sharing {
    /// Everybody who reaches this node, not the nodes of the microcloud alone.
    pub public: bool,
}

/// `POST /api/v1/found-apps/HASH`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Fetching {
    /// Whether it may take the place of a signed catalog's app of that name.
    replace: bool,
}

pub(super) fn refused(error: NotShared) -> Refusal {
    match error {
        NotShared::App(error) => app_refused(error),
        NotShared::Taken(error) => not_taken(error),
        // What is sent is this node's own, so nobody who asks is to blame.
        NotShared::Blob(error @ BlobRefused::NotImported(_)) => {
            let mend = "what this node's disk has of the app can't be read whole: add it again (`cloudy app add PATH`, or fetch it from another node)";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; {mend}"))
        }
        NotShared::Blob(error) => blob_refused(error),
    }
}

/// A page of what nodes give.
pub(super) async fn find(app: &App, search: BlobSearch) -> Result<FoundAppsPage, Refusal> {
    let found = app.apps().found_elsewhere(app.blobs(), app.registry().as_ref(), search).await;
    let (mut apps, next) = found.map_err(blob_refused)?;
    apps.iter_mut().for_each(|found| found.takes_from = app.catalogs().would_take_from(&found.app));
    Ok(FoundAppsPage { apps, next })
}

/// What a page has room for of what nodes give.
pub(super) async fn find_new(app: &App) -> Result<Vec<FoundApp>, Refusal> {
    let (mut shelf, mut after) = (Shelf::default(), String::new());
    for _ in 0..PAGES_LOOKED_AT {
        let page = find(app, BlobSearch { limit: Some(paging::MAX_PAGE), after, ..BlobSearch::default() }).await?;
        page.apps.into_iter().for_each(|found| shelf.put(found));
        match page.next {
            Some(next) if !shelf.is_full() => after = next,
            _ => break,
        }
    }
    Ok(shelf.into_shown())
}

/// Gives an app of the catalog to others.
pub(super) async fn give(app: &App, name: &str, sharing: &Sharing) -> Result<BlobView, Refusal> {
    kept(app)?;
    let visibility = if sharing.public { Visibility::Public } else { Visibility::Community };
    app.apps().share(app.blobs(), name, visibility).await.map_err(refused)
}

/// Begins to fetch an app that goes into the catalog. It takes the place of a signed catalog's app only where that is asked for.
pub(super) async fn begin_fetch(app: &App, hash: &str, replace: bool) -> Result<BlobView, Refusal> {
    kept(app)?;
    let fits = |image: &AppImage| match app.catalogs().would_take_from(image).filter(|_| !replace) {
        None => Ok(()),
        Some(source) => Err(source.in_the_way(image)),
    };
    let begun = app.blobs().fetch_app(app.registry().as_ref(), hash, replace, fits).await.map_err(blob_refused)?;
    if let Some(image) = begun.facts.app.as_ref().filter(|_| replace) {
        app.catalogs().give_way(&image.name, hash).await.map_err(catalog_refused)?;
    }
    Ok(begun)
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

pub(super) async fn share(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(sharing): Json<Sharing>,
) -> Result<(StatusCode, Json<BlobView>), Refusal> {
    give(&app, &name, &sharing).await.map(|blob| (StatusCode::CREATED, Json(blob)))
}

pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    Path(hash): Path<String>,
    Query(asked): Query<Fetching>,
) -> Result<(StatusCode, Json<BlobView>), Refusal> {
    begin_fetch(&app, &hash, asked.replace).await.map(|blob| (StatusCode::ACCEPTED, Json(blob)))
}
