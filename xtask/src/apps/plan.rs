//! What the build of an app decides: its packages by sha256, times and architectures. No later step makes a choice.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use contract::apps::App;

use super::{BASE, lock_path};
use crate::board::Arch;
use crate::packages::lock::{Lock, LockedPackage};

/// An app's build.
pub struct AppPlan<'a> {
    /// The facts.
    pub app: &'a App,
    /// One image an architecture.
    pub images: Vec<ImagePlan>,
}

/// The image for one architecture.
pub struct ImagePlan {
    /// The architecture.
    pub arch: Arch,
    /// Packages of the layer that all apps share.
    pub base: Vec<LockedPackage>,
    /// The base's time: of every file in its layer, seconds since 1970.
    pub base_epoch: u64,
    /// Packages that the app adds.
    pub own: Vec<LockedPackage>,
    /// The app's time.
    pub epoch: u64,
}

impl<'a> AppPlan<'a> {
    /// Decides a build for `arches`, or for all that the app is for where none are named.
    pub fn make(repo: &Path, app: &'a App, arches: &[Arch]) -> Result<Self> {
        if let Some(other) = arches.iter().find(|arch| !app.architectures.contains(arch)) {
            bail!("{} is not built for {other}", app.name);
        }
        let wanted = app.architectures.iter().filter(|arch| arches.is_empty() || arches.contains(arch));
        let images = wanted.map(|arch| ImagePlan::make(repo, app, *arch)).collect::<Result<Vec<_>>>()?;
        Ok(Self { app, images })
    }

    /// All packages, for fetching.
    pub fn packages(&self) -> impl Iterator<Item = &LockedPackage> {
        self.images.iter().flat_map(|image| image.base.iter().chain(&image.own))
    }
}

impl ImagePlan {
    fn make(repo: &Path, app: &App, arch: Arch) -> Result<Self> {
        let base = Lock::read(&lock_path(repo, BASE, arch))?;
        let own = Lock::read(&lock_path(repo, &app.name, arch))?;
        let both = || base.packages.iter().chain(&own.packages);
        for package in both() {
            ensure!(
                package.arch == arch.debian() || package.arch == "all",
                "the lock of {} for {arch} holds {}: run `cargo xtask lock {}`",
                app.name,
                package.title(),
                app.name
            );
        }
        for name in &app.image.packages {
            ensure!(
                both().any(|package| package.name == *name),
                "the lock of {} for {arch} has no `{name}`: run `cargo xtask lock {}`",
                app.name,
                app.name
            );
        }
        if let Some(twice) = own.packages.iter().find(|package| base.get(&package.name).is_some()) {
            bail!("{} stands in the lock of {} and in that of the base: run `cargo xtask lock apps`", twice.title(), app.name);
        }
        let epoch = own.epoch.max(base.epoch);
        Ok(Self { arch, base_epoch: base.epoch, base: base.packages, own: own.packages, epoch })
    }
}
