//! Forms about HTTPS.

use super::{Reader, apps, to};
use crate::http::encrypted::{choose, view};
use crate::http::pages::encrypted as page;
use crate::http::problem::Refusal;
use crate::https::Choice;
use axum::extract::Form;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

const HERE: &str = "/encrypted";

fn body(reader: &Reader, headers: &HeaderMap, wrong: Option<&str>) -> maud::Markup {
    let shown = view(&reader.app).map_err(|refusal| refusal.said(reader.lang));
    page::body(&reader.view(), &shown, &apps::host(headers), wrong)
}

/// `GET /encrypted`
pub async fn show(reader: Reader, headers: HeaderMap) -> Response {
    reader.page(HERE, None, &body(&reader, &headers, None))
}

/// The field of the form.
#[derive(Deserialize)]
pub struct Fields {
    only: bool,
}

/// `POST /encrypted`
pub async fn choose_only(reader: Reader, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let chosen: Result<_, Refusal> = choose(&reader.app, &reader.caller, Choice { only: fields.only }).await;
    match chosen {
        Ok(_) => to(HERE),
        Err(refusal) => reader.refused(&refusal, HERE, &body(&reader, &headers, Some(&refusal.said(reader.lang)))),
    }
}
