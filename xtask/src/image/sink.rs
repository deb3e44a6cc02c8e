//! Writes an image front to back: holes where nothing is, checksums on the way.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// Unit in which zeros are left out of the file, and in which a bmap counts.
pub const BLOCK_BYTES: usize = 4096;
/// How much is read and written at once: a multiple of the block.
const CHUNK_BYTES: usize = 1 << 20;

/// A run of bytes that a flasher must write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// Checksum of the bytes between.
    pub sha256: String,
}

/// An image being written. Every method appends; what was written is known by [`Sink::finish`].
pub struct Sink {
    file: File,
    at: u64,
    whole: Sha256,
    ranges: Vec<Range>,
    open: Option<(u64, Sha256)>,
    buffer: Vec<u8>,
}

/// What was written.
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// Checksum of the whole file, holes read as zeros.
    pub sha256: String,
    /// What a flasher must write, in order.
    pub ranges: Vec<Range>,
}

impl Sink {
    /// Writes into an empty file.
    pub fn new(file: File) -> Self {
        Self { file, at: 0, whole: Sha256::new(), ranges: Vec::new(), open: None, buffer: vec![0; CHUNK_BYTES] }
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Appends bytes that a flasher must write.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin();
        self.append(bytes)
    }

    /// Appends `len` bytes of `reader` that a flasher must write, zeros among them too.
    pub fn copy(&mut self, reader: &mut impl Read, len: u64) -> io::Result<()> {
        self.begin();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = len;
        while left > 0 {
            let chunk = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            reader.read_exact(&mut buffer[..chunk])?;
            self.append(&buffer[..chunk])?;
            left -= chunk as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Goes on at `to`, over bytes that are zero here and whose value on the card does not matter.
    pub fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let mut left = to.checked_sub(self.at).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let zeros = vec![0; CHUNK_BYTES];
        // A range ends with a whole block.
        let block = BLOCK_BYTES as u64;
        let rest = (self.at.next_multiple_of(block) - self.at).min(left);
        if self.open.is_some() {
            self.append(&zeros[..rest as usize])?;
            left -= rest;
        }
        self.end();
        self.at = to;
        while left > 0 {
            let chunk = left.min(CHUNK_BYTES as u64);
            self.whole.update(&zeros[..chunk as usize]);
            left -= chunk;
        }
        Ok(())
    }

    /// Sets the file's length, makes sure that it is on the disk, and says what was written.
    pub fn finish(mut self) -> io::Result<Written> {
        self.end();
        self.file.set_len(self.at)?;
        self.file.sync_all()?;
        Ok(Written { bytes: self.at, sha256: hex(&self.whole.finalize()), ranges: self.ranges })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.whole.update(bytes);
        if let Some((_, part)) = &mut self.open {
            part.update(bytes);
        }
        let (mut run, mut at) = (0, 0);
        while at < bytes.len() {
            let to_block_end = BLOCK_BYTES - (self.at as usize + at) % BLOCK_BYTES;
            let next = bytes.len().min(at + to_block_end);
            if bytes[at..next].iter().all(|byte| *byte == 0) {
                self.file.write_all_at(&bytes[run..at], self.at + run as u64)?;
                run = next;
            }
            at = next;
        }
        self.file.write_all_at(&bytes[run..], self.at + run as u64)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn begin(&mut self) {
        if self.open.is_none() {
            self.open = Some((self.at, Sha256::new()));
        }
    }

    fn end(&mut self) {
        if let Some((start, part)) = self.open.take()
            && start < self.at
        {
            self.ranges.push(Range { start, end: self.at, sha256: hex(&part.finalize()) });
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
