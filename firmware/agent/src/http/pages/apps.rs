//! The page of apps: what is installed, the store, what is being done; one app with its settings and log; what is asked once more.

use super::home::{run, size};
use super::{View, backups, catalogs, changes, found, jobs, not_done, own, running};
use crate::apps::{AppSource, AppView, CatalogView, Changeable, Face, FoundApp, JobView, OwnView, PortView, UpdateView, UseView};
use crate::broker::Run;
use crate::catalogs::CatalogDetails;
use crate::text::{Lang, Store};
use crate::users::Operation;
use contract::apps::{Category, Setting, SettingKind, Words as AppWords};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// What the page of apps shows. Who may not see it gets no catalog and no jobs.
pub struct Shown {
    /// What is installed.
    pub apps: Vec<AppView>,
    /// What those use that run, by name.
    pub uses: BTreeMap<String, UseView>,
    /// The store.
    pub catalog: Vec<CatalogView>,
    /// Those that this node gives to others.
    pub given: BTreeSet<String>,
    /// What other nodes give, or why that can't be said.
    pub found: Result<Vec<FoundApp>, String>,
    /// Signed catalogs that are followed.
    pub signed: Vec<CatalogDetails>,
    /// Titles of the catalogs that apps of the store come from, by the apps' names.
    pub origins: BTreeMap<String, AppSource>,
    /// Apps of people's own that are saved.
    pub own: Vec<OwnView>,
    /// Jobs, the newest first.
    pub jobs: Vec<JobView>,
    /// This node's address as the reader typed it, for links.
    pub host: String,
}

/// Jobs that are over and shown all the same.
const ENDED_SHOWN: usize = 3;

pub(super) fn title<'a>(title: &'a BTreeMap<String, String>, name: &'a str, lang: Lang) -> &'a str {
    title.get(lang.tag()).map_or(name, String::as_str)
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown, wrong: Option<&str>) -> Markup {
    let words = view.lang.store();
    let operator = view.caller.may(Operation::Operate);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if !shown.jobs.is_empty() { (at_work(view, &shown.jobs)) }
        section {
            h2 { (words.installed) }
            @if shown.apps.is_empty() { p { (if operator { words.none_installed } else { words.none_guest }) } }
            ul.nodes { @for app in &shown.apps { (installed(view, app, shown.uses.get(&app.name), &shown.host)) } }
            @if operator { p { a href="/backups" { (view.lang.backups().backups) } } p { a href="/by-hand" { (view.lang.by_hand().by_hand) } } }
            @if view.caller.may(Operation::Own) { p { a href="/leases" { (view.lang.leases().leases) } } }
        }
        @if operator { (own::list(view, &shown.own)) (store(view, shown)) (catalogs::in_store(view, &shown.signed)) (found::section(view, &shown.found)) } @else { section { p { (words.guest) } } }
    }
}

fn installed(view: &View<'_>, app: &AppView, its: Option<&UseView>, host: &str) -> Markup {
    let (words, node) = (view.lang.store(), view.lang.words());
    let (class, state) = run(app.run, node);
    let at = |action: &str| format!("/apps/{}/{action}", app.name);
    html! {
        li data-app=(app.name) {
            span.dot.(class) {}
            div.wide {
                strong { (title(&app.title, &app.name, view.lang)) } " "
                span.quiet { (state) @if app.job.is_some() { ", " (node.at_work) } @if app.published { ", " (words.published) } }
                div.quiet { @for port in app.ports.values() { (reached(port, host, words)) " " } }
                @if let Some(its) = its { div { (running::line(its, view.lang)) } }
                @if view.caller.may(Operation::Operate) {
                    div.buttons {
                        @if matches!(app.run, Some(Run::Stopped | Run::Absent | Run::Failing) | None) { (view.button(&at("start"), words.start)) }
                        @if !matches!(app.run, Some(Run::Stopped | Run::Absent)) {
                            (view.button(&at("stop"), words.stop)) (view.button(&at("restart"), words.restart))
                        }
                        @if app.published { (view.button(&at("withdraw"), words.withdraw)) } @else { (view.button(&at("publish"), words.publish)) }
                        a.button href=(format!("/apps/{}", app.name)) { (words.details) }
                        a.button href=(at("remove")) { (words.remove) }
                    }
                }
            }
        }
    }
}

/// Where a port is reached: a link where a browser can open it.
fn reached(port: &PortView, host: &str, words: &Store) -> Markup {
    html! {
        @if matches!(port.scheme.as_str(), "http" | "https") {
            a href=(format!("{}://{host}:{}/", port.scheme, port.port)) rel="noreferrer" { (words.open) " " (host) ":" (port.port) }
        } @else { (port.scheme) " " (words.port) " " (port.port) }
    }
}

fn store(view: &View<'_>, shown: &Shown) -> Markup {
    let (words, catalog) = (view.lang.store(), &shown.catalog);
    html! {
        section {
            h2 { (words.store) }
            @if catalog.is_empty() { p { (words.store_empty) } } @else if catalog.iter().all(|app| app.installed) { p { (words.all_installed) } }
            ul.nodes { @for app in catalog.iter().filter(|app| !app.installed) {
                @let at = format!("/apps/{}/install", app.name);
                li data-offer=(app.name) { div.wide {
                    strong { (title(&app.title, &app.name, view.lang)) } " " span.quiet { (view.lang.category(&app.category)) ", " (size(app.bytes)) }
                    p { (title(&app.description, "", view.lang)) }
                    @if let Some(origin) = shown.origins.get(&app.name) { p.quiet { (view.lang.catalogs().from) " " (title(&origin.title, origin.short(), view.lang)) } }
                    p.quiet { @for port in app.ports.values() { (words.on_port) " " (words.port) " " (port.port) " (" (port.scheme) ") " } }
                    div.buttons {
                        @if app.must.is_empty() { (view.button(&at, words.install)) }
                        a.button href=(at) { (words.choose) }
                        @if view.caller.may(Operation::Own) { a.button href=(format!("/leases/offer/{}", app.name)) { (view.lang.leases().offer) } }
                    }
                    (sharing(view, &app.name, shown.given.contains(&app.name)))
                } }
            } }
        }
    }
}

/// Whether other nodes can fetch it from this one, or a button that lets them.
fn sharing(view: &View<'_>, name: &str, given: bool) -> Markup {
    let words = view.lang.found();
    html! {
        @if given { p.quiet { (words.shared) } } @else { div.buttons { (view.button(&format!("/apps/{name}/share"), words.share)) } }
    }
}

fn at_work(view: &View<'_>, jobs: &[JobView]) -> Markup {
    let words = view.lang.store();
    let over = jobs.iter().filter(|job| job.over).take(ENDED_SHOWN);
    html! {
        section aria-live="polite" {
            h2 { (words.jobs) }
            ul.nodes { @for job in jobs.iter().filter(|job| !job.over).chain(over) { (jobs::row(job, view.lang, &html! {})) } }
            p { a href="/jobs" { (view.lang.jobs().all) } }
        }
    }
}

pub(super) fn spoken(words: &AppWords, lang: Lang) -> &str {
    lang.pick(&words.en, &words.es, &words.ca)
}

/// What is chosen before an app is installed.
pub fn install(view: &View<'_>, app: &Face, ports: &BTreeMap<String, PortView>, wrong: Option<&str>) -> Markup {
    let words = view.lang.store();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (spoken(&app.title, view.lang)) }
            p { (spoken(&app.description, view.lang)) }
            form method="post" action=(format!("/apps/{}/install", app.name)) {
                (view.csrf())
                @for (name, port) in ports { (port_field(name, port, words)) }
                @for (name, setting) in &app.settings { (self::setting(name, setting, None, view.lang)) }
                button.main { (words.install) }
            }
            p { a href="/apps" { (words.back) } }
        }
    }
}

/// A field for a setting; `now` is what it is set to, of a secret anything.
pub(super) fn setting(name: &str, setting: &Setting, now: Option<&str>, lang: Lang) -> Markup {
    let (field, words) = (format!("set.{name}"), lang.store());
    let said = now.or(setting.default.as_deref());
    let must = said.is_none();
    html! {
        label {
            (spoken(&setting.title, lang))
            @match &setting.kind {
                SettingKind::Text(most) => input name=(field) maxlength=(most) value=(said.unwrap_or_default()) required[must];,
                SettingKind::Password(most) => input name=(field) type="password" maxlength=(most) required[must]
                    placeholder=[now.map(|_| words.unchanged)] autocomplete="new-password";,
                SettingKind::Number(least, most) => input name=(field) type="number" min=(least) max=(most) value=[said] required[must];,
                SettingKind::Choice(choices) => select name=(field) required[must] {
                    @for choice in choices { option value=(choice) selected[said == Some(choice)] { (choice) } }
                },
                SettingKind::Switch => select name=(field) required[must] {
                    option value="yes" selected[said == Some("yes")] { (words.yes) }
                    option value="no" selected[said != Some("yes")] { (words.no) }
                },
            }
        }
    }
}

/// Whether it shall really go.
pub fn remove(view: &View<'_>, app: &AppView) -> Markup {
    let words = view.lang.store();
    let form = |with_data: &str, class: &str, label: &str| {
        html! { form method="post" action=(format!("/apps/{}/remove", app.name)) {
            (view.csrf()) (seen(app.revision)) input type="hidden" name="with-data" value=(with_data); button class=(class) { (label) }
        } }
    };
    html! {
        section {
            h2 { (words.remove_title) }
            p { strong { (title(&app.title, &app.name, view.lang)) } }
            p { (words.remove_keep_why) } (form("false", "main", words.remove_keep))
            p { (words.remove_all_why) } (form("true", "danger", words.remove_all))
            p { a href="/apps" { (words.back) } }
        }
    }
}

/// One app, as its page shows it.
pub struct Details<'a> {
    /// The app.
    pub app: &'a AppView,
    /// What can be changed of it; of the catalog's version where it is `update`d. Nothing where its facts can't be read.
    pub change: Option<&'a Changeable>,
    /// Where the form is about an update: what that changes, or why that can't be said.
    pub update: Option<Result<&'a UpdateView, &'a str>>,
    /// Whether other nodes can fetch it from this one.
    pub shared: bool,
    /// What it said last, or why that is not known.
    pub log: Result<&'a str, &'a str>,
    /// What it uses while it runs.
    pub uses: Option<&'a UseView>,
}

/// One app: its settings, to be changed by who may; what neighbours see of it; what it uses and says.
pub fn one(view: &View<'_>, details: &Details<'_>, wrong: Option<&str>) -> Markup {
    let (words, app) = (view.lang.store(), details.app);
    let operator = view.caller.may(Operation::Operate);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if let Some(update) = details.update { (changes::section(view, update)) }
        section {
            h2 { (title(&app.title, &app.name, view.lang)) }
            @if app.own { p { a.button href=(format!("/own/{}", app.name)) { (view.lang.own().edit) } } }
            @if (app.newer || app.own) && details.update.is_none() {
                p { @if app.newer { (words.newer) } @if operator { " " a.button href=(format!("/apps/{}/update", app.name)) { (words.update) } } }
            }
            h3 { (words.settings) }
            @match details.change {
                Some(change) if operator => (settings_form(view, &app.name, change, details.update.is_some())),
                Some(change) if !change.settings.is_empty() => dl {
                    @for (name, value) in &change.settings { div { dt { (name) } dd { (value) } } }
                },
                _ => p { (words.no_settings) },
            }
            @if !app.own && operator { (sharing(view, &app.name, details.shared)) }
            p { a href="/apps" { (words.back) } }
        }
        @if operator { (backups::of_app(view, &app.name)) }
        @if let Some(change) = details.change { @if operator { (publish_form(view, app, change)) } }
        (running::figures(details.uses, view.lang))
        (running::log(view, &app.name, details.log))
    }
}

/// What is seen of an app: of two who change it at once, the second is told.
fn seen(revision: u64) -> Markup {
    html! { input type="hidden" name="revision" value=(revision); }
}

fn settings_form(view: &View<'_>, name: &str, change: &Changeable, update: bool) -> Markup {
    let words = view.lang.store();
    let (action, label) = if update { ("update", words.update_now) } else { ("change", words.change) };
    html! {
        form #settings method="post" action=(format!("/apps/{name}/{action}")) {
            (view.csrf()) (seen(change.revision))
            @for (name, port) in &change.ports { (port_field(name, port, words)) }
            @for (name, setting) in &change.facts.settings {
                (self::setting(name, setting, change.settings.get(name).map(String::as_str), view.lang))
            }
            button.main { (label) }
        }
    }
}

fn port_field(name: &str, port: &PortView, words: &Store) -> Markup {
    html! {
        label { (words.port) " " (name) input name=(format!("port.{name}")) type="number" min="1" max="65535" value=(port.port); }
    }
}

fn publish_form(view: &View<'_>, app: &AppView, change: &Changeable) -> Markup {
    let words = view.lang.store();
    let now = change.publication.clone().unwrap_or_default();
    html! {
        section {
            h3 { (words.neighbours_see) }
            p.quiet { (words.neighbours_why) }
            form #publication method="post" action=(format!("/apps/{}/publish", app.name)) {
                (view.csrf()) (seen(change.revision))
                label { (words.title) input name="title" value=(now.title.as_deref().unwrap_or_default())
                    placeholder=(spoken(&change.facts.title, Lang::En)); }
                label { (words.description) input name="description" value=(now.description.as_deref().unwrap_or_default())
                    placeholder=(spoken(&change.facts.description, Lang::En)); }
                label { (words.category_word) input name="category" list="categories" maxlength="40" autocapitalize="none"
                    value=(now.category.as_deref().unwrap_or_default()) placeholder=(change.facts.category.word()); }
                datalist #categories { @for known in Category::ALL.map(Category::word) { option value=(known) { (view.lang.category(known)) } } }
                @if change.ports.len() > 1 {
                    label { (words.port) select name="port" {
                        @for (name, port) in &change.ports {
                            option value=(name) selected[now.port.as_ref() == Some(name)] { (name) " (" (port.port) ")" }
                        }
                    } }
                }
                label { (words.address) input name="url" maxlength="400" spellcheck="false" autocapitalize="none"
                    readonly[!view.caller.may(Operation::Own)] value=(now.url.as_deref().unwrap_or_default()) placeholder="https://wiki.example.org/"; }
                label { (words.languages) input name="languages" value=(now.languages.join(", ")) maxlength="100" autocapitalize="none" placeholder="ca, es"; }
                button.main { (if app.published { words.change } else { words.publish }) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::users::Role;

    fn shown() -> Shown {
        let words = |text: &str| [("en".to_owned(), text.to_owned())].into();
        let app = AppView { name: "wiki".to_owned(), title: words("<i>Wiki"), run: Some(Run::Running), ..AppView::default() };
        let offer = CatalogView { name: "broker".to_owned(), title: words("<i>Broker"), ..CatalogView::default() };
        let port = PortView { port: 8081, scheme: "http".to_owned() };
        Shown {
            apps: vec![AppView { ports: [("web".to_owned(), port.clone())].into(), ..app }],
            uses: BTreeMap::new(),
            catalog: vec![CatalogView { ports: [("web".to_owned(), port)].into(), ..offer }],
            given: BTreeSet::new(),
            own: Vec::new(),
            found: Ok(Vec::new()),
            signed: Vec::new(),
            origins: [("broker".to_owned(), AppSource { title: words("<i>Neighbours"), ..AppSource::default() })].into(),
            jobs: Vec::new(),
            host: "garden.local".to_owned(),
        }
    }

    fn html(role: Option<Role>) -> String {
        let caller = caller(role);
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        body(&view, &shown(), Some("<i>")).into_string()
    }

    #[test]
    fn guests_see_what_runs_and_operators_its_buttons() {
        for role in [None, Some(Role::Guest)] {
            let html = html(role);
            assert!(html.contains("http://garden.local:8081/") && !html.contains("<form") && !html.contains("broker"), "{html}");
        }
        let html = html(Some(Role::Operator));
        for action in ["wiki/stop", "wiki/restart", "wiki/publish", "broker/install"] {
            assert!(html.contains(&format!("action=\"/apps/{action}\"")), "{action}");
        }
        assert!(html.contains("href=\"/apps/wiki/remove\"") && !html.contains("action=\"/apps/wiki/remove\""), "asked once more");
        assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
        assert!(!html.contains("<i>"));
    }

    #[test]
    fn an_app_is_changed_by_operators_and_its_secret_is_on_no_page() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/mosquitto/app.toml");
        let facts = contract::apps::read(std::path::Path::new(file), &std::fs::read_to_string(file).unwrap()).unwrap();
        let settings = [("password", "(set)"), ("user", "<i>ana")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ports = [("mqtt".to_owned(), PortView { port: 1884, scheme: "mqtt".to_owned() })].into();
        let change = Changeable { facts: Face::of(&facts, String::new()).into(), ports, settings, publication: None, revision: 7 };
        let app = AppView { name: "mosquitto".to_owned(), newer: true, ..AppView::default() };
        let shown = |role, update: bool| {
            let caller = caller(Some(role));
            let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
            let its = crate::apps::an_update();
            let details = Details {
                app: &app,
                change: Some(&change),
                update: update.then_some(Ok(&its)),
                shared: update,
                log: Err("<i>"),
                uses: None,
            };
            one(&view, &details, None).into_string()
        };
        let operator = shown(Role::Operator, false);
        assert!(operator.contains("action=\"/apps/mosquitto/change\"") && operator.contains("href=\"/apps/mosquitto/update\""));
        assert!(
            operator.contains("value=\"1884\"") && operator.contains("value=\"&lt;i&gt;ana\"") && !operator.contains("(set)"),
            "{operator}"
        );
        assert_eq!(operator.matches("<form").count(), operator.matches("name=\"csrf\"").count());
        assert_eq!(operator.matches("name=\"revision\" value=\"7\"").count(), 2, "settings and publication say what was seen");
        let update = shown(Role::Operator, true);
        let at = |what: &str| update.find(what).unwrap_or_else(|| panic!("{what}: {update}"));
        assert!(at("host-path=/srv/") < at("action=\"/apps/mosquitto/update\""), "what changes is said before the button");
        assert!(
            operator.contains("name=\"category\"") && operator.contains("placeholder=\"messages\"") && operator.contains("name=\"url\"")
        );
        assert!(operator.contains("<option value=\"library\">books and knowledge</option>"), "categories that people know are offered");
        assert!(!shown(Role::Guest, false).contains("<form") && !operator.contains("<i>"));
    }
}
