//! App images: `images/apps/<app>/app.toml` of the checkout or an added tree, and Debian's packages → one OCI image for all architectures.
//!
//! Packages are laid out and never configured: nothing of a target is executed, not even natively. A container has no boot, no other
//! users and no upgrades, so that what maintainer scripts do for those is not missed; what an app does need (its user, its folders, a
//! link, a configuration) stands in its folder, where it is seen. Two layers: the base, which is the same for all apps and so is
//! fetched and stored once a node, and what the app adds to it.

pub mod build;
pub mod catalog;
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
use crate::trees::{Trees, command};

/// Where apps lie, below the root of a tree.
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

/// The base and every app of the trees, checked.
pub struct Apps {
    /// What all share: the checkout's.
    pub base: Base,
    /// The apps, by name, in order.
    pub apps: Vec<App>,
    /// The checkout and the trees that were added.
    trees: Trees,
    /// Name of an app → which of the trees holds it.
    app_trees: BTreeMap<String, usize>,
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

impl Apps {
    /// Reads all of them. One bad file is an error, so that none rots unseen.
    pub fn load(trees: &Trees) -> Result<Self> {
        let base = Base::load(trees.root(0))?;
        let mut apps = Vec::new();
        let mut app_trees = BTreeMap::new();
        for (tree, root) in trees.roots().iter().enumerate() {
            for name in names(&root.join(FOLDER), tree)? {
                if let Some(other) = app_trees.insert(name.clone(), tree) {
                    let file = |tree: usize| trees.root(tree).join(FOLDER).join(&name).join(APP_FILE);
                    bail!("two apps are called `{name}`: `{}` and `{}`; rename one", file(other).display(), file(tree).display());
                }
                apps.push(load_app(root, &name)?);
            }
        }
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        let apps = Self { base, apps, trees: trees.clone(), app_trees };
        apps.check()?;
        Ok(apps)
    }

    /// Which of the trees holds an app: 0 is the checkout.
    pub fn tree_of(&self, app: &App) -> usize {
        self.app_trees.get(&app.name).copied().unwrap_or(0)
    }

    /// The root of the tree that holds an app; of the checkout, which has the base, without one.
    pub fn root(&self, app: Option<&App>) -> &Path {
        self.trees.root(app.map_or(0, |app| self.tree_of(app)))
    }

    /// The folder of an app, or of the base, below the root of its tree.
    pub fn folder(app: Option<&App>) -> PathBuf {
        Path::new(FOLDER).join(app.map_or(BASE, |app| app.name.as_str()))
    }

    /// Where the lock of an app, or of the base, lies: in its own tree.
    pub fn lock(&self, app: Option<&App>, arch: Arch) -> PathBuf {
        self.root(app).join(Self::folder(app)).join(format!("{arch}.lock"))
    }

    /// The command that makes the locks of `name` anew, for an app that needs it: the checkout's are made without --tree.
    pub fn lock_command(&self, app: &App, name: &str) -> String {
        if self.tree_of(app) == 0 { format!("cargo xtask lock {name}") } else { command(&format!("lock {name}")) }
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

/// Names of the folders of apps in `folder`; a tree that was added need not have any.
fn names(folder: &Path, tree: usize) -> Result<Vec<String>> {
    if tree > 0 && !folder.is_dir() {
        return Ok(Vec::new());
    }
    let doing = || format!("failed to list `{}`", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        if name == BASE && tree > 0 {
            bail!("`{}` can't be: all apps share the checkout's base; call an app otherwise", path.display());
        }
        if name != BASE && path.is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

fn load_app(root: &Path, name: &str) -> Result<App> {
    let folder = Path::new(FOLDER).join(name);
    let file = folder.join(APP_FILE);
    let full = root.join(&file);
    let text = std::fs::read_to_string(&full).with_context(|| format!("failed to read `{}`", full.display()))?;
    let app = contract::apps::read(&file, &text)?;
    if let Some(icon) = app.icon.as_ref().filter(|icon| !root.join(&folder).join(icon).is_file()) {
        bail!("`{}` names the icon `{icon}`, which is not beside it", full.display());
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
pub mod testing {
    //! The checkout's apps, and a tree with apps of its own.

    use super::*;

    /// The checkout.
    pub fn repo() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The facts of an app that is as mosquitto, with a user of this number.
    pub fn facts(uid: u32) -> String {
        let text = std::fs::read_to_string(repo().join("images/apps/mosquitto/app.toml")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("icon = "));
        let lines = lines.map(|line| if line.starts_with("uid = ") { format!("uid = {uid}") } else { line.to_owned() });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The checkout and this tree beside it.
    pub fn with(community: &tempfile::TempDir) -> Trees {
        Trees::new(&repo(), &[community.path().to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{facts, repo, with};
    use super::*;
    use crate::trees::testing::folder;

    #[test]
    fn the_repo_s_own_apps_are_good() {
        let load = || Apps::load(&Trees::new(&repo(), &[])).unwrap();
        let apps = load();
        assert!(apps.app("mosquitto").is_ok());
        let error = apps.app("mosquito").unwrap_err().to_string();
        assert!(error.contains("did you mean `mosquitto`?"), "{error}");
        let wanted = apps.wanted(Some(apps.app("mosquitto").unwrap()), Arch::Armhf);
        let mut twice = load();
        let uid = twice.apps[0].run.uid;
        twice.apps[1].run.uid = uid;
        assert!(twice.check().unwrap_err().to_string().contains(&format!("both have the user {uid}")));
        assert!(wanted.packages.contains(&"mosquitto".to_owned()) && wanted.packages.len() > 1 && wanted.arch == "armhf");
    }

    #[test]
    fn an_app_of_an_added_tree_stands_beside_the_checkout_s() {
        let community = folder(&[("images/apps/broker/app.toml", &facts(29_999)), ("images/apps/README", "")]);
        let apps = Apps::load(&with(&community)).unwrap();
        let (broker, mosquitto) = (apps.app("broker").unwrap(), apps.app("mosquitto").unwrap());
        assert_eq!((apps.tree_of(broker), apps.tree_of(mosquitto)), (1, 0));
        assert_eq!(apps.lock(Some(broker), Arch::Arm64), community.path().join("images/apps/broker/arm64.lock"));
        assert_eq!(apps.lock(Some(mosquitto), Arch::Arm64), repo().join("images/apps/mosquitto/arm64.lock"));
        assert_eq!(apps.lock(None, Arch::Arm64), repo().join("images/apps/base/arm64.lock"));
        assert!(Apps::load(&Trees::new(&repo(), &[])).unwrap().app("broker").is_err());
        // A tree may be about other things.
        assert!(Apps::load(&with(&folder(&[("overlay/common/etc/a", "")]))).is_ok());
    }

    #[test]
    fn what_is_wrong_with_an_added_tree_s_apps_is_named() {
        let error = |files: &[(&str, &str)]| {
            let community = folder(files);
            let error = format!("{:#}", Apps::load(&with(&community)).err().unwrap());
            error.replace(&community.path().display().to_string(), "TREE")
        };
        let twice = error(&[("images/apps/mosquitto/app.toml", &facts(29_999))]);
        let first = repo().join("images/apps/mosquitto/app.toml");
        let both = format!("two apps are called `mosquitto`: `{}` and `TREE/images/apps/mosquitto/app.toml`; rename one", first.display());
        assert_eq!(twice, both);
        let base = error(&[("images/apps/base/base.toml", "packages = []\n")]);
        assert!(base.starts_with("`TREE/images/apps/base` can't be: all apps share the checkout's base"), "{base}");
        let uid = Apps::load(&Trees::new(&repo(), &[])).unwrap().app("mosquitto").unwrap().run.uid;
        let taken = error(&[("images/apps/broker/app.toml", &facts(uid))]);
        assert!(taken.contains("both have the user") && taken.contains("`broker`") && taken.contains("`mosquitto`"), "{taken}");
        let key = error(&[("images/apps/broker/app.toml", &format!("categry = \"web\"\n{}", facts(29_999)))]);
        assert!(key.starts_with("images/apps/broker/app.toml:1:1: unknown key `categry`; did you mean `category`?"), "{key}");
        let icon = error(&[("images/apps/broker/app.toml", &format!("icon = \"a.svg\"\n{}", facts(29_999)))]);
        assert_eq!(icon, "`TREE/images/apps/broker/app.toml` names the icon `a.svg`, which is not beside it");
        assert!(error(&[("images/apps/broker/amd64.lock", "")]).starts_with("failed to read `TREE/images/apps/broker/app.toml`"));
    }
}
