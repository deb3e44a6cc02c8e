//! Real agents in network namespaces, where two can't reach each other: what they say goes through a member that both reach.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{
    namespaces::{self, get},
    wait,
};

/// `$2` a folder with one data folder for each agent. Agents 1 and 2 stand between two networks and are the only ones with an address in
/// both; 3 is in one of them, 4 in the other, and nothing is routed. Lines on the script's input are run.
const TWO_NETWORKS: &str = r#"
set -e
ip link set lo up
for bridge in left right; do ip link add $bridge type bridge; ip link set $bridge up; done
for n in 1 2 3 4; do
  unshare --net sh -c 'echo $$; exec sleep infinity' > "$2/$n/pid" &
  while [ ! -s "$2/$n/pid" ]; do sleep 0.05; done
  there=$(cat "$2/$n/pid")
  inside() { nsenter --target "$there" --net -- "$@"; }
  inside ip link set lo up
  case $n in 1|2) sides="left right" ;; 3) sides=left ;; 4) sides=right ;; esac
  for side in $sides; do
    net=8; [ $side = right ] && net=9
    ip link add $side$n type veth peer name eth$net netns "$there"
    ip link set $side$n master $side
    ip link set $side$n up
    inside ip link set eth$net up
    inside ip address add 10.$net.0.$n/24 dev eth$net
  done
  # As behind a router that lets nobody in: what is sent to the other network is lost, without a word.
  case $n in
    3) inside ip route add 10.9.0.0/24 dev eth8; inside ip neigh add 10.9.0.4 lladdr 02:00:00:00:00:99 dev eth8 ;;
    4) inside ip route add 10.8.0.0/24 dev eth9; inside ip neigh add 10.8.0.3 lladdr 02:00:00:00:00:99 dev eth9 ;;
  esac
  nsenter --target "$there" --net -- "$1" agent --http 127.0.0.1:0 --bind 0.0.0.0:4747 --broker /nonexistent/broker.sock --data "$2/$n" &
  echo $! > "$2/$n/agent"
done
echo started
while read -r line; do eval "$line"; echo done; done
"#;

/// What a node shows of another.
fn member(socket: &Path, name: &str) -> Value {
    let nodes = get(socket, "/api/v1/nodes");
    let found = nodes["members"].as_array().into_iter().flatten().find(|member| member["name"] == name);
    found.cloned().unwrap_or_default()
}

/// The name of the member through whom `at` reaches `to`.
fn through(at: &Path, to: &str) -> Option<String> {
    let link = member(at, to)["link"].clone();
    let id = link["through"].as_str()?.to_owned();
    let nodes = get(at, "/api/v1/nodes");
    let carrier = nodes["members"].as_array()?.iter().find(|member| member["id"] == id.as_str())?.clone();
    carrier["name"].as_str().map(str::to_owned)
}

#[test]
fn nodes_that_do_not_reach_each_other_are_joined_by_a_member_that_both_reach() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut script, sockets) = namespaces::community(TWO_NETWORKS, folder.path(), 4);

    // Both sides have a link to the other, and none of them by an address.
    let carrier = wait("n3 reaches n4 through a member", || through(&sockets[2], "n4"));
    assert!(["n1", "n2"].contains(&carrier.as_str()), "{carrier}");
    wait("n4 reaches n3 through a member", || through(&sockets[3], "n3"));
    assert!(member(&sockets[2], "n4")["link"]["address"].is_null());
    assert!(through(&sockets[2], "n1").is_none(), "who is reached directly is reached directly");

    // What is large goes over it too, and whole: n4 alone holds the blob.
    let file = folder.path().join("large");
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from((at / 7 + at / 1000) % 251).unwrap()).collect();
    std::fs::write(&file, &content).unwrap();
    let cloudy = |socket: &Path, words: &[&str]| {
        let output = support::cloudy().args(words).arg("--data").arg(socket.parent().unwrap()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let added: Value = serde_json::from_str(&cloudy(&sockets[3], &["blob", "add", file.to_str().unwrap(), "--json"])).unwrap();
    let hash = added["hash"].as_str().unwrap().to_owned();
    wait("n3 hears who holds it", || get(&sockets[2], "/api/v1/blobs").to_string().contains(&hash).then_some(()));
    let got = folder.path().join("got");
    cloudy(&sockets[2], &["blob", "get", &hash, "--output", got.to_str().unwrap()]);
    assert!(std::fs::read(&got).unwrap() == content, "the blob is not what was added");

    // The member between loses its power: the other one carries.
    let (gone, stays) = if carrier == "n1" { (1, "n2") } else { (2, "n1") };
    script.tell(&format!("kill -9 $(cat \"$2/{gone}/agent\")"));
    wait("another member carries", || (through(&sockets[2], "n4").as_deref() == Some(stays)).then_some(()));
    wait("nobody is missed but who lost its power", || (member(&sockets[2], "n4")["state"] == "alive").then_some(()));

    // A cable between the two networks: the direct path is taken, unasked.
    script.tell("there=$(cat \"$2/4/pid\"); nsenter --target $there --net ip route del 10.8.0.0/24; ip link add short type veth peer name eth8 netns $there; ip link set short master left; \
                 ip link set short up; nsenter --target $there --net ip link set eth8 up; \
                 nsenter --target $there --net ip address add 10.8.0.4/24 dev eth8");
    wait("the direct path is taken", || member(&sockets[2], "n4")["link"]["address"].as_str().map(str::to_owned));
}
