//! An agent that starts before there is a network (a cable that is plugged in later, a router that boots more slowly) finds
//! its neighbours all the same, on each network that it is on, also on one that goes and comes back. Two real agents in network
//! namespaces of an ordinary user, with IPv4 alone.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use support::{
    cloudy,
    namespaces::{self, Script},
    nodes, wait,
};

/// Two networks' namespaces, `inside` the second; `start` has an agent in each, and goes on with the next line of its input.
const NAMESPACES: &str = r#"
set -e
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
unshare --net sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo $$; exec sleep infinity' > "$3/pid" &
while [ ! -s "$3/pid" ]; do sleep 0.05; done
there=$(cat "$3/pid")
inside() { nsenter --target "$there" --net -- "$@"; }
ip link set lo up
inside ip link set lo up
start() {
    agent="agent --http 127.0.0.1:0 --broker /nonexistent/broker.sock --data"
    "$1" $agent "$2" &
    inside "$1" $agent "$3" &
    echo started
    read -r line
}
"#;

/// Runs in namespaces of its own: `$1` the program, `$2` and `$3` the data folders. A line on its input gives the second
/// agent an address; its end ends everything, since the script is the first process of its namespace.
const SCRIPT: &str = r#"
ip link add one type veth peer name two netns "$there"
ip link set one up
inside ip link set two up
ip address add 10.9.0.1/24 dev one
ip route add default via 10.9.0.254
start "$@"
inside ip address add 10.9.0.2/24 dev two
inside ip route add default via 10.9.0.254
echo done
read -r line || true
"#;

#[test]
fn a_node_that_starts_before_its_network_finds_its_neighbours() {
    if !namespaces::are_there() {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("cloudy.toml"), "hostname = \"one\"\n[join]\nfound = \"Home\"\nmdns = true\n").unwrap();
    std::fs::write(two.path().join("cloudy.toml"), "hostname = \"two\"\n[join]\nlan = true\n").unwrap();
    let mut script = Script::start(&format!("{NAMESPACES}{SCRIPT}"), &[one.path(), two.path()]);
    wait("two says that it is on no network", || nodes(two.path()).filter(|nodes| nodes.to_string().contains("on no network")));
    script.tell("connect");
    wait("two sees one", || nodes(two.path()).filter(|nodes| nodes["lan"]["seen"].as_array().is_some_and(|seen| !seen.is_empty())));
}

/// The same, where the first agent's way to the world is another network than the one on which its neighbour is. A line on its
/// input has the interface go and another come with the same address, quicker than anybody looks.
const TWO_NETWORKS: &str = r#"
plug() {
    ip link add one type veth peer name two netns "$there"
    inside ip address add 10.9.0.2/24 dev two
    ip address add 10.9.0.1/24 dev one
    inside ip link set two up
    ip link set one up
}
ip link add world type veth peer name away
ip address add 10.8.0.1/24 dev world
ip link set world up
ip link set away up
ip route add default via 10.8.0.254
plug
start "$@"
ip link delete one
plug
echo done
read -r line || true
"#;

#[test]
fn neighbours_are_heard_on_each_network_and_on_one_that_came_back() {
    if !namespaces::are_there() {
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("cloudy.toml"), "hostname = \"one\"\n[join]\nfound = \"Home\"\nmdns = true\n").unwrap();
    std::fs::write(two.path().join("cloudy.toml"), "hostname = \"two\"\n[join]\nmdns = true\n").unwrap();
    let mut script = Script::start(&format!("{NAMESPACES}{TWO_NETWORKS}"), &[one.path(), two.path()]);
    let sees = |who: &tempfile::TempDir, open: bool| {
        nodes(who.path())
            .filter(|nodes| nodes["lan"]["seen"].as_array().is_some_and(|seen| seen.len() == 1 && seen[0]["door-open"] == open))
    };
    wait("two sees one", || sees(&two, false));
    wait("one sees two", || sees(&one, false));
    script.tell("plug in again");
    let opened = cloudy().args(["door", "30", "--data"]).arg(one.path()).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    wait("two hears that the door of one is open", || sees(&two, true));
}
