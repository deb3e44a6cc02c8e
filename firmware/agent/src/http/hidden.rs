//! What admins hide from all who search, in the API. The page's forms call the same functions.

use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use super::services::{name_of, no_community, refused};
use crate::net::{ClusterView, HiddenMark, Hide, Registry, ServiceRef, admins, check_reason};
use crate::state::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use cluster::NodeId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `PUT /api/v1/hidden/…`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HideWish {
    /// Why, which all may read: plain text of 400 bytes at most.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an admin hides.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HiddenView {
    /// The id of the node whose service it is.
    pub node: String,
    /// That node's name; empty where it is not known.
    pub node_name: String,
    /// The key by which it publishes the service; none where all of the node's are hidden.
    pub key: Option<String>,
    /// The id of the admin's node that hides it.
    pub by: String,
    /// That node's name; empty where it is not known.
    pub by_name: String,
    /// Whether that is this node, which alone shows it again.
    pub me: bool,
    /// Why, if it says.
    pub reason: Option<String>,
}

/// A page of what is hidden, by node.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct HiddenPage {
    /// What is hidden: once for each admin who hides it.
    pub hidden: Vec<HiddenView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// What this node hides no more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ShownAgain {
    /// The id of the node whose service it is.
    pub node: String,
    /// The key by which it publishes the service; none where it is all of the node's.
    pub key: Option<String>,
    /// What hides it still, if something does.
    pub hidden: Option<HiddenMark>,
}

type Answer<T> = Result<Json<T>, Refusal>;

const NO_ADMIN: &str = "this node is no admin, and only admins hide services from all: ask the owner of one (`cloudy nodes` says which are), or say on the search page that you don't want to be shown it";

/// What an address names.
pub(super) fn meant(node: &str, key: Option<&str>) -> Result<ServiceRef, Refusal> {
    ServiceRef::new(node, key).map_err(|words| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words))
}

/// What an address names, where a member publishes it.
pub(super) async fn published(registry: &Registry, view: &ClusterView, node: &str, key: Option<&str>) -> Result<ServiceRef, Refusal> {
    let what = meant(node, key)?;
    let none = |words: String| Refusal::new(StatusCode::NOT_FOUND, words);
    if !view.members.iter().any(|member| member.id == node) {
        return Err(none("no member has that id: `cloudy nodes --json` lists them".to_owned()));
    }
    if let Some(key) = key {
        let found = registry.service(what.node, key).await.map_err(|error| refused(&error))?;
        found.ok_or_else(|| none(format!("that node publishes no `{key}`: `cloudy search` lists what there is")))?;
    }
    Ok(what)
}

fn is_admin(view: &ClusterView) -> bool {
    NodeId::of_hex(&view.me.id).is_some_and(|me| admins(view).contains(&me))
}

fn shown(hide: Hide, view: &ClusterView) -> HiddenView {
    let Hide { what: ServiceRef { node, key }, by, reason } = hide;
    let (node, by) = (node.hex(), by.hex());
    HiddenView { node_name: name_of(view, &node), node, key, by_name: name_of(view, &by), me: by == view.me.id, by, reason }
}

/// Hides something from all who search.
pub(super) async fn hide(app: &App, node: &str, key: Option<&str>, reason: Option<String>) -> Result<HiddenView, Refusal> {
    let registry = app.registry().ok_or_else(no_community)?;
    let view = app.view().ok_or_else(no_community)?;
    if !is_admin(&view) {
        return Err(Refusal::new(StatusCode::CONFLICT, NO_ADMIN));
    }
    let what = published(&registry, &view, node, key).await?;
    if node == view.me.id {
        let how = "this is this node's own: take it back instead (`cloudy withdraw`, or the app's page)";
        return Err(Refusal::new(StatusCode::CONFLICT, how));
    }
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    reason.as_deref().map_or(Ok(()), check_reason).map_err(|words| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words))?;
    registry.hide(&what, reason.clone()).await.map_err(|error| refused(&error))?;
    let by = meant(&view.me.id, None)?.node;
    Ok(shown(Hide { what, by, reason }, &view))
}

/// Why this node can't show something again, by what hides it still.
fn not_here(still: Option<&HiddenMark>, admin: bool) -> Refusal {
    let status = if admin { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
    match still {
        Some(mark) if mark.me => Refusal::new(status, "this node hides all services of that node: show all of them again"),
        Some(HiddenMark { by, by_name, .. }) => {
            let by = if by_name.is_empty() { by } else { by_name };
            let how = "only that node shows it again, unless whoever founded the microcloud dismisses that admin (`cloudy dismiss`)";
            Refusal::new(status, format!("it is `{by}` that hides this: {how}"))
        }
        None if admin => Refusal::new(status, "this node does not hide that: `cloudy hide` lists what is hidden"),
        None => Refusal::new(status, NO_ADMIN),
    }
}

/// Shows to all again what this node hid.
pub(super) async fn show(app: &App, node: &str, key: Option<&str>) -> Result<ShownAgain, Refusal> {
    let registry = app.registry().ok_or_else(no_community)?;
    let view = app.view().ok_or_else(no_community)?;
    let mut done = registry.unhide(meant(node, key)?, admins(&view)).await.map_err(|error| refused(&error))?;
    if let Some(mark) = &mut done.still {
        mark.by_name = name_of(&view, &mark.by);
    }
    if !done.was_here {
        return Err(not_here(done.still.as_ref(), is_admin(&view)));
    }
    Ok(ShownAgain { node: node.to_owned(), key: key.map(str::to_owned), hidden: done.still })
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let asked = paging::asked(asked)?;
    let registry = app.registry().ok_or_else(no_community)?;
    let view = app.view().ok_or_else(no_community)?;
    let hidden = registry.hidden(admins(&view)).await.map_err(|error| refused(&error))?;
    let cursor = |hide: &Hide| format!("{}.{}", hide.what.text(), hide.by.hex());
    let mut sorted = hidden;
    sorted.sort_by_cached_key(cursor);
    let (hidden, next) = paging::cut(sorted, Order::Up, cursor, &asked)?;
    let hidden = hidden.into_iter().map(|hide| shown(hide, &view)).collect();
    Ok(paging::answer(&uri, next, |next| HiddenPage { hidden, next }))
}

pub(super) async fn hide_node(State(app): State<Arc<App>>, Path(node): Path<String>, Json(wish): Json<HideWish>) -> Answer<HiddenView> {
    hide(&app, &node, None, wish.reason).await.map(Json)
}

pub(super) async fn hide_service(
    State(app): State<Arc<App>>,
    Path((node, key)): Path<(String, String)>,
    Json(wish): Json<HideWish>,
) -> Answer<HiddenView> {
    hide(&app, &node, Some(&key), wish.reason).await.map(Json)
}

pub(super) async fn show_node(State(app): State<Arc<App>>, Path(node): Path<String>) -> Answer<ShownAgain> {
    show(&app, &node, None).await.map(Json)
}

pub(super) async fn show_service(State(app): State<Arc<App>>, Path((node, key)): Path<(String, String)>) -> Answer<ShownAgain> {
    show(&app, &node, Some(&key)).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_not_show_something_again_hears_who_can() {
        let mark = |me| HiddenMark { by: "ab".repeat(32), by_name: "garden".to_owned(), me, all: true, reason: None };
        let said = |still: Option<&HiddenMark>, admin| {
            let Refusal { status, detail, .. } = not_here(still, admin);
            (status.as_u16(), detail)
        };
        let (status, words) = said(Some(&mark(false)), true);
        assert!(status == 404 && words.contains("`garden`") && words.contains("only that node"), "{words}");
        assert_eq!(said(Some(&mark(false)), false), (409, words));
        assert!(said(Some(&mark(true)), true).1.contains("show all of them"));
        assert!(said(None, true).0 == 404 && said(None, false) == (409, NO_ADMIN.to_owned()));
    }
}
