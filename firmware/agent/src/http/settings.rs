//! The node's settings and its power, in the API.

use super::codes;
use super::problem::Refusal;
use crate::settings::{NotSet, SettingsView, Wish};
use crate::state::App;
use crate::text::{Code, Told};
use crate::units::{self, Power};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `POST /api/v1/power`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PowerRequest {
    /// What to do.
    pub action: Power,
}

/// `POST /api/v1/reset`
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResetRequest {
    /// This node's name: who erases a node says which.
    pub name: String,
}

/// What the machine does.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PowerDone {
    /// It.
    pub action: Power,
}

type Answer<T> = Result<Json<T>, Refusal>;

fn of_unit(error: units::Error) -> Refusal {
    let status = if matches!(error, units::Error::NoBus(_)) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
    Refusal::new(status, format!("{:#}", anyhow::Error::from(error)))
}

fn refused(error: NotSet) -> Refusal {
    let told = codes::of_setting(&error);
    let refusal = match error {
        NotSet::Zone(_) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        NotSet::Wrong(words) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words),
        NotSet::NoTrial => Refusal::new(StatusCode::CONFLICT, error.to_string()),
        NotSet::NotKept(_) => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
        NotSet::Unit(error) => of_unit(error),
    };
    refusal.told(told)
}

/// Changes settings.
pub(super) async fn alter(app: &App, wish: Wish) -> Result<SettingsView, Refusal> {
    if !app.keeps() {
        let why = "this node's data is not kept in this run, so no settings are: `cloudy status` says what is wrong with it";
        return Err(Refusal::new(StatusCode::CONFLICT, why.to_owned()).told(Told::from(Code::DataNotKept)));
    }
    app.settings().set(wish).await.map_err(refused)
}

/// Keeps what is on trial.
pub(super) async fn hold(app: &App) -> Result<SettingsView, Refusal> {
    app.settings().keep().await.map_err(refused)
}

/// Restarts the machine, or switches it off.
pub(super) async fn switch(app: &App, power: Power) -> Result<(), Refusal> {
    app.power(power).await.map_err(of_unit)
}

/// Has the node forget all that it kept.
pub(super) async fn erase(app: &App, name: &str) -> Result<(), Refusal> {
    let known_as = app.known_as();
    if ![known_as.as_str(), app.name()].contains(&name.trim()) {
        let words = format!("this node is called `{known_as}`: write that name to erase it");
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    log::warn!("a factory reset was asked for: this node restarts and forgets all that it kept");
    app.reset().await.map_err(of_unit)
}

pub(super) async fn reset(State(app): State<Arc<App>>, Json(request): Json<ResetRequest>) -> Answer<PowerDone> {
    erase(&app, &request.name).await.map(|()| Json(PowerDone { action: Power::Restart }))
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Json<SettingsView> {
    Json(app.settings().view())
}

pub(super) async fn set(State(app): State<Arc<App>>, Json(wish): Json<Wish>) -> Answer<SettingsView> {
    alter(&app, wish).await.map(Json)
}

pub(super) async fn keep(State(app): State<Arc<App>>) -> Answer<SettingsView> {
    hold(&app).await.map(Json)
}

pub(super) async fn power(State(app): State<Arc<App>>, Json(request): Json<PowerRequest>) -> Answer<PowerDone> {
    switch(&app, request.action).await.map(|()| Json(PowerDone { action: request.action }))
}
