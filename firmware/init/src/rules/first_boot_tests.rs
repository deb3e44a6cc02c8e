//! A disk whose writes are cut at any sector, planned again until the first boot is done.

use super::*;
use contract::gpt::{SECTOR_BYTES, TABLE_BYTES, TABLE_SECTORS, decode_backup, decode_primary};
use contract::partitions::{ROOT_BYTES, shipped};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// Whatever lay there.
    Old,
    /// A cut mke2fs.
    Half,
    /// Whole and empty.
    Made,
    /// With people's files.
    Used,
}

/// The parts of a disk that the plan is about.
#[derive(Clone, Debug)]
struct Disk {
    primary: Vec<u8>,
    backup: Vec<u8>,
    sectors: u64,
    data: Data,
    next_guid: u128,
}

impl Disk {
    /// Flashed over whatever was there: the end of the disk keeps its old bytes.
    fn flashed(root_bytes: u64, sectors: u64, old_end: &[u8]) -> Self {
        let (table, image_sectors) = shipped(Layout::Uefi, root_bytes).unwrap();
        let primary = table.encode(image_sectors).unwrap().primary;
        Self { primary, backup: old_end.to_vec(), sectors, data: Data::Old, next_guid: 0 }
    }

    fn seen(&self) -> Seen {
        let primary = decode_primary(&self.primary);
        Seen { primary, backup: decode_backup(&self.backup, self.sectors), sectors: self.sectors }
    }

    fn plan(&mut self) -> Vec<Step> {
        let seen = self.seen();
        let random = || {
            self.next_guid += 1;
            Guid(self.next_guid)
        };
        plan(&seen, random).unwrap()
    }

    /// Does a step; of its sectors only those in `mask` reach the disk if it is cut.
    fn run(&mut self, step: &Step, mask: Option<u64>) {
        match step {
            Step::WriteBackup(table) => {
                let bytes = table.encode(self.sectors).unwrap().backup;
                put(&mut self.backup, &bytes, mask);
            }
            Step::WritePrimary(table) => {
                let bytes = table.encode(self.sectors).unwrap().primary;
                put(&mut self.primary, &bytes, mask);
            }
            Step::MakeData => {
                assert_ne!(self.data, Data::Used, "people's data was made anew");
                assert!(self.seen().table().unwrap().by_name(UNFINISHED).is_some());
                self.data = if mask.is_some() { Data::Half } else { Data::Made };
            }
        }
    }
}

fn put(to: &mut [u8], bytes: &[u8], mask: Option<u64>) {
    let sectors = to.chunks_exact_mut(SECTOR_BYTES).zip(bytes.chunks_exact(SECTOR_BYTES));
    for (n, (to, from)) in sectors.enumerate() {
        if mask.is_none_or(|mask| mask >> n & 1 == 1) {
            to.copy_from_slice(from);
        }
    }
}

const SECTORS_8_GB: u64 = 8_000_000_000 / 512;

/// What the end of a disk may hold from earlier: nothing, noise, or a node that was there before.
fn old_end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![0; TABLE_BYTES]),
        proptest::collection::vec(any::<u8>(), TABLE_BYTES),
        (1..ROOT_BYTES).prop_map(|root_bytes| {
            let (table, _) = shipped(Layout::Uefi, root_bytes).unwrap();
            let mut next = 1 << 90;
            let random = || {
                next += 1;
                Guid(next)
            };
            let old = completed(Layout::Uefi, &table, SECTORS_8_GB, random).unwrap();
            old.encode(SECTORS_8_GB).unwrap().backup
        }),
    ]
}

fn masks() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(!1), Just(u64::MAX), any::<u64>(), (0u32..33).prop_map(|n| (1 << n) - 1)]
}

proptest! {
    #[test]
    fn cut_anywhere_it_ends_the_same(
        root_bytes in 1..ROOT_BYTES,
        old_end in old_end(),
        cuts in proptest::collection::vec((0usize..6, masks()), 0..8),
        later in proptest::option::of((any::<bool>(), masks())),
    ) {
        let mut disk = Disk::flashed(root_bytes, SECTORS_8_GB, &old_end);
        for (whole_steps, mask) in cuts {
            let steps = disk.plan();
            if whole_steps >= steps.len() {
                break;
            }
            for step in &steps[..whole_steps] {
                disk.run(step, None);
            }
            disk.run(&steps[whole_steps], Some(mask));
        }
        for step in disk.plan() {
            disk.run(&step, None);
        }
        prop_assert_eq!(disk.plan(), vec![]);
        if disk.data != Data::Made {
            // Only a renamed partition lets a plan go without MakeData, and it was renamed after it.
            prop_assert!(false, "{:?}", disk.data);
        }
        let table = decode_primary(&disk.primary).unwrap();
        prop_assert_eq!(decode_backup(&disk.backup, disk.sectors), Ok(table.clone()));
        prop_assert_eq!(table.partitions.values().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["config", "esp", "root-a", "root-b", "data"]);
        prop_assert!(table.partitions.values().all(|p| p.guid.0 < 1 << 80));
        // The borders are those of an undisturbed first boot.
        let (image, _) = shipped(Layout::Uefi, root_bytes).unwrap();
        let mut n = 0;
        let plain = completed(Layout::Uefi, &image, disk.sectors, || { n += 1; Guid(n) }).unwrap();
        for (number, partition) in &plain.partitions {
            prop_assert_eq!(table.partitions[number].first, partition.first);
            prop_assert_eq!(table.partitions[number].last, partition.last);
        }
        // From here on people's files are there: no damage to one copy of the table makes them go.
        disk.data = Data::Used;
        if let Some((primary, mask)) = later {
            let noise = vec![0xa5; TABLE_BYTES];
            put(if primary { &mut disk.primary } else { &mut disk.backup }, &noise, Some(mask));
            for step in disk.plan() {
                disk.run(&step, None);
            }
            prop_assert_eq!(decode_primary(&disk.primary), Ok(table.clone()));
            prop_assert_eq!(decode_backup(&disk.backup, disk.sectors), Ok(table.clone()));
        }
    }
}

#[test]
fn a_fresh_disk_is_made_ready_in_five_steps() {
    let mut disk = Disk::flashed(500 << 20, SECTORS_8_GB, &[0; TABLE_BYTES]);
    let names = |table: &Table| table.partitions.values().map(|p| p.name.clone()).collect::<Vec<_>>().join(" ");
    let said: Vec<_> = disk
        .plan()
        .iter()
        .map(|step| match step {
            Step::WriteBackup(table) => format!("backup {}", names(table)),
            Step::WritePrimary(table) => format!("primary {}", names(table)),
            Step::MakeData => "data".to_owned(),
        })
        .collect();
    assert_eq!(
        said,
        [
            "backup config esp root-a root-b data-new",
            "primary config esp root-a root-b data-new",
            "data",
            "backup config esp root-a root-b data",
            "primary config esp root-a root-b data",
        ]
    );
    assert_eq!(TABLE_SECTORS, 33);
}

proptest! {
    /// A factory reset that is cut anywhere leaves all that was kept, or nothing of it under data's final name.
    #[test]
    fn a_reset_is_done_or_not(cuts in proptest::collection::vec((0usize..6, masks()), 0..6)) {
        let mut disk = Disk::flashed(500 << 20, SECTORS_8_GB, &[0; TABLE_BYTES]);
        for step in disk.plan() {
            disk.run(&step, None);
        }
        let before = disk.seen().table().unwrap().clone();
        disk.data = Data::Used;
        let mut steps = reset(&before);
        prop_assert_eq!(steps.iter().filter(|step| **step == Step::MakeData).count(), 1);
        for (whole_steps, mask) in cuts {
            if whole_steps >= steps.len() {
                break;
            }
            for step in steps.clone().iter().take(whole_steps + 1).enumerate().map(|(n, step)| (step, (n == whole_steps).then_some(mask))) {
                // What is made anew is called unfinished on the disk: people's data was asked to go.
                if *step.0 == Step::MakeData && disk.data == Data::Used {
                    disk.data = Data::Old;
                }
                disk.run(step.0, step.1);
            }
            // The request is gone, so the next start goes on with what lies on the disk.
            steps = disk.plan();
        }
        for step in steps {
            if step == Step::MakeData && disk.data == Data::Used {
                disk.data = Data::Old;
            }
            disk.run(&step, None);
        }
        prop_assert_eq!(disk.plan(), vec![]);
        prop_assert!(matches!(disk.data, Data::Used | Data::Made), "{:?}", disk.data);
        prop_assert_eq!(decode_primary(&disk.primary), Ok(before.clone()));
        prop_assert_eq!(decode_backup(&disk.backup, disk.sectors), Ok(before));
    }
}

#[test]
fn nothing_is_reset_before_the_first_boot_is_done() {
    let disk = Disk::flashed(1, SECTORS_8_GB, &[0; TABLE_BYTES]);
    assert_eq!(reset(&decode_primary(&disk.primary).unwrap()), vec![]);
}

#[test]
fn a_persons_own_partition_is_not_dropped() {
    let mut disk = Disk::flashed(1, SECTORS_8_GB, &[0; TABLE_BYTES]);
    let mut table = decode_primary(&disk.primary).unwrap();
    let mut mine = table.partitions[&3].clone();
    (mine.first, mine.last, mine.name) = (8_000_000, 9_000_000, "photos".to_owned());
    table.partitions.insert(4, mine);
    disk.primary = table.encode(disk.sectors).unwrap().primary;
    let error = plan(&disk.seen(), || Guid(1)).unwrap_err();
    assert_eq!(error, PlanError::Foreign("photos".to_owned()));
}

#[test]
fn a_data_partition_under_its_final_name_is_never_made() {
    // Someone put the shipped GUID back, or made `data` by hand.
    let (image, _) = shipped(Layout::Uefi, 1).unwrap();
    let mut n = 0;
    let mut table = completed(Layout::Uefi, &image, SECTORS_8_GB, || {
        n += 1;
        Guid(n)
    })
    .unwrap();
    table.disk = SHIPPED_DISK;
    let seen = Seen { primary: Ok(table), backup: Err(GptError::NoSignature), sectors: SECTORS_8_GB };
    let steps = plan(&seen, || {
        n += 1;
        Guid(n)
    })
    .unwrap();
    assert_eq!(steps.len(), 2);
    assert!(!steps.contains(&Step::MakeData));
}

#[test]
fn a_copy_on_a_larger_disk_gets_its_backup_at_the_end() {
    let mut disk = Disk::flashed(1, SECTORS_8_GB, &[0; TABLE_BYTES]);
    for step in disk.plan() {
        disk.run(&step, None);
    }
    disk.sectors *= 2;
    disk.backup.fill(0);
    assert!(matches!(disk.plan()[..], [Step::WriteBackup(_)]));
}
