//! Blobs with real agents on loopback: a file goes from one node to others, by the command line, and nobody else gets it.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use support::community::{founder, joined};
use support::layout::layout;
use support::{Agent, Local, wait};

/// Some more than three parts.
const LARGE: usize = 50 * 1024 * 1024 + 12_345;

/// Bytes that are not alike anywhere.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// Puts bytes into the microcloud; their hash.
fn add(agent: &Agent, name: &str, bytes: &[u8], words: &[&str]) -> String {
    let file = agent.data.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    let words = [&["blob", "add", file.to_str().unwrap()], words].concat();
    let added = agent.json(&words);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(added["size-bytes"], bytes.len());
    added["hash"].as_str().unwrap().to_owned()
}

fn holders(agent: &Agent, hash: &str) -> usize {
    let all = agent.json(&["blob", "ls"]);
    let found = all["blobs"].as_array().unwrap().iter().find(|blob| blob["hash"] == hash).cloned().unwrap_or_default();
    found["holders"].as_array().map_or(0, Vec::len)
}

fn fetched(agent: &Agent, hash: &str) -> Vec<u8> {
    let output = agent.data.path().join("fetched");
    let _ = std::fs::remove_file(&output);
    let done = agent.run(&["blob", "get", hash, "--output", output.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(output).unwrap()
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Status, head and body of what a gateway answers.
fn gateway(agent: &Agent, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let port = agent.json(&["blob", "quota"])["gateway-port"].as_u64().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, bytes[end + 4..].to_vec())
}

fn disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { disk(&entry.path()) } else { entry.metadata().map_or(0, |meta| meta.len()) }).sum()
}

#[test]
fn a_file_goes_from_node_to_node_and_who_has_it_gives_it_on() {
    let mut garden = founder("garden");
    let (roof, shed) = (joined("roof", &garden), joined("shed", &garden));
    let (large, small) = (content(LARGE, 1), content(1000, 2));
    let hash = add(&garden, "film.webm", &large, &["--media-type", "video/webm"]);
    let little = add(&garden, "note.txt", &small, &[]);
    assert_eq!(add(&garden, "film.webm", &large, &[]), hash, "the same bytes are the same blob");
    for agent in [&roof, &shed] {
        wait("it is told everywhere", || (holders(agent, &hash) == 1 && holders(agent, &little) == 1).then_some(()));
    }
    assert!(fetched(&roof, &hash) == large && fetched(&roof, &little[..12]) == small);
    // The one that added it is gone; the one that fetched it gives it.
    wait("two hold it", || (holders(&shed, &hash) == 2).then_some(()));
    garden.stop();
    assert!(fetched(&shed, &hash) == large);
    // What is removed goes from the disk, and from what is told, but not from others.
    shed.json(&["blob", "rm", &hash]);
    wait("its room is free", || (disk(&shed.data.path().join("blobs/data")) < 1_000_000).then_some(()));
    wait("it is told no more", || (holders(&roof, &hash) == 2).then_some(()));
    assert!(refused(&shed, &["blob", "pin", &hash]).contains("no blob"));
    assert!(fetched(&roof, &hash) == large);
}

#[test]
fn what_was_begun_goes_on_after_a_kill_and_what_was_damaged_is_fetched_anew() {
    let garden = founder("garden");
    let mut roof = joined("roof", &garden);
    let large = content(LARGE, 3);
    let hash = add(&garden, "film.webm", &large, &[]);
    wait("it is told", || (holders(&roof, &hash) == 1).then_some(()));
    let mut socket = Local::open(roof.data.path()).unwrap();
    let path = format!("/api/v1/blobs/{hash}");
    assert_eq!(socket.ask("POST", &path, &Value::Null).unwrap().0, 202);
    // Killed somewhere while it comes, several times; begun once, it comes without being asked for again.
    for _ in 0..4 {
        let before = disk(&roof.data.path().join("blobs"));
        wait("some of it came", || (disk(&roof.data.path().join("blobs")) > before).then_some(()));
        roof.child.kill().unwrap();
        roof.child.wait().unwrap();
        roof.child = Agent::spawn(roof.data.path());
        roof.wait_until_up();
        let here = Local::open(roof.data.path()).unwrap().ask("GET", &path, &Value::Null).unwrap().1["here"].clone();
        if here["complete"] == true {
            break;
        }
    }
    let whole = |agent: &Agent| {
        let (_, blob) = Local::open(agent.data.path())?.ask("GET", &format!("/api/v1/blobs/{hash}"), &Value::Null)?;
        (blob["here"]["complete"] == true).then_some(())
    };
    wait("all of it is here", || whole(&roof));
    assert!(fetched(&roof, &hash) == large);

    // A bit turns over on the disk: it is not given out, and comes anew.
    let data = roof.data.path().join("blobs/data");
    let part = std::fs::read_dir(&data)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "data") && path.metadata().unwrap().len() > 1_000_000);
    let part = part.unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[500_000] ^= 4;
    std::fs::write(&part, &bytes).unwrap();
    let output = roof.data.path().join("damaged");
    assert!(!roof.run(&["blob", "get", &hash, "--output", output.to_str().unwrap()]).status.success());
    assert!(!output.exists() && !output.parent().unwrap().join("damaged.part").exists());
    wait("it is here again", || {
        let done = roof.run(&["blob", "get", &hash, "--output", output.to_str().unwrap()]);
        done.status.success().then_some(())
    });
    assert!(std::fs::read(&output).unwrap() == large);

    // The database is lost: what lies in files is found again, and nothing need come.
    let mut alone = garden;
    alone.stop();
    roof.stop();
    let database = roof.data.path().join("blobs/blobs.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[64..middle].fill(0xa5);
    std::fs::write(&database, &bytes).unwrap();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    assert!(fetched(&roof, &hash) == large);
    assert!(roof.json(&["blob", "quota"])["put-aside"].as_str().unwrap().contains("blobs.db.damaged"));

    // What says which blobs are held is lost: all of them are held still, and given to nobody until somebody says so.
    roof.stop();
    std::fs::write(roof.data.path().join("blobs/held.json"), b"{\"blobs\":{").unwrap();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    wait("it is found out", || {
        let found = roof.json(&["blob", "ls"])["blobs"].as_array().unwrap().iter().find(|blob| blob["hash"] == hash).cloned()?;
        (found["here"]["visibility"] == "private" && found["here"]["pinned"] == true).then_some(())
    });
    assert!(fetched(&roof, &hash) == large);
}

#[test]
fn a_damaged_part_that_two_files_share_comes_anew_for_both() {
    let garden = founder("garden");
    let roof = joined("roof", &garden);
    let part = content(16 * 1024 * 1024, 10);
    let (one, two) = ([part.clone(), content(1_000_000, 11)].concat(), [part.clone(), content(2_000_000, 12)].concat());
    let hashes = [add(&garden, "one.bin", &one, &[]), add(&garden, "two.bin", &two, &[])];
    for (hash, bytes) in hashes.iter().zip([&one, &two]) {
        wait("it is told", || (holders(&roof, hash) == 1).then_some(()));
        assert!(fetched(&roof, hash) == *bytes);
    }
    let data = roof.data.path().join("blobs/data");
    let files = || std::fs::read_dir(&data).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.extension().unwrap() == "data");
    let shared = files().find(|path| path.metadata().unwrap().len() == part.len() as u64).unwrap();
    let own = files().find(|path| path.metadata().unwrap().len() == 1_000_000).unwrap();
    let before = own.metadata().unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&shared).unwrap();
    bytes[77] ^= 1;
    std::fs::write(&shared, &bytes).unwrap();
    let output = roof.data.path().join("damaged");
    assert!(!roof.run(&["blob", "get", &hashes[0], "--output", output.to_str().unwrap()]).status.success());
    for (hash, bytes) in hashes.iter().zip([&one, &two]) {
        let path = format!("/api/v1/blobs/{hash}");
        wait("it is here again", || {
            let here = Local::open(roof.data.path())?.ask("GET", &path, &Value::Null)?.1["here"].clone();
            (here["complete"] == true && std::fs::read(&shared).ok()? == part).then_some(())
        });
        assert!(fetched(&roof, hash) == *bytes);
    }
    assert_eq!(own.metadata().unwrap().modified().unwrap(), before, "what was good has stayed");
}

#[test]
fn what_is_private_stays_and_what_is_public_is_given_by_the_gateway_alone() {
    let garden = founder("garden");
    let roof = joined("roof", &garden);
    let (secret, open) = (content(3000, 4), b"<script>alert(1)</script>".to_vec());
    let private = add(&garden, "diary.txt", &secret, &["--visibility", "private"]);
    let shared = add(&garden, "list.txt", &content(2000, 5), &[]);
    let public = add(&garden, "page.html", &open, &["--visibility", "public", "--media-type", "text/html"]);
    let picture = add(&garden, "a b.png", &content(5000, 6), &["--visibility", "public", "--media-type", "image/png"]);
    wait("what is shared is told", || (holders(&roof, &public) == 1 && holders(&roof, &shared) == 1).then_some(()));
    assert_eq!(holders(&roof, &private), 0);
    assert!(refused(&roof, &["blob", "get", &private]).contains("no node of the microcloud"));
    // Who knows nothing of this node sees what is public, and no more.
    let seen: Value = serde_json::from_str(&support::get(&garden.page(), "/api/v1/blobs", &[]).1).unwrap();
    let seen: Vec<&str> = seen["blobs"].as_array().unwrap().iter().map(|blob| blob["hash"].as_str().unwrap()).collect();
    assert!(seen.len() == 2 && seen.contains(&public.as_str()) && seen.contains(&picture.as_str()), "{seen:?}");
    for path in [format!("/api/v1/blobs/{public}"), format!("/api/v1/blobs/{public}/content")] {
        assert!(support::get(&garden.page(), &path, &[]).0.starts_with("HTTP/1.1 401"), "{path}");
    }

    // The gateway: nothing that is not public, nothing that a browser could run.
    for hash in [&private, &shared, &"0".repeat(64), &"..%2f..%2fnet".to_owned()] {
        assert_eq!(gateway(&garden, &format!("/{hash}"), "").0, 404, "{hash}");
    }
    let (status, head, body) = gateway(&garden, &format!("/{public}"), "Cookie: cloudy-session=x\r\n");
    assert!(status == 200 && body == open);
    for needed in ["sandbox", "nosniff", "attachment", "application/octet-stream"] {
        assert!(head.contains(needed), "{needed} in {head}");
    }
    let (status, head, body) = gateway(&garden, &format!("/{picture}/a.png"), "Range: bytes=10-19\r\n");
    assert!(status == 206 && body == content(5000, 6)[10..20] && head.contains("image/png") && head.contains("bytes 10-19/5000"), "{head}");
    assert_eq!(gateway(&garden, &format!("/{picture}"), "Range: bytes=5000-\r\n").0, 416);
    assert_eq!(gateway(&garden, &format!("/{picture}"), &format!("If-None-Match: \"{picture}\"\r\n")).0, 304);

    // It is taken back: told no more, given no more; those who have it keep it.
    assert_eq!(fetched(&roof, &shared).len(), 2000);
    garden.json(&["blob", "unshare", &public]);
    garden.json(&["blob", "unshare", &shared]);
    assert_eq!(gateway(&garden, &format!("/{public}"), "").0, 404);
    wait("it is told no more", || (holders(&roof, &public) == 0 && holders(&roof, &shared) == 1).then_some(()));
    assert_eq!(fetched(&roof, &shared).len(), 2000);
}

#[test]
fn what_is_shared_later_is_told_then_and_what_is_pinned_stays_where_room_is_needed() {
    let garden = founder("garden");
    let roof = joined("roof", &garden);
    let bytes = content(2_000_000, 13);
    let hash = add(&garden, "film.webm", &bytes, &["--visibility", "private"]);
    let mark = add(&garden, "mark.txt", &content(100, 14), &[]);
    wait("what is shared is told", || (holders(&roof, &mark) == 1).then_some(()));
    assert_eq!(holders(&roof, &hash), 0);
    assert!(refused(&roof, &["blob", "get", &hash]).contains("no node of the microcloud"));
    // Its beginning names it. First to members, then to everybody, then to members again.
    assert_eq!(garden.json(&["blob", "share", &hash[..10]])["here"]["visibility"], "community");
    wait("it is told", || (holders(&roof, &hash) == 1).then_some(()));
    assert!(fetched(&roof, &hash) == bytes);
    assert_eq!(gateway(&garden, &format!("/{hash}"), "").0, 404);
    assert_eq!(garden.json(&["blob", "share", "--public", &hash])["here"]["visibility"], "public");
    assert!(gateway(&garden, &format!("/{hash}"), "").2 == bytes);
    garden.json(&["blob", "share", &hash]);
    assert_eq!(gateway(&garden, &format!("/{hash}"), "").0, 404);
    assert!(refused(&garden, &["blob", "share", &"0f".repeat(32)]).contains("no blob"));

    // What was fetched goes where room is needed, but for what is pinned; over a restart too.
    let mut roof = roof;
    let here = |agent: &Agent| {
        agent.json(&["blob", "ls"])["blobs"].as_array().unwrap().iter().find(|blob| blob["hash"] == hash).unwrap()["here"].clone()
    };
    assert_eq!(here(&roof)["pinned"], false, "who fetches does not keep for ever");
    roof.json(&["blob", "quota", "5"]);
    assert_eq!(roof.json(&["blob", "pin", &hash])["here"]["pinned"], true);
    roof.child.kill().unwrap();
    roof.child.wait().unwrap();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    let file = roof.data.path().join("more.bin");
    std::fs::write(&file, content(3_500_000, 15)).unwrap();
    let words = ["blob", "add", file.to_str().unwrap()];
    assert!(refused(&roof, &words).contains("there is room for"));
    assert!(here(&roof)["pinned"] == true && fetched(&roof, &hash) == bytes);
    roof.json(&["blob", "unpin", &hash]);
    roof.json(&words);
    wait("it made room", || here(&roof).is_null().then_some(()));
    assert!(fetched(&garden, &hash) == bytes, "where it came from it stays");
}

#[test]
fn there_is_an_end_to_what_a_node_takes() {
    let agent = founder("alone");
    let quota = |mb: &str| agent.json(&["blob", "quota", mb]);
    let first = add(&agent, "first.bin", &content(2_000_000, 7), &[]);
    assert_eq!(quota("5")["quota-bytes"], 5_000_000);
    assert!(refused(&agent, &["blob", "add", "/dev/null", "--name", "x"]).contains("nothing was sent"));
    let add_anew = |length: usize, seed| {
        let file = agent.data.path().join("next.bin");
        std::fs::write(&file, content(length, seed)).unwrap();
        agent.run(&["blob", "add", file.to_str().unwrap()])
    };
    // What is pinned stays, so there is no room; nothing of what was refused does.
    let output = add_anew(3_100_000, 8);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("there is room for"));
    wait("it is cleared away", || (disk(&agent.data.path().join("blobs")) < 4_500_000).then_some(()));
    agent.json(&["blob", "unpin", &first]);
    assert!(add_anew(3_100_000, 8).status.success());
    assert!(refused(&agent, &["blob", "pin", &first]).contains("no blob"));
    assert_eq!(agent.json(&["blob", "quota"])["used-bytes"], 3_100_000);
    assert_eq!(quota("0")["set"], false);
    for name in ["", "../x", "a/b"] {
        let output = agent.run(&["blob", "add", "/etc/hostname", "--name", name]);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("name"), "{name}");
    }
}

/// Takes a version of the app into a node's catalog.
fn take_in(agent: &Agent, version: u8) {
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), version);
    agent.json(&["app", "add", folder.path().to_str().unwrap()]);
}

fn image(agent: &Agent) -> Option<String> {
    let catalog = agent.json(&["app", "catalog"]);
    catalog["apps"].as_array().unwrap().first().map(|app| app["image"].as_str().unwrap().to_owned())
}

/// Apps that nodes give, as one of them sees it: hash, whether its catalog has an app of that name, and whether in that version.
fn given(agent: &Agent) -> Vec<(String, bool, bool)> {
    let found = agent.json(&["app", "found"]);
    let one = |app: &Value| (app["hash"].as_str().unwrap().to_owned(), app["known"] == true, app["in-catalog"] == true);
    found["apps"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn an_app_goes_from_catalog_to_catalog_and_the_next_version_after_it() {
    let garden = founder("garden");
    let (mut roof, shed) = (joined("roof", &garden), joined("shed", &garden));
    assert!(refused(&garden, &["app", "share", "broker"]).contains("no app `broker`"));
    take_in(&garden, 1);
    let hash = garden.json(&["app", "share", "broker"])["hash"].as_str().unwrap().to_owned();
    assert_eq!(garden.json(&["app", "share", "broker"])["hash"], hash.as_str(), "the same version is the same blob");
    wait("it is found", || (given(&roof) == [(hash.clone(), false, false)]).then_some(()));
    roof.json(&["app", "get", "broker"]);
    assert!(image(&roof).is_some() && image(&roof) == image(&garden));
    // Who fetched it gives it too: the same blob, whoever packed it.
    assert_eq!(roof.json(&["app", "share", "broker"])["hash"], hash.as_str());

    // The next version takes the place of the one before; who has that is told.
    take_in(&garden, 2);
    let next = garden.json(&["app", "share", "broker"])["hash"].as_str().unwrap().to_owned();
    wait("both are found, one of each node", || {
        let mut all = given(&roof);
        all.sort_by_key(|(_, _, same)| *same);
        (all == [(next.clone(), true, false), (hash.clone(), true, true)]).then_some(())
    });
    assert!(refused(&shed, &["app", "get", "broker"]).contains("several versions"));
    // It is begun, and its node is killed; it is in the catalog all the same.
    let mut local = Local::open(roof.data.path()).unwrap();
    let begun = local.ask("POST", &format!("/api/v1/found-apps/{next}"), &Value::Null).unwrap();
    assert_eq!(begun.0, 202, "{}", begun.1);
    roof.child.kill().unwrap();
    roof.child.wait().unwrap();
    roof.child = Agent::spawn(roof.data.path());
    roof.wait_until_up();
    wait("it is taken", || (image(&roof) == image(&garden)).then_some(()));

    // A file is no app, whatever it holds.
    let file = add(&garden, "broker.tar", b"x", &[]);
    wait("it is told", || (holders(&shed, &file) == 1).then_some(()));
    assert!(refused(&shed, &["app", "get", &file]).contains("is no app"));
    assert_eq!(image(&shed), None);
}

#[test]
fn a_compose_file_that_another_node_holds_becomes_an_own_app() {
    let garden = founder("garden");
    let roof = joined("roof", &garden);
    let text = "services:\n  app:\n    image: x:1\n";
    let good = add(&garden, "compose.yaml", text.as_bytes(), &[]);
    let wrong = add(&garden, "wrong.yaml", text.replace("image", "imagen").as_bytes(), &[]);
    let (long, bytes) = (add(&garden, "long.yaml", &content(60_000, 5), &[]), add(&garden, "bytes.yaml", &content(100, 6), &[]));
    wait("it is told", || [&good, &wrong, &long, &bytes].iter().all(|hash| holders(&roof, hash) == 1).then_some(()));
    let saved = roof.json(&["app", "compose", "wiki", "--blob", &good]);
    assert_eq!((&saved["kind"], &saved["image"]), (&Value::from("compose"), &Value::from("x:1")));
    assert_eq!(roof.json(&["app", "own", "wiki"])["definition"]["compose"], text);
    let no = |blob: &str| refused(&roof, &["app", "compose", "other", "--blob", blob]);
    assert!(no(&format!("http://garden:1/{wrong}/wrong.yaml")).contains("line 3, column 5"), "{}", no(&wrong));
    assert!(no(&long).contains("has 60000 bytes, where 49152 are allowed"), "{}", no(&long));
    assert!(no(&bytes).contains("is no text in UTF-8"), "{}", no(&bytes));
    assert!(no(&"0f".repeat(32)).contains("no node of the microcloud says that it holds"));
    wait("what was read is held by both", || (holders(&garden, &good) == 2).then_some(()));
    assert_eq!(holders(&garden, &long), 1, "what is too long was not fetched");
}
