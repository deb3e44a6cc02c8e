//! Containers that are made by hand in the lab, with `docker run`, and become apps of the node: what they keep goes with them, and the old
//! ones stay until somebody removes them.

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::node::{Killed, Node, docker, has, is, json, must, refused, until};
use super::own::{IMAGE, exec, inspect};

const OLD: &str = "hand-site";
const APP: &str = "hand";
const PORT: &str = "18095";
/// Writes what it was told, and stays.
const STAY: &str = "echo \"says $WORD\" > /data/word; trap 'exit 0' TERM; while :; do sleep 1; done";

/// Runs a container as a person would.
fn run(name: &str, options: &[&str], line: &str) -> Result<()> {
    let begin = ["run", "--detach", "--user", "root", "--restart", "always", "--name", name];
    docker(&[&begin[..], options, &[IMAGE, "/bin/sh", "-c", line]].concat())?;
    until(&format!("`{name}` runs"), || Ok(state(name)?.starts_with("true")))
}

/// Whether it runs, and when Docker starts it.
fn state(name: &str) -> Result<String> {
    Ok(inspect(name, "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}")?.trim().to_owned())
}

fn is_volume(name: &str) -> Result<bool> {
    Ok(docker(&["volume", "ls", "--quiet"])?.lines().any(|volume| volume == name))
}

/// The app has what the old one kept, and the old one has it too, and stands still.
fn adopted() -> Result<()> {
    is(APP, "running")?;
    let container = format!("cloudy-{APP}-app-1");
    let said = exec(&container, "cat /data/word /data/mine; stat -c '%u:%g %a' /data/mine; ls /var/lib/more")?;
    ensure!(said == "says a $secret\nkept\n1234:1234 640\nonly\n", "what it kept should be there as it was: {said}");
    ensure!(inspect(&container, "{{json .HostConfig.PortBindings}}")?.contains(PORT), "its port should be the old one's");
    ensure!(state(OLD)? == "false no", "the old one should stand still: {}", state(OLD)?);
    ensure!(is_volume("hand-data")?, "its volume should be there");
    Ok(())
}

impl Node {
    /// What somebody made by hand becomes an app.
    pub(super) fn by_hand(&mut self) -> Result<()> {
        let begun = Instant::now();
        let publish = format!("{PORT}:80");
        let volumes = ["--volume", "hand-data:/data", "--volume", "/var/lib/more"];
        run(OLD, &[&["--publish", &publish, "--env", "WORD=a $secret"], &volumes[..]].concat(), STAY)?;
        until("it has written", || Ok(exec(OLD, "cat /data/word")?.contains("secret")))?;
        exec(OLD, "echo kept > /data/mine; chmod 640 /data/mine; chown 1234:1234 /data/mine; touch /var/lib/more/only")?;
        let all = json(&["app", "by-hand"])?;
        let found = all["containers"].as_array().into_iter().flatten().find(|container| container["name"] == OLD);
        ensure!(found.is_some_and(|found| found["ports"][0] == format!("{PORT}:80/tcp")), "it should be listed: {all}");
        ensure!(!all.to_string().contains("$secret"), "no value of its environment should be listed");
        must(&["app", "by-hand", OLD])?;
        must(&["app", "adopt", OLD, APP])?;
        adopted()?;
        refused(&["app", "adopt", OLD, "other"], "was adopted as `hand` already")?;
        println!("  {:5.1} s  what was made by hand became an app, with all that it kept", begun.elapsed().as_secs_f32());
        self.killed_while_it_is_adopted()?;
        what_can_t_run_is_put_back()?;
        asked_first()?;
        refused(&["app", "clear", "volume", "hand-data"], "used by hand-site")?;
        must(&["app", "clear", "container", OLD])?;
        must(&["app", "clear", "volume", "hand-data"])?;
        ensure!(!is_volume("hand-data")?, "its old volume should be gone");
        is(APP, "running")?;
        must(&["app", "remove", APP, "--with-data"])?;
        must(&["app", "own", APP, "--forget"])?;
        Ok(())
    }

    fn killed_while_it_is_adopted(&mut self) -> Result<()> {
        let begun = Instant::now();
        for (after, both) in [(0, false), (400, true), (1500, true)] {
            must(&["app", "remove", APP, "--with-data"])?;
            docker(&["update", "--restart", "always", OLD])?;
            docker(&["start", OLD])?;
            let job = self.interrupted(&["app", "adopt", OLD, APP], &Killed { after, both })?;
            ensure!(job["state"] == "done", "the job should be done after the agent was killed: {job}");
            adopted()?;
        }
        println!(
            "  {:5.1} s  adopted three times with the agent killed in the middle, twice with its broker",
            begun.elapsed().as_secs_f32()
        );
        Ok(())
    }
}

fn what_can_t_run_is_put_back() -> Result<()> {
    // A folder that is a link is given to no app, which is seen when the app is started.
    fs::create_dir_all("/mnt/behind")?;
    std::os::unix::fs::symlink("/mnt/behind", "/mnt/link")?;
    run("hand-bare", &["--volume", "bare-data:/data", "--volume", "/mnt/link:/link:ro"], STAY)?;
    let adopt = ["app", "adopt", "hand-bare", "bare"];
    refused(&adopt, "which an owner of this node may allow")?;
    must(&["app", "allow", "bare", "host-path-read=/mnt/link"])?;
    refused(&adopt, "undone: `/mnt/link`")?;
    until("the old one runs again", || Ok(state("hand-bare")? == "true always"))?;
    ensure!(has("bare")? == (0, 0), "nothing of the app should stay: {:?}", has("bare")?);
    run("hand-part", &["--label", "com.docker.compose.project=blog"], STAY)?;
    refused(&["app", "adopt", "hand-part", "part"], "save its compose file as an own app")?;
    ensure!(state("hand-part")? == "true always", "what is not adopted is left as it is");
    docker(&["rm", "--force", "hand-bare", "hand-part"])?;
    must(&["app", "clear", "volume", "bare-data"])?;
    must(&["app", "own", "bare", "--forget"]).map(drop)
}

/// What it has of the node, an owner allows first; until then nothing is touched.
fn asked_first() -> Result<()> {
    fs::create_dir_all("/mnt/hand")?;
    run("hand-radio", &["--volume", "/mnt/hand:/music:ro", "--volume", "radio:/data"], STAY)?;
    let adopt = ["app", "adopt", "hand-radio", "radio-app"];
    refused(&adopt, "which an owner of this node may allow")?;
    ensure!(state("hand-radio")? == "true always", "it should be left as it is until then");
    must(&["app", "allow", "radio-app", "host-path-read=/mnt/hand"])?;
    must(&adopt)?;
    is("radio-app", "running")?;
    must(&["app", "remove", "radio-app", "--with-data"])?;
    docker(&["rm", "--force", "hand-radio"])?;
    must(&["app", "clear", "volume", "radio"])?;
    must(&["app", "own", "radio-app", "--forget"]).map(drop)
}
