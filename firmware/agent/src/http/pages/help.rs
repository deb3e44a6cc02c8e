//! What people ask, each with what to do.

use super::View;
use crate::users::Operation;
use maud::{Markup, html};

/// All of it.
pub fn body(view: &View<'_>) -> Markup {
    let (words, people, cloud, store) = (view.lang.help(), view.lang.people(), view.lang.cloud(), view.lang.store());
    let link = |href: &str, label: &str| html! { p { a href=(href) { (label) } } };
    html! {
        section.whole { h2 { (words.help) } p { (words.first) " " a href="/" { (people.home) } } }
        (answer(words.what, words.what_is, &html! {}))
        (answer(words.enter, words.enter_how, &html! { @if view.caller.may(Operation::Own) { (link("/microcloud", cloud.microcloud)) } }))
        (answer(words.app, words.app_how, &link("/apps", people.apps)))
        (answer(words.others, words.others_how, &link("/search", store.search)))
        (answer(words.broken, words.broken_how, &link("/apps", people.apps)))
        (answer(words.unseen, words.unseen_how, &html! { p { code { "cloudy doctor" } } }))
        (answer(words.password, people.forgotten, &html! {}))
        (answer(words.off, words.off_how, &html! {}))
        (answer(words.settings, words.settings_how, &html! {}))
    }
}

fn answer(question: &str, answer: &str, more: &Markup) -> Markup {
    html! { section.whole { h3 { (question) } p { (answer) } (more) } }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;
    use crate::users::Role;

    #[test]
    fn every_question_has_an_answer_and_links_lead_where_the_reader_may_go() {
        let shown = |role, lang| {
            let caller = caller(role);
            body(&View { node: "garden", lang, caller: &caller, owned: true }).into_string()
        };
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            let text = shown(Some(Role::Owner), lang);
            assert_eq!(text.matches("<h3>").count(), 9);
            assert!(!text.contains("<h3></h3>") && !text.contains("<p></p>"));
            assert!(text.contains("href=\"/microcloud\"") && text.contains("cloudy doctor") && text.contains("cloudy user password"));
        }
        assert!(!shown(None, Lang::En).contains("/microcloud"));
    }
}
