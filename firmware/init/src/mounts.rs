//! Mounting, with errors that say what was mounted where.

use std::fs::create_dir_all;
use std::path::Path;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount2};

/// Mounts a file system; makes the folder if it is missing.
pub fn mount_at(source: &str, target: &str, kind: &str, flags: MsFlags, options: &str) -> anyhow::Result<()> {
    // What can't be made (a read-only root) is there already, or the mount says so.
    let _ = create_dir_all(target);
    mount(Some(source), target, Some(kind), flags, Some(options)).map_err(|error| {
        let hint = match error {
            Errno::ENODEV => format!(": the kernel knows no {kind}, its module is missing from the initramfs"),
            Errno::ENOENT => format!(": the folder or the device is missing (is {target} in the image?)"),
            Errno::EUCLEAN | Errno::EINVAL => format!(": it holds no {kind} that the kernel can read"),
            _ => String::new(),
        };
        anyhow::anyhow!("failed to mount {source} ({kind}) on {target}: {error}{hint}")
    })
}

/// Shows a folder at a second place.
pub fn bind(source: &str, target: &str) -> anyhow::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("failed to bind {source} to {target}"))
}

/// Takes a mount away, later if it is in use.
pub fn unmount(target: &str) {
    let _ = umount2(target, nix::mount::MntFlags::MNT_DETACH);
}

/// The file systems that the kernel serves, and the tmpfs that lives on after the hand-over.
pub fn kernel_file_systems() -> anyhow::Result<()> {
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount_at("proc", "/proc", "proc", hardened, "")?;
    mount_at("sysfs", "/sys", "sysfs", hardened, "")?;
    mount_at("devtmpfs", "/dev", "devtmpfs", MsFlags::MS_NOSUID, "mode=0755")?;
    mount_at("tmpfs", "/run", "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=0755,size=20%")
}

/// The firmware's variables, if there are any and their module is loaded.
pub fn efi_variables() -> anyhow::Result<()> {
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    if Path::new("/sys/firmware/efi").exists() {
        mount_at("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", hardened, "")?;
    }
    Ok(())
}
