//! Users in the API: logging in and out, claiming the node, people and their programs' tokens.

use super::caller::{Acted, Caller, Who};
use super::codes;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use super::versions::{IfMatch, Revision};
use crate::limits::PASSWORDS_AGAIN_SECS;
use crate::revision::Expected;
use crate::state::App;
use crate::users::{self, PasswordRefused, Refused, Role, RuleRefused, Scope, Secret, Token, UserView, Users, Way};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `POST /api/v1/session`, and the form of the login.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Login {
    /// Who.
    pub name: String,
    /// The password.
    pub password: String,
}

/// `POST /api/v1/claim`, and the form of it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
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
#[cfg_attr(test, derive(utoipa::ToSchema))]
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
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewPassword {
    /// The new one.
    pub password: String,
}

/// `PUT /api/v1/users/NAME/role`
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewRole {
    /// The new one.
    pub role: Role,
}

/// `PUT /api/v1/account/password`
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct OwnPassword {
    /// The one until now.
    pub old: String,
    /// The new one.
    pub new: String,
}

/// `POST …/tokens`
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct NewToken {
    /// What it may.
    pub scope: Scope,
    /// What it is for.
    #[serde(default)]
    pub label: String,
}

/// Who asks, and how this node is claimed: `GET /api/v1/session`
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SessionView {
    /// The person of the session or token; none where nobody is known.
    pub user: Option<String>,
    /// What the person is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What the token may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// What a script of the session sends as `X-CSRF-Token` with each change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
    /// How the one who asks can claim this node.
    pub claim: ClaimWay,
}

/// How a node can be claimed.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ClaimWay {
    /// Without a code.
    Open,
    /// With the code that `cloudy user claim-code` shows on the node.
    Code,
    /// It has an owner.
    Owned,
    /// Not now: users can't be read or kept.
    Unsure,
}

/// A session that was opened; its cookie comes with it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SessionOpened))]
pub struct Opened {
    /// Whose it is.
    pub user: String,
    /// What scripts send as `X-CSRF-Token` with each change.
    pub csrf: String,
}

/// A session that is closed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SessionClosed))]
pub struct Closed {
    /// Nobody.
    pub user: Option<String>,
}

/// Sessions that were ended.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SessionsEnded))]
pub struct Ended {
    /// How many.
    pub ended: usize,
}

/// The code with which a node that nobody owns is claimed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ClaimCode {
    /// The code: another after each start of the agent.
    pub code: String,
}

/// A page of users, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct UsersPage {
    /// The users.
    pub users: Vec<UserView>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// A page of tokens, by number.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TokensPage {
    /// The tokens; their texts are not kept.
    pub tokens: Vec<Token>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
}

/// A token that was made.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenMade))]
pub struct MadeToken {
    /// Its number.
    pub id: u64,
    /// Its text, shown this once.
    pub token: String,
}

/// A token that opens nothing any more.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenRevoked))]
pub struct RevokedToken {
    /// Its number.
    pub revoked: u64,
}

/// A user with the new role.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = UserWithRole))]
pub struct NamedRole {
    /// The user.
    pub name: String,
    /// The role.
    pub role: Role,
}

/// A user of whom something was changed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = UserName))]
pub struct NamedUser {
    /// The user.
    pub name: String,
}

/// A user who is no more.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = UserRemoved))]
pub struct RemovedUser {
    /// The user.
    pub removed: String,
}

type Answer<T> = Result<Json<T>, Refusal>;
type Asked = Result<Query<Paging>, QueryRejection>;

/// What a refused change answers.
pub fn refused(error: Refused) -> Refusal {
    let status = match &error {
        Refused::Rule(RuleRefused::Unknown | RuleRefused::NoToken | RuleRefused::NotMuted) => StatusCode::NOT_FOUND,
        Refused::Rule(RuleRefused::Changed) => StatusCode::PRECONDITION_FAILED,
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
    Refusal { again, ..Refusal::new(status, error.to_string()).told(codes::of_user(&error)) }
}

/// Adds the session's cookie to an answer, and says for the journal who came.
pub fn with_session(mut response: Response, id: &Secret, user: &str, caller: &Caller) -> Response {
    if let Ok(value) = HeaderValue::from_str(&users::cookie(id, caller.encrypted)) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    with_name(response, user)
}

/// Ends the session in the browser.
pub fn without_session(mut response: Response, caller: &Caller) -> Response {
    if let Ok(value) = HeaderValue::from_str(&users::no_cookie(caller.encrypted)) {
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

pub(super) async fn session(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Json<SessionView> {
    let claim = match app.users().claim_way(caller.ip()) {
        Way::Open => ClaimWay::Open,
        Way::Code => ClaimWay::Code,
        Way::Owned => ClaimWay::Owned,
        Way::Unsure => ClaimWay::Unsure,
    };
    let nobody = SessionView { user: None, role: None, scope: None, csrf: None, claim };
    Json(match caller.who {
        Who::Session { user, role, id } => SessionView { user: Some(user), role: Some(role), csrf: Some(id.csrf()), ..nobody },
        Who::Token { user, role, scope, .. } => SessionView { user: Some(user), role: Some(role), scope: Some(scope), ..nobody },
        Who::Household { acting, .. } => SessionView { role: Some(acting.role), scope: Some(acting.scope), ..nobody },
        Who::Nobody | Who::Local => nobody,
    })
}

fn opened(id: &Secret, user: &str, caller: &Caller) -> Response {
    with_session(Json(Opened { user: user.to_owned(), csrf: id.csrf() }).into_response(), id, user, caller)
}

pub(super) async fn login(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Json(login): Json<Login>) -> Response {
    let Login { name, password } = login;
    match app.users().login(caller.at(), &name, password, caller.session()).await {
        Ok(id) => opened(&id, &name, &caller),
        Err(error) => with_tried(refused(error).into_response(), app.users(), &name),
    }
}

pub(super) async fn logout(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    if let Some(id) = caller.session() {
        app.users().logout(id).await;
    }
    without_session(Json(Closed { user: None }).into_response(), &caller)
}

pub(super) async fn claim(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Json(claim): Json<Claim>) -> Response {
    let Claim { code, name, password } = claim;
    match app.users().claim(caller.at(), &code, name.clone(), password).await {
        Ok(id) => {
            super::setup::claimed(&app).await;
            opened(&id, &name, &caller)
        }
        Err(error) => refused(error).into_response(),
    }
}

pub(super) async fn claim_code(State(app): State<Arc<App>>) -> Answer<ClaimCode> {
    match app.users().owned() {
        true => Err(refused(RuleRefused::Claimed.into())),
        false => Ok(Json(ClaimCode { code: app.users().claim_code() })),
    }
}

/// The person of a session; `Account` lets nobody else here.
pub fn person(caller: &Caller) -> Result<String, Refusal> {
    caller.user().map(str::to_owned).ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "nobody is logged in"))
}

pub(super) async fn own_password(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<OwnPassword>,
) -> Result<Response, Refusal> {
    let user = person(&caller)?;
    let id = app.users().change_password(caller.at(), &user, request.old, request.new).await.map_err(refused)?;
    Ok(opened(&id, &user, &caller))
}

pub(super) async fn end_sessions(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Refusal> {
    let ended = app.users().logout_everywhere(&person(&caller)?).await;
    Ok(without_session(Json(Ended { ended }).into_response(), &caller))
}

fn shown(app: &App, user: &str, uri: &Uri, asked: Asked) -> Result<Response, Refusal> {
    let (tokens, next) = paging::cut(app.users().tokens(Some(user)), Order::Up, |token| token.id, &paging::asked(asked)?)?;
    Ok(paging::answer(uri, next, |next| TokensPage { tokens, next }))
}

pub(super) async fn own_tokens(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    asked: Asked,
) -> Result<Response, Refusal> {
    shown(&app, &person(&caller)?, &uri, asked)
}

pub(super) async fn make_own_token(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewToken>,
) -> Answer<MadeToken> {
    make(&app, &person(&caller)?, new).await
}

pub(super) async fn revoke_own_token(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Answer<RevokedToken> {
    revoke(&app, &person(&caller)?, id).await
}

pub(super) async fn tokens(State(app): State<Arc<App>>, Path(name): Path<String>, uri: Uri, asked: Asked) -> Result<Response, Refusal> {
    shown(&app, &name, &uri, asked)
}

pub(super) async fn make_token(State(app): State<Arc<App>>, Path(name): Path<String>, Json(new): Json<NewToken>) -> Answer<MadeToken> {
    make(&app, &name, new).await
}

pub(super) async fn revoke_token(State(app): State<Arc<App>>, Path((name, id)): Path<(String, u64)>) -> Answer<RevokedToken> {
    revoke(&app, &name, id).await
}

async fn make(app: &App, user: &str, new: NewToken) -> Answer<MadeToken> {
    let (id, token) = app.users().make_token(user, new.scope, new.label).await.map_err(refused)?;
    Ok(Json(MadeToken { id, token }))
}

async fn revoke(app: &App, user: &str, id: u64) -> Answer<RevokedToken> {
    app.users().revoke_token(user, id).await.map_err(refused)?;
    Ok(Json(RevokedToken { revoked: id }))
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri, asked: Asked) -> Result<Response, Refusal> {
    let (users, next) = paging::cut(app.users().people(), Order::Up, |user| user.name.clone(), &paging::asked(asked)?)?;
    Ok(paging::answer(&uri, next, |next| UsersPage { users, next }))
}

pub(super) async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let found = app.users().people().into_iter().find(|user| user.name == name);
    let user = found.ok_or_else(|| refused(RuleRefused::Unknown.into()))?;
    Ok((Extension(Revision(user.revision)), Json(user)).into_response())
}

pub(super) async fn add(State(app): State<Arc<App>>, Json(new): Json<NewUser>) -> Answer<NamedRole> {
    app.users().add(new.name.clone(), new.role, new.password).await.map_err(refused)?;
    Ok(Json(NamedRole { name: new.name, role: new.role }))
}

pub(super) async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>, IfMatch(expected): IfMatch) -> Answer<RemovedUser> {
    remove_person(&app, &name, expected).await.map_err(refused)?;
    Ok(Json(RemovedUser { removed: name }))
}

/// Removes a person, also from what is remembered of who asked once: a namesake inherits nothing.
pub async fn remove_person(app: &App, name: &str, expected: Expected) -> Result<(), Refused> {
    app.users().remove(name, expected).await?;
    app.once().forget(name).await;
    Ok(())
}

pub(super) async fn set_role(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
    Json(new): Json<NewRole>,
) -> Answer<NamedRole> {
    app.users().set_role(&name, new.role, expected).await.map_err(refused)?;
    Ok(Json(NamedRole { name, role: new.role }))
}

pub(super) async fn set_password(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
    Json(new): Json<NewPassword>,
) -> Answer<NamedUser> {
    app.users().set_password(&name, new.password, expected).await.map_err(refused)?;
    Ok(Json(NamedUser { name }))
}
