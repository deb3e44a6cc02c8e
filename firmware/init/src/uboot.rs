//! U-Boot's state on the disk that was booted from: which slots it would start, and how it counts their tries.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use anyhow::Context as _;
use contract::boot::{BuildId, EntryName, Slot};
use contract::gpt::SECTOR_BYTES;
use contract::partitions::Role;
use contract::state::{RECORD_BYTES, Seen, Write};

use crate::disks::{BootDisk, roots};
use crate::rules::slots;

/// The state, and what it says of each slot.
pub struct Uboot {
    disk: BootDisk,
    seen: Seen,
    /// Builds in the slots, as far as their roots can be read.
    builds: Vec<(Slot, BuildId)>,
}

impl Uboot {
    /// Reads the state; `None` on a disk that U-Boot does not start.
    pub fn read(disk: &BootDisk) -> Option<Self> {
        disk.table.by_name(Role::State.label())?;
        let seen = Seen::read(|place| {
            let device = File::open(disk.partition(place.label())?).ok()?;
            let mut bytes = [0; RECORD_BYTES];
            device.read_exact_at(&mut bytes, place.sector() * SECTOR_BYTES as u64).ok()?;
            Some(bytes)
        });
        let builds = roots(&disk.name, &disk.table).into_iter().map(|(slot, root)| (slot, root.build)).collect();
        Some(Self { disk: disk.clone(), seen, builds })
    }

    /// Whether neither record could be read.
    pub fn is_damaged(&self) -> bool {
        self.seen.is_damaged()
    }

    /// The booted slot as the boot loader knows it; `build` is the one that runs.
    pub fn own(&self, build: BuildId) -> EntryName {
        EntryName { build, tries: self.seen.state().tries(self.disk.slot) }
    }

    /// The build in a slot, if its root can be read.
    pub fn build(&self, slot: Slot) -> Option<BuildId> {
        self.builds.iter().find(|(found, _)| *found == slot).map(|(_, build)| *build)
    }

    /// The other slot, if the boot loader could start it.
    pub fn other(&self) -> Option<EntryName> {
        let other = self.disk.slot.other();
        slots::entry(&self.seen, other, self.build(other))
    }

    /// Puts the booted slot on trial, with one try.
    pub fn put_on_trial(&self) -> anyhow::Result<()> {
        let state = self.seen.state().with_trial(self.disk.slot, 1);
        self.seen.store(state).iter().try_for_each(|write| self.write(write))
    }

    fn write(&self, write: &Write) -> anyhow::Result<()> {
        let path = self.disk.need(write.place.label())?;
        let doing = || format!("failed to write the boot state on {path}: is the card write-protected, or worn out?");
        let device = OpenOptions::new().write(true).open(&path).with_context(doing)?;
        device.write_all_at(&write.bytes, write.place.sector() * SECTOR_BYTES as u64).with_context(doing)?;
        device.sync_all().with_context(doing)
    }
}
