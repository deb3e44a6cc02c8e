//! Boards and flavours: the facts of `board-configs/` and `images/os/`, read once into checked values.
//!
//! `board-configs/<family>/family.toml` holds what the boards of a family share, `<family>/<board>.toml` one board;
//! a board file may override any key of its family. Nothing in the builder branches on a board's name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contract::partitions::Layout;
use serde::{Deserialize, Serialize};

use crate::vm::Model;

mod check;
mod globs;
mod load;
pub mod pi;
mod raw;
pub mod schema;

pub use contract::arch::Arch;
pub use contract::facts::{ParseError, nearest, parse};
pub use globs::{Globs, Prune, Select};
pub use load::Catalog;

/// Stands in a board's `consoles` for the serial port that the booted device tree names (`/chosen/stdout-path`).
pub const CONSOLE_OF_DEVICE_TREE: &str = "stdout-path";

/// Who loads the kernel and counts the tries of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootFlow {
    /// Debian's signed shim and systemd-boot, type 1 entries with counting.
    Uefi,
    /// U-Boot with our script and state records.
    Uboot,
}

impl BootFlow {
    /// The partitions that it asks for.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Uefi => Layout::Uefi,
            Self::Uboot => Layout::Uboot,
        }
    }
}

/// How the root's erofs is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Plain: the smallest download (one outer .xz sees it all) and the quickest build.
    #[default]
    None,
    /// lz4: fewer bytes on the card, a larger download.
    Lz4,
}

/// A board, checked: family and board file merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Board {
    /// The file's name without `.toml`; what is typed.
    pub name: String,
    /// The folder's name.
    pub family: String,
    /// One line for people.
    pub title: String,
    /// Its processor.
    pub arch: Arch,
    /// How it boots.
    pub boot_flow: BootFlow,
    /// Consoles of the kernel; the last one is /dev/console. At least one. [`CONSOLE_OF_DEVICE_TREE`] stands for what the
    /// device tree names.
    pub consoles: Vec<String>,
    /// More words for the kernel command line.
    pub cmdline: Vec<String>,
    /// The package that brings the kernel (a metapackage or the image itself).
    pub kernel: String,
    /// Packages that are laid out and never configured; their Depends are ignored.
    pub payload: Vec<String>,
    /// Kernel modules in the root, by path below `/usr/lib/modules/VERSION/kernel` without `.ko*`.
    pub modules: Select,
    /// Firmware in the root, by path below `/usr/lib/firmware`: `keep` is read as if a module asked for it (a glob, or a
    /// name whose version is the newest to take), `drop` goes even if one does.
    pub firmware: Select,
    /// Kernel modules that the initramfs carries beside what init itself needs and what the device trees ask for, same
    /// paths as `modules`.
    pub initramfs: Globs,
    /// The device trees that it may be booted with; none where the firmware has its own (UEFI).
    pub device_trees: DeviceTrees,
    /// U-Boot, where it loads the kernel.
    pub u_boot: Option<Uboot>,
    /// What the Raspberry Pi's own firmware reads, where there is one.
    pub raspberry_pi: Option<pi::RaspberryPi>,
    /// The machine of QEMU's that its image is tried on; `None`: QEMU has none.
    #[serde(skip)]
    pub qemu: Option<Model>,
    /// The most millions of bytes that its release's download may have.
    pub download_max_mb: Option<u32>,
    /// Files that this value was read from, relative to the tree that holds them.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// The device trees of a board: files of the kernel's package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceTrees {
    /// Names of the files, without folder.
    pub files: Vec<String>,
    /// Other names under which a firmware looks for one of `files`: name → file.
    pub also_named: BTreeMap<String, String>,
    /// Set in the trees that the firmware loads: alias → path of a node.
    pub aliases: BTreeMap<String, String>,
    /// `compatible` strings of suppliers that work without a driver.
    pub no_driver: Vec<String>,
}

/// U-Boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uboot {
    /// The program, a path of a payload's package (absolute).
    pub program: String,
    /// Filter of config.txt (`pi3`) → the program for the models that it names, where that is another one.
    pub program_for: BTreeMap<String, String>,
    /// Physical address of Broadcom's power management block (BCM2835 and its followers), whose watchdog U-Boot's script
    /// arms; `None`: it is left alone.
    pub watchdog: Option<u64>,
}

/// A flavour, checked: what is installed, and what of it is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flavour {
    /// The folder's name below `images/os/`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Packages asked for; their Depends follow, their Recommends don't.
    pub packages: Vec<String>,
    /// Virtual package → the provider chosen.
    pub providers: BTreeMap<String, String>,
    /// Paths left out of the root, absolute.
    pub prune: Prune,
    /// How the root is stored.
    pub compression: Compression,
    /// Its folder, relative to the tree that holds it; its locks lie beside `image.toml`.
    #[serde(skip)]
    pub folder: PathBuf,
}
