//! The partitions of a node's disk: their labels, types, sizes and order, as shipped and after the first boot.
//!
//! Sizes are for ever: an update replaces what is in a partition, never its borders.
//! Nobody looks for a partition by its number; labels are what builder, init and boot scripts share.

use std::collections::BTreeMap;

use crate::gpt::{self, ATTRIBUTE_NO_AUTO, FIRST_USABLE_LBA, GptError, Partition, SECTOR_BYTES, Table};
use crate::guid::Guid;

const MIB: u64 = 1 << 20;
/// Every partition starts at a multiple of this.
pub const ALIGNMENT_BYTES: u64 = MIB;
/// A shipped image's length is a multiple of this.
pub const PAGE_BYTES: u64 = 4096;
/// Size of the config partition.
pub const CONFIG_BYTES: u64 = 64 * MIB;
/// Size of the EFI system partition.
pub const ESP_BYTES: u64 = 512 * MIB;
/// Size of one slot's boot partition on a Pi.
pub const BOOT_BYTES: u64 = 256 * MIB;
/// Size of the boot state on a Pi.
pub const STATE_BYTES: u64 = MIB;
/// Size of one slot's root.
pub const ROOT_BYTES: u64 = 1024 * MIB;
/// Least size of the data partition: on less a node could not keep Docker's images.
pub const DATA_MIN_BYTES: u64 = 1024 * MIB;

/// The disk's GUID in every shipped image; the first boot replaces it, and so tells a fresh disk from a used one.
pub const SHIPPED_DISK: Guid = Guid(0xD6A2F523_23F0_4116_9810_1E08769E395F);

/// A partition that a node may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// FAT32 that people write `cloudy.toml` on.
    Config,
    /// EFI system partition: boot loaders, kernels and initramfs of both slots.
    Esp,
    /// A Pi's kernel, initramfs and device trees of slot a.
    BootA,
    /// The same of slot b.
    BootB,
    /// A Pi's boot state: which slot, how many tries.
    State,
    /// The root of slot a.
    RootA,
    /// The root of slot b.
    RootB,
    /// All that a node keeps.
    Data,
}

/// How a board's firmware boots decides which partitions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// UEFI machines.
    Uefi,
    /// Pis, by U-Boot.
    Uboot,
}

/// Why a disk can't be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The disk is smaller than a node needs.
    #[error("the disk has {have} MB, a node needs at least {need} MB: use a larger one")]
    DiskTooSmall {
        /// Of the disk.
        have: u64,
        /// At least.
        need: u64,
    },
    /// A partition that the image ships is not in the table.
    #[error("the partition table has no `{0}`: flash the image again")]
    Missing(&'static str),
    /// A slot's root is larger than its partition.
    #[error("the root has {have} bytes, its partition {ROOT_BYTES}")]
    RootTooLarge {
        /// Of the root.
        have: u64,
    },
    /// The table itself is impossible.
    #[error(transparent)]
    Gpt(#[from] GptError),
}

impl Role {
    /// The partition's label (its GPT name).
    pub const fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Esp => "esp",
            Self::BootA => "boot-a",
            Self::BootB => "boot-b",
            Self::State => "state",
            Self::RootA => "root-a",
            Self::RootB => "root-b",
            Self::Data => "data",
        }
    }

    /// The partition's type. Config and ESP have the types that other systems know; all others have types of our
    /// own, so that no other system mounts or offers to format them, and so that a disk of ours is known as such.
    pub const fn kind(self) -> Guid {
        match self {
            Self::Config => Guid(0xEBD0A0A2_B9E5_4433_87C0_68B6B72699C7),
            Self::Esp => Guid(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B),
            Self::BootA | Self::BootB => Guid(0x41562D62_5306_41A6_8C66_69B72CCE5BBE),
            Self::State => Guid(0xF1078D9C_5CB0_402E_9A9A_8595ED4C72C2),
            Self::RootA | Self::RootB => Guid(0x6FA5D112_6CBD_400E_819D_6C23B963B0B4),
            Self::Data => Guid(0xE2E7F7E0_6BAD_4FE0_8B97_CE1FD1CC1F4C),
        }
    }

    /// The partition's GUID in a shipped image; `None` for those that the first boot makes.
    pub const fn shipped_guid(self) -> Option<Guid> {
        match self {
            Self::Config => Some(Guid(0x27A8BBB6_1A70_406E_9229_50839B483CC1)),
            Self::Esp => Some(Guid(0x2D7B629C_E465_4AFB_8742_9B1271316699)),
            Self::BootA => Some(Guid(0xA843D792_3F0D_4A10_9F6C_CCC13EA709FF)),
            Self::BootB => Some(Guid(0xDE0790E3_6373_4759_97C6_38EDBEC941EE)),
            Self::State => Some(Guid(0xA95EA0B2_BFBA_4EA7_BEF5_469AEDFB63D8)),
            Self::RootA => Some(Guid(0x4D4239FB_11AA_4983_9AFD_E757833C4F39)),
            Self::RootB | Self::Data => None,
        }
    }

    /// The partition's size in bytes once the first boot is done; `None` for data, which takes what is left.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Config => Some(CONFIG_BYTES),
            Self::Esp => Some(ESP_BYTES),
            Self::BootA | Self::BootB => Some(BOOT_BYTES),
            Self::State => Some(STATE_BYTES),
            Self::RootA | Self::RootB => Some(ROOT_BYTES),
            Self::Data => None,
        }
    }

    const fn attributes(self) -> u64 {
        match self {
            Self::Config | Self::Esp => 0,
            _ => ATTRIBUTE_NO_AUTO,
        }
    }
}

impl Layout {
    /// All partitions in their order on the disk; the shipped ones come first, and root-a is the last of them.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Uefi => &[Role::Config, Role::Esp, Role::RootA, Role::RootB, Role::Data],
            Self::Uboot => &[Role::Config, Role::State, Role::BootA, Role::BootB, Role::RootA, Role::RootB, Role::Data],
        }
    }

    /// Least size of a disk, in bytes.
    pub fn min_disk_bytes(self) -> u64 {
        let partitions: u64 = self.roles().iter().map(|role| role.bytes().unwrap_or(DATA_MIN_BYTES)).sum();
        // One unit before the first partition for the primary table, one after the last for the backup.
        partitions + 2 * ALIGNMENT_BYTES
    }
}

/// The table of a shipped image: root-a holds just its content (`root_bytes`), and the backup table follows it
/// directly. Also the number of sectors of the image.
pub fn shipped(layout: Layout, root_bytes: u64) -> Result<(Table, u64), LayoutError> {
    if root_bytes > ROOT_BYTES {
        return Err(LayoutError::RootTooLarge { have: root_bytes });
    }
    let mut partitions = BTreeMap::new();
    let mut next = aligned(FIRST_USABLE_LBA);
    for (number, role) in (1..).zip(layout.roles()) {
        let (Some(bytes), Some(guid)) = (role.bytes(), role.shipped_guid()) else {
            break;
        };
        let bytes = if *role == Role::RootA { root_bytes.max(1) } else { bytes };
        let partition = made(*role, guid, next, bytes.div_ceil(SECTOR_BYTES as u64));
        next = aligned(partition.last + 1);
        partitions.insert(number, partition);
    }
    let end = partitions.values().map(|partition| partition.last).max().unwrap_or(next);
    // Some flashers bypass the cache and write whole pages only.
    let sectors = (end + 1 + gpt::TABLE_SECTORS).next_multiple_of(PAGE_BYTES / SECTOR_BYTES as u64);
    Ok((Table { disk: SHIPPED_DISK, partitions }, sectors))
}

/// The table after the first boot on a disk of `disk_sectors`: `table`, as read, with root-a grown, root-b and data
/// added, and every GUID drawn anew from `random`. Borders of what is there stay where they are, so that it can be
/// done again after a cut at any moment.
pub fn completed(layout: Layout, table: &Table, disk_sectors: u64, mut random: impl FnMut() -> Guid) -> Result<Table, LayoutError> {
    let mut partitions = BTreeMap::new();
    let mut next = aligned(FIRST_USABLE_LBA);
    for (number, role) in (1..).zip(layout.roles()) {
        if let Some((_, partition)) = table.by_name(role.label()) {
            next = partition.first;
        } else if role.shipped_guid().is_some() {
            return Err(LayoutError::Missing(role.label()));
        }
        let sectors = match role.bytes() {
            Some(bytes) => bytes / SECTOR_BYTES as u64,
            None => data_sectors(layout, next, disk_sectors)?,
        };
        let partition = made(*role, random(), next, sectors);
        next = aligned(partition.last + 1);
        partitions.insert(number, partition);
    }
    Ok(Table { disk: random(), partitions })
}

/// What is left for data from sector `first` on, in whole units of alignment.
fn data_sectors(layout: Layout, first: u64, disk_sectors: u64) -> Result<u64, LayoutError> {
    let unit = ALIGNMENT_BYTES / SECTOR_BYTES as u64;
    let end = gpt::last_usable_lba(disk_sectors)?.saturating_add(1);
    let sectors = end.saturating_sub(first) / unit * unit;
    if sectors * (SECTOR_BYTES as u64) < DATA_MIN_BYTES {
        let have = disk_sectors.saturating_mul(SECTOR_BYTES as u64) / 1_000_000;
        return Err(LayoutError::DiskTooSmall { have, need: layout.min_disk_bytes().div_ceil(1_000_000) });
    }
    Ok(sectors)
}

fn made(role: Role, guid: Guid, first: u64, sectors: u64) -> Partition {
    let name = role.label().to_owned();
    Partition { kind: role.kind(), guid, first, last: first + sectors - 1, attributes: role.attributes(), name }
}

/// The next sector at which a partition may start.
fn aligned(sector: u64) -> u64 {
    sector.next_multiple_of(ALIGNMENT_BYTES / SECTOR_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const GB_8_SECTORS: u64 = 8_000_000_000 / 512;

    fn counter() -> impl FnMut() -> Guid {
        let mut next = 0u128;
        move || {
            next += 1;
            Guid(next)
        }
    }

    #[test]
    fn constants_do_not_meet() {
        let roles = [Layout::Uefi.roles(), Layout::Uboot.roles()].concat();
        let guids: BTreeSet<_> = roles.iter().filter_map(|role| role.shipped_guid()).collect();
        let named: BTreeSet<_> = roles.iter().filter(|r| r.shipped_guid().is_some()).map(|r| r.label()).collect();
        assert_eq!(guids.len(), named.len());
        for role in roles {
            assert!(role.bytes().is_none_or(|bytes| bytes % ALIGNMENT_BYTES == 0));
        }
    }

    #[test]
    fn a_disk_that_is_too_small_is_named_with_what_is_needed() {
        for layout in [Layout::Uefi, Layout::Uboot] {
            let (table, _) = shipped(layout, 500 * MIB).unwrap();
            let least = layout.min_disk_bytes() / 512;
            assert!(completed(layout, &table, least, counter()).is_ok());
            let error = completed(layout, &table, least - 4096, counter()).unwrap_err();
            assert!(matches!(error, LayoutError::DiskTooSmall { .. }), "{error}");
        }
        assert!(shipped(Layout::Uefi, ROOT_BYTES + 1).is_err());
    }

    #[test]
    fn a_table_that_is_not_ours_is_refused() {
        let table = Table { disk: Guid(1), partitions: BTreeMap::new() };
        let error = completed(Layout::Uefi, &table, GB_8_SECTORS, counter()).unwrap_err();
        assert_eq!(error, LayoutError::Missing("config"));
    }

    proptest! {
        #[test]
        fn the_first_boot_moves_no_border_and_can_be_repeated(
            root_bytes in 1..=ROOT_BYTES,
            disk_sectors in GB_8_SECTORS..1 << 40,
            pi: bool,
        ) {
            let layout = if pi { Layout::Uboot } else { Layout::Uefi };
            let (image, image_sectors) = shipped(layout, root_bytes).unwrap();
            prop_assert!(image.encode(image_sectors).is_ok());
            let done = completed(layout, &image, disk_sectors, counter()).unwrap();
            prop_assert!(done.encode(disk_sectors).is_ok());
            prop_assert_eq!(done.partitions.len(), layout.roles().len());
            for (number, partition) in &image.partitions {
                let now = &done.partitions[number];
                prop_assert_eq!(now.first, partition.first);
                prop_assert_eq!(&now.name, &partition.name);
                prop_assert!(now.last >= partition.last);
                prop_assert!(now.guid != partition.guid);
            }
            let guids: BTreeSet<_> = done.partitions.values().map(|p| p.guid).chain([done.disk]).collect();
            prop_assert_eq!(guids.len(), done.partitions.len() + 1);
            let again = completed(layout, &done, disk_sectors, counter()).unwrap();
            prop_assert_eq!(again, done);
        }
    }
}
