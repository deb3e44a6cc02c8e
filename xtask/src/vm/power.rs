//! What a power cut does to a disk, beyond stopping it: writes that were not flushed may be lost, in any order.
//!
//! While a node runs, QEMU logs every write beside the disk (its `blklogwrites` driver, in the format of Linux's
//! dm-log-writes). After the plug is pulled, the disk is made anew from what it was at the start: all writes up to
//! the last flush, and of those after it only some, the last of them perhaps in part. That is right for disks of which QEMU passes on
//! what must be on the disk at once: not its NVMe, which drops that flag (FUA), by which a journal is committed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// `ljsfwshr`'s number in the log's first sector (dm-log-writes.c).
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
pub const FLUSH: u64 = 1;
pub const FUA: u64 = 2;
pub const DISCARD: u64 = 4;
/// An entry's header is padded to a sector, and so is the log's own.
pub const SECTOR_BYTES: u64 = 512;
/// No guest writes more at once; beyond it the log is not a log.
const WRITE_MAX_SECTORS: u64 = 1 << 24;
/// How much is copied at once.
const COPY_BYTES: usize = 1 << 16;
/// Bytes of the numbers in an entry's header.
const HEADER_BYTES: usize = 32;

/// One write of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where on the disk, in bytes.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
    /// [`FLUSH`], [`FUA`], [`DISCARD`].
    pub flags: u64,
    /// Where its data lie in the log.
    pub data: u64,
}

/// A generator whose numbers are the same for the same seed; not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with that seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, or 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        if limit == 0 { 0 } else { number % limit }
    }
}

/// How much a cut took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Writes in the log.
    pub writes: usize,
    /// Of these, not on the disk.
    pub lost: usize,
}

/// Turns `disk`, which holds what it held when the log began, into what the cut leaves of it.
pub fn replay(log: &Path, disk: &Path, random: &mut Random) -> Result<Lost> {
    let log_file = File::open(log).with_context(|| format!("failed to open the log of writes `{}`", log.display()))?;
    let entries = read(&log_file).with_context(|| format!("failed to read the log of writes `{}`", log.display()))?;
    let disk_file =
        File::options().read(true).write(true).open(disk).with_context(|| format!("failed to open the disk `{}`", disk.display()))?;
    let kept = keep(&entries, random);
    let mut lost = Lost { writes: entries.len(), lost: 0 };
    for (entry, keep) in entries.iter().zip(kept) {
        if keep < entry.len {
            lost.lost += 1;
        }
        // A discarded range may hold anything, its old content too.
        if entry.flags & DISCARD == 0 {
            copy(&log_file, entry.data, &disk_file, entry.at, keep)?;
        }
    }
    Ok(lost)
}

/// Copies `len` bytes; zeros over zeros are left out, so that a sparse disk stays one.
fn copy(from: &File, from_at: u64, to: &File, to_at: u64, len: u64) -> Result<()> {
    let (mut new, mut old) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
    let mut done = 0;
    while done < len {
        let chunk = COPY_BYTES.min(usize::try_from(len - done).unwrap_or(COPY_BYTES));
        from.read_exact_at(&mut new[..chunk], from_at + done)?;
        to.read_exact_at(&mut old[..chunk], to_at + done)?;
        if new[..chunk] != old[..chunk] {
            to.write_all_at(&new[..chunk], to_at + done)?;
        }
        done += chunk as u64;
    }
    Ok(())
}

/// How many bytes of each entry reach the disk.
fn keep(entries: &[Entry], random: &mut Random) -> Vec<u64> {
    let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
    let late = |entry: &Entry, random: &mut Random| match random.below(8) {
        _ if entry.flags & FUA != 0 => entry.len,
        // Torn: a part of its sectors.
        0 => random.below(entry.len / SECTOR_BYTES + 1) * SECTOR_BYTES,
        1..=3 => 0,
        _ => entry.len,
    };
    entries.iter().enumerate().map(|(at, entry)| if at < flushed { entry.len } else { late(entry, random) }).collect()
}

/// Entries of a log whose writer was killed: up to the first that is not whole.
pub fn read(log: &File) -> Result<Vec<Entry>> {
    let end = log.metadata()?.len();
    let mut entries = Vec::new();
    if end == 0 {
        return Ok(entries);
    }
    let mut head = [0; HEADER_BYTES];
    log.read_exact_at(&mut head, 0)?;
    // QEMU writes the log's own head with the first flush; entries are there before.
    if head != [0; HEADER_BYTES] {
        let [magic, version, _, sector] = numbers(&head);
        ensure!(magic == MAGIC && version == VERSION, "it is none (magic {magic:#x}, version {version})");
        let sector = sector & 0xffff_ffff;
        ensure!(sector == SECTOR_BYTES, "its sectors have {sector} bytes, {SECTOR_BYTES} expected");
    }
    let mut at = SECTOR_BYTES;
    while at + SECTOR_BYTES <= end {
        log.read_exact_at(&mut head, at)?;
        let [first, count, flags, _] = numbers(&head);
        if (count == 0 && flags == 0) || count > WRITE_MAX_SECTORS && flags & DISCARD == 0 {
            break;
        }
        let (len, data) = (count * SECTOR_BYTES, at + SECTOR_BYTES);
        let stored = if flags & DISCARD != 0 { 0 } else { len };
        if data + stored > end {
            break;
        }
        entries.push(Entry { at: first * SECTOR_BYTES, len, flags, data });
        at = data + stored;
    }
    Ok(entries)
}

fn numbers(bytes: &[u8; HEADER_BYTES]) -> [u64; 4] {
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    }
    numbers
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A log of (sector, fill byte, flags), one sector each.
    pub fn log(writes: &[(u64, u8, u64)]) -> Vec<u8> {
        let sector = |numbers: &[u64]| {
            let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            bytes.resize(512, 0);
            bytes
        };
        let mut bytes = sector(&[MAGIC, VERSION, 0, SECTOR_BYTES]);
        for (at, fill, flags) in writes {
            bytes.extend(sector(&[*at, u64::from(flags & FLUSH == 0), *flags, 0]));
            if flags & FLUSH == 0 {
                bytes.extend([*fill; 512]);
            }
        }
        bytes
    }

    fn replayed(log_bytes: &[u8], seed: u64) -> (Lost, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let (log, disk) = (folder.path().join("log"), folder.path().join("disk"));
        std::fs::write(&log, log_bytes).unwrap();
        std::fs::write(&disk, vec![0; 8 * 512]).unwrap();
        let lost = replay(&log, &disk, &mut Random::new(seed)).unwrap();
        (lost, std::fs::read(&disk).unwrap())
    }

    #[test]
    fn what_was_flushed_is_never_lost_and_what_was_not_sometimes() {
        let bytes = log(&[(0, 1, 0), (1, 2, 0), (0, 0, FLUSH), (2, 3, 0), (3, 4, 0), (4, 5, FUA)]);
        let mut losses = Vec::new();
        for seed in 0..40 {
            let (lost, disk) = replayed(&bytes, seed);
            assert_eq!((disk[0], disk[512], disk[4 * 512]), (1, 2, 5));
            assert_eq!(lost.writes, 6);
            losses.push(lost.lost);
        }
        assert!(losses.contains(&0) && losses.contains(&1) && losses.contains(&2), "{losses:?}");
        assert_eq!(replayed(&bytes, 7), replayed(&bytes, 7));
    }

    #[test]
    fn a_log_that_ends_in_the_middle_is_read_up_to_there() {
        let bytes = log(&[(0, 1, 0), (0, 0, FLUSH), (1, 2, 0)]);
        let (lost, disk) = replayed(&bytes[..bytes.len() - 100], 1);
        assert_eq!((lost.writes, disk[0], disk[512]), (2, 1, 0));
        assert_eq!(replayed(&[], 1).0, Lost::default());
    }

    #[test]
    fn a_log_without_a_flush_has_no_head_yet() {
        let mut bytes = log(&[(0, 1, 0), (1, 2, 0)]);
        bytes[..512].fill(0);
        let of = |seed| replayed(&bytes, seed);
        assert!((0..40).all(|seed| of(seed).0.writes == 2));
        assert!((0..40).any(|seed| of(seed).1[0] == 1) && (0..40).any(|seed| of(seed).1[0] == 0));
    }

    #[test]
    fn something_else_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, [1; 600]).unwrap();
        assert!(replay(&path, &path, &mut Random::new(1)).is_err());
    }
}
