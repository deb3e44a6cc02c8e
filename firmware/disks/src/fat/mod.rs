//! FAT32 file systems with nothing in them that changes from build to build.
//!
//! Made by a writer of our own: the `fatfs` crate (0.3) gives the entries `.` and `..` long names, which fsck.fat and
//! Windows call damaged. Reading, and changing a file of the top folder in place, is `fatfs`'s (`read`): an independent reader
//! of what we write.

mod names;
#[cfg(feature = "read-fat")]
mod read;
#[cfg(test)]
#[cfg(feature = "read-fat")]
mod tests;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Content;
use crate::parts::{MakeError, Part};
use names::{Aliases, ENTRY_BYTES};
#[cfg(feature = "read-fat")]
pub use read::{Fat, open, put_top, read_all};

type Result<T> = std::result::Result<T, MakeError>;

/// What is fixed when a file system is made.
#[derive(Clone, Debug)]
pub struct FatPlan {
    /// What Windows and macOS show: at most 11 characters, upper case.
    pub label: &'static str,
    /// Serial number of the volume; Linux shows it as its UUID.
    pub volume_id: u32,
    /// Size of the partition.
    pub bytes: u64,
    /// Size of a cluster: a FAT32 has at least 65,525 of them.
    pub cluster_bytes: u32,
}

/// With fewer clusters it is a FAT16, whatever the boot sector says.
const FAT32_MIN_CLUSTERS: u64 = 65_525;
const SECTOR_BYTES: u64 = 512;
/// Reserved sectors before the first FAT, at least; a few more are taken so that clusters start on a whole page.
const RESERVED_MIN_SECTORS: u64 = 32;
const PAGE_SECTORS: u64 = 8;
const BACKUP_BOOT_SECTOR: u64 = 6;
const ROOT_CLUSTER: u32 = 2;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
/// The date of every file: people see it, nothing else reads it.
const YEAR: u16 = 2026;
const DOS_DATE: u16 = ((YEAR - 1980) << 9) | (1 << 5) | 1;
/// A folder or file on its way onto the disk.
enum Node<'a> {
    Folder(Folder<'a>),
    File(&'a Content),
}

/// Entries by their name in lower case, since FAT does not tell case; each with its name as written.
type Folder<'a> = BTreeMap<String, (&'a str, Node<'a>)>;

/// Makes a file system that holds `files` (path with `/`, content) as a sparse file at `out`.
///
/// # Errors
/// When the files do not fit, when two names differ in case only or are none that FAT allows, and when writing fails.
pub fn build(plan: &FatPlan, files: &[(String, Content)], out: &Path) -> Result<Part> {
    build_inner(plan, files, out).map_err(|source| MakeError::FileSystem { label: plan.label, source: Box::new(source) })
}

fn build_inner(plan: &FatPlan, files: &[(String, Content)], out: &Path) -> Result<Part> {
    let root = folders(files)?;
    let geometry = Geometry::new(plan)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(out);
    let file = file.and_then(|file| file.set_len(plan.bytes).map(|()| file)).map_err(MakeError::of("make", out))?;
    let mut writer = Writer { file: &file, geometry: &geometry, next: ROOT_CLUSTER, fat: vec![0x0fff_fff8, END_OF_CHAIN] };
    let label = names::label(plan.label)?;
    writer.folder(&root, None, Some(label))?;
    let Writer { next, fat, .. } = writer;
    let table: Vec<u8> = fat.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    for copy in 0..2 {
        let at = geometry.reserved + copy * geometry.fat_sectors;
        file.write_all_at(&table, at * SECTOR_BYTES)?;
    }
    let boot = geometry.boot_sector(plan, label);
    let info = geometry.info_sector(next);
    for at in [0, BACKUP_BOOT_SECTOR] {
        file.write_all_at(&boot, at * SECTOR_BYTES)?;
        file.write_all_at(&info, (at + 1) * SECTOR_BYTES)?;
    }
    let used = geometry.offset(next);
    Ok(Part { file: out.to_owned(), bytes: plan.bytes, used })
}

/// The files as folders in folders.
fn folders(files: &[(String, Content)]) -> Result<Folder<'_>> {
    let mut root = Folder::new();
    for (path, content) in files {
        let mut folder = &mut root;
        let mut rest = path.as_str();
        while let Some((name, below)) = rest.split_once('/') {
            names::check(name).map_err(|source| in_path(path, source))?;
            let entry = folder.entry(name.to_lowercase()).or_insert_with(|| (name, Node::Folder(Folder::new())));
            match entry {
                (written, Node::Folder(below)) if *written == name => folder = below,
                (written, _) => return Err(MakeError::Meet { path: path.clone(), other: (*written).to_owned() }),
            }
            rest = below;
        }
        names::check(rest).map_err(|source| in_path(path, source))?;
        if folder.insert(rest.to_lowercase(), (rest, Node::File(content))).is_some() {
            return Err(MakeError::Twice(path.clone()));
        }
    }
    Ok(root)
}

fn in_path(path: &str, source: MakeError) -> MakeError {
    MakeError::Path { path: path.to_owned(), source: Box::new(source) }
}

/// Where everything lies.
struct Geometry {
    total_sectors: u32,
    reserved: u64,
    fat_sectors: u64,
    cluster_sectors: u64,
    clusters: u32,
}

impl Geometry {
    fn new(plan: &FatPlan) -> Result<Self> {
        let total = plan.bytes / SECTOR_BYTES;
        let cluster_sectors = u64::from(plan.cluster_bytes) / SECTOR_BYTES;
        let no_fat32 = || MakeError::NoFat32 { bytes: plan.bytes, cluster: plan.cluster_bytes };
        if !matches!(cluster_sectors, 1 | 2 | 4 | 8 | 16 | 32 | 64) {
            return Err(no_fat32());
        }
        // A little more than needed: as if all sectors were clusters.
        let fat_sectors = ((total / cluster_sectors + 2) * 4).div_ceil(SECTOR_BYTES);
        let before = (RESERVED_MIN_SECTORS + 2 * fat_sectors).next_multiple_of(PAGE_SECTORS);
        let reserved = before - 2 * fat_sectors;
        let clusters = total.saturating_sub(before) / cluster_sectors;
        if clusters < FAT32_MIN_CLUSTERS || clusters > u64::from(END_OF_CHAIN) - 16 {
            return Err(no_fat32());
        }
        let total_sectors = u32::try_from(total).map_err(|_| no_fat32())?;
        let clusters = u32::try_from(clusters).map_err(|_| no_fat32())?;
        Ok(Self { total_sectors, reserved, fat_sectors, cluster_sectors, clusters })
    }

    fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * SECTOR_BYTES
    }

    /// Where a cluster's first byte lies.
    fn offset(&self, cluster: u32) -> u64 {
        let before = (self.reserved + 2 * self.fat_sectors) * SECTOR_BYTES;
        before + u64::from(cluster - ROOT_CLUSTER) * self.cluster_bytes()
    }

    /// Sector 0 (Microsoft's "FAT: General Overview of On-Disk Format", BPB and FAT32 structure).
    fn boot_sector(&self, plan: &FatPlan, label: [u8; 11]) -> [u8; SECTOR_BYTES as usize] {
        let mut boot = [0; SECTOR_BYTES as usize];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, 0x58, 0x90]);
        put(3, b"MSWIN4.1");
        put(11, &(SECTOR_BYTES as u16).to_le_bytes());
        put(13, &[self.cluster_sectors as u8]);
        put(14, &(self.reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(21, &[0xf8]);
        // Sectors per track and heads: nobody reads them, but zero is refused by some.
        put(24, &[32, 0, 64, 0]);
        put(32, &self.total_sectors.to_le_bytes());
        put(36, &(self.fat_sectors as u32).to_le_bytes());
        put(44, &ROOT_CLUSTER.to_le_bytes());
        put(48, &[1, 0]);
        put(50, &(BACKUP_BOOT_SECTOR as u16).to_le_bytes());
        put(64, &[0x80, 0, 0x29]);
        put(67, &plan.volume_id.to_le_bytes());
        put(71, &label);
        put(82, b"FAT32   ");
        // Code, should a BIOS start it: halt.
        put(90, &[0xf4, 0xeb, 0xfd]);
        put(510, &[0x55, 0xaa]);
        boot
    }

    /// Sector 1: how much is free, and where to look first.
    fn info_sector(&self, next: u32) -> [u8; SECTOR_BYTES as usize] {
        let mut info = [0; SECTOR_BYTES as usize];
        info[..4].copy_from_slice(b"RRaA");
        info[484..488].copy_from_slice(b"rrAa");
        let free = self.clusters - (next - ROOT_CLUSTER);
        info[488..492].copy_from_slice(&free.to_le_bytes());
        info[492..496].copy_from_slice(&next.to_le_bytes());
        info[510..].copy_from_slice(&[0x55, 0xaa]);
        info
    }
}

/// Writes nodes front to back; a file's clusters follow one another.
struct Writer<'a> {
    file: &'a File,
    geometry: &'a Geometry,
    next: u32,
    fat: Vec<u32>,
}

impl Writer<'_> {
    /// Takes the clusters for so many bytes, at least one; returns the first.
    fn take(&mut self, bytes: u64) -> Result<u32> {
        let first = self.next;
        let wanted = bytes.div_ceil(self.geometry.cluster_bytes()).max(1);
        let free = u64::from(self.geometry.clusters - (first - ROOT_CLUSTER));
        if wanted > free {
            let cluster = self.geometry.cluster_bytes();
            return Err(MakeError::Full { left: free.saturating_mul(cluster), wanted: wanted.saturating_mul(cluster) });
        }
        // Less than what is free, of which there are so many at most.
        self.next += wanted as u32;
        self.fat.extend(first + 1..self.next);
        self.fat.push(END_OF_CHAIN);
        Ok(first)
    }

    /// Writes a folder and all below it; returns its first cluster. `above` is its parent's, `None` for the top.
    fn folder(&mut self, folder: &Folder<'_>, above: Option<u32>, label: Option<[u8; 11]>) -> Result<u32> {
        let mut aliases = Aliases::default();
        let named: Vec<_> = folder.values().map(|(name, node)| (aliases.entries(name), name, node)).collect();
        let count: usize = 2 + named.iter().map(|(entries, ..)| entries.len() / ENTRY_BYTES).sum::<usize>();
        let own = self.take((count * ENTRY_BYTES) as u64)?;
        let mut bytes = Vec::new();
        if let Some(label) = label {
            bytes.extend_from_slice(&short_entry(label, ATTRIBUTE_LABEL, 0, 0));
        }
        if let Some(above) = above {
            // The top folder is cluster 0 to those right below it.
            let above = if above == ROOT_CLUSTER { 0 } else { above };
            bytes.extend_from_slice(&short_entry(*b".          ", ATTRIBUTE_FOLDER, own, 0));
            bytes.extend_from_slice(&short_entry(*b"..         ", ATTRIBUTE_FOLDER, above, 0));
        }
        for (mut entries, name, node) in named {
            let short_at = entries.len() - ENTRY_BYTES;
            let mut short = [b' '; 11];
            short.copy_from_slice(&entries[short_at..short_at + 11]);
            let entry = match node {
                Node::Folder(below) => short_entry(short, ATTRIBUTE_FOLDER, self.folder(below, Some(own), None)?, 0),
                Node::File(content) => {
                    let first = self.content(content).map_err(|source| in_path(name, source))?;
                    let bytes = u32::try_from(content.len()).map_err(|_| MakeError::TooLarge((*name).to_owned()))?;
                    short_entry(short, ATTRIBUTE_ARCHIVE, first, bytes)
                }
            };
            entries[short_at..].copy_from_slice(&entry);
            bytes.append(&mut entries);
        }
        self.file.write_all_at(&bytes, self.geometry.offset(own))?;
        Ok(own)
    }

    /// Writes a file's content; returns its first cluster, 0 if it is empty.
    fn content(&mut self, content: &Content) -> Result<u32> {
        if content.is_empty() {
            return Ok(0);
        }
        let first = self.take(content.len())?;
        let mut at = self.geometry.offset(first);
        content.each(|bytes| {
            self.file.write_all_at(bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        })?;
        Ok(first)
    }
}

/// A directory entry with a short name.
fn short_entry(name: [u8; 11], attributes: u8, cluster: u32, bytes: u32) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..11].copy_from_slice(&name);
    entry[11] = attributes;
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DOS_DATE.to_le_bytes());
    }
    let [low, high] = [cluster as u16, (cluster >> 16) as u16];
    entry[20..22].copy_from_slice(&high.to_le_bytes());
    entry[26..28].copy_from_slice(&low.to_le_bytes());
    entry[28..].copy_from_slice(&bytes.to_le_bytes());
    entry
}
