//! Forms about what was made by hand.

use super::{Reader, to};
use crate::apps::AdoptWish;
use crate::broker::Thing;
use crate::http::by_hand::{all, begin, clear, look};
use crate::http::pages::by_hand as page;
use crate::http::pages::not_done;
use crate::http::problem::Refusal;
use axum::extract::{Form as Fields, Path};
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::BTreeMap;

/// `GET /by-hand`
pub async fn show(reader: Reader) -> Response {
    match all(&reader.app).await {
        Ok(all) => reader.page("/apps", None, &page::body(&reader.view(), &all, None)),
        Err(refusal) if refusal.status == StatusCode::SERVICE_UNAVAILABLE => reader.page("/apps", None, &page::without(&reader.view())),
        Err(refusal) => reader.refused(&refusal, "/apps", &not_done(reader.lang, &refusal.said(reader.lang))),
    }
}

/// `GET /by-hand/ID`
pub async fn show_one(reader: Reader, Path(id): Path<String>) -> Response {
    match look(&reader.app, &id, &reader.caller).await {
        Ok(one) => reader.page("/apps", None, &page::one(&reader.view(), &one, None)),
        Err(refusal) => reader.refused(&refusal, "/apps", &not_done(reader.lang, &refusal.said(reader.lang))),
    }
}

/// `POST /by-hand/ID/adopt`
pub async fn adopt(reader: Reader, Path(id): Path<String>, Fields(said): Fields<BTreeMap<String, String>>) -> Response {
    let name = said.get("name").map(|name| name.trim().to_owned()).unwrap_or_default();
    match begin(&reader.app, &id, AdoptWish { name: name.clone(), ..AdoptWish::default() }).await {
        Ok(_) => to("/apps"),
        // It is saved, and shows there what an owner must allow first.
        Err(refusal) if refusal.status == StatusCode::FORBIDDEN => to(&format!("/own/{name}")),
        Err(refusal) => match look(&reader.app, &id, &reader.caller).await {
            Ok(one) => reader.refused(&refusal, "/apps", &page::one(&reader.view(), &one, Some(&refusal.said(reader.lang)))),
            Err(_) => reader.refused(&refusal, "/apps", &not_done(reader.lang, &refusal.said(reader.lang))),
        },
    }
}

async fn cleared(reader: Reader, thing: Thing) -> Response {
    let Err(refusal) = clear(&reader.app, thing).await else { return to("/by-hand") };
    show_again(&reader, &refusal).await
}

async fn show_again(reader: &Reader, refusal: &Refusal) -> Response {
    match all(&reader.app).await {
        Ok(all) => reader.refused(refusal, "/apps", &page::body(&reader.view(), &all, Some(&refusal.said(reader.lang)))),
        Err(_) => reader.refused(refusal, "/apps", &not_done(reader.lang, &refusal.said(reader.lang))),
    }
}

/// `POST /by-hand/containers/ID/remove`
pub async fn remove(reader: Reader, Path(id): Path<String>) -> Response {
    cleared(reader, Thing::Container(id)).await
}

/// `POST /by-hand/images/ID/remove`
pub async fn remove_image(reader: Reader, Path(id): Path<String>) -> Response {
    cleared(reader, Thing::Image(id)).await
}

/// `POST /by-hand/volumes/NAME/remove`
pub async fn remove_volume(reader: Reader, Path(name): Path<String>) -> Response {
    cleared(reader, Thing::Volume(name)).await
}
