//! Services of other nodes that are opened through this one: the button, where one is, and what is open.

use super::View;
use super::home::called;
use crate::net::{Listed, ServiceHealth};
use crate::tunnels::TunnelView;
use crate::users::Operation;
use maud::{Markup, html};

/// Whether a browser opens what is spoken.
pub fn is_for_browsers(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// The button that opens a service of another node, for those who may.
pub fn button(view: &View<'_>, found: &Listed) -> Markup {
    let words = view.lang.tunnels();
    let main = found.doubtful.then_some("main");
    let port = !found.me && found.service.port.is_some() && found.service.health != ServiceHealth::Stopped;
    let may = view.caller.may(Operation::Reach);
    html! {
        @if port && found.doubtful { div.mend { (words.doubtful) } }
        @if port && !may && found.doubtful { div { a href="/login" { (words.log_in) } } }
        @if port && may {
            form.inline method="post" action="/tunnels" {
                (view.csrf())
                input type="hidden" name="node" value=(found.node);
                input type="hidden" name="service" value=(found.key);
                button class=[main] { (words.open) }
            }
        }
    }
}

/// Where it is, for those who were not led there.
pub fn one(view: &View<'_>, tunnel: &TunnelView) -> Markup {
    let words = view.lang.tunnels();
    html! {
        section.whole {
            h2 { (words.is_open) " " (tunnel.title) }
            p.quiet { (called(&tunnel.node_name, &tunnel.node)) }
            @if is_for_browsers(&tunnel.scheme) {
                p { a.button href=(tunnel.address) rel="noreferrer" { (words.go) } }
                p { code { (tunnel.address) } }
                @if tunnel.scheme == "https" { p.mend { (words.certificate) } }
            } @else {
                p { (words.give) }
                p { code { (tunnel.address) } }
            }
            p.quiet { (words.who) }
            p { a href="/search" { (words.back) } }
        }
    }
}

/// What is open, for those who may close it; nothing where nothing is.
pub fn list(view: &View<'_>, open: &[TunnelView]) -> Markup {
    let words = view.lang.tunnels();
    html! {
        @if !open.is_empty() && view.caller.may(Operation::Operate) {
            section.whole {
                h2 { (words.list) }
                ul.nodes {
                    @for tunnel in open {
                        li data-tunnel=(tunnel.port) {
                            span.dot.ok {}
                            div.wide {
                                a href=(format!("/tunnels/{}", tunnel.port)) { strong { (tunnel.title) } }
                                " " span.quiet { (called(&tunnel.node_name, &tunnel.node)) " · " (tunnel.connections) " " (words.connections) }
                                div { code { (tunnel.address) } }
                                div.buttons { (view.button(&format!("/tunnels/{}/close", tunnel.port), words.close)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::Service;
    use crate::text::Lang;
    use crate::users::Role;

    pub fn open(scheme: &str) -> TunnelView {
        TunnelView {
            title: "<b>Wiki".to_owned(),
            node_name: "<i>roof".to_owned(),
            scheme: scheme.to_owned(),
            port: 32_007,
            address: format!("{scheme}://garden:32007/a\"b"),
            ..TunnelView::default()
        }
    }

    fn shown(role: Option<Role>, found: &Listed) -> String {
        let caller = caller(role);
        button(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, found).into_string()
    }

    #[test]
    fn the_button_is_for_ports_of_other_nodes_and_for_who_is_logged_in() {
        let service = Service { port: Some(8080), ..Service::default() };
        let found = Listed { service, node: "0f".repeat(32), key: "wiki".to_owned(), ..Listed::default() };
        let guest = shown(Some(Role::Guest), &found);
        assert!(guest.contains("name=\"csrf\"") && guest.contains("value=\"wiki\"") && guest.contains(&found.node), "{guest}");
        assert!(!guest.contains("class=\"main\"") && shown(None, &found).is_empty());
        let nobody = shown(None, &Listed { doubtful: true, ..found.clone() });
        assert!(!nobody.contains("<form") && nobody.contains("href=\"/login\""), "{nobody}");
        let doubtful = shown(Some(Role::Guest), &Listed { doubtful: true, ..found.clone() });
        assert!(doubtful.contains("class=\"main\"") && doubtful.contains("may not reach"), "{doubtful}");
        assert!(shown(Some(Role::Owner), &Listed { me: true, ..found.clone() }).is_empty());
        let whole = Service { url: Some("http://10.0.0.1/".to_owned()), ..Service::default() };
        assert!(shown(Some(Role::Owner), &Listed { service: whole, ..found }).is_empty());
    }

    #[test]
    fn what_a_browser_opens_is_a_link_and_the_rest_an_address_to_type() {
        let caller = caller(Some(Role::Guest));
        let view = View { node: "garden", lang: Lang::Es, caller: &caller, owned: true };
        let web = one(&view, &open("http")).into_string();
        assert!(
            web.contains("href=\"http://garden:32007/a&quot;b\"") && web.contains("&lt;b&gt;Wiki") && web.contains("&lt;i&gt;roof"),
            "{web}"
        );
        let other = one(&view, &open("javascript")).into_string();
        assert!(!other.contains("href=\"javascript") && other.contains("<code>javascript://garden:32007"), "{other}");
        assert!(one(&view, &open("https")).into_string().contains("certificado"));
    }

    #[test]
    fn what_is_open_is_closed_by_operators_and_nothing_is_shown_where_nothing_is() {
        let shown = |role, open: &[TunnelView]| {
            let caller = caller(role);
            list(&View { node: "garden", lang: Lang::Ca, caller: &caller, owned: true }, open).into_string()
        };
        let all = [open("http")];
        assert!(shown(Some(Role::Operator), &all).contains("action=\"/tunnels/32007/close\""));
        assert!(shown(Some(Role::Guest), &all).is_empty() && shown(None, &all).is_empty() && shown(Some(Role::Owner), &[]).is_empty());
    }
}
