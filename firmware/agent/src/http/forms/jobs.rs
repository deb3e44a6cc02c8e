//! The page of jobs, a page at a time as in the API.

use super::{Reader, html};
use crate::host;
use crate::http::jobs::page_of;
use crate::http::pages::jobs::{self as page, Shown};
use crate::http::pages::not_done;
use crate::http::paging::{self, Paging};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;

/// Jobs of one page where nobody says how many: as many as a person reads.
const ON_A_PAGE: usize = 20;

/// What is shown, if what was asked is a question.
async fn shown(reader: &Reader, asked: Result<Query<Paging>, QueryRejection>) -> Result<Shown, crate::http::problem::Refusal> {
    let asked = paging::asked(asked)?;
    let asked = Paging { limit: Some(asked.limit.unwrap_or(ON_A_PAGE)), ..asked };
    let (jobs, next) = page_of(&reader.app, &asked)?;
    let latest = reader.app.apps().jobs().iter().rev().map(|job| (job.app.clone(), job.id)).collect();
    let installed = reader.app.apps().list().await.into_iter().map(|app| app.name).collect();
    Ok(Shown { jobs, next, asked, latest, installed, now: host::now_secs() })
}

/// `GET /jobs`: the fields are the API's.
pub async fn show(reader: Reader, asked: Result<Query<Paging>, QueryRejection>) -> Response {
    match shown(&reader, asked).await {
        Ok(shown) => reader.page("/jobs", Some(&page::address("/jobs/body", &shown.asked)), &page::body(&reader.view(), &shown)),
        Err(refusal) => reader.refused(&refusal, "/jobs", &not_done(reader.lang, &refusal.said(reader.lang))),
    }
}

/// `GET /jobs/body`
pub async fn show_body(reader: Reader, asked: Result<Query<Paging>, QueryRejection>) -> Response {
    match shown(&reader, asked).await {
        Ok(shown) => html(page::body(&reader.view(), &shown)),
        Err(refusal) => reader.refused(&refusal, "/jobs", &not_done(reader.lang, &refusal.said(reader.lang))),
    }
}
