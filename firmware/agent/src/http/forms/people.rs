//! Forms about people: logging in and out, claiming, users, one's own account.

use super::{Reader, to};
use crate::http::pages::{hidden, people as page};
use crate::http::users::{Claim, Login, person, refused, remove_person, with_session, with_tried, without_session};
use crate::http::{codes, muted, setup};
use crate::revision::Expected;
use crate::users::{PasswordRefused, Refused, Role, RuleRefused, Scope};
use axum::extract::{Form, Path};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

/// In the reader's language, where there are words for it.
fn words(reader: &Reader, error: &Refused) -> String {
    let people = reader.lang.people();
    match error {
        Refused::Wrong => people.wrong.to_owned(),
        Refused::Wait(seconds) => format!("{} {seconds}", people.wait),
        Refused::Password(PasswordRefused::Busy) => people.busy.to_owned(),
        Refused::Password(PasswordRefused::Length) => people.password_rule.to_owned(),
        Refused::Rule(RuleRefused::Name) => people.name_rule.to_owned(),
        Refused::Rule(RuleRefused::Claimed) => people.claim_owned.to_owned(),
        Refused::Rule(RuleRefused::Changed) => people.changed_meanwhile.to_owned(),
        Refused::Code => people.code_wrong.to_owned(),
        error => codes::of_user(error).map_or_else(|| error.to_string(), |told| told.say(reader.lang)),
    }
}

/// `GET /login`
pub async fn show_login(reader: Reader) -> Response {
    reader.page("/login", None, &page::login(&reader.view(), "", None))
}

/// `POST /login`
pub async fn login(reader: Reader, Form(Login { name, password }): Form<Login>) -> Response {
    match reader.app.users().login(reader.caller.at(), &name, password, reader.caller.session()).await {
        Ok(id) => with_session(to("/apps"), &id, &name, &reader.caller),
        Err(error) => {
            let body = page::login(&reader.view(), &name, Some(&words(&reader, &error)));
            with_tried(reader.refused(&refused(error), "/login", &body), reader.app.users(), &name)
        }
    }
}

/// `POST /logout`
pub async fn logout(reader: Reader) -> Response {
    if let Some(id) = reader.caller.session() {
        reader.app.users().logout(id).await;
    }
    without_session(to("/"), &reader.caller)
}

/// `GET /claim`
pub async fn show_claim(reader: Reader) -> Response {
    let way = reader.app.users().claim_way(reader.caller.ip());
    reader.page("/claim", None, &page::claim(&reader.view(), way, "", None))
}

/// `POST /claim`
pub async fn claim(reader: Reader, Form(Claim { code, name, password }): Form<Claim>) -> Response {
    let users = reader.app.users();
    match users.claim(reader.caller.at(), &code, name.clone(), password).await {
        Ok(id) => {
            // What an owner does first.
            setup::claimed(&reader.app).await;
            with_session(to(super::setup::HERE), &id, &name, &reader.caller)
        }
        Err(error) => {
            let way = users.claim_way(reader.caller.ip());
            let body = page::claim(&reader.view(), way, &name, Some(&words(&reader, &error)));
            reader.refused(&refused(error), "/claim", &body)
        }
    }
}

/// `GET /users`
pub async fn show_users(reader: Reader) -> Response {
    reader.page("/users", None, &page::users(&reader.view(), &reader.app.users().people(), None))
}

fn after(reader: &Reader, done: Result<(), Refused>) -> Response {
    match done {
        Ok(()) => to("/users"),
        Err(error) => {
            let body = page::users(&reader.view(), &reader.app.users().people(), Some(&words(reader, &error)));
            reader.refused(&refused(error), "/users", &body)
        }
    }
}

#[derive(Deserialize)]
pub struct Added {
    name: String,
    password: String,
    role: Role,
}

/// `POST /users`
pub async fn add_user(reader: Reader, Form(new): Form<Added>) -> Response {
    let done = reader.app.users().add(new.name, new.role, new.password).await;
    after(&reader, done)
}

#[derive(Deserialize)]
pub struct Changed {
    role: Option<Role>,
    password: Option<String>,
    /// What the page showed.
    revision: Option<String>,
}

/// `POST /users/NAME/ACTION`
pub async fn act_on_user(reader: Reader, Path((name, action)): Path<(String, String)>, Form(changed): Form<Changed>) -> Response {
    let users = reader.app.users();
    let seen = Expected::by_field(changed.revision.as_deref());
    let done = match (action.as_str(), changed) {
        ("remove", _) => remove_person(&reader.app, &name, seen).await,
        ("role", Changed { role: Some(role), .. }) => users.set_role(&name, role, seen).await,
        ("password", Changed { password: Some(password), .. }) => users.set_password(&name, password, seen).await,
        _ => return reader.nothing(),
    };
    after(&reader, done)
}

/// `GET /account`
pub async fn show_account(reader: Reader) -> Response {
    account(&reader, None)
}

fn account(reader: &Reader, made: Option<&str>) -> Response {
    reader.page("/account", None, &account_body(reader, made, None))
}

fn account_body(reader: &Reader, made: Option<&str>, wrong: Option<&str>) -> Markup {
    let (view, tokens) = (reader.view(), reader.app.users().tokens(reader.caller.user()));
    html! { (page::account(&view, &tokens, made, wrong)) (hidden::muted(&view, &muted::all(&reader.app, &reader.caller))) }
}

/// The forms of one's account.
#[derive(Deserialize)]
pub struct Account {
    old: Option<String>,
    new: Option<String>,
    id: Option<u64>,
    scope: Option<Scope>,
    #[serde(default)]
    label: String,
}

/// `POST /account/ACTION`
pub async fn act_on_account(reader: Reader, Path(action): Path<String>, Form(form): Form<Account>) -> Response {
    let users = reader.app.users();
    let Ok(user) = person(&reader.caller) else { return to("/login") };
    let done = match (action.as_str(), form) {
        ("everywhere", _) => {
            users.logout_everywhere(&user).await;
            return without_session(to("/login"), &reader.caller);
        }
        ("password", Account { old: Some(old), new: Some(new), .. }) => {
            match users.change_password(reader.caller.at(), &user, old, new).await {
                Ok(id) => return with_session(to("/account"), &id, &user, &reader.caller),
                Err(error) => Err(error),
            }
        }
        ("token", Account { scope: Some(scope), label, .. }) => match users.make_token(&user, scope, label).await {
            // Shown in this one answer, which no browser keeps (`Cache-Control: no-store`).
            Ok((_, token)) => return account(&reader, Some(&token)),
            Err(error) => Err(error),
        },
        ("revoke", Account { id: Some(id), .. }) => users.revoke_token(&user, id).await,
        _ => return reader.nothing(),
    };
    match done {
        Ok(()) => to("/account"),
        Err(error) => {
            let body = account_body(&reader, None, Some(&words(&reader, &error)));
            reader.refused(&refused(error), "/account", &body)
        }
    }
}
