//! Apps on somebody else's node with real agents on loopback, whose brokers are played: nothing runs without consent, what runs is ended by
//! either side, and what nobody else may run stands still while its lender can't be asked.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::broker::{Asked, play};
use support::layout::layout;
use support::{Agent, wait};

/// A node that founds the community and has an app in its catalog.
fn lender() -> Agent {
    let agent = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (agent.alive() == ["garden"]).then_some(()));
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), 7);
    agent.json(&["app", "add", folder.path().to_str().unwrap()]);
    agent
}

/// A node in it, with a broker that is played.
fn holder(name: &str, lender: &Agent) -> (Agent, Asked) {
    let token = lender.json(&["invite"])["token"].as_str().unwrap().to_owned();
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("cloudy.toml"), format!("hostname = \"{name}\"\n[join]\nmdns = false\n")).unwrap();
    let asked = play(data.path(), "broker");
    let agent = Agent { child: Agent::spawn(data.path()), data };
    agent.wait_until_up();
    agent.json(&["join", &token]);
    wait("it is in", || agent.alive().contains(&name.to_owned()).then_some(()));
    wait("it is seen", || lender.alive().contains(&name.to_owned()).then_some(()));
    (agent, asked)
}

fn restart(agent: &mut Agent) {
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
}

/// The one lease of a side, as it stands.
fn lease(agent: &Agent, side: &str) -> Option<Value> {
    agent.json(&["lease", "ls"])[side].get(0).cloned()
}

fn stands(agent: &Agent, side: &str, state: &str) -> Value {
    wait(&format!("the lease is {state} on the side `{side}`"), || lease(agent, side).filter(|lease| lease["state"] == state))
}

fn words(asked: &Asked) -> Vec<String> {
    asked.lock().unwrap().clone()
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const OFFER: [&str; 7] = ["lease", "offer", "broker", "--node", "roof", "--set", "password=se-cret"];

#[test]
fn an_app_runs_on_another_node_while_both_owners_want_it() {
    let mut garden = lender();
    let (mut roof, asked) = holder("roof", &garden);
    // What can't be is said before anybody is asked.
    assert!(refused(&garden, &["lease", "offer", "wiki", "--node", "roof"]).contains("no app `wiki`"));
    assert!(refused(&garden, &["lease", "offer", "broker", "--node", "roof"]).contains("`password` must be said"));
    assert!(refused(&garden, &["lease", "offer", "broker", "--node", "barn", "--set", "password=x"]).contains("no node `barn`"));
    assert!(refused(&garden, &["lease", "offer", "broker", "--copies", "3", "--set", "password=x"]).contains("3 copies are wanted"));
    let offer = [OFFER.as_slice(), &["--note", "for the school"]].concat();
    assert_eq!(garden.json(&offer)["leases"].as_array().unwrap().len(), 1);
    let offered = stands(&roof, "held", "asked");
    assert_eq!(
        (&offered["app"]["name"], &offered["note"], &offered["node-name"]),
        (&"broker".into(), &"for the school".into(), &"garden".into())
    );
    assert_eq!(offered["settings"][0], "password");
    assert!(!offered.to_string().contains("se-cret"), "a password is shown to nobody");
    // It waits, also over a restart, and nothing is done meanwhile.
    restart(&mut roof);
    stands(&roof, "held", "asked");
    assert_eq!(stands(&garden, "given", "offered")["why"], "");
    assert!(words(&asked).is_empty() && roof.json(&["app", "catalog"])["apps"].as_array().unwrap().is_empty());

    let id = offered["id"].as_str().unwrap();
    roof.json(&["lease", "accept", &id[..8]]);
    stands(&roof, "held", "runs");
    stands(&garden, "given", "runs");
    assert_eq!(words(&asked), ["pull", "up"]);
    assert!(refused(&roof, &["lease", "accept", id]).contains("nothing is to be decided"));
    // One agent is killed, the other ends: it is the same lease, and nothing is done again. Each has another port then, so they meet in between.
    restart(&mut roof);
    for agent in [&garden, &roof] {
        wait("they meet again", || (agent.alive() == ["garden", "roof"]).then_some(()));
    }
    garden.stop();
    garden.child = Agent::spawn(garden.data.path());
    garden.wait_until_up();
    stands(&roof, "held", "runs");
    stands(&garden, "given", "runs");
    // Its lender takes it back. What it kept stays.
    garden.json(&["lease", "end", id]);
    let over = stands(&roof, "held", "over");
    assert_eq!(over["why"], "its lender took it back");
    assert_eq!(stands(&garden, "given", "over")["why"], "taken back");
    wait("it is gone", || roof.json(&["app", "list"])["apps"].as_array().unwrap().is_empty().then_some(()));
    assert_eq!(words(&asked), ["pull", "up", "down"]);

    // The next time its holder does not want it any more.
    garden.json(&OFFER);
    let id = stands(&roof, "held", "asked")["id"].as_str().unwrap().to_owned();
    roof.json(&["lease", "accept", &id]);
    stands(&garden, "given", "runs");
    roof.json(&["lease", "end", &id]);
    let of = |agent: &Agent, side: &str| {
        let all = agent.json(&["lease", "ls"])[side].as_array().cloned().unwrap();
        all.into_iter().find(|lease| lease["id"] == *id).filter(|lease| lease["state"] == "over")
    };
    let over = wait("its lender hears of it", || of(&garden, "given"));
    assert!(over["why"].as_str().unwrap().contains("ended it"), "{over}");
    wait("it is over", || of(&roof, "held"));
    roof.stop();
    garden.stop();
}

#[test]
fn what_an_owner_said_before_is_done_without_asking_and_what_is_refused_never_runs() {
    let mut garden = lender();
    let (mut roof, asked) = holder("roof", &garden);
    assert!(refused(&roof, &["lease", "consent", "accept"]).contains("can't be taken at once"));
    roof.json(&["lease", "consent", "refuse", "--node", "garden"]);
    garden.json(&OFFER);
    let refused = stands(&garden, "given", "over");
    assert!(refused["why"].as_str().unwrap().contains("takes no offers of this node"), "{refused}");
    assert!(words(&asked).is_empty());
    roof.json(&["lease", "consent", "accept", "--node", "garden"]);
    // It was off while it was offered to.
    roof.stop();
    let id = garden.json(&OFFER)["leases"][0].as_str().unwrap().to_owned();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    let runs = |agent: &Agent, side: &str| {
        let all = agent.json(&["lease", "ls"])[side].as_array().cloned().unwrap();
        all.into_iter().find(|lease| lease["id"] == *id).filter(|lease| lease["state"] == "runs")
    };
    wait("it runs", || runs(&roof, "held"));
    wait("its lender knows", || runs(&garden, "given"));
    // Whoever owns the node removes it as every other app; the lease ends with it.
    roof.json(&["app", "remove", "broker"]);
    let over = wait("it is over", || {
        let all = garden.json(&["lease", "ls"])["given"].as_array().cloned().unwrap();
        all.into_iter().find(|lease| lease["id"] == *id).filter(|lease| lease["state"] == "over")
    });
    assert_eq!(over["why"], "its owner removed the app");
    roof.stop();
    garden.stop();
}

#[test]
fn what_nobody_else_may_run_stands_still_until_its_lender_is_heard() {
    let mut garden = lender();
    let (mut roof, asked) = holder("roof", &garden);
    let offer = [OFFER.as_slice(), &["--exclusive"]].concat();
    garden.json(&offer);
    let id = stands(&roof, "held", "asked")["id"].as_str().unwrap().to_owned();
    // Nobody else has it meanwhile, and it is not run here.
    for other in [offer.as_slice(), &OFFER] {
        assert!(refused(&garden, other).contains("lent or offered already"));
    }
    assert!(refused(&garden, &["app", "install", "broker", "--set", "password=x"]).contains("can't be started now"));
    roof.json(&["lease", "accept", &id]);
    stands(&garden, "given", "runs");
    let begun = words(&asked);
    assert_eq!(begun, ["pull", "up"]);
    // Its lender is silent, and the holder's agent knows nothing of before: it must not run.
    garden.signal(Signal::SIGSTOP);
    restart(&mut roof);
    wait("it stands still", || (words(&asked).last().is_some_and(|word| word == "stop")).then_some(()));
    assert!(refused(&roof, &["app", "start", "broker"]).contains("can't be started now"));
    garden.signal(Signal::SIGCONT);
    wait("its time goes on", || (words(&asked).last().is_some_and(|word| word == "up")).then_some(()));
    // Its owner stops it, and nobody else starts it.
    roof.json(&["app", "stop", "broker"]);
    wait("it is taken note of", || {
        let all = std::fs::read_to_string(roof.data.path().join("leases/leases.json")).unwrap();
        all.contains("\"stopped\":true").then_some(())
    });
    assert_eq!(words(&asked).last().unwrap(), "stop");
    garden.json(&["lease", "end", &id]);
    stands(&garden, "given", "over");
    assert_eq!(words(&asked).last().unwrap(), "down");
    // Nobody runs it: it may be installed here again. There is no broker here, so the job waits.
    let mut installing = support::cloudy();
    installing
        .args(["app", "install", "broker", "--set", "password=x", "--data"])
        .arg(garden.data.path())
        .stdout(std::process::Stdio::null());
    let mut installing = installing.spawn().unwrap();
    wait("it is being installed", || garden.json(&["jobs"])["jobs"].get(0).filter(|job| job["app"] == "broker").cloned());
    assert!(refused(&garden, &offer).contains("is installed on this node"));
    installing.kill().unwrap();
    installing.wait().unwrap();
    roof.stop();
    garden.stop();
}

/// Where copies run or are asked for, as their lender sees it.
fn copies(lender: &Agent, state: &str) -> Vec<String> {
    let given = lender.json(&["lease", "ls"])["given"].as_array().cloned().unwrap();
    given.iter().filter(|lease| lease["state"] == state).map(|lease| lease["node-name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn as_many_copies_are_kept_as_are_wanted() {
    let mut garden = lender();
    let mut holders = ["roof", "barn"].map(|name| holder(name, &garden));
    for (agent, _) in &holders {
        agent.json(&["lease", "consent", "accept", "--node", "garden"]);
    }
    wait("it is known that their Docker runs", || {
        let members = garden.json(&["nodes"])["members"].as_array().cloned().unwrap();
        (members.iter().filter(|member| member["health"]["docker"] == "running").count() == 2).then_some(())
    });
    assert!(refused(&garden, &["lease", "keep", "broker", "--copies", "1"]).contains("`password` must be said"));
    assert!(refused(&garden, &["lease", "keep", "broker", "--copies", "17", "--set", "password=x"]).contains("at most 16"));
    assert!(refused(&garden, &["lease", "keep", "wiki", "--copies", "1"]).contains("no app `wiki`"));
    garden.json(&["lease", "keep", "broker", "--copies", "1", "--set", "password=se-cret"]);
    let first = wait("one runs", || copies(&garden, "runs").pop());
    let at = usize::from(first == "barn");
    // A start of the lender's agent asks nobody else.
    restart(&mut garden);
    for (agent, _) in &holders {
        wait("they meet again", || (agent.alive().len() == 3).then_some(()));
    }
    wait("it is counted again", || (garden.json(&["lease", "ls"])["replicas"][0]["running"] == 1).then_some(()));
    assert_eq!((copies(&garden, "runs"), copies(&garden, "offered")), (vec![first.clone()], vec![]));
    // Where it was removed it does not come again; somebody else is asked, with the same settings.
    holders[at].0.json(&["app", "remove", "broker"]);
    let second = wait("another one runs", || copies(&garden, "runs").pop().filter(|name| *name != first));
    let kept = wait("it is counted", || Some(garden.json(&["lease", "ls"])["replicas"][0].clone()).filter(|kept| kept["running"] == 1));
    assert_eq!((&kept["wanted"], &kept["left-alone"], &kept["why"]), (&1.into(), &1.into(), &"".into()), "{kept}");
    assert!(!kept.to_string().contains("se-cret"));
    assert_eq!(words(&holders[1 - at].1), ["pull", "up"]);
    // More are wanted than there are nodes: it is said. Saying it anew asks the other one again.
    garden.json(&["lease", "keep", "broker", "--copies", "3"]);
    wait("both run", || (copies(&garden, "runs").len() == 2).then_some(()));
    wait("one lacks", || (garden.json(&["lease", "ls"])["replicas"][0]["missing"] == 1).then_some(()));
    // One is enough: the one that came last goes.
    garden.json(&["lease", "keep", "broker", "--copies", "1"]);
    wait("one is left", || (copies(&garden, "runs") == [second.clone()]).then_some(()));
    garden.json(&["lease", "keep", "broker", "--copies", "0"]);
    wait("none is left, nor a wish", || {
        (copies(&garden, "runs").is_empty() && garden.json(&["lease", "ls"])["replicas"].as_array().unwrap().is_empty()).then_some(())
    });
    for (agent, _) in &mut holders {
        wait("it is gone", || agent.json(&["app", "list"])["apps"].as_array().unwrap().is_empty().then_some(()));
        agent.stop();
    }
    garden.stop();
}
