//! The broker: a small unit of its own that may speak to Docker, so that the network-facing agent need not.
//!
//! One JSON request a line over a Unix socket; while it works, lines of progress, then one line with what came of it. Only what
//! [`Request`] names can be asked. systemd listens (`cloudy-broker.socket`) and starts it on demand; idle for a while, it ends.
//!
//! Architecture invariant: what runs is decided here, from an app's checked facts, by `contract::apps::compose`. No request about an app
//! of the catalog has a field for a privilege, a path of the host, a device, a network, a registry or a command. Docker's API is told of
//! it directly (`container`, `up`, `down`). An app of a person's own (`OwnProject`) is read anew here by `contract::apps::own`, and run by
//! the real `docker compose`; what it asks of the node must be among its grants, and some of it never can. What somebody made by hand is
//! listed, and becomes an app where that can be (`by_hand`, `taken`, `adopt`).

mod adopt;
mod by_hand;
mod container;
mod docker;
mod down;
mod own;
mod places;
#[cfg(test)]
mod played;
mod project;
mod room;
mod run;
mod said;
mod serve;
mod stores;
mod stream;
mod taken;
mod turns;
mod up;
mod uses;
mod volumes;
mod well;

pub use by_hand::{ByHand, HandContainer, HandImage, HandVolume, Thing, shown};
pub use said::{Heard, Said};
pub use serve::{Options, serve};
pub use stream::{read, write};
#[cfg(test)]
pub use taken::Carried;
pub use taken::{NotTaken, Taken, Was};
pub use uses::{Counted, Counters};

use crate::limits::{BROKER_TIMEOUT, PULL_TIMEOUT, VOLUME_TIMEOUT};
use crate::status::Docker;
use anyhow::Context;
use contract::apps::compose::Choices;
use contract::apps::own::{Definition, Privilege};
use contract::oci::Digest;
use contract::storage::DiskId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// The longest request or answer in bytes.
const LINE_BYTES: u64 = 512 * 1024;
/// Bytes that one exchange may have, with all its lines of progress.
const EXCHANGE_BYTES: u64 = 16 * 1024 * 1024;

/// What may be asked of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request", deny_unknown_fields)]
pub enum Request {
    /// Docker's version and counts; answered by [`Docker`].
    Status {},
    /// How all apps are; answered by [`Projects`].
    Projects {},
    /// Whether an app's image is here; answered by yes or no.
    HasImage {
        /// The app.
        app: String,
        /// The index of its images.
        digest: Digest,
    },
    /// Get an app's image from the agent's registry.
    Pull {
        /// The app.
        app: String,
        /// The index of its images.
        digest: Digest,
    },
    /// Make an app run as it is described, whatever runs of it now, and wait until it is well.
    Up {
        /// The app.
        project: Project,
    },
    /// Get the images of an app of a person's own: those that Docker has not, or all of them anew.
    PullOwn {
        /// The app.
        project: OwnProject,
        /// Also those that are here.
        again: bool,
    },
    /// Make such an app run, whatever runs of it now, and wait until it is well.
    UpOwn {
        /// The app.
        project: OwnProject,
    },
    /// Make an app's containers and volumes as it is described, and start nothing.
    Create {
        /// The app.
        project: Project,
    },
    /// Likewise of an app of a person's own.
    CreateOwn {
        /// The app.
        project: OwnProject,
    },
    /// What an app that does not run keeps; answered by a list of [`Volume`].
    Volumes {
        /// The app.
        app: String,
    },
    /// What one of them holds ([`read()`]).
    ReadVolume {
        /// The app.
        app: String,
        /// The volume.
        volume: Volume,
    },
    /// Fill one ([`write()`]).
    WriteVolume {
        /// The app.
        app: String,
        /// The volume.
        volume: Volume,
    },
    /// Copy what an app that does not run keeps to another disk, and read the copy. Where it was it stays.
    Move {
        /// The app, as it is now.
        project: Project,
        /// The disk; the node's own without.
        to: Option<DiskId>,
    },
    /// Forget what an app kept on a disk that is lost for good.
    GiveUp {
        /// The app.
        app: String,
        /// The disk.
        disk: DiskId,
    },
    /// Take away what an app keeps at one place, where all of it lies at another.
    Clear {
        /// The app.
        app: String,
        /// The disk on which it goes; the node's own without.
        from: Option<DiskId>,
        /// The disk on which it stays, likewise.
        keep: Option<DiskId>,
    },
    /// Stop it; what it keeps stays.
    Stop {
        /// The app.
        app: String,
    },
    /// Stop and start it.
    Restart {
        /// The app.
        app: String,
    },
    /// Take it away, with its image.
    Down {
        /// The app.
        app: String,
        /// With what it keeps.
        data: bool,
    },
    /// What it said last; answered by a text.
    Logs {
        /// The app.
        app: String,
        /// So many lines.
        lines: u32,
    },
    /// What it said since it was heard; answered by [`Said`].
    Since {
        /// The app.
        app: String,
        /// How far; at first nothing.
        heard: Heard,
    },
    /// What the apps that run use; answered by [`Counted`].
    Uses {},
    /// What was made by hand; answered by [`ByHand`].
    ByHand {},
    /// What a container that was made by hand would be as an app; answered by [`Taken`].
    LookByHand {
        /// Its number or name.
        container: String,
    },
    /// What a copy of all that it keeps takes; answered by [`Room`], or nothing where that is not known.
    RoomByHand {
        /// Its number.
        container: String,
    },
    /// Stop one that is taken over, and have Docker not start it again.
    Hold {
        /// Its number.
        container: String,
    },
    /// Have it be as it was.
    Release {
        /// Its number.
        container: String,
        /// How it was.
        was: Was,
    },
    /// Copy what it keeps into volumes of the app that it becomes.
    MoveIn {
        /// Its number.
        container: String,
        /// The app.
        app: String,
    },
    /// Take away something that was made by hand and that nothing uses.
    ClearByHand {
        /// What.
        thing: Thing,
    },
}

/// An app as it shall run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Project {
    /// Its name.
    pub app: String,
    /// The text of its `app.toml`, which is checked anew here.
    pub facts: String,
    /// The index of its images.
    pub digest: Digest,
    /// Ports and settings.
    pub choices: Choices,
    /// The disk on which it keeps its data; the node's own without.
    #[serde(default)]
    pub place: Option<DiskId>,
}

/// An app of a person's own, as it shall run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnProject {
    /// Its name.
    pub app: String,
    /// Its form or compose file, which is checked anew here.
    pub definition: Definition,
    /// What an owner granted it.
    pub grants: BTreeSet<Privilege>,
    /// Ports and settings.
    pub choices: Choices,
}

/// Something that an app keeps: named by where it is seen, which is the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Volume {
    /// The service of the project.
    pub service: String,
    /// Where it lies in that container.
    pub target: String,
}

/// What a copy of volumes takes, where Docker keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Room {
    /// Bytes that they hold.
    pub needed: u64,
    /// Bytes that are free there.
    pub free: u64,
}

/// How apps are, by name; an app of which nothing is there is not in it.
pub type Projects = BTreeMap<String, ProjectState>;

/// How an app is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectState {
    /// Its container.
    pub run: Run,
    /// Whether it keeps something: a volume is there.
    pub data: bool,
}

/// How an app's container is; what comes first is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AppRun))]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// There is none.
    #[default]
    Absent,
    /// It does not run.
    Stopped,
    /// It ended by itself and is started again and again.
    Failing,
    /// It runs, and what shows that it is well fails.
    Ill,
    /// It runs, and has not shown yet that it is well.
    Starting,
    /// It runs and is well, as far as anybody looks.
    Running,
}

impl Run {
    /// Whether a container is there that is meant to run.
    pub fn is_up(self) -> bool {
        !matches!(self, Self::Absent | Self::Stopped)
    }

    /// How an app of several containers is: as the worst of them, and not well where some of them are meant to run and others are not.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match self.is_up() == other.is_up() {
            true => self.min(other),
            false if self == Self::Failing || other == Self::Failing => Self::Failing,
            false => Self::Ill,
        }
    }
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BytesProgress))]
pub struct Progress {
    /// Bytes that are here.
    pub done: u64,
    /// Of so many, as far as that is known.
    pub total: u64,
}

/// Why something did not come about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In a sentence.
    pub error: String,
    /// The last of what the program said, and of what the app said.
    #[serde(default)]
    pub output: String,
}

/// A line of the broker's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply<T> {
    Progress(Progress),
    Done(T),
    Failed(Failure),
}

/// Why the broker did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be reached, or was gone before it answered.
    #[error("the broker at `{socket}` can't be asked: {why}")]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What came.
        why: String,
    },
    /// It answered, and it did not come about.
    #[error("{}", .0.error)]
    Failed(Failure),
}

/// How Docker is; what goes wrong becomes a state to show.
pub async fn status(socket: &Path) -> Docker {
    match ask(socket, &Request::Status {}, |_| ()).await {
        Ok(docker) => docker,
        Err(Error::Unreachable { why, .. }) => Docker::NoBroker { reason: why },
        Err(Error::Failed(failure)) => Docker::Silent { reason: failure.error },
    }
}

/// Asks the broker, and tells how far it is.
///
/// # Errors
/// See [`Error`].
pub async fn ask<T: DeserializeOwned>(socket: &Path, request: &Request, told: impl FnMut(Progress)) -> Result<T, Error> {
    let unreachable = |why: String| Error::Unreachable { socket: socket.to_owned(), why };
    let wait = patience(request);
    match timeout(wait, exchange(socket, request, told)).await {
        Ok(Ok(Reply::Done(answer))) => Ok(answer),
        Ok(Ok(Reply::Failed(failure))) => Err(Error::Failed(failure)),
        Ok(Ok(Reply::Progress(_))) => Err(unreachable("it ended before it was done".to_owned())),
        Ok(Err(error)) => Err(unreachable(format!("{error:#}"))),
        Err(_) => Err(unreachable(format!("no answer came within {} s", wait.as_secs()))),
    }
}

/// How long an answer may take. What changes something is limited by the broker itself, sooner.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Status {} | Request::Projects {} | Request::HasImage { .. } | Request::Logs { .. } | Request::Volumes { .. } => {
            BROKER_TIMEOUT
        }
        Request::ByHand {} | Request::LookByHand { .. } | Request::Since { .. } | Request::Uses {} => BROKER_TIMEOUT,
        Request::MoveIn { .. } => VOLUME_TIMEOUT.saturating_mul(2),
        Request::Move { .. } => VOLUME_TIMEOUT,
        _ => PULL_TIMEOUT.saturating_mul(2),
    }
}

type Reader = BufReader<Take<OwnedReadHalf>>;

/// Asks; what comes is read from what is given back.
async fn begin(socket: &Path, request: &Request) -> anyhow::Result<(Reader, OwnedWriteHalf)> {
    let stream = UnixStream::connect(socket).await.with_context(|| format!("no broker at `{}`", socket.display()))?;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await.context("asking the broker")?;
    let most = if matches!(request, Request::ReadVolume { .. }) { u64::MAX } else { EXCHANGE_BYTES };
    Ok((BufReader::new(read.take(most)), write))
}

/// What the broker answers next, beside how far it is.
async fn reply<T: DeserializeOwned>(reader: &mut Reader, mut told: impl FnMut(Progress)) -> anyhow::Result<Reply<T>> {
    let mut line = String::new();
    loop {
        line.clear();
        let read = reader.read_line(&mut line).await.context("reading the broker's answer")?;
        anyhow::ensure!(read > 0, "it ended before it was done");
        match serde_json::from_str(&line).context("the broker's answer is not what this version understands")? {
            Reply::Progress(progress) => told(progress),
            end => return Ok(end),
        }
    }
}

async fn exchange<T: DeserializeOwned>(socket: &Path, request: &Request, told: impl FnMut(Progress)) -> anyhow::Result<Reply<T>> {
    let (mut reader, _asking) = begin(socket, request).await?;
    reply(&mut reader, told).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_requests_are_understood() {
        assert_eq!(serde_json::from_str::<Request>(r#"{"request":"status"}"#).unwrap(), Request::Status {});
        for other in [
            r#"{"request":"exec"}"#,
            r#"{"request":"status","host":"/"}"#,
            r#"{"request":"pull","app":"x","digest":"latest"}"#,
            r#"{"request":"down","app":"x","data":false,"volumes":["/"]}"#,
        ] {
            assert!(serde_json::from_str::<Request>(other).is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn without_a_broker_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let answer = status(&dir.path().join("none.sock")).await;
        assert!(matches!(answer, Docker::NoBroker { reason } if reason.contains("none.sock")));
    }
}
