//! `/run/cloudy/boot.json`: what init saw and did, for the agent and its page.

use serde::{Deserialize, Serialize};

use crate::boot::{BuildId, Slot, Tries};

/// All of it. Fields are added, never renamed; readers ignore what they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which build runs.
    pub build: BuildId,
    /// In which slot it lies.
    pub slot: Slot,
    /// The disk booted from, as `/dev/sda`.
    pub disk: String,
    /// Its partitions.
    pub partitions: Vec<PartitionReport>,
    /// The counter of a slot on trial; `None` once confirmed, or where no boot loader counts.
    pub trial: Option<Tries>,
    /// All builds that the boot loader knows and could find, this one too.
    pub entries: Vec<EntryReport>,
    /// Whether this boot made the data partition.
    pub first_boot: bool,
    /// In what state data is.
    pub data: DataState,
    /// What e2fsck said, if it had anything to say.
    pub fsck: Option<FsckReport>,
    /// Where the clock's time came from.
    pub clock: ClockSource,
    /// The watchdog's timeout in seconds; `None` if there is none yet or it is left alone.
    pub watchdog_seconds: Option<u32>,
    /// The last slot that was given up, by init, agent or boot loader, and why.
    pub last_failure: Option<Failure>,
    /// What went wrong without stopping the boot, each a sentence with its mend.
    pub warnings: Vec<String>,
    /// How long what took, in order.
    pub steps: Vec<StepReport>,
}

/// One partition of the disk booted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// Its label: `config`, `esp`, `root-a`, …
    pub label: String,
    /// Its device, as `/dev/sda1`.
    pub device: String,
    /// Its GUID, lower case. The boot loader may have named another in this boot: a first boot replaces all.
    pub guid: String,
}

/// One entry of the boot loader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReport {
    /// Which build it starts.
    pub build: BuildId,
    /// Its counter; `None` once confirmed.
    pub tries: Option<Tries>,
}

/// In what state data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataState {
    /// Nothing to say.
    Clean,
    /// e2fsck mended it.
    Repaired,
    /// It is damaged and was only read: changes of this run are lost at its end.
    ReadOnly,
    /// It can't be read: this run knows nothing of the node's past, and keeps nothing.
    Lost,
}

/// What e2fsck said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckReport {
    /// Its exit status (e2fsck(8)).
    pub status: i32,
    /// The end of its output.
    pub output: String,
}

/// Where the clock's time came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSource {
    /// The machine's own clock.
    Hardware,
    /// The build's epoch: the machine's clock was before it.
    Epoch,
    /// The last saved time: the machine's clock was before it.
    Saved,
}

/// Why a slot was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which build.
    pub build: BuildId,
    /// When, in seconds since 1970, as far as init knew.
    pub time: u64,
    /// What was being done.
    pub step: String,
    /// What went wrong, with what and where, and the mend.
    pub reason: String,
}

/// One step of init.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// What was done.
    pub name: String,
    /// When it began, in seconds since the kernel's start.
    pub start_seconds: f64,
    /// How long it took.
    pub seconds: f64,
}
