//! The files as they are written: one struct per file, every key optional, unknown keys refused. Nothing outside `board` sees these.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::pi::Model;
use super::{Arch, BootFlow, Compression};

pub type Strings = Vec<Spanned<String>>;
pub type Pairs = BTreeMap<Spanned<String>, Spanned<String>>;

/// `family.toml` and `<board>.toml`: the same keys; what a board file sets replaces what the family says.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawBoard {
    pub title: Option<String>,
    pub arch: Option<Arch>,
    pub boot_flow: Option<BootFlow>,
    pub consoles: Option<Strings>,
    pub cmdline: Option<Strings>,
    pub kernel: Option<Spanned<String>>,
    pub payload: Option<Strings>,
    pub qemu: Option<crate::vm::Model>,
    pub download_max_mb: Option<u32>,
    #[serde(default)]
    pub modules: RawSelect,
    #[serde(default)]
    pub firmware: RawSelect,
    #[serde(default)]
    pub initramfs: RawInitramfs,
    #[serde(default)]
    pub device_trees: RawDeviceTrees,
    #[serde(default)]
    pub u_boot: RawUboot,
    #[serde(default)]
    pub raspberry_pi: RawRaspberryPi,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawSelect {
    pub keep: Option<Strings>,
    pub drop: Option<Strings>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawInitramfs {
    pub modules: Option<Strings>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawDeviceTrees {
    pub files: Option<Strings>,
    pub also_named: Option<Pairs>,
    pub aliases: Option<Pairs>,
    pub no_driver: Option<Strings>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawUboot {
    pub program: Option<Spanned<String>>,
    pub program_for: Option<Pairs>,
    pub watchdog: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawRaspberryPi {
    pub models: Option<Vec<Model>>,
    pub overlays: Option<Strings>,
    pub config: Option<BTreeMap<Spanned<String>, Strings>>,
}

/// `images/os/<flavour>/image.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawFlavour {
    pub title: String,
    pub packages: Strings,
    #[serde(default)]
    pub providers: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub prune: RawPrune,
    #[serde(default)]
    pub root: RawRoot,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawPrune {
    #[serde(default)]
    pub drop: Strings,
    #[serde(default)]
    pub keep: Strings,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawRoot {
    pub compression: Option<Compression>,
}
