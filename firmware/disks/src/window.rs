//! A range of a file as a disk of its own: a partition inside an image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// `len` bytes of `file` from `offset` on. Reads end at its end, writes beyond it fail.
pub struct Window {
    file: File,
    offset: u64,
    len: u64,
    position: u64,
}

impl Window {
    /// The bytes `offset..offset + len` of `file`.
    pub fn new(file: File, offset: u64, len: u64) -> Self {
        Self { file, offset, len, position: 0 }
    }

    fn left(&self, wanted: usize) -> usize {
        usize::try_from(self.len.saturating_sub(self.position)).map_or(wanted, |left| left.min(wanted))
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.offset + self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Write for Window {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let left = self.left(buffer.len());
        let written = self.file.write_at(&buffer[..left], self.offset + self.position)?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
