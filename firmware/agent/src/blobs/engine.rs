//! iroh-blobs as this node uses it: a store in a folder, filled from a stream, read with every byte verified.

use super::{parts, repair};
use crate::limits::{BLOB_GC_EVERY, BLOB_WAITING_PIECES};
use crate::net::{Form, MAX_BLOB_BYTES, PART_BYTES};
use anyhow::{Context, Result, anyhow};
use bao_tree::io::{EncodeError, mixed::EncodedItem};
use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use iroh_blobs::api::{
    Store, TempTag,
    blobs::{AddBytesOptions, BlobStatus},
};
use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt};
use iroh_blobs::store::fs::{
    FsStore,
    options::{InlineOptions, Options},
};
use iroh_blobs::store::{GcConfig, ProtectOutcome};
use iroh_blobs::{BlobFormat, Hash, HashAndFormat};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The database of what lies in the folder.
pub(super) const DATABASE: &str = "blobs.db";

/// The store.
#[derive(Debug)]
pub struct Engine {
    pub(super) store: FsStore,
    pub(super) folder: PathBuf,
    /// Something is not needed any more.
    pub(super) litter: Arc<AtomicBool>,
}

/// What was taken in; it stays while this value does, and beyond that once it is kept.
pub struct Imported {
    /// Its hash.
    pub hash: Hash,
    /// How it lies.
    pub form: Form,
    /// How large it is.
    pub size: u64,
    _parts: Parts,
}

/// What stays while this does; what nobody kept until then is cleared away.
struct Parts {
    tags: Vec<TempTag>,
    litter: Arc<AtomicBool>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.litter.store(true, Ordering::Relaxed);
    }
}

/// How a blob is that should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// All of it is there: so many bytes.
    Whole(u64),
    /// All of it is there, and is no blob as this node makes them.
    Uneven,
    /// Something is missing or damaged.
    NotWhole,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    /// Nothing came.
    #[error("nothing was sent: a blob has one byte at least")]
    Empty,
    /// It is larger than there is room for.
    #[error("it is larger than the {0} bytes that there is room for")]
    TooLarge(u64),
    /// The one who sends it stopped.
    #[error("it broke off: {0}")]
    Cut(String),
    /// The store failed.
    #[error("it can't be kept: {0:#}")]
    Failed(anyhow::Error),
}

impl NotImported {
    /// The status of HTTP that says so.
    pub fn status(&self) -> hyper::StatusCode {
        match self {
            Self::Empty => hyper::StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => hyper::StatusCode::INSUFFICIENT_STORAGE,
            Self::Cut(_) => hyper::StatusCode::BAD_REQUEST,
            Self::Failed(_) => hyper::StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How the bytes lie, in iroh's words.
pub fn format(form: Form) -> BlobFormat {
    match form {
        Form::Raw => BlobFormat::Raw,
        Form::HashSeq => BlobFormat::HashSeq,
    }
}

impl Engine {
    /// Opens the store, or makes it. A damaged database is put aside, and what lies in files is taken in again; then what was wrong is told.
    ///
    /// # Errors
    /// It can't be opened or made.
    pub async fn open(folder: &Path) -> Result<(Self, Option<String>)> {
        let at = folder.to_owned();
        let damage = tokio::task::spawn_blocking(move || repair::prepare(&at)).await??;
        let litter = Arc::new(AtomicBool::new(true));
        let engine = Self { store: load(folder, &litter).await?, folder: folder.to_owned(), litter };
        if engine.was_rescued() {
            engine.take_in().await?;
        }
        Ok((engine, damage))
    }

    /// The store, for those who speak its protocol.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Brings all of it to the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn settle(&self) -> Result<()> {
        self.store.sync_db().await?;
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            // The store writes files without syncing each: the whole file system is synced once instead (syncfs(2)).
            let folder = std::fs::File::open(&folder)?;
            nix::unistd::syncfs(&folder).map_err(std::io::Error::from)
        })
        .await?
        .context("bringing blobs to the disk")
    }

    /// Takes in what comes, of at most so many bytes.
    ///
    /// # Errors
    /// See [`NotImported`]; what came is cleared away.
    pub async fn import<S, E>(&self, mut body: S, most: u64, idle: Duration) -> Result<Imported, NotImported>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let most = most.min(MAX_BLOB_BYTES);
        let (mut parts, mut size) = (Parts { tags: Vec::new(), litter: Arc::clone(&self.litter) }, 0_u64);
        let mut waiting = next(&mut body, idle).await?;
        while let Some(first) = waiting.take() {
            let (sender, received) = mpsc::channel::<Bytes>(BLOB_WAITING_PIECES);
            let store = Store::clone(&self.store);
            let part = tokio::spawn(async move {
                let stream = crate::pieces::stream(received).map(Ok);
                store.add_stream(stream).await.temp_tag().await
            });
            let (mut piece, mut room) = (Some(first), PART_BYTES);
            let ended = loop {
                let Some(mut bytes) = piece.take() else { break Ok(()) };
                let now = bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                size = size.saturating_add(now.len() as u64);
                room = room.saturating_sub(now.len() as u64);
                if size > most {
                    break Err(NotImported::TooLarge(most));
                }
                // A store that takes no more says why at the end.
                if sender.send(now).await.is_err() {
                    break Ok(());
                }
                if room == 0 {
                    let more = if bytes.is_empty() { next(&mut body, idle).await } else { Ok(Some(bytes)) };
                    break more.map(|more| waiting = more);
                }
                piece = match next(&mut body, idle).await {
                    Ok(piece) => piece,
                    Err(error) => break Err(error),
                };
            };
            if let Err(error) = ended {
                // An error in the stream would make iroh-blobs 0.104 yield twice.
                part.abort();
                let _gone = part.await;
                return Err(error);
            }
            drop(sender);
            let tag = part.await.map_err(|error| NotImported::Failed(error.into()))?;
            parts.tags.push(tag.map_err(|error| NotImported::Failed(error.into()))?);
        }
        let (hash, form) = match parts.tags.as_slice() {
            [] => return Err(NotImported::Empty),
            [only] => (only.hash(), Form::Raw),
            several => {
                let hashes: Vec<u8> = several.iter().flat_map(|tag| *tag.hash().as_bytes()).collect();
                let options = AddBytesOptions { data: hashes.into(), format: BlobFormat::HashSeq };
                let tag = self.store.add_bytes_with_opts(options).temp_tag().await.map_err(|error| NotImported::Failed(error.into()))?;
                let hash = tag.hash();
                parts.tags.push(tag);
                (hash, Form::HashSeq)
            }
        };
        Ok(Imported { hash, form, size, _parts: parts })
    }

    /// Keeps a blob and its parts from being cleared away, over restarts.
    ///
    /// # Errors
    /// The store fails.
    pub async fn keep(&self, hash: Hash, form: Form) -> Result<()> {
        self.store.tags().set(hash.to_hex(), HashAndFormat::new(hash, format(form))).await?;
        Ok(())
    }

    /// Keeps nothing but these. What nobody keeps is cleared away within [`BLOB_GC_EVERY`].
    ///
    /// # Errors
    /// The store fails.
    pub async fn keep_only(&self, held: &BTreeSet<String>) -> Result<()> {
        let mut tags = self.store.tags().list().await?;
        let mut gone = Vec::new();
        while let Some(tag) = tags.next().await {
            let name = tag?.name;
            if !std::str::from_utf8(name.0.as_ref()).is_ok_and(|name| held.contains(name)) {
                gone.push(name);
            }
        }
        for name in gone {
            self.store.tags().delete(name).await?;
            self.litter.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is kept by name: blobs, not what only stays for a moment.
    ///
    /// # Errors
    /// The store fails.
    pub async fn named(&self) -> Result<HashSet<(Hash, Form)>> {
        let (mut tags, mut all) = (self.store.tags().list().await?, HashSet::new());
        while let Some(tag) = tags.next().await {
            let tag = tag?;
            if std::str::from_utf8(tag.name.0.as_ref()).is_ok_and(|name| name == tag.hash.to_hex()) {
                all.insert((tag.hash, if tag.format.is_raw() { Form::Raw } else { Form::HashSeq }));
            }
        }
        Ok(all)
    }

    /// Everything that a blob is made of, as far as it is known here.
    pub async fn all_of(&self, hash: Hash, form: Form) -> Vec<Hash> {
        let mut all = if form == Form::HashSeq { self.hashes(hash).await.unwrap_or_default() } else { Vec::new() };
        all.push(hash);
        all
    }

    /// How a blob is that should be there. `verify` reads all of it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn look(&self, hash: Hash, form: Form, verify: bool) -> Result<Look> {
        let hashes = match form {
            Form::Raw => vec![hash],
            Form::HashSeq => match self.hashes(hash).await {
                Ok(hashes) => hashes,
                Err(_) => return Ok(Look::NotWhole),
            },
        };
        let (mut sum, mut even) = (0_u64, true);
        for (at, part) in hashes.iter().enumerate() {
            let BlobStatus::Complete { size } = self.store.status(*part).await? else { return Ok(Look::NotWhole) };
            if verify && !self.is_good(*part).await {
                return Ok(Look::NotWhole);
            }
            even &= size == PART_BYTES || (at + 1 == hashes.len() && (1..PART_BYTES).contains(&size));
            sum = sum.saturating_add(size);
        }
        Ok(if even { Look::Whole(sum) } else { Look::Uneven })
    }

    pub(super) async fn is_good(&self, hash: Hash) -> bool {
        // A stream that ends before its last byte ends with an error.
        let mut items = std::pin::pin!(self.store.export_bao(hash, ChunkRanges::all()).stream());
        while let Some(item) = items.next().await {
            if matches!(item, EncodedItem::Error(_)) {
                return false;
            }
        }
        true
    }

    /// The parts of a sequence.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub async fn hashes(&self, root: Hash) -> Result<Vec<Hash>> {
        let most = parts::count(MAX_BLOB_BYTES) * 32;
        let BlobStatus::Complete { size } = self.store.status(root).await? else { return Err(anyhow!("it is not there")) };
        anyhow::ensure!(size > 32 && size <= most && size.is_multiple_of(32), "it is no sequence of parts");
        let bytes = self.store.get_bytes(root).await?;
        Ok(bytes.chunks_exact(32).filter_map(|chunk| chunk.try_into().ok()).map(Hash::from_bytes).collect())
    }

    /// Reads a range of a blob; every byte was verified when it comes. The last thing is an error where it breaks off.
    ///
    /// # Errors
    /// It is not there.
    pub async fn read(&self, hash: Hash, form: Form, range: Range<u64>) -> Result<mpsc::Receiver<std::io::Result<Bytes>>> {
        let hashes = match form {
            Form::Raw => vec![hash],
            Form::HashSeq => self.hashes(hash).await?,
        };
        let (sender, pieces) = mpsc::channel(BLOB_WAITING_PIECES);
        let store = Store::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = send(&store, &hashes, &range, &sender).await {
                let _gone = sender.send(Err(error)).await;
            }
        });
        Ok(pieces)
    }

    /// Ends the store calmly.
    pub async fn close(&self) {
        if let Err(error) = self.store.shutdown().await {
            log::warn!(error:%; "the store of blobs did not end calmly");
        }
    }
}

async fn next<S, E>(body: &mut S, idle: Duration) -> Result<Option<Bytes>, NotImported>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    loop {
        // Who sends nothing any more, and does not say so, takes no place.
        let Ok(piece) = timeout(idle, body.next()).await else {
            return Err(NotImported::Cut(format!("nothing came for {} s", idle.as_secs())));
        };
        match piece {
            Some(Ok(bytes)) if bytes.is_empty() => {}
            Some(Ok(bytes)) => return Ok(Some(bytes)),
            Some(Err(error)) => return Err(NotImported::Cut(error.to_string())),
            None => return Ok(None),
        }
    }
}

async fn load(folder: &Path, litter: &Arc<AtomicBool>) -> Result<FsStore> {
    let mut options = Options::new(folder);
    // In files, so that they outlive a damaged database, and that its cache (which has no bound) stays small.
    options.inline = InlineOptions { max_data_inlined: 0, max_outboard_inlined: 16 * 1024 };
    let litter = Arc::clone(litter);
    options.gc = Some(GcConfig {
        interval: BLOB_GC_EVERY,
        // It goes through the whole database, so only when there is something to find.
        add_protected: Some(Arc::new(move |_| {
            let outcome = if litter.swap(false, Ordering::Relaxed) { ProtectOutcome::Continue } else { ProtectOutcome::Abort };
            Box::pin(std::future::ready(outcome))
        })),
    });
    FsStore::load_with_opts(folder.join(DATABASE), options).await.map_err(|error| anyhow!("opening the store of blobs: {error:#}"))
}

async fn send(store: &Store, hashes: &[Hash], range: &Range<u64>, to: &mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    for piece in parts::pieces(range) {
        let hash = hashes.get(piece.part).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let Range { start, end } = piece.range;
        let (mut at, mut items) = (start, std::pin::pin!(store.export_bao(*hash, ChunkRanges::bytes(start..end)).stream()));
        while at < end {
            match items.next().await {
                Some(EncodedItem::Leaf(leaf)) => {
                    let skip = usize::try_from(at.saturating_sub(leaf.offset)).unwrap_or(usize::MAX).min(leaf.data.len());
                    let most = usize::try_from(end - at).unwrap_or(usize::MAX);
                    let bytes = leaf.data.slice(skip..leaf.data.len().min(skip.saturating_add(most)));
                    at += bytes.len() as u64;
                    if !bytes.is_empty() && to.send(Ok(bytes)).await.is_err() {
                        return Ok(());
                    }
                }
                Some(EncodedItem::Error(EncodeError::Io(error))) => return Err(error),
                Some(EncodedItem::Error(error)) => return Err(std::io::Error::other(error.to_string())),
                Some(EncodedItem::Done) | None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Some(EncodedItem::Size(_) | EncodedItem::Parent(_)) => {}
            }
        }
    }
    Ok(())
}
