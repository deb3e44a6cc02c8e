//! Reading and writing tables, whole and damaged.

use super::*;
use proptest::prelude::*;

const DISK_SECTORS: u64 = 1 << 16;

fn table() -> impl Strategy<Value = Table> {
    let partition = (any::<u128>(), any::<u128>(), any::<u64>(), "[a-zé漢-]{0,12}");
    // Cuts of the usable range; between two neighbours lies a partition or a gap.
    let cuts = proptest::collection::btree_set(FIRST_USABLE_LBA..DISK_SECTORS - 34, 2..12);
    (any::<u128>(), cuts, proptest::collection::vec((1..=128u8, partition), 12)).prop_map(|(disk, cuts, parts)| {
        let cuts: Vec<u64> = cuts.into_iter().collect();
        let partitions = cuts
            .windows(2)
            .zip(parts)
            .filter(|(_, (number, _))| number % 4 != 0)
            .map(|(range, (number, (kind, guid, attributes, name)))| {
                let (kind, guid) = (Guid(kind | 1), Guid(guid | 1));
                (number, Partition { kind, guid, first: range[0], last: range[1] - 1, attributes, name })
            })
            .collect();
        Table { disk: Guid(disk), partitions }
    })
}

/// A disk's start and end, which is all that a table touches.
#[derive(Clone)]
struct Disk {
    primary: Vec<u8>,
    backup: Vec<u8>,
}

impl Disk {
    fn with(table: &Table) -> Self {
        let Encoded { primary, backup, .. } = table.encode(DISK_SECTORS).unwrap();
        Self { primary, backup }
    }

    /// Writes in the promised order and stops after `budget` bytes.
    fn write(&mut self, encoded: &Encoded, budget: usize) {
        let first = budget.min(encoded.backup.len());
        self.backup[..first].copy_from_slice(&encoded.backup[..first]);
        let second = (budget - first).min(encoded.primary.len());
        self.primary[..second].copy_from_slice(&encoded.primary[..second]);
    }

    fn read(&self) -> Result<(Table, Copy), GptError> {
        decode(&self.primary, &self.backup, DISK_SECTORS)
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(table in table()) {
        let disk = Disk::with(&table);
        prop_assert_eq!(decode_primary(&disk.primary), Ok(table.clone()));
        prop_assert_eq!(decode_backup(&disk.backup, DISK_SECTORS), Ok(table));
    }

    #[test]
    fn changed_bytes_are_never_taken_for_another_table(
        table in table(),
        changes in proptest::collection::vec((0..TABLE_BYTES, 1u8..), 1..4),
    ) {
        let mut disk = Disk::with(&table);
        for (at, flip) in changes {
            disk.primary[at] ^= flip;
            disk.backup[at] ^= flip;
        }
        let copies = [decode_primary(&disk.primary), decode_backup(&disk.backup, DISK_SECTORS)];
        for decoded in copies.into_iter().flatten() {
            prop_assert_eq!(&decoded, &table);
        }
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..TABLE_BYTES + 10), sectors: u64) {
        let mut bytes = bytes;
        prop_assert!(decode(&bytes, &bytes, sectors).is_err());
        if bytes.len() > 8 {
            bytes[..8].copy_from_slice(SIGNATURE);
            prop_assert!(decode(&bytes, &bytes, sectors).is_err());
        }
    }

    #[test]
    fn any_fields_under_right_checksums_do_not_panic(
        table in table(),
        at in 0..ENTRIES * ENTRY_BYTES - 8,
        value: u64,
    ) {
        let mut bytes = Disk::with(&table).primary;
        bytes[SECTOR_BYTES + at..][..8].copy_from_slice(&value.to_le_bytes());
        let entries = crc32fast::hash(&bytes[SECTOR_BYTES..]);
        bytes[88..92].copy_from_slice(&entries.to_le_bytes());
        bytes[16..20].fill(0);
        let header = crc32fast::hash(&bytes[..HEADER_BYTES]);
        bytes[16..20].copy_from_slice(&header.to_le_bytes());
        if let Ok(decoded) = decode_primary(&bytes) {
            prop_assert!(decoded.encode(DISK_SECTORS).is_ok());
        }
    }

    #[test]
    fn a_cut_write_leaves_one_of_the_two_tables(old in table(), new in table(), budget in 0..2 * TABLE_BYTES + 1) {
        let mut disk = Disk::with(&old);
        disk.write(&new.encode(DISK_SECTORS).unwrap(), budget);
        let (read, _) = disk.read().unwrap();
        prop_assert!(read == old || read == new);
        if budget == 2 * TABLE_BYTES {
            prop_assert_eq!(disk.read(), Ok((new, Copy::Primary)));
        }
    }

    #[test]
    fn with_either_copy_gone_the_other_is_read(table in table()) {
        let mut disk = Disk::with(&table);
        disk.primary.fill(0);
        prop_assert_eq!(disk.read(), Ok((table.clone(), Copy::Backup)));
        let mut disk = Disk::with(&table);
        disk.backup.fill(0);
        prop_assert_eq!(disk.read(), Ok((table, Copy::Primary)));
    }
}

fn partition(first: u64, last: u64) -> Partition {
    Partition { kind: Guid(1), guid: Guid(2), first, last, attributes: 0, name: "x".to_owned() }
}

fn of(partitions: impl IntoIterator<Item = (u8, Partition)>) -> Table {
    Table { disk: Guid(7), partitions: partitions.into_iter().collect() }
}

#[test]
fn what_cannot_lie_on_the_disk_is_refused() {
    let bad = [
        of([(1, partition(33, 40))]),
        of([(1, partition(41, 40))]),
        of([(1, partition(40, DISK_SECTORS - 33))]),
        of([(1, partition(40, u64::MAX))]),
        of([(1, partition(40, 50)), (2, partition(50, 60))]),
        of([(0, partition(40, 50))]),
        of([(129, partition(40, 50))]),
        of([(1, Partition { name: "x".repeat(37), ..partition(40, 50) })]),
        of([(1, Partition { kind: Guid::ZERO, ..partition(40, 50) })]),
    ];
    for table in bad {
        assert!(table.encode(DISK_SECTORS).is_err(), "{table:?}");
    }
    assert!(of([]).encode(67).is_err());
    assert!(of([]).encode(0).is_err());
    assert!(of([]).encode(68).is_ok());
}

#[test]
fn a_backup_from_a_smaller_disk_is_not_taken() {
    let small = of([(1, partition(40, 50))]).encode(DISK_SECTORS / 2).unwrap();
    assert!(decode_backup(&small.backup, DISK_SECTORS).is_err());
}
