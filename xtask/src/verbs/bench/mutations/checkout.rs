//! A copy of the repository that may be broken: the files that git knows or would take, as they are in the working tree.
//!
//! What is the same already is left alone, so that the compiler takes up its work where it was.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::outcome::{self, Outcome};

/// Below the repository's own target folder, which git ignores.
const FOLDER: &str = "target/mutations";
/// The longest that a test may take once it is compiled; a broken program may go on for ever.
const TEST_SECONDS: u64 = 900;
/// The longest that compiling may take: the first time all packages are compiled.
const COMPILE_SECONDS: u64 = 3600;

/// The copy, with a target folder of its own.
pub struct Checkout {
    path: PathBuf,
    target: PathBuf,
    /// Two at once would break each other's copy.
    _held: fs::File,
}

impl Checkout {
    /// Brings the copy up to date.
    pub fn of(repo: &Path) -> Result<Self> {
        let folder = repo.join(FOLDER);
        let path = folder.join("checkout");
        fs::create_dir_all(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
        let held = fs::File::create(folder.join("lock")).context("failed to make the lock of the copy")?;
        held.lock().context("failed to lock the copy")?;
        let checkout = Self { path, target: folder.join("target"), _held: held };
        let shell = Shell::new()?;
        shell.change_dir(repo);
        let listed = crate::cmd::read(cmd!(shell, "git ls-files -z --cached --others --exclude-standard"))?;
        let mut files = BTreeSet::new();
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            if copy(&repo.join(file), &checkout.path.join(file)).with_context(|| format!("failed to copy `{file}`"))? {
                files.insert(PathBuf::from(file));
            }
        }
        prune(&checkout.path, Path::new(""), &files).context("failed to tidy the copy of the repository")?;
        Ok(checkout)
    }

    /// The text of a file.
    pub fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.path.join(file)).with_context(|| format!("failed to read the copy of `{file}`"))
    }

    /// Another text for a file.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.path.join(file), text).with_context(|| format!("failed to write the copy of `{file}`"))
    }

    /// Compiles a test and runs it.
    pub fn test(&self, words: &[String]) -> Result<Outcome> {
        let compiled = self.cargo(COMPILE_SECONDS, &["--no-run"], words)?;
        if !compiled.status.success() {
            return Ok(outcome::not_compiled(&String::from_utf8_lossy(&compiled.stderr)));
        }
        let output = self.cargo(TEST_SECONDS, &["--no-fail-fast"], words)?;
        Ok(outcome::read(&String::from_utf8_lossy(&output.stdout), output.status.code(), TEST_SECONDS))
    }

    fn cargo(&self, seconds: u64, options: &[&str], words: &[String]) -> Result<std::process::Output> {
        let shell = Shell::new()?;
        shell.change_dir(&self.path);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let (seconds, target) = (seconds.to_string(), &self.target);
        let command = cmd!(shell, "timeout --kill-after=10 {seconds} {cargo} test --locked {options...} {words...}")
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_TERM_COLOR", "never")
            // What one mutation failed on must not help to notice the next.
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        Ok(command.quiet().ignore_status().output()?)
    }
}

/// Copies a file or link unless the same is there; false if there is none in the working tree.
fn copy(from: &Path, to: &Path) -> Result<bool> {
    let meta = match fs::symlink_metadata(from) {
        Ok(meta) if meta.is_dir() => return Ok(false),
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    fs::create_dir_all(to.parent().context("a file has no folder")?)?;
    if meta.is_symlink() {
        let target = fs::read_link(from)?;
        if fs::read_link(to).ok().as_ref() != Some(&target) {
            remove(to)?;
            std::os::unix::fs::symlink(target, to)?;
        }
        return Ok(true);
    }
    let content = fs::read(from)?;
    let there = fs::symlink_metadata(to).ok().filter(|there| there.is_file() && there.permissions() == meta.permissions());
    if there.is_none() || fs::read(to)? != content {
        remove(to)?;
        fs::write(to, content)?;
        fs::set_permissions(to, meta.permissions())?;
    }
    Ok(true)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes what is not among `files`, and folders that hold nothing.
fn prune(root: &Path, below: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            prune(root, &path, files)?;
            // One that is not empty stays.
            let _ = fs::remove_dir(entry.path());
        } else if !files.contains(&path) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_copy_is_as_the_working_tree_and_what_is_the_same_is_left_alone() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| {
            fs::create_dir_all(from.path().join(name).parent().unwrap()).unwrap();
            fs::write(from.path().join(name), text).unwrap();
        };
        put("a/run", "x");
        put("b", "b");
        fs::set_permissions(from.path().join("a/run"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("a/run", from.path().join("link")).unwrap();
        let all = || {
            let files: BTreeSet<PathBuf> = ["a/run", "b", "link", "gone"]
                .into_iter()
                .filter(|name| copy(&from.path().join(name), &to.path().join(name)).unwrap())
                .map(PathBuf::from)
                .collect();
            prune(to.path(), Path::new(""), &files).unwrap();
            files.len()
        };
        let made = |name: &str| fs::metadata(to.path().join(name)).unwrap().modified().unwrap();
        assert_eq!(all(), 3);
        assert_eq!(fs::metadata(to.path().join("a/run")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("a/run"));
        let before = made("a/run");
        // What was broken is mended, what is new goes, and what is not there any more too.
        fs::write(to.path().join("b"), "broken").unwrap();
        fs::create_dir(to.path().join("more")).unwrap();
        fs::write(to.path().join("more/x"), "x").unwrap();
        fs::remove_file(from.path().join("link")).unwrap();
        assert_eq!(all(), 2);
        assert_eq!((fs::read_to_string(to.path().join("b")).unwrap().as_str(), made("a/run")), ("b", before));
        assert!(!to.path().join("more").exists() && fs::symlink_metadata(to.path().join("link")).is_err());
    }
}
