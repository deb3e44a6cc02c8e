//! The steps by which a node is set up, each a page of its own; and the line on the first page that leads back to them.

use super::cloud::{self, Made};
use super::{View, not_done, settings};
use crate::net::ClusterView;
use crate::settings::SettingsView;
use crate::setup::Step;
use crate::users::Operation;
use maud::{Markup, html};

/// What a step's page shows.
pub struct Shown<'a> {
    /// This step.
    pub step: Step,
    /// All that this node has.
    pub steps: Vec<Step>,
    /// What was left for later.
    pub left: Vec<Step>,
    /// Whether another step comes next, so that one may just go on.
    pub settled: bool,
    /// The node among others.
    pub view: Option<&'a ClusterView>,
    /// The recovery kit, in the one answer that shows it.
    pub kit: Option<&'a str>,
    /// The node's settings.
    pub settings: SettingsView,
    /// Time zones.
    pub zones: &'a [String],
}

/// What forms of elsewhere carry here, so that they lead back here.
fn mark() -> Markup {
    html! { input type="hidden" name="setup" value="yes"; }
}

/// What people call a step.
fn title(view: &View<'_>, step: Step) -> &'static str {
    let (words, cloud) = (view.lang.setup(), view.lang.cloud());
    match step {
        Step::Claim => view.lang.people().claim,
        Step::Name => cloud.node_name,
        Step::Microcloud => cloud.microcloud,
        Step::Kit => cloud.kit,
        Step::Place => view.lang.settings().where_is_it,
        Step::Done => words.done,
    }
}

/// Which step of how many it is.
pub fn counted(view: &View<'_>, step: Step, steps: &[Step]) -> Markup {
    let words = view.lang.setup();
    let number = steps.iter().position(|one| *one == step).map_or(steps.len(), |at| at + 1);
    html! { p.quiet #step { (words.step) " " (number) " " (words.of) " " (steps.len()) } }
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown<'_>, wrong: Option<&str>) -> Markup {
    let (words, step) = (view.lang.setup(), shown.step);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            (counted(view, step, &shown.steps))
            h2 { (title(view, step)) }
            @match step {
                Step::Claim => p { a.button href="/claim" { (view.lang.people().claim) } },
                Step::Name => (name(view, shown)),
                Step::Microcloud => (inside(view, shown)),
                Step::Kit => (kit(view, shown)),
                Step::Place => p { (view.lang.settings().where_why) " " (words.language) },
                Step::Done => (done(view, shown)),
            }
        }
        @if step == Step::Microcloud { (outside(view, shown)) }
        @if step == Step::Place { (settings::time(view, &shown.settings, shown.zones, &mark())) }
        section.whole { div.buttons {
            @if let Some(before) = shown.steps.iter().rev().find(|one| **one < step && **one != Step::Claim) {
                a.button href=(address(*before)) { (words.back) }
            }
            @if shown.settled { a.button href="/setup" { (words.go_on) } }
            @else if !matches!(step, Step::Claim | Step::Done) {
                form.inline method="post" action=(address(step)) { (view.csrf()) input type="hidden" name="later" value="yes"; button { (words.later) } }
            }
        } }
    }
}

/// Where a step is.
pub fn address(step: Step) -> String {
    format!("/setup/{}", step.word())
}

fn name(view: &View<'_>, shown: &Shown<'_>) -> Markup {
    let words = view.lang.setup();
    let now = shown.view.map_or(view.node, |view| view.me.name.as_str());
    html! {
        p { (words.name_why) }
        form method="post" action="/microcloud/rename" {
            (view.csrf()) (mark())
            label { (view.lang.cloud().node_name) input name="name" required maxlength="63" value=(now); }
            button.main { (words.go_on) }
        }
    }
}

/// To which microcloud it belongs, or what one is.
fn inside(view: &View<'_>, shown: &Shown<'_>) -> Markup {
    let words = view.lang.setup();
    html! {
        @match shown.view.and_then(|view| Some((view, view.community.as_ref()?))) {
            Some((cluster, community)) => {
                p { (words.inside) " " strong { (community.name) } ". " (view.lang.cloud().members) ": " (cluster.members.len()) }
            },
            None => {
                p { (words.cloud_why) }
                noscript { p { a href=(address(Step::Microcloud)) { (words.reload) } } }
            }
        }
    }
}

/// The ways into one.
fn outside(view: &View<'_>, shown: &Shown<'_>) -> Markup {
    html! {
        @match shown.view {
            Some(cluster) if cluster.community.is_none() => (cloud::ways_in(view, cluster, &mark())),
            Some(_) => {},
            None => (not_done(view.lang, crate::http::changes::NO_NETWORK)),
        }
    }
}

fn kit(view: &View<'_>, shown: &Shown<'_>) -> Markup {
    let words = view.lang.setup();
    html! {
        @match shown.kit {
            Some(kit) => (cloud::once(Made::Kit(kit), view.lang.cloud())),
            None => { p { (view.lang.cloud().kit_why) } p { (words.kit_again) } p { code { "sudo cloudy kit" } } }
        }
        form method="post" action=(address(Step::Kit)) {
            (view.csrf())
            label.tick { input type="checkbox" name="kept" value="yes" required; " " (words.kit_kept) }
            button.main { (words.go_on) }
        }
    }
}

fn done(view: &View<'_>, shown: &Shown<'_>) -> Markup {
    let (words, people) = (view.lang.setup(), view.lang.people());
    html! {
        @if !shown.left.is_empty() {
            p { (words.left) }
            ul { @for step in &shown.left { li { a href=(address(*step)) { (title(view, *step)) } } } }
        }
        p { (words.done_why) }
        p { a href="/apps" { (people.apps) } " · " a href="/users" { (people.users) } " · " a href="/help" { (view.lang.help().help) } }
        form method="post" action=(address(Step::Done)) { (view.csrf()) button.main { (words.finish) } }
    }
}

/// On the first page, for an owner: it is not set up to the end.
pub fn notice(view: &View<'_>, pending: bool) -> Markup {
    let words = view.lang.setup();
    html! {
        @if pending && view.caller.may(Operation::Own) {
            section.whole #setup {
                p { (words.notice) }
                div.buttons {
                    a.button href="/setup" { (words.go_on_setting_up) }
                    form.inline method="post" action=(address(Step::Done)) { (view.csrf()) input type="hidden" name="later" value="yes"; button { (words.dismiss) } }
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::super::words::tests::outside_view;
    use super::*;
    use crate::net::{CommunityView, Door};
    use crate::text::Lang;
    use crate::users::Role;
    use clap::ValueEnum;

    /// Every step, as somebody sees it who is outside.
    pub fn all(view: &View<'_>) -> Markup {
        let cluster = outside_view(None);
        let one = |step: &Step| body(view, &shown(*step, Some(&cluster), None), Some("x"));
        html! { @for step in Step::value_variants() { (one(step)) } (notice(view, true)) }
    }

    fn shown<'a>(step: Step, view: Option<&'a ClusterView>, kit: Option<&'a str>) -> Shown<'a> {
        let settings = settings::tests::shown();
        Shown { step, steps: Step::value_variants().into(), left: vec![Step::Place], settled: false, view, kit, settings, zones: &[] }
    }

    fn html(lang: Lang, shown: &Shown<'_>) -> String {
        let caller = caller(Some(Role::Owner));
        body(&View { node: "garden", lang, caller: &caller, owned: true }, shown, None).into_string()
    }

    #[test]
    fn each_step_says_which_it_is_and_leads_back_and_on() {
        let cluster = outside_view(None);
        for (number, step) in (1..).zip(Step::value_variants()) {
            for lang in [Lang::En, Lang::Es, Lang::Ca] {
                let text = html(lang, &shown(*step, Some(&cluster), None));
                let words = lang.setup();
                assert!(text.contains(&format!("{} {number} {} 6", words.step, words.of)), "{text}");
                assert_eq!(text.contains(&format!("{}</button>", words.later)), !matches!(step, Step::Claim | Step::Done), "{step:?}");
                assert_eq!(text.contains(&format!(">{}</a>", words.back)), *step > Step::Name, "{step:?}");
                assert_eq!(text.matches("<form").count(), text.matches("name=\"csrf\"").count());
            }
        }
        let settled = Shown { settled: true, ..shown(Step::Place, Some(&cluster), None) };
        assert!(html(Lang::En, &settled).contains("href=\"/setup\"") && !html(Lang::En, &settled).contains("name=\"later\""));
        let short =
            Shown { steps: vec![Step::Claim, Step::Name, Step::Microcloud, Step::Place, Step::Done], ..shown(Step::Place, None, None) };
        let text = html(Lang::En, &short);
        assert!(text.contains("Step 4 of 5") && text.contains("href=\"/setup/microcloud\""), "the kit is not counted: {text}");
    }

    #[test]
    fn every_way_into_a_microcloud_leads_back_to_the_steps_and_who_is_inside_goes_on() {
        let cluster = outside_view(None);
        let text = html(Lang::En, &shown(Step::Microcloud, Some(&cluster), None));
        let forms = text.matches("action=\"/microcloud/").count();
        assert!(forms >= 4 && text.matches("name=\"setup\" value=\"yes\"").count() == forms, "{text}");
        assert!(text.contains("<noscript><p><a href=\"/setup/microcloud\""));
        let community = CommunityView {
            id: String::new(),
            name: "<i>Home".to_owned(),
            can_invite: true,
            founder: true,
            removed: Vec::new(),
            door: Door::Closed,
        };
        let inside = ClusterView { community: Some(community), ..outside_view(None) };
        let text = html(Lang::En, &Shown { settled: true, ..shown(Step::Microcloud, Some(&inside), None) });
        assert!(text.contains("&lt;i&gt;Home") && !text.contains("/microcloud/join") && text.contains(">Go on<"), "{text}");
        assert!(html(Lang::En, &shown(Step::Microcloud, None, None)).contains("role=\"alert\""), "without a network that is said");
    }

    #[test]
    fn the_kit_is_shown_once_and_a_tick_is_needed_to_say_that_it_is_kept() {
        let made = html(Lang::En, &shown(Step::Kit, None, Some("cloudy1-kit-<x>")));
        assert!(
            made.contains("cloudy1-kit-&lt;x&gt;") && made.contains("type=\"checkbox\" name=\"kept\" value=\"yes\" required"),
            "{made}"
        );
        let again = html(Lang::En, &shown(Step::Kit, None, None));
        assert!(!again.contains("id=\"made\"") && again.contains("sudo cloudy kit"), "{again}");
    }

    #[test]
    fn owners_alone_are_reminded_and_only_while_there_is_something_to_do() {
        let reminded = |role, pending| {
            let caller = caller(role);
            notice(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, pending).into_string()
        };
        assert!(reminded(Some(Role::Owner), true).contains("href=\"/setup\"") && reminded(Some(Role::Owner), false).is_empty());
        assert!(reminded(Some(Role::Operator), true).is_empty() && reminded(None, true).is_empty());
        let done = html(Lang::En, &shown(Step::Done, None, None));
        assert!(done.contains("href=\"/setup/place\"") && done.contains("action=\"/setup/done\""), "{done}");
    }
}
