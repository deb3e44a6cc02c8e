//! Whether a disk may be written: as a card or stick for another machine ([`judge`]), or as the disk of this one
//! ([`judge_install`]). Pure.

use std::path::{Path, PathBuf};

use contract::gpt::SECTOR_BYTES;

use crate::host::{Disk, Use};

/// Larger disks are rarely cards or sticks, and often somebody's back-up: they must be named twice.
pub const OVERSIZED_BYTES: u64 = 300_000_000_000;

/// Where the running system lives: what is mounted at or below one of these is not unmounted for anybody.
const SYSTEM: [&str; 6] = ["/", "/boot", "/usr", "/var", "/home", "/nix"];

/// What a disk must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The image's length.
    pub image_bytes: u64,
    /// The least that a node can live on.
    pub node_bytes: u64,
}

/// Why a disk is not written, with the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A card reader without a card.
    #[error("{0} is empty: put the card in and try again")]
    Empty(String),
    /// It can't be written.
    #[error("{0} is write-protected: move the switch at the card's side away from LOCK, or take another")]
    ReadOnly(String),
    /// No hardware.
    #[error("{0} is no disk but made of others: name the disk itself")]
    MadeUp(String),
    /// Its sectors are not those that partition tables of ours are made for.
    #[error("{shown} has sectors of {bytes} bytes: a node needs a disk with sectors of {SECTOR_BYTES}, or one that can be set to them")]
    Sectors {
        /// The disk with model and size.
        shown: String,
        /// Of a sector.
        bytes: u64,
    },
    /// The image or the node does not fit.
    #[error("{shown} is too small: a node needs {need} MB")]
    TooSmall {
        /// The disk with model and size.
        shown: String,
        /// What is needed.
        need: u64,
    },
    /// The running system stands on it.
    #[error(
        "{shown} holds the system that is running ({uses}): it is not written. If it is really meant, start this computer from another disk"
    )]
    System {
        /// The disk with model and size.
        shown: String,
        /// What it is used for.
        uses: String,
    },
    /// Something else uses it, or it is large; naming it twice allows it.
    #[error("{shown}: {reasons}. All that is on it would be lost; if it is the right one, name it twice: {name} {name}")]
    NameTwice {
        /// The disk with model and size.
        shown: String,
        /// Why.
        reasons: String,
        /// Its path.
        name: String,
    },
    /// A file system of it is mounted, which nobody but its user unmounts.
    #[error("{shown} is in use: {uses}. If all that is on it may be lost, unmount it first")]
    InUse {
        /// The disk with model and size.
        shown: String,
        /// What it is used for.
        uses: String,
    },
    /// RAID, LVM or encryption hold it; naming it twice is not enough.
    #[error("{shown} is part of {by} (LVM, RAID or encryption), which must be stopped first: `lsblk` shows it")]
    Held {
        /// The disk with model and size.
        shown: String,
        /// What holds it.
        by: String,
    },
}

/// Decides whether `disk` may be written. `twice`: the person named it twice.
///
/// Returns where its file systems must be unmounted first, the innermost first.
///
/// # Errors
/// Why not. A disk of the running system is refused however often it is named: it could not be unmounted.
pub fn judge(disk: &Disk, needs: Needs, twice: bool) -> Result<Vec<PathBuf>, Refusal> {
    let shown = basics(disk, needs)?;
    let mut mounts: Vec<PathBuf> = disk
        .uses
        .iter()
        .filter_map(|one| match one {
            Use::Mounted { at, .. } => Some(at.clone()),
            _ => None,
        })
        .collect();
    if !twice {
        let mut reasons: Vec<String> = mounts.iter().map(|at| format!("it is mounted at {}", at.display())).collect();
        if disk.bytes > OVERSIZED_BYTES {
            reasons.push(format!("it is larger than {} GB, unlike a card or stick", OVERSIZED_BYTES / 1_000_000_000));
        }
        if !reasons.is_empty() {
            return Err(Refusal::NameTwice { shown, reasons: reasons.join(", "), name: disk.path() });
        }
    }
    unheld(disk, &shown)?;
    mounts.sort_by_key(|at| std::cmp::Reverse(at.components().count()));
    Ok(mounts)
}

/// Decides whether the system that runs may be put onto `disk`. `running`: the kernel's name of the disk that it was started
/// from. `data`: what is on the disk, in words, if there is anything. `erase`: the person said that it may be lost.
///
/// # Errors
/// Why not. Nothing is unmounted for it: a stick's system mounts nothing by itself, so that a mounted disk is somebody's.
pub fn judge_install(disk: &Disk, running: &str, needs: Needs, data: Option<&str>, erase: bool) -> Result<(), Refusal> {
    if disk.name == running {
        return Err(Refusal::System { shown: disk.shown(), uses: "it was started from there".to_owned() });
    }
    let shown = basics(disk, needs)?;
    unheld(disk, &shown)?;
    let uses: Vec<String> = disk
        .uses
        .iter()
        .filter_map(|one| match one {
            Use::Mounted { device, at } => Some(format!("{device} is mounted at {}", at.display())),
            Use::Swap { .. } | Use::Held { .. } => None,
        })
        .collect();
    if !uses.is_empty() {
        return Err(Refusal::InUse { shown, uses: uses.join(", ") });
    }
    match data {
        Some(data) if !erase => Err(Refusal::NameTwice { shown, reasons: data.to_owned(), name: disk.path() }),
        _ => Ok(()),
    }
}

/// What no disk may be, whatever it is written for; gives its words for people.
fn basics(disk: &Disk, needs: Needs) -> Result<String, Refusal> {
    let shown = disk.shown();
    if disk.made_up {
        return Err(Refusal::MadeUp(disk.path()));
    }
    if disk.bytes == 0 {
        return Err(Refusal::Empty(disk.path()));
    }
    if disk.read_only {
        return Err(Refusal::ReadOnly(shown));
    }
    let need = needs.image_bytes.max(needs.node_bytes);
    if disk.sector_bytes != SECTOR_BYTES as u64 {
        return Err(Refusal::Sectors { shown, bytes: disk.sector_bytes });
    }
    if disk.bytes < need {
        return Err(Refusal::TooSmall { shown, need: need.div_ceil(1_000_000) });
    }
    let system: Vec<String> = disk.uses.iter().filter_map(of_system).collect();
    if !system.is_empty() {
        return Err(Refusal::System { shown, uses: system.join(", ") });
    }
    Ok(shown)
}

/// Nothing is made of it.
fn unheld(disk: &Disk, shown: &str) -> Result<(), Refusal> {
    let holders: Vec<&str> = disk
        .uses
        .iter()
        .filter_map(|one| match one {
            Use::Held { by, .. } => Some(by.as_str()),
            _ => None,
        })
        .collect();
    if !holders.is_empty() {
        return Err(Refusal::Held { shown: shown.to_owned(), by: holders.join(", ") });
    }
    Ok(())
}

/// The words for a use by the running system.
fn of_system(one: &Use) -> Option<String> {
    match one {
        Use::Swap { device } => Some(format!("swap on {device}")),
        Use::Mounted { device, at } => is_system(at).then(|| format!("{} on {device}", at.display())),
        Use::Held { .. } => None,
    }
}

/// Whether a mount point belongs to the running system. Below `/home` and `/var` people mount sticks too.
fn is_system(at: &Path) -> bool {
    SYSTEM.iter().any(|path| at == Path::new(path)) || ["/boot", "/usr"].iter().any(|path| at.starts_with(path))
}

impl Disk {
    /// Its path below /dev.
    pub fn path(&self) -> String {
        // The kernel writes a `/` in a name (cciss/c0d0) as `!` in sysfs.
        format!("/dev/{}", self.name.replace('!', "/"))
    }

    /// Path, model and size, for people.
    pub fn shown(&self) -> String {
        format!("{} ({}, {})", self.path(), self.model, size(self.bytes))
    }
}

/// A size as it is printed on a card: decimal units.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "empty".to_owned(),
        1..10_000_000_000 => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{:.0} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { image_bytes: 900_000_000, node_bytes: 4_000_000_000 };

    fn card() -> Disk {
        let model = "SanDisk Ultra".to_owned();
        let (name, sector_bytes) = ("sdb".to_owned(), 512);
        Disk { name, bytes: 31_914_983_424, model, sector_bytes, partitions: 0, read_only: false, made_up: false, uses: Vec::new() }
    }

    fn mounted(at: &str) -> Use {
        Use::Mounted { device: "sdb1".to_owned(), at: at.into() }
    }

    fn refused(disk: &Disk, twice: bool) -> String {
        judge(disk, NEEDS, twice).unwrap_err().to_string()
    }

    #[test]
    fn an_idle_card_is_taken_at_once() {
        assert_eq!(judge(&card(), NEEDS, false), Ok(Vec::new()));
        assert_eq!(card().shown(), "/dev/sdb (SanDisk Ultra, 32 GB)");
    }

    #[test]
    fn a_mounted_disk_must_be_named_twice_and_is_then_unmounted_innermost_first() {
        let disk = Disk { uses: vec![mounted("/media/x"), mounted("/media/x/inner/y")], ..card() };
        let said = refused(&disk, false);
        assert!(said.contains("it is mounted at /media/x") && said.ends_with("name it twice: /dev/sdb /dev/sdb"), "{said}");
        assert_eq!(judge(&disk, NEEDS, true), Ok(vec!["/media/x/inner/y".into(), "/media/x".into()]));
    }

    #[test]
    fn an_oversized_disk_must_be_named_twice() {
        let disk = Disk { bytes: OVERSIZED_BYTES + 1, ..card() };
        assert!(refused(&disk, false).contains("larger than 300 GB"));
        assert!(judge(&disk, NEEDS, true).is_ok());
        assert!(judge(&Disk { bytes: OVERSIZED_BYTES, ..card() }, NEEDS, false).is_ok());
    }

    #[test]
    fn the_system_s_disk_is_refused_however_often_it_is_named() {
        for one in [
            mounted("/"),
            mounted("/boot/efi"),
            mounted("/home"),
            Use::Mounted { device: "dm-0".to_owned(), at: "/".into() },
            Use::Swap { device: "sdb2".to_owned() },
        ] {
            let disk = Disk { uses: vec![one.clone()], ..card() };
            for twice in [false, true] {
                assert!(refused(&disk, twice).contains("holds the system that is running"), "{one:?}");
            }
        }
        let held = Disk { uses: vec![Use::Held { device: "sdb1".to_owned(), by: "md0".to_owned() }], ..card() };
        assert!(refused(&held, true).contains("part of md0"));
        assert!(judge(&Disk { uses: vec![mounted("/var/mnt/stick")], ..card() }, NEEDS, true).is_ok());
    }

    #[test]
    fn what_can_not_be_written_says_why() {
        assert!(refused(&Disk { bytes: 0, ..card() }, true).contains("put the card in"));
        assert!(refused(&Disk { read_only: true, ..card() }, true).contains("LOCK"));
        assert!(refused(&Disk { made_up: true, ..card() }, true).contains("name the disk itself"));
        assert!(refused(&Disk { bytes: 3_999_999_999, ..card() }, true).contains("a node needs 4000 MB"));
        assert!(refused(&Disk { sector_bytes: 4096, ..card() }, true).contains("sectors of 4096 bytes"));
    }

    fn install(disk: &Disk, data: Option<&str>, erase: bool) -> Result<(), Refusal> {
        judge_install(disk, "sda", NEEDS, data, erase)
    }

    #[test]
    fn the_system_is_put_onto_an_empty_disk_and_onto_no_other_unless_it_is_meant() {
        assert_eq!(install(&card(), None, false), Ok(()));
        assert_eq!(install(&Disk { bytes: OVERSIZED_BYTES * 10, ..card() }, None, false), Ok(()), "a PC's disk may be large");
        let said = install(&card(), Some("it has 2 partitions"), false).unwrap_err().to_string();
        assert!(said.contains("it has 2 partitions") && said.ends_with("name it twice: /dev/sdb /dev/sdb"), "{said}");
        assert_eq!(install(&card(), Some("it has 2 partitions"), true), Ok(()));
    }

    #[test]
    fn a_disk_that_is_used_is_refused_whatever_was_said() {
        let running = Disk { name: "sda".to_owned(), ..card() };
        let swapped = Use::Swap { device: "sdb2".to_owned() };
        let held = Use::Held { device: "sdb1".to_owned(), by: "md0".to_owned() };
        for (disk, words) in [
            (running, "it was started from there"),
            (Disk { uses: vec![mounted("/")], ..card() }, "holds the system that is running (/ on sdb1)"),
            (Disk { uses: vec![swapped], ..card() }, "swap on sdb2"),
            (Disk { uses: vec![mounted("/mnt")], ..card() }, "sdb1 is mounted at /mnt"),
            (Disk { uses: vec![held], ..card() }, "part of md0"),
            (Disk { bytes: 3_999_999_999, ..card() }, "a node needs 4000 MB"),
            (Disk { sector_bytes: 4096, ..card() }, "sectors of 4096 bytes"),
            (Disk { read_only: true, ..card() }, "write-protected"),
            (Disk { made_up: true, ..card() }, "name the disk itself"),
        ] {
            for erase in [false, true] {
                let said = install(&disk, None, erase).unwrap_err().to_string();
                assert!(said.contains(words), "{said}");
            }
        }
    }
}
