//! The page of files: what nodes hold, fetching it, and giving something of one's own.

use super::home::size;
use super::{View, not_done};
use crate::blobs::{BlobView, BlobsPage, Here, Visibility};
use crate::net::BlobSearch;
use crate::text::Files;
use crate::users::Operation;
use maud::{Markup, html};

/// What the page shows.
pub struct Shown {
    /// What was looked for.
    pub asked: BlobSearch,
    /// What was found, or why nothing can be.
    pub found: Result<BlobsPage, String>,
    /// Bytes that files have of those that they may have.
    pub room: (u64, u64),
    /// Where public files are given to everybody, without their hash.
    pub gateway: Option<String>,
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown, wrong: Option<&str>) -> Markup {
    let words = view.lang.files();
    let operator = view.caller.may(Operation::Operate);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            h2 { (words.files) }
            p { (if operator { words.files_why } else { words.guest }) }
            form method="get" action="/files" role="search" {
                label { (words.words) input name="text" type="search" value=(shown.asked.text) maxlength="200"; }
                button.main { (words.search) }
            }
        }
        @if operator { (add(view, words, shown.room)) }
        // The files alone come anew: what somebody sends or chooses meanwhile stays.
        @if shown.found.is_ok() {
            div.parts data-fresh=(fresh(&shown.asked)) { (list(view, shown)) }
            script src="/page.js" defer {}
        } @else { (list(view, shown)) }
    }
}

/// Where the script of the page finds the files anew.
fn fresh(asked: &BlobSearch) -> String {
    format!("/files/body?{}", serde_urlencoded::to_string(asked).unwrap_or_default())
}

/// The files.
pub fn list(view: &View<'_>, shown: &Shown) -> Markup {
    let words = view.lang.files();
    html! {
        @match &shown.found {
            Err(why) => (not_done(view.lang, why)),
            Ok(page) => section.whole aria-live="polite" {
                @if page.blobs.is_empty() { p { (words.nothing) } }
                ul.nodes { @for blob in &page.blobs { (one(view, words, blob, shown.gateway.as_deref())) } }
                @if let Some(next) = &page.next {
                    @let fields = [("text", shown.asked.text.as_str()), ("after", next)];
                    p { a.button href=(format!("/files?{}", serde_urlencoded::to_string(fields).unwrap_or_default())) { (words.more) } }
                }
            },
        }
    }
}

/// A file goes as it is, and not as a part of a form, which a node would have to hold in memory: so a script sends it.
fn add(view: &View<'_>, words: &Files, (used, quota): (u64, u64)) -> Markup {
    html! {
        section.whole {
            h2 { (words.add_what) }
            noscript { p { (words.needs_script) } }
            form #upload method="post" action="/api/v1/blobs" hidden {
                (view.csrf())
                label { (words.file) input name="file" type="file" required; }
                label { (words.who) (choice(words, Visibility::Community)) }
                button.main { (words.add) }
                progress hidden aria-label=(words.add) {}
                p.mend role="alert" hidden {}
            }
            p.quiet { (size(used)) " " (words.room) " " (size(quota)) }
            script src="/upload.js" defer {}
        }
    }
}

fn choice(words: &Files, now: Visibility) -> Markup {
    let all = [
        (Visibility::Private, "private", words.private),
        (Visibility::Community, "community", words.community),
        (Visibility::Public, "public", words.public),
    ];
    html! { select name="visibility" { @for (visibility, word, label) in all { option value=(word) selected[visibility == now] { (label) } } } }
}

fn one(view: &View<'_>, words: &Files, blob: &BlobView, gateway: Option<&str>) -> Markup {
    let operator = view.caller.may(Operation::Operate);
    let holders = blob.holders.as_ref().map_or(0, Vec::len);
    let nodes = if holders == 1 { words.on_node } else { words.on_nodes };
    let whole = blob.here.as_ref().is_some_and(|here| here.complete);
    let class = if whole { "ok" } else { "warn" };
    html! {
        li data-file=(blob.facts.name) {
            span.dot.(class) {}
            div.wide {
                strong { (blob.facts.name) } " "
                span.quiet {
                    (size(blob.facts.size_bytes)) " · " (holders) " " (nodes)
                    @if whole { " · " (words.here) }
                }
                @if let Some(here) = blob.here.as_ref().filter(|here| !here.complete) { (coming(words, blob, here)) }
                @if let Some(at) = gateway.filter(|_| whole && blob.here.as_ref().is_some_and(|here| here.visibility == Visibility::Public)) {
                    div.quiet { (words.at) " " a href=(format!("{at}/{}", blob.hash)) rel="noreferrer" { (format!("{at}/{}…", blob.hash.get(..8).unwrap_or_default())) } }
                }
                @if operator { (buttons(view, words, blob)) }
            }
        }
    }
}

fn coming(words: &Files, blob: &BlobView, here: &Here) -> Markup {
    html! {
        div {
            (words.coming) " "
            // The script looks more often while there is one.
            @if here.problem.is_none() { progress max=(blob.facts.size_bytes) value=(here.fetched_bytes) aria-label=(words.coming) {} " " }
            a href="/files" { (words.look_again) }
            @if let Some(problem) = &here.problem { div.mend { (problem) } }
        }
    }
}

fn buttons(view: &View<'_>, words: &Files, blob: &BlobView) -> Markup {
    let at = |action: &str| format!("/files/{}/{action}", blob.hash);
    html! {
        div.buttons {
            @match &blob.here {
                None => (view.button(&at("fetch"), words.fetch)),
                Some(here) => {
                    @if here.complete { a.button href=(format!("/api/v1/blobs/{}/content", blob.hash)) { (words.save) } }
                    @if here.pinned { (view.button(&at("unpin"), words.unpin)) } @else { (view.button(&at("pin"), words.pin)) }
                }
            }
        }
        @if let Some(here) = &blob.here {
            details {
                summary { (words.manage) }
                form method="post" action=(at("share")) {
                    (view.csrf())
                    label { (words.who) (choice(words, here.visibility)) }
                    button { (words.change) }
                }
                form method="post" action=(at("remove")) { (view.csrf()) button { (words.remove) } " " span.quiet { (words.remove_why) } }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::blobs::Taking;
    use crate::net::BlobFacts;
    use crate::text::Lang;
    use crate::users::Role;

    /// A file of others, one that comes, and two that are here.
    pub fn shown(hash: &str, name: &str) -> Shown {
        let here = |complete, pinned| {
            Some(Here {
                visibility: Visibility::Public,
                pinned,
                complete,
                fetched_bytes: 1,
                problem: Some("no".to_owned()),
                taking: Taking::No,
            })
        };
        let blob = |here| BlobView {
            hash: hash.to_owned(),
            facts: BlobFacts { name: name.to_owned(), size_bytes: 5, ..BlobFacts::default() },
            here,
            holders: Some(Vec::new()),
        };
        let blobs = vec![blob(None), blob(here(false, false)), blob(here(true, true)), blob(here(true, false))];
        Shown {
            asked: BlobSearch { text: "a&b".to_owned(), ..BlobSearch::default() },
            found: Ok(BlobsPage { blobs, next: Some("f".repeat(64)) }),
            room: (5, 10),
            gateway: Some("http://garden:4749".to_owned()),
        }
    }

    #[test]
    fn what_others_call_a_file_is_text_and_guests_change_nothing() {
        let html = |role| {
            let caller = caller(role);
            body(&View { node: "garden", lang: Lang::Ca, caller: &caller, owned: true }, &shown("wiki", "<script>x"), None).into_string()
        };
        let operator = html(Some(Role::Operator));
        assert!(operator.contains("&lt;script&gt;x") && !operator.contains("<script>x"));
        assert!(operator.contains("/files?text=a%26b&amp;after=") && operator.contains("http://garden:4749/wiki"));
        for action in ["fetch", "pin", "unpin", "share", "remove"] {
            assert!(operator.contains(&format!("action=\"/files/wiki/{action}\"")), "{action}");
        }
        let nobody = html(None);
        assert!(!nobody.contains("method=\"post\"") && !nobody.contains("/content") && nobody.contains("&lt;script&gt;x"));
    }
}
