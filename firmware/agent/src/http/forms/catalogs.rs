//! Forms about signed catalogs of apps.

use super::{Reader, apps, html, to};
use crate::catalogs::GetWish;
use crate::http::catalogs::{begin_to_follow, begin_to_get, end_following};
use crate::http::pages::catalogs as page;
use crate::http::problem::Refusal;
use axum::extract::{Form, Path};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::Markup;
use serde::Deserialize;

/// `POST /catalogs`
#[derive(Deserialize)]
pub struct Typed {
    key: String,
}

/// `GET /catalogs`
pub async fn show(reader: Reader) -> Response {
    reader.page("/catalogs", Some("/catalogs/body"), &body(&reader, None).await)
}

/// `GET /catalogs/body`
pub async fn show_body(reader: Reader) -> Response {
    html(body(&reader, None).await)
}

async fn body(reader: &Reader, wrong: Option<&str>) -> Markup {
    page::body(&reader.view(), &reader.app.catalogs().list().await, wrong)
}

async fn done(reader: &Reader, done: Result<(), Refusal>) -> Response {
    match done {
        Ok(()) => to("/catalogs"),
        Err(refusal) => {
            let body = body(reader, Some(&refusal.said(reader.lang))).await;
            reader.refused(&refusal, "/catalogs", &body)
        }
    }
}

/// `POST /catalogs`: the key of one is followed.
pub async fn follow(reader: Reader, Form(typed): Form<Typed>) -> Response {
    let followed = begin_to_follow(&reader.app, typed.key.trim()).await;
    done(&reader, followed.map(drop)).await
}

/// `POST /catalogs/KEY/{follow,unfollow}`
pub async fn act(reader: Reader, Path((key, action)): Path<(String, String)>) -> Response {
    let acted = match action.as_str() {
        "follow" => begin_to_follow(&reader.app, &key).await.map(drop),
        "unfollow" => end_following(&reader.app, &key).await,
        _ => return reader.nothing(),
    };
    done(&reader, acted).await
}

/// `POST /catalogs/KEY/APP/{install,fetch,replace}`
pub async fn get(reader: Reader, Path((key, name, action)): Path<(String, String, String)>, headers: HeaderMap) -> Response {
    let wish = match action.as_str() {
        "install" => GetWish { install: true, replace: false },
        "fetch" => GetWish::default(),
        "replace" => GetWish { install: false, replace: true },
        _ => return reader.nothing(),
    };
    match begin_to_get(&reader.app, &key, &name, &wish).await {
        Ok(_) => to("/apps"),
        Err(refusal) => apps::refused(&reader, &headers, &refusal).await,
    }
}
