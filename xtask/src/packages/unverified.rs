//! Indexes that do not match their signed list (a mirror in the middle of a sync), copied on purpose: `cargo xtask lock --unverified`.
//!
//! Only the suites that are affected are taken from the copy; the lock names the indexes, and no release is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use super::http;
use super::sources::{Place, Source};
use crate::digest::hex;

/// The most bytes that an index may have, packed or not: Debian's largest has 60 MB.
const MAX_INDEX_BYTES: u64 = 400 << 20;
/// Fields of a suite's Release file that tell apt how to rank it.
const RELEASE_FIELDS: [&str; 8] = ["Origin", "Label", "Suite", "Codename", "Version", "Date", "NotAutomatic", "ButAutomaticUpgrades"];

/// A copy of suites on disk, as an archive whose Release files fit what is there; gone when dropped.
pub struct Copy {
    folder: tempfile::TempDir,
    /// The indexes that were not verified: `SOURCE dists/…/Packages.xz`.
    pub indexes: BTreeSet<String>,
    /// What was copied: source key → suites.
    suites: BTreeMap<String, BTreeSet<String>>,
}

impl Copy {
    /// Copies every suite that one of the `unmatched` urls belongs to.
    pub fn make(places: &[Place], arch: &str, unmatched: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cloudy-unverified-").tempdir()?;
        let mut copy = Self { folder, indexes: BTreeSet::new(), suites: BTreeMap::new() };
        for url in unmatched {
            let (place, path) = belongs(places, url).with_context(|| format!("{url} belongs to no source"))?;
            copy.indexes.insert(format!("{} {path}", place.key));
            let suite = path.split('/').nth(1).unwrap_or_default();
            if copy.suites.entry(place.key.clone()).or_default().insert(suite.to_owned()) {
                copy.suite(place, suite, arch)?;
            }
        }
        Ok(copy)
    }

    /// Where the copy lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn suite(&self, place: &Place, suite: &str, arch: &str) -> Result<()> {
        let from = format!("{}/dists/{suite}", place.source.url);
        let folder = self.folder.path().join(&place.key).join("dists").join(suite);
        let signed = get(&format!("{from}/InRelease"))?.with_context(|| format!("{from}/InRelease is not there"))?;
        let mut release = ranking(&String::from_utf8_lossy(&signed));
        let _ = write!(release, "Architectures: {arch}\nComponents: {}\nSHA256:\n", place.source.components.join(" "));
        for component in &place.source.components {
            let inside = format!("{component}/binary-{arch}/Packages");
            let packages = index(&format!("{from}/{inside}"))?;
            let _ = writeln!(release, " {} {} {inside}", hex(&Sha256::digest(&packages)), packages.len());
            let path = folder.join(&inside);
            std::fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            std::fs::write(&path, packages)?;
        }
        std::fs::write(folder.join("Release"), release)?;
        Ok(())
    }
}

/// `places` with the copied suites taken from the copy, and all others from where they were.
pub fn replaced(places: &[Place], copy: &Copy) -> Vec<Place> {
    let mut all = Vec::new();
    for place in places {
        let Some(copied) = copy.suites.get(&place.key) else {
            all.push(place.clone());
            continue;
        };
        let url = format!("copy:{}", copy.folder().join(&place.key).display());
        let (there, rest): (Vec<_>, Vec<_>) = place.source.suites.iter().cloned().partition(|suite| copied.contains(suite));
        let with = |suites, url, keys| Place { key: place.key.clone(), source: Source { url, suites, keys, ..place.source.clone() } };
        if !rest.is_empty() {
            all.push(with(rest, place.source.url.clone(), place.source.keys.clone()));
        }
        all.push(with(there, url, Vec::new()));
    }
    all
}

/// The place that a url of an index belongs to, and the path below it: `dists/SUITE/COMPONENT/binary-ARCH/Packages.xz`.
fn belongs<'p, 'u>(places: &'p [Place], url: &'u str) -> Option<(&'p Place, &'u str)> {
    places.iter().find_map(|place| {
        let path = url.strip_prefix(&place.source.url)?.strip_prefix('/')?;
        let (suite, rest) = path.strip_prefix("dists/")?.split_once('/')?;
        let component = rest.split('/').next()?;
        let known =
            place.source.suites.iter().any(|known| known == suite) && place.source.components.iter().any(|known| known == component);
        known.then_some((place, path))
    })
}

/// The lines of a Release file that rank a suite.
fn ranking(release: &str) -> String {
    release
        .lines()
        .filter(|line| line.split_once(": ").is_some_and(|(field, _)| RELEASE_FIELDS.contains(&field)))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// An index, unpacked: `.xz` or plain, whichever is there.
fn index(url: &str) -> Result<Vec<u8>> {
    if let Some(packed) = get(&format!("{url}.xz"))? {
        let mut plain = Vec::new();
        let reader = lzma_rust2::XzReader::new(packed.as_slice(), true);
        reader.take(MAX_INDEX_BYTES).read_to_end(&mut plain).with_context(|| format!("failed to unpack {url}.xz"))?;
        return Ok(plain);
    }
    get(url)?.with_context(|| format!("neither {url}.xz nor {url} is there"))
}

/// What is at `url`; `None`: nothing is.
fn get(url: &str) -> Result<Option<Vec<u8>>> {
    let mut response = http::agent(1).get(url).call().with_context(|| format!("failed to fetch {url}"))?;
    match response.status().as_u16() {
        200 => {
            let mut reader = response.body_mut().with_config().limit(MAX_INDEX_BYTES).reader();
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).with_context(|| format!("failed to fetch {url}"))?;
            Ok(Some(bytes))
        }
        404 | 410 => Ok(None),
        status => bail!("{url} answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: &str, url: &str) -> Place {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let source = Source { url: url.to_owned(), suites: words(&["s", "s-more"]), components: words(&["main"]), keys: vec!["k".into()] };
        Place { key: key.to_owned(), source }
    }

    #[test]
    fn an_index_belongs_to_the_source_and_suite_that_have_it() {
        let places = [place("a", "http://m/debian"), place("b", "http://m/debian-security")];
        let (found, path) = belongs(&places, "http://m/debian-security/dists/s-more/main/binary-armhf/Packages.xz").unwrap();
        assert_eq!((found.key.as_str(), path), ("b", "dists/s-more/main/binary-armhf/Packages.xz"));
        for foreign in ["http://m/debian/dists/x/main/binary-armhf/Packages", "http://m/debian/dists/s/contrib/binary-armhf/Packages"] {
            assert!(belongs(&places, foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn only_the_copied_suites_lose_their_keys() {
        let copy = Copy {
            folder: tempfile::tempdir().unwrap(),
            indexes: BTreeSet::new(),
            suites: BTreeMap::from([("a".to_owned(), BTreeSet::from(["s".to_owned()]))]),
        };
        let places = replaced(&[place("a", "http://m/a"), place("b", "http://m/b")], &copy);
        let list: Vec<_> =
            places.iter().map(|place| (place.key.as_str(), place.source.suites.join(" "), place.source.keys.len())).collect();
        assert_eq!(list, [("a", "s-more".to_owned(), 1), ("a", "s".to_owned(), 0), ("b", "s s-more".to_owned(), 1)]);
        assert!(places[1].source.url.starts_with("copy:/") && places[0].source.url == "http://m/a");
    }

    #[test]
    fn the_rank_of_a_suite_is_kept_and_its_hashes_are_not() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: s\nNotAutomatic: yes\nSHA256:\n 00 5 main/x\n";
        assert_eq!(ranking(text), "Suite: s\nNotAutomatic: yes\n");
    }
}
