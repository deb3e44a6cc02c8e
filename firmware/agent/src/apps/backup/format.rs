//! A backup byte by byte: a tar, encrypted with age to one recipient. Its first file is `backup.json` ([`Manifest`]); the files after it are
//! the pieces of the volumes' tars, `volumes/NUMBER/PIECE.gz`, in order, each packed for itself. With the key and no node at hand it is opened by
//! `age --decrypt -i KEY BACKUP | tar x` and `cat volumes/0/* | gunzip | tar x`.
//!
//! What a volume holds is carried as it is: its tar, which an app made, is read by Docker alone.

use super::super::record::What;
use crate::broker::Volume;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use contract::apps::compose::Choices;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Cursor, Error, ErrorKind, Read, Write};

/// What this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// The name of the manifest.
const MANIFEST: &str = "backup.json";
/// The longest manifest in bytes.
const MANIFEST_BYTES: u64 = 1024 * 1024;
/// Volumes of one app.
const VOLUMES: usize = 64;
/// The longest head of a file of age in bytes: room for a hundred recipients.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a piece before it is packed.
const PIECE_BYTES: usize = 1024 * 1024;
/// What packing may add to what can't be packed.
const PACKED_MORE: usize = 8 * 1024;

/// What is said of a backup in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The format.
    pub format: u32,
    /// The app's name.
    pub app: String,
    /// When it was made, in seconds since 1970.
    pub made_secs: u64,
    /// What the app is.
    pub what: What,
    /// Its ports and settings; passwords stand in it.
    pub choices: Choices,
    /// What it kept, in the order of the tar.
    pub volumes: Vec<Volume>,
}

impl Manifest {
    /// Of an app as it is now.
    pub fn new(app: &str, made_secs: u64, what: What, choices: Choices, volumes: Vec<Volume>) -> Self {
        Self { format: FORMAT, app: app.to_owned(), made_secs, what, choices, volumes }
    }
}

/// What goes into a backup and comes out of it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// From here on it is this volume's.
    Volume(Volume),
    /// Some of its tar.
    Bytes(Bytes),
    /// That was all. A backup to which nobody said so is not finished.
    End,
}

/// Why a backup is not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// It is something else.
    #[error("this is no backup of an app: it does not begin as one")]
    Other,
    /// It was encrypted to another key.
    #[error("this key does not open it: the backup is for another key")]
    Key,
    /// It was made by a newer version.
    #[error("it was made by a newer version of cloudy (format {0}): update this node first")]
    Newer(u32),
    /// It is damaged.
    #[error("the backup is damaged, and nothing was made of it: {0}")]
    Damaged(String),
    /// Who takes it stopped.
    #[error("nobody takes what the backup holds")]
    Stopped,
}

/// What opens one backup, and no other that is for the same key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opener([u8; FILE_KEY_BYTES]);

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(…)")
    }
}

impl age::Identity for Opener {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        Some(Ok(FileKey::new(Box::new(self.0))))
    }
}

/// An identity that remembers what it opened.
struct Opening<'a> {
    identity: &'a Identity,
    opener: Cell<Option<[u8; FILE_KEY_BYTES]>>,
}

impl age::Identity for Opening<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let opened = self.identity.unwrap_stanza(stanza);
        if let Some(Ok(key)) = &opened {
            self.opener.set(Some(*key.expose_secret()));
        }
        opened
    }
}

/// Writes a backup: parts come until [`Part::End`].
///
/// # Errors
/// It can't be written, or what comes is not whole: then it is not finished, and nobody reads it.
pub fn write(
    to: impl Write,
    recipient: &Recipient,
    manifest: &Manifest,
    mut next: impl FnMut() -> Result<Part, Error>,
) -> Result<(), Error> {
    let recipients: [&dyn age::Recipient; 1] = [recipient];
    let encryptor = Encryptor::with_recipients(recipients.into_iter()).map_err(|_| Error::other("the key for backups can't be used"))?;
    let mut tar = tar::Builder::new(encryptor.wrap_output(to)?);
    append(&mut tar, MANIFEST, manifest.made_secs, &serde_json::to_vec(manifest)?)?;
    let (mut begun, mut pieces, mut piece) = (0, 0, Vec::with_capacity(PIECE_BYTES));
    loop {
        match next()? {
            Part::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    let some = bytes.split_to(bytes.len().min(PIECE_BYTES - piece.len()));
                    piece.extend_from_slice(&some);
                    if piece.len() == PIECE_BYTES {
                        append(&mut tar, &piece_name(begun, pieces)?, manifest.made_secs, &packed(&piece)?)?;
                        pieces += 1;
                        piece.clear();
                    }
                }
            }
            ends => {
                if !piece.is_empty() {
                    append(&mut tar, &piece_name(begun, pieces)?, manifest.made_secs, &packed(&piece)?)?;
                    piece.clear();
                }
                match ends {
                    Part::Volume(volume) if manifest.volumes.get(begun) == Some(&volume) => (begun, pieces) = (begun + 1, 0),
                    Part::End if begun == manifest.volumes.len() => break,
                    _ => return Err(Error::other("the volumes are not those that were said")),
                }
            }
        }
    }
    tar.into_inner()?.finish()?.flush()
}

/// A piece's name; the first volume is 1 here, since it has begun.
fn piece_name(begun: usize, piece: usize) -> Result<String, Error> {
    let volume = begun.checked_sub(1).ok_or_else(|| Error::other("bytes of no volume"))?;
    Ok(format!("volumes/{volume}/{piece:08}.gz"))
}

/// Packed quickly: what databases keep is empty for a large part, and a card writes slower than a processor packs.
fn packed(piece: &[u8]) -> Result<Vec<u8>, Error> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(piece)?;
    packer.finish()
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, made_secs: u64, bytes: &[u8]) -> Result<(), Error> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    header.set_mode(0o600);
    header.set_mtime(made_secs);
    tar.append_data(&mut header, name, bytes)
}

/// Opens a backup with an owner's key and reads what it says of itself.
///
/// # Errors
/// See [`NotRead`].
pub fn open(from: impl Read, identity: &Identity) -> Result<(Opener, Manifest), NotRead> {
    let opening = Opening { identity, opener: Cell::new(None) };
    let mut tar = tar::Archive::new(decrypted(from, &opening)?);
    let manifest = first(&mut tar.entries().map_err(damaged)?.raw(true))?;
    Ok((Opener(opening.opener.get().ok_or(NotRead::Key)?), manifest))
}

/// Reads a backup to its end, and gives what it holds on.
///
/// # Errors
/// See [`NotRead`]. What was given before that may be thrown away.
pub fn read(from: impl Read, opener: &Opener, mut each: impl FnMut(Part) -> Result<(), NotRead>) -> Result<Manifest, NotRead> {
    let mut tar = tar::Archive::new(decrypted(from, opener)?);
    let mut entries = tar.entries().map_err(damaged)?.raw(true);
    let manifest = first(&mut entries)?;
    let (mut begun, mut pieces) = (0, 0);
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path_bytes().into_owned();
        let is = |volume, piece| piece_name(volume, piece).is_ok_and(|expected| name == expected.as_bytes());
        let (goes_on, begins) = (begun > 0 && is(begun, pieces), is(begun + 1, 0));
        if !(goes_on || begins) || entry.size() > (PIECE_BYTES + PACKED_MORE) as u64 || !entry.header().entry_type().is_file() {
            let name: String = String::from_utf8_lossy(&name).escape_debug().take(80).collect();
            return Err(NotRead::Damaged(format!("`{name}` is not what comes next")));
        }
        if begins {
            let volume = manifest.volumes.get(begun).cloned();
            each(Part::Volume(volume.ok_or_else(|| NotRead::Damaged("it has more volumes than it says".to_owned()))?))?;
            (begun, pieces) = (begun + 1, 0);
        }
        let (mut piece, most) = (Vec::new(), PIECE_BYTES as u64);
        GzDecoder::new(&mut entry).take(most + 1).read_to_end(&mut piece).map_err(damaged)?;
        if piece.len() > PIECE_BYTES {
            return Err(NotRead::Damaged("a piece of it is too long".to_owned()));
        }
        pieces += 1;
        each(Part::Bytes(piece.into()))?;
    }
    if begun != manifest.volumes.len() {
        return Err(NotRead::Damaged("it has fewer volumes than it says".to_owned()));
    }
    // What comes after the tar's end is authenticated too: a backup that was cut there is a damaged one.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    Ok(manifest)
}

fn damaged(error: Error) -> NotRead {
    NotRead::Damaged(match error.kind() {
        ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    })
}

fn decrypted<R: Read>(from: R, identity: &dyn age::Identity) -> Result<impl Read + use<R>, NotRead> {
    let refused = |error| match error {
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => NotRead::Other,
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof || error.kind() == ErrorKind::InvalidData => NotRead::Other,
        DecryptError::Io(error) => NotRead::Damaged(error.to_string()),
        DecryptError::InvalidMac => NotRead::Damaged("its head is not as it was written".to_owned()),
        _ => NotRead::Key,
    };
    let (head, rest) = head(from)?;
    let decryptor = Decryptor::new_buffered(Cursor::new(head).chain(rest)).map_err(refused)?;
    decryptor.decrypt(std::iter::once(identity)).map_err(refused)
}

/// The head of a file of age, line by line to the one that ends it, and what comes after: age itself would read a head of any length.
fn head<R: Read>(from: R) -> Result<(Vec<u8>, BufReader<R>), NotRead> {
    let (mut reader, mut head, mut line) = (BufReader::new(from), Vec::new(), 0);
    loop {
        let read = reader.by_ref().take((HEAD_BYTES - head.len()) as u64).read_until(b'\n', &mut head).map_err(damaged)?;
        if read == 0 || head.last() != Some(&b'\n') {
            return Err(NotRead::Other);
        }
        if head.get(line..).is_some_and(|line| line.starts_with(b"--- ")) {
            return Ok((head, reader));
        }
        line = head.len();
    }
}

/// The manifest, which is the first file.
fn first<R: Read>(entries: &mut tar::Entries<'_, R>) -> Result<Manifest, NotRead> {
    let entry = entries.next().ok_or(NotRead::Other)?.map_err(damaged)?;
    if *entry.path_bytes() != *MANIFEST.as_bytes() || entry.size() > MANIFEST_BYTES {
        return Err(NotRead::Other);
    }
    let mut text = Vec::new();
    entry.take(MANIFEST_BYTES).read_to_end(&mut text).map_err(damaged)?;
    let no = |error: serde_json::Error| NotRead::Damaged(format!("what it says of itself can't be understood: {error}"));
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let format = serde_json::from_slice::<Format>(&text).map_err(no)?.format;
    if format > FORMAT {
        return Err(NotRead::Newer(format));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(no)?;
    if manifest.volumes.len() > VOLUMES {
        return Err(NotRead::Damaged(format!("it says to have {} volumes, and {VOLUMES} are the most", manifest.volumes.len())));
    }
    Ok(manifest)
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
