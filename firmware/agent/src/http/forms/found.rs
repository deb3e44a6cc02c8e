//! Forms about apps of other nodes.

use super::{Reader, apps, to};
use crate::http::shared_apps;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;

/// `POST /found-apps/HASH/{fetch,replace}`
pub async fn fetch(reader: Reader, Path((hash, action)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let replace = match action.as_str() {
        "fetch" => false,
        "replace" => true,
        _ => return reader.nothing(),
    };
    match shared_apps::begin_fetch(&reader.app, &hash, replace).await {
        Ok(_) => to("/apps"),
        Err(refusal) => apps::refused(&reader, &headers, &refusal).await,
    }
}
