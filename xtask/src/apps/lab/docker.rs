//! Inside the lab: starts dockerd and the registry, then installs, uses and removes one app after the other.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::apps::compose::STORES_DIR;

use super::node::Node;
use super::trial::{Step, Trial};
use super::{DATA, LAYOUT, OPEN, PROGRAM, TRIALS, bench, doors, registry};

/// Laid over every project: unlike other limits, which it lets go, Docker refuses one on processors that it can't set.
const LAB_PROJECT: &str = "services:\n  app:\n    cpus: 0\n";
pub(super) const LAB_FILE: &str = "/run/projects/lab.yaml";
const DOCKERD_LOG: &str = "/var/log/dockerd.log";
const RUNTIME: &str = "/run/runc-lab";
/// How long dockerd may take to start.
const DOCKERD_START: Duration = Duration::from_secs(60);
/// What an app may take to be pulled and unpacked, beside its own start.
const PULL_SECONDS: u64 = 120;
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 30;
/// Names under which Docker calls iptables; in Debian links that a maintainer script makes.
const IPTABLES: [&str; 6] = ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];
/// runc without control groups: only where neither a path for them nor a limit is asked for does it accept that it may make none.
const RUNC: &str = r#"#!/usr/bin/python3
import json, os, sys
words = sys.argv[1:]
if "--bundle" in words:
    path = words[words.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        config = json.load(file)
    config["linux"].pop("cgroupsPath", None)
    config["linux"].pop("resources", None)
    with open(path, "w") as file:
        json.dump(config, file)
os.execv("/usr/sbin/runc", ["runc", "--rootless=true", *words])
"#;

/// The lab's own process.
pub fn inside(words: &[String]) -> Result<i32> {
    let trials: Vec<Trial> = serde_json::from_slice(&fs::read(TRIALS)?).context("the trials can't be read")?;
    let mut dockerd = start()?;
    registry::serve(Path::new(LAYOUT))?;
    if let [what] = words {
        let trial = trials.first().context("there is no app")?;
        if what == OPEN {
            doors::inside(trial)?;
        } else {
            bench::inside(trial, what.parse()?)?;
        }
        return Ok(0);
    }
    let mut node = if Path::new(PROGRAM).exists() { Some(Node::start()?) } else { None };
    let mut failed = 0;
    for trial in &trials {
        let begun = Instant::now();
        println!("{}:", trial.name);
        let outcome = match &mut node {
            Some(node) => node.run(trial),
            None => run(trial),
        };
        if let Err(error) = &outcome {
            failed += 1;
            println!("  FAILED: {error:#}");
            if node.is_none() {
                show_logs(&trial.project);
            }
        }
        // What it leaves must not decide on the next one.
        let _ = match node {
            Some(_) => must("docker", &["compose", "--project-name", &trial.project, "down", "--volumes", "--timeout", "5"]),
            None => compose(&trial.project, &["down", "--volumes", "--timeout", "5"]),
        };
        if outcome.is_ok() {
            println!("  passed in {:.1} s", begun.elapsed().as_secs_f32());
        }
    }
    if let (Some(node), Some(trial), 0) = (&mut node, trials.first(), failed) {
        println!("{} on a small disk:", trial.name);
        if let Err(error) = node.on_a_full_disk(trial, &mut dockerd) {
            failed += 1;
            println!("  FAILED: {error:#}");
        }
    }
    if let Some(status) = dockerd.try_wait()? {
        println!("dockerd ended with {status}:\n{}", tail(DOCKERD_LOG));
        failed += 1;
    }
    println!("{} of {} apps passed", trials.len().saturating_sub(failed), trials.len());
    Ok(i32::from(failed > 0))
}

#[expect(clippy::disallowed_methods, reason = "commands of the lab: their output is shown by the lab itself")]
pub(super) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// A command's status and both its streams as one text.
fn output(program: &str, args: &[&str]) -> Result<(ExitStatus, String)> {
    let output = command(program, args).output().with_context(|| format!("failed to start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status, text))
}

pub(super) fn must(program: &str, args: &[&str]) -> Result<String> {
    let (status, text) = output(program, args)?;
    ensure!(status.success(), "`{program} {}` ended with {status}:\n{text}", args.join(" "));
    Ok(text)
}

/// Readies the lab, and starts dockerd in it.
fn start() -> Result<Child> {
    must("ip", &["link", "set", "lo", "up"])?;
    for name in IPTABLES {
        let link = Path::new("/usr/sbin").join(name);
        if !link.exists() {
            symlink("xtables-nft-multi", &link).with_context(|| format!("failed to make `{}`", link.display()))?;
        }
    }
    fs::write(RUNTIME, RUNC)?;
    fs::set_permissions(RUNTIME, fs::Permissions::from_mode(0o755))?;
    fs::create_dir_all("/var/log")?;
    fs::create_dir_all("/run/projects")?;
    fs::create_dir_all(STORES_DIR)?;
    fs::write(LAB_FILE, LAB_PROJECT)?;
    start_dockerd()
}

/// Starts dockerd, and waits until it answers.
pub(super) fn start_dockerd() -> Result<Child> {
    let log = File::options().create(true).append(true).open(DOCKERD_LOG)?;
    let data = format!("--data-root={DATA}");
    let runtime = format!("--add-runtime=lab={RUNTIME}");
    let mut dockerd = command("dockerd", &[&data, "--storage-driver=overlay2", &runtime, "--default-runtime=lab"]);
    let mut dockerd = dockerd.stdout(log.try_clone()?).stderr(log).spawn().context("failed to start dockerd")?;
    let begun = Instant::now();
    while !output("docker", &["version"])?.0.success() {
        if let Some(status) = dockerd.try_wait()? {
            bail!("dockerd ended with {status}:\n{}", tail(DOCKERD_LOG));
        }
        ensure!(begun.elapsed() < DOCKERD_START, "dockerd is not ready after {} s:\n{}", DOCKERD_START.as_secs(), tail(DOCKERD_LOG));
        std::thread::sleep(LOOK);
    }
    Ok(dockerd)
}

fn file(name: &str) -> String {
    format!("/run/projects/{name}/compose.yaml")
}

fn compose(name: &str, args: &[&str]) -> Result<String> {
    let file = file(name);
    let mut all = vec!["compose", "--progress", "quiet", "--file", &file, "--file", LAB_FILE];
    all.extend(args);
    must("docker", &all)
}

fn run(trial: &Trial) -> Result<()> {
    let file = file(&trial.project);
    fs::create_dir_all(Path::new(&file).parent().unwrap_or(Path::new("/")))?;
    fs::write(&file, &trial.compose)?;
    give_a_folder(trial)?;
    let wait = (u64::from(trial.start_seconds) + PULL_SECONDS).to_string();
    let begun = Instant::now();
    compose(&trial.project, &["up", "--detach", "--wait", "--wait-timeout", &wait])?;
    println!("  {:5.1} s  pulled by its digest, started, healthy", begun.elapsed().as_secs_f32());
    for step in &trial.steps {
        let begun = Instant::now();
        self::step(trial, step).with_context(|| step.what.clone())?;
        println!("  {:5.1} s  {}", begun.elapsed().as_secs_f32(), step.what);
    }
    Ok(())
}

/// Makes what a broker would for the app's store, before compose looks for it. Nobody serves it there.
pub(super) fn give_a_folder(trial: &Trial) -> Result<()> {
    if trial.store {
        fs::create_dir_all(Path::new(STORES_DIR).join(&trial.name))?;
    }
    Ok(())
}

/// Tries a step until it does what it shall.
pub(super) fn step(trial: &Trial, step: &Step) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(step.seconds);
    loop {
        let mut shell = command("timeout", &[&step.seconds.to_string(), "bash", "-c", &step.run]);
        let output = shell.env("PROJECT", &trial.project).output().context("failed to start a shell")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let good = output.status.success()
            && step.contains.iter().all(|text| said.contains(text))
            && !step.lacks.iter().any(|text| said.contains(text));
        if good {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let complaints = String::from_utf8_lossy(&output.stderr);
            bail!("after {} s the command still ends with {} and says:\n{said}{complaints}", step.seconds, output.status);
        }
        std::thread::sleep(LOOK);
    }
}

fn show_logs(name: &str) {
    let args = ["logs", "--no-color", "--tail", &LOG_LINES.to_string()];
    println!("{}", compose(name, &args).unwrap_or_else(|error| format!("{error:#}")));
}

pub(super) fn tail(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).fold(String::new(), |all, line| all + line + "\n")
}
