//! The end of a good boot: the report is written, the initramfs emptied, and systemd becomes PID 1.

use std::ffi::CString;
use std::fs::{create_dir_all, read_dir, remove_dir, remove_file, symlink_metadata};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use anyhow::Context as _;
use contract::boot::{BuildId, EntryName};
use contract::paths::{BOOT_REPORT, DEVICE_LINKS};
use contract::report::{ClockSource, EntryReport, Failure, PartitionReport, Report};
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot, execv};

use crate::context::Context;
use crate::data::Data;
use crate::disks::BootDisk;
use crate::esp::Esp;
use crate::mounts::unmount;
use crate::root::SYSROOT;
use crate::rules::choose::root_role;
use crate::rules::passed_over::{Entry, passed_over};
use crate::rules::slots;
use crate::time;
use crate::uboot::Uboot;

/// What may be PID 1 of the slot's root.
const INITS: [&str; 2] = ["/usr/lib/systemd/systemd", "/sbin/init"];

/// Writes `/run/cloudy/boot.json`, and the links to the partitions.
pub fn report(context: &mut Context, disk: &BootDisk, build: BuildId, data: &Data) -> anyhow::Result<()> {
    let mut partitions = Vec::new();
    create_dir_all(DEVICE_LINKS)?;
    for partition in disk.table.partitions.values() {
        let Some(device) = disk.partition(&partition.name) else { continue };
        symlink(&device, format!("{DEVICE_LINKS}/{}", partition.name))?;
        if partition.name == root_role(disk.slot).label() {
            symlink(&device, format!("{DEVICE_LINKS}/root"))?;
        }
        partitions.push(PartitionReport { label: partition.name.clone(), device, guid: partition.guid.to_string().to_lowercase() });
    }
    let esp = disk.boot_partition().map(|device| Esp::mount(&device, false));
    let (entries, last_failure) = match esp {
        Some(Ok(esp)) => (esp.entries(), esp.last_failure()),
        Some(Err(error)) => {
            context.warn(format!("the boot loader's entries can't be read: {error:#}"));
            (Vec::new(), None)
        }
        None => (Vec::new(), None),
    };
    let uboot = Uboot::read(disk);
    let (entries, last_failure): (Vec<EntryName>, _) = match &uboot {
        Some(uboot) => (std::iter::once(uboot.own(build)).chain(uboot.other()).collect(), uboot_failure(context, uboot, last_failure)),
        None => {
            let last_failure = systemd_boot_failure(build, &entries, last_failure);
            // What has no kernel is nothing that the boot loader knows.
            let known = entries.iter().filter(|entry| entry.fault.is_none() || entry.name.build == build);
            (known.map(|entry| entry.name).collect(), last_failure)
        }
    };
    let report = Report {
        build,
        slot: disk.slot,
        disk: disk.device(),
        partitions,
        trial: context.counted.and_then(|entry| entry.tries),
        entries: entries.into_iter().map(|entry| EntryReport { build: entry.build, tries: entry.tries }).collect(),
        first_boot: data.made,
        data: data.state,
        fsck: data.fsck.clone(),
        clock: context.clock.unwrap_or(ClockSource::Hardware),
        watchdog_seconds: context.watchdog.seconds(),
        last_failure,
        warnings: context.warnings.clone(),
        steps: context.steps.clone(),
    };
    create_dir_all(Path::new(BOOT_REPORT).parent().unwrap_or(Path::new("/run")))?;
    std::fs::write(BOOT_REPORT, serde_json::to_vec_pretty(&report)?).with_context(|| format!("failed to write {BOOT_REPORT}"))
}

/// Why another slot runs than the one that should. What its own init or agent kept counts, unless it could not be started.
fn uboot_failure(context: &Context, uboot: &Uboot, kept: Option<Failure>) -> Option<Failure> {
    let failure = |build, reason| Failure { build, time: time::now(), step: "boot loader".to_owned(), reason };
    if let Some((slot, why)) = &context.line.skipped
        && let Some(build) = uboot.build(*slot)
    {
        return Some(failure(build, slots::skipped(*slot, why)));
    }
    let used_up = uboot.other().filter(|other| !other.is_bootable());
    match (kept, used_up) {
        (Some(kept), Some(other)) if kept.build != other.build => Some(failure(other.build, slots::used_up(other))),
        (None, Some(other)) => Some(failure(other.build, slots::used_up(other))),
        (kept, _) => kept,
    }
}

/// The same for systemd-boot. What an entry's own init or agent kept counts as the reason why its tries are used up.
fn systemd_boot_failure(own: BuildId, entries: &[Entry], kept: Option<Failure>) -> Option<Failure> {
    let Some((passed, reason)) = passed_over(own, entries) else { return kept };
    if !passed.is_bootable() && kept.as_ref().is_some_and(|kept| kept.build == passed.build) {
        return kept;
    }
    Some(Failure { build: passed.build, time: time::now(), step: "boot loader".to_owned(), reason })
}

/// Becomes the slot's init; returns only with an error.
pub fn go() -> anyhow::Error {
    match try_go() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_go() -> anyhow::Result<std::convert::Infallible> {
    let present = |init: &&str| symlink_metadata(format!("{SYSROOT}{init}")).is_ok();
    let init = INITS.into_iter().find(present).with_context(|| format!("the root has no {}", INITS.join(" and no ")))?;
    for folder in ["dev", "proc"] {
        unmount(&format!("{SYSROOT}/{folder}"));
    }
    for folder in ["dev", "proc", "sys", "run"] {
        let (from, to) = (format!("/{folder}"), format!("{SYSROOT}/{folder}"));
        mount(Some(from.as_str()), to.as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .with_context(|| format!("failed to move /{folder} into the root: the image has no folder of that name"))?;
    }
    let own = symlink_metadata("/")?.dev();
    remove_below(Path::new("/"), own);
    let doing = "failed to make the slot's root the root";
    chdir(SYSROOT).context(doing)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).context(doing)?;
    chroot(".").context(doing)?;
    chdir("/").context(doing)?;
    let path = CString::new(init)?;
    execv(&path, &[&path]).with_context(|| format!("failed to start {init}"))
}

/// Removes what lies on the initramfs itself, to give its memory back; other file systems are not entered.
fn remove_below(folder: &Path, own: u64) {
    for entry in read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(there) = symlink_metadata(&path) else { continue };
        if there.dev() != own {
            continue;
        }
        if there.is_dir() {
            remove_below(&path, own);
            let _ = remove_dir(&path);
        } else {
            let _ = remove_file(&path);
        }
    }
}
