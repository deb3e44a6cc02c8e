//! Laying packages, delta and overlay over each other: conflicts are errors that name both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::{Content, Entry, Kind, Origin, Tree, TreePath};
use crate::packages::data::{DataEntry, DataKind};

/// Top-level directories that Debian merged into /usr; base-files ships the links. A package that still ships below one of them lands in /usr.
const MERGED_INTO_USR: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// The package that owns the frame of the tree; laid first, so that its directories' modes win.
pub const FRAME_PACKAGE: &str = "base-files";

/// Where a path of a package really lies, now that / and /usr are one.
fn usr_merged(path: &str) -> TreePath {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    if MERGED_INTO_USR.contains(&first) && !rest.is_empty() { format!("usr/{path}") } else { path.to_owned() }
}

impl Tree {
    /// Lays a package's files. A directory that is there already keeps its mode and owner, as dpkg has it.
    ///
    /// # Errors
    /// When another package ships a different file at the same path and `replaces` doesn't name that package.
    pub fn lay_package(&mut self, tar: &Path, entries: &[DataEntry], origin: &Origin, replaces: &BTreeSet<String>) -> Result<()> {
        let tar = Arc::new(tar.to_owned());
        for entry in entries {
            let path = usr_merged(&entry.path);
            let merged_top = MERGED_INTO_USR.contains(&path.as_str());
            let kind = kind_of(entry, &tar);
            if let Some(there) = self.get(&path) {
                match (&there.kind, &kind) {
                    (Kind::Directory, Kind::Directory) => continue,
                    (Kind::Symlink(_), Kind::Directory) if merged_top => continue,
                    (Kind::Directory, Kind::Symlink(_)) if merged_top => {}
                    (a, b) if same(a, b)? => continue,
                    _ => {
                        let replaced = matches!(&there.origin, Origin::Package { name, .. } if replaces.contains(name));
                        if !replaced {
                            bail!(
                                "/{path} is shipped by {} and, otherwise, by {origin}: leave one of them out, or name the winner in the flavour",
                                there.origin
                            );
                        }
                    }
                }
            }
            self.insert(
                path,
                Entry { kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, xattrs: entry.xattrs.clone(), origin: origin.clone() },
            );
        }
        Ok(())
    }

    /// Applies a delta: what the tar holds replaces what is there; a character device 0:0 (an overlay's whiteout) removes a path and all below it.
    /// Where `contents` has a path, its bytes stand in the place of the tar's.
    pub fn apply_delta(&mut self, tar: &Path, entries: &[DataEntry], contents: &BTreeMap<TreePath, Content>) -> Result<()> {
        let tar = Arc::new(tar.to_owned());
        for entry in entries {
            let path = usr_merged(&entry.path);
            if entry.kind == DataKind::Char(0, 0) {
                self.remove_all(&path);
                continue;
            }
            let kind = match contents.get(&entry.path) {
                Some(content) => Kind::File(content.clone()),
                None => kind_of(entry, &tar),
            };
            // A directory that was removed and made again hides what the packages shipped in it.
            if entry.xattrs.keys().any(|name| name.ends_with(".overlay.opaque")) {
                self.remove_all(&path);
            }
            if !matches!(kind, Kind::Directory) && matches!(self.get(&path).map(|there| &there.kind), Some(Kind::Directory)) {
                self.remove_all(&path);
            }
            let kept = self.get(&path).filter(|there| same(&there.kind, &kind).unwrap_or(false)).map(|there| there.origin.clone());
            let xattrs = entry
                .xattrs
                .iter()
                .filter(|(name, _)| name.starts_with("security."))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let origin = kept.unwrap_or(Origin::Delta);
            self.insert(path, Entry { kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, xattrs, origin });
        }
        Ok(())
    }

    /// Lays a folder of the repo over the tree: all owned by root, modes from the executable bit (0755 or 0644), links as they are.
    pub fn lay_overlay(&mut self, repo: &Path, folder: &Path) -> Result<()> {
        let top = repo.join(folder);
        if !top.is_dir() {
            return Ok(());
        }
        self.lay_overlay_dir(repo, &top, "").with_context(|| format!("failed to lay `{}` over the tree", folder.display()))
    }

    fn lay_overlay_dir(&mut self, repo: &Path, dir: &Path, inside: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut names: Vec<_> = std::fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
        names.sort_by_key(std::fs::DirEntry::file_name);
        for found in names {
            let name = found.file_name().into_string().map_err(|name| anyhow::anyhow!("the name {name:?} is not UTF-8"))?;
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            let file = found.path();
            let kind = found.file_type()?;
            let origin = Origin::Overlay(file.strip_prefix(repo).unwrap_or(&file).display().to_string());
            let entry = |kind, mode| Entry { kind, mode, uid: 0, gid: 0, xattrs: Default::default(), origin: origin.clone() };
            if kind.is_dir() {
                if !matches!(self.get(&path).map(|there| &there.kind), Some(Kind::Directory)) {
                    self.insert(path.clone(), entry(Kind::Directory, 0o755));
                }
                self.lay_overlay_dir(repo, &file, &path)?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&file)?
                    .into_os_string()
                    .into_string()
                    .map_err(|t| anyhow::anyhow!("the target {t:?} is not UTF-8"))?;
                self.insert(path, entry(Kind::Symlink(target), 0o777));
            } else {
                let bytes = std::fs::read(&file)?;
                let mode = if found.metadata()?.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
                self.insert(path, entry(Kind::File(Content::Bytes(bytes.into())), mode));
            }
        }
        Ok(())
    }

    /// Puts a file that the builder makes; its parent directories are made where they are missing.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: impl Into<Arc<[u8]>>, step: &'static str) {
        self.put(path, Kind::File(Content::Bytes(bytes.into())), mode, step);
    }

    /// Puts an entry that the builder makes, owned by root; its parent directories are made where they are missing.
    pub fn put(&mut self, path: &str, kind: Kind, mode: u32, step: &'static str) {
        let made = |kind, mode| Entry { kind, mode, uid: 0, gid: 0, xattrs: Default::default(), origin: Origin::Builder(step) };
        for (at, _) in path.match_indices('/') {
            if self.get(&path[..at]).is_none() {
                self.insert(path[..at].to_owned(), made(Kind::Directory, 0o755));
            }
        }
        self.insert(path.to_owned(), made(kind, mode));
    }

    /// Removes a path and all below it.
    pub fn remove_all(&mut self, path: &str) {
        let below = format!("{path}/");
        self.retain(|name, _| name != path && !name.starts_with(&below));
    }
}

fn kind_of(entry: &DataEntry, tar: &Arc<std::path::PathBuf>) -> Kind {
    match &entry.kind {
        DataKind::Dir => Kind::Directory,
        DataKind::File { offset, len } => Kind::File(Content::Slice { file: tar.clone(), offset: *offset, len: *len }),
        DataKind::Symlink(target) => Kind::Symlink(target.clone()),
        DataKind::Hardlink(path) => Kind::Hardlink(usr_merged(path)),
        DataKind::Char(major, minor) => Kind::CharDevice(*major, *minor),
    }
}

/// Whether two entries hold the same thing (modes apart).
fn same(a: &Kind, b: &Kind) -> Result<bool> {
    Ok(match (a, b) {
        (Kind::Directory, Kind::Directory) => true,
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        (Kind::Hardlink(a), Kind::Hardlink(b)) => a == b,
        (Kind::CharDevice(a, b), Kind::CharDevice(c, d)) => (a, b) == (c, d),
        (Kind::File(a), Kind::File(b)) => a.len() == b.len() && a.read()? == b.read()?,
        _ => false,
    })
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package { name, version } => write!(f, "package {name} {version}"),
            Self::Delta => f.write_str("the twin's configuration (a maintainer script made it)"),
            Self::Overlay(path) => write!(f, "{path}"),
            Self::Builder(step) => write!(f, "the builder ({step})"),
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
