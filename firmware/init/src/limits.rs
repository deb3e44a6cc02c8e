//! Every wait of init, in one place.

use std::time::Duration;

/// How long the disk may take to show up: slow USB disks need 20 s, and emulated machines are ten times slower.
pub const FIND_ROOT: Duration = Duration::from_secs(60);
/// Before a first boot writes: how long no new device may have shown up, so that a twin of the disk is seen.
pub const SETTLE: Duration = Duration::from_secs(3);
/// How often the disks are looked at while waiting.
pub const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long mke2fs may take.
pub const MAKE_DATA: Duration = Duration::from_secs(15 * 60);
/// How long e2fsck may take: large disks after a power cut.
pub const CHECK_DATA: Duration = Duration::from_secs(60 * 60);
/// How long the kernel may take to show the partitions of a table just written.
pub const PARTITIONS: Duration = Duration::from_secs(10);
/// The watchdog resets the machine if neither init nor systemd has fed it for so long.
pub const WATCHDOG_SECONDS: i32 = 60;
/// How long a message stays readable before the machine starts again, if the other slot takes over.
pub const BEFORE_REBOOT: Duration = Duration::from_secs(5);
/// How long a machine that nothing can help stays before it tries again.
pub const STAY: Duration = Duration::from_secs(5 * 60);
/// How much of a program's output is kept, in bytes.
pub const OUTPUT_TAIL: usize = 2000;
