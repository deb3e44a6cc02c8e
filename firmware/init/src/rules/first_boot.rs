//! What a disk still needs before it can be used, as a list of steps; empty once its first boot is done.
//!
//! The list may be cut at any moment, also in the middle of a step; planned again from what then lies on the disk,
//! it ends in the same state. What keeps people's data safe is one rule: the data partition is made while it is
//! called [`UNFINISHED`], renamed when its file system is whole and synced, and under its final name never made
//! again, whatever it looks like.

use std::collections::BTreeMap;

use contract::gpt::{GptError, Table};
use contract::guid::Guid;
use contract::partitions::{Layout, LayoutError, Role, SHIPPED_DISK, completed};

/// The data partition's label until its file system has been made.
pub const UNFINISHED: &str = "data-new";

/// One step; each ends with a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the table's copy at the disk's end.
    WriteBackup(Table),
    /// Write the table's copy at the disk's start.
    WritePrimary(Table),
    /// Make the file system in the partition [`UNFINISHED`], with all that a node keeps from its first moment on.
    MakeData,
}

/// What lies on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The table's copy at its start.
    pub primary: Result<Table, GptError>,
    /// The table's copy in its last sectors.
    pub backup: Result<Table, GptError>,
    /// How many sectors it has.
    pub sectors: u64,
}

/// Why a disk can't be made ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Neither copy of the table can be read.
    #[error(transparent)]
    Table(#[from] GptError),
    /// It has no room, or lacks a partition.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A partition that is none of ours lies on a disk whose first boot is not done.
    #[error(
        "the disk has a partition `{0}` that is not ours, and its first boot is not done: remove that partition, or flash the image again"
    )]
    Foreign(String),
}

impl Seen {
    /// The table that counts.
    pub fn table(&self) -> Result<&Table, &GptError> {
        match (&self.primary, &self.backup) {
            (Ok(table), _) | (Err(_), Ok(table)) => Ok(table),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

/// Plans the steps. `random` gives GUIDs that have never been used.
pub fn plan(seen: &Seen, random: impl FnMut() -> Guid) -> Result<Vec<Step>, PlanError> {
    let table = seen.table().map_err(Clone::clone)?;
    let made = table.by_name(Role::Data.label()).is_some();
    let unfinished = table.by_name(UNFINISHED).is_some();
    if table.disk != SHIPPED_DISK && !unfinished {
        // All done. A copy of the table may have been lost since.
        return Ok(repair(seen, table));
    }
    let target = if table.disk == SHIPPED_DISK { complete(table, seen.sectors, random)? } else { table.clone() };
    let mut steps = Vec::new();
    if made {
        steps.extend(write(target));
    } else {
        let finished = renamed(&target, UNFINISHED, Role::Data.label());
        if seen.primary.as_ref() != Ok(&target) {
            steps.extend(write(renamed(&target, Role::Data.label(), UNFINISHED)));
        }
        steps.push(Step::MakeData);
        steps.extend(write(finished));
    }
    Ok(steps)
}

/// Makes the data of a disk anew whose first boot is done. It goes by the same rule: data gets the name of what is unfinished first, and a cut
/// before that leaves all as it was. Nothing where there is no such data.
pub fn reset(table: &Table) -> Vec<Step> {
    if table.by_name(Role::Data.label()).is_none() || table.by_name(UNFINISHED).is_some() {
        return Vec::new();
    }
    let unfinished = renamed(table, Role::Data.label(), UNFINISHED);
    let [backup, primary] = write(unfinished);
    let [last_backup, last_primary] = write(table.clone());
    vec![backup, primary, Step::MakeData, last_backup, last_primary]
}

/// Writes again what differs from the table that counts. A disk that is too small for its own table is left alone.
fn repair(seen: &Seen, table: &Table) -> Vec<Step> {
    if table.encode(seen.sectors).is_err() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if seen.backup.as_ref() != Ok(table) {
        steps.push(Step::WriteBackup(table.clone()));
    }
    if seen.primary.as_ref() != Ok(table) {
        steps.push(Step::WritePrimary(table.clone()));
    }
    steps
}

fn complete(table: &Table, sectors: u64, random: impl FnMut() -> Guid) -> Result<Table, PlanError> {
    let layout = if table.by_name(Role::State.label()).is_some() { Layout::Uboot } else { Layout::Uefi };
    let known = |name: &str| name == UNFINISHED || layout.roles().iter().any(|role| role.label() == name);
    if let Some(foreign) = table.partitions.values().find(|partition| !known(&partition.name)) {
        return Err(PlanError::Foreign(foreign.name.clone()));
    }
    Ok(completed(layout, table, sectors, random)?)
}

fn write(table: Table) -> [Step; 2] {
    [Step::WriteBackup(table.clone()), Step::WritePrimary(table)]
}

fn renamed(table: &Table, from: &str, to: &str) -> Table {
    let rename = |mut partition: contract::gpt::Partition| {
        if partition.name == from {
            to.clone_into(&mut partition.name);
        }
        partition
    };
    let partitions: BTreeMap<_, _> = table.partitions.clone().into_iter().map(|(n, p)| (n, rename(p))).collect();
    Table { disk: table.disk, partitions }
}

#[cfg(test)]
#[path = "first_boot_tests.rs"]
mod tests;
