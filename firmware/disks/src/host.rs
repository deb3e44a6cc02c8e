//! A disk as sysfs, mountinfo and swaps show it. Reading only; a test gives a made-up sysfs.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes of the unit in which sysfs counts a disk's size, whatever its own sectors have.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// Where the kernel tells of disks.
pub struct Host {
    /// `/sys`.
    pub sys: PathBuf,
    /// The text of `/proc/self/mountinfo`.
    pub mountinfo: String,
    /// The text of `/proc/swaps`.
    pub swaps: String,
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name: `sdb`, `mmcblk0`.
    pub name: String,
    /// Its size; 0 for a card reader without a card.
    pub bytes: u64,
    /// Maker and model, as far as it says.
    pub model: String,
    /// Bytes of its smallest unit.
    pub sector_bytes: u64,
    /// How many partitions the kernel shows on it.
    pub partitions: usize,
    /// Whether it can't be written (a lock switch, a read-only loop device).
    pub read_only: bool,
    /// Whether there is no hardware behind it (device mapper, RAID, RAM); a loop device counts as hardware.
    pub made_up: bool,
    /// What is in use of it.
    pub uses: Vec<Use>,
}

/// One use of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// A file system is mounted.
    Mounted {
        /// Disk, partition, or what stands on them: `sdb1`, `dm-0`.
        device: String,
        /// Where.
        at: PathBuf,
    },
    /// The kernel swaps to it.
    Swap {
        /// Which.
        device: String,
    },
    /// Another device is made of it (LVM, RAID, encryption).
    Held {
        /// Which.
        device: String,
        /// By which.
        by: String,
    },
}

/// What a path turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole disk.
    Disk(Disk),
    /// A part of one.
    Partition {
        /// Its own name.
        name: String,
        /// The disk's.
        disk: String,
    },
    /// No block device.
    File,
    /// Nothing.
    Nothing,
}

impl Host {
    /// This machine.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn here() -> io::Result<Self> {
        Ok(Self {
            sys: PathBuf::from("/sys"),
            mountinfo: std::fs::read_to_string("/proc/self/mountinfo")?,
            // A kernel without swap has no such file.
            swaps: std::fs::read_to_string("/proc/swaps").unwrap_or_default(),
        })
    }

    /// What lies at `path`.
    ///
    /// # Errors
    /// When it can't be looked at.
    pub fn look(&self, path: &Path) -> io::Result<Found> {
        let meta = match path.metadata() {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        if !meta.file_type().is_block_device() {
            return Ok(Found::File);
        }
        self.by_number(nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev()))
    }

    /// The block device of that number.
    ///
    /// # Errors
    /// When sysfs has none.
    pub fn by_number(&self, major: u64, minor: u64) -> io::Result<Found> {
        let folder = self.sys.join(format!("dev/block/{major}:{minor}")).canonicalize()?;
        if folder.join("partition").exists() {
            let disk = folder.parent().map(name_of).unwrap_or_default();
            return Ok(Found::Partition { name: name_of(&folder), disk });
        }
        Ok(Found::Disk(self.disk(&folder)))
    }

    /// Every disk that a person may mean: with hardware behind it and a medium in it.
    ///
    /// # Errors
    /// When sysfs can't be read.
    pub fn disks(&self) -> io::Result<Vec<Disk>> {
        let mut disks = Vec::new();
        for entry in std::fs::read_dir(self.sys.join("block"))? {
            let entry = entry?;
            // Of a dozen loop devices, which every Linux has, no more is read than their names: who looks often looks cheaply.
            if entry.file_name().as_encoded_bytes().starts_with(b"loop") {
                continue;
            }
            let folder = entry.path().canonicalize()?;
            if folder.join("device").exists() && bytes(&folder) > 0 {
                disks.push(self.disk(&folder));
            }
        }
        disks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(disks)
    }

    fn disk(&self, folder: &Path) -> Disk {
        let name = name_of(folder);
        let word = |file: &str| text(&folder.join(file));
        let maker = [word("device/vendor"), word("device/model"), word("device/name")];
        // A loop device is what its file is.
        let backing = word("loop/backing_file");
        let model: Vec<&str> =
            maker.iter().map(String::as_str).chain([backing.as_str()]).filter(|word| !word.is_empty() && *word != "ATA").collect();
        Disk {
            bytes: bytes(folder),
            model: if model.is_empty() { "unnamed".to_owned() } else { model.join(" ") },
            // A kernel that does not tell is none that has others.
            sector_bytes: word("queue/logical_block_size").parse().unwrap_or(SYSFS_SECTOR_BYTES),
            partitions: partitions(folder).len(),
            read_only: word("ro") == "1",
            made_up: !folder.join("device").exists() && !name.starts_with("loop"),
            uses: self.uses(folder),
            name,
        }
    }

    /// All uses of a disk, of its partitions, and of whatever is made of these.
    fn uses(&self, folder: &Path) -> Vec<Use> {
        let mut uses = Vec::new();
        let mut seen = Vec::new();
        let mut stack = vec![folder.to_owned()];
        while let Some(folder) = stack.pop() {
            let device = name_of(&folder);
            if seen.contains(&device) {
                continue;
            }
            self.own_uses(&folder, &device, &mut uses);
            stack.extend(partitions(&folder));
            for holder in entries(&folder.join("holders")) {
                uses.push(Use::Held { device: device.clone(), by: name_of(&holder) });
                if let Ok(holder) = holder.canonicalize() {
                    stack.push(holder);
                }
            }
            seen.push(device);
        }
        uses
    }

    fn own_uses(&self, folder: &Path, device: &str, uses: &mut Vec<Use>) {
        let number = text(&folder.join("dev"));
        for mount in self.mountinfo.lines().filter_map(Mount::parse) {
            // btrfs gives a number of its own; its source names the device.
            if mount.number == number || name_of(Path::new(&mount.source)) == device {
                uses.push(Use::Mounted { device: device.to_owned(), at: mount.at });
            }
        }
        let swaps = self.swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        if swaps.map(unescape).any(|file| name_of(&file) == device) {
            uses.push(Use::Swap { device: device.to_owned() });
        }
    }
}

/// The size of a disk; none where no medium is in it.
fn bytes(folder: &Path) -> u64 {
    text(&folder.join("size")).parse::<u64>().unwrap_or(0).saturating_mul(SYSFS_SECTOR_BYTES)
}

/// A line of mountinfo (proc_pid_mountinfo(5)).
struct Mount {
    number: String,
    at: PathBuf,
    source: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ');
        let number = fields.nth(2)?.to_owned();
        let at = unescape(fields.nth(1)?);
        let source = after.split(' ').nth(1)?.to_owned();
        Some(Self { number, at, source: unescape(&source).to_string_lossy().into_owned() })
    }
}

/// Spaces, tabs, line ends and backslashes stand as `\040` and so on.
fn unescape(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// The folders of a disk's partitions, which the kernel calls after the disk.
pub fn partitions(folder: &Path) -> Vec<PathBuf> {
    let disk = name_of(folder);
    entries(folder).into_iter().filter(|entry| name_of(entry).starts_with(&disk) && entry.join("partition").exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A sysfs with a USB stick `sdb` of two partitions, the second of which is encrypted, and a virtual disk.
    fn host(mountinfo: &str, swaps: &str) -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        let sys = dir.path();
        let sdb = sys.join("devices/usb1/block/sdb");
        for (file, text) in [
            ("size", "62333952\n"),
            ("ro", "0\n"),
            ("dev", "8:16\n"),
            ("device/vendor", "SanDisk \n"),
            ("device/model", "Ultra Fit       \n"),
            ("sdb1/partition", "1\n"),
            ("sdb1/dev", "8:17\n"),
            ("sdb2/partition", "2\n"),
            ("sdb2/dev", "8:18\n"),
        ] {
            write(&sdb.join(file), text);
        }
        let dm = sys.join("devices/virtual/block/dm-0");
        write(&dm.join("size"), "1000\n");
        write(&dm.join("dev"), "254:0\n");
        for (link, to) in [("dev/block/8:16", &sdb), ("dev/block/8:17", &sdb.join("sdb1")), ("block/sdb", &sdb), ("block/dm-0", &dm)] {
            std::fs::create_dir_all(sys.join(link).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, sys.join(link)).unwrap();
        }
        std::fs::create_dir_all(sdb.join("sdb2/holders")).unwrap();
        std::os::unix::fs::symlink(&dm, sdb.join("sdb2/holders/dm-0")).unwrap();
        let host = Host { sys: sys.to_owned(), mountinfo: mountinfo.to_owned(), swaps: swaps.to_owned() };
        (dir, host)
    }

    fn stick(host: &Host) -> Disk {
        match host.by_number(8, 16).unwrap() {
            Found::Disk(disk) => disk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_disk_is_seen_with_model_size_and_uses() {
        let mountinfo = "36 35 8:17 / /media/my\\040stick rw,noatime shared:1 - vfat /dev/sdb1 rw\n\
                         37 35 254:0 / / rw - ext4 /dev/mapper/root rw\n\
                         38 35 0:50 / /proc rw - proc proc rw\n";
        let (_dir, host) = host(mountinfo, "Filename Type Size Used Priority\n");
        let disk = stick(&host);
        assert_eq!((disk.name.as_str(), disk.model.as_str(), disk.bytes), ("sdb", "SanDisk Ultra Fit", 31_914_983_424));
        assert!(!disk.read_only && !disk.made_up);
        assert_eq!((disk.partitions, disk.sector_bytes), (2, 512));
        assert!(disk.uses.contains(&Use::Mounted { device: "sdb1".to_owned(), at: "/media/my stick".into() }));
        assert!(disk.uses.contains(&Use::Held { device: "sdb2".to_owned(), by: "dm-0".to_owned() }));
        assert!(disk.uses.contains(&Use::Mounted { device: "dm-0".to_owned(), at: "/".into() }), "{disk:?}");
    }

    #[test]
    fn btrfs_and_swap_are_told_by_the_device_s_name() {
        let (_dir, host) =
            host("40 1 0:33 /@home /home rw - btrfs /dev/sdb1 rw\n", "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2\n");
        let uses = stick(&host).uses;
        assert!(uses.contains(&Use::Mounted { device: "sdb1".to_owned(), at: "/home".into() }));
        assert!(uses.contains(&Use::Swap { device: "sdb2".to_owned() }));
    }

    #[test]
    fn partitions_and_what_is_no_device_are_told_apart() {
        let (dir, host) = host("", "");
        assert_eq!(host.by_number(8, 17).unwrap(), Found::Partition { name: "sdb1".to_owned(), disk: "sdb".to_owned() });
        assert_eq!(host.look(&dir.path().join("absent")).unwrap(), Found::Nothing);
        assert_eq!(host.look(dir.path()).unwrap(), Found::File);
        let disks = host.disks().unwrap();
        assert_eq!(disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["sdb"], "nothing made up is offered");
    }

    proptest! {
        #[test]
        fn any_mountinfo_is_survived(line in "\\PC{0,80}") {
            let _ = Mount::parse(&line);
            let _ = unescape(&line);
        }
    }
}
