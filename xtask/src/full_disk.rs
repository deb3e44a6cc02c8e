//! A full disk, said in words: which one, and what to do.

use std::path::{Path, PathBuf};

use anyhow::Error;

/// What to do about a full cache.
pub const OF_CACHE: &str = "make room, or set CLOUDY_CACHE to a folder elsewhere";
/// What to do where images are written.
pub const OF_IMAGES: &str = "make room there and build again (no half image is left)";
/// What to do where programs are compiled.
pub const OF_CHECKOUT: &str = "make room there and build again";

/// What commands say of it, in the locale that they are run in.
const SAID: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

#[derive(Debug, thiserror::Error)]
#[error("the disk that holds {} is full: {mend}", .folder.display())]
struct Full {
    folder: PathBuf,
    mend: &'static str,
}

/// Names the disk that holds `folder` and the mend if `error` says that a disk is full and nobody named it; other errors pass.
pub fn explain(error: Error, folder: &Path, mend: &'static str) -> Error {
    if error.downcast_ref::<Full>().is_none() && is_meant(&error) {
        return error.context(Full { folder: folder.to_owned(), mend });
    }
    error
}

fn is_meant(error: &Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
            || SAID.iter().any(|words| cause.to_string().contains(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_full_disk_is_named_once_by_who_knows_it_best() {
        let full = || Err::<(), _>(std::io::Error::from(std::io::ErrorKind::StorageFull)).context("failed to write x").unwrap_err();
        let said = explain(full(), Path::new("/cache"), OF_CACHE);
        let outer = explain(said.context("failed to fetch"), Path::new("/out"), OF_IMAGES);
        let text = format!("{outer:#}");
        assert!(text.contains("the disk that holds /cache is full: make room, or set CLOUDY_CACHE"), "{text}");
        assert!(!text.contains("/out"), "{text}");
        let command = anyhow!("`mkfs.erofs` failed:\nmkfs.erofs: write error: No space left on device");
        assert!(explain(command, Path::new("/out"), OF_IMAGES).to_string().starts_with("the disk that holds /out is full"));
        assert_eq!(explain(anyhow!("no such file"), Path::new("/out"), OF_IMAGES).to_string(), "no such file");
    }
}
