//! Where the bytes of a file are until they are written.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How much of a file is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Where the bytes of a regular file are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// A range of a file on disk (an unpacked data.tar in the cache, a file of the overlay).
    Slice {
        /// The file that holds them.
        file: Arc<PathBuf>,
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
}

impl Content {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Slice { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both are the same bytes of the same file on disk: then they need not be read to be equal.
    pub fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Slice { file, offset, len }, Self::Slice { file: file2, offset: offset2, len: len2 }) => {
                (file, offset, len) == (file2, offset2, len2)
            }
            _ => false,
        }
    }

    /// The bytes themselves.
    pub fn read(&self) -> std::io::Result<Arc<[u8]>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Slice { file, offset, len } => {
                let mut bytes = vec![0; usize::try_from(*len).map_err(std::io::Error::other)?];
                std::fs::File::open(file.as_path())?.read_exact_at(&mut bytes, *offset)?;
                Ok(bytes.into())
            }
        }
    }

    /// Gives the bytes piece by piece.
    pub(crate) fn each(&self, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        match self {
            Self::Bytes(bytes) => take(bytes),
            Self::Slice { file, offset, len } => {
                let source = std::fs::File::open(file.as_path())?;
                let mut buffer = vec![0; COPY_BYTES];
                let mut done = 0;
                while done < *len {
                    let chunk = &mut buffer[..(len - done).min(COPY_BYTES as u64) as usize];
                    source.read_exact_at(chunk, offset + done)?;
                    take(chunk)?;
                    done += chunk.len() as u64;
                }
                Ok(())
            }
        }
    }
}
