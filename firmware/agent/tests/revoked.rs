//! A node that an admin removes, with real agents on loopback: it is out everywhere, whatever it has, and comes in again as another alone.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use support::{Agent, wait};

fn invite(agent: &Agent, uses: &str) -> String {
    agent.json(&["invite", "--uses", uses])["token"].as_str().unwrap().to_owned()
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn services(agent: &Agent) -> usize {
    agent.json(&["search"])["services"].as_array().unwrap().len()
}

fn holders(agent: &Agent) -> usize {
    let blobs = agent.json(&["blob", "ls"])["blobs"].as_array().unwrap().clone();
    blobs.iter().map(|blob| blob["holders"].as_array().map_or(0, Vec::len)).sum()
}

fn removed(agent: &Agent) -> Vec<String> {
    let nodes = agent.json(&["nodes"]);
    let removed = nodes["community"]["removed"].as_array().unwrap();
    removed.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Leaves, and starts as another node.
fn again(agent: &mut Agent) {
    let id = |agent: &Agent| agent.json(&["nodes"])["me"]["id"].as_str().unwrap().to_owned();
    let before = id(agent);
    assert_eq!(agent.json(&["leave"])["restarts"], true);
    assert!(agent.child.wait().unwrap().success());
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
    assert_ne!(id(agent), before);
}

#[test]
fn a_removed_node_is_out_everywhere_and_comes_in_again_as_another_alone() {
    let mut garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    // Both came by one invite that is good for more: it lies on both their cards.
    let token = invite(&garden, "5");
    let join = |name: &str| {
        let agent = Agent::start(name, "[join]\nmdns = false\n");
        agent.json(&["join", &token]);
        agent
    };
    let (mut roof, shed) = (join("roof"), join("shed"));
    let all = ["garden", "roof", "shed"];
    for agent in [&garden, &roof, &shed] {
        wait("all know all", || (agent.alive() == all).then_some(()));
    }
    roof.json(&["publish", "wiki", "--title", "Wiki", "--category", "knowledge", "--port", "8080"]);
    let file = roof.data.path().join("note.txt");
    std::fs::write(&file, "from the roof").unwrap();
    let hash = roof.json(&["blob", "add", file.to_str().unwrap()])["hash"].as_str().unwrap().to_owned();
    wait("what it gives is found", || (services(&shed) == 1 && holders(&shed) == 1).then_some(()));

    // Who holds no key removes nobody, and nobody itself.
    assert!(refused(&shed, &["revoke", "roof"]).contains("holds no key"));
    assert!(refused(&garden, &["revoke", "garden"]).contains("cloudy leave"));
    assert!(refused(&garden, &["revoke", "cellar"]).contains("no member is called `cellar`"));
    assert_eq!(garden.json(&["revoke", "roof"])["name"], "roof");

    for agent in [&garden, &shed] {
        wait("it is gone", || (agent.alive() == ["garden", "shed"] && services(agent) == 0 && holders(agent) == 0).then_some(()));
        assert_eq!(removed(agent), ["roof"]);
    }
    assert!(refused(&shed, &["blob", "get", &hash]).contains("no node"));
    let problems = |agent: &Agent| agent.json(&["nodes"])["problems"].to_string();
    wait("it hears why", || problems(&roof).contains("an admin removed it from the community").then_some(()));

    // It leaves and becomes another: the invite that lies on its card, which was good for more, lets it in no more.
    // It was switched off meanwhile, and remembers what it heard.
    roof.stop();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    again(&mut roof);
    roof.json(&["join", &token]);
    wait("it is refused", || {
        let nodes: Value = roof.json(&["nodes"]);
        nodes["joining"].to_string().contains("an admin removed it").then_some(())
    });
    // A new invite does. Whoever was refused may be another once more: nobody tells whether it is the invite or the node that was removed.
    let next = invite(&garden, "1");
    again(&mut roof);
    roof.json(&["join", &next]);
    for agent in [&garden, &roof, &shed] {
        wait("it is in again", || (agent.alive() == all).then_some(()));
    }
    // Whoever removed it knows it after a loss of power too.
    garden.child.kill().unwrap();
    garden.child.wait().unwrap();
    garden.child = Agent::spawn(garden.data.path());
    garden.wait_until_up();
    assert_eq!(removed(&garden), ["roof"]);
    wait("they are together again", || (garden.alive() == all).then_some(()));
}
