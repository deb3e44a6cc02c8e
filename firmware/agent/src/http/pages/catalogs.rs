//! Signed catalogs of apps: the page of those that are followed or told of, and what of them stands in the store.

use super::apps::title;
use super::home::size;
use super::{View, not_done};
use crate::catalogs::{CatalogDetails, CatalogInfo, Offer};
use crate::users::Operation;
use maud::{Markup, html};

/// The page: those that there are, and a form for the key of one that nobody tells of.
pub fn body(view: &View<'_>, catalogs: &[CatalogInfo], wrong: Option<&str>) -> Markup {
    let words = view.lang.catalogs();
    let owner = view.caller.may(Operation::Own);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (words.catalogs) }
            p { (words.why) }
            @if catalogs.is_empty() { p { (words.none) } }
            ul.nodes { @for catalog in catalogs { (one(view, catalog)) } }
            @if owner {
                form method="post" action="/catalogs" {
                    (view.csrf())
                    label { (words.key) input name="key" required minlength="64" maxlength="64" autocapitalize="none" autocomplete="off" spellcheck="false"; }
                    button { (words.follow_key) }
                }
            } @else { p.quiet { (words.owners) } }
            p { a href="/apps" { (view.lang.store().back) } }
        }
    }
}

fn one(view: &View<'_>, catalog: &CatalogInfo) -> Markup {
    let words = view.lang.catalogs();
    let tellers: Vec<&str> = catalog.told.iter().map(|teller| teller.node_name.as_str()).collect();
    let at = |action: &str| format!("/catalogs/{}/{action}", catalog.key);
    html! {
        li data-catalog=(catalog.key) { div.wide {
            strong { (title(&catalog.title, &catalog.name, view.lang)) } " "
            span.quiet {
                (catalog.short())
                @if catalog.followed { " · " (words.followed) }
                @if catalog.mine.is_some() { " · " (words.mine) }
                @if let Some(number) = catalog.number { " · " (words.publication) " " (number) ", " (words.apps) ": " (catalog.apps) }
            }
            @if catalog.followed && catalog.number.is_none() { p.quiet { (words.not_come) } }
            @if catalog.revoked { p.mend { (words.revoked) } }
            @if catalog.fork { p.mend { (words.fork) } }
            @if catalog.refused { p.mend { (words.refused) } }
            @if let Some(problem) = &catalog.problem { p.mend { (problem) } }
            @if !tellers.is_empty() { p.quiet { (words.told_by) " " (tellers.join(", ")) } }
            details { summary { (words.key) } code { (catalog.key) } }
            @if view.caller.may(Operation::Own) { div.buttons {
                @if catalog.refused { (view.button(&at("follow"), words.go_on)) }
                @if catalog.followed { (view.button(&at("unfollow"), words.unfollow)) } @else { (view.button(&at("follow"), words.follow)) }
            } }
        } }
    }
}

/// What catalogs that are followed have and the store has not, in the store.
pub fn in_store(view: &View<'_>, catalogs: &[CatalogDetails]) -> Markup {
    let words = view.lang.catalogs();
    html! {
        @for CatalogDetails { catalog, offers } in catalogs {
            section aria-live="polite" {
                h2 { (words.from) " " (title(&catalog.title, &catalog.name, view.lang)) " " span.quiet { (catalog.short()) } }
                @if catalog.revoked { p.mend { (words.revoked) } }
                @if catalog.number.is_none() { p.quiet { (words.not_come) } } @else if offers.iter().all(|offer| offer.in_store) { p { (words.nothing_new) } }
                ul.nodes { @for offer in offers.iter().filter(|offer| !offer.in_store) { (self::offer(view, offer)) } }
            }
        }
        section { p { a href="/catalogs" { (words.all) } } }
    }
}

fn offer(view: &View<'_>, offer: &Offer) -> Markup {
    let words = view.lang.catalogs();
    let owner = view.caller.may(Operation::Own);
    let (install, fetch) = (get(offer, "install"), get(offer, "fetch"));
    html! {
        li data-listed=(offer.name) { div.wide {
            strong { (title(&offer.title, &offer.name, view.lang)) } " "
            span.quiet { (view.lang.category(&offer.category)) @if let Some(bytes) = offer.size_bytes { ", " (size(bytes)) } }
            p { (title(&offer.description, "", view.lang)) }
            @if let Some(problem) = &offer.problem { p.mend { (problem) } }
            @if offer.size_bytes.is_none() {
                p.quiet { (words.other_machines) " " (offer.machines.join(", ")) }
            } @else if offer.own {
                p.mend { (words.own) }
            } @else if offer.coming {
                div { (words.coming) " " progress aria-label=(words.coming) {} }
            } @else if let Some(other) = &offer.other {
                p.mend { @if other.is_empty() { (words.other_unknown) } @else { (words.other) " " (other) "." } }
                @if owner { div.buttons { (view.button(&get(offer, "replace"), words.replace)) } }
            } @else if !owner {
                p.quiet { (view.lang.found().owners) }
            } @else if offer.update {
                div.buttons { (view.button(&fetch, words.update)) }
            } @else {
                div.buttons { (view.button(&install, words.get)) (view.button(&fetch, words.fetch)) }
            }
        } }
    }
}

fn get(offer: &Offer, action: &str) -> String {
    format!("/catalogs/{}/{}/{action}", offer.catalog, offer.name)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::catalogs::{an_offer, some_catalog};
    use crate::http::pages::tests::caller;
    use crate::text::Lang;
    use crate::users::Role;

    /// One of each kind.
    pub fn details(name: &str) -> CatalogDetails {
        let offers = vec![
            an_offer(name),
            Offer { update: true, ..an_offer(name) },
            Offer { other: Some("<i>Others".to_owned()), ..an_offer(name) },
            Offer { coming: true, ..an_offer(name) },
            Offer { size_bytes: None, machines: vec!["arm64".to_owned()], ..an_offer(name) },
            Offer { in_store: true, ..an_offer("unseen") },
        ];
        CatalogDetails { catalog: some_catalog(true), offers }
    }

    #[test]
    fn owners_follow_and_fetch_and_are_told_of_another_app_of_the_same_name() {
        let shown = |role| {
            let caller = caller(Some(role));
            let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
            let forked = CatalogInfo { key: "0f".repeat(32), fork: true, refused: true, ..some_catalog(true) };
            let page = body(&view, &[some_catalog(true), some_catalog(false), forked], Some("<u>"));
            html! { (page) (in_store(&view, &[details("wiki")])) }.into_string()
        };
        let owner = shown(Role::Owner);
        assert_eq!(owner.matches(&format!("/catalogs/{}/follow\"", "0f".repeat(32))).count(), 1, "who is asked may go on with it");
        for action in ["unfollow", "follow", "wiki/install", "wiki/fetch", "wiki/replace"] {
            assert!(owner.contains(&format!("/{action}\"")), "{action}: {owner}");
        }
        assert!(owner.contains("already, from &lt;i&gt;Others.") && owner.contains("0a0a0a0a0a") && owner.contains("arm64"));
        assert!(owner.contains("publication 3, apps: 0"), "{owner}");
        assert!(!owner.contains("unseen") && !["<b>", "<i>", "<u>"].iter().any(|tag| owner.contains(tag)), "{owner}");
        assert_eq!(owner.matches("<form").count(), owner.matches("name=\"csrf\"").count());
        assert!(!shown(Role::Operator).contains("<form"));
    }
}
