//! The cache of packages, shared by all boards and flavours: `.deb` files by sha256, and their unpacked data tars.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::lock::LockedPackage;

/// A folder of packages. Every file in it was written aside and renamed, so what is there is whole.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache: `$CLOUDY_CACHE`, else `$XDG_CACHE_HOME/cloudy`, else `~/.cache/cloudy`. Made if it is not there.
    pub fn open() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("CLOUDY_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("cloudy")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/cloudy")))
            .context("there is no place for the cache: set CLOUDY_CACHE or HOME")?;
        Self::at(&std::path::absolute(&root).with_context(|| format!("failed to make {} absolute", root.display()))?)
    }

    /// The cache in the folder `root`, made if it is not there.
    pub fn at(root: &Path) -> Result<Self> {
        let cache = Self { root: root.to_owned() };
        for folder in [cache.debs(), cache.tars()] {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("failed to make the cache folder {} (set CLOUDY_CACHE to a folder of yours)", folder.display()))?;
        }
        Ok(cache)
    }

    /// The folder itself; other stages keep what they cache in folders of their own below it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The .deb of a package if it is here with the right size. Its hash is checked by `fetch`, once per build.
    pub fn deb(&self, package: &LockedPackage) -> Option<PathBuf> {
        let path = self.deb_path(&package.sha256);
        let size = std::fs::metadata(&path).ok()?.len();
        (size == package.size).then_some(path)
    }

    /// The unpacked data tar of a package if it is here.
    pub fn tar(&self, package: &LockedPackage) -> Option<PathBuf> {
        let path = self.tar_path(&package.sha256);
        path.is_file().then_some(path)
    }

    /// Where the .deb with this sha256 stands.
    pub(crate) fn deb_path(&self, sha256: &str) -> PathBuf {
        spread(self.debs(), sha256, "deb")
    }

    /// Where a download of this sha256 that is not complete stands.
    pub(super) fn part_path(&self, sha256: &str) -> PathBuf {
        spread(self.debs(), sha256, "part")
    }

    /// Where the unpacked data tar of the .deb with this sha256 stands.
    pub(crate) fn tar_path(&self, sha256: &str) -> PathBuf {
        spread(self.tars(), sha256, "tar")
    }

    /// Holds off other builds that share this cache as long as the file lives; waits for them first. `name`: the lock's file;
    /// `what`: what the one that holds it does. The kernel lets a lock go when its process ends, so none is ever left behind.
    pub fn hold(&self, name: &str, what: &str) -> Result<File> {
        let path = self.root.join(name);
        let file = File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
        if file.try_lock().is_err() {
            crate::ui::say(&format!("  another build {what} in this cache: waiting for it"));
            file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
        }
        Ok(file)
    }

    fn debs(&self) -> PathBuf {
        self.root.join("debs")
    }

    fn tars(&self) -> PathBuf {
        self.root.join("tars")
    }
}

/// `folder/ab/abcdef….suffix`: folders stay small.
fn spread(folder: PathBuf, sha256: &str, suffix: &str) -> PathBuf {
    folder.join(sha256.get(..2).unwrap_or_default()).join(format!("{sha256}.{suffix}"))
}
