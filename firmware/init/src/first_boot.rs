//! Carrying out the plan of `rules::first_boot`, and making the data partition.

use anyhow::Context as _;
use contract::guid::Guid;

use crate::child::run;
use crate::console::{Level, say};
use crate::context::Context;
use crate::disks::{BootDisk, see, show_partitions, write};
use crate::limits::MAKE_DATA;
use crate::root::SYSROOT;
use crate::rules::first_boot::{Step, UNFINISHED, plan};

/// Plans what the disk still needs.
pub fn plan_for(disk: &BootDisk) -> anyhow::Result<Vec<Step>> {
    let seen = see(&disk.name)?;
    let mut drawn = Ok(());
    let steps = plan(&seen, || {
        random().map(Guid::from_random).unwrap_or_else(|error| {
            drawn = Err(error);
            Guid::ZERO
        })
    });
    drawn.context("the kernel gives no random numbers")?;
    Ok(steps?)
}

/// Random bytes, from a generator that is ready.
pub fn random() -> std::io::Result<[u8; 16]> {
    use std::io::Read;
    let mut bytes = [0; 16];
    // /dev/random waits until the generator is ready, and never after.
    std::fs::File::open("/dev/random")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes one copy of the table; shows the partitions to the kernel once the primary is written.
pub fn write_table(disk: &mut BootDisk, step: &Step) -> anyhow::Result<()> {
    let sectors = see(&disk.name)?.sectors;
    match step {
        Step::WriteBackup(table) => {
            let encoded = table.encode(sectors)?;
            write(&disk.name, encoded.backup_lba, &encoded.backup)
        }
        Step::WritePrimary(table) => {
            let encoded = table.encode(sectors)?;
            write(&disk.name, contract::gpt::PRIMARY_LBA, &encoded.primary)?;
            disk.table = table.clone();
            show_partitions(&disk.name, table)
        }
        Step::MakeData => Ok(()),
    }
}

/// Makes the file system.
pub fn make_file_system(context: &Context, disk: &BootDisk) -> anyhow::Result<String> {
    let device = disk.need(UNFINISHED)?;
    say(Level::Info, &format!("first boot: making the data partition on {device}"));
    // Zeros for the journal would take a slow card minutes; what an earlier journal left there is no transaction of this one, whose
    // checksums begin from an UUID of its own (metadata_csum, which Debian's mke2fs.conf has).
    let options = "nodiscard,lazy_journal_init=1";
    let arguments = ["-t", "ext4", "-F", "-q", "-L", "cloudy-data", "-O", "metadata_csum", "-E", options, &device];
    let ended = run(context, SYSROOT, "/usr/sbin/mke2fs", &arguments, MAKE_DATA)?;
    if ended.status != Some(0) {
        anyhow::bail!("mke2fs failed on {device}: {}: is the card worn out?", ended.output);
    }
    Ok(device)
}
