//! Several admins, with real agents on loopback: a second one lets in and takes out while the first is off, removes no admin, and
//! decides nothing once it is dismissed.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use support::{Agent, wait};

fn invite(agent: &Agent) -> String {
    agent.json(&["invite"])["token"].as_str().unwrap().to_owned()
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn join(name: &str, token: &str) -> Agent {
    let agent = Agent::start(name, "[join]\nmdns = false\n");
    agent.json(&["join", token]);
    agent
}

fn admins(agent: &Agent) -> Vec<String> {
    let nodes = agent.json(&["nodes"]);
    let members = nodes["members"].as_array().unwrap();
    members.iter().filter(|member| member["admin"] == true).map(|member| member["name"].as_str().unwrap().to_owned()).collect()
}

fn decides(agent: &Agent) -> bool {
    agent.json(&["nodes"])["community"]["can-invite"] == true
}

fn removed(agent: &Agent) -> usize {
    agent.json(&["nodes"])["community"]["removed"].as_array().unwrap().len()
}

fn finds(agent: &Agent) -> usize {
    agent.json(&["search"])["services"].as_array().unwrap().len()
}

#[test]
fn a_second_admin_decides_while_the_first_is_off_and_no_more_once_it_is_dismissed() {
    let mut garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let (mut roof, shed) = (join("roof", &invite(&garden)), join("shed", &invite(&garden)));
    for agent in [&garden, &roof, &shed] {
        wait("all know all", || (agent.alive() == ["garden", "roof", "shed"]).then_some(()));
        assert_eq!(admins(agent), ["garden"]);
    }
    assert!(refused(&shed, &["appoint", "roof"]).contains("holds no key"));
    assert!(refused(&garden, &["dismiss", "shed"]).contains("it is no admin"));
    assert_eq!(garden.json(&["appoint", "roof"])["name"], "roof");
    for agent in [&garden, &roof, &shed] {
        wait("all know the admin", || (admins(agent) == ["garden", "roof"]).then_some(()));
    }
    assert!(decides(&roof) && !decides(&shed));
    assert!(refused(&roof, &["kit"]).contains("the recovery kit lies with those who founded"));
    for words in [["revoke", "garden"], ["dismiss", "garden"]] {
        assert!(refused(&roof, &words).contains("only the key of those who founded"), "{words:?}");
    }

    // The first card is dead. The second lets somebody in and takes somebody out, after a loss of power too.
    garden.stop();
    roof.child.kill().unwrap();
    roof.child.wait().unwrap();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    // What others told it is written a little later: it may have to ask the one that is left.
    wait("it decides again", || decides(&roof).then_some(()));
    let unused = invite(&roof);
    let hut = join("hut", &invite(&roof));
    wait("it is let in", || (roof.alive() == ["hut", "roof", "shed"]).then_some(()));
    assert_eq!(roof.json(&["revoke", "shed"])["name"], "shed");
    wait("it is out", || (hut.alive() == ["hut", "roof"]).then_some(()));

    // The first comes back, learns of it all, and dismisses it: who was let in stays, who was taken out comes back.
    garden.child = Agent::spawn(garden.data.path());
    garden.wait_until_up();
    wait("it learns of it", || (removed(&garden) == 1 && garden.alive() == ["garden", "hut", "roof"]).then_some(()));
    // What it hides from all is hidden, until then.
    hut.json(&["publish", "wiki"]);
    wait("it is found", || (finds(&garden) == 1 && finds(&roof) == 1).then_some(()));
    roof.json(&["hide", "hut", "wiki"]);
    wait("it is found no more", || (finds(&garden) == 0).then_some(()));
    assert!(finds(&roof) == 0 && refused(&garden, &["show", "hut", "wiki"]).contains("`roof` that hides this"));
    garden.json(&["dismiss", "roof", "--undo"]);
    for agent in [&garden, &roof, &hut, &shed] {
        wait("all are in", || (agent.alive() == ["garden", "hut", "roof", "shed"] && admins(agent) == ["garden"]).then_some(()));
    }
    assert!(!decides(&roof) && finds(&garden) == 1 && finds(&roof) == 1);
    assert!(refused(&roof, &["hide", "hut", "wiki"]).contains("this node is no admin"));
    assert!(refused(&roof, &["invite"]).contains("holds no key"));
    assert!(refused(&garden, &["appoint", "roof"]).contains("for good"));
    let late = join("late", &unused);
    wait("what it had signed lets nobody in", || {
        late.json(&["nodes"])["joining"].to_string().contains("an admin removed it").then_some(())
    });
}
