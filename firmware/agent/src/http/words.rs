//! Four words: a newcomer that asks to be let in, and an admin's node that decides.

use super::changes::wish;
use super::problem::Refusal;
use crate::net::{AskingView, Command, NewcomerView};
use crate::state::App;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `POST /api/v1/asking`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AskRequest {
    /// The id of a node that is seen on the local network, in hexadecimal, 64 digits; or `ID@ADDRESS` of one that is not seen there.
    pub node: String,
}

/// `PUT /api/v1/asking`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SameWords {
    /// The four words that a person found on both pages, with a blank between two.
    pub words: String,
}

/// `PUT /api/v1/newcomers/NODE`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewcomerDecision {
    /// The four words that a person saw, with a blank between two: with others nothing is decided.
    pub words: String,
    /// Whether it is let in.
    pub admit: bool,
}

/// What this node asks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AskingShown {
    /// The question; none where this node asks nobody.
    pub asking: Option<AskingView>,
}

/// Who asks here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Newcomers {
    /// The newcomers, those who asked first before others.
    pub newcomers: Vec<NewcomerView>,
}

/// A newcomer of which something was decided.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct NewcomerDecided {
    /// Its id.
    pub node: String,
    /// What it calls itself.
    pub name: String,
    /// Whether it is let in.
    pub admit: bool,
}

type Answer<T> = Result<Json<T>, Refusal>;

fn asked(asking: AskingView) -> Json<AskingShown> {
    Json(AskingShown { asking: Some(asking) })
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Json<AskingShown> {
    Json(AskingShown { asking: app.view().and_then(|view| view.asking) })
}

pub(super) async fn ask(State(app): State<Arc<App>>, Json(request): Json<AskRequest>) -> Answer<AskingShown> {
    wish(&app, |reply| Command::Ask { node: request.node, reply }).await.map(asked)
}

pub(super) async fn same(State(app): State<Arc<App>>, Json(request): Json<SameWords>) -> Answer<AskingShown> {
    wish(&app, |reply| Command::SameWords { words: request.words, reply }).await.map(asked)
}

pub(super) async fn stop(State(app): State<Arc<App>>) -> Answer<AskingShown> {
    wish(&app, |reply| Command::StopAsking { reply }).await.map(|()| Json(AskingShown { asking: None }))
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Newcomers> {
    Json(Newcomers { newcomers: app.view().map(|view| view.newcomers).unwrap_or_default() })
}

pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    Json(request): Json<NewcomerDecision>,
) -> Answer<NewcomerDecided> {
    let NewcomerDecision { words, admit } = request;
    let decided = wish(&app, |reply| Command::Decide { node: node.clone(), words, admit, reply }).await;
    decided.map(|name| Json(NewcomerDecided { node, name, admit }))
}
