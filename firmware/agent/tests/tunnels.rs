//! Services of another node, opened through one's own, with real agents on loopback: by the command line, the API and the page.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::{Agent, Local, PATIENCE, wait};

const PASSWORD: &str = "a horse in the garden";
/// Connections of one tunnel, and tunnels of a node (`TUNNEL_CONNECTIONS_OF_ONE`, `TUNNELS`).
const CONNECTIONS: usize = 48;
const TUNNELS: usize = 32;

/// A node with services, which founded the microcloud, and one at which people are.
fn two() -> (Agent, Agent) {
    let roof = Agent::start("roof", "[join]\nfound = \"Gracia\"\nmdns = false\n");
    wait("the community is founded", || (roof.alive() == ["roof"]).then_some(()));
    let token = roof.json(&["invite"])["token"].as_str().unwrap().to_owned();
    let garden = Agent::start("garden", "[join]\nmdns = false\n");
    garden.json(&["join", &token]);
    for agent in [&roof, &garden] {
        wait("both are in", || (agent.alive() == ["garden", "roof"]).then_some(()));
    }
    (roof, garden)
}

/// A service at a port of this machine: `serve` has each connection.
fn service(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Hears all, and then says it again.
fn echo(mut stream: TcpStream) {
    let mut heard = Vec::new();
    if stream.read_to_end(&mut heard).is_ok() {
        let _gone = stream.write_all(&heard);
    }
}

/// Answers each line at once.
fn chat(mut stream: TcpStream) {
    let mut piece = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..n]).is_err() {
            return;
        }
    }
}

fn publish(agent: &Agent, key: &str, port: u16, more: &[&str]) {
    agent.json(&[&["publish", key, "--port", &port.to_string()], more].concat());
}

fn sees(agent: &Agent, key: &str) {
    let found = || agent.json(&["search"])["services"].as_array().unwrap().iter().any(|service| service["key"] == key);
    wait("it is seen", || found().then_some(()));
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn opened(agent: &Agent, key: &str) -> u16 {
    let tunnel = agent.json(&["open", "roof", key])["tunnel"].clone();
    u16::try_from(tunnel["port"].as_u64().unwrap()).unwrap()
}

fn at(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn says(stream: &mut TcpStream, word: &[u8]) -> bool {
    let mut back = vec![0; word.len()];
    stream.write_all(word).is_ok() && stream.read_exact(&mut back).is_ok() && back == word
}

/// Nothing comes any more: it was ended, in whatever way.
fn is_over(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        Ok(_) => false,
    }
}

fn ask(agent: &Agent, method: &str, path: &str, body: &Value) -> (u16, Value) {
    Local::open(agent.data.path()).unwrap().ask(method, path, body).unwrap()
}

fn id(agent: &Agent) -> String {
    agent.json(&["status"])["node"].as_str().unwrap().to_owned()
}

/// So many bytes that are not alike anywhere.
fn content(length: usize) -> Vec<u8> {
    let blocks = (0..length.div_ceil(32) as u64).flat_map(|n| Sha256::digest(n.to_le_bytes()));
    let mut bytes: Vec<u8> = blocks.collect();
    bytes.truncate(length);
    bytes
}

#[test]
fn a_service_is_reached_both_ways_whole_and_ends_when_it_is_withdrawn() {
    let (roof, garden) = two();
    publish(&roof, "echo", service(echo), &["--title", "Echo"]);
    publish(&roof, "chat", service(chat), &["--scheme", "mqtt"]);
    for key in ["echo", "chat"] {
        sees(&garden, key);
    }
    let port = opened(&garden, "echo");
    assert!((32_000..32_256).contains(&port));

    // A megabyte there, half closed, and the same back.
    let sent = content(1_000_000);
    let mut stream = at(port);
    let mut writing = stream.try_clone().unwrap();
    let (all, hash) = (sent.clone(), Sha256::digest(&sent));
    let writer = std::thread::spawn(move || {
        writing.write_all(&all).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back.len() == sent.len() && Sha256::digest(&back) == hash, "{} bytes", back.len());

    // Asked for again it is the same; the list has it, and the address that the command line prints.
    let wish = json!({ "node": id(&roof), "service": "echo" });
    let (status, again) = ask(&garden, "POST", "/api/v1/tunnels", &wish);
    assert_eq!((status, &again["tunnel"]["port"]), (200, &json!(port)));
    let chat = opened(&garden, "chat");
    let listed = garden.json(&["tunnels"])["tunnels"].clone();
    let ports: Vec<&Value> = listed.as_array().unwrap().iter().map(|tunnel| &tunnel["port"]).collect();
    assert!(ports.len() == 2 && ports.contains(&&json!(port)) && ports.contains(&&json!(chat)), "{listed}");
    let printed = String::from_utf8(garden.run(&["open", "roof", "chat"]).stdout).unwrap();
    assert!(printed.starts_with("mqtt://") && printed.trim_end().ends_with(&format!(":{chat}")), "{printed}");

    // Withdrawn: what is open ends, the tunnel goes at the next connection, and it can't be opened.
    let mut open = at(chat);
    assert!(says(&mut open, b"hello"));
    assert_eq!(garden.json(&["tunnels"])["tunnels"].as_array().unwrap().iter().find(|t| t["port"] == chat).unwrap()["connections"], 1);
    roof.json(&["withdraw", "chat"]);
    assert!(is_over(&mut open));
    assert!(is_over(&mut at(chat)));
    wait("its tunnel is closed", || (garden.json(&["tunnels"])["tunnels"].as_array().unwrap().len() == 1).then_some(()));
    assert!(TcpStream::connect(("127.0.0.1", chat)).is_err());
    let wish = json!({ "node": id(&roof), "service": "chat" });
    assert_eq!(ask(&garden, "POST", "/api/v1/tunnels", &wish).0, 404);

    // Closed by hand, with what goes through it.
    let mut open = at(port);
    open.write_all(b"x").unwrap();
    garden.json(&["tunnels", "close", &port.to_string()]);
    assert!(is_over(&mut open) && garden.json(&["tunnels"])["tunnels"] == json!([]));
    assert!(refused(&garden, &["tunnels", "close", &port.to_string()]).contains("nothing of another node"));
    assert_eq!(opened(&garden, "echo"), port, "it gets the port that it had");

    // Both agents end calmly with tunnels open.
    let (mut garden, mut roof) = (garden, roof);
    let mut open = at(port);
    open.write_all(b"x").unwrap();
    garden.stop();
    assert!(is_over(&mut open));
    roof.stop();
}

#[test]
fn what_can_not_be_opened_is_said_at_once_with_the_mend() {
    let (mut roof, garden) = two();
    let page: u16 = roof.page().rsplit(':').next().unwrap().parse().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    publish(&roof, "page", page, &[]);
    publish(&roof, "silent", closed, &[]);
    roof.json(&["publish", "whole", "--url", "http://10.9.8.7:80/x"]);
    roof.json(&["publish", "words"]);
    publish(&garden, "mine", closed, &[]);
    publish(&roof, "echo", service(echo), &[]);
    for key in ["page", "silent", "whole", "words", "echo", "mine"] {
        sees(&garden, key);
    }
    let (roof_id, garden_id) = (id(&roof), id(&garden));
    let cases = [
        (roof_id.as_str(), "nothing", 404, "publishes no `nothing`"),
        (&roof_id, "../x", 404, "publishes no"),
        (&roof_id, "whole", 409, "http://10.9.8.7:80/x"),
        (&roof_id, "words", 409, "without a port"),
        (&roof_id, "page", 409, "that node's own page"),
        (&roof_id, "silent", 503, "nothing answers at the service's port"),
        (&garden_id, "mine", 409, "is a service of this node"),
        ("00", "echo", 404, "no member of the microcloud"),
    ];
    for (node, key, status, words) in cases {
        let answer = ask(&garden, "POST", "/api/v1/tunnels", &json!({ "node": node, "service": key }));
        assert!(answer.0 == status && answer.1["detail"].as_str().unwrap().contains(words), "{key}: {answer:?}");
    }
    assert!(refused(&garden, &["open", "cellar", "echo"]).contains("no member is called"));
    assert_eq!(garden.json(&["tunnels"])["tunnels"], json!([]));

    // The other node goes: that is seen, and when it is there again the same tunnel works.
    let port = opened(&garden, "echo");
    roof.stop();
    assert!(is_over(&mut at(port)));
    assert!(refused(&garden, &["open", "roof", "echo"]).contains("was not reached"));
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    wait("they are together again", || (garden.alive() == ["garden", "roof"]).then_some(()));
    wait("it is open again", || garden.run(&["open", "roof", "echo"]).status.success().then_some(()));
    let mut stream = at(port);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"hello");
}

#[test]
fn who_is_removed_is_cut_off() {
    let (roof, garden) = two();
    publish(&roof, "chat", service(chat), &[]);
    sees(&garden, "chat");
    let port = opened(&garden, "chat");
    let mut open = at(port);
    assert!(says(&mut open, b"hello"));
    assert_eq!(roof.json(&["revoke", "garden"])["name"], "garden");
    assert!(is_over(&mut open));
    assert!(is_over(&mut at(port)));
    assert!(!garden.run(&["open", "roof", "chat"]).status.success());
}

#[test]
fn there_is_an_end_to_what_tunnels_take() {
    let (roof, garden) = two();
    publish(&roof, "chat", service(chat), &[]);
    // Says as much as is taken, and then how much that was.
    let (told, taken) = mpsc::channel();
    let all = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&all);
    let flood = service(move |mut stream: TcpStream| {
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        while let Ok(n @ 1..) = stream.write(&[7; 65_536]) {
            counted.fetch_add(n as u64, Ordering::Relaxed);
        }
        let _gone = told.send(());
    });
    publish(&roof, "flood", flood, &[]);
    for key in ["chat", "flood"] {
        sees(&garden, key);
    }

    // Nobody reads: no more than so much is taken, and neither agent has it in memory.
    let port = opened(&garden, "flood");
    taken.recv_timeout(PATIENCE).unwrap();
    let before = all.load(Ordering::Relaxed);
    let many = 24;
    let deaf: Vec<TcpStream> = (0..many).map(|_| at(port)).collect();
    for _ in 0..many {
        taken.recv_timeout(PATIENCE).unwrap();
    }
    let each = (all.load(Ordering::Relaxed) - before) / many;
    for agent in [&roof, &garden] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
        let kb =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        assert!(kb < 160 * 1024, "{kb} kB; {each} bytes of each were taken");
    }
    // Whoever reads is served all the while.
    let chat = opened(&garden, "chat");
    let mut open = vec![at(chat)];
    assert!(says(&mut open[0], b"hello"));
    drop(deaf);

    // So many connections through one tunnel; who comes then is let go, and those that are there stay.
    let idle = || garden.json(&["tunnels"])["tunnels"].as_array().unwrap().iter().all(|t| t["port"] == chat || t["connections"] == 0);
    wait("what was let go is gone", || idle().then_some(()));
    while open.len() < CONNECTIONS {
        // The other node may still be about to let go of what nobody reads any more.
        open.push(wait("there is room", || {
            let mut next = at(chat);
            says(&mut next, b"hello").then_some(next)
        }));
    }
    assert!(is_over(&mut at(chat)));
    assert!(says(&mut open[0], b"again") && says(&mut open[CONNECTIONS - 1], b"again"));
    drop(open);

    // So many tunnels.
    let mut local = Local::open(roof.data.path()).unwrap();
    let port = service(echo);
    for n in 0..=TUNNELS {
        assert_eq!(local.ask("PUT", &format!("/api/v1/services/s{n}"), &json!({ "port": port })).unwrap().0, 200);
    }
    for n in 0..=TUNNELS {
        sees(&garden, &format!("s{n}"));
    }
    wait("room is given back", || {
        let ports = garden.json(&["tunnels"])["tunnels"].as_array().unwrap().iter().all(|t| t["connections"] == 0);
        ports.then_some(())
    });
    let node = id(&roof);
    let open = |n: usize| ask(&garden, "POST", "/api/v1/tunnels", &json!({ "node": node, "service": format!("s{n}") }));
    for n in 0..TUNNELS - 2 {
        assert_eq!(open(n).0, 201, "{n}");
    }
    let (status, problem) = open(TUNNELS);
    assert!(status == 503 && problem["detail"].as_str().unwrap().contains("no more can be"), "{problem}");
    assert_eq!(open(3).0, 200, "what is open is open");
}

/// Status, head and body.
fn browse(at: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nConnection: close\r\n{headers}");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[test]
fn a_guest_opens_a_service_with_one_button_and_nobody_does() {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (roof, garden) = two();
    publish(&roof, "echo", service(echo), &["--title", "Echo", "--path", "/wiki/"]);
    publish(&roof, "broker", service(chat), &["--scheme", "mqtt"]);
    for key in ["echo", "broker"] {
        sees(&garden, key);
    }
    let guest = json!({ "name": "eva", "role": "guest", "password": PASSWORD });
    assert_eq!(ask(&garden, "POST", "/api/v1/users", &guest).0, 200);
    let page = garden.page();
    assert!(!browse(&page, "GET", "/search", "", "").2.contains("action=\"/tunnels\""));
    let wish = format!("node={}&service=echo", id(&roof));
    let (status, head, _) = browse(&page, "POST", "/tunnels", FORM, &wish);
    assert!(status == 303 && head.to_lowercase().contains("location: /login"), "{head}");

    let (_, head, _) = browse(&page, "POST", "/login", FORM, &format!("name=eva&password={}", PASSWORD.replace(' ', "+")));
    let cookie =
        head.lines().find_map(|line| line.to_lowercase().starts_with("set-cookie: ").then(|| line[12..].split(';').next().unwrap()));
    let session = format!("Cookie: {}\r\n{FORM}", cookie.unwrap());
    let found = browse(&page, "GET", "/search", &session, "").2;
    let csrf = found.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(found.matches("action=\"/tunnels\"").count(), 2, "{found}");
    assert_eq!(browse(&page, "POST", "/tunnels", &session, &wish).0, 403, "no page of ours");
    assert_eq!(garden.json(&["tunnels"])["tunnels"], json!([]));
    let location = |wish: &str| {
        let (status, head, body) = browse(&page, "POST", "/tunnels", &session, &format!("csrf={csrf}&{wish}"));
        assert_eq!(status, 303, "{body}");
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("location: ").map(str::to_owned)).unwrap()
    };
    // Led on by the page that a 303 to this node's own origin shows, since the policy lets forms lead nowhere else.
    let there = location(&wish);
    let (status, head, body) = browse(&page, "GET", &there, &session, "");
    let port = there.rsplit('/').next().unwrap();
    let address = format!("http://127.0.0.1:{port}/wiki/");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains(&format!("refresh: 0; url={address}")) && head.contains("form-action 'self'"), "{head}");
    assert!(body.contains(&format!("href=\"{address}\"")), "{body}");
    // What no browser opens is for another program.
    let there = location(&format!("node={}&service=broker", id(&roof)));
    let (_, head, body) = browse(&page, "GET", &there, &session, "");
    assert!(!head.to_lowercase().contains("refresh:") && body.contains("<code>mqtt://127.0.0.1:"), "{body}");

    // A guest closes nothing, and hears what is wrong on the page.
    let (status, ..) = browse(&page, "POST", &format!("/tunnels/{port}/close"), &session, &format!("csrf={csrf}"));
    assert_eq!(status, 403);
    let (status, _, body) = browse(&page, "POST", "/tunnels", &session, &format!("csrf={csrf}&node={}&service=gone", id(&roof)));
    assert!(status == 404 && body.contains("does not share that any more") && body.contains("role=\"search\""), "{body}");
    assert_eq!(garden.json(&["tunnels"])["tunnels"].as_array().unwrap().len(), 2);
}
