//! The store for apps with real agents on loopback: what an app writes at one node is read at the other, by command line,
//! by local socket and by the app's token over the network.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};
use support::{Agent, PATIENCE, get, wait};

/// A community of two.
fn pair() -> (Agent, Agent) {
    let garden = Agent::start("garden", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (garden.alive() == ["garden"]).then_some(()));
    let token = garden.json(&["invite"])["token"].as_str().unwrap().to_owned();
    let roof = Agent::start("roof", "[join]\nmdns = false\n");
    roof.json(&["join", &token]);
    for agent in [&garden, &roof] {
        wait("both are seen", || (agent.alive() == ["garden", "roof"]).then_some(()));
        wait("its records are open", || {
            agent.run(&["store", "put", "warm-up", agent.data.path().file_name()?.to_str()?, "x"]).status.success().then_some(())
        });
    }
    (garden, roof)
}

fn read(agent: &Agent, app: &str, key: &str) -> Option<Value> {
    let output = agent.run(&["store", "get", app, key, "--json"]);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// What an agent says of changes, line by line, from the moment it listens.
fn watch(agent: &Agent, path: &str, headers: &str) -> impl Iterator<Item = String> + use<> {
    let page = agent.page();
    let mut stream = TcpStream::connect(&page).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {page}\r\n{headers}Accept: text/event-stream\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")));
    lines
}

/// A request over the network: status and body.
fn ask(agent: &Agent, method: &str, path: &str, token: &str, headers: &str, body: &Value) -> (u16, Value) {
    let page = agent.page();
    let mut stream = TcpStream::connect(&page).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn an_app_writes_at_one_node_and_reads_at_the_other() {
    let (mut garden, mut roof) = pair();
    // The app watches at the other, and so does a stranger, who may know of services alone.
    let token = roof.json(&["store", "token", "notes"])["token"].as_str().unwrap().to_owned();
    let mut seen = watch(&roof, "/api/v1/store/notes", &format!("Authorization: Bearer {token}\r\n"));
    let mut stranger = watch(&roof, "/api/v1/watch", "");

    garden.json(&["store", "put", "notes", "list/today", "bread"]);
    garden.json(&["store", "add", "notes", "visits", "3"]);
    garden.json(&["store", "insert", "notes", "people", "Ada"]);
    assert!(seen.any(|line| line.contains("list/today")));
    let there = wait("the other has it", || read(&roof, "notes", "list/today"));
    assert_eq!(there["values"], json!(["bread"]));
    garden.json(&["publish", "wiki", "--port", "8080"]);
    let mut told = Vec::new();
    while !told.last().is_some_and(|line: &String| line.contains("wiki")) {
        told.push(stranger.next().unwrap());
    }
    assert!(!told.iter().any(|line| line.contains("notes") || line.contains("today")), "{told:?}");
    wait("the set is there", || (read(&roof, "notes", "people")?["set"] == json!(["Ada"])).then_some(()));
    roof.json(&["store", "add", "notes", "visits", "-1"]);
    wait("both count", || (read(&garden, "notes", "visits")?["counter"] == 2).then_some(()));

    // The app itself, with its token: ETag, conditions, batches.
    let path = "/api/v1/store/notes/list/today";
    let (status, value) = ask(&roof, "GET", path, &token, "", &Value::Null);
    assert_eq!((status, &value["etag"]), (200, &there["etag"]));
    let etag = value["etag"].as_str().unwrap();
    let (status, _) = ask(&roof, "PUT", path, &token, &format!("If-Match: \"{etag}\"\r\n"), &json!("milk"));
    assert_eq!(status, 200);
    let (status, _) = ask(&roof, "PUT", path, &token, &format!("If-Match: \"{etag}\"\r\n"), &json!("wine"));
    assert_eq!(status, 412);
    wait("it is replaced", || (read(&garden, "notes", "list/today")?["values"] == json!(["milk"])).then_some(()));
    let batch = json!({ "changes": [{ "key": "a", "put": "1", "if-none-match": "*" }, { "key": "n", "add": 5 }] });
    assert_eq!(ask(&roof, "POST", "/api/v1/store/notes", &token, "", &batch).0, 200);
    assert_eq!(ask(&roof, "POST", "/api/v1/store/notes", &token, "", &batch).0, 412);
    wait("the batch is there", || (read(&garden, "notes", "n")?["counter"] == 5).then_some(()));
    // A condition that can't be read, or stands where none is looked for, is refused and not left out.
    for (method, path, condition, body) in [
        ("PUT", path, "If-Match: \u{e9}\r\n", json!("gone")),
        ("PUT", path, "If-None-Match: *\r\nIf-None-Match: *\r\n", json!("gone")),
        ("DELETE", path, "If-None-Match: \"x\"\r\n", Value::Null),
        ("POST", "/api/v1/store/notes", "If-None-Match: *\r\n", json!({ "changes": [{ "key": "list/today", "delete": true }] })),
        ("GET", "/api/v1/store/notes/a%00", "", Value::Null),
    ] {
        assert_eq!(ask(&roof, method, path, &token, condition, &body).0, 422, "{method} {path} {condition}");
    }
    assert_eq!(read(&roof, "notes", "list/today").unwrap()["values"], json!(["milk"]));
    let (_, listed) = ask(&roof, "GET", "/api/v1/store/notes", &token, "", &Value::Null);
    let keys: Vec<&str> = listed["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["a", "list/today", "n", "people", "visits"]);

    // A token opens its app alone; without one the network opens nothing.
    assert_eq!(ask(&roof, "GET", "/api/v1/store/other/x", &token, "", &Value::Null).0, 401);
    assert_eq!(ask(&roof, "PUT", path, "cloudy-app-nothing", "", &json!("x")).0, 401);
    assert_eq!(ask(&garden, "GET", path, &token, "", &Value::Null).0, 401);
    assert!(get(&roof.page(), path, &[]).0.starts_with("HTTP/1.1 401"));
    assert!(get(&roof.page(), "/api/v1/store-own/notes", &[]).0.starts_with("HTTP/1.1 404"));
    assert_eq!(ask(&roof, "PUT", path, &token, "Origin: http://evil.example\r\n", &json!("x")).0, 403);

    assert_eq!(roof.json(&["store", "revoke", "notes"])["revoked"], 1);
    assert_eq!(ask(&roof, "GET", path, &token, "", &Value::Null).0, 401);

    // What was acknowledged is there after a kill.
    garden.child.kill().unwrap();
    garden.child.wait().unwrap();
    garden.child = Agent::spawn(garden.data.path());
    garden.wait_until_up();
    wait("it is back", || (read(&garden, "notes", "list/today")?["values"] == json!(["milk"])).then_some(()));
    roof.stop();
    garden.stop();
}

#[test]
fn an_owned_app_is_written_by_those_whom_its_owner_names_and_there_is_an_end() {
    let (garden, roof) = pair();
    let app = garden.json(&["store", "own", "ledger"])["app"].as_str().unwrap().to_owned();
    garden.json(&["store", "put", &app, "k", "garden"]);
    wait("it is read", || read(&roof, &app, "k"));
    let refused = roof.run(&["store", "put", &app, "k", "roof"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("may not write"), "{refused:?}");
    garden.json(&["store", "writers", &app]);
    wait("the manifest arrives", || roof.run(&["store", "put", &app, "k", "roof"]).status.success().then_some(()));
    wait("it is replaced", || (read(&garden, &app, "k")?["values"] == json!(["roof"])).then_some(()));
    // Full: 507, with the reason.
    let token = roof.json(&["store", "token", "full"])["token"].as_str().unwrap().to_owned();
    let full = (0..200)
        .map(|number| ask(&roof, "PUT", &format!("/api/v1/store/full/{number}"), &token, "", &json!("x")))
        .find(|(status, _)| *status != 200);
    let (status, said) = full.unwrap();
    assert_eq!(status, 507, "{said}");
    assert!(said["detail"].as_str().unwrap().contains("delete some first"));
}
