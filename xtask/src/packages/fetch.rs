//! Brings the packages of a lock into the cache: checks what is there, fetches the rest in parallel, resumes what was cut.
//!
//! Plain HTTP is enough, since every byte is held against the lock's sha256. What fails names the file and the mend.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::http;
use super::lock::LockedPackage;
use super::sources::Sources;
use crate::digest::{self, hex};
use crate::full_disk;
use crate::parallel::for_each;
use crate::ui::{self, Progress};

/// Downloads at the same time.
const CONNECTIONS: usize = 8;
/// How often one file is tried when the connection breaks or the server is busy. What came is kept and resumed.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });
/// Bytes that are read, hashed and written at a time.
const CHUNK_BYTES: usize = 128 << 10;

/// What a fetch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Packages that were fetched or copied.
    pub packages: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Packages of the cache that were not what the lock says, and were fetched again.
    pub replaced: usize,
}

/// Makes the cache hold every one of `packages` with the right hash.
///
/// With `deb_mirror`, what is missing is taken from that folder and never from the network: by sha256 (`SHA256.deb`, or
/// as a cache lays it out) or by path (`PATH` or `SOURCE/PATH` below it).
pub fn fetch(packages: &[LockedPackage], cache: &Cache, sources: &Sources, deb_mirror: Option<&Path>) -> Result<Fetched> {
    let _held = cache.hold("fetch.lock", "fetches packages")?;
    let (missing, replaced) = verify(packages, cache)?;
    let done = Fetched { packages: missing.len(), bytes: missing.iter().map(|package| package.size).sum(), replaced };
    if missing.is_empty() {
        return Ok(done);
    }
    let progress = ui::progress(done.bytes, if deb_mirror.is_some() { "copying packages" } else { "fetching packages" });
    let agent = http::agent(CONNECTIONS);
    let gone = Mutex::new(Vec::new());
    for_each(&missing, CONNECTIONS, |package| {
        let into = cache.part_path(&package.sha256);
        let folder = into.parent().unwrap_or(Path::new("."));
        let get = || -> Result<()> {
            std::fs::create_dir_all(folder)?;
            let got = match deb_mirror {
                Some(mirror) => copy(package, &into, mirror, &progress),
                None => download(package, &into, &sources.url_of(package)?, &agent, &progress),
            }?;
            if !got {
                gone.lock().unwrap_or_else(PoisonError::into_inner).push((*package).clone());
                return Ok(());
            }
            std::fs::rename(&into, cache.deb_path(&package.sha256))?;
            Ok(())
        };
        get()
            .map_err(|error| full_disk::explain(error, folder, full_disk::OF_CACHE))
            .with_context(|| format!("failed to fetch {}", package.title()))
    })?;
    drop(progress);
    let mut gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
    if gone.is_empty() {
        return Ok(done);
    }
    gone.sort_by(|a, b| a.name.cmp(&b.name));
    let list: Vec<String> = gone.iter().map(|package| format!("  {} at {}/{}", package.title(), package.source, package.path)).collect();
    if let Some(mirror) = deb_mirror {
        bail!("these packages of the lock are not in {}:\n{}", mirror.display(), list.join("\n"));
    }
    let names: Vec<String> = gone.iter().map(|package| package.asked_as()).collect();
    bail!(
        "these packages of the lock have left the mirror (newer versions took their place):\n{}\n\
         run `cargo xtask lock --update {}`, or build from a kept set with `--deb-mirror DIR`",
        list.join("\n"),
        names.join(" ")
    );
}

/// Hashes what the cache has. Returns what is missing, and how many were there but wrong (these are removed).
fn verify<'a>(packages: &'a [LockedPackage], cache: &Cache) -> Result<(Vec<&'a LockedPackage>, usize)> {
    let all: Vec<&LockedPackage> = packages.iter().collect();
    let missing = Mutex::new((Vec::new(), 0));
    let threads = crate::parallel::processors();
    for_each(&all, threads, |package| {
        let path = cache.deb_path(&package.sha256);
        let mut wrong = false;
        if path.exists() {
            let good = cache.deb(package).is_some()
                && digest::of_file(&path).with_context(|| format!("failed to read {}", path.display()))? == package.sha256;
            if good {
                return Ok(());
            }
            ui::say(&format!("  warning: {} in the cache is not what the lock says (tampered or damaged): fetched again", package.title()));
            for damaged in [path, cache.tar_path(&package.sha256)] {
                match std::fs::remove_file(&damaged) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).with_context(|| format!("failed to remove {}", damaged.display()));
                    }
                    _ => {}
                }
            }
            wrong = true;
        }
        let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.0.push(*package);
        missing.1 += usize::from(wrong);
        Ok(())
    })?;
    let (mut missing, replaced) = missing.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The largest first, so that none is left alone at the end.
    missing.sort_by_key(|package| std::cmp::Reverse(package.size));
    missing.dedup_by(|a, b| a.sha256 == b.sha256);
    Ok((missing, replaced))
}

/// Moves bytes from `from` through the hasher into `to`, at most `limit`; returns how many. `told` hears of each chunk.
fn pump(from: &mut dyn Read, hasher: &mut Sha256, mut to: Option<&mut File>, limit: u64, told: impl Fn(u64)) -> std::io::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let got = match from.read(&mut chunk) {
            Ok(0) => return Ok(done),
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = chunk.get(..got).unwrap_or_default();
        done += got as u64;
        if done > limit {
            return Ok(done);
        }
        hasher.update(bytes);
        if let Some(file) = to.as_deref_mut() {
            file.write_all(bytes).map_err(|error| std::io::Error::new(error.kind(), WriteFailed(error)))?;
        }
        told(got as u64);
    }
}

/// Marks an error of the disk among errors of the network.
#[derive(Debug, thiserror::Error)]
#[error("failed to write: {0}")]
struct WriteFailed(std::io::Error);

/// Takes a package from a kept set. `false`: it is not there.
fn copy(package: &LockedPackage, into: &Path, mirror: &Path, progress: &Progress) -> Result<bool> {
    let hash = &package.sha256;
    let places = [
        PathBuf::from(format!("{hash}.deb")),
        PathBuf::from(format!("debs/{}/{hash}.deb", hash.get(..2).unwrap_or_default())),
        PathBuf::from(&package.path),
        Path::new(&package.source).join(&package.path),
        PathBuf::from(package.path.rsplit('/').next().unwrap_or_default()),
    ];
    let Some(from) = places.iter().map(|place| mirror.join(place)).find(|place| place.is_file()) else {
        return Ok(false);
    };
    let mut hasher = Sha256::new();
    let mut file = File::create(into)?;
    let mut source = File::open(&from).with_context(|| format!("failed to open {}", from.display()))?;
    let done = pump(&mut source, &mut hasher, Some(&mut file), package.size, |bytes| progress.add(bytes))?;
    if done != package.size || hex(&hasher.finalize()) != *hash {
        std::fs::remove_file(into)?;
        bail!("{} is not the file that the lock names (its sha256 or size differs)", from.display());
    }
    Ok(true)
}

/// How one attempt to download ended.
enum Attempt {
    /// The file is whole and right.
    Done,
    /// The server does not have it.
    Gone,
    /// What came by resuming is not the right file: the kept part may have been damaged.
    BadPart,
    /// Worth another try.
    Again(anyhow::Error),
}

/// Downloads a package, resuming what an earlier run or attempt left in `into`. `false`: the server does not have it.
fn download(package: &LockedPackage, into: &Path, url: &str, agent: &ureq::Agent, progress: &Progress) -> Result<bool> {
    let mut wait = FIRST_WAIT;
    let mut tries = 1;
    loop {
        // What this attempt counted is taken back if the next one counts it again.
        let counted = std::cell::Cell::new(0_u64);
        let count = |bytes| {
            counted.set(counted.get() + bytes);
            progress.add(bytes);
        };
        let error = match attempt(package, into, url, agent, count)? {
            Attempt::Done => return Ok(true),
            Attempt::Gone => return Ok(false),
            Attempt::BadPart => {
                progress.take_back(counted.get());
                progress.note(&format!("  the kept part of {} was damaged: fetched again from its start", package.title()));
                continue;
            }
            Attempt::Again(error) => error,
        };
        progress.take_back(counted.get());
        if tries == ATTEMPTS {
            return Err(error.context(format!("{url} failed {ATTEMPTS} times (what came is kept: run the command again to resume)")));
        }
        tries += 1;
        std::thread::sleep(wait);
        wait *= 2;
    }
}

fn attempt(package: &LockedPackage, into: &Path, url: &str, agent: &ureq::Agent, count: impl Fn(u64)) -> Result<Attempt> {
    let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(into)?;
    let mut hasher = Sha256::new();
    // A whole part (the last run was stopped just before the rename) is fetched again: it may be the damaged one.
    let mut have = file.metadata()?.len();
    if have >= package.size {
        file.set_len(0)?;
        have = 0;
    }
    if have > 0 {
        pump(&mut file, &mut hasher, None, u64::MAX, &count)?;
    }
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Attempt::Again(anyhow!("the server can't be reached: {error}"))),
    };
    let status = response.status().as_u16();
    let resumed = status == 206;
    match status {
        200 if have > 0 => {
            // The server does not resume: from the start.
            file.set_len(0)?;
            std::io::Seek::rewind(&mut file)?;
            hasher = Sha256::new();
            have = 0;
        }
        200 => {}
        206 => {
            let range = response.headers().get("content-range").and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !range.starts_with(&format!("bytes {have}-")) {
                std::fs::remove_file(into)?;
                return Ok(Attempt::Again(anyhow!("the server resumed at another place than asked ({range:?})")));
            }
        }
        404 | 410 => {
            std::fs::remove_file(into)?;
            return Ok(Attempt::Gone);
        }
        416 => {
            std::fs::remove_file(into)?;
            return Ok(Attempt::Again(anyhow!("the server's file is shorter than the part that is here")));
        }
        408 | 429 | 500..600 => return Ok(Attempt::Again(anyhow!("the server answered {status}"))),
        _ => bail!("{url} answered {status}"),
    }
    let rest = package.size - have;
    let announced = response.body().content_length();
    if announced.is_some_and(|announced| announced != rest) && !resumed {
        std::fs::remove_file(into)?;
        bail!("{url} has {} bytes, the lock says {}; {MIRROR_HINT}", announced.unwrap_or_default(), package.size);
    }
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let came = match pump(&mut body, &mut hasher, Some(&mut file), rest, &count) {
        Ok(came) => came,
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<WriteFailed>()) => return Err(error.into()),
        Err(error) => return Ok(Attempt::Again(anyhow!("the connection broke: {error}"))),
    };
    if came > rest {
        std::fs::remove_file(into)?;
        bail!("{url} sends more than the {} bytes that the lock says: refused; {MIRROR_HINT}", package.size);
    }
    if came < rest {
        return Ok(Attempt::Again(anyhow!("the connection ended after {} of {} bytes", have + came, package.size)));
    }
    if hex(&hasher.finalize()) == package.sha256 {
        return Ok(Attempt::Done);
    }
    std::fs::remove_file(into)?;
    if resumed {
        return Ok(Attempt::BadPart);
    }
    bail!("{url} is not the file that the lock names (its sha256 differs); {MIRROR_HINT}");
}

/// What to do about a mirror that serves another file than the lock names.
const MIRROR_HINT: &str = "the mirror, or a proxy before it, may be in the middle of a sync or serve a damaged copy: \
                           try again in some minutes, or from another mirror";
