//! Files of locked packages that tests put into nodes: what is needed for a test and is on no image.

use std::path::Path;

use anyhow::{Context, Result, bail};
use disks::Content;

use crate::packages::cache::Cache;
use crate::packages::data::{self, DataKind};
use crate::packages::fetch;
use crate::packages::lock::{Lock, LockedPackage};
use crate::packages::sources::Sources;

/// The lock of what only tests need, below the repo's root.
const PAYLOAD_LOCK: &str = "images/tools/payload.lock";

/// The packages of the locks that a test may take from.
pub struct Shelf<'a> {
    cache: &'a Cache,
    sources: Sources,
    packages: Vec<LockedPackage>,
}

impl<'a> Shelf<'a> {
    /// The packages of an image's lock and of those for tests.
    pub fn new(repo: &Path, image_lock: &Path, cache: &'a Cache) -> Result<Self> {
        let mut packages = Lock::read(image_lock)?.packages;
        packages.extend(Lock::read(&repo.join(PAYLOAD_LOCK))?.packages);
        Ok(Self { cache, sources: Sources::read(repo)?, packages })
    }

    /// The bytes of the one file that matches in the one package that matches; fetched if need be.
    pub fn take(&self, package: &str, file: &str) -> Result<Content> {
        let glob = |text: &str| -> Result<_> { Ok(globset::GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher()) };
        let (of_package, of_file) = (glob(package)?, glob(file.trim_start_matches('/'))?);
        let package = one(self.packages.iter().filter(|locked| of_package.is_match(&locked.name)), |locked| locked.name.clone())
            .with_context(|| format!("of the locked packages `{package}`"))?;
        fetch::fetch(std::slice::from_ref(package), self.cache, &self.sources, None)?;
        let tar = data::data_tar(self.cache, package)?;
        let entries = data::data_entries(&tar)?;
        let files = entries.iter().filter(|entry| matches!(entry.kind, DataKind::File { .. }) && of_file.is_match(&entry.path));
        let found = one(files, |entry| entry.path.clone()).with_context(|| format!("of the files of {} `{file}`", package.title()))?;
        let DataKind::File { offset, len } = found.kind else { bail!("{} is no file", found.path) };
        Ok(Content::Slice { file: std::sync::Arc::new(tar), offset, len })
    }
}

/// The one item.
fn one<'a, T>(mut items: impl Iterator<Item = &'a T>, name: impl Fn(&T) -> String) -> Result<&'a T> {
    match (items.next(), items.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => bail!("none matches"),
        (Some(first), Some(second)) => bail!("more than one matches: {}, {}", name(first), name(second)),
    }
}
