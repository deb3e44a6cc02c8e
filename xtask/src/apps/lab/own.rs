//! Apps of a person's own on the node in the lab: a form and a compose file, with the image of an app as the image that Docker holds.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::compose_tried::compose_list;
use super::node::{Node, docker, has, is, json, must, refused};

/// What the image is called for them; no registry has it.
pub(super) const IMAGE: &str = "tried/own:1";
/// A folder of the node that an owner may allow.
const MUSIC: &str = "/mnt/music";
const FORM: &str = "own-form";
const COMPOSE: &str = "own-duo";
/// What both run: something that writes what it was told, and stays.
const STAY: &str = "echo \"says $WORD\" | tee /data/word; trap 'exit 0' TERM; while :; do sleep 1; done";

/// The compose file: two services, one of which waits until the other is well.
const DUO: &str = r#"
x-usual: &usual
  image: tried/own:1
  user: root
services:
  first:
    <<: *usual
    command: ["/bin/sh", "-c", "echo \"says $$WORD\" | tee /data/word; trap 'exit 0' TERM; while :; do sleep 1; done"]
    environment: { WORD: "${WORD}", OTHER: "${OTHER:-default}" }
    volumes: ["data:/data"]
    healthcheck: { test: ["CMD", "/bin/sh", "-c", "test -e /data/word"], interval: 1s, start_period: 20s }
    configs: [{ source: greeting, target: /etc/greeting }]
    secrets: [word]
    ports: ["18090:80"]
  second:
    <<: *usual
    command: ["/bin/sh", "-c", "echo second; trap 'exit 0' TERM; while :; do sleep 1; done"]
    depends_on: { first: { condition: service_healthy } }
volumes: { data: }
configs: { greeting: { content: "hello $$you, ${OTHER:-default}\n" } }
secrets: { word: { environment: WORD } }
"#;

/// A file of the person's.
pub(super) fn write(name: &str, text: &str) -> Result<String> {
    let path = format!("/run/{name}.yaml");
    fs::write(&path, text)?;
    Ok(path)
}

pub(super) fn inspect(container: &str, what: &str) -> Result<String> {
    docker(&["inspect", "--format", what, container])
}

pub(super) fn exec(container: &str, line: &str) -> Result<String> {
    docker(&["exec", container, "/bin/sh", "-c", line])
}

impl Node {
    /// What a person does with apps of their own. `app` is one of the catalog, whose image is taken for them.
    pub fn own(&mut self, app: &str, install: &[&str]) -> Result<()> {
        let begun = Instant::now();
        must(install)?;
        let image = inspect(&format!("cloudy-{app}-app-1"), "{{.Image}}")?;
        docker(&["tag", image.trim(), IMAGE])?;
        must(&["app", "remove", app, "--with-data"])?;
        self.form()?;
        self.compose_file()?;
        privileges()?;
        compose_list()?;
        self.by_hand()?;
        ensure!(!docker(&["images", "--quiet", IMAGE])?.is_empty(), "the image that nobody could bring back should still be there");
        println!("  {:5.1} s  apps of one's own: a form and a compose file", begun.elapsed().as_secs_f32());
        Ok(())
    }

    fn form(&mut self) -> Result<()> {
        let form = ["app", "form", FORM, "--image", IMAGE, "--port", "18080:80 http", "--env", "WORD", "--volume", "data:/data"];
        must(&[&form[..], &["--memory-mb", "64", "--user", "root", "--", "/bin/sh", "-c", STAY]].concat())?;
        refused(&["app", "install", FORM], "`WORD` must be said")?;
        let install = ["app", "install", FORM, "--set", "WORD=a $word"];
        must(&install)?;
        is(FORM, "running")?;
        let container = format!("cloudy-{FORM}-app-1");
        ensure!(exec(&container, "cat /data/word")?.trim() == "says a $word", "the environment should come through");
        let said = inspect(&container, "{{.HostConfig.Privileged}} {{.HostConfig.SecurityOpt}} {{.HostConfig.RestartPolicy.Name}}")?;
        ensure!(said.trim() == "false [no-new-privileges:true] unless-stopped", "{said}");
        ensure!(inspect(&container, "{{json .HostConfig.PortBindings}}")?.contains("18080"), "its port should be published");
        ensure!(must(&["app", "logs", FORM])?.contains("says a $word"), "its log should be read");
        must(&["app", "stop", FORM])?;
        is(FORM, "stopped")?;
        must(&["app", "start", FORM])?;
        must(&["app", "restart", FORM])?;
        must(&["app", "set", FORM, "--set", "WORD=other", "--update"])?;
        ensure!(exec(&container, "cat /data/word")?.trim() == "says other", "what was set should hold");
        self.remove(FORM, &install)
    }

    fn compose_file(&mut self) -> Result<()> {
        let wrong = write("wrong", &DUO.replace("    ports:", "    env_file: /etc/passwd\n    ports:"))?;
        refused(&["app", "compose", COMPOSE, &wrong], "line 14, column 5: `services.first.env_file`: files beside this one are not read")?;
        must(&["app", "compose", COMPOSE, &write("duo", DUO)?])?;
        let install = ["app", "install", COMPOSE, "--set", "WORD=duo"];
        must(&install)?;
        is(COMPOSE, "running")?;
        ensure!(has(COMPOSE)? == (2, 1), "two containers and a volume: {:?}", has(COMPOSE)?);
        ensure!(
            exec(&format!("cloudy-{COMPOSE}-first-1"), "cat /data/word; echo $OTHER")? == "says duo\ndefault\n",
            "its values should hold"
        );
        let logs = must(&["app", "logs", COMPOSE])?;
        ensure!(logs.contains("first:") && logs.contains("says duo") && logs.contains("second:"), "{logs}");
        docker(&["kill", &format!("cloudy-{COMPOSE}-second-1")])?;
        is(COMPOSE, "ill")?;
        must(&["app", "start", COMPOSE])?;
        is(COMPOSE, "running")?;
        self.remove(COMPOSE, &install)?;
        self.kill(COMPOSE, &install)
    }
}

fn privileges() -> Result<()> {
    fs::create_dir_all(MUSIC)?;
    fs::write(Path::new(MUSIC).join("song"), "la la")?;
    let text = "services:\n  app:\n    image: tried/own:1\n    user: root\n    command: [\"/bin/sh\", \"-c\", \"while :; do sleep 1; done\"]\n    volumes:\n      - /mnt/music:/music:ro\n";
    must(&["app", "compose", "own-radio", &write("radio", text)?])?;
    let install = ["app", "install", "own-radio"];
    refused(&install, "line 7, column 9: `services.app.volumes` asks for the privilege `host-path-read=/mnt/music`")?;
    refused(&["app", "allow", "own-radio", "privileged"], "does not ask for the privilege `privileged`")?;
    refused(&["app", "allow", "own-radio", "host-path=/var/lib/cloudy"], "whoever allows it")?;
    must(&["app", "allow", "own-radio", "host-path-read=/mnt/music"])?;
    must(&install)?;
    is("own-radio", "running")?;
    let container = "cloudy-own-radio-app-1";
    ensure!(
        exec(container, "cat /music/song; echo x > /music/new || echo only read")? == "la laonly read\n",
        "the folder should be there to read"
    );
    // What an owner takes back is not started again; nor is what became a link.
    must(&["app", "allow", "own-radio"])?;
    must(&["app", "stop", "own-radio"])?;
    refused(&["app", "start", "own-radio"], "which an owner of this node may allow")?;
    must(&["app", "allow", "own-radio", "host-path-read=/mnt/music"])?;
    must(&["app", "start", "own-radio"])?;
    must(&["app", "stop", "own-radio"])?;
    fs::rename(MUSIC, "/mnt/other")?;
    std::os::unix::fs::symlink("/etc", MUSIC)?;
    refused(&["app", "start", "own-radio"], "is a link")?;
    must(&["app", "remove", "own-radio", "--with-data"])?;
    for name in [FORM, COMPOSE, "own-radio"] {
        must(&["app", "own", name, "--forget"])?;
        ensure!(has(name)? == (0, 0), "of `{name}` something stays");
    }
    ensure!(json(&["app", "own"])?["apps"].as_array().is_some_and(Vec::is_empty), "none should be saved any more");
    Ok(())
}
