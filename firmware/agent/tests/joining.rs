//! What the doctor of a real agent says of an invite that lets nobody in, and of a machine that lacks something.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use cluster::{Kit, Terms, Token, wire::Name};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use support::{Agent, cloudy, wait};

/// What the doctor says of a check, once it is ill.
fn ill(agent: &Agent, name: &str, words: &str) -> (String, String) {
    wait(&format!("the doctor's `{name}` says `{words}`"), || {
        let checks: Value = serde_json::from_slice(&agent.run(&["doctor", "--json"]).stdout).ok()?;
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let found = checks.as_array()?.iter().find(|c| c["check"] == name && c["verdict"] == "ill" && text(c, "seen").contains(words))?;
        Some((text(found, "seen"), text(found, "mend")))
    })
}

#[test]
fn the_doctor_names_a_foreign_invite_and_an_expired_one_each_with_its_mend() {
    let mut rng = StdRng::seed_from_u64(3);
    let kit = Kit::generate(&mut rng);
    let mut garden = Agent::start("garden", &format!("[join]\nfound = \"Gracia\"\nkit = \"{}\"\nmdns = false\n", kit.to_text().trim()));
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let good = Token::parse(garden.json(&["invite"])["token"].as_str().unwrap()).unwrap();
    let there = good.seeds()[0].clone();

    // Of another community, but it names the garden's address: the garden is asked and says no.
    let name = Name::try_from("Elsewhere").unwrap();
    let other = Kit::generate(&mut rng);
    let foreign = other.invite(&other.found(&name), Vec::new(), Terms { uses: 1, not_after: None }, vec![there.clone()], &mut rng);
    let mut roof = Agent::start("roof", "[join]\nmdns = false\n");
    roof.json(&["join", &foreign.to_text()]);
    let (seen, mend) = ill(&roof, "join", "it answered");
    assert!(seen.contains(&there.addresses[0].port().to_string()) || seen.contains(&there.node.hex()[..8]), "{seen}");
    assert_eq!(mend, "the token is for another community: use one of this community");
    let (head, _) = ill(&roof, "join", "joining the community `Elsewhere`");
    assert!(!head.contains(" 0 attempts"), "{head}");
    let shown = String::from_utf8(roof.run(&["doctor"]).stdout).unwrap();
    assert!(shown.contains("use one of this community"), "{shown}");
    assert_eq!(garden.alive(), ["garden"]);

    // Of this community, and too late: told at once by the command, and by the doctor where it stands in cloudy.toml.
    let gracia = kit.found(&Name::try_from("Gracia").unwrap());
    assert_eq!(gracia.id(), good.community().id());
    let expired = kit.invite(&gracia, Vec::new(), Terms { uses: 1, not_after: Some(1_600_000_000) }, vec![there], &mut rng).to_text();
    let refused = roof.run(&["join", &expired]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("expired"), "{said}");
    let mut late = Agent::start("late", &format!("[join]\ntoken = \"{expired}\"\nmdns = false\n"));
    let (_, mend) = ill(&late, "join", "expired");
    assert_eq!(mend, "ask an admin of the community for a new token");
    let (_, mend) = ill(&late, "join", "by token");
    assert!(mend.contains("until then it is not tried again"), "{mend}");

    // The right one lets the same node in.
    roof.json(&["join", &good.to_text()]);
    wait("roof is in", || (garden.alive() == ["garden", "roof"]).then_some(()));
    for agent in [&mut late, &mut roof, &mut garden] {
        agent.stop();
    }
}

#[test]
fn a_machine_without_systemd_is_told_so_and_the_agent_runs() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("cloudy.toml"), "hostname = \"lone\"\n[join]\nmdns = false\n").unwrap();
    let words = ["agent", "--http", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--broker", "/nonexistent/broker.sock", "--data"];
    let child = cloudy().args(words).arg(data.path()).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").spawn().unwrap();
    let mut lone = Agent { child, data };
    lone.wait_until_up();
    let services = &lone.json(&["status"])["services"];
    assert_eq!(services["state"], "unknown", "{services}");
    assert!(services["reason"].as_str().is_some_and(|reason| reason.contains("systemd")), "{services}");
    let checks: Value = serde_json::from_slice(&lone.run(&["doctor", "--json"]).stdout).unwrap();
    let units = checks.as_array().unwrap().iter().find(|check| check["check"] == "units").unwrap().clone();
    assert_eq!((&units["verdict"], &units["mend"]), (&"note".into(), &"On a machine without systemd this is as it should be.".into()));
    let refused = lone.run(&["unit", "restart", "docker.service"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("systemd"), "{refused:?}");
    lone.stop();
}
