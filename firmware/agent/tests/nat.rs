//! Real agents behind real routers: homes that translate addresses, let in nothing unasked, and have the same private addresses. Their nodes
//! only dial out, and reach each other through members.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use cluster::Token;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use support::{
    namespaces::{self, ask, get},
    wait,
};

/// All members but the last; it joins later. One has more members than it keeps connections.
const FIRST: usize = 15;
/// The agents of the public network, and those of each home. The last home's last agent is the one that joins later.
const PUBLIC: [usize; 4] = [1, 2, 3, 4];
const HOMES: [&[usize]; 3] = [&[5, 6, 7, 8], &[9, 10, 11, 12], &[13, 14, 15, 16]];
/// The one that joins later.
const NEWCOMER: usize = 16;

/// `$2` a folder with one data folder for each agent. Agents 1 to 4 stand in a public network; the others behind the routers of three homes, the first
/// two of which have the same private addresses, each of them taken by an agent in both. What is sent to an address that is nowhere is
/// lost, without a word. Lines on the script's input are run.
const THREE_HOMES: &str = r#"
set -e
ip link set lo up
ip link add public type bridge
ip link set public up
# A namespace of that name, with a cable `$3` from its interface `$4` to the bridge of the namespace `$2`, or to the one here.
space() {
  unshare --net sh -c 'echo $$; exec sleep infinity' > "$folder/$1.pid" &
  while [ ! -s "$folder/$1.pid" ]; do sleep 0.05; done
  in_space $1 ip link set lo up
  if [ $2 = public ]; then
    ip link add $3 type veth peer name $4 netns $(cat "$folder/$1.pid")
    ip link set $3 master public
    ip link set $3 up
  else
    in_space $2 ip link add $3 type veth peer name $4 netns $(cat "$folder/$1.pid")
    in_space $2 ip link set $3 master lan
    in_space $2 ip link set $3 up
  fi
  in_space $1 ip link set $4 up
}
in_space() { there=$(cat "$folder/$1.pid"); shift; nsenter --target $there --net -- "$@"; }
# Beyond the public network there is nothing that answers.
public_address() {
  in_space $1 ip address add 203.0.113.$2/24 dev $3
  in_space $1 ip neigh add 203.0.113.254 lladdr 02:00:00:00:00:99 dev $3
  in_space $1 ip route add default via 203.0.113.254
}
# As routers at home are: what goes out has the router's address, and what comes unasked is dropped. `$2` how ports are chosen.
router() {
  in_space $1 ip link add lan type bridge
  in_space $1 ip link set lan up
  in_space $1 sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
  in_space $1 nft -f - <<RULES
table ip nat {
  chain out {
    type nat hook postrouting priority 100
    oifname "wan" masquerade $2
  }
}
table ip filter {
  chain through {
    type filter hook forward priority 0
    policy drop
    ct state established,related accept
    iifname "lan" accept
  }
  chain in {
    type filter hook input priority 0
    policy drop
    ct state established,related accept
    iifname "lan" accept
  }
}
RULES
}
agent() {
  nsenter --target $(cat "$folder/$1.pid") --net -- "$program" agent --http 127.0.0.1:0 --bind 0.0.0.0:4747 --broker /nonexistent/broker.sock --data "$folder/$1" &
  echo $! > "$folder/$1/agent"
}
program=$1 folder=$2
for n in 1 2 3 4; do
  space $n public v$n eth
  public_address $n $n eth
  agent $n
done
home() {
  router=$1 address=$2 net=$3 ports=$4
  space $router public v$router wan
  public_address $router $address wan
  router $router $ports
  in_space $router ip address add $net.1/24 dev lan
  shift 4
  at=1
  for n in "$@"; do
    at=$((at + 1))
    space $n $router v$n eth
    in_space $n ip address add $net.$at/24 dev eth
    in_space $n ip route add default via $net.1
    agent $n
  done
}
home first 101 10.0.0 '' 5 6 7 8
home second 102 10.0.0 random 9 10 11 12
home third 103 192.168.1 random 13 14 15 16
echo started
while read -r line; do eval "$line"; echo done; done
"#;

/// Who is in which home; the public network is none.
fn home(n: usize) -> Option<usize> {
    HOMES.iter().position(|home| home.contains(&n))
}

struct Community {
    sockets: Vec<PathBuf>,
}

impl Community {
    fn socket(&self, n: usize) -> &Path {
        &self.sockets[n - 1]
    }

    /// What a node shows of all, by number.
    fn members(&self, at: usize) -> BTreeMap<usize, Value> {
        let nodes = get(self.socket(at), "/api/v1/nodes");
        let number = |member: &Value| member["name"].as_str()?.strip_prefix('n')?.parse().ok();
        nodes["members"].as_array().into_iter().flatten().filter_map(|member| Some((number(member)?, member.clone()))).collect()
    }

    /// The member through whom `at` reaches each that it reaches so now.
    fn through(&self, at: usize) -> BTreeMap<usize, usize> {
        let members = self.members(at);
        let number = |id: &Value| members.iter().find(|(_, member)| member["id"] == *id).map(|(n, _)| *n);
        members.iter().filter_map(|(n, member)| Some((*n, number(&member["link"]["through"])?))).collect()
    }

    fn cloudy(&self, at: usize, words: &[&str]) -> String {
        let output = support::cloudy().args(words).arg("--data").arg(self.socket(at).parent().unwrap()).output().unwrap();
        assert!(output.status.success(), "n{at}: {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, at: usize, words: &[&str]) -> Value {
        serde_json::from_str(&self.cloudy(at, &[words, &["--json"]].concat())).unwrap()
    }

    /// `to` gets a blob that `from` alone holds.
    fn sends(&self, from: usize, to: usize, bytes: u32) {
        let folder = self.socket(from).parent().unwrap();
        let (file, got) = (folder.join("file"), folder.join(format!("got-{to}")));
        let content: Vec<u8> = (0..bytes).map(|at| u8::try_from((at / 7 + at / 1000) % 251).unwrap()).collect();
        let content = [format!("from n{from} to n{to} ").into_bytes(), content].concat();
        std::fs::write(&file, &content).unwrap();
        let added = self.json(from, &["blob", "add", file.to_str().unwrap()]);
        let hash = added["hash"].as_str().unwrap();
        wait(&format!("n{to} hears of the blob of n{from}"), || {
            get(self.socket(to), "/api/v1/blobs").to_string().contains(hash).then_some(())
        });
        assert_eq!(ask(self.socket(to), "POST", &format!("/api/v1/blobs/{hash}"), &json!({})).unwrap().0, 202);
        wait(&format!("n{to} has the blob of n{from}"), || {
            let blob = get(self.socket(to), &format!("/api/v1/blobs/{hash}"));
            (blob["here"]["complete"] == true).then_some(())
        });
        let _none_before = std::fs::remove_file(&got);
        self.cloudy(to, &["blob", "get", hash, "--output", got.to_str().unwrap()]);
        assert!(std::fs::read(&got).unwrap() == content, "n{to} got another blob than n{from} has");
    }

    /// Waits until all but those who are gone hold all others alive, and those who are gone for gone.
    fn all_are_alive_but(&self, gone: &[usize]) {
        for at in (1..=self.sockets.len()).filter(|n| !gone.contains(n)) {
            wait(&format!("n{at} holds nobody gone but {gone:?}"), || {
                let members = self.members(at);
                let right = |(n, member): (&usize, &Value)| member["state"] == if gone.contains(n) { "down" } else { "alive" };
                (members.len() == self.sockets.len() && members.iter().all(right)).then_some(())
            });
        }
    }
}

#[test]
fn nodes_behind_routers_that_let_nobody_in_reach_all_others_through_members() {
    if !namespaces::with_nat_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let newcomer = folder.path().join(NEWCOMER.to_string());
    std::fs::create_dir(&newcomer).unwrap();
    std::fs::write(newcomer.join("cloudy.toml"), format!("hostname = \"n{NEWCOMER}\"\n[join]\nmdns = false\n")).unwrap();
    let (mut script, sockets) = namespaces::community(THREE_HOMES, folder.path(), FIRST);
    let mut all = Community { sockets };
    all.all_are_alive_but(&[]);

    // A node at home, made an admin, invites one of another home. Neither can be dialled.
    wait("n5 has reached members of the public network", || {
        let members = all.members(5);
        (PUBLIC.iter().filter(|n| members[n]["link"]["address"].is_string()).count() >= 3).then_some(())
    });
    let admin = all.members(1)[&5]["id"].clone();
    assert_eq!(ask(all.socket(1), "POST", "/api/v1/appoint", &json!({ "node": admin })).unwrap().0, 200);
    let invite = json!({ "uses": 1, "valid-seconds": null });
    let token = wait("it may invite", || {
        let (status, answer) = ask(all.socket(5), "POST", "/api/v1/invite", &invite)?;
        (status == 200).then(|| answer["token"].as_str().unwrap().to_owned())
    });
    let seeds = Token::parse(&token).unwrap().seeds().to_vec();
    let public = |address: &SocketAddr| matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[..3] == [203, 0, 113]);
    assert!(seeds.len() == 4 && seeds[1..].iter().all(|seed| seed.addresses.iter().any(public)), "whom it may ask: {seeds:?}");
    all.sockets.push(newcomer.join("agent.sock"));
    let joined = wait("the agent answers", || ask(all.socket(NEWCOMER), "POST", "/api/v1/join", &json!({ "token": token })));
    assert_eq!(joined.0, 200, "{joined:?}");
    wait("the newcomer is in, and all hold the same", || namespaces::agree(&all.sockets).then_some(()));

    // Each gets what one behind another router alone holds; one of them is large.
    let at_home: Vec<usize> = HOMES.concat();
    for to in &at_home {
        let from = at_home.iter().cycle().skip_while(|n| *n != to).step_by(3).find(|from| home(**from) != home(*to)).unwrap();
        all.sends(*from, *to, if *to == NEWCOMER { 3_000_000 } else { 50_000 });
    }
    // And finds what another publishes.
    let service = json!({ "title": "Behind two routers", "port": 8080 });
    assert_eq!(ask(all.socket(10), "PUT", "/api/v1/services/far", &service).unwrap().0, 200);
    for at in &at_home {
        wait("the service is found", || get(all.socket(*at), "/api/v1/services").to_string().contains("Behind two routers").then_some(()));
    }

    // Between homes all goes through members of the public network, and nowhere else does it.
    let (to, carrier) = wait("n5 reaches one of another home through a member", || {
        all.through(5).into_iter().find(|(to, _)| home(*to).is_some() && home(*to) != home(5))
    });
    for at in &at_home {
        for (to, member) in all.members(*at) {
            let elsewhere = home(to).is_some() && home(to) != home(*at);
            assert!(!elsewhere || member["link"]["address"].is_null(), "n{at} has n{to} at an address: {member}");
        }
    }
    assert!(PUBLIC.contains(&carrier), "n{carrier}");

    // That member loses its power: another carries.
    script.tell(&format!("kill -9 $(cat \"$2/{carrier}/agent\")"));
    wait("another member carries", || all.through(5).get(&to).filter(|through| **through != carrier).copied());
    all.sends(to, 5, 60_000);
    all.all_are_alive_but(&[carrier]);

    // The router of the first home gets another address, as providers do: what is open goes on, nobody is missed, and what n5 alone holds comes to
    // members that it had come to from the address of before, be they public or behind a router.
    script.tell("in_space first ip address del 203.0.113.101/24 dev wan; public_address first 111 wan");
    for at in PUBLIC.iter().filter(|n| **n != carrier) {
        all.sends(5, *at, 40_000);
    }
    all.sends(5, to, 50_000);
    all.sends(to, 5, 70_000);
    all.all_are_alive_but(&[carrier]);
}
