//! `cloudy install-to DISK`: the system of a stick onto the disk of the PC that it runs on.
//!
//! The agent judges and starts the root unit `cloudy-install@DISK.service`, which judges again, since what it is told is not to
//! be trusted, and writes ([`run`]). How far that is stands in [`STATE`], for whoever asks. The new disk is as if its image had
//! just been flashed: its node makes GUIDs, data and an identity of its own at its first start. Two nodes of one identity never meet.

mod make;
pub mod rules;

pub use make::run;

use crate::state::App;
use anyhow::{Context, Result};
use contract::partitions::Layout;
use disks::{Disk, Host, Needs};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// How far the newest installation is, as [`State`] in JSON; the unit's runtime folder.
const STATE: &str = "/run/cloudy-install/state.json";

/// What a disk must have.
const NEEDS: fn() -> Needs = || Needs { image_bytes: 0, node_bytes: Layout::Uefi.min_disk_bytes() };

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DiskInstall))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// The disk: `/dev/nvme0n1`.
    pub disk: String,
    /// Whether what is on it may be lost.
    #[serde(default)]
    pub erase: bool,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = InstallPhase))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Whether the disk may be written is looked at, and its partitions are made ready.
    Preparing,
    /// Bytes go to the disk.
    Writing,
    /// They are read from it and compared.
    ReadingBack,
    /// The disk is a node.
    Done,
    /// It is none.
    Failed,
}

impl Phase {
    /// Whether nothing follows.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// How the new node comes into a microcloud by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = InstallJoining))]
#[serde(rename_all = "kebab-case")]
pub enum Joining {
    /// By the invite of the settings, if that lets another node in.
    Invite,
    /// By one on its network that lets newcomers in.
    Lan,
    /// It founds it, or comes back into it by the recovery kit.
    Found,
    /// Not by itself.
    Nothing,
}

/// How far an installation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = InstallState))]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// The unit that writes.
    pub unit: String,
    /// The disk: `/dev/nvme0n1`.
    pub disk: String,
    /// The disk with model and size.
    pub shown: String,
    /// What is being done.
    pub phase: Phase,
    /// Bytes of this phase that are done.
    pub bytes: u64,
    /// Bytes that this phase has.
    pub of: u64,
    /// Why it failed, with the mend.
    pub error: Option<String>,
    /// How the new node comes into a microcloud, once that is known.
    pub joins: Option<Joining>,
}

/// A disk that a person may mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Disk))]
#[serde(rename_all = "kebab-case")]
pub struct Offer {
    /// Its path: `/dev/nvme0n1`.
    pub disk: String,
    /// With model and size.
    pub shown: String,
    /// Its size.
    pub bytes: u64,
    /// Why it would not be written as it is, with the mend; none if it would.
    pub refused: Option<String>,
    /// Whether saying that its content may be lost is all that is missing.
    pub needs_erase: bool,
}

/// `GET /api/v1/install`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Disks))]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// The disks of this machine, that of this system too.
    pub disks: Vec<Offer>,
    /// The newest installation of this run, if there was one.
    pub state: Option<State>,
}

/// Why an installation is not begun.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none of that name.
    #[error("there is no disk `{name}`; there are: {known}")]
    Unknown {
        /// As it was asked for.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// It is not to be written.
    #[error(transparent)]
    Disk(#[from] disks::Refusal),
    /// One at a time.
    #[error("an installation onto {0} is going on: wait for its end")]
    Busy(String),
    /// systemd says no, or there is none.
    #[error(transparent)]
    Unit(#[from] crate::units::Error),
    /// Nobody knows what disks there are, or where this system stands.
    #[error("{0:#}")]
    Host(anyhow::Error),
}

/// The disks and the newest installation.
///
/// # Errors
/// When sysfs can't be read, and outside of an image.
pub async fn overview(app: &App) -> Result<Overview, Refused> {
    let running = running(app)?;
    let disks = disks().map_err(Refused::Host)?;
    Ok(Overview { disks: disks.iter().map(|disk| offer(disk, &running)).collect(), state: newest(app).await.map_err(Refused::Host)? })
}

/// Starts one.
///
/// # Errors
/// When the disk may not be written, another one goes on, or systemd refuses.
pub async fn begin(app: &App, request: &Request) -> Result<State, Refused> {
    let running = running(app)?;
    let disks = disks().map_err(Refused::Host)?;
    let known = || disks.iter().map(Disk::shown).collect::<Vec<_>>().join(", ");
    let found = disks.iter().find(|disk| disk.path() == request.disk || disk.name == request.disk);
    let disk = found.ok_or_else(|| Refused::Unknown { name: request.disk.clone(), known: known() })?;
    disks::rules::judge_install(disk, &running, NEEDS(), rules::partitions(disk).as_deref(), request.erase)?;
    if let Some(state) = newest(app).await.map_err(Refused::Host)?.filter(|state| !state.phase.is_end()) {
        return Err(Refused::Busy(state.shown));
    }
    let unknown = || Refused::Unknown { name: request.disk.clone(), known: known() };
    let unit = rules::unit(&disk.name, request.erase).ok_or_else(unknown)?;
    app.start_installation(&unit).await?;
    let state = newest(app).await.map_err(Refused::Host)?;
    state.context("the installation has left no word of itself").map_err(Refused::Host)
}

/// The kernel's name of the disk that this system was started from.
fn running(app: &App) -> Result<String, Refused> {
    let report =
        app.boot_report().context("this system is no image of cloudy: only one that was started from a disk of its own can be installed");
    let disk = report.map_err(Refused::Host)?.disk.clone();
    Ok(rules::name_of(&disk).to_owned())
}

fn disks() -> Result<Vec<Disk>> {
    Host::here().and_then(|host| host.disks()).context("failed to look which disks there are")
}

fn offer(disk: &Disk, running: &str) -> Offer {
    let judged = |erase| disks::rules::judge_install(disk, running, NEEDS(), rules::partitions(disk).as_deref(), erase);
    let refused = judged(false).err();
    Offer {
        disk: disk.path(),
        shown: disk.shown(),
        bytes: disk.bytes,
        needs_erase: refused.is_some() && judged(true).is_ok(),
        refused: refused.map(|refusal| refusal.to_string()),
    }
}

/// The newest installation; one whose unit ended without a word has failed.
async fn newest(app: &App) -> Result<Option<State>> {
    let Some(state) = read(Path::new(STATE))? else { return Ok(None) };
    if state.phase.is_end() || app.is_unit_active(&state.unit).await {
        return Ok(Some(state));
    }
    // It may have ended between the two looks.
    Ok(read(Path::new(STATE))?.map(rules::stopped))
}

fn read(path: &Path) -> Result<Option<State>> {
    let doing = || format!("failed to read `{}`", path.display());
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(doing).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(doing),
    }
}
