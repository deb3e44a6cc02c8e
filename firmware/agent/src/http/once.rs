//! `Idempotency-Key`: a request under one is done once ([`crate::once`] decides), also when nobody waits for its answer any more.

use super::caller::{Caller, Who};
use super::problem::Refusal;
use super::routes::{Once, Route};
use crate::apps::asked_by;
use crate::limits::HTTP_BODY_BYTES;
use crate::once::{Answer, Asked, Verdict, key};
use crate::state::App;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// What whoever asks says.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What an answer says that was given before.
const REPEATED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// When to come again where a request is at work, in seconds.
const AGAIN_SECS: u64 = 2;

/// Said of an answer for the journal: nothing was done for it now.
#[derive(Clone, Copy, Debug)]
pub struct Repeated;

/// The key, if one is said.
fn said(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut said = headers.get_all(KEY).iter();
    match (said.next(), said.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if let Some(key) = value.to_str().ok().and_then(key) => Ok(Some(key.to_owned())),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "Idempotency-Key can't be read: give it once, with 1 to 128 visible characters")),
    }
}

/// Passes a request on, if it has no key, or the first time.
pub async fn run(app: &Arc<App>, route: &Route, caller: &Caller, request: Request, next: Next) -> Response {
    if matches!(caller.who, Who::Nobody) {
        return next.run(request).await;
    }
    let who = caller.known();
    if route.once == Once::No {
        return asked_by(who, next.run(request)).await;
    }
    match said(request.headers()) {
        Ok(None) => asked_by(who, next.run(request)).await,
        Ok(Some(key)) => under(app, caller, &key, route.once == Once::Secret, request, next).await.unwrap_or_else(Refusal::into_response),
        Err(refusal) => refusal.into_response(),
    }
}

async fn under(app: &Arc<App>, caller: &Caller, key: &str, secret: bool, request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let too_long = |_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has {HTTP_BODY_BYTES} bytes at most"));
    let body = to_bytes(body, HTTP_BODY_BYTES).await.map_err(too_long)?;
    let asked = Asked::new(&caller.key().unwrap_or_default(), key, &format!("{} {}", parts.method, parts.uri), &body);
    let (onces, known) = (Arc::clone(app.once()), caller.known());
    // Whoever asked may hang up, be it while this is written down: what is begun ends all the same, and its answer waits for who
    // asks again.
    let work = async move {
        let verdict = onces.begin(&asked).await.map_err(|error| {
            let why =
                format!("that this was asked can't be kept, so nothing was done: {error:#}; without Idempotency-Key it would be done");
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, why)
        })?;
        if verdict != Verdict::Go {
            return repeated(verdict);
        }
        let answer = asked_by(known, next.run(Request::from_parts(parts, Body::from(body)))).await;
        let (answer, kept) = take(answer).await;
        onces.end(&asked, kept, secret).await;
        Ok(answer)
    };
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
}

/// An answer, and what is kept of it: of a refusal nothing.
async fn take(answer: Response) -> (Response, Option<Answer>) {
    if !answer.status().is_success() {
        return (answer, None);
    }
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, HTTP_BODY_BYTES).await.unwrap_or_default();
    let kept = Answer { status: parts.status.as_u16(), body: String::from_utf8_lossy(&body).into_owned() };
    (Response::from_parts(parts, Body::from(body)), Some(kept))
}

/// What is answered where nothing is done.
fn repeated(verdict: Verdict) -> Result<Response, Refusal> {
    let refuse = |status, why: &str| Err(Refusal::new(status, why));
    match verdict {
        Verdict::Again(Answer { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let headers =
                [(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), (REPEATED, HeaderValue::from_static("true"))];
            let mut response = (status, headers, body).into_response();
            response.extensions_mut().insert(Repeated);
            Ok(response)
        }
        Verdict::Other => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "another request came under this Idempotency-Key: take a new key for each thing that shall be done",
        ),
        Verdict::Unknown => refuse(
            StatusCode::CONFLICT,
            "this was at work when the agent stopped, and nobody knows how far it came: look whether it is there, and take a new key if not",
        ),
        Verdict::Unkept => refuse(
            StatusCode::CONFLICT,
            "this was done, but its answer is not kept any more (a secret is kept until the agent ends): take it back and make a new one",
        ),
        Verdict::AtWork => {
            Err(Refusal { again: Some(AGAIN_SECS), ..Refusal::new(StatusCode::CONFLICT, "this is at work: ask again with the same key") })
        }
        Verdict::Go | Verdict::Full => Err(Refusal {
            again: Some(AGAIN_SECS),
            ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests with an Idempotency-Key are at work: ask again")
        }),
    }
}
