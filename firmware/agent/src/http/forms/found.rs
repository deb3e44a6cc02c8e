//! Forms about apps of other nodes.

use super::{Reader, apps, to};
use crate::http::shared_apps;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;

/// `POST /found-apps/HASH/fetch`
pub async fn fetch(reader: Reader, Path(hash): Path<String>, headers: HeaderMap) -> Response {
    match shared_apps::begin_fetch(&reader.app, &hash).await {
        Ok(_) => to("/apps"),
        Err(refusal) => apps::refused(&reader, &headers, &refusal).await,
    }
}
