//! `Image → Release`: what people download, beside the image: its .xz, SHA256SUMS over all images of the folder, what
//! Raspberry Pi Imager reads. All of it is made aside and renamed, the checksums last.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::digest;
use crate::image::Image;
use crate::imager;
use crate::plan::Plan;
use crate::stages::Workshop;
use crate::trees::Trees;
use crate::ui;

/// Checksums of all that was released into a folder.
const SUMS: &str = "SHA256SUMS";
/// Blocks of a fixed size: as many threads as there are, and the same bytes from any number of them.
const XZ_BLOCK: &str = "512MiB";

/// An image as people download it.
pub struct Download {
    /// The `.xz`.
    pub path: PathBuf,
    /// Its checksum, lower-case hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Makes the release of an image, in the working folder `work` first.
///
/// # Errors
/// When the download has more bytes than the board's may have.
pub fn make(shop: &Workshop, plan: &Plan, image: &Image, work: &Path) -> Result<Download> {
    let folder = image.path.parent().context("the image has no folder")?;
    let name = &plan.image_name;
    let xz = format!("{name}.xz");
    let packed = work.join(&xz);
    {
        let _stage = ui::stage("xz", "compressing the image for download (minutes)");
        let preset = format!("-{}", plan.xz_preset.context("the plan makes no release")?);
        let script = format!("xz {preset} --threads=0 --block-size={XZ_BLOCK} --stdout '/image/{name}' > '/made/{xz}'");
        shop.tools.sandbox().bind(folder, "/image").bind_writable(work, "/made").command(["sh", "-c", &script]).run()?;
    }
    let bytes = packed.metadata()?.len();
    within(bytes, plan.download_max_mb, &plan.board)?;
    let sum = image.sha256.as_ref().context("the image has no checksum")?;
    let sha256 = digest::of_file(&packed).with_context(|| format!("failed to read `{}`", packed.display()))?;
    let catalog = Trees::of(&shop.repo).catalog()?;
    let facts = imager::Facts {
        board: catalog.board(&plan.board)?,
        image_name: name,
        image_bytes: image.bytes,
        image_sha256: sum,
        packed_bytes: bytes,
        packed_sha256: &sha256,
        epoch: plan.epoch,
    };
    imager::write(&facts, work, folder)?;
    let sums = folder.join(SUMS);
    let merged = merged(&read(&sums)?, &[(name, Some(sum)), (&xz, Some(&sha256))]);
    fs::write(work.join(SUMS), merged)?;
    for file in beside(name).into_iter().chain([SUMS.to_owned()]) {
        match fs::rename(work.join(&file), folder.join(&file)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(|| format!("failed to rename `{file}`")),
            _ => (),
        }
    }
    Ok(Download { path: folder.join(xz), sha256, bytes })
}

/// Removes what was released of the image `name`, since another one is about to have its name.
pub fn forget(folder: &Path, name: &str) -> Result<()> {
    let sums = folder.join(SUMS);
    let text = read(&sums)?;
    let left = merged(&text, &[(name, None), (&format!("{name}.xz"), None)]);
    if left.is_empty() && !text.is_empty() {
        fs::remove_file(&sums)?;
    } else if left != text {
        let aside = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(aside.path(), left)?;
        aside.persist(&sums)?;
    }
    for file in beside(name) {
        match fs::remove_file(folder.join(&file)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(|| format!("failed to remove `{file}`")),
            _ => (),
        }
    }
    Ok(())
}

/// Files of a release beside the image and the checksums.
fn beside(name: &str) -> Vec<String> {
    ["xz"].iter().chain(&imager::FILES).map(|ending| format!("{name}.{ending}")).collect()
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| format!("failed to read `{}`", path.display())),
    }
}

/// SHA256SUMS with the lines of these files new, or gone. Other files keep theirs; what is no such line is dropped.
fn merged(text: &str, files: &[(&str, Option<&String>)]) -> String {
    let mut sums: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for (name, sum) in files {
        match sum {
            Some(sum) => sums.insert(name, sum),
            None => sums.remove(name),
        };
    }
    sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect()
}

fn within(bytes: u64, most: Option<u32>, board: &str) -> Result<()> {
    match most {
        Some(most) if bytes > u64::from(most) * 1_000_000 => bail!(
            "the download of {board} has {:.1} MB and may have {most} (`download-max-mb` of the board): leave out packages or prune more in the \
             flavour, or drop modules and firmware in the family",
            bytes as f64 / 1e6
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_other_images_stay_and_a_line_is_never_there_twice() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let first = merged("", &[("b.img", Some(&one)), ("b.img.xz", Some(&two))]);
        assert_eq!(first, format!("{one}  b.img\n{two}  b.img.xz\n"));
        let both = merged(&first, &[("a.img", Some(&two)), ("b.img", Some(&two))]);
        assert_eq!(both, format!("{two}  a.img\n{two}  b.img\n{two}  b.img.xz\n"));
        assert_eq!(merged(&both, &[("b.img", None), ("b.img.xz", None)]), format!("{two}  a.img\n"));
    }

    #[test]
    fn a_download_that_is_too_large_is_refused() {
        assert!(within(110_000_000, Some(110), "x").is_ok() && within(u64::MAX, None, "x").is_ok());
        assert!(within(110_000_001, Some(110), "x").unwrap_err().to_string().contains("may have 110"));
    }

    #[test]
    fn what_was_released_goes_with_its_image() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        for name in ["a.img", "a.img.xz", "a.img.os_list.json", "b.img.xz"] {
            put(name, "x");
        }
        put(SUMS, "11  a.img\n22  a.img.xz\n33  b.img.xz\n");
        forget(folder.path(), "a.img").unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [SUMS, "a.img", "b.img.xz"]);
        assert_eq!(read(&folder.path().join(SUMS)).unwrap(), "33  b.img.xz\n");
        forget(folder.path(), "b.img").unwrap();
        forget(folder.path(), "b.img").unwrap();
        assert!(!folder.path().join(SUMS).exists());
    }
}
