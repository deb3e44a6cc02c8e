//! The broker: a small unit of its own that may speak to Docker, so that the network-facing agent need not.
//!
//! One JSON request a line over a Unix socket, one JSON answer a line. Only what [`Request`] names can be asked.
//! systemd listens (`cloudy-broker.socket`) and starts it on demand; idle for a while, it ends.

use crate::limits::{BROKER_IDLE, BROKER_TIMEOUT, DOCKER_SOCKET, DOCKER_TIMEOUT_SECS};
use crate::status::Docker;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// The longest request or answer in bytes.
const LINE_BYTES: u64 = 64 * 1024;

/// What may be asked of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request", deny_unknown_fields)]
pub enum Request {
    /// Docker's version and counts; answered by [`Docker`].
    Status {},
}

/// Asks the broker; what goes wrong becomes a state to show.
pub async fn ask(socket: &Path, request: Request) -> Docker {
    match timeout(BROKER_TIMEOUT, exchange(socket, request)).await {
        Ok(Ok(docker)) => docker,
        Ok(Err(error)) => Docker::NoBroker { reason: format!("{error:#}") },
        Err(_) => {
            Docker::Silent { reason: format!("the broker at `{}` did not answer within {} s", socket.display(), BROKER_TIMEOUT.as_secs()) }
        }
    }
}

async fn exchange(socket: &Path, request: Request) -> Result<Docker> {
    let stream = UnixStream::connect(socket).await.with_context(|| format!("no broker at `{}`", socket.display()))?;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{}\n", serde_json::to_string(&request)?).as_bytes()).await.context("asking the broker")?;
    let mut line = String::new();
    BufReader::new(read.take(LINE_BYTES)).read_line(&mut line).await.context("reading the broker's answer")?;
    serde_json::from_str(&line).context("the broker's answer is not what this version understands")
}

/// Serves until idle (when systemd listens for us) or for ever (at `socket`).
///
/// # Errors
/// When the socket can't be opened.
pub async fn serve(socket: Option<&Path>) -> Result<()> {
    let (listener, idle) = match (inherited()?, socket) {
        (Some(listener), _) => (listener, Some(BROKER_IDLE)),
        (None, Some(path)) => (bind(path)?, None),
        (None, None) => bail!("no socket was handed over by systemd; name one with --socket PATH"),
    };
    log::info!("the broker listens");
    loop {
        let accepted = match idle {
            None => listener.accept().await,
            Some(wait) => match timeout(wait, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => return Ok(()),
            },
        };
        let (stream, _) = accepted.context("accepting a connection to the broker")?;
        // One after the other: the agent is the only client, and asks seldom.
        match timeout(BROKER_TIMEOUT, serve_one(stream)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::warn!("a request to the broker failed: {error:#}"),
            Err(_) => log::warn!("a client of the broker took too long"),
        }
    }
}

/// The listening socket that systemd handed over, if it did (`sd_listen_fds(3)`).
#[expect(unsafe_code, reason = "a file descriptor handed over by systemd is a bare number")]
fn inherited() -> Result<Option<UnixListener>> {
    let ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    if !ours || !std::env::var("LISTEN_FDS").is_ok_and(|count| count == "1") {
        return Ok(None);
    }
    // SAFETY: the protocol gives descriptor 3 to this process, and nothing else here takes it.
    let listener = std::os::unix::net::UnixListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    listener.set_nonblocking(true).context("preparing the socket from systemd")?;
    Ok(Some(UnixListener::from_std(listener).context("taking the socket from systemd")?))
}

fn bind(path: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("opening the broker's socket `{}`", path.display()))
}

async fn serve_one(stream: UnixStream) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_BYTES)).read_line(&mut line).await.context("reading a request")?;
    let Request::Status {} = serde_json::from_str(&line).context("the request is not one that the broker knows")?;
    let answer = serde_json::to_string(&docker_status().await)?;
    write.write_all(format!("{answer}\n").as_bytes()).await.context("answering")
}

async fn docker_status() -> Docker {
    match ask_docker().await {
        Ok(docker) => docker,
        Err(error) => Docker::Silent { reason: format!("Docker at `{DOCKER_SOCKET}`: {error}") },
    }
}

async fn ask_docker() -> Result<Docker, bollard::errors::Error> {
    let docker = bollard::Docker::connect_with_unix(DOCKER_SOCKET, DOCKER_TIMEOUT_SECS, bollard::API_DEFAULT_VERSION)?;
    let info = docker.negotiate_version().await?.info().await?;
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(Docker::Running {
        version: info.server_version.unwrap_or_default(),
        containers_running: count(info.containers_running),
        containers: count(info.containers),
        images: count(info.images),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_requests_are_understood() {
        assert_eq!(serde_json::from_str::<Request>(r#"{"request":"status"}"#).unwrap(), Request::Status {});
        assert!(serde_json::from_str::<Request>(r#"{"request":"exec"}"#).is_err());
        assert!(serde_json::from_str::<Request>(r#"{"request":"status","host":"/"}"#).is_err());
    }

    #[tokio::test]
    async fn without_a_broker_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let answer = ask(&dir.path().join("none.sock"), Request::Status {}).await;
        assert!(matches!(answer, Docker::NoBroker { reason } if reason.contains("none.sock")));
    }

    #[tokio::test]
    async fn the_broker_answers_over_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.sock");
        let listener = bind(&path).unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            serve_one(stream).await.unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&path, Request::Status {}), server);
        assert!(!matches!(answer, Docker::NoBroker { .. }), "{answer:?}");
    }
}
