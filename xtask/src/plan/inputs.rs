//! The inputs of a build that are files: hashed, so that the build id changes when one of them does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::board::Board;
use crate::digest::hex;
use crate::trees::Trees;

/// Names that are never an input: outputs, and what an editor or git keeps.
const IGNORED: [&str; 3] = ["target", "out", "golden"];

/// A file or folder that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash `{}`, an input of the build", .path.display())]
pub struct InputError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Input (path in the repo) → sha256 over its files' names, executable bits, link targets and contents.
pub type Inputs = BTreeMap<String, String>;

/// Numbers of users and groups, in each tree.
const IDS: &str = "images/ids.lock";

/// Folders laid over the tree for this board, in the order in which they are laid: those of the checkout, there or not,
/// then those of added trees that the inputs hold.
pub fn overlays(board: &Board, inputs: &Inputs) -> Vec<String> {
    let parts = ["common", &board.family, &board.name].map(|name| format!("overlay/{name}"));
    let mut trees: Vec<usize> = inputs.keys().filter_map(|name| name.strip_prefix("tree-")?.split_once(':')?.0.parse().ok()).collect();
    trees.sort_unstable();
    trees.dedup();
    let added = trees.iter().flat_map(|tree| parts.iter().map(|part| Trees::name(*tree, part)));
    parts.iter().cloned().chain(added.filter(|name| inputs.contains_key(name))).collect()
}

/// Hashes what a build of `board` reads from the trees beside facts and locks, which the plan holds itself.
/// What does not exist is left out.
pub fn hash(trees: &Trees, board: &Board) -> Result<Inputs, InputError> {
    let mut inputs = Inputs::new();
    let fixed = ["Cargo.toml", "Cargo.lock", "firmware", "xtask", "images/sources.toml", IDS, "images/tools"];
    let fixed = fixed.map(|name| (name.to_owned(), trees.root(0).join(name))).into_iter();
    let ids = trees.added().iter().enumerate().map(|(index, root)| (Trees::name(index + 1, IDS), root.join(IDS)));
    let overlays = trees.overlays(board).into_iter().map(|overlay| (overlay.name, overlay.path));
    for (name, path) in fixed.chain(ids).chain(overlays) {
        if path.symlink_metadata().is_ok() {
            let mut hasher = Sha256::new();
            walk(&path, "", &mut hasher)?;
            inputs.insert(name, hex(&hasher.finalize()));
        }
    }
    Ok(inputs)
}

fn walk(path: &Path, name: &str, hasher: &mut Sha256) -> Result<(), InputError> {
    let failed = |source| InputError { path: path.to_owned(), source };
    let meta = path.symlink_metadata().map_err(failed)?;
    if meta.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let child = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !IGNORED.contains(&child.as_str()) && !child.starts_with(".git") && !child.ends_with('~') {
                names.push(child);
            }
        }
        names.sort();
        for child in names {
            walk(&path.join(&child), &format!("{name}/{child}"), hasher)?;
        }
        return Ok(());
    }
    let (kind, content) = if meta.is_symlink() {
        let target = std::fs::read_link(path).map_err(failed)?;
        ('l', target.to_string_lossy().into_owned().into_bytes())
    } else {
        let executable = meta.permissions().mode() & 0o100 != 0;
        (if executable { 'x' } else { 'f' }, std::fs::read(path).map_err(failed)?)
    };
    // Lengths stand before what they measure, so that no two trees give the same bytes.
    hasher.update(format!("{kind}{}:{name}{}:", name.len(), content.len()));
    hasher.update(content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(dir: &Path) -> String {
        let mut hasher = Sha256::new();
        walk(dir, "", &mut hasher).unwrap();
        hex(&hasher.finalize())
    }

    #[test]
    fn a_hash_sees_names_contents_and_executable_bits_but_no_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, "x").unwrap();
        let first = digest(dir.path());
        std::fs::create_dir(dir.path().join("target")).unwrap();
        std::fs::write(dir.path().join("target/y"), "y").unwrap();
        assert_eq!(first, digest(dir.path()));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let executable = digest(dir.path());
        assert_ne!(first, executable);
        std::fs::rename(&file, dir.path().join("b")).unwrap();
        let renamed = digest(dir.path());
        assert_ne!(executable, renamed);
        std::fs::write(dir.path().join("b"), "y").unwrap();
        assert_ne!(renamed, digest(dir.path()));
    }
}
