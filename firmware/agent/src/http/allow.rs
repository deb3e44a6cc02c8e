//! Every request passes here: who asks, whether they may, whether a page of ours asks for them; and what was changed goes to the journal.

use super::audit::Audit;
use super::caller::{Caller, Who};
use super::problem::Refusal;
use super::serve::{Encrypted, Peer};
use super::{forms, lang, multipart, once, routes};
use crate::household::Acting;
use crate::state::App;
use crate::text::{Lang, People};
use crate::users::{self, At, Operation, Secret};
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

/// The header in which scripts say what forms say in the field `csrf`.
const CSRF_HEADER: &str = "x-csrf-token";
/// What the page's script sends when it looks by itself: that is no use of a session.
const REFRESH_HEADER: &str = "x-cloudy-refresh";

/// Lets a request pass if whoever asks may do that.
pub async fn allow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let api = path.starts_with("/api/");
    // Programs are told in one language, people in theirs.
    let lang = if api { Lang::En } else { lang(request.headers()) };
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned()).unwrap_or_default();
    let Some(route) = routes::find(&method, &route) else {
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is nothing that can be done with this")).into_response();
    };
    let operation = route.operation;
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody knows who asks").into_response();
    };
    let encrypted = request.extensions().get::<Encrypted>().is_some_and(|encrypted| encrypted.0);
    let changing = method != Method::GET && method != Method::HEAD;
    let (caller, refused, request) = match identify(&app, request.headers(), request.extensions().get(), peer, encrypted) {
        Err(refusal) => (Caller { who: Who::Nobody, peer, encrypted }, Some(refusal), request),
        Ok(caller) if alone_in_a_container(&caller) && operation != Operation::Store => {
            let how =
                "an app in a container on this node reaches this with a token: `Authorization: Bearer`, made by `cloudy user token NAME`";
            (caller, Some(Refusal::new(StatusCode::FORBIDDEN, how)), request)
        }
        Ok(caller) if !caller.may(operation) => {
            let refusal = forbidden(&caller, operation, lang.people());
            (caller, Some(refusal), request)
        }
        Ok(caller) => match caller.session().cloned().filter(|_| changing) {
            None => (caller, None, request),
            Some(id) => match from_our_page(request, &id, lang.people(), routes::body_bytes(route.path)).await {
                Ok(request) => (caller, None, request),
                Err(refusal) => (caller, Some(refusal), Request::default()),
            },
        },
    };
    let let_through = refused.is_none();
    let response = match refused {
        // A person's browser is shown where to log in.
        Some(refusal) if !api && refusal.status == StatusCode::UNAUTHORIZED => Redirect::to("/login").into_response(),
        Some(refusal) if !api => forms::refused(&app, &caller, lang, &refusal),
        Some(refusal) => refusal.into_response(),
        None => {
            let mut request = request;
            request.extensions_mut().insert(caller.clone());
            once::run(&app, route, &caller, request, next).await
        }
    };
    if changing && !matches!(operation, Operation::Store) {
        Audit::of(&caller, &method, &path, let_through, &response).write();
    }
    response
}

/// Who asks, by the connection, the token or the cookie.
fn identify(app: &App, headers: &HeaderMap, acting: Option<&Acting>, peer: Peer, encrypted: bool) -> Result<Caller, Refusal> {
    let ip = match peer {
        Peer::Household(node) => {
            let who = acting.map_or(Who::Nobody, |acting| Who::Household { node, acting: acting.clone() });
            return Ok(Caller { who, peer, encrypted });
        }
        Peer::Local(_) => return Ok(Caller { who: Who::Local, peer, encrypted }),
        // Nobody, who is served a router of its own: that is all it may.
        Peer::App(_) => return Ok(Caller { who: Who::Nobody, peer, encrypted }),
        Peer::Network(ip) | Peer::Container(ip) => ip,
    };
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let bad = || Refusal::new(StatusCode::UNAUTHORIZED, "this token opens nothing: `cloudy user token NAME` on the node makes one");
    if let (Some(value), None) = (shown.next().and_then(|value| value.to_str().ok()), shown.next())
        && let Some(secret) = users::bearer(value).map_err(|()| bad())?
    {
        let (token, role) = app.users().token(&secret).ok_or_else(bad)?;
        return Ok(Caller { who: Who::Token { user: token.user, role, scope: token.scope, id: token.id }, peer, encrypted });
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let who = users::session_of(cookies, encrypted).and_then(|id| {
        let counts = !headers.contains_key(REFRESH_HEADER);
        let (user, role) = app.users().session(&id, At { ip, encrypted }, counts)?;
        // What the page fetches by itself writes nothing.
        if counts {
            app.users().keep_uses();
        }
        Some(Who::Session { user, role, id })
    });
    Ok(Caller { who: who.unwrap_or(Who::Nobody), peer, encrypted })
}

/// An app does what a token lets it that somebody gave it, and nothing by itself: it is no guest, and guesses no passwords. Where apps
/// keep data, a token of their own is asked for anyway.
fn alone_in_a_container(caller: &Caller) -> bool {
    matches!(caller.peer, Peer::Container(_)) && !matches!(caller.who, Who::Token { .. })
}

fn forbidden(caller: &Caller, operation: Operation, people: &People) -> Refusal {
    let who = match operation {
        Operation::Local => people.on_the_node,
        Operation::Own => people.may_own,
        Operation::Account if matches!(caller.who, Who::Local) => "this is for people who are logged in",
        Operation::Leave => "nobody is logged in",
        Operation::Reach => people.may_reach,
        _ => people.may_operate,
    };
    match caller.who {
        Who::Nobody if operation != Operation::Local => {
            let how = "log in on the node's page, or show a token (`Authorization: Bearer`)";
            Refusal::new(StatusCode::UNAUTHORIZED, format!("{who}: {how}"))
        }
        _ => Refusal::new(StatusCode::FORBIDDEN, who),
    }
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    csrf: String,
}

/// A browser sends cookies whoever made it ask. So a change wants two things more, which only a page of ours can give: an Origin
/// (`guard` has compared it), and what this session's forms carry.
async fn from_our_page(request: Request, id: &Secret, people: &People, most: usize) -> Result<Request, Refusal> {
    let refuse = |why: &str| Refusal::new(StatusCode::FORBIDDEN, format!("{why}: {}", people.open_anew));
    if !request.headers().contains_key(header::ORIGIN) {
        return Err(refuse(people.no_origin));
    }
    let stale = || refuse(people.stale_form);
    if let Some(said) = request.headers().get(CSRF_HEADER) {
        return if id.is_csrf(said.to_str().unwrap_or_default()) { Ok(request) } else { Err(stale()) };
    }
    const FORM: &str = "application/x-www-form-urlencoded";
    let (mut parts, body) = request.into_parts();
    let Some(kind) = parts.headers.get(header::CONTENT_TYPE).cloned() else { return Err(stale()) };
    let with_file = multipart::boundary(&kind);
    if with_file.is_none() && !kind.as_bytes().starts_with(FORM.as_bytes()) {
        return Err(stale());
    }
    let bytes = to_bytes(body, most).await;
    let mut bytes = bytes.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is too long"))?;
    if let Some(boundary) = with_file {
        // What follows knows one kind of form.
        let fields = multipart::fields(boundary, &bytes).ok_or_else(stale)?;
        bytes = serde_urlencoded::to_string(fields).map_err(|_| stale())?.into();
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    }
    let shown = serde_urlencoded::from_bytes::<Shown>(&bytes).map_err(|_| stale())?;
    if !id.is_csrf(&shown.csrf) {
        return Err(stale());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
