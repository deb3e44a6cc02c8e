//! What a person does not want to be shown of what is shared, in the API. The page's forms call the same functions.

use super::caller::Caller;
use super::hidden::{meant, published};
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use super::services::{name_of, no_community};
use super::users::{person, refused};
use crate::net::{ClusterView, ServiceRef};
use crate::state::App;
use crate::users::Operation;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a person has muted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct MutedView {
    /// The id of the node whose service it is.
    pub node: String,
    /// That node's name; empty where it is not known.
    pub node_name: String,
    /// The key by which it publishes the service; none where it is all of the node's.
    pub key: Option<String>,
}

/// A page of what a person has muted, by node.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MutedPage {
    /// What is muted.
    pub muted: Vec<MutedView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

type Answer = Result<Json<MutedView>, Refusal>;

/// What whoever asks has muted; nothing where nobody is known, and for those who could not undo it: guests, and programs with a token.
pub(super) fn of(app: &App, caller: &Caller) -> BTreeSet<ServiceRef> {
    let muted = caller.user().filter(|_| caller.may(Operation::Account)).map(|user| app.users().muted(user)).unwrap_or_default();
    muted.iter().filter_map(|text| ServiceRef::of_text(text)).collect()
}

fn shown(view: Option<&ClusterView>, what: ServiceRef) -> MutedView {
    let node = what.node.hex();
    MutedView { node_name: view.map(|view| name_of(view, &node)).unwrap_or_default(), node, key: what.key }
}

/// The same, as it is shown.
pub(super) fn all(app: &App, caller: &Caller) -> Vec<MutedView> {
    let view = app.view();
    of(app, caller).into_iter().map(|what| shown(view.as_ref(), what)).collect()
}

/// Shows a person something no more.
pub(super) async fn mute(app: &App, caller: &Caller, node: &str, key: Option<&str>) -> Result<MutedView, Refusal> {
    let user = person(caller)?;
    let registry = app.registry().ok_or_else(no_community)?;
    let view = app.view().ok_or_else(no_community)?;
    let what = published(&registry, &view, node, key).await?;
    app.users().set_muted(&user, what.text(), true).await.map_err(refused)?;
    Ok(shown(Some(&view), what))
}

/// Shows it again.
pub(super) async fn unmute(app: &App, caller: &Caller, node: &str, key: Option<&str>) -> Result<MutedView, Refusal> {
    let (user, what) = (person(caller)?, meant(node, key)?);
    app.users().set_muted(&user, what.text(), false).await.map_err(refused)?;
    Ok(shown(app.view().as_ref(), what))
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    asked: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, Refusal> {
    let kept = app.users().muted(&person(&caller)?).into_iter().collect();
    let (texts, next) = paging::cut(kept, Order::Up, String::clone, &paging::asked(asked)?)?;
    let view = app.view();
    let muted = texts.iter().filter_map(|text| ServiceRef::of_text(text)).map(|what| shown(view.as_ref(), what)).collect();
    Ok(paging::answer(&uri, next, |next| MutedPage { muted, next }))
}

pub(super) async fn mute_node(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Path(node): Path<String>) -> Answer {
    mute(&app, &caller, &node, None).await.map(Json)
}

pub(super) async fn mute_service(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((node, key)): Path<(String, String)>,
) -> Answer {
    mute(&app, &caller, &node, Some(&key)).await.map(Json)
}

pub(super) async fn unmute_node(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Path(node): Path<String>) -> Answer {
    unmute(&app, &caller, &node, None).await.map(Json)
}

pub(super) async fn unmute_service(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((node, key)): Path<(String, String)>,
) -> Answer {
    unmute(&app, &caller, &node, Some(&key)).await.map(Json)
}
