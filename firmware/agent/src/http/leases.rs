//! Apps on somebody else's node, in the API: what there is, offering, deciding, ending, and the owner's policy. The page's forms call the
//! same functions.

use super::apps::{kept, refused as app_refused};
use super::codes;
use super::problem::Refusal;
use super::shared_apps;
use crate::leases::{LeasesView, Policy, Refused, Wanted, Wish};
use crate::state::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What was offered.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Offered {
    /// The ids of the leases, one for each node that is asked.
    pub leases: Vec<String>,
}

/// What becomes of an offer or lease: `PUT /api/v1/leases/ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseDecision))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Decision {
    /// What.
    pub decision: Word,
}

/// One of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseDecisionWord))]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// An offer to this node is taken.
    Accept,
    /// It is not.
    Refuse,
    /// A lease ends, on whichever side; an offer of this node's is taken back.
    End,
}

fn refused(error: Refused) -> Refusal {
    let told = codes::of_lease(&error);
    let status = match error {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Conflict(_) | Refused::NoCommunity => StatusCode::CONFLICT,
        Refused::App(error) => return app_refused(error),
        Refused::NotShared(error) => return shared_apps::refused(error),
        Refused::Records(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    Refusal::new(status, error.to_string()).told(told)
}

/// Offers an app.
pub(super) async fn begin_offer(app: &App, wish: Wish) -> Result<Offered, Refusal> {
    kept(app)?;
    app.leases().offer(wish).await.map(|leases| Offered { leases }).map_err(refused)
}

/// Decides of an offer or lease.
pub(super) async fn take_decision(app: &App, id: &str, word: Word) -> Result<(), Refusal> {
    kept(app)?;
    let leases = app.leases();
    match word {
        Word::Accept => leases.accept(id).await,
        Word::Refuse => leases.refuse(id).await,
        Word::End => leases.end(id).await,
    }
    .map_err(refused)
}

/// Sets the policy.
pub(super) async fn choose_policy(app: &App, policy: Policy) -> Result<(), Refusal> {
    kept(app)?;
    app.leases().set_policy(policy).await.map_err(refused)
}

/// Says how many copies of an app are kept.
pub(super) async fn choose_replicas(app: &App, name: String, wanted: Wanted) -> Result<(), Refusal> {
    kept(app)?;
    app.leases().set_replicas(name, wanted).await.map_err(refused)
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Json<LeasesView> {
    Json(app.leases().view())
}

pub(super) async fn offer(State(app): State<Arc<App>>, Json(wish): Json<Wish>) -> Result<(StatusCode, Json<Offered>), Refusal> {
    begin_offer(&app, wish).await.map(|offered| (StatusCode::CREATED, Json(offered)))
}

pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(decision): Json<Decision>,
) -> Result<Json<LeasesView>, Refusal> {
    take_decision(&app, &id, decision.decision).await?;
    Ok(Json(app.leases().view()))
}

pub(super) async fn set_policy(State(app): State<Arc<App>>, Json(policy): Json<Policy>) -> Result<Json<LeasesView>, Refusal> {
    choose_policy(&app, policy).await?;
    Ok(Json(app.leases().view()))
}

pub(super) async fn set_replicas(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<LeasesView>, Refusal> {
    choose_replicas(&app, name, wanted).await?;
    Ok(Json(app.leases().view()))
}
