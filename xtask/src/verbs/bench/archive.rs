//! A Debian archive on disk of the packages of a lock, for peers that read packages by apt: flat, and as `dists/SUITE`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::packages::cache::Cache;
use crate::packages::deb::Deb;
use crate::packages::lock::LockedPackage;
use crate::plan::inputs::hex;

/// What the archive calls itself.
pub const SUITE: &str = "trixie";

/// Makes the archive in `folder`; the .debs are second names of those in the cache.
pub fn make(cache: &Cache, packages: &[LockedPackage], folder: &Path) -> Result<()> {
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
    put_index(&folder.join("Packages"), &folder.join("Release"), "Packages", &index)?;
    let suite = folder.join("dists").join(SUITE);
    let inside = "main/binary-amd64/Packages";
    put_index(&suite.join(inside), &suite.join("Release"), inside, &index)
}

fn put_index(packages: &Path, release: &Path, name: &str, index: &str) -> Result<()> {
    std::fs::create_dir_all(packages.parent().context("an index has no folder")?)?;
    std::fs::write(packages, index)?;
    let sum = hex(&Sha256::digest(index));
    let text =
        format!("Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\nSHA256:\n {sum} {} {name}\n", index.len());
    std::fs::write(release, text)?;
    Ok(())
}
