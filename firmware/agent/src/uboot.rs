//! U-Boot's state records on the disk that was booted from. For the root units.

use anyhow::{Context, Result};
use contract::boot::Slot;
use contract::gpt::SECTOR_BYTES;
use contract::partitions::Role;
use contract::paths::DEVICE_LINKS;
use contract::state::{Place, RECORD_BYTES, Seen, Write};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Whether U-Boot starts this node.
pub fn is_here() -> bool {
    Path::new(DEVICE_LINKS).join(Role::State.label()).exists()
}

/// Confirms the slot: whatever is cut, the slot that is started is this one or the one before.
///
/// # Errors
/// When a record can't be written; done again, it goes on where it stopped.
pub fn confirm(slot: Slot) -> Result<()> {
    seen().confirm(slot).iter().try_for_each(write)
}

/// Writes again what was lost around the slot that runs and is confirmed. Writes nothing if all is well.
///
/// # Errors
/// When a record can't be written.
pub fn heal(slot: Slot) -> Result<()> {
    let seen = seen();
    // Another slot that is the confirmed one could not be started this time: it keeps its place.
    if !seen.is_damaged() && seen.state().confirmed != slot {
        return Ok(());
    }
    let writes = seen.heal(slot);
    if !writes.is_empty() {
        log::info!("the boot state is made whole");
    }
    writes.iter().try_for_each(write)
}

fn device(place: Place) -> PathBuf {
    Path::new(DEVICE_LINKS).join(place.label())
}

fn offset(place: Place) -> u64 {
    place.sector() * SECTOR_BYTES as u64
}

fn seen() -> Seen {
    Seen::read(|place| {
        let mut bytes = [0; RECORD_BYTES];
        File::open(device(place)).ok()?.read_exact_at(&mut bytes, offset(place)).ok()?;
        Some(bytes)
    })
}

/// One sector, on the medium before the next is begun.
fn write(write: &Write) -> Result<()> {
    let path = device(write.place);
    let doing = || format!("writing the boot state on `{}`: is the card write-protected, or worn out?", path.display());
    let file = OpenOptions::new().write(true).open(&path).with_context(doing)?;
    file.write_all_at(&write.bytes, offset(write.place)).with_context(doing)?;
    file.sync_all().with_context(doing)
}
