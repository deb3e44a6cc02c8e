//! What the microcloud shares: the list that the first page has too, and searching in it.

use super::{View, hidden, not_done, tunnels};
use crate::net::{Liveness, Page, Search};
use crate::text::{Lang, Store};
use crate::tunnels::TunnelView;
use contract::apps::Category;
use maud::{Markup, html};

/// The form, and what was found or why nothing can be; what is open of other nodes, and why something else was not done.
pub fn body(view: &View<'_>, asked: &Search, found: Result<&Page, &str>, open: &[TunnelView], wrong: Option<&str>) -> Markup {
    let words = view.lang.store();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            h2 { (words.search) }
            form method="get" action="/search" role="search" { (fields(asked, view.lang, words)) button.main { (words.search) } }
        }
        @match found {
            Err(why) => (not_done(view.lang, why)),
            Ok(found) => section.whole aria-live="polite" {
                @if found.services.is_empty() { p { (words.nothing_found) } }
                (list(view, found))
                (hidden::way(view, found.admin, asked))
                @if let Some(next) = &found.next { p { a.button href=(address(asked, next)) { (words.more) } } }
            },
        }
        (tunnels::list(view, open))
    }
}

fn fields(asked: &Search, lang: Lang, words: &Store) -> Markup {
    html! {
        label { (words.search_what) input name="text" type="search" value=(asked.text) maxlength="200"; }
        label { (words.category) select name="category" {
            option value="" { (words.any_category) }
            @for word in Category::ALL.map(Category::word) { option value=(word) selected[word == asked.category] { (lang.category(word)) } }
        } }
        label { (words.on_node) input name="node" value=(asked.node) maxlength="200" autocapitalize="none"; }
    }
}

/// Where the rest of what was found is.
fn address(asked: &Search, next: &str) -> String {
    let mut fields = vec![("text", asked.text.as_str()), ("category", &asked.category), ("node", &asked.node), ("after", next)];
    fields.extend([("hidden", asked.hidden), ("muted", asked.muted)].into_iter().filter(|(_, too)| *too).map(|(name, _)| (name, "true")));
    format!("/search?{}", serde_urlencoded::to_string(fields).unwrap_or_default())
}

/// Services, each with how its node is and where it is reached.
pub fn list(view: &View<'_>, found: &Page) -> Markup {
    let (lang, admin) = (view.lang, found.admin);
    html! {
        ul.nodes {
            @for found in &found.services {
                @let class = match found.state { Some(Liveness::Alive) => "ok", Some(Liveness::Suspect) => "warn", _ => "bad" };
                @let category = &found.service.category;
                li {
                    span.dot.(class) {}
                    div.wide {
                        // Others write this: no scheme but these may become a link.
                        @match found.address.as_ref().filter(|at| at.starts_with("http://") || at.starts_with("https://")) {
                            Some(at) => a href=(at) rel="noreferrer" { strong { (found.service.title) } },
                            None => strong { (found.service.title) },
                        }
                        " " span.quiet { (found.node_name) @if !category.is_empty() { " · " (lang.category(category)) } }
                        @if !found.service.description.is_empty() { div.quiet { (found.service.description) } }
                        // What no browser opens, a person gives to the program that does.
                        @if let Some(at) = &found.address { div { code { (at) } } }
                        (tunnels::button(view, found))
                        (hidden::more(view, admin, found))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::{Listed, Service};

    fn found(title: &str, address: Option<&str>) -> Listed {
        let service = Service { title: title.to_owned(), category: "messages".to_owned(), ..Service::default() };
        Listed { service, address: address.map(str::to_owned), node_name: "one".to_owned(), ..Listed::default() }
    }

    #[test]
    fn what_a_browser_opens_is_a_link_and_the_rest_an_address() {
        let services = vec![
            found("Wiki", Some("http://10.0.0.1:80")),
            found("<b>Broker", Some("mqtt://10.0.0.1:1883")),
            found("x", Some("javascript:x")),
        ];
        let caller = caller(None);
        let view = View { node: "garden", lang: Lang::Es, caller: &caller, owned: true };
        let html = list(&view, &Page { services, ..Page::default() }).into_string();
        assert!(html.contains("href=\"http://10.0.0.1:80\"") && html.contains("<code>mqtt://10.0.0.1:1883</code>"), "{html}");
        assert!(html.contains("&lt;b&gt;Broker") && html.contains("mensajes") && !html.contains("href=\"javascript"));
        assert_eq!(html.matches("href=").count(), 1);
    }

    #[test]
    fn what_was_asked_stays_in_the_form_and_leads_on() {
        let caller = caller(None);
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let asked = Search { text: "a&b\"".to_owned(), category: "games".to_owned(), ..Search::default() };
        let page = Page { next: Some("k/1".to_owned()), ..Page::default() };
        let html = body(&view, &asked, Ok(&page), &[], None).into_string();
        assert!(html.contains("value=\"a&amp;b&quot;\"") && html.contains("value=\"games\" selected"), "{html}");
        assert!(html.contains("/search?text=a%26b%22&amp;category=games&amp;node=&amp;after=k%2F1"), "{html}");
        assert!(body(&view, &asked, Err("<no>"), &[], None).into_string().contains("&lt;no&gt;"));
    }
}
