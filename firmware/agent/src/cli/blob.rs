//! `cloudy blob …`: files by their hash.

use super::{Local, text};
use crate::blobs::{Change, Visibility};
use crate::http::{NewBlob, NewQuota};
use crate::limits::BLOB_ASK_EVERY;
use crate::pieces;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use hyper::body::Bytes;
use serde_json::Value;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Receiver;

/// `cloudy blob`.
#[derive(clap::Args)]
pub struct BlobArgs {
    #[command(subcommand)]
    verb: BlobVerb,
}

#[derive(Subcommand)]
enum BlobVerb {
    /// Put a file into the microcloud: every node is told of it, and may fetch it.
    Add {
        /// The file.
        file: PathBuf,
        /// The name that others see [default: the file's].
        #[arg(long)]
        name: Option<String>,
        /// What it is, such as image/png.
        #[arg(long, default_value = "")]
        media_type: String,
        /// Who may read it.
        #[arg(long, value_enum, default_value_t = Visibility::Community)]
        visibility: Visibility,
        #[command(flatten)]
        local: Local,
    },
    /// List the files that nodes hold.
    Ls {
        /// Words that all must be in the name or the hash.
        words: Vec<String>,
        #[command(flatten)]
        local: Local,
    },
    /// Fetch a file from the nodes that hold it, and write it here.
    Get {
        /// Its hash, or the beginning of it.
        hash: String,
        /// Where to write it [default: its name, in this folder]; `-` for the standard output.
        #[arg(long, short)]
        output: Option<PathBuf>,
        #[command(flatten)]
        local: Local,
    },
    /// Keep a file on this node when room is needed.
    Pin(Hashed),
    /// Let a file go when room is needed.
    Unpin(Hashed),
    /// Say who may read a file of this node: the nodes of the microcloud, or everybody.
    Share {
        /// Everybody who reaches this node may read it by its hash.
        #[arg(long)]
        public: bool,
        #[command(flatten)]
        hashed: Hashed,
    },
    /// Take a file back from the others: it stays on this node, and on those that fetched it.
    Unshare(Hashed),
    /// Remove a file from this node.
    Rm(Hashed),
    /// Show how much room files have on this node, or set it.
    Quota {
        /// Megabytes; 0 for half of the disk.
        megabytes: Option<u64>,
        #[command(flatten)]
        local: Local,
    },
}

#[derive(clap::Args)]
struct Hashed {
    /// Its hash, or the beginning of it.
    hash: String,
    #[command(flatten)]
    local: Local,
}

impl Hashed {
    async fn change(self, change: Change, said: &str) -> Result<()> {
        let hash = whole(&self.local, &self.hash).await?;
        let answer = self.local.client().put(&format!("/api/v1/blobs/{hash}"), &change).await?;
        self.local.show(&answer, |blob| Ok(format!("`{}` {said}", text(blob, "name"))))
    }
}

impl BlobArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses; a file can't be read or written.
    pub async fn run(self) -> Result<()> {
        match self.verb {
            BlobVerb::Add { file, name, media_type, visibility, local } => {
                let name = match name {
                    Some(name) => name,
                    None => file.file_name().and_then(|name| name.to_str()).context("give the file a name (`--name`)")?.to_owned(),
                };
                let query = serde_urlencoded::to_string(NewBlob { name, media_type, visibility })?;
                let answer = local.client().upload(&format!("/api/v1/blobs?{query}"), "application/octet-stream", content(&file)?).await?;
                local.show(&answer, |blob| {
                    let hash = text(blob, "hash");
                    Ok(format!("{hash}\nNext: `cloudy blob get {hash}` on any node of the microcloud."))
                })
            }
            BlobVerb::Ls { words, local } => ls(&words, &local).await,
            BlobVerb::Get { hash, output, local } => get(&hash, output, &local).await,
            BlobVerb::Pin(hashed) => {
                hashed.change(Change { pinned: Some(true), ..Change::default() }, "stays on this node until it is removed.").await
            }
            BlobVerb::Unpin(hashed) => {
                hashed.change(Change { pinned: Some(false), ..Change::default() }, "goes when room is needed.").await
            }
            BlobVerb::Share { public, hashed } => {
                let (visibility, said) = if public {
                    (Visibility::Public, "may be read by everybody who reaches this node.")
                } else {
                    (Visibility::Community, "may be fetched by every node of the microcloud.")
                };
                hashed.change(Change { visibility: Some(visibility), ..Change::default() }, said).await
            }
            BlobVerb::Unshare(hashed) => {
                hashed.change(Change { visibility: Some(Visibility::Private), ..Change::default() }, "is given to nobody any more.").await
            }
            BlobVerb::Rm(Hashed { hash, local }) => {
                let hash = whole(&local, &hash).await?;
                let answer = local.client().delete(&format!("/api/v1/blobs/{hash}")).await?;
                local.show(&answer, |_| Ok("Removed from this node. Nodes that fetched it hold it still.".to_owned()))
            }
            BlobVerb::Quota { megabytes, local } => {
                let answer = match megabytes {
                    None => local.client().get("/api/v1/blob-quota").await?,
                    Some(megabytes) => {
                        let quota_bytes = (megabytes > 0).then(|| megabytes.saturating_mul(1_000_000));
                        local.client().put("/api/v1/blob-quota", &NewQuota { quota_bytes }).await?
                    }
                };
                local.show(&answer, |quota| {
                    let mb = |key| quota.get(key).and_then(Value::as_u64).unwrap_or_default() / 1_000_000;
                    Ok(format!("{} of {} MB are used.", mb("used-bytes"), mb("quota-bytes")))
                })
            }
        }
    }
}

async fn ls(words: &[String], local: &Local) -> Result<()> {
    let answer = found(local, &words.join(" ")).await?;
    local.show(&answer, |answer| {
        let blobs = answer.get("blobs").and_then(Value::as_array).cloned().unwrap_or_default();
        if blobs.is_empty() {
            return Ok("There is nothing. Next: `cloudy blob add FILE` puts a file into the microcloud.".to_owned());
        }
        let mut out = String::new();
        for blob in &blobs {
            let here = blob.get("here").filter(|here| !here.is_null());
            let how = match here {
                None => String::new(),
                Some(here) if here.get("complete") == Some(&Value::Bool(true)) => format!("here, {}", text(here, "visibility")),
                Some(here) => format!("coming: {}", text(here, "problem")),
            };
            let holders = blob.get("holders").and_then(Value::as_array).map(Vec::len).unwrap_or_default();
            let size = blob.get("size-bytes").and_then(Value::as_u64).unwrap_or_default();
            let hash = text(blob, "hash");
            let nodes = if holders == 1 { "node" } else { "nodes" };
            writeln!(
                out,
                "{}  {:>14}  {holders} {nodes}  {how}\n    {}",
                hash.get(..16).unwrap_or(&hash),
                bytes(size),
                text(blob, "name")
            )?;
        }
        Ok(out)
    })
}

/// Sizes as people read them.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..10_000 => format!("{size} B"),
        10_000..10_000_000 => format!("{} kB", size / 1000),
        _ => format!("{} MB", size / 1_000_000),
    }
}

/// All that is found.
async fn found(local: &Local, words: &str) -> Result<Value> {
    let query = serde_urlencoded::to_string([("text", words)])?;
    local.client().list(&format!("/api/v1/blobs?{query}"), "blobs").await
}

/// The hash that begins so.
pub(super) async fn whole(local: &Local, hash: &str) -> Result<String> {
    if crate::net::is_hash(hash) {
        return Ok(hash.to_owned());
    }
    let answer = found(local, hash).await?;
    let blobs = answer.get("blobs").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut hashes = blobs.iter().map(|blob| text(blob, "hash")).filter(|known| known.starts_with(hash));
    match (hashes.next(), hashes.next()) {
        (Some(hash), None) => Ok(hash),
        (Some(_), Some(_)) => bail!("several hashes begin with `{hash}`: give more of it"),
        (None, _) => bail!("no hash begins with `{hash}`: `cloudy blob ls` shows what there is"),
    }
}

async fn get(hash: &str, output: Option<PathBuf>, local: &Local) -> Result<()> {
    let hash = whole(local, hash).await?;
    let client = local.client();
    let begun = client.post(&format!("/api/v1/blobs/{hash}"), &()).await?;
    let blob = follow(local, begun, |here| here.get("complete") == Some(&Value::Bool(true))).await?;
    let content = format!("/api/v1/blobs/{hash}/content");
    // What others call it names a file and nothing else.
    if output.as_deref() == Some(Path::new("-")) {
        return client.download(&content, &mut std::io::stdout()).await;
    }
    let output = output.unwrap_or_else(|| PathBuf::from(text(&blob, "name")));
    // Written aside, so that what is there under its name is whole.
    let mut aside = output.as_os_str().to_owned();
    aside.push(".part");
    let aside = PathBuf::from(aside);
    let doing = || format!("writing `{}`", output.display());
    if output.exists() {
        bail!("`{}` is there already: name another with --output", output.display());
    }
    let mut file = std::fs::File::create(&aside).with_context(doing)?;
    let written = client.download(&content, &mut file).await;
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written?;
    file.sync_all().and_then(|()| std::fs::rename(&aside, &output)).with_context(doing)?;
    local.show(&blob, |_| Ok(format!("Written to `{}`.", output.display())))
}

/// Tells how far a blob is until it is so; how it is then.
pub(super) async fn follow(local: &Local, begun: Value, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let (client, mut blob, mut shown) = (local.client(), begun, String::new());
    let at = format!("/api/v1/blobs/{}", text(&blob, "hash"));
    loop {
        let here = blob.get("here").cloned().unwrap_or_default();
        if done(&here) {
            return Ok(blob);
        }
        let number = |value: &Value, key| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        let (come, size) = (number(&here, "fetched-bytes"), number(&blob, "size-bytes"));
        let problem = text(&here, "problem");
        let now = if problem.is_empty() { format!("{} of {}", bytes(come), bytes(size)) } else { format!("{problem}; it is tried again") };
        if now != shown {
            tell(&now);
            shown = now;
        }
        tokio::time::sleep(BLOB_ASK_EVERY).await;
        blob = client.get(&at).await?;
    }
}

/// What is on its way is told beside the answer, for people alone.
fn tell(line: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(stderr, "{line}");
    }
}

/// A file's content, piece by piece.
fn content(path: &Path) -> Result<Receiver<std::io::Result<Bytes>>> {
    let mut file = std::fs::File::open(path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(pieces::written(move |to| std::io::copy(&mut file, to).map(drop)))
}
