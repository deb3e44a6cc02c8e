//! `cargo xtask plan BOARD`: what a build would do, before it does anything.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use crate::board::Arch;
use crate::boot;
use crate::packages::lock::Lock;
use crate::plan::inputs::{self, Inputs};
use crate::plan::{Plan, Profile};
use crate::trees::{Trees, command};

/// The flavour that is built unless another is named.
pub const DEFAULT_FLAVOUR: &str = "standard";

/// Shows everything that a build of a board decides.
#[derive(Args)]
pub struct PlanVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Plan what is shipped, not what is tried.
    #[arg(long)]
    release: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl PlanVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let plan = make(&super::root()?, &self.board, &self.flavour, profile)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else {
            print!("{plan}");
            println!(
                "
Next: {}  (whether the packages bring all that it asks for)",
                command(&format!("drivers {}", plan.board))
            );
            println!("      {}", command(&format!("image {}", plan.board)));
        }
        Ok(())
    }
}

/// Reads the facts and locks of the repo at `root` and makes the plan.
pub fn make(root: &Path, board: &str, flavour: &str, profile: Profile) -> Result<Plan> {
    make_with(root, board, flavour, profile, |_| ())
}

/// The same, with the hashes of the files that are inputs changed by `change`: as if those files were others.
pub fn make_with(root: &Path, board: &str, flavour: &str, profile: Profile, change: impl FnOnce(&mut Inputs)) -> Result<Plan> {
    let plan = to_look_at(root, board, flavour, profile, change)?;
    if profile == Profile::Release {
        plan.releasable()?;
    }
    Ok(plan)
}

/// The same for what is only measured: a plan of a release may be one that must not be shipped.
pub fn to_look_at(root: &Path, board: &str, flavour: &str, profile: Profile, change: impl FnOnce(&mut Inputs)) -> Result<Plan> {
    of(&Trees::of(root), board, flavour, profile, change)
}

/// The same, from these trees.
fn of(trees: &Trees, board: &str, flavour: &str, profile: Profile, change: impl FnOnce(&mut Inputs)) -> Result<Plan> {
    let catalog = trees.catalog()?;
    let board = catalog.board(board)?;
    let flavour = catalog.flavour(flavour)?;
    trees.check_overlays(board)?;
    let read = |arch: Arch| Lock::read(&trees.lock(&catalog, board, flavour, arch));
    let target = read(board.arch)?;
    // The twin is configured natively, and the builder runs on amd64.
    let twin = if board.arch == Arch::Amd64 { target.clone() } else { read(Arch::Amd64)? };
    let mut inputs = inputs::hash(trees, board)?;
    change(&mut inputs);
    let plan = Plan::make(board, flavour, &target, &twin, profile, inputs).with_context(|| format!("cannot plan {}", board.name))?;
    boot::check_models(&plan.boot).with_context(|| format!("cannot plan {}", plan.board))?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::lock::{LockedPackage, asked, flavour_lock};
    use crate::packages::testing::locked;

    const FAMILY: &str = "arch = \"amd64\"\nboot-flow = \"uefi\"\nconsoles = [\"tty0\"]\nkernel = \"linux-image-amd64\"\n";
    const BEFORE: &str = "title = \"T\"\npackages = [\"less\", \"systemd\"]\n";
    const AFTER: &str = "title = \"T\"\npackages = [\"systemd\"]\n";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a lock that was made when the flavour asked for these.
    fn lock(root: &Path, asked_for: &[&str], payload: &[&str]) {
        let names: Vec<String> = asked_for.iter().map(|name| (*name).to_owned()).collect();
        let package = |name: &&str, payload| LockedPackage { payload, ..locked(name, b"a deb") };
        let packages = asked_for.iter().map(|name| package(name, false)).chain(payload.iter().map(|name| package(name, true)));
        let asked = Some(asked(&names, &Default::default()).finish());
        let lock = Lock { epoch: 1, asked, packages: packages.collect(), ..Lock::default() };
        lock.write(&flavour_lock(root, "standard", "amd64")).unwrap();
    }

    #[test]
    fn a_release_is_planned_from_no_lock_that_names_unverified_indexes() {
        let repo = tempfile::tempdir().unwrap();
        write(repo.path(), "board-configs/fam/family.toml", FAMILY);
        write(repo.path(), "board-configs/fam/one.toml", "title = \"One\"\n");
        write(repo.path(), "images/os/standard/image.toml", AFTER);
        lock(repo.path(), &["systemd"], &["linux-image-amd64", "linux-image-6.12-amd64"]);
        let plan = |profile| make(repo.path(), "one", "standard", profile).map_err(|error| format!("{error:#}"));
        assert!(plan(Profile::Release).unwrap().unverified.is_empty());
        let path = flavour_lock(repo.path(), "standard", "amd64");
        let index = "a dists/s/main/binary-amd64/Packages.xz".to_owned();
        let unverified = Lock { unverified: vec![index.clone()], ..Lock::read(&path).unwrap() };
        unverified.write(&path).unwrap();
        assert_eq!(plan(Profile::Dev).unwrap().unverified, [index.as_str()]);
        let error = plan(Profile::Release).unwrap_err();
        assert!(error.starts_with("no release of one is made") && error.contains(&index), "{error}");
        // What is only measured may be looked at.
        assert!(to_look_at(repo.path(), "one", "standard", Profile::Release, |_| ()).is_ok());
    }

    #[test]
    fn a_board_of_an_added_tree_is_held_to_what_its_lock_was_made_from() {
        let (repo, community) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(repo.path(), "board-configs/fam/family.toml", FAMILY);
        write(repo.path(), "board-configs/fam/one.toml", "title = \"One\"\n");
        write(repo.path(), "images/os/standard/image.toml", BEFORE);
        write(community.path(), "board-configs/fam/two.toml", "title = \"Two\"\n");
        let kernel = ["linux-image-amd64", "linux-image-6.12-amd64"];
        lock(repo.path(), &["less", "systemd"], &kernel);
        let trees = Trees::new(repo.path(), &[community.path().to_owned()]);
        let plan = |board: &str| of(&trees, board, "standard", Profile::Dev, |_| ()).map_err(|error| format!("{error:#}"));
        // By the checkout's lock, which knows nothing of the tree, then by one of the tree's own for what its board needs more.
        assert_eq!(plan("two").unwrap().packages.len(), 4);
        write(community.path(), "board-configs/fam/two.toml", "title = \"Two\"\npayload = [\"firmware-two\"]\n");
        assert!(plan("two").unwrap_err().contains("has no `firmware-two`"));
        lock(community.path(), &["less", "systemd"], &["firmware-two", "linux-image-amd64", "linux-image-6.12-amd64"]);
        assert_eq!(plan("two").unwrap().packages.len(), 5);
        // The flavour changes and the checkout's lock with it: the tree's is stale, though it holds all that is named.
        write(repo.path(), "images/os/standard/image.toml", AFTER);
        lock(repo.path(), &["systemd"], &kernel);
        assert!(plan("one").is_ok());
        let error = plan("two").unwrap_err();
        assert!(error.contains("cannot plan two") && error.contains("the lock of standard for amd64 is stale"), "{error}");
    }
}
