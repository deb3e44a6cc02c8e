//! Signed catalogs with real agents on loopback: one publishes, others follow, and what is older, forged or another publisher's is not
//! taken.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use support::community::{founder, joined};
use support::layout::layout;
use support::{Agent, Local, wait};

/// Takes a version of the app into a node's store.
fn take_in(agent: &Agent, version: u8) {
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), version);
    agent.json(&["app", "add", folder.path().to_str().unwrap()]);
}

/// Which version of the app a node's store has.
fn image(agent: &Agent) -> Option<String> {
    let catalog = agent.json(&["app", "catalog"]);
    catalog["apps"].as_array().unwrap().first().map(|app| app["image"].as_str().unwrap().to_owned())
}

/// Publishes; the key.
fn publish(agent: &Agent, name: &str, words: &[&str]) -> String {
    agent.json(&[&["catalog", "publish", name], words].concat())["key"].as_str().unwrap().to_owned()
}

fn catalog(agent: &Agent, key: &str) -> Value {
    let all = agent.json(&["catalog", "ls"]);
    all["catalogs"].as_array().unwrap().iter().find(|catalog| catalog["key"] == key).cloned().unwrap_or_default()
}

fn number(agent: &Agent, key: &str) -> Option<u64> {
    catalog(agent, key)["number"].as_u64()
}

fn offer(agent: &Agent, key: &str) -> Value {
    agent.json(&["catalog", "show", key])["offers"][0].clone()
}

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn restart(agent: &mut Agent) {
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
}

/// The file of what a node has of a catalog.
fn saved(agent: &Agent, key: &str, name: &str) -> String {
    let path = agent.data.path().join(name).to_str().unwrap().to_owned();
    wait("it can be saved", || agent.run(&["catalog", "save", key, &path]).status.success().then_some(()));
    path
}

#[test]
fn a_catalog_is_followed_its_news_arrive_and_nothing_older_is_taken() {
    let garden = founder("garden");
    let mut roof = joined("roof", &garden);
    take_in(&garden, 1);
    assert!(refused(&garden, &["catalog", "publish", "gracia", "broker"]).contains("--title"));
    assert!(refused(&garden, &["catalog", "publish", "gracia", "wiki", "--title", "x"]).contains("no app `wiki`"));
    let key = publish(&garden, "gracia", &["broker", "--title", "Neighbours", "--title-ca", "Veïns"]);
    wait("it is told of", || (catalog(&roof, &key)["told"][0]["node-name"] == "garden").then_some(()));
    assert_eq!((&catalog(&roof, &key)["followed"], &catalog(&roof, &key)["title"]["ca"]), (&Value::from(false), &Value::from("Veïns")));
    assert!(refused(&roof, &["catalog", "get", &key, "broker"]).contains("no catalog with the key"));

    roof.json(&["catalog", "follow", "gracia"]);
    wait("it has come", || (number(&roof, &key) == Some(1)).then_some(()));
    assert_eq!(offer(&roof, &key)["in-store"], false);
    roof.json(&["catalog", "get", "gracia", "broker"]);
    assert!(image(&roof).is_some() && image(&roof) == image(&garden));
    let source = |agent: &Agent| agent.json(&["app", "catalog"])["apps"][0]["source"].clone();
    assert_eq!((&source(&roof)["key"], &source(&roof)["name"], &source(&garden)), (&key.as_str().into(), &"gracia".into(), &Value::Null));
    let first = saved(&roof, &key, "first.catalog");

    // The next publication arrives by itself, and so does the app's next version where somebody wants it: no update is needed for that.
    take_in(&garden, 2);
    assert_eq!(publish(&garden, "gracia", &[]), key);
    wait("its news have come", || (number(&roof, &key) == Some(2)).then_some(()));
    assert!(image(&roof) != image(&garden) && offer(&roof, &key)["update"] == true, "{}", offer(&roof, &key));
    roof.json(&["catalog", "get", &key, "broker"]);
    assert_eq!(image(&roof), image(&garden));

    // Nothing older is taken, by whatever way it comes, nor after a restart; and what was taken is here without anybody.
    for _ in 0..2 {
        assert!(refused(&roof, &["catalog", "add", &first]).contains("it is publication 1, and 2 was taken already"));
        assert_eq!(number(&roof, &key), Some(2));
        restart(&mut roof);
    }
    assert_eq!((offer(&roof, &key)["in-store"].clone(), catalog(&roof, &key)["followed"].clone()), (true.into(), true.into()));

    // What was changed is refused, and nothing is lost.
    let second = saved(&roof, &key, "second.catalog");
    let mut bytes = std::fs::read(&second).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    let said = refused(&roof, &["catalog", "add", &first]);
    assert!(said.contains("signature is wrong") || said.contains("can't be read"), "{said}");
    assert!(refused(&roof, &["catalog", "add", "/dev/null"]).contains("this is no catalog"));
    assert_eq!(number(&roof, &key), Some(2));

    // A key that was brought to another node publishes there, and the first one hears of it.
    let secret = garden.data.path().join("secret");
    std::fs::write(&secret, garden.json(&["catalog", "key", "gracia"])["secret"].as_str().unwrap()).unwrap();
    roof.json(&["catalog", "bring-key", "gracia", secret.to_str().unwrap()]);
    assert_eq!(publish(&roof, "gracia", &[]), key);
    wait("the first publisher follows its own", || (number(&garden, &key) == Some(3)).then_some(()));
    let keys = garden.data.path().join("catalogs/keys.json");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&keys.metadata().unwrap()) & 0o777, 0o600);

    // It is given up: nothing that it signs is taken any more.
    garden.json(&["catalog", "give-up", "gracia"]);
    wait("all hear of it", || (catalog(&roof, &key)["revoked"] == true).then_some(()));
    assert!(refused(&roof, &["catalog", "publish", "gracia"]).contains("given up"));
    assert!(refused(&roof, &["catalog", "add", &second]).contains("given up"));
    roof.json(&["catalog", "unfollow", &key]);
    assert_eq!(catalog(&roof, &key)["followed"], false);
}

#[test]
fn of_two_publishers_neither_s_app_takes_the_place_of_the_other_s() {
    let garden = founder("garden");
    let (shed, mut roof) = (joined("shed", &garden), joined("roof", &garden));
    take_in(&garden, 1);
    take_in(&shed, 2);
    let one = publish(&garden, "gracia", &["broker", "--title", "Neighbours"]);
    let two = publish(&shed, "others", &["broker", "--title", "Others"]);
    for key in [&one, &two] {
        wait("it is told of", || (catalog(&roof, key)["told"][0]["number"] == 1).then_some(()));
        roof.json(&["catalog", "follow", key]);
    }
    wait("both have come", || [&one, &two].iter().all(|key| number(&roof, key) == Some(1)).then_some(()));
    roof.json(&["catalog", "get", &one, "broker"]);
    assert_eq!(image(&roof), image(&garden));

    // Both are shown, each with its source; the other one is taken only where the owner says so.
    assert_eq!((&offer(&roof, &one)["in-store"], &offer(&roof, &two)["other"]), (&true.into(), &"Neighbours".into()));
    let said = refused(&roof, &["catalog", "get", &two, "broker"]);
    assert!(said.contains("another app that is called `broker`, from the catalog `Neighbours`") && said.contains("--replace"), "{said}");
    restart(&mut roof);
    assert!(refused(&roof, &["catalog", "get", &two, "broker", "--install"]).contains("--replace"));
    assert_eq!(image(&roof), image(&garden));
    // The other one is given by its node too, and comes no more easily that way.
    let given = || {
        let found = roof.json(&["app", "found"])["apps"].as_array().unwrap().clone();
        found.into_iter().find(|found| found["app"]["index"].as_str() == image(&shed).as_deref())
    };
    let found = wait("it is given", given);
    assert_eq!(found["takes-from"]["key"], one.as_str());
    let hash = found["hash"].as_str().unwrap();
    let said = refused(&roof, &["app", "get", hash]);
    assert!(said.contains("from the catalog gracia") && said.contains("--replace"), "{said}");
    assert_eq!(image(&roof), image(&garden));
    roof.json(&["app", "get", hash, "--replace"]);
    assert_eq!(image(&roof), image(&shed));
    roof.json(&["catalog", "get", &one, "broker", "--replace"]);
    roof.json(&["catalog", "get", &two, "broker", "--replace"]);
    assert_eq!(image(&roof), image(&shed));
    assert_eq!(offer(&roof, &one)["other"], "Others");

    // One is left, the other stays; what was taken of the one that was left stays too.
    roof.json(&["catalog", "unfollow", &two]);
    assert_eq!((image(&roof), number(&roof, &one)), (image(&shed), Some(1)));
    assert_eq!(offer(&roof, &one)["other"], "");
}

#[test]
fn what_a_builder_publishes_without_a_node_is_taken_as_what_a_node_publishes() {
    let builder = std::path::Path::new(env!("CARGO_BIN_EXE_cloudy")).with_file_name("xtask");
    assert!(builder.exists(), "the builder is made by `cargo build --workspace`");
    let folder = tempfile::tempdir().unwrap();
    let (images, key) = (folder.path().join("apps"), folder.path().join("gracia.key"));
    let made = |words: &[&str]| -> Value {
        #[expect(clippy::disallowed_methods, reason = "the builder is what is tested here")]
        let mut command = std::process::Command::new(&builder);
        command.args(["app", "broker", "--json", "--catalog", key.to_str().unwrap(), "--built", images.to_str().unwrap()]).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    layout(&images, 1);
    let first = made(&["--new-key", "gracia", "--title", "Neighbours"]);
    let garden = founder("garden");
    let of = first["key"].as_str().unwrap();
    assert_eq!(garden.json(&["catalog", "add", first["file"].as_str().unwrap()])["key"], of);
    let add = |file: &Value| garden.json(&["blob", "add", file.as_str().unwrap()])["hash"].clone();
    let added: Vec<Value> = first["blobs"].as_array().unwrap().iter().map(add).collect();
    garden.json(&["catalog", "get", "gracia", "broker"]);
    assert_eq!(offer(&garden, of)["in-store"], true);
    // The blob is the one that a node gives of the same app.
    assert!(added.contains(&garden.json(&["app", "share", "broker"])["hash"]), "{added:?}");

    // The next publication is newer, and a node publishes after it by the same key.
    layout(&images, 2);
    let second = made(&[]);
    assert_eq!((&second["number"], &second["key"]), (&2.into(), &first["key"]));
    assert_eq!(garden.json(&["catalog", "add", second["file"].as_str().unwrap()])["number"], 2);
    garden.json(&["catalog", "bring-key", "gracia", key.to_str().unwrap()]);
    assert_eq!(publish(&garden, "gracia", &[]), of);
    assert_eq!(number(&garden, of), Some(3));
}

#[test]
fn a_catalog_on_a_stick_is_enough_and_who_took_it_tells_the_others() {
    let alone = Agent::start("alone", "[join]\nmdns = false\n");
    take_in(&alone, 1);
    let key = publish(&alone, "gracia", &["broker", "--title", "Neighbours"]);
    let stick = tempfile::tempdir().unwrap();
    let (file, app) = (stick.path().join("gracia.catalog"), stick.path().join("broker.tar"));
    std::fs::copy(saved(&alone, &key, "saved.catalog"), &file).unwrap();
    let blobs = alone.json(&["blob", "ls"]);
    let hash = blobs["blobs"].as_array().unwrap().iter().find(|blob| blob["name"] == "broker.tar").unwrap()["hash"].clone();
    assert!(alone.run(&["blob", "get", hash.as_str().unwrap(), "--output", app.to_str().unwrap()]).status.success());
    drop(alone);

    let garden = founder("garden");
    let roof = joined("roof", &garden);
    roof.json(&["catalog", "follow", &key]);
    assert_eq!(catalog(&roof, &key)["number"], Value::Null);
    assert_eq!(garden.json(&["catalog", "add", file.to_str().unwrap()])["key"], key.as_str());
    garden.json(&["blob", "add", app.to_str().unwrap()]);
    garden.json(&["catalog", "get", "gracia", "broker"]);
    assert!(image(&garden).is_some());
    // Its publisher is nowhere, and the other one has it all the same: the catalog and the app.
    wait("it has come", || (number(&roof, &key) == Some(1)).then_some(()));
    roof.json(&["catalog", "get", "gracia", "broker"]);
    assert_eq!(image(&roof), image(&garden));
    // Over the network nobody follows anything without being an owner of this node.
    let mut local = Local::open(roof.data.path()).unwrap();
    assert_eq!(local.ask("PUT", "/api/v1/catalogs/x", &Value::Null).unwrap().0, 422);
    assert!(support::get(&roof.page(), "/api/v1/catalogs", &[]).0.contains("401"));
}
