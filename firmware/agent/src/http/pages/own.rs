//! Apps of people's own: the list in the store, the form, the compose file, and what they ask of the node.

use super::{View, not_done};
use crate::apps::{AskedView, OwnDetails, OwnView, typed};
use crate::text::{Lang, Own};
use crate::users::Operation;
use contract::apps::own::{DESCRIPTION_CHARS, Definition, FormNetwork, TITLE_CHARS};
use maud::{Markup, html};

/// What a form is filled with: what was saved, or what was typed and refused.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// Its name, and whether that may still be chosen.
    pub name: String,
    /// Whether something of that name is saved.
    pub saved: bool,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The compose file.
    pub compose: String,
    /// The blob that it shall come from.
    pub blob: String,
    /// The image.
    pub image: String,
    /// Words, one a line.
    pub entrypoint: String,
    /// Words, one a line.
    pub command: String,
    /// Ports, one a line.
    pub ports: String,
    /// Variables, one a line.
    pub environment: String,
    /// Volumes, one a line.
    pub volumes: String,
    /// Devices, one a line.
    pub devices: String,
    /// Capabilities, one a line.
    pub capabilities: String,
    /// The network.
    pub network: String,
    /// Whether it is not confined.
    pub privileged: bool,
    /// Its user.
    pub user: String,
    /// Memory.
    pub memory_mb: String,
    /// Processor.
    pub cpu_percent: String,
}

impl Filled {
    /// With what was saved.
    pub fn of(name: &str, definition: &Definition) -> Self {
        let lines = |lines: Vec<String>| lines.join("\n");
        let form = definition.form.clone().unwrap_or_default();
        let network = match form.network {
            FormNetwork::Own => "own",
            FormNetwork::None => "none",
            FormNetwork::Host => "host",
        };
        let variable = |(name, value): (&String, &Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        Self {
            name: name.to_owned(),
            saved: true,
            title: definition.title.clone(),
            description: definition.description.clone(),
            compose: definition.compose.clone().unwrap_or_default(),
            blob: String::new(),
            image: form.image,
            entrypoint: lines(form.entrypoint),
            command: lines(form.command),
            ports: lines(form.ports.iter().map(typed::show_port).collect()),
            environment: lines(form.environment.iter().map(variable).collect()),
            volumes: lines(form.volumes.iter().map(typed::show_volume).collect()),
            devices: lines(form.devices),
            capabilities: lines(form.capabilities),
            network: network.to_owned(),
            privileged: form.privileged,
            user: form.user.unwrap_or_default(),
            memory_mb: form.memory_mb.map(|mb| mb.to_string()).unwrap_or_default(),
            cpu_percent: form.cpu_percent.map(|percent| percent.to_string()).unwrap_or_default(),
        }
    }
}

/// Those that are saved, in the store.
pub fn list(view: &View<'_>, apps: &[OwnView]) -> Markup {
    let (words, store) = (view.lang.own(), view.lang.store());
    html! {
        section {
            h2 { (words.own_apps) }
            p { (words.own_why) }
            ul.nodes { @for app in apps {
                @let open = app.asked.iter().any(|asked| !asked.granted);
                li data-own=(app.name) { div.wide {
                    strong { (app.title) } " " span.quiet { (app.image) }
                    @if !app.description.is_empty() { p { (app.description) } }
                    @if open { p.quiet { (words.asks) ": " (words.not_allowed) ". " (words.owner_may) } }
                    div.buttons {
                        @if let Some(container) = &app.by_hand { (adopt(view, container)) }
                        @else if !app.installed && !open { a.button href=(format!("/apps/{}/install", app.name)) { (store.choose) } }
                        a.button href=(format!("/own/{}", app.name)) { (words.edit) }
                    }
                } }
            } }
            div.buttons { a.button href="/own-form" { (words.by_form) } a.button href="/own-compose" { (words.by_compose) } }
        }
    }
}

/// One that is saved: what it asks for, and its form or file to be changed.
pub fn one(view: &View<'_>, details: &OwnDetails, wrong: Option<&str>) -> Markup {
    let (words, store, app) = (view.lang.own(), view.lang.store(), &details.view);
    let filled = Filled::of(&app.name, &details.definition);
    html! {
        @if let Some(wrong) = wrong.or(app.wrong.as_deref()) { (not_done(view.lang, wrong)) }
        section {
            h2 { (app.title) }
            h3 { (words.asks) }
            (asks(view, app))
            @if let Some(container) = &app.by_hand { p { (view.lang.by_hand().adopt_saved) } p { (adopt(view, container)) } }
            @else if !app.installed { p { a.button href=(format!("/apps/{}/install", app.name)) { (store.choose) } } }
        }
        @if details.definition.form.is_some() { (form(view, &filled, None)) } @else { (compose(view, &filled, None)) }
        section {
            p { (words.forget_why) }
            (view.button(&format!("/own/{}/remove", app.name), words.forget))
        }
    }
}

/// Where it becomes an app with what its container keeps.
fn adopt(view: &View<'_>, container: &str) -> Markup {
    html! { a.button href=(format!("/by-hand/{}", crate::http::encode(container))) { (view.lang.by_hand().look) } }
}

fn asks(view: &View<'_>, app: &OwnView) -> Markup {
    let words = view.lang.own();
    if app.asked.is_empty() {
        return html! { p { (words.asks_nothing) } };
    }
    if !view.caller.may(Operation::Own) {
        return html! {
            ul { @for asked in &app.asked {
                li { (asked_line(asked, view.lang)) ": " (if asked.granted { words.allowed } else { words.not_allowed }) }
            } }
            p { (words.owner_may) }
        };
    }
    html! {
        p { (words.asks_why) }
        form #grants method="post" action=(format!("/own/{}/grant", app.name)) {
            (view.csrf())
            @for asked in &app.asked {
                label.tick {
                    input type="checkbox" name=(format!("grant.{}", asked.privilege)) value="yes" checked[asked.granted];
                    " " (asked_line(asked, view.lang))
                }
            }
            button.main { (words.allow) }
        }
    }
}

fn asked_line(asked: &AskedView, lang: Lang) -> Markup {
    let text = asked.privilege.to_string();
    let kind = text.split('=').next().unwrap_or_default();
    html! {
        (Own::privilege(lang, kind)) " " code { (text) }
        @if asked.line > 0 { " (" (lang.own().line) " " (asked.line) ", " code { (asked.key) } ")" }
    }
}

/// What both have in common.
fn head(view: &View<'_>, filled: &Filled) -> Markup {
    let words = view.lang.own();
    html! {
        (view.csrf())
        @if !filled.saved { input type="hidden" name="new" value="yes"; }
        label { (words.name) input name="name" maxlength="33" pattern="[a-z][a-z0-9\\-]*" required value=(filled.name) readonly[filled.saved]; }
        label { (words.title) input name="title" maxlength=(TITLE_CHARS) required value=(filled.title); }
        label { (words.description) input name="description" maxlength=(DESCRIPTION_CHARS) value=(filled.description); }
    }
}

fn lines(label: &str, name: &str, value: &str, rows: usize, example: &str) -> Markup {
    html! { label { (label) textarea name=(name) rows=(rows) spellcheck="false" autocomplete="off" placeholder=(example) { "\n" (value) } } }
}

/// The form.
pub fn form(view: &View<'_>, filled: &Filled, wrong: Option<&str>) -> Markup {
    let (words, store) = (view.lang.own(), view.lang.store());
    let more =
        [&filled.entrypoint, &filled.command, &filled.devices, &filled.capabilities, &filled.user].iter().any(|said| !said.is_empty());
    let network = |value: &str, label: &str| html! { option value=(value) selected[filled.network == value] { (label) } };
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section {
            h2 { (words.by_form) }
            form #own method="post" action="/own-form" {
                (head(view, filled))
                label { (words.image) input name="image" maxlength="255" required spellcheck="false" value=(filled.image) placeholder="nginx:1.27"; }
                (lines(words.ports, "ports", &filled.ports, 2, "8080:80 http"))
                (lines(words.environment, "environment", &filled.environment, 3, "TZ=Europe/Madrid"))
                (lines(words.volumes, "volumes", &filled.volumes, 2, "data:/data"))
                label { (words.memory) input name="memory-mb" type="number" min="6" max="1048576" value=(filled.memory_mb); }
                label { (words.processor) input name="cpu-percent" type="number" min="1" max="100000" value=(filled.cpu_percent); }
                details open[more || filled.privileged || !["", "own"].contains(&filled.network.as_str())] {
                    summary { (words.more) }
                    (lines(words.entrypoint, "entrypoint", &filled.entrypoint, 2, ""))
                    (lines(words.command, "command", &filled.command, 2, ""))
                    label { (words.user) input name="user" maxlength="65" value=(filled.user); }
                    (lines(words.devices, "devices", &filled.devices, 2, "/dev/ttyUSB0"))
                    (lines(words.capabilities, "capabilities", &filled.capabilities, 2, "NET_ADMIN"))
                    label { (words.network) select name="network" {
                        (network("own", words.network_own)) (network("none", words.network_none)) (network("host", words.network_host))
                    } }
                    label.tick { input type="checkbox" name="privileged" value="yes" checked[filled.privileged]; " " (words.privileged) }
                }
                button.main { (words.save) }
            }
            p { a href="/apps" { (store.back) } }
        }
    }
}

/// The compose file.
pub fn compose(view: &View<'_>, filled: &Filled, wrong: Option<&str>) -> Markup {
    let (words, store) = (view.lang.own(), view.lang.store());
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        section.whole {
            h2 { (words.by_compose) }
            form #own method="post" action="/own-compose" enctype="multipart/form-data" {
                (head(view, filled))
                p { (words.compose_why) }
                (lines(words.compose, "compose", &filled.compose, 20, "services:"))
                label { (words.file) input name="file" type="file" accept=".yaml,.yml,text/*"; }
                label { (words.blob) input name="blob" maxlength="2000" spellcheck="false" autocapitalize="none" autocomplete="off" value=(filled.blob); }
                button.main { (words.save) }
            }
            p { a href="/apps" { (store.back) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::users::Role;

    fn details() -> OwnDetails {
        let asked =
            AskedView { privilege: "host-path=/srv/music".parse().unwrap(), key: "<i>".to_owned(), line: 4, column: 5, granted: false };
        let compose = Some("</textarea><i>\n  x: 1".to_owned());
        let definition = Definition { title: "<i>Radio".to_owned(), compose, ..Definition::default() };
        let view = OwnView { name: "radio".to_owned(), title: "<i>Radio".to_owned(), asked: vec![asked], ..OwnView::default() };
        OwnDetails { view, definition }
    }

    #[test]
    fn owners_tick_what_operators_read() {
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            for role in [Role::Operator, Role::Owner] {
                let caller = caller(Some(role));
                let view = View { node: "garden", lang, caller: &caller, owned: true };
                let html = one(&view, &details(), Some("<i>")).into_string() + &list(&view, &[details().view]).into_string();
                assert_eq!(html.contains("name=\"grant.host-path=/srv/music\""), role == Role::Owner);
                assert!(html.contains("host-path=/srv/music") && html.contains(lang.own().owner_may), "{html}");
                assert!(!html.contains("<i>") && html.contains("action=\"/own-compose\"") && html.contains("action=\"/own/radio/remove\""));
                assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
                // What is not allowed yet is not offered to be installed.
                assert!(!list(&view, &[details().view]).into_string().contains("/apps/radio/install"));
            }
        }
    }

    #[test]
    fn a_form_is_filled_with_what_was_saved() {
        let json = r#"{"title":"Web","form":{"image":"nginx:1","ports":[{"container":80,"proposed":8080,"scheme":"http"}],
            "environment":{"A":"a=b","B":null},"volumes":[{"source":"data","path":"/data","read-only":true}],"network":"host","memory-mb":64}}"#;
        let filled = Filled::of("web", &serde_json::from_str(json).unwrap());
        let caller = caller(Some(Role::Operator));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let html = form(&view, &filled, None).into_string();
        for text in
            ["nginx:1", "8080:80 http", "A=a=b\nB", "data:/data:ro", "value=\"64\"", "value=\"host\" selected", "readonly", "<details open"]
        {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("name=\"new\""));
        let empty = form(&view, &Filled::default(), Some("no")).into_string();
        assert!(empty.contains("name=\"new\"") && !empty.contains("readonly") && !empty.contains("<details open"));
    }
}
