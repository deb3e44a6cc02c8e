//! The page of backups: the key that they are for, and those that there are; what an app's page says of them.

use super::home::size;
use super::{View, not_done};
use crate::apps::{BackupView, NewKey};
use crate::users::Operation;
use maud::{Markup, html};

/// What the page shows.
pub struct Shown {
    /// The public half of the key.
    pub key: Option<String>,
    /// The backups that there are, or why that can't be said.
    pub found: Result<Vec<BackupView>, String>,
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown, made: Option<&NewKey>, wrong: Option<&str>) -> Markup {
    let words = view.lang.backups();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if let Some(made) = made {
            section.whole role="status" { h2 { (words.your_key) } p { strong { (words.made) } } pre { code id="made" { (made.secret) } } p { (words.made_lost) } }
        }
        section.whole {
            h2 { (words.backups) }
            p { (words.why) }
            @match &shown.found {
                Err(why) => p.mend { (why) },
                Ok(found) => {
                    @if found.is_empty() { p { (words.none) } }
                    ul.nodes { @for backup in found { (one(view, backup)) } }
                }
            }
        }
        section.whole { h2 { (words.key) } (key(view, shown.key.as_deref())) }
    }
}

fn key(view: &View<'_>, key: Option<&str>) -> Markup {
    let words = view.lang.backups();
    let own = view.caller.may(Operation::Own);
    let make = || html! { form method="post" action="/backups/new-key" { (view.csrf()) button.main { (words.new_key) } } };
    html! {
        @match key {
            None => { p { (words.no_key) } @if own { (make()) } @else { p { (words.owners_key) } } },
            Some(key) => {
                p { (words.key_is) } pre { code { (key) } }
                @if own { details { summary { (words.another_key) } p { (words.another_why) } (make()) } }
            }
        }
        @if own {
            details {
                summary { (words.use_key) }
                form method="post" action="/backups/key" {
                    (view.csrf())
                    label { (words.public_half) input name="recipient" required maxlength="200" autocomplete="off" spellcheck="false"; }
                    button { (words.use_it) }
                }
            }
        }
    }
}

fn one(view: &View<'_>, backup: &BackupView) -> Markup {
    let words = view.lang.backups();
    let class = if backup.here { "ok" } else { "warn" };
    let others: Vec<&str> = backup.holders.iter().filter(|holder| !holder.me).map(|holder| holder.node_name.as_str()).collect();
    html! {
        li data-backup=(backup.name) {
            span.dot.(class) {}
            div.wide {
                strong { (backup.name) } " "
                span.quiet {
                    (size(backup.size_bytes))
                    @if backup.here { " · " (words.here) }
                    @if !others.is_empty() { " · " (words.held_by) " " (others.join(", ")) }
                    @if !backup.shared { " · " (words.only_here) }
                }
                @if backup.here {
                    div.buttons { a.button href=(format!("/api/v1/blobs/{}/content", backup.hash)) { (words.save) } }
                    @if view.caller.may(Operation::Own) { details {
                        summary { (words.restore) }
                        p.quiet { (words.restore_why) }
                        form method="post" action=(format!("/backups/{}/restore", backup.hash)) {
                            (view.csrf())
                            label { (words.secret) input name="secret" type="password" required maxlength="4000" autocomplete="off"; }
                            button.main { (words.restore_now) }
                        }
                    } }
                } @else {
                    div.buttons { (view.button(&format!("/files/{}/fetch", backup.hash), words.fetch)) }
                }
            }
        }
    }
}

/// What an app's page says of backups.
pub fn of_app(view: &View<'_>, app: &str) -> Markup {
    let words = view.lang.backups();
    html! {
        section {
            h3 { (words.back_up) }
            p.quiet { (words.back_up_why) }
            form method="post" action=(format!("/apps/{app}/backup")) {
                (view.csrf())
                label.tick { input name="shared" type="checkbox" value="true"; " " (words.shared) }
                button.main { (words.back_up_now) }
            }
            p { a href="/backups" { (words.all) } }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::Holder;
    use crate::text::Lang;
    use crate::users::Role;

    fn backup(here: bool) -> BackupView {
        let holder = Holder { node: String::new(), node_name: "<i>roof".to_owned(), me: false, state: None };
        let (hash, name) = ("wiki".to_owned(), "wiki-2026-11-27-210509.cloudy-backup".to_owned());
        BackupView { hash, name, size_bytes: 10, holders: vec![holder], here, shared: !here }
    }

    /// One that is here, and one that is elsewhere.
    pub fn shown(key: Option<&str>) -> Shown {
        Shown { key: key.map(str::to_owned), found: Ok(vec![backup(true), backup(false)]) }
    }

    #[test]
    fn owners_restore_what_is_here_and_a_new_key_is_shown_once() {
        let html = |role, made: Option<&NewKey>| {
            let caller = caller(Some(role));
            body(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, &shown(Some("age1x")), made, None).into_string()
        };
        let owner = html(Role::Owner, None);
        assert_eq!(owner.matches("/restore\"").count(), 1, "{owner}");
        assert!(owner.contains("age1x") && owner.contains("&lt;i&gt;roof") && owner.contains("action=\"/files/wiki/fetch\""));
        assert!(!owner.contains("id=\"made\""));
        let operator = html(Role::Operator, None);
        assert!(!operator.contains("/restore\"") && !operator.contains("new-key") && operator.contains("/content\""));
        let made = NewKey { recipient: "age1x".to_owned(), secret: "AGE-SECRET-KEY-1X".to_owned() };
        assert!(html(Role::Owner, Some(&made)).contains("<code id=\"made\">AGE-SECRET-KEY-1X</code>"));
    }
}
