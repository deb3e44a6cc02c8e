//! Selections that were made before: unpacking a kernel's modules and indexing them takes seconds, and a change of the
//! agent changes neither. A selection is a tar in the cache, under the hash of all that it was made from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{INDEX_PREFIX, Indexes, Module, Modules, Wanted, built_in, folder, modinfo, normal};
use crate::digest::Key;
use crate::packages::data::{DataKind, data_entries};
use crate::tree::Tree;

/// Changes whenever the same inputs give another selection.
const RECIPE: &str = "modules 2";
/// So many selections are kept: one for each kernel that people build, and some of before.
const KEPT_AT_MOST: usize = 8;
/// Below the cache's root.
const FOLDER: &str = "modules";

/// Where one selection is or will be.
pub struct Place {
    file: PathBuf,
}

impl Place {
    /// The place of what `wanted` selects from the kernel `release` of `tree`; `depmod` names the program that indexes.
    pub fn of(cache: &Path, tree: &Tree, release: &str, wanted: &Wanted<'_>, depmod: &str) -> Self {
        let mut key = Key::new(RECIPE).with(depmod.as_bytes()).with(release.as_bytes());
        let mut list = |words: &mut dyn ExactSizeIterator<Item = &str>| {
            key.put(&(words.len() as u64).to_le_bytes());
            words.for_each(|word| key.put(word.as_bytes()));
        };
        for globs in [&wanted.rules.keep, &wanted.rules.drop, wanted.also] {
            list(&mut globs.patterns().iter().map(String::as_str));
        }
        list(&mut wanted.always.iter().copied());
        for names in [&wanted.devices.root, &wanted.devices.all] {
            list(&mut names.iter().map(String::as_str));
        }
        tree.key_below(&folder(release), |_| true, &mut key);
        Self { file: cache.join(FOLDER).join(format!("{}.tar", key.finish())) }
    }

    /// The selection if it was made before; one that can't be read is made again.
    pub fn load(&self, tree: &Tree, release: &str) -> Option<(Modules, Indexes)> {
        if !self.file.is_file() {
            return None;
        }
        match self.read(tree, release) {
            Ok(found) => {
                #[expect(clippy::disallowed_methods, reason = "of a file in the cache, and of nothing in it")]
                let now = std::time::SystemTime::now();
                // What is used stays; a cache that can't be written is good for reading.
                let _ = std::fs::File::open(&self.file).and_then(|file| file.set_modified(now));
                Some(found)
            }
            Err(error) => {
                crate::ui::say(&format!("  the kernel modules are selected again, since the cached selection is damaged: {error:#}"));
                None
            }
        }
    }

    fn read(&self, tree: &Tree, release: &str) -> Result<(Modules, Indexes)> {
        let bytes = std::fs::read(&self.file)?;
        let mut modules = Modules { release: release.to_owned(), by_name: Default::default(), built_in: built_in(tree, release)? };
        let mut indexes = Indexes::new();
        for entry in data_entries(&self.file)? {
            let DataKind::File { offset, len } = entry.kind else { continue };
            let (start, end) = (usize::try_from(offset)?, usize::try_from(offset.saturating_add(len))?);
            let content: Arc<[u8]> = bytes.get(start..end).context("it is cut short")?.into();
            if entry.path.starts_with(INDEX_PREFIX) {
                indexes.insert(entry.path, content);
                continue;
            }
            let info = modinfo::read(&content).map_err(|reason| anyhow::anyhow!("{}: {reason}", entry.path))?;
            let stem = entry.path.rsplit('/').next().and_then(|name| name.strip_suffix(".ko")).context("a file is no module")?;
            modules.by_name.insert(normal(stem), Module { path: entry.path.clone(), content, info });
        }
        Ok((modules, indexes))
    }

    /// Keeps a selection, and drops those that were not used for longest.
    pub fn store(&self, modules: &Modules, indexes: &Indexes) -> Result<()> {
        let folder = self.file.parent().context("the cache has no folder")?;
        std::fs::create_dir_all(folder)?;
        let mut aside = tempfile::NamedTempFile::new_in(folder)?;
        {
            let mut tar = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, &mut aside));
            let files = modules.by_name.values().map(|module| (&module.path, &module.content)).chain(indexes);
            for (path, content) in files {
                let mut header = tar::Header::new_ustar();
                header.set_mode(0o644);
                header.set_uid(0);
                header.set_gid(0);
                header.set_mtime(0);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, &content[..])?;
            }
            tar.into_inner()?.into_inner().map_err(|error| error.into_error())?;
        }
        aside.persist(&self.file)?;
        forget_old(folder)
    }
}

fn forget_old(folder: &Path) -> Result<()> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|suffix| suffix == "tar") {
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    kept.sort();
    let old = kept.len().saturating_sub(KEPT_AT_MOST);
    for (_, path) in kept.into_iter().take(old) {
        std::fs::remove_file(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
    }
    Ok(())
}
