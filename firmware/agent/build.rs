//! Packs the API's document: a node carries it for whoever asks, and most of its text is repetition.

use std::path::PathBuf;

/// The document, as a test writes it.
const DOCUMENT: &str = "assets/openapi.json";
/// The best that this packer does.
const LEVEL: u8 = 10;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("cargo says no OUT_DIR"))?;
    let packed = miniz_oxide::deflate::compress_to_vec(&std::fs::read(DOCUMENT)?, LEVEL);
    std::fs::write(PathBuf::from(out).join("openapi.deflate"), packed)
}
