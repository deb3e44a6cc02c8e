//! Assembly: partitions, one behind the other, under a partition table.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contract::partitions::{Layout, Role};
use disks::{Arranged, Content, Part, Segment};

use super::sink::{Sink, Written};
use super::{bmap, sink::BLOCK_BYTES};
use crate::aside::{Aside, OLD_PREFIX, remove_later};
use crate::full_disk;

/// All that an image is made of.
#[derive(Debug)]
pub struct Partitions {
    /// Which partitions there are, in which order.
    pub layout: Layout,
    /// The content of each that is shipped.
    pub parts: Vec<(Role, Part)>,
}

/// An image that is on the disk, whole.
#[derive(Clone, Debug)]
pub struct Image {
    /// The file that people flash.
    pub path: PathBuf,
    /// Beside it: which blocks of it a flasher must write.
    pub bmap: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its checksum, lower-case hexadecimal, if sums were wanted.
    pub sha256: Option<String>,
}

/// Writes the image to `path` and its bmap to `path` with `.bmap` added; a former one is replaced once the new is whole.
/// `summed` says whether the image leaves this machine: then checksums are taken, of it and in the bmap,
/// and it is on the disk before it has its name. Both take most of the time.
///
/// # Errors
/// When a part is missing or too large, and when writing fails; then no file is left under either name that was not
/// there before.
pub fn assemble(partitions: &Partitions, path: &Path, summed: bool) -> Result<Image> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("failed to make the folder `{}`", parent.display()))?;
    write(partitions, parent, path, summed).map_err(|error| full_disk::explain(error, parent, full_disk::OF_IMAGES))
}

fn write(partitions: &Partitions, parent: &Path, path: &Path, summed: bool) -> Result<Image> {
    // Removed on every way out, with all that was not renamed.
    let aside = Aside::begin(parent)?;
    let made = aside.path().join("image");
    let image = File::create(&made).context("failed to make a file")?;
    let written = fill(partitions, &image, summed).with_context(|| format!("failed to write the image `{}`", path.display()))?;
    let map = aside.path().join("bmap");
    std::fs::write(&map, bmap::render(&written)).context("failed to write the bmap")?;
    if summed {
        image.sync_all()?;
        File::open(&map)?.sync_all()?;
    }
    let mut map_path = path.as_os_str().to_owned();
    map_path.push(".bmap");
    let map_path = PathBuf::from(map_path);
    let old = set_aside(parent, path)?;
    for (file, to) in [(&map, map_path.as_path()), (&made, path)] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(file, to).with_context(|| format!("failed to rename `{}` to `{}`", file.display(), to.display()))?;
    }
    remove_later(&old);
    Ok(Image { path: path.to_owned(), bmap: map_path, bytes: written.bytes, sha256: written.sha256 })
}

/// Gives the image that is there a second name, so that replacing it frees nothing yet. Returns it, and any that an
/// earlier build had no time to remove.
fn set_aside(parent: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    if path.exists() {
        let aside = tempfile::Builder::new().prefix(OLD_PREFIX).tempfile_in(parent)?.into_temp_path();
        std::fs::remove_file(&aside)?;
        // A file system without hard links replaces it at once.
        if std::fs::hard_link(path, &aside).is_ok() {
            let _ = aside.keep();
        }
    }
    let mut old = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(OLD_PREFIX) {
            old.push(entry.path());
        }
    }
    Ok(old)
}

fn fill(partitions: &Partitions, image: &File, summed: bool) -> Result<Written> {
    let arranged = Arranged::shipped(partitions.layout, &partitions.parts, None)?;
    let backup = arranged.segments.last().map_or(0, |segment| segment.at);
    let mut sink = Sink::new(image.try_clone()?, summed);
    for Segment { at, content, .. } in &arranged.segments {
        // The table's copy ends the image, whose last block has zeros before it.
        let block = if *at == backup { BLOCK_BYTES as u64 } else { 1 };
        let start = (at / block * block).max(sink.position());
        if sink.position() < start {
            sink.skip_to(start)?;
        }
        if start < *at {
            sink.write(&vec![0; usize::try_from(at - start)?])?;
        }
        match content {
            Content::Bytes(bytes) => sink.write(bytes)?,
            Content::Slice { file, offset, len } => {
                let doing = || format!("failed to copy `{}` into the image", file.display());
                let mut reader = File::open(file.as_path()).with_context(doing)?;
                reader.seek(SeekFrom::Start(*offset))?;
                sink.copy(&mut reader, *len).with_context(doing)?;
            }
        }
    }
    Ok(sink.finish()?)
}
