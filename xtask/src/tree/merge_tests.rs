//! Packages, delta and overlay laid over each other: each rule once, and what holds for any trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use tar::EntryType::{Char, Directory, Link, Regular, Symlink};

use super::{Content, Entry, Kind, Origin, Tree};
use crate::packages::data::{DataEntry, data_entries};
use crate::packages::testing::{TarEntry, tar_of};
use crate::tree::erofs::write_tar;
use crate::tree::testing::{entry, file, folder, link, paths, tree};

/// A tar on disk with its entries.
fn packed(bytes: &[u8]) -> (tempfile::NamedTempFile, Vec<DataEntry>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let entries = data_entries(file.path()).unwrap();
    (file, entries)
}

fn origin(name: &str) -> Origin {
    Origin::Package { name: name.to_owned(), version: "1".to_owned() }
}

/// Lays a package of these entries; the tar goes along, since the tree refers to it.
fn lay(tree: &mut Tree, name: &str, entries: &[TarEntry], replaces: &[&str]) -> Result<tempfile::NamedTempFile, String> {
    let (tar, entries) = packed(&tar_of(entries));
    let replaces: BTreeSet<String> = replaces.iter().map(|name| (*name).to_owned()).collect();
    tree.lay_package(tar.path(), &entries, &origin(name), &replaces).map_err(|error| format!("{error:#}"))?;
    Ok(tar)
}

fn content(tree: &Tree, path: &str) -> Vec<u8> {
    match &tree.get(path).unwrap().kind {
        Kind::File(content) => content.read().unwrap().to_vec(),
        other => panic!("/{path} is {other:?}"),
    }
}

/// Kind with content, mode, owner, group and extended attributes of an entry.
type Facts = (String, u32, u32, u32, BTreeMap<String, Vec<u8>>);

/// What a tree is, origins apart.
fn facts(tree: &Tree) -> BTreeMap<String, Facts> {
    let kind = |path: &str, entry: &Entry| match &entry.kind {
        Kind::File(_) => format!("file {:?}", content(tree, path)),
        other => format!("{other:?}"),
    };
    tree.iter().map(|(path, entry)| (path.clone(), (kind(path, entry), entry.mode, entry.uid, entry.gid, entry.xattrs.clone()))).collect()
}

#[test]
fn two_packages_with_different_files_at_one_path_are_an_error_that_names_both() {
    let usr: TarEntry = ("./usr", Directory, 0o755, "", b"");
    let others: [TarEntry; 5] = [
        ("./usr/a", Regular, 0o644, "", b"other"),
        ("./usr/a", Symlink, 0o777, "b", b""),
        ("./usr/a", Directory, 0o755, "", b""),
        ("./usr/a", Link, 0o644, "./usr/b", b""),
        ("./usr/a", Char, 0o666, "", b""),
    ];
    for other in others {
        let mut tree = Tree::default();
        let _one = lay(&mut tree, "one", &[usr, ("./usr/a", Regular, 0o644, "", b"one")], &[]).unwrap();
        let before = facts(&tree);
        let error = lay(&mut tree, "two", &[usr, other], &["third"]).unwrap_err();
        assert!(error.starts_with("/usr/a is shipped by package one 1 and, otherwise, by package two 1: leave one"), "{error}");
        assert_eq!(facts(&tree), before);
        let error = {
            let mut tree = Tree::default();
            let _two = lay(&mut tree, "two", &[usr, other], &[]).unwrap();
            lay(&mut tree, "one", &[usr, ("./usr/a", Regular, 0o644, "", b"one")], &[]).unwrap_err()
        };
        assert!(error.starts_with("/usr/a is shipped by package two 1"), "{error}");
    }
}

#[test]
fn what_replaces_names_wins_and_the_same_file_twice_is_the_first_one_s() {
    let mut tree = Tree::default();
    let _one = lay(&mut tree, "one", &[("./a", Regular, 0o644, "", b"one"), ("./b", Regular, 0o644, "", b"same")], &[]).unwrap();
    let two: [TarEntry; 2] = [("./a", Regular, 0o755, "", b"two"), ("./b", Regular, 0o600, "", b"same")];
    let _two = lay(&mut tree, "two", &two, &["one"]).unwrap();
    assert_eq!((content(&tree, "a"), tree.get("a").unwrap().mode), (b"two".to_vec(), 0o755));
    assert_eq!(tree.get("a").unwrap().origin, origin("two"));
    assert_eq!((&tree.get("b").unwrap().origin, tree.get("b").unwrap().mode), (&origin("one"), 0o644));
}

#[test]
fn a_folder_that_is_there_keeps_its_mode_and_owner() {
    let mut tree = Tree::default();
    let _one = lay(&mut tree, "base-files", &[("./tmp", Directory, 0o1777, "", b"")], &[]).unwrap();
    let _two = lay(&mut tree, "two", &[("./tmp", Directory, 0o755, "", b""), ("./tmp/x", Regular, 0o644, "", b"")], &[]).unwrap();
    let there = tree.get("tmp").unwrap();
    assert_eq!((there.mode, &there.origin), (0o1777, &origin("base-files")));
    assert_eq!(paths(&tree), ["tmp", "tmp/x"]);
}

#[test]
fn what_lies_below_merged_folders_lands_in_usr() {
    let mut tree = Tree::default();
    let frame: [TarEntry; 2] = [("./lib", Symlink, 0o777, "usr/lib", b""), ("./usr", Directory, 0o755, "", b"")];
    let _frame = lay(&mut tree, "base-files", &frame, &[]).unwrap();
    let old: [TarEntry; 5] = [
        ("./lib", Directory, 0o755, "", b""),
        ("./lib/a", Regular, 0o644, "", b"a"),
        ("./lib/again", Link, 0o644, "./lib/a", b""),
        ("./library", Directory, 0o755, "", b""),
        ("./sbin/b", Regular, 0o755, "", b"b"),
    ];
    let _old = lay(&mut tree, "old", &old, &[]).unwrap();
    assert_eq!(paths(&tree), ["lib", "library", "usr", "usr/lib/a", "usr/lib/again", "usr/sbin/b"]);
    assert!(matches!(&tree.get("lib").unwrap().kind, Kind::Symlink(target) if target == "usr/lib"));
    assert!(matches!(&tree.get("usr/lib/again").unwrap().kind, Kind::Hardlink(target) if target == "usr/lib/a"));
    // In the other order the link takes the folder's place.
    let mut other = Tree::default();
    let _old = lay(&mut other, "old", &old, &[]).unwrap();
    let _frame = lay(&mut other, "base-files", &frame, &[]).unwrap();
    assert_eq!(facts(&other), facts(&tree));
    // A conflict is one by either name.
    let error = lay(&mut tree, "new", &[("./usr/lib/a", Regular, 0o644, "", b"new")], &[]).unwrap_err();
    assert!(error.starts_with("/usr/lib/a is shipped by package old 1"), "{error}");
}

/// Applies a delta that is the tar of this tree.
fn apply(tree: &mut Tree, delta: &Tree) -> tempfile::NamedTempFile {
    let mut bytes = Vec::new();
    write_tar(delta, 7, &mut bytes).unwrap();
    let (tar, entries) = packed(&bytes);
    tree.apply_delta(tar.path(), &entries, &BTreeMap::new()).unwrap();
    tar
}

fn whiteout() -> Entry {
    entry(Kind::CharDevice(0, 0), 0)
}

fn opaque() -> Entry {
    Entry { xattrs: BTreeMap::from([("user.overlay.opaque".to_owned(), b"y".to_vec())]), ..folder() }
}

#[test]
fn a_whiteout_removes_a_path_and_all_below_it() {
    let mut all = tree(&[("a", folder()), ("a/b", folder()), ("a/b/c", file("c")), ("a/bc", file("bc")), ("d", file("d"))]);
    let _tar = apply(&mut all, &tree(&[("a", folder()), ("a/b", whiteout()), ("d", whiteout()), ("e", whiteout())]));
    assert_eq!(paths(&all), ["a", "a/bc"]);
    // Another device is one.
    let _tar = apply(&mut all, &tree(&[("null", entry(Kind::CharDevice(1, 3), 0o666))]));
    assert!(matches!(all.get("null").unwrap().kind, Kind::CharDevice(1, 3)));
}

#[test]
fn an_opaque_folder_hides_what_was_in_it() {
    let mut all = tree(&[("a", folder()), ("a/old", file("old")), ("ab", file("ab"))]);
    let _tar = apply(&mut all, &tree(&[("a", opaque()), ("a/new", file("new"))]));
    assert_eq!(paths(&all), ["a", "a/new", "ab"]);
    assert!(all.get("a").unwrap().xattrs.is_empty(), "the overlay's own mark is no part of the tree");
}

#[test]
fn a_file_over_a_folder_takes_all_of_it_away_and_a_folder_over_a_file_stands() {
    let mut all = tree(&[("a", folder()), ("a/b", file("b")), ("f", file("f")), ("l", folder()), ("l/x", file("x"))]);
    let _tar = apply(&mut all, &tree(&[("a", file("now a file")), ("f", folder()), ("f/in", file("in")), ("l", link("a"))]));
    assert_eq!(paths(&all), ["a", "f", "f/in", "l"]);
    assert_eq!(content(&all, "a"), b"now a file");
}

#[test]
fn a_delta_is_named_where_it_changes_something_and_keeps_capabilities_alone() {
    let shipped = |entry: Entry| Entry { origin: origin("one"), ..entry };
    let mut all = tree(&[("etc", shipped(folder())), ("etc/a", shipped(file("a"))), ("etc/b", shipped(file("b")))]);
    let mut changed = file("a");
    changed.mode = 0o600;
    changed.gid = 42;
    changed.xattrs = BTreeMap::from([("security.capability".to_owned(), vec![1, 0, 255]), ("user.note".to_owned(), b"n".to_vec())]);
    let _tar = apply(&mut all, &tree(&[("etc", folder()), ("etc/a", changed), ("etc/b", file("B")), ("lib/c", file("c"))]));
    let of = |path: &str| all.get(path).unwrap();
    assert_eq!((&of("etc/a").origin, of("etc/a").mode, of("etc/a").gid), (&origin("one"), 0o600, 42), "the package's bytes, another mode");
    assert_eq!(of("etc/a").xattrs, BTreeMap::from([("security.capability".to_owned(), vec![1, 0, 255])]));
    assert_eq!((&of("etc").origin, &of("etc/b").origin, &of("usr/lib/c").origin), (&origin("one"), &Origin::Delta, &Origin::Delta));
}

#[test]
fn contents_of_the_carried_delta_stand_in_the_place_of_the_tar_s() {
    let mut bytes = Vec::new();
    write_tar(&tree(&[("a", file("amd64")), ("b", file("b"))]), 7, &mut bytes).unwrap();
    let (tar, entries) = packed(&bytes);
    let mut all = Tree::default();
    let contents = BTreeMap::from([("a".to_owned(), Content::Bytes(b"arm64"[..].into()))]);
    all.apply_delta(tar.path(), &entries, &contents).unwrap();
    assert_eq!((content(&all, "a"), content(&all, "b")), (b"arm64".to_vec(), b"b".to_vec()));
}

#[test]
fn an_overlay_is_root_s_with_modes_from_the_executable_bit() {
    use std::os::unix::fs::PermissionsExt;
    let repo = tempfile::tempdir().unwrap();
    let top = repo.path().join("overlay/common");
    std::fs::create_dir_all(top.join("etc/new")).unwrap();
    for (path, mode) in [("etc/a", 0o664), ("etc/new/run", 0o750), ("etc/kept", 0o600)] {
        std::fs::write(top.join(path), path).unwrap();
        std::fs::set_permissions(top.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(top.join("etc/new"), PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("/dev/null", top.join("etc/off")).unwrap();
    let there = Entry { mode: 0o1777, gid: 5, ..folder() };
    let mut all = tree(&[("etc", there), ("etc/kept", Entry { uid: 9, ..file("shipped") })]);
    all.lay_overlay(repo.path(), Path::new("overlay/common")).unwrap();
    all.lay_overlay(repo.path(), Path::new("overlay/absent")).unwrap();
    let mode = |path: &str| (all.get(path).unwrap().mode, all.get(path).unwrap().uid, all.get(path).unwrap().gid);
    assert_eq!(paths(&all), ["etc", "etc/a", "etc/kept", "etc/new", "etc/new/run", "etc/off"]);
    assert_eq!(mode("etc"), (0o1777, 0, 5), "a folder that is there stays as it is");
    assert_eq!([mode("etc/a"), mode("etc/kept"), mode("etc/new"), mode("etc/new/run")].map(|mode| mode.0), [0o644, 0o644, 0o755, 0o755]);
    assert_eq!((content(&all, "etc/kept"), mode("etc/kept").1), (b"etc/kept".to_vec(), 0));
    assert!(matches!(&all.get("etc/off").unwrap().kind, Kind::Symlink(target) if target == "/dev/null"));
    assert_eq!(all.get("etc/a").unwrap().origin, Origin::Overlay("overlay/common/etc/a".to_owned()));
}

/// Small trees of folders, files, links and devices, parents of all there.
fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(None),
        "[a-b]{0,2}".prop_map(|text| Some(file(text))),
        "[a-b]".prop_map(|target| Some(link(&target))),
        Just(Some(entry(Kind::CharDevice(1, 3), 0o666))),
    ];
    let one = ("[a-c](/[a-c]){0,3}", leaf, prop_oneof![Just(0o755), Just(0o700)], 0_u32..3);
    prop::collection::vec(one, 0..14).prop_map(|all| {
        let mut tree = Tree::default();
        for (path, leaf, mode, uid) in all {
            let below_a_file =
                path.match_indices('/').any(|(at, _)| tree.get(&path[..at]).is_some_and(|e| !matches!(e.kind, Kind::Directory)));
            if below_a_file || tree.get(&path).is_some() {
                continue;
            }
            for (at, _) in path.match_indices('/') {
                if tree.get(&path[..at]).is_none() {
                    tree.insert(path[..at].to_owned(), folder());
                }
            }
            let made = leaf.unwrap_or_else(folder);
            tree.insert(path, Entry { mode, uid, ..made });
        }
        tree
    })
}

/// What an overlay's upper half holds once `from` has become `to`; with `opaque`, folders were made anew.
fn difference(from: &Tree, to: &Tree, anew: bool) -> Tree {
    let is_folder = |entry: Option<&Entry>| entry.is_some_and(|entry| matches!(entry.kind, Kind::Directory));
    let (before, after) = (facts(from), facts(to));
    let mut delta = Tree::default();
    for (path, entry) in to.iter() {
        let parent_anew = anew && path.contains('/');
        if anew && is_folder(Some(entry)) && is_folder(from.get(path)) {
            delta.insert(path.clone(), Entry { xattrs: opaque().xattrs, ..entry.clone() });
        } else if parent_anew || before.get(path) != after.get(path) {
            delta.insert(path.clone(), entry.clone());
        }
    }
    for (path, _) in from.iter().filter(|(path, _)| to.get(path).is_none()) {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        let hidden = anew && parent.is_some();
        if !hidden && parent.is_none_or(|parent| is_folder(to.get(parent))) {
            delta.insert(path.clone(), whiteout());
        }
    }
    delta
}

proptest! {
    #[test]
    fn the_delta_of_a_difference_gives_the_target(from in trees(), to in trees(), anew in any::<bool>()) {
        let delta = difference(&from, &to, anew);
        if delta.iter().next().is_none() {
            prop_assert_eq!(facts(&from), facts(&to));
            return Ok(());
        }
        let mut tree = from.clone();
        let _tar = apply(&mut tree, &delta);
        prop_assert_eq!(facts(&tree), facts(&to));
    }

    /// Packages whose files lie apart, in folders that they share; whatever their order, the frame first.
    #[test]
    fn the_order_of_packages_without_conflict_changes_nothing(
        all in trees(), owners in prop::collection::vec(0_usize..4, 64), order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let mut packages = vec![Tree::default(); 4];
        for ((path, entry), owner) in all.iter().zip(owners) {
            for (number, package) in packages.iter_mut().enumerate() {
                if number == owner || matches!(entry.kind, Kind::Directory) {
                    package.insert(path.clone(), entry.clone());
                }
            }
        }
        let lay_all = |order: &[usize]| {
            let (mut tree, mut tars) = (Tree::default(), Vec::new());
            for number in order.iter().filter(|number| packages[**number].iter().next().is_some()) {
                let mut bytes = Vec::new();
                write_tar(&packages[*number], 7, &mut bytes).unwrap();
                let (tar, entries) = packed(&bytes);
                tree.lay_package(tar.path(), &entries, &origin(&number.to_string()), &BTreeSet::new()).unwrap();
                tars.push(tar);
            }
            let owners: Vec<(String, Origin)> = tree
                .iter()
                .filter(|(_, entry)| !matches!(entry.kind, Kind::Directory))
                .map(|(path, entry)| (path.clone(), entry.origin.clone()))
                .collect();
            (facts(&tree), owners)
        };
        let (first, second) = (lay_all(&[0, 1, 2, 3]), lay_all(&order));
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(first.0, facts(&all));
    }
}
