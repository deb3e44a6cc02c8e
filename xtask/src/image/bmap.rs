//! The bmap of an image: which blocks a flasher must write (the format of bmaptool, version 2.0).
//!
//! What it leaves out is never "zero here" but "does not matter here": free clusters, and what lies between
//! partitions. Zeros inside a file or a FAT are listed, since the card may hold something else there.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::sink::{BLOCK_BYTES, Written};
use crate::digest::hex;

/// The text of the bmap.
pub fn render(image: &Written) -> String {
    let block = BLOCK_BYTES as u64;
    let mapped: u64 = image.ranges.iter().map(|range| range.end.div_ceil(block) - range.start / block).sum();
    let mut lines = String::new();
    for range in &image.ranges {
        let (first, last) = (range.start / block, range.end.div_ceil(block) - 1);
        let blocks = if first == last { format!("{first}") } else { format!("{first}-{last}") };
        let sum = range.sha256.as_ref().map(|sum| format!(" chksum=\"{sum}\"")).unwrap_or_default();
        let _ = writeln!(lines, "        <Range{sum}> {blocks} </Range>");
    }
    let text = |checksum: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    \
             <ImageSize> {} </ImageSize>\n    \
             <BlockSize> {block} </BlockSize>\n    \
             <BlocksCount> {} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    \
             <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {checksum} </BmapFileChecksum>\n    \
             <BlockMap>\n{lines}    </BlockMap>\n</bmap>\n",
            image.bytes,
            image.bytes.div_ceil(block),
        )
    };
    // The file's own checksum is taken with zeros in its place.
    let checksum = hex(&Sha256::digest(text(&"0".repeat(64))));
    text(&checksum)
}
