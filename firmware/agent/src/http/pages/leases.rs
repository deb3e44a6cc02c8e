//! The page of apps on somebody else's node: what is asked, what runs here for others, what others run, who is asked; and the form that
//! offers an app.

use super::apps::{setting, spoken, title};
use super::home::size;
use super::{View, not_done};
use crate::apps::Face;
use crate::leases::{Consent, GivenView, HeldView, LeasesView, Lent, Policy, ReplicasView, Stands};
use crate::text::Leases as Words;
use maud::{Markup, html};

/// What the page shows.
pub struct Shown {
    /// The leases, and the policy.
    pub leases: LeasesView,
    /// The other nodes: their ids and names.
    pub nodes: Vec<(String, String)>,
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown, wrong: Option<&str>) -> Markup {
    let words = view.lang.leases();
    let LeasesView { given, held, policy, replicas } = &shown.leases;
    let asked = || held.iter().filter(|lease| lease.state == Stands::Asked);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if asked().next().is_some() {
            section.whole aria-live="polite" { h2 { (words.asked) } ul.nodes { @for lease in asked() { (here(view, lease)) } } }
        }
        section.whole {
            h2 { (words.here) }
            p { (words.why) }
            @if !held.iter().any(|lease| lease.state != Stands::Asked) { p.quiet { (words.none_here) } }
            ul.nodes { @for lease in held.iter().filter(|lease| lease.state != Stands::Asked) { (here(view, lease)) } }
        }
        @if !replicas.is_empty() {
            section.whole { h2 { (words.kept) } p { (words.kept_why) } ul.nodes { @for app in replicas { (kept(view, app)) } } }
        }
        section.whole {
            h2 { (words.elsewhere) }
            @if given.is_empty() { p.quiet { (words.none_elsewhere) } }
            ul.nodes { @for lease in given { (elsewhere(view, lease)) } }
            p { a href="/apps" { (view.lang.store().store) } }
        }
        section.whole { h2 { (words.policy) } (consents(view, policy, &shown.nodes)) }
    }
}

fn kept(view: &View<'_>, app: &ReplicasView) -> Markup {
    let words = view.lang.leases();
    let class = if app.running >= app.wanted { "ok" } else { "warn" };
    let counts = [(app.coming, words.kept_coming), (app.gone, words.kept_gone), (app.missing, words.kept_missing)];
    html! {
        li data-kept=(app.app) {
            span.dot.(class) {}
            div.wide {
                strong { (app.app) } " "
                span.quiet {
                    (app.running) " " (words.kept_of) " " (app.wanted) " " (words.kept_run)
                    @for (count, word) in counts.iter().filter(|(count, _)| *count > 0) { " · " (count) " " (word) }
                }
                @if app.left_alone > 0 { p.quiet { (app.left_alone) " " (words.kept_alone) } }
                @if !app.why.is_empty() { p.mend { (app.why) } }
                form.inline method="post" action=(format!("/replicas/{}", app.app)) {
                    (view.csrf())
                    input type="hidden" name="listed" value="true";
                    label { (words.how_many) input name="replicas" type="number" min="0" max="16" required value=(app.wanted); }
                    button { (words.save) }
                }
            }
        }
    }
}

/// A node, by its name or the beginning of its id.
fn node<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id.get(..10).unwrap_or(id) } else { name }
}

fn here(view: &View<'_>, lease: &HeldView) -> Markup {
    let words = view.lang.leases();
    let paused = lease.exclusive && lease.state == Stands::Runs && lease.time_left_seconds.is_none_or(|left| left == 0);
    let (class, state) = match lease.state {
        Stands::Asked => ("warn", words.stands_asked),
        Stands::Agreed => ("warn", words.stands_agreed),
        Stands::Runs if paused => ("warn", words.stands_paused),
        Stands::Runs => ("ok", words.stands_runs),
        Stands::Ending => ("warn", words.stands_ending),
        Stands::Over => ("off", words.stands_over),
    };
    let at = |action: &str| format!("/leases/{}/{action}", lease.id);
    html! {
        li data-lease=(lease.app.name) {
            span.dot.(class) {}
            div.wide {
                strong { (title(&lease.app.title, &lease.app.name, view.lang)) } " "
                span.quiet {
                    (words.of) " " (node(&lease.node_name, &lease.node)) ": " (state)
                    @if lease.exclusive { " · " (words.exclusive) }
                }
                @if !lease.why.is_empty() { p.quiet { (lease.why) } }
                @if lease.state == Stands::Asked {
                    p { (title(&lease.app.description, "", view.lang)) }
                    @if !lease.note.is_empty() { blockquote { (lease.note) } }
                    @if lease.replaces { p.mend { (words.replaces) } }
                    p.quiet {
                        (view.lang.category(&lease.app.category)) ", " (size(lease.size_bytes))
                        @if !lease.settings.is_empty() { " · " (words.it_is_set) " " (lease.settings.join(", ")) }
                    }
                    div.buttons { (view.button(&at("accept"), words.accept)) (view.button(&at("refuse"), words.refuse)) }
                }
                @if matches!(lease.state, Stands::Agreed | Stands::Runs) { div.buttons { (view.button(&at("end"), words.end_here)) } }
            }
        }
    }
}

fn elsewhere(view: &View<'_>, lease: &GivenView) -> Markup {
    let words = view.lang.leases();
    let (class, state) = match lease.state {
        Lent::Offered => ("warn", words.stands_offered),
        Lent::Agreed => ("warn", words.stands_agreed),
        Lent::Runs => ("ok", words.stands_runs),
        Lent::Ending => ("warn", words.stands_ending),
        Lent::Over => ("off", words.stands_over),
    };
    html! {
        li data-given=(lease.app) {
            span.dot.(class) {}
            div.wide {
                strong { (lease.app) } " "
                span.quiet {
                    (words.on) " " (node(&lease.node_name, &lease.node)) ": " (state)
                    @if lease.exclusive { " · " (words.exclusive) }
                    @if let Some(seconds) = lease.free_in_seconds.filter(|_| lease.exclusive) { " · " (seconds) " " (words.free_in) }
                }
                @if !lease.why.is_empty() { p.quiet { (lease.why) } }
                @if matches!(lease.state, Lent::Offered | Lent::Agreed | Lent::Runs) {
                    div.buttons { (view.button(&format!("/leases/{}/end", lease.id), words.take_back)) }
                }
            }
        }
    }
}

fn consents(view: &View<'_>, policy: &Policy, nodes: &[(String, String)]) -> Markup {
    let words = view.lang.leases();
    html! {
        p { (words.policy_why) }
        form method="post" action="/lease-policy" {
            (view.csrf())
            @for (id, name) in nodes {
                @let now = policy.nodes.get(id).copied().unwrap_or(policy.others);
                label { (node(name, id)) select name=(format!("node.{id}")) { (choices(words, now, true)) } }
            }
            label { (words.others) select name="others" { (choices(words, policy.others, false)) } }
            label { (words.most) input name="most" type="number" min="0" max="100" required value=(policy.most); }
            button.main { (words.save) }
        }
    }
}

fn choices(words: &Words, now: Consent, accept: bool) -> Markup {
    html! {
        @if accept { option value="accept" selected[now == Consent::Accept] { (words.consent_accept) } }
        option value="ask" selected[now == Consent::Ask] { (words.consent_ask) }
        option value="refuse" selected[now == Consent::Refuse] { (words.consent_refuse) }
    }
}

/// The form that offers an app.
pub fn form(view: &View<'_>, app: &Face, nodes: &[(String, String)], wrong: Option<&str>) -> Markup {
    let words = view.lang.leases();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            h2 { (words.offer_title) " " (spoken(&app.title, view.lang)) }
            p { (words.offer_why) }
            @if nodes.is_empty() { p.mend { (words.nobody) } } @else {
                form method="post" action=(format!("/leases/offer/{}", app.name)) {
                    (view.csrf())
                    label { (words.whom) select name="node" {
                        option value="" { (words.most_room) }
                        @for (id, name) in nodes { option value=(id) { (node(name, id)) } }
                    } }
                    @for (name, setting) in &app.settings { (self::setting(name, setting, None, view.lang)) }
                    label { (words.note) input name="note" maxlength="500" autocomplete="off"; }
                    label.tick { input name="exclusive" type="checkbox" value="true"; " " (words.alone) }
                    button.main { (words.offer_now) }
                }
            }
            p { a href="/leases" { (words.back) } }
        }
        @if !nodes.is_empty() {
            section.whole {
                h2 { (words.keep_title) }
                p { (words.keep_why) }
                form method="post" action=(format!("/replicas/{}", app.name)) {
                    (view.csrf())
                    label { (words.how_many) input name="replicas" type="number" min="1" max="16" required value=(nodes.len().min(2)); }
                    @for (name, setting) in &app.settings { (self::setting(name, setting, None, view.lang)) }
                    label { (words.note) input name="note" maxlength="500" autocomplete="off"; }
                    button.main { (words.keep_now) }
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::an_app;
    use crate::text::Lang;
    use crate::users::Role;

    fn held(state: Stands, exclusive: bool) -> HeldView {
        HeldView {
            id: "wiki".to_owned(),
            app: an_app("wiki"),
            size_bytes: 10,
            settings: vec!["title".to_owned()],
            note: "<u>please".to_owned(),
            node: "0f".repeat(32),
            node_name: "<i>roof".to_owned(),
            exclusive,
            term_seconds: 300,
            state,
            why: String::new(),
            offered: 0,
            time_left_seconds: None,
            job: None,
            replaces: true,
        }
    }

    fn given(state: Lent) -> GivenView {
        let (id, app, node, why) = ("wiki".to_owned(), "wiki".to_owned(), "0f".repeat(32), "<u>why".to_owned());
        let free_in_seconds = (state == Lent::Ending).then_some(9);
        GivenView { id, app, node, node_name: String::new(), exclusive: true, term_seconds: 300, state, why, offered: 0, free_in_seconds }
    }

    /// Each state, or nothing at all.
    pub fn shown(any: bool) -> Shown {
        let held = [Stands::Asked, Stands::Agreed, Stands::Runs, Stands::Ending, Stands::Over].map(|state| held(state, true));
        let given = [Lent::Offered, Lent::Agreed, Lent::Runs, Lent::Ending, Lent::Over].map(given);
        let kept = ReplicasView {
            app: "wiki".to_owned(),
            wanted: 3,
            running: 1,
            coming: 1,
            gone: 4,
            missing: 2,
            left_alone: 5,
            ..ReplicasView::default()
        };
        let replicas = vec![ReplicasView { why: "<u>full".to_owned(), ..kept }];
        let leases = LeasesView { held: held.into(), given: given.into(), policy: Policy::default(), replicas };
        let nodes = vec![("0f".repeat(32), "<i>roof".to_owned())];
        if any { Shown { leases, nodes } } else { Shown { leases: LeasesView::default(), nodes: Vec::new() } }
    }

    #[test]
    fn what_is_asked_is_decided_here_and_what_is_over_is_not() {
        let caller = caller(Some(Role::Owner));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let html = body(&view, &shown(true), None).into_string();
        assert_eq!(html.matches("/accept\"").count(), 1, "{html}");
        // Two that run or come here, and three elsewhere that are not ending.
        assert_eq!(html.matches("/end\"").count(), 5);
        assert!(
            html.contains("&lt;u&gt;please")
                && html.contains("&lt;i&gt;roof")
                && html.contains("&lt;u&gt;why")
                && html.contains("0f0f0f0f0f")
        );
        assert!(html.contains("9 seconds") && html.contains("stands still"));
        assert_eq!(html.matches("value=\"accept\"").count(), 1, "all nodes at once are taken by nobody");
        for said in ["1 of 3 run", "1 on their way", "4 on nodes that are gone", "2 more wanted", "5 nodes said no", "&lt;u&gt;full"] {
            assert!(html.contains(said), "{said}: {html}");
        }
        let empty = body(&view, &shown(false), None).into_string();
        assert!(!empty.contains("/replicas/"));
        assert!(empty.contains("runs nothing for others") && !empty.contains("/accept\""));
    }
}
