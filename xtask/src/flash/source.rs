//! The image's bytes: a plain file, or a download that is unpacked on the way.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use contract::gpt::{self, SECTOR_BYTES, Table};

use super::map::{self, Map, Piece};

/// Memory that unpacking may take, in KiB: our .xz need some 9 MiB (preset 6).
const MAX_DECODER_KIB: u32 = 256 << 10;
/// A bmap is text of a few kilobytes.
const MAX_BMAP_BYTES: u64 = 16 << 20;

/// An image, and what of it matters.
pub struct Source {
    path: PathBuf,
    packed: bool,
    map: Map,
}

impl Source {
    /// Opens `IMAGE.img` or `IMAGE.img.xz`, with `IMAGE.img.bmap` beside it. A plain image without a bmap is taken whole.
    pub fn open(path: &Path) -> Result<Self> {
        let packed = path.extension().is_some_and(|extension| extension == "xz");
        let plain = if packed { path.with_extension("") } else { path.to_owned() };
        let bytes = path.metadata().with_context(|| format!("cannot read the image `{}`", path.display()))?.len();
        let mut beside = plain.into_os_string();
        beside.push(".bmap");
        let beside = PathBuf::from(beside);
        let map = if beside.is_file() {
            let mut text = String::new();
            let doing = || format!("cannot read `{}`", beside.display());
            File::open(&beside).with_context(doing)?.take(MAX_BMAP_BYTES).read_to_string(&mut text).with_context(doing)?;
            map::parse(&text).map_err(|wrong| anyhow::anyhow!("`{}` is no bmap: {wrong}", beside.display()))?
        } else if packed {
            bail!(
                "`{}` is missing, which says what of the download must be written: put it there, or unpack the image with `xz -dk`",
                beside.display()
            );
        } else {
            Map { image_bytes: bytes, pieces: vec![Piece { start: 0, end: bytes, sha256: None }] }
        };
        ensure!(
            packed || map.image_bytes == bytes,
            "`{}` is for an image of {} bytes, and this has {bytes}: build the image again",
            beside.display(),
            map.image_bytes
        );
        Ok(Self { path: path.to_owned(), packed, map })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, unpacked.
    pub fn bytes(&self) -> u64 {
        self.map.image_bytes
    }

    /// What of it matters.
    pub fn pieces(&self) -> &[Piece] {
        &self.map.pieces
    }

    /// A reader from its first byte on.
    pub fn stream(&self) -> Result<Stream> {
        let file = File::open(&self.path).with_context(|| format!("cannot open the image `{}`", self.path.display()))?;
        let reader = if self.packed {
            Reader::Packed(Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(file), true, MAX_DECODER_KIB)))
        } else {
            Reader::Plain(file)
        };
        Ok(Stream { reader, at: 0 })
    }

    /// Bytes from its start on; what the image lacks is missing.
    pub fn start(&self, bytes: u64) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        let doing = || format!("failed to read the image `{}`", self.path.display());
        match self.stream()?.reader {
            Reader::Plain(file) => file.take(bytes).read_to_end(&mut start),
            Reader::Packed(packed) => packed.take(bytes).read_to_end(&mut start),
        }
        .with_context(doing)?;
        Ok(start)
    }

    /// Its partition table.
    pub fn table(&self) -> Result<Table> {
        let start = self.start((SECTOR_BYTES + gpt::TABLE_BYTES) as u64)?;
        gpt::decode_primary(start.get(SECTOR_BYTES..).unwrap_or_default())
            .with_context(|| format!("`{}` is no image of a disk", self.path.display()))
    }
}

/// Reads an image front to back.
pub struct Stream {
    reader: Reader,
    at: u64,
}

enum Reader {
    Plain(File),
    Packed(Box<lzma_rust2::XzReader<BufReader<File>>>),
}

impl Stream {
    /// Goes on at `to`, which must not lie behind.
    pub fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let ahead = to.checked_sub(self.at).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match &mut self.reader {
            Reader::Plain(file) => {
                file.seek(SeekFrom::Start(to))?;
            }
            Reader::Packed(packed) => {
                if io::copy(&mut packed.take(ahead), &mut io::sink())? < ahead {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        self.at = to;
        Ok(())
    }

    /// Fills the buffer.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match &mut self.reader {
            Reader::Plain(file) => file.read_exact(buffer)?,
            Reader::Packed(packed) => packed.read_exact(buffer)?,
        }
        self.at += buffer.len() as u64;
        Ok(())
    }
}
