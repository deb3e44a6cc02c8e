//! The gateway: public blobs by their hash, to everybody, on a port of its own. It knows no cookie, no form and no name.
//!
//! A browser sends a node's cookies to all of its ports, so what others wrote must not run here either: nothing but pictures, sound, film
//! and plain text is shown, everything else is saved, and all of it in a sandbox.

use super::{Blobs, asked_range};
use crate::http::{encode, unchanged};
use crate::net::BlobFacts;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// What every answer carries.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Whether a browser may show it: nothing that could hold a script.
fn is_harmless(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    let kind = media_type.split_once('/').map(|(kind, _)| kind);
    media_type == "text/plain" || (matches!(kind, Some("image" | "audio" | "video")) && !media_type.ends_with("+xml"))
}

/// How a blob is to be taken: its type and, with its name, whether it is shown or saved.
pub fn headers_of(facts: &BlobFacts, may_show: bool) -> [(HeaderName, HeaderValue); 2] {
    let show = may_show && is_harmless(&facts.media_type);
    let kind = if show { facts.media_type.as_str() } else { "application/octet-stream" };
    let how = format!("{}; filename*=UTF-8''{}", if show { "inline" } else { "attachment" }, encode(&facts.name));
    let value = |text: &str| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    [(header::CONTENT_TYPE, value(kind)), (header::CONTENT_DISPOSITION, value(&how))]
}

/// The answer with a blob, or with the range that is asked for.
///
/// # Errors
/// In words: it can't be read.
pub async fn answer(
    blobs: &Arc<Blobs>,
    hash: &str,
    facts: &BlobFacts,
    asked: &HeaderMap,
    may_show: bool,
) -> Result<Response, super::Refused> {
    let tag = format!("\"{hash}\"");
    let size = facts.size_bytes;
    let said = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if unchanged(asked, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let whole = said(header::IF_RANGE).is_some_and(|has| has != tag);
    let Ok(range) = asked_range(said(header::RANGE).filter(|_| !whole), size) else {
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{size}"))]).into_response());
    };
    let wanted = range.clone().unwrap_or(0..size);
    let length = wanted.end.saturating_sub(wanted.start);
    let mut response = Body::from_stream(blobs.read(hash, wanted).await?).into_response();
    let headers = response.headers_mut();
    headers.extend(headers_of(facts, may_show));
    let mut set = |name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, tag);
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::CONTENT_LENGTH, length.to_string());
    if let Some(range) = range {
        set(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// What is served there.
pub fn router(blobs: Arc<Blobs>) -> Router {
    let name = |State(blobs): State<Arc<Blobs>>, Path((hash, _)): Path<(String, String)>, asked: HeaderMap| async move {
        give(&blobs, &hash, &asked).await
    };
    let bare =
        |State(blobs): State<Arc<Blobs>>, Path(hash): Path<String>, asked: HeaderMap| async move { give(&blobs, &hash, &asked).await };
    Router::new().route("/{hash}", get(bare)).route("/{hash}/{name}", get(name)).fallback(|| async { nothing() }).with_state(blobs)
}

fn nothing() -> Response {
    with_headers((StatusCode::NOT_FOUND, "There is no public blob of that hash on this node.\n").into_response())
}

fn with_headers(mut response: Response) -> Response {
    response.headers_mut().extend(HEADERS);
    response
}

async fn give(blobs: &Arc<Blobs>, hash: &str, asked: &HeaderMap) -> Response {
    let Some(facts) = blobs.public(hash) else { return nothing() };
    match answer(blobs, hash, &facts, asked, true).await {
        Ok(mut response) => {
            let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
            with_headers(response)
        }
        Err(error) => {
            log::warn!(hash, error:%; "a public blob can't be read");
            with_headers((StatusCode::SERVICE_UNAVAILABLE, "It can't be read at present.\n").into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_hold_a_script_is_shown_and_no_name_breaks_out_of_its_header() {
        let facts =
            |name: &str, media_type: &str| BlobFacts { name: name.to_owned(), media_type: media_type.to_owned(), ..BlobFacts::default() };
        for (media_type, shown) in [
            ("image/png", true),
            ("text/plain", true),
            ("video/webm", true),
            ("image/svg+xml", false),
            ("image/SVG+xml", false),
            ("image/x+xml", false),
            ("text/html", false),
            ("application/pdf", false),
            ("application/xhtml+xml", false),
            ("", false),
        ] {
            let [(_, kind), (_, how)] = headers_of(&facts("a", media_type), true);
            assert_eq!((kind == media_type, how.to_str().unwrap().starts_with("inline")), (shown, shown), "{media_type}");
            let [(_, kind), (_, how)] = headers_of(&facts("a", media_type), false);
            assert!(kind == "application/octet-stream" && how.to_str().unwrap().starts_with("attachment"));
        }
        let [_, (_, how)] = headers_of(&facts("a\"; x=\"é.png", "image/png"), true);
        assert_eq!(how, "inline; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9.png");
    }
}
