//! Settings on data: read, written whole or not at all.

use crate::full;
use crate::limits::{DATA_DIR, SETTINGS_DIR};
use anyhow::{Context, Result};
use contract::settings::MAX_BYTES;
use contract::settings::inbox::{Step, Stored, decide};
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name in its folder.
pub const FILE: &str = "settings.json";
/// What people write.
pub const INBOX: &str = "cloudy.toml";

/// The folder of the settings: on an image root's own, so that the agent can't set what root applies; else the data folder.
fn folder(data: &Path) -> PathBuf {
    if data == Path::new(DATA_DIR) { SETTINGS_DIR.into() } else { data.to_owned() }
}

/// The settings that are kept; the defaults where there are none, or they can't be read (said in the log).
pub fn load(data: &Path) -> Stored {
    read_whole(&folder(data).join(FILE))
        .unwrap_or_else(|error| {
            log::error!("{error:#}; going on with the defaults");
            None
        })
        .unwrap_or_default()
}

/// Reads a file of JSON that was written whole; none when there is none.
///
/// # Errors
/// When it can't be read, or is no such JSON.
pub fn read_whole<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let doing = || format!("reading `{}`", path.display());
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(doing).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(doing),
    }
}

/// The same; what can't be read is said to be `what`, and put aside under a name that ends in `.broken`.
pub fn read_or_put_aside<T: DeserializeOwned + Default>(path: &Path, what: &str) -> T {
    let read = read_whole(path).unwrap_or_else(|error| {
        match put_aside(path) {
            Ok(aside) => log::error!("{error:#}: {what}; put aside as `{}`", aside.display()),
            Err(stays) => log::error!("{error:#}: {what}; it can't be put aside: {stays}"),
        }
        None
    });
    read.unwrap_or_default()
}

/// Puts a file aside that can't be read, under a name that ends in `.broken`; the name.
///
/// # Errors
/// It can't be renamed.
pub fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".broken");
    let aside = PathBuf::from(name);
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Keeps the settings: on disk when this returns, and never half.
fn save(folder: &Path, stored: &Stored) -> Result<()> {
    write_whole(&folder.join(FILE), &serde_json::to_vec_pretty(stored)?, 0o640)
}

/// Writes a file aside, brings it to the disk, and renames it into place.
///
/// # Errors
/// When the folder can't be written.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let doing = || format!("writing `{}`", path.display());
    let folder = path.parent().unwrap_or(Path::new("/"));
    let aside = path.with_extension("new");
    let _ = std::fs::remove_file(&aside);
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(bytes).and_then(|()| file.sync_all())?;
        std::fs::rename(&aside, path)
    };
    let written = written().inspect_err(|_| {
        // Half of it needs room too.
        let _ = std::fs::remove_file(&aside);
    });
    let written = written.and_then(|()| File::open(folder)?.sync_all());
    match written.as_ref().err().and_then(|error| full::why(&error.to_string())) {
        Some(why) => written.with_context(doing).context(why),
        None => written.with_context(doing),
    }
}

/// Reads a `cloudy.toml`, bounded; none when there is none.
fn read_inbox(path: &Path) -> Result<Option<Vec<u8>>> {
    let doing = || format!("reading `{}`", path.display());
    // The agent's file is read by root: what is no file of its own is not followed, and nothing is waited for.
    let open = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(doing),
    };
    anyhow::ensure!(file.metadata().with_context(doing)?.is_file(), "`{}` is no file", path.display());
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that the reader sees that it is too much.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).with_context(doing)?;
    Ok(Some(bytes))
}

/// Takes the inbox at `path` into the settings in `folder` and gives back what is kept.
/// `writable` is called before the file is written over, to make its file system writable.
///
/// # Errors
/// When the inbox can't be read or the settings can't be kept. A failed masking is only logged: it is tried again.
pub fn take_inbox(folder: &Path, path: &Path, writable: impl Fn() -> Result<()>) -> Result<Stored> {
    let stored: Stored = read_or_put_aside(&folder.join(FILE), "what was set is gone");
    let file = read_inbox(path)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(INBOX);
    let (mut stored, masked) = match decide(&stored, file.as_deref(), name) {
        Step::Nothing => (stored, None),
        Step::MaskAgain(masked) => (stored, Some(masked)),
        Step::Keep(next, masked) => {
            save(folder, &next)?;
            (*next, masked)
        }
    };
    if let Some(masked) = masked {
        if let Err(error) = writable().and_then(|()| write_over(path, &masked)) {
            log::error!("secrets still stand in the file: {error:#}");
            return Ok(stored);
        }
        log::info!("secrets of `{}` were moved to data", path.display());
    }
    // The file is masked whole, or is another by now.
    if stored.inbox_of(name).is_some_and(|inbox| inbox.masking.is_some()) {
        stored.inbox_mut(name).masking = None;
        save(folder, &stored)?;
    }
    Ok(stored)
}

/// Takes all that lies in `partition` into the settings in `folder`: what Raspberry Pi Imager wrote, then `cloudy.toml`,
/// which has the last word.
///
/// # Errors
/// As [`take_inbox`]; a file of Imager's that can't be read is only logged, since `cloudy.toml` still counts.
pub fn take_all(folder: &Path, partition: &Path, writable: impl Fn() -> Result<()>) -> Result<Stored> {
    for name in contract::settings::imager::FILES {
        let path = partition.join(name);
        if path.exists()
            && let Err(error) = take_inbox(folder, &path, &writable)
        {
            log::error!("{error:#}");
        }
    }
    take_inbox(folder, &partition.join(INBOX), writable)
}

/// Writes over a file in place, so that its old blocks are overwritten, and brings it to the disk.
fn write_over(path: &Path, bytes: &[u8]) -> Result<()> {
    let doing = || format!("writing over `{}`", path.display());
    let mut file = OpenOptions::new().write(true).open(path).with_context(doing)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(doing)
}

/// Outside an image a `cloudy.toml` in the data folder is the inbox; the agent then reads it itself.
pub fn take_local_inbox(data: &Path) {
    let path = data.join(INBOX);
    if folder(data) != data || !path.exists() {
        return;
    }
    match take_inbox(data, &path, || Ok(())) {
        Ok(stored) => {
            for mistake in &stored.inbox.mistakes {
                log::error!("`{}`: {mistake}; the last good settings hold", path.display());
            }
        }
        Err(error) => log::error!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_t_be_written_leaves_no_half() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.json");
        std::fs::create_dir(&path).unwrap();
        assert!(write_whole(&path, b"x", 0o600).is_err());
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn an_inbox_becomes_settings_and_its_secrets_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(INBOX);
        std::fs::write(&path, "hostname = \"garden\"\n[join]\ntoken = \"cloudy1-secret\"\n").unwrap();
        take_local_inbox(dir.path());
        assert!(!std::fs::read_to_string(&path).unwrap().contains("secret"));
        let stored = load(dir.path());
        assert_eq!(stored.values.join.token.as_ref().unwrap().as_str(), "cloudy1-secret");
        assert_eq!(stored.inbox.masking, None);
        // A broken file changes nothing and is named.
        std::fs::write(&path, "hostname = garden\n").unwrap();
        take_local_inbox(dir.path());
        let state = crate::settings::state(dir.path());
        assert!(state.broken[0].starts_with("line 1, column 12"), "{state:?}");
        assert_eq!(load(dir.path()).values, stored.values);
    }

    #[test]
    fn secrets_stay_in_a_file_that_may_not_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(INBOX);
        let text = "[join]\ntoken = \"cloudy1-secret\"\n";
        std::fs::write(&path, text).unwrap();
        let stored = take_inbox(dir.path(), &path, || anyhow::bail!("nothing is kept")).unwrap();
        assert_eq!(stored.values.join.token.unwrap().as_str(), "cloudy1-secret", "they hold for this run");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_imager_wrote_is_taken_first_and_its_secrets_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let preseed = dir.path().join(contract::settings::imager::PRESEED);
        std::fs::write(
            &preseed,
            "[system]\nhostname = \"a\"\n[wlan]\nssid = \"x\"\npassword = \"correct horse\"\ncountry = \"ES\"\n[later]\n",
        )
        .unwrap();
        std::fs::write(dir.path().join(INBOX), "hostname = \"b\"\n").unwrap();
        let stored = take_all(dir.path(), dir.path(), || Ok(())).unwrap();
        assert_eq!(stored.values.hostname.as_ref().unwrap().as_str(), "b");
        assert_eq!(stored.values.wifi.as_ref().unwrap().passphrase.as_ref().unwrap().as_str(), "correct horse");
        assert!(!std::fs::read_to_string(&preseed).unwrap().contains("horse"));
        assert_eq!(take_all(dir.path(), dir.path(), || Ok(())).unwrap(), stored, "the next start changes nothing");
        let state = crate::settings::state(dir.path());
        assert!(state.secrets_moved && state.broken.is_empty());
        assert!(state.unsupported[0].starts_with("rpi-preseed.toml: line 7, column 2"), "{state:?}");
    }

    #[test]
    fn settings_that_cant_be_read_are_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        std::fs::write(dir.path().join(INBOX), "hostname = \"a\"").unwrap();
        take_local_inbox(dir.path());
        assert!(dir.path().join("settings.json.broken").exists());
        assert_eq!(load(dir.path()).values.hostname.unwrap().as_str(), "a");
    }

    #[test]
    fn a_reader_never_sees_half_of_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let bodies = [vec![1; 300_000], vec![2; 500_000]];
        write_whole(&path, &bodies[0], 0o600).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    if !std::fs::read(&path).is_ok_and(|body| bodies.contains(&body)) {
                        return false;
                    }
                }
                true
            });
            for turn in 0..40 {
                write_whole(&path, &bodies[turn % 2], 0o600).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap(), "a reader saw a part of a file");
        });
    }

    #[test]
    fn secrets_are_not_for_everybody() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &Stored::default()).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0);
    }
}
