//! The lock: the one list of packages that a build reads. Made by `cargo xtask lock`, committed, readable in a diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::text::{is_package_name, is_pool_path, is_sha256, is_version, is_word};
use crate::board::{ParseError, parse};
use crate::digest::Key;

/// The largest .deb that a lock may name.
const MAX_DEB_BYTES: u64 = 4 << 30;

/// A checked lock: packages sorted by name and architecture, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Seconds since 1970: the newest Date of the Release files that the lock was made from. The time of every file of an image.
    pub epoch: u64,
    /// The hash ([`asked`]) of what it was made from; `None` in a lock of before there was one.
    pub asked: Option<String>,
    /// Indexes that did not match their signed list when the lock was made from them on purpose: `SOURCE dists/…/Packages.xz`.
    /// Nothing vouches for the hashes of packages that stand in them alone, so that no release is made from such a lock.
    pub unverified: Vec<String>,
    /// The packages.
    pub packages: Vec<LockedPackage>,
}

/// One package of a lock: all that is needed to fetch it and to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// Debian's architecture, or `all`.
    pub arch: String,
    /// sha256 of the .deb, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// The key of images/sources.toml that it comes from.
    pub source: String,
    /// Its path below the source's url.
    pub path: String,
    /// Laid out, never configured; its Depends were not followed.
    pub payload: bool,
    /// The suite that a board asked for it from (`name/suite`), where that is not the one that apt would take. Payload of
    /// one name may stand in a lock once for each suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
}

impl LockedPackage {
    /// How errors and lists name it: `name version arch`.
    pub fn title(&self) -> String {
        format!("{} {} ({})", self.name, self.version, self.arch)
    }

    /// What boards and flavours call it: `name`, or `name/suite`.
    pub fn asked_as(&self) -> String {
        self.suite.as_ref().map_or_else(|| self.name.clone(), |suite| format!("{}/{suite}", self.name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLock {
    epoch: u64,
    asked: Option<Spanned<String>>,
    #[serde(default)]
    unverified: Vec<Spanned<String>>,
    #[serde(default)]
    package: Vec<RawPackage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    arch: Spanned<String>,
    source: Spanned<String>,
    path: Spanned<String>,
    size: Spanned<u64>,
    sha256: Spanned<String>,
    #[serde(default)]
    payload: bool,
    suite: Option<Spanned<String>>,
}

/// Where the lock of a flavour for an architecture stands in the repo.
pub fn flavour_lock(repo: &Path, flavour: &str, arch: &str) -> PathBuf {
    repo.join("images/os").join(flavour).join(format!("{arch}.lock"))
}

/// The hash of what a flavour asks for, whatever its order. What its boards ask for beyond that (kernels and payload) is not
/// in it: a board takes those from the lock by name, so that one lock serves boards of added trees too.
pub fn asked(packages: &[String], providers: &BTreeMap<String, String>) -> Key {
    let mut key = Key::new("asked 1");
    let packages: BTreeSet<&String> = packages.iter().collect();
    key.put(&(packages.len() as u64).to_le_bytes());
    packages.into_iter().for_each(|name| key.put(name.as_bytes()));
    for word in providers.iter().flat_map(|(name, provider)| [name, provider]) {
        key.put(word.as_bytes());
    }
    key
}

impl Lock {
    /// Reads and checks the lock at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the lock {} (make it with `cargo xtask lock`)", path.display()))?;
        Self::parse(&text, path)
    }

    /// Checks the text of a lock; `file` is for errors, which carry line and column.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let raw: RawLock = parse(file, text)?;
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut packages = Vec::with_capacity(raw.package.len());
        for package in raw.package {
            let at = |span: Range<usize>, what: String| ParseError::at(file, text, span, what);
            check(&package.name, "a package name", |name| is_package_name(name), at)?;
            check(&package.version, "a Debian version", |version| is_version(version), at)?;
            check(&package.arch, "an architecture", |arch| is_word(arch), at)?;
            check(&package.source, "a key of images/sources.toml", |source| is_word(source), at)?;
            check(&package.path, "a relative path of a .deb below its source", |path| is_pool_path(path) && path.ends_with(".deb"), at)?;
            check(&package.sha256, "a sha256 in lower-case hexadecimal", |hash| is_sha256(hash), at)?;
            check(&package.size, "a size of a .deb in bytes", |size| (1..=MAX_DEB_BYTES).contains(size), at)?;
            if let Some(suite) = &package.suite {
                check(suite, "a suite of payload", |suite| is_word(suite) && package.payload, at)?;
            }
            let suite = package.suite.map(Spanned::into_inner);
            let span = package.name.span();
            let arch = package.arch.into_inner();
            let name = package.name.into_inner();
            // The same name for two architectures is Multi-Arch in a tools tree; anything else is one package twice.
            let asked = suite.as_ref().map_or_else(|| name.clone(), |suite| format!("{name}/{suite}"));
            let twice =
                seen.contains_key(&format!("{asked} {arch}")) || seen.get(&asked).is_some_and(|other| other == "all" || arch == "all");
            if twice {
                return Err(at(span, format!("package `{name}` stands here a second time")).into());
            }
            seen.insert(format!("{asked} {arch}"), arch.clone());
            seen.insert(asked, arch.clone());
            packages.push(LockedPackage {
                name,
                version: package.version.into_inner(),
                arch,
                sha256: package.sha256.into_inner(),
                size: package.size.into_inner(),
                source: package.source.into_inner(),
                path: package.path.into_inner(),
                payload: package.payload,
                suite,
            });
        }
        for name in &raw.unverified {
            let at = |span: Range<usize>, what: String| ParseError::at(file, text, span, what);
            check(
                name,
                "`SOURCE dists/…/Packages`",
                |name| name.split_once(' ').is_some_and(|(key, path)| is_word(key) && is_pool_path(path)),
                at,
            )?;
        }
        if let Some(asked) = &raw.asked {
            let at = |span: Range<usize>, what: String| ParseError::at(file, text, span, what);
            check(asked, "a sha256 in lower-case hexadecimal", |hash| is_sha256(hash), at)?;
        }
        let unverified = raw.unverified.into_iter().map(Spanned::into_inner).collect();
        let mut lock = Self { epoch: raw.epoch, asked: raw.asked.map(Spanned::into_inner), unverified, packages };
        lock.sort();
        Ok(lock)
    }

    /// Puts the packages in the order of the file.
    pub fn sort(&mut self) {
        self.packages.sort_by(|a, b| (&a.name, &a.arch, &a.suite).cmp(&(&b.name, &b.arch, &b.suite)));
    }

    /// The package called `name` or `name/suite` (of any architecture).
    pub fn get(&self, name: &str) -> Option<&LockedPackage> {
        let (name, suite) = name.split_once('/').map_or((name, None), |(name, suite)| (name, Some(suite)));
        self.packages.iter().find(|package| package.name == name && package.suite.as_deref() == suite)
    }

    /// Bytes of all .debs.
    pub fn total_bytes(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    /// The text of the lock file.
    pub fn render(&self) -> String {
        let mut lock = self.clone();
        lock.sort();
        let mut text = format!("# Made by `cargo xtask lock`: change image.toml or a family, then run it again.\nepoch = {}\n", lock.epoch);
        if let Some(asked) = &lock.asked {
            let _ = writeln!(
                text,
                "# The hash of what was asked for: builds refuse a lock that was made from other packages or providers.\nasked = \"{asked}\""
            );
        }
        if !lock.unverified.is_empty() {
            text.push_str(
                "# Made on purpose from indexes that did not match their signed list; no release is made from this lock.\nunverified = [\n",
            );
            for name in &lock.unverified {
                let _ = writeln!(text, "    \"{name}\",");
            }
            text.push_str("]\n");
        }
        for package in &lock.packages {
            let LockedPackage { name, version, arch, sha256, size, source, path, payload, suite } = package;
            // Checked words only, so that no value needs an escape.
            let _ = write!(
                text,
                "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\narch = \"{arch}\"\nsource = \"{source}\"\n\
                 path = \"{path}\"\nsize = {size}\nsha256 = \"{sha256}\"\n"
            );
            if *payload {
                text.push_str("payload = true\n");
            }
            if let Some(suite) = suite {
                let _ = writeln!(text, "suite = \"{suite}\"");
            }
        }
        text
    }

    /// Writes the lock aside and renames it into place. What would not be read back is refused.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.render();
        if Self::parse(&text, path)?.packages.len() != self.packages.len() {
            bail!("the lock for {} would not be read back as it is", path.display());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)).tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().with_context(|| format!("failed to write the lock {}", path.display()))
    }
}

/// Refuses `value` unless `good` says yes.
fn check<T: std::fmt::Display>(
    value: &Spanned<T>,
    wanted: &str,
    good: impl FnOnce(&T) -> bool,
    at: impl FnOnce(Range<usize>, String) -> ParseError,
) -> Result<(), ParseError> {
    if good(value.as_ref()) {
        return Ok(());
    }
    Err(at(value.span(), format!("`{}` is not {wanted}", value.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, arch: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: "1:2.3+b1-4~deb13u1".to_owned(),
            arch: arch.to_owned(),
            sha256: "ab".repeat(32),
            size: 7,
            source: "debian".to_owned(),
            path: format!("pool/main/{name}_2.3_{arch}.deb"),
            payload: name == "zz",
            suite: None,
        }
    }

    fn parse(text: &str) -> Result<Lock> {
        Lock::parse(text, Path::new("x.lock"))
    }

    #[test]
    fn what_is_written_is_read_back_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/amd64.lock");
        let lock = Lock {
            epoch: 1_700_000_000,
            asked: Some("cd".repeat(32)),
            packages: vec![package("zz", "amd64"), package("aa", "all")],
            ..Lock::default()
        };
        lock.write(&path).unwrap();
        let back = Lock::read(&path).unwrap();
        assert_eq!(back.packages, [package("aa", "all"), package("zz", "amd64")]);
        assert_eq!((back.epoch, &back.asked), (lock.epoch, &lock.asked));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), back.render());
        // Written aside: who holds the old file sees it whole.
        let old = folder.path().join("old");
        std::fs::hard_link(&path, &old).unwrap();
        Lock { epoch: 1_800_000_000, ..lock }.write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), back.render());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn errors_name_the_place() {
        let good = Lock { epoch: 1, packages: vec![package("aa", "amd64")], ..Lock::default() }.render();
        for (from, to, wanted) in [
            ("epoch = 1", "epoch = 1\nextra = 2", "x.lock:3:1: unknown key `extra`"),
            ("epoch = 1", "epoch = 1\nasked = \"aa\"", "x.lock:3:9: `aa` is not a sha256"),
            ("size = 7", "size = 0", "x.lock:10:8: `0` is not a size"),
            ("pool/main", "pool/../main", "x.lock:9:8: `pool/../main/aa_2.3_amd64.deb` is not a relative path"),
            ("\"pool", "\"/pool", "x.lock:9:8: `/pool"),
            ("name = \"aa\"", "name = \"a a\"", "x.lock:5:8: `a a` is not a package name"),
            ("arch = \"amd64\"", "arch = \"amd64\"\nhue = 1", "unknown key `hue`"),
            ("abab\"", "ABAB\"", "is not a sha256"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn payload_of_one_name_stands_once_for_each_suite() {
        let of_suite = |suite: Option<&str>| LockedPackage { suite: suite.map(str::to_owned), ..package("zz", "arm64") };
        let lock = Lock {
            epoch: 1,
            unverified: vec!["a dists/s/main/binary-armhf/Packages.xz".to_owned()],
            packages: vec![of_suite(None), of_suite(Some("s"))],
            ..Lock::default()
        };
        assert_eq!(parse(&lock.render()).unwrap(), lock);
        assert_eq!((lock.get("zz"), lock.get("zz/s"), lock.get("zz/t")), (lock.packages.first(), lock.packages.get(1), None));
        let twice = Lock { packages: vec![of_suite(Some("s")), of_suite(Some("s"))], ..lock.clone() };
        assert!(parse(&twice.render()).unwrap_err().to_string().contains("a second time"));
        assert!(parse(&lock.render().replace("\"a dists", "\"a /dists")).is_err());
    }

    #[test]
    fn what_was_asked_for_has_one_hash_in_any_order() {
        let hash = |packages: &[&str], providers: &[(&str, &str)]| {
            let packages: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
            asked(&packages, &providers.iter().map(|(name, provider)| ((*name).to_owned(), (*provider).to_owned())).collect()).finish()
        };
        let first = hash(&["a", "b"], &[("awk", "mawk")]);
        assert_eq!(first, hash(&["b", "a"], &[("awk", "mawk")]));
        for other in [
            hash(&["a"], &[("awk", "mawk")]),
            hash(&["a", "b", "c"], &[("awk", "mawk")]),
            hash(&["a", "b"], &[("awk", "gawk")]),
            hash(&["a", "b"], &[]),
            hash(&["a", "b", "awk", "mawk"], &[]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_name_stands_once_per_architecture() {
        let text = |packages| Lock { epoch: 1, packages, ..Lock::default() }.render();
        let error = parse(&text(vec![package("aa", "amd64"), package("aa", "amd64")])).unwrap_err().to_string();
        assert!(error.contains("x.lock:14:8: package `aa` stands here a second time"), "{error}");
        assert!(parse(&text(vec![package("aa", "all"), package("aa", "amd64")])).is_err());
        assert!(parse(&text(vec![package("aa", "arm64"), package("aa", "amd64")])).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn mutated_locks_never_panic(at in 0usize..400, byte in 0u8..128) {
            let mut bytes = Lock { epoch: 1, packages: vec![package("aa", "amd64"), package("zz", "all")], ..Lock::default() }.render().into_bytes();
            let len = bytes.len();
            bytes[at % len] = byte;
            let _ = parse(&String::from_utf8(bytes).unwrap());
        }
    }
}
