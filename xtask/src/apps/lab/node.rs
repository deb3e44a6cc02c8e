//! A node in the lab: agent and broker of a given program, beside the lab's dockerd. Apps are then installed, used, stopped and
//! removed by the node's own command line, and the agent is killed in the middle of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::docker::{command, step, tail};
use super::trial::Trial;
use super::{LAYOUT, PROGRAM, socket};

pub(super) const DATA: &str = "/run/node";
const BROKER: &str = "/run/node/broker.sock";
pub(super) const STATE: &str = "/run/node/broker";
pub(super) const REGISTRY: &str = "127.0.0.1:4748";
/// Docker's socket as the broker gets it.
const DOCKER: &str = "/run/docker-lab.sock";
pub(super) const LOG: &str = "/var/log/node.log";
/// How long agent or broker may take to answer.
const START: Duration = Duration::from_secs(60);
/// How long a job may take that goes on in the background.
const JOB: Duration = Duration::from_secs(240);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Agent and broker.
pub struct Node {
    agent: Child,
    broker: Child,
    own_tried: bool,
    backed_up: bool,
}

/// When the agent is killed: so many milliseconds after its job has begun; with its broker or not.
pub(super) struct Killed {
    pub after: u64,
    pub both: bool,
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in [&mut self.agent, &mut self.broker] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn background(words: &[&str]) -> Result<Child> {
    let log = File::options().create(true).append(true).open(LOG)?;
    let mut program = command(PROGRAM, words);
    program.env("RUST_BACKTRACE", "0").stdout(log.try_clone()?).stderr(log).spawn().context("failed to start the node's program")
}

fn broker() -> Result<Child> {
    let words = ["broker", "--socket", BROKER, "--state", STATE, "--docker-socket", DOCKER];
    background(&[words.as_slice(), &["--registry", REGISTRY]].concat())
}

fn agent() -> Result<Child> {
    // On all addresses, as on a node: containers try to reach it.
    let at = ["--http", "[::]:8088", "--https", "[::]:8443", "--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--name", "lab"];
    background(&[&["agent", "--data", DATA, "--broker", BROKER, "--registry", REGISTRY], at.as_slice()].concat())
}

fn cloudy(words: &[&str]) -> Result<Output> {
    cloudy_of(DATA, words)
}

fn cloudy_of(data: &str, words: &[&str]) -> Result<Output> {
    // What stands after `--` is an app's.
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let (ours, its) = words.split_at(end);
    command(PROGRAM, &[ours, &["--data", data], its].concat()).output().context("failed to start the node's program")
}

/// What a command says that must succeed.
pub(super) fn must(words: &[&str]) -> Result<String> {
    succeeded(words, &cloudy(words)?)
}

fn succeeded(words: &[&str], output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cloudy {}` ended with {}:\n{said}\n{}", words.join(" "), output.status, tail(LOG));
    Ok(said)
}

/// What a command says that must be refused.
pub(super) fn said_refused(words: &[&str]) -> Result<String> {
    let output = cloudy(words)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "`cloudy {}` should be refused: {said}", words.join(" "));
    Ok(said)
}

pub(super) fn refused(words: &[&str], because: &str) -> Result<()> {
    let said = said_refused(words)?;
    ensure!(said.contains(because), "`cloudy {}` should be refused because of `{because}`: {said}", words.join(" "));
    Ok(())
}

pub(super) fn json(words: &[&str]) -> Result<Value> {
    let output = cloudy(&[words, &["--json"]].concat())?;
    let said = || String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cloudy {}`: {}\n{}", words.join(" "), said(), tail(LOG));
    serde_json::from_slice(&output.stdout).context("what cloudy says is no JSON")
}

/// The words that install an app with the settings of its trial.
pub(super) fn install(trial: &Trial) -> Vec<String> {
    let settings = trial.settings.iter().map(|(key, value)| format!("--set={key}={value}"));
    ["app", "install", trial.name.as_str()].map(str::to_owned).into_iter().chain(settings).collect()
}

/// How an app is by the node's API, which may be some seconds old.
pub(super) fn is(app: &str, state: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let apps = json(&["app", "list"])?;
        let found = apps["apps"].as_array().into_iter().flatten().find(|found| found["name"] == app);
        let run = found.map_or("not installed".to_owned(), |app| app["run"].as_str().unwrap_or("unknown").to_owned());
        if run == state {
            return Ok(());
        }
        ensure!(begun.elapsed() < START, "`{app}` should be {state}, and the node says {run}");
        std::thread::sleep(LOOK);
    }
}

/// How an app is by what a search says of it; nothing where it is not found.
fn found(app: &str) -> Result<Option<String>> {
    let all = json(&["search"])?;
    let found = all["services"].as_array().into_iter().flatten().find(|service| service["key"] == app);
    // That it is well is not said.
    Ok(found.map(|service| service["health"].as_str().unwrap_or("well").to_owned()))
}

fn until_found(app: &str, health: &str) -> Result<()> {
    until(&format!("`{app}` is found as {health}"), || Ok(found(app)?.as_deref() == Some(health)))
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < START, "waited {} s until {what}\n{}", START.as_secs(), tail(LOG));
        std::thread::sleep(LOOK);
    }
    Ok(())
}

pub(super) fn docker(words: &[&str]) -> Result<String> {
    let output = command("docker", words).output().context("failed to start docker")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What Docker has of an app: containers, volumes.
pub(super) fn has(app: &str) -> Result<(usize, usize)> {
    let label = format!("label=com.docker.compose.project=cloudy-{app}");
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &label])?;
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &label])?;
    Ok((containers.lines().count(), volumes.lines().count()))
}

/// Another node on loopback, without a Docker.
pub(super) struct Neighbour {
    agent: Child,
    data: String,
    /// Where its page is.
    pub page: u16,
}

impl Neighbour {
    /// Starts it, and waits until it answers.
    pub fn start(name: &str, page: u16) -> Result<Self> {
        let data = format!("/run/{name}");
        fs::create_dir_all(&data)?;
        let http = format!("127.0.0.1:{page}");
        let at = ["--http", &http, "--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--registry", "127.0.0.1:0", "--name", name];
        let agent = background(&[&["agent", "--data", &data, "--broker", "/nonexistent/broker.sock"], at.as_slice()].concat())?;
        let started = Self { agent, data, page };
        until(&format!("{name} answers"), || Ok(cloudy_of(&started.data, &["status", "--json"])?.status.success()))?;
        Ok(started)
    }

    /// What a command says to it that must succeed.
    pub fn must(&self, words: &[&str]) -> Result<String> {
        succeeded(words, &cloudy_of(&self.data, words)?)
    }

    /// Its API's own socket.
    pub fn socket(&self) -> PathBuf {
        Path::new(&self.data).join("agent.sock")
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// What agents and broker said of panics.
pub(super) fn panics() -> Result<Vec<String>> {
    let log = fs::read(LOG).context("failed to read what the agents said")?;
    Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect())
}

impl Node {
    /// Starts broker and agent, and waits until the agent answers.
    pub fn start() -> Result<Self> {
        fs::create_dir_all(DATA)?;
        socket::serve(Path::new(DOCKER))?;
        let node = Self { broker: broker()?, agent: agent()?, own_tried: false, backed_up: false };
        wait_until_up()?;
        must(&["found", "lab"])?;
        Ok(node)
    }

    /// The processes of agent and broker.
    pub(super) fn ids(&self) -> (u32, u32) {
        (self.agent.id(), self.broker.id())
    }

    /// Whether agent and broker live.
    pub(super) fn lives(&mut self) -> Result<bool> {
        Ok(self.agent.try_wait()?.is_none() && self.broker.try_wait()?.is_none())
    }

    /// Ends agent and broker.
    pub(super) fn stop(&mut self) -> Result<()> {
        for child in [&mut self.agent, &mut self.broker] {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts both again.
    pub(super) fn start_again(&mut self) -> Result<()> {
        let _ = fs::remove_file(Path::new(DATA).join("agent.sock"));
        (self.broker, self.agent) = (broker()?, agent()?);
        wait_until_up()
    }

    /// Kills the agent as a power cut would, and starts it again.
    fn kill_agent(&mut self) -> Result<()> {
        self.agent.kill()?;
        self.agent.wait()?;
        let _ = fs::remove_file(Path::new(DATA).join("agent.sock"));
        self.agent = agent()?;
        wait_until_up()
    }

    /// What a person does with an app, from its image to its last trace.
    pub fn run(&mut self, trial: &Trial) -> Result<()> {
        let name = trial.name.as_str();
        let say = |begun: Instant, what: &str| println!("  {:5.1} s  {what}", begun.elapsed().as_secs_f32());
        let begun = Instant::now();
        must(&["app", "add", LAYOUT, name])?;
        say(begun, "taken into the node's catalog");
        let install = install(trial);
        let install: Vec<&str> = install.iter().map(String::as_str).collect();
        let begun = Instant::now();
        self.lose_a_blob(name, &install)?;
        say(begun, "with a blob lost from the node's disk it was undone and nothing stayed; added again, it is whole");
        self.same_as_compose(trial, &install)?;
        let begun = Instant::now();
        must(&install)?;
        is(name, "running")?;
        say(begun, "installed by one command: pulled from the node's registry by its digest, started, healthy");
        refused(&install, "is installed already")?;
        for each in &trial.steps {
            let begun = Instant::now();
            step(trial, each).with_context(|| each.what.clone())?;
            say(begun, &each.what);
        }
        let begun = Instant::now();
        // The records of a community that was just founded are opened in a moment.
        until("it is published", || Ok(cloudy(&["app", "publish", name])?.status.success()))?;
        until_found(name, "well")?;
        must(&["app", "stop", name])?;
        until_found(name, "stopped")?;
        is(name, "stopped")?;
        must(&["app", "start", name])?;
        until_found(name, "well")?;
        docker(&["kill", &format!("{}-app-1", trial.project)])?;
        until_found(name, "stopped")?;
        must(&["app", "start", name])?;
        until_found(name, "well")?;
        say(begun, "published, and found in the microcloud: well while it ran, stopped when it was stopped or killed");
        let begun = Instant::now();
        must(&["app", "logs", name, "--lines", "5"])?;
        must(&["app", "restart", name])?;
        is(name, "running")?;
        must(&["app", "set", name])?;
        say(begun, "its log was read; it was restarted and set up again");
        self.back_up(trial)?;
        must(&install)?;
        self.remove(name, &install)?;
        until("what was removed is not found", || Ok(found(name)?.is_none()))?;
        self.kill(name, &install)?;
        if self.own_tried {
            return Ok(());
        }
        // Once is enough: they are the same with any image.
        self.own_tried = true;
        self.own(name, &install)
    }

    /// The catalog's largest blob is lost, so that Docker can't pull; then the app is added again.
    fn lose_a_blob(&self, name: &str, install: &[&str]) -> Result<()> {
        let blobs = fs::read_dir(Path::new(DATA).join("apps/catalog/blobs"))?.collect::<Result<Vec<_>, _>>()?;
        let largest = blobs.into_iter().max_by_key(|blob| blob.metadata().map(|meta| meta.len()).unwrap_or_default());
        fs::remove_file(largest.context("the catalog is empty")?.path())?;
        refused(install, "undone: pulling the image")?;
        ensure!(has(name)? == (0, 0), "nothing should stay: {:?}", has(name)?);
        must(&["app", "add", LAYOUT, name]).map(drop)
    }

    pub(super) fn remove(&self, name: &str, install: &[&str]) -> Result<()> {
        let begun = Instant::now();
        let (_, volumes) = has(name)?;
        must(&["app", "remove", name])?;
        ensure!(has(name)? == (0, volumes), "what it keeps should stay when it is removed: {:?}", has(name)?);
        must(install)?;
        must(&["app", "remove", name, "--with-data"])?;
        ensure!(has(name)? == (0, 0), "with its data nothing should stay: {:?}", has(name)?);
        ensure!(!Path::new(STATE).join("projects").join(format!("cloudy-{name}")).exists(), "a file of its project stays");
        println!("  {:5.1} s  removed without what it keeps, installed, and removed with it", begun.elapsed().as_secs_f32());
        Ok(())
    }

    /// Begins what those words ask for, kills the agent in the middle of it, and waits until its job is over; the job.
    pub(super) fn interrupted(&mut self, words: &[&str], killed: &Killed) -> Result<Value> {
        let last = || Ok::<_, anyhow::Error>(json(&["jobs"])?["jobs"].get(0).cloned().unwrap_or_default());
        let before = last()?["id"].clone();
        let mut asking = command(PROGRAM, &[words, &["--data", DATA]].concat());
        let mut asking = asking.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let waiting = Instant::now();
        while last()?["id"] == before {
            ensure!(waiting.elapsed() < START, "no job was begun");
        }
        std::thread::sleep(Duration::from_millis(killed.after));
        if killed.both {
            // With its broker; what it asked of Docker goes on or not.
            self.broker.kill()?;
            self.broker.wait()?;
        }
        self.kill_agent()?;
        if killed.both {
            self.broker = broker()?;
        }
        asking.wait()?;
        let waiting = Instant::now();
        loop {
            let job = last()?;
            if job["over"] == true {
                return Ok(job);
            }
            ensure!(waiting.elapsed() < JOB, "the job is not over after {} s: {job}", JOB.as_secs());
            std::thread::sleep(LOOK);
        }
    }

    /// Whether no backup was made before.
    pub(super) fn first_backup(&mut self) -> bool {
        !std::mem::replace(&mut self.backed_up, true)
    }

    /// The agent is killed while it installs: the job ends all the same, and the app runs.
    pub(super) fn kill(&mut self, name: &str, install: &[&str]) -> Result<()> {
        let begun = Instant::now();
        for (after, both) in [(0, false), (300, true), (1500, false), (1500, true)] {
            let job = self.interrupted(install, &Killed { after, both })?;
            ensure!(job["state"] == "done", "the job should be done after the agent was killed: {job}");
            is(name, "running")?;
            must(&["app", "remove", name, "--with-data"])?;
        }
        ensure!(has(name)? == (0, 0), "nothing should stay");
        println!(
            "  {:5.1} s  installed four times with the agent killed in the middle, twice with its broker: each time the job was finished",
            begun.elapsed().as_secs_f32()
        );
        Ok(())
    }
}

fn wait_until_up() -> Result<()> {
    let begun = Instant::now();
    while !cloudy(&["status", "--json"])?.status.success() {
        if begun.elapsed() > START {
            bail!("the agent does not answer:\n{}", tail(LOG));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
