//! What a plan decides, and a golden plan for every board of the repo.

use std::path::Path;

use expect_test::expect_file;

use super::*;
use crate::board::Catalog;
use crate::packages::lock;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn package(name: &str, version: &str, payload: bool) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        sha256: crate::digest::hex(&Sha256::digest(name)),
        size: 1,
        source: "debian".to_owned(),
        path: format!("pool/{name}.deb"),
        payload,
        suite: None,
    }
}

fn facts() -> (Board, Flavour) {
    let catalog = Catalog::load(&[&root()]).unwrap();
    let mut board = catalog.board("x86-minipc").unwrap().clone();
    board.payload = vec!["shim-signed".to_owned()];
    board.kernel = "linux-image-amd64".to_owned();
    let mut flavour = catalog.flavours[0].clone();
    flavour.packages = vec!["systemd".to_owned()];
    (board, flavour)
}

/// [`facts`], read once.
fn known() -> &'static (Board, Flavour) {
    static KNOWN: std::sync::LazyLock<(Board, Flavour)> = std::sync::LazyLock::new(facts);
    &KNOWN
}

fn asked_by(flavour: &Flavour) -> String {
    lock::asked(&flavour.packages, &flavour.providers).finish()
}

fn lock() -> Lock {
    Lock {
        epoch: 7,
        asked: Some(asked_by(&known().1)),
        packages: vec![
            package("libc6", "1", false),
            package("linux-image-6.12.9+deb13-amd64", "6.12.9-1", true),
            package("linux-image-6.13.1-rt", "6.13.1-1", true),
            package("linux-image-amd64", "6.12.9-1", true),
            package("shim-signed", "1", true),
            package("other-boards-firmware", "1", true),
            package("systemd", "1", false),
        ],
        ..Lock::default()
    }
}

fn make(lock: &Lock) -> Result<Plan, PlanError> {
    let (board, flavour) = known();
    Plan::make(board, flavour, lock, lock, Profile::Dev, Inputs::new())
}

#[test]
fn the_payload_is_the_boards_and_the_kernel_goes_with_its_metapackage() {
    let plan = make(&lock()).unwrap();
    let names: Vec<&str> = plan.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["libc6", "linux-image-6.12.9+deb13-amd64", "linux-image-amd64", "shim-signed", "systemd"]);
    assert_eq!(plan.kernel_release, "6.12.9+deb13-amd64");
    assert_eq!(plan.twin.len(), 2);
}

#[test]
fn two_kernels_of_one_name_are_told_apart_by_their_suite() {
    let mut lock = lock();
    let mut backport = |name: &str, suite: Option<&str>| {
        lock.packages.push(LockedPackage { suite: suite.map(str::to_owned), ..package(name, "7.3.4-1~bpo", true) });
    };
    backport("linux-image-amd64", Some("backports"));
    for part in ["base", "binary", "image", "modules"] {
        backport(&format!("linux-{part}-7.3.4-amd64"), None);
    }
    let (mut board, flavour) = facts();
    for (kernel, release, parts) in [("linux-image-amd64", "6.12.9+deb13-amd64", 2), ("linux-image-amd64/backports", "7.3.4-amd64", 5)] {
        board.kernel = kernel.to_owned();
        let plan = Plan::make(&board, &flavour, &lock, &lock, Profile::Dev, Inputs::new()).unwrap();
        assert_eq!(plan.kernel_release, release);
        assert_eq!(plan.packages.iter().filter(|package| package.name.starts_with("linux-")).count(), parts);
    }
}

#[test]
fn an_unverified_lock_is_planned_and_not_released() {
    let mut lock = lock();
    assert!(make(&lock).unwrap().releasable().is_ok());
    lock.unverified = vec!["debian dists/s/main/binary-amd64/Packages.xz".to_owned()];
    let plan = make(&lock).unwrap();
    assert!(plan.to_string().contains("unverified debian dists/s/main"));
    let error = plan.releasable().unwrap_err().to_string();
    assert!(error.contains("no release of x86-minipc is made") && error.contains("dists/s/main/binary-amd64/Packages.xz"), "{error}");
}

#[test]
fn a_missing_package_is_named_with_who_wants_it() {
    let mut lock = lock();
    lock.packages.retain(|package| package.name != "shim-signed");
    let error = make(&lock).unwrap_err().to_string();
    assert!(error.contains("has no `shim-signed`, which board x86-minipc names; run `cargo xtask lock`"), "{error}");
}

#[test]
fn a_lock_made_from_what_was_asked_before_is_stale() {
    let (board, flavour) = facts();
    let make = |flavour: &Flavour, lock: &Lock, twin: &Lock| {
        Plan::make(&board, flavour, lock, twin, Profile::Dev, Inputs::new()).map_err(|error| error.to_string())
    };
    let (good, words) = (lock(), "the lock of standard for amd64 is stale");
    assert!(make(&flavour, &good, &good).is_ok());
    // Each of these would ship what nobody asks for any more: all that is named now is in the lock.
    let both = Flavour { packages: vec!["libc6".to_owned(), "systemd".to_owned()], ..flavour.clone() };
    let old = Lock { asked: Some(asked_by(&both)), ..good.clone() };
    assert!(make(&both, &old, &old).is_ok());
    assert!(make(&flavour, &old, &old).unwrap_err().contains(words), "a package was taken out");
    let mut provider = flavour.clone();
    provider.providers.insert("awk".to_owned(), "gawk".to_owned());
    assert!(make(&provider, &good, &good).unwrap_err().contains(words), "another provider was chosen");
    let unknown = Lock { asked: None, ..good.clone() };
    let error = make(&flavour, &unknown, &unknown).unwrap_err();
    assert!(error.contains(words) && error.contains("run `cargo xtask lock standard`"), "{error}");
    // The twin is configured from its own lock.
    assert!(make(&flavour, &good, &old).unwrap_err().contains(words));
}

#[test]
fn a_lock_that_has_a_package_for_another_use_is_stale() {
    let mut lock = lock();
    lock.packages.iter_mut().for_each(|package| package.payload = !package.payload);
    assert!(make(&lock).unwrap_err().to_string().contains("has no `systemd`"));
    lock.packages.iter_mut().for_each(|package| package.payload = false);
    assert!(make(&lock).unwrap_err().to_string().contains("has no `shim-signed`"));
}

#[test]
fn a_lock_without_the_kernel_itself_is_refused() {
    let mut lock = lock();
    lock.packages.retain(|package| !package.name.starts_with("linux-image-6.12"));
    let error = make(&lock).unwrap_err().to_string();
    assert!(error.contains("goes with `linux-image-amd64` 6.12.9-1, it holds: none"), "{error}");
}

#[test]
fn every_input_changes_the_build_id_and_nothing_else_does() {
    let (board, flavour) = facts();
    let plan = |board: &Board, flavour: &Flavour, lock: &Lock, twin: &Lock, profile, inputs: &[(&str, &str)]| {
        let inputs = inputs.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
        Plan::make(board, flavour, lock, twin, profile, inputs).unwrap()
    };
    let good = lock();
    let first = plan(&board, &flavour, &good, &good, Profile::Dev, &[]);
    assert_eq!(first, plan(&board, &flavour, &good, &good, Profile::Dev, &[]));
    assert_eq!(first.build_id.len(), 32);
    let mut other_board = board.clone();
    other_board.cmdline.push("quiet".to_owned());
    let mut other_flavour = flavour.clone();
    other_flavour.compression = Compression::Lz4;
    let mut other_lock = good.clone();
    other_lock.packages[0].sha256 = "0".repeat(64);
    let mut other_epoch = good.clone();
    other_epoch.epoch = 8;
    let others = [
        plan(&other_board, &flavour, &good, &good, Profile::Dev, &[]),
        plan(&board, &other_flavour, &good, &good, Profile::Dev, &[]),
        plan(&board, &flavour, &other_lock, &good, Profile::Dev, &[]),
        plan(&board, &flavour, &good, &other_lock, Profile::Dev, &[]),
        plan(&board, &flavour, &other_epoch, &good, Profile::Dev, &[]),
        plan(&board, &flavour, &good, &good, Profile::Release, &[]),
        plan(&board, &flavour, &good, &good, Profile::Dev, &[("firmware", "00")]),
    ];
    for other in &others {
        assert_ne!(first.build_id, other.build_id);
    }
}

#[test]
fn the_boot_names_carry_the_build_id() {
    let plan = make(&lock()).unwrap();
    let id = &plan.build_id;
    assert!(plan.boot.cmdline.contains(&format!("cloudy.build={id}")));
    assert!(plan.boot.cmdline.contains(&format!("initrd=\\cloudy\\{id}\\initrd")));
    let paths: Vec<&str> = plan.boot.files.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.contains(&format!("loader/entries/cloudy-{id}.conf").as_str()));
    assert_eq!(plan.root.uuid.replace('-', ""), *id);
    assert_eq!(plan.root.uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
}

/// What a change does to every board stands in the diff of `golden/`; `UPDATE_EXPECT=1 cargo test -p xtask golden`
/// writes them anew. Hashes of sources are left out, so that only facts and locks change them.
#[test]
fn golden_plans() {
    let root = root();
    let catalog = Catalog::load(&[&root]).unwrap();
    let flavour = catalog.flavour(crate::verbs::plan::DEFAULT_FLAVOUR).unwrap();
    for board in &catalog.boards {
        let read = |arch: Arch| Lock::read(&lock::flavour_lock(&root, &flavour.name, arch.debian())).unwrap();
        let plan = Plan::make(board, flavour, &read(board.arch), &read(Arch::Amd64), Profile::Release, Inputs::new()).unwrap();
        expect_file![root.join(format!("xtask/golden/{}.txt", board.name))].assert_eq(&plan.to_string());
    }
}

proptest::proptest! {
    /// Any lock of these packages: it is refused, or planned with just what is configured, what the board names and its kernel.
    #[test]
    fn any_lock_is_refused_or_planned_with_what_is_asked_for(
        kept in proptest::collection::vec(proptest::prelude::any::<bool>(), 7),
        payload in proptest::collection::vec(proptest::prelude::any::<bool>(), 7),
        foreign in 0_usize..20,
    ) {
        let (board, _) = known();
        let mut lock = lock();
        for ((package, kept), turned) in lock.packages.iter_mut().zip(&kept).zip(&payload) {
            // Mostly as it should be, so that not all are refused.
            package.payload ^= *turned && !*kept;
        }
        if let Some(package) = lock.packages.get_mut(foreign) {
            package.arch = "armhf".to_owned();
        }
        match make(&lock) {
            Err(error) => proptest::prop_assert!(error.to_string().contains("cargo xtask lock"), "{}", error),
            Ok(plan) => {
                proptest::prop_assert!(plan.packages.iter().all(|package| package.arch != "armhf"));
                let version = |name: &str| plan.packages.iter().find(|package| package.name == name).map(|package| package.version.clone());
                proptest::prop_assert!(version("systemd").is_some() && version("shim-signed").is_some());
                for package in plan.packages.iter().filter(|package| package.payload) {
                    let of_kernel = package.name.starts_with("linux-image-") && Some(&package.version) == version(&board.kernel).as_ref();
                    proptest::prop_assert!(of_kernel || board.payload.contains(&package.name), "{}", package.name);
                }
                let configured = lock.packages.iter().filter(|package| !package.payload).count();
                proptest::prop_assert_eq!(plan.configured().count(), configured);
            }
        }
    }
}
