//! /etc: the image's, under a half that lives in memory and is written afresh at each boot.

use std::fs::{File, FileTimes, create_dir_all, metadata, remove_file, write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context as _;
use contract::paths::ETC_OVERLAY;
use nix::mount::MsFlags;

use crate::mounts::mount_at;
use crate::root::SYSROOT;

/// How much a run may write to /etc.
const SIZE: &str = "mode=0755,size=64M";

/// Mounts it, and puts in place what makes systemd see a machine that is neither new nor just updated.
pub fn prepare(machine_id: &str) -> anyhow::Result<()> {
    mount_at("tmpfs", ETC_OVERLAY, "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, SIZE)?;
    let (upper, work) = (format!("{ETC_OVERLAY}/upper"), format!("{ETC_OVERLAY}/work"));
    create_dir_all(&upper)?;
    create_dir_all(&work)?;
    let etc = format!("{SYSROOT}/etc");
    let options = format!("lowerdir={etc},upperdir={upper},workdir={work}");
    mount_at("overlay", &etc, "overlay", MsFlags::empty(), &options)?;

    let path = format!("{etc}/machine-id");
    let _ = remove_file(&path);
    write(&path, format!("{machine_id}\n")).with_context(|| format!("failed to write {path}"))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
    updated(Path::new(&format!("{etc}/.updated")))?;
    updated(Path::new(&format!("{SYSROOT}/var/.updated")))
}

/// As systemd-update-done writes it: ConditionNeedsUpdate= holds while /usr is younger than this file.
fn updated(path: &Path) -> anyhow::Result<()> {
    let doing = || format!("failed to write {}", path.display());
    let usr = metadata(format!("{SYSROOT}/usr")).context("the image has no /usr")?;
    let nanoseconds = i128::from(usr.mtime()) * 1_000_000_000 + i128::from(usr.mtime_nsec());
    let _ = remove_file(path);
    write(path, format!("# Written by cloudy's init at each boot; see systemd-update-done(8).\nTIMESTAMP_NSEC={nanoseconds}\n"))
        .with_context(doing)?;
    let file = File::options().write(true).open(path).with_context(doing)?;
    file.set_times(FileTimes::new().set_modified(usr.modified()?)).with_context(doing)
}
