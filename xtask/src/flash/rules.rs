//! Whether a disk may be written. Pure.

use std::path::{Path, PathBuf};

use super::disk::{Disk, Use};

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
    if disk.bytes < need {
        return Err(Refusal::TooSmall { shown, need: need.div_ceil(1_000_000) });
    }
    let system: Vec<String> = disk.uses.iter().filter_map(of_system).collect();
    if !system.is_empty() {
        return Err(Refusal::System { shown, uses: system.join(", ") });
    }
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
    let holders: Vec<&str> = disk
        .uses
        .iter()
        .filter_map(|one| match one {
            Use::Held { by, .. } => Some(by.as_str()),
            _ => None,
        })
        .collect();
    if !holders.is_empty() {
        return Err(Refusal::Held { shown, by: holders.join(", ") });
    }
    mounts.sort_by_key(|at| std::cmp::Reverse(at.components().count()));
    Ok(mounts)
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
        Disk { name: "sdb".to_owned(), bytes: 31_914_983_424, model, read_only: false, made_up: false, uses: Vec::new() }
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
    }
}
