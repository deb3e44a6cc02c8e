//! `cargo xtask lock`: makes the locks anew, or moves named packages in them, and says what changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use contract::apps::App;

use crate::apps::{self, Apps};
use crate::board::{Arch, Catalog};
use crate::packages::cache::Cache;
use crate::packages::lock::{Lock, flavour_lock};
use crate::packages::resolve::{Lists, Means, Update, Wanted, changes, resolve};
use crate::packages::sources::Sources;
use crate::tools::{LOCK, Tools};
use crate::trees::{Trees, command};
use crate::ui;

mod added;
mod tools;

/// Names the locks of the apps' base and of all apps.
const APPS: &str = "apps";

/// Makes the locks that builds read, with apt: all of them, or those of one flavour or of the tools tree.
#[derive(Args)]
pub struct LockVerb {
    /// A flavour of images/os, a tree of images/tools, an app of images/apps, `base` (what they share) or `apps`; without it,
    /// all locks. With --tree, those of added trees.
    name: Option<String>,
    /// Only the lock for this architecture (Debian's name).
    #[arg(long)]
    arch: Option<String>,
    /// Move only this package; all others stay as they are. May be given several times, or with several names.
    #[arg(long, num_args = 1..)]
    update: Vec<String>,
    /// Use the host's apt, not that of the tools tree.
    #[arg(long)]
    host_apt: bool,
    /// Take an index that does not match its signed list as it is; the lock is marked, and no release is made from it.
    #[arg(long)]
    unverified: bool,
}

/// A lock that is to be made.
struct Job {
    path: PathBuf,
    /// The architecture that it stands under.
    arch: String,
    from: From,
}

/// What it is made from.
enum From {
    Flavour(Wanted),
    Tools(tools::Tree),
}

impl Job {
    /// The hash that its lock has, unless the lock is stale.
    #[cfg(test)]
    fn asked(&self) -> String {
        match &self.from {
            From::Flavour(wanted) => crate::packages::lock::asked(&wanted.packages, &wanted.providers).finish(),
            From::Tools(tree) => tree.asked.clone(),
        }
    }

    fn resolve(&self, means: Means<'_>, old: Option<&Lock>, update: &Update) -> Result<Lock> {
        match &self.from {
            From::Flavour(wanted) => resolve(wanted, means, old, update),
            From::Tools(tree) => tree.resolve(means, old, update),
        }
    }
}

impl LockVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let trees = Trees::of(&repo);
        let catalog = trees.catalog()?;
        let sources = Sources::read(&repo)?;
        let cache = Cache::open()?;
        let mut jobs = if trees.added().is_empty() { self.jobs(&trees, &catalog)? } else { self.added_jobs(&trees, &catalog)? };
        let old = |job: &Job| if job.path.exists() { Lock::read(&job.path).map(Some) } else { Ok(None) };
        let update = if self.update.is_empty() { Update::All } else { Update::Only(self.update.clone()) };
        if !self.update.is_empty() && self.name.is_none() {
            // Without a name, the locks that hold one of the packages are meant.
            let mut holding = Vec::new();
            for job in jobs {
                if old(&job)?.is_some_and(|lock| self.update.iter().any(|name| lock.get(name).is_some())) {
                    holding.push(job);
                }
            }
            jobs = holding;
            let held = |name: &str| jobs.iter().any(|job| old(job).is_ok_and(|lock| lock.is_some_and(|lock| lock.get(name).is_some())));
            if let Some(name) = self.update.iter().find(|name| !held(name)) {
                bail!("no lock holds the package `{name}`: look into images/os/*/*.lock and images/tools/*.lock for its name");
            }
        }
        let tools = self.tools(&repo, &cache)?;
        let lists = Lists::default();
        for job in &jobs {
            let shown = job.path.strip_prefix(&repo).unwrap_or(&job.path).display();
            let before = old(job)?;
            let update = match (&update, &before) {
                // Without a name, each lock moves those of the packages that it holds.
                (Update::Only(names), Some(lock)) if self.name.is_none() => {
                    Update::Only(names.iter().filter(|name| lock.get(name).is_some()).cloned().collect())
                }
                (update, _) => update.clone(),
            };
            let step = ui::step(format!("Making {shown} with apt"));
            let means =
                Means { sources: &sources, cache: &cache, tools: tools.as_deref(), unverified: self.unverified, lists: Some(&lists) };
            let lock = job.resolve(means, before.as_ref(), &update).with_context(|| format!("failed to make {shown}"))?;
            drop(step);
            let lines = changes(before.as_ref(), &lock);
            if before.as_ref() == Some(&lock) {
                println!("{shown}: nothing changed; {}", summary(&lock));
                continue;
            }
            lock.write(&job.path)?;
            // A first lock is all new: its summary says enough.
            for line in lines.iter().filter(|_| before.is_some()) {
                println!("  {line}");
            }
            println!("{shown}: {} changed; {}", lines.len(), summary(&lock));
            for index in &lock.unverified {
                println!("  unverified: {index}");
            }
        }
        let (plan, image) = (command("plan BOARD"), command("image BOARD"));
        println!("\nNext: look at `git diff images`, then {plan}, or build it: {image}; an app: {}", command("app NAME"));
        Ok(())
    }

    /// The tree that apt is run from; `None`: the host's apt.
    fn tools(&self, repo: &Path, cache: &Cache) -> Result<Option<PathBuf>> {
        if self.host_apt || !repo.join(LOCK).exists() {
            return Ok(None);
        }
        let tools = Tools::prepare(repo, LOCK, cache, None)
            .context("apt can't be run from the tools tree; where the host has an apt, `cargo xtask lock tools --host-apt` makes that tree's lock anew")?;
        Ok(Some(tools.root().to_owned()))
    }

    /// The locks of added trees: those of the checkout are not theirs to move.
    fn added_jobs(&self, trees: &Trees, catalog: &Catalog) -> Result<Vec<Job>> {
        let apps = Apps::load(trees)?;
        let mut jobs = app_jobs(&apps, self.name.as_deref(), &|app| app.is_some_and(|app| apps.tree_of(app) > 0));
        let flavours: Vec<_> = match self.name.as_deref() {
            Some(APPS) => Vec::new(),
            Some(_) if !jobs.is_empty() => Vec::new(),
            Some(name) if name == apps::BASE || tools::TREES.contains(&name) || apps.app(name).is_ok() => {
                bail!("the locks of `{name}` are the checkout's: make them without --tree, by cargo xtask lock {name}")
            }
            Some(name) => vec![catalog.flavour(name)?],
            None => catalog.flavours.iter().collect(),
        };
        let known: BTreeSet<Arch> = catalog.boards.iter().map(|board| board.arch).collect();
        let arches: Vec<Arch> = known.into_iter().filter(|arch| self.arch.as_ref().is_none_or(|name| name == arch.debian())).collect();
        let wanted = added::wanted(trees, catalog, &flavours, &arches)?;
        let job = |(path, wanted): (PathBuf, Wanted)| Job { path, arch: wanted.arch.clone(), from: From::Flavour(wanted) };
        jobs.extend(wanted.into_iter().map(job));
        jobs.retain(|job| self.arch.as_ref().is_none_or(|arch| *arch == job.arch));
        if jobs.is_empty() {
            println!(
                "The added trees need no locks of their own: they have no apps, and their boards ask for nothing that the flavours' locks lack."
            );
        }
        Ok(jobs)
    }

    /// The locks that the arguments name.
    fn jobs(&self, trees: &Trees, catalog: &Catalog) -> Result<Vec<Job>> {
        let repo = trees.root(0);
        let mut jobs = Vec::new();
        for tree in tools::TREES {
            if self.name.as_deref().is_none_or(|name| name == tree) {
                let from = tools::Tree::read(repo, tree)?;
                jobs.push(Job { path: tools::lock_path(repo, tree), arch: from.wanted.arch.clone(), from: From::Tools(from) });
            }
        }
        let apps = app_jobs(&Apps::load(trees)?, self.name.as_deref(), &|_| true);
        let of_apps = !apps.is_empty();
        jobs.extend(apps);
        let flavours: Vec<_> = match self.name.as_deref() {
            Some(name) if tools::TREES.contains(&name) || of_apps => Vec::new(),
            Some(name) => vec![catalog.flavour(name)?],
            None => catalog.flavours.iter().collect(),
        };
        let arches: BTreeSet<Arch> = catalog.boards.iter().map(|board| board.arch).collect();
        for flavour in flavours {
            for arch in &arches {
                let boards = catalog.boards.iter().filter(|board| board.arch == *arch);
                let wanted = Wanted {
                    arch: arch.debian().to_owned(),
                    packages: flavour.packages.clone(),
                    providers: flavour.providers.clone(),
                    kernels: boards.clone().map(|board| board.kernel.clone()).collect(),
                    payload: boards.flat_map(|board| board.payload.iter().cloned()).collect(),
                    file: format!("images/os/{}/image.toml", flavour.name),
                };
                jobs.push(Job {
                    path: flavour_lock(repo, &flavour.name, arch.debian()),
                    arch: wanted.arch.clone(),
                    from: From::Flavour(wanted),
                });
            }
        }
        if let Some(arch) = &self.arch {
            jobs.retain(|job| job.arch == *arch);
            if jobs.is_empty() {
                let known: Vec<&str> = arches.iter().map(|arch| arch.debian()).collect();
                bail!("no board or tool is for the architecture `{arch}`; known: {}", known.join(", "));
            }
        }
        Ok(jobs)
    }
}

/// The locks that `name` means of the apps' base (`None`) and the apps, where `ours` says so: the base first, since the others
/// hold only what they add to it.
fn app_jobs(apps: &Apps, name: Option<&str>, ours: &dyn Fn(Option<&App>) -> bool) -> Vec<Job> {
    let all = name.is_none_or(|name| name == APPS);
    let mut jobs = Vec::new();
    if ours(None) && (all || name == Some(apps::BASE)) {
        for arch in Arch::ALL {
            let wanted = apps.wanted(None, arch);
            jobs.push(Job { path: apps.lock(None, arch), arch: wanted.arch.clone(), from: From::Flavour(wanted) });
        }
    }
    for app in apps.apps.iter().filter(|app| ours(Some(app)) && (all || name == Some(&app.name))) {
        for arch in &app.architectures {
            let wanted = apps.wanted(Some(app), *arch);
            let tree = tools::Tree::over(wanted, apps.lock(None, *arch));
            jobs.push(Job { path: apps.lock(Some(app), *arch), arch: arch.debian().to_owned(), from: From::Tools(tree) });
        }
    }
    jobs
}

/// How many packages a lock has, and their bytes.
fn summary(lock: &Lock) -> String {
    let payload = lock.packages.iter().filter(|package| package.payload).count();
    let payload = if payload == 0 { String::new() } else { format!(", {payload} of them payload") };
    format!("{} packages{payload}, {} to download", lock.packages.len(), indicatif::DecimalBytes(lock.total_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::testing::{facts, with};
    use crate::trees::testing::folder;

    fn verb(name: Option<&str>, arch: Option<&str>) -> LockVerb {
        let owned = |word: Option<&str>| word.map(str::to_owned);
        LockVerb { name: owned(name), arch: owned(arch), update: Vec::new(), host_apt: false, unverified: false }
    }

    #[test]
    fn apps_of_an_added_tree_have_their_locks_there_over_the_checkout_s_base() {
        let only_arm = facts(29_998).replacen("category", "architectures = [\"armhf\"]\ncategory", 1);
        let community = folder(&[("images/apps/broker/app.toml", &facts(29_999)), ("images/apps/post/app.toml", &only_arm)]);
        let trees = with(&community);
        let catalog = trees.catalog().unwrap();
        let jobs = |name, arch| verb(name, arch).added_jobs(&trees, &catalog);
        let places = |jobs: Vec<Job>| -> Vec<String> {
            jobs.iter().map(|job| job.path.strip_prefix(community.path().join("images/apps")).unwrap().display().to_string()).collect()
        };
        let all = ["broker/amd64.lock", "broker/arm64.lock", "broker/armhf.lock", "post/armhf.lock"];
        assert_eq!(places(jobs(None, None).unwrap()), all);
        assert_eq!(places(jobs(Some("apps"), None).unwrap()), all);
        assert_eq!(places(jobs(Some("post"), None).unwrap()), ["post/armhf.lock"]);
        assert_eq!(places(jobs(None, Some("amd64")).unwrap()), ["broker/amd64.lock"]);
        for job in jobs(None, None).unwrap() {
            let From::Tools(tree) = job.from else { panic!("{} stands on nothing", job.path.display()) };
            assert_eq!(tree.base, Some(trees.root(0).join(format!("images/apps/base/{}.lock", job.arch))));
        }
        for name in ["mosquitto", "base", "tools"] {
            let error = jobs(Some(name), None).err().unwrap().to_string();
            assert_eq!(error, format!("the locks of `{name}` are the checkout's: make them without --tree, by cargo xtask lock {name}"));
        }
    }

    #[test]
    fn every_lock_of_the_repo_was_made_from_what_is_asked_for() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let trees = Trees::new(&repo, &[]);
        let jobs = verb(None, None).jobs(&trees, &trees.catalog().unwrap()).unwrap();
        assert!(jobs.len() > tools::TREES.len());
        // One that was not made yet says so itself when it is read.
        let made = jobs.iter().filter(|job| job.path.exists());
        let stale = made.filter(|job| Lock::read(&job.path).unwrap().asked != Some(job.asked()));
        let stale: Vec<String> = stale.map(|job| format!("{} {}", job.path.display(), job.asked())).collect();
        assert!(stale.is_empty(), "stale: run `cargo xtask lock`\n{}", stale.join("\n"));
    }
}
