//! The page of an owner's nodes, and of one of them.

use super::apps::title;
use super::home::{called, run};
use super::{View, not_done};
use crate::apps::AppView;
use crate::broker::Run;
use crate::household::{HouseNode, HouseholdView};
use crate::http::encode;
use crate::net::MemberView;
use crate::text::Household;
use crate::users::Operation;
use maud::{Markup, html};

/// Digits of an id that are shown where nodes of one name must not be mistaken.
const SHOWN: usize = 16;

/// All of it. `kit` is that of a household that began just now, and is shown once.
pub fn body(page: &View<'_>, household: &HouseholdView, members: &[MemberView], kit: Option<&str>, wrong: Option<&str>) -> Markup {
    let words = page.lang.household();
    if !page.caller.may(Operation::Own) {
        return for_operators(page, household, wrong);
    }
    html! {
        @if let Some(wrong) = wrong { (not_done(page.lang, wrong)) }
        @if let Some(kit) = kit { section.well { h2 { (words.kit_made) } p { (words.kit_why) } p { code #made { (kit) } } } }
        @for node in &household.asking { (asking(page, node)) }
        section.whole {
            h2 { (words.title) }
            p { (words.why) }
            @if let Some(me) = members.iter().find(|member| member.me) { p.quiet { (words.this_id) " " code { (me.id.get(..SHOWN).unwrap_or_default()) } } }
            @if household.owner.is_none() { (begin(page)) } @else {
                ul.nodes { @for node in &household.nodes { (mine(words, node)) } }
                @for node in &household.asked { (asked(page, node)) }
                (ask(page, household, members))
                details {
                    summary { (words.leave) }
                    p { (words.leave_why) }
                    (page.button("/household/leave", words.leave_now))
                }
            }
        }
    }
}

/// For those who own nothing here: where they may look.
fn for_operators(page: &View<'_>, household: &HouseholdView, wrong: Option<&str>) -> Markup {
    let words = page.lang.household();
    html! {
        @if let Some(wrong) = wrong { (not_done(page.lang, wrong)) }
        section.whole {
            h2 { (words.title) }
            p { (words.for_operators) }
            @if household.nodes.is_empty() && wrong.is_none() { p { (words.no_others) } }
            ul.nodes { @for node in &household.nodes { (mine(words, node)) } }
        }
    }
}

/// On the first page: for those who may answer, that somebody says that this node is theirs; and the way to the other nodes.
pub fn notice(page: &View<'_>, household: &HouseholdView) -> Markup {
    let words = page.lang.household();
    let to_all = html! { a href="/household" { (words.title) } };
    html! {
        @for node in &household.asking { section.whole { p { (words.asking) " " strong { (name(node)) } ". " (to_all) } } }
        @if household.asking.is_empty() && !household.nodes.is_empty() { section.whole { p { (to_all) } } }
    }
}

fn begin(page: &View<'_>) -> Markup {
    let words = page.lang.household();
    html! {
        p { (words.none) }
        form method="post" action="/household/begin" { (page.csrf()) button.main { (words.begin) } }
        details {
            summary { (words.with_kit) }
            p { (words.with_kit_why) }
            form method="post" action="/household/begin" {
                (page.csrf())
                label { (words.kit) textarea name="kit" rows="5" required autocapitalize="none" autocomplete="off" spellcheck="false" {} }
                button { (words.take) }
            }
        }
    }
}

fn name(node: &HouseNode) -> &str {
    called(&node.name, &node.id)
}

fn state(words: &Household, node: &HouseNode) -> Markup {
    html! { span.dot.(if node.alive { "ok" } else { "bad" }) {} " " span.quiet { (if node.alive { words.here } else { words.away }) } }
}

fn mine(words: &Household, node: &HouseNode) -> Markup {
    html! {
        li {
            (state(words, node))
            div.wide { strong { (name(node)) } @if node.alive { " " a href={ "/household/nodes/" (node.id) } { (words.look) } } }
        }
    }
}

fn asked(page: &View<'_>, node: &HouseNode) -> Markup {
    let words = page.lang.household();
    html! {
        form method="post" action="/household/back" {
            (page.csrf())
            input type="hidden" name="node" value=(node.id);
            p { strong { (name(node)) } ": " (if node.refused { words.refused } else { words.asked }) " " button { (words.take_back) } }
        }
    }
}

fn ask(page: &View<'_>, household: &HouseholdView, members: &[MemberView]) -> Markup {
    let words = page.lang.household();
    let known = |id: &str| household.nodes.iter().chain(&household.asked).any(|node| node.id == id);
    let others: Vec<&MemberView> = members.iter().filter(|member| !member.me && !known(&member.id)).collect();
    html! {
        @if !others.is_empty() {
            form method="post" action="/household/ask" {
                (page.csrf())
                p.quiet { (words.ask_why) }
                label { (words.other) select name="node" { @for other in others { option value=(other.id) { (called(&other.name, &other.id)) " (" (other.id.get(..SHOWN).unwrap_or_default()) ")" } } } }
                button { (words.ask) }
            }
        }
    }
}

fn asking(page: &View<'_>, node: &HouseNode) -> Markup {
    let words = page.lang.household();
    html! {
        section.well {
            h2 { (name(node)) }
            p { (words.asking) " " strong { (name(node)) } " (" (node.id.get(..SHOWN).unwrap_or_default()) ")" }
            @if node.refused { p { (words.refused_here) } }
            p { (words.asking_why) }
            form method="post" action="/household/answer" {
                (page.csrf())
                input type="hidden" name="node" value=(node.id);
                button.main name="yes" value="yes" { (words.yes) } " " button name="yes" value="no" { (words.no) }
            }
        }
    }
}

/// One of the owner's nodes: its apps, as it says itself.
pub fn one(page: &View<'_>, node: &HouseNode, apps: Result<&[AppView], &str>, wrong: Option<&str>) -> Markup {
    let words = page.lang.household();
    html! {
        @if let Some(wrong) = wrong { (not_done(page.lang, wrong)) }
        section.whole {
            h2 { (words.apps_there) " " (name(node)) }
            @match apps {
                Ok([]) => p { (words.no_apps) },
                Ok(apps) => ul.nodes { @for app in apps { (app_there(page, node, app)) } },
                Err(wrong) => (not_done(page.lang, wrong)),
            }
            p { a href="/household" { (words.back) } }
        }
    }
}

fn app_there(page: &View<'_>, node: &HouseNode, app: &AppView) -> Markup {
    let (store, (class, state)) = (page.lang.store(), run(app.run, page.lang.words()));
    let act = |action: &str, label: &str| page.button(&format!("/household/nodes/{}/{}/{action}", node.id, encode(&app.name)), label);
    html! {
        li {
            span.dot.(class) {}
            div.wide { strong { (title(&app.title, &app.name, page.lang)) } " " span.quiet { (state) } }
            @if app.run == Some(Run::Stopped) { (act("start", store.start)) } @else { (act("stop", store.stop)) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::http::pages::tests::caller;
    use crate::text::Lang;
    use crate::users::Role;

    #[test]
    fn operators_find_where_they_may_look_and_owners_alone_hear_who_asks() {
        let as_seen_by = |role| {
            let caller = caller(Some(role));
            let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
            body(&view, &shown(true), &[], Some("cloudy1-kit-x"), Some("<i>late")).into_string()
        };
        let look = |html: &str| html.matches("href=\"/household/nodes/").count();
        let (owner, operator) = (as_seen_by(Role::Owner), as_seen_by(Role::Operator));
        assert_eq!((look(&owner), look(&operator)), (1, 1), "at each node that is there");
        assert!(owner.contains("<form") && !operator.contains("<form") && !operator.contains("cloudy1-kit-x"), "{operator}");
        assert!(owner.contains("cloudy1-kit-x") && owner.contains("&lt;i&gt;late"), "a new key is shown beside why nobody heard of it");
        assert!(!operator.contains("<b>") && !operator.contains(&"c".repeat(16)), "who asks is for owners");
        let caller = caller(Some(Role::Owner));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let told = |household: &HouseholdView| notice(&view, household).into_string();
        let asks = told(&shown(false));
        assert!(asks.contains("href=\"/household\"") && asks.contains("&lt;b&gt;roof"), "{asks}");
        assert!(told(&HouseholdView { asking: Vec::new(), ..shown(true) }).contains("href=\"/household\""));
        assert!(told(&HouseholdView::default()).is_empty());
    }

    /// A household with a node, one that was asked, one that asks.
    pub fn shown(owner: bool) -> HouseholdView {
        let node = |id: &str, refused: bool| HouseNode { id: id.repeat(64), name: "<b>roof".to_owned(), alive: !refused, refused };
        if !owner {
            return HouseholdView { asking: vec![node("c", false)], ..HouseholdView::default() };
        }
        HouseholdView {
            owner: Some("f".repeat(64)),
            nodes: vec![node("a", false), node("e", true)],
            asked: vec![node("b", false), node("d", true)],
            asking: vec![node("c", false)],
        }
    }
}
