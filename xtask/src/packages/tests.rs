//! Packages end to end: real files, real sockets, and everything that goes wrong with them.

use std::path::Path;

use proptest::prelude::*;

use super::cache::Cache;
use super::data::{DataKind, data_entries, data_tar, prepare};
use super::deb::Deb;
use super::fetch::{Fetched, fetch};
use super::lock::{Lock, LockedPackage, flavour_lock};
use super::sources::Sources;
use super::testing::{Answer, Server, TarEntry, ar_of, compress, deb_of, locked, tar_of};

/// A fresh cache, a package and its .deb.
fn one() -> (tempfile::TempDir, Cache, LockedPackage, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    // Of a size that no buffer holds whole.
    let content: Vec<u8> = (0..700_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let deb = deb_of("one", ".gz", &content);
    let package = locked("one", &deb);
    (folder, cache, package, deb)
}

fn fetch_one(package: &LockedPackage, cache: &Cache, server: &Server) -> Result<Fetched, String> {
    fetch(std::slice::from_ref(package), cache, &server.sources(), None).map_err(|error| format!("{error:#}"))
}

#[test]
fn many_are_fetched_once_and_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let suffixes = ["", ".gz", ".xz", ".zst"];
    let debs: Vec<(String, Vec<u8>)> = (0..24)
        .map(|number| (format!("p{number:02}"), number))
        .map(|(name, number)| (name.clone(), deb_of(&name, suffixes[number % 4], name.repeat(number * 100).as_bytes())))
        .collect();
    let packages: Vec<LockedPackage> = debs.iter().map(|(name, deb)| locked(name, deb)).collect();
    let served = debs.clone();
    let server = Server::start(move |path, from, _| {
        let deb = served.iter().find(|(name, _)| path == format!("/pool/{name}_1.0-1+b1_all.deb"));
        deb.map_or(Answer::new(404, b""), |(_, deb)| Answer::file(deb, from))
    });
    let done = fetch(&packages, &cache, &server.sources(), None).unwrap();
    assert_eq!((done.packages, done.replaced), (24, 0));
    assert_eq!(fetch(&packages, &cache, &server.sources(), None).unwrap(), Fetched::default());
    assert_eq!(server.requests().len(), 24, "the second time nothing is asked for");
    prepare(&packages, &cache).unwrap();
    for (number, package) in packages.iter().enumerate() {
        let tar = cache.tar(package).unwrap();
        let entries = data_entries(&tar).unwrap();
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let file = format!("usr/share/{}", package.name);
        assert_eq!(paths, ["", "usr", "usr/share", &file, "usr/share/again", "usr/bin", "usr/null"]);
        let DataKind::File { offset, len } = entries[3].kind else { panic!("{:?}", entries[3]) };
        let bytes = std::fs::read(&tar).unwrap();
        assert_eq!(bytes[offset as usize..(offset + len) as usize], *package.name.repeat(number * 100).as_bytes());
        assert_eq!((entries[3].mode, entries[3].gid, entries[3].gname.as_deref()), (0o4755, 42, Some("shadow")));
        assert_eq!(entries[4].kind, DataKind::Hardlink(file));
        assert_eq!(entries[5].kind, DataKind::Symlink("../elsewhere".to_owned()));
        assert_eq!(entries[6].kind, DataKind::Char(1, 3));
        let opened = Deb::open(&cache.deb(package).unwrap()).unwrap();
        assert_eq!(opened.members["postinst"], (0o755, b"#!/bin/sh\n".to_vec()));
    }
}

#[test]
fn a_tampered_deb_in_the_cache_is_fetched_again_with_its_tar() {
    let (_folder, cache, package, deb) = one();
    let good = deb.clone();
    let server = Server::start(move |_, from, _| Answer::file(&good, from));
    fetch_one(&package, &cache, &server).unwrap();
    let tar = data_tar(&cache, &package).unwrap();
    let path = cache.deb(&package).unwrap();
    let mut bad = deb.clone();
    bad[70] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let sentence = format!("warning: {} in the cache is not what the lock says (tampered or damaged): fetched again", package.title());
    assert!(!crate::ui::said(&sentence));
    let done = fetch_one(&package, &cache, &server).unwrap();
    assert_eq!((done.packages, done.replaced), (1, 1));
    assert!(crate::ui::said(&sentence), "it is told which");
    assert_eq!(std::fs::read(&path).unwrap(), deb);
    assert!(!tar.exists(), "what was unpacked beside a damaged file is not believed either");
}

#[test]
fn a_broken_connection_is_resumed_within_a_run() {
    let (_folder, cache, package, deb) = one();
    let (size, half) = (deb.len(), deb.len() / 2);
    let server =
        Server::start(
            move |_, from, before| {
                if before == 0 { Answer { body: deb[..half].to_vec(), ..Answer::new(200, &deb) } } else { Answer::file(&deb, from) }
            },
        );
    fetch_one(&package, &cache, &server).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].1.is_some_and(|from| from > 0 && from <= half && from < size), "{requests:?}");
}

#[test]
fn an_interrupted_run_is_resumed_by_the_next() {
    let (_folder, cache, package, deb) = one();
    let part = cache.part_path(&package.sha256);
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &deb[..1000]).unwrap();
    let good = deb.clone();
    let server = Server::start(move |_, from, _| Answer::file(&good, from));
    fetch_one(&package, &cache, &server).unwrap();
    assert_eq!(server.requests()[0].1, Some(1000));
    assert_eq!(std::fs::read(cache.deb(&package).unwrap()).unwrap(), deb);
    assert!(!part.exists());
}

#[test]
fn a_damaged_part_is_thrown_away() {
    let (_folder, cache, package, deb) = one();
    let part = cache.part_path(&package.sha256);
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, vec![b'x'; 1000]).unwrap();
    let server = Server::start(move |_, from, _| Answer::file(&deb, from));
    fetch_one(&package, &cache, &server).unwrap();
    assert_eq!(server.requests().iter().map(|(_, from)| *from).collect::<Vec<_>>(), [Some(1000), None]);
}

#[test]
fn a_server_that_does_not_resume_starts_over() {
    let (_folder, cache, package, deb) = one();
    let part = cache.part_path(&package.sha256);
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &deb[..1000]).unwrap();
    let server = Server::start(move |_, _, _| Answer::file(&deb, None));
    fetch_one(&package, &cache, &server).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_left_the_mirror_is_named_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let packages: Vec<LockedPackage> = ["aa", "bb", "cc"].iter().map(|name| locked(name, &deb_of(name, "", b""))).collect();
    let server = Server::start(
        |path, from, _| {
            if path.contains("bb") { Answer::file(&deb_of("bb", "", b""), from) } else { Answer::new(404, b"no") }
        },
    );
    let error = fetch(&packages, &cache, &server.sources(), None).unwrap_err().to_string();
    assert!(error.contains("aa 1.0-1 (all) at test/pool/aa_1.0-1+b1_all.deb"), "{error}");
    assert!(error.contains("cargo xtask lock --update aa cc"), "{error}");
    assert!(cache.deb(&packages[1]).is_some(), "what is there is fetched all the same");
}

#[test]
fn another_file_is_refused_with_the_mirrors_hint() {
    let (_folder, cache, package, mut deb) = one();
    deb[100] ^= 1;
    let server = Server::start(move |_, from, _| Answer::file(&deb, from));
    let error = fetch_one(&package, &cache, &server).unwrap_err();
    assert!(error.contains("one 1.0-1 (all)") && error.contains("its sha256 differs") && error.contains("middle of a sync"), "{error}");
    assert!(cache.deb(&package).is_none());
}

#[test]
fn too_much_is_refused_announced_or_not() {
    let (_folder, cache, package, deb) = one();
    let mut long = deb;
    long.extend_from_slice(&[0; 5_000_000]);
    let body = long.clone();
    let announced = Server::start(move |_, from, _| Answer::file(&body, from));
    let error = fetch_one(&package, &cache, &announced).unwrap_err();
    assert!(error.contains("the lock says"), "{error}");
    let silent = Server::start(move |_, _, _| Answer { length: None, ..Answer::new(200, &long) });
    let error = fetch_one(&package, &cache, &silent).unwrap_err();
    assert!(error.contains("sends more than"), "{error}");
    assert!(!cache.part_path(&package.sha256).exists(), "nothing of it is kept");
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let (_folder, cache, package, deb) = one();
    let server = Server::start(move |_, from, before| if before < 2 { Answer::new(503, b"busy") } else { Answer::file(&deb, from) });
    fetch_one(&package, &cache, &server).unwrap();
    assert_eq!(server.requests().len(), 3);
    let (_folder, cache, package, _) = one();
    let server = Server::start(|_, _, _| Answer::new(503, b"busy"));
    let error = fetch_one(&package, &cache, &server).unwrap_err();
    assert!(error.contains("failed 4 times") && error.contains("answered 503"), "{error}");
}

#[test]
fn a_full_disk_is_said_as_such() {
    let (_folder, cache, package, deb) = one();
    let part = cache.part_path(&package.sha256);
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    // Every write to it fails for want of space.
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let server = Server::start(move |_, from, _| Answer::file(&deb, from));
    let error = fetch_one(&package, &cache, &server).unwrap_err();
    assert!(error.contains("is full: make room, or set CLOUDY_CACHE"), "{error}");
}

#[test]
fn a_kept_set_serves_by_hash_and_by_path_and_is_checked() {
    let debs = [deb_of("aa", ".xz", b"a"), deb_of("bb", "", b"b"), deb_of("cc", "", b"c")];
    let packages: Vec<LockedPackage> = ["aa", "bb", "cc"].iter().zip(&debs).map(|(name, deb)| locked(name, deb)).collect();
    let set = tempfile::tempdir().unwrap();
    std::fs::write(set.path().join(format!("{}.deb", packages[0].sha256)), &debs[0]).unwrap();
    let by_path = set.path().join(&packages[1].path);
    std::fs::create_dir_all(by_path.parent().unwrap()).unwrap();
    std::fs::write(&by_path, &debs[1]).unwrap();
    let server = Server::start(|_, _, _| Answer::new(500, b"never asked"));
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    assert_eq!(fetch(&packages[..2], &cache, &server.sources(), Some(set.path())).unwrap().packages, 2);
    let error = fetch(&packages, &cache, &server.sources(), Some(set.path())).unwrap_err().to_string();
    assert!(error.contains("are not in") && error.contains("cc 1.0-1"), "{error}");
    std::fs::write(set.path().join("cc_1.0-1+b1_all.deb"), b"wrong").unwrap();
    let error = format!("{:#}", fetch(&packages, &cache, &server.sources(), Some(set.path())).unwrap_err());
    assert!(error.contains("is not the file that the lock names"), "{error}");
    // Of the right length, and another file all the same.
    let mut other = debs[2].clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(set.path().join("cc_1.0-1+b1_all.deb"), other).unwrap();
    let error = format!("{:#}", fetch(&packages, &cache, &server.sources(), Some(set.path())).unwrap_err());
    assert!(error.contains("is not the file that the lock names"), "{error}");
    assert_eq!(cache.deb(&packages[2]), None);
    assert!(server.requests().is_empty());
}

#[test]
fn what_can_t_be_unpacked_leaves_no_tar() {
    let control = "Package: one\nVersion: 1.0-1\nArchitecture: all\nDescription: test\n";
    let control = tar_of(&[("./control", tar::EntryType::Regular, 0o644, "", control.as_bytes())]);
    let data = tar_of(&[("../x", tar::EntryType::Regular, 0o644, "", b"x")]);
    let deb = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)]);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let package = locked("one", &deb);
    let path = cache.deb_path(&package.sha256);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &deb).unwrap();
    assert!(format!("{:#}", data_tar(&cache, &package).unwrap_err()).contains("is not normal"));
    assert_eq!(cache.tar(&package), None);
}

/// The error of opening these bytes as a .deb.
fn open_error(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    format!("{:#}", Deb::open(file.path()).unwrap_err())
}

#[test]
fn broken_debs_say_what_is_broken() {
    let good = deb_of("one", ".gz", b"x");
    assert!(open_error(b"").contains("too short"));
    assert!(open_error(b"!<arch>!").contains("magic"));
    assert!(open_error(&good[..good.len() - 40]).contains("is cut"));
    assert!(open_error(&ar_of(&[("debian-binary", b"3.0\n")])).contains("not 2.x"));
    assert!(open_error(&ar_of(&[("x", b"")])).contains("not debian-binary"));
    assert!(open_error(&ar_of(&[("debian-binary", b"2.0\n"), ("control.tar.lz9", b"")])).contains("compressed in a way"));
    assert!(open_error(&ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", b"")])).contains("no data.tar"));
    let control = |entries: &[TarEntry]| ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &tar_of(entries)), ("data.tar", b"")]);
    assert!(open_error(&control(&[])).contains("no file `control`"));
    assert!(open_error(&control(&[("../control", tar::EntryType::Regular, 0, "", b"")])).contains("does not belong"));
    assert!(open_error(&control(&[("control", tar::EntryType::Symlink, 0, "/etc/shadow", b"")])).contains("does not belong"));
    let file: TarEntry = ("./control", tar::EntryType::Regular, 0, "", b"Package: x\n");
    assert!(open_error(&control(&[file, file])).contains("twice"));
}

#[test]
fn a_control_bomb_is_bounded() {
    let bomb = compress(".xz", &vec![0; 40 << 20]);
    assert!(bomb.len() < 1 << 20);
    let deb = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &bomb), ("data.tar", b"")]);
    assert!(open_error(&deb).contains("unpacks to more than"));
}

/// The error of reading a data tar of these entries.
fn data_error(entries: &[TarEntry]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &tar_of(entries)).unwrap();
    format!("{:#}", data_entries(file.path()).unwrap_err())
}

#[test]
fn hostile_data_is_refused() {
    for path in ["/etc/passwd", "../x", "./a/../../x", "a//b", "./a/./b", ".."] {
        let error = data_error(&[(path, tar::EntryType::Regular, 0o644, "", b"x")]);
        assert!(error.contains("is absolute") || error.contains("is not normal"), "{path}: {error}");
    }
    assert!(data_error(&[("./a", tar::EntryType::Link, 0o644, "../../etc/shadow", b"")]).contains("is not normal"));
    assert!(data_error(&[("./a", tar::EntryType::Fifo, 0o644, "", b"")]).contains("not supported"));
    assert!(data_error(&[("./a", tar::EntryType::Symlink, 0o644, "", b"")]).contains("link"));
    assert!(data_error(&[("./", tar::EntryType::Regular, 0o644, "", b"")]).contains("root is not a directory"));
    assert!(data_error(&[]).contains("holds nothing"));
}

#[test]
fn a_tar_that_a_crash_cut_short_is_noticed() {
    let whole = tar_of(&[("./", tar::EntryType::Directory, 0o755, "", b""), ("./a", tar::EntryType::Regular, 0o644, "", &[0; 9000])]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &whole).unwrap();
    assert_eq!(data_entries(file.path()).unwrap().len(), 2);
    for len in (0..whole.len() as u64).step_by(512) {
        file.as_file().set_len(len).unwrap();
        assert!(data_entries(file.path()).is_err(), "cut at {len} of {}", whole.len());
        std::fs::write(file.path(), &whole).unwrap();
    }
}

#[test]
fn a_lock_edited_by_hand_is_noticed() {
    let (_folder, cache, mut package, deb) = one();
    let server = Server::start(move |_, from, _| Answer::file(&deb, from));
    fetch_one(&package, &cache, &server).unwrap();
    package.version = "1.0-2".to_owned();
    let error = format!("{:#}", data_tar(&cache, &package).unwrap_err());
    assert!(error.contains("the lock says one 1.0-2 (all), but that .deb holds one 1.0-1 (all)"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is changed, cut or put in: an answer or an error, no panic, no endless work.
    #[test]
    fn mutated_debs_never_panic(
        suffix in prop::sample::select(vec!["", ".gz", ".xz", ".zst"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = deb_of("one", suffix, &[7; 3000]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.deb");
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(deb) = Deb::open(&path)
            && let Ok(mut data) = deb.data()
        {
            let mut tar = Vec::new();
            if std::io::Read::read_to_end(&mut std::io::Read::take(&mut data, 1 << 24), &mut tar).is_ok() {
                std::fs::write(&path, &tar).unwrap();
                let _ = data_entries(&path);
            }
        }
    }

    /// The same for the uncompressed tar alone, where every byte counts.
    #[test]
    fn mutated_tars_never_panic(changes in prop::collection::vec((0_usize..2048, any::<u8>()), 1..6)) {
        let mut bytes = tar_of(&[
            ("./", tar::EntryType::Directory, 0o755, "", b""),
            ("./a", tar::EntryType::Regular, 0o644, "", b"content"),
            ("./b", tar::EntryType::Symlink, 0o777, "a", b""),
        ]);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        if let Ok(entries) = data_entries(file.path()) {
            for entry in entries {
                prop_assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."));
                if let DataKind::File { offset, len } = entry.kind {
                    prop_assert!(offset + len <= bytes.len() as u64);
                }
            }
        }
    }
}

/// The whole of the committed locks, from the real mirror: some 530 MB, then the unpacking of all of it.
#[test]
#[ignore = "fetches every package of the committed locks; part of `cargo xtask test --full`"]
fn every_locked_package_is_fetched_and_read() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cache = Cache::open().unwrap();
    let sources = Sources::read(repo).unwrap();
    for path in [repo.join(crate::tools::LOCK), flavour_lock(repo, "standard", "amd64")] {
        let lock = Lock::read(&path).unwrap();
        let step = crate::ui::step(format!("Fetching {} packages of {}", lock.packages.len(), path.display()));
        eprintln!("{:?}", fetch(&lock.packages, &cache, &sources, None).unwrap());
        drop(step);
        let step = crate::ui::step("Checking them again");
        assert_eq!(fetch(&lock.packages, &cache, &sources, None).unwrap(), Fetched::default());
        drop(step);
        let step = crate::ui::step("Unpacking");
        prepare(&lock.packages, &cache).unwrap();
        drop(step);
        let step = crate::ui::step("Reading entries");
        let (mut count, mut bytes) = (0, 0);
        for package in &lock.packages {
            for entry in data_entries(&data_tar(&cache, package).unwrap()).unwrap() {
                count += 1;
                if let DataKind::File { len, .. } = entry.kind {
                    bytes += len;
                }
            }
        }
        drop(step);
        eprintln!("{count} entries, {bytes} bytes of files");
    }
}
