//! Four words on the page of the microcloud: a newcomer that asks a neighbour, and the newcomers that ask here.

use super::View;
use crate::net::{AskingEnd, AskingStep, AskingView, ClusterView, JoinProblem, LanNode, NewcomerView};
use crate::text::FourWords;
use crate::users::Operation;
use maud::{Markup, html};

/// Whoever has not asked for so long is there no more.
const SILENT_SECONDS: u64 = 30;

/// What a node outside shows: whom it can ask, or how asking goes. Its forms carry `more`.
pub fn outside(page: &View<'_>, view: &ClusterView, more: &Markup) -> Markup {
    let words = page.lang.four_words();
    let others: Vec<&LanNode> = view.lan.seen.iter().filter(|node| node.community.is_some() && node.can_invite).collect();
    html! {
        @if let Some(asked) = &view.asking { (asking(page, asked, more)) }
        @if view.asking.as_ref().is_none_or(|asked| matches!(asked.step, AskingStep::Ended { .. })) {
            section {
                h2 { (words.ask) }
                p { (words.ask_why) }
                @if !view.lan.enabled { p { (words.not_looking) } } @else if others.is_empty() { p { (words.nobody) } }
                ul { @for node in others { (whom(page, node, more)) } }
            }
        }
    }
}

/// A node that can be asked.
fn whom(page: &View<'_>, node: &LanNode, more: &Markup) -> Markup {
    let words = page.lang.four_words();
    let short = node.id.get(..8).unwrap_or_default();
    html! {
        li {
            form method="post" action="/microcloud/ask" {
                (page.csrf()) (more)
                input type="hidden" name="node" value=(node.id);
                p {
                    strong { bdi { (node.name.as_deref().unwrap_or(short)) } } " " span.quiet { (short) }
                    @if let Some(community) = &node.community_name { " " (words.of) " " bdi { (community) } }
                }
                button { (words.ask_now) }
            }
        }
    }
}

fn asking(page: &View<'_>, asked: &AskingView, more: &Markup) -> Markup {
    let words = page.lang.four_words();
    let stop = |label: &str| html! { form.inline method="post" action="/microcloud/stop" { (page.csrf()) (more) button { (label) } } };
    html! {
        section.whole #asking aria-live="polite" {
            h2 {
                (words.asking) " " bdi { (asked.name) }
                @if let Some(community) = &asked.community { " " (words.of) " " bdi { (community) } }
            }
            @match &asked.step {
                AskingStep::Waiting {} => { p { (words.waiting) } }
                AskingStep::Compare { words: four, agreed, admitted } => {
                    p { strong #words lang="en" { (four) } }
                    p { (words.compare) }
                    p { (words.differ) }
                    @if *admitted { p { (words.agreed_there) } }
                    @if *agreed { p { (words.agreed_here) } } @else {
                        form method="post" action="/microcloud/same" {
                            (page.csrf()) (more)
                            input type="hidden" name="words" value=(four);
                            button.main { (words.same) }
                        }
                    }
                }
                AskingStep::Ended { why } => {
                    p { strong { (words.over) } }
                    p.mend { (ended(words, why)) @if let AskingEnd::Others { names } = why { @for (at, name) in names.iter().enumerate() { @if at > 0 { "," } " " bdi { (name) } } } }
                }
            }
            @match &asked.trouble {
                Some(failure) if failure.reason == JoinProblem::Busy => { p.mend { (words.busy) } }
                Some(_) => { p.mend { (words.trouble) } }
                None => {}
            }
            @if let AskingStep::Ended { .. } = asked.step { (stop(words.done)) } @else {
                p.quiet { (words.minutes_left) " " (asked.left_seconds.div_ceil(60)) }
                (stop(words.stop))
            }
        }
    }
}

fn ended(words: &FourWords, why: &AskingEnd) -> &'static str {
    match why {
        AskingEnd::Denied => words.denied,
        AskingEnd::Late => words.late,
        AskingEnd::Forgotten => words.forgotten,
        AskingEnd::Others { names } if names.is_empty() => words.others_none,
        AskingEnd::Others { .. } => words.others,
        AskingEnd::Nonsense => words.nonsense,
        AskingEnd::Removed => words.removed,
        AskingEnd::NoCommunity => words.no_community,
        AskingEnd::Refused => words.refused,
    }
}

/// On the first page, for those who may decide: somebody asks.
pub fn notice(page: &View<'_>, view: Option<&ClusterView>) -> Markup {
    let asks = view.is_some_and(|view| !view.newcomers.is_empty()) && page.caller.may(Operation::Own);
    html! {
        @if asks { section.whole { p { a href="/microcloud#newcomers" { (page.lang.four_words().newcomers) } } } }
    }
}

/// Those who ask here.
pub fn newcomers(page: &View<'_>, newcomers: &[NewcomerView]) -> Markup {
    let words = page.lang.four_words();
    html! {
        @if !newcomers.is_empty() {
            section.whole #newcomers aria-live="polite" {
                h2 { (words.newcomers) }
                p { (words.newcomers_why) }
                ul { @for newcomer in newcomers { (one(page, newcomer)) } }
            }
        }
    }
}

fn one(page: &View<'_>, newcomer: &NewcomerView) -> Markup {
    let words = page.lang.four_words();
    let fields = html! {
        (page.csrf())
        input type="hidden" name="node" value=(newcomer.node);
        input type="hidden" name="words" value=(newcomer.words);
    };
    html! {
        li data-newcomer=(newcomer.node) {
            p { strong { bdi { (newcomer.name) } } " " span.quiet { (newcomer.node.get(..8).unwrap_or_default()) } }
            p { strong lang="en" { (newcomer.words) } }
            @if newcomer.agreed { p { (words.its_person) } }
            @if newcomer.admitted {
                // Once it has its invite it asks no more: it comes in with it.
                p { (if newcomer.agreed { words.coming } else { words.admitted }) }
            } @else {
                @if newcomer.silent_seconds >= SILENT_SECONDS { p.mend { (words.silent) } }
                form method="post" action="/microcloud/let-in" { (fields) button.main { (words.let_in) } }
            }
            // What both agreed to is under way.
            @if !(newcomer.admitted && newcomer.agreed) {
                form method="post" action="/microcloud/turn-away" { (fields) button { (words.no) } }
            }
            p.quiet { (words.minutes_left) " " (newcomer.left_seconds.div_ceil(60)) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::LanView;
    use crate::text::Lang;
    use crate::users::Role;

    /// A newcomer.
    pub fn newcomer(name: &str) -> NewcomerView {
        let (node, words) = ("ab".repeat(32), "oven roof mule zone".to_owned());
        NewcomerView { node, name: name.to_owned(), words, agreed: false, admitted: false, silent_seconds: 1, left_seconds: 61 }
    }

    /// A view of a node that asks, and sees one that it may ask.
    pub fn outside_view(step: Option<AskingStep>) -> ClusterView {
        let node = LanNode {
            id: "cd".repeat(32),
            addresses: Vec::new(),
            community: Some("0123456789abcdef".to_owned()),
            door_open: false,
            can_invite: true,
            name: Some("<i>oven".to_owned()),
            community_name: Some("<b>Home".to_owned()),
        };
        let asking = step.map(|step| AskingView {
            node: node.id.clone(),
            name: "<i>oven".to_owned(),
            community: Some("<b>Home".to_owned()),
            left_seconds: 500,
            step,
            trouble: None,
        });
        ClusterView { asking, lan: LanView { enabled: true, problem: None, seen: vec![node] }, ..ClusterView::default() }
    }

    /// Words to be compared.
    pub fn compare(agreed: bool) -> AskingStep {
        AskingStep::Compare { words: "oven roof mule zone".to_owned(), agreed, admitted: false }
    }

    fn shown(lang: Lang, view: &ClusterView) -> String {
        let caller = caller(Some(Role::Owner));
        outside(&View { node: "garden", lang, caller: &caller, owned: true }, view, &html! {}).into_string()
    }

    #[test]
    fn the_same_words_show_in_every_language_and_what_strangers_call_themselves_is_escaped() {
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            let html = shown(lang, &outside_view(Some(compare(false))));
            assert!(html.contains("<strong id=\"words\" lang=\"en\">oven roof mule zone</strong>"), "{html}");
            assert!(html.contains("&lt;i&gt;oven") && !html.contains("<i>") && !html.contains("<b>"), "{html}");
            let caller = caller(Some(Role::Owner));
            let page = View { node: "garden", lang, caller: &caller, owned: true };
            let html = newcomers(&page, &[newcomer("</li><script>")]).into_string();
            assert!(html.contains("&lt;/li&gt;&lt;script&gt;") && !html.contains("<script>") && html.contains("oven roof mule zone"));
        }
    }

    #[test]
    fn who_has_agreed_can_still_stop_and_who_is_refused_is_told_why_and_may_ask_again() {
        let has = |html: &str, what: &str| html.contains(&format!("action=\"/microcloud/{what}\""));
        let before = shown(Lang::En, &outside_view(Some(compare(false))));
        assert!(has(&before, "same") && has(&before, "stop") && !has(&before, "ask"));
        let after = shown(Lang::En, &outside_view(Some(compare(true))));
        assert!(!has(&after, "same") && has(&after, "stop"));
        let whys = [
            AskingEnd::Denied,
            AskingEnd::Late,
            AskingEnd::Forgotten,
            AskingEnd::Others { names: vec!["<u>roof".to_owned()] },
            AskingEnd::Others { names: Vec::new() },
            AskingEnd::Nonsense,
            AskingEnd::Removed,
            AskingEnd::NoCommunity,
            AskingEnd::Refused,
        ];
        let mut said = std::collections::BTreeSet::new();
        for why in whys {
            let html = shown(Lang::En, &outside_view(Some(AskingStep::Ended { why })));
            assert!(has(&html, "ask") && has(&html, "stop") && !has(&html, "same") && !html.contains("<u>"), "{html}");
            said.insert(html);
        }
        assert_eq!(said.len(), 9, "each is told apart");
    }

    #[test]
    fn a_newcomer_is_let_in_by_its_words_and_one_that_went_away_is_said_to_be_gone() {
        let caller = caller(Some(Role::Owner));
        let page = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let html = newcomers(&page, &[newcomer("attic")]).into_string();
        assert_eq!(html.matches("name=\"words\" value=\"oven roof mule zone\"").count(), 2);
        assert!(html.contains("/microcloud/let-in") && html.contains("/microcloud/turn-away") && !html.contains("any more"));
        let gone = NewcomerView { silent_seconds: 40, ..newcomer("attic") };
        assert!(newcomers(&page, std::slice::from_ref(&gone)).into_string().contains("any more"));
        for agreed in [false, true] {
            let admitted = NewcomerView { admitted: true, agreed, ..gone.clone() };
            let html = newcomers(&page, &[admitted]).into_string();
            assert!(!html.contains("/microcloud/let-in") && !html.contains("any more"), "who was let in is not said to be gone: {html}");
            assert_eq!((html.contains("/microcloud/turn-away"), html.contains("coming in")), (!agreed, agreed), "{html}");
        }
        assert!(newcomers(&page, &[]).into_string().is_empty());
        let asked = ClusterView { newcomers: vec![newcomer("attic")], ..ClusterView::default() };
        assert!(notice(&page, Some(&asked)).into_string().contains("/microcloud#newcomers"));
        assert!(notice(&page, Some(&ClusterView::default())).into_string().is_empty() && notice(&page, None).into_string().is_empty());
        let guest = super::super::tests::caller(Some(Role::Guest));
        assert!(notice(&View { caller: &guest, ..page }, Some(&asked)).into_string().is_empty(), "guests decide nothing");
    }
}
