//! The initramfs: init, the kernel modules that it may need, and before it the processor's microcode.
//!
//! Two archives lie one after the other (kernel, Documentation/driver-api/early-userspace/buffer-format.rst): the first
//! plain, with microcode alone, since the kernel reads it before it can decompress; the second compressed, with
//! - `/init`: the program;
//! - `/build`, `/epoch`: which build this is, and the time before which no clock starts;
//! - `/modules/NAME.ko`, `/modules/index`: see [`contract::paths::INITRAMFS_INDEX`].

mod archive;
mod index;
mod microcode;

use std::collections::BTreeSet;

use contract::paths::{INITRAMFS_BUILD, INITRAMFS_EPOCH, INITRAMFS_INDEX, INITRAMFS_MODULES};

use crate::plan::Plan;
use crate::tree::Tree;
use crate::tree::modules::Modules;
use archive::Archive;
pub use index::Index;

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file of the tree can't be read.
    #[error("cannot read /{path}")]
    Read {
        /// In the tree.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The plan wants microcode and the tree has none.
    #[error("the tree holds no microcode below /{0}; is its package among the board's `payload`?")]
    NoMicrocode(String),
    /// The archive can't be written.
    #[error("cannot write the archive of the initramfs")]
    Write(#[source] std::io::Error),
    /// Compressing failed.
    #[error("cannot compress the initramfs")]
    Compress(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An initramfs, ready to be loaded.
#[derive(Clone, Debug)]
pub struct Initramfs {
    /// Both archives.
    pub bytes: Vec<u8>,
    /// Names of the modules in it.
    pub modules: BTreeSet<String>,
    /// Bytes of the microcode's archive.
    pub microcode_bytes: usize,
    /// Bytes of the other one before it was compressed.
    pub plain_bytes: usize,
}

/// What the initramfs takes its modules from.
pub struct Drivers<'a> {
    /// The modules of the root.
    pub modules: &'a Modules,
    /// Those that the device trees ask for.
    pub devices: &'a BTreeSet<String>,
}

/// Packs the initramfs. `tree` still has the microcode's packages; `init` is the program's bytes; `compress` is zstd.
pub fn build<E>(
    plan: &Plan,
    tree: &Tree,
    drivers: &Drivers<'_>,
    init: &[u8],
    compress: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, E>,
) -> Result<Initramfs, InitramfsError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let early = if plan.initramfs.microcode { microcode::archive(tree, &plan.firmware.drop)? } else { Vec::new() };
    let index = Index::of(drivers.modules, &plan.initramfs.modules, drivers.devices, &plan.initramfs.load);
    let plain = pack(plan, drivers.modules, &index, init).map_err(InitramfsError::Write)?;
    let plain_bytes = plain.len();
    let compressed = compress(plain).map_err(|error| InitramfsError::Compress(error.into()))?;
    let microcode_bytes = early.len();
    let mut bytes = early;
    bytes.extend(compressed);
    Ok(Initramfs { bytes, modules: index.names(), microcode_bytes, plain_bytes })
}

fn pack(plan: &Plan, modules: &Modules, index: &Index<'_>, init: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    // Where init mounts: the kernel's own tree has only /dev, /root and /dev/console.
    for folder in ["dev", "proc", "run", "sys"] {
        archive.folder(folder)?;
    }
    archive.console()?;
    archive.file("init", 0o755, init)?;
    archive.file(relative(INITRAMFS_BUILD), 0o444, format!("{}\n", plan.build_id).as_bytes())?;
    archive.file(relative(INITRAMFS_EPOCH), 0o444, format!("{}\n", plan.epoch).as_bytes())?;
    archive.folder(relative(INITRAMFS_MODULES))?;
    archive.file(relative(INITRAMFS_INDEX), 0o444, index.render().as_bytes())?;
    for name in index.names() {
        if let Some(module) = modules.by_name.get(&name) {
            archive.file(&format!("{}/{name}.ko", relative(INITRAMFS_MODULES)), 0o444, &module.content)?;
        }
    }
    archive.finish()
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}
