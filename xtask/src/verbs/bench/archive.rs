//! A Debian archive on disk of the packages of a lock, for peers that read packages by apt: flat, and as `dists/SUITE`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::board::Arch;
use crate::digest::hex;
use crate::packages::cache::Cache;
use crate::packages::deb::Deb;
use crate::packages::fetch;
use crate::packages::lock::{Lock, LockedPackage};
use crate::packages::sources::Sources;
use crate::stages::Workshop;
use crate::tools::PEERS_LOCK;

/// What the archive calls itself.
pub const SUITE: &str = "trixie";

/// The packages, and what a peer's root must have beyond them since it configures kernel and boot loader (fetched if need be).
pub fn with_peers(shop: &Workshop, packages: &[LockedPackage]) -> Result<Vec<LockedPackage>> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let lock = Lock::read(&shop.repo.join(PEERS_LOCK))?;
    let more: Vec<LockedPackage> = lock.packages.into_iter().filter(|package| !ours.contains(package.name.as_str())).collect();
    fetch::fetch(&more, &shop.cache, &Sources::read(&shop.repo)?, shop.deb_mirror.as_deref())?;
    Ok(packages.iter().cloned().chain(more).collect())
}

/// Makes the archive in `folder`; the .debs are second names of those in the cache.
pub fn make(cache: &Cache, packages: &[LockedPackage], arch: Arch, folder: &Path) -> Result<()> {
    let mut index = String::new();
    std::fs::create_dir_all(folder.join("pool"))?;
    for package in packages {
        let deb = cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?;
        let name = format!("pool/{}_{}.deb", package.name, package.sha256);
        let place = folder.join(&name);
        std::fs::hard_link(&deb, &place).or_else(|_| std::fs::copy(&deb, &place).map(|_| ()))?;
        for (field, value) in Deb::open(&deb)?.control.iter() {
            let _ = writeln!(index, "{field}: {}", value.replace('\n', "\n "));
        }
        let _ = writeln!(index, "Filename: {name}\nSize: {}\nSHA256: {}\n", package.size, package.sha256);
    }
    put_index(&folder.join("Packages"), &folder.join("Release"), "Packages", arch, &index)?;
    let suite = folder.join("dists").join(SUITE);
    let inside = format!("main/binary-{arch}/Packages");
    put_index(&suite.join(&inside), &suite.join("Release"), &inside, arch, &index)
}

fn put_index(packages: &Path, release: &Path, name: &str, arch: Arch, index: &str) -> Result<()> {
    std::fs::create_dir_all(packages.parent().context("an index has no folder")?)?;
    std::fs::write(packages, index)?;
    let sum = hex(&Sha256::digest(index));
    let text =
        format!("Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: {arch}\nComponents: main\nSHA256:\n {sum} {} {name}\n", index.len());
    std::fs::write(release, text)?;
    Ok(())
}
