//! What Raspberry Pi Imager reads about an image: an entry of an os_list, and a manifest that opens the image where it lies.
//! Shapes are those of Imager's `doc/json-schema/os-list-schema.json`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};

use crate::board::pi::Model;
use crate::board::{Arch, Board};

/// How Imager hands a person's choices over. Every version of it since 1.7 knows this one (`rpi-preseed` came with
/// 2.0.11); the node reads both.
const INIT_FORMAT: &str = "cloudinit";
/// A picture that Imager has in itself.
const ICON: &str = "icons/cat_other_general_purpose_operating_systems.png";
/// What has no meaning of its own in a URL's path stays as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Seconds of a day.
const DAY_SECS: u64 = 86_400;

/// What an entry says of an image.
pub struct Facts<'a> {
    /// The board.
    pub board: &'a Board,
    /// Name of the image, without `.xz`.
    pub image_name: &'a str,
    /// Its length.
    pub image_bytes: u64,
    /// Its checksum.
    pub image_sha256: &'a str,
    /// Length of the `.xz`.
    pub packed_bytes: u64,
    /// Checksum of the `.xz`.
    pub packed_sha256: &'a str,
    /// The time that everything in it has, seconds since 1970.
    pub epoch: u64,
}

/// What follows the image's name in the names of what is written beside it.
pub const FILES: [&str; 2] = ["os_list.json", "rpi-imager-manifest"];

/// Writes `IMAGE.os_list.json` and `IMAGE.rpi-imager-manifest` into `folder`, for an image that lies in `home`; nothing for boards that are no Raspberry Pi.
pub fn write(facts: &Facts<'_>, folder: &Path, home: &Path) -> Result<()> {
    if devices(facts.board).is_empty() {
        return Ok(());
    }
    // Where it is published is for the publisher to put before the names.
    let published = json!({ "os_list": [entry(facts, "")] });
    let here = home.canonicalize().context("failed to tell the folder's path")?;
    let local = manifest(facts, &base_of(&here));
    for (ending, value) in FILES.into_iter().zip([published, local]) {
        let path = folder.join(format!("{}.{ending}", facts.image_name));
        std::fs::write(&path, format!("{value:#}\n")).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

/// The URL of a folder, with its last slash.
fn base_of(folder: &Path) -> String {
    let path = percent_encode(folder.as_os_str().as_bytes(), IN_PATH);
    format!("file://{path}/")
}

/// A manifest that Imager opens: the entry, and the devices that it is for.
pub fn manifest(facts: &Facts<'_>, base: &str) -> Value {
    let tags = devices(facts.board);
    let device = json!({
        "name": facts.board.title, "description": "", "tags": tags, "matching_type": "exclusive", "architecture": architecture(facts.board),
    });
    json!({ "imager": { "devices": [device] }, "os_list": [entry(facts, base)] })
}

/// The entry, with `base` before the names of the files.
pub fn entry(facts: &Facts<'_>, base: &str) -> Value {
    json!({
        "name": format!("cloudy: {}", facts.board.title),
        "description": "A node of a microcloud: apps of your own and of your neighbours",
        "icon": ICON,
        "url": format!("{base}{}.xz", facts.image_name),
        "bmap_url": format!("{base}{}.bmap", facts.image_name),
        "extract_size": facts.image_bytes,
        "extract_sha256": facts.image_sha256,
        "image_download_size": facts.packed_bytes,
        "image_download_sha256": facts.packed_sha256,
        "release_date": date(facts.epoch),
        "devices": devices(facts.board),
        "init_format": INIT_FORMAT,
        "architecture": architecture(facts.board),
        "capabilities": [],
    })
}

fn architecture(board: &Board) -> &'static str {
    if board.arch == Arch::Arm64 { "armv8" } else { "armhf" }
}

/// The tags by which Imager knows the models, with the width of the system.
fn devices(board: &Board) -> Vec<String> {
    let bits = if board.arch == Arch::Arm64 { "64bit" } else { "32bit" };
    let models = board.raspberry_pi.iter().flat_map(|pi| &pi.models);
    let mut tags: Vec<String> = models
        .map(|model| match model {
            Model::Two => "pi2",
            Model::Three | Model::ThreePlus | Model::ThreeA | Model::ZeroTwo | Model::Module3 => "pi3",
            Model::Four | Model::FourHundred | Model::Module4 => "pi4",
            Model::Five | Model::FiveD0 => "pi5",
        })
        .map(|model| format!("{model}-{bits}"))
        .collect();
    tags.sort();
    tags.dedup();
    tags
}

/// The day as `2026-11-24` (H. Hinnant's civil_from_days, for days after 1970).
pub fn date(epoch: u64) -> String {
    let days = epoch / DAY_SECS + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Catalog;

    fn facts(board: &Board) -> Facts<'_> {
        let (image_name, epoch) = ("cloudy-x.img", 1_795_399_773);
        Facts { board, image_name, image_bytes: 900, image_sha256: "aa", packed_bytes: 100, packed_sha256: "bb", epoch }
    }

    #[test]
    fn days_are_told() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_795_399_773), "2026-11-23");
        assert_eq!(date(1_798_761_599), "2026-12-31");
    }

    #[test]
    fn a_folder_of_any_name_has_a_url() {
        assert_eq!(base_of(Path::new("/home/x/cloudy_1.0-b")), "file:///home/x/cloudy_1.0-b/");
        assert_eq!(base_of(Path::new("/a b/100% #1?/ñ")), "file:///a%20b/100%25%20%231%3F/%C3%B1/");
    }

    #[test]
    fn every_pi_has_an_entry_with_all_that_imager_asks_for_and_a_pc_none() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalog = Catalog::load(&[&root]).unwrap();
        let mut seen = 0;
        for board in &catalog.boards {
            let folder = tempfile::tempdir().unwrap();
            write(&facts(board), folder.path(), folder.path()).unwrap();
            let manifest = std::fs::read_to_string(folder.path().join("cloudy-x.img.rpi-imager-manifest"));
            assert_eq!(manifest.is_ok(), board.raspberry_pi.is_some(), "{}", board.name);
            let Ok(manifest) = manifest else { continue };
            let manifest: Value = serde_json::from_str(&manifest).unwrap();
            let entry = &manifest["os_list"][0];
            for key in
                ["name", "description", "icon", "url", "extract_size", "extract_sha256", "image_download_size", "release_date", "devices"]
            {
                assert!(!entry[key].is_null(), "{key}");
            }
            assert!(entry["url"].as_str().unwrap().starts_with("file:///") && entry["url"].as_str().unwrap().ends_with("/cloudy-x.img.xz"));
            assert_eq!(entry["devices"], manifest["imager"]["devices"][0]["tags"]);
            let published = std::fs::read_to_string(folder.path().join("cloudy-x.img.os_list.json")).unwrap();
            let published: Value = serde_json::from_str(&published).unwrap();
            assert_eq!(published["os_list"][0]["url"], "cloudy-x.img.xz");
            seen += 1;
        }
        assert!(seen >= 4);
    }
}
