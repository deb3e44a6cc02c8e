//! `Image → card`: which disk may be written, what is put on it, writing, reading back.
//!
//! `rules` decides from a [`Disk`], the disk as sysfs and mountinfo show it; `write` only acts. A card whose writing was
//! cut has no partition table, so nothing takes it for a node.

mod choices;
mod disk;
mod map;
mod patch;
mod rules;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use choices::Choices;
pub use disk::{Disk, Found, Host};
pub use rules::{Needs, judge};
pub use source::Source;
pub use write::{Written, write};

use std::path::Path;

use anyhow::{Context, Result};
use contract::gpt;
use contract::partitions::{Layout, Role};

use patch::Patch;

/// An image that is ready to be put on a card: its bytes, what of them matters, and what this card has of its own.
pub struct Load {
    /// The bytes.
    pub source: Source,
    /// What is written over them.
    patch: Patch,
    /// How its board boots.
    pub layout: Layout,
}

/// Opens an image (`.img` or `.img.xz`) and, where `settings` is given, puts it onto its config partition as `cloudy.toml`.
///
/// # Errors
/// When the file is no image of cloudy, or does not agree with its bmap.
pub fn prepare(image: &Path, settings: Option<&str>) -> Result<Load> {
    let source = Source::open(image)?;
    let table = source.table()?;
    let (_, config) = table
        .by_name(Role::Config.label())
        .with_context(|| format!("`{}` has no partition called `config`: it is no image of cloudy", image.display()))?;
    let layout = if table.by_name(Role::Esp.label()).is_some() { Layout::Uefi } else { Layout::Uboot };
    let patch = match settings {
        Some(text) => Patch::config(&source, config, text)?,
        None => Patch::default(),
    };
    Ok(Load { source, patch, layout })
}

impl Load {
    /// What a disk must have for it.
    pub fn needs(&self) -> Needs {
        Needs { image_bytes: self.source.bytes(), node_bytes: self.layout.min_disk_bytes() }
    }

    /// How many bytes will be written.
    pub fn mapped_bytes(&self) -> u64 {
        self.pieces().iter().map(|piece| piece.end - piece.start).sum()
    }

    /// All that is written, in order: what the bmap names, and what the settings changed.
    fn pieces(&self) -> Vec<map::Piece> {
        self.patch.widen(self.source.pieces())
    }
}

/// Bytes at either end of a disk that may hold a partition table.
const TABLE_BYTES: u64 = ((gpt::TABLE_SECTORS + 1) as usize * gpt::SECTOR_BYTES) as u64;
