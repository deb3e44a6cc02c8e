//! The doctor: each check with what was seen and, where it is not well, the mend. Pure over status, view and what [`look`] tried.

mod look;

pub use look::{Looked, look};

use crate::limits::EARLIEST_CLOCK_SECS;
use crate::net::{ClusterView, Liveness};
use crate::problems;
use crate::status::{Docker, Services, Severity, Status};
use serde::{Deserialize, Serialize};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Well,
    /// Good to know, or can't be told here.
    Note,
    /// Not as it should be.
    Ill,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What was looked at; stable for programs.
    pub check: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; empty when nothing is to be done.
    pub mend: String,
}

/// All checks, in the order in which a person would look.
pub fn examine(status: &Status, view: Option<&ClusterView>, looked: &Looked) -> Vec<Check> {
    let mut checks = machine(status);
    checks.extend(looked.checks(&status.name, &status.addresses, view));
    checks.extend(network(status, view));
    checks.extend(services(status));
    checks
}

fn check(check: &str, verdict: Verdict, seen: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { check: check.to_owned(), verdict, seen: seen.into(), mend: mend.into() }
}

/// Verdict and mend from the problems that `problems` found under any of these names.
fn judged(status: &Status, name: &str, ids: &[&str], seen: String) -> Check {
    let found: Vec<_> = status.problems.iter().filter(|p| ids.contains(&p.id.as_str())).collect();
    let Some(worst) = found.iter().map(|p| p.severity).max() else { return check(name, Verdict::Well, seen, "") };
    let verdict = if worst == Severity::Note { Verdict::Note } else { Verdict::Ill };
    let whats: Vec<_> = found.iter().map(|p| p.what.as_str()).collect();
    let mends: Vec<_> = found.iter().map(|p| p.mend.as_str()).filter(|m| !m.is_empty()).collect();
    check(name, verdict, format!("{seen}. {}", whats.join(" ")), mends.join(" "))
}

fn machine(status: &Status) -> Vec<Check> {
    let host = &status.host;
    let gb = |bytes: u64| bytes / 1_000_000_000;
    let clock = match status.clock.synchronised {
        Some(true) => "follows a time server",
        Some(false) => "no time server answered yet",
        None => "timesyncd is not here to ask",
    };
    let settings = match status.settings.sources.len() {
        0 => "no setting was given; defaults hold".to_owned(),
        n => format!("{n} settings have a value"),
    };
    let addresses = if status.addresses.is_empty() { "none".to_owned() } else { status.addresses.join(", ") };
    let mut checks = vec![
        judged(status, "settings", &["settings-broken", "settings-partly", "secrets-moved"], settings),
        judged(status, "address", &["no-address"], addresses),
        default_route(),
        multicast_route(),
        judged(status, "clock", &["clock-wrong", "clock-off"], format!("{} s since 1970, {clock}", status.clock.unix_seconds)),
        judged(
            status,
            "storage",
            &["storage-low"],
            format!("{} GB free of {} GB", gb(host.storage_available_bytes), gb(host.storage_total_bytes)),
        ),
        judged(
            status,
            "memory",
            &["memory-low"],
            format!("{} MB available of {} MB", host.memory_available_bytes / 1_000_000, host.memory_total_bytes / 1_000_000),
        ),
    ];
    if let Some(boot) = &status.boot {
        let slot = boot.slot.clone().unwrap_or_else(|| "?".to_owned());
        checks.push(judged(status, "boot", &["rolled-back", "boot"], format!("slot {slot}")));
        let kept = if status.keeps_data() { "kept" } else { "not kept" };
        checks.push(judged(status, "data", &["data-lost", "data-read-only"], kept.to_owned()));
    }
    if status.clock.unix_seconds < EARLIEST_CLOCK_SECS {
        checks.push(check("expiry", Verdict::Note, "the clock is unsure, so the expiry of invites can't be judged", ""));
    }
    checks
}

/// Whether packets to other networks have a way.
fn default_route() -> Check {
    let v4 = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    if has_default(&v4, &v6) {
        return check("route", Verdict::Well, "there is a default route", "");
    }
    check(
        "route",
        Verdict::Note,
        "there is no default route: other networks can't be reached, neighbours on this one can",
        "If the node should reach the internet: check the router's DHCP, or set `gateway` in cloudy.toml.",
    )
}

/// Reads /proc/net/route and /proc/net/ipv6_route.
fn has_default(v4: &str, v6: &str) -> bool {
    let field = |line: &str, n: usize| line.split_ascii_whitespace().nth(n).map(str::to_owned);
    let zero4 = |line: &str| field(line, 1).as_deref() == Some("00000000") && field(line, 7).as_deref() == Some("00000000");
    let zero6 = |line: &str| {
        let device = line.split_ascii_whitespace().last().unwrap_or_default();
        field(line, 0).is_some_and(|d| d.bytes().all(|b| b == b'0')) && field(line, 1).as_deref() == Some("00") && device != "lo"
    };
    v4.lines().skip(1).any(zero4) || v6.lines().any(zero6)
}

/// Whether multicast packets have a way; without one nobody is found by mDNS, and nothing says so.
fn multicast_route() -> Check {
    // Choosing a route sends nothing: a connected UDP socket only looks it up.
    let tried = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("224.0.0.251:5353"));
    match tried {
        Ok(()) => check("multicast", Verdict::Well, "multicast has a route", ""),
        Err(error) => check(
            "multicast",
            Verdict::Ill,
            format!("multicast has no route ({error}): neighbours on this network can't be found by themselves"),
            "Give the network interface an address with a default route, or join with an invite that names addresses.",
        ),
    }
}

fn network(status: &Status, view: Option<&ClusterView>) -> Vec<Check> {
    let Some(view) = view else {
        if !status.keeps_data() {
            let seen = "the node stays outside of its microcloud, since its data is not kept";
            return vec![check("network", Verdict::Ill, seen, "Do what the check `data` says.")];
        }
        return vec![check(
            "network",
            Verdict::Ill,
            "the network part of the agent does not run",
            "See the agent's log: `journalctl -u cloudy`, or its stderr.",
        )];
    };
    let mut checks = Vec::new();
    match &view.community {
        Some(community) => {
            let others: Vec<_> = view.members.iter().filter(|m| !m.me).collect();
            let alive = others.iter().filter(|m| m.state == Liveness::Alive).count();
            let seen = format!("member of `{}`; {alive} of {} neighbours answer", community.name, others.len());
            let lonely = alive == 0 && !others.is_empty();
            let mend = if lonely { "Check that this node's UDP port is open, and that the neighbours run." } else { "" };
            checks.push(check("community", if lonely { Verdict::Ill } else { Verdict::Well }, seen, mend));
        }
        None => checks.push(check(
            "community",
            Verdict::Note,
            "this node belongs to no microcloud",
            "Ask a member for an invite (`cloudy invite` there), then `cloudy join TOKEN` here; or `cloudy found NAME`.",
        )),
    }
    if let Some(joining) = &view.joining {
        let (verdict, mend) = match (joining.failures.is_empty(), joining.retrying) {
            (true, _) => (Verdict::Note, ""),
            (false, true) => (Verdict::Ill, "Do what stands below; it is tried again by itself."),
            (false, false) => (Verdict::Ill, "Do what stands below; until then it is not tried again."),
        };
        checks.push(check("join", verdict, format!("joining {}: {} attempts", joining.what, joining.attempts), mend));
        for failure in &joining.failures {
            checks.push(check("join", Verdict::Ill, format!("{}: {}", failure.target, failure.seen), failure.mend.clone()));
        }
    }
    match &view.lan.problem {
        Some(problem) => checks.push(of_network("lan", problem)),
        None if view.lan.enabled => {
            checks.push(check("lan", Verdict::Well, format!("{} cloudy nodes seen by mDNS", view.lan.seen.len()), ""))
        }
        None => checks.push(check("lan", Verdict::Note, "looking on the local network is turned off", "")),
    }
    // What the network part says of mDNS stands there already.
    let others = view.problems.iter().filter(|problem| Some(*problem) != view.lan.problem.as_ref());
    checks.extend(others.map(|problem| of_network("network", problem)));
    checks
}

fn of_network(name: &str, sentence: &str) -> Check {
    let (seen, mend) = problems::of_network(sentence);
    check(name, Verdict::Ill, seen, mend)
}

fn services(status: &Status) -> Vec<Check> {
    let units = match &status.services {
        Services::Known { system, failed, .. } => {
            judged(status, "units", &["unit-failed"], format!("systemd says `{system}`, {} units failed", failed.len()))
        }
        Services::Unknown { reason } => {
            check("units", Verdict::Note, reason.clone(), "On a machine without systemd this is as it should be.")
        }
    };
    let docker = match &status.docker {
        Docker::Running { version, containers_running, .. } => {
            check("docker", Verdict::Well, format!("Docker {version} answers, {containers_running} containers run"), "")
        }
        Docker::NoBroker { reason } if status.build.is_none() => check(
            "docker",
            Verdict::Note,
            reason.clone(),
            "Start `cloudy broker --socket PATH` as a user who may use Docker, if you want it seen.",
        ),
        _ => judged(status, "docker", &["docker-stopped", "docker-silent", "no-broker"], "Docker is not well".to_owned()),
    };
    vec![units, docker]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{CommunityView, Door, JoinFailure, JoinProblem, JoinState, LanView, Me, MemberView};
    use crate::problems::{find, tests::well};
    use crate::status::Boot;
    use crate::text::Lang;
    use contract::report::DataState;

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                  eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert!(has_default(v4, ""));
        let link = "Iface\tDestination\n eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert!(!has_default(link, ""));
        let zero = "0".repeat(32);
        assert!(!has_default("", &format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo")));
        assert!(has_default("", &format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00000003 eth0")));
    }

    /// A node that has everything that a node can have.
    fn sick() -> Status {
        let mut status = well();
        status.addresses.clear();
        status.docker = Docker::Silent { reason: "no answer".to_owned() };
        status.services = Services::Known { system: "degraded".to_owned(), units: vec![], failed: vec!["x.service".to_owned()] };
        status.settings.broken = vec!["line 1, column 1: no".to_owned()];
        status.clock.unix_seconds = 5;
        status.host.storage_available_bytes = 1;
        status.host.memory_available_bytes = 1;
        status.boot = Some(Boot {
            data: Some(DataState::ReadOnly),
            rollback: Some("init gave up".to_owned()),
            problems: vec!["init warns".to_owned()],
            ..Boot::default()
        });
        status
    }

    fn stuck() -> ClusterView {
        let failure = |target: &str| JoinFailure {
            reason: JoinProblem::Foreign,
            target: target.to_owned(),
            seen: "it refused".to_owned(),
            mend: "ask another".to_owned(),
        };
        let no_route = "this node is on no network; check the cable".to_owned();
        ClusterView {
            me: Me { id: String::new(), name: "a".to_owned(), version: String::new(), addresses: vec![], epoch: 1 },
            joining: Some(JoinState {
                what: "a community".to_owned(),
                attempts: 3,
                next_attempt_seconds: 1,
                retrying: true,
                failures: vec![failure("one"), failure("two")],
            }),
            lan: LanView { enabled: true, problem: Some(no_route.clone()), seen: vec![] },
            problems: vec![no_route, "a file is damaged; join again".to_owned(), "nobody knows".to_owned()],
            ..ClusterView::default()
        }
    }

    #[test]
    fn every_ill_check_of_a_sick_node_has_a_mend() {
        let mut status = sick();
        let mut view = stuck();
        let mut names = std::collections::BTreeSet::new();
        let looked = Looked {
            name: Some(Ok(vec!["10.9.9.9".parse().unwrap()])),
            ports: vec![("10.9.9.8:4747".parse().unwrap(), look::Port::Silent)],
            taken: true,
        };
        for lang in [Lang::En, Lang::Es, Lang::Ca] {
            for data in [DataState::ReadOnly, DataState::Lost, DataState::Clean] {
                for retrying in [true, false] {
                    status.boot.as_mut().unwrap().data = Some(data);
                    status.problems = find(&status, &view.problems, lang);
                    view.joining.as_mut().unwrap().retrying = retrying;
                    for view in [None, Some(&view)] {
                        let ill = examine(&status, view, &looked).into_iter().filter(|check| check.verdict == Verdict::Ill);
                        for check in ill {
                            assert!(!check.mend.is_empty(), "{check:?}");
                            names.insert(check.check);
                        }
                    }
                }
            }
        }
        for name in [
            "address", "boot", "clock", "data", "docker", "join", "lan", "memory", "name", "network", "port", "settings", "storage",
            "units",
        ] {
            assert!(names.contains(name), "{name} was never ill: {names:?}");
        }
        let member = |me| MemberView {
            id: String::new(),
            name: String::new(),
            addresses: vec![],
            me,
            state: if me { Liveness::Alive } else { Liveness::Down },
            epoch: 1,
            incarnation: 0,
            last_heard_seconds: None,
            version: String::new(),
            link: None,
            health: None,
            admin: me,
            removable: !me,
            suspended: false,
        };
        let community = CommunityView {
            id: String::new(),
            name: "c".to_owned(),
            can_invite: false,
            founder: false,
            removed: Vec::new(),
            door: Door::Closed,
        };
        let lonely = ClusterView { community: Some(community), members: vec![member(true), member(false)], joining: None, ..view };
        let checks = examine(&status, Some(&lonely), &looked);
        assert!(checks.iter().any(|c| c.check == "community" && c.verdict == Verdict::Ill && !c.mend.is_empty()), "{checks:?}");
    }

    #[test]
    fn a_sentence_of_the_network_part_is_said_once_with_its_mend() {
        let checks = examine(&sick(), Some(&stuck()), &Looked::default());
        let of = |name: &str| checks.iter().filter(|c| c.check == name).map(|c| (c.seen.as_str(), c.mend.as_str())).collect::<Vec<_>>();
        assert_eq!(of("lan"), [("this node is on no network", "check the cable")]);
        let network = of("network");
        assert_eq!((network.len(), network[0]), (2, ("a file is damaged", "join again")));
        assert!(network[1].0 == "nobody knows" && network[1].1.contains("journalctl"), "{network:?}");
        assert_eq!(of("join").len(), 3);
    }
}
