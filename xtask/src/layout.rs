//! What packages ship, laid over each other, and the twin's delta over that: the configured tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::board::Arch;
use crate::digest::Key;
use crate::kept;
use crate::packages::cache::Cache;
use crate::packages::data::{self, DataEntry};
use crate::packages::deb::Deb;
use crate::packages::lock::LockedPackage;
use crate::parallel;
use crate::plan::Plan;
use crate::tree::merge::FRAME_PACKAGE;
use crate::tree::{Origin, Tree};
use crate::twin::rewrite::Rewrite;
use crate::twin::{Delta, foreign, rules};

/// The sources of all that decides what is carried over: what another version of them kept is not used.
const RULES: [&str; 6] = [
    include_str!("layout.rs"),
    include_str!("twin/derived.rs"),
    include_str!("twin/foreign.rs"),
    include_str!("twin/rewrite.rs"),
    include_str!("twin/rules.rs"),
    include_str!("twin/scripts.rs"),
];

/// A package of the cache, opened: its control part, and its files as places in its tar.
#[derive(Debug)]
struct Opened {
    deb: Deb,
    tar: PathBuf,
    entries: Vec<DataEntry>,
}

/// Packages by sha256: one that twin and target share is opened once.
type Library = BTreeMap<String, Arc<Opened>>;

/// The plan's packages and the twin's delta, laid over each other. `packages` are the plan's, all in the cache.
pub fn configured(cache: &Cache, plan: &Plan, packages: &[LockedPackage], delta: &Delta) -> Result<Tree> {
    let foreign = plan.arch != Arch::Amd64;
    let place = place(plan, packages, delta);
    let kept = if foreign { kept::load(&place) } else { None };
    let library = open(cache, packages.iter().chain(plan.twin.iter().filter(|_| foreign && kept.is_none())))?;
    let mut tree = lay(&library, packages.iter())?;
    let carried = match kept {
        Some(carried) => carried,
        None => {
            let entries = data::data_entries(&delta.tar)?;
            let entries: Vec<_> = entries.into_iter().filter(|entry| rules::left_out(&entry.path).is_none()).collect();
            if foreign {
                let carried = carry(&library, plan, &tree, packages, delta, entries)
                    .with_context(|| format!("the twin's configuration does not fit {}", plan.arch))?;
                kept::store(&place, &carried)?;
                carried
            } else {
                foreign::Carried { entries, ..Default::default() }
            }
        }
    };
    tree.apply_delta(&delta.tar, &carried.entries, &carried.contents(&tree)?)?;
    rules::normalise(&mut tree, plan.epoch)?;
    Ok(tree)
}

/// What packages ship, laid over each other, and nothing else. All are in the cache.
pub fn shipped(cache: &Cache, packages: &[LockedPackage]) -> Result<Tree> {
    lay(&open(cache, packages.iter())?, packages.iter())
}

/// Where the carried delta stands: beside the twin's, named by it, the target's packages and the rules themselves.
fn place(plan: &Plan, packages: &[LockedPackage], delta: &Delta) -> PathBuf {
    let mut key = Key::new("carried 2");
    RULES.iter().for_each(|rules| key.put(rules.as_bytes()));
    key.put(delta.tar.file_name().unwrap_or_default().as_encoded_bytes());
    key.put(plan.arch.debian().as_bytes());
    packages.iter().filter(|package| !package.payload).for_each(|package| key.put(package.sha256.as_bytes()));
    delta.tar.with_file_name(format!("{}.carried", key.finish()))
}

/// The delta as it fits the plan's architecture. `target` holds what its packages ship.
fn carry(
    library: &Library,
    plan: &Plan,
    target: &Tree,
    packages: &[LockedPackage],
    delta: &Delta,
    entries: Vec<DataEntry>,
) -> Result<foreign::Carried> {
    let rewrite = Rewrite::new(Arch::Amd64, plan.arch);
    let configured = packages.iter().filter(|package| !package.payload);
    let twin_debs = debs(library, plan.twin.iter())?;
    let debs = debs(library, configured)?;
    foreign::check_packages(&twin_debs, &debs, rewrite)?;
    let twin = lay(library, plan.twin.iter())?;
    let side = |debs, tree| foreign::Side { debs, tree };
    foreign::carry(&delta.tar, entries, &side(&twin_debs, &twin), &side(&debs, target), rewrite)
}

/// Opens packages, as many at a time as there are processors.
fn open<'p>(cache: &Cache, packages: impl Iterator<Item = &'p LockedPackage>) -> Result<Library> {
    let mut seen = BTreeSet::new();
    let each: Vec<&LockedPackage> = packages.filter(|package| seen.insert(package.sha256.as_str())).collect();
    let library = Mutex::new(Library::new());
    parallel::for_each(&each, parallel::processors(), |package| {
        let tar = data::data_tar(cache, package)?;
        let entries = data::data_entries(&tar)?;
        let deb = Deb::open(&cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?)?;
        let opened = Arc::new(Opened { deb, tar, entries });
        library.lock().unwrap_or_else(PoisonError::into_inner).insert(package.sha256.clone(), opened);
        Ok(())
    })?;
    Ok(library.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn of<'l>(library: &'l Library, package: &LockedPackage) -> Result<&'l Opened> {
    library.get(&package.sha256).map(Arc::as_ref).with_context(|| format!("{} was not opened", package.title()))
}

fn debs<'l, 'p>(library: &'l Library, packages: impl Iterator<Item = &'p LockedPackage>) -> Result<BTreeMap<&'p str, &'l Deb>> {
    packages.map(|package| Ok((package.name.as_str(), &of(library, package)?.deb))).collect()
}

/// Lays packages over each other in their order, the frame first.
fn lay<'p>(library: &Library, packages: impl Iterator<Item = &'p LockedPackage>) -> Result<Tree> {
    let mut tree = Tree::default();
    let (frame, rest): (Vec<_>, Vec<_>) = packages.partition(|package| package.name == FRAME_PACKAGE);
    for package in frame.into_iter().chain(rest) {
        let opened = of(library, package)?;
        let replaces: BTreeSet<String> =
            opened.deb.control.relations("Replaces").into_iter().flatten().map(|relation| relation.name).collect();
        let origin = Origin::Package { name: package.name.clone(), version: package.version.clone() };
        tree.lay_package(&opened.tar, &opened.entries, &origin, &replaces)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::testing::{ar_of, locked, put_deb, tar_of};
    use tar::EntryType::{Directory, Regular};

    /// Puts a package with one file, whose folder has this mode, into the cache; `more` are further control fields.
    fn package(cache: &Cache, name: &str, mode: u32, path: &str, content: &str, more: &str) -> LockedPackage {
        let control = format!("Package: {name}\nVersion: 1.0-1\nArchitecture: all\n{more}Description: test\n");
        let control = tar_of(&[("./", Directory, 0o755, "", b""), ("./control", Regular, 0o644, "", control.as_bytes())]);
        let data = tar_of(&[
            ("./", Directory, 0o755, "", b""),
            ("./etc", Directory, mode, "", b""),
            (path, Regular, 0o644, "", content.as_bytes()),
        ]);
        let deb = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)]);
        let package = locked(name, &deb);
        put_deb(cache, &package, &deb);
        package
    }

    fn content(tree: &Tree, path: &str) -> String {
        match &tree.get(path).unwrap().kind {
            crate::tree::Kind::File(content) => String::from_utf8(content.read().unwrap().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_frame_is_laid_first_and_replaces_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let first = package(&cache, "aaa", 0o700, "./etc/a", "first", "");
        let frame = package(&cache, FRAME_PACKAGE, 0o755, "./etc/debian_version", "13", "");
        let heir = package(&cache, "heir", 0o755, "./etc/a", "heir", "Replaces: aaa (<< 2), other\n");
        let tree = shipped(&cache, &[first.clone(), frame.clone(), heir]).unwrap();
        assert_eq!(tree.get("etc").unwrap().mode, 0o755, "the frame's");
        assert_eq!(tree.get("etc").unwrap().origin, Origin::Package { name: FRAME_PACKAGE.to_owned(), version: "1.0-1".to_owned() });
        assert_eq!(content(&tree, "etc/a"), "heir");
        let stranger = package(&cache, "stranger", 0o755, "./etc/a", "stranger", "Breaks: aaa\n");
        let error = shipped(&cache, &[first, frame.clone(), stranger.clone()]).unwrap_err().to_string();
        assert!(error.starts_with("/etc/a is shipped by package aaa 1.0-1 and, otherwise, by package stranger 1.0-1"), "{error}");
        // One that is not there is named.
        std::fs::remove_file(cache.deb(&stranger).unwrap()).unwrap();
        std::fs::remove_file(cache.tar(&stranger).unwrap()).unwrap();
        let error = format!("{:#}", shipped(&cache, &[frame, stranger]).unwrap_err());
        assert!(error.contains("stranger 1.0-1 (all) is not in the cache"), "{error}");
    }
}
