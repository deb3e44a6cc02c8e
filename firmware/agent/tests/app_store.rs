//! An app that uses the store, with real agents on loopback whose brokers are played: at its socket it is served its own store and nothing
//! else, what it writes at one node is read at the other, and a flood of it is bounded.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use support::broker::play;
use support::layout::layout_with_store;
use support::{Agent, PATIENCE, STORES, wait};

/// A node with a played broker that has the app in its catalog.
fn node(name: &str, toml: &str) -> Agent {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("cloudy.toml"), format!("hostname = \"{name}\"\n[join]\nmdns = false\n{toml}")).unwrap();
    play(data.path(), "broker");
    let agent = Agent { child: Agent::spawn(data.path()), data };
    agent.wait_until_up();
    let folder = tempfile::tempdir().unwrap();
    layout_with_store(folder.path());
    agent.json(&["app", "add", folder.path().to_str().unwrap()]);
    agent
}

/// A community of two, with the app on both; as the broker would, its folder is made.
fn pair() -> (Agent, Agent) {
    let garden = node("garden", "found = \"Gracia\"\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let roof = node("roof", "");
    roof.json(&["join", garden.json(&["invite"])["token"].as_str().unwrap()]);
    for agent in [&garden, &roof] {
        wait("both are seen", || (agent.alive() == ["garden", "roof"]).then_some(()));
        install(agent);
    }
    (garden, roof)
}

fn install(agent: &Agent) {
    std::fs::create_dir_all(agent.data.path().join(STORES).join("broker")).unwrap();
    agent.json(&["app", "install", "broker", "--set", "password=x"]);
    wait("its socket is there", || UnixStream::connect(socket(agent)).ok());
}

fn socket(agent: &Agent) -> PathBuf {
    agent.data.path().join(STORES).join("broker/store.sock")
}

/// What the app asks: status, head and body.
fn ask(agent: &Agent, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
    let mut stream = UnixStream::connect(socket(agent)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n");
    // A body that is too long is answered before it was read.
    let _closed = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut text = String::new();
    let _reset = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().parse().unwrap(), head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn an_app_reaches_its_own_store_at_its_socket_and_nothing_else() {
    let (garden, roof) = pair();
    let put = |agent: &Agent, key: &str, text: &str| ask(agent, "PUT", &format!("/api/v1/store/broker/{key}"), &json!(text));
    // The app says on which node it is, watches at one node and writes at the other.
    let (status, _, nodes) = ask(&roof, "GET", "/api/v1/nodes", &Value::Null);
    assert_eq!((status, nodes["me"]["name"].as_str(), nodes["me"]["id"].as_str().unwrap().len()), (200, Some("roof"), 64));
    let watch = || {
        let mut stream = UnixStream::connect(socket(&roof)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /api/v1/store/broker HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n").unwrap();
        BufReader::new(stream).lines().map_while(Result::ok)
    };
    let (mut seen, mut second, mut third) = (watch(), watch(), watch());
    assert!(seen.next().unwrap().contains("200") && second.next().unwrap().contains("200"));
    assert!(third.next().unwrap().contains("503"), "an app takes no more watches than its own");
    wait("its records are open", || (put(&garden, "node/g", "<b>1").0 == 200).then_some(()));
    assert!(seen.any(|line| line.contains("node/g")));
    let read = || ask(&roof, "GET", "/api/v1/store/broker", &Value::Null).2["keys"].as_array().cloned().unwrap_or_default();
    wait("the other node has it", || read().iter().any(|key| key["values"] == json!(["<b>1"])).then_some(()));

    // A store of its name that has an owner: written by whom that owner names.
    let owned = garden.json(&["store", "own", "broker"])["app"].as_str().unwrap().to_owned();
    let own = format!("/api/v1/store/{owned}/k");
    assert_eq!(ask(&garden, "PUT", &own, &json!("v")).0, 200);
    wait("it is read", || (ask(&roof, "GET", &own, &Value::Null).0 == 200).then_some(()));
    assert_eq!(ask(&roof, "PUT", &own, &json!("v")).0, 403);
    garden.json(&["store", "writers", &owned, nodes["me"]["id"].as_str().unwrap()]);
    wait("the manifest arrives", || (ask(&roof, "PUT", &own, &json!("w")).0 == 200).then_some(()));

    // Other apps' stores, and all else that the agent has, are not there.
    garden.json(&["store", "put", "notes", "secret", "s"]);
    for (method, path, status) in [
        ("GET", "/api/v1/store/notes/secret", 403),
        ("PUT", "/api/v1/store/notes/secret", 403),
        ("GET", "/api/v1/store/notes", 403),
        ("GET", "/api/v1/store/brokers", 403),
        ("GET", "/api/v1/store", 404),
        ("POST", "/api/v1/store-token/broker", 404),
        ("PUT", "/api/v1/store-writers/broker", 404),
        ("GET", "/api/v1/apps", 404),
        ("POST", "/api/v1/invite", 404),
        ("GET", "/", 404),
        ("GET", "/api/v1/store/broker/../../apps", 404),
        ("POST", "/api/v1/nodes", 405),
    ] {
        let (got, _, said) = ask(&garden, method, path, &if method == "GET" { Value::Null } else { json!("x") });
        assert_eq!(got, status, "{method} {path}: {said}");
    }
    // What is too long, in one value or in one request.
    assert_eq!(put(&garden, "long", &"x".repeat(4000)).0, 413);
    assert_eq!(put(&garden, "long", &"x".repeat(100_000)).0, 413);

    // A flood is answered with when to come again, and the node's own changes go on.
    let flood: Vec<(u16, String, Value)> = (0..60).map(|n| put(&garden, "node/g", &n.to_string())).collect();
    let slower = flood.iter().find(|(status, ..)| *status == 429).unwrap();
    assert!(slower.1.to_lowercase().contains("retry-after: "), "{slower:?}");
    garden.json(&["store", "put", "notes", "secret", "t"]);
}

/// What the app of monitoring runs, but for where its socket is and where its page is served.
const GLANCE: &str = r#"
import sys, threading
sys.path.insert(0, sys.argv[1])
import store
store.SOCKET = sys.argv[2]
import glance
for work in (glance.Page.copy.measure, glance.Page.copy.listen, glance.Page.copy.read):
    threading.Thread(target=work, daemon=True).start()
server = glance.Server(("127.0.0.1", 0), glance.Page)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// The app beside a node; it ends when dropped.
struct Glance(Child, String);

impl Glance {
    #[expect(clippy::disallowed_methods, reason = "the test runs the app itself")]
    fn start(agent: &Agent) -> Option<Self> {
        let code = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/apps/glance/files/usr/lib/cloudy");
        let mut child = Command::new("python3")
            .args(["-B", "-c", GLANCE, code])
            .arg(socket(agent))
            .envs([("GLANCE_STORE", "broker"), ("GLANCE_SECONDS", "1")])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self(child, format!("127.0.0.1:{}", port.trim())))
    }

    fn shows(&self) -> String {
        support::get(&self.1, "/body", &[]).1
    }
}

impl Drop for Glance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_app_on_two_nodes_shows_on_each_what_both_measured() {
    let (garden, mut roof) = pair();
    let (Some(here), Some(there)) = (Glance::start(&garden), Glance::start(&roof)) else {
        assert!(std::env::var_os("CI").is_none(), "in CI this runs: `python3`");
        println!("skipped: there is no `python3`");
        return;
    };
    for glance in [&here, &there] {
        wait("both nodes are shown with their figures", || {
            let body = glance.shows();
            let both = ["garden", "roof"].iter().all(|name| body.contains(&format!("<h2>{name}</h2>")));
            (both && body.matches("<dt>load</dt>").count() == 2 && !body.contains("problem")).then_some(())
        });
    }
    // A node that is gone is shown as it was; it writes on once it is back, and its page says meanwhile that there is nothing newer.
    roof.stop();
    wait("its app says so", || there.shows().contains("can&#x27;t be reached").then_some(()));
    assert!(there.shows().contains("<h2>garden</h2>") && here.shows().contains("<h2>roof</h2>"));
    // What nobody measured is shown as what it is.
    let id = ask(&garden, "GET", "/api/v1/nodes", &Value::Null).2["me"]["id"].as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "a");
    wait("somebody writes nonsense", || {
        (ask(&garden, "PUT", &format!("/api/v1/store/broker/node/{id}"), &json!("<script>1</script>")).0 == 200).then_some(())
    });
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    for glance in [&here, &there] {
        wait("it is shown, escaped", || glance.shows().contains("&lt;script&gt;1&lt;/script&gt;").then_some(()));
        assert!(!glance.shows().contains("<script>"));
    }
    wait("all is well", || (!there.shows().contains("be reached")).then_some(()));
}

#[test]
fn the_socket_comes_back_with_its_agent_and_goes_with_its_app() {
    let mut agent = node("garden", "");
    install(&agent);
    // In no microcloud there is no store, and that is said.
    let (status, _, said) = ask(&agent, "PUT", "/api/v1/store/broker/k", &json!("v"));
    assert_eq!(status, 409, "{said}");
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    assert!(socket(&agent).exists() && UnixStream::connect(socket(&agent)).is_err());
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
    wait("it is served again", || UnixStream::connect(socket(&agent)).ok());
    // A broker that makes the folder anew, with the container.
    std::fs::remove_dir_all(agent.data.path().join(STORES).join("broker")).unwrap();
    std::fs::create_dir_all(agent.data.path().join(STORES).join("broker")).unwrap();
    wait("it is served there", || UnixStream::connect(socket(&agent)).ok());
    agent.json(&["app", "remove", "broker"]);
    wait("nobody is served", || UnixStream::connect(socket(&agent)).is_err().then_some(()));
}
