//! The plan: everything that a build decides, made before anything is done, printable, and hashed into the build id.
//!
//! Architecture invariant: no later stage makes a choice; it reads the plan.

use std::fmt;

use contract::partitions::Role;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::board::{Arch, Board, BootFlow, Compression, DeviceTrees, Flavour, Globs, Prune, Select};
use crate::packages::lock::{self, Lock, LockedPackage};

pub mod boot;
pub mod config_txt;
pub mod inputs;
mod render;

pub use boot::{BootFile, BootPlan, BootSource};
pub use inputs::Inputs;

/// Block size of the root's erofs in bytes: the page size, so that every kernel mounts it.
const EROFS_BLOCK_BYTES: u32 = 4096;
/// Physical clusters of a compressed root in bytes (facts: 64 KiB saves a tenth over 4 KiB).
const EROFS_CLUSTER_BYTES: u32 = 65536;
/// How full a root slot may be in percent: later versions must fit too.
pub const SLOT_FULL_PERCENT: u64 = 60;
/// zstd's level for the initramfs, by profile.
const INITRAMFS_ZSTD_LEVEL: (u32, u32) = (3, 19);
/// xz's preset for the download: from 7 on it remembers more than 8 MiB, and Docker's programs have much in common.
const XZ_PRESET: u32 = 9;

/// What a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// To try: made quickly, no .xz.
    Dev,
    /// To ship: small, with .xz and sums.
    Release,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The lock does not hold what board or flavour name.
    #[error("the lock of {flavour} for {arch} has no `{package}`, which {wanted_by} names; run `cargo xtask lock`")]
    NotLocked {
        /// The flavour.
        flavour: String,
        /// The architecture.
        arch: Arch,
        /// The package.
        package: String,
        /// The board or flavour.
        wanted_by: String,
    },
    /// The lock was made from what the flavour asked for then.
    #[error(
        "the lock of {flavour} for {arch} is stale: it was made from other packages or [providers] than {flavour} names now; run `cargo xtask lock {flavour}`"
    )]
    Stale {
        /// The flavour.
        flavour: String,
        /// The architecture.
        arch: Arch,
    },
    /// The kernel's release can't be told from the lock.
    #[error("the lock must hold one kernel image that goes with `{kernel}` {version}, it holds: {found}; run `cargo xtask lock`")]
    Kernel {
        /// What the board names.
        kernel: String,
        /// Its locked version.
        version: String,
        /// Releases that are there.
        found: String,
    },
    /// A lock was made from indexes that nothing vouches for.
    #[error(
        "no release of {board} is made: the lock was made from indexes that did not match their signed list ({}); run `cargo xtask lock` until it needs no --unverified",
        .indexes.join(", ")
    )]
    Unverified {
        /// The board.
        board: String,
        /// The indexes.
        indexes: Vec<String>,
    },
    /// A package of the lock is for another architecture.
    #[error("the lock for {arch} holds {package}, which is for another architecture; run `cargo xtask lock`")]
    WrongArch {
        /// The lock's architecture.
        arch: Arch,
        /// The package with its version.
        package: String,
    },
}

/// One partition of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedPartition {
    /// Its GPT name.
    pub label: &'static str,
    /// Its size in bytes; `None` for data, which takes what is left.
    pub bytes: Option<u64>,
    /// What is in it.
    pub content: &'static str,
    /// Whether the image file holds it; the rest is made at first boot.
    pub shipped: bool,
}

/// How the root is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ErofsPlan {
    /// Plain or lz4.
    pub compression: Compression,
    /// Block size in bytes.
    pub block_bytes: u32,
    /// Physical cluster in bytes, where it is compressed.
    pub cluster_bytes: Option<u32>,
    /// Time of every file, seconds since 1970.
    pub timestamp: u64,
    /// The build id as a UUID.
    pub uuid: String,
    /// Most bytes that it may have.
    pub max_bytes: u64,
}

/// How the node's programs are compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompilePlan {
    /// Rust's target.
    pub target: &'static str,
    /// Cargo's profile.
    pub cargo_profile: &'static str,
    /// Programs linked against the image's libc: package and where it goes in the tree.
    pub dynamic: Vec<(&'static str, &'static str)>,
    /// Programs linked statically: package and where it goes in the initramfs.
    pub fixed: Vec<(&'static str, &'static str)>,
}

/// What the initramfs carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InitramfsPlan {
    /// Modules loaded always, in this order, each after what it needs. Built-in ones are left out.
    pub load: Vec<&'static str>,
    /// Modules loaded when a device asks for them.
    pub modules: Globs,
    /// zstd's level.
    pub zstd_level: u32,
    /// Whether processor microcode stands before it.
    pub microcode: bool,
}

/// One step of the build, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The stage's name, as progress and timings show it.
    pub stage: &'static str,
    /// What it does.
    pub does: String,
}

/// A build, decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// 32 hexadecimal digits over all that follows.
    pub build_id: String,
    /// The board's name.
    pub board: String,
    /// The flavour's name.
    pub flavour: String,
    /// The processor.
    pub arch: Arch,
    /// Dev or release.
    pub profile: Profile,
    /// The time that everything in the image has, seconds since 1970.
    pub epoch: u64,
    /// `uname -r` of the kernel.
    pub kernel_release: String,
    /// The image file's name, without `.xz`.
    pub image_name: String,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Partitions in order.
    pub partitions: Vec<PlannedPartition>,
    /// Boot loader, kernel, command line.
    pub boot: BootPlan,
    /// The root's file system.
    pub root: ErofsPlan,
    /// The node's programs.
    pub compile: CompilePlan,
    /// Device trees of the board.
    pub device_trees: DeviceTrees,
    /// Kernel modules in the root.
    pub modules: Select,
    /// Firmware in the root.
    pub firmware: Select,
    /// The initramfs.
    pub initramfs: InitramfsPlan,
    /// Paths left out of the root.
    pub prune: Prune,
    /// Folders laid over the tree, in order; those that don't exist are skipped.
    pub overlays: Vec<String>,
    /// Preset of the .xz, where one is made.
    pub xz_preset: Option<u32>,
    /// The most millions of bytes that it may have.
    pub download_max_mb: Option<u32>,
    /// Indexes that a lock was made from unverified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
    /// Packages of the image.
    pub packages: Vec<LockedPackage>,
    /// Packages of the native twin that is configured for it.
    pub twin: Vec<LockedPackage>,
    /// Inputs of the build id that are files.
    pub inputs: Inputs,
}

/// What init itself needs, whatever the board: the root (crc32c_generic before libcrc32c before erofs, on 6.12), data,
/// the overlay on /etc, the config partition, and the boot loader's variables.
const INIT_LOAD: [&str; 9] = ["crc32c_generic", "libcrc32c", "erofs", "ext4", "overlay", "nls_cp437", "nls_ascii", "vfat", "efivarfs"];
/// Of [`INIT_LOAD`], what only kernels have that bring the last of these: in later ones (7) CRC-32C is a part of the kernel itself.
pub const CRC32C_MODULES: [&str; 2] = ["crc32c_generic", "libcrc32c"];
/// As [`INIT_LOAD`], where no EFI variables exist.
const INIT_LOAD_UBOOT: usize = INIT_LOAD.len() - 1;

impl Plan {
    /// Decides a build. `twin` is the amd64 lock that is configured natively in the target's stead (for an amd64 board
    /// the lock itself).
    pub fn make(board: &Board, flavour: &Flavour, lock: &Lock, twin: &Lock, profile: Profile, inputs: Inputs) -> Result<Self, PlanError> {
        let packages = packages(board, flavour, lock)?;
        let asked = lock::asked(&flavour.packages, &flavour.providers).finish();
        for (lock, arch) in [(lock, board.arch), (twin, Arch::Amd64)] {
            if lock.asked.as_ref() != Some(&asked) {
                return Err(PlanError::Stale { flavour: flavour.name.clone(), arch });
            }
        }
        let kernel_release = kernel_release(board, lock, &packages)?;
        let compression = flavour.compression;
        let mut plan = Self {
            build_id: String::new(),
            board: board.name.clone(),
            flavour: flavour.name.clone(),
            arch: board.arch,
            profile,
            epoch: lock.epoch,
            image_name: format!("cloudy-{}-{}.img", board.name, flavour.name),
            steps: Vec::new(),
            partitions: board.boot_flow.layout().roles().iter().map(partition).collect(),
            boot: boot::plan(board, "BUILD", lock.epoch),
            root: ErofsPlan {
                compression,
                block_bytes: EROFS_BLOCK_BYTES,
                cluster_bytes: (compression != Compression::None).then_some(EROFS_CLUSTER_BYTES),
                timestamp: lock.epoch,
                uuid: String::new(),
                // Later versions are releases: what programs are larger here is nothing that theirs lack.
                max_bytes: contract::partitions::ROOT_BYTES * SLOT_FULL_PERCENT / 100 + profile.program_max_bytes()
                    - Profile::Release.program_max_bytes(),
            },
            compile: CompilePlan {
                target: board.arch.rust_target(),
                cargo_profile: profile.cargo(),
                dynamic: vec![("agent", "usr/bin/cloudy")],
                fixed: vec![("init", "init")],
            },
            device_trees: board.device_trees.clone(),
            modules: board.modules.clone(),
            firmware: board.firmware.clone(),
            initramfs: InitramfsPlan {
                load: INIT_LOAD
                    .iter()
                    .copied()
                    .take(if board.boot_flow == BootFlow::Uefi { INIT_LOAD.len() } else { INIT_LOAD_UBOOT })
                    .collect(),
                modules: board.initramfs.clone(),
                zstd_level: if profile == Profile::Release { INITRAMFS_ZSTD_LEVEL.1 } else { INITRAMFS_ZSTD_LEVEL.0 },
                microcode: board.arch == Arch::Amd64,
            },
            prune: flavour.prune.clone(),
            overlays: inputs::overlays(board, &inputs),
            xz_preset: (profile == Profile::Release).then_some(XZ_PRESET),
            download_max_mb: board.download_max_mb,
            kernel_release,
            packages,
            unverified: unverified(lock, twin),
            twin: twin.packages.iter().filter(|package| !package.payload).cloned().collect(),
            inputs,
        };
        plan.steps = plan.list_steps();
        plan.build_id = plan.digest();
        plan.boot = boot::plan(board, &plan.build_id, plan.epoch);
        plan.root.uuid = uuid(&plan.build_id);
        Ok(plan)
    }

    /// The first 32 hexadecimal digits of the sha256 over the plan itself, the id and what holds it left open.
    fn digest(&self) -> String {
        // A struct of plain values always has a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut digits = crate::digest::hex(&Sha256::digest(&json));
        digits.truncate(32);
        digits
    }

    /// Says no where the plan may be tried but not shipped.
    pub fn releasable(&self) -> Result<(), PlanError> {
        if self.unverified.is_empty() {
            return Ok(());
        }
        Err(PlanError::Unverified { board: self.board.clone(), indexes: self.unverified.clone() })
    }

    /// Packages that are configured (all but the payload).
    pub fn configured(&self) -> impl Iterator<Item = &LockedPackage> {
        self.packages.iter().filter(|package| !package.payload)
    }

    fn list_steps(&self) -> Vec<Step> {
        let bytes: u64 = self.packages.iter().map(|package| package.size).sum();
        let configured = self.configured().count();
        let step = |stage, does| Step { stage, does };
        let mut steps = vec![
            step("packages", format!("fetch {} packages, {} MB", self.packages.len(), bytes / 1_000_000)),
            step("compile", format!("agent and init for {}", self.compile.target)),
            step("twin", format!("configure {} packages natively, or take the delta from the cache", self.twin.len())),
            step(
                "tree",
                format!(
                    "lay out {configured} packages and {} of payload, then the delta, {} and the agent",
                    self.packages.len() - configured,
                    self.overlays.join(", ")
                ),
            ),
            step("modules", format!("select modules of {} with what they need, index them", self.kernel_release)),
            step("firmware", "select the firmware that the selected modules name".to_owned()),
            step("prune", format!("leave out what {} globs name", self.prune.drop.patterns().len())),
            step("lints", "check the tree".to_owned()),
            step("initramfs", format!("pack init and its modules, zstd level {}", self.initramfs.zstd_level)),
            step("root", format!("write erofs, at most {} MB", self.root.max_bytes / 1_000_000)),
            step("image", format!("write the partitions of {}", self.image_name)),
        ];
        if let Some(preset) = self.xz_preset {
            let most = self.download_max_mb.map(|most| format!(", at most {most} MB")).unwrap_or_default();
            steps.push(step("release", format!("xz -{preset}{most}, and SHA256SUMS")));
        }
        steps
    }
}

fn unverified(lock: &Lock, twin: &Lock) -> Vec<String> {
    let mut indexes = lock.unverified.clone();
    indexes.extend(twin.unverified.iter().filter(|index| !lock.unverified.contains(index)).cloned());
    indexes
}

/// The build id as mkfs.erofs takes a UUID: 8-4-4-4-12 digits.
fn uuid(build_id: &str) -> String {
    let mut text = build_id.to_owned();
    for place in [20, 16, 12, 8] {
        if text.is_char_boundary(place) {
            text.insert(place, '-');
        }
    }
    text
}

fn partition(role: &Role) -> PlannedPartition {
    PlannedPartition {
        label: role.label(),
        bytes: role.bytes(),
        content: match role {
            Role::Config => "FAT32: cloudy.toml",
            Role::Esp => "FAT32: boot loader, kernel, initramfs",
            Role::BootA | Role::BootB => "FAT32: kernel, initramfs, device trees",
            Role::State => "two boot state records",
            Role::RootA | Role::RootB => "erofs, read-only",
            Role::Data => "ext4: /var, /home, /root",
        },
        shipped: role.shipped_guid().is_some(),
    }
}

/// All that is configured, and of the payload what this board names: one lock serves every board of an architecture.
fn packages(board: &Board, flavour: &Flavour, lock: &Lock) -> Result<Vec<LockedPackage>, PlanError> {
    let missing = |package: &str, wanted_by: String| PlanError::NotLocked {
        flavour: flavour.name.clone(),
        arch: board.arch,
        package: package.to_owned(),
        wanted_by,
    };
    // Payload is never configured: what stands in the lock as the one is not there as the other.
    for name in &flavour.packages {
        if lock.get(name).is_none_or(|package| package.payload) {
            return Err(missing(name, format!("flavour {}", flavour.name)));
        }
    }
    for name in board.payload.iter().chain([&board.kernel]) {
        if lock.get(name).is_none_or(|package| !package.payload) {
            return Err(missing(name, format!("board {}", board.name)));
        }
    }
    let kernel_version = lock.get(&board.kernel).map(|package| package.version.as_str());
    let mut planned = Vec::new();
    for package in &lock.packages {
        if package.arch != board.arch.debian() && package.arch != "all" {
            return Err(PlanError::WrongArch { arch: board.arch, package: format!("{} {}", package.name, package.version) });
        }
        let of_kernel = release_of(&package.name).is_some() && Some(package.version.as_str()) == kernel_version;
        let asked = package.asked_as();
        if package.payload && !of_kernel && asked != board.kernel && !board.payload.contains(&asked) {
            continue;
        }
        planned.push(package.clone());
    }
    Ok(planned)
}

/// The release in the name of a package that brings (a part of) a kernel: `linux-image-6.12.9+deb13-amd64`.
fn release_of(package: &str) -> Option<&str> {
    ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"]
        .iter()
        .find_map(|prefix| package.strip_prefix(prefix))
        .filter(|release| release.starts_with(|first: char| first.is_ascii_digit()))
}

fn kernel_release(board: &Board, lock: &Lock, packages: &[LockedPackage]) -> Result<String, PlanError> {
    let mut releases: Vec<&str> =
        packages.iter().filter(|package| package.payload).filter_map(|package| release_of(&package.name)).collect();
    releases.dedup();
    match releases.as_slice() {
        [release] => Ok((*release).to_owned()),
        found => Err(PlanError::Kernel {
            kernel: board.kernel.clone(),
            version: lock.get(&board.kernel).map(|package| package.version.clone()).unwrap_or_default(),
            found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        }),
    }
}

impl Profile {
    /// Cargo's profile of the node's programs, as the workspace's Cargo.toml has it.
    #[must_use]
    pub fn cargo(self) -> &'static str {
        match self {
            Self::Dev => "quick",
            Self::Release => "release",
        }
    }

    /// The most bytes that a program of the node may have: a release's is downloaded, held twice on the disk and read at each boot.
    #[must_use]
    pub const fn program_max_bytes(self) -> u64 {
        match self {
            Self::Dev => 64_000_000,
            Self::Release => 17_000_000,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Release => "release",
        })
    }
}

#[cfg(test)]
mod tests;
