//! The nodes of one owner, with real agents on loopback: each is acted on through any of them, for what whoever asks may do, and by nobody
//! else.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use support::{Agent, Local, community::community, wait};

const OWN: &str = "/api/v1/household";

fn local(agent: &Agent) -> Local {
    wait("the local socket answers", || Local::open(agent.data.path()))
}

/// Asks over the local socket; the status and the answer.
fn ask(agent: &Agent, method: &str, path: &str, body: &Value) -> (u16, Value) {
    local(agent).ask(method, path, body).unwrap()
}

fn must(agent: &Agent, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(agent, method, path, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

fn id(agent: &Agent) -> String {
    must(agent, "GET", "/api/v1/nodes", &Value::Null)["me"]["id"].as_str().unwrap().to_owned()
}

fn at(agent: &Agent, path: &str) -> String {
    format!("/api/v1/at/{}/{path}", id(agent))
}

/// The same for a node that an agent knows by name.
fn at_id(agent: &Agent, name: &str, path: &str) -> String {
    let nodes = must(agent, "GET", "/api/v1/nodes", &Value::Null);
    let node = nodes["members"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    format!("/api/v1/at/{}/{path}", node["id"].as_str().unwrap())
}

fn names(household: &Value, of: &str) -> Vec<String> {
    household[of].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Asks the page's side as a program; the status.
fn send(address: &str, method: &str, path: &str, token: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let known = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let kind = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{known}{kind}\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Follows something as a program; the connection once the answer has begun, and the status.
fn follow(address: &str, path: &str, token: &str) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).unwrap();
    let status = str::from_utf8(&begun[9..]).unwrap().parse().unwrap();
    (stream, status)
}

/// Waits until a node is known to be of an agent's household, or not.
fn until_of(agent: &Agent, name: &str, there: bool) {
    wait("the household is known", || {
        (names(&must(agent, "GET", OWN, &Value::Null), "nodes").contains(&name.to_owned()) == there).then_some(())
    });
}

/// A person of that role and what they are known by to the page.
fn token(agent: &Agent, name: &str, role: &str, scope: &str) -> String {
    let password = "correct horse battery";
    must(agent, "POST", "/api/v1/users", &json!({ "name": name, "password": password, "role": role }));
    let made = must(agent, "POST", &format!("/api/v1/users/{name}/tokens"), &json!({ "scope": scope }));
    made["token"].as_str().unwrap().to_owned()
}

#[test]
fn one_owners_nodes_are_acted_on_through_any_of_them_and_others_are_not() {
    let agents = community(&["roof", "cellar"]);
    let [garden, roof, cellar] = &agents[..] else { panic!() };

    // Nobody's yet: the way is closed to members too, and nobody is asked by whoever has no household.
    let (status, answer) = ask(garden, "GET", &at(roof, "apps"), &Value::Null);
    assert_eq!(status, 403, "{answer}");
    let (status, answer) = ask(garden, "PUT", &format!("{OWN}/{}", id(roof)), &Value::Null);
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("household begin"), "{answer}");

    // The founder's kit is its owner's key; another owner begins one of its own.
    let garden_owner = must(garden, "POST", OWN, &json!({}));
    assert!(garden_owner.get("kit").is_none(), "{garden_owner}");
    let cellar_owner = must(cellar, "POST", OWN, &json!({}));
    assert!(cellar_owner["kit"].as_str().unwrap().starts_with("cloudy1-kit-") && cellar_owner["owner"] != garden_owner["owner"]);

    // It is said on one side, and agreed to on the other.
    garden.json(&["household", "ask", "roof"]);
    assert_eq!(names(&must(garden, "GET", OWN, &Value::Null), "asked"), ["roof"]);
    wait("the roof hears of it", || (names(&must(roof, "GET", OWN, &Value::Null), "asking") == ["garden"]).then_some(()));
    assert_eq!(ask(garden, "GET", &at(roof, "apps"), &Value::Null).0, 403, "nobody there has agreed");
    assert_eq!(ask(roof, "POST", &format!("{OWN}/{}", id(cellar)), &json!({ "yes": true })).0, 404, "the cellar says no such thing");
    roof.json(&["household", "refuse", "garden"]);
    wait("it is told", || {
        let household = must(garden, "GET", OWN, &Value::Null);
        (household["asked"][0]["refused"] == true && household["nodes"].as_array().unwrap().is_empty()).then_some(())
    });
    must(garden, "PUT", &format!("{OWN}/{}", id(roof)), &Value::Null);
    roof.json(&["household", "accept", "garden"]);
    until_of(garden, "roof", true);
    until_of(roof, "garden", true);
    assert!(names(&must(garden, "GET", OWN, &Value::Null), "asked").is_empty());

    // Through either, by the API and the command line; what is asked there is done there.
    let other = must(garden, "GET", &at(roof, "nodes"), &Value::Null);
    assert_eq!(other["me"]["name"], "roof");
    garden.json(&["user", "list", "--on", "roof"]);
    let person = json!({ "name": "ben", "password": "correct horse battery", "role": "guest" });
    must(garden, "POST", &at(roof, "users"), &person);
    assert_eq!(must(roof, "GET", "/api/v1/users", &Value::Null)["users"][0]["name"], "ben");
    assert_eq!(must(garden, "GET", "/api/v1/users", &Value::Null)["users"].as_array().unwrap().len(), 0);
    must(roof, "PUT", &at(garden, "lease-policy"), &json!({ "others": "refuse", "most": 3 }));
    assert_eq!(must(garden, "GET", "/api/v1/leases", &Value::Null)["policy"]["most"], 3);
    // What stays with the local socket stays there, nothing is passed on, and the other node's refusal is told as it is.
    for (method, path) in [("POST", "kit"), ("POST", "household-kit"), ("GET", "doctor"), ("GET", "session/x")] {
        assert_eq!(ask(garden, method, &at(roof, path), &Value::Null).0, 404, "{path}");
    }
    let twice = format!("at/{}/apps", id(garden));
    assert_eq!(ask(garden, "GET", &at(roof, &twice), &Value::Null).0, 404);
    let (status, answer) = ask(garden, "POST", &at(roof, "users"), &person);
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("that name"), "{status} {answer}");

    // Nobody may more there than here.
    let (owner, reader) = (token(garden, "ana", "owner", "admin"), token(garden, "rosa", "operator", "read"));
    let over_http = |token: &str, method: &str, path: &str, body: &str| send(&garden.page(), method, path, token, body);
    assert_eq!(over_http(&owner, "GET", &at(roof, "users"), ""), 200, "one token drives all of an owner's nodes");
    assert_eq!(over_http(&reader, "GET", &at(roof, "apps"), ""), 200);
    assert_eq!(over_http(&reader, "GET", &at(roof, "users"), ""), 403);
    let guest = r#"{"name":"eva","password":"correct horse battery","role":"guest"}"#;
    assert_eq!(over_http(&reader, "POST", &at(roof, "users"), guest), 403);
    assert_eq!(over_http(&owner, "POST", &at(roof, "users"), guest), 200);
    assert_eq!(over_http("", "GET", &at(roof, "apps"), ""), 401);

    // One person has four requests there at once, and leaves the rest to others; who ends one may have another.
    let events = at(roof, "jobs/events");
    let mut open: Vec<_> = (0..4).map(|_| follow(&garden.page(), &events, &reader)).collect();
    assert!(open.iter().all(|(_, status)| *status == 200));
    assert_eq!(follow(&garden.page(), &events, &reader).1, 429);
    assert_eq!(over_http(&owner, "GET", &at(roof, "users"), ""), 200, "others have their own");
    drop(open.pop());
    wait("there is a place again", || (over_http(&reader, "GET", &at(roof, "apps"), "") == 200).then_some(()));
    drop(open);

    // The cellar is another owner's: neither it nor they get further.
    for (from, to) in [(cellar, roof), (cellar, garden), (garden, cellar)] {
        assert_eq!(ask(from, "GET", &at(to, "apps"), &Value::Null).0, 403);
    }
}

#[test]
fn a_household_outlives_restarts_and_ends_when_its_node_leaves() {
    let mut agents = community(&["roof"]);
    let kit = {
        let [garden, roof] = &agents[..] else { panic!() };
        must(garden, "POST", OWN, &json!({}));
        let kit = garden.json(&["kit"])["kit"].as_str().unwrap().to_owned();
        // The kit says whose a node is without the other's help.
        let (status, answer) = ask(roof, "POST", OWN, &json!({ "kit": "cloudy1-kit-nonsense" }));
        assert!(status == 409 && answer["detail"].as_str().unwrap().contains("recovery kit"), "{status} {answer}");
        must(roof, "POST", OWN, &json!({ "kit": kit }));
        until_of(garden, "roof", true);
        kit
    };
    agents[1].stop();
    agents[1].child = Agent::spawn(agents[1].data.path());
    agents[1].wait_until_up();
    let [garden, roof] = &agents[..] else { panic!() };
    wait("the roof is back, and the garden's", || {
        let (status, answer) = ask(garden, "GET", &at(roof, "nodes"), &Value::Null);
        (status == 200 && answer["me"]["name"] == "roof").then_some(())
    });
    roof.json(&["household", "leave"]);
    until_of(garden, "roof", false);
    assert_eq!(ask(garden, "GET", &at(roof, "nodes"), &Value::Null).0, 403);
    assert_eq!(ask(roof, "GET", &at(garden, "nodes"), &Value::Null).0, 403);
    // With the kit it is back. Who leaves the microcloud is nobody's, and is not there for the others.
    must(roof, "POST", OWN, &json!({ "kit": kit }));
    until_of(garden, "roof", true);
    roof.json(&["leave"]);
    assert_eq!(ask(roof, "GET", OWN, &Value::Null).0, 409);
    wait("the roof is gone", || (must(garden, "GET", OWN, &Value::Null)["nodes"][0]["alive"] == false).then_some(()));
    assert_ne!(ask(garden, "GET", &at_id(garden, "roof", "nodes"), &Value::Null).0, 200);
}

#[test]
fn claims_of_others_hold_while_those_are_of_that_owner_themselves() {
    let agents = community(&["roof"]);
    let [garden, roof] = &agents[..] else { panic!() };
    let asking = |there: bool| {
        wait("it is known who asks", || {
            (names(&must(roof, "GET", OWN, &Value::Null), "asking").contains(&"garden".to_owned()) == there).then_some(())
        });
    };
    must(garden, "POST", OWN, &json!({}));
    garden.json(&["household", "ask", "roof"]);
    asking(true);
    garden.json(&["household", "leave"]);
    asking(false);
    assert_eq!(ask(roof, "POST", &format!("{OWN}/{}", id(garden)), &json!({ "yes": true })).0, 404);
    must(garden, "POST", OWN, &json!({}));
    asking(true);
    garden.json(&["household", "take-back", "roof"]);
    asking(false);
}
