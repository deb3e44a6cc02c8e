//! Disks beside the node's own that hold what apps keep: how one is known, and where it is mounted.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::gpt::{self, GptError, Partition, SECTOR_BYTES, Table};
use crate::guid::Guid;
use crate::partitions::ALIGNMENT_BYTES;

/// Where they are mounted, each in a folder of its id: in memory, so that without its disk a folder has nothing in it.
pub const MOUNTS: &str = "/run/cloudy-disks";
/// The type of a finished partition. One that is being made has Linux's usual type.
pub const KIND: Guid = Guid(0x7B1F09D2_5E64_4C0B_9A3E_C1D0A7D15C01);
/// What a partition is before it is finished: Linux file system data.
pub const UNFINISHED: Guid = Guid(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4);
/// The folder on it in which each volume of an app has one.
pub const APPS: &str = "apps";
/// What a folder there begins with that is to be taken away.
pub const GONE: &str = ".gone-";
/// The longest name in bytes: what an ext4's label has room for.
pub const NAME_BYTES: usize = 16;
/// The smallest disk that is worth it.
pub const MIN_BYTES: u64 = 1_000_000_000;

/// Which disk it is: its partition's GUID, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub Guid);

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0.0)
    }
}

impl FromStr for DiskId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number = u128::from_str_radix(text, 16).ok().filter(|number| plain && *number != 0);
        number.map(|number| Self(Guid(number))).ok_or_else(|| format!("`{}` is no disk's id: 32 hexadecimal digits", text.escape_debug()))
    }
}

impl Serialize for DiskId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DiskId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Whether a disk may be called so: letters and digits of any script, and blanks, `-`, `_` and `.` between them.
pub fn is_name(text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || " -_.".contains(c);
    let at_the_ends = text.starts_with(char::is_alphanumeric) && text.ends_with(char::is_alphanumeric);
    text.len() <= NAME_BYTES && at_the_ends && text.chars().all(inside)
}

/// The table of such a disk: one partition over all of it.
///
/// # Errors
/// The disk is too small for one.
pub fn table(disk: Guid, id: DiskId, kind: Guid, disk_sectors: u64) -> Result<Table, GptError> {
    let alignment = ALIGNMENT_BYTES / SECTOR_BYTES as u64;
    let first = gpt::FIRST_USABLE_LBA.next_multiple_of(alignment);
    let last = gpt::last_usable_lba(disk_sectors)?;
    let end = (last + 1) / alignment * alignment;
    let last = end.checked_sub(1).filter(|last| *last > first).ok_or(GptError::DiskTooSmall(disk_sectors))?;
    let partition = Partition { kind, guid: id.0, first, last, attributes: gpt::ATTRIBUTE_NO_AUTO, name: "cloudy-apps".to_owned() };
    Ok(Table { disk, partitions: [(1, partition)].into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_fit_a_label_and_say_nothing_to_a_program() {
        for good in ["Photos", "a", "disk 2", "cançons", "u-s_b.1", "1234567890123456"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", " a", "a ", "-L", "a/b", "a\nb", "12345678901234567", "<b>", "a\u{202e}b", "..", "cançons de l'hivern"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(number in 1u128..) {
            let id = DiskId(Guid(number));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(serde_json::from_str::<DiskId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }

        #[test]
        fn what_is_read_as_an_id_is_plain(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<DiskId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn a_table_is_whole_on_every_disk(sectors in 4096u64..1 << 40) {
            let (disk, id) = (Guid(1), DiskId(Guid(2)));
            let encoded = table(disk, id, KIND, sectors).unwrap().encode(sectors).unwrap();
            let read = gpt::decode_primary(&encoded.primary).unwrap();
            prop_assert_eq!((read.partitions.len(), read.partitions[&1].guid, read.partitions[&1].kind), (1, id.0, KIND));
        }
    }
}
