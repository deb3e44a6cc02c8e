//! ETags: what was read has a tag, which is not read again while it is the same (`If-None-Match`), and which a change may name, so that
//! nothing is overwritten that was not seen (`If-Match`).
//!
//! A tag is the hash of what is shown. Where a person may set something of it, its revision stands before the hash, and `If-Match` is
//! held against that alone: whether an app runs meanwhile or not is nobody's edit.

use super::problem::Refusal;
use crate::revision::Expected;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Bytes of the hash that stand in a tag.
const HASH_BYTES: usize = 12;
/// Bytes of an answer that gets a tag at most: more of it than any answer of the API has.
const TAGGED_BYTES: usize = 4 << 20;

/// Said by a handler: the revision of what it shows.
#[derive(Clone, Copy, Debug)]
pub struct Revision(pub u64);

/// What a change expects, by its `If-Match`.
pub struct IfMatch(pub Expected);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let mut said = parts.headers.get_all(header::IF_MATCH).iter();
        match (said.next().map(HeaderValue::to_str), said.next()) {
            (None, _) => Ok(Self(Expected::anything())),
            (Some(Ok(tags)), None) => Ok(Self(Expected::by_tags(tags))),
            // A condition that can't be read is no condition that holds.
            _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "If-Match can't be read: give it once")),
        }
    }
}

/// Whether an `If-None-Match` names that tag (RFC 9110, section 13.1.2: weakly compared).
fn names(header: &str, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    header.trim() == "*" || header.split(',').any(|each| bare(each) == bare(tag))
}

/// Whether the one who asks has just that already.
pub fn unchanged(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|header| names(header, tag))
}

fn tag(body: &[u8], revision: Option<Revision>) -> String {
    let hash = Sha256::digest(body);
    let hash = HEXLOWER.encode(hash.get(..HASH_BYTES).unwrap_or_default());
    match revision {
        Some(Revision(number)) => format!("\"{number}-{hash}\""),
        None => format!("\"{hash}\""),
    }
}

/// Gives what the API shows its tag; where the one who asks has just that, it is not sent again.
pub async fn tagged(request: Request, next: Next) -> Response {
    let reads = *request.method() == Method::GET && request.uri().path().starts_with("/api/");
    if !reads {
        return next.run(request).await;
    }
    let has = request.headers().clone();
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !(json && response.status() == StatusCode::OK) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let (said, body) = match parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) {
        Some(said) => (said.to_owned(), body),
        None => match to_bytes(body, TAGGED_BYTES).await {
            Ok(bytes) => (tag(&bytes, parts.extensions.get().copied()), Body::from(bytes)),
            Err(error) => {
                return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer is too long: {error}")).into_response();
            }
        },
    };
    if let Ok(value) = HeaderValue::try_from(&said) {
        parts.headers.insert(header::ETAG, value);
    }
    if !unchanged(&has, &said) {
        return Response::from_parts(parts, body);
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_is_not_sent_again() {
        for header in ["*", "\"a\"", "\"b\", \"a\"", "W/\"a\""] {
            assert!(names(header, "\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"a", "\"A\"", "\"a\"\"a\""] {
            assert!(!names(header, "\"a\""), "{header}");
        }
        assert!(names("\"a\"", "W/\"a\""));
    }

    #[test]
    fn a_tag_is_of_what_is_shown_and_its_revision_is_what_a_change_is_held_against() {
        let (one, other) = (tag(b"one", Some(Revision(7))), tag(b"other", Some(Revision(7))));
        assert!(one != other && one == tag(b"one", Some(Revision(7))) && one != tag(b"one", Some(Revision(8))));
        assert!(Expected::by_tags(&one).holds(7) && Expected::by_tags(&other).holds(7) && !Expected::by_tags(&one).holds(8));
    }
}
