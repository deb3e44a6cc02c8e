//! Pages about people: logging in, claiming the node, users, one's own account.

use super::setup::counted;
use super::{View, not_done};
use crate::limits::PASSWORD_MIN_CHARS;
use crate::setup::Step;
use crate::text::People;
use crate::users::{Role, Scope, Token, UserView, Way};
use clap::ValueEnum;
use maud::{Markup, html};

/// A name and a password to be typed; `name` was typed before.
fn who(people: &People, new: bool, name: &str) -> Markup {
    html! {
        label { (people.name) input name="name" value=(name) required maxlength="32" autocomplete="username" autocapitalize="none" spellcheck="false"; }
        @if new {
            p.quiet { (people.name_rule) }
            label { (people.password) input name="password" type="password" required minlength=(PASSWORD_MIN_CHARS) autocomplete="new-password"; }
            p.quiet { (people.password_rule) }
        } @else {
            label { (people.password) input name="password" type="password" required autocomplete="current-password"; }
        }
    }
}

/// Logging in. `name` was typed before, and `wrong` came of it.
pub fn login(view: &View<'_>, name: &str, wrong: Option<&str>) -> Markup {
    let people = view.lang.people();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (people.log_in) }
            form method="post" action="/login" { (view.csrf()) (who(people, false, name)) button.main { (people.log_in) } }
            p.quiet { (people.forgotten) }
        }
    }
}

/// Claiming the node. `name` was typed before, and `wrong` came of it.
pub fn claim(view: &View<'_>, way: Way, name: &str, wrong: Option<&str>) -> Markup {
    let people = view.lang.people();
    let form = |code: bool| {
        html! {
            form method="post" action="/claim" {
                (view.csrf())
                @if code { label { (people.code) input name="code" required autocomplete="off" autocapitalize="none" spellcheck="false"; } }
                (who(people, true, name))
                button.main { (people.claim) }
            }
        }
    };
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            @if matches!(way, Way::Open | Way::Code) { (counted(view, Step::Claim, Step::value_variants())) }
            h2 { (people.claim) }
            @match way {
                Way::Open => { p { (people.claim_open) } (form(false)) },
                Way::Code => { p { (people.claim_code) } (form(true)) },
                Way::Owned => { p { (people.claim_owned) } p { a href="/login" { (people.log_in) } } },
                Way::Unsure => p { (people.claim_unsure) },
            }
        }
    }
}

fn role(people: &People, role: Role) -> &'static str {
    match role {
        Role::Owner => people.owner,
        Role::Operator => people.operator,
        Role::Guest => people.guest,
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Operator => "operator",
        Role::Guest => "guest",
    }
}

fn roles(people: &People, chosen: Role) -> Markup {
    html! {
        label { (people.role) select name="role" {
            @for each in [Role::Guest, Role::Operator, Role::Owner] { option value=(word(each)) selected[each == chosen] { (role(people, each)) } }
        } }
    }
}

/// All users, for owners.
pub fn users(view: &View<'_>, users: &[UserView], wrong: Option<&str>) -> Markup {
    let people = view.lang.people();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (people.users) }
            ul.nodes { @for each in users { (user(view, each)) } }
            @if users.len() < 2 { p.quiet { (people.alone) } }
        }
        section {
            h2 { (people.add_user) }
            form method="post" action="/users" { (view.csrf()) (who(people, true, "")) (roles(people, Role::Operator)) button.main { (people.add) } }
        }
    }
}

fn user(view: &View<'_>, user: &UserView) -> Markup {
    let (people, UserView { name, role: of, revision }) = (view.lang.people(), user);
    let of = *of;
    // What is seen here: of two owners who change a person at once, the second is told.
    let seen = || html! { (view.csrf()) input type="hidden" name="revision" value=(revision); };
    // Names hold nothing that a path would read otherwise.
    let at = |action: &str| format!("/users/{name}/{action}");
    html! {
        li { div.wide {
            strong { (name) } " " span.quiet { (role(people, of)) }
            details {
                summary { (people.set) }
                p.quiet { (people.ends_sessions) }
                form method="post" action=(at("role")) { (seen()) (roles(people, of)) button { (people.set) } }
                form method="post" action=(at("password")) {
                    (seen())
                    label { (people.new_password)
                        input name="password" type="password" required minlength=(PASSWORD_MIN_CHARS) autocomplete="new-password"; }
                    button { (people.set) }
                }
                form.inline method="post" action=(at("remove")) { (seen()) button { (people.remove) } }
            }
        } }
    }
}

/// One's own account. `made` is a token that was just made.
pub fn account(view: &View<'_>, tokens: &[Token], made: Option<&str>, wrong: Option<&str>) -> Markup {
    let people = view.lang.people();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if let Some(made) = made { section.well { h2 { (people.token_once) } p { code { (made) } } } }
        section {
            h2 { (people.account) }
            p { (people.logged_in_as) " " strong { (view.caller.user().unwrap_or_default()) } }
            form method="post" action="/account/password" {
                (view.csrf())
                label { (people.old_password) input name="old" type="password" required autocomplete="current-password"; }
                label { (people.new_password)
                    input name="new" type="password" required minlength=(PASSWORD_MIN_CHARS) autocomplete="new-password"; }
                p.quiet { (people.password_rule) }
                button { (people.change_password) }
            }
            p.quiet { (people.everywhere_why) }
            (view.button("/account/everywhere", people.everywhere))
        }
        section {
            h2 { (people.tokens) }
            @if tokens.is_empty() { p { (people.no_tokens) } }
            ul.nodes { @for token in tokens {
                li { div.wide {
                    strong { (token.id) } " " (token.label) " " span.quiet { (scope(people, token.scope)) }
                    form.inline method="post" action="/account/revoke" {
                        (view.csrf()) input type="hidden" name="id" value=(token.id); button { (people.revoke) }
                    }
                } }
            } }
            form method="post" action="/account/token" {
                (view.csrf())
                label { (people.token_for) input name="label" maxlength="60"; }
                label { (people.scope) select name="scope" {
                    @for (value, each) in [("read", Scope::Read), ("apps", Scope::Apps), ("admin", Scope::Admin)] {
                        option value=(value) { (scope(people, each)) }
                    }
                } }
                button { (people.make_token) }
            }
        }
    }
}

fn scope(people: &People, scope: Scope) -> &'static str {
    match scope {
        Scope::Read => people.scope_read,
        Scope::Apps => people.scope_apps,
        Scope::Admin => people.scope_admin,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;

    fn person(name: &str, role: Role) -> UserView {
        UserView { name: name.to_owned(), role, revision: 7 }
    }

    #[test]
    fn every_form_of_a_session_carries_its_token() {
        let caller = caller(Some(Role::Owner));
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            let view = View { node: "garden", lang, caller: &caller, owned: true };
            let token = Token { id: 3, user: "ana".to_owned(), scope: Scope::Read, label: "<i>".to_owned() };
            let all = html! {
                (users(&view, &[person("ana", Role::Owner), person("ben", Role::Guest)], Some("<i>")))
                (account(&view, &[token], Some("<i>"), None)) (login(&view, "<i>", None)) (claim(&view, Way::Code, "<i>", None)) (claim(&view, Way::Open, "", None))
            };
            let html = all.into_string();
            assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
            assert!(!html.contains("<i>"));
            assert_eq!(html.matches("name=\"revision\" value=\"7\"").count(), 6, "each change of a person says what was seen");
        }
    }
}
