//! Where a twin is made: in memory where there is plenty, since its files are read once and thrown away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;

use crate::sandbox;

/// A file system in memory that every user may write to.
const MEMORY: &str = "/dev/shm";
/// How many times the files' bytes must be free in memory: builds go on beside it, and so does their owner.
const MEMORY_TIMES: u64 = 4;
/// How a folder of a running build is called, its process's number after it.
const MAKING: &str = "making-";
/// The same in [`MEMORY`], which is not ours alone.
const MAKING_IN_MEMORY: &str = "cloudy-twin-making-";

/// The first Linux whose file systems in memory keep what an overlay notes beside files.
const LINUX: [u64; 2] = [6, 6];

/// The folder, not made yet, for a twin whose files have so many bytes; below `disk` where memory is short.
pub fn choose(bytes: u64, disk: &Path) -> PathBuf {
    let free = statvfs(MEMORY).map_or(0, |stat| stat.blocks_available() * stat.fragment_size());
    let available = available_memory().unwrap_or(0);
    let linux = uname().ok().and_then(|name| Some(is_recent(name.release().to_str()?))).unwrap_or(false);
    let pid = std::process::id();
    if linux && fits(bytes, available, free) {
        Path::new(MEMORY).join(format!("{MAKING_IN_MEMORY}{pid}"))
    } else {
        disk.join(format!("{MAKING}{pid}"))
    }
}

/// Whether a kernel of that release is [`LINUX`] or later.
fn is_recent(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u64>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|(major, minor)| [major, minor] >= LINUX)
}

/// Whether both the memory and the file system in it have room to spare.
fn fits(bytes: u64, available: u64, free: u64) -> bool {
    bytes.saturating_mul(MEMORY_TIMES) <= available.min(free)
}

/// Bytes of memory that programs can still get, where the kernel says so.
pub fn available_memory() -> Option<u64> {
    mem_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// The same of the text of /proc/meminfo.
fn mem_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Removes what interrupted builds left in `disk` and in memory.
pub fn remove_leftovers(tools_root: &Path, disk: &Path) -> Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    for (folder, prefix) in [(disk, MAKING), (Path::new(MEMORY), MAKING_IN_MEMORY)] {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let mine = entry.metadata().is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == own);
            if mine && !Path::new("/proc").join(pid).exists() {
                sandbox::remove_tree(tools_root, &entry.path())
                    .with_context(|| format!("failed to remove `{}`", entry.path().display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_only_where_there_is_plenty() {
        assert!(fits(100, 400, 400));
        assert!(!fits(100, 399, 4000) && !fits(100, 4000, 399) && !fits(u64::MAX, 4000, 4000));
        assert!(is_recent("6.6.0-rc1") && is_recent("6.18.44-fc") && is_recent("7.0"));
        assert!(!is_recent("6.1.0-13-amd64") && !is_recent("5.15.90") && !is_recent("x") && !is_recent("6"));
        assert_eq!(mem_available("MemTotal:       24684096 kB\nMemAvailable:   12 kB\n"), Some(12 * 1024));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
        assert_eq!(mem_available("MemAvailable: x kB\n"), None);
    }

    #[test]
    fn folders_of_builds_that_ended_are_removed() {
        let disk = tempfile::tempdir().unwrap();
        let (gone, mine) = (disk.path().join("making-4194999"), disk.path().join(format!("{MAKING}{}", std::process::id())));
        fs::create_dir_all(gone.join("lower")).unwrap();
        fs::create_dir_all(&mine).unwrap();
        remove_leftovers(Path::new("/nowhere"), disk.path()).unwrap();
        assert!(!gone.exists() && mine.exists());
    }
}
