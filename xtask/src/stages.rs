//! The stages of a build, each a function of the plan and the stage before: Plan → Tree → Partitions → Image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::board::Arch;
use crate::compile::{self, Programs};
use crate::packages::cache::Cache;
use crate::packages::data;
use crate::packages::deb::Deb;
use crate::packages::fetch;
use crate::packages::lock::{self, Lock, LockedPackage};
use crate::packages::sources::Sources;
use crate::plan::Plan;
use crate::tools::{self, Tools};
use crate::tree::merge::FRAME_PACKAGE;
use crate::tree::{Kind, Origin, Tree};
use crate::twin::ids::{self, Ids};
use crate::twin::{self, rules};
use crate::ui;

/// What every stage stands on.
pub struct Workshop {
    /// The checkout.
    pub repo: PathBuf,
    /// The user's cache.
    pub cache: Cache,
    /// The tools tree.
    pub tools: Tools,
    /// A kept set of .debs that replaces the network.
    pub deb_mirror: Option<PathBuf>,
}

impl Workshop {
    /// Checks the host and lays out the tools tree if it is not there.
    pub fn open(repo: PathBuf, deb_mirror: Option<PathBuf>) -> Result<Self> {
        let cache = Cache::open()?;
        let tools = Tools::prepare(&repo, tools::LOCK, &cache, deb_mirror.as_deref())?;
        Ok(Self { repo, cache, tools, deb_mirror })
    }
}

/// Fetches what the plan names and unpacks its data tars into the cache. Returns the packages in the plan's order.
pub fn packages(shop: &Workshop, plan: &Plan) -> Result<Vec<LockedPackage>> {
    let _stage = ui::stage("packages", format!("fetching and unpacking {} packages", plan.packages.len()));
    let lock = Lock::read(&lock::flavour_lock(&shop.repo, &plan.flavour, plan.arch.debian()))?;
    let wanted: BTreeSet<&str> = plan.packages.iter().map(|package| package.sha256.as_str()).collect();
    let packages: Vec<LockedPackage> = lock.packages.into_iter().filter(|package| wanted.contains(package.sha256.as_str())).collect();
    fetch::fetch(&packages, &shop.cache, &Sources::read(&shop.repo)?, shop.deb_mirror.as_deref())?;
    data::prepare(&packages, &shop.cache)?;
    Ok(packages)
}

/// Compiles the node's programs.
pub fn programs(shop: &Workshop, plan: &Plan) -> Result<Programs> {
    compile::programs(&shop.repo, &shop.tools, plan.arch)
}

/// The configuration delta, from the cache or by the maintainer scripts.
pub fn delta(shop: &Workshop, plan: &Plan, packages: &[LockedPackage]) -> Result<twin::Delta> {
    let _stage = ui::stage("twin", "configuring the packages (their maintainer scripts, once, natively)");
    if plan.arch != Arch::Amd64 {
        bail!("configuring {} packages is not built yet", plan.arch);
    }
    let configured: Vec<&LockedPackage> = packages.iter().filter(|package| !package.payload).collect();
    let overlays: Vec<PathBuf> = plan.overlays.iter().map(|folder| shop.repo.join(folder)).collect();
    let ids = Ids::load(&shop.repo)?;
    let inputs = twin::Inputs { packages: &configured, ids: &ids, overlays: &overlays };
    twin::delta(&shop.cache, &shop.tools.sandbox(), shop.tools.root(), &inputs)
}

/// Packages and the twin's delta, laid over each other.
pub fn configured_tree(shop: &Workshop, plan: &Plan, packages: &[LockedPackage], delta: &twin::Delta) -> Result<Tree> {
    let mut tree = Tree::default();
    let (frame, rest): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.name == FRAME_PACKAGE);
    for package in frame.into_iter().chain(rest) {
        lay_package(shop, &mut tree, package)?;
    }
    let entries = data::data_entries(&delta.tar)?;
    let kept: Vec<_> = entries.into_iter().filter(|entry| rules::left_out(&entry.path).is_none()).collect();
    tree.apply_delta(&delta.tar, &kept)?;
    rules::normalise(&mut tree, plan.epoch)?;
    Ok(tree)
}

/// The root as packages, delta and overlays make it: before modules and firmware are chosen and anything is pruned.
pub fn whole_tree(shop: &Workshop, plan: &Plan, packages: &[LockedPackage], delta: &twin::Delta) -> Result<Tree> {
    let mut tree = configured_tree(shop, plan, packages, delta)?;
    check_ids(shop, plan, &tree)?;
    for folder in &plan.overlays {
        tree.lay_overlay(&shop.repo, Path::new(folder))?;
    }
    Ok(tree)
}

fn lay_package(shop: &Workshop, tree: &mut Tree, package: &LockedPackage) -> Result<()> {
    let tar = data::data_tar(&shop.cache, package)?;
    let entries = data::data_entries(&tar)?;
    let deb = Deb::open(&shop.cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?)?;
    let replaces: BTreeSet<String> = deb.control.relations("Replaces").into_iter().flatten().map(|relation| relation.name).collect();
    let origin = Origin::Package { name: package.name.clone(), version: package.version.clone() };
    tree.lay_package(&tar, &entries, &origin, &replaces)
}

/// Every user and group of the tree is base-passwd's or stands in ids.lock.
fn check_ids(shop: &Workshop, plan: &Plan, tree: &Tree) -> Result<()> {
    let news = new_ids(shop, tree)?;
    if !news.is_empty() {
        bail!("{} are not in {}: add them with `cargo xtask ids {}`", news.names(), ids::FILE, plan.board);
    }
    Ok(())
}

/// The users and groups of the tree that ids.lock doesn't know.
pub fn new_ids(shop: &Workshop, tree: &Tree) -> Result<Ids> {
    let read = |path: &str| -> Result<String> {
        match tree.get(path).map(|entry| &entry.kind) {
            Some(Kind::File(content)) => Ok(String::from_utf8_lossy(&content.read()?).into_owned()),
            _ => bail!("the tree has no /{path}"),
        }
    };
    let masters = "usr/share/base-passwd";
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    Ids::load(&shop.repo)?.news(&passwd, &group, &read(&format!("{masters}/passwd.master"))?, &read(&format!("{masters}/group.master"))?)
}
