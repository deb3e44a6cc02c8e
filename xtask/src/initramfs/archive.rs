//! A cpio archive in the kernel's format (newc): every time is 0 and numbers go up from 1, so that it is the same for
//! everyone. The kernel gives files the time at which it unpacks them.

use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};

/// Archives end at a multiple of this, as cpio(1) writes them.
const BLOCK_BYTES: usize = 512;
/// /dev/console (kernel, Documentation/admin-guide/devices.txt).
const CONSOLE: (u32, u32) = (5, 1);

/// An archive that is being written.
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// An empty one.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), entries: 0 }
    }

    /// A folder of root's; its parents must be there before.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        self.put(Builder::new(path).mode(0o755).nlink(2).set_mode_file_type(ModeFileType::Directory), &[])
    }

    /// A regular file of root's.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.put(Builder::new(path).mode(mode).set_mode_file_type(ModeFileType::Regular), content)
    }

    /// `dev/console`: without it the kernel gives PID 1 no standard streams.
    pub fn console(&mut self) -> io::Result<()> {
        let device = Builder::new("dev/console").mode(0o600).rdev_major(CONSOLE.0).rdev_minor(CONSOLE.1);
        self.put(device.set_mode_file_type(ModeFileType::Char), &[])
    }

    /// The archive's bytes.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        trailer(&mut self.bytes)?;
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        Ok(self.bytes)
    }

    fn put(&mut self, entry: Builder, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut writer = entry.ino(self.entries).write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use proptest::prelude::*;
    use std::io::Read;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new();
        archive.folder("dev").unwrap();
        archive.console().unwrap();
        archive.file("init", 0o755, b"abc").unwrap();
        archive.file("empty", 0o444, b"").unwrap();
        archive.finish().unwrap()
    }

    /// Name, mode, time, number and content of each entry.
    fn read(bytes: &[u8]) -> Vec<(String, u32, u32, u32, Vec<u8>)> {
        let mut rest = bytes;
        let mut seen = Vec::new();
        loop {
            let mut reader = Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                return seen;
            }
            let (name, mode, mtime, ino) = (entry.name().to_owned(), entry.mode(), entry.mtime(), entry.ino());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            seen.push((name, mode, mtime, ino, content));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = sample();
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        let seen = read(&bytes);
        let expected = [("dev", 0o40755, ""), ("dev/console", 0o20600, ""), ("init", 0o100_755, "abc"), ("empty", 0o100_444, "")];
        assert_eq!(seen.len(), expected.len());
        for (seen, (name, mode, content)) in seen.iter().zip(expected) {
            assert_eq!((seen.0.as_str(), seen.1, seen.2, seen.4.as_slice()), (name, mode, 0, content.as_bytes()));
        }
    }

    #[test]
    fn two_runs_are_identical() {
        assert_eq!(sample(), sample());
    }

    proptest! {
        /// Whatever the lengths of names and contents, which the format fills up to multiples of four.
        #[test]
        fn any_files_are_read_back_in_order(
            files in prop::collection::vec(("[a-z./]{1,20}", 0_u32..0o1000, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let mut archive = Archive::new();
            for (name, mode, content) in &files {
                archive.file(name, *mode, content).unwrap();
            }
            let bytes = archive.finish().unwrap();
            prop_assert_eq!(bytes.len() % BLOCK_BYTES, 0);
            let wanted: Vec<(String, u32, u32, u32, Vec<u8>)> = files
                .into_iter()
                .zip(1..)
                .map(|((name, mode, content), number)| (name, 0o100_000 | mode, 0, number, content))
                .collect();
            prop_assert_eq!(read(&bytes), wanted);
        }
    }
}
