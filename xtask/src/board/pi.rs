//! What a board says of the Raspberry Pi's own firmware, and the models that this firmware tells apart.
//!
//! Sources: the documentation of config.txt (conditional filters, boot options, `os_prefix` and `upstream_kernel`), and
//! for names of device trees the strings of the firmware that Debian ships.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::check::Source;
use super::raw::{RawBoard, Strings};
use contract::facts::{ParseError, suggestion};

/// What the Pi's own firmware is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RaspberryPi {
    /// Models that the image is for: each must find all that it needs to boot.
    pub models: Vec<Model>,
    /// Overlays that the builder lays over the device trees, by name.
    pub overlays: Vec<String>,
    /// Lines of config.txt beside those that the plan makes: filter → `key=value`.
    pub config: BTreeMap<String, Vec<String>>,
}

/// A model of Raspberry Pi that Debian's kernels have a device tree for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Model {
    /// 2B with BCM2836.
    #[serde(rename = "2b")]
    Two,
    /// 3B.
    #[serde(rename = "3b")]
    Three,
    /// 3B+.
    #[serde(rename = "3b+")]
    ThreePlus,
    /// 3A+.
    #[serde(rename = "3a+")]
    ThreeA,
    /// Zero 2 W.
    #[serde(rename = "zero-2-w")]
    ZeroTwo,
    /// Compute Module 3 and 3+.
    #[serde(rename = "cm3")]
    Module3,
    /// 4B.
    #[serde(rename = "4b")]
    Four,
    /// 400.
    #[serde(rename = "400")]
    FourHundred,
    /// Compute Module 4.
    #[serde(rename = "cm4")]
    Module4,
    /// 5B, first stepping of its BCM2712.
    #[serde(rename = "5b")]
    Five,
    /// 5B, D0 stepping (all of 2 GB, and later ones).
    #[serde(rename = "5b-d0")]
    FiveD0,
}

/// What the firmware does on one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Sections of config.txt that it reads, beside `all`.
    pub filters: &'static [&'static str],
    /// Whether its boot ROM reads `bootcode.bin`; later models have that in an EEPROM.
    pub bootcode: bool,
    /// Suffix of the files `startSUFFIX.elf` and `fixupSUFFIX.dat`; `None` where the EEPROM holds these too.
    pub start: Option<&'static str>,
    /// Device trees that it looks for with `upstream_kernel=1`, best first.
    pub device_trees: &'static [&'static str],
    /// Whether it can run 64-bit kernels.
    pub bits64: bool,
}

impl Model {
    /// What the firmware does on this model.
    pub fn habits(self) -> Habits {
        let three = |filters, device_trees| Habits { filters, bootcode: true, start: Some(""), device_trees, bits64: true };
        let four = |filters, device_trees| Habits { filters, bootcode: false, start: Some("4"), device_trees, bits64: true };
        let five = |device_trees| Habits { filters: &["pi5"], bootcode: false, start: None, device_trees, bits64: true };
        match self {
            Self::Two => Habits { bits64: false, ..three(&["pi2"], &["bcm2836-rpi-2-b.dtb", "bcm2709-rpi-2-b.dtb"]) },
            Self::Three => three(&["pi3"], &["bcm2837-rpi-3-b.dtb", "bcm2710-rpi-3-b.dtb"]),
            Self::ThreePlus => three(&["pi3", "pi3+"], &["bcm2837-rpi-3-b-plus.dtb", "bcm2710-rpi-3-b-plus.dtb"]),
            Self::ThreeA => three(&["pi3", "pi3+"], &["bcm2837-rpi-3-a-plus.dtb", "bcm2710-rpi-3-b-plus.dtb"]),
            Self::ZeroTwo => three(&["pi0", "pi0w", "pi02"], &["bcm2837-rpi-zero-2-w.dtb", "bcm2710-rpi-zero-2-w.dtb"]),
            Self::Module3 => three(&["pi3"], &["bcm2837-rpi-cm3-io3.dtb", "bcm2710-rpi-cm3.dtb"]),
            Self::Four => four(&["pi4"], &["bcm2711-rpi-4-b.dtb"]),
            Self::FourHundred => four(&["pi4", "pi400"], &["bcm2711-rpi-400.dtb"]),
            Self::Module4 => four(&["pi4", "cm4"], &["bcm2711-rpi-cm4-io.dtb", "bcm2711-rpi-cm4.dtb"]),
            Self::Five => five(&["bcm2712-rpi-5-b.dtb"]),
            Self::FiveD0 => five(&["bcm2712d0-rpi-5-b.dtb", "bcm2712-rpi-5-b.dtb"]),
        }
    }
}

/// Filters that a board file may use; `all` is for every model.
const FILTERS: [&str; 12] = ["all", "pi0", "pi02", "pi0w", "pi2", "pi3", "pi3+", "pi4", "pi400", "cm4", "pi5", "none"];

/// What the plan sets itself; a board file can't.
const OURS: [&str; 12] = [
    "kernel",
    "kernel_address",
    "arm_64bit",
    "upstream_kernel",
    "os_prefix",
    "overlay_prefix",
    "device_tree",
    "initramfs",
    "ramfsfile",
    "cmdline",
    "start_file",
    "fixup_file",
];

/// What changes the tree that the firmware loads, and no other: Linux gets the slot's.
const OF_THE_FIRMWARE_S_TREE: [&str; 2] = ["dtoverlay", "dtparam"];

/// Whether config.txt knows a section of this name.
pub fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

/// Checks the lines that a board adds to config.txt.
pub fn config(
    source: &Source<RawBoard>,
    sections: &BTreeMap<Spanned<String>, Strings>,
) -> Result<BTreeMap<String, Vec<String>>, ParseError> {
    let mut checked = BTreeMap::new();
    for (filter, lines) in sections {
        if !is_filter(filter.get_ref()) {
            let message = format!("config.txt has no filter `{0}`{1}", filter.get_ref(), suggestion(filter.get_ref(), &FILTERS));
            return Err(source.error(filter, message));
        }
        for line in lines {
            let key = line.get_ref().split('=').next().unwrap_or_default();
            if OURS.contains(&key) {
                return Err(source.error(line, format!("`{key}` of config.txt is set by the plan")));
            }
            if OF_THE_FIRMWARE_S_TREE.contains(&key) {
                let message =
                    format!("`{key}` would change a device tree that Linux does not get; name the overlay in `raspberry-pi.overlays`");
                return Err(source.error(line, message));
            }
        }
        let lines = source.strings(lines, "line of config.txt (`key=value`)", is_line)?;
        checked.insert(filter.get_ref().clone(), lines);
    }
    Ok(checked)
}

/// `key=value`, no longer than what the firmware reads of a line (98 characters, older firmware 78).
fn is_line(line: &str) -> bool {
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    line.len() <= 78
        && line.split_once('=').is_some_and(|(key, value)| is_key(key) && !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic()))
}
