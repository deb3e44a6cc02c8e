//! A whole image onto plain files: what is written, what is read back, and what a cut or a broken card leaves.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use contract::gpt;
use contract::partitions::{Layout, Role};
use disks::TABLE_BYTES;

use super::*;
use crate::image::{self, Partitions, Window, fat};
use crate::tree::Content;

const CARD_BYTES: u64 = 700 << 20;
const ROOT: &[u8] = &[7; 3_000_000];

/// A small image with its bmap.
fn image(folder: &Path) -> PathBuf {
    let root = folder.join("root.erofs");
    std::fs::write(&root, ROOT).unwrap();
    let esp = vec![("EFI/BOOT/BOOTX64.EFI".to_owned(), Content::Bytes([5; 100_000].into()))];
    let parts = vec![
        (Role::Config, image::config_part(&image::config_files("# nothing\n"), &folder.join("config")).unwrap()),
        (Role::Esp, image::esp_part(&esp, &folder.join("esp")).unwrap()),
        (Role::RootA, disks::Part::of_file(&root).unwrap()),
    ];
    image::assemble(&Partitions { layout: Layout::Uefi, parts }, &folder.join("x.img"), true).unwrap().path
}

/// A card full of something else.
fn card(folder: &Path) -> File {
    let card = File::options().read(true).write(true).create(true).truncate(true).open(folder.join("card")).unwrap();
    card.set_len(CARD_BYTES).unwrap();
    card.write_all_at(&vec![0xa5; 66 << 20], 0).unwrap();
    card.write_all_at(&vec![0xa5; 1 << 20], CARD_BYTES - (1 << 20)).unwrap();
    card
}

fn table(card: &File) -> Result<gpt::Table, gpt::GptError> {
    let mut bytes = vec![0; gpt::TABLE_BYTES];
    card.read_exact_at(&mut bytes, 512).unwrap();
    gpt::decode_primary(&bytes)
}

fn config_file(card: &File, name: &str) -> Option<Vec<u8>> {
    let table = table(card).unwrap();
    let (_, config) = table.by_name("config").unwrap();
    let fat = fat::open(Window::new(card.try_clone().unwrap(), config.offset(), config.bytes())).unwrap();
    fat::read_all(&fat).unwrap().into_iter().find(|(path, _)| path == name).map(|(_, content)| content)
}

#[test]
fn an_image_with_settings_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let load = prepare(&image(folder.path()), Some("hostname = \"garden\"\n")).unwrap();
    assert_eq!(load.layout, Layout::Uefi);
    let card = card(folder.path());
    let written = write(&load, &card, CARD_BYTES).unwrap();
    assert_eq!(written.bytes, written.verified);
    assert!(written.bytes < 20 << 20, "holes are left out: {written:?}");
    assert_eq!(config_file(&card, "cloudy.toml").unwrap(), b"hostname = \"garden\"\r\n");
    assert!(config_file(&card, "cloudy.toml.example").is_some());
    let table = table(&card).unwrap();
    let (_, root) = table.by_name("root-a").unwrap();
    let mut bytes = vec![0; ROOT.len()];
    card.read_exact_at(&mut bytes, root.offset()).unwrap();
    assert_eq!(bytes, ROOT);
    let mut end = vec![1; TABLE_BYTES as usize];
    card.read_exact_at(&mut end, CARD_BYTES - TABLE_BYTES).unwrap();
    assert!(end.iter().all(|byte| *byte == 0), "no stale table is left at the end");
}

#[test]
fn the_download_is_written_as_the_image_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path());
    let packed = path.with_extension("img.xz");
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut writer = lzma_rust2::XzWriter::new(File::create(&packed).unwrap(), options).unwrap();
    writer.write_all(&std::fs::read(&path).unwrap()).unwrap();
    writer.finish().unwrap();
    std::fs::remove_file(&path).unwrap();
    let load = prepare(&packed, Some("time-zone = \"UTC\"\n")).unwrap();
    let card = card(folder.path());
    write(&load, &card, CARD_BYTES).unwrap();
    assert_eq!(config_file(&card, "cloudy.toml").unwrap(), b"time-zone = \"UTC\"\r\n");
    std::fs::remove_file(folder.path().join("x.img.bmap")).unwrap();
    let error = prepare(&packed, None).err().unwrap().to_string();
    assert!(error.contains("xz -dk"), "{error}");
}

#[test]
fn an_image_that_changed_since_its_bmap_leaves_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path());
    let load = prepare(&path, None).unwrap();
    let root = load.source.table().unwrap().by_name("root-a").unwrap().1.offset();
    File::options().write(true).open(&path).unwrap().write_all_at(b"x", root + 1000).unwrap();
    let card = card(folder.path());
    let error = write(&load, &card, CARD_BYTES).unwrap_err().to_string();
    assert!(error.contains("not the one that its bmap describes"), "{error}");
    assert_eq!(table(&card), Err(gpt::GptError::NoSignature));
    // An image of another length is told before anything is written.
    File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    assert!(prepare(&path, None).is_err());
}

#[test]
fn what_is_no_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.img");
    std::fs::write(&path, vec![0; 100_000]).unwrap();
    assert!(format!("{:#}", prepare(&path, None).err().unwrap()).contains("is no image of a disk"));
    assert!(prepare(&folder.path().join("absent"), None).is_err());
}

#[test]
fn an_image_of_another_board_is_told() {
    let root = crate::verbs::root().unwrap();
    let catalog = crate::board::Catalog::load(&[&root]).unwrap();
    let board = |name: &str| catalog.board(name).unwrap();
    let why = |layout, top: &[&str], name: &str| {
        stranger(layout, &top.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>(), board(name)).unwrap_or_default()
    };
    let three = ["u-boot.bin", "bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb"];
    assert_eq!(why(Layout::Uboot, &three, "rpi3"), "");
    assert!(why(Layout::Uboot, &three, "rpi4").contains("none of the board's device trees (bcm2711-rpi-4-b.dtb, "));
    assert_eq!(why(Layout::Uboot, &three, "x86-minipc"), "it is started by U-Boot, the board by UEFI");
    assert_eq!(why(Layout::Uefi, &[], "rpi3"), "it is started by UEFI, the board by U-Boot");
    assert_eq!(why(Layout::Uefi, &[], "arm64-uefi"), "");
    let folder = tempfile::tempdir().unwrap();
    let load = prepare(&image(folder.path()), None).unwrap();
    assert!(load.top.contains(&"README.txt".to_owned()), "{:?}", load.top);
    assert!(load.check_board(board("x86-minipc")).is_ok());
    let error = load.check_board(board("rpi3")).unwrap_err().to_string();
    assert!(error.contains("x.img` is no image of rpi3 (Raspberry Pi 3B"), "{error}");
}
