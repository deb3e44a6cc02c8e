//! The MBR that stands before a GPT: protective for UEFI machines, hybrid for Pis, whose firmware reads no pure GPT.

use crate::gpt::{Partition, SECTOR_BYTES};

/// MBR type of a FAT32 partition that is addressed by sectors.
const FAT32_LBA: u8 = 0x0c;
/// MBR type of "all this belongs to a GPT".
const PROTECTIVE: u8 = 0xee;
const ENTRIES_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
/// A cylinder, head and sector that says "use the sector number" (in a partition that starts at sector 1: 0/0/2).
const CHS_BEYOND: [u8; 3] = [0xfe, 0xff, 0xff];
const CHS_SECTOR_1: [u8; 3] = [0x00, 0x02, 0x00];

/// What is wrong with an MBR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MbrError {
    /// The partition's sectors do not fit into the MBR's 32 bits.
    #[error("sectors {first} to {last} are beyond what an MBR can name")]
    TooFar {
        /// First sector.
        first: u64,
        /// Last sector.
        last: u64,
    },
}

/// The MBR of a disk that is all GPT.
///
/// Its one entry ends at the largest sector that an MBR can name, as the specification has it for large disks and
/// Windows writes always: so it is right for every disk that the image is flashed to, and never rewritten.
pub fn protective() -> [u8; SECTOR_BYTES] {
    let mut mbr = empty();
    put(&mut mbr, 0, PROTECTIVE, 1, u32::MAX);
    mbr
}

/// The MBR of a disk whose first partition is shown to those who know no GPT: it as FAT32, and from sector 1 up to
/// it the protective entry. (U-Boot and Linux then still use the GPT; a protective entry that does not start at
/// sector 1 would make U-Boot see the MBR alone.)
pub fn hybrid(config: &Partition) -> Result<[u8; SECTOR_BYTES], MbrError> {
    let error = || MbrError::TooFar { first: config.first, last: config.last };
    let first = u32::try_from(config.first).map_err(|_| error())?;
    let sectors = u32::try_from(config.sectors()).map_err(|_| error())?;
    let before = first.checked_sub(1).ok_or_else(error)?;
    let mut mbr = empty();
    put(&mut mbr, 0, FAT32_LBA, first, sectors);
    put(&mut mbr, 1, PROTECTIVE, 1, before);
    Ok(mbr)
}

/// Whether a GPT stands behind that MBR.
pub fn announces_gpt(mbr: &[u8]) -> bool {
    let entries = mbr.get(ENTRIES_AT..ENTRIES_AT + 4 * ENTRY_BYTES).unwrap_or_default();
    mbr.get(SECTOR_BYTES - 2..SECTOR_BYTES) == Some(&[0x55, 0xaa])
        && entries.chunks_exact(ENTRY_BYTES).any(|entry| entry[4] == PROTECTIVE && entry[8..12] == [1, 0, 0, 0])
}

fn empty() -> [u8; SECTOR_BYTES] {
    let mut mbr = [0; SECTOR_BYTES];
    mbr[SECTOR_BYTES - 2..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

fn put(mbr: &mut [u8; SECTOR_BYTES], index: usize, kind: u8, first: u32, sectors: u32) {
    let entry = &mut mbr[ENTRIES_AT + index * ENTRY_BYTES..][..ENTRY_BYTES];
    entry[1..4].copy_from_slice(if first == 1 { &CHS_SECTOR_1 } else { &CHS_BEYOND });
    entry[4] = kind;
    entry[5..8].copy_from_slice(&CHS_BEYOND);
    entry[8..12].copy_from_slice(&first.to_le_bytes());
    entry[12..].copy_from_slice(&sectors.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::guid::Guid;

    fn config(first: u64, last: u64) -> Partition {
        Partition { kind: Guid(1), guid: Guid(2), first, last, attributes: 0, name: "config".to_owned() }
    }

    /// Type, first sector, sectors of an entry, as a firmware reads it.
    fn entry(mbr: &[u8], index: usize) -> (u8, u64, u64) {
        let entry = &mbr[446 + 16 * index..][..16];
        let number = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes.try_into().unwrap()));
        (entry[4], number(&entry[8..12]), number(&entry[12..16]))
    }

    proptest! {
        #[test]
        fn any_config_partition_that_fits_is_shown_and_all_before_it_is_the_gpts(
            first in prop_oneof![34u64..5000, 34u64..=u64::from(u32::MAX)],
            sectors in prop_oneof![1u64..5000, 1u64..=u64::from(u32::MAX)],
        ) {
            let mbr = hybrid(&config(first, first + sectors - 1)).unwrap();
            prop_assert_eq!(entry(&mbr, 0), (0x0c, first, sectors));
            // From the GPT's own sector up to the partition: neither over it, nor leaving a sector out.
            prop_assert_eq!(entry(&mbr, 1), (0xee, 1, first - 1));
            prop_assert!(mbr[446 + 32..510].iter().all(|byte| *byte == 0));
            prop_assert!(mbr[..446].iter().all(|byte| *byte == 0), "no boot code");
            prop_assert!(announces_gpt(&mbr));
            // No entry is bootable, and none names a cylinder that the sector numbers contradict.
            prop_assert_eq!((mbr[446], mbr[462]), (0, 0));
        }

        #[test]
        fn what_32_bits_cannot_name_is_refused(first in (1u64 << 32)..u64::MAX / 2, sectors in 1u64..1 << 40, small in 34u64..5000) {
            prop_assert!(hybrid(&config(first, first + sectors - 1)).is_err());
            prop_assert!(hybrid(&config(small, small + (1 << 32) + sectors)).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = announces_gpt(&bytes);
        }
    }

    #[test]
    fn a_partition_that_is_none_is_refused() {
        assert!(hybrid(&config(0, 10)).is_err());
    }

    #[test]
    fn the_protective_one_fits_every_disk() {
        let mbr = protective();
        assert_eq!(mbr[446..462], [0, 0, 2, 0, 0xee, 0xfe, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(mbr[462..510], [0; 48]);
        assert!(announces_gpt(&mbr));
        assert!(!announces_gpt(&mbr[..511]));
        assert!(!announces_gpt(&[0; 512]));
    }

    #[test]
    fn the_hybrid_one_shows_the_first_partition() {
        let mut config = config(2048, 4095);
        let mbr = hybrid(&config).unwrap();
        assert_eq!(mbr[446..462], [0, 0xfe, 0xff, 0xff, 0x0c, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 8, 0, 0]);
        assert_eq!(mbr[462..478], [0, 0, 2, 0, 0xee, 0xfe, 0xff, 0xff, 1, 0, 0, 0, 0xff, 7, 0, 0]);
        assert!(announces_gpt(&mbr));
        config.last = 1 << 33;
        assert!(hybrid(&config).is_err());
    }
}
