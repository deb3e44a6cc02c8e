//! `Image → card`: what is put on a disk, and the bytes for it. Which disk may be written is decided in `disks::rules`, from
//! what sysfs and mountinfo show; `disks::write` writes it and reads it back.

mod choices;
mod map;
mod patch;
mod source;
#[cfg(test)]
mod tests;

pub use choices::Choices;
pub use source::Source;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use contract::partitions::{Layout, Role};
use disks::{BoxError, Needs, Phase, Written};
use sha2::{Digest, Sha256};

use crate::board::Board;
use crate::digest::hex;
use crate::ui;

use patch::Patch;

/// An image that is ready to be put on a card: its bytes, what of them matters, and what this card has of its own.
pub struct Load {
    /// The bytes.
    pub source: Source,
    /// What is written over them.
    patch: Patch,
    /// How its board boots.
    pub layout: Layout,
    /// Names of the files at the top of its config partition.
    top: Vec<String>,
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
    let start = source.start(config.offset() + config.bytes())?;
    let bytes = start.get(usize::try_from(config.offset())?..).unwrap_or_default();
    let patch = match settings {
        Some(text) => Patch::config(bytes, config.offset(), text)?,
        None => Patch::default(),
    };
    let top = patch::top(bytes).with_context(|| format!("failed to read the config partition of `{}`", image.display()))?;
    Ok(Load { source, patch, layout, top })
}

/// Why an image with that layout and those files at the top of its config partition does not start `board`; `None` where nothing
/// tells against it.
fn stranger(layout: Layout, top: &[String], board: &Board) -> Option<String> {
    let own = board.boot_flow.layout();
    if layout != own {
        let started = |layout| if layout == Layout::Uefi { "UEFI" } else { "U-Boot" };
        return Some(format!("it is started by {}, the board by {}", started(layout), started(own)));
    }
    // A Pi's firmware takes its model's tree from there.
    let lacks = board.raspberry_pi.is_some() && !board.device_trees.files.iter().any(|tree| top.contains(tree));
    lacks.then(|| format!("it has none of the board's device trees ({})", board.device_trees.files.join(", ")))
}

impl Load {
    /// # Errors
    /// When the image is another board's.
    pub fn check_board(&self, board: &Board) -> Result<()> {
        match stranger(self.layout, &self.top, board) {
            Some(why) => {
                bail!("`{}` is no image of {} ({}): {why}; is it another board's?", self.source.path().display(), board.name, board.title)
            }
            None => Ok(()),
        }
    }

    /// What a disk must have for it.
    pub fn needs(&self) -> Needs {
        Needs { image_bytes: self.source.bytes(), node_bytes: self.layout.min_disk_bytes() }
    }

    /// All that is written, in order: what the bmap names, and what the settings changed.
    fn pieces(&self) -> Vec<map::Piece> {
        self.patch.widen(self.source.pieces())
    }
}

/// Writes `load` onto `card`, which has `card_bytes`, and reads it back.
///
/// # Errors
/// When the image does not agree with its bmap, when the card can't be written, and when it gives back something else.
/// Whenever that is, the card holds no partition table.
pub fn write(load: &Load, card: &File, card_bytes: u64) -> Result<Written> {
    let pieces = load.pieces();
    let ends: Vec<disks::Piece> = pieces.iter().map(|piece| (piece.start, piece.end)).collect();
    let stream = load.source.stream()?;
    let mut image = Image { load, pieces: &pieces, stream, claimed: Sha256::new() };
    Ok(disks::write(&mut image, &ends, card, card_bytes, &mut Shown { load, bar: None })?)
}

/// The image's bytes with the settings laid over them; what its bmap claims of them is held against them on the way.
struct Image<'a> {
    load: &'a Load,
    /// Those that are still to come.
    pieces: &'a [map::Piece],
    stream: source::Stream,
    claimed: Sha256,
}

impl disks::Source for Image<'_> {
    fn read(&mut self, at: u64, chunk: &mut [u8]) -> Result<(), BoxError> {
        let read = self.stream.skip_to(at).and_then(|()| self.stream.read_exact(chunk));
        read.with_context(|| format!("failed to read the image `{}`", self.load.source.path().display()))?;
        self.claimed.update(&*chunk);
        self.load.patch.lay(at, chunk);
        Ok(())
    }

    fn end(&mut self, (start, end): disks::Piece) -> Result<(), BoxError> {
        let found = hex(&std::mem::take(&mut self.claimed).finalize());
        let Some((piece, rest)) = self.pieces.split_first() else { return Ok(()) };
        self.pieces = rest;
        if piece.sha256.as_ref().is_some_and(|expected| *expected != found) {
            let path = self.load.source.path().display();
            let wrong =
                anyhow!("the image `{path}` is not the one that its bmap describes (bytes {start} to {end}): build or download it again");
            return Err(wrong.into());
        }
        Ok(())
    }
}

/// A bar for each phase.
struct Shown<'a> {
    load: &'a Load,
    bar: Option<(ui::Progress, ui::Step)>,
}

impl disks::Progress for Shown<'_> {
    fn begin(&mut self, phase: Phase, bytes: u64) {
        self.bar = None;
        let (step, label) = match phase {
            Phase::Writing => (format!("writing {} MB of {}", bytes / 1_000_000, self.load.source.bytes() / 1_000_000), "written"),
            Phase::ReadingBack => ("reading it back".to_owned(), "read back"),
        };
        let step = ui::step(step);
        self.bar = Some((ui::progress(bytes, label), step));
    }

    fn add(&mut self, bytes: u64) {
        if let Some((bar, _)) = &self.bar {
            bar.add(bytes);
        }
    }
}
