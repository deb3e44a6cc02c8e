//! Forms about the microcloud.

use super::{Reader, html as answer_html, setup as steps, to};
use crate::http::changes::{NO_NETWORK, Replaced, depart, wish};
use crate::http::pages::cloud::{self as page, Made};
use crate::http::pages::setup::address;
use crate::http::pages::{not_done, settings};
use crate::net::{ClusterView, Command, FoundConfig};
use crate::setup::Step;
use axum::extract::{Form, Path};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

const HERE: &str = "/microcloud";
const SECONDS_PER_DAY: u64 = 86_400;

/// `GET /microcloud`
pub async fn show(reader: Reader) -> Response {
    answer(&reader, None)
}

/// `GET /microcloud/body`: while it joins or asks, and where newcomers may ask, the page looks by itself.
pub async fn show_body(reader: Reader) -> Response {
    answer_html(body(&reader, reader.app.view().as_ref(), None, None))
}

fn answer(reader: &Reader, made: Option<Made<'_>>) -> Response {
    let view = reader.app.view();
    let changes = made.is_none() && view.as_ref().is_some_and(changes_by_itself);
    reader.page(HERE, changes.then_some("/microcloud/body"), &body(reader, view.as_ref(), made, None))
}

/// Whether what the page shows may change while nobody does anything here.
fn changes_by_itself(view: &ClusterView) -> bool {
    view.joining.is_some() || view.asking.is_some() || view.community.as_ref().is_some_and(|community| community.can_invite)
}

fn body(reader: &Reader, view: Option<&ClusterView>, made: Option<Made<'_>>, wrong: Option<&str>) -> Markup {
    match view {
        Some(view) => html! {
            (page::body(&reader.view(), view, made, wrong))
            @if reader.app.settings().view().time_zone.is_none() { (settings::where_is_it(&reader.view())) }
        },
        None => not_done(reader.lang, NO_NETWORK),
    }
}

/// The fields of all its forms.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kit: String,
    #[serde(default)]
    member: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    words: String,
    uses: Option<u16>,
    days: Option<u64>,
    minutes: Option<u32>,
    /// Of a box, which says something only where it is ticked.
    undo: Option<String>,
    /// Said by the steps of setting up, which it leads back to.
    setup: Option<String>,
}

/// What is founded. Where a field is empty it says nothing, and a kit that was copied has line ends in it.
fn found(name: String, kit: &str, member: &str) -> FoundConfig {
    let said = |text: &str| Some(text.split_whitespace().collect::<String>()).filter(|text| !text.is_empty());
    FoundConfig { name, kit: said(kit), member: said(member) }
}

/// `POST /microcloud/ACTION`
pub async fn act(reader: Reader, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let (app, setup) = (&reader.app, fields.setup.is_some());
    let done = match (action.as_str(), fields) {
        // These are shown in this one answer, which no browser keeps (`Cache-Control: no-store`).
        ("found", Fields { name, kit, member, .. }) => {
            match wish(app, |reply| Command::Found { found: found(name, &kit, &member), reply }).await {
                Ok(kit) if setup => return steps::founded(&reader, &kit),
                Ok(kit) => return answer(&reader, Some(Made::Kit(&kit))),
                Err(refusal) => Err(refusal),
            }
        }
        ("invite", Fields { uses: Some(uses), days: Some(days), .. }) => {
            let valid_seconds = (days > 0).then(|| days.saturating_mul(SECONDS_PER_DAY));
            match wish(app, |reply| Command::Invite { uses, valid_seconds, reply }).await {
                Ok(token) => return answer(&reader, Some(Made::Invite(&token))),
                Err(refusal) => Err(refusal),
            }
        }
        // What is copied out of a letter has line ends and blanks in it.
        ("join", Fields { token, .. }) => {
            let token = token.split_whitespace().collect();
            wish(app, |reply| Command::Join { token, reply }).await.map(|_| ())
        }
        ("rename", Fields { name, .. }) => wish(app, |reply| Command::Rename { name, reply }).await,
        ("door", Fields { minutes: Some(minutes), .. }) => wish(app, |reply| Command::OpenDoor { minutes, reply }).await,
        ("ask", Fields { node, .. }) => wish(app, |reply| Command::Ask { node, reply }).await.map(drop),
        ("same", Fields { words, .. }) => wish(app, |reply| Command::SameWords { words, reply }).await.map(drop),
        ("stop", _) => wish(app, |reply| Command::StopAsking { reply }).await,
        ("let-in", Fields { node, words, .. }) => wish(app, |reply| Command::Decide { node, words, admit: true, reply }).await.map(drop),
        ("turn-away", Fields { node, words, .. }) => {
            wish(app, |reply| Command::Decide { node, words, admit: false, reply }).await.map(drop)
        }
        ("leave", _) => depart(app).await.map(drop),
        ("revoke", Fields { node, .. }) => wish(app, |reply| Command::Revoke { node, reply }).await.map(drop),
        ("replace", Fields { node, .. }) => {
            let wished = node.clone();
            match wish(app, |reply| Command::Replace { node: wished, reply }).await {
                Ok(successor) => return answer(&reader, Some(Made::Successor(&Replaced::new(node, successor)))),
                Err(refusal) => Err(refusal),
            }
        }
        ("appoint", Fields { node, .. }) => wish(app, |reply| Command::Appoint { node, reply }).await.map(drop),
        ("dismiss", Fields { node, undo, .. }) => {
            let undo = undo.is_some();
            wish(app, |reply| Command::Dismiss { node, undo, reply }).await.map(drop)
        }
        _ => return reader.nothing(),
    };
    let step = if action == "rename" { Step::Name } else { Step::Microcloud };
    match done {
        Ok(()) if setup && step == Step::Name => steps::stepped(&reader, step).await,
        // How that goes on is seen there.
        Ok(()) if setup => to(&address(step)),
        Err(refusal) if setup => steps::refused(&reader, step, &refusal),
        Ok(()) => to(HERE),
        Err(refusal) => {
            let body = body(&reader, reader.app.view().as_ref(), None, Some(&refusal.said(reader.lang)));
            reader.refused(&refusal, HERE, &body)
        }
    }
}
