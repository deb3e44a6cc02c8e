//! An app that runs: what it uses, and what it says.

use super::View;
use super::home::size;
use crate::apps::UseView;
use crate::text::Lang;
use maud::{Markup, html};

fn percent(use_: &UseView) -> Option<String> {
    use_.cpu_percent.map(|percent| format!("{percent:.1} %"))
}

fn memory(use_: &UseView, lang: Lang) -> String {
    let limit = use_.memory_limit_bytes.map(|limit| format!(" {} {}", lang.words().of, size(limit)));
    size(use_.memory_bytes) + &limit.unwrap_or_default()
}

/// What it uses, in a line.
pub fn line(use_: &UseView, lang: Lang) -> Markup {
    let words = lang.store();
    html! {
        span.quiet data-use=(use_.name) {
            @if let Some(percent) = percent(use_) { (words.use_cpu) " " (percent) ", " } (words.use_memory) " " (memory(use_, lang))
        }
    }
}

/// All that it uses. Of one that does not run there is nothing to say.
pub fn figures(use_: Option<&UseView>, lang: Lang) -> Markup {
    let words = lang.store();
    html! {
        @if let Some(its) = use_ {
            section {
                h3 { (words.uses) }
                dl data-use=(its.name) {
                    @if let Some(percent) = percent(its) { div { dt { (words.use_cpu) } dd { (percent) } } }
                    div { dt { (words.use_memory) } dd { (memory(its, lang)) } }
                    div { dt { (words.use_network) } dd { (size(its.received_bytes)) " / " (size(its.sent_bytes)) } }
                    div { dt { (words.use_disk) } dd { (size(its.read_bytes)) " / " (size(its.written_bytes)) } }
                }
            }
        }
    }
}

/// What it said last, or why that is not known. The script goes on with it.
pub fn log(view: &View<'_>, name: &str, said: Result<&str, &str>) -> Markup {
    let words = view.lang.store();
    let (text, note) = match said {
        Ok(text) if text.trim().is_empty() => ("", words.log_empty),
        Ok(text) => (text, ""),
        Err(why) => ("", why),
    };
    html! {
        section.whole {
            h3 { (words.log) }
            p #log-note data-empty=(words.log_empty) { (note) }
            pre #log tabindex="0" role="log" aria-live="off" aria-label=(words.log) data-follow=(format!("/api/v1/apps/{name}/logs/events")) { (text) }
        }
        script src="/log.js" defer {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::users::Role;

    #[test]
    fn what_an_app_uses_is_said_in_words_and_what_it_says_changes_no_page() {
        let its = UseView {
            name: "wiki".to_owned(),
            cpu_percent: Some(12.34),
            memory_bytes: 12_000_000,
            memory_limit_bytes: Some(64_000_000),
            received_bytes: 5_000,
            ..UseView::default()
        };
        let line = line(&its, Lang::En).into_string();
        assert!(line.contains("processor 12.3 %, memory 12 MB of 64 MB"), "{line}");
        let figures = figures(Some(&its), Lang::En).into_string();
        assert!(figures.contains("12.3 %") && figures.contains("5 kB / 0 B"), "{figures}");
        let new = UseView { cpu_percent: None, memory_limit_bytes: None, ..its };
        assert!(!super::figures(Some(&new), Lang::En).into_string().contains('%'));
        assert!(super::figures(None, Lang::En).into_string().is_empty(), "what is stopped uses nothing");

        let caller = caller(Some(Role::Operator));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let said = log(&view, "wiki", Ok("<script>alert(1)</script>\n")).into_string();
        assert!(said.contains("&lt;script&gt;alert(1)") && said.contains("data-follow=\"/api/v1/apps/wiki/logs/events\""), "{said}");
        assert!(log(&view, "wiki", Ok(" \n")).into_string().contains(">It has said nothing yet.<"));
        assert!(log(&view, "wiki", Err("<i>no")).into_string().contains("&lt;i&gt;no"));
    }
}
