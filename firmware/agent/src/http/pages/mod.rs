//! The pages: rendered here, refreshed by a small script, whole without it. No page decides or does anything: that is `forms`.

pub mod api;
pub mod apps;
pub mod backups;
pub mod by_hand;
pub mod catalogs;
pub mod changes;
pub mod cloud;
pub mod encrypted;
pub mod files;
pub mod found;
pub mod help;
pub mod hidden;
pub mod home;
pub mod household;
pub mod jobs;
pub mod leases;
pub mod map;
pub mod own;
pub mod people;
pub mod running;
pub mod search;
pub mod settings;
pub mod setup;
pub mod storage;
pub mod tunnels;
pub mod words;

use super::caller::{Caller, Who};
use crate::text::Lang;
use crate::users::Operation;
use maud::{DOCTYPE, Markup, html};

/// What all pages of one answer share.
pub struct View<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The reader's language.
    pub lang: Lang,
    /// Who reads.
    pub caller: &'a Caller,
    /// Whether somebody owns this node.
    pub owned: bool,
}

impl View<'_> {
    /// The field that each form of a session carries.
    pub fn csrf(&self) -> Markup {
        html! { @if let Some(id) = self.caller.session() { input type="hidden" name="csrf" value=(id.csrf()); } }
    }

    /// A form of one button.
    pub fn button(&self, action: &str, label: &str) -> Markup {
        html! { form.inline method="post" action=(action) { (self.csrf()) button { (label) } } }
    }
}

/// A whole page. `fresh` is where the script fetches `body` again.
pub fn page(view: &View<'_>, here: &str, fresh: Option<&str>, body: &Markup) -> Markup {
    let (words, people) = (view.lang.words(), view.lang.people());
    html! {
        (DOCTYPE)
        html lang=(view.lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (view.node) " · cloudy" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                @if fresh.is_some() { script src="/page.js" defer {} }
            }
            body {
                header {
                    img src="/icon.svg" alt="" width="32" height="32";
                    h1 { (view.node) }
                    (menu(view, here))
                }
                p #lost hidden role="alert" { (words.lost_touch) }
                @if !view.owned && here != "/claim" { p.notice { (people.unclaimed) " " a href="/claim" { (people.claim) } } }
                main #main data-fresh=[fresh] data-events=[fresh.and_then(|_| events(view, here))] { (body) }
                footer { p {
                    @if view.caller.encrypted { a href="/encrypted" { (view.lang.encrypted().yes) } } @else { (words.not_encrypted) " " a href="/encrypted" { (view.lang.encrypted().how) } }
                    " " a href="/api" { (view.lang.api().for_programs) } } }
            }
        }
    }
}

/// Where the script of a page hears when there is news.
fn events(view: &View<'_>, here: &str) -> Option<&'static str> {
    (matches!(here, "/apps" | "/jobs") && view.caller.may(Operation::Inspect)).then_some("/api/v1/jobs/events")
}

fn menu(view: &View<'_>, here: &str) -> Markup {
    let people = view.lang.people();
    let link = |href: &str, label: &str| html! { a href=(href) aria-current=[(href == here).then_some("page")] { (label) } };
    html! {
        nav aria-label=(people.menu) {
            (link("/", people.home))
            (link("/search", view.lang.store().search))
            (link("/apps", people.apps))
            @if view.caller.may(Operation::Inspect) { (link("/jobs", view.lang.jobs().jobs)) }
            (link("/files", view.lang.files().files))
            @if view.caller.may(Operation::Own) { (link("/microcloud", view.lang.cloud().microcloud)) (link("/users", people.users)) (link("/settings", view.lang.settings().settings)) }
            @if view.caller.may(Operation::Account) { (link("/account", people.account)) }
            (link("/help", view.lang.help().help))
            @match &view.caller.who {
                Who::Session { .. } => (view.button("/logout", people.log_out)),
                _ if view.owned => (link("/login", people.log_in)),
                _ => (link("/claim", people.claim)),
            }
        }
    }
}

/// Something that was not done, and why.
pub fn not_done(lang: Lang, why: &str) -> Markup {
    html! { section.wrong role="alert" { h2 { (lang.people().not_done) } p { (why) } } }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::http::serve::Peer;
    use crate::users::{Role, Secret};

    pub fn caller(role: Option<Role>) -> Caller {
        let session = |role| Who::Session { user: "ana".to_owned(), role, id: Secret::random() };
        Caller { who: role.map_or(Who::Nobody, session), peer: Peer::Network([192, 0, 2, 1].into()), encrypted: false }
    }

    #[test]
    fn the_menu_shows_what_the_reader_may_and_names_are_escaped() {
        let shown = |role, owned| {
            let caller = caller(role);
            let view = View { node: "<b>garden", lang: Lang::Ca, caller: &caller, owned };
            page(&view, "/", Some("/body"), &html! {}).into_string()
        };
        let nobody = shown(None, true);
        assert!(nobody.contains("&lt;b&gt;garden") && nobody.contains("lang=\"ca\"") && nobody.contains("href=\"/login\""));
        assert!(
            !nobody.contains("/users") && !nobody.contains("/account") && !nobody.contains("csrf") && !nobody.contains("href=\"/claim\"")
        );
        assert!(shown(None, false).contains("href=\"/claim\""));
        let guest = shown(Some(Role::Guest), true);
        assert!(!guest.contains("/account") && !guest.contains("/jobs") && shown(Some(Role::Operator), true).contains("href=\"/jobs\""));
        assert!(!shown(Some(Role::Operator), true).contains("/users"));
        let owner = shown(Some(Role::Owner), true);
        let hears = |role, here| {
            let caller = caller(role);
            let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
            page(&view, here, Some("/apps/body"), &html! {}).into_string().contains("data-events=\"/api/v1/jobs/events\"")
        };
        assert!(
            hears(Some(Role::Operator), "/apps")
                && hears(Some(Role::Operator), "/jobs")
                && !hears(Some(Role::Guest), "/apps")
                && !hears(Some(Role::Operator), "/")
        );
        assert!(owner.contains("/users") && owner.contains("action=\"/logout\"") && owner.contains("name=\"csrf\""));
    }
}
