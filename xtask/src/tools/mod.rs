//! The tools tree: what the builder needs beyond the host (compilers, apt, mkfs.erofs, QEMU), a locked tree of Debian packages.
//!
//! Laid out from its lock as plain files of the caller; no maintainer script runs. Commands in it see it as their root, by a [`Sandbox`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::aside::Aside;
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

/// Changes whenever this module lays out another tree from the same lock.
const RECIPE: &str = "tools 1";

/// A tools tree, laid out.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The tools tree of the lock at `lock` (below `repo`): from the cache, or fetched and laid out.
    pub fn prepare(repo: &Path, lock: &str, cache: &Cache, deb_mirror: Option<&Path>) -> Result<Self> {
        let lock = Lock::read(&repo.join(lock))?;
        let root = cache.root().join("tools").join(key(&lock));
        sandbox::check_host(cache.root(), !root.is_dir())?;
        if root.is_dir() {
            return Ok(Self { root });
        }
        let sources = Sources::read(repo)?;
        let step = ui::stage("tools", "laying out the tools tree (compilers, image tools, QEMU); this is done once");
        fetch::fetch(&lock.packages, cache, &sources, deb_mirror)?;
        let parent = root.parent().context("the tools tree has no parent")?;
        fs::create_dir_all(parent)?;
        let _held = cache.hold("tools.lock", "lays out a tools tree")?;
        if root.is_dir() {
            return Ok(Self { root });
        }
        let aside = Aside::begin(parent)?;
        let tree = aside.path().join("tree");
        fs::create_dir(&tree)?;
        lay_out(&lock.packages, cache, &tree)
            .map_err(|error| fetch::explain_io(error, parent))
            .context("failed to lay out the tools tree")?;
        fs::rename(&tree, &root).with_context(|| format!("failed to move the tools tree to `{}`", root.display()))?;
        drop(step);
        Ok(Self { root })
    }

    /// Where it lies on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A sandbox whose root it is.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::new(&self.root)
    }
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
    let progress = ui::progress(rest.iter().map(|package| package.size).sum(), "laying out");
    let mut largest_first = rest;
    largest_first.sort_by_key(|package| std::cmp::Reverse(package.size));
    crate::parallel::for_each(&largest_first, crate::parallel::processors(), |package| {
        unpack(package, cache, root)?;
        progress.add(package.size);
        Ok(())
    })?;
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

fn unpack(package: &LockedPackage, cache: &Cache, root: &Path) -> Result<()> {
    let path = cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?;
    let deb = Deb::open(&path)?;
    let mut archive = tar::Archive::new(deb.data()?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.unpack(root).with_context(|| format!("failed to unpack {}", package.title()))
}
