//! Writing a disk and reading it back. The partition table comes last, after all else was read back: a disk whose writing was
//! cut, or which lost a byte, is no node and is not taken for one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use contract::gpt;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

/// Bytes at the end of a disk that may hold a partition table.
pub const TABLE_BYTES: u64 = ((gpt::TABLE_SECTORS + 1) as usize * gpt::SECTOR_BYTES) as u64;
/// The start of what is written, with the partition table, is written last; before it, the table's copy at the end.
pub const HELD_BACK_BYTES: u64 = 1 << 20;
/// How much is read and written at once.
const CHUNK_BYTES: u64 = 1 << 20;
/// After so many bytes the disk is waited for, so that the progress tells the truth.
const SYNC_EVERY_BYTES: u64 = 32 << 20;

/// Any error of a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A run of bytes: the first, and the one after the last.
pub type Piece = (u64, u64);

/// Where the bytes come from.
pub trait Source {
    /// Fills `chunk` with the bytes that belong at byte `at` of the disk. Asked front to back, each byte once.
    ///
    /// # Errors
    /// When they can't be read.
    fn read(&mut self, at: u64, chunk: &mut [u8]) -> Result<(), BoxError>;

    /// All bytes of that piece were asked for.
    ///
    /// # Errors
    /// When they are not what they should be.
    fn end(&mut self, piece: Piece) -> Result<(), BoxError> {
        let _ = piece;
        Ok(())
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bytes go to the disk.
    Writing,
    /// They are read from it and compared.
    ReadingBack,
}

/// Who is told how far it is.
pub trait Progress {
    /// A phase of so many bytes begins.
    fn begin(&mut self, phase: Phase, bytes: u64);
    /// So many more are done.
    fn add(&mut self, bytes: u64);
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were written.
    pub bytes: u64,
    /// Bytes that were read back and compared.
    pub verified: u64,
}

/// Why a disk was not written. Whenever that is, it holds no partition table.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It was not even begun.
    #[error("failed to take the old partition table off the disk")]
    Wipe(#[source] io::Error),
    /// The bytes can't be had.
    #[error(transparent)]
    Source(BoxError),
    /// The disk fails.
    #[error("the disk can't be {what} at byte {at}: it or its reader is broken, or it was pulled out; try another")]
    Broken {
        /// `written`, `read`.
        what: &'static str,
        /// Where.
        at: u64,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The disk fails later.
    #[error("the disk did not take what was written: it or its reader is broken, or it was pulled out")]
    Unsettled(#[source] io::Error),
    /// The disk lies.
    #[error(
        "the disk gives back something else than was written (bytes {start} to {end}): it is worn out or smaller than it says; take another"
    )]
    Different {
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
}

type Result<T, E = WriteError> = std::result::Result<T, E>;

/// A piece as it must be on the disk now.
struct Done {
    start: u64,
    end: u64,
    sha256: [u8; 32],
}

/// Writes `pieces` (in order, apart from each other) of `source` onto `disk`, which has `disk_bytes`, and reads them back.
///
/// # Errors
/// When the source fails, when the disk can't be written, and when it gives back something else.
pub fn write(source: &mut dyn Source, pieces: &[Piece], disk: &File, disk_bytes: u64, progress: &mut dyn Progress) -> Result<Written> {
    wipe(disk, disk_bytes).map_err(WriteError::Wipe)?;
    let bytes = pieces.iter().map(|(start, end)| end - start).sum();
    progress.begin(Phase::Writing, bytes);
    let (held, done) = copy(source, pieces, disk, disk_bytes, progress)?;
    progress.begin(Phase::ReadingBack, bytes);
    verify(disk, &done, progress)?;
    let ended = hand_out(&held, disk, progress);
    if ended.is_err() {
        let _ = wipe(disk, disk_bytes);
    }
    ended?;
    Ok(Written { bytes, verified: bytes })
}

/// Writes what was held back, the end before the start, each on the disk before the next, and reads it back.
fn hand_out(held: &[(u64, Vec<u8>)], disk: &File, progress: &mut dyn Progress) -> Result<()> {
    let mut table = Vec::new();
    for (start, content) in held.iter().rev() {
        put(disk, content, *start)?;
        settle(disk)?;
        table.push(Done { start: *start, end: start + content.len() as u64, sha256: Sha256::digest(content).into() });
    }
    verify(disk, &table, progress)
}

/// Empties the places where a partition table may lie: an old one at the end would be found by those who miss the first.
fn wipe(disk: &File, disk_bytes: u64) -> io::Result<()> {
    let zeros = vec![0; HELD_BACK_BYTES.max(TABLE_BYTES) as usize];
    let start = HELD_BACK_BYTES.min(disk_bytes);
    disk.write_all_at(&zeros[..start as usize], 0)?;
    let end = TABLE_BYTES.min(disk_bytes);
    disk.write_all_at(&zeros[..end as usize], disk_bytes - end)?;
    disk.sync_data()
}

/// Writes all but what is held back; returns that, in order, and what was written.
#[expect(clippy::type_complexity, reason = "two lists that only `write` takes apart")]
fn copy(
    source: &mut dyn Source,
    pieces: &[Piece],
    disk: &File,
    disk_bytes: u64,
    progress: &mut dyn Progress,
) -> Result<(Vec<(u64, Vec<u8>)>, Vec<Done>)> {
    let (mut held, mut done, mut unsynced) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    // A table of a disk that is larger than an image lies at the disk's end.
    let borders = [HELD_BACK_BYTES, disk_bytes.saturating_sub(TABLE_BYTES).max(HELD_BACK_BYTES)];
    for &(start, end) in pieces {
        let mut at = start;
        let mut written: Option<(u64, u64, Sha256)> = None;
        while at < end {
            // A chunk lies on one side of each border.
            let border = borders.into_iter().find(|border| at < *border).unwrap_or(u64::MAX);
            let len = (end.min(border) - at).min(CHUNK_BYTES);
            let chunk = &mut buffer[..len as usize];
            source.read(at, chunk).map_err(WriteError::Source)?;
            if (borders[0]..borders[1]).contains(&at) {
                put(disk, chunk, at)?;
                let (_, until, hash) = written.get_or_insert_with(|| (at, at, Sha256::new()));
                hash.update(&*chunk);
                *until = at + len;
                unsynced += len;
            } else {
                held.push((at, chunk.to_vec()));
            }
            at += len;
            progress.add(len);
            if unsynced >= SYNC_EVERY_BYTES {
                settle(disk)?;
                unsynced = 0;
            }
        }
        source.end((start, end)).map_err(WriteError::Source)?;
        if let Some((start, end, hash)) = written {
            done.push(Done { start, end, sha256: hash.finalize().into() });
        }
    }
    settle(disk)?;
    Ok((held, done))
}

fn put(disk: &File, bytes: &[u8], at: u64) -> Result<()> {
    disk.write_all_at(bytes, at).map_err(|source| WriteError::Broken { what: "written", at, source })
}

/// Waits until all is on the disk, and forgets what is kept of it in memory, so that what is read comes from the disk.
fn settle(disk: &File) -> Result<()> {
    disk.sync_all().map_err(WriteError::Unsettled)?;
    posix_fadvise(disk, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(|error| WriteError::Unsettled(error.into()))
}

fn verify(disk: &File, pieces: &[Done], progress: &mut dyn Progress) -> Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    for &Done { start, end, sha256 } in pieces {
        let (mut hash, mut at) = (Sha256::new(), start);
        while at < end {
            let chunk = &mut buffer[..(end - at).min(CHUNK_BYTES) as usize];
            disk.read_exact_at(chunk, at).map_err(|source| WriteError::Broken { what: "read", at, source })?;
            hash.update(&*chunk);
            at += chunk.len() as u64;
            progress.add(chunk.len() as u64);
        }
        if <[u8; 32]>::from(hash.finalize()) != sha256 {
            return Err(WriteError::Different { start, end });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
