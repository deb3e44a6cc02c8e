//! The partitions of an image: the root as it is, the FAT ones with what people find on the first of them, a Pi's boot state.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use contract::boot::Slot;
use contract::gpt::SECTOR_BYTES;
use contract::partitions::{BOOT_BYTES, CONFIG_BYTES, ESP_BYTES, STATE_BYTES};
use contract::state::{MARK_SECTOR, Seen, State, encode_mark};

use crate::Content;
use crate::fat::{self, FatPlan};

type Result<T> = std::result::Result<T, MakeError>;

/// One partition's content.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file or device that holds it, from its first byte on; what it lacks at its end is zero.
    pub file: PathBuf,
    /// Size of the partition; root-a is as large as its content.
    pub bytes: u64,
    /// So many bytes from its start matter; what follows is free space.
    pub used: u64,
}

impl Part {
    /// A partition that is just as large as a file and all of which matters (a root).
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of_file(file: &Path) -> Result<Self> {
        let bytes = file.metadata().map_err(MakeError::of("read", file))?.len();
        Ok(Self { file: file.to_owned(), bytes, used: bytes })
    }
}

/// Why a partition can't be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Which file system.
    #[error("failed to make the FAT file system `{label}`")]
    FileSystem {
        /// Its label.
        label: &'static str,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// Which file in it.
    #[error("`{path}` can't be written")]
    Path {
        /// Its path or name.
        path: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A name that FAT does not allow.
    #[error("`{0}` is no name that FAT allows")]
    Name(String),
    /// A label that FAT does not allow.
    #[error("`{0}` is no label: 11 letters of A to Z at most")]
    Label(String),
    /// A file where another has a folder, or a folder in two spellings.
    #[error("`{path}` and `{other}` meet: FAT does not tell upper from lower case")]
    Meet {
        /// The later one.
        path: String,
        /// The earlier one.
        other: String,
    },
    /// Two files of one name.
    #[error("`{0}` is there twice (FAT does not tell upper from lower case)")]
    Twice(String),
    /// A size that is none of FAT32.
    #[error("{bytes} bytes in clusters of {cluster} are no FAT32")]
    NoFat32 {
        /// Of the partition.
        bytes: u64,
        /// Of a cluster.
        cluster: u32,
    },
    /// No room is left.
    #[error("it is full: {left} bytes are left, {wanted} are wanted")]
    Full {
        /// Free bytes.
        left: u64,
        /// Bytes that the next file or folder takes.
        wanted: u64,
    },
    /// A file of 4 GB or more.
    #[error("`{0}` is too large for FAT")]
    TooLarge(String),
    /// A file outside of the partition.
    #[error("failed to {doing} `{}`", path.display())]
    File {
        /// `read`, `make`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Reading or writing content.
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
}

impl MakeError {
    /// For `map_err`: what was being done to which file.
    pub(crate) fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

/// The config partition: what Windows and macOS show when the card is put in.
const CONFIG: FatPlan = FatPlan { label: "CLOUDY", volume_id: 0xC10D_0001, bytes: CONFIG_BYTES, cluster_bytes: 512 };
/// The EFI system partition.
const ESP: FatPlan = FatPlan { label: "CLOUDY-ESP", volume_id: 0xC10D_0002, bytes: ESP_BYTES, cluster_bytes: 4096 };

/// A slot's boot partition on a Pi; U-Boot reads large clusters quicker, a FAT32 of this size has no larger ones.
const BOOT: FatPlan = FatPlan { label: "CLOUDY-BOOT", volume_id: 0xC10D_0003, bytes: BOOT_BYTES, cluster_bytes: 2048 };
/// So many bytes of the state and of an empty boot partition are written, so that nothing of a card's former life is
/// believed.
const CLEARED_BYTES: u64 = 64 << 10;

/// What people read on the config partition.
const README: &str = include_str!("config-readme.txt");

/// The files of a shipped config partition: a README for people, and `example`, the commented `cloudy.toml`.
/// It is named `cloudy.toml.example`, so that a node that nobody touched has no settings, rather than an example's.
pub fn config_files(example: &str) -> Vec<(String, Content)> {
    let text = |text: &str| Content::Bytes(text.replace('\n', "\r\n").into_bytes().into());
    vec![("README.txt".to_owned(), text(README)), ("cloudy.toml.example".to_owned(), text(example))]
}

/// Makes the config partition as a sparse file.
///
/// # Errors
/// When the files do not fit, and when writing fails.
pub fn config_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    fat::build(&CONFIG, files, out)
}

/// Makes the EFI system partition as a sparse file.
///
/// # Errors
/// When the files do not fit, and when writing fails.
pub fn esp_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    fat::build(&ESP, files, out)
}

/// Makes slot a's boot partition of a Pi as a sparse file. It bears the mark of a slot that was confirmed.
///
/// # Errors
/// When the files do not fit, and when writing fails.
pub fn boot_part(files: &[(String, Content)], out: &Path) -> Result<Part> {
    let part = fat::build(&BOOT, files, out)?;
    let file = OpenOptions::new().write(true).open(out)?;
    file.write_all_at(&encode_mark(State::SHIPPED.sequence), MARK_SECTOR * SECTOR_BYTES as u64)?;
    Ok(part)
}

/// Makes slot b's, which is empty until the first update.
///
/// # Errors
/// When the files do not fit, and when writing fails.
pub fn empty_boot_part(out: &Path) -> Result<Part> {
    let file = File::create(out).map_err(MakeError::of("make", out))?;
    file.set_len(BOOT_BYTES)?;
    Ok(Part { file: out.to_owned(), bytes: BOOT_BYTES, used: CLEARED_BYTES })
}

/// Makes the boot state of a new card: slot a is confirmed, in both records.
///
/// # Errors
/// When the files do not fit, and when writing fails.
pub fn state_part(out: &Path) -> Result<Part> {
    let file = File::create(out).map_err(MakeError::of("make", out))?;
    file.set_len(STATE_BYTES)?;
    let empty = Seen { records: [None, None], marks: [None, None] };
    for write in empty.store(State { sequence: 0, ..State::SHIPPED }) {
        file.write_all_at(&write.bytes, write.place.sector() * SECTOR_BYTES as u64)?;
    }
    debug_assert_eq!(State::SHIPPED.confirmed, Slot::A);
    Ok(Part { file: out.to_owned(), bytes: STATE_BYTES, used: CLEARED_BYTES })
}
