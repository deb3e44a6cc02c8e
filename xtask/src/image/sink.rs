//! Writes an image front to back: holes where nothing is, checksums on the way.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::digest::hex;

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
    /// Checksum of the bytes between, if sums were wanted.
    pub sha256: Option<String>,
}

/// An image being written. Every method appends; what was written is known by [`Sink::finish`].
///
/// Checksums take several times as long as writing: they are taken where somebody wants them, and the one over all and
/// those of the ranges have a thread each.
pub struct Sink {
    file: File,
    at: u64,
    sums: Option<Summers>,
    ranges: Vec<(u64, u64)>,
    open: Option<u64>,
}

/// The two threads.
struct Summers {
    whole: Summer<WholePart>,
    parts: Summer<RangePart>,
}

/// A thread that sums what it is sent.
struct Summer<M> {
    to: SyncSender<M>,
    thread: JoinHandle<Sums>,
}

/// What the thread over the whole file is sent.
enum WholePart {
    Bytes(Arc<Vec<u8>>),
    Zeros(u64),
}

/// What the thread over the ranges is sent.
enum RangePart {
    Bytes(Arc<Vec<u8>>),
    End,
}

/// What a thread found: the whole's sum, or the ranges' in their order.
enum Sums {
    Whole(String),
    Ranges(Vec<String>),
}

/// So many chunks may wait for a thread.
const WAITING_CHUNKS: usize = 8;

impl<M: Send + 'static> Summer<M> {
    fn start(work: impl FnOnce(Receiver<M>) -> Sums + Send + 'static) -> Self {
        let (to, from) = sync_channel(WAITING_CHUNKS);
        Self { to, thread: std::thread::spawn(move || work(from)) }
    }

    fn send(&self, message: M) -> io::Result<()> {
        self.to.send(message).map_err(|_| io::Error::other("the thread that sums the image ended"))
    }

    fn finish(self) -> io::Result<Sums> {
        drop(self.to);
        self.thread.join().map_err(|_| io::Error::other("the thread that sums the image panicked"))
    }
}

fn sum_whole(from: Receiver<WholePart>) -> Sums {
    let mut sum = Sha256::new();
    let zeros = vec![0; CHUNK_BYTES];
    for part in from {
        match part {
            WholePart::Bytes(bytes) => sum.update(&bytes[..]),
            WholePart::Zeros(mut left) => {
                while left > 0 {
                    let chunk = left.min(CHUNK_BYTES as u64);
                    sum.update(&zeros[..chunk as usize]);
                    left -= chunk;
                }
            }
        }
    }
    Sums::Whole(hex(&sum.finalize()))
}

fn sum_ranges(from: Receiver<RangePart>) -> Sums {
    let mut sums = Vec::new();
    let mut sum = Sha256::new();
    for part in from {
        match part {
            RangePart::Bytes(bytes) => sum.update(&bytes[..]),
            RangePart::End => sums.push(hex(&std::mem::take(&mut sum).finalize())),
        }
    }
    Sums::Ranges(sums)
}

/// What was written.
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// Checksum of the whole file, holes read as zeros, if sums were wanted.
    pub sha256: Option<String>,
    /// What a flasher must write, in order.
    pub ranges: Vec<Range>,
}

impl Sink {
    /// Writes into a file that is empty, taking sums on the way if they are `summed`.
    pub fn new(file: File, summed: bool) -> Self {
        let sums = summed.then(|| Summers { whole: Summer::start(sum_whole), parts: Summer::start(sum_ranges) });
        Self { file, at: 0, sums, ranges: Vec::new(), open: None }
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Appends bytes that a flasher must write.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin();
        self.append(bytes.to_vec()).map(|_| ())
    }

    /// Appends the next `len` bytes of `from` that a flasher must write, zeros among them too.
    pub fn copy(&mut self, from: &mut File, len: u64) -> io::Result<()> {
        self.begin();
        if self.sums.is_none() {
            // Nobody looks at them: the kernel copies from file to file.
            self.file.seek(SeekFrom::Start(self.at))?;
            let copied = io::copy(&mut from.take(len), &mut self.file)?;
            self.at += copied;
            return if copied == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let mut left = len;
        let mut buffer = Vec::new();
        while left > 0 {
            let chunk = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            buffer.resize(chunk, 0);
            from.read_exact(&mut buffer)?;
            buffer = self.append(buffer)?;
            left -= chunk as u64;
        }
        Ok(())
    }

    /// Goes on at `to`, over bytes that are zero here and whose value on the card does not matter.
    pub fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let mut left = to.checked_sub(self.at).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // A range ends with a whole block.
        let block = BLOCK_BYTES as u64;
        let rest = (self.at.next_multiple_of(block) - self.at).min(left);
        if self.open.is_some() {
            self.append(vec![0; rest as usize])?;
            left -= rest;
        }
        self.end()?;
        self.at = to;
        if let Some(sums) = &self.sums {
            sums.whole.send(WholePart::Zeros(left))?;
        }
        Ok(())
    }

    /// Sets the file's length, and says what was written.
    pub fn finish(mut self) -> io::Result<Written> {
        self.end()?;
        self.file.set_len(self.at)?;
        let (sha256, mut sums) = match self.sums.map(|sums| Ok::<_, io::Error>((sums.whole.finish()?, sums.parts.finish()?))).transpose()? {
            None => (None, Vec::new()),
            Some((Sums::Whole(whole), Sums::Ranges(ranges))) => (Some(whole), ranges),
            Some(_) => return Err(io::Error::other("the sums of the image are mixed up")),
        };
        sums.reverse();
        let ranges = self.ranges.into_iter().map(|(start, end)| Range { start, end, sha256: sums.pop() }).collect();
        Ok(Written { bytes: self.at, sha256, ranges })
    }

    /// Writes bytes, and gives the buffer back (or another one, if a thread still reads it).
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let bytes = Arc::new(bytes);
        if let Some(sums) = &self.sums {
            sums.whole.send(WholePart::Bytes(bytes.clone()))?;
            if self.open.is_some() {
                sums.parts.send(RangePart::Bytes(bytes.clone()))?;
            }
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
        Ok(Arc::try_unwrap(bytes).unwrap_or_default())
    }

    fn begin(&mut self) {
        self.open.get_or_insert(self.at);
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(start) = self.open.take()
            && start < self.at
        {
            self.ranges.push((start, self.at));
            if let Some(sums) = &self.sums {
                sums.parts.send(RangePart::End)?;
            }
        }
        Ok(())
    }
}
