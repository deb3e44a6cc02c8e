//! A card dies: what comes in its place is let in under its name, and the old card no more. Real agents on loopback.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use support::{Agent, wait};

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_node_whose_card_died_is_replaced_by_what_one_admin_says() {
    let garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let mut others = ["roof", "shed"].map(|name| {
        let agent = Agent::start(name, "[join]\nmdns = false\n");
        agent.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
        agent
    });
    for agent in [&garden, &others[0], &others[1]] {
        wait("all know all", || (agent.alive() == ["garden", "roof", "shed"]).then_some(()));
    }
    // Nothing takes the place of a node that is there, and whoever holds no key gives it to nobody.
    assert!(refused(&garden, &["replace", "roof"]).contains("`roof` is here"));
    assert!(refused(&garden, &["replace", "garden"]).contains("`garden` is here"));
    let [roof, shed] = &mut others;
    roof.stop();
    for agent in [&garden, &*shed] {
        wait("it is gone", || (agent.alive() == ["garden", "shed"]).then_some(()));
    }
    assert!(refused(shed, &["replace", "roof"]).contains("holds no key"));
    assert_eq!(garden.json(&["nodes"])["community"]["removed"], serde_json::json!([]));

    let replaced = garden.json(&["replace", "roof"]);
    let (name, card) = (replaced["name"].as_str().unwrap(), replaced["card"].as_str().unwrap());
    assert_eq!(name, "roof");
    assert!(card.starts_with("hostname = \"roof\"\n[join]\ntoken = \""), "{card}");
    assert_eq!(refused(&garden, &["replace", "roof"]).matches("no member is called `roof`").count(), 1);
    // What the new card says is enough.
    let new = Agent::start(name, &format!("{}mdns = false\n", card.split_once('\n').unwrap().1));
    for agent in [&garden, &*shed, &new] {
        wait("it is in, under the old name", || (agent.alive() == ["garden", "roof", "shed"]).then_some(()));
    }
    // The old card lives after all: it is told, and nobody takes it for the new one.
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    wait("the old card hears why", || {
        roof.json(&["nodes"])["problems"].to_string().contains("an admin removed it from the community").then_some(())
    });
    assert_eq!(garden.alive(), ["garden", "roof", "shed"]);
    assert_eq!(garden.json(&["nodes"])["community"]["removed"].as_array().unwrap().len(), 1);
}
