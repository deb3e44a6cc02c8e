//! Runs the real `docker compose` on a project that the broker wrote, within a time, and keeps the last of what it said.

use super::project::named;
use super::{Failure, Options};
use crate::full;
use crate::limits::FAILURE_OUTPUT_BYTES;
use crate::settings::write_whole;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// How long stopping, restarting or removing may take: an app may take 600 s to stop.
pub const CHANGE: Duration = Duration::from_secs(660);
/// What `up` may take beyond the wait that it was told.
pub const GRACE: Duration = Duration::from_secs(60);
/// Where programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A project's file, in its folder.
const FILE: &str = "compose.yaml";
/// Beside it, where the app is a person's own.
const OWN: &str = "own.json";
/// Bytes of what compose understood; what is longer is no JSON any more.
const CONFIG_BYTES: usize = 1024 * 1024;

fn folder(state: &Path, app: &str) -> Result<PathBuf, Failure> {
    Ok(state.join("projects").join(named(app)?))
}

fn failed(doing: &str, error: impl std::fmt::Display) -> Failure {
    Failure { error: format!("{doing}: {error}"), output: String::new() }
}

/// Writes a project's file: whole, and for this user alone, since passwords stand in it.
pub fn write(state: &Path, app: &str, text: &str) -> Result<(), Failure> {
    put(state, app, FILE, text.as_bytes())
}

fn put(state: &Path, app: &str, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    let folder = folder(state, app)?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| failed(&format!("making `{}`", folder.display()), error))?;
    write_whole(&folder.join(file), bytes, 0o600).map_err(|error| failed("keeping the project", format!("{error:#}")))
}

/// Removes what was written of a project.
pub fn forget(state: &Path, app: &str) -> Result<(), Failure> {
    let folder = folder(state, app)?;
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&format!("removing `{}`", folder.display()), error)),
        _ => Ok(()),
    }
}

/// What is kept of an app of a person's own beside its project: with it, its images are not thrown away that nobody can bring back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Own {
    /// Images that were pulled for it.
    pub pulled: BTreeSet<String>,
    /// What they were before they were pulled anew.
    pub before: BTreeSet<String>,
}

/// What is kept of an app of a person's own; nothing of one of the catalog.
pub fn own(state: &Path, app: &str) -> Option<Own> {
    let bytes = std::fs::read(folder(state, app).ok()?.join(OWN)).ok()?;
    // What can't be read says all the same that it is one.
    Some(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Keeps it.
pub fn keep_own(state: &Path, app: &str, own: &Own) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(own).map_err(|error| failed("keeping what was pulled", error))?;
    put(state, app, OWN, &bytes)
}

/// Runs `docker compose` with these words on an app's project. Without a file of ours, Docker's own labels say what belongs to it.
pub async fn compose(options: &Options, app: &str, words: &[&str], limit: Duration) -> Result<(), Failure> {
    told(options, app, words, limit, FAILURE_OUTPUT_BYTES).await.map(drop).map_err(full::explained)
}

/// What the real compose understands of a project, as JSON. It reads the project's file, in a folder where nothing else can be read.
pub async fn config(options: &Options, app: &str) -> Result<String, Failure> {
    told(options, app, &["config", "--format", "json", "--no-path-resolution"], GRACE, CONFIG_BYTES).await
}

/// Runs it, and keeps so many bytes of what it says at its end.
async fn told(options: &Options, app: &str, words: &[&str], limit: Duration, keep: usize) -> Result<String, Failure> {
    let folder = folder(&options.state, app)?;
    let what = words.first().copied().unwrap_or_default();
    let mut command = Command::new(&options.docker);
    command.args(["compose", "--progress", "plain", "--project-name", &named(app)?]);
    if folder.join(FILE).exists() {
        command.arg("--project-directory").arg(&folder).arg("--file").arg(folder.join(FILE));
        command.current_dir(&folder);
    }
    // Nothing of the environment steers it.
    command.args(words).env_clear().env("PATH", PATH).env("HOME", &options.state).env("DOCKER_CONFIG", options.state.join("docker"));
    command.env("DOCKER_HOST", format!("unix://{}", options.docker_socket.display())).process_group(0);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = spawned.map_err(|error| failed(&format!("starting `{}`", options.docker.display()), error))?;
    let group = child.id();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = timeout(limit, async { tokio::join!(child.wait(), last(out, keep), last(err, FAILURE_OUTPUT_BYTES)) }).await;
    let Ok((status, out, err)) = ended else {
        // The plug-in is a process of its own.
        let group = group.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let _gone = group.map(|group| killpg(group, Signal::SIGKILL));
        return Err(Failure { error: format!("`docker compose {what}` was ended after {} s", limit.as_secs()), output: String::new() });
    };
    let status = status.map_err(|error| failed("waiting for `docker compose`", error))?;
    if status.success() {
        return Ok(out);
    }
    let output = [out, err].join("\n");
    Err(Failure { error: format!("`docker compose {what}` ended with {status}"), output: output.trim().to_owned() })
}

/// The last of what a program says; it is read to its end, so that the program is never held up.
async fn last(stream: Option<impl AsyncRead + Unpin>, keep: usize) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(keep);
        kept.drain(..over);
    }
    plain(&String::from_utf8_lossy(&kept))
}

/// Without what changes how a terminal or page shows things.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || *c == '\t' || crate::net::is_plain(*c)).collect()
}
