//! The nodes of one owner, in the API. The page's forms call the same functions.

use super::caller::Caller;
use super::codes;
use super::problem::Refusal;
use crate::household::{self as of_owner, Failed, HouseholdView};
use crate::net::NetHandle;
use crate::state::App;
use crate::users::Operation;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Makes this node the first of a household, or one more of it: `POST /api/v1/household`.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HouseholdWish {
    /// The owner's recovery kit (`cloudy1-kit-…`). Without one, the key that is on this node, or a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// A new key, whichever is here: nodes that the old one certified are this owner's no more until they are asked anew.
    pub new_key: bool,
}

/// Whose this node is now.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HouseholdBegun {
    /// The owner, as its public key in hexadecimal.
    pub owner: String,
    /// The recovery kit of a key that was made just now. Secret; to be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// Why members hear of it only when this node starts again; it is kept all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<String>,
}

/// What somebody says to a node whose owner says that this one is its too: `POST /api/v1/household/NODE`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HouseholdAnswer {
    /// Whether it is.
    pub yes: bool,
}

/// The recovery kit of a household.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HouseholdKit {
    /// Its text. Secret.
    pub kit: String,
}

/// Where all of it begins.
pub const PATH: &str = "/api/v1/household";

type Answer<T> = Result<Json<T>, Refusal>;

fn refused(error: Failed) -> Refusal {
    let status = match error {
        Failed::NoNetwork | Failed::Records(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failed::NoCommunity | Failed::Refused(_) => StatusCode::CONFLICT,
        Failed::NotAsked(_) => StatusCode::NOT_FOUND,
        Failed::NoNode(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Refusal::new(status, error.to_string()).told(codes::of_household(&error))
}

fn net(app: &App) -> Result<&NetHandle, Refusal> {
    app.net().ok_or_else(|| refused(Failed::NoNetwork))
}

/// The household as it is now.
pub(super) async fn view(app: &App) -> Result<HouseholdView, Refusal> {
    of_owner::view(net(app)?).await.map_err(refused)
}

/// What of it stands on the first page for whoever looks: where they may look, and for owners who waits for an answer.
pub(super) async fn for_home(app: &App, caller: &Caller) -> HouseholdView {
    if !caller.may(Operation::Inspect) {
        return HouseholdView::default();
    }
    let mut household = view(app).await.unwrap_or_default();
    household.asking.retain(|node| caller.may(Operation::Own) && !node.refused);
    household
}

/// Begins a household here, or takes this node into the one of a kit.
pub(super) async fn begin_one(app: &App, kit: Option<String>, new_key: bool) -> Result<HouseholdBegun, Refusal> {
    let begun = of_owner::begin(net(app)?, kit, new_key).await.map_err(refused)?;
    Ok(HouseholdBegun { owner: begun.owner.hex(), kit: begun.kit, late: begun.late })
}

/// Says that a node is this one's owner's too.
pub(super) async fn ask_one(app: &App, node: String) -> Result<(), Refusal> {
    of_owner::ask(net(app)?, node).await.map_err(refused)
}

/// Answers who says so of this one.
pub(super) async fn answer_one(app: &App, node: &str, yes: bool) -> Result<(), Refusal> {
    of_owner::answer(net(app)?, node, yes).await.map_err(refused)
}

/// Says it no more.
pub(super) async fn take_back_one(app: &App, node: &str) -> Result<bool, Refusal> {
    of_owner::take_back(net(app)?, node).await.map_err(refused)
}

/// Takes this node out of its household.
pub(super) async fn leave_it(app: &App) -> Result<(), Refusal> {
    of_owner::leave(net(app)?).await.map_err(refused)
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Answer<HouseholdView> {
    view(&app).await.map(Json)
}

pub(super) async fn begin(State(app): State<Arc<App>>, Json(wish): Json<HouseholdWish>) -> Answer<HouseholdBegun> {
    begin_one(&app, wish.kit, wish.new_key).await.map(Json)
}

pub(super) async fn leave(State(app): State<Arc<App>>) -> Answer<HouseholdView> {
    leave_it(&app).await?;
    view(&app).await.map(Json)
}

pub(super) async fn ask(State(app): State<Arc<App>>, Path(node): Path<String>) -> Answer<HouseholdView> {
    ask_one(&app, node).await?;
    view(&app).await.map(Json)
}

pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    Json(HouseholdAnswer { yes }): Json<HouseholdAnswer>,
) -> Answer<HouseholdView> {
    answer_one(&app, &node, yes).await?;
    view(&app).await.map(Json)
}

pub(super) async fn take_back(State(app): State<Arc<App>>, Path(node): Path<String>) -> Answer<HouseholdView> {
    if !take_back_one(&app, &node).await? {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "that was not said of this node: `cloudy household` lists what was"));
    }
    view(&app).await.map(Json)
}

pub(super) async fn kit(State(app): State<Arc<App>>) -> Answer<HouseholdKit> {
    of_owner::kit(net(&app)?).await.map(|kit| Json(HouseholdKit { kit })).map_err(refused)
}
