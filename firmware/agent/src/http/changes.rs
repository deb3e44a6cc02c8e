//! Changes: invite, join, found, the door, units, installing; and who may use the local socket, as the kernel tells.

use super::problem::Refusal;
use crate::install;
use crate::net::{Command, CommandResult};
use crate::state::App;
use crate::text::Lang;
use crate::units::{self, Action};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// `POST /api/v1/invite`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InviteRequest {
    /// How many nodes may use it.
    pub uses: u16,
    /// Seconds until it expires; none for never.
    pub valid_seconds: Option<u64>,
}

/// `POST /api/v1/join`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JoinRequest {
    /// The invite's text.
    pub token: String,
}

/// `POST /api/v1/found` and `POST /api/v1/rename`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NameRequest {
    /// The community's or the node's name.
    pub name: String,
}

/// `POST /api/v1/door`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MinutesRequest {
    /// Minutes to stay open; 0 closes.
    pub minutes: u32,
}

/// `POST /api/v1/unit`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UnitRequest {
    /// The unit's full name.
    pub unit: String,
    /// What to do with it.
    pub action: Action,
}

/// For owners: the microcloud and units.
pub fn owning() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/found", post(found))
        .route("/api/v1/invite", post(invite))
        .route("/api/v1/join", post(join))
        .route("/api/v1/rename", post(rename))
        .route("/api/v1/leave", post(leave))
        .route("/api/v1/door", post(door))
        .route("/api/v1/unit", post(unit))
}

/// For the local socket alone: what looks into the machine, its disks, and the recovery kit.
pub fn local() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/doctor", get(doctor))
        .route("/api/v1/kit", post(kit))
        .route("/api/v1/install", get(install_overview).post(install_begin))
}

/// Who may change things: root, the agent's own user, and members of its group. The socket's mode says the same.
pub fn may_change(stream: &UnixStream) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    let (me, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let allowed = peer.uid() == 0 || peer.uid() == me.as_raw() || peer.gid() == group.as_raw() || in_group(peer.uid(), group);
    if !allowed {
        log::warn!(uid = peer.uid(), pid = peer.pid().unwrap_or(0); "a user who may not change this node was turned away");
    }
    allowed
}

/// Whether the user of that id has the group among its own in the group database.
fn in_group(uid: u32, group: nix::unistd::Gid) -> bool {
    let Ok(Some(user)) = nix::unistd::User::from_uid(uid.into()) else { return false };
    let Ok(name) = std::ffi::CString::new(user.name) else { return false };
    nix::unistd::getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

/// Why there is no microcloud to be seen or changed.
pub(super) const NO_NETWORK: &str = "the network part of the agent does not run; `cloudy doctor` says why";

/// Sends a wish to the network part and waits for its answer.
pub(super) async fn wish<T>(app: &App, make: impl FnOnce(oneshot::Sender<CommandResult<T>>) -> Command) -> Result<T, Refusal> {
    let gone = || refuse(StatusCode::SERVICE_UNAVAILABLE, NO_NETWORK.to_owned());
    let net = app.net().ok_or_else(gone)?;
    let (reply, answer) = oneshot::channel();
    net.commands.send(make(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?.map_err(|error| refuse(StatusCode::CONFLICT, error))
}

fn refuse(status: StatusCode, error: String) -> Refusal {
    Refusal::new(status, error)
}

fn answer<T: Serialize>(key: &'static str, result: Result<T, Refusal>) -> Response {
    match result {
        Ok(value) => Json(serde_json::json!({ key: value })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn doctor(State(app): State<Arc<App>>) -> Response {
    let (status, view) = (app.status(Lang::En).await, app.view());
    Json(crate::doctor::examine(&status, view.as_ref())).into_response()
}

async fn found(State(app): State<Arc<App>>, Json(request): Json<NameRequest>) -> Response {
    answer("kit", wish(&app, |reply| Command::Found { name: request.name, reply }).await)
}

async fn invite(State(app): State<Arc<App>>, Json(request): Json<InviteRequest>) -> Response {
    let InviteRequest { uses, valid_seconds } = request;
    answer("token", wish(&app, |reply| Command::Invite { uses, valid_seconds, reply }).await)
}

async fn join(State(app): State<Arc<App>>, Json(request): Json<JoinRequest>) -> Response {
    answer("community", wish(&app, |reply| Command::Join { token: request.token, reply }).await)
}

async fn rename(State(app): State<Arc<App>>, Json(request): Json<NameRequest>) -> Response {
    let name = request.name.clone();
    answer("name", wish(&app, |reply| Command::Rename { name: request.name, reply }).await.map(|()| name))
}

async fn leave(State(app): State<Arc<App>>) -> Response {
    answer("left", wish(&app, |reply| Command::Leave { reply }).await.map(|()| true))
}

async fn kit(State(app): State<Arc<App>>) -> Response {
    answer("kit", wish(&app, |reply| Command::Kit { reply }).await)
}

async fn door(State(app): State<Arc<App>>, Json(request): Json<MinutesRequest>) -> Response {
    let minutes = request.minutes;
    answer("minutes", wish(&app, |reply| Command::OpenDoor { minutes, reply }).await.map(|()| minutes))
}

async fn install_overview(State(app): State<Arc<App>>) -> Response {
    match install::overview(&app).await {
        Ok(overview) => Json(overview).into_response(),
        Err(error) => refuse_install(error),
    }
}

async fn install_begin(State(app): State<Arc<App>>, Json(request): Json<install::Request>) -> Response {
    match install::begin(&app, &request).await {
        Ok(state) => Json(state).into_response(),
        Err(error) => refuse_install(error),
    }
}

fn refuse_install(error: install::Refused) -> Response {
    let status = match error {
        install::Refused::Unknown { .. } => StatusCode::NOT_FOUND,
        install::Refused::Disk(_) | install::Refused::Busy(_) => StatusCode::CONFLICT,
        install::Refused::Unit(_) | install::Refused::Host(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, format!("{:#}", anyhow::Error::from(error))).into_response()
}

async fn unit(State(app): State<Arc<App>>, Json(request): Json<UnitRequest>) -> Response {
    match app.change_unit(request.action, &request.unit).await {
        Ok(()) => Json(serde_json::json!({ "result": "done" })).into_response(),
        Err(error) => {
            let status = match error {
                units::Error::NotManaged(_) => StatusCode::FORBIDDEN,
                units::Error::NoBus(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::CONFLICT,
            };
            refuse(status, format!("{:#}", anyhow::Error::from(error))).into_response()
        }
    }
}
