//! Working folders beside what is being made. What is whole is renamed out of one; what a killed build left in its own is removed by the next
//! build that works there. What is large and over is removed by a process that goes on when the builder has ended: freeing it takes seconds
//! where the file system tells the disk of each freed block, and nobody has to wait for it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// How such a folder is named.
pub const PREFIX: &str = ".making-";

/// What is over is called until it is removed.
pub const OLD_PREFIX: &str = ".old-";

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

impl Aside {
    /// Ends the work: the folder is removed, in a while.
    pub fn leave(self) {
        let Some(name) = self.path().file_name().map(|name| name.to_string_lossy().replacen(PREFIX, OLD_PREFIX, 1)) else { return };
        let old = self.path().with_file_name(name);
        // Where it can't have another name it is removed now, as it is dropped.
        if std::fs::rename(self.path(), &old).is_ok() {
            let _ = self.dir.keep();
            remove_later(&[old]);
        }
    }
}

/// Removes files and folders, in a while.
#[expect(clippy::disallowed_methods, reason = "it goes on when the builder has ended, and nobody looks at what it says")]
pub fn remove_later(old: &[PathBuf]) {
    if !old.is_empty() {
        use std::process::{Command, Stdio};
        // What it fails to remove, the next build removes.
        let _ = Command::new("rm").arg("-rf").args(old).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
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
    fn a_folder_that_is_left_is_nobodys_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let aside = Aside::begin(folder.path()).unwrap();
        let path = aside.path().to_owned();
        std::fs::write(path.join("large"), "x").unwrap();
        aside.leave();
        assert!(!path.exists());
        let gone = (0..6000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::fs::read_dir(folder.path()).unwrap().count() == 0
        });
        assert!(gone);
    }

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
