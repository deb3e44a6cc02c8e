//! Changes: invite, join, found, the door, units, installing; and who may use the local socket, as the kernel tells.

use super::problem::Refusal;
use crate::doctor::Check;
use crate::install;
use crate::net::{Command, CommandResult, FoundConfig, Successor, Unwilling};
use crate::state::App;
use crate::text::{Code, Lang, Told};
use crate::units::{self, Action, DOCKER_UNIT};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use contract::settings::Hostname;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// `POST /api/v1/invite`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InviteRequest {
    /// How many nodes may use it.
    pub uses: u16,
    /// Seconds until it expires; none for never.
    pub valid_seconds: Option<u64>,
}

/// `POST /api/v1/join`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JoinRequest {
    /// The invite's text.
    pub token: String,
}

/// `POST /api/v1/found`
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FoundRequest {
    /// The community's name.
    pub name: String,
    /// The recovery kit of a community that is there: this node comes back into it as an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// With a kit, a member of that community as `ID@ADDRESS`; needed where none is seen on the local network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

impl From<FoundRequest> for FoundConfig {
    fn from(FoundRequest { name, kit, member }: FoundRequest) -> Self {
        Self { name, kit, member }
    }
}

/// `POST /api/v1/rename`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NameRequest {
    /// The node's name.
    pub name: String,
}

/// `POST /api/v1/dismiss`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DismissRequest {
    /// The node's id in hexadecimal, 64 digits.
    pub node: String,
    /// Whether the nodes come back that it took out.
    #[serde(default)]
    pub undo: bool,
}

/// `POST /api/v1/revoke`, `POST /api/v1/replace` and `POST /api/v1/appoint`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeRequest {
    /// The node's id in hexadecimal, 64 digits.
    pub node: String,
}

/// `POST /api/v1/door`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MinutesRequest {
    /// Minutes to stay open; 0 closes.
    pub minutes: u32,
}

/// `POST /api/v1/unit`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UnitRequest {
    /// The unit's full name.
    pub unit: String,
    /// What to do with it.
    pub action: Action,
}

/// The recovery kit of a microcloud.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Kit {
    /// Its text: the key to the microcloud.
    pub kit: String,
}

/// An invite.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Invite {
    /// Its text.
    pub token: String,
}

/// What is being joined.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeJoining))]
pub struct Joining {
    /// The community's name.
    pub community: String,
}

/// What a node is called.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeName))]
pub struct Named {
    /// The name.
    pub name: String,
}

/// Whether the node has left.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeLeft))]
pub struct Left {
    /// It has.
    pub left: bool,
    /// Whether it starts again at once, since it had been removed and gets another identity.
    pub restarts: bool,
}

/// A node of which something was decided.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeDecided))]
pub struct Decided {
    /// Its id.
    pub node: String,
    /// What it is or was called.
    pub name: String,
}

/// What takes the place of a node that is gone.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NodeReplaced))]
pub struct Replaced {
    /// The id of the node that is gone.
    pub node: String,
    /// What it was called.
    pub name: String,
    /// An invite for one node.
    pub token: String,
    /// The same, with the name, as the new node's `cloudy.toml` says it.
    pub card: String,
}

impl Replaced {
    pub(super) fn new(node: String, Successor { name, token }: Successor) -> Self {
        let card = card(&name, &token);
        Self { node, name, token, card }
    }
}

/// What a new node's `cloudy.toml` says so that it comes in under a name, where that can be a hostname.
fn card(name: &str, token: &str) -> String {
    let join = format!("[join]\ntoken = \"{token}\"\n");
    let named = format!("hostname = \"{name}\"\n{join}");
    if Hostname::try_from(name.to_owned()).is_ok() { named } else { join }
}

/// How long the door is open.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DoorOpen {
    /// Minutes; 0 where it is closed.
    pub minutes: u32,
}

/// What became of a unit's job.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct UnitDone {
    /// `done`.
    pub result: String,
}

type Answer<T> = Result<Json<T>, Refusal>;

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
    let gone = || refuse(StatusCode::SERVICE_UNAVAILABLE, NO_NETWORK.to_owned()).told(Told::from(Code::NoNetwork));
    let net = app.net().ok_or_else(gone)?;
    let (reply, answer) = oneshot::channel();
    net.commands.send(make(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?.map_err(|Unwilling { why, told }| refuse(StatusCode::CONFLICT, why).told(told))
}

fn refuse(status: StatusCode, error: String) -> Refusal {
    Refusal::new(status, error)
}

pub(super) async fn doctor(State(app): State<Arc<App>>) -> Json<Vec<Check>> {
    let (status, view) = (app.status(Lang::En).await, app.view());
    let looked = crate::doctor::look(&status.name, view.as_ref()).await;
    Json(crate::doctor::examine(&status, view.as_ref(), &looked))
}

pub(super) async fn found(State(app): State<Arc<App>>, Json(request): Json<FoundRequest>) -> Answer<Kit> {
    wish(&app, |reply| Command::Found { found: request.into(), reply }).await.map(|kit| Json(Kit { kit }))
}

pub(super) async fn invite(State(app): State<Arc<App>>, Json(request): Json<InviteRequest>) -> Answer<Invite> {
    let InviteRequest { uses, valid_seconds } = request;
    wish(&app, |reply| Command::Invite { uses, valid_seconds, reply }).await.map(|token| Json(Invite { token }))
}

pub(super) async fn join(State(app): State<Arc<App>>, Json(request): Json<JoinRequest>) -> Answer<Joining> {
    wish(&app, |reply| Command::Join { token: request.token, reply }).await.map(|community| Json(Joining { community }))
}

pub(super) async fn rename(State(app): State<Arc<App>>, Json(request): Json<NameRequest>) -> Answer<Named> {
    let name = request.name.clone();
    wish(&app, |reply| Command::Rename { name: request.name, reply }).await.map(|()| Json(Named { name }))
}

pub(super) async fn leave(State(app): State<Arc<App>>) -> Answer<Left> {
    depart(&app).await.map(|restarts| Json(Left { left: true, restarts }))
}

/// Leaves the community; whether the agent starts again, as another node.
pub(super) async fn depart(app: &App) -> Result<bool, Refusal> {
    let another = wish(app, |reply| Command::Leave { reply }).await?;
    if another {
        // What is being answered is answered first.
        app.end();
    }
    Ok(another)
}

pub(super) async fn revoke(State(app): State<Arc<App>>, Json(request): Json<NodeRequest>) -> Answer<Decided> {
    let node = request.node.clone();
    wish(&app, |reply| Command::Revoke { node: request.node, reply }).await.map(|name| Json(Decided { node, name }))
}

pub(super) async fn replace(State(app): State<Arc<App>>, Json(request): Json<NodeRequest>) -> Answer<Replaced> {
    let node = request.node.clone();
    wish(&app, |reply| Command::Replace { node: request.node, reply }).await.map(|successor| Json(Replaced::new(node, successor)))
}

pub(super) async fn appoint(State(app): State<Arc<App>>, Json(request): Json<NodeRequest>) -> Answer<Decided> {
    let node = request.node.clone();
    wish(&app, |reply| Command::Appoint { node: request.node, reply }).await.map(|name| Json(Decided { node, name }))
}

pub(super) async fn dismiss(State(app): State<Arc<App>>, Json(request): Json<DismissRequest>) -> Answer<Decided> {
    let DismissRequest { node, undo } = request;
    wish(&app, |reply| Command::Dismiss { node: node.clone(), undo, reply }).await.map(|name| Json(Decided { node, name }))
}

pub(super) async fn kit(State(app): State<Arc<App>>) -> Answer<Kit> {
    wish(&app, |reply| Command::Kit { reply }).await.map(|kit| Json(Kit { kit }))
}

pub(super) async fn door(State(app): State<Arc<App>>, Json(request): Json<MinutesRequest>) -> Answer<DoorOpen> {
    let minutes = request.minutes;
    wish(&app, |reply| Command::OpenDoor { minutes, reply }).await.map(|()| Json(DoorOpen { minutes }))
}

pub(super) async fn install_overview(State(app): State<Arc<App>>) -> Answer<install::Overview> {
    install::overview(&app).await.map(Json).map_err(not_installed)
}

pub(super) async fn install_begin(State(app): State<Arc<App>>, Json(request): Json<install::Request>) -> Answer<install::State> {
    install::begin(&app, &request).await.map(Json).map_err(not_installed)
}

fn not_installed(error: install::Refused) -> Refusal {
    let status = match error {
        install::Refused::Unknown { .. } => StatusCode::NOT_FOUND,
        install::Refused::Disk(_) | install::Refused::Busy(_) => StatusCode::CONFLICT,
        install::Refused::Unit(_) | install::Refused::Host(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, format!("{:#}", anyhow::Error::from(error)))
}

/// Does something with a unit, and waits for the result.
async fn run_unit(app: &App, action: Action, unit: &str) -> Result<(), Refusal> {
    app.change_unit(action, unit).await.map_err(|error| {
        let status = match error {
            units::Error::NotManaged(_) => StatusCode::FORBIDDEN,
            units::Error::NoBus(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        refuse(status, format!("{:#}", anyhow::Error::from(error)))
    })
}

pub(super) async fn unit(State(app): State<Arc<App>>, Json(request): Json<UnitRequest>) -> Answer<UnitDone> {
    run_unit(&app, request.action, &request.unit).await.map(|()| Json(UnitDone { result: "done".to_owned() }))
}

/// Starts or restarts Docker, for those who run apps; to stop it is the owner's, with `unit`.
pub(super) async fn run_docker(app: &App, action: &str) -> Result<(), Refusal> {
    match [Action::Start, Action::Restart].into_iter().find(|known| known.word() == action) {
        Some(action) => run_unit(app, action, DOCKER_UNIT).await,
        None => Err(refuse(StatusCode::NOT_FOUND, format!("Docker can be started and restarted here; not `{}`", action.escape_default()))),
    }
}

pub(super) async fn docker(State(app): State<Arc<App>>, Path(action): Path<String>) -> Answer<UnitDone> {
    run_docker(&app, &action).await.map(|()| Json(UnitDone { result: "done".to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_card_says_the_old_name_where_it_can_be_a_hostname() {
        assert_eq!(card("roof-2", "abc"), "hostname = \"roof-2\"\n[join]\ntoken = \"abc\"\n");
        for odd in ["", "-a", "a-", "a\"\n[wifi]", "té", &"a".repeat(64)] {
            assert_eq!(card(odd, "abc"), "[join]\ntoken = \"abc\"\n", "{odd}");
        }
    }
}
