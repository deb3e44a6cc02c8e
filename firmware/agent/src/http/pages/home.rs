//! The first page: this node, its neighbours, what is wrong.

use super::{View, household as of_owner, search, words as four};
use crate::apps::{AppView, PortView};
use crate::broker::Run;
use crate::household::HouseholdView;
use crate::net::{ClusterView, Liveness, MemberView, Page};
use crate::problems::{DOCKER_SILENT, DOCKER_STOPPED};
use crate::status::{Docker, Services, Severity, Status, Unit};
use crate::text::{Lang, Words};
use crate::users::Operation;
use maud::{Markup, html};
use std::net::SocketAddr;

/// What the script fetches again: all that changes.
pub fn body(
    reader: &View<'_>,
    status: &Status,
    (view, household): (Option<&ClusterView>, &HouseholdView),
    published: &Page,
    apps: &[AppView],
) -> Markup {
    let lang = reader.lang;
    let words = lang.words();
    html! {
        (four::notice(reader, view))
        (of_owner::notice(reader, household))
        (problems(reader, status, words))
        (neighbours(status, view, words))
        @if view.is_some_and(|view| view.community.is_some()) { (shared(reader, published)) }
        @if !apps.is_empty() { (installed(apps, lang)) }
        (this_node(status, words))
        (services(status, words))
    }
}

/// What is wrong; where Docker does not run, with a button for who may run apps.
fn problems(reader: &View<'_>, status: &Status, words: &Words) -> Markup {
    let operator = reader.caller.may(Operation::Operate);
    let wrong = status.problems.iter().any(|p| p.severity > Severity::Note);
    html! {
        section class=(if wrong { "wrong" } else { "well" }) aria-live="polite" {
            h2 { @if wrong { (words.problems) } @else { (words.all_well) } }
            @if !status.problems.is_empty() {
                ul {
                    @for problem in &status.problems {
                        li class=(severity(problem.severity)) {
                            p { (problem.what) }
                            @if !problem.mend.is_empty() { p.mend { strong { (words.mend) } " " (problem.mend) } }
                            @if operator {
                                @match problem.id.as_str() {
                                    DOCKER_STOPPED => (reader.button("/docker/start", words.start_docker)),
                                    DOCKER_SILENT => (reader.button("/docker/restart", words.restart_docker)),
                                    _ => {}
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn neighbours(status: &Status, view: Option<&ClusterView>, words: &Words) -> Markup {
    let community = view.and_then(|v| v.community.as_ref());
    let others: Vec<&MemberView> = view.map(|v| v.members.iter().filter(|m| !m.me).collect()).unwrap_or_default();
    let joining = view.and_then(|v| v.joining.as_ref());
    html! {
        section {
            h2 { (words.neighbours) }
            @match community {
                Some(community) => {
                    p { (words.community) ": " strong { (community.name) } }
                    @if let Some(records) = view.and_then(|view| view.records.as_ref()) {
                        p.quiet { (records.holders) " " (words.of) " " (records.members) " " (words.hold_this_view) }
                    }
                },
                None if status.keeps_data() => p { (words.no_community) },
                None => p { (words.stays_outside) },
            }
            @if let Some(joining) = joining {
                p { (words.joining) ": " (joining.what) " (" (joining.attempts) " " (words.attempts) ")" }
            }
            @if others.is_empty() {
                @if community.is_some() { p { (words.alone) } }
            } @else {
                ul.nodes {
                    @for member in others { (neighbour(member, carrier(member, view), words)) }
                }
            }
        }
    }
}

/// What people call a node: its name, or the beginning of its id.
pub(super) fn called<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id.get(..8).unwrap_or(id) } else { name }
}

/// How a member is: the dot's class, and in a word.
pub(super) fn liveness(state: Liveness, words: &Words) -> (&'static str, &'static str) {
    match state {
        Liveness::Alive => ("ok", words.alive),
        Liveness::Suspect => ("warn", words.suspect),
        Liveness::Down => ("bad", words.down),
    }
}

/// The name of the member through whom this one is reached, where it is not reached directly.
fn carrier<'a>(member: &MemberView, view: Option<&'a ClusterView>) -> Option<&'a str> {
    let through = member.link.as_ref()?.through.as_ref()?;
    let carrier = view?.members.iter().find(|other| other.id == *through)?;
    Some(called(&carrier.name, &carrier.id))
}

fn neighbour(member: &MemberView, through: Option<&str>, words: &Words) -> Markup {
    let (name, (class, state)) = (called(&member.name, &member.id), liveness(member.state, words));
    html! {
        li data-node=(member.id) {
            span.dot.(class) {}
            div {
                @match page_of(member) {
                    Some(page) => a href=(page) { strong { (name) } },
                    None => strong { (name) },
                }
                " " span.quiet { (state) @if let Some(carrier) = through { ", " (words.through) " " (carrier) } }
                div.quiet {
                    @for (n, address) in member.addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_loopback()).take(3).enumerate() {
                        @if n > 0 { ", " }
                        (address)
                    }
                }
                @if let Some(health) = &member.health {
                    div.quiet {
                        (words.processor) " " (health.cpu_percent) " %, " (words.memory) " "
                        (health.memory_available_mb) " MB " (words.free_of) " " (health.memory_total_mb) " MB, " (words.storage) " "
                        (size(u64::from(health.storage_available_mb) * 1_000_000)) " " (words.free_of) " "
                        (size(u64::from(health.storage_total_mb) * 1_000_000))
                        @if let Some(t) = health.temperature_celsius { ", " (t) " °C" }
                    }
                }
                div.quiet {
                    (words.heard) ": "
                    @match member.last_heard_seconds {
                        Some(seconds) => { (seconds) " " (words.seconds_ago) },
                        None => (words.never),
                    }
                }
            }
        }
    }
}

/// Where the member's page is, from the address of its connection or the first that it names.
fn page_of(member: &MemberView) -> Option<String> {
    let linked = member.link.as_ref().and_then(|l| l.address);
    let ip = linked.iter().chain(&member.addresses).map(SocketAddr::ip).find(|ip| !ip.is_loopback() && !ip.is_unspecified())?;
    Some(match ip.to_canonical() {
        std::net::IpAddr::V4(v4) => format!("http://{v4}/"),
        std::net::IpAddr::V6(v6) => format!("http://[{v6}]/"),
    })
}

/// What the members share.
fn shared(reader: &View<'_>, published: &Page) -> Markup {
    let words = reader.lang.words();
    html! {
        section {
            h2 { (words.shared) }
            @if published.services.is_empty() { p { (words.nothing_shared) } }
            (search::list(reader, published))
            @if published.next.is_some() { p { a href="/search" { (words.more_shared) } } }
        }
    }
}

/// The apps of this node, as they are; they are changed on their own page.
fn installed(apps: &[AppView], lang: Lang) -> Markup {
    let words = lang.words();
    html! {
        section {
            h2 { (words.apps) }
            ul.nodes {
                @for app in apps {
                    @let (class, state) = run(app.run, words);
                    li data-app=(app.name) {
                        span.dot.(class) {}
                        div {
                            strong { (app.title.get(lang.tag()).unwrap_or(&app.name)) }
                            " " span.quiet { (state) @if app.job.is_some() { ", " (words.at_work) } }
                            div.quiet { (app.ports.values().map(spoken).collect::<Vec<_>>().join(", ")) }
                        }
                    }
                }
            }
        }
    }
}

/// How an app is: the colour of its dot, and words.
pub fn run(run: Option<Run>, words: &Words) -> (&'static str, &'static str) {
    match run {
        Some(Run::Running) => ("ok", words.runs),
        Some(Run::Starting) => ("warn", words.starts),
        Some(Run::Ill) => ("bad", words.not_well),
        Some(Run::Failing) => ("bad", words.ends_again),
        Some(Run::Stopped | Run::Absent) => ("warn", words.stopped),
        None => ("none", words.docker_silent),
    }
}

fn spoken(port: &PortView) -> String {
    format!("{} {}", port.scheme, port.port)
}

fn this_node(status: &Status, words: &Words) -> Markup {
    let host = &status.host;
    html! {
        section.tall {
            h2 { (words.this_node) }
            dl {
                (row(words.addresses, html! { @for address in &status.addresses { div { (address) } } }))
                @if let Some(wifi) = &status.wifi {
                    (row("Wi-Fi", html! { (wifi.network) @if let Some(name) = &wifi.interface { " " span.quiet { (name) } } }))
                }
                (row(words.version, html! {
                    (status.version)
                    @if let Some(build) = &status.build { " " span.quiet { (build.get(..8).unwrap_or(build)) } }
                }))
                @if let Some(boot) = &status.boot {
                    @if let Some(slot) = &boot.slot {
                        (row(words.slot, html! {
                            (slot)
                            @match boot.confirmed {
                                Some(true) => { ", " (words.confirmed) },
                                Some(false) => { ", " (words.on_trial) },
                                None => {},
                            }
                        }))
                    }
                }
                (row(words.up, html! { (duration(host.uptime_seconds, words)) }))
                (row(words.processor, html! { (host.cpus) ", " (format!("{:.0} %", host.cpu_percent)) " " (words.in_use) }))
                (row(words.memory, free(words.memory, host.memory_available_bytes, host.memory_total_bytes, words)))
                (row(words.storage, free(words.storage, host.storage_available_bytes, host.storage_total_bytes, words)))
                @if let Some(t) = host.temperature_celsius { (row(words.temperature, html! { (format!("{t:.0} °C")) })) }
                (row(words.docker, docker(&status.docker, words)))
                @if let Some(node) = &status.node { (row(words.node_id, html! { code { (node) } })) }
            }
        }
    }
}

fn row(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn free(name: &str, free: u64, total: u64, words: &Words) -> Markup {
    html! {
        (size(free)) " " (words.free_of) " " (size(total))
        meter aria-label=(name) min="0" max=(total.max(1)) value=(total.saturating_sub(free)) {}
    }
}

fn docker(docker: &Docker, words: &Words) -> Markup {
    html! {
        @match docker {
            Docker::Running { version, containers_running, containers, .. } => {
                (version) ", " (words.docker_running) ": " (containers_running) " " (words.containers) " " (containers)
            },
            Docker::Stopped { .. } => (words.docker_stopped),
            Docker::Silent { .. } => (words.docker_silent),
            Docker::NoBroker { .. } => (words.docker_unknown),
        }
    }
}

fn services(status: &Status, words: &Words) -> Markup {
    html! {
        section {
            h2 { (words.services) }
            @match &status.services {
                Services::Unknown { .. } => p { (words.no_systemd) },
                Services::Known { units, .. } => ul.nodes { @for unit in units { (service(unit, words)) } },
            }
        }
    }
}

fn service(unit: &Unit, words: &Words) -> Markup {
    let (class, state) = match (unit.load.as_str(), unit.active.as_str()) {
        ("not-found", _) => ("none", words.not_installed),
        (_, "active") if unit.sub == "exited" => ("ok", words.done),
        (_, "active") => ("ok", words.runs),
        (_, "failed") => ("bad", words.failed),
        (_, "inactive") => ("warn", words.stopped),
        (_, state) => ("warn", state),
    };
    html! {
        li { span.dot.(class) {} div { strong { (unit.name.strip_suffix(".service").unwrap_or(&unit.name)) } " " span.quiet { (state) } } }
    }
}

/// Seconds as days, hours and minutes.
pub(super) fn duration(seconds: u64, words: &Words) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} {} {hours} h", words.days),
    }
}

/// Bytes in the unit that people read: 1 GB = 10⁹ bytes.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", number / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", number / 1e9),
        _ => format!("{:.1} TB", number / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::problems::{find, tests::well};

    fn body(status: &Status, apps: &[AppView], lang: Lang) -> Markup {
        let caller = caller(None);
        super::body(
            &View { node: "garden", lang, caller: &caller, owned: true },
            status,
            (None, &HouseholdView::default()),
            &Page::default(),
            apps,
        )
    }

    #[test]
    fn what_others_say_is_escaped() {
        let mut status = well();
        status.version = "<script>alert(1)</script>".to_owned();
        let html = body(&status, &[], Lang::En).into_string();
        assert!(!html.contains("<script>alert"));
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_names_what_is_wrong_in_the_readers_language() {
        let mut status = well();
        assert!(body(&status, &[], Lang::Ca).into_string().contains("Tot va bé."));
        status.addresses.clear();
        status.problems = find(&status, &[], Lang::Es);
        let html = body(&status, &[], Lang::Es).into_string();
        assert!(html.contains("Esta máquina no tiene dirección de red."));
    }

    #[test]
    fn apps_are_shown_in_the_readers_language_and_escaped() {
        let app = AppView {
            name: "broker".to_owned(),
            title: [("ca".to_owned(), "<b>Missatges".to_owned())].into(),
            run: Some(Run::Stopped),
            ports: [("mqtt".to_owned(), PortView { port: 1883, scheme: "mqtt".to_owned() })].into(),
            ..AppView::default()
        };
        let html = body(&well(), &[app], Lang::Ca).into_string();
        assert!(html.contains("&lt;b&gt;Missatges") && html.contains("aturat") && html.contains("mqtt 1883"), "{html}");
        assert!(!body(&well(), &[], Lang::Ca).into_string().contains("Aplicacions"));
    }

    #[test]
    fn figures_read_as_people_say_them() {
        assert_eq!((size(999), size(1_000)), ("999 B".to_owned(), "1 kB".to_owned()));
        assert_eq!(size(64_000_000_000), "64.0 GB");
        assert_eq!(duration(90_061, Lang::En.words()), "1 d 1 h");
        assert_eq!(duration(59, Lang::En.words()), "0 min");
    }
}
