//! Newcomers without an invite: one beside an open door goes in by itself only where its cloudy.toml says `lan = true`; another comes in by
//! four words that two people compare. Two real agents in network namespaces of an ordinary user.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Output;
use support::{
    cloudy,
    namespaces::{self, Script},
    nodes, wait,
};

/// `$2` and `$3` are the data folders. Lines on its input are run; `start` and `stop` are the newcomer's.
const SCRIPT: &str = r#"
set -e
program=$1 newcomer=$3
unshare --net sh -c 'echo $$; exec sleep infinity' > "$newcomer/pid" &
while [ ! -s "$newcomer/pid" ]; do sleep 0.05; done
there=$(cat "$newcomer/pid")
inside() { nsenter --target "$there" --net -- "$@"; }
ip link add one type veth peer name two netns "$there"
ip link set lo up
inside ip link set lo up
ip link set one up
inside ip link set two up
ip address add 10.9.0.1/24 dev one
ip route add default via 10.9.0.254
inside ip address add 10.9.0.2/24 dev two
inside ip route add default via 10.9.0.254
agent="agent --http 127.0.0.1:0 --broker /nonexistent/broker.sock --data"
"$program" $agent "$2" &
start() { nsenter --target "$there" --net -- "$program" $agent "$newcomer" & agent_pid=$!; }
stop() { kill "$agent_pid"; wait "$agent_pid"; }
start
echo started
while read -r line; do eval "$line"; echo done; done
"#;

fn write(data: &Path, toml: &str) {
    std::fs::write(data.join("cloudy.toml"), toml).unwrap();
}

#[test]
fn a_newcomer_goes_through_an_open_door_only_where_its_settings_allow_it() {
    if !namespaces::are_there() {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(one.path(), "hostname = \"one\"\n[join]\nfound = \"Home\"\ndoor = \"open\"\nmdns = true\n");
    write(two.path(), "hostname = \"two\"\n[join]\nmdns = true\n");
    let mut script = Script::start(SCRIPT, &[one.path(), two.path()]);
    let open = |nodes: &Value| nodes["lan"]["seen"].as_array().is_some_and(|seen| seen.iter().any(|node| node["door-open"] == true));
    wait("two sees the open door", || nodes(two.path()).filter(open));
    // It has seen it, and neither is in nor tries to be.
    let seen = nodes(two.path()).unwrap();
    assert!(open(&seen) && seen["community"].is_null() && seen["joining"].is_null(), "{seen}");
    // The other side has seen it too, and has nobody new.
    wait("one sees two", || nodes(one.path()).filter(|nodes| nodes["lan"]["seen"].as_array().is_some_and(|seen| !seen.is_empty())));
    assert_eq!(nodes(one.path()).unwrap()["members"].as_array().unwrap().len(), 1);

    // The same node goes in once it may: the door was no wall.
    script.tell("stop");
    assert!(nodes(two.path()).is_none(), "the newcomer was stopped");
    write(two.path(), "hostname = \"two\"\n[join]\nlan = true\nmdns = true\n");
    script.tell("start");
    wait("two is in", || nodes(two.path()).filter(|nodes| nodes["community"]["name"] == "Home"));
    wait("one has it as a member", || nodes(one.path()).filter(|nodes| nodes["members"].as_array().is_some_and(|all| all.len() == 2)));
}

/// What the command line says that speaks to the agent with that data.
fn run(data: &Path, words: &[&str]) -> Output {
    cloudy().args(words).arg("--data").arg(data).output().unwrap()
}

fn json(data: &Path, words: &[&str]) -> Value {
    serde_json::from_slice(&run(data, &[words, &["--json"]].concat()).stdout).unwrap_or_default()
}

#[test]
fn a_newcomer_found_on_the_network_comes_in_by_four_words() {
    if !namespaces::are_there() {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(one.path(), "hostname = \"one\"\n[join]\nfound = \"Home\"\nmdns = true\n");
    write(two.path(), "hostname = \"two\"\n[join]\nmdns = true\n");
    let _script = Script::start(SCRIPT, &[one.path(), two.path()]);
    wait("two sees whom it can ask", || {
        let shown = String::from_utf8(run(two.path(), &["ask"]).stdout).unwrap();
        shown.contains("one  of `Home`").then_some(())
    });
    let asked = json(two.path(), &["ask", "one"]);
    assert_eq!(asked["asking"]["name"], "one", "{asked}");
    let compared = |asked: &Value| asked["asking"]["step"]["words"].as_str().map(str::to_owned);
    let words = wait("two shows words", || compared(&json(two.path(), &["ask"])));
    let newcomers = wait("one shows a newcomer", || {
        let shown = json(one.path(), &["newcomers"]);
        (shown["newcomers"].as_array().is_some_and(|all| !all.is_empty())).then_some(shown)
    });
    let newcomer = &newcomers["newcomers"][0];
    assert_eq!((newcomer["name"].as_str(), newcomer["words"].as_str()), (Some("two"), Some(words.as_str())), "{newcomers}");

    let four: Vec<&str> = words.split(' ').collect();
    let wrong = run(one.path(), &["admit", "abandon", "abandon", "abandon", "abandon"]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("let nobody in"), "{wrong:?}");
    assert_eq!(json(one.path(), &[&["admit"], four.as_slice()].concat())["admit"], true);
    wait("two hears the admin's yes", || (json(two.path(), &["ask"])["asking"]["step"]["admitted"] == true).then_some(()));
    assert!(nodes(two.path()).unwrap()["community"].is_null(), "its own person has said nothing");
    assert!(run(two.path(), &[&["ask", "--same"], four.as_slice()].concat()).status.success());
    wait("two is in", || nodes(two.path()).filter(|nodes| nodes["community"]["name"] == "Home"));
    wait("one has it as a member", || nodes(one.path()).filter(|nodes| nodes["members"].as_array().is_some_and(|all| all.len() == 2)));
    assert_eq!(json(one.path(), &["newcomers"])["newcomers"], Value::Array(Vec::new()));
}
