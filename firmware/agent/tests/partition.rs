//! Real agents in network namespaces: a community that is cut in two writes on both sides, and once the cable is back
//! all hold the same. And an agent whose disk is full.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use support::{
    Local,
    namespaces::{self, Script, agree, ask, get},
    wait, wait_for,
};

/// How long all may take to hold the same once the link is back.
const MEET: Duration = Duration::from_secs(30);
/// Services that each node publishes while the community is cut in two, of some 2 KB each: about 1 MB together.
const SERVICES: usize = 120;

/// `$2` a folder with one data folder for each agent. Two bridges; each agent hangs on one of them in a namespace of its
/// own. Lines on its input are run.
const COMMUNITY: &str = r#"
set -e
ip link set lo up
for bridge in left right; do ip link add $bridge type bridge; ip link set $bridge up; done
for n in 1 2 3 4; do
  unshare --net sh -c 'echo $$; exec sleep infinity' > "$2/$n/pid" &
  while [ ! -s "$2/$n/pid" ]; do sleep 0.05; done
  there=$(cat "$2/$n/pid")
  inside() { nsenter --target "$there" --net -- "$@"; }
  ip link add v$n type veth peer name eth netns "$there"
  ip link set v$n master left
  ip link set v$n up
  inside ip link set lo up
  inside ip link set eth up
  inside ip address add 10.9.0.$n/24 dev eth
  inside "$1" agent --http 127.0.0.1:0 --bind 10.9.0.$n:4747 --broker /nonexistent/broker.sock --data "$2/$n" &
done
echo started
while read -r line; do eval "$line"; echo done; done
"#;

/// `$2` a folder; the data folder below it is a disk of 24 MB.
const SMALL_DISK: &str = r#"
set -e
ip link set lo up
mount -t tmpfs -o size=24m tmpfs "$2/disk"
printf 'hostname = "small"\n[join]\nfound = "Home"\nmdns = false\n' > "$2/disk/cloudy.toml"
"$1" agent --http 127.0.0.1:0 --bind 127.0.0.1:0 --broker /nonexistent/broker.sock --data "$2/disk" --socket "$2/agent.sock" &
echo started
while read -r line; do eval "$line"; echo done; done
"#;

fn states(socket: &Path) -> Vec<(String, String)> {
    let nodes = get(socket, "/api/v1/nodes");
    let text = |member: &Value, key: &str| member[key].as_str().unwrap_or_default().to_owned();
    nodes["members"].as_array().into_iter().flatten().map(|member| (text(member, "name"), text(member, "state"))).collect()
}

#[test]
fn both_sides_of_a_partition_hold_the_same_within_half_a_minute() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut script, sockets) = namespaces::community(COMMUNITY, folder.path(), 4);

    script.tell("ip link set v3 master right; ip link set v4 master right");
    let sees = |at: usize, down: [&str; 2]| {
        let states = states(&sockets[at]);
        down.iter().all(|name| states.iter().any(|(other, state)| other == name && state == "down"))
    };
    wait("both sides miss each other", || {
        ((0..2).all(|at| sees(at, ["n3", "n4"])) && (2..4).all(|at| sees(at, ["n1", "n2"]))).then_some(())
    });
    for (n, socket) in sockets.iter().enumerate() {
        let mut local = Local::open_at(socket).unwrap();
        for number in 0..SERVICES {
            let body = json!({ "title": format!("{n} {number}"), "description": "x".repeat(1950) });
            assert_eq!(local.ask("PUT", &format!("/api/v1/services/s{number}"), &body).unwrap().0, 200);
        }
    }
    for side in [&sockets[..2], &sockets[2..]] {
        let root = |socket: &PathBuf| get(socket, "/api/v1/view")["root"].clone();
        wait("each side holds the same", || (root(&side[0]) == root(&side[1])).then_some(()));
    }
    assert!(!agree(&sockets), "the partition lets something through");

    script.tell("ip link set v3 master left; ip link set v4 master left");
    let begun = Instant::now();
    wait_for("all hold the same again", MEET, || agree(&sockets).then_some(()));
    println!("4 agents, 1 MB of difference: the same root hash {:.1} s after the link was back", begun.elapsed().as_secs_f64());
    for (n, socket) in sockets.iter().enumerate() {
        let other = (n + 2) % 4;
        let found = get(socket, &format!("/api/v1/services?limit=200&node=n{}", other + 1));
        assert_eq!(found["services"].as_array().unwrap().len(), SERVICES);
        assert_eq!(found["services"][0]["title"], format!("{other} 0"));
    }
}

#[test]
fn on_a_full_disk_reads_go_on_and_writes_are_refused_with_the_reason() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    let socket = folder.path().join("agent.sock");
    let mut script = Script::start(SMALL_DISK, &[folder.path()]);
    wait("the community is founded", || (get(&socket, "/api/v1/view")["phase"] == "open").then_some(()));
    let put = |key: &str| ask(&socket, "PUT", &format!("/api/v1/services/{key}"), &json!({ "description": "x".repeat(1900) })).unwrap();
    let keys = || {
        let found = get(&socket, "/api/v1/services?limit=200");
        found["services"].as_array().unwrap().iter().map(|service| service["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(put("before").0, 200);
    script.tell(r#"dd if=/dev/zero of="$2/disk/fill" bs=64k 2>/dev/null || true"#);
    for _ in 0..20 {
        let (status, answer) = put("refused");
        assert_eq!(status, 507, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains("the disk is full"), "{answer}");
        assert_eq!(keys(), ["before"]);
    }
    let said = get(&socket, "/api/v1/nodes")["problems"].to_string();
    assert!(said.contains("the disk is full"), "{said}");
    // Room is made by taking something away, too.
    assert_eq!(ask(&socket, "DELETE", "/api/v1/services/before", &Value::Null).unwrap().0, 200);
    assert!(keys().is_empty());
    script.tell(r#"rm "$2/disk/fill""#);
    assert_eq!(put("after").0, 200);
    assert_eq!(keys(), ["after"]);
    // What was to be written of the roster meanwhile is written at its next try.
    wait("no problem is left", || (get(&socket, "/api/v1/nodes")["problems"] == json!([])).then_some(()));
}
