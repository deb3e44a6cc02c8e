//! `cloudy tend-disk ASK`, the root unit `cloudy-disk@ASK.service`: judges by what it sees itself, prepares, checks, mounts and unmounts.
//! What came of it stands beside the folders where disks are mounted.

use super::facts::{Places, Seen};
use super::rules::{self, Ask};
use super::{Said, SaidHow, said_file};
use crate::kept;
use crate::limits::{DISK_BUSY, DISK_BUSY_LOOK_EVERY, DISK_SETTLE};
use crate::settings::write_whole;
use anyhow::{Context, Result, anyhow, bail, ensure};
use contract::gpt::{PRIMARY_LBA, SECTOR_BYTES};
use contract::guid::Guid;
use contract::paths::BOOT_REPORT;
use contract::storage::{APPS, DiskId, GONE, KIND, UNFINISHED, table};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{User, fchown, syncfs};
use std::fs::{File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Who makes the folders of apps.
const BROKER: &str = "cloudy-broker";
/// Bytes at both ends of a disk that are written over: marks of what was on it.
const WIPED_BYTES: u64 = 1 << 20;
/// Whose bits say that a file system is whole (e2fsck(8), "EXIT CODE").
const MENDED: i32 = 1 | 2;

mod ioctl {
    //! linux/fs.h.
    nix::ioctl_none!(reread_partitions, 0x12, 95);
    nix::ioctl_read!(disk_sequence, 0x12, 128, u64);
}

/// Does what the unit's instance asks for.
///
/// # Errors
/// Why it was not done; it is said beside the disks' folders too.
pub fn run(instance: &str) -> Result<()> {
    let ask = Ask::read(instance).with_context(|| format!("`{instance}` is nothing that can be asked"))?;
    let places = Places::default();
    let lock = File::create(places.mounts.join("lock")).with_context(|| format!("opening `{}`", places.mounts.display()))?;
    let _one = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).context("waiting for another")?;
    let root = Root { running: running()?, places };
    let done = root.act(&ask);
    let said = match (&done, &ask) {
        (Err(error), Ask::Prepare { .. } | Ask::Mount(_) | Ask::Repair(_)) => Some((SaidHow::Wrong, format!("{error:#}"))),
        (Ok(()), Ask::Eject(_)) => Some((SaidHow::Ejected, String::new())),
        (Ok(()), _) => {
            let _none = std::fs::remove_file(said_file(&root.places.mounts, ask.id()));
            None
        }
        (Err(_), _) => None,
    };
    if let Some((how, why)) = said {
        let sequences = root.sequences(ask.id());
        write_whole(&said_file(&root.places.mounts, ask.id()), &serde_json::to_vec(&Said { sequences, how, why })?, 0o644)?;
    }
    done
}

/// The kernel's name of the disk that this system was started from.
fn running() -> Result<Option<String>> {
    let report = kept::report(Path::new(BOOT_REPORT))?;
    Ok(report.map(|report| report.disk.strip_prefix("/dev/").unwrap_or(&report.disk).to_owned()))
}

struct Root {
    places: Places,
    running: Option<String>,
}

impl Root {
    fn act(&self, ask: &Ask) -> Result<()> {
        match ask {
            Ask::Prepare { disk, mark, id, name } => {
                let all = self.places.look().context("looking which disks there are")?;
                prepare(rules::meant(&all, disk, mark, self.running.as_deref())?, *id, name)
            }
            Ask::Mount(id) => self.mount(*id),
            Ask::Repair(id) => {
                let (_, device) = self.find(*id)?;
                ensure!(self.places.mounted(*id).is_none(), "the disk is in use: take it away first");
                check(&device, "-y")?;
                self.mount(*id)
            }
            Ask::Eject(id) => self.unmount(*id),
            Ask::Gone(id) => {
                if self.places.mounted(*id).is_none() {
                    return Ok(());
                }
                ensure!(self.places.usable(*id).is_none(), "the disk is there");
                let folder = self.places.folder(*id);
                umount2(&folder, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).context("letting go of a disk that is gone")?;
                let _kept = std::fs::remove_dir(&folder);
                Ok(())
            }
            Ask::Tidy(id) => tidy(&self.places.usable(*id).context("the disk is not mounted")?.join(APPS)),
        }
    }

    /// A disk of ours that is plugged in, and the device of its partition.
    fn find(&self, id: DiskId) -> Result<(Seen, PathBuf)> {
        let all = self.places.look().context("looking which disks there are")?;
        let mut found = all.into_iter().filter_map(|seen| {
            let part = seen.ours().filter(|(its, _)| *its == id)?.1.name.clone();
            Some((seen, Path::new("/dev").join(part)))
        });
        let one = found.next().context("the disk is not plugged in")?;
        ensure!(found.next().is_none(), "two disks that are plugged in are copies of each other: unplug one of them");
        ensure!(self.running.as_deref() != Some(one.0.disk.name.as_str()), "this system was started from that disk");
        Ok(one)
    }

    /// The kernel's numbers of plugging in those that are this disk: of several, if they are copies of each other.
    fn sequences(&self, id: DiskId) -> Vec<String> {
        let all = self.places.look().unwrap_or_default();
        let its = all.iter().filter(|seen| seen.ours().is_some_and(|(its, _)| its == id)).map(|seen| seen.sequence.clone());
        its.collect()
    }

    fn mount(&self, id: DiskId) -> Result<()> {
        // udev notes what a new disk is a moment after it is there.
        let begun = Instant::now();
        let (_, device) = loop {
            match self.find(id) {
                Err(_) if begun.elapsed() < DISK_SETTLE => std::thread::sleep(DISK_BUSY_LOOK_EVERY),
                found => break found?,
            }
        };
        let folder = self.places.folder(id);
        if self.places.mounted(id).is_none() {
            check(&device, "-p")?;
            make_folder(&folder, 0o755)?;
            let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOATIME;
            let mounted = mount(Some(&device), &folder, Some("ext4"), flags, Some("errors=remount-ro"));
            if mounted.is_err() {
                let _kept = std::fs::remove_dir(&folder);
            }
            mounted.context("the disk can't be mounted: is it broken?")?;
        }
        let apps = folder.join(APPS);
        let fit = only_folders(&apps).and_then(|()| broker_s(&apps).context("making room for apps on the disk")).and_then(|()| tidy(&apps));
        if fit.is_err() {
            // Nobody is to use it: where something does already, it fails, and the disk stays as it was.
            match umount2(&folder, MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => drop(std::fs::remove_dir(&folder)),
                Err(error) => log::error!("`{}` stays mounted: {error}", folder.display()),
            }
        }
        fit
    }

    /// All is on the disk, and nobody uses it any more.
    fn unmount(&self, id: DiskId) -> Result<()> {
        let folder = self.places.folder(id);
        if self.places.mounted(id).is_none() {
            return Ok(());
        }
        File::open(&folder)
            .map_err(anyhow::Error::from)
            .and_then(|top| Ok(syncfs(top)?))
            .context("the disk does not take what was written")?;
        let begun = Instant::now();
        loop {
            match umount2(&folder, MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => break,
                Err(Errno::EBUSY) if begun.elapsed() < DISK_BUSY => std::thread::sleep(DISK_BUSY_LOOK_EVERY),
                Err(Errno::EBUSY) => bail!("something still uses the disk: leave it plugged in, and try again"),
                Err(error) => return Err(error).context("unmounting the disk"),
            }
        }
        let _kept = std::fs::remove_dir(&folder);
        // A container may hold on to the file system where it was bound: then it is written to.
        let Ok((_, device)) = self.find(id) else { return Ok(()) };
        loop {
            match OpenOptions::new().read(true).custom_flags(OFlag::O_EXCL.bits()).open(&device) {
                Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
                    ensure!(begun.elapsed() < DISK_BUSY, "something still uses the disk: leave it plugged in, and try again");
                    std::thread::sleep(DISK_BUSY_LOOK_EVERY);
                }
                Err(error) => return Err(error).context("looking whether something still uses the disk"),
                Ok(_) => return Ok(()),
            }
        }
    }
}

/// Makes a disk one of ours. It is called so only once its file system is whole: what was cut before is a disk to be prepared again.
fn prepare(seen: &Seen, id: DiskId, name: &str) -> Result<()> {
    let path = seen.disk.path();
    let sectors = seen.disk.bytes / SECTOR_BYTES as u64;
    let lock = File::open(&path).with_context(|| format!("opening {path}"))?;
    // udev leaves a disk alone that is locked so (systemd's "Locking Block Device Access").
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).context("waiting for the disk")?;
    // The name may have gone to another disk since it was looked at; from here on it is this one's.
    let mut sequence = 0;
    #[expect(unsafe_code, reason = "ioctl that writes one number, on an open disk")]
    let known = unsafe { ioctl::disk_sequence(lock.as_raw_fd(), &raw mut sequence) };
    known.context("asking which disk it is")?;
    ensure!(sequence.to_string() == seen.sequence, "the disk that was meant is not there any more");
    let whole = Guid::from_random(rand::random());
    let write = |kind: Guid, wipe: bool| -> Result<()> {
        let encoded = table(whole, id, kind, sectors)?.encode(sectors)?;
        // From here on nobody else mounts it.
        let exclusive = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_EXCL.bits()).open(&path);
        let disk = exclusive.with_context(|| format!("{path} can't be opened for writing: is it in use?"))?;
        let put = |at: u64, bytes: &[u8]| -> Result<()> {
            disk.write_all_at(bytes, at)
                .and_then(|()| disk.sync_all())
                .with_context(|| format!("writing to {path}: is it write-protected, or broken?"))
        };
        if wipe {
            let nothing = vec![0; usize::try_from(WIPED_BYTES)?];
            put(0, &nothing)?;
            put(seen.disk.bytes.saturating_sub(WIPED_BYTES), &nothing)?;
        }
        let sector = SECTOR_BYTES as u64;
        put(encoded.backup_lba.saturating_mul(sector), &encoded.backup)?;
        put(PRIMARY_LBA.saturating_mul(sector), &encoded.primary)?;
        put(0, &contract::mbr::protective())
    };
    write(UNFINISHED, true)?;
    let part = shown(&lock, seen)?;
    let made = command(
        "/usr/sbin/mke2fs",
        &["-t", "ext4", "-F", "-q", "-m", "1", "-L", name, "-O", "metadata_csum", "-E", "nodiscard,lazy_journal_init=1"],
        &part,
    )?;
    ensure!(made.0 == Some(0), "the disk takes no file system, so it may be broken: {}", made.1);
    write(KIND, false)?;
    shown(&lock, seen).map(drop)
}

/// Has the kernel show the one partition that was written; its device.
fn shown(disk: &File, seen: &Seen) -> Result<PathBuf> {
    let digit = seen.disk.name.ends_with(|c: char| c.is_ascii_digit());
    let part = format!("{}{}1", seen.disk.name, if digit { "p" } else { "" });
    let begun = Instant::now();
    loop {
        #[expect(unsafe_code, reason = "ioctl without argument on an open disk")]
        let read = unsafe { ioctl::reread_partitions(disk.as_raw_fd()) };
        if read.is_ok() && Path::new("/dev").join(&part).exists() {
            return Ok(Path::new("/dev").join(part));
        }
        if begun.elapsed() > DISK_SETTLE {
            return Err(read.err().map_or_else(|| anyhow!("it has none"), Into::into))
                .context("the kernel does not show what was written to the disk");
        }
        std::thread::sleep(DISK_BUSY_LOOK_EVERY);
    }
}

/// Has e2fsck look at a file system that is not mounted.
fn check(device: &Path, how: &str) -> Result<()> {
    let (status, said) = command("/usr/sbin/e2fsck", &[how], device)?;
    match status {
        Some(bits) if bits & !MENDED == 0 => Ok(()),
        _ => {
            log::error!("e2fsck {how} {}: {said}", device.display());
            bail!("the files on the disk are damaged: if there is no backup of them, have the disk repaired; some may be lost then")
        }
    }
}

/// Runs one of the file system's programs on a device; its status and the last that it said.
fn command(program: &str, arguments: &[&str], device: &Path) -> Result<(Option<i32>, String)> {
    #[expect(clippy::disallowed_methods, reason = "two fixed programs of the image, whose end is looked at")]
    let mut command = Command::new(program);
    command.args(arguments).arg(device).env_clear().env("PATH", "/usr/sbin:/usr/bin").env("LC_ALL", "C");
    let ended = command.output().with_context(|| format!("running `{program}`"))?;
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join("\n");
    let last: Vec<&str> = said.lines().rev().take(4).collect();
    Ok((ended.status.code(), last.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

fn make_folder(folder: &Path, mode: u32) -> Result<()> {
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).with_context(|| format!("making `{}`", folder.display())),
        _ => Ok(()),
    }
}

/// A folder that the broker may make others in, whoever had it on another node. A link is not followed.
fn broker_s(folder: &Path) -> Result<()> {
    make_folder(folder, 0o700)?;
    let top = OpenOptions::new().read(true).custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits()).open(folder)?;
    let broker = User::from_name(BROKER)?.with_context(|| format!("there is no user `{BROKER}`"))?;
    fchown(&top, Some(broker.uid), Some(broker.gid))?;
    Ok(top.set_permissions(Permissions::from_mode(0o700))?)
}

/// Whether the room for apps and all that is in it are folders of the disk's own: a link would lead apps, and what is taken away, elsewhere.
fn only_folders(apps: &Path) -> Result<()> {
    const ODD: &str = "what is on the disk is not what a node writes: have it prepared anew, which erases it";
    match std::fs::symlink_metadata(apps) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => ensure!(found.context("looking at what is on the disk")?.is_dir(), "`{APPS}` is no folder: {ODD}"),
    }
    for entry in std::fs::read_dir(apps).context("looking at what is on the disk")? {
        let entry = entry.context("looking at what is on the disk")?;
        // Of the entry itself, not of what a link points to.
        let kind = entry.file_type().context("looking at what is on the disk")?;
        ensure!(kind.is_dir(), "{:?} is no folder: {ODD}", entry.file_name());
    }
    Ok(())
}

/// Takes away what was put aside: it follows no link, and what it is not let take stays for the next time.
fn tidy(apps: &Path) -> Result<()> {
    ensure!(std::fs::symlink_metadata(apps).is_ok_and(|found| found.is_dir()), "`{}` is no folder", apps.display());
    for entry in std::fs::read_dir(apps).with_context(|| format!("reading `{}`", apps.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(GONE)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            log::warn!("`{}` stays: {error}", entry.path().display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::facts::tests::{id, line, machine, udev_of_ours};

    #[test]
    fn what_was_put_aside_goes_and_nothing_that_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let (apps, other) = (dir.path().join(APPS), dir.path().join("other"));
        for folder in [apps.join("web.data"), apps.join(format!("{GONE}web.data-1/deep")), other.join("kept")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::os::unix::fs::symlink(&other, apps.join(format!("{GONE}web.data-1/link"))).unwrap();
        std::os::unix::fs::symlink(&other, apps.join(format!("{GONE}link"))).unwrap();
        tidy(&apps).unwrap();
        let left: Vec<_> = std::fs::read_dir(&apps).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.contains(&"web.data".into()) && !left.iter().any(|name| name == ".gone-web.data-1"), "{left:?}");
        assert!(other.join("kept").is_dir());
    }

    #[test]
    fn a_disk_whose_room_for_apps_leads_elsewhere_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (apps, other) = (dir.path().join(APPS), dir.path().join("other"));
        only_folders(&apps).unwrap();
        std::fs::create_dir_all(other.join(format!("{GONE}kept"))).unwrap();
        std::os::unix::fs::symlink(&other, &apps).unwrap();
        assert!(only_folders(&apps).is_err() && tidy(&apps).is_err());
        assert!(other.join(format!("{GONE}kept")).is_dir());
        std::fs::remove_file(&apps).unwrap();
        std::fs::create_dir_all(apps.join("web.data")).unwrap();
        only_folders(&apps).unwrap();
        std::os::unix::fs::symlink(&other, apps.join("db.data")).unwrap();
        assert!(only_folders(&apps).unwrap_err().to_string().contains("db.data"));
        std::fs::remove_file(apps.join("db.data")).unwrap();
        std::fs::write(apps.join("file"), "").unwrap();
        assert!(only_folders(&apps).is_err());
    }

    #[test]
    fn what_the_system_was_started_from_is_no_disk_for_apps_and_what_is_there_is_not_let_go() {
        let (_dir, places) = machine(&udev_of_ours());
        let root = |running: &str| Root { places: places.clone(), running: Some(running.to_owned()) };
        assert_eq!(root("sda").find(id()).unwrap().1, Path::new("/dev/sdb1"));
        assert!(root("sdb").find(id()).unwrap_err().to_string().contains("started from that disk"));
        std::fs::write(&places.mountinfo, line(&places)).unwrap();
        assert!(root("sda").act(&Ask::Gone(id())).unwrap_err().to_string().contains("the disk is there"));
        assert!(root("sda").act(&Ask::Repair(id())).unwrap_err().to_string().contains("in use"));
    }
}
