//! The locks of images/tools: whole trees, and layers that hold what they add to a tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::board::Arch;
use crate::packages::lock::{self, Lock, LockedPackage};
use crate::packages::resolve::{self, Means, Update, Wanted};

/// Every `images/tools/NAME.toml`: trees first, since layers stand on them.
pub const TREES: [&str; 10] = ["tools", "bench", "peers", "arm64", "armhf", "arm", "payload", "docker", "cluster", "browser"];

/// Where they lie, below the repo's root.
const FOLDER: &str = "images/tools";

/// A file of images/tools.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTools {
    packages: Vec<String>,
    #[serde(default)]
    providers: BTreeMap<String, String>,
    /// The tree that this one is laid over: its lock holds only what is not in that tree's.
    base: Option<String>,
    /// Architecture → packages taken for it alone, whose Depends are not followed.
    #[serde(default)]
    foreign: BTreeMap<String, Vec<String>>,
}

/// What a lock of images/tools is made from. Tools run on the host, so they are for amd64.
pub struct Tree {
    /// Its packages and those of its base.
    pub wanted: Wanted,
    /// The lock of its base.
    pub base: Option<PathBuf>,
    foreign: BTreeMap<String, Vec<String>>,
    /// The hash of what its own file asks for.
    pub asked: String,
}

/// Where the lock of a tree lies.
pub fn lock_path(repo: &Path, tree: &str) -> PathBuf {
    repo.join(FOLDER).join(format!("{tree}.lock"))
}

fn read(repo: &Path, tree: &str) -> Result<(RawTools, String)> {
    let shown = Path::new(FOLDER).join(format!("{tree}.toml"));
    let text = std::fs::read_to_string(repo.join(&shown)).with_context(|| format!("failed to read {}", shown.display()))?;
    Ok((crate::board::parse(&shown, &text)?, shown.display().to_string()))
}

impl Tree {
    /// Reads `images/tools/TREE.toml`, and its base's.
    pub fn read(repo: &Path, tree: &str) -> Result<Self> {
        let (raw, file) = read(repo, tree)?;
        let mut asked = lock::asked(&raw.packages, &raw.providers);
        raw.base.iter().for_each(|base| asked.put(format!("on {base}").as_bytes()));
        for (arch, name) in raw.foreign.iter().flat_map(|(arch, names)| names.iter().map(move |name| (arch, name))) {
            asked.put(format!("{name} for {arch}").as_bytes());
        }
        let mut wanted = Wanted {
            arch: Arch::Amd64.debian().to_owned(),
            packages: raw.packages,
            providers: raw.providers,
            kernels: Default::default(),
            payload: Default::default(),
            file,
        };
        let mut base = None;
        if let Some(name) = raw.base {
            let (under, under_file) = read(repo, &name)?;
            if under.base.is_some() {
                bail!("{} stands on {under_file}, which stands on another: layers lie on a tree", wanted.file);
            }
            wanted.packages.extend(under.packages);
            wanted.providers.extend(under.providers);
            base = Some(lock_path(repo, &name));
        }
        Ok(Self { wanted, base, foreign: raw.foreign, asked: asked.finish() })
    }

    /// What is laid over another lock's packages: `wanted` asks for both.
    pub fn over(wanted: Wanted, base: PathBuf) -> Self {
        let asked = lock::asked(&wanted.packages, &wanted.providers).finish();
        Self { wanted, base: Some(base), foreign: BTreeMap::new(), asked }
    }

    /// Makes the lock; `old` is the one that stands there.
    pub fn resolve(&self, means: Means<'_>, old: Option<&Lock>, update: &Update) -> Result<Lock> {
        let mut lock = self.packages(means, old, update)?;
        lock.asked = Some(self.asked.clone());
        Ok(lock)
    }

    fn packages(&self, means: Means<'_>, old: Option<&Lock>, update: &Update) -> Result<Lock> {
        let Some(base) = &self.base else { return resolve::resolve(&self.wanted, means, old, update) };
        let base = Lock::read(base)?;
        // The base stays as it is: a layer is laid over just that tree.
        let mut before = base.clone();
        let names = match update {
            Update::All => Vec::new(),
            Update::Only(names) => {
                before.packages.extend(old.iter().flat_map(|lock| &lock.packages).filter(|package| !package.payload).cloned());
                before.unverified.extend(old.iter().flat_map(|lock| lock.unverified.iter().cloned()));
                names.iter().filter(|name| before.get(name).is_some()).cloned().collect()
            }
        };
        let whole = resolve::resolve(&self.wanted, means, Some(&before), &Update::Only(names))?;
        let mut lock = difference(&whole, &base, &self.wanted.file)?;
        for (arch, names) in &self.foreign {
            let found = resolve::alone(arch, names, &self.wanted.file, means)?;
            for package in &found.packages {
                same_version(package, &whole, &self.wanted.file)?;
            }
            lock.packages.extend(found.packages);
            lock.unverified.extend(found.unverified);
        }
        lock.unverified.sort();
        lock.unverified.dedup();
        lock.sort();
        if let Some(old) = old.filter(|old| old.packages == lock.packages) {
            lock.epoch = old.epoch;
        }
        Ok(lock)
    }
}

/// What `whole` has and `base` has not.
fn difference(whole: &Lock, base: &Lock, file: &str) -> Result<Lock> {
    let mut lock = whole.clone();
    lock.packages.retain(|package| !base.packages.contains(package));
    if let Some(moved) = lock.packages.iter().find(|package| base.get(&package.name).is_some()) {
        bail!(
            "{file} needs {}, and what lies below it has another version: make that lock anew first (`cargo xtask lock tools`, or `apps`)",
            moved.title()
        );
    }
    Ok(lock)
}

/// A foreign package that the tree has for the host too must be of the same version: rustc reads no other libstd than its own.
fn same_version(package: &LockedPackage, whole: &Lock, file: &str) -> Result<()> {
    match whole.get(&package.name).filter(|native| native.version != package.version) {
        Some(native) => bail!(
            "{file} needs {}, and the tree has {}: the archive is behind for one of them; keep the older with `cargo xtask lock --update {}` once both are there",
            package.title(),
            native.title(),
            package.name
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, arch: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: arch.to_owned(),
            sha256: "0".repeat(64),
            size: 1,
            source: "s".to_owned(),
            path: "p.deb".to_owned(),
            payload: false,
            suite: None,
        }
    }

    fn lock(packages: &[LockedPackage]) -> Lock {
        Lock { epoch: 1, packages: packages.to_vec(), ..Lock::default() }
    }

    #[test]
    fn a_layer_holds_what_its_tree_has_not_and_moves_nothing_in_it() {
        let base = lock(&[package("gcc", "1", "amd64")]);
        let whole = lock(&[package("gcc", "1", "amd64"), package("gcc-cross", "1", "amd64")]);
        assert_eq!(difference(&whole, &base, "f").unwrap().packages, [package("gcc-cross", "1", "amd64")]);
        let moved = lock(&[package("gcc", "2", "amd64")]);
        assert!(difference(&moved, &base, "f").unwrap_err().to_string().contains("gcc 2 (amd64)"));
    }

    #[test]
    fn a_foreign_library_has_its_compilers_version() {
        let whole = lock(&[package("libstd", "1.96", "amd64")]);
        assert!(same_version(&package("libstd", "1.96", "arm64"), &whole, "f").is_ok());
        assert!(same_version(&package("other", "3", "arm64"), &whole, "f").is_ok());
        let error = same_version(&package("libstd", "1.95", "arm64"), &whole, "f").unwrap_err().to_string();
        assert!(error.contains("libstd 1.95 (arm64)") && error.contains("libstd 1.96 (amd64)"), "{error}");
    }
}
