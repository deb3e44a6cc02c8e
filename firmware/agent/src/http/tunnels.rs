//! Services of other nodes that are opened through this one, in the API. The page's forms call the same functions.

use super::caller::Caller;
use super::codes;
use super::forms::host;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use crate::links;
use crate::state::App;
use crate::tunnels::{Opened, Refused, TunnelView};
use crate::users::Place;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A service of another node: `POST /api/v1/tunnels`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TunnelWish {
    /// The node's id.
    pub node: String,
    /// The key by which it publishes the service.
    pub service: String,
}

/// What was opened.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TunnelOpened {
    /// Where it is.
    pub tunnel: TunnelView,
}

/// What was closed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TunnelClosed {
    /// The port at which it was.
    pub port: u16,
}

/// A page of what is open, by port.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TunnelsPage {
    /// What is open.
    pub tunnels: Vec<TunnelView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

fn refused(error: &Refused) -> Refusal {
    let status = match error {
        Refused::NoNode(_) | Refused::NoService { .. } => StatusCode::NOT_FOUND,
        Refused::Own(_) | Refused::Whole(_) | Refused::NoPort | Refused::NodesOwn | Refused::NoCommunity => StatusCode::CONFLICT,
        Refused::NotReached { .. }
        | Refused::Silent { .. }
        | Refused::Stopped { .. }
        | Refused::Busy { .. }
        | Refused::Unread { .. }
        | Refused::TooMany
        | Refused::NoListener(_)
        | Refused::Records(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string()).told(codes::of_tunnel(error))
}

/// How this node is called by whoever asks: as they did, or over the local socket, which has no name, by its first address.
fn called(caller: &Caller, headers: &HeaderMap) -> String {
    if !caller.is_local() {
        return host(headers);
    }
    match links::addresses().first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into()) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Opens a service for whoever asks.
pub(super) async fn begin(app: &App, caller: &Caller, headers: &HeaderMap, wish: &TunnelWish) -> Result<Opened, Refusal> {
    let place = (!caller.is_local()).then(|| Place::from(caller.ip()));
    let opened = app.tunnels().open(&wish.node, &wish.service, place, &called(caller, headers)).await;
    opened.map_err(|error| refused(&error))
}

/// What is open, for whoever asks.
pub(super) fn all(app: &App, caller: &Caller, headers: &HeaderMap) -> Vec<TunnelView> {
    app.tunnels().list(&called(caller, headers))
}

/// Closes what is at a port.
pub(super) fn end(app: &App, port: u16) -> Result<(), Refusal> {
    let none =
        || Refusal::new(StatusCode::NOT_FOUND, format!("nothing of another node is open at port {port}: `cloudy tunnels` lists what is"));
    app.tunnels().close(port).then_some(()).ok_or_else(none)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
    asked: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (tunnels, next) = paging::cut(all(&app, &caller, &headers), Order::Up, |tunnel| tunnel.port, &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| TunnelsPage { tunnels, next }))
}

pub(super) async fn open(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(wish): Json<TunnelWish>,
) -> Result<(StatusCode, Json<TunnelOpened>), Refusal> {
    let Opened { view: tunnel, new } = begin(&app, &caller, &headers, &wish).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(TunnelOpened { tunnel })))
}

pub(super) async fn close(State(app): State<Arc<App>>, Path(port): Path<u16>) -> Result<Json<TunnelClosed>, Refusal> {
    end(&app, port).map(|()| Json(TunnelClosed { port }))
}
