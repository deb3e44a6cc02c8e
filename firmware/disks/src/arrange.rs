//! What a disk is made of, byte for byte: tables and partitions, each with its place. Pure but for reading the parts.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::gpt::{PRIMARY_LBA, SECTOR_BYTES};
use contract::mbr::{self, MbrError};
use contract::partitions::{Layout, LayoutError, Role, shipped};

use crate::write::{BoxError, Piece, Source};
use crate::{Content, Part};

/// A run of bytes with its place.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its first byte on the disk.
    pub at: u64,
    /// Its bytes.
    pub content: Content,
}

/// All that is written, in order, apart from each other.
#[derive(Clone, Debug)]
pub struct Arranged {
    /// MBR and table, the partitions, the table's copy.
    pub segments: Vec<Segment>,
    /// Length of the whole.
    pub bytes: u64,
    open: Option<(Arc<PathBuf>, Arc<File>)>,
}

/// Why parts make no disk.
#[derive(Debug, thiserror::Error)]
pub enum ArrangeError {
    /// One that is shipped is not there.
    #[error("the image has no {0}")]
    Missing(String),
    /// One is larger than its place.
    #[error("{label} has {have} bytes, its partition {place}")]
    TooLarge {
        /// Which.
        label: &'static str,
        /// Of the part.
        have: u64,
        /// Of the partition.
        place: u64,
    },
    /// The table is impossible.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The MBR is impossible.
    #[error(transparent)]
    Mbr(#[from] MbrError),
}

impl Arranged {
    /// A shipped disk: as an image, which ends behind its last partition, or for a disk of `disk_sectors`. Either bears the
    /// marks by which the first start draws GUIDs of its own and makes data.
    ///
    /// # Errors
    /// When a part is missing or too large, and when the disk is too small.
    pub fn shipped(layout: Layout, parts: &[(Role, Part)], disk_sectors: Option<u64>) -> Result<Self, ArrangeError> {
        let part = |name: &str| parts.iter().find(|(role, _)| role.label() == name).ok_or_else(|| ArrangeError::Missing(name.to_owned()));
        let (table, image_sectors) = shipped(layout, part(Role::RootA.label())?.1.bytes)?;
        let sectors = disk_sectors.unwrap_or(image_sectors);
        let encoded = table.encode(sectors).map_err(LayoutError::from)?;
        let mbr = match (layout, table.by_name(Role::Config.label())) {
            (Layout::Uboot, Some((_, config))) => mbr::hybrid(config)?,
            _ => mbr::protective(),
        };
        debug_assert_eq!(PRIMARY_LBA, 1, "the table follows the MBR");
        let start = [mbr.as_slice(), &encoded.primary].concat();
        let mut segments = vec![Segment { at: 0, content: Content::Bytes(start.into()) }];
        for partition in table.partitions.values() {
            let (role, part) = part(&partition.name)?;
            if part.bytes > partition.bytes() {
                return Err(ArrangeError::TooLarge { label: role.label(), have: part.bytes, place: partition.bytes() });
            }
            let content = Content::Slice { file: Arc::new(part.file.clone()), offset: 0, len: part.used };
            segments.push(Segment { at: partition.offset(), content });
        }
        let backup = encoded.backup_lba.saturating_mul(SECTOR_BYTES as u64);
        segments.push(Segment { at: backup, content: Content::Bytes(encoded.backup.into()) });
        Ok(Self { segments, bytes: sectors.saturating_mul(SECTOR_BYTES as u64), open: None })
    }

    /// What is written, for [`crate::write()`].
    pub fn pieces(&self) -> Vec<Piece> {
        self.segments.iter().map(|segment| (segment.at, segment.at + segment.content.len())).collect()
    }
}

impl Source for Arranged {
    fn read(&mut self, at: u64, chunk: &mut [u8]) -> Result<(), BoxError> {
        let holds = |segment: &&Segment| segment.at <= at && at + chunk.len() as u64 <= segment.at + segment.content.len();
        let segment = self.segments.iter().find(holds).ok_or("bytes are asked for that are none of the image's")?;
        let inside = at - segment.at;
        match &segment.content {
            Content::Bytes(bytes) => {
                let from = usize::try_from(inside)?;
                chunk.copy_from_slice(bytes.get(from..from + chunk.len()).ok_or("bytes are asked for beyond their end")?);
            }
            Content::Slice { file, offset, .. } => {
                let open = match &self.open {
                    Some((path, open)) if path == file => open.clone(),
                    _ => {
                        let open = Arc::new(File::open(file.as_path()).map_err(|error| failed(file, &error))?);
                        self.open = Some((file.clone(), open.clone()));
                        open
                    }
                };
                open.read_exact_at(chunk, offset + inside).map_err(|error| failed(file, &error))?;
            }
        }
        Ok(())
    }
}

fn failed(file: &Path, error: &std::io::Error) -> BoxError {
    format!("failed to read `{}`: {error}", file.display()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{config_part, esp_part};
    use crate::write::{Phase, Progress, write};
    use contract::gpt;
    use contract::partitions::SHIPPED_DISK;

    struct Nobody;

    impl Progress for Nobody {
        fn begin(&mut self, _: Phase, _: u64) {}
        fn add(&mut self, _: u64) {}
    }

    #[test]
    fn parts_become_a_disk_with_the_marks_of_a_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("root"), vec![7; 3_000_000]).unwrap();
        let files = [("EFI/BOOT/BOOTX64.EFI".to_owned(), Content::Bytes([5; 100_000].into()))];
        let parts = vec![
            (Role::Config, config_part(&[], &path("config")).unwrap()),
            (Role::Esp, esp_part(&files, &path("esp")).unwrap()),
            (Role::RootA, Part::of_file(&path("root")).unwrap()),
        ];
        let bytes: u64 = 6_000_000_000;
        let mut arranged = Arranged::shipped(Layout::Uefi, &parts, Some(bytes / 512)).unwrap();
        assert_eq!(arranged.bytes, bytes);
        let disk = File::options().read(true).write(true).create(true).truncate(true).open(path("disk")).unwrap();
        disk.set_len(bytes).unwrap();
        let pieces = arranged.pieces();
        assert!(pieces.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        write(&mut arranged, &pieces, &disk, bytes, &mut Nobody).unwrap();
        let mut tables = [vec![0; gpt::TABLE_BYTES], vec![0; gpt::TABLE_BYTES]];
        disk.read_exact_at(&mut tables[0], 512).unwrap();
        disk.read_exact_at(&mut tables[1], bytes - gpt::TABLE_BYTES as u64).unwrap();
        let primary = gpt::decode_primary(&tables[0]).unwrap();
        assert_eq!(gpt::decode_backup(&tables[1], bytes / 512).unwrap(), primary);
        assert_eq!(primary.disk, SHIPPED_DISK);
        assert_eq!(primary.partitions.values().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["config", "esp", "root-a"]);
        let mut root = vec![0; 3_000_000];
        disk.read_exact_at(&mut root, primary.by_name("root-a").unwrap().1.offset()).unwrap();
        assert!(root.iter().all(|byte| *byte == 7));
        let missing = Arranged::shipped(Layout::Uefi, &parts[1..], None).unwrap_err().to_string();
        assert_eq!(missing, "the image has no config");
    }
}
