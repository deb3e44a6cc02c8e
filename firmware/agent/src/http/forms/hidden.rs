//! Forms about services that are hidden from all, or from oneself.

use super::{Reader, home_search, to};
use crate::http::problem::Refusal;
use crate::http::{hidden, muted};
use axum::extract::{Form, Path};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

/// The fields of all these forms.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    node: String,
    #[serde(default)]
    service: String,
    /// Of a box, which says something only where it is ticked: all services of the node are meant.
    whole: Option<String>,
    reason: Option<String>,
}

impl Fields {
    fn key(&self) -> Option<&str> {
        self.whole.is_none().then_some(self.service.as_str())
    }
}

/// `POST /hidden/ACTION`
pub async fn act(reader: Reader, headers: HeaderMap, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let app = &reader.app;
    let done = match action.as_str() {
        "hide" => hidden::hide(app, &fields.node, fields.key(), fields.reason.clone()).await.map(|_| "/search"),
        "show" => hidden::show(app, &fields.node, fields.key()).await.map(|_| "/search?hidden=true"),
        _ => return reader.nothing(),
    };
    answer(&reader, &headers, done).await
}

/// Leads on, or says on the page of the search why nothing was done.
async fn answer(reader: &Reader, headers: &HeaderMap, done: Result<&str, Refusal>) -> Response {
    match done {
        Ok(there) => to(there),
        Err(refusal) => reader.refused(&refusal, "/search", &home_search(reader, headers, Some(&refusal.said(reader.lang))).await),
    }
}

/// `POST /muted/ACTION`
pub async fn act_for_oneself(reader: Reader, headers: HeaderMap, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let (app, caller) = (&reader.app, &reader.caller);
    let done = match action.as_str() {
        "mute" => muted::mute(app, caller, &fields.node, fields.key()).await.map(|_| "/search"),
        "show" => muted::unmute(app, caller, &fields.node, fields.key()).await.map(|_| "/account"),
        _ => return reader.nothing(),
    };
    answer(&reader, &headers, done).await
}
