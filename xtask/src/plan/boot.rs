//! What lies on the partition that the firmware boots from, and what the kernel is told.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config_txt;
use crate::board::pi::{Model, RaspberryPi};
use crate::board::{Board, BootFlow, CONSOLE_OF_DEVICE_TREE, Uboot};

/// Seconds after which a kernel that panicked starts the machine anew, so that a bad slot spends its tries untouched.
pub const PANIC_REBOOT_SECONDS: u32 = 10;

/// Where a file on the boot partition comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootSource {
    /// A path of the tree, before it is pruned (absolute).
    Tree(String),
    /// The kernel of the plan's release.
    Kernel,
    /// The initramfs of this build.
    Initramfs,
    /// A device tree of the kernel's package, marked with its name and its console (see [`crate::devicetree::mark`]).
    DeviceTree {
        /// Name of the file, without folder.
        file: String,
        /// Aliases that are set in it: alias → path of a node.
        aliases: BTreeMap<String, String>,
        /// What is laid over it, in order: paths of the tree, as [`BootSource::Tree`] has them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        overlays: Vec<String>,
    },
    /// Text that is decided here.
    Text(String),
}

/// One file on the boot partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootFile {
    /// Its path on the partition, `/` between folders, none before the first.
    pub path: String,
    /// Where it comes from.
    pub from: BootSource,
}

/// The boot flow with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootPlan {
    /// Who loads the kernel.
    pub flow: BootFlow,
    /// Words of the kernel command line, in order. In the U-Boot flow [`CONSOLE_VARIABLE`] may be one of them: the script
    /// sets that variable to the word that the slot's device tree is marked with.
    pub cmdline: Vec<String>,
    /// Files on the ESP (UEFI) or the slot's boot partition (U-Boot).
    pub files: Vec<BootFile>,
    /// U-Boot: files on the config partition, which the board's own firmware reads. None for UEFI.
    pub config_files: Vec<BootFile>,
    /// U-Boot: physical address of the power management block whose watchdog the script arms.
    pub watchdog: Option<u64>,
    /// Models of Raspberry Pi each of which must find all that it needs.
    pub pi_models: Vec<Model>,
}

/// In the kernel's command line, what U-Boot replaces by `console=…` of the device tree that it boots with.
pub const CONSOLE_VARIABLE: &str = "${console}";
/// Folder of the slot's device trees on its boot partition.
pub const DEVICE_TREES: &str = "dtb";
/// Where Debian's package has the Pi's firmware.
const PI_FIRMWARE: &str = "/usr/lib/raspi-firmware";

/// Decides the boot of one build.
pub fn plan(board: &Board, build_id: &str, epoch: u64) -> BootPlan {
    let mut cmdline: Vec<String> = vec![format!("cloudy.build={build_id}")];
    cmdline.extend(board.consoles.iter().map(|console| match console.as_str() {
        CONSOLE_OF_DEVICE_TREE => CONSOLE_VARIABLE.to_owned(),
        console => format!("console={console}"),
    }));
    cmdline.push(format!("panic={PANIC_REBOOT_SECONDS}"));
    cmdline.extend(board.cmdline.iter().cloned());
    match board.boot_flow {
        BootFlow::Uefi => uefi(board, build_id, epoch, cmdline),
        BootFlow::Uboot => BootPlan {
            flow: BootFlow::Uboot,
            cmdline,
            files: slot(board),
            config_files: config(board),
            watchdog: board.u_boot.as_ref().and_then(|uboot| uboot.watchdog),
            pi_models: board.raspberry_pi.as_ref().map(|pi| pi.models.clone()).unwrap_or_default(),
        },
    }
}

/// Boot Loader Specification type 1. There is no `initrd` key: systemd-boot 257 hangs when the kernel of such an entry
/// can't be loaded; the kernel's EFI stub loads what `initrd=` on the command line names. Among good entries
/// systemd-boot starts the highest version: the time of the lock, so that a newer system is tried before an older one.
/// The only entry is not on trial: nothing else could be started instead, and when the boot loader counts, it renames the entry
/// through the firmware's FAT driver, where a power cut can leave none.
fn uefi(board: &Board, build_id: &str, epoch: u64, mut cmdline: Vec<String>) -> BootPlan {
    let efi = board.arch.efi();
    let kernel = format!("cloudy/{build_id}/linux");
    let initramfs = format!("cloudy/{build_id}/initrd");
    cmdline.insert(0, format!("initrd=\\{}", initramfs.replace('/', "\\")));
    let entry = format!("title cloudy\nsort-key cloudy\nversion {epoch}\nlinux /{kernel}\noptions {}\n", cmdline.join(" "));
    let tree = |path: &str, from: &str| BootFile { path: path.to_owned(), from: BootSource::Tree(from.to_owned()) };
    let text = |path: String, text: &str| BootFile { path, from: BootSource::Text(text.to_owned()) };
    let files = vec![
        tree(&format!("EFI/BOOT/BOOT{}.EFI", efi.to_ascii_uppercase()), &format!("/usr/lib/shim/shim{efi}.efi.signed")),
        // shim starts the second stage by this name, whatever it is.
        tree(&format!("EFI/BOOT/grub{efi}.efi"), &format!("/usr/lib/systemd/boot/efi/systemd-boot{efi}.efi.signed")),
        text("loader/loader.conf".to_owned(), "timeout 0\neditor no\n"),
        text(format!("loader/entries/cloudy-{build_id}.conf"), &entry),
        BootFile { path: kernel, from: BootSource::Kernel },
        BootFile { path: initramfs, from: BootSource::Initramfs },
    ];
    BootPlan { flow: BootFlow::Uefi, cmdline, files, config_files: Vec::new(), watchdog: None, pi_models: Vec::new() }
}

/// The board's overlays. They are laid over its trees here: of what the Pi's firmware would do to the tree that it loads, Linux would
/// see nothing.
fn overlays(board: &Board) -> Vec<String> {
    let names = board.raspberry_pi.iter().flat_map(|pi| &pi.overlays);
    names.map(|name| format!("{PI_FIRMWARE}/overlays/{name}.dtbo")).collect()
}

/// What a slot boots: kernel, initramfs, and its own device trees.
fn slot(board: &Board) -> Vec<BootFile> {
    let file = |path: &str, from| BootFile { path: path.to_owned(), from };
    let mut files = vec![file("linux", BootSource::Kernel), file("initrd", BootSource::Initramfs)];
    files.extend(board.device_trees.files.iter().map(|tree| BootFile {
        path: format!("{DEVICE_TREES}/{tree}"),
        from: BootSource::DeviceTree { file: tree.clone(), aliases: BTreeMap::new(), overlays: overlays(board) },
    }));
    files
}

/// What the board's own firmware reads.
fn config(board: &Board) -> Vec<BootFile> {
    match (&board.u_boot, &board.raspberry_pi) {
        (Some(uboot), Some(pi)) => raspberry_pi(board, uboot, pi),
        _ => Vec::new(),
    }
}

fn raspberry_pi(board: &Board, uboot: &Uboot, pi: &RaspberryPi) -> Vec<BootFile> {
    // By path, so that what several models need stands there once.
    let mut files = BTreeMap::from([
        (config_txt::FILE.to_owned(), BootSource::Text(config_txt::render(board, uboot, pi))),
        (config_txt::UBOOT.to_owned(), BootSource::Tree(uboot.program.clone())),
    ]);
    for (filter, program) in &uboot.program_for {
        files.insert(config_txt::uboot_for(filter), BootSource::Tree(program.clone()));
    }
    for habits in pi.models.iter().map(|model| model.habits()) {
        let bootcode = habits.bootcode.then(|| "bootcode.bin".to_owned());
        let start = habits.start.into_iter().flat_map(|suffix| [format!("start{suffix}.elf"), format!("fixup{suffix}.dat")]);
        for name in bootcode.into_iter().chain(start) {
            files.insert(name.clone(), BootSource::Tree(format!("{PI_FIRMWARE}/{name}")));
        }
    }
    let trees = &board.device_trees;
    let names = trees.files.iter().map(|file| (file, file)).chain(&trees.also_named);
    let marked = |file: &String| BootSource::DeviceTree { file: file.clone(), aliases: trees.aliases.clone(), overlays: overlays(board) };
    files.extend(names.map(|(name, file)| (name.clone(), marked(file))));
    files.into_iter().map(|(path, from)| BootFile { path, from }).collect()
}
