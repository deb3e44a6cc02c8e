//! What lies on the partition that the firmware boots from, and what the kernel is told.

use serde::Serialize;

use crate::board::{Board, BootFlow};

/// Seconds after which a kernel that panicked starts the machine anew, so that a bad slot spends its tries untouched.
pub const PANIC_REBOOT_SECONDS: u32 = 10;
/// Tries that a slot on trial has. Only unconfirmed slots spend them.
pub const TRIES: u32 = 3;

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
    /// Words of the kernel command line, in order.
    pub cmdline: Vec<String>,
    /// Files on the ESP (UEFI) or the slot's boot partition (U-Boot).
    pub files: Vec<BootFile>,
}

/// Decides the boot of one build.
pub fn plan(board: &Board, build_id: &str, epoch: u64) -> BootPlan {
    let mut cmdline: Vec<String> = vec![format!("cloudy.build={build_id}")];
    cmdline.extend(board.consoles.iter().map(|console| format!("console={console}")));
    cmdline.push(format!("panic={PANIC_REBOOT_SECONDS}"));
    cmdline.extend(board.cmdline.iter().cloned());
    match board.boot_flow {
        BootFlow::Uefi => uefi(build_id, epoch, cmdline),
        BootFlow::Uboot => BootPlan { flow: BootFlow::Uboot, cmdline, files: uboot() },
    }
}

/// Boot Loader Specification type 1. There is no `initrd` key: systemd-boot 257 hangs when the kernel of such an entry
/// can't be loaded; the kernel's EFI stub loads what `initrd=` on the command line names. Among good entries
/// systemd-boot starts the highest version: the time of the lock, so that a newer system is tried before an older one.
fn uefi(build_id: &str, epoch: u64, mut cmdline: Vec<String>) -> BootPlan {
    let kernel = format!("cloudy/{build_id}/linux");
    let initramfs = format!("cloudy/{build_id}/initrd");
    cmdline.insert(0, format!("initrd=\\{}", initramfs.replace('/', "\\")));
    let entry = format!("title cloudy\nsort-key cloudy\nversion {epoch}\nlinux /{kernel}\noptions {}\n", cmdline.join(" "));
    let tree = |path: &str, from: &str| BootFile { path: path.to_owned(), from: BootSource::Tree(from.to_owned()) };
    let text = |path: String, text: &str| BootFile { path, from: BootSource::Text(text.to_owned()) };
    let files = vec![
        tree("EFI/BOOT/BOOTX64.EFI", "/usr/lib/shim/shimx64.efi.signed"),
        // shim starts the second stage by this name, whatever it is.
        tree("EFI/BOOT/grubx64.efi", "/usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed"),
        text("loader/loader.conf".to_owned(), "timeout 0\neditor no\n"),
        text(format!("loader/entries/cloudy-{build_id}+{TRIES}.conf"), &entry),
        BootFile { path: kernel, from: BootSource::Kernel },
        BootFile { path: initramfs, from: BootSource::Initramfs },
    ];
    BootPlan { flow: BootFlow::Uefi, cmdline, files }
}

fn uboot() -> Vec<BootFile> {
    let file = |path: &str, from| BootFile { path: path.to_owned(), from };
    vec![file("linux", BootSource::Kernel), file("initrd", BootSource::Initramfs)]
}
