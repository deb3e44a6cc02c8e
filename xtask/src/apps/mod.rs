//! App images: `images/apps/<app>/app.toml` and Debian's packages → one OCI image for all architectures.
//!
//! Packages are laid out and never configured: nothing of a target is executed, not even natively. A container has no boot, no other
//! users and no upgrades, so that what maintainer scripts do for those is not missed; what an app does need (its user, its folders, a
//! link, a configuration) stands in its folder, where it is seen. Two layers: the base, which is the same for all apps and so is
//! fetched and stored once a node, and what the app adds to it.

pub mod build;
pub mod lab;
mod lints;
pub mod oci;
pub mod plan;
pub mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use contract::apps::App;
use serde::Deserialize;
use toml::Spanned;

use crate::board::{Arch, Globs, ParseError, Prune, nearest, parse};
use crate::packages::resolve::Wanted;

/// Where apps lie, below the repo's root.
pub const FOLDER: &str = "images/apps";
/// Where their images land, below the checkout: one OCI image layout for all.
pub const OUT: &str = "out/apps";
/// The folder of what all apps share; no app is called so.
pub const BASE: &str = "base";
/// What all apps share.
const BASE_FILE: &str = "base.toml";
/// An app.
const APP_FILE: &str = "app.toml";
/// The folder of an app (and of the base) whose files are laid over its packages.
const FILES: &str = "files";

/// The base and every app, checked.
pub struct Apps {
    /// What all share.
    pub base: Base,
    /// The apps, by name, in order.
    pub apps: Vec<App>,
}

/// `images/apps/base/base.toml`, checked.
pub struct Base {
    packages: Vec<String>,
    providers: BTreeMap<String, String>,
    prune: Prune,
    links: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBase {
    packages: Vec<String>,
    #[serde(default)]
    providers: BTreeMap<String, String>,
    #[serde(default)]
    drop: Vec<Spanned<String>>,
    #[serde(default)]
    keep: Vec<Spanned<String>>,
    #[serde(default)]
    links: BTreeMap<String, String>,
}

/// Where the lock of an app, or of the base, lies.
pub fn lock_path(repo: &Path, app: &str, arch: Arch) -> PathBuf {
    repo.join(FOLDER).join(app).join(format!("{arch}.lock"))
}

impl Apps {
    /// Reads all of them. One bad file is an error, so that none rots unseen.
    pub fn load(repo: &Path) -> Result<Self> {
        let folder = repo.join(FOLDER);
        let base = Base::load(repo)?;
        let mut apps = Vec::new();
        let entries = std::fs::read_dir(&folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name == BASE || !folder.join(&name).is_dir() {
                continue;
            }
            apps.push(load_app(repo, &name)?);
        }
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        let apps = Self { base, apps };
        apps.check()?;
        Ok(apps)
    }

    /// The app of that name.
    pub fn app(&self, name: &str) -> Result<&App> {
        self.apps.iter().find(|app| app.name == name).with_context(|| {
            let known: Vec<&str> = self.apps.iter().map(|app| app.name.as_str()).collect();
            let near =
                nearest(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_else(|| ";".to_owned());
            format!("no app is called `{name}`{near} there are: {}", known.join(", "))
        })
    }

    /// What no file says alone.
    fn check(&self) -> Result<()> {
        let mut uids = BTreeMap::new();
        for app in &self.apps {
            if let Some(other) = uids.insert(app.run.uid, &app.name) {
                bail!("the apps `{other}` and `{}` both have the user {}: each needs a number of its own", app.name, app.run.uid);
            }
            prune(&self.base, app)?;
        }
        Ok(())
    }

    /// What a lock is made from: of an app, or of the base without one.
    pub fn wanted(&self, app: Option<&App>, arch: Arch) -> Wanted {
        let mut wanted = Wanted {
            arch: arch.debian().to_owned(),
            packages: self.base.packages.clone(),
            providers: self.base.providers.clone(),
            kernels: Default::default(),
            payload: Default::default(),
            file: format!("{FOLDER}/{BASE}/{BASE_FILE}"),
        };
        if let Some(app) = app {
            wanted.packages.extend(app.image.packages.iter().filter(|name| !self.base.packages.contains(name)).cloned());
            wanted.providers.extend(app.image.providers.clone());
            wanted.file = format!("{FOLDER}/{}/{APP_FILE}", app.name);
        }
        wanted
    }
}

impl Base {
    fn load(repo: &Path) -> Result<Self> {
        let file = Path::new(FOLDER).join(BASE).join(BASE_FILE);
        let text = std::fs::read_to_string(repo.join(&file)).with_context(|| format!("failed to read `{}`", file.display()))?;
        let raw: RawBase = parse(&file, &text)?;
        let globs = |list: &[Spanned<String>]| -> Result<Globs, ParseError> {
            let patterns: Vec<&str> = list.iter().map(|item| item.get_ref().as_str()).collect();
            Globs::new(&patterns).map_err(|(index, error)| {
                ParseError::at(&file, &text, list.get(index).map_or(0..0, Spanned::span), format!("bad glob: {error}"))
            })
        };
        Ok(Self {
            prune: Prune { drop: globs(&raw.drop)?, keep: globs(&raw.keep)? },
            packages: raw.packages,
            providers: raw.providers,
            links: raw.links,
        })
    }
}

fn load_app(repo: &Path, name: &str) -> Result<App> {
    let file = Path::new(FOLDER).join(name).join(APP_FILE);
    let text = std::fs::read_to_string(repo.join(&file)).with_context(|| format!("failed to read `{}`", file.display()))?;
    let app = contract::apps::read(&file, &text)?;
    if let Some(icon) = app.icon.as_ref().filter(|icon| !repo.join(FOLDER).join(name).join(icon).is_file()) {
        bail!("`{}` names the icon `{icon}`, which is not beside it", file.display());
    }
    Ok(app)
}

/// What is left out of an app's image: the globs of the base and of the app as one set, so that an app may keep what the base leaves out.
fn prune(base: &Base, app: &App) -> Result<Prune> {
    let globs = |of_base: &Globs, own: &[String]| {
        let all: Vec<&String> = of_base.patterns().iter().chain(own).collect();
        Globs::new(&all).map_err(|(index, error)| {
            let glob = all.get(index).map(|glob| glob.as_str()).unwrap_or_default();
            anyhow::anyhow!("{FOLDER}/{}/{APP_FILE}: bad glob `{glob}`: {error}", app.name)
        })
    };
    Ok(Prune { drop: globs(&base.prune.drop, &app.image.drop)?, keep: globs(&base.prune.keep, &app.image.keep)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repo_s_own_apps_are_good() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let apps = Apps::load(&repo).unwrap();
        assert!(apps.app("mosquitto").is_ok());
        let error = apps.app("mosquito").unwrap_err().to_string();
        assert!(error.contains("did you mean `mosquitto`?"), "{error}");
        let wanted = apps.wanted(Some(apps.app("mosquitto").unwrap()), Arch::Armhf);
        let mut twice = Apps::load(&repo).unwrap();
        let uid = twice.apps[0].run.uid;
        twice.apps[1].run.uid = uid;
        assert!(twice.check().unwrap_err().to_string().contains(&format!("both have the user {uid}")));
        assert!(wanted.packages.contains(&"mosquitto".to_owned()) && wanted.packages.len() > 1 && wanted.arch == "armhf");
    }
}
