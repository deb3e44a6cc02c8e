//! Visits to a node from outside: its page by HTTP, a command by ssh; while it is off, its data by debugfs.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::emulator::Emulator;
use super::machine::LAB_INSIDE;
use super::node::POLL;

/// The user that a test logs in as: the one that `ssh-keys` of cloudy.toml is for.
pub const SSH_USER: &str = "admin";
/// How long one attempt to reach a node may take.
const ATTEMPT_SECONDS: u64 = 20;
/// The most of an answer that is read.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// What came back from a page.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Asks the page behind a loopback port.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(ATTEMPT_SECONDS)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(format!("http://127.0.0.1:{port}{path}")).call()?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string()?;
    Ok(Answer { status, body })
}

/// Makes the key that the lab's nodes let in; returns its public half, one line.
pub fn make_key(emulator: &Emulator, lab: &Path) -> Result<String> {
    let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", "/lab/key"].map(str::to_owned);
    let (status, _, errors) = finish(emulator, lab, &words, "keygen", None, Duration::from_secs(ATTEMPT_SECONDS))?;
    if status != Some(0) {
        bail!("failed to make a key for ssh: {errors}");
    }
    let public = fs::read_to_string(lab.join("key.pub")).context("ssh-keygen made no key")?;
    Ok(public.trim().to_owned())
}

/// How a command in a node ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status; 255 when ssh itself failed, `None` when it was cut off at the limit.
    pub status: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it and ssh said on stderr.
    pub errors: String,
}

/// Runs a command in a node once.
///
/// `input` is a file that becomes its standard input.
pub fn run(emulator: &Emulator, lab: &Path, port: u16, command: &str, input: Option<&Path>, limit: Duration) -> Result<Ended> {
    let mut words = vec!["ssh".to_owned(), "-F".to_owned(), "none".to_owned()];
    let key = format!("IdentityFile={LAB_INSIDE}/key");
    let connect = format!("ConnectTimeout={ATTEMPT_SECONDS}");
    let port = format!("Port={port}");
    for option in [
        key.as_str(),
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        // Each lab has nodes of its own, behind ports that change.
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        connect.as_str(),
        port.as_str(),
    ] {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words.extend([format!("{SSH_USER}@127.0.0.1"), command.to_owned()]);
    let (status, output, errors) = finish(emulator, lab, &words, "ssh", input, limit)?;
    Ok(Ended { status, output, errors })
}

/// Changes the ext4 file system at byte `offset` of a disk (a file of the lab) by commands of debugfs(8), which says what went
/// wrong on stderr and ends well all the same.
pub fn debugfs(emulator: &Emulator, lab: &Path, disk: &str, offset: u64, commands: &[String]) -> Result<()> {
    const COMMANDS: &str = "debugfs.commands";
    fs::write(lab.join(COMMANDS), commands.iter().map(|command| format!("{command}\n")).collect::<String>())?;
    let device = format!("{LAB_INSIDE}/{disk}?offset={offset}");
    let words = ["debugfs".to_owned(), "-w".to_owned(), "-f".to_owned(), format!("{LAB_INSIDE}/{COMMANDS}"), device];
    let (status, _, errors) = finish(emulator, lab, &words, "debugfs", None, Duration::from_secs(ATTEMPT_SECONDS))?;
    // Its first line is its version.
    let wrong: Vec<&str> = errors.lines().filter(|line| !line.starts_with("debugfs 1.")).collect();
    if status != Some(0) || !wrong.is_empty() {
        bail!("debugfs failed: {}", wrong.join("; "));
    }
    Ok(())
}

/// Runs a program of the tools tree to its end or to the limit: status, stdout, stderr.
fn finish(
    emulator: &Emulator,
    lab: &Path,
    words: &[String],
    name: &str,
    input: Option<&Path>,
    limit: Duration,
) -> Result<(Option<i32>, String, String)> {
    let (out, err) = (lab.join(format!("{name}.out")), lab.join(format!("{name}.err")));
    let stdin = match input {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("failed to open `{}`", path.display()))?;
            file.into()
        }
        None => Stdio::null(),
    };
    let mut running = emulator.start(lab, words, stdin, File::create(&out)?.into(), File::create(&err)?.into())?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.child.try_wait()? {
            break status.code();
        }
        if begun.elapsed() > limit {
            running.child.kill()?;
            running.child.wait()?;
            break None;
        }
        std::thread::sleep(POLL / 4);
    };
    let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok((status, read(&out)?, read(&err)?))
}
