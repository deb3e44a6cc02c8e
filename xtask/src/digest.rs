//! sha256 in lower-case hexadecimal: of bytes, of files, and of all that something in the cache was made from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::tree::Content;

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file's checksum.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

/// The key of something in the cache: other inputs, in another order or otherwise divided, give another key.
pub struct Key(Sha256);

impl Key {
    /// `recipe` changes whenever the same inputs give another result.
    pub fn new(recipe: &str) -> Self {
        Self(Sha256::new()).with(recipe.as_bytes())
    }

    /// Takes one more input.
    pub fn put(&mut self, bytes: &[u8]) {
        // Its length stands before it, so that no two lists of inputs give the same bytes.
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The same, in a row.
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.put(bytes);
        self
    }

    /// Takes a file's content. That of an unpacked package is known by the package's hash, its file's name.
    pub fn content(&mut self, content: &Content) {
        match content {
            Content::Bytes(bytes) => self.put(bytes),
            Content::Slice { file, offset, len } => {
                self.put(file.file_name().unwrap_or(file.as_os_str()).as_encoded_bytes());
                self.put(&offset.to_le_bytes());
                self.put(&len.to_le_bytes());
            }
        }
    }

    /// The key itself.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_are_shown_alike() {
        assert_eq!(hex(&[0, 171, 255]), "00abff");
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = vec![7; CHUNK_BYTES + 5];
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(of_file(file.path()).unwrap(), hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn keys_differ_by_recipe_order_and_division() {
        let key = |recipe: &str, inputs: &[&str]| inputs.iter().fold(Key::new(recipe), |key, input| key.with(input.as_bytes())).finish();
        let all = [key("1", &["ab", "c"]), key("1", &["a", "bc"]), key("1", &["c", "ab"]), key("2", &["ab", "c"])];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(key("1", &["ab", "c"]), all[0]);
    }
}
