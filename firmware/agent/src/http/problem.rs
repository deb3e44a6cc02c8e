//! What is not done is said as RFC 9457 has it: `application/problem+json`.

use crate::text::{Lang, Told};
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What problems are sent as.
const KIND: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Bytes of a sentence that is put into a problem at most.
const SENTENCE_BYTES: usize = 4096;

/// What the type of a problem begins with that has a code. No page is there: it is a name.
const TYPE: &str = "urn:cloudy:problem:";

/// A problem as it travels. Its title is the status's own.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// Which one it is, for programs, as `urn:cloudy:problem:port-taken`; `about:blank` where it has no name.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// Why, and what to do.
    detail: String,
}

/// Why something was not done, and the status that says so.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Why, and what to do.
    pub detail: String,
    /// When to come again, in seconds.
    pub again: Option<u64>,
    /// The same in all languages, where there are words for it.
    pub told: Option<Told>,
}

impl Refusal {
    /// A refusal with its reason.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), again: None, told: None }
    }

    /// The same refusal, with words for it.
    #[must_use]
    pub fn told(self, told: impl Into<Option<Told>>) -> Self {
        Self { told: told.into(), ..self }
    }

    /// Why, in the reader's words where there are any.
    pub fn said(&self, lang: Lang) -> String {
        self.told.as_ref().map_or_else(|| self.detail.clone(), |told| told.say(lang))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default().to_owned();
        let kind = self.told.map_or_else(|| "about:blank".to_owned(), |told| format!("{TYPE}{}", told.code.word()));
        let problem = Problem { r#type: kind, title, status: self.status.as_u16(), detail: self.detail };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, KIND);
        if let Some(seconds) = self.again {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Puts what axum itself refuses (a body that is no JSON, a method that is not there) into the same form.
pub async fn in_form(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let plain = response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(api && failed && plain) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let detail = match to_bytes(body, SENTENCE_BYTES).await {
        Ok(bytes) if !bytes.is_empty() => String::from_utf8_lossy(&bytes).trim().to_owned(),
        _ => parts.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let (said, body) = Refusal::new(parts.status, detail).into_response().into_parts();
    let mut response = Response::from_parts(parts, Body::new(body));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().extend(said.headers);
    response
}
