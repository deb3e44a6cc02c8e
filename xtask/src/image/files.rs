//! The FAT partitions of an image, and what people find on the first of them.

use std::path::Path;

use anyhow::Result;
use contract::partitions::{CONFIG_BYTES, ESP_BYTES};

use super::Part;
use super::fat::{self, FatPlan};
use crate::tree::Content;

/// The config partition: what Windows and macOS show when the card is put in.
const CONFIG: FatPlan = FatPlan { label: "CLOUDY", volume_id: 0xC10D_0001, bytes: CONFIG_BYTES, cluster_bytes: 512 };
/// The EFI system partition.
const ESP: FatPlan = FatPlan { label: "CLOUDY-ESP", volume_id: 0xC10D_0002, bytes: ESP_BYTES, cluster_bytes: 4096 };

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
