//! The machine's disks: which there are, their partition tables, and how the kernel sees their partitions.

use std::fs::{File, OpenOptions, read_dir, read_to_string};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context as _;
use contract::boot::Slot;
use contract::gpt::{GptError, PRIMARY_LBA, SECTOR_BYTES, TABLE_BYTES, Table, backup_lba, decode_backup, decode_primary};
use contract::partitions::Role;

use crate::context::since_start;
use crate::limits::PARTITIONS;
use crate::rules::choose::{Disk, root_role};
use crate::rules::first_boot::Seen;
use contract::erofs::{SUPERBLOCK_END, Superblock, superblock};

/// Devices that are no disks to boot from.
const NO_DISKS: [&str; 8] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd"];

mod ioctl {
    //! linux/fs.h.
    nix::ioctl_none!(reread_partitions, 0x12, 95);
}

/// The disk that was booted from.
#[derive(Clone, Debug)]
pub struct BootDisk {
    /// The kernel's name, as `sda`.
    pub name: String,
    /// Its partition table, as it lies on the disk.
    pub table: Table,
    /// The slot that is booted.
    pub slot: Slot,
}

impl BootDisk {
    /// As `/dev/sda`.
    pub fn device(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// The device of the partition with that label, as `/dev/sda1`, if it is in the table and the kernel shows it.
    pub fn partition(&self, label: &str) -> Option<String> {
        let (number, partition) = self.table.by_name(label)?;
        let shown = shown_partitions(&self.name);
        let fits = |found: &&Shown| found.number == u64::from(number) && found.first == partition.first;
        shown.iter().find(fits).map(|found| format!("/dev/{}", found.name))
    }

    /// The same, or an error that says so.
    pub fn need(&self, label: &str) -> anyhow::Result<String> {
        let missing = || format!("the kernel shows no partition `{label}` on {}", self.device());
        self.partition(label).with_context(missing)
    }

    /// The partition that the failure record lies on.
    pub fn boot_partition(&self) -> Option<String> {
        self.partition(Role::Esp.label()).or_else(|| self.partition(Role::Config.label()))
    }
}

/// All disks with a table of ours.
pub fn scan() -> Vec<Disk> {
    names().iter().filter_map(|name| look(name)).collect()
}

/// The names of all disks that the kernel shows, ours or not.
pub fn names() -> Vec<String> {
    let names = read_dir("/sys/block").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut disks: Vec<_> = names.filter(|name| !NO_DISKS.iter().any(|prefix| name.starts_with(prefix))).collect();
    disks.sort();
    disks
}

fn look(name: &str) -> Option<Disk> {
    if number(&format!("/sys/block/{name}/queue/logical_block_size"))? != SECTOR_BYTES as u64 {
        return None;
    }
    let table = see(name).ok()?.table().ok()?.clone();
    let roots = roots(name, &table);
    let ours = table.by_name(Role::RootA.label()).is_some_and(|(_, root)| root.kind == Role::RootA.kind());
    ours.then_some(Disk { name: name.to_owned(), table, roots })
}

/// The roots of a disk, as far as they hold an erofs.
pub fn roots(name: &str, table: &Table) -> Vec<(Slot, Superblock)> {
    let mut roots = Vec::new();
    let Ok(disk) = File::open(format!("/dev/{name}")) else { return roots };
    for slot in [Slot::A, Slot::B] {
        let Some((_, partition)) = table.by_name(root_role(slot).label()) else { continue };
        let mut bytes = [0; SUPERBLOCK_END];
        if partition.kind == root_role(slot).kind()
            && disk.read_exact_at(&mut bytes, partition.offset()).is_ok()
            && let Some(root) = superblock(&bytes)
        {
            roots.push((slot, root));
        }
    }
    roots
}

/// Reads both copies of a disk's table.
pub fn see(name: &str) -> anyhow::Result<Seen> {
    let path = format!("/dev/{name}");
    let sectors = number(&format!("/sys/block/{name}/size")).with_context(|| format!("{path} has no size"))?;
    let disk = File::open(&path).with_context(|| format!("failed to open {path}"))?;
    let mut bytes = vec![0; TABLE_BYTES];
    let mut read = |lba: u64| -> Result<Vec<u8>, GptError> {
        let at = lba.saturating_mul(SECTOR_BYTES as u64);
        disk.read_exact_at(&mut bytes, at).map_err(|_| GptError::NoSignature)?;
        Ok(bytes.clone())
    };
    let primary = read(PRIMARY_LBA).and_then(|bytes| decode_primary(&bytes));
    let backup = backup_lba(sectors).and_then(&mut read).and_then(|bytes| decode_backup(&bytes, sectors));
    Ok(Seen { primary, backup, sectors })
}

/// Writes bytes at a sector of a whole disk, and waits until they are on it.
pub fn write(name: &str, lba: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let path = format!("/dev/{name}");
    let doing = || format!("failed to write the partition table on {path}: is the card write-protected, or worn out?");
    let disk = OpenOptions::new().write(true).open(&path).with_context(doing)?;
    disk.write_all_at(bytes, lba.saturating_mul(SECTOR_BYTES as u64)).with_context(doing)?;
    disk.sync_all().with_context(doing)
}

/// Makes the kernel show the partitions of a table that lies on the disk.
pub fn show_partitions(name: &str, table: &Table) -> anyhow::Result<()> {
    let start = since_start();
    while !shows(name, table) {
        let disk = File::open(format!("/dev/{name}")).with_context(|| format!("failed to open /dev/{name}"))?;
        #[expect(unsafe_code, reason = "ioctl without argument on an open disk")]
        let read = unsafe { ioctl::reread_partitions(disk.as_raw_fd()) };
        if since_start() - start > PARTITIONS {
            let reason = read.err().map(|error| format!(": {error}")).unwrap_or_default();
            anyhow::bail!("the kernel does not show the partitions that were written to /dev/{name}{reason}");
        }
        if read.is_err() {
            std::thread::sleep(crate::limits::LOOK_AGAIN);
        }
    }
    Ok(())
}

fn shows(name: &str, table: &Table) -> bool {
    let shown = shown_partitions(name);
    table.partitions.iter().all(|(number, partition)| {
        let same =
            |found: &Shown| found.number == u64::from(*number) && found.first == partition.first && found.sectors == partition.sectors();
        shown.iter().any(same)
    })
}

struct Shown {
    name: String,
    number: u64,
    first: u64,
    sectors: u64,
}

fn shown_partitions(disk: &str) -> Vec<Shown> {
    let folder = format!("/sys/block/{disk}");
    let names = read_dir(&folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let shown = names.filter(|name| Path::new(&format!("/dev/{name}")).exists()).filter_map(|name| {
        let of = |key: &str| number(&format!("{folder}/{name}/{key}"));
        Some(Shown { number: of("partition")?, first: of("start")?, sectors: of("size")?, name: name.clone() })
    });
    shown.collect()
}

fn number(path: &str) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}
