//! The partitions of an image but the root: the FAT ones, what people find on the first of them, a Pi's boot state.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use contract::boot::Slot;
use contract::gpt::SECTOR_BYTES;
use contract::partitions::{BOOT_BYTES, CONFIG_BYTES, ESP_BYTES, STATE_BYTES};
use contract::state::{MARK_SECTOR, Seen, State, encode_mark};

use super::Part;
use super::fat::{self, FatPlan};
use crate::tree::Content;

/// The config partition: what Windows and macOS show when the card is put in.
const CONFIG: FatPlan = FatPlan { label: "CLOUDY", volume_id: 0xC10D_0001, bytes: CONFIG_BYTES, cluster_bytes: 512 };
/// The EFI system partition.
const ESP: FatPlan = FatPlan { label: "CLOUDY-ESP", volume_id: 0xC10D_0002, bytes: ESP_BYTES, cluster_bytes: 4096 };

/// A slot's boot partition on a Pi; U-Boot reads large clusters quicker, a FAT32 of this size has no larger ones.
const BOOT: FatPlan = FatPlan { label: "CLOUDY-BOOT", volume_id: 0xC10D_0003, bytes: BOOT_BYTES, cluster_bytes: 2048 };
/// So many bytes of the state and of an empty boot partition are written, so that nothing of a card's former life is
/// believed.
const CLEARED_BYTES: u64 = 64 << 10;

/// What people read on the config partition.
const README: &str = include_str!("config-readme.txt");

/// The files of a shipped config partition: a README for people, and `example`, the commented `cloudy.toml`.
/// It is named `cloudy.toml.example`, so that a node that nobody touched has no settings, rather than an example's.
pub fn config_files(example: &str) -> Vec<(String, Content)> {
    let text = |text: &str| Content::Bytes(text.replace('\n', "\r\n").into_bytes().into());
    vec![("README.txt".to_owned(), text(README)), ("cloudy.toml.example".to_owned(), text(example))]
}

/// Makes the config partition as a sparse file.
pub fn config_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    fat::build(&CONFIG, files, out)
}

/// Makes the EFI system partition as a sparse file.
pub fn esp_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    fat::build(&ESP, files, out)
}

/// Makes slot a's boot partition of a Pi as a sparse file. It bears the mark of a slot that was confirmed.
pub fn boot_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    let part = fat::build(&BOOT, files, out)?;
    let file = OpenOptions::new().write(true).open(out)?;
    file.write_all_at(&encode_mark(State::SHIPPED.sequence), MARK_SECTOR * SECTOR_BYTES as u64)?;
    Ok(part)
}

/// Makes slot b's, which is empty until the first update.
pub fn empty_boot_part(out: &Path) -> Result<Part> {
    let file = File::create(out).with_context(|| format!("failed to make `{}`", out.display()))?;
    file.set_len(BOOT_BYTES)?;
    Ok(Part { file: out.to_owned(), bytes: BOOT_BYTES, used: CLEARED_BYTES })
}

/// Makes the boot state of a new card: slot a is confirmed, in both records.
pub fn state_part(out: &Path) -> Result<Part> {
    let file = File::create(out).with_context(|| format!("failed to make `{}`", out.display()))?;
    file.set_len(STATE_BYTES)?;
    let empty = Seen { records: [None, None], marks: [None, None] };
    for write in empty.store(State { sequence: 0, ..State::SHIPPED }) {
        file.write_all_at(&write.bytes, write.place.sector() * SECTOR_BYTES as u64)?;
    }
    debug_assert_eq!(State::SHIPPED.confirmed, Slot::A);
    Ok(Part { file: out.to_owned(), bytes: STATE_BYTES, used: CLEARED_BYTES })
}
