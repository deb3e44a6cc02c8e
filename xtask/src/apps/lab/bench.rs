//! Measures in the lab: an app by one request to the node beside `docker run` of the same image, turn by turn; what node and broker weigh
//! with ten apps; what the first page weighs.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::LAYOUT;
use super::docker::{LAB_FILE, must as run};
use super::node::{DATA, Node, is, must};
use super::trial::Trial;
use crate::ask;
use crate::cmd::rss_mb;

/// The port that the app gets from the node, and the one that `docker run` publishes.
const PORTS: [u16; 2] = [18_080, 18_081];
/// The port inside, which the app's facts name.
const INSIDE: u16 = 8080;
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where the node's page is.
const PAGE: u16 = 8088;
/// The image under a name of its own, so that Docker has it whatever is removed.
const IMAGE: &str = "measured/app:1";
/// What the node gives the app too: places to write, and nothing that it need not have.
const DOCKER_RUN: [&str; 16] = [
    "run",
    "--detach",
    "--name",
    "measured",
    "--user",
    "web",
    "--read-only",
    "--init",
    "--cap-drop",
    "ALL",
    "--volume",
    "/srv/site",
    "--tmpfs",
    "/run:mode=1777",
    "--tmpfs",
    "/tmp:mode=1777",
];
/// Apps that run when memory is looked at.
const APPS: u16 = 10;
/// What they do: an app's own work is no part of what is measured.
const STAY: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";
const ANSWER: Duration = Duration::from_secs(60);
/// How long one look waits.
const ASKED: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// From the request until the app answers, in seconds, on the node.
    pub click: Vec<f64>,
    /// From the start of `docker run` until it answers.
    pub docker: Vec<f64>,
    /// From the start of `docker compose up` of the same project until it answers.
    pub compose: Vec<f64>,
    /// What a browser loads for the first page, in bytes: file → bytes.
    pub page: Vec<(String, usize)>,
    /// Resident memory with that many apps, in megabytes of 1,000,000 bytes.
    pub apps: u16,
    pub agent_mb: f64,
    pub broker_mb: f64,
}

/// Somebody on loopback.
fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// What Docker tells of a container's start. Who asked it every few milliseconds would keep it from starting anything.
struct Started(BufReader<UnixStream>);

impl Started {
    /// Listens from now on.
    fn of(container: &str) -> Result<Self> {
        let mut stream = UnixStream::connect(DOCKER_SOCKET).context("failed to reach dockerd")?;
        stream.set_read_timeout(Some(ANSWER))?;
        let filters = format!("%7B%22container%22:%5B%22{container}%22%5D,%22event%22:%5B%22start%22%5D%7D");
        write!(stream, "GET /events?filters={filters} HTTP/1.1\r\nHost: docker\r\n\r\n")?;
        let mut events = Self(BufReader::new(stream));
        // The head is given once it listens.
        while events.line()?.trim() != "" {}
        Ok(events)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "dockerd ended");
        Ok(line)
    }

    /// Waits until it runs. Who asks its port before keeps the kernel from finding the way to it for a second.
    fn wait(&mut self) -> Result<()> {
        while !self.line()?.contains("\"start\"") {}
        Ok(())
    }
}

/// Waits until a container runs and answers; how long that took.
fn until_it_answers(begun: Instant, mut started: Started, port: impl FnOnce() -> Result<u16>) -> Result<f64> {
    started.wait().with_context(|| format!("it does not run:\n{}", must(&["jobs"]).unwrap_or_default()))?;
    let port = port()?;
    while let Err(error) = ask::page(at(port), "/", ASKED) {
        ensure!(begun.elapsed() < ANSWER, "{error:#}\n{}", must(&["jobs"])?);
        std::thread::sleep(LOOK);
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The port of the node that Docker gave it.
fn published(project: &str) -> Result<u16> {
    let said = run("docker", &["port", &format!("{project}-app-1"), &INSIDE.to_string()])?;
    let port = said.lines().next().and_then(|line| line.rsplit_once(':')).context("it has no port")?.1;
    Ok(port.parse()?)
}

/// What the page's button does, without a browser's time.
fn click(app: &str) -> Result<()> {
    ask::post(&Path::new(DATA).join("agent.sock"), &format!("/api/v1/apps/{app}"), &json!({ "ports": { "web": PORTS[0] } })).map(drop)
}

/// Measures with this app, so many times each.
pub fn measure(node: &mut Node, trial: &Trial, runs: usize) -> Result<Measured> {
    let name = trial.name.as_str();
    let ours = format!("{}-app-1", trial.project);
    must(&["app", "add", LAYOUT, name])?;
    // Once before, so that the image is here: both sides begin with it.
    let started = Started::of(&ours)?;
    click(name)?;
    until_it_answers(Instant::now(), started, || Ok(PORTS[0]))?;
    is(name, "running")?;
    let said = run("docker", &["inspect", "--format", "{{.Image}} {{.Config.Image}}", &ours])?;
    let (image, from) = said.trim().split_once(' ').context("the container has no image")?;
    run("docker", &["tag", image, IMAGE])?;
    must(&["app", "remove", name, "--with-data"])?;
    let (mut clicks, mut dockers, mut composes) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..runs {
        // Removing the app took its image's name away.
        run("docker", &["pull", "--quiet", from])?;
        let started = Started::of(&ours)?;
        let begun = Instant::now();
        click(name)?;
        clicks.push(until_it_answers(begun, started, || Ok(PORTS[0]))?);
        is(name, "running")?;
        must(&["app", "remove", name, "--with-data"])?;
        let publish = format!("{}:{INSIDE}", PORTS[1]);
        let started = Started::of("measured")?;
        let begun = Instant::now();
        run("docker", &[DOCKER_RUN.as_slice(), &["--publish", &publish, IMAGE, "/usr/lib/cloudy/start"]].concat())?;
        dockers.push(until_it_answers(begun, started, || Ok(PORTS[1]))?);
        run("docker", &["rm", "--force", "--volumes", "measured"])?;
        fs::create_dir_all("/run/measured")?;
        fs::write("/run/measured/compose.yaml", &trial.compose)?;
        let all = ["compose", "--progress", "quiet", "--file", "/run/measured/compose.yaml", "--file", LAB_FILE];
        let started = Started::of(&ours)?;
        let begun = Instant::now();
        run("docker", &[all.as_slice(), &["up", "--detach"]].concat())?;
        composes.push(until_it_answers(begun, started, || published(&trial.project))?);
        run("docker", &[all.as_slice(), &["down", "--volumes"]].concat())?;
        eprintln!(
            "  {:2} of {runs}: {:.2} s on the node, {:.2} s by docker run, {:.2} s by compose",
            turn + 1,
            clicks[turn],
            dockers[turn],
            composes[turn]
        );
    }
    let page = ["/", "/style.css", "/page.js", "/icon.svg"]
        .map(|path| ask::page(at(PAGE), path, ANSWER).map(|answer| (path.to_owned(), answer.head.len() + answer.body.len())));
    let page = page.into_iter().collect::<Result<_>>()?;
    for n in 0..APPS {
        let (app, port) = (format!("ten-{n}"), format!("{}:{INSIDE} http", 18_100 + n));
        must(&["app", "form", &app, "--image", IMAGE, "--port", &port, "--memory-mb", "64", "--", "/bin/sh", "-c", STAY])?;
        must(&["app", "install", &app])?;
    }
    for _ in 0..50 {
        ask::page(at(PAGE), "/", ANSWER)?;
        must(&["app", "list"])?;
    }
    let (agent, broker) = node.ids();
    Ok(Measured {
        click: clicks,
        docker: dockers,
        compose: composes,
        page,
        apps: APPS,
        agent_mb: rss_mb(agent)?,
        broker_mb: rss_mb(broker)?,
    })
}

/// In the lab: measures, and prints what was measured as JSON.
pub fn inside(trial: &Trial, runs: usize) -> Result<()> {
    let measured = measure(&mut Node::start()?, trial, runs)?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
