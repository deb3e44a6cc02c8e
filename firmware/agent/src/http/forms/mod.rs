//! What the page is asked and told: `GET` shows, `POST` does something by the API's own functions and sends the browser on (303).
//! What was not done is said on the page that asked.

pub mod apps;
pub mod backups;
pub mod by_hand;
pub mod catalogs;
pub mod cloud;
pub mod encrypted;
pub mod files;
pub mod found;
pub mod hidden;
pub mod household;
pub mod jobs;
pub mod leases;
pub mod own;
pub mod people;
pub mod settings;
pub mod setup;
pub mod storage;
pub mod tunnels;

use super::caller::Caller;
use super::changes::run_docker;
use super::pages::{self, View, help, home, search, setup as steps};
use super::problem::Refusal;
use super::{household as api_household, lang, services, tunnels as api_tunnels};
use crate::net::Search;
use crate::state::App;
use crate::text::{Code, Lang, Told};
pub(super) use apps::host;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use std::sync::Arc;

/// What every page is made for.
pub struct Reader {
    caller: Caller,
    lang: Lang,
    app: Arc<App>,
    /// What the node is called.
    node: String,
}

impl Reader {
    fn new(app: &Arc<App>, caller: Caller, lang: Lang) -> Self {
        Self { caller, lang, app: Arc::clone(app), node: app.known_as() }
    }

    pub fn view(&self) -> View<'_> {
        View { node: &self.node, lang: self.lang, caller: &self.caller, owned: self.app.users().owned() }
    }

    /// A whole page.
    pub fn page(&self, here: &str, fresh: Option<&str>, body: &Markup) -> Response {
        html(pages::page(&self.view(), here, fresh, body))
    }

    /// A page that says why something was not done.
    fn refused(&self, refusal: &Refusal, here: &str, body: &Markup) -> Response {
        let mut response = self.page(here, None, body);
        *response.status_mut() = refusal.status;
        if let Some(seconds) = refusal.again {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// A page that there is not.
    fn nothing(&self) -> Response {
        let why = Refusal::new(StatusCode::NOT_FOUND, "there is no such page").told(Told::from(Code::NoPage));
        self.refused(&why, "", &pages::not_done(self.lang, &why.said(self.lang)))
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody knows who asks"));
        };
        Ok(Self::new(app, caller, lang(&parts.headers)))
    }
}

/// A page that says why the one who asks may not do that.
pub fn refused(app: &Arc<App>, caller: &Caller, lang: Lang, refusal: &Refusal) -> Response {
    let reader = Reader::new(app, caller.clone(), lang);
    reader.refused(refusal, "", &pages::not_done(lang, &refusal.said(lang)))
}

fn html(markup: Markup) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::VARY, "Accept-Language, Cookie")];
    (headers, markup.into_string()).into_response()
}

fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

pub async fn show_home(reader: Reader) -> Response {
    reader.page("/", Some("/body"), &home_body(&reader).await)
}

pub async fn show_home_body(reader: Reader) -> Response {
    html(home_body(&reader).await)
}

/// `POST /docker/ACTION`
pub async fn act_on_docker(reader: Reader, Path(action): Path<String>) -> Response {
    let Err(refusal) = run_docker(&reader.app, &action).await else { return to("/") };
    reader.refused(&refusal, "/", &maud::html! { (pages::not_done(reader.lang, &refusal.said(reader.lang))) (home_body(&reader).await) })
}

pub async fn show_help(reader: Reader) -> Response {
    reader.page("/help", None, &help::body(&reader.view()))
}

/// What is shown of the search where something else was not done.
async fn home_search(reader: &Reader, headers: &HeaderMap, wrong: Option<&str>) -> Markup {
    let found = services::find(&reader.app, &reader.caller, &Search::default()).await.unwrap_or_default();
    let open = api_tunnels::all(&reader.app, &reader.caller, headers);
    search::body(&reader.view(), &Search::default(), Ok(&found), &open, wrong)
}

/// `GET /search`: the fields are the API's.
pub async fn show_search(reader: Reader, headers: HeaderMap, query: Result<Query<Search>, QueryRejection>) -> Response {
    let (asked, found) = match services::asked(query) {
        Ok(asked) => {
            let found = services::find(&reader.app, &reader.caller, &asked).await;
            (asked, found)
        }
        Err(refusal) => (Search::default(), Err(refusal)),
    };
    let open = api_tunnels::all(&reader.app, &reader.caller, &headers);
    match found {
        Err(refusal) if refusal.status == StatusCode::CONFLICT && reader.app.registry().is_none() => {
            reader.page("/search", None, &search::alone(&reader.view()))
        }
        Ok(found) => reader.page("/search", None, &search::body(&reader.view(), &asked, Ok(&found), &open, None)),
        Err(refusal) => {
            reader.refused(&refusal, "/search", &search::body(&reader.view(), &asked, Err(&refusal.said(reader.lang)), &open, None))
        }
    }
}

/// What the first page shows.
async fn home_body(reader: &Reader) -> Markup {
    let (app, page) = (&reader.app, reader.view());
    let services = services::find(app, &reader.caller, &Search::default()).await.unwrap_or_default();
    let (status, view, apps) = (app.status(reader.lang).await, app.view(), app.apps().list().await);
    let household = api_household::for_home(app, &reader.caller).await;
    let pending = crate::setup::pending(app.users().owned(), &app.setup().marks());
    maud::html! { (steps::notice(&page, pending)) (home::body(&page, &status, (view.as_ref(), &household), &services, &apps)) }
}
