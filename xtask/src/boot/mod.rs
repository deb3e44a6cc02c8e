//! Boot flows: the files of the partition that the firmware boots from, as the plan lists them, with their bytes.

pub mod pe;
mod uefi;

use anyhow::{Context, Result};

use crate::board::BootFlow;
use crate::plan::{BootPlan, BootSource};
use crate::tree::{Content, Kind, Tree};

/// What the plan names but other stages make.
pub struct Parts<'a> {
    /// The tree before anything is pruned: boot loaders come from their packages.
    pub tree: &'a Tree,
    /// The kernel.
    pub kernel: Content,
    /// The initramfs of this build.
    pub initramfs: Content,
}

/// The boot partition's files: path, content. Checks what the flow asks of them.
///
/// # Errors
/// When the tree lacks a boot loader, when something that firmware must accept is not signed, and when there would
/// not be room for a second slot.
pub fn files(plan: &BootPlan, parts: &Parts<'_>) -> Result<Vec<(String, Content)>> {
    let mut files = Vec::new();
    for file in &plan.files {
        let content = match &file.from {
            BootSource::Tree(path) => from_tree(parts.tree, path)
                .with_context(|| format!("the boot partition's `{}` is to be `{path}` of the packages", file.path))?,
            BootSource::Kernel => parts.kernel.clone(),
            BootSource::Initramfs => parts.initramfs.clone(),
            BootSource::Text(text) => Content::Bytes(text.as_bytes().into()),
        };
        files.push((file.path.clone(), content));
    }
    match plan.flow {
        BootFlow::Uefi => uefi::check(plan, &files)?,
        BootFlow::Uboot => {}
    }
    Ok(files)
}

fn from_tree(tree: &Tree, path: &str) -> Result<Content> {
    let entry = tree.get(path.trim_start_matches('/')).context("no package brings it; name one that does in the board's `payload`")?;
    match &entry.kind {
        Kind::File(content) => Ok(content.clone()),
        other => anyhow::bail!("it is no file but {other:?}"),
    }
}
