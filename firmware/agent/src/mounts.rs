//! A partition of the disk booted from, mounted only while it is needed. For the root units.

use anyhow::{Context, Result};
use contract::paths::DEVICE_LINKS;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};

/// Where partitions are mounted meanwhile, each in a folder of its label.
const MOUNTS: &str = "/run/cloudy-mounts";
const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// A mounted FAT partition; unmounted when this is dropped.
pub struct Mounted {
    path: PathBuf,
    options: &'static str,
}

impl Mounted {
    /// Mounts the FAT partition of that label read-only, which leaves it clean whenever power goes.
    ///
    /// # Errors
    /// When there is no such partition on the disk booted from, or it can't be mounted.
    pub fn read_only(label: &str, options: &'static str) -> Result<Self> {
        let path = Path::new(MOUNTS).join(label);
        std::fs::create_dir_all(&path).with_context(|| format!("making the folder `{}`", path.display()))?;
        let device = Path::new(DEVICE_LINKS).join(label);
        mount(Some(&device), &path, Some("vfat"), FLAGS | MsFlags::MS_RDONLY, Some(options))
            .with_context(|| format!("mounting the {label} partition `{}`", device.display()))?;
        Ok(Self { path, options })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets it be written. Every write reaches the disk before the call that makes it returns.
    ///
    /// # Errors
    /// When the medium can't be written.
    pub fn make_writable(&self) -> Result<()> {
        let flags = FLAGS | MsFlags::MS_REMOUNT | MsFlags::MS_SYNCHRONOUS;
        mount(None::<&str>, &self.path, None::<&str>, flags, Some(self.options))
            .with_context(|| format!("making `{}` writable: is the card locked?", self.path.display()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::UMOUNT_NOFOLLOW) {
            log::warn!("could not unmount `{}`: {error}", self.path.display());
        }
    }
}
