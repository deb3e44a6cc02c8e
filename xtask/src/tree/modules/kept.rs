//! Selections that were made before: unpacking a kernel's modules and indexing them takes seconds, and a change of the
//! agent changes neither. A selection is a tar in the cache, under the hash of all that it was made from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::{INDEX_PREFIX, Indexes, Module, Modules, Wanted, built_in, folder, modinfo, normal};
use crate::packages::data::{DataKind, data_entries};
use crate::tree::{Content, Kind, Tree};

/// Changes whenever the same inputs give another selection.
const RECIPE: &str = "modules 1";
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
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for word in [RECIPE, depmod, release] {
            put(word.as_bytes());
        }
        for globs in [&wanted.rules.keep, &wanted.rules.drop, wanted.also] {
            put(&(globs.patterns().len() as u64).to_le_bytes());
            globs.patterns().iter().for_each(|glob| put(glob.as_bytes()));
        }
        wanted.always.iter().for_each(|name| put(name.as_bytes()));
        for names in [&wanted.devices.root, &wanted.devices.all] {
            put(&(names.len() as u64).to_le_bytes());
            names.iter().for_each(|name| put(name.as_bytes()));
        }
        let below = format!("{}/", folder(release));
        for (path, entry) in tree.iter().filter(|(path, _)| path.starts_with(&below)) {
            put(path.as_bytes());
            match &entry.kind {
                Kind::File(Content::Bytes(bytes)) => put(bytes),
                // An unpacked package is named by its hash.
                Kind::File(Content::Slice { file, offset, len }) => {
                    put(file.file_name().unwrap_or(file.as_os_str()).as_encoded_bytes());
                    put(&offset.to_le_bytes());
                    put(&len.to_le_bytes());
                }
                _ => {}
            }
        }
        Self { file: cache.join(FOLDER).join(format!("{}.tar", crate::plan::inputs::hex(&hash.finalize()))) }
    }

    /// The selection if it was made before; one that can't be read is made again.
    pub fn load(&self, tree: &Tree, release: &str) -> Option<(Modules, Indexes)> {
        if !self.file.is_file() {
            return None;
        }
        match self.read(tree, release) {
            Ok(found) => Some(found),
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
