//! Whole images, from parts to bytes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use contract::gpt;
use contract::partitions::{Layout, Role, SHIPPED_DISK};
use disks::Part;
use sha2::{Digest, Sha256};

use super::*;
use crate::tree::Content;

fn bytes(bytes: &[u8]) -> Content {
    Content::Bytes(bytes.into())
}

fn esp_files() -> Vec<(String, Content)> {
    vec![
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), bytes(&[7; 100_000])),
        ("cloudy/0123456789abcdef/linux".to_owned(), bytes(&[9; 3_000_000])),
        ("loader/entries/cloudy-a long name+3.conf".to_owned(), bytes(b"title x\n")),
        ("empty".to_owned(), bytes(b"")),
    ]
}

/// A whole small image in `folder`; the root is no multiple of anything.
fn built(folder: &Path) -> Image {
    built_with(folder, true)
}

fn built_with(folder: &Path, summed: bool) -> Image {
    let parts = vec![
        (Role::Config, config_part(&config_files("# nothing\n"), &folder.join("config")).unwrap()),
        (Role::Esp, esp_part(&esp_files(), &folder.join("esp")).unwrap()),
        (Role::RootA, root_part(folder, &root())),
    ];
    assemble(&Partitions { layout: Layout::Uefi, parts }, &folder.join("out/x.img"), summed).unwrap()
}

fn root() -> Vec<u8> {
    [vec![1; 5000], vec![0; 20_000], vec![2; 77]].concat()
}

fn root_part(folder: &Path, root: &[u8]) -> Part {
    let path = folder.join("root.erofs");
    std::fs::write(&path, root).unwrap();
    Part::of_file(&path).unwrap()
}

fn read_at(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

#[test]
fn an_image_holds_what_went_in_and_says_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let image = built(folder.path());
    let mut file = File::open(&image.path).unwrap();
    let sectors = file.metadata().unwrap().len() / 512;
    assert_eq!(file.metadata().unwrap().len(), image.bytes);
    assert_eq!(image.bytes % 4096, 0);

    let primary = read_at(&file, 512, gpt::TABLE_BYTES);
    let backup = read_at(&file, (sectors - gpt::TABLE_SECTORS) * 512, gpt::TABLE_BYTES);
    let table = gpt::decode_primary(&primary).unwrap();
    assert_eq!(gpt::decode_backup(&backup, sectors).unwrap(), table);
    assert_eq!(table.disk, SHIPPED_DISK);
    let names: Vec<_> = table.partitions.values().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, ["config", "esp", "root-a"]);
    assert!(contract::mbr::announces_gpt(&read_at(&file, 0, 512)));

    let (_, root_a) = table.by_name("root-a").unwrap();
    assert_eq!(read_at(&file, root_a.offset(), 25_077), root());

    let (_, esp) = table.by_name("esp").unwrap();
    let fat = fat::open(Window::new(file.try_clone().unwrap(), esp.offset(), esp.bytes())).unwrap();
    assert_eq!(fat.fat_type(), fatfs::FatType::Fat32);
    assert_eq!(fat.read_volume_label_from_root_dir().unwrap().as_deref(), Some("CLOUDY-ESP"));
    for (path, content) in esp_files() {
        let mut found = Vec::new();
        fat.root_dir().open_file(&path).unwrap().read_to_end(&mut found).unwrap();
        assert_eq!(found, *content.read().unwrap(), "{path}");
    }
    drop(fat);

    let mut whole = Vec::new();
    file.read_to_end(&mut whole).unwrap();
    assert_eq!(Some(crate::digest::hex(&Sha256::digest(&whole))), image.sha256);
    // 577 MiB of which 5 or so are not empty.
    assert!(file.metadata().unwrap().blocks() * 512 < 16 << 20);
}

#[test]
fn the_same_twice_is_the_same() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (built(one.path()), built(two.path()));
    assert!(one.sha256.is_some());
    assert_eq!(one.sha256, two.sha256);
}

#[test]
fn a_former_image_is_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let first = built(folder.path());
    let second = built(folder.path());
    assert_eq!(second.sha256, first.sha256);
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(folder.path().join("out")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    while names().len() > 2 {
        std::thread::yield_now();
    }
    assert!(names().contains(&"x.img".to_owned()), "{:?}", names());
}

#[test]
fn without_sums_the_image_is_the_same_and_the_bmap_names_the_same_blocks() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (summed, plain) = (built(one.path()), built_with(two.path(), false));
    assert_eq!(plain.sha256, None);
    assert_eq!(std::fs::read(&plain.path).unwrap(), std::fs::read(&summed.path).unwrap());
    let ranges = |image: &Image| -> Vec<String> {
        let text = std::fs::read_to_string(&image.bmap).unwrap();
        text.lines().filter(|line| line.contains("<Range")).map(|line| line.split('>').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(ranges(&plain), ranges(&summed));
    assert!(!std::fs::read_to_string(&plain.bmap).unwrap().contains("chksum"));
}

/// A card full of something else, written as the bmap says, is the same node: what is left out does not matter.
#[test]
fn a_card_written_by_the_bmap_over_old_content_is_as_good() {
    let folder = tempfile::tempdir().unwrap();
    let image = built(folder.path());
    let map = std::fs::read_to_string(&image.bmap).unwrap();
    let source = File::open(&image.path).unwrap();
    let card_path = folder.path().join("card");
    let card = File::options().read(true).write(true).create_new(true).open(&card_path).unwrap();
    card.set_len(image.bytes).unwrap();
    // Old content where it would hurt: all of the first partition's tables and free space, and before them.
    card.write_all_at(&vec![0xa5; 66 << 20], 0).unwrap();
    let mut mapped = 0;
    for range in map.lines().filter(|line| line.contains("<Range")) {
        let blocks = range.split('>').nth(1).unwrap().split('<').next().unwrap().trim();
        let (first, last) = blocks.split_once('-').unwrap_or((blocks, blocks));
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let end = ((last + 1) * 4096).min(image.bytes);
        let content = read_at(&source, first * 4096, usize::try_from(end - first * 4096).unwrap());
        assert!(range.contains(&crate::digest::hex(&Sha256::digest(&content))), "{range}");
        card.write_all_at(&content, first * 4096).unwrap();
        mapped += last - first + 1;
    }
    assert!(map.contains(&format!("<MappedBlocksCount> {mapped} <")), "{map}");
    assert!(mapped * 4096 < 16 << 20, "{map}");
    let table = gpt::decode_primary(&read_at(&card, 512, gpt::TABLE_BYTES)).unwrap();
    let (_, config) = table.by_name("config").unwrap();
    let fat = fat::open(Window::new(card.try_clone().unwrap(), config.offset(), config.bytes())).unwrap();
    let mut names: Vec<_> = fat.root_dir().iter().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["README.txt", "cloudy.toml.example"]);
    fat::put_top(&fat, "cloudy.toml", b"hostname = \"x\"\n").unwrap();
    let mut text = String::new();
    fat.root_dir().open_file("cloudy.toml").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hostname = \"x\"\n");
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let small = vec![("x".to_owned(), bytes(&[1; 4]))];
    let part = config_part(&small, &folder.path().join("config")).unwrap();
    let too_large = Part { bytes: (64 << 20) + 1, ..part.clone() };
    let missing = Part { file: folder.path().join("absent"), bytes: 4096, used: 4096 };
    let out = folder.path().join("out");
    let cut = Part { used: part.used + 1, bytes: part.bytes + 1, ..root_part(folder.path(), &root()) };
    for (summed, parts) in [
        (true, vec![(Role::Config, too_large), (Role::Esp, part.clone()), (Role::RootA, part.clone())]),
        (true, vec![(Role::Config, part.clone()), (Role::Esp, part.clone()), (Role::RootA, missing)]),
        (true, vec![(Role::Config, part.clone()), (Role::Esp, part.clone()), (Role::RootA, cut.clone())]),
        (false, vec![(Role::Config, part.clone()), (Role::Esp, part.clone()), (Role::RootA, cut)]),
        (true, vec![(Role::Config, part.clone()), (Role::RootA, part.clone())]),
        (true, vec![(Role::Config, part.clone())]),
    ] {
        assert!(assemble(&Partitions { layout: Layout::Uefi, parts }, &out.join("x.img"), summed).is_err());
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
    }
    let twice = vec![("x".to_owned(), bytes(b"1")), ("X".to_owned(), bytes(b"2"))];
    assert!(config_part(&twice, &folder.path().join("config")).is_err());
    let large = vec![("x".to_owned(), bytes(&vec![1; 65 << 20]))];
    assert!(config_part(&large, &folder.path().join("config")).is_err());
}

/// A real full disk: a small tmpfs, mounted in a user namespace around this very test.
#[test]
fn a_full_disk_is_said_plainly_and_leaves_nothing() {
    const INSIDE: &str = "CLOUDY_TEST_FULL_DISK";
    if let Some(full) = std::env::var_os(INSIDE) {
        let folder = tempfile::tempdir().unwrap();
        let root = root_part(folder.path(), &vec![1; 30 << 20]);
        let parts = vec![
            (Role::Config, config_part(&[], &folder.path().join("config")).unwrap()),
            (Role::Esp, esp_part(&[], &folder.path().join("esp")).unwrap()),
            (Role::RootA, root),
        ];
        for summed in [true, false] {
            let parts = parts.clone();
            let error = assemble(&Partitions { layout: Layout::Uefi, parts }, &Path::new(&full).join("x.img"), summed).unwrap_err();
            assert!(error.to_string().contains("is full: make room there"), "{error:#}");
        }
        assert_eq!(std::fs::read_dir(&full).unwrap().count(), 0);
        return;
    }
    let full = tempfile::tempdir().unwrap();
    let (exe, path) = (std::env::current_exe().unwrap(), full.path());
    let name = "image::tests::a_full_disk_is_said_plainly_and_leaves_nothing";
    let script = r#"mount -t tmpfs -o size=16m tmpfs "$1" && exec env "$2=$1" "$3" --exact "$4""#;
    let shell = xshell::Shell::new().unwrap();
    let command = xshell::cmd!(shell, "unshare --user --map-root-user --mount sh -c {script} sh {path} {INSIDE} {exe} {name}");
    crate::cmd::read(command).unwrap();
}

fn pi(folder: &Path) -> Partitions {
    let files = vec![("linux".to_owned(), bytes(&[9; 300_000])), ("dtb/bcm2837-rpi-3-b.dtb".to_owned(), bytes(&[3; 21_000]))];
    let parts = vec![
        (Role::Config, config_part(&config_files("# nothing\n"), &folder.join("config")).unwrap()),
        (Role::State, state_part(&folder.join("state")).unwrap()),
        (Role::BootA, boot_part(&files, &folder.join("boot-a")).unwrap()),
        (Role::BootB, empty_boot_part(&folder.join("boot-b")).unwrap()),
        (Role::RootA, root_part(folder, &[1; 5000])),
    ];
    Partitions { layout: Layout::Uboot, parts }
}

#[test]
fn a_pis_card_has_a_hybrid_mbr_and_slot_a_confirmed_everywhere() {
    use contract::state::{RECORD_BYTES, RESERVED_SECTORS, Seen, State};
    let folder = tempfile::tempdir().unwrap();
    let image = assemble(&pi(folder.path()), &folder.path().join("x.img"), true).unwrap();
    let file = File::open(&image.path).unwrap();
    let table = gpt::decode_primary(&read_at(&file, 512, gpt::TABLE_BYTES)).unwrap();
    let names: Vec<_> = table.partitions.values().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, ["config", "state", "boot-a", "boot-b", "root-a"]);
    let mbr = read_at(&file, 0, 512);
    // The first entry is the FAT32 that the Pi's boot ROM reads; the second hides the GPT, from sector 1 on.
    assert_eq!((mbr[450], mbr[466], &mbr[470..474]), (0x0c, 0xee, &[1, 0, 0, 0][..]));
    let seen = Seen::read(|place| {
        let (_, partition) = table.by_name(place.label()).unwrap();
        read_at(&file, partition.offset() + place.sector() * 512, RECORD_BYTES).try_into().ok()
    });
    assert!(seen.records.iter().all(Option::is_some));
    assert!(seen.heal(contract::boot::Slot::A).is_empty());
    assert_eq!(seen.state(), State::SHIPPED);
    assert!(!seen.was_confirmed(contract::boot::Slot::B));

    let (_, boot) = table.by_name("boot-a").unwrap();
    let reserved = u16::from_le_bytes(read_at(&file, boot.offset() + 14, 2).try_into().unwrap());
    assert!(u64::from(reserved) >= RESERVED_SECTORS);
    let fat = fat::open(Window::new(file.try_clone().unwrap(), boot.offset(), boot.bytes())).unwrap();
    assert_eq!(fat.fat_type(), fatfs::FatType::Fat32);
    let mut found = Vec::new();
    fat.root_dir().open_file("dtb/bcm2837-rpi-3-b.dtb").unwrap().read_to_end(&mut found).unwrap();
    assert_eq!(found, vec![3; 21_000]);
    // 579 MiB of which nearly nothing is there; but what a former life of the card could leave is written over.
    assert!(file.metadata().unwrap().blocks() * 512 < 4 << 20);
    let map = std::fs::read_to_string(&image.bmap).unwrap();
    for label in ["state", "boot-b"] {
        let (_, partition) = table.by_name(label).unwrap();
        let block = partition.offset() / 4096;
        let mapped = map.lines().filter(|line| line.contains("<Range")).any(|range| {
            let blocks = range.split('>').nth(1).unwrap().split('<').next().unwrap().trim();
            let (first, last) = blocks.split_once('-').unwrap_or((blocks, blocks));
            (first.parse::<u64>().unwrap()..=last.parse().unwrap()).contains(&block)
        });
        assert!(mapped, "{label}: {map}");
    }
}

#[test]
fn the_same_pi_twice_is_the_same() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sums = [&one, &two].map(|folder| assemble(&pi(folder.path()), &folder.path().join("x.img"), true).unwrap().sha256);
    assert_eq!(sums[0], sums[1]);
}
