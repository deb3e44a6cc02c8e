//! Forms about files.

use super::apps::host;
use super::{Reader, html, to};
use crate::blobs::{Change, Visibility};
use crate::http::blobs;
use crate::http::pages::files::{self as page, Shown};
use crate::http::problem::Refusal;
use crate::net::BlobSearch;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

/// `POST /files/HASH/share`
#[derive(Default, Deserialize)]
pub struct Sharing {
    visibility: Option<Visibility>,
}

async fn shown(reader: &Reader, headers: &HeaderMap, asked: Result<BlobSearch, Refusal>) -> (Shown, Option<Refusal>) {
    let (asked, found) = match asked {
        Ok(asked) => {
            let found = blobs::find(&reader.app, &reader.caller, asked.clone()).await;
            (asked, found)
        }
        Err(refusal) => (BlobSearch::default(), Err(refusal)),
    };
    let blobs = reader.app.blobs();
    let (quota, used, _) = blobs.room_used();
    let gateway = blobs.gateway().map(|at| format!("http://{}:{}", host(headers), at.port()));
    let refusal = found.as_ref().err().cloned();
    (Shown { asked, found: found.map_err(|refusal| refusal.said(reader.lang)), room: (used, quota), gateway }, refusal)
}

async fn asked_for(reader: &Reader, headers: &HeaderMap, query: Result<Query<BlobSearch>, QueryRejection>) -> (Shown, Option<Refusal>) {
    let asked = query.map(|Query(asked)| asked).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()));
    shown(reader, headers, asked).await
}

/// `GET /files`: the fields are the API's.
pub async fn show(reader: Reader, headers: HeaderMap, query: Result<Query<BlobSearch>, QueryRejection>) -> Response {
    let (shown, refusal) = asked_for(&reader, &headers, query).await;
    let body = page::body(&reader.view(), &shown, None);
    match refusal {
        None => reader.page("/files", None, &body),
        Some(refusal) => reader.refused(&refusal, "/files", &body),
    }
}

/// `GET /files/body`: the files alone, with the same fields.
pub async fn show_body(reader: Reader, headers: HeaderMap, query: Result<Query<BlobSearch>, QueryRejection>) -> Response {
    let (shown, refusal) = asked_for(&reader, &headers, query).await;
    let list = page::list(&reader.view(), &shown);
    match refusal {
        None => html(list),
        Some(refusal) => reader.refused(&refusal, "/files", &list),
    }
}

/// `POST /files/HASH/{fetch,pin,unpin,share,remove}`
pub async fn act(reader: Reader, Path((hash, action)): Path<(String, String)>, headers: HeaderMap, Form(said): Form<Sharing>) -> Response {
    let change = match action.as_str() {
        "pin" => Some(Change { pinned: Some(true), ..Change::default() }),
        "unpin" => Some(Change { pinned: Some(false), ..Change::default() }),
        "share" => Some(Change { visibility: said.visibility, ..Change::default() }),
        _ => None,
    };
    let app = &reader.app;
    let done = match (change, action.as_str()) {
        (Some(change), _) => blobs::alter(app, &hash, change).await.map(drop),
        (None, "fetch") => blobs::begin_fetch(app, &hash).await.map(drop),
        (None, "remove") => blobs::let_go(app, &hash).await,
        _ => return reader.nothing(),
    };
    match done {
        Ok(()) => to("/files"),
        Err(refusal) => {
            let (shown, _) = shown(&reader, &headers, Ok(BlobSearch::default())).await;
            reader.refused(&refusal, "/files", &page::body(&reader.view(), &shown, Some(&refusal.said(reader.lang))))
        }
    }
}
