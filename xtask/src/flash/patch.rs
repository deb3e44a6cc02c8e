//! What a card has of its own: settings on its config partition, as blocks that are written over the image's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result};

use super::map::Piece;
use crate::image::{Window, fat};

/// Unit in which images are compared.
const BLOCK_BYTES: usize = 4096;
/// The file that a node reads.
const SETTINGS_FILE: &str = "cloudy.toml";

/// Blocks by their first byte in the image.
#[derive(Default)]
pub struct Patch(BTreeMap<u64, Vec<u8>>);

impl Patch {
    /// `text` as `cloudy.toml` on the config partition `before`, which lies at `offset` of the image.
    pub fn config(before: &[u8], offset: u64, text: &str) -> Result<Self> {
        let after = with_settings(before, text).context("failed to put the settings onto the image's config partition")?;
        let blocks = before.chunks(BLOCK_BYTES).zip(after.chunks(BLOCK_BYTES)).enumerate();
        let changed = blocks.filter(|(_, (old, new))| old != new);
        Ok(Self(changed.map(|(index, (_, new))| (offset + (index * BLOCK_BYTES) as u64, new.to_vec())).collect()))
    }

    /// Lays the blocks over `bytes`, which lie at `at` of the image.
    pub fn lay(&self, at: u64, bytes: &mut [u8]) {
        let end = at + bytes.len() as u64;
        for (&start, block) in self.0.range(at.saturating_sub(BLOCK_BYTES as u64)..end) {
            let (from, to) = (start.max(at), (start + block.len() as u64).min(end));
            if from < to {
                let old = &mut bytes[(from - at) as usize..(to - at) as usize];
                old.copy_from_slice(&block[(from - start) as usize..(to - start) as usize]);
            }
        }
    }

    /// The pieces, and the blocks that lie in none of them, in order.
    pub fn widen(&self, pieces: &[Piece]) -> Vec<Piece> {
        let mut all = pieces.to_vec();
        for (&start, block) in &self.0 {
            let end = start + block.len() as u64;
            // Partitions and bmaps both count in whole blocks, so that a block lies in a piece or outside of all.
            if !pieces.iter().any(|piece| piece.start <= start && end <= piece.end) {
                all.push(Piece { start, end, sha256: None });
            }
        }
        all.sort_by_key(|piece| piece.start);
        all
    }
}

/// Names of the files at the top of the config partition `bytes`.
pub fn top(bytes: &[u8]) -> Result<Vec<String>> {
    let fat = fat::open(Window::new(copy(bytes)?, 0, bytes.len() as u64))?;
    let entries = fat.root_dir().iter().collect::<std::io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().filter(|entry| entry.is_file()).map(|entry| entry.file_name()).collect())
}

/// A file of these bytes, gone when it is closed.
fn copy(bytes: &[u8]) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    Ok(file)
}

/// The FAT file system `before` with the settings in it.
fn with_settings(before: &[u8], text: &str) -> Result<Vec<u8>> {
    let mut file = copy(before)?;
    {
        let fat = fat::open(Window::new(file.try_clone()?, 0, before.len() as u64))?;
        fat::put_top(&fat, SETTINGS_FILE, with_windows_line_ends(text).as_bytes())?;
        fat.unmount()?;
    }
    let mut after = Vec::with_capacity(before.len());
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut after)?;
    Ok(after)
}

/// Windows' editor knows its own line ends only. What was written with it has them already.
fn with_windows_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_are_laid_wherever_they_meet(at in 0u64..20_000, len in 0usize..9000) {
            let patch = Patch([(4096, vec![7; 4096]), (12_288, vec![9; 4096])].into());
            let mut bytes = vec![0; len];
            patch.lay(at, &mut bytes);
            for (index, byte) in bytes.iter().enumerate() {
                let place = at + index as u64;
                let expected = match place { 4096..8192 => 7, 12_288..16_384 => 9, _ => 0 };
                prop_assert_eq!(*byte, expected, "{}", place);
            }
        }
    }

    #[test]
    fn each_line_ends_once_whatever_editor_wrote_it() {
        assert_eq!(with_windows_line_ends("a = 1\nb = 2\n"), "a = 1\r\nb = 2\r\n");
        let twice = with_windows_line_ends(&with_windows_line_ends("a = 1\n"));
        assert_eq!(twice, "a = 1\r\n");
        assert!(twice.parse::<toml::Table>().is_ok());
    }

    #[test]
    fn a_block_outside_of_every_piece_is_added_in_order() {
        let piece = |start, end| Piece { start, end, sha256: None };
        let patch = Patch([(0, vec![0; 4096]), (8192, vec![0; 4096])].into());
        assert_eq!(patch.widen(&[piece(0, 4096), piece(16_384, 20_480)]), [piece(0, 4096), piece(8192, 12_288), piece(16_384, 20_480)]);
    }
}
