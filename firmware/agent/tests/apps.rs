//! Apps with a real agent and its command line, where there is no broker: what is taken into the catalog, what is refused, and a job
//! that waits, outlives a kill of its agent, and still keeps others off its app. With a real broker, compose and Docker it is done in
//! the builder's lab: `cargo xtask app NAME --node PROGRAM`.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use contract::oci::Digest;
use serde_json::Value;
use support::layout::layout;
use support::{Agent, cloudy, get, wait};

fn refused(agent: &Agent, words: &[&str]) -> String {
    let output = agent.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn job(agent: &Agent) -> Option<Value> {
    agent.json(&["jobs"])["jobs"].get(0).cloned()
}

#[test]
fn an_app_is_added_and_its_job_outlives_its_agent() {
    let mut agent = Agent::start("garden", "");
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), 7);
    let place = folder.path().to_str().unwrap();
    // A layer that is not what it is called: said before it is sent, and by the agent of a tar, although the whole was sent.
    let layer = folder.path().join("blobs/sha256").join(Digest::of(&vec![7; 3_000_000]).hex());
    std::fs::write(&layer, vec![8; 3_000_000]).unwrap();
    let said = refused(&agent, &["app", "add", place]);
    assert!(said.contains("is damaged") && said.contains(layer.to_str().unwrap()), "{said}");
    let packed = folder.path().join("packed.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&packed).unwrap());
    tar.append_path_with_name(folder.path().join("index.json"), "index.json").unwrap();
    for blob in std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        tar.append_path_with_name(blob.path(), format!("blobs/sha256/{}", blob.file_name().to_str().unwrap())).unwrap();
    }
    tar.into_inner().unwrap().sync_all().unwrap();
    let said = refused(&agent, &["app", "add", packed.to_str().unwrap()]);
    assert!(said.contains("holds something else"), "{said}");
    std::fs::remove_file(&packed).unwrap();
    std::fs::write(&layer, vec![7; 3_000_000]).unwrap();
    assert!(refused(&agent, &["app", "add", place, "wiki"]).contains("has no app `wiki`"));
    assert_eq!(agent.json(&["app", "add", place])["added"][0], "broker");
    assert_eq!(agent.json(&["app", "catalog"])["apps"][0]["must"][0], "password");

    assert!(refused(&agent, &["app", "install", "broker"]).contains("`password` must be said"));
    assert!(refused(&agent, &["app", "install", "wiki"]).contains("no app `wiki` in this node's catalog"));
    let mut asking = cloudy();
    let asking = asking.args(["app", "install", "broker", "--set", "password=se-cret", "--data"]).arg(agent.data.path());
    let mut asking = asking.stdout(std::process::Stdio::null()).spawn().unwrap();
    let waits = |agent: &Agent| job(agent).filter(|job| job["waits"].as_str().is_some_and(|why| why.contains("broker")));
    let begun = wait("a job waits for the broker", || waits(&agent));
    let busy = refused(&agent, &["app", "install", "broker", "--set", "password=x"]);
    assert!(busy.contains(&format!("job {} is at work on `broker`", begun["id"])), "{busy}");
    // As by a power cut.
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    assert!(!asking.wait().unwrap().success());
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
    let again = wait("it is taken up", || waits(&agent));
    assert_eq!((&again["id"], &again["state"]), (&begun["id"], &begun["state"]));
    assert!(refused(&agent, &["app", "remove", "broker"]).contains("is at work"));
    // Nobody on the network learns what was set, or of the job.
    for path in ["/api/v1/apps", "/api/v1/jobs", "/api/v1/catalog", "/"] {
        assert!(!get(&agent.page(), path, &[]).1.contains("se-cret"), "{path}");
    }
    assert!(get(&agent.page(), "/api/v1/jobs", &[]).0.contains("401"));
    agent.stop();
}

#[test]
fn an_app_of_one_s_own_is_saved_allowed_and_forgotten() {
    let mut agent = Agent::start("garden", "");
    let file = agent.data.path().join("radio.yaml");
    let path = file.to_str().unwrap().to_owned();
    std::fs::write(&file, "services:\n  app:\n    image: x:1\n    env_file: .env\n    devices: [/dev/sda]\n").unwrap();
    let said = refused(&agent, &["app", "compose", "radio", &path]);
    assert!(
        said.contains("line 4, column 5: `services.app.env_file`") && said.contains("line 5, column 15: `services.app.devices`"),
        "{said}"
    );
    std::fs::write(&file, "services:\n  app:\n    image: x:1\n    devices: [/dev/ttyUSB0]\n").unwrap();
    let saved = agent.json(&["app", "compose", "radio", &path, "--title", "Radio"]);
    assert_eq!((&saved["title"], &saved["asked"][0]["privilege"]), (&"Radio".into(), &"device=/dev/ttyUSB0".into()));
    assert!(refused(&agent, &["app", "install", "radio"]).contains("cloudy app allow radio device=/dev/ttyUSB0"));
    assert!(refused(&agent, &["app", "allow", "radio", "host-path=/etc"]).contains("whoever allows it"));
    assert_eq!(agent.json(&["app", "allow", "radio", "device=/dev/ttyUSB0"])["asked"][0]["granted"], true);
    let form = [
        "app",
        "form",
        "web",
        "--image",
        "nginx:1.27",
        "--port",
        "8080:80 http",
        "--env",
        "TZ",
        "--volume",
        "data:/data",
        "--json",
        "--data",
    ];
    let output = cloudy().args(form).arg(agent.data.path()).args(["--", "nginx", "-g", "daemon off;"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let web = agent.json(&["app", "own", "web"]);
    assert_eq!((&web["must"][0], &web["definition"]["form"]["command"][2]), (&"TZ".into(), &"daemon off;".into()));
    assert!(refused(&agent, &["app", "install", "web"]).contains("`TZ` must be said"));
    // They are there after a restart, and nobody on the network learns of them.
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    agent.child = Agent::spawn(agent.data.path());
    agent.wait_until_up();
    assert_eq!(agent.json(&["app", "own"])["apps"].as_array().unwrap().len(), 2);
    for path in ["/api/v1/own-apps", "/api/v1/own-apps/radio"] {
        assert!(get(&agent.page(), path, &[]).0.contains("401"), "{path}");
    }
    agent.json(&["app", "own", "radio", "--forget"]);
    assert!(refused(&agent, &["app", "own", "radio"]).contains("no app of one's own called `radio`"));
    agent.stop();
}
