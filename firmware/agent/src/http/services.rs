//! The registry in the API: searching and watching for everybody, publishing for owners.

use super::caller::Caller;
use super::problem::Refusal;
use super::{muted, paging};
use crate::links;
use crate::net::{ClusterView, Draft, Lens, LinkView, Listed, Liveness, Page, Refused, Registry, RegistryView, Search, admins};
use crate::quality::{self, Measure, Reach};
use crate::state::App;
use crate::tunnels::is_doubtful;
use axum::extract::{Path, Query, State, rejection::QueryRejection};
use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use cluster::NodeId;
use cluster::records::{Order, WriteError};
use cluster::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// `POST /api/v1/services`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewService {
    /// The key.
    pub key: String,
    /// What it is.
    #[serde(flatten)]
    pub draft: Draft,
}

/// How far the community agrees: `GET /api/v1/view`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Agreement {
    /// In words: `11 of 12 nodes hold this view`.
    words: String,
    #[serde(flatten)]
    view: RegistryView,
    /// Who was heard to hold this view: node ids.
    holder_ids: Vec<String>,
}

/// What a change that was made answers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = KeptRecord))]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// Under which key.
    key: String,
    /// This node's epoch.
    epoch: u32,
    /// The number of the change in it.
    sequence: u64,
    /// Whether it is told to others already; if not, it is once neighbours were asked for this node's newest head.
    published: bool,
}

type Answer<T> = Result<Json<T>, Refusal>;

fn refuse(status: StatusCode, error: impl ToString) -> Refusal {
    Refusal::new(status, error.to_string())
}

pub(super) fn refused(refused: &Refused) -> Refusal {
    let status = match refused {
        Refused::Closed(_) | Refused::Gone => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Write(WriteError::Copied) => StatusCode::CONFLICT,
        Refused::Write(WriteError::Store(StoreError::Full(_)) | WriteError::TooMuch { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        Refused::Write(WriteError::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Write(WriteError::Key(_) | WriteError::Value { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refuse(status, refused)
}

/// Why there are no records.
pub(super) const NO_COMMUNITY: &str =
    "this node belongs to no microcloud, so there are no records: found one (`cloudy found NAME`) or join one (`cloudy join TOKEN`)";

pub(super) fn no_community() -> Refusal {
    refuse(StatusCode::CONFLICT, NO_COMMUNITY)
}

/// A page of services as whoever asks is to see them, with how their nodes are and how well they are reached.
pub async fn find(app: &App, caller: &Caller, query: &Search) -> Result<Page, Refusal> {
    let view = app.view();
    let lens = Lens { admins: view.as_ref().map(admins).unwrap_or_default(), muted: muted::of(app, caller) };
    let found = app.registry().ok_or_else(no_community)?.search(query, lens).await.map_err(|error| refused(&error))?;
    let mut page = found.map_err(|words| refuse(StatusCode::BAD_REQUEST, words))?;
    if let Some(view) = view {
        let linked = view.members.iter().filter_map(|member| Some(member.link.as_ref()?.address?.ip().to_canonical()));
        let near = links::near_ones(page.services.iter().filter_map(|service| service.host).chain(linked));
        let measured = app.measured();
        page.services.iter_mut().for_each(|service| say_state(service, &view, &near, |node| measured.of(node)));
        measured.look(page.services.iter().filter(|service| is_to_be_measured(service, &view)).filter_map(id).collect());
    }
    Ok(page)
}

/// Says how its node is and is reached. `near` are the addresses that are on a network of this node, `measured` what is known without a connection.
fn say_state(service: &mut Listed, view: &ClusterView, near: &BTreeSet<IpAddr>, measured: impl Fn(&NodeId) -> Option<Measure>) {
    let member = view.members.iter().find(|member| member.id == service.node);
    let link = member.and_then(|member| member.link.as_ref());
    service.state = member.map(|member| member.state);
    if let Some(hidden) = &mut service.hidden {
        hidden.by_name = name_of(view, &hidden.by);
    }
    if let Some(host) = service.host.filter(|_| !service.me && service.service.port.is_some()) {
        service.doubtful = is_doubtful(host, near, link);
    }
    let reach = |link: &LinkView| Some(Reach { rtt: Duration::from_millis(link.rtt_ms?), lost_permille: link.lost_permille });
    let measure = link.and_then(reach).map(Measure::Reached).or_else(|| measured(&id(service)?));
    service.quality = quality::view(service.me, service.state, service.service.health, measure);
}

/// Whether how its node is reached is to be measured: there is no connection that says so, and somebody may answer.
fn is_to_be_measured(service: &Listed, view: &ClusterView) -> bool {
    let linked = || view.members.iter().any(|member| member.id == service.node && member.link.is_some());
    !service.me && matches!(service.state, Some(Liveness::Alive | Liveness::Suspect)) && !linked()
}

/// Its node's id.
fn id(service: &Listed) -> Option<NodeId> {
    NodeId::of_hex(&service.node)
}

/// What a member is called; empty where that is not known.
pub(super) fn name_of(view: &ClusterView, id: &str) -> String {
    view.members.iter().find(|member| member.id == id).map(|member| member.name.clone()).unwrap_or_default()
}

/// What is asked for, if it is a question.
pub(super) fn asked(query: Result<Query<Search>, QueryRejection>) -> Result<Search, Refusal> {
    query.map(|Query(asked)| asked).map_err(|error| refuse(StatusCode::BAD_REQUEST, error.body_text()))
}

pub(super) async fn search(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Response, Refusal> {
    let page = find(&app, &caller, &asked(query)?).await?;
    Ok(paging::answer(&uri, page.next.clone(), |_| page))
}

pub(super) async fn agreement(State(app): State<Arc<App>>) -> Answer<Agreement> {
    let registry = app.registry().ok_or_else(no_community)?;
    let holder_ids = registry.holders().await.map_err(|error| refused(&error))?;
    let view = registry.view();
    Ok(Json(Agreement { words: view.words(), view, holder_ids }))
}

/// Changes as they come, as server-sent events: `changed` with node and records, `missed` when the watcher was too slow.
pub(super) async fn watch(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Refusal> {
    let registry = app.registry().ok_or_else(no_community)?;
    let Ok(permit) = app.watchers().try_acquire_owned() else {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "too many watch already: try again later"));
    };
    let changes = registry.watch();
    let events = futures_util::stream::unfold((changes, permit), |(mut changes, permit)| async move {
        let event = match changes.recv().await {
            Ok(changed) => Event::default().event("changed").json_data(&changed),
            Err(RecvError::Lagged(missed)) => Event::default().event("missed").json_data(missed),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (changes, permit)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

pub(super) async fn publish_new(State(app): State<Arc<App>>, Json(request): Json<NewService>) -> Answer<Kept> {
    keep(&app, request.key, request.draft, true).await
}

pub(super) async fn publish(State(app): State<Arc<App>>, Path(key): Path<String>, Json(draft): Json<Draft>) -> Answer<Kept> {
    keep(&app, key, draft, false).await
}

async fn keep(app: &App, key: String, draft: Draft, new: bool) -> Answer<Kept> {
    let service = draft.service(&key).map_err(|words| refuse(StatusCode::UNPROCESSABLE_ENTITY, words))?;
    let registry = app.registry().ok_or_else(no_community)?;
    let order = registry.publish(&key, &service, new).await.map_err(|error| refused(&error))?;
    let order = order.ok_or_else(|| refuse(StatusCode::CONFLICT, format!("`{key}` is published here already: PUT changes it")))?;
    Ok(Json(kept(&registry, key, order)))
}

pub(super) async fn withdraw(State(app): State<Arc<App>>, Path(key): Path<String>) -> Answer<Kept> {
    let registry = app.registry().ok_or_else(no_community)?;
    let order = registry.withdraw(&key).await.map_err(|error| refused(&error))?;
    let order = order.ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("this node publishes no `{key}`")))?;
    Ok(Json(kept(&registry, key, order)))
}

fn kept(registry: &Registry, key: String, order: Order) -> Kept {
    let published = registry.view().phase == crate::net::OwnPhase::Open;
    Kept { key, epoch: order.epoch, sequence: order.sequence, published }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MemberView;

    fn view(link: Option<(u64, u16)>) -> ClusterView {
        let link = link.map(|(rtt, lost)| LinkView { address: None, through: None, rtt_ms: Some(rtt), lost_permille: Some(lost) });
        let member = MemberView { id: NodeId::of_seed(&[1; 32]).hex(), link, state: Liveness::Alive, ..MemberView::default() };
        ClusterView { members: vec![member], ..ClusterView::default() }
    }

    fn listed() -> Listed {
        Listed { node: NodeId::of_seed(&[1; 32]).hex(), ..Listed::default() }
    }

    fn said(view: &ClusterView, measured: Option<Measure>) -> Listed {
        let mut service = listed();
        say_state(&mut service, view, &BTreeSet::new(), |_| measured);
        service
    }

    #[test]
    fn a_connection_says_how_a_node_is_reached_and_without_one_what_was_measured() {
        let once = Some(Measure::Reached(Reach { rtt: Duration::from_millis(40), lost_permille: None }));
        let figures = |service: Listed| service.quality.map(|quality| (quality.rtt_ms, quality.lost_permille));
        assert_eq!(figures(said(&view(Some((7, 3))), once)), Some((Some(7), Some(3))));
        assert_eq!(figures(said(&view(None), once)), Some((Some(40), None)));
        assert_eq!(figures(said(&view(None), None)), None);
    }

    #[test]
    fn only_those_that_may_answer_and_have_no_connection_are_measured() {
        let (linked, free) = (view(Some((7, 3))), view(None));
        assert!(is_to_be_measured(&said(&free, None), &free) && !is_to_be_measured(&said(&linked, None), &linked));
        for state in [None, Some(Liveness::Down)] {
            assert!(!is_to_be_measured(&Listed { state, ..listed() }, &free), "{state:?}");
        }
        assert!(!is_to_be_measured(&Listed { me: true, ..said(&free, None) }, &free));
    }
}
