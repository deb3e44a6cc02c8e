//! What the build of an app decides: its packages by sha256, times and architectures. No later step makes a choice.

use anyhow::{Context, Result, bail, ensure};
use contract::apps::App;

use super::Apps;
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
    pub fn make(apps: &Apps, app: &'a App, arches: &[Arch]) -> Result<Self> {
        if let Some(other) = arches.iter().find(|arch| !app.architectures.contains(arch)) {
            bail!("{} is not built for {other}", app.name);
        }
        let wanted = app.architectures.iter().filter(|arch| arches.is_empty() || arches.contains(arch));
        let images = wanted.map(|arch| ImagePlan::make(apps, app, *arch)).collect::<Result<Vec<_>>>()?;
        Ok(Self { app, images })
    }

    /// All packages, for fetching.
    pub fn packages(&self) -> impl Iterator<Item = &LockedPackage> {
        self.images.iter().flat_map(|image| image.base.iter().chain(&image.own))
    }
}

impl ImagePlan {
    fn make(apps: &Apps, app: &App, arch: Arch) -> Result<Self> {
        let base = Lock::read(&apps.lock(None, arch))?;
        let mend = apps.lock_command(app, &app.name);
        let own = Lock::read(&apps.lock(Some(app), arch))
            .with_context(|| format!("{} can't be built for {arch}: `{mend}` makes its lock", app.name))?;
        let both = || base.packages.iter().chain(&own.packages);
        for package in both() {
            ensure!(
                package.arch == arch.debian() || package.arch == "all",
                "the lock of {} for {arch} holds {}: run `{mend}`",
                app.name,
                package.title()
            );
        }
        for name in &app.image.packages {
            ensure!(both().any(|package| package.name == *name), "the lock of {} for {arch} has no `{name}`: run `{mend}`", app.name);
        }
        if let Some(twice) = own.packages.iter().find(|package| base.get(&package.name).is_some()) {
            let mend = apps.lock_command(app, "apps");
            bail!("{} stands in the lock of {} and in that of the base: run `{mend}`", twice.title(), app.name);
        }
        let epoch = own.epoch.max(base.epoch);
        Ok(Self { arch, base_epoch: base.epoch, base: base.packages, own: own.packages, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, repo, with};
    use super::*;
    use crate::trees::testing::folder;

    #[test]
    fn an_app_of_an_added_tree_is_planned_from_the_lock_beside_it() {
        let community = folder(&[("images/apps/broker/app.toml", &facts(29_999))]);
        let apps = Apps::load(&with(&community)).unwrap();
        let broker = apps.app("broker").unwrap();
        let plan = || AppPlan::make(&apps, broker, &[Arch::Armhf]);
        let place = community.path().join("images/apps/broker/armhf.lock");
        let error = format!("{:#}", plan().err().unwrap());
        assert!(error.starts_with("broker can't be built for armhf: `cargo xtask lock broker` makes its lock: "), "{error}");
        assert!(error.contains(&place.display().to_string()), "{error}");
        std::fs::copy(repo().join("images/apps/mosquitto/armhf.lock"), &place).unwrap();
        let made = plan().unwrap();
        let mosquitto = AppPlan::make(&apps, apps.app("mosquitto").unwrap(), &[Arch::Armhf]).unwrap();
        let names = |plan: &AppPlan<'_>| plan.packages().map(LockedPackage::title).collect::<Vec<_>>();
        assert_eq!(names(&made), names(&mosquitto));
        std::fs::copy(repo().join("images/apps/base/armhf.lock"), &place).unwrap();
        let error = plan().err().unwrap().to_string();
        assert!(error.starts_with("the lock of broker for armhf has no `mosquitto`: run `cargo xtask "), "{error}");
    }
}
