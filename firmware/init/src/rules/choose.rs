//! Which disk and which slot: the disk that the boot loader was started from, and on it the root of this build.
//!
//! Two disks flashed from one image hold the same build and, before their first boots, the same GUIDs. Whatever
//! can't be told apart is refused: init never writes to a disk that is merely likely.

use contract::boot::{BuildId, Slot};
use contract::gpt::Table;
use contract::guid::Guid;
use contract::partitions::{Role, SHIPPED_DISK};

use contract::erofs::Superblock;

/// A disk with a partition table that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name, as `sda`.
    pub name: String,
    /// What lies on it.
    pub table: Table,
    /// Its roots, if they hold an erofs.
    pub roots: Vec<(Slot, Superblock)>,
}

/// Where to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// There.
    Found {
        /// Which disk.
        disk: &'a Disk,
        /// Which of its slots.
        slot: Slot,
        /// Whether another disk that is still to show up could look the same: then wait for it a while.
        settle: bool,
    },
    /// Not there yet.
    NotYet,
    /// The boot loader's disk is there, but without the root of this build: no other disk will have it.
    NoRoot,
    /// More than one, and nothing tells which: all of them.
    Ambiguous {
        /// The first two.
        disks: [&'a Disk; 2],
    },
}

/// The role of a root's slot.
pub const fn root_role(slot: Slot) -> Role {
    match slot {
        Slot::A => Role::RootA,
        Slot::B => Role::RootB,
    }
}

impl Disk {
    /// Whether its first boot is still to be done.
    pub fn is_shipped(&self) -> bool {
        self.table.disk == SHIPPED_DISK
    }

    /// The slot with that build; of two, the one that the boot loader started.
    fn slot_of(&self, build: BuildId, started: Option<Slot>) -> Option<Slot> {
        let holding = || self.roots.iter().filter(|(_, root)| root.build == build).map(|(slot, _)| *slot);
        holding().find(|slot| Some(*slot) == started).or_else(|| holding().next())
    }

    /// Whether a partition of that GUID lies on it.
    pub fn holds(&self, partition: Guid) -> bool {
        self.table.partitions.values().any(|held| held.guid == partition)
    }
}

/// Chooses among the disks that are there. `from` is the GUID of the boot loader's partition, and `started` the slot, if it
/// said so.
pub fn choose(from: Option<Guid>, build: BuildId, started: Option<Slot>, disks: &[Disk]) -> Choice<'_> {
    let named = || disks.iter().filter(|disk| from.is_none_or(|guid| disk.holds(guid)));
    let mut fitting = named().filter_map(|disk| disk.slot_of(build, started).map(|slot| (disk, slot)));
    match (fitting.next(), fitting.next()) {
        (None, _) if from.is_some() && named().next().is_some() => Choice::NoRoot,
        (None, _) => Choice::NotYet,
        (Some((disk, slot)), None) => Choice::Found { disk, slot, settle: from.is_none() || disk.is_shipped() },
        (Some((one, _)), Some((other, _))) => Choice::Ambiguous { disks: [one, other] },
    }
}

/// What to say when waiting for the disk ended in nothing.
pub fn explain(from: Option<Guid>, build: BuildId, disks: &[Disk]) -> String {
    if disks.is_empty() {
        return "no disk with a partition table of ours showed up: if there is one in this machine, its driver may be missing from \
                the initramfs; see the board's `initramfs.modules`"
            .to_owned();
    }
    let mut said: Vec<String> = Vec::new();
    for disk in disks {
        let named = match from {
            Some(guid) if disk.holds(guid) => "the boot loader was started from it",
            Some(_) => "the boot loader was not started from it",
            None => "the boot loader did not say where it was started from",
        };
        let mut roots: Vec<_> = disk.roots.iter().map(|(slot, root)| format!("root-{slot} holds {}", root.build)).collect();
        if roots.is_empty() {
            roots.push("no root on it is readable".to_owned());
        }
        said.push(format!("{}: {named}, {}", disk.name, roots.join(", ")));
    }
    let mend = match from {
        Some(guid) if !disks.iter().any(|disk| disk.holds(guid)) => {
            format!("; none has the boot loader's partition {guid}: plug it in again, or flash the image again")
        }
        _ => "; if no other slot takes over, flash the image again".to_owned(),
    };
    format!("no disk holds the root of build {build}: {}{mend}", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::partitions::{Layout, completed, shipped};
    use proptest::prelude::*;

    fn build(n: u8) -> BuildId {
        BuildId([n; 16])
    }

    fn disk(name: &str, guid_base: Option<u128>, a: u8, b: Option<u8>) -> Disk {
        let (mut table, _) = shipped(Layout::Uefi, 1 << 20).unwrap();
        if let Some(mut next) = guid_base {
            let random = || {
                next += 1;
                Guid(next)
            };
            table = completed(Layout::Uefi, &table, 1 << 24, random).unwrap();
        }
        let root = |n| Superblock { build: build(n), bytes: 1 << 20 };
        let roots = [(Slot::A, root(a))].into_iter().chain(b.map(|b| (Slot::B, root(b)))).collect();
        Disk { name: name.to_owned(), table, roots }
    }

    fn esp(disk: &Disk) -> Guid {
        disk.table.by_name("esp").unwrap().1.guid
    }

    #[test]
    fn the_boot_loaders_disk_counts() {
        let disks = [disk("sda", Some(100), 1, Some(2)), disk("sdb", Some(200), 1, Some(2))];
        let choice = choose(Some(esp(&disks[1])), build(2), None, &disks);
        assert_eq!(choice, Choice::Found { disk: &disks[1], slot: Slot::B, settle: false });
    }

    #[test]
    fn of_two_slots_with_one_build_the_started_one_counts() {
        let disks = [disk("mmcblk0", Some(100), 1, Some(1))];
        for (started, expected) in [(None, Slot::A), (Some(Slot::A), Slot::A), (Some(Slot::B), Slot::B)] {
            let choice = choose(Some(esp(&disks[0])), build(1), started, &disks);
            assert_eq!(choice, Choice::Found { disk: &disks[0], slot: expected, settle: false });
        }
        let disks = [disk("mmcblk0", Some(100), 1, Some(2))];
        let choice = choose(Some(esp(&disks[0])), build(1), Some(Slot::B), &disks);
        assert_eq!(choice, Choice::Found { disk: &disks[0], slot: Slot::A, settle: false });
    }

    #[test]
    fn a_fresh_disk_beside_a_used_one_is_told_by_the_boot_loader() {
        let disks = [disk("sda", Some(100), 1, None), disk("sdb", None, 1, None)];
        let choice = choose(Some(esp(&disks[1])), build(1), None, &disks);
        assert_eq!(choice, Choice::Found { disk: &disks[1], slot: Slot::A, settle: true });
        let choice = choose(Some(esp(&disks[0])), build(1), None, &disks);
        assert_eq!(choice, Choice::Found { disk: &disks[0], slot: Slot::A, settle: false });
    }

    #[test]
    fn what_looks_alike_is_refused() {
        let disks = [disk("sda", None, 1, None), disk("sdb", None, 1, None)];
        assert!(matches!(choose(Some(esp(&disks[0])), build(1), None, &disks), Choice::Ambiguous { .. }));
        assert!(matches!(choose(None, build(1), None, &disks), Choice::Ambiguous { .. }));
        let copies = [disk("sda", Some(100), 1, None), disk("sdb", Some(100), 1, None)];
        assert!(matches!(choose(Some(esp(&copies[0])), build(1), None, &copies), Choice::Ambiguous { .. }));
    }

    #[test]
    fn without_a_word_of_the_boot_loader_the_only_disk_of_the_build_is_taken() {
        let disks = [disk("sda", Some(100), 1, None), disk("sdb", Some(200), 2, None)];
        assert_eq!(choose(None, build(2), None, &disks), Choice::Found { disk: &disks[1], slot: Slot::A, settle: true });
        assert_eq!(choose(None, build(3), None, &disks), Choice::NotYet);
        assert_eq!(choose(Some(esp(&disks[0])), build(2), None, &disks), Choice::NoRoot);
        assert_eq!(choose(Some(Guid(7)), build(2), None, &disks), Choice::NotYet);
        assert!(explain(None, build(3), &disks).contains("sdb: the boot loader did not say"));
    }

    proptest! {
        /// A disk that the boot loader did not name is never chosen, nor one without the build.
        #[test]
        fn never_another_disk(
            made in proptest::collection::vec((proptest::option::of(0u128..3), 1u8..3), 0..4),
            from in 0u128..3,
            wanted in 1u8..3,
        ) {
            let disks: Vec<_> = made.iter().map(|(base, a)| disk("x", base.map(|b| 100 * (b + 1)), *a, None)).collect();
            // completed() draws config, then esp.
            let from = Guid(100 * (from + 1) + 2);
            if let Choice::Found { disk, slot, .. } = choose(Some(from), build(wanted), None, &disks) {
                prop_assert!(disk.holds(from));
                prop_assert_eq!(disk.slot_of(build(wanted), None), Some(slot));
                let alike = disks.iter().filter(|d| d.holds(from) && d.slot_of(build(wanted), None).is_some()).count();
                prop_assert_eq!(alike, 1);
            }
        }
    }
}
