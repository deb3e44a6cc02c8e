//! The drivers for a board's device trees, from the tree of packages: reads the kernel's image, its drivers' aliases and the
//! device trees, and lets [`super::drivers`] tell.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::DeviceTree;
use super::builtin;
use super::drivers::{self, Drivers, Kernel};
use crate::board::DeviceTrees;
use crate::digest::Key;
use crate::kept;
use crate::tree::modules::{Aliases, Modules, folder};
use crate::tree::{Kind, Tree, kernel};

/// Below the cache's root: what the modules of a kernel answer to, under the hash of where they come from. Unpacking all of
/// them takes seconds, and only another kernel changes it.
const FOLDER: &str = "aliases";
/// Changes whenever the same modules give other aliases.
const RECIPE: &str = "aliases 1";

/// The drivers that the device trees of a board need with the kernel `release` of `tree`; none where it names no tree.
/// `cache` is the cache's root.
pub fn drivers(cache: &Path, tree: &Tree, release: &str, wanted: &DeviceTrees) -> Result<Drivers> {
    if wanted.files.is_empty() {
        return Ok(Drivers::default());
    }
    let files = kernel::Kernel::new(tree, release);
    let mut trees = Vec::new();
    for file in &wanted.files {
        let blob = files.device_tree(file)?.read().with_context(|| format!("failed to read the device tree `{file}`"))?;
        trees.push((file.clone(), DeviceTree::parse(&blob).with_context(|| format!("cannot use the device tree `{file}`"))?));
    }
    let image = builtin::image(&files.image()?.read()?).with_context(|| format!("cannot look into the image of kernel {release}"))?;
    let path = format!("{}/modules.builtin.modinfo", folder(release));
    let modinfo = match tree.get(&path).map(|entry| &entry.kind) {
        Some(Kind::File(content)) => content.read().with_context(|| format!("failed to read /{path}"))?,
        _ => bail!("the packages of kernel {release} bring no /{path}, which says what is built in"),
    };
    let aliases = aliases(cache, tree, release)?;
    let modules = aliases.iter().map(|module| (module.name.as_str(), module.stem.as_str(), module.aliases.as_slice()));
    Ok(drivers::of(&Kernel::new(release, image, modules, &modinfo), &trees, &wanted.no_driver)?)
}

/// What the modules answer to, from the cache or by unpacking them.
fn aliases(cache: &Path, tree: &Tree, release: &str) -> Result<Vec<Aliases>> {
    let place = place(cache, tree, release);
    if let Some(aliases) = kept::load(&place) {
        return Ok(aliases);
    }
    let aliases = Modules::aliases(tree, release)?;
    kept::store(&place, &aliases)?;
    Ok(aliases)
}

fn place(cache: &Path, tree: &Tree, release: &str) -> PathBuf {
    let mut key = Key::new(RECIPE).with(release.as_bytes());
    tree.key_below(&folder(release), |path| path.contains(".ko"), &mut key);
    cache.join(FOLDER).join(format!("{}.json", key.finish()))
}
