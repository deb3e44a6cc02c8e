//! Boot flows: the files of the partition that the firmware boots from, as the plan lists them, with their bytes.

pub mod pe;
pub mod pi_firmware;
pub mod uboot;
mod uefi;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::board::{Arch, BootFlow};
use crate::devicetree::{mark, overlay};
use crate::near;
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
/// When the tree lacks one.
pub fn config_files(plan: &BootPlan, parts: &Parts<'_>) -> Result<Vec<(String, Content)>> {
    let mut files = contents(&plan.config_files, parts)?;
    if plan.flow == BootFlow::Uboot {
        files.extend(uboot::config_files(&ScriptPlan { kernel: KernelForm::of(parts.arch), watchdog_base: plan.watchdog })?);
    }
    Ok(files)
}

/// Whether each model of board that the plan is for finds all that it needs to boot on the config partition. What lies there
/// is in the plan, so that nothing has to be fetched to know.
///
/// # Errors
/// With what each model would miss.
pub fn check_models(plan: &BootPlan) -> Result<()> {
    let config = plan.config_files.iter().find_map(|file| match &file.from {
        BootSource::Text(text) if file.path == CONFIG_TXT => Some(text.as_str()),
        _ => None,
    });
    let paths: Vec<&str> = plan.config_files.iter().map(|file| file.path.as_str()).collect();
    let missing: Vec<String> =
        plan.pi_models.iter().flat_map(|model| pi_firmware::missing(*model, config.unwrap_or_default(), &paths)).collect();
    ensure!(missing.is_empty(), "the Pi's firmware would not find all that it needs on the config partition:\n  {}", missing.join("\n  "));
    Ok(())
}

/// What of the plan's files no package brings, in words: `tree` holds what they ship.
pub fn not_brought(plan: &BootPlan, tree: &Tree, release: &str) -> Vec<String> {
    let kernel = Kernel::new(tree, release);
    let mut missing = Vec::new();
    for file in plan.files.iter().chain(&plan.config_files) {
        let found = match &file.from {
            BootSource::Tree(path) => from_tree(tree, path).map(drop),
            BootSource::Kernel => kernel.image().map(drop).map_err(Into::into),
            BootSource::DeviceTree { file, aliases, overlays } => device_tree(kernel, file, aliases, overlays).map(drop),
            BootSource::Initramfs | BootSource::Text(_) => Ok(()),
        };
        if let Err(error) = found {
            missing.push(format!("`{}` on the boot partition: {error:#}", file.path));
        }
    }
    missing
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
        BootSource::DeviceTree { file, aliases, overlays } => {
            Content::Bytes(device_tree(Kernel::new(parts.tree, parts.release), file, aliases, overlays)?.into())
        }
    })
}

/// A device tree of the kernel's packages, with the board's overlays, marked.
fn device_tree(kernel: Kernel<'_>, file: &str, aliases: &BTreeMap<String, String>, overlays: &[String]) -> Result<Vec<u8>> {
    let mut blob = kernel.device_tree(file)?.read().with_context(|| format!("failed to read the device tree `{file}`"))?.to_vec();
    for path in overlays {
        let overlay = from_tree(kernel.tree(), path)?.read().with_context(|| format!("failed to read the overlay `{path}`"))?;
        blob = overlay::apply(&blob, &overlay).with_context(|| format!("cannot lay `{path}` over the device tree `{file}`"))?;
    }
    mark::mark(&blob, file, aliases).with_context(|| format!("cannot use the device tree `{file}`"))
}

fn from_tree(tree: &Tree, path: &str) -> Result<Content> {
    let entry = tree.get(path.trim_start_matches('/')).with_context(|| {
        let files = tree.iter().filter(|(_, entry)| matches!(entry.kind, Kind::File(_)));
        let there: Vec<&str> = files.map(|(path, _)| path.as_str()).collect();
        format!("no package brings `{path}`{}", near::words(path, &there))
    })?;
    match &entry.kind {
        Kind::File(content) => Ok(content.clone()),
        other => anyhow::bail!("`{path}` is no file but {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::pi::Model;
    use crate::devicetree::testing::blob;
    use crate::tree::testing::{file, link, tree};

    fn plan(files: &[(&str, BootSource)]) -> BootPlan {
        let config_files = files.iter().map(|(path, from)| BootFile { path: (*path).to_owned(), from: from.clone() }).collect();
        BootPlan {
            flow: BootFlow::Uboot,
            cmdline: Vec::new(),
            files: Vec::new(),
            config_files,
            watchdog: None,
            pi_models: vec![Model::Three],
        }
    }

    fn from(path: &str) -> BootSource {
        BootSource::Tree(path.to_owned())
    }

    #[test]
    fn a_missing_boot_loader_start_file_or_overlay_is_named_with_what_there_is() {
        let there = tree(&[
            ("usr/lib/u-boot/rpi_arm64/u-boot.bin", file("u")),
            ("usr/lib/raspi-firmware/start.elf", file("s")),
            ("usr/lib/raspi-firmware/overlays/a.dtbo", file("o")),
            ("usr/lib/raspi-firmware/link.elf", link("start.elf")),
        ]);
        let good = [("u-boot.bin", from("/usr/lib/u-boot/rpi_arm64/u-boot.bin")), ("config.txt", BootSource::Text(String::new()))];
        assert_eq!(not_brought(&plan(&good), &there, "6"), Vec::<String>::new());
        let bad = [
            ("u-boot.bin", from("/usr/lib/u-boot/rpi_4/u-boot.bin")),
            ("start4.elf", from("/usr/lib/raspi-firmware/start4.elf")),
            ("overlays/b.dtbo", from("/usr/lib/raspi-firmware/overlays/b.dtbo")),
            ("link.elf", from("/usr/lib/raspi-firmware/link.elf")),
            ("linux", BootSource::Kernel),
        ];
        let said = not_brought(&plan(&bad), &there, "6");
        let starts = [
            "`u-boot.bin` on the boot partition: no package brings `/usr/lib/u-boot/rpi_4/u-boot.bin`; there is `usr/lib/u-boot/rpi_arm64/u-boot.bin`",
            "`start4.elf` on the boot partition: no package brings `/usr/lib/raspi-firmware/start4.elf`; there is `usr/lib/raspi-firmware/start.elf`",
            "`overlays/b.dtbo` on the boot partition: no package brings `/usr/lib/raspi-firmware/overlays/b.dtbo`; there is `usr/lib/raspi-firmware/overlays/a.dtbo`",
            "`link.elf` on the boot partition: `/usr/lib/raspi-firmware/link.elf` is no file",
            "`linux` on the boot partition: the packages of kernel 6 bring none of",
        ];
        assert_eq!(said.len(), starts.len());
        for (said, start) in said.iter().zip(starts) {
            assert!(said.starts_with(start), "{said}");
        }
    }

    #[test]
    fn a_device_tree_or_an_alias_that_leads_nowhere_is_named_too() {
        let there = tree(&[("usr/lib/linux-image-6/x/a-b.dtb", file(blob(&[("/mmc@2", &[])])))]);
        let tree = |name: &str, path: &str| BootSource::DeviceTree {
            file: name.to_owned(),
            aliases: BTreeMap::from([("mmc0".to_owned(), path.to_owned())]),
            overlays: Vec::new(),
        };
        let good = [("a-b.dtb", tree("a-b.dtb", "/mmc@2"))];
        assert_eq!(not_brought(&plan(&good), &there, "6"), Vec::<String>::new());
        let said =
            not_brought(&plan(&[("a-b.dtb", tree("a-b.dtb", "/mmc@3")), ("c.dtb", tree("a-c.dtb", "/mmc@2"))]), &there, "6").join("\n");
        assert!(
            said.contains("alias `mmc0` is to stand for `/mmc@3`") && said.contains("no device tree `a-c.dtb`; did you mean `a-b.dtb`?"),
            "{said}"
        );
    }

    #[test]
    fn an_overlay_is_laid_over_the_tree_or_said_to_be_missing() {
        let overlay = blob(&[("/fragment@0", &[("target-path", b"/mmc@2\0")]), ("/fragment@0/__overlay__", &[("status", b"disabled\0")])]);
        let there = tree(&[
            ("usr/lib/linux-image-6/x/a-b.dtb", file(blob(&[("/mmc@2", &[])]))),
            ("usr/lib/raspi-firmware/overlays/a.dtbo", file(overlay)),
        ]);
        let made = |name: &str| {
            let overlays = [format!("/usr/lib/raspi-firmware/overlays/{name}.dtbo")];
            device_tree(Kernel::new(&there, "6"), "a-b.dtb", &BTreeMap::new(), &overlays)
        };
        let made_tree = crate::devicetree::DeviceTree::parse(&made("a").unwrap()).unwrap();
        assert_eq!(made_tree.at("/mmc@2").unwrap().text("status"), Some("disabled"));
        assert!(made_tree.at("/chosen").unwrap().text(mark::FILE).is_some());
        let error = format!("{:#}", made("b").unwrap_err());
        assert!(
            error
                .contains("no package brings `/usr/lib/raspi-firmware/overlays/b.dtbo`; there is `usr/lib/raspi-firmware/overlays/a.dtbo`")
        );
    }

    #[test]
    fn what_a_model_would_miss_is_known_from_the_plan_alone() {
        let text = |text: &str| BootSource::Text(text.to_owned());
        let mut files = vec![
            ("config.txt", text("arm_64bit=1\nupstream_kernel=1\nkernel=u-boot.bin\n")),
            ("bootcode.bin", text("")),
            ("start.elf", text("")),
            ("fixup.dat", text("")),
            ("u-boot.bin", text("")),
            ("bcm2837-rpi-3-b.dtb", text("")),
        ];
        check_models(&plan(&files)).unwrap();
        files.remove(2);
        assert!(format!("{:#}", check_models(&plan(&files)).unwrap_err()).contains("Three needs its firmware `start.elf`"));
    }
}
