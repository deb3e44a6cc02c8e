//! The page about HTTPS: where it is, what a browser is told to trust, and whether plain HTTP leads there.

use super::{View, not_done};
use crate::https::HttpsView;
use crate::users::Operation;
use maud::{Markup, html};

/// All of it; `host` is the node as the reader typed it.
pub fn body(view: &View<'_>, shown: &Result<HttpsView, String>, host: &str, wrong: Option<&str>) -> Markup {
    let words = view.lang.encrypted();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            h2 { (words.title) }
            @match shown {
                Err(why) => p.mend { (why) },
                Ok(https) => {
                    @let at = format!("{}/", https.at(host));
                    p { (if view.caller.encrypted { words.yes } else { words.why }) }
                    ol {
                        li { a href="/root.crt" { (words.download) } " " span.quiet { (words.compare) } pre { code { (https.fingerprint) } } }
                        li { (words.trust) ul { li { (words.android) } li { (words.apple) } li { (words.windows) } li { (words.firefox) } } }
                        li { a href=(at) { (words.open) " " (at) } }
                    }
                    p.quiet { (words.limits) }
                    @if view.caller.may(Operation::Own) { (only(view, https.only)) }
                }
            }
        }
    }
}

fn only(view: &View<'_>, only: bool) -> Markup {
    let words = view.lang.encrypted();
    let (why, label) = if only { (words.is_only, words.both) } else { (words.only_why, words.only) };
    html! {
        h3 { (words.plain) }
        p { (why) }
        form method="post" action="/encrypted" {
            (view.csrf()) input type="hidden" name="only" value=(!only); button { (label) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;
    use crate::users::Role;

    pub fn shown(only: bool) -> Result<HttpsView, String> {
        Ok(HttpsView { port: 8443, fingerprint: "AB:CD".to_owned(), root: String::new(), only })
    }

    #[test]
    fn everybody_learns_how_and_owners_close_the_other_way() {
        let html = |role, only| {
            let caller = caller(role);
            let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
            body(&view, &shown(only), "garden.local", None).into_string()
        };
        let guest = html(None, false);
        assert!(
            guest.contains("https://garden.local:8443/")
                && guest.contains("AB:CD")
                && guest.contains("/root.crt")
                && !guest.contains("<form")
        );
        assert!(html(Some(Role::Owner), false).contains("value=\"true\"") && html(Some(Role::Owner), true).contains("value=\"false\""));
        assert!(!html(Some(Role::Operator), true).contains("<form"));
    }
}
