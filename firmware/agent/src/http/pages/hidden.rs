//! Services that are hidden, from all by admins or from oneself: what is said of it, and the buttons.

use super::View;
use super::home::called;
use crate::http::muted::MutedView;
use crate::net::{HiddenMark, Listed, Search};
use crate::users::Operation;
use maud::{Markup, html};

/// What a form says of which service it is about.
fn about(view: &View<'_>, node: &str, key: Option<&str>) -> Markup {
    html! {
        (view.csrf())
        input type="hidden" name="node" value=(node);
        @match key {
            Some(key) => input type="hidden" name="service" value=(key);,
            None => input type="hidden" name="whole" value="yes";,
        }
    }
}

/// What is hidden of a service that was found, and the buttons for those who may: with `admin`, this node may hide it from all.
pub fn more(view: &View<'_>, admin: bool, found: &Listed) -> Markup {
    let words = view.lang.hidden();
    let (mute, hide) = (view.caller.may(Operation::Account), admin && view.caller.may(Operation::Own));
    let mine = found.hidden.as_ref().filter(|mark| mark.me);
    html! {
        @if let Some(mark) = &found.hidden { (said(view, mark, found.me)) }
        @if found.muted { div.quiet { (words.is_muted) " " a href="/account" { (view.lang.people().account) } } }
        @if let Some(mark) = mine.filter(|_| hide) {
            form method="post" action="/hidden/show" {
                (about(view, &found.node, (!mark.all).then_some(&found.key)))
                button { (if mark.all { words.show_all } else { words.show }) }
            }
        }
        @let (mute, hide) = (mute && !found.muted, hide && found.hidden.is_none());
        @if !found.me && (mute || hide) {
            details {
                summary { (words.more) }
                @if mute {
                    form method="post" action="/muted/mute" {
                        p.quiet { (words.mute_why) }
                        (about(view, &found.node, Some(&found.key)))
                        (whole(words.whole))
                        button { (words.mute) }
                    }
                }
                @if hide {
                    form method="post" action="/hidden/hide" {
                        p.quiet { (words.hide_why) }
                        (about(view, &found.node, Some(&found.key)))
                        label { (words.reason) input name="reason" maxlength="100"; }
                        (whole(words.whole))
                        button { (words.hide) }
                    }
                }
            }
        }
    }
}

fn whole(label: &str) -> Markup {
    html! { label.tick { input type="checkbox" name="whole" value="yes"; (label) } }
}

fn said(view: &View<'_>, mark: &HiddenMark, own: bool) -> Markup {
    let words = view.lang.hidden();
    html! {
        div.mend {
            (words.hidden_by) " " strong { (called(&mark.by_name, &mark.by)) }
            // Another node wrote it.
            @if let Some(reason) = &mark.reason { ": " q { (reason) } }
            ". "
            @if mark.all { (words.all_hidden) " " }
            @if own { (words.yours) " " }
            @if !mark.me { (words.only_there) }
        }
    }
}

/// The way to what is hidden and back, for those who can undo it.
pub fn way(view: &View<'_>, admin: bool, asked: &Search) -> Markup {
    let words = view.lang.hidden();
    html! {
        @if admin && view.caller.may(Operation::Own) {
            p {
                @if asked.hidden { a href="/search" { (words.usual) } } @else { a href="/search?hidden=true" { (words.show_hidden) } }
            }
        }
    }
}

/// What a person has muted, to be shown again; nothing where nothing is.
pub fn muted(view: &View<'_>, muted: &[MutedView]) -> Markup {
    let words = view.lang.hidden();
    html! {
        @if !muted.is_empty() {
            section {
                h2 { (words.muted) }
                ul.nodes {
                    @for one in muted {
                        li { div.wide {
                            strong { (one.key.as_deref().unwrap_or(words.all_services)) }
                            " " span.quiet { (called(&one.node_name, &one.node)) }
                            form method="post" action="/muted/show" { (about(view, &one.node, one.key.as_deref())) button { (words.again) } }
                        } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;
    use crate::users::Role;

    pub fn mark(me: bool, all: bool) -> HiddenMark {
        HiddenMark { by: "0f".repeat(32), by_name: "<b>roof".to_owned(), me, all, reason: Some("<i>spam".to_owned()) }
    }

    pub fn hidden(mark: Option<HiddenMark>) -> Listed {
        Listed { node: "ab".repeat(32), key: "wiki".to_owned(), hidden: mark, ..Listed::default() }
    }

    fn shown(role: Option<Role>, admin: bool, found: &Listed) -> String {
        let caller = caller(role);
        more(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, admin, found).into_string()
    }

    #[test]
    fn each_hides_from_oneself_and_owners_of_admins_from_all() {
        let actions = |role, admin, found: &Listed| {
            let html = shown(role, admin, found);
            assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
            let all = html.split("action=\"").skip(1);
            all.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let plain = hidden(None);
        assert_eq!(actions(Some(Role::Owner), true, &plain), "/muted/mute /hidden/hide");
        assert_eq!(actions(Some(Role::Owner), false, &plain), "/muted/mute");
        assert_eq!(actions(Some(Role::Operator), true, &plain), "/muted/mute");
        assert!(shown(Some(Role::Guest), true, &plain).is_empty() && shown(None, true, &plain).is_empty());
        assert!(shown(Some(Role::Owner), true, &Listed { me: true, ..hidden(None) }).is_empty());
        assert_eq!(actions(Some(Role::Owner), true, &hidden(Some(mark(true, false)))), "/hidden/show /muted/mute");
        assert_eq!(actions(Some(Role::Owner), true, &hidden(Some(mark(false, false)))), "/muted/mute");
        assert_eq!(actions(Some(Role::Owner), false, &Listed { muted: true, ..hidden(None) }), "");
    }

    #[test]
    fn who_hides_something_and_why_is_said_and_escaped() {
        let own = shown(None, false, &Listed { me: true, ..hidden(Some(mark(false, true))) });
        assert!(own.contains("&lt;b&gt;roof") && own.contains("&lt;i&gt;spam") && !own.contains("<i>"), "{own}");
        assert!(own.contains("Others don't find") && own.contains("Only that node"), "{own}");
        let mine = shown(Some(Role::Owner), true, &hidden(Some(mark(true, true))));
        assert!(mine.contains("name=\"whole\"") && !mine.contains("Only that node"), "{mine}");
        assert!(shown(None, false, &Listed { muted: true, ..hidden(None) }).contains("href=\"/account\""));
    }
}
