//! A community of one, with real agents on loopback: it is founded, written to, restarted, left by its only admin, and founded again by its kit. And what becomes
//! of others whose only admin leaves.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use support::{Agent, get, wait};

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn community(agent: &Agent) -> Value {
    agent.json(&["nodes"])["community"].clone()
}

fn services(agent: &Agent) -> Vec<String> {
    let found = agent.json(&["search"]);
    found["services"].as_array().unwrap().iter().map(|service| service["key"].as_str().unwrap().to_owned()).collect()
}

fn publish(agent: &Agent, key: &str) {
    wait("it may publish", || agent.run(&["publish", key, "--port", "8080", "--json"]).status.success().then_some(()));
}

/// What the one node says of all.
fn agreed(agent: &Agent, words: &str) {
    wait("it holds its view", || {
        let view: Value = serde_json::from_str(&get(&agent.page(), "/api/v1/view", &[]).1).unwrap();
        (view["words"] == words && view["phase"] == "open").then_some(())
    });
}

/// Leaves; the agent goes on, in no community.
fn leave(agent: &Agent) {
    assert_eq!(agent.json(&["leave"])["restarts"], false);
    wait("it is in none", || community(agent).is_null().then_some(()));
}

#[test]
fn a_community_of_one_is_founded_written_left_and_founded_again_by_its_kit() {
    let mut garden = Agent::start("garden", "[join]\nmdns = false\n");
    // Before there is one, nothing of it can be done, and that is said.
    for words in [["invite"].as_slice(), &["kit"], &["publish", "wiki"], &["revoke", "garden"]] {
        refused(&garden, words);
    }
    let kit = garden.json(&["found", "Gracia"])["kit"].as_str().unwrap().to_owned();
    assert!(refused(&garden, &["found", "Another"]).contains("belongs to"), "{}", refused(&garden, &["found", "Another"]));
    wait("it is founded", || (garden.alive() == ["garden"]).then_some(()));
    let of = community(&garden)["id"].clone();
    assert_eq!(garden.json(&["kit"])["kit"], kit.as_str());
    // It writes, all of itself alone.
    agreed(&garden, "1 of 1 node holds this view");
    publish(&garden, "wiki");
    let file = garden.data.path().join("note.txt");
    std::fs::write(&file, "from the garden").unwrap();
    let hash = garden.json(&["blob", "add", file.to_str().unwrap()])["hash"].as_str().unwrap().to_owned();
    garden.json(&["store", "put", "notes", "k", "v"]);
    agreed(&garden, "1 of 1 node holds this view");
    // A cut of the power loses none of it, and nobody else is needed to go on.
    garden.child.kill().unwrap();
    garden.child.wait().unwrap();
    garden.child = Agent::spawn(garden.data.path());
    garden.wait_until_up();
    wait("it is there again", || (services(&garden) == ["wiki"]).then_some(()));
    assert_eq!(garden.json(&["store", "get", "notes", "k"])["values"], json!(["v"]));
    publish(&garden, "photos");
    agreed(&garden, "1 of 1 node holds this view");

    // Its only admin takes nobody out, itself neither: it leaves. An invite of before is of a community that nobody is in.
    assert!(refused(&garden, &["revoke", "garden"]).contains("cloudy leave"));
    assert_eq!(garden.alive(), ["garden"]);
    let token = garden.json(&["invite"])["token"].as_str().unwrap().to_owned();
    leave(&garden);
    assert!(refused(&garden, &["search"]).contains("no microcloud"));
    assert!(refused(&garden, &["invite"]).contains("no community"));
    assert_eq!(garden.json(&["nodes"])["members"].as_array().unwrap().len(), 1);
    let late = Agent::start("late", "[join]\nmdns = false\n");
    late.json(&["join", &token]);
    wait("nobody lets it in", || (!late.json(&["nodes"])["joining"]["failures"].as_array()?.is_empty()).then_some(()));
    assert!(community(&late).is_null());
    drop(late);

    // A wrong kit founds nothing; its own founds the same again.
    assert!(refused(&garden, &["found", "Gracia", "--kit", "nonsense"]).contains("kit"));
    garden.json(&["found", "Gracia", "--kit", &kit]);
    wait("it is founded again", || (garden.alive() == ["garden"]).then_some(()));
    assert_eq!((&community(&garden)["id"], &community(&garden)["founder"]), (&of, &json!(true)));
    assert_eq!(garden.json(&["kit"])["kit"], kit.as_str());
    agreed(&garden, "1 of 1 node holds this view");
    // What it said went when it left; its files are its own.
    assert_eq!(services(&garden), Vec::<String>::new());
    let output = garden.data.path().join("fetched");
    assert!(garden.run(&["blob", "get", &hash, "--output", output.to_str().unwrap()]).status.success());
    assert_eq!(std::fs::read(&output).unwrap(), b"from the garden");
    publish(&garden, "wiki");
    let roof = Agent::start("roof", "[join]\nmdns = false\n");
    roof.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    for agent in [&garden, &roof] {
        wait("both are there", || (agent.alive() == ["garden", "roof"]).then_some(()));
        wait("both find it", || (services(agent) == ["wiki"]).then_some(()));
        agreed(agent, "2 of 2 nodes hold this view");
    }
}

#[test]
fn whose_only_admin_leaves_goes_on_and_decides_again_by_the_kit() {
    let garden = Agent::start("garden", "[join]\nmdns = false\n");
    let kit = garden.json(&["found", "Gracia"])["kit"].as_str().unwrap().to_owned();
    wait("it is founded", || (garden.alive() == ["garden"]).then_some(()));
    let roof = Agent::start("roof", "[join]\nmdns = false\n");
    roof.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    wait("both are there", || (roof.alive() == ["garden", "roof"] && garden.alive().len() == 2).then_some(()));
    publish(&roof, "photos");
    publish(&garden, "wiki");
    wait("both are found", || (services(&roof).len() == 2 && services(&garden).len() == 2).then_some(()));
    let of = community(&garden)["id"].clone();
    leave(&garden);

    // The other goes on, writes, and says who may not be asked any more.
    wait("it is alone", || (roof.alive() == ["roof"]).then_some(()));
    publish(&roof, "later");
    assert!(services(&roof).contains(&"photos".to_owned()));
    assert!(refused(&roof, &["invite"]).contains("holds no key"));
    let nodes = roof.json(&["nodes"]);
    let at = format!("{}@{}", nodes["me"]["id"].as_str().unwrap(), nodes["me"]["addresses"][0].as_str().unwrap());
    garden.json(&["found", "Gracia", "--kit", &kit, "--member", &at]);
    assert_eq!(community(&garden)["id"], of);
    wait("they are together", || (roof.alive() == ["garden", "roof"] && garden.alive() == ["garden", "roof"]).then_some(()));
    wait("it finds what the other said meanwhile", || {
        let found = services(&garden);
        (found.contains(&"later".to_owned()) && found.contains(&"photos".to_owned())).then_some(())
    });
    // It decides again: in, and out.
    let shed = Agent::start("shed", "[join]\nmdns = false\n");
    shed.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    wait("a third is in", || (roof.alive() == ["garden", "roof", "shed"]).then_some(()));
    assert_eq!(garden.json(&["revoke", "shed"])["name"], "shed");
    wait("and out", || (roof.alive() == ["garden", "roof"]).then_some(()));
}
