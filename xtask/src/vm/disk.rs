//! Disks of virtual nodes: copies of an image, grown to a disk's size, and changed while the node is off.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use contract::gpt::{self, Partition, SECTOR_BYTES, Table};
use contract::state::MARK_SECTOR;
use nix::unistd::{Whence, lseek};

use crate::boot::pe;
use crate::image::Window;
use crate::image::fat::{self, Fat};

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Makes a disk of `bytes` that begins with the image; holes stay holes.
pub fn make(image: &Path, disk: &Path, bytes: u64) -> Result<()> {
    let from = File::open(image).with_context(|| format!("failed to open the image `{}`", image.display()))?;
    let to = File::create(disk).with_context(|| format!("failed to make the disk `{}`", disk.display()))?;
    let len = from.metadata()?.len();
    if len > bytes {
        bail!("the image has {len} bytes, the disk shall have {bytes}: ask for a larger disk");
    }
    to.set_len(bytes)?;
    copy_data(&from, &to, len).with_context(|| format!("failed to copy the image to `{}`", disk.display()))
}

/// Makes a disk of `bytes` with nothing on it.
pub fn make_blank(disk: &Path, bytes: u64) -> Result<()> {
    let made = File::create(disk).and_then(|file| file.set_len(bytes));
    made.with_context(|| format!("failed to make the disk `{}`", disk.display()))
}

/// Copies a disk; holes stay holes.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).with_context(|| format!("failed to open the disk `{}`", from.display()))?;
    let target = File::create(to).with_context(|| format!("failed to make `{}`", to.display()))?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    copy_data(&source, &target, len).with_context(|| format!("failed to copy a disk to `{}`", to.display()))
}

/// Copies a range of a disk into a file of its own.
pub fn copy_range(disk: &Path, range: std::ops::Range<u64>, to: &File) -> Result<()> {
    let from = File::open(disk).with_context(|| format!("failed to open the disk `{}`", disk.display()))?;
    to.set_len(range.end - range.start)?;
    copy_range_data(&from, range, to).with_context(|| format!("failed to copy a part of `{}`", disk.display()))
}

fn copy_data(from: &File, to: &File, len: u64) -> io::Result<()> {
    copy_range_data(from, 0..len, to)
}

/// Copies what a range holds to the start of `to`.
fn copy_range_data(from: &File, range: std::ops::Range<u64>, to: &File) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = range.start;
    while at < range.end {
        // Past the last data there is no more (ENXIO).
        let Ok(start) = seek(from, at, Whence::SeekData) else { break };
        let end = seek(from, start, Whence::SeekHole)?.min(range.end);
        at = start;
        while at < end {
            let chunk = &mut buffer[..COPY_BYTES.min((end - at) as usize)];
            from.read_exact_at(chunk, at)?;
            to.write_all_at(chunk, at - range.start)?;
            at += chunk.len() as u64;
        }
    }
    Ok(())
}

fn seek(file: &File, at: u64, whence: Whence) -> io::Result<u64> {
    let at = i64::try_from(at).map_err(io::Error::other)?;
    u64::try_from(lseek(file.as_fd(), at, whence)?).map_err(io::Error::other)
}

/// A disk of a node that is off.
pub struct Disk {
    file: File,
    table: Table,
}

impl Disk {
    /// Opens it and reads its partition table.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("failed to open the disk `{}`", path.display()))?;
        let sectors = file.metadata()?.len() / SECTOR_BYTES as u64;
        let read = |lba: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; gpt::TABLE_BYTES];
            file.read_exact_at(&mut bytes, lba * SECTOR_BYTES as u64)?;
            Ok(bytes)
        };
        let (primary, backup) = (read(gpt::PRIMARY_LBA)?, read(gpt::backup_lba(sectors)?)?);
        let (table, _) = gpt::decode(&primary, &backup, sectors)
            .with_context(|| format!("failed to read the partition table of `{}`", path.display()))?;
        Ok(Self { file, table })
    }

    fn partition(&self, label: &str) -> Result<&Partition> {
        let (_, partition) = self.table.by_name(label).ok_or_else(|| anyhow!("the disk has no partition `{label}`"))?;
        Ok(partition)
    }

    fn window(&self, partition: &Partition) -> Result<Window> {
        Ok(Window::new(self.file.try_clone()?, partition.offset(), partition.bytes()))
    }

    fn fat(&self, label: &str) -> Result<Fat> {
        let window = self.window(self.partition(label)?)?;
        fat::open(window).with_context(|| format!("`{label}` holds no FAT file system"))
    }

    /// Writes a file of a FAT partition's top folder; what was there before is replaced.
    pub fn put(&self, label: &str, name: &str, content: &[u8]) -> Result<()> {
        fat::put_top(&self.fat(label)?, name, content).with_context(|| format!("failed to write `{name}` on `{label}`"))
    }

    /// All files of a FAT partition.
    pub fn files(&self, label: &str) -> Result<Vec<(String, Vec<u8>)>> {
        fat::read_all(&self.fat(label)?).with_context(|| format!("failed to read `{label}`"))
    }

    /// Replaces a FAT partition's files by others: the file system is made anew, as a whole.
    pub fn replace_files(&self, label: &str, files: Vec<(String, Vec<u8>)>) -> Result<()> {
        let partition = self.partition(label)?;
        let files: Vec<_> = files.into_iter().map(|(path, bytes)| (path, crate::tree::Content::Bytes(bytes.into()))).collect();
        let aside = tempfile::NamedTempFile::new()?;
        let part = match label {
            "esp" => crate::image::esp_part(&files, aside.path())?,
            "config" => crate::image::config_part(&files, aside.path())?,
            "boot-a" | "boot-b" => crate::image::boot_part(&files, aside.path())?,
            other => bail!("`{other}` is no partition whose files can be replaced"),
        };
        // The mark of a confirmed slot lies outside of the file system, and is not what is replaced.
        let mark =
            (label.starts_with("boot-")).then(|| self.read_at(label, MARK_SECTOR * SECTOR_BYTES as u64, SECTOR_BYTES)).transpose()?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < part.used {
            let chunk = &mut buffer[..COPY_BYTES.min((part.used - at) as usize)];
            aside.as_file().read_exact_at(chunk, at)?;
            self.file.write_all_at(chunk, partition.offset() + at)?;
            at += chunk.len() as u64;
        }
        mark.map_or(Ok(()), |mark| self.write_at(label, MARK_SECTOR * SECTOR_BYTES as u64, &mark))
    }

    /// Whether there is such a partition.
    pub fn has(&self, label: &str) -> bool {
        self.table.by_name(label).is_some()
    }

    /// Copies a partition's bytes over another that is at least as large.
    pub fn copy_partition(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.partition(from)?, self.partition(to)?);
        if to.bytes() < from.bytes() {
            bail!("`{}` is larger than `{}`", from.name, to.name);
        }
        let (mut buffer, mut former) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
        let mut done = 0;
        while done < from.bytes() {
            let len = COPY_BYTES.min((from.bytes() - done) as usize);
            let (chunk, former) = (&mut buffer[..len], &mut former[..len]);
            self.file.read_exact_at(chunk, from.offset() + done)?;
            // What is zero on both stays a hole.
            self.file.read_exact_at(former, to.offset() + done)?;
            if chunk != former {
                self.file.write_all_at(chunk, to.offset() + done)?;
            }
            done += chunk.len() as u64;
        }
        Ok(())
    }

    /// Overwrites bytes of a partition.
    pub fn write_at(&self, label: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let partition = self.partition(label)?;
        if offset.saturating_add(bytes.len() as u64) > partition.bytes() {
            bail!("`{label}` ends before byte {}", offset.saturating_add(bytes.len() as u64));
        }
        Ok(self.file.write_all_at(bytes, partition.offset() + offset)?)
    }

    /// Where a partition lies, in bytes from the disk's start.
    pub fn range(&self, label: &str) -> Result<std::ops::Range<u64>> {
        let partition = self.partition(label)?;
        Ok(partition.offset()..partition.offset() + partition.bytes())
    }

    /// Where a partition begins, in sectors from the disk's start.
    pub fn first_sector(&self, label: &str) -> Result<u64> {
        Ok(self.partition(label)?.first)
    }

    /// A partition's size in bytes.
    pub fn bytes(&self, label: &str) -> Result<u64> {
        Ok(self.partition(label)?.bytes())
    }

    /// One sector of the disk.
    pub fn sector(&self, number: u64) -> Result<[u8; SECTOR_BYTES]> {
        let mut bytes = [0; SECTOR_BYTES];
        self.file.read_exact_at(&mut bytes, number * SECTOR_BYTES as u64)?;
        Ok(bytes)
    }

    /// Overwrites one sector of the disk.
    pub fn put_sector(&self, number: u64, bytes: &[u8; SECTOR_BYTES]) -> Result<()> {
        Ok(self.file.write_all_at(bytes, number * SECTOR_BYTES as u64)?)
    }

    /// A partition's GUID.
    pub fn guid(&self, label: &str) -> Result<contract::guid::Guid> {
        Ok(self.partition(label)?.guid)
    }

    /// Reads bytes of a partition.
    pub fn read_at(&self, label: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let partition = self.partition(label)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, partition.offset() + offset)?;
        Ok(bytes)
    }
}

/// How a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// One bit in its middle is another.
    Flip,
    /// Its second half is missing.
    Truncate,
    /// It is not there.
    Remove,
    /// It is empty.
    Empty,
    /// Its signatures are cut off: a program that Secure Boot refuses.
    Unsign,
}

/// What is left of a file after that damage; `None` if it is not there any more.
pub fn damaged(content: &[u8], damage: Damage) -> Result<Option<Vec<u8>>> {
    let mut bytes = content.to_vec();
    match damage {
        Damage::Flip => {
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle).context("an empty file has no bit to flip")? ^= 1;
        }
        Damage::Truncate => bytes.truncate(content.len() / 2),
        Damage::Remove => return Ok(None),
        Damage::Empty => bytes.clear(),
        Damage::Unsign => {
            bytes = pe::read(content).and_then(|program| program.without_signatures(content)).context("it is no signed UEFI program")?;
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Partitions, assemble, config_files, config_part, esp_part};
    use crate::tree::Content;
    use contract::partitions::{Layout, Role};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_disk_is_the_image_grown_and_can_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::write(&root, vec![3; 70_000]).unwrap();
        let esp = vec![("cloudy/x/linux".to_owned(), Content::Bytes([5; 9000].as_slice().into()))];
        let parts = vec![
            (Role::Config, config_part(&config_files(""), &folder.path().join("config")).unwrap()),
            (Role::Esp, esp_part(&esp, &folder.path().join("esp")).unwrap()),
            (Role::RootA, disks::Part::of_file(&root).unwrap()),
        ];
        let image = assemble(&Partitions { layout: Layout::Uefi, parts }, &folder.path().join("image"), false).unwrap();
        let path = folder.path().join("disk");
        assert!(make(&image.path, &path, 1 << 20).is_err());
        make(&image.path, &path, 8_000_000_000).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), 8_000_000_000);
        assert!(metadata.blocks() * 512 < 16 << 20);

        let disk = Disk::open(&path).unwrap();
        assert_eq!(disk.read_at("root-a", 0, 70_000).unwrap(), vec![3; 70_000]);
        disk.put("config", "cloudy.toml", b"hostname = \"one\"\n").unwrap();
        assert!(disk.files("config").unwrap().iter().any(|(name, _)| name == "cloudy.toml"));
        let mut files = disk.files("esp").unwrap();
        files.push(("loader/entries/more.conf".to_owned(), b"title more\n".to_vec()));
        disk.replace_files("esp", files.clone()).unwrap();
        assert_eq!(disk.files("esp").unwrap(), files);
        assert!(disk.put("data", "x", b"").is_err());
    }

    #[test]
    fn damage_is_what_it_says() {
        let content = [0u8; 10];
        assert_eq!(damaged(&content, Damage::Flip).unwrap().unwrap().iter().filter(|byte| **byte == 1).count(), 1);
        assert_eq!(damaged(&content, Damage::Truncate).unwrap().unwrap().len(), 5);
        assert_eq!(damaged(&content, Damage::Remove).unwrap(), None);
        assert_eq!(damaged(&content, Damage::Empty).unwrap(), Some(Vec::new()));
        assert!(damaged(&content, Damage::Unsign).is_err());
    }
}
