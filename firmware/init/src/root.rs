//! Finding the disk that was booted from, and mounting the slot's root.

use std::str::FromStr;

use anyhow::Context as _;
use contract::boot::{BuildId, LOADER_COUNT_PATH, LOADER_DEVICE, LOADER_VENDOR, Slot};
use contract::guid::Guid;
use nix::mount::MsFlags;

use crate::coldplug::Coldplug;
use crate::context::{Context, since_start};
use crate::disks::{BootDisk, names, scan, show_partitions};
use crate::limits::{FIND_ROOT, LOOK_AGAIN, SETTLE};
use crate::mounts::{bind, mount_at};
use crate::rules::choose::{Choice, choose, explain, root_role};
use crate::rules::{efivar, slots};
use crate::uboot::Uboot;

/// Where the slot's root is mounted until the hand-over.
pub const SYSROOT: &str = "/sysroot";

/// Reads what the boot loader said: its partition, and the entry that it counts.
pub fn read_boot_loader(context: &mut Context) {
    let read = |name: &str| {
        let path = format!("/sys/firmware/efi/efivars/{name}-{LOADER_VENDOR}");
        std::fs::read(path).ok().and_then(|bytes| efivar::text(&bytes))
    };
    context.from = read(LOADER_DEVICE).or_else(|| context.line.from.clone());
    context.counted = read(LOADER_COUNT_PATH).and_then(|path| efivar::counted(&path, context.build));
}

/// Reads U-Boot's state, if it was U-Boot that started this: whether the slot is on trial, and what it could not start.
pub fn read_state(context: &mut Context, disk: &BootDisk, build: BuildId) {
    let Some(uboot) = Uboot::read(disk) else { return };
    context.counted = Some(uboot.own(build)).filter(|entry| entry.tries.is_some());
    if uboot.is_damaged() {
        context.warn("both records of the boot state are damaged: they are written anew once this slot proves good".to_owned());
    }
    if let Some((slot, why)) = context.line.skipped.clone() {
        context.warn(slots::skipped(slot, &why));
    }
}

/// Waits for the disk that was booted from.
pub fn find(context: &mut Context, coldplug: &mut Coldplug, build: BuildId) -> anyhow::Result<BootDisk> {
    let from = match &context.from {
        None => None,
        Some(text) => Some(Guid::from_str(text).map_err(|error| anyhow::anyhow!("the boot loader's partition: {error}"))?),
    };
    let start = since_start();
    let mut last_news = start;
    loop {
        let disks = scan();
        let now = since_start();
        match choose(from, build, context.line.slot, &disks) {
            Choice::Found { disk, slot, settle } if !settle || now - last_news >= SETTLE => {
                return Ok(BootDisk { name: disk.name.clone(), table: disk.table.clone(), slot });
            }
            Choice::Ambiguous { disks: [one, other] } if now - last_news >= SETTLE => {
                context.blameless = true;
                anyhow::bail!(
                    "{} and {} were flashed from the same image, and nothing tells which of them this machine was booted from: \
                     unplug one of them",
                    one.name,
                    other.name
                );
            }
            Choice::NoRoot if now - last_news >= SETTLE => {
                // The boot loader's own disk is known, for the rule of failures.
                let named: Vec<_> = disks.iter().filter(|disk| from.is_some_and(|guid| disk.holds(guid))).collect();
                if let [disk] = named[..] {
                    context.disk =
                        Some(BootDisk { name: disk.name.clone(), table: disk.table.clone(), slot: context.line.slot.unwrap_or(Slot::A) });
                }
                anyhow::bail!(explain(from, build, &disks));
            }
            Choice::NotYet if now - start > FIND_ROOT => {
                let failed = coldplug.failed.iter().map(|text| format!("; {text}")).collect::<String>();
                let shown = Some(names().join(", ")).filter(|names| !names.is_empty()).unwrap_or("none".to_owned());
                let waited = FIND_ROOT.as_secs();
                anyhow::bail!("{}, after {waited} s; disks that the kernel shows: {shown}{failed}", explain(from, build, &disks));
            }
            Choice::Found { .. } | Choice::Ambiguous { .. } | Choice::NoRoot => {}
            Choice::NotYet => {}
        }
        context.watchdog.open();
        context.watchdog.feed();
        if coldplug.wait(LOOK_AGAIN) {
            last_news = since_start();
        }
    }
}

/// Mounts the slot's root, and what its programs need.
pub fn mount(disk: &BootDisk, build: BuildId) -> anyhow::Result<()> {
    show_partitions(&disk.name, &disk.table)?;
    let label = root_role(disk.slot).label();
    let device = disk.need(label)?;
    let mounted = mount_at(&device, SYSROOT, "erofs", MsFlags::MS_RDONLY, "");
    let mounted = mounted.and_then(|()| bind("/dev", &format!("{SYSROOT}/dev")));
    let mounted = mounted.and_then(|()| bind("/proc", &format!("{SYSROOT}/proc")));
    mounted.with_context(|| format!("the root of build {build} in {label} is damaged: if no other slot takes over, flash the image again"))
}
