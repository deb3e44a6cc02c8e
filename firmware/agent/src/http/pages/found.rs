//! Apps that other nodes of the microcloud give, on the page of apps.

use super::View;
use super::apps::title;
use super::home::size;
use crate::apps::FoundApp;
use crate::users::Operation;
use maud::{Markup, html};

/// What can be had of other nodes (`apps::Shelf`).
pub fn section(view: &View<'_>, found: &Result<Vec<FoundApp>, String>) -> Markup {
    let words = view.lang.found();
    html! {
        section aria-live="polite" {
            h2 { (words.found) }
            @match found {
                Err(why) => p.mend { (why) },
                Ok(found) => {
                    @if found.is_empty() { p { (words.none) } }
                    ul.nodes { @for found in found { (one(view, found)) } }
                }
            }
        }
    }
}

fn one(view: &View<'_>, found: &FoundApp) -> Markup {
    let (words, app) = (view.lang.found(), &found.app);
    let givers: Vec<&str> = found.holders.iter().map(|holder| holder.node_name.as_str()).collect();
    html! {
        li data-found=(app.name) { div.wide {
            strong { (title(&app.title, &app.name, view.lang)) } " "
            span.quiet { (view.lang.category(&app.category)) ", " (size(found.size_bytes)) }
            p { (title(&app.description, "", view.lang)) }
            p.quiet {
                (words.given_by) " " (givers.join(", "))
                @if found.known { " · " (words.other_version) }
            }
            @if let Some(problem) = found.problem() { p.mend { (problem) } }
            @match &found.here {
                Some(here) if found.coming() => div {
                    (words.coming) " " progress max=(found.size_bytes.max(1)) value=(here.fetched_bytes) aria-label=(words.coming) {}
                },
                _ if !found.fits => p.quiet { (words.other_machines) " (" (app.architecture) ")" },
                _ if let Some(source) = &found.takes_from => {
                    p.mend { (view.lang.catalogs().other) " " (title(&source.title, source.short(), view.lang)) "." }
                    @if view.caller.may(Operation::Own) {
                        div.buttons { (view.button(&format!("/found-apps/{}/replace", found.hash), view.lang.catalogs().replace)) }
                    }
                },
                _ if view.caller.may(Operation::Own) => div.buttons {
                    (view.button(&format!("/found-apps/{}/fetch", found.hash), if found.known { words.update } else { words.fetch }))
                },
                _ => p.quiet { (words.owners) },
            }
        } }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::apps::{AppSource, a_found_app};
    use crate::blobs::Taking;
    use crate::http::pages::tests::caller;
    use crate::text::Lang;
    use crate::users::Role;

    pub fn found(name: &str, taking: Option<Taking>) -> FoundApp {
        let mut found = a_found_app(name, "<i>roof", taking);
        found.app.title = [("en".to_owned(), "<b>Broker".to_owned())].into();
        found
    }

    #[test]
    fn owners_fetch_what_fits_and_everybody_sees_what_is_known_of_it() {
        let shown = |role, apps: &[FoundApp]| {
            let caller = caller(Some(role));
            section(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, &Ok(apps.to_vec())).into_string()
        };
        let fetch = "/fetch\"";
        let new = [found("broker", None)];
        let owner = shown(Role::Owner, &new);
        assert!(owner.contains(fetch) && owner.contains("&lt;b&gt;Broker") && owner.contains("&lt;i&gt;roof"), "{owner}");
        assert!(!shown(Role::Operator, &new).contains(fetch));
        let other = [FoundApp { fits: false, ..found("broker", None) }];
        assert!(!shown(Role::Owner, &other).contains(fetch) && shown(Role::Owner, &other).contains("amd64"));
        let coming = shown(Role::Owner, &[found("broker", Some(Taking::Wanted { replace: false }))]);
        assert!(coming.contains("<progress max=\"10\" value=\"3\"") && !coming.contains(fetch));
        let refused = shown(Role::Owner, &[found("broker", Some(Taking::Refused { why: "it holds <u>".to_owned() }))]);
        assert!(refused.contains("it holds &lt;u&gt;") && refused.contains(fetch));
        let source = AppSource { title: [("en".to_owned(), "<i>Barri".to_owned())].into(), ..AppSource::default() };
        let of_a_catalog = shown(Role::Owner, &[FoundApp { takes_from: Some(source), ..found("broker", None) }]);
        assert!(of_a_catalog.contains("/replace\"") && of_a_catalog.contains("&lt;i&gt;Barri") && !of_a_catalog.contains(fetch));
        assert!(!shown(Role::Owner, &[]).contains("data-found"));
    }
}
