//! Setting the node up, in the API: which step comes next, and what its owner answers.

use super::problem::Refusal;
use crate::setup::{self, Answer, Facts, Step};
use crate::state::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far setting up is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SetupView {
    /// The step that comes next.
    pub next: Step,
    /// All steps that this node has, in their order.
    pub steps: Vec<Step>,
    /// What was left for later, and is not so meanwhile.
    pub left: Vec<Step>,
    /// Whether it is finished or dismissed.
    pub over: bool,
}

/// `PUT /api/v1/setup/STEP`
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SetupWish {
    /// It is left for later; otherwise it is done.
    pub later: bool,
}

/// How the node is, as far as the steps go by it.
pub(super) fn facts(app: &App) -> Facts {
    let view = app.view();
    let community = view.as_ref().and_then(|view| view.community.as_ref());
    Facts {
        owned: app.users().owned(),
        member: community.is_some(),
        founder: community.is_some_and(|community| community.founder),
        zone: app.settings().view().time_zone.is_some(),
    }
}

/// How far it is.
pub(super) fn look(app: &App) -> SetupView {
    let (facts, marks) = (facts(app), app.setup().marks());
    SetupView {
        next: setup::next(&facts, &marks),
        steps: setup::steps(&facts, &marks),
        left: setup::left(&facts, &marks),
        over: marks.over(),
    }
}

/// Takes an answer to a step.
pub(super) async fn answer(app: &App, step: &str, later: bool) -> Result<SetupView, Refusal> {
    // That the node has an owner is no answer's to say.
    let Some(step) = Step::of(step).filter(|step| *step != Step::Claim) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "setting up has no such step: name, microcloud, kit, place, done"));
    };
    if step == Step::Microcloud && !later && !facts(app).member {
        let why = "this node belongs to no microcloud yet: found one, join one, or leave it for later";
        return Err(Refusal::new(StatusCode::CONFLICT, why));
    }
    let (setup, answer) = (Arc::clone(app.setup()), if later { Answer::Later } else { Answer::Done });
    written(move || setup.answer(step, answer)).await?;
    Ok(look(app))
}

/// Setting up begins, since somebody claimed the node. Where that can't be kept, nobody is reminded, and all else is as well.
pub(super) async fn claimed(app: &App) {
    let setup = Arc::clone(app.setup());
    if let Err(refusal) = written(move || setup.begin()).await {
        log::warn!("{}", refusal.detail);
    }
}

async fn written(write: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> Result<(), Refusal> {
    let not_kept = |why: String| Refusal::new(StatusCode::INSUFFICIENT_STORAGE, format!("this can't be kept: {why}"));
    let done = tokio::task::spawn_blocking(write).await.map_err(|error| not_kept(error.to_string()))?;
    done.map_err(|error| not_kept(format!("{error:#}")))
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Json<SetupView> {
    Json(look(&app))
}

pub(super) async fn set(
    State(app): State<Arc<App>>,
    Path(step): Path<String>,
    Json(wish): Json<SetupWish>,
) -> Result<Json<SetupView>, Refusal> {
    answer(&app, &step, wish.later).await.map(Json)
}
