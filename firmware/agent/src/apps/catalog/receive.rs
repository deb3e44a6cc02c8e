//! A tar that anybody may have made → blobs that have the digests of their names. Nothing of it is trusted: names, kinds, sizes and
//! counts are each checked before a byte is written, and no name of the tar becomes a path.

use super::Refused;
use contract::oci::Digest;
use contract::oci::documents::MAX_DOCUMENT_BYTES;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tar::{Archive, EntryType};

/// Entries of a tar at most.
const MAX_ENTRIES: usize = 10_000;
/// Bytes of one blob at most.
const MAX_BLOB_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of the whole at most.
const MAX_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// What is hashed and written at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Characters of a name that a message shows.
const SHOWN_CHARS: usize = 120;

/// What was received.
pub struct Received {
    /// The layout's list.
    pub list: Vec<u8>,
    /// Every blob that came, with its bytes.
    pub sizes: BTreeMap<Digest, u64>,
    /// Where blobs may lie: what came now, and what was there.
    places: [PathBuf; 2],
}

impl Received {
    /// The content of a small blob that came.
    ///
    /// # Errors
    /// It did not come, is larger than `most`, or can't be read.
    pub fn read(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, String> {
        let size = self.sizes.get(digest).ok_or_else(|| format!("{digest} is missing"))?;
        if *size > most {
            return Err(format!("{digest} has {size} bytes, where {most} are allowed"));
        }
        let read = self.places.iter().find_map(|place| std::fs::read(place.join(digest.hex())).ok());
        read.ok_or_else(|| format!("{digest} can't be read"))
    }
}

/// What an entry is by its name.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Layout,
    List,
    Blob(Digest),
}

/// Reads the tar to its end. Blobs that are in `blobs` already are hashed and not written again.
pub fn receive(tar: impl Read, incoming: &Path, blobs: &Path, room: &dyn Fn(u64) -> Result<(), Refused>) -> Result<Received, Refused> {
    let places = [incoming.to_owned(), blobs.to_owned()];
    let mut received = Received { list: Vec::new(), sizes: BTreeMap::new(), places };
    let mut archive = Archive::new(tar);
    // Raw: headers that change what the next one says are not followed but refused like any other kind.
    let entries = archive.entries().map_err(|error| cut(&error))?.raw(true);
    let (mut total, mut listed) = (0_u64, false);
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| cut(&error))?;
        let path = shown(&entry.path_bytes());
        let refuse = |why: String| Refused::Entry { path: path.clone(), why };
        if count >= MAX_ENTRIES {
            return Err(refuse(format!("is one entry more than the {MAX_ENTRIES} that are allowed")));
        }
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            other => {
                return Err(refuse(format!(
                    "is of a kind (`{}`) that an image layout has not",
                    char::from(other.as_byte()).escape_default()
                )));
            }
        }
        let name = name(&entry.path_bytes()).ok_or_else(|| refuse("is no file of an image layout".to_owned()))?;
        let size = entry.size();
        let most = if matches!(name, Name::Blob(_)) { MAX_BLOB_BYTES } else { MAX_DOCUMENT_BYTES };
        if size > most {
            return Err(refuse(format!("has {size} bytes, where {most} are allowed")));
        }
        total = total.saturating_add(size);
        if total > MAX_BYTES {
            return Err(refuse(format!("makes it more than the {MAX_BYTES} bytes that are allowed")));
        }
        match name {
            Name::Layout => {}
            Name::List if listed => return Err(refuse("comes twice".to_owned())),
            Name::List => {
                listed = true;
                entry.read_to_end(&mut received.list).map_err(|error| cut(&error))?;
            }
            Name::Blob(digest) => {
                let there = blobs.join(digest.hex()).metadata().is_ok_and(|meta| meta.len() == size);
                let place = (!there).then(|| incoming.join(digest.hex()));
                if place.is_some() {
                    room(size)?;
                }
                let found = copy(&mut entry, size, place.as_deref())?;
                if found != digest {
                    return Err(refuse(format!("holds something else: its sha256 is {}", found.hex())));
                }
                if received.sizes.insert(digest, size).is_some() {
                    return Err(refuse("comes twice".to_owned()));
                }
            }
        }
    }
    if !listed {
        return Err(Refused::Entry { path: "index.json".to_owned(), why: "is not in it".to_owned() });
    }
    Ok(received)
}

/// Copies and hashes; what is written is on the disk when this returns.
fn copy(from: &mut impl Read, size: u64, place: Option<&Path>) -> Result<Digest, Refused> {
    let doing = || format!("writing `{}`", place.unwrap_or(Path::new("")).display());
    let open = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o640).open(path);
    let mut file = match place {
        // The same blob a second time: it is refused when its digest is known.
        Some(path) if path.exists() => None,
        Some(path) => Some(open(path).map_err(Refused::io(doing()))?),
        None => None,
    };
    let (mut hash, mut piece, mut seen) = (Sha256::new(), vec![0; PIECE_BYTES], 0_u64);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut(&error)),
        };
        let bytes = piece.get(..read).unwrap_or_default();
        hash.update(bytes);
        seen = seen.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if let Some(file) = &mut file {
            file.write_all(bytes).map_err(Refused::io(doing()))?;
        }
    }
    if seen != size {
        return Err(Refused::Cut(std::io::ErrorKind::UnexpectedEof.into()));
    }
    if let Some(file) = file {
        file.sync_all().map_err(Refused::io(doing()))?;
    }
    let hex = data_encoding::HEXLOWER.encode(&hash.finalize());
    Digest::from_hex(&hex).ok_or_else(|| Refused::Kept("a digest is none".to_owned()))
}

/// The three names that a layout has, with or without `./` before them.
fn name(path: &[u8]) -> Option<Name> {
    let path = str::from_utf8(path).ok()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    match path {
        "oci-layout" => Some(Name::Layout),
        "index.json" => Some(Name::List),
        _ => Digest::from_hex(path.strip_prefix("blobs/sha256/")?).map(Name::Blob),
    }
}

/// What the reader says of a tar may quote it.
fn cut(error: &std::io::Error) -> Refused {
    Refused::Cut(std::io::Error::new(error.kind(), shown(error.to_string().as_bytes())))
}

/// A name of the tar, as it may stand in a message.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(SHOWN_CHARS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_names_are_known() {
        let hex = "ab".repeat(32);
        assert_eq!(name(b"./index.json"), Some(Name::List));
        assert_eq!(name(format!("blobs/sha256/{hex}").as_bytes()), Digest::from_hex(&hex).map(Name::Blob));
        for other in
            ["index.json/", "/index.json", "../index.json", "blobs/sha256/", "blobs/sha256/../../x", "blobs/sha512/ab", "././index.json"]
        {
            assert_eq!(name(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        /// Whatever stands in a tar, what becomes a file's name is 64 hexadecimal digits.
        #[test]
        fn no_name_leads_out(path in "(\\./|/)?(blobs/sha256/)?[0-9a-f./]{0,70}") {
            if let Some(Name::Blob(digest)) = name(path.as_bytes()) {
                prop_assert!(digest.hex().len() == 64 && digest.hex().bytes().all(|c| c.is_ascii_hexdigit()));
            }
        }

        #[test]
        fn no_message_shows_control_characters(path in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(shown(&path).bytes().all(|c| (b' '..=b'~').contains(&c)));
        }
    }
}
