//! The tools tree: what the builder needs beyond the host (compilers, apt, mkfs.erofs, QEMU), a locked tree of Debian packages.
//!
//! Laid out from its lock as plain files of the caller; no maintainer script runs. Commands in it see it as their root, by a [`Sandbox`].
//! What only some builds need (the cross compiler of an architecture, QEMU for ARM) is a layer: a lock of what it adds, laid over the tree
//! when it is asked for, so that who builds for a PC neither fetches nor unpacks it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::aside::Aside;
use crate::board::Arch;
use crate::full_disk;
use crate::packages::cache::Cache;
use crate::packages::deb::Deb;
use crate::packages::fetch;
use crate::packages::lock::{Lock, LockedPackage};
use crate::packages::sources::Sources;
use crate::sandbox::{self, Sandbox};
use crate::tree::merge::FRAME_PACKAGE;
use crate::ui;

/// Where its lock lies, below the repo's root.
pub const LOCK: &str = "images/tools/tools.lock";

/// What benchmarks need beyond it: the peers.
pub const BENCH_LOCK: &str = "images/tools/bench.lock";
/// What a peer's root has beyond ours, since it configures kernel and boot loader.
pub const PEERS_LOCK: &str = "images/tools/peers.lock";
/// The layer of `cargo xtask bench cluster`: Serf, and what makes networks.
pub const CLUSTER_LOCK: &str = "images/tools/cluster.lock";

/// The layer of scenarios in which somebody uses a browser.
pub const BROWSER_LOCK: &str = "images/tools/browser.lock";

/// Changes whenever this module lays out another tree from the same lock.
const RECIPE: &str = "tools 1";

/// The layer that boots boards of `arch` in virtual machines, below the repo's root; the tree itself does for PCs.
pub fn machine_layer(arch: Arch) -> Option<&'static str> {
    (arch != Arch::Amd64).then_some("images/tools/arm.lock")
}

/// The layer that compiles for `arch`, below the repo's root; the tree itself does for its own architecture.
pub fn compiler_layer(arch: Arch) -> Option<&'static str> {
    match arch {
        Arch::Amd64 => None,
        Arch::Arm64 => Some("images/tools/arm64.lock"),
        Arch::Armhf => Some("images/tools/armhf.lock"),
    }
}

/// Top-level names that are links into /usr in the tree, and so must be in a layer, whose folder would hide the link.
const MERGED_LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// A tools tree, laid out.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
    layers: Vec<PathBuf>,
}

impl Tools {
    /// The tools tree of the lock at `lock` (below `repo`): from the cache, or fetched and laid out.
    pub fn prepare(repo: &Path, lock: &str, cache: &Cache, deb_mirror: Option<&Path>) -> Result<Self> {
        let lock = Lock::read(&repo.join(lock))?;
        let laid_out = place(cache, &lock).is_dir();
        sandbox::check_host(cache.root(), if laid_out { 0 } else { lock.total_bytes() })?;
        let what = "laying out the tools tree (compilers, image tools, QEMU); this is done once";
        let root = Self::tree(repo, &lock, cache, deb_mirror, what, |root| lay_out(&lock.packages, cache, root))?;
        Ok(Self { root, layers: Vec::new() })
    }

    /// This tree with the layer of the lock at `lock` (below `repo`) over it.
    pub fn with_layer(&self, repo: &Path, lock: &str, cache: &Cache, deb_mirror: Option<&Path>) -> Result<Self> {
        let name = Path::new(lock).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let lock = Lock::read(&repo.join(lock))?;
        let what = format!("laying out the tools for {name}; this is done once");
        let layer = Self::tree(repo, &lock, cache, deb_mirror, &what, |root| lay_layer(&lock.packages, cache, root))?;
        let mut tools = self.clone();
        tools.layers.push(layer);
        Ok(tools)
    }

    /// The folder of a lock's tree, laid out if it is not there.
    fn tree(
        repo: &Path,
        lock: &Lock,
        cache: &Cache,
        deb_mirror: Option<&Path>,
        what: &str,
        lay: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let root = place(cache, lock);
        if root.is_dir() {
            return Ok(root);
        }
        let sources = Sources::read(repo)?;
        let step = ui::stage("tools", what);
        fetch::fetch(&lock.packages, cache, &sources, deb_mirror)?;
        let parent = root.parent().context("the tools tree has no parent")?;
        fs::create_dir_all(parent)?;
        let _held = cache.hold("tools.lock", "lays out a tools tree")?;
        if root.is_dir() {
            return Ok(root);
        }
        let aside = Aside::begin(parent)?;
        let tree = aside.path().join("tree");
        fs::create_dir(&tree)?;
        lay(&tree).map_err(|error| full_disk::explain(error, parent, full_disk::OF_CACHE)).context("failed to lay out the tools tree")?;
        fs::rename(&tree, &root).with_context(|| format!("failed to move the tools tree to `{}`", root.display()))?;
        drop(step);
        Ok(root)
    }

    /// Where it lies on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of the tree lies on the host; a later layer hides what is below.
    pub fn file(&self, inside: &str) -> Option<PathBuf> {
        let place = |root: &PathBuf| Some(root.join(inside.trim_start_matches('/'))).filter(|path| path.is_file());
        self.layers.iter().rev().chain([&self.root]).find_map(place)
    }

    /// A sandbox whose root it is.
    pub fn sandbox(&self) -> Sandbox {
        self.layers.iter().fold(Sandbox::new(&self.root), |sandbox, layer| sandbox.layer(layer))
    }
}

/// Where the tree of a lock stands.
fn place(cache: &Cache, lock: &Lock) -> PathBuf {
    cache.root().join("tools").join(key(lock))
}

fn key(lock: &Lock) -> String {
    let mut hash = Sha256::new();
    hash.update(RECIPE);
    for package in &lock.packages {
        hash.update(&package.sha256);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn lay_out(packages: &[LockedPackage], cache: &Cache, root: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    let (frame, rest): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.name == FRAME_PACKAGE);
    for package in frame {
        unpack(package, cache, root)?;
    }
    unpack_all(rest, cache, root)?;
    let masters = root.join("usr/share/base-passwd");
    for name in ["passwd", "group"] {
        fs::copy(masters.join(format!("{name}.master")), root.join("etc").join(name))
            .context("base-passwd is missing in the tools lock")?;
    }
    for folder in ["proc", "sys", "dev", "tmp", "run", "src", "out"] {
        fs::create_dir_all(root.join(folder))?;
    }
    Ok(())
}

fn lay_layer(packages: &[LockedPackage], cache: &Cache, root: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for name in MERGED_LINKS {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    unpack_all(packages.iter().collect(), cache, root)
}

/// Unpacks packages in any order, many at a time.
fn unpack_all(packages: Vec<&LockedPackage>, cache: &Cache, root: &Path) -> Result<()> {
    let rest = packages;
    let progress = ui::progress(rest.iter().map(|package| package.size).sum(), "laying out");
    let mut largest_first = rest;
    largest_first.sort_by_key(|package| std::cmp::Reverse(package.size));
    crate::parallel::for_each(&largest_first, crate::parallel::processors(), |package| {
        unpack(package, cache, root)?;
        progress.add(package.size);
        Ok(())
    })
}

fn unpack(package: &LockedPackage, cache: &Cache, root: &Path) -> Result<()> {
    let path = cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?;
    let deb = Deb::open(&path)?;
    let mut archive = tar::Archive::new(deb.data()?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.unpack(root).with_context(|| format!("failed to unpack {}", package.title()))
}
