//! Where things lie on a node, in its initramfs and on its FAT partitions. Paths of the node are absolute.

/// initramfs: the build id, 32 hexadecimal digits; must agree with the command line's.
pub const INITRAMFS_BUILD: &str = "/build";
/// initramfs: the build's epoch in seconds since 1970, decimal; no node's clock starts before it.
pub const INITRAMFS_EPOCH: &str = "/epoch";
/// initramfs: which module drives what. Lines `alias PATTERN NAME`, `dep NAME NAME…` (first the module, then all it
/// needs, in load order), `load NAME` (always loaded, in this order).
pub const INITRAMFS_INDEX: &str = "/modules/index";
/// initramfs: the modules, uncompressed, `NAME.ko` with underscores.
pub const INITRAMFS_MODULES: &str = "/modules";

/// The node's data is a file system with these folders, bound to the paths of the same names.
pub const DATA_FOLDERS: [&str; 3] = ["var", "home", "root"];
/// What init keeps on data, written by root alone.
pub const BOOT_STATE: &str = "/var/lib/cloudy-boot";
/// In [`BOOT_STATE`]: the node's machine-id, made at first boot.
pub const MACHINE_ID: &str = "machine-id";
/// In [`BOOT_STATE`]: the build whose /var, /home and /root were last laid over data.
pub const SEEDED: &str = "seeded";
/// A file whose modification time is the last saved time (systemd-timesyncd keeps it while it runs).
pub const SAVED_CLOCK: &str = "/var/lib/systemd/timesync/clock";

/// What init saw and did, as [`crate::report::Report`] in JSON.
pub const BOOT_REPORT: &str = "/run/cloudy/boot.json";
/// Folder of symbolic links `config`, `esp`, `root`, `data`, … to the partitions of the disk that was booted from.
/// Mount units name these: labels are not unique once a second disk of ours is plugged in.
pub const DEVICE_LINKS: &str = "/run/cloudy-boot/dev";
/// Where the volatile half of /etc lies.
pub const ETC_OVERLAY: &str = "/run/cloudy-boot/etc";
/// Drop-in by which systemd takes the watchdog over.
pub const WATCHDOG_DROP_IN: &str = "/run/systemd/system.conf.d/50-cloudy-watchdog.conf";

/// On the config partition: a file of this name asks init to repair data even where that may lose files, once.
pub const REPAIR_REQUEST: &str = "repair-data";
/// On the config partition: a file of this name asks init to make data anew, once: the node forgets all that it kept.
pub const RESET_REQUEST: &str = "factory-reset";
/// On the ESP (on a Pi: the config partition): why a slot's init gave up, as [`crate::report::Failure`] in JSON.
pub const FAILURE_RECORD: &str = "cloudy-failure.json";
