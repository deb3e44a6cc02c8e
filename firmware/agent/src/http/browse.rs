//! The API's document, and the page that shows it.

use super::forms::Reader;
use super::pages::api;
use super::problem::Refusal;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The API's document, as `openapi` made it of the code and `build.rs` packed it.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.deflate"));
/// Bytes of it at most.
const MOST_BYTES: usize = 1 << 20;

/// The API's document.
pub fn text() -> Result<Vec<u8>, Refusal> {
    let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(PACKED, MOST_BYTES);
    unpacked.map_err(|error| failed(&error))
}

fn failed(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the document can't be read: {why}"))
}

/// `GET /api/v1/openapi.json`
pub async fn document() -> Response {
    match text() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], text).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /api`: read when somebody looks at it, so that it takes no memory otherwise; and aside, since it takes a slow board a while.
pub async fn show(reader: Reader) -> Response {
    let shown = tokio::task::spawn_blocking(move || {
        let document = serde_json::from_slice::<Value>(&text()?).map_err(|error| failed(&error))?;
        Ok::<_, Refusal>(reader.page("/api", None, &api::body(&reader.view(), &document)))
    });
    match shown.await {
        Ok(shown) => shown.into_response(),
        Err(ending) => failed(&ending).into_response(),
    }
}
