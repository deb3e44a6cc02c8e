//! Forms about the nodes of one owner.

use super::{Reader, html, to};
use crate::apps::AppView;
use crate::household::{HouseNode, HouseholdView};
use crate::http::household::{self, HouseholdBegun};
use crate::http::pages::household as page;
use crate::http::problem::Refusal;
use crate::http::{at, encode};
use axum::body::{Body, to_bytes};
use axum::extract::{Form, Path};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use maud::Markup;
use serde::Deserialize;

const HERE: &str = "/household";
/// Bytes of another node's list of apps at most.
const LIST_BYTES: usize = 1 << 20;

/// The fields of all its forms.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    kit: String,
    #[serde(default)]
    node: String,
    yes: Option<String>,
}

/// `GET /household`
pub async fn show(reader: Reader) -> Response {
    answer(&reader, None, Ok(())).await
}

/// `GET /household/body`
pub async fn show_body(reader: Reader) -> Response {
    match whole(&reader, None, None).await {
        (body, Some(refusal)) => reader.refused(&refusal, HERE, &body),
        (body, None) => html(body),
    }
}

/// The page, with a kit that was made just now, or with why something was not done.
async fn answer(reader: &Reader, made: Option<&HouseholdBegun>, done: Result<(), Refusal>) -> Response {
    match whole(reader, made, done.err()).await {
        (body, Some(refusal)) => reader.refused(&refusal, HERE, &body),
        // A kit is shown once, and stays until its reader goes.
        (body, None) => reader.page(HERE, made.is_none().then_some("/household/body"), &body),
    }
}

/// All of it, and what is refused: what somebody asked for, or else what the page needs.
async fn whole(reader: &Reader, made: Option<&HouseholdBegun>, wrong: Option<Refusal>) -> (Markup, Option<Refusal>) {
    let (household, lacks) = match household::view(&reader.app).await {
        Ok(household) => (household, None),
        Err(refusal) => (HouseholdView::default(), Some(refusal)),
    };
    let members = reader.app.view().map(|view| view.members).unwrap_or_default();
    let wrong = wrong.or(lacks);
    let (kit, late) = made.map(|made| (made.kit.as_deref(), made.late.as_deref())).unwrap_or_default();
    let said = wrong.as_ref().map(|refusal| refusal.said(reader.lang));
    (page::body(&reader.view(), &household, &members, kit, said.as_deref().or(late)), wrong)
}

/// `POST /household/ACTION`
pub async fn act(reader: Reader, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let app = &reader.app;
    let done = match (action.as_str(), fields) {
        ("begin", Fields { kit, .. }) => {
            // What was copied has line ends and blanks in it.
            let kit = Some(kit.split_whitespace().collect::<String>()).filter(|kit| !kit.is_empty());
            match household::begin_one(app, kit, false).await {
                Ok(begun) if begun.kit.is_some() => return answer(&reader, Some(&begun), Ok(())).await,
                begun => begun.map(drop),
            }
        }
        ("ask", Fields { node, .. }) => household::ask_one(app, node).await,
        ("answer", Fields { node, yes: Some(yes), .. }) => household::answer_one(app, &node, yes == "yes").await,
        ("back", Fields { node, .. }) => household::take_back_one(app, &node).await.map(drop),
        ("leave", _) => household::leave_it(app).await,
        _ => return reader.nothing(),
    };
    match done {
        Ok(()) => to(HERE),
        refused => answer(&reader, None, refused).await,
    }
}

/// Asks another node of this owner, for whoever reads.
async fn ask(reader: &Reader, node: &str, method: Method, path: &str) -> Result<Vec<u8>, Refusal> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    let answer = at::ask(&reader.app, &reader.caller, node, path, request).await?;
    let status = answer.status();
    let too_long = |_| Refusal::new(StatusCode::BAD_GATEWAY, "that node's answer is longer than any should be");
    let body = to_bytes(answer.into_body(), LIST_BYTES).await.map_err(too_long)?;
    if status.is_success() {
        return Ok(body.into());
    }
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let why = said.as_ref().and_then(|said| said.get("detail")?.as_str()).unwrap_or("that node refuses, and does not say why");
    Err(Refusal::new(status, why))
}

/// The list of apps, as its API gives it.
#[derive(Deserialize)]
struct Apps {
    apps: Vec<AppView>,
}

/// `GET /household/nodes/NODE`
pub async fn show_one(reader: Reader, Path(node): Path<String>) -> Response {
    one(&reader, &node, None).await
}

async fn one(reader: &Reader, id: &str, wrong: Option<Refusal>) -> Response {
    let household = household::view(&reader.app).await.unwrap_or_default();
    let Some(node) = household.nodes.into_iter().find(|node| node.id == id) else { return reader.nothing() };
    let apps = ask(reader, id, Method::GET, "/api/v1/apps?limit=200").await.and_then(|body| {
        let unread = |_| Refusal::new(StatusCode::BAD_GATEWAY, "that node speaks another version's language: update both");
        serde_json::from_slice::<Apps>(&body).map(|list| list.apps).map_err(unread)
    });
    show_node(reader, &node, apps, wrong)
}

fn show_node(reader: &Reader, node: &HouseNode, apps: Result<Vec<AppView>, Refusal>, wrong: Option<Refusal>) -> Response {
    let shown = apps.as_deref().map_err(|refusal| refusal.said(reader.lang));
    let shown = shown.as_ref().map_or_else(|why| Err(why.as_str()), |apps| Ok(*apps));
    let wrong_words = wrong.as_ref().map(|refusal| refusal.said(reader.lang));
    let body = page::one(&reader.view(), node, shown, wrong_words.as_deref());
    match wrong.or(apps.err()) {
        Some(refusal) => reader.refused(&refusal, HERE, &body),
        None => reader.page(HERE, None, &body),
    }
}

/// `POST /household/nodes/NODE/APP/ACTION`
pub async fn act_there(reader: Reader, Path((node, app, action)): Path<(String, String, String)>) -> Response {
    let path = format!("/api/v1/apps/{}/{}", encode(&app), encode(&action));
    match ask(&reader, &node, Method::POST, &path).await {
        Ok(_) => to(&format!("{HERE}/nodes/{}", encode(&node))),
        Err(refusal) => one(&reader, &node, Some(refusal)).await,
    }
}
