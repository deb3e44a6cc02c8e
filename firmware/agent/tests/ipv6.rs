//! Real agents in network namespaces that have IPv6 alone, and one that has both and loses IPv4.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};
use support::{
    cloudy,
    namespaces::{self, agree, ask, get},
    wait,
};

/// `$2` a folder with one data folder for each agent, in a namespace of its own on one bridge, where `four N` and `six N` give it addresses.
/// Lines on the script's input are run.
const COMMUNITY: &str = r#"
set -e
program=$1 folder=$2
ip link set lo up
ip link add net0 type bridge
ip link set net0 up
inside() { there=$(cat "$folder/$1/pid"); shift; nsenter --target "$there" --net -- "$@"; }
four() { inside $1 ip address add 10.9.0.$1/24 dev eth; }
six() { inside $1 ip -6 address add 2001:db8:9::$1/64 dev eth nodad; }
for n in 1 2 3; do
  unshare --net sh -c 'echo $$; exec sleep infinity' > "$folder/$n/pid" &
  while [ ! -s "$folder/$n/pid" ]; do sleep 0.05; done
  ip link add v$n type veth peer name eth netns "$(cat "$folder/$n/pid")"
  ip link set v$n master net0
  ip link set v$n up
  inside $n ip link set lo up
  inside $n ip link set eth up
  ADDRESSES
  inside $n "$program" agent --http 127.0.0.1:0 --bind 0.0.0.0:4747 --bind [::]:4747 --broker /nonexistent/broker.sock --data "$folder/$n" &
done
echo started
while read -r line; do eval "$line"; echo done; done
"#;

/// That, each with such addresses.
fn script(addresses: &str) -> String {
    COMMUNITY.replace("ADDRESSES", addresses)
}

fn member(at: &Path, name: &str) -> Value {
    let nodes = get(at, "/api/v1/nodes");
    nodes["members"].as_array().into_iter().flatten().find(|member| member["name"] == name).cloned().unwrap_or_default()
}

/// The addresses that are read in some field of a JSON value.
fn addresses(said: &Value) -> BTreeSet<IpAddr> {
    let all = said.as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
    all.iter().filter_map(|address| Some(address.as_str()?.parse::<SocketAddr>().ok()?.ip().to_canonical())).collect()
}

/// Whether `at` is linked with a member over IPv6, which is alive.
fn is_linked_by_six(at: &Path, name: &str) -> bool {
    let member = member(at, name);
    member["state"] == "alive" && addresses(&member["link"]["address"]).iter().any(IpAddr::is_ipv6)
}

fn blob(data: &Path, words: &[&str]) -> Value {
    let output = cloudy().arg("blob").args(words).args(["--json", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn nodes_with_ipv6_alone_join_agree_and_fetch_blobs() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_script, sockets) = namespaces::community(&script("six $n"), folder.path(), 3);
    for socket in &sockets {
        for n in 1..=3 {
            let own = format!("2001:db8:9::{n}").parse::<IpAddr>().unwrap();
            wait("its card has its address", || addresses(&member(socket, &format!("n{n}"))["addresses"]).contains(&own).then_some(()));
            assert!(!addresses(&member(socket, &format!("n{n}"))["addresses"]).iter().any(IpAddr::is_ipv4));
        }
    }
    // A member that did not found it leads a newcomer's packets as well as any: all are linked by IPv6, since there is nothing else.
    for (at, socket) in sockets.iter().enumerate() {
        for n in (1..=3).filter(|n| n - 1 != at) {
            wait("they are linked", || is_linked_by_six(socket, &format!("n{n}")).then_some(()));
        }
    }
    assert_eq!(ask(&sockets[1], "PUT", "/api/v1/services/wiki", &json!({ "title": "Wiki" })).unwrap().0, 200);
    wait("all hold the same", || agree(&sockets).then_some(()));
    let (file, output) = (folder.path().join("film"), folder.path().join("fetched"));
    let film: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&file, &film).unwrap();
    let hash = blob(&folder.path().join("1"), &["add", file.to_str().unwrap()])["hash"].as_str().unwrap().to_owned();
    wait("it is told", || blob(&folder.path().join("3"), &["ls"]).to_string().contains(&hash).then_some(()));
    blob(&folder.path().join("3"), &["get", &hash, "--output", output.to_str().unwrap()]);
    assert!(std::fs::read(&output).unwrap() == film);
}

#[test]
fn a_node_that_loses_ipv4_goes_on_being_reached() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut script, sockets) = namespaces::community(&script("four $n; [ $n = 3 ] || six $n"), folder.path(), 3);
    for socket in &sockets[..2] {
        assert!(!is_linked_by_six(socket, "n3"), "it has no such address yet");
    }
    script.tell("six 3");
    for socket in &sockets {
        wait("its card has both", || {
            let said = addresses(&member(socket, "n3")["addresses"]);
            (said.iter().any(IpAddr::is_ipv4) && said.iter().any(IpAddr::is_ipv6)).then_some(())
        });
    }
    script.tell("inside 3 ip address del 10.9.0.3/24 dev eth");
    for socket in &sockets[..2] {
        wait("it is reached by what it still has", || is_linked_by_six(socket, "n3").then_some(()));
        wait("its card says so", || (!addresses(&member(socket, "n3")["addresses"]).iter().any(IpAddr::is_ipv4)).then_some(()));
    }
    assert_eq!(ask(&sockets[2], "PUT", "/api/v1/services/wiki", &json!({ "title": "Wiki" })).unwrap().0, 200);
    wait("all hold the same", || agree(&sockets).then_some(()));
    for socket in &sockets {
        assert!(get(socket, "/api/v1/services?limit=200&node=n3").to_string().contains("\"wiki\""));
    }
}
