//! Two real agents on loopback: one founds, the other joins by invite, and page and API of both show both.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use support::{Agent, cloudy, get, wait};

#[test]
fn two_agents_join_by_invite_and_show_each_other() {
    let mut garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    let mut roof = Agent::start("roof", "[join]\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));

    let token = garden.json(&["invite"])["token"].as_str().unwrap().to_owned();
    assert_eq!(roof.json(&["join", &token])["community"], "Gracia");
    for agent in [&garden, &roof] {
        wait("both are seen", || (agent.alive() == ["garden", "roof"]).then_some(()));
    }
    assert!(get(&garden.page(), "/", &[]).1.contains("roof"));
    assert!(get(&roof.page(), "/", &["Accept-Language: ca"]).1.contains("Micronúvol"));

    let doctor = garden.run(&["doctor", "--json"]);
    let checks: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let community = checks.as_array().unwrap().iter().find(|c| c["check"] == "community").unwrap();
    assert_eq!(community["verdict"], "well", "{community}");

    // A restart is the same member.
    let id = roof.json(&["status"])["node"].clone();
    roof.stop();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    assert_eq!(roof.json(&["status"])["node"], id);
    wait("it is back", || (roof.alive() == ["garden", "roof"]).then_some(()));
    roof.stop();
    garden.stop();
}

#[test]
fn a_lone_agent_tells_what_is_missing_and_guards_its_page() {
    let mut lone = Agent::start("lone", "[join]\nmdns = false\n");
    let page = lone.page();
    let (head, body) = get(&page, "/", &[]);
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("This node belongs to no microcloud yet."), "{head}");
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'none'"));
    assert!(get(&page, "/", &["Host: evil.example"]).0.starts_with("HTTP/1.1 421"));
    assert!(get(&page, "/api/v1/status", &["Origin: http://evil.example"]).0.starts_with("HTTP/1.1 403"));
    // Changes are not served here.
    assert!(get(&page, "/api/v1/doctor", &[]).0.starts_with("HTTP/1.1 404"));

    let status = lone.json(&["status"]);
    assert_eq!(status["name"], "lone");
    assert_eq!(status["docker"]["state"], "no-broker");

    let refused = lone.run(&["join", "not-a-token"]);
    assert!(!refused.status.success());
    assert!(!String::from_utf8_lossy(&refused.stderr).trim().is_empty());
    let refused = lone.run(&["unit", "stop", "dbus.service"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("can't be changed through cloudy"));
    lone.stop();
}

#[test]
fn a_broken_cloudy_toml_is_named_and_does_not_stop_the_agent() {
    let agent = Agent::start("shed", "[join]\nmdns = false\nlann = true\n");
    let status = agent.json(&["status"]);
    let broken = status["settings"]["broken"][0].as_str().unwrap();
    assert_eq!(broken, "line 4, column 1: unknown key `lann` in [join]; did you mean `lan`?");
    assert!(get(&agent.page(), "/", &[]).1.contains("line 4, column 1"));
    let file = agent.data.path().join("cloudy.toml");
    let checked = cloudy().arg("check").arg(&file).output().unwrap();
    assert!(!checked.status.success() && String::from_utf8_lossy(&checked.stdout).contains("line 4, column 1"));
}

#[test]
fn a_node_whose_data_is_not_kept_makes_no_identity_and_stays_outside() {
    const FOUND: &str = "[join]\nfound = \"Gracia\"\nmdns = false\n";
    for (state, id, word) in [("lost", "data-lost", "can't be read"), ("read-only", "data-read-only", "is only read")] {
        let mut lone = Agent::start_with_data("lone", FOUND, state);
        assert!(!lone.data.path().join("net").exists(), "an identity was made");
        let status = lone.json(&["status"]);
        assert_eq!(
            (&status["node"], &status["boot"]["data"], &status["problems"][0]["id"]),
            (&Value::Null, &state.into(), &id.into()),
            "{status}"
        );
        let page = lone.page();
        assert!(get(&page, "/", &[]).1.contains(word) && get(&page, "/", &[]).1.contains("repair-data"));
        assert!(get(&page, "/", &["Accept-Language: es"]).1.contains("Este nodo queda fuera de su micronube"));
        assert!(get(&page, "/", &["Accept-Language: ca"]).1.contains("Aquest node queda fora del seu micronúvol"));
        for words in [["join", "x"].as_slice(), &["invite"], &["found", "x"]] {
            assert!(!lone.run(words).status.success(), "{words:?}");
        }
        let doctor = lone.run(&["doctor"]);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(
            !doctor.status.success() && said.contains("ILL  data") && said.contains("ILL  network") && said.contains("repair-data"),
            "{said}"
        );
        assert!(!lone.data.path().join("net").exists(), "an identity was made");
        // With its data back it is a node like any other.
        lone.stop();
        lone.child = Agent::spawn_with_data(lone.data.path(), "repaired");
        lone.wait_until_up();
        wait("it has founded", || (lone.alive() == ["lone"]).then_some(()));
        // And what it is does not change while its data is not kept: not its epoch either.
        lone.stop();
        let epoch = std::fs::read(lone.data.path().join("net/epoch")).unwrap();
        lone.child = Agent::spawn_with_data(lone.data.path(), state);
        lone.wait_until_up();
        assert_eq!(lone.json(&["status"])["node"], Value::Null);
        lone.stop();
        assert_eq!(std::fs::read(lone.data.path().join("net/epoch")).unwrap(), epoch);
    }
}
