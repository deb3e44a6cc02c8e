//! Users in the API: logging in and out, claiming the node, people and their programs' tokens.

use super::caller::{Acted, Caller, Who};
use super::problem::Refusal;
use crate::limits::PASSWORDS_AGAIN_SECS;
use crate::state::App;
use crate::users::{self, PasswordRefused, Refused, Role, RuleRefused, Scope, Secret, Token, Users, Way};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// `POST /api/v1/session`, and the form of the login.
#[derive(Deserialize)]
pub struct Login {
    /// Who.
    pub name: String,
    /// The password.
    pub password: String,
}

/// `POST /api/v1/claim`, and the form of it.
#[derive(Deserialize)]
pub struct Claim {
    /// The claim code, where one is needed.
    #[serde(default)]
    pub code: String,
    /// The first owner's name.
    pub name: String,
    /// And password.
    pub password: String,
}

/// `POST /api/v1/users`
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// What the person is here.
    pub role: Role,
    /// The password.
    pub password: String,
}

/// `PUT /api/v1/users/NAME/password`
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewPassword {
    /// The new one.
    pub password: String,
}

/// `PUT /api/v1/users/NAME/role`
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewRole {
    /// The new one.
    pub role: Role,
}

/// `PUT /api/v1/account/password`
#[derive(Deserialize)]
pub struct OwnPassword {
    /// The one until now.
    pub old: String,
    /// The new one.
    pub new: String,
}

/// `POST …/tokens`
#[derive(Deserialize, Serialize)]
pub struct NewToken {
    /// What it may.
    pub scope: Scope,
    /// What it is for.
    #[serde(default)]
    pub label: String,
}

/// For everybody who may (see `routes`).
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/session", get(session).post(login).delete(logout))
        .route("/api/v1/claim", post(claim))
        .route("/api/v1/account/password", put(own_password))
        .route("/api/v1/account/sessions", delete(end_sessions))
        .route("/api/v1/account/tokens", get(own_tokens).post(make_own_token))
        .route("/api/v1/account/tokens/{id}", delete(revoke_own_token))
        .route("/api/v1/users", get(list).post(add))
        .route("/api/v1/users/{name}", delete(remove))
        .route("/api/v1/users/{name}/role", put(set_role))
        .route("/api/v1/users/{name}/password", put(set_password))
        .route("/api/v1/users/{name}/tokens", get(tokens).post(make_token))
        .route("/api/v1/users/{name}/tokens/{id}", delete(revoke_token))
}

/// For the local socket alone.
pub fn local() -> Router<Arc<App>> {
    Router::new().route("/api/v1/claim-code", get(claim_code))
}

type Answer = Result<Json<Value>, Refusal>;

/// What a refused change answers.
pub fn refused(error: Refused) -> Refusal {
    let status = match &error {
        Refused::Rule(RuleRefused::Unknown | RuleRefused::NoToken) => StatusCode::NOT_FOUND,
        Refused::Rule(RuleRefused::Name) | Refused::Password(PasswordRefused::Length) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Rule(_) => StatusCode::CONFLICT,
        Refused::Password(PasswordRefused::Busy) | Refused::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Refused::Password(PasswordRefused::Hash(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        Refused::Wrong => StatusCode::UNAUTHORIZED,
        Refused::Code => StatusCode::FORBIDDEN,
        Refused::NotKept(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    let again = match &error {
        Refused::Password(PasswordRefused::Busy) => Some(PASSWORDS_AGAIN_SECS),
        Refused::Wait(seconds) => Some(*seconds),
        _ => None,
    };
    Refusal { status, detail: error.to_string(), again }
}

/// Adds the session's cookie to an answer, and says for the journal who came.
pub fn with_session(mut response: Response, id: &Secret, user: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&users::cookie(id, false)) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    with_name(response, user)
}

/// Ends the session in the browser.
pub fn without_session(mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&users::no_cookie()) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn with_name(mut response: Response, user: &str) -> Response {
    response.extensions_mut().insert(Acted(user.to_owned()));
    response
}

/// Says for the journal whose name was tried, if it is one of a user: what people type in the wrong field is nobody's business.
pub fn with_tried(response: Response, users: &Users, name: &str) -> Response {
    let known = users.list().into_iter().any(|(known, _)| known == name);
    with_name(response, &if known { format!("somebody as {name}") } else { "somebody under an unknown name".to_owned() })
}

async fn session(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let claim = match app.users().claim_way(caller.ip()) {
        Way::Open => "open",
        Way::Code => "code",
        Way::Owned => "owned",
        Way::Unsure => "unsure",
    };
    Json(match &caller.who {
        Who::Session { user, role, id } => json!({ "user": user, "role": role, "csrf": id.csrf(), "claim": claim }),
        Who::Token { user, role, scope, .. } => json!({ "user": user, "role": role, "scope": scope, "claim": claim }),
        Who::Nobody | Who::Local => json!({ "user": null, "claim": claim }),
    })
}

async fn login(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Json(login): Json<Login>) -> Response {
    let Login { name, password } = login;
    match app.users().login(caller.ip(), &name, password, caller.session()).await {
        Ok(id) => with_session(Json(json!({ "user": name, "csrf": id.csrf() })).into_response(), &id, &name),
        Err(error) => with_tried(refused(error).into_response(), app.users(), &name),
    }
}

async fn logout(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    if let Some(id) = caller.session() {
        app.users().logout(id);
    }
    without_session(Json(json!({ "user": null })).into_response())
}

async fn claim(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Json(claim): Json<Claim>) -> Response {
    let Claim { code, name, password } = claim;
    match app.users().claim(caller.ip(), &code, name.clone(), password).await {
        Ok(id) => with_session(Json(json!({ "user": name, "csrf": id.csrf() })).into_response(), &id, &name),
        Err(error) => refused(error).into_response(),
    }
}

async fn claim_code(State(app): State<Arc<App>>) -> Answer {
    match app.users().owned() {
        true => Err(refused(RuleRefused::Claimed.into())),
        false => Ok(Json(json!({ "code": app.users().claim_code() }))),
    }
}

/// The person of a session; `Account` lets nobody else here.
pub fn person(caller: &Caller) -> Result<String, Refusal> {
    caller.user().map(str::to_owned).ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "nobody is logged in"))
}

async fn own_password(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<OwnPassword>,
) -> Result<Response, Refusal> {
    let user = person(&caller)?;
    let id = app.users().change_password(caller.ip(), &user, request.old, request.new).await.map_err(refused)?;
    Ok(with_session(Json(json!({ "user": user, "csrf": id.csrf() })).into_response(), &id, &user))
}

async fn end_sessions(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Refusal> {
    let ended = app.users().logout_everywhere(&person(&caller)?);
    Ok(without_session(Json(json!({ "ended": ended })).into_response()))
}

fn shown(tokens: Vec<Token>) -> Value {
    let shown = tokens.into_iter().map(|token| json!({ "id": token.id, "user": token.user, "scope": token.scope, "label": token.label }));
    json!({ "tokens": shown.collect::<Vec<_>>() })
}

async fn own_tokens(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Answer {
    Ok(Json(shown(app.users().tokens(Some(&person(&caller)?)))))
}

async fn make_own_token(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Json(new): Json<NewToken>) -> Answer {
    make(&app, &person(&caller)?, new).await
}

async fn revoke_own_token(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Path(id): Path<u64>) -> Answer {
    revoke(&app, &person(&caller)?, id).await
}

async fn tokens(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer {
    Ok(Json(shown(app.users().tokens(Some(&name)))))
}

async fn make_token(State(app): State<Arc<App>>, Path(name): Path<String>, Json(new): Json<NewToken>) -> Answer {
    make(&app, &name, new).await
}

async fn revoke_token(State(app): State<Arc<App>>, Path((name, id)): Path<(String, u64)>) -> Answer {
    revoke(&app, &name, id).await
}

async fn make(app: &App, user: &str, new: NewToken) -> Answer {
    let (id, token) = app.users().make_token(user, new.scope, new.label).await.map_err(refused)?;
    Ok(Json(json!({ "id": id, "token": token })))
}

async fn revoke(app: &App, user: &str, id: u64) -> Answer {
    app.users().revoke_token(user, id).await.map_err(refused)?;
    Ok(Json(json!({ "revoked": id })))
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let users: Vec<Value> = app.users().list().into_iter().map(|(name, role)| json!({ "name": name, "role": role })).collect();
    Json(json!({ "users": users }))
}

async fn add(State(app): State<Arc<App>>, Json(new): Json<NewUser>) -> Answer {
    app.users().add(new.name.clone(), new.role, new.password).await.map_err(refused)?;
    Ok(Json(json!({ "name": new.name, "role": new.role })))
}

async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer {
    app.users().remove(&name).await.map_err(refused)?;
    Ok(Json(json!({ "removed": name })))
}

async fn set_role(State(app): State<Arc<App>>, Path(name): Path<String>, Json(new): Json<NewRole>) -> Answer {
    app.users().set_role(&name, new.role).await.map_err(refused)?;
    Ok(Json(json!({ "name": name, "role": new.role })))
}

async fn set_password(State(app): State<Arc<App>>, Path(name): Path<String>, Json(new): Json<NewPassword>) -> Answer {
    app.users().set_password(&name, new.password).await.map_err(refused)?;
    Ok(Json(json!({ "name": name })))
}
