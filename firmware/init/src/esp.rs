//! The boot loader's partition: its entries, and the record of the last failure.

use std::fs::{read, read_dir, remove_file, write};
use std::path::Path;

use anyhow::Context as _;
use contract::boot::{ENTRIES_DIR, EntryName};
use contract::paths::FAILURE_RECORD;
use contract::report::Failure;
use nix::mount::MsFlags;

use crate::mounts::{mount_at, unmount};
use crate::rules::passed_over::Entry;
use crate::seed::sync;

const MOUNTED: &str = "/run/cloudy-boot/esp";
/// A record is small; more than this is none.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// So is an entry.
const ENTRY_BYTES_MAX: usize = 64 << 10;

/// The partition, mounted until this is dropped.
pub struct Esp(());

impl Drop for Esp {
    fn drop(&mut self) {
        unmount(MOUNTED);
    }
}

impl Esp {
    /// Mounts it.
    pub fn mount(device: &str, writable: bool) -> anyhow::Result<Self> {
        let access = if writable { MsFlags::MS_SYNCHRONOUS } else { MsFlags::MS_RDONLY };
        let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount_at(device, MOUNTED, "vfat", access | hardened, "umask=0077")?;
        Ok(Self(()))
    }

    /// All entries of ours, those too that can't be started.
    pub fn entries(&self) -> Vec<Entry> {
        let is_there = |path: &str| Path::new(MOUNTED).join(path).is_file();
        let read_entry = |file: std::fs::DirEntry| {
            let name = EntryName::parse(file.file_name().to_str()?)?;
            let bytes = read(file.path()).ok().filter(|bytes| bytes.len() <= ENTRY_BYTES_MAX).unwrap_or_default();
            Some(Entry::read(name, &String::from_utf8_lossy(&bytes), is_there))
        };
        let files = read_dir(Path::new(MOUNTED).join(ENTRIES_DIR)).into_iter().flatten().flatten();
        let mut entries: Vec<_> = files.filter_map(read_entry).collect();
        entries.sort_by_key(|entry| entry.name.build);
        entries
    }

    /// The last failure, if one was kept.
    pub fn last_failure(&self) -> Option<Failure> {
        let bytes = read(Path::new(MOUNTED).join(FAILURE_RECORD)).ok().filter(|bytes| bytes.len() <= RECORD_BYTES_MAX)?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a failure for the page; the last one counts.
    pub fn keep(&self, failure: &Failure) -> anyhow::Result<()> {
        let path = Path::new(MOUNTED).join(FAILURE_RECORD);
        write(&path, serde_json::to_vec(failure)?).context("failed to keep the reason on the ESP")?;
        sync(Path::new(MOUNTED))
    }

    /// Renames an entry.
    pub fn rename(&self, from: EntryName, to: EntryName) -> anyhow::Result<()> {
        rename_in(&Path::new(MOUNTED).join(ENTRIES_DIR), from, to)
    }
}

/// Renames an entry, so that one of its names is whole wherever power goes: the new name is a file of its own, on the disk
/// before the old one goes. (FAT's own rename writes the folder twice without a flush between.)
fn rename_in(folder: &Path, from: EntryName, to: EntryName) -> anyhow::Result<()> {
    // The boot loader may have written the counter with other digits than ours.
    let real = read_dir(folder)?.flatten().map(|entry| entry.file_name());
    let real = real.into_iter().find(|name| name.to_str().and_then(EntryName::parse) == Some(from));
    let old = folder.join(real.with_context(|| format!("the ESP has no entry {from}"))?);
    let doing = || format!("failed to write the entry {from} anew as {to} on the ESP");
    write(folder.join(to.to_string()), read(&old).with_context(doing)?).with_context(doing)?;
    sync(folder)?;
    remove_file(&old).with_context(doing)?;
    sync(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::boot::{BuildId, Tries};

    #[test]
    fn an_entry_is_renamed_whatever_its_digits_and_an_earlier_try_was() {
        let folder = std::env::temp_dir().join(format!("cloudy-init-esp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let from = EntryName { build: BuildId([1; 16]), tries: Some(Tries { left: 2, done: 1 }) };
        let to = EntryName { tries: Some(Tries { left: 1, done: 0 }), ..from };
        write(folder.join(format!("cloudy-{}+02-1.conf", from.build)), "linux /x\n").unwrap();
        write(folder.join(to.to_string()), "li").unwrap();
        rename_in(&folder, from, to).unwrap();
        let names: Vec<_> = read_dir(&folder).unwrap().flatten().map(|file| file.file_name()).collect();
        assert_eq!(names, [to.to_string().as_str()]);
        assert_eq!(std::fs::read_to_string(folder.join(to.to_string())).unwrap(), "linux /x\n");
        assert!(rename_in(&folder, from, to).unwrap_err().to_string().contains("has no entry"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
