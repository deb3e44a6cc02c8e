//! Kernel modules: which ones stay, by globs and by what those need; stored uncompressed, so that the one outer .xz
//! sees through them; and indexed anew by depmod.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::modinfo::{self, ModInfo, normal};
use super::{Content, Entry, Kind, Origin, Tree};
use crate::board::{Globs, Select};
use crate::devicetree::drivers::Drivers;
use crate::near;
use crate::plan::CRC32C_MODULES;

/// Where the modules of a kernel lie in the tree.
pub fn folder(release: &str) -> String {
    format!("usr/lib/modules/{release}")
}

/// What depmod writes and reads; anything else in the folder is left alone.
const INDEX_PREFIX: &str = "modules.";
/// What the package ships and depmod reads.
const SHIPPED_INDEXES: [&str; 3] = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];

/// Why the modules can't be selected.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The kernel package brought no modules.
    #[error("the tree holds no modules of kernel {release} below /{}; is its package in the lock?", folder(.release))]
    NoModules {
        /// `uname -r`.
        release: String,
    },
    /// A module can't be read.
    #[error("cannot read the kernel module /{path}")]
    Read {
        /// In the tree.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file named like a module is none.
    #[error("/{path} is no kernel module: {reason}")]
    Malformed {
        /// In the tree.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A module that must be there is not.
    #[error("kernel {release} has no module `{name}`, which {wanted_by} needs, and it is not built in")]
    Missing {
        /// `uname -r`.
        release: String,
        /// The module.
        name: String,
        /// Who wants it.
        wanted_by: String,
    },
    /// Globs match nothing: a slip of the finger, or the kernel changed.
    #[error("kernel {release} has no module for these globs of the board or family file:{globs}")]
    IdleGlobs {
        /// `uname -r`.
        release: String,
        /// Each glob with where it stands and what there is.
        globs: String,
    },
    /// The index can't be made.
    #[error("cannot index the kernel modules in `{}`", .path.display())]
    Index {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// depmod failed.
    #[error("depmod failed for the modules of kernel {release}")]
    Depmod {
        /// `uname -r`.
        release: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// One module that stays.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its path below the folder of the kernel's modules, uncompressed: `kernel/fs/erofs/erofs.ko`.
    pub path: String,
    /// The ELF file, with its signature.
    pub content: Arc<[u8]>,
    /// What it says about itself.
    pub info: ModInfo,
}

/// The modules that stay, by name with `_` for `-`.
#[derive(Clone, Debug)]
pub struct Modules {
    /// `uname -r`.
    pub release: String,
    /// By name.
    pub by_name: BTreeMap<String, Module>,
    /// Names of what is built into the kernel.
    pub built_in: BTreeSet<String>,
}

/// What depmod wrote, by file name (`modules.dep`).
pub type Indexes = BTreeMap<String, Arc<[u8]>>;

/// What one module answers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    /// The module's name with `_` for `-`.
    pub name: String,
    /// Its path below `kernel/`, without suffix.
    pub stem: String,
    /// Patterns of devices.
    pub aliases: Vec<String>,
}

/// Drivers of devices lie below this, below `kernel/`.
const DRIVERS: &str = "drivers/";
/// Modules that are unpacked at once where all are looked at.
const READ_AT_ONCE: usize = 256;

/// Which modules are wanted.
pub struct Wanted<'a> {
    /// By path below `kernel/`, without `.ko` and compression suffix.
    pub rules: &'a Select,
    /// Wanted too, whatever `rules` drops: what the initramfs carries.
    pub also: &'a Globs,
    /// Must be there or built in: what init always loads.
    pub always: &'a [&'static str],
    /// What the device trees ask for, by name: `root` must be there, `all` is wanted where `rules` does not drop it.
    pub devices: &'a Drivers,
}

/// A module's file in the tree before the selection.
struct Candidate<'a> {
    path: &'a str,
    /// Below `kernel/`, without suffix: what globs match.
    stem: &'a str,
    content: &'a Content,
}

impl Module {
    /// What globs match: its path below `kernel/`, without suffix.
    pub fn stem(&self) -> &str {
        let path = self.path.strip_prefix("kernel/").unwrap_or(&self.path);
        path.strip_suffix(".ko").unwrap_or(path)
    }
}

impl Modules {
    /// All that must be loaded before a module, in load order: what it depends on and its softdeps.
    pub fn before(&self, name: &str) -> Vec<&str> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        self.collect_before(name, &mut seen, &mut order);
        order.pop();
        order
    }

    fn collect_before<'a>(&'a self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
        let Some((name, module)) = self.by_name.get_key_value(name) else { return };
        if !seen.insert(name) {
            return;
        }
        for soft in module.info.before.iter().flat_map(|word| self.named_or_aliased(word)) {
            self.collect_before(soft, seen, order);
        }
        for needed in &module.info.depends {
            self.collect_before(needed, seen, order);
        }
        order.push(name);
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.by_name.values().map(|module| module.content.len() as u64).sum()
    }

    /// Firmware names (and globs) that they may ask for.
    pub fn firmware(&self) -> BTreeSet<&str> {
        self.by_name.values().flat_map(|module| module.info.firmware.iter().map(String::as_str)).collect()
    }

    /// Whether the kernel has it: as a module that stays, or built in.
    pub fn has(&self, name: &str) -> bool {
        let name = normal(name);
        self.by_name.contains_key(&name) || self.built_in.contains(&name)
    }

    /// Names of the modules that a softdep's word means: a module's name, or else an alias of some.
    pub fn named_or_aliased(&self, word: &str) -> Vec<&str> {
        if let Some((name, _)) = self.by_name.get_key_value(&normal(word)) {
            return vec![name];
        }
        let answers = |module: &Module| module.info.aliases.iter().any(|alias| alias == word);
        self.by_name.iter().filter(|(_, module)| answers(module)).map(|(name, _)| name.as_str()).collect()
    }

    /// Selects from `tree` what is wanted, and what that needs.
    pub fn select(tree: &Tree, release: &str, wanted: &Wanted<'_>) -> Result<Self, ModulesError> {
        let candidates = candidates(tree, release);
        if candidates.is_empty() {
            return Err(ModulesError::NoModules { release: release.to_owned() });
        }
        let mut modules = Self { release: release.to_owned(), by_name: BTreeMap::new(), built_in: built_in(tree, release)? };
        refuse_idle_globs(&candidates, release, wanted)?;
        let mut next: BTreeSet<String> = candidates
            .iter()
            .filter(|(name, candidate)| {
                let of_device = wanted.devices.all.contains(*name) && !wanted.rules.drop.matches(candidate.stem);
                of_device || wanted.rules.takes(candidate.stem) || wanted.also.matches(candidate.stem)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in &wanted.devices.root {
            modules.want(&candidates, name, "a device tree", &mut next)?;
        }
        let [_, of_older] = CRC32C_MODULES;
        let older = candidates.contains_key(of_older);
        for name in wanted.always.iter().filter(|name| older || !CRC32C_MODULES.contains(name)) {
            modules.want(&candidates, name, "init", &mut next)?;
        }
        while !next.is_empty() {
            let batch: Vec<(&String, &Candidate<'_>)> = next.iter().filter_map(|name| candidates.get_key_value(name)).collect();
            let read = read_all(&batch, release)?;
            next.clear();
            let fresh: Vec<String> = read.iter().map(|(name, _)| name.clone()).collect();
            modules.by_name.extend(read);
            for name in fresh {
                let Some(info) = modules.by_name.get(&name).map(|module| module.info.clone()) else { continue };
                for needed in &info.depends {
                    modules.want(&candidates, needed, &name, &mut next)?;
                }
                for soft in info.before.iter().chain(&info.after).map(|word| normal(word)) {
                    // What is only nice to have is not taken against the rules.
                    let allowed = candidates.get(&soft).is_some_and(|candidate| !wanted.rules.drop.matches(candidate.stem));
                    if allowed && !modules.by_name.contains_key(&soft) {
                        next.insert(soft);
                    }
                }
            }
        }
        Ok(modules)
    }

    fn want(
        &self,
        candidates: &BTreeMap<String, Candidate<'_>>,
        name: &str,
        wanted_by: &str,
        next: &mut BTreeSet<String>,
    ) -> Result<(), ModulesError> {
        let name = normal(name);
        if self.has(&name) {
            return Ok(());
        }
        if !candidates.contains_key(&name) {
            return Err(ModulesError::Missing { release: self.release.clone(), name, wanted_by: wanted_by.to_owned() });
        }
        next.insert(name);
        Ok(())
    }

    /// What every driver of the kernel that is a module answers to.
    pub fn aliases(tree: &Tree, release: &str) -> Result<Vec<Aliases>, ModulesError> {
        let candidates = candidates(tree, release);
        let drivers: Vec<_> = candidates.iter().filter(|(_, candidate)| candidate.stem.starts_with(DRIVERS)).collect();
        let mut found = Vec::with_capacity(drivers.len());
        // A batch at a time, so that not all of them are held unpacked.
        for batch in drivers.chunks(READ_AT_ONCE) {
            for (name, module) in read_all(batch, release)? {
                let stem = module.stem().to_owned();
                found.push(Aliases { name, stem, aliases: module.info.aliases });
            }
        }
        Ok(found)
    }

    /// The tree with these modules in the place of all others of the kernel, and their indexes.
    pub fn lay(&self, mut tree: Tree, indexes: &Indexes) -> Tree {
        let folder = folder(&self.release);
        let below = format!("{folder}/kernel/");
        let origins: BTreeMap<String, Origin> = candidates(&tree, &self.release)
            .into_iter()
            .filter_map(|(name, candidate)| Some((name, tree.get(candidate.path)?.origin.clone())))
            .collect();
        tree.retain(|path, _| !path.starts_with(&below));
        for (name, module) in &self.by_name {
            let origin = origins.get(name).cloned().unwrap_or(Origin::Builder("modules"));
            let path = format!("{folder}/{}", module.path);
            let mut parent = path.as_str();
            while let Some((up, _)) = parent.rsplit_once('/') {
                if tree.get(up).is_some() {
                    break;
                }
                tree.insert(up.to_owned(), made(Kind::Directory, 0o755, origin.clone()));
                parent = up;
            }
            tree.insert(path, made(Kind::File(Content::Bytes(module.content.clone())), 0o644, origin));
        }
        for (name, bytes) in indexes {
            let kind = Kind::File(Content::Bytes(bytes.clone()));
            tree.insert(format!("{folder}/{name}"), made(kind, 0o644, Origin::Builder("modules: depmod")));
        }
        tree
    }

    /// The indexes that modprobe and udev read, by file name. `depmod` is run on (a folder that stands for `/`, the release).
    pub fn indexes<E>(
        &self,
        tree: &Tree,
        scratch: &Path,
        depmod: impl FnOnce(&Path, &str) -> Result<(), E>,
    ) -> Result<Indexes, ModulesError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ModulesError::Index { path, source }
        };
        let folder = folder(&self.release);
        // depmod looks below /lib/modules, whichever of the two the distribution's kmod prefers.
        let root = scratch.join(&folder);
        std::fs::create_dir_all(&root).map_err(failed(&root))?;
        let lib = scratch.join("lib");
        std::os::unix::fs::symlink("usr/lib", &lib).map_err(failed(&lib))?;
        for name in SHIPPED_INDEXES {
            if let Some(Kind::File(content)) = tree.get(&format!("{folder}/{name}")).map(|entry| &entry.kind) {
                let path = root.join(name);
                std::fs::write(&path, content.read().map_err(failed(&path))?).map_err(failed(&path))?;
            }
        }
        for module in self.by_name.values() {
            let path = root.join(&module.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(failed(parent))?;
            }
            std::fs::write(&path, &module.content).map_err(failed(&path))?;
        }
        depmod(scratch, &self.release).map_err(|source| ModulesError::Depmod { release: self.release.clone(), source: source.into() })?;
        let mut indexes = Indexes::new();
        for entry in std::fs::read_dir(&root).map_err(failed(&root))? {
            let name = entry.map_err(failed(&root))?.file_name().to_string_lossy().into_owned();
            if name.starts_with(INDEX_PREFIX) && !SHIPPED_INDEXES.contains(&name.as_str()) {
                let path = root.join(&name);
                let bytes = std::fs::read(&path).map_err(failed(&path))?.into();
                indexes.insert(name, bytes);
            }
        }
        Ok(indexes)
    }
}

fn made(kind: Kind, mode: u32, origin: Origin) -> Entry {
    Entry { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new(), origin }
}

/// Every module file of the kernel, by name.
fn candidates<'a>(tree: &'a Tree, release: &str) -> BTreeMap<String, Candidate<'a>> {
    let below = format!("{}/kernel/", folder(release));
    tree.iter()
        .filter_map(|(path, entry)| {
            let stem = path.strip_prefix(&below)?;
            let stem = stem.strip_suffix(".xz").unwrap_or(stem).strip_suffix(".ko")?;
            let Kind::File(content) = &entry.kind else { return None };
            Some((normal(stem.rsplit('/').next().unwrap_or(stem)), Candidate { path, stem, content }))
        })
        .collect()
}

/// Names of what is built in, from `modules.builtin`: one path a line.
fn built_in(tree: &Tree, release: &str) -> Result<BTreeSet<String>, ModulesError> {
    let path = format!("{}/modules.builtin", folder(release));
    let Some(Kind::File(content)) = tree.get(&path).map(|entry| &entry.kind) else { return Ok(BTreeSet::new()) };
    let text = content.read().map_err(|source| ModulesError::Read { path, source })?;
    let names = String::from_utf8_lossy(&text);
    Ok(names.lines().filter_map(|line| Some(normal(line.rsplit('/').next()?.strip_suffix(".ko")?))).collect())
}

/// Every glob must match something, so that a list never lies about what it does.
fn refuse_idle_globs(candidates: &BTreeMap<String, Candidate<'_>>, release: &str, wanted: &Wanted<'_>) -> Result<(), ModulesError> {
    let lists = [("modules.keep", &wanted.rules.keep), ("modules.drop", &wanted.rules.drop), ("initramfs.modules", wanted.also)];
    let mut idle = String::new();
    let there: Vec<&str> = candidates.values().map(|candidate| candidate.stem).collect();
    for (list, globs) in lists {
        let mut used = vec![false; globs.patterns().len()];
        for index in candidates.values().flat_map(|candidate| globs.matching(candidate.stem)) {
            if let Some(used) = used.get_mut(index) {
                *used = true;
            }
        }
        let of_list = globs.patterns().iter().zip(used).filter(|(_, used)| !used);
        idle.extend(of_list.map(|(glob, _)| format!("\n  {list}: nothing matches `{glob}`{}", near::words(glob, &there))));
    }
    if !idle.is_empty() {
        return Err(ModulesError::IdleGlobs { release: release.to_owned(), globs: idle });
    }
    Ok(())
}

/// Decompresses and reads modules, on as many threads as the machine has.
fn read_all(batch: &[(&String, &Candidate<'_>)], release: &str) -> Result<Vec<(String, Module)>, ModulesError> {
    let threads = crate::parallel::processors();
    let share = batch.len().div_ceil(threads).max(1);
    let read_share = |share: &[(&String, &Candidate<'_>)]| -> Result<Vec<(String, Module)>, ModulesError> {
        share.iter().map(|(name, candidate)| Ok(((*name).clone(), read(candidate, release)?))).collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = batch.chunks(share).map(|share| scope.spawn(move || read_share(share))).collect();
        let mut all = Vec::with_capacity(batch.len());
        for worker in workers {
            match worker.join() {
                Ok(result) => all.extend(result?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

fn read(candidate: &Candidate<'_>, release: &str) -> Result<Module, ModulesError> {
    let failed = |source| ModulesError::Read { path: candidate.path.to_owned(), source };
    let stored = candidate.content.read().map_err(failed)?;
    let content: Arc<[u8]> = if candidate.path.ends_with(".xz") {
        let mut plain = Vec::with_capacity(stored.len() * 4);
        lzma_rust2::XzReader::new(&stored[..], false).read_to_end(&mut plain).map_err(failed)?;
        plain.into()
    } else {
        stored
    };
    let info = modinfo::read(&content).map_err(|reason| ModulesError::Malformed { path: candidate.path.to_owned(), reason })?;
    let below = format!("{}/", folder(release));
    let path = candidate.path.strip_prefix(&below).unwrap_or(candidate.path);
    Ok(Module { path: path.strip_suffix(".xz").unwrap_or(path).to_owned(), content, info })
}

pub mod kept;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod testing {
    //! Made-up modules for tests.

    use super::*;

    impl Module {
        /// One with this to say about itself.
        pub fn sample(depends: &[&str], before: &[&str], aliases: &[&str]) -> Self {
            let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let info = ModInfo { depends: list(depends), before: list(before), aliases: list(aliases), ..ModInfo::default() };
            Self { path: String::new(), content: Arc::from(&b""[..]), info }
        }
    }

    /// Modules by their paths below `kernel/`, without suffix.
    pub fn modules(list: &[(&str, Module)]) -> Modules {
        let by_name = list.iter().map(|(stem, module)| {
            let module = Module { path: format!("kernel/{stem}.ko"), ..module.clone() };
            (normal(stem.rsplit('/').next().unwrap_or(stem)), module)
        });
        Modules { release: "6".to_owned(), by_name: by_name.collect(), built_in: BTreeSet::from(["built_in".to_owned()]) }
    }
}
