//! What an update of an app changes, as it is shown before anybody presses the button: what asks for more first, and loudest.

use super::View;
use super::home::size;
use crate::apps::{Change, Part, UpdateView};
use crate::text::Own;
use maud::{Markup, html};

/// All of it, or why it can't be said.
pub fn section(view: &View<'_>, update: Result<&UpdateView, &str>) -> Markup {
    let words = view.lang.changes();
    let grave = update.is_ok_and(UpdateView::asks_for_more);
    html! {
        section #changes class=(if grave { "wrong" } else { "whole" }) {
            h3 { (words.what) }
            @match update {
                Err(why) => p { (words.unread) ": " (why) },
                Ok(update) => {
                    @if grave { p role="alert" { strong { (words.grave) } } }
                    @if update.changes.is_empty() { p { (words.nothing) } }
                    ul.nodes { @for change in &update.changes { (one(view, change)) } }
                    @if let Some(bytes) = update.new_bytes.filter(|bytes| *bytes > 0) { p.quiet { (words.new_bytes) ": " (size(bytes)) } }
                    @if update.again { p.quiet { (words.again) } }
                }
            }
        }
    }
}

fn one(view: &View<'_>, change: &Change) -> Markup {
    let words = view.lang.changes();
    let class = match (change.part, &change.was) {
        (Part::Privilege, None) => "bad",
        (Part::Must, None) => "warn",
        _ => "none",
    };
    let what = match change.part {
        Part::Privilege => Own::privilege(view.lang, change.name.split('=').next().unwrap_or_default()),
        part => view.lang.part(part),
    };
    let value = |value: &str| html! { @if !value.is_empty() { ": " code { (value) } } };
    html! {
        li data-change=(change.name) {
            span.dot.(class) {}
            div.wide {
                strong { (what) @if !change.name.is_empty() { " " code { (change.name) } } } ", "
                @match (&change.was, &change.becomes) {
                    (None, Some(becomes)) => { (words.new) (value(becomes)) }
                    (Some(was), None) => { (words.gone) (value(was)) }
                    (Some(was), Some(becomes)) if was != becomes => { (words.another) ": " code { (was) } " → " code { (becomes) } }
                    _ => (words.another),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::apps::an_update;
    use crate::text::Lang;
    use crate::users::Role;

    #[test]
    fn what_asks_for_more_is_said_first_and_in_each_language() {
        let caller = caller(Some(Role::Operator));
        let html =
            |lang, update: &UpdateView| section(&View { node: "garden", lang, caller: &caller, owned: true }, Ok(update)).into_string();
        let en = html(Lang::En, &an_update());
        let at = |what: &str| en.find(what).unwrap_or_else(|| panic!("{what}: {en}"));
        assert!(at("It asks for more") < at("host-path=/srv/&lt;i&gt;") && at("host-path") < at("nginx:1.26") && at("→") < at("no more"));
        assert!(
            en.contains("dot bad")
                && en.contains("Reading and writing a folder of the node")
                && en.contains("40 MB")
                && !en.contains("<i>")
                && !en.contains("<form")
        );
        for (lang, word) in [(Lang::Es, "Pide más"), (Lang::Ca, "Demana més")] {
            assert!(html(lang, &an_update()).contains(word));
        }
        let nothing = UpdateView { again: true, ..UpdateView::default() };
        let en = html(Lang::En, &nothing);
        assert!(en.contains("Nothing: what there is") && en.contains("asked for anew") && !en.contains("role=\"alert\""), "{en}");
        let less =
            UpdateView { changes: vec![Change { was: Some(String::new()), becomes: None, ..an_update().changes.remove(0) }], ..nothing };
        assert!(!html(Lang::En, &less).contains("It asks for more"), "less is not more");
    }
}
