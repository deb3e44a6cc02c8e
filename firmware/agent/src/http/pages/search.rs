//! What the microcloud shares: the list that the first page has too, and searching in it.

use super::{View, hidden, not_done, tunnels};
use crate::net::{Listed, Liveness, Page, Search, ServiceHealth};
use crate::text::{Lang, Store};
use crate::tunnels::TunnelView;
use crate::users::Operation;
use contract::apps::Category;
use maud::{Markup, html};

/// From so many percent on, nobody notices that a service is not here.
const GOOD: u8 = 70;
/// From so many on, it can be used.
const FAIR: u8 = 30;

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

/// Where there is no microcloud to search.
pub fn alone(view: &View<'_>) -> Markup {
    let (words, people) = (view.lang.store(), view.lang.people());
    html! {
        section.whole {
            h2 { (words.search) }
            p { (words.nobody_there) }
            @if view.caller.may(Operation::Own) { p { a.button href="/microcloud" { (view.lang.cloud().microcloud) } } } @else { p { a href="/" { (people.home) } } }
        }
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
                @let (class, how) = how(lang, found);
                @let category = &found.service.category;
                li {
                    span.dot.(class) {}
                    div.wide {
                        @match found.address.as_ref().filter(|at| opens(found, at)) {
                            Some(at) => a href=(at) rel="noreferrer" { strong { (found.service.title) } },
                            None => strong { (found.service.title) },
                        }
                        " " span.quiet {
                            (found.node_name) @if !category.is_empty() { " · " (lang.category(category)) }
                            @if !found.service.languages.is_empty() { " · " (found.service.languages.join(", ")) }
                        }
                        div.quiet data-quality { (how) }
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

/// Whether a browser is led there: others write the address, so no scheme but these may become a link, and the port of what is stopped may be
/// another's by now.
fn opens(found: &Listed, address: &str) -> bool {
    found.service.health != ServiceHealth::Stopped && (address.starts_with("http://") || address.starts_with("https://"))
}

/// How a service is and is reached: the dot's class, and in words with what was measured.
fn how(lang: Lang, found: &Listed) -> (&'static str, String) {
    let words = lang.qualities();
    let percent = found.quality.as_ref().map(|quality| quality.percent);
    let (class, word) = match (found.state, found.service.health, percent) {
        (None | Some(Liveness::Down), ..) if !found.me => ("bad", words.gone),
        (_, ServiceHealth::Stopped, _) => ("bad", words.stopped),
        (_, ServiceHealth::Ill, _) => ("warn", words.ill),
        (_, ServiceHealth::Starting, _) => ("warn", words.starting),
        (Some(Liveness::Suspect), _, None) => ("warn", words.unmeasured),
        (.., None) => ("ok", words.unmeasured),
        (.., Some(0)) => ("bad", words.unreached),
        (.., Some(percent)) if percent >= GOOD => ("ok", words.good),
        (.., Some(percent)) if percent >= FAIR => ("warn", words.fair),
        (.., Some(_)) => ("bad", words.poor),
    };
    let mut said = vec![word.to_owned()];
    if let Some(quality) = found.quality.as_ref().filter(|quality| quality.percent > 0) {
        said.push(format!("{} %", quality.percent));
        said.extend(quality.rtt_ms.map(|ms| format!("{ms} ms")));
        let lost = quality.lost_permille.filter(|lost| *lost > 0);
        said.extend(lost.map(|lost| format!("{}.{} % {}", lost / 10, lost % 10, words.lost)));
    }
    (class, said.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::Service;
    use crate::quality::QualityView;

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
        let plain = found("Wiki", Some("http://10.0.0.1:80"));
        let stopped = Service { health: ServiceHealth::Stopped, port: Some(80), ..plain.service };
        let html = list(&view, &Page { services: vec![Listed { service: stopped, ..plain }], ..Page::default() }).into_string();
        assert!(html.contains("Wiki") && !html.contains("href=") && !html.contains("action=\"/tunnels\""), "{html}");
    }

    #[test]
    fn how_a_service_is_and_is_reached_stands_there_in_words_and_figures() {
        let of = |state, health, quality: Option<(u8, u64, u16)>| {
            let quality = quality.map(|(percent, ms, lost)| QualityView { percent, rtt_ms: Some(ms), lost_permille: Some(lost) });
            let plain = found("Wiki", None);
            how(Lang::En, &Listed { state, quality, service: Service { health, ..plain.service }, ..plain })
        };
        let (alive, well) = (Some(Liveness::Alive), ServiceHealth::Well);
        let said = |class, words: &str| (class, words.to_owned());
        assert_eq!(of(alive, well, Some((97, 12, 0))), said("ok", "good · 97 % · 12 ms"));
        assert_eq!(of(alive, well, Some((41, 12, 204))), said("warn", "fair · 41 % · 12 ms · 20.4 % lost"));
        assert_eq!(of(alive, well, Some((12, 3000, 0))), said("bad", "poor · 12 % · 3000 ms"));
        assert_eq!(of(alive, well, None), said("ok", "not measured yet"));
        assert_eq!(of(Some(Liveness::Suspect), well, None).0, "warn");
        assert_eq!(of(alive, well, Some((0, 0, 0))), said("bad", "not reached from here"));
        assert_eq!(of(alive, ServiceHealth::Stopped, Some((0, 12, 0))), said("bad", "stopped"));
        assert_eq!(of(alive, ServiceHealth::Starting, Some((50, 1, 0))), said("warn", "starting · 50 % · 1 ms"));
        assert_eq!(of(Some(Liveness::Down), well, Some((0, 1, 0))), said("bad", "its node does not answer"));
        assert_eq!(of(None, well, None), said("bad", "its node does not answer"));
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
