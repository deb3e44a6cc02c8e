//! GPT as bytes: decode what lies on a disk, encode what shall lie there (UEFI 2.10, section 5.3).
//!
//! Only the shape that all tools write is known: sectors of 512 bytes, 128 entries of 128 bytes, so that the
//! primary table is sectors 1 to 33 and the backup the last 33. Anything else is refused, never guessed at.
//!
//! Invariant: a writer writes [`Encoded::backup`], syncs, writes [`Encoded::primary`], syncs. Whenever that is cut,
//! one of the two is whole.

use std::collections::BTreeMap;

use crate::guid::Guid;

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;
/// Entries of a table.
pub const ENTRIES: usize = 128;
/// Sectors of one copy of the table: its header and its entries.
pub const TABLE_SECTORS: u64 = 33;
/// Bytes of one copy of the table.
pub const TABLE_BYTES: usize = TABLE_SECTORS as usize * SECTOR_BYTES;
/// Where the primary copy starts (sector 0 is the MBR).
pub const PRIMARY_LBA: u64 = 1;
/// The first sector that a partition may use.
pub const FIRST_USABLE_LBA: u64 = PRIMARY_LBA + TABLE_SECTORS;
/// Code units of UTF-16 that a partition's name may have.
pub const NAME_UNITS: usize = 36;
/// Attribute: no drive letter on Windows, no automatic mount on Linux.
pub const ATTRIBUTE_NO_AUTO: u64 = 1 << 63;

const ENTRY_BYTES: usize = 128;
const HEADER_BYTES: usize = 92;
const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub kind: Guid,
    /// Which one it is.
    pub guid: Guid,
    /// Its first sector.
    pub first: u64,
    /// Its last sector, included.
    pub last: u64,
    /// Bits as in the specification's table 5.8.
    pub attributes: u64,
    /// Its label.
    pub name: String,
}

impl Partition {
    /// How many sectors.
    pub fn sectors(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.sectors().saturating_mul(SECTOR_BYTES as u64)
    }

    /// Its first byte on the disk.
    pub fn offset(&self) -> u64 {
        self.first.saturating_mul(SECTOR_BYTES as u64)
    }
}

/// A partition table: the disk's own GUID and its partitions by their number (1 to 128).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Which disk it is.
    pub disk: Guid,
    /// Number, as the kernel counts (`sda3`) → partition.
    pub partitions: BTreeMap<u8, Partition>,
}

/// Both copies, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// To be written first, at sector [`Encoded::backup_lba`]: entries, then header.
    pub backup: Vec<u8>,
    /// Where the backup starts.
    pub backup_lba: u64,
    /// To be written once the backup is on the disk, at sector [`PRIMARY_LBA`]: header, then entries.
    pub primary: Vec<u8>,
}

/// Which copy a table was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The one at the disk's start, which counts while it is whole.
    Primary,
    /// The one at the disk's end.
    Backup,
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// Fewer bytes were given than a table has.
    #[error("a partition table has {TABLE_BYTES} bytes, {0} were read")]
    Short(usize),
    /// There is none.
    #[error("no partition table (no `EFI PART`)")]
    NoSignature,
    /// The header's checksum is wrong.
    #[error("the partition table's header is damaged (checksum {found:08x}, {expected:08x} expected)")]
    HeaderChecksum {
        /// Of the bytes that were read.
        found: u32,
        /// As written in the header.
        expected: u32,
    },
    /// The entries' checksum is wrong.
    #[error("the partition table's entries are damaged (checksum {found:08x}, {expected:08x} expected)")]
    EntriesChecksum {
        /// Of the bytes that were read.
        found: u32,
        /// As written in the header.
        expected: u32,
    },
    /// Valid, perhaps, but of a shape that this code does not know.
    #[error("the partition table's {field} is {found}, {expected} expected")]
    Shape {
        /// Which field of the header.
        field: &'static str,
        /// What it holds.
        found: u64,
        /// What all tools write there.
        expected: u64,
    },
    /// A partition lies outside of what partitions may use.
    #[error("partition {number} (sectors {first} to {last}) is not within sectors {from} to {to}")]
    Bounds {
        /// Its number.
        number: u8,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// First usable sector.
        from: u64,
        /// Last usable sector.
        to: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap")]
    Overlap(u8, u8),
    /// A number that no partition can have.
    #[error("a partition's number is 1 to {ENTRIES}, not {0}")]
    Number(u8),
    /// A name that does not fit, or is no text.
    #[error("partition {0}'s name is longer than {NAME_UNITS} characters or no text")]
    Name(u8),
    /// A partition with the type or GUID of an unused entry.
    #[error("partition {0} has a type or GUID that is all zero")]
    ZeroGuid(u8),
    /// The disk can't even hold an empty table.
    #[error("a disk of {0} sectors is too small for a partition table")]
    DiskTooSmall(u64),
}

/// The last sector that a partition may use on a disk of that many sectors.
pub fn last_usable_lba(disk_sectors: u64) -> Result<u64, GptError> {
    disk_sectors.checked_sub(TABLE_SECTORS + 1).filter(|last| *last >= FIRST_USABLE_LBA).ok_or(GptError::DiskTooSmall(disk_sectors))
}

/// Where the backup copy starts on a disk of that many sectors.
pub fn backup_lba(disk_sectors: u64) -> Result<u64, GptError> {
    last_usable_lba(disk_sectors).map(|last| last + 1)
}

/// Reads a table from both of its copies: `primary` is what lies at sector 1, `backup` what lies in the last 33
/// sectors of a disk of `disk_sectors`. The primary counts while it is whole; the error is the primary's.
pub fn decode(primary: &[u8], backup: &[u8], disk_sectors: u64) -> Result<(Table, Copy), GptError> {
    match decode_primary(primary) {
        Ok(table) => Ok((table, Copy::Primary)),
        Err(error) => decode_backup(backup, disk_sectors).map(|table| (table, Copy::Backup)).map_err(|_| error),
    }
}

/// Reads the copy that lies at sector 1 (header, then entries).
pub fn decode_primary(bytes: &[u8]) -> Result<Table, GptError> {
    let bytes = bytes.get(..TABLE_BYTES).ok_or(GptError::Short(bytes.len()))?;
    let (header, entries) = bytes.split_at(SECTOR_BYTES);
    decode_copy(header, entries, PRIMARY_LBA, PRIMARY_LBA + 1)
}

/// Reads the copy in the last 33 sectors of a disk (entries, then header).
pub fn decode_backup(bytes: &[u8], disk_sectors: u64) -> Result<Table, GptError> {
    let bytes = bytes.get(..TABLE_BYTES).ok_or(GptError::Short(bytes.len()))?;
    let (entries, header) = bytes.split_at(TABLE_BYTES - SECTOR_BYTES);
    decode_copy(header, entries, disk_sectors.saturating_sub(1), backup_lba(disk_sectors)?)
}

fn decode_copy(header: &[u8], entries: &[u8], lba: u64, entries_lba: u64) -> Result<Table, GptError> {
    if header.get(..8) != Some(SIGNATURE) {
        return Err(GptError::NoSignature);
    }
    let shape = |field, at: u64, expected: u64| {
        if at == expected { Ok(()) } else { Err(GptError::Shape { field, found: at, expected }) }
    };
    shape("revision", u32_at(header, 8).into(), REVISION.into())?;
    shape("header size", u32_at(header, 12).into(), HEADER_BYTES as u64)?;
    let expected = u32_at(header, 16);
    let mut unsigned = [0; HEADER_BYTES];
    unsigned.copy_from_slice(header.get(..HEADER_BYTES).ok_or(GptError::Short(header.len()))?);
    unsigned[16..20].fill(0);
    let found = crc32fast::hash(&unsigned);
    if found != expected {
        return Err(GptError::HeaderChecksum { found, expected });
    }
    shape("own sector", u64_at(header, 24), lba)?;
    shape("first usable sector", u64_at(header, 40), FIRST_USABLE_LBA)?;
    shape("first sector of entries", u64_at(header, 72), entries_lba)?;
    shape("number of entries", u32_at(header, 80).into(), ENTRIES as u64)?;
    shape("size of an entry", u32_at(header, 84).into(), ENTRY_BYTES as u64)?;
    let expected = u32_at(header, 88);
    let found = crc32fast::hash(entries);
    if found != expected {
        return Err(GptError::EntriesChecksum { found, expected });
    }
    let mut partitions = BTreeMap::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(ENTRY_BYTES)) {
        let kind = guid_at(entry, 0);
        if kind == Guid::ZERO {
            continue;
        }
        let units = entry[56..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let name =
            char::decode_utf16(units.take_while(|unit| *unit != 0)).collect::<Result<String, _>>().map_err(|_| GptError::Name(number))?;
        let partition = Partition {
            kind,
            guid: guid_at(entry, 16),
            first: u64_at(entry, 32),
            last: u64_at(entry, 40),
            attributes: u64_at(entry, 48),
            name,
        };
        partitions.insert(number, partition);
    }
    let table = Table { disk: guid_at(header, 56), partitions };
    table.check(u64_at(header, 48))?;
    Ok(table)
}

impl Table {
    /// The partition with that label: its number and itself. The first, if several bear it.
    pub fn by_name(&self, name: &str) -> Option<(u8, &Partition)> {
        self.partitions.iter().find(|(_, partition)| partition.name == name).map(|(number, p)| (*number, p))
    }

    /// Both copies for a disk of that many sectors; refuses what could not be decoded again.
    pub fn encode(&self, disk_sectors: u64) -> Result<Encoded, GptError> {
        let last_usable = last_usable_lba(disk_sectors)?;
        let backup_lba = backup_lba(disk_sectors)?;
        self.check(last_usable)?;
        let entries = self.encode_entries()?;
        let end = disk_sectors - 1;
        let header = |lba: u64, other: u64, entries_lba: u64| {
            let mut header = [0; SECTOR_BYTES];
            header[..8].copy_from_slice(SIGNATURE);
            header[8..12].copy_from_slice(&REVISION.to_le_bytes());
            header[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
            header[24..32].copy_from_slice(&lba.to_le_bytes());
            header[32..40].copy_from_slice(&other.to_le_bytes());
            header[40..48].copy_from_slice(&FIRST_USABLE_LBA.to_le_bytes());
            header[48..56].copy_from_slice(&last_usable.to_le_bytes());
            header[56..72].copy_from_slice(&self.disk.to_disk());
            header[72..80].copy_from_slice(&entries_lba.to_le_bytes());
            header[80..84].copy_from_slice(&(ENTRIES as u32).to_le_bytes());
            header[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
            header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
            let checksum = crc32fast::hash(&header[..HEADER_BYTES]);
            header[16..20].copy_from_slice(&checksum.to_le_bytes());
            header
        };
        let primary = [header(PRIMARY_LBA, end, PRIMARY_LBA + 1).as_slice(), &entries].concat();
        let backup = [entries.as_slice(), &header(end, PRIMARY_LBA, backup_lba)].concat();
        Ok(Encoded { backup, backup_lba, primary })
    }

    fn encode_entries(&self) -> Result<Vec<u8>, GptError> {
        let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
        for (number, partition) in &self.partitions {
            let index = usize::from(*number).checked_sub(1).ok_or(GptError::Number(*number))?;
            let entry = entries.chunks_exact_mut(ENTRY_BYTES).nth(index).ok_or(GptError::Number(*number))?;
            entry[..16].copy_from_slice(&partition.kind.to_disk());
            entry[16..32].copy_from_slice(&partition.guid.to_disk());
            entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
            entry[40..48].copy_from_slice(&partition.last.to_le_bytes());
            entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
            for (pair, unit) in entry[56..].chunks_exact_mut(2).zip(partition.name.encode_utf16()) {
                pair.copy_from_slice(&unit.to_le_bytes());
            }
        }
        Ok(entries)
    }

    /// What holds of every table that is decoded or encoded.
    fn check(&self, last_usable: u64) -> Result<(), GptError> {
        let mut ranges = Vec::new();
        for (&number, partition) in &self.partitions {
            let Partition { kind, guid, first, last, ref name, .. } = *partition;
            if number == 0 || usize::from(number) > ENTRIES {
                return Err(GptError::Number(number));
            }
            if kind == Guid::ZERO || guid == Guid::ZERO {
                return Err(GptError::ZeroGuid(number));
            }
            if first < FIRST_USABLE_LBA || first > last || last > last_usable {
                return Err(GptError::Bounds { number, first, last, from: FIRST_USABLE_LBA, to: last_usable });
            }
            if name.encode_utf16().count() > NAME_UNITS || name.contains('\0') {
                return Err(GptError::Name(number));
            }
            ranges.push((first, last, number));
        }
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            if let [(_, last, one), (first, _, other)] = pair
                && first <= last
            {
                return Err(GptError::Overlap(*one, *other));
            }
        }
        Ok(())
    }
}

// The slices below are of known length: a sector or an entry, and offsets that lie within.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    bytes.get(at..at + 16).and_then(|b| b.try_into().ok()).map_or(Guid::ZERO, Guid::from_disk)
}

#[cfg(test)]
mod tests;
