//! File systems that are written, read back by another reader.

use std::collections::BTreeSet;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::Window;

const PLAN: FatPlan = FatPlan { label: "TEST", volume_id: 0x1234_abcd, bytes: 64 << 20, cluster_bytes: 512 };

fn made(files: &[(String, Content)]) -> Result<(tempfile::NamedTempFile, Part)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let part = build(&PLAN, files, file.path())?;
    Ok((file, part))
}

fn opened(part: &Part) -> Fat {
    let file = OpenOptions::new().read(true).write(true).open(&part.file).unwrap();
    open(Window::new(file, 0, part.bytes)).unwrap()
}

fn bytes(bytes: impl AsRef<[u8]>) -> Content {
    Content::Bytes(bytes.as_ref().into())
}

#[test]
fn folders_have_the_entries_that_other_systems_check() {
    let (_file, part) = made(&[("one/two/x".to_owned(), bytes("x"))]).unwrap();
    let disk = File::open(&part.file).unwrap();
    let geometry = Geometry::new(&PLAN).unwrap();
    let entry = |cluster: u32, index: u64| {
        let mut entry = [0; ENTRY_BYTES];
        disk.read_exact_at(&mut entry, geometry.offset(cluster) + index * ENTRY_BYTES as u64).unwrap();
        entry
    };
    // 2 is the top, 3 is `one`, 4 is `two`.
    assert_eq!(entry(2, 0)[..12], *b"TEST       \x08");
    for (own, above) in [(3, 0), (4, 3)] {
        assert_eq!((entry(own, 0)[..11].to_vec(), entry(own, 0)[26]), (b".          ".to_vec(), own as u8));
        assert_eq!((entry(own, 1)[..11].to_vec(), entry(own, 1)[26]), (b"..         ".to_vec(), above));
    }
    assert_eq!(geometry.offset(2) % 4096, 0);
}

#[test]
fn names_that_old_systems_know_need_no_second_one() {
    let mut aliases = Aliases::default();
    let short = |entries: Vec<u8>| String::from_utf8(entries[entries.len() - 32..][..11].to_vec()).unwrap();
    assert_eq!(aliases.entries("BOOTX64.EFI").len(), 32);
    assert_eq!(aliases.entries("BOOT").len(), 32);
    assert_eq!(short(aliases.entries("grubx64.efi")), "GRUBX6~1EFI");
    assert_eq!(short(aliases.entries("grubx64 b.efi")), "GRUBX6~2EFI");
    assert_eq!(short(aliases.entries(".hidden")), "HIDDEN~1   ");
    assert_eq!(short(aliases.entries("cloudy-x+3.conf")), "CLOUDY~1CON");
    assert_eq!(aliases.entries("a name of twenty-six chars").len(), 3 * 32);
    assert_eq!(aliases.entries("a name of twenty-seven char").len(), 4 * 32);
}

#[test]
fn bad_names_and_double_ones_are_refused() {
    for paths in [&["a", "A"][..], &["a", "a/b"], &["A/b", "a/c"], &["a//b"], &[""], &["a."], &["a?b"], &["/a"]] {
        let files: Vec<_> = paths.iter().map(|path| ((*path).to_owned(), bytes("x"))).collect();
        assert!(made(&files).is_err(), "{paths:?}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(65 << 20).unwrap();
    let content = Content::Slice { file: file.path().to_owned().into(), offset: 0, len: 65 << 20 };
    let error = made(&[("large".to_owned(), content)]).unwrap_err();
    assert!(format!("{error:?}").contains("Full"), "{error:?}");
    let plan = FatPlan { cluster_bytes: 4096, ..PLAN };
    assert!(build(&plan, &[], file.path()).is_err());
}

#[test]
fn a_file_can_be_put_beside_and_replaced_in_place() {
    let (_file, part) = made(&[("README.txt".to_owned(), bytes("read"))]).unwrap();
    for text in ["hostname = \"a\"\n", "short\n"] {
        put_top(&opened(&part), "cloudy.toml", text.as_bytes()).unwrap();
        let files = read_all(&opened(&part)).unwrap();
        assert_eq!(files[1], ("cloudy.toml".to_owned(), text.as_bytes().to_vec()));
        assert_eq!(files.len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn another_reader_finds_all_files(
        files in proptest::collection::btree_map("([a-cA-C]{1,9}/){0,3}[a-zA-Zé+~ -]{0,30}[a-z](\\.[a-z]{1,4})?", 0..9000usize, 0..40),
    ) {
        let mut names = BTreeSet::new();
        let mut spelling = BTreeMap::new();
        let files: Vec<(String, Vec<u8>)> = files
            .into_iter()
            // No two that differ in case only, no file that is also a folder.
            .filter(|(path, _)| path.match_indices('/').map(|(at, _)| at).chain([path.len()]).all(|at| {
                let part = &path[..at];
                let kind = (part.to_owned(), at == path.len());
                *spelling.entry(part.to_lowercase()).or_insert_with(|| kind.clone()) == kind
            }))
            .filter(|(path, _)| names.insert(path.to_lowercase()))
            .map(|(path, len)| { let content = path.bytes().cycle().take(len).collect(); (path, content) })
            .collect();
        let input: Vec<_> = files.iter().map(|(path, content)| (path.clone(), bytes(content))).collect();
        let (_file, part) = made(&input).unwrap();
        let fat = opened(&part);
        prop_assert_eq!(read_all(&fat).unwrap(), files);
        let free = fat.stats().unwrap().free_clusters();
        // The count in the info sector is right, and all that is used lies before `used`.
        let mut table = vec![0; 129_000 * 4];
        let geometry = Geometry::new(&PLAN).unwrap();
        File::open(&part.file).unwrap().read_exact_at(&mut table, geometry.reserved * SECTOR_BYTES).unwrap();
        let used = table.chunks_exact(4).skip(2).filter(|entry| **entry != [0; 4]).count();
        prop_assert_eq!(used as u32, geometry.clusters - free);
        prop_assert_eq!(part.used, geometry.offset(2 + used as u32));
    }
}

#[test]
fn it_is_written_as_a_sparse_file() {
    use std::os::unix::fs::MetadataExt;
    let (mut file, part) = made(&[]).unwrap();
    file.flush().unwrap();
    assert_eq!(file.as_file().metadata().unwrap().len(), part.bytes);
    assert!(file.as_file().metadata().unwrap().blocks() * 512 < 1 << 20);
}
