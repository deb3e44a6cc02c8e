//! The last admin's card dies: whoever has the recovery kit decides again, from a fresh node, also where nobody is found by mDNS. Real agents on
//! loopback.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use support::{Agent, wait};

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn community(agent: &Agent) -> Value {
    agent.json(&["nodes"])["community"].clone()
}

fn admins(agent: &Agent) -> Vec<String> {
    let nodes = agent.json(&["nodes"]);
    let members = nodes["members"].as_array().unwrap();
    members.iter().filter(|member| member["admin"] == true).map(|member| member["name"].as_str().unwrap().to_owned()).collect()
}

fn services(agent: &Agent) -> Vec<String> {
    let found = agent.json(&["search"]);
    found["services"].as_array().unwrap().iter().map(|service| service["key"].as_str().unwrap().to_owned()).collect()
}

/// Where an agent is, as its page says.
fn place(agent: &Agent) -> String {
    let me = &agent.json(&["nodes"])["me"];
    format!("{}@{}", me["id"].as_str().unwrap(), me["addresses"][0].as_str().unwrap())
}

#[test]
fn with_the_kit_a_fresh_node_decides_in_place_of_the_founder_whose_card_died() {
    let garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let [roof, shed] = ["roof", "shed"].map(|name| {
        let agent = Agent::start(name, "[join]\nmdns = false\n");
        agent.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
        agent
    });
    for agent in [&garden, &roof, &shed] {
        wait("all know all", || (agent.alive() == ["garden", "roof", "shed"]).then_some(()));
    }
    shed.json(&["publish", "wiki", "--title", "Wiki", "--port", "8080"]);
    wait("the others know it", || (services(&roof) == ["wiki"]).then_some(()));
    let kit = garden.json(&["kit"])["kit"].as_str().unwrap().to_owned();
    let id = community(&garden)["id"].clone();
    // Its card dies: the process ends without a word, and all that it kept is gone.
    drop(garden);
    for agent in [&roof, &shed] {
        wait("nobody decides any more", || (agent.alive() == ["roof", "shed"]).then_some(()));
        assert!(refused(agent, &["invite"]).contains("holds no key"));
    }

    // A wrong word is said at once, and changes nothing.
    let new = Agent::start("new", "[join]\nmdns = false\n");
    assert!(refused(&new, &["found", "Gràcia", "--kit", &kit]).contains("of the community `Gracia`"));
    assert!(refused(&new, &["found", "Gracia", "--kit", &kit, "--member", "roof"]).contains("ID@ADDRESS"));
    assert!(community(&new).is_null());
    new.json(&["found", "Gracia", "--kit", &kit, "--member", &place(&roof)]);
    assert_eq!(community(&new)["id"], id, "the same one");
    for agent in [&new, &roof, &shed] {
        wait("it is there for all", || (agent.alive() == ["new", "roof", "shed"]).then_some(()));
    }
    wait("it holds what the others published", || (services(&new) == ["wiki"]).then_some(()));
    for agent in [&new, &roof, &shed] {
        wait("it decides", || admins(agent).contains(&"new".to_owned()).then_some(()));
    }
    assert_eq!((&community(&new)["can-invite"], &community(&new)["founder"]), (&json!(true), &json!(true)));

    // It lets in, and takes the dead one out.
    let cellar = Agent::start("cellar", "[join]\nmdns = false\n");
    cellar.json(&["join", new.json(&["invite"])["token"].as_str().unwrap()]);
    assert_eq!(new.json(&["revoke", "garden"])["name"], "garden");
    for agent in [&new, &roof, &shed, &cellar] {
        wait("all are there", || (agent.alive() == ["cellar", "new", "roof", "shed"]).then_some(()));
        wait("and the dead one is out", || {
            let view = agent.json(&["nodes"]);
            let is_out = view["community"]["removed"].as_array().unwrap().len() == 1;
            (is_out && view["members"].as_array().unwrap().len() == 4 && !admins(agent).contains(&"garden".to_owned())).then_some(())
        });
    }
    wait("nothing that was published is lost", || (services(&cellar) == ["wiki"]).then_some(()));
}

#[test]
fn a_fresh_card_that_names_a_member_comes_back_when_that_is_there_and_says_so_while_it_is_not() {
    let garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let mut roof = Agent::start("roof", "[join]\nmdns = false\n");
    roof.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    wait("it is in", || (roof.alive() == ["garden", "roof"]).then_some(()));
    let kit = garden.json(&["kit"])["kit"].as_str().unwrap().to_owned();
    drop(garden);
    let at = place(&roof);
    roof.stop();
    let card = |place: &str| format!("[join]\nfound = \"Gracia\"\nkit = \"{kit}\"\nmember = \"{place}\"\nmdns = false\n");
    let mut new = Agent::start("new", &card(&at));
    wait("it says who does not answer", || new.json(&["nodes"])["problems"].to_string().contains("does not answer").then_some(()));
    assert_eq!(new.alive(), ["new"]);
    // It is where it was not before, which is said on the card.
    new.stop();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    std::fs::write(new.data.path().join("cloudy.toml"), format!("hostname = \"new\"\n{}", card(&place(&roof)))).unwrap();
    new.child = Agent::spawn(new.data.path());
    new.wait_until_up();
    for agent in [&new, &roof] {
        wait("they found each other", || (agent.alive() == ["new", "roof"]).then_some(()));
    }
    assert_eq!(new.json(&["nodes"])["problems"], json!([]));
}
