//! Boot flows: the files of the partition that the firmware boots from, as the plan lists them, with their bytes.

pub mod pe;
pub mod pi_firmware;
pub mod uboot;
mod uefi;

use anyhow::{Context, Result, ensure};

use crate::board::{Arch, BootFlow};
use crate::devicetree::mark;
use crate::plan::config_txt::FILE as CONFIG_TXT;
use crate::plan::{BootFile, BootPlan, BootSource};
use crate::tree::kernel::Kernel;
use crate::tree::{Content, Kind, Tree};

use uboot::KernelForm;
use uboot::script::ScriptPlan;

/// What the plan names but other stages make.
pub struct Parts<'a> {
    /// The tree before anything is pruned: boot loaders come from their packages.
    pub tree: &'a Tree,
    /// `uname -r` of the kernel.
    pub release: &'a str,
    /// The kernel.
    pub kernel: Content,
    /// The initramfs of this build.
    pub initramfs: Content,
    /// The board's processor.
    pub arch: Arch,
}

/// The boot partition's files: path, content. Checks what the flow asks of them.
///
/// # Errors
/// When the tree lacks a boot loader, when something that firmware must accept is not signed, and when there would
/// not be room for a second slot.
pub fn files(plan: &BootPlan, parts: &Parts<'_>) -> Result<Vec<(String, Content)>> {
    let files = contents(&plan.files, parts)?;
    match plan.flow {
        BootFlow::Uefi => {
            uefi::check(plan, parts.arch.pe_machine(), &files)?;
            Ok(files)
        }
        BootFlow::Uboot => uboot::slot_files(plan, KernelForm::of(parts.arch), files),
    }
}

/// The files of the config partition that the board's own firmware reads, none for UEFI.
///
/// # Errors
/// When the tree lacks one, and when a model of board that the plan is for would not find all that it needs to boot.
pub fn config_files(plan: &BootPlan, parts: &Parts<'_>) -> Result<Vec<(String, Content)>> {
    let mut files = contents(&plan.config_files, parts)?;
    if plan.flow == BootFlow::Uboot {
        files.extend(uboot::config_files(&ScriptPlan { kernel: KernelForm::of(parts.arch), watchdog_base: plan.watchdog })?);
    }
    let config = plan.config_files.iter().find_map(|file| match &file.from {
        BootSource::Text(text) if file.path == CONFIG_TXT => Some(text.as_str()),
        _ => None,
    });
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let missing: Vec<String> =
        plan.pi_models.iter().flat_map(|model| pi_firmware::missing(*model, config.unwrap_or_default(), &paths)).collect();
    ensure!(missing.is_empty(), "the Pi's firmware would not find all that it needs on the config partition:\n  {}", missing.join("\n  "));
    Ok(files)
}

fn contents(list: &[BootFile], parts: &Parts<'_>) -> Result<Vec<(String, Content)>> {
    list.iter().map(|file| Ok((file.path.clone(), content(file, parts)?))).collect()
}

fn content(file: &BootFile, parts: &Parts<'_>) -> Result<Content> {
    Ok(match &file.from {
        BootSource::Tree(path) => from_tree(parts.tree, path)
            .with_context(|| format!("the boot partition's `{}` is to be `{path}` of the packages", file.path))?,
        BootSource::Kernel => parts.kernel.clone(),
        BootSource::Initramfs => parts.initramfs.clone(),
        BootSource::Text(text) => Content::Bytes(text.as_bytes().into()),
        BootSource::DeviceTree { file, aliases } => {
            let blob = Kernel::new(parts.tree, parts.release).device_tree(file)?.read();
            let blob = blob.with_context(|| format!("failed to read the device tree `{file}`"))?;
            let marked = mark::mark(&blob, file, aliases).with_context(|| format!("cannot use the device tree `{file}`"))?;
            Content::Bytes(marked.into())
        }
    })
}

fn from_tree(tree: &Tree, path: &str) -> Result<Content> {
    let entry = tree.get(path.trim_start_matches('/')).context("no package brings it; name one that does in the board's `payload`")?;
    match &entry.kind {
        Kind::File(content) => Ok(content.clone()),
        other => anyhow::bail!("it is no file but {other:?}"),
    }
}
