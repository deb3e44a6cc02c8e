//! Forms about disks.

use super::{Reader, to};
use crate::http::pages::storage::{self as page, Shown};
use crate::http::problem::Refusal;
use crate::http::storage::{MoveWish, begin_move, look, make, treat};
use crate::storage::PrepareWish;
use axum::extract::{Form, Path};
use axum::response::Response;
use serde::Deserialize;

const HERE: &str = "/storage";

/// The fields of all its forms.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    disk: String,
    mark: String,
    name: String,
    erase: String,
    app: String,
    to: String,
}

async fn shown(reader: &Reader) -> Result<Shown, Refusal> {
    let app = &reader.app;
    let apps = app.apps().list().await.into_iter().filter(|app| !app.own).map(|app| (app.name, app.job)).collect();
    Ok(Shown { disks: look(app).await?.disks, apps, places: app.apps().places() })
}

async fn body(reader: &Reader, wrong: Option<&str>) -> maud::Markup {
    match shown(reader).await {
        Ok(shown) => page::body(&reader.view(), &shown, wrong),
        Err(refusal) => crate::http::pages::not_done(reader.lang, &refusal.said(reader.lang)),
    }
}

/// `GET /storage`
pub async fn show(reader: Reader) -> Response {
    reader.page(HERE, Some("/storage/body"), &body(&reader, None).await)
}

/// `GET /storage/body`
pub async fn show_body(reader: Reader) -> Response {
    super::html(body(&reader, None).await)
}

/// `POST /storage/{prepare,move}`
pub async fn act(reader: Reader, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let app = &reader.app;
    let done = match action.as_str() {
        "prepare" => {
            let Fields { disk, mark, name, erase, .. } = fields;
            make(app, PrepareWish { disk, mark, name, erase: erase == "yes" }).await.map(drop)
        }
        "move" => match if fields.to.is_empty() { Ok(None) } else { fields.to.parse().map(Some) } {
            Ok(disk) => begin_move(app, fields.app, MoveWish { disk }).await.map(drop),
            Err(why) => Err(Refusal::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, why)),
        },
        _ => return reader.nothing(),
    };
    ended(&reader, done).await
}

/// `POST /storage/ID/ACTION`
pub async fn act_on_one(reader: Reader, Path((id, action)): Path<(String, String)>) -> Response {
    let done = treat(&reader.app, &id, &action).await.map(drop);
    ended(&reader, done).await
}

async fn ended(reader: &Reader, done: Result<(), Refusal>) -> Response {
    match done {
        Ok(()) => to(HERE),
        Err(refusal) => reader.refused(&refusal, HERE, &body(reader, Some(&refusal.said(reader.lang))).await),
    }
}
