//! A second slot on a node's disk, as an update would leave it: the first one's files under another build id, and the boot
//! loader told of it.

use anyhow::{Context, Result, ensure};
use contract::boot::{BuildId, ENTRIES_DIR, EntryName, Slot, Tries};
use contract::gpt::SECTOR_BYTES;
use contract::paths::INITRAMFS_BUILD;
use contract::state::{RECORD_BYTES, Seen};

use super::super::disk::Disk;
use crate::boot::uboot::{CHECKSUM_SUFFIX, COMMAND_LINE_FILE, INITRAMFS_FILE, checksum};

/// Where the superblock of an erofs lies, and what of it is touched (erofs_fs.h).
const SUPERBLOCK_AT: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
const CHECKSUM_AT: usize = 4;
const FEATURES_AT: usize = 8;
const BLOCK_BITS_AT: usize = 12;
const UUID_AT: usize = 48;
const FEATURE_CHECKSUM: u32 = 1;
/// Sorts after every build's own version, so that the boot loader tries the new slot first.
const NEWEST: &str = "version 99999999999";

/// Adds slot b to a disk whose first boot is done, with so many tries, or confirmed.
pub fn add(disk: &Disk, build: BuildId, tries: Option<u32>) -> Result<()> {
    let old = build_in_a(disk)?;
    disk.copy_partition("root-a", "root-b").context("failed to copy the root to slot b (was the first boot done?)")?;
    let mut start = disk.read_at("root-b", 0, 2 * 65536)?;
    set_uuid(&mut start, build.0)?;
    disk.write_at("root-b", 0, &start)?;
    if disk.has("state") { add_uboot(disk, old, build, tries) } else { add_entry(disk, old, build, tries) }
}

/// The build whose root is in slot a.
pub fn build_in_a(disk: &Disk) -> Result<BuildId> {
    let uuid = disk.read_at("root-a", (SUPERBLOCK_AT + UUID_AT) as u64, 16)?;
    Ok(BuildId(uuid.try_into().ok().context("too short")?))
}

/// For U-Boot: slot b's boot partition, then the state.
fn add_uboot(disk: &Disk, old: BuildId, build: BuildId, tries: Option<u32>) -> Result<()> {
    let (from, to) = (old.to_string(), build.to_string());
    let mut files = Vec::new();
    for (path, mut content) in disk.files("boot-a")?.into_iter().filter(|(path, _)| !path.ends_with(CHECKSUM_SUFFIX)) {
        if path == COMMAND_LINE_FILE {
            let text = String::from_utf8(content.split_off(4)).context("the slot's command line is no text")?.replace(&from, &to);
            content = [crc32fast::hash(text.as_bytes()).to_le_bytes().as_slice(), text.as_bytes()].concat();
        } else {
            if path == INITRAMFS_FILE {
                rename_initramfs(&mut content, build)?;
            }
            files.push((format!("{path}{CHECKSUM_SUFFIX}"), checksum(&content).to_vec()));
        }
        files.push((path, content));
    }
    disk.replace_files("boot-b", files)?;
    let seen = Seen::read(|place| disk.read_at(place.label(), place.sector() * SECTOR_BYTES as u64, RECORD_BYTES).ok()?.try_into().ok());
    let writes = match tries {
        Some(tries) => seen.store(seen.state().with_trial(Slot::B, tries)).to_vec(),
        None => seen.confirm(Slot::B).to_vec(),
    };
    writes.iter().try_for_each(|write| disk.write_at(write.place.label(), write.place.sector() * SECTOR_BYTES as u64, &write.bytes))
}

/// For systemd-boot: further files and an entry on the ESP.
fn add_entry(disk: &Disk, old: BuildId, build: BuildId, tries: Option<u32>) -> Result<()> {
    let mut files = disk.files("esp")?;
    let entry_of = |path: &str| path.strip_prefix(ENTRIES_DIR)?.strip_prefix('/').and_then(EntryName::parse);
    let build_of = |path: &str| match entry_of(path) {
        Some(entry) => Some(entry.build),
        None => path.strip_prefix("cloudy/")?.split_once('/')?.0.parse().ok(),
    };
    // What was in slot b before is gone, as after an update.
    files.retain(|(path, _)| build_of(path).is_none_or(|build| build == old));
    let entry = files.iter().find(|(path, _)| entry_of(path).is_some()).context("the ESP has no entry of slot a")?;
    let entry = String::from_utf8_lossy(&entry.1).into_owned();
    let name = EntryName { build, tries: tries.map(|left| Tries { left, done: 0 }) };
    let (from, to) = (old.to_string(), build.to_string());
    let mut added: Vec<_> = files
        .iter()
        .filter(|(path, _)| path.starts_with(&format!("cloudy/{from}/")))
        .map(|(path, content)| (path.replace(&from, &to), content.clone()))
        .collect();
    for (_, content) in added.iter_mut().filter(|(path, _)| path.ends_with("/initrd")) {
        rename_initramfs(content, build)?;
    }
    ensure!(!added.is_empty(), "the ESP has no files of build {from}");
    files.extend(added);
    files.push((format!("{ENTRIES_DIR}/{name}"), renamed(&entry, &from, &to).into_bytes()));
    disk.replace_files("esp", files)
}

/// The entry's text for another build, newer than all.
fn renamed(entry: &str, from: &str, to: &str) -> String {
    let lines = entry.lines().map(|line| if line.starts_with("version") { NEWEST.to_owned() } else { line.replace(from, to) });
    lines.map(|line| line + "\n").collect()
}

/// Has the initramfs say that it is of another build: a further archive behind it, whose files replace the earlier ones.
fn rename_initramfs(initramfs: &mut Vec<u8>, build: BuildId) -> Result<()> {
    // The kernel looks for an archive at multiples of four.
    initramfs.resize(initramfs.len().next_multiple_of(4), 0);
    let text = format!("{build}\n");
    let file = cpio::newc::Builder::new(INITRAMFS_BUILD.trim_start_matches('/')).mode(0o100_644);
    let mut writer = file.write(initramfs, u32::try_from(text.len())?);
    std::io::Write::write_all(&mut writer, text.as_bytes())?;
    cpio::newc::trailer(writer.finish()?)?;
    Ok(())
}

/// Changes the UUID of the erofs that begins with `start`, and its checksum with it.
fn set_uuid(start: &mut [u8], uuid: [u8; 16]) -> Result<()> {
    let block = {
        let superblock = start.get(SUPERBLOCK_AT..SUPERBLOCK_AT + 128).context("too short")?;
        let number = |at: usize| u32::from_le_bytes([superblock[at], superblock[at + 1], superblock[at + 2], superblock[at + 3]]);
        ensure!(number(0) == MAGIC, "the root is no erofs");
        ensure!(number(FEATURES_AT) & FEATURE_CHECKSUM != 0, "the root's superblock has no checksum");
        1usize << superblock[BLOCK_BITS_AT]
    };
    let summed = start.get_mut(SUPERBLOCK_AT..block.max(SUPERBLOCK_AT + 128)).context("too short")?;
    summed[UUID_AT..UUID_AT + 16].copy_from_slice(&uuid);
    summed[CHECKSUM_AT..CHECKSUM_AT + 4].fill(0);
    let checksum = crc32c(summed);
    summed[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// CRC-32C as erofs takes it: all ones at the start, not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_castagnoli_one() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_entry_is_renamed_whole() {
        let entry = "title cloudy\nversion 6.12\nlinux /cloudy/aa/linux\noptions initrd=\\cloudy\\aa\\initrd cloudy.build=aa\n";
        assert_eq!(
            renamed(entry, "aa", "bb"),
            "title cloudy\nversion 99999999999\nlinux /cloudy/bb/linux\noptions initrd=\\cloudy\\bb\\initrd cloudy.build=bb\n"
        );
    }
}
