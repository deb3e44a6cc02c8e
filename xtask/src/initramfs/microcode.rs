//! Processor microcode as the kernel takes it before anything else (Documentation/arch/x86/microcode.rst): one file per
//! vendor, the vendor's files one after the other.

use std::collections::BTreeSet;

use super::InitramfsError;
use super::archive::Archive;
use crate::board::Globs;
use crate::tree::firmware::{FOLDER, MICROCODE};
use crate::tree::{Kind, Tree};

/// What the kernel looks for: folders of [`MICROCODE`] and the vendor's file.
const VENDORS: [(&str, &str); 2] = [(MICROCODE[0], "GenuineIntel.bin"), (MICROCODE[1], "AuthenticAMD.bin")];
/// Where the kernel looks.
const TARGET: [&str; 3] = ["kernel", "kernel/x86", "kernel/x86/microcode"];

/// The early archive. Files (named from [`FOLDER`]) that `drop` matches stay away, as do files that are the same as
/// another one: Intel ships one file under the names of all processors that it is for.
pub fn archive(tree: &Tree, drop: &Globs) -> Result<Vec<u8>, InitramfsError> {
    let mut archive = Archive::new();
    for folder in TARGET {
        archive.folder(folder).map_err(InitramfsError::Write)?;
    }
    for (folder, name) in VENDORS {
        let content = concatenated(tree, folder, drop)?;
        archive.file(&format!("{}/{name}", TARGET[2]), 0o444, &content).map_err(InitramfsError::Write)?;
    }
    archive.finish().map_err(InitramfsError::Write)
}

fn concatenated(tree: &Tree, folder: &str, drop: &Globs) -> Result<Vec<u8>, InitramfsError> {
    let folder = format!("{FOLDER}/{folder}");
    let mut seen = BTreeSet::new();
    let mut bytes = Vec::new();
    for (path, entry) in tree.below(&folder) {
        let Kind::File(content) = &entry.kind else { continue };
        if path.strip_prefix(FOLDER).is_some_and(|name| drop.matches(name.trim_start_matches('/'))) {
            continue;
        }
        let content = content.read().map_err(|source| InitramfsError::Read { path: path.clone(), source })?;
        if seen.insert(content.clone()) {
            bytes.extend_from_slice(&content);
        }
    }
    if bytes.is_empty() {
        return Err(InitramfsError::NoMicrocode(folder));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::{file, tree};

    #[test]
    fn each_file_once_and_none_that_is_dropped() {
        let tree = tree(&[
            ("usr/lib/firmware/intel-ucode/06-01-01", file("one")),
            ("usr/lib/firmware/intel-ucode/06-01-02", file("one")),
            ("usr/lib/firmware/intel-ucode/06-02-01", file("two")),
            ("usr/lib/firmware/intel-ucode/06-8f-01", file("server")),
            ("usr/lib/firmware/amd-ucode/a.bin", file("amd")),
        ]);
        let drop = Globs::new(&["intel-ucode/06-8f-*"]).unwrap();
        assert_eq!(concatenated(&tree, "intel-ucode", &drop).unwrap(), b"onetwo");
        let bytes = archive(&tree, &drop).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("kernel/x86/microcode/GenuineIntel.bin") && text.contains("amd"));
    }

    #[test]
    fn a_tree_without_microcode_is_refused() {
        let error = archive(&tree(&[]), &Globs::new::<&str>(&[]).unwrap()).unwrap_err().to_string();
        assert_eq!(error, "the tree holds no microcode below /usr/lib/firmware/intel-ucode; is its package among the board's `payload`?");
    }
}
