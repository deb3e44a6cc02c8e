//! Writing an image onto a card, and reading it back.
//!
//! First both places of a partition table are emptied, then everything but the table is written and read back, and the
//! table comes last: a card whose writing was cut, or which lost a byte, is no node and is not taken for one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::map::Piece;
use super::{Load, TABLE_BYTES};
use crate::digest::hex;
use crate::ui;

/// How much is read and written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// After so many bytes the card is waited for, so that the progress tells the truth.
const SYNC_EVERY_BYTES: u64 = 32 << 20;
/// The image's start, with the partition table, is written last.
const HELD_BACK_BYTES: u64 = 1 << 20;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were written.
    pub bytes: u64,
    /// Bytes that were read back and compared.
    pub verified: u64,
}

/// A piece as it is on the card now.
pub(super) struct Done {
    pub(super) start: u64,
    pub(super) end: u64,
    sha256: String,
}

/// Writes `load` onto `card`, which has `card_bytes`, and reads it back.
///
/// # Errors
/// When the image does not agree with its bmap, when the card can't be written, and when it gives back something else.
/// Whenever that is, the card holds no partition table.
pub fn write(load: &Load, card: &File, card_bytes: u64) -> Result<Written> {
    wipe(card, card_bytes).context("failed to take the old partition table off the card")?;
    let pieces = load.pieces();
    let bytes = load.mapped_bytes();
    let (held, done) = {
        let _step = ui::step(format!("writing {} MB of {}", bytes / 1_000_000, load.source.bytes() / 1_000_000));
        copy(load, card, &pieces, bytes)?
    };
    let _step = ui::step("reading it back");
    verify(card, &done)?;
    let mut table = Vec::new();
    for (start, content) in held {
        put(card, &content, start)?;
        table.push(Done { start, end: start + content.len() as u64, sha256: hex(&Sha256::digest(&content)) });
    }
    settle(card)?;
    if let Err(error) = verify(card, &table) {
        let _ = wipe(card, card_bytes);
        return Err(error);
    }
    let verified = done.iter().chain(&table).map(|piece| piece.end - piece.start).sum();
    Ok(Written { bytes, verified })
}

/// Empties the places where a partition table may lie: an old one at the end would be found by those who miss the first.
fn wipe(card: &File, card_bytes: u64) -> io::Result<()> {
    let zeros = vec![0; HELD_BACK_BYTES.max(TABLE_BYTES) as usize];
    let start = HELD_BACK_BYTES.min(card_bytes);
    card.write_all_at(&zeros[..start as usize], 0)?;
    let end = TABLE_BYTES.min(card_bytes);
    card.write_all_at(&zeros[..end as usize], card_bytes - end)?;
    card.sync_data()
}

/// Writes all but what is held back; returns that, and what was written.
#[expect(clippy::type_complexity, reason = "two lists that only `write` takes apart")]
pub(super) fn copy(load: &Load, card: &File, pieces: &[Piece], bytes: u64) -> Result<(Vec<(u64, Vec<u8>)>, Vec<Done>)> {
    let progress = ui::progress(bytes, "written");
    let mut stream = load.source.stream()?;
    let (mut held, mut done, mut unsynced) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    for piece in pieces {
        let reading = || format!("failed to read the image `{}`", load.source.path().display());
        stream.skip_to(piece.start).with_context(reading)?;
        let (mut claimed, mut at) = (Sha256::new(), piece.start);
        let mut written: Option<(u64, Sha256)> = None;
        while at < piece.end {
            // A chunk lies on one side of the border.
            let border = if at < HELD_BACK_BYTES { HELD_BACK_BYTES } else { u64::MAX };
            let len = (piece.end.min(border) - at).min(CHUNK_BYTES as u64) as usize;
            let chunk = &mut buffer[..len];
            stream.read_exact(chunk).with_context(reading)?;
            claimed.update(&*chunk);
            load.patch.lay(at, chunk);
            if at < HELD_BACK_BYTES {
                held.push((at, chunk.to_vec()));
            } else {
                put(card, chunk, at)?;
                written.get_or_insert_with(|| (at, Sha256::new())).1.update(&*chunk);
                unsynced += len as u64;
            }
            at += len as u64;
            progress.add(len as u64);
            if unsynced >= SYNC_EVERY_BYTES {
                settle(card)?;
                unsynced = 0;
            }
        }
        let found = hex(&claimed.finalize());
        if piece.sha256.as_ref().is_some_and(|expected| *expected != found) {
            bail!(
                "the image `{}` is not the one that its bmap describes (bytes {} to {}): build or download it again",
                load.source.path().display(),
                piece.start,
                piece.end
            );
        }
        if let Some((start, hash)) = written {
            done.push(Done { start, end: piece.end, sha256: hex(&hash.finalize()) });
        }
    }
    settle(card)?;
    Ok((held, done))
}

fn put(card: &File, bytes: &[u8], at: u64) -> Result<()> {
    card.write_all_at(bytes, at).map_err(|error| broken(error, "written", at))
}

/// Waits until all is on the card, and forgets what is kept of it in memory, so that what is read comes from the card.
fn settle(card: &File) -> Result<()> {
    card.sync_all().context("the card did not take what was written: it or its reader is broken, or it was pulled out")?;
    posix_fadvise(card, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).context("failed to drop the kernel's copy of the card")
}

pub(super) fn verify(card: &File, pieces: &[Done]) -> Result<()> {
    let progress = ui::progress(pieces.iter().map(|piece| piece.end - piece.start).sum(), "read back");
    let mut buffer = vec![0; CHUNK_BYTES];
    for piece in pieces {
        let (mut hash, mut at) = (Sha256::new(), piece.start);
        while at < piece.end {
            let chunk = &mut buffer[..(piece.end - at).min(CHUNK_BYTES as u64) as usize];
            card.read_exact_at(chunk, at).map_err(|error| broken(error, "read", at))?;
            hash.update(&*chunk);
            at += chunk.len() as u64;
            progress.add(chunk.len() as u64);
        }
        if hex(&hash.finalize()) != piece.sha256 {
            bail!(
                "the card gives back something else than was written (bytes {} to {}): it is worn out or smaller than it says; take another",
                piece.start,
                piece.end
            );
        }
    }
    Ok(())
}

fn broken(error: io::Error, what: &str, at: u64) -> anyhow::Error {
    anyhow::Error::new(error)
        .context(format!("the card can't be {what} at byte {at}: it or its reader is broken, or it was pulled out; try another"))
}
