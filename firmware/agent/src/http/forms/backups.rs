//! Forms about backups.

use super::{Reader, to};
use crate::apps::{BackupView, Key, NewKey, RestoreWish};
use crate::http::backups::{begin_restore, choose_key, find, held, new_key};
use crate::http::pages::backups::{self as page, Shown};
use crate::http::paging::MAX_PAGE;
use crate::http::problem::Refusal;
use crate::net::BlobSearch;
use axum::extract::{Form, Path};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeSet;

const HERE: &str = "/backups";
/// How many pages of other nodes' backups are looked at.
const PAGES_LOOKED_AT: usize = 3;

/// The backups that the page has room for: all that are here, so that no neighbour's hide them, then others; the newest of each app first.
async fn found(reader: &Reader) -> Result<Vec<BackupView>, String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..PAGES_LOOKED_AT {
        let search = BlobSearch { limit: Some(MAX_PAGE), after, ..BlobSearch::default() };
        let page = find(&reader.app, search).await.map_err(|refusal| refusal.said(reader.lang))?;
        all.extend(page.backups);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let seen: BTreeSet<String> = all.iter().map(|backup| backup.hash.clone()).collect();
    all.extend(
        held(&reader.app).await.map_err(|refusal| refusal.said(reader.lang))?.into_iter().filter(|backup| !seen.contains(&backup.hash)),
    );
    // The name ends with the moment.
    all.sort_by(|one, other| other.here.cmp(&one.here).then_with(|| other.name.cmp(&one.name)));
    Ok(all)
}

async fn body(reader: &Reader, made: Option<&NewKey>, wrong: Option<&str>) -> maud::Markup {
    let shown = Shown { key: reader.app.apps().backup_key().view().recipient, found: found(reader).await };
    page::body(&reader.view(), &shown, made, wrong)
}

async fn refused(reader: &Reader, refusal: &Refusal) -> Response {
    reader.refused(refusal, HERE, &body(reader, None, Some(&refusal.said(reader.lang))).await)
}

/// `GET /backups`
pub async fn show(reader: Reader) -> Response {
    reader.page(HERE, None, &body(&reader, None, None).await)
}

/// The fields of the forms about the key.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    recipient: String,
}

/// `POST /backups/{new-key,key}`
pub async fn act(reader: Reader, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let done = match action.as_str() {
        // It is shown in this one answer, which no browser keeps (`Cache-Control: no-store`).
        "new-key" => match new_key(&reader.app).await {
            Ok(made) => return reader.page(HERE, None, &body(&reader, Some(&made), None).await),
            Err(refusal) => Err(refusal),
        },
        "key" => choose_key(&reader.app, Key { recipient: fields.recipient }).await.map(drop),
        _ => return reader.nothing(),
    };
    match done {
        Ok(()) => to(HERE),
        Err(refusal) => refused(&reader, &refusal).await,
    }
}

/// `POST /backups/HASH/restore`
pub async fn restore(reader: Reader, Path(hash): Path<String>, Form(wish): Form<RestoreForm>) -> Response {
    match begin_restore(&reader.app, &hash, RestoreWish { secret: wish.secret }).await {
        Ok(_) => to("/apps"),
        Err(refusal) => refused(&reader, &refusal).await,
    }
}

/// The fields of a restore: the session's are beside them.
#[derive(Deserialize)]
pub struct RestoreForm {
    secret: String,
}
