//! What was made with Docker by hand: the list, and what one container would be as an app.

use super::home::size;
use super::{View, not_done};
use crate::apps::HandView;
use crate::broker::{ByHand, HandContainer, HandImage, HandVolume};
use crate::http::encode;
use crate::users::Operation;
use maud::{Markup, html};

/// All of it.
pub fn body(view: &View<'_>, all: &ByHand, wrong: Option<&str>) -> Markup {
    let words = view.lang.by_hand();
    let owner = view.caller.may(Operation::Own);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (words.by_hand) }
            p { (words.why) }
            @if all.more { p { (words.more) } }
            @if owner { p.quiet { (words.remove_why) } }
            h3 { (words.containers) }
            @if all.containers.is_empty() { p { (words.none) } }
            ul.nodes { @for container in &all.containers { (self::container(view, container)) } }
        }
        section {
            h3 { (words.images) }
            @if all.images.is_empty() { p { (words.none) } }
            ul.nodes { @for image in &all.images { (self::image(view, image)) } }
            h3 { (words.volumes) }
            @if all.volumes.is_empty() { p { (words.none) } }
            ul.nodes { @for volume in &all.volumes { (self::volume(view, volume)) } }
            p { a href="/apps" { (view.lang.store().back) } }
        }
    }
}

/// Where Docker does not answer.
pub fn without(view: &View<'_>) -> Markup {
    let words = view.lang.by_hand();
    html! {
        section {
            h2 { (words.by_hand) }
            p { (words.no_docker) }
            p { a href="/" { (view.lang.people().home) } " " a href="/apps" { (view.lang.store().back) } }
        }
    }
}

fn container(view: &View<'_>, container: &HandContainer) -> Markup {
    let words = view.lang.by_hand();
    html! {
        li data-container=(container.name) { div.wide {
            strong { (container.name) } " " span.quiet { (container.image) ", " (container.state) }
            @if !container.ports.is_empty() { div.quiet { (words.publishes) " " (container.ports.join(", ")) } }
            @if !container.mounts.is_empty() { div.quiet { (words.keeps) " " (container.mounts.join(", ")) } }
            @if let Some(stays) = &container.stays { p { (words.not) " " (stays) } }
            @if let Some(app) = &container.adopted {
                p { (words.became) " " a href=(format!("/apps/{}", encode(app))) { (app) } }
                @if view.caller.may(Operation::Own) { p.quiet { (words.remove_old_why) } (view.button(&format!("/by-hand/containers/{}/remove", container.id), words.remove_old)) }
            } @else if container.stays.is_none() {
                div.buttons { a.button href=(format!("/by-hand/{}", container.id)) { (words.look) } }
            }
        } }
    }
}

/// Who uses it; where nobody does, a button that removes it.
fn use_of(view: &View<'_>, used_by: &[String], at: &str) -> Markup {
    let words = view.lang.by_hand();
    html! {
        @if used_by.is_empty() {
            " " span.quiet { (words.unused) }
            @if view.caller.may(Operation::Own) { " " (view.button(at, words.remove)) }
        } @else { " " span.quiet { (words.used_by) " " (used_by.join(", ")) } }
    }
}

fn image(view: &View<'_>, image: &HandImage) -> Markup {
    html! {
        li { div.wide {
            strong { @if image.tags.is_empty() { (view.lang.by_hand().nameless) } @else { (image.tags.join(", ")) } }
            " " span.quiet { (size(image.bytes)) }
            (use_of(view, &image.used_by, &format!("/by-hand/images/{}/remove", encode(&image.id))))
        } }
    }
}

fn volume(view: &View<'_>, volume: &HandVolume) -> Markup {
    html! {
        li { div.wide {
            strong { (volume.name) } (use_of(view, &volume.used_by, &format!("/by-hand/volumes/{}/remove", encode(&volume.name))))
        } }
    }
}

/// What one container would be as an app, and the button that makes it one.
pub fn one(view: &View<'_>, one: &HandView, wrong: Option<&str>) -> Markup {
    let (words, own) = (view.lang.by_hand(), view.lang.own());
    let lines = |title: &str, lines: &[String]| {
        html! { @if !lines.is_empty() { h3 { (title) } ul { @for line in lines { li { (line) } } } } }
    };
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (one.name) }
            @if !one.not.is_empty() {
                p { (words.not) }
                ul { @for not in &one.not { li { code { (not.what) } ": " (not.why) } } }
            }
            h3 { (words.what) }
            p { (one.image) }
            @if !one.command.is_empty() { p { (words.starts) ": " code { (one.command.join(" ")) } } }
            (lines(words.variables, &one.environment))
            (lines(own.ports, &one.ports))
            (lines(own.volumes, &one.volumes))
            (lines(words.asks, &one.asks))
            (lines(words.differs, &one.differs))
            @if let Some(app) = &one.adopted { p { (words.became) " " a href=(format!("/apps/{}", encode(app))) { (app) } } }
            @else if one.not.is_empty() { (adopt(view, one)) }
            p { a href="/by-hand" { (view.lang.store().back) } }
        }
    }
}

fn adopt(view: &View<'_>, one: &HandView) -> Markup {
    let words = view.lang.by_hand();
    if !view.caller.may(Operation::Own) {
        return html! { p { (words.owner_may) } };
    }
    html! {
        p { (words.adopt_why) }
        form #adopt method="post" action=(format!("/by-hand/{}/adopt", one.id)) {
            (view.csrf())
            label { (words.name) input name="name" maxlength="33" pattern="[a-z][a-z0-9\\-]*" required value=(one.proposed); }
            button.main { (words.adopt) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::broker::NotTaken;
    use crate::text::Lang;
    use crate::users::Role;

    /// A container that can be adopted, one that was, one that can't be, and an image and a volume of each kind.
    pub fn shown() -> ByHand {
        let container = |name: &str| HandContainer { id: "wiki".to_owned(), name: name.to_owned(), ..HandContainer::default() };
        let used = || vec!["<i>".to_owned()];
        ByHand {
            containers: vec![
                container("<i>web"),
                HandContainer { adopted: Some("wiki".to_owned()), ..container("old") },
                HandContainer { stays: Some("<i>".to_owned()), project: Some("<i>".to_owned()), ..container("part") },
            ],
            images: vec![
                HandImage { id: "wiki".to_owned(), tags: used(), ..HandImage::default() },
                HandImage { id: "other".to_owned(), used_by: used(), ..HandImage::default() },
            ],
            volumes: vec![
                HandVolume { name: "wiki".to_owned(), used_by: Vec::new() },
                HandVolume { name: "other".to_owned(), used_by: used() },
            ],
            more: true,
        }
    }

    pub fn looked(not: bool) -> HandView {
        let fault = NotTaken { what: "<i>".to_owned(), why: "<i>".to_owned() };
        let (command, environment) = (vec!["<i>".to_owned()], vec!["PASSWORD".to_owned()]);
        let not = if not { vec![fault] } else { Vec::new() };
        HandView {
            id: "wiki".to_owned(),
            name: "<i>".to_owned(),
            proposed: "web".to_owned(),
            command,
            environment,
            not,
            ..HandView::default()
        }
    }

    #[test]
    fn owners_adopt_and_remove_what_operators_see() {
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            for role in [Role::Operator, Role::Owner] {
                let caller = caller(Some(role));
                let view = View { node: "garden", lang, caller: &caller, owned: true };
                let html = body(&view, &shown(), Some("<i>")).into_string() + &one(&view, &looked(false), None).into_string();
                assert_eq!(html.contains("/by-hand/wiki/adopt"), role == Role::Owner);
                assert_eq!(
                    html.matches("/remove\"").count(),
                    if role == Role::Owner { 3 } else { 0 },
                    "what is used has no button: {html}"
                );
                assert!(!html.contains("<i>") && html.contains("&lt;i&gt;web") && html.contains("href=\"/by-hand/wiki\""));
                assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
                assert!(!one(&view, &looked(true), None).into_string().contains("/adopt"), "what can't be taken over is not adopted");
            }
        }
    }
}
