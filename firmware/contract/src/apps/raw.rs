//! `app.toml` as it is written: every key with its shape, unknown keys refused. Nothing outside `apps` reads these.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Capability, Category, Protocol, Scheme};
use crate::arch::Arch;

pub(super) type Strings = Vec<Spanned<String>>;
pub(super) type Pairs = BTreeMap<Spanned<String>, Spanned<String>>;

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawApp {
    pub(super) title: Spanned<RawWords>,
    pub(super) description: Spanned<RawWords>,
    pub(super) category: Category,
    pub(super) icon: Option<Spanned<String>>,
    pub(super) architectures: Option<Spanned<Vec<Arch>>>,
    pub(super) image: RawImage,
    pub(super) run: RawRun,
    #[serde(default)]
    pub(super) ports: BTreeMap<Spanned<String>, RawPort>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<Spanned<String>, RawVolume>,
    #[serde(default)]
    pub(super) settings: BTreeMap<Spanned<String>, RawSetting>,
    pub(super) health: Option<Spanned<RawHealth>>,
    pub(super) limits: RawLimits,
    pub(super) store: Option<Spanned<bool>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWords {
    pub en: String,
    pub es: String,
    pub ca: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawImage {
    pub packages: Strings,
    #[serde(default)]
    pub providers: Pairs,
    #[serde(default)]
    pub drop: Strings,
    #[serde(default)]
    pub keep: Strings,
    #[serde(default)]
    pub links: Pairs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRun {
    pub command: Spanned<Vec<String>>,
    pub user: Spanned<String>,
    pub uid: Spanned<u32>,
    #[serde(default)]
    pub environment: Pairs,
    #[serde(default)]
    pub scratch: Strings,
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    pub stop_seconds: Option<Spanned<u32>>,
    pub shared_memory_mb: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPort {
    pub container: Spanned<u16>,
    pub proposed: Option<Spanned<u16>>,
    #[serde(default)]
    pub protocol: Protocol,
    pub scheme: Scheme,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawVolume {
    pub path: Spanned<String>,
    pub title: Spanned<RawWords>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawKind {
    Text,
    Password,
    Number,
    Choice,
    Switch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSetting {
    pub environment: Spanned<String>,
    pub title: Spanned<RawWords>,
    pub kind: Spanned<RawKind>,
    pub default: Option<Spanned<String>>,
    pub longest: Option<Spanned<u32>>,
    pub least: Option<Spanned<i64>>,
    pub most: Option<Spanned<i64>>,
    pub choices: Option<Strings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawHealth {
    pub port: Option<Spanned<String>>,
    pub path: Option<Spanned<String>>,
    pub command: Option<Vec<String>>,
    pub start_seconds: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLimits {
    pub memory_mb: Spanned<u32>,
    pub processes: Option<Spanned<u32>>,
    pub cpu_percent: Option<Spanned<u32>>,
}
