//! Old and copied cards, with real agents on loopback: what is on them harms nobody, and is told.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may end so, and copies a folder as people do")]

mod support;

use nix::sys::signal::Signal;
use std::{collections::BTreeSet, path::Path, process::Command};
use support::{Agent, community::community, get, wait};

/// A community of `garden`, which founds it, `shed` and `roof`, in this order.
fn three() -> [Agent; 3] {
    <[Agent; 3]>::try_from(community(&["shed", "roof"])).ok().unwrap()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap().success());
}

fn publish(agent: &Agent, key: &str) -> bool {
    publish_as(agent, key, key)
}

fn publish_as(agent: &Agent, key: &str, title: &str) -> bool {
    agent.run(&["publish", key, "--title", title, "--port", "8080", "--json"]).status.success()
}

fn services(agent: &Agent) -> BTreeSet<String> {
    let found = agent.json(&["search"]);
    found["services"].as_array().unwrap().iter().map(|service| service["key"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn all_find(agents: &[&Agent], wanted: &[&str]) {
    for agent in agents {
        wait("all find it", || wanted.iter().all(|key| services(agent).contains(*key)).then_some(()));
    }
}

fn problems(agent: &Agent) -> String {
    agent.json(&["nodes"])["problems"].to_string()
}

#[test]
fn a_restored_card_takes_over_what_was_said_since_and_is_told() {
    let [garden, shed, mut roof] = three();
    assert!(publish(&roof, "before") && publish(&garden, "wiki"));
    all_find(&[&garden, &shed, &roof], &["before", "wiki"]);
    roof.stop();
    let old = tempfile::tempdir().unwrap();
    copy(roof.data.path(), old.path());
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    wait("it may say more", || publish(&roof, "after").then_some(()));
    all_find(&[&garden, &shed], &["before", "after", "wiki"]);
    assert!(!problems(&roof).contains("older copy"), "an ordinary start is none");
    drop(roof);

    let roof = Agent { child: Agent::spawn(old.path()), data: old };
    roof.wait_until_up();
    wait("it is told", || problems(&roof).contains("this node's data is an older copy of itself").then_some(()));
    assert!(String::from_utf8(roof.run(&["doctor"]).stdout).unwrap().contains("older copy"));
    assert!(roof.json(&["status"])["problems"].to_string().contains("older copy"), "and so on the page");
    wait("it goes on", || publish(&roof, "later").then_some(()));
    all_find(&[&garden, &shed, &roof], &["before", "after", "later", "wiki"]);
    for agent in [&garden, &shed] {
        assert_eq!(problems(agent), "[]");
        assert_eq!(agent.alive(), ["garden", "roof", "shed"]);
    }
}

#[test]
fn a_copied_card_is_told_and_what_others_said_and_it_said_before_stays() {
    let [garden, shed, mut roof] = three();
    assert!(publish(&roof, "before") && publish(&garden, "wiki"));
    all_find(&[&garden, &shed], &["before", "wiki"]);
    roof.stop();
    let folder = tempfile::tempdir().unwrap();
    copy(roof.data.path(), folder.path());
    // While nobody is there of whom they could hear of each other, both begin the same life and say something else at one moment of it.
    for agent in [&garden, &shed] {
        agent.signal(Signal::SIGSTOP);
    }
    roof.child = Agent::spawn(roof.data.path());
    let mut twin = Agent { child: Agent::spawn(folder.path()), data: folder };
    let records = |agent: &Agent| agent.json(&["nodes"])["records"].clone();
    for (agent, key) in [(&roof, "roof"), (&twin, "twin")] {
        agent.wait_until_up();
        wait("it begins a life", || (records(agent)["phase"] == "open").then_some(()));
        assert!(publish(agent, key));
    }
    let mut number = 0;
    wait("both have signed as much", || {
        let order = |agent: &Agent| ["epoch", "sequence"].map(|key| records(agent)[key].as_u64().unwrap());
        let (one, other) = (order(&roof), order(&twin));
        let (behind, key) = if one < other { (&roof, "roof") } else { (&twin, "twin") };
        number += 1;
        if one != other {
            publish_as(behind, key, &format!("{key}, again {number}"));
        }
        (one == other).then_some(())
    });
    for agent in [&garden, &shed] {
        agent.signal(Signal::SIGCONT);
    }
    // Who hears both tells it. Only then is more said: the newest alone is told, and hides what was signed twice.
    let told = "the card of the member `roof` was copied";
    for agent in [&garden, &shed] {
        wait("others are told", || problems(agent).contains(told).then_some(()));
    }
    wait("one of the two is told", || {
        number += 1;
        // Each time something new, of few services: a search gives so many at once.
        for (agent, key) in [(&roof, "roof"), (&twin, "twin")] {
            publish_as(agent, key, &format!("{key} {number}"));
        }
        let hears = |agent: &Agent| agent.run(&["nodes"]).status.success() && problems(agent).contains("this node's card was copied");
        (hears(&roof) || hears(&twin)).then_some(())
    });
    // So are the owners of others, who may know whose card it is.
    for agent in [&garden, &shed] {
        assert!(
            problems(agent).contains(told) && problems(agent).contains("tell its owner") && !problems(agent).contains("this node's card")
        );
        let doctor = String::from_utf8(agent.run(&["doctor"]).stdout).unwrap();
        assert!(doctor.contains(told), "{doctor}");
        let said = agent.json(&["status"])["problems"].clone();
        let said = said.as_array().unwrap().iter().find(|problem| problem["what"].as_str().unwrap().contains(told)).unwrap();
        assert!(said["mend"].as_str().unwrap().contains("tell its owner"), "{said}");
        assert!(get(&agent.page(), "/", &["Accept-Language: es"]).1.contains(told), "and so on the page");
        assert_eq!(agent.json(&["nodes"])["records"]["copied"].as_array().unwrap().len(), 1);
    }
    // Meanwhile the others go on.
    assert!(publish(&shed, "photos"));
    all_find(&[&garden, &shed], &["before", "wiki", "photos"]);
    assert!(garden.alive().contains(&"shed".to_owned()));

    // As it says: one of the two is taken out, and joins anew.
    twin.stop();
    std::fs::remove_dir_all(twin.data.path().join("net")).unwrap();
    roof.stop();
    for agent in [&mut roof, &mut twin] {
        agent.child = Agent::spawn(agent.data.path());
        agent.wait_until_up();
    }
    twin.json(&["rename", "twin"]);
    twin.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    wait("both may say more", || (publish(&roof, "of-roof") && publish(&twin, "of-twin")).then_some(()));
    all_find(&[&garden, &shed, &roof, &twin], &["before", "wiki", "photos", "of-roof", "of-twin"]);
    for agent in [&garden, &shed, &roof, &twin] {
        wait("all are there", || (agent.alive() == ["garden", "roof", "shed", "twin"]).then_some(()));
        assert!(!problems(agent).contains("card was copied"));
    }
}
