//! Locks made by the real apt from a small signed archive on loopback (`testdata/`), and everything that can be wrong with one.
//!
//! The host's apt is used: where there is none, these say so and pass (`cargo xtask lock` itself uses the tools tree's).

use std::collections::BTreeMap;
use std::path::Path;

use super::cache::Cache;
use super::lock::Lock;
use super::resolve::{Means, Update, Wanted, changes, pinned, resolve};
use super::sources::Sources;
use super::testing::{Answer, Server, deb_of, locked};

const IN_RELEASE: &str = include_str!("testdata/InRelease");
const PACKAGES: &str = include_str!("testdata/Packages");
/// 2026-01-01, as the archive's Release says.
const EPOCH: u64 = 1_767_225_600;

/// An archive that serves these two files.
fn archive(in_release: &'static str, packages: impl Into<String>) -> Server {
    let packages = packages.into();
    Server::start(move |path, _, _| match path {
        "/dists/test/InRelease" if !in_release.is_empty() => Answer::new(200, in_release.as_bytes()),
        "/dists/test/Release" if in_release.is_empty() => Answer::new(200, IN_RELEASE.as_bytes()),
        "/dists/test/main/binary-amd64/Packages" => Answer::new(200, packages.as_bytes()),
        _ => Answer::new(404, b""),
    })
}

fn sources(server: &Server, key: &str) -> Sources {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/packages/testdata");
    let text = format!("[test]\nurl = \"{}\"\nsuites = [\"test\"]\ncomponents = [\"main\"]\nkeys = [\"{key}\"]\n", server.url);
    let keys = if key == "key.gpg" { keys } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/keys") };
    Sources::parse(&text, Path::new("sources.toml"), &keys).unwrap()
}

fn wanted(packages: &[&str]) -> Wanted {
    Wanted {
        arch: "amd64".to_owned(),
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        providers: BTreeMap::from([("awk".to_owned(), "mawk".to_owned())]),
        kernels: std::iter::once("linux-image-test".to_owned()).collect(),
        payload: std::iter::once("blobs".to_owned()).collect(),
        file: "image.toml".to_owned(),
    }
}

/// Whether the host has apt.
fn apt() -> bool {
    let there = Path::new("/usr/bin/apt-get").exists();
    if !there {
        eprintln!("skipped: this host has no apt");
    }
    there
}

/// Resolves with an empty cache.
fn make(server: &Server, wanted: &Wanted, old: Option<&Lock>, update: &Update) -> Result<Lock, String> {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let sources = sources(server, "key.gpg");
    resolve(wanted, means(&sources, &cache), old, update).map_err(|error| format!("{error:#}"))
}

/// The host's apt.
fn means<'a>(sources: &'a Sources, cache: &'a Cache) -> Means<'a> {
    Means { sources, cache, tools: None, unverified: false, lists: None }
}

/// `name version` of each package, payload marked with a star.
fn list(lock: &Lock) -> Vec<String> {
    lock.packages.iter().map(|package| format!("{}{} {}", if package.payload { "*" } else { "" }, package.name, package.version)).collect()
}

#[test]
fn a_set_with_essential_packages_provider_and_payload() {
    if !apt() {
        return;
    }
    let lock = make(&archive(IN_RELEASE, PACKAGES), &wanted(&["app"]), None, &Update::All).unwrap();
    assert_eq!(
        list(&lock),
        ["app 1.1", "base 1.0", "*blobs 1.0", "lib 1.1", "*linux-image-1.0-test 1.0", "*linux-image-test 1.0", "mawk 1.0"]
    );
    assert_eq!(lock.epoch, EPOCH);
    let app = lock.get("app").unwrap();
    assert_eq!((app.source.as_str(), app.path.as_str(), app.size), ("test", "pool/app_1.1_amd64.deb", 1000));
}

#[test]
fn update_moves_what_is_named_alone() {
    if !apt() {
        return;
    }
    let server = archive(IN_RELEASE, PACKAGES);
    let mut old = make(&server, &wanted(&["app"]), None, &Update::All).unwrap();
    for package in &mut old.packages {
        if ["app", "lib"].contains(&package.name.as_str()) {
            package.version = "1.0".to_owned();
        }
    }
    let new = make(&server, &wanted(&["app"]), Some(&old), &Update::Only(vec!["lib".to_owned()])).unwrap();
    assert_eq!((new.get("app").unwrap().version.as_str(), new.get("lib").unwrap().version.as_str()), ("1.0", "1.1"));
    assert!(changes(Some(&old), &new).contains(&"~ lib 1.0 → 1.1".to_owned()));
    let error = make(&server, &wanted(&["app"]), Some(&old), &Update::Only(vec!["libb".to_owned()])).unwrap_err();
    assert!(error.contains("has no package `libb`; did you mean `lib`?"), "{error}");
    // The newer one needs a lib that is pinned below it.
    let error = make(&server, &wanted(&["app"]), Some(&old), &Update::Only(vec!["app".to_owned()])).unwrap_err();
    assert!(error.contains("app : Depends: lib (>= 1.1)"), "{error}");
}

#[test]
fn of_one_name_in_two_suites_only_the_named_one_moves() {
    let stable = locked("kernel", b"stable");
    let mut backport = locked("kernel", b"backport");
    backport.suite = Some("trixie-backports".to_owned());
    let old = Lock { epoch: EPOCH, unverified: Vec::new(), packages: vec![stable.clone(), backport.clone()] };
    let stays = |name: &str| pinned(Some(&old), &Update::Only(vec![name.to_owned()]));
    assert_eq!(stays("kernel").unwrap(), [backport]);
    assert_eq!(stays("kernel/trixie-backports").unwrap(), [stable]);
    let error = stays("kernel/trixie-backport").unwrap_err().to_string();
    assert!(error.contains("did you mean `kernel/trixie-backports`?"), "{error}");
}

#[test]
fn a_pinned_package_that_left_the_index_stays_if_it_is_in_the_cache() {
    if !apt() {
        return;
    }
    let server = archive(IN_RELEASE, PACKAGES);
    let mut old = make(&server, &wanted(&["app"]), None, &Update::All).unwrap();
    let deb = deb_of("app", ".xz", b"x");
    let gone = locked("app", &deb);
    *old.packages.iter_mut().find(|package| package.name == "app").unwrap() = gone.clone();
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let sources = sources(&server, "key.gpg");
    let update = Update::Only(vec!["blobs".to_owned()]);
    let moved = resolve(&wanted(&["app"]), means(&sources, &cache), Some(&old), &update).unwrap();
    assert_eq!(moved.get("app").unwrap().version, "1.1");
    let path = cache.deb_path(&gone.sha256);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, deb).unwrap();
    let stayed = resolve(&wanted(&["app"]), means(&sources, &cache), Some(&old), &update).unwrap();
    assert_eq!(stayed.get("app"), Some(&gone));
}

#[test]
fn names_and_choices_are_checked() {
    if !apt() {
        return;
    }
    let server = archive(IN_RELEASE, PACKAGES);
    let error = |wanted: &Wanted| make(&server, wanted, None, &Update::All).unwrap_err();
    let text = error(&wanted(&["apq"]));
    assert!(text.contains("image.toml names the package `apq`") && text.contains("did you mean `app`?"), "{text}");
    let text = error(&wanted(&["awk"]));
    assert!(text.contains("is virtual: name the one that is wanted of gawk, mawk"), "{text}");
    let text = error(&Wanted { providers: BTreeMap::new(), ..wanted(&["app"]) });
    assert!(text.contains("`base` needs `awk`, which gawk, mawk provide: choose one under [providers] of image.toml"), "{text}");
    let none = BTreeMap::from([("awk".to_owned(), "mawk".to_owned()), ("mta".to_owned(), "lib".to_owned())]);
    let text = error(&Wanted { providers: none, ..wanted(&["app"]) });
    assert!(text.contains("chooses `lib` for `mta`, which nothing needs"), "{text}");
    let payload = std::iter::once("lib".to_owned()).collect();
    let text = error(&Wanted { payload, ..wanted(&["app"]) });
    assert!(text.contains("`lib` is payload"), "{text}");
}

#[test]
fn contradictions_are_told_in_apts_words() {
    if !apt() {
        return;
    }
    let server = archive(IN_RELEASE, PACKAGES);
    let text = make(&server, &wanted(&["left", "right"]), None, &Update::All).unwrap_err();
    assert!(text.contains("Conflicts: right") && text.contains("image.toml"), "{text}");
    let text = make(&server, &wanted(&["broken"]), None, &Update::All).unwrap_err();
    assert!(text.contains("broken : Depends: lib (>= 9)"), "{text}");
}

#[test]
fn a_mirror_in_the_middle_of_a_sync_is_named() {
    if !apt() {
        return;
    }
    for packages in [PACKAGES.replacen("lib", "bil", 1), format!("{PACKAGES}\n")] {
        let text = make(&archive(IN_RELEASE, packages), &wanted(&["app"]), None, &Update::All).unwrap_err();
        assert!(text.contains("binary-amd64/Packages") && text.contains("in the middle of a sync"), "{text}");
    }
}

#[test]
fn an_index_that_does_not_match_is_taken_on_purpose_and_the_lock_says_so() {
    if !apt() {
        return;
    }
    let server = archive(
        IN_RELEASE,
        PACKAGES.replacen(
            "Package: app",
            "Package: odd\nVersion: 1\nArchitecture: amd64\nFilename: pool/odd_1.deb\nSize: 1\nSHA256: \
        0000000000000000000000000000000000000000000000000000000000000000\n\nPackage: app",
            1,
        ),
    );
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let sources = sources(&server, "key.gpg");
    let loose = Means { unverified: true, ..means(&sources, &cache) };
    let wanted = wanted(&["app", "odd"]);
    let text = format!("{:#}", resolve(&wanted, means(&sources, &cache), None, &Update::All).unwrap_err());
    assert!(text.contains("--unverified"), "{text}");
    let lock = resolve(&wanted, loose, None, &Update::All).unwrap();
    assert_eq!(lock.unverified, ["test dists/test/main/binary-amd64/Packages"]);
    assert_eq!(lock.get("odd").unwrap().source, "test");
    assert_eq!(lock.epoch, EPOCH);
    let again = Lock::parse(&lock.render(), Path::new("x.lock")).unwrap();
    assert_eq!(again, lock);
    // What was not signed at all is not taken.
    let unsigned = archive("", PACKAGES);
    let foreign = self::sources(&unsigned, "key.gpg");
    assert!(resolve(&wanted, Means { unverified: true, ..means(&foreign, &cache) }, None, &Update::All).is_err());
    // An index that matches is verified, whatever was allowed.
    let good = archive(IN_RELEASE, PACKAGES);
    let sources = self::sources(&good, "key.gpg");
    let lock = resolve(&self::wanted(&["app"]), Means { unverified: true, ..means(&sources, &cache) }, None, &Update::All).unwrap();
    assert!(lock.unverified.is_empty());
}

#[test]
fn an_index_that_no_key_of_ours_signed_is_refused() {
    if !apt() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let mend = "a key of images/keys signed it";
    let server = archive("", PACKAGES);
    let text = make(&server, &wanted(&["app"]), None, &Update::All).unwrap_err();
    assert!(text.contains("not signed") && text.contains(mend), "{text}");
    let server = archive(IN_RELEASE, PACKAGES);
    let foreign = sources(&server, "debian-archive-trixie-stable.gpg");
    let text = format!("{:#}", resolve(&wanted(&["app"]), means(&foreign, &cache), None, &Update::All).unwrap_err());
    assert!(text.contains(mend), "{text}");
    let tampered: &'static str = Box::leak(IN_RELEASE.replace("Suite: test", "Suite: tost").into_boxed_str());
    let text = make(&archive(tampered, PACKAGES), &wanted(&["app"]), None, &Update::All).unwrap_err();
    assert!(text.contains(mend), "{text}");
}
