//! Each protocol of a real agent as a stranger and as a removed member speak it: forged, replayed, too much of it, and valid but for a bit. All of it is
//! refused before it has an effect, whoever may come is served all the while, and a flood of it takes a bounded amount of memory.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use cluster::{
    CommunityId, Kit, NodeId, Terms, Token,
    hello::{Reply, Request, read_reply, request_bytes},
    keys::Key,
    leases::{self, LeaseId, Offer},
    messages::frame::{Deliver, Item, LineId, MessageId},
    roster, sync,
    wire::{Name, encode},
};
use iroh::{
    Endpoint, EndpointAddr, RelayMode, SecretKey, TransportAddr,
    endpoint::{Connection, ConnectionError, presets},
};
use iroh_blobs::{Hash, protocol::GetRequest};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    str::FromStr,
    time::Duration,
};
use support::{Agent, PATIENCE, wait};
use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

/// As the agent names them; names that change would be other protocols.
const HELLO: &[u8] = b"cloudy/hello";
const MEMBER: &[u8] = b"cloudy/member/1";
const BLOBS: &[u8] = iroh_blobs::ALPN;
const TUNNEL: &[u8] = b"cloudy/tunnel/1";
const ALL: [&[u8]; 4] = [HELLO, MEMBER, BLOBS, TUNNEL];

/// What a node that is no member is told.
const NOT_ADMITTED: u64 = 403;
/// Inputs that are valid but for one bit, of each row.
const MUTATED: usize = 32;
/// Strangers of a flood, and connections of each, one after the other.
const FLOOD: (usize, usize) = (40, 15);
/// What each connection of a flood would say.
const FLOOD_BYTES: usize = 256 * 1024;
/// What a flood may add to an agent's memory.
const FLOOD_MB: u64 = 32;
/// What the agent holds in a blob of this test's.
const TEXT: &[u8] = b"from the garden";

/// Somebody with a key of its own.
struct Somebody {
    seed: [u8; 32],
    endpoint: Endpoint,
}

/// What came of saying something.
#[derive(Debug, PartialEq)]
enum Came {
    /// An answer.
    Answer(Vec<u8>),
    /// The connection was closed with this code, and nothing was answered.
    Closed(u64),
    /// It ended in another way, and nothing was answered.
    Nothing(String),
}

impl Somebody {
    async fn bind(seed: [u8; 32]) -> Self {
        let builder = Endpoint::builder(presets::Minimal).secret_key(SecretKey::from_bytes(&seed)).relay_mode(RelayMode::Disabled);
        let builder = builder.clear_ip_transports().bind_addr("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        Self { seed, endpoint: builder.bind().await.unwrap() }
    }

    fn id(&self) -> NodeId {
        Key(*self.endpoint.id().as_bytes())
    }

    /// Dials, says it in one stream, and hears to the end.
    async fn say(&self, to: &EndpointAddr, protocol: &[u8], bytes: &[u8]) -> Came {
        match timeout(PATIENCE, self.endpoint.connect(to.clone(), protocol)).await.unwrap() {
            Ok(conn) => said(&conn, bytes).await,
            Err(error) if format!("{error:?}").contains("403") => Came::Closed(NOT_ADMITTED),
            Err(error) => Came::Nothing(error.to_string()),
        }
    }
}

async fn said(conn: &Connection, bytes: &[u8]) -> Came {
    let talk = async {
        let (mut send, mut recv) = conn.open_bi().await.ok()?;
        // Also as a datagram, which needs no stream.
        let _not_taken = conn.send_datagram(bytes.get(..1000).unwrap_or(bytes).to_vec().into());
        // Who has heard enough reads no further.
        let _cut = send.write_all(bytes).await;
        let _closed = send.finish();
        recv.read_to_end(1 << 20).await.ok().filter(|answer| !answer.is_empty())
    };
    match timeout(PATIENCE, talk).await.unwrap() {
        Some(answer) => Came::Answer(answer),
        None => match conn.close_reason() {
            Some(ConnectionError::ApplicationClosed(close)) => Came::Closed(close.error_code.into_inner()),
            other => Came::Nothing(format!("{other:?}")),
        },
    }
}

/// A frame between members.
fn framed(body: &[u8]) -> Vec<u8> {
    [u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

/// The agent that all speak to, and what there is.
struct Victim {
    agent: Agent,
    at: EndpointAddr,
    me: NodeId,
    community: CommunityId,
    hash: Hash,
    /// Each for one node: the first for one that stays.
    tokens: [Token; 2],
}

impl Victim {
    fn start() -> Self {
        let agent = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
        wait("the community is founded", || (agent.alive() == ["garden"]).then_some(()));
        // What it publishes says back what it hears.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        agent.json(&["publish", "echo", "--port", &listener.local_addr().unwrap().port().to_string()]);
        std::thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut said = [0; 5];
                    socket.read_exact(&mut said).and_then(|()| socket.write_all(&said))
                });
            }
        });
        let file = agent.data.path().join("note.txt");
        std::fs::write(&file, TEXT).unwrap();
        let hash = agent.json(&["blob", "add", file.to_str().unwrap()])["hash"].as_str().unwrap().to_owned();
        let tokens = [(); 2].map(|()| Token::parse(agent.json(&["invite"])["token"].as_str().unwrap()).unwrap());
        let nodes = agent.json(&["nodes"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let address: SocketAddr = text(&nodes["me"]["addresses"][0]).parse().unwrap();
        let id: iroh::EndpointId = text(&nodes["me"]["id"]).parse().unwrap();
        let at = EndpointAddr::from_parts(id, [TransportAddr::Ip(address)]);
        let (me, community, hash) = (Key(*id.as_bytes()), tokens[0].community().id(), Hash::from_str(&hash).unwrap());
        Self { agent, at, me, community, hash, tokens }
    }

    /// All that others could change.
    fn state(&self) -> Value {
        let mut nodes = self.agent.json(&["nodes"]);
        let members: Vec<Value> =
            nodes["members"].as_array().unwrap().iter().map(|member| json!([member["id"], member["admin"]])).collect();
        let services = self.agent.json(&["search"])["services"].clone();
        let services: Vec<Value> =
            services.as_array().unwrap().iter().map(|s| json!([s["node"], s["key"], s["port"], s["health"]])).collect();
        let view: Value = serde_json::from_str(&support::get(&self.agent.page(), "/api/v1/view", &[]).1).unwrap();
        json!({
            "root": view["root"], "written": [view["epoch"], view["sequence"]], "members": members, "community": nodes["community"].take(), "problems": nodes["problems"].take(), "services": services,
            "blobs": self.agent.json(&["blob", "ls"]), "leases": self.agent.json(&["lease", "ls"]), "apps": self.agent.json(&["app", "catalog"]),
        })
    }

    /// Nothing that others could change is other than it was. What the agent says of itself it may have said anew meanwhile, and then all of it has
    /// another hash.
    fn is_as(&self, before: &Value, when: &str) {
        let mut now = self.state();
        if now["written"] != before["written"] {
            for key in ["root", "written"] {
                now[key] = before[key].clone();
            }
        }
        assert_eq!(now, *before, "{when}");
    }

    fn memory_kb(&self, of: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent.child.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(of)).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What a member says for real, for each protocol; a message's number is `number`.
    fn valid(&self, protocol: &[u8], by: &Somebody, number: u8) -> Vec<Vec<u8>> {
        match protocol {
            HELLO => vec![request_bytes(&Request::Join { certificate: self.tokens[usize::from(number) - 1].redeem(by.id()).to_bytes() })],
            MEMBER => {
                let compare = sync::frame(&sync::Open { digest: [0; 32] });
                let give = sync::frame(&sync::Give { items: Vec::new(), want: Vec::new() });
                let since = encode(&cluster::records::exchange::Ask::Since { node: self.me, since: None });
                vec![
                    [vec![1], framed(&compare), framed(&give)].concat(),
                    [vec![2], framed(&since)].concat(),
                    [vec![3], framed(&self.offer(by, number))].concat(),
                    [vec![4], framed(&encode(&leases::Question { id: LeaseId([number; 16]) }))].concat(),
                ]
            }
            BLOBS => vec![[vec![0], postcard::to_stdvec(&GetRequest::blob(self.hash)).unwrap()].concat()],
            _ => vec![[b"\x01\x04echo".as_slice(), b"hello"].concat()],
        }
    }

    /// A message that offers an app, rightly signed.
    fn offer(&self, by: &Somebody, number: u8) -> Vec<u8> {
        let app = json!({ "name": "broker", "index": format!("sha256:{}", "0f".repeat(32)), "architecture": "amd64", "category": "messages", "title": { "en": "B" } });
        let about = json!({ "app": app, "hash": "0f".repeat(32), "size-bytes": 10 }).to_string().into_bytes();
        let terms = leases::Terms { seconds: 300, exclusive: false };
        let offer = Offer::sign(&by.seed, LeaseId([number; 16]), self.community, self.me, terms, about);
        let body = leases::Said::Offer(offer).to_bytes();
        let (line, id) = (LineId { generation: number.into(), random: 1 }, MessageId([number; 16]));
        encode(&Deliver { line, items: vec![Item { number: 1, id, kind: 1, body }] })
    }

    /// What nobody signed who could, or what only members may say.
    fn forged(&self, protocol: &[u8], by: &Somebody, rng: &mut StdRng) -> Vec<Vec<u8>> {
        let kit = Kit::generate(rng);
        let elsewhere = kit.found(&Name::try_from("Gracia").unwrap());
        let terms = || Terms { uses: 9, not_after: None };
        // Of another community of the same name, and of this one by a key that is no admin's.
        let [other, own] =
            [&elsewhere, self.tokens[0].community()].map(|community| kit.invite(community, Vec::new(), terms(), Vec::new(), rng));
        let certificates = [
            other.redeem(by.id()),
            own.redeem(by.id()),
            self.tokens[0].redeem(by.id()),
            self.tokens[1].redeem(by.id()),
            self.tokens[0].redeem(self.me),
        ];
        match protocol {
            HELLO => {
                let join = certificates.iter().map(|certificate| request_bytes(&Request::Join { certificate: certificate.to_bytes() }));
                join.chain([request_bytes(&Request::Knock { name: Name::try_from("friend").unwrap() })]).collect()
            }
            MEMBER => {
                let items = certificates.into_iter().map(roster::Item::Certificate).collect();
                let give = sync::frame(&sync::Give { items, want: Vec::new() });
                let open = sync::frame(&sync::Open { digest: [0; 32] });
                let [carry, brought] = [5, 6].map(|kind| [vec![kind], self.me.0.to_vec(), vec![0; 100]].concat());
                vec![
                    [vec![1], framed(&open), framed(&give)].concat(),
                    [vec![3], framed(&self.offer(by, rng.random_range(100..200)))].concat(),
                    carry,
                    brought,
                    vec![7],
                ]
            }
            // A request to be given something: kind 8 of the protocol.
            BLOBS => vec![[vec![8, 40], postcard::to_stdvec(&GetRequest::blob(Hash::new(b"a gift"))).unwrap(), vec![1; 500]].concat()],
            _ => [b"\x01\x02ec".as_slice(), b"\x01\x05\x30\x30\x30\x32\x32", b"CONNECT 127.0.0.1:22"].map(<[u8]>::to_vec).to_vec(),
        }
    }
}

/// More than each protocol takes.
fn oversized(protocol: &[u8]) -> Vec<Vec<u8>> {
    match protocol {
        HELLO => vec![vec![1; cluster::hello::MAX_REQUEST_BYTES + 1], vec![1; 1 << 20]],
        MEMBER => (1..=4).map(|kind| [&[kind], u32::MAX.to_be_bytes().as_slice(), &vec![7; 1 << 20]].concat()).collect(),
        BLOBS => vec![[vec![0], vec![0xff; 2 << 20]].concat()],
        _ => vec![[&[1, 0xff], vec![b'x'; 1 << 20].as_slice()].concat()],
    }
}

/// Each with one bit that is another one.
fn mutated(valid: &[Vec<u8>], rng: &mut StdRng) -> Vec<Vec<u8>> {
    let mut mutated = Vec::new();
    for _ in 0..MUTATED {
        let mut bytes = valid[rng.random_range(0..valid.len())].clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        mutated.push(bytes);
    }
    mutated
}

/// Whether a member is served by a protocol, with an answer that only who holds something can give.
async fn is_served(victim: &Victim, (member, number): (&Somebody, u8), protocol: &[u8]) -> bool {
    let valid = victim.valid(protocol, member, number);
    match member.say(&victim.at, protocol, &valid[0]).await {
        // It is a member already.
        Came::Answer(answer) if protocol == HELLO => matches!(read_reply(&answer), Ok(Reply::Admitted { .. })),
        Came::Answer(answer) if protocol == MEMBER => {
            matches!(
                sync::read::<sync::Answer>(answer.get(4..4 + usize::from(answer[3]) + 256 * usize::from(answer[2])).unwrap()),
                Ok(sync::Answer::Marks(_))
            )
        }
        Came::Answer(answer) if protocol == BLOBS => answer.windows(TEXT.len()).any(|part| part == TEXT),
        Came::Answer(answer) => answer == b"\0hello",
        Came::Closed(_) | Came::Nothing(_) => false,
    }
}

async fn all_served(victim: &Victim, member: (&Somebody, u8), when: &str) {
    for protocol in ALL {
        let begun = std::time::Instant::now();
        while !is_served(victim, member, protocol).await {
            assert!(begun.elapsed() < PATIENCE, "{when}: a member is not served by {}", String::from_utf8_lossy(protocol));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whether it was refused as that protocol refuses.
fn is_refusal(protocol: &[u8], came: &Came) -> bool {
    match came {
        Came::Answer(answer) => {
            protocol == HELLO && matches!(read_reply(answer), Ok(Reply::Refused { .. }) | Err(cluster::hello::ReplyError::Version { .. }))
        }
        Came::Closed(code) => *code == NOT_ADMITTED || protocol == HELLO,
        Came::Nothing(_) => protocol == HELLO,
    }
}

#[test]
fn whatever_strangers_and_removed_members_say_by_each_protocol_is_refused_before_it_has_an_effect() {
    let (victim, mut rng) = (Victim::start(), StdRng::seed_from_u64(7));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let [friend, removed, stranger] = [Somebody::bind([1; 32]).await, Somebody::bind([2; 32]).await, Somebody::bind([3; 32]).await];
        // Both are members, and all that is replayed later was valid and had its answer then.
        let mut recorded = Vec::new();
        for (member, number) in [(&friend, 1), (&removed, 2)] {
            for protocol in ALL {
                let valid = victim.valid(protocol, member, number);
                for bytes in &valid {
                    let came = member.say(&victim.at, protocol, bytes).await;
                    assert!(matches!(&came, Came::Answer(_)), "{}: {came:?}", String::from_utf8_lossy(protocol));
                }
                recorded.push((protocol, valid));
            }
            all_served(&victim, (member, number), "as a member").await;
        }
        let held = || victim.agent.json(&["lease", "ls"])["held"].as_array().unwrap().clone();
        wait("what each of them offered is there", || (held().len() == 2).then_some(()));
        let mut open = Vec::new();
        for protocol in &ALL[1..] {
            open.push(timeout(PATIENCE, removed.endpoint.connect(victim.at.clone(), protocol)).await.unwrap().unwrap());
        }
        victim.agent.json(&["revoke", &removed.id().hex()]);
        // What it had open ends, or gives nothing any more.
        for (conn, protocol) in open.iter().zip(&ALL[1..]) {
            if *protocol == BLOBS {
                let came = said(conn, &victim.valid(BLOBS, &removed, 2)[0]).await;
                assert!(!matches!(came, Came::Answer(_)), "{came:?}");
            } else {
                let end = timeout(PATIENCE, conn.closed()).await.unwrap();
                assert!(end.to_string().contains("not admitted"), "{end}");
            }
        }
        wait("what it offered is over", || (held().iter().filter(|lease| lease["state"] == "over").count() >= 1).then_some(()));
        let before = victim.state();

        let (mut rows, mut inputs) = (0, 0);
        for (name, who) in [("a stranger", &stranger), ("a removed member", &removed)] {
            for protocol in ALL {
                let valid: Vec<Vec<u8>> = recorded.iter().filter(|(of, _)| *of == protocol).flat_map(|(_, valid)| valid.clone()).collect();
                // What is the friend's to say at hello names the friend, and whoever brings it another; as for what it holds: nothing of it is new.
                let replayed = valid.clone();
                let said = [
                    ("forged", victim.forged(protocol, who, &mut rng)),
                    ("replayed", replayed),
                    ("oversized", oversized(protocol)),
                    ("mutated", mutated(&valid, &mut rng)),
                ];
                for (how, all) in said {
                    let row = format!("{name}, {}, {how}", String::from_utf8_lossy(protocol));
                    for bytes in &all {
                        let came = who.say(&victim.at, protocol, bytes).await;
                        assert!(is_refusal(protocol, &came), "{row}: {came:?}");
                    }
                    victim.is_as(&before, &row);
                    assert!(is_served(&victim, (&friend, 1), protocol).await, "{row}: nobody else is served");
                    (rows, inputs) = (rows + 1, inputs + all.len());
                }
            }
        }
        println!("{rows} rows, {inputs} inputs: all refused, nothing changed");
        all_served(&victim, (&friend, 1), "after all of it").await;
    });
}

/// Dials again and again, and says more than there is room for, whatever is answered.
async fn flood(at: EndpointAddr, protocol: &'static [u8]) -> (usize, usize) {
    let seed = rand::rng().random();
    let stranger = Somebody::bind(seed).await;
    let (mut connected, mut bytes) = (0, 0);
    for _ in 0..FLOOD.1 {
        let Ok(Ok(conn)) = timeout(Duration::from_secs(5), stranger.endpoint.connect(at.clone(), protocol)).await else { continue };
        connected += 1;
        let talk = async {
            let (mut send, _recv) = conn.open_bi().await.ok()?;
            while bytes < FLOOD_BYTES * connected {
                bytes += send.write(&[1; 4096]).await.ok()?;
            }
            Some(())
        };
        let _cut = timeout(Duration::from_millis(500), talk).await;
    }
    (connected, bytes)
}

#[test]
fn a_flood_of_strangers_by_each_protocol_takes_a_bounded_amount_of_memory_and_members_are_served_all_the_while() {
    let victim = Victim::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let friend = Somebody::bind([1; 32]).await;
        assert!(matches!(friend.say(&victim.at, HELLO, &victim.valid(HELLO, &friend, 1)[0]).await, Came::Answer(_)));
        all_served(&victim, (&friend, 1), "before").await;
        let before = victim.state();
        for protocol in ALL {
            let name = String::from_utf8_lossy(protocol);
            // A member that was there before goes on, over the connection that it has.
            let held = timeout(PATIENCE, friend.endpoint.connect(victim.at.clone(), MEMBER)).await.unwrap().unwrap();
            let kb = victim.memory_kb("VmRSS:");
            let begun = std::time::Instant::now();
            let mut strangers: JoinSet<_> = (0..FLOOD.0).map(|_| flood(victim.at.clone(), protocol)).collect();
            let (mut connected, mut bytes, mut served, mut most) = (0, 0, 0, kb);
            let compare = &victim.valid(MEMBER, &friend, 1)[0];
            loop {
                tokio::select! {
                    joined = strangers.join_next() => match joined {
                        Some(flooded) => {
                            let (some, of) = flooded.unwrap();
                            (connected, bytes) = (connected + some, bytes + of);
                        }
                        None => break,
                    },
                    () = tokio::time::sleep(Duration::from_millis(100)) => {
                        most = most.max(victim.memory_kb("VmRSS:"));
                        let came = said(&held, compare).await;
                        assert!(matches!(came, Came::Answer(_)), "{name}, while others flood: {came:?}");
                        served += 1;
                    }
                }
            }
            let more = most.max(victim.memory_kb("VmRSS:")) - kb;
            println!(
                "{name}: {} dials of {} strangers, {connected} handshakes done, {} MB said, in {:.1} s; {} MB before, {} MB more at most; a member was served {served} times meanwhile",
                FLOOD.0 * FLOOD.1, FLOOD.0, bytes >> 20, begun.elapsed().as_secs_f64(), kb >> 10, more >> 10
            );
            println!("figure: memory that a flood of strangers takes, {name}: {} of at most {FLOOD_MB} MB", more >> 10);
            assert!(more >> 10 <= FLOOD_MB, "{name}");
            assert!(served > 0 && connected >= FLOOD.0);
            victim.is_as(&before, &name);
            all_served(&victim, (&friend, 1), "after a flood").await;
        }
    });
}
