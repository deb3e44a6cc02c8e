//! Working folders beside what is being made. What is whole is renamed out of one; what a killed build left in its own is removed by the next
//! build that works there.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// How such a folder is named.
pub const PREFIX: &str = ".making-";

/// A working folder of this build alone, removed when it is dropped.
#[derive(Debug)]
pub struct Aside {
    // Dropped first, so that the folder is held until it is gone.
    dir: TempDir,
    /// Its lock, which the kernel lets go when this process ends, however that happens.
    _held: File,
}

impl Aside {
    /// Makes one in `folder`, which must be there, and removes those whose builds have ended.
    pub fn begin(folder: &Path) -> Result<Self> {
        let doing = || format!("failed to make a working folder in `{}`", folder.display());
        // Nobody looks for leftovers between the making of a folder and its locking.
        let guard = File::open(folder).with_context(doing)?;
        guard.lock().with_context(doing)?;
        remove_leftovers(folder).with_context(doing)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder).with_context(doing)?;
        let held = File::open(dir.path()).with_context(doing)?;
        held.lock().with_context(doing)?;
        Ok(Self { dir, _held: held })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && entry.file_type()?.is_dir();
        if ours && File::open(entry.path())?.try_lock().is_ok() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_removed_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".making-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("half"), "x").unwrap();
        std::fs::write(folder.path().join(".making-no-folder"), "x").unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        let first = Aside::begin(folder.path()).unwrap();
        assert!(!left.exists());
        let second = Aside::begin(folder.path()).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        let (gone, kept) = (first.path().to_owned(), second.path().to_owned());
        drop(first);
        assert!(!gone.exists() && kept.is_dir());
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the file and the other folder stay");
    }
}
