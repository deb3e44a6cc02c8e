//! The API's document, and the page that shows it.

use super::forms::Reader;
use super::pages::api;
use super::problem::Refusal;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The API's document, as `openapi` made it of the code.
pub const DOCUMENT: &str = include_str!("../../assets/openapi.json");

/// `GET /api/v1/openapi.json`
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], DOCUMENT).into_response()
}

/// `GET /api`: read when somebody looks at it, so that it takes no memory otherwise; and aside, since it takes a slow board a while.
pub async fn show(reader: Reader) -> Response {
    let failed =
        |why: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the document can't be read: {why}")).into_response();
    let shown = tokio::task::spawn_blocking(move || {
        let document = serde_json::from_str::<Value>(DOCUMENT)?;
        Ok::<_, serde_json::Error>(reader.page("/api", None, &api::body(&reader.view(), &document)))
    });
    match shown.await {
        Ok(Ok(page)) => page,
        Ok(Err(error)) => failed(error.to_string()),
        Err(ending) => failed(ending.to_string()),
    }
}
