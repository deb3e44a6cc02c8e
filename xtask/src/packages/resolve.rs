//! Makes a lock: asks apt for the set, reads hashes from the verified indexes, and refuses what was left to chance.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::apt::{Apt, UpdateError, explain_refusal};
use super::cache::Cache;
use super::deb::Relation;
use super::index::{Index, Stanza};
use super::lock::{Lock, LockedPackage};
use super::sources::{Place, Sources};
use super::text::rfc2822_seconds;
use super::unverified::{self, Copy};
use crate::board::nearest;
use crate::ui;

/// The kernel metapackage is followed to packages of these names alone; all other Depends of payload are ignored.
const KERNEL_PARTS: [&str; 4] = ["linux-base-", "linux-binary-", "linux-image-", "linux-modules-"];
/// No lock is older than this (2025-08-09, the release of trixie): a Release file that says so has a broken date.
const EARLIEST_EPOCH_SECONDS: u64 = 1_754_697_600;

/// What a lock is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Debian's architecture.
    pub arch: String,
    /// Packages that are configured, with all that they depend on.
    pub packages: Vec<String>,
    /// Virtual package → the one that is taken.
    pub providers: BTreeMap<String, String>,
    /// Kernel metapackages: each is followed to its real image.
    pub kernels: BTreeSet<String>,
    /// Packages that are laid out alone.
    pub payload: BTreeSet<String>,
    /// Where `packages` and `providers` stand, for errors.
    pub file: String,
}

/// Which packages may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Everything is resolved anew.
    All,
    /// These alone; the others stay as the old lock has them.
    Only(Vec<String>),
}

/// How a lock is made.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// Where packages come from.
    pub sources: &'a Sources,
    /// Holds packages of older locks.
    pub cache: &'a Cache,
    /// The tree to run apt from; `None`: the host's.
    pub tools: Option<&'a Path>,
    /// Take indexes that do not match their signed list as they are.
    pub unverified: bool,
    /// Indexes that were fetched and checked before, where several locks are made; `None`: each fetches its own.
    pub lists: Option<&'a Lists>,
}

/// apt's indexes by architecture: fetched and checked once, however many locks are made from them.
#[derive(Debug, Default)]
pub struct Lists(RefCell<BTreeMap<String, tempfile::TempDir>>);

impl Lists {
    /// Gives an apt for `arch` the indexes that are here; `false` if there are none.
    fn give(&self, arch: &str, apt: &Apt) -> Result<bool> {
        match self.0.borrow().get(arch) {
            Some(folder) => link_all(folder.path(), &apt.lists()).map(|()| true),
            None => Ok(false),
        }
    }

    /// Keeps the indexes that an apt for `arch` has fetched.
    fn keep(&self, arch: &str, apt: &Apt) -> Result<()> {
        let folder = tempfile::Builder::new().prefix("cloudy-lists-").tempdir()?;
        link_all(&apt.lists(), folder.path())?;
        self.0.borrow_mut().insert(arch.to_owned(), folder);
        Ok(())
    }
}

/// Gives every file of a folder a second name in another.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::hard_link(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Makes the lock for `wanted`. `old` is the lock that stands there.
pub fn resolve(wanted: &Wanted, means: Means<'_>, old: Option<&Lock>, update: &Update) -> Result<Lock> {
    let pinned = pinned(old, update)?;
    // What was asked from a suite is asked for by its version below.
    let plain = pinned.iter().filter(|package| package.suite.is_none());
    let pins: Vec<(&str, &str)> = plain.map(|package| (package.name.as_str(), package.version.as_str())).collect();
    let (apt, places, copy) = updated(wanted, means, &pins)?;
    let cache = means.cache;
    let mut index = read_index(&apt, &places)?;
    let kept = apt.keep(&pinned, &index, cache)?;
    for package in &pinned {
        if index.has(&package.name, &package.version) {
            continue;
        }
        let stays = kept.iter().any(|(kept, _)| kept == package);
        let what = if stays { "but is kept, since it is in the cache" } else { "and is not in the cache: it moves too" };
        ui::say(&format!("  {} has left the index, {what}", package.title()));
    }
    index.add_kept(&apt.kept(), &kept);
    check_names(wanted, &index)?;

    let mut names: Vec<&str> = index.essential().into_iter().collect();
    names.extend(wanted.packages.iter().map(String::as_str));
    names.extend(wanted.providers.values().map(String::as_str));
    let mut args = vec!["install", "--print-uris", "-y"];
    args.extend(&names);
    let said = apt.run("apt-get", &args)?;
    if !said.good {
        bail!("{} (the names stand in {})", explain_refusal(&said), wanted.file);
    }
    let set = stanzas(&said.stdout, &index)?;
    check_choices(wanted, &index, &set)?;
    let mut packages = set.values().map(|stanza| stanza.locked(false)).collect::<Result<Vec<_>>>()?;

    let payload = payload(&apt, wanted, &index, &pinned)?;
    for (asked, stanza) in &payload {
        let (name, suite) = asked.split_once('/').map_or((asked.as_str(), None), |(name, suite)| (name, Some(suite)));
        if set.contains_key(name) {
            bail!("`{name}` is payload, which is never configured, but {} needs it as a configured package too", wanted.file);
        }
        packages.push(LockedPackage { suite: suite.map(str::to_owned), ..stanza.locked(true)? });
    }
    let mut unverified: BTreeSet<String> = copy.map(|copy| copy.indexes).unwrap_or_default();
    if let Some(old) = old.filter(|_| !pinned.is_empty()) {
        // What stays is vouched for as little as before.
        unverified.extend(old.unverified.iter().cloned());
    }
    let mut lock = Lock { epoch: epoch(&apt.lists())?, unverified: unverified.into_iter().collect(), packages };
    lock.sort();
    if let Some(old) = old.filter(|old| old.packages == lock.packages) {
        lock.epoch = old.epoch;
    }
    Ok(lock)
}

/// An apt whose indexes are there, what it sees, and the copy that some of them were taken from unverified.
fn updated(wanted: &Wanted, means: Means<'_>, pins: &[(&str, &str)]) -> Result<(Apt, Vec<Place>, Option<Copy>)> {
    let places = means.sources.places();
    let apt = Apt::new(&places, &wanted.arch, pins, means.tools)?;
    if means.lists.is_some_and(|lists| lists.give(&wanted.arch, &apt).unwrap_or(false)) {
        return Ok((apt, places, None));
    }
    let Err(error) = apt.update() else {
        if let Some(lists) = means.lists {
            lists.keep(&wanted.arch, &apt).context("failed to keep apt's indexes")?;
        }
        return Ok((apt, places, None));
    };
    let unmatched = error.downcast_ref::<UpdateError>().map(|error| error.unmatched.clone()).unwrap_or_default();
    if !means.unverified || unmatched.is_empty() {
        return Err(error);
    }
    let copy = Copy::make(&places, &wanted.arch, &unmatched).context("failed to copy the indexes that do not match their signed list")?;
    for index in &copy.indexes {
        ui::say(&format!("  warning: {index} does not match its signed list and is taken as it is: the lock is marked unverified"));
    }
    let places = unverified::replaced(&places, &copy);
    let apt = Apt::with_copy(&places, &wanted.arch, pins, means.tools, copy.folder())?;
    apt.update()?;
    Ok((apt, places, Some(copy)))
}

/// The payload with the kernels' parts, by what it was asked as: `name` or `name/suite`.
fn payload<'i>(apt: &Apt, wanted: &Wanted, index: &'i Index, pinned: &[LockedPackage]) -> Result<BTreeMap<String, &'i Stanza>> {
    let mut asked: BTreeSet<String> = wanted.kernels.iter().chain(&wanted.payload).cloned().collect();
    let mut payload = BTreeMap::new();
    while !asked.is_empty() {
        let mut found: BTreeMap<String, &Stanza> = BTreeMap::new();
        // Suite by suite, since apt's answer does not say which of two of one name was asked from where.
        let suites: BTreeSet<Option<&str>> = asked.iter().map(|name| name.split_once('/').map(|(_, suite)| suite)).collect();
        for suite in suites {
            let of_suite = asked.iter().filter(|name| name.split_once('/').map(|(_, suite)| suite) == suite);
            let words: Vec<String> = of_suite
                .map(|name| match pinned.iter().find(|package| suite.is_some() && package.asked_as() == *name) {
                    Some(package) => format!("{}={}", package.name, package.version),
                    None => name.clone(),
                })
                .collect();
            let mut args = vec!["download", "--print-uris"];
            args.extend(words.iter().map(String::as_str));
            let said = apt.run("apt-get", &args)?;
            if !said.good {
                bail!("{}", explain_refusal(&said));
            }
            for (name, stanza) in stanzas(&said.stdout, index)? {
                found.insert(suite.map_or_else(|| name.clone(), |suite| format!("{name}/{suite}")), stanza);
            }
        }
        asked =
            found.values().flat_map(|stanza| kernel_parts(stanza, &wanted.kernels)).filter(|name| !payload.contains_key(name)).collect();
        payload.extend(found);
    }
    Ok(payload)
}

/// Packages for `arch` by their names alone, their Depends not followed: what a tools tree takes from another architecture.
/// They come as payload of a lock that has nothing else.
pub fn alone(arch: &str, names: &[String], file: &str, means: Means<'_>) -> Result<Lock> {
    let wanted = Wanted {
        arch: arch.to_owned(),
        packages: Vec::new(),
        providers: BTreeMap::new(),
        kernels: BTreeSet::new(),
        payload: names.iter().cloned().collect(),
        file: file.to_owned(),
    };
    let (apt, places, copy) = updated(&wanted, means, &[])?;
    let index = read_index(&apt, &places)?;
    check_names(&wanted, &index)?;
    let found = payload(&apt, &wanted, &index, &[])?;
    let packages = found.values().map(|stanza| stanza.locked(true)).collect::<Result<Vec<_>>>()?;
    let unverified = copy.map(|copy| copy.indexes.into_iter().collect()).unwrap_or_default();
    Ok(Lock { epoch: epoch(&apt.lists())?, unverified, packages })
}

/// The packages of the old lock that must stay.
pub(super) fn pinned(old: Option<&Lock>, update: &Update) -> Result<Vec<LockedPackage>> {
    let Update::Only(names) = update else { return Ok(Vec::new()) };
    let old = old.context("there is no lock yet whose other packages could stay: run `cargo xtask lock` without --update")?;
    for name in names {
        if old.get(name).is_none() {
            let known: Vec<String> = old.packages.iter().map(LockedPackage::asked_as).collect();
            let near = nearest(name, known.iter().map(String::as_str));
            bail!("the lock has no package `{name}`{}", near.map_or_else(String::new, |near| format!("; did you mean `{near}`?")));
        }
    }
    // One name may stand there once for each suite.
    let moves = |package: &LockedPackage| names.contains(&package.asked_as());
    Ok(old.packages.iter().filter(|package| !moves(package)).cloned().collect())
}

fn read_index(apt: &Apt, places: &[Place]) -> Result<Index> {
    let said = apt.run("apt-get", &["indextargets", "--format", "$(FILENAME)|$(REPO_URI)", "Created-By: Packages"])?;
    if !said.good {
        bail!("{}", explain_refusal(&said));
    }
    let mut index = Index::default();
    // In the order of the sources, so that a version that two of them have is taken from the same one each time.
    for Place { key, source } in places {
        for line in said.stdout.lines() {
            let (file, url) = line.split_once('|').context("apt listed an index in an unknown way")?;
            if url.trim_end_matches('/') == source.url {
                index.add_file(key, &source.url, Path::new(file))?;
            }
        }
    }
    Ok(index)
}

/// Refuses names that no source has, with the nearest that one has.
fn check_names(wanted: &Wanted, index: &Index) -> Result<()> {
    let plain = wanted.packages.iter().chain(wanted.providers.values()).map(|name| (name, wanted.file.as_str()));
    let payload = wanted.kernels.iter().chain(&wanted.payload).map(|name| (name, "the board's family"));
    for (name, file) in plain.chain(payload) {
        // `name/suite` and `name=version` are apt's ways to choose.
        let bare = name.split(['/', '=']).next().unwrap_or(name);
        if index.versions(bare).next().is_some() {
            continue;
        }
        let providers = index.providers(bare);
        if providers.is_empty() {
            let near = nearest(bare, index.names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            bail!("{file} names the package `{name}`, which no source of images/sources.toml has for {}{near}", wanted.arch);
        }
        let list: Vec<&str> = providers.into_iter().collect();
        bail!("{file} names `{name}`, which is virtual: name the one that is wanted of {}", list.join(", "));
    }
    Ok(())
}

/// The stanzas of apt's `--print-uris` output, by package name.
fn stanzas<'a>(printed: &str, index: &'a Index) -> Result<BTreeMap<String, &'a Stanza>> {
    let mut set = BTreeMap::new();
    for line in printed.lines() {
        let Some(url) = line.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) else { continue };
        let stanza = index.by_url(url).with_context(|| format!("apt chose {url}, which stands in no index"))?;
        set.insert(stanza.fields.package().to_owned(), stanza);
    }
    Ok(set)
}

/// Names (`name=version` where it is exact) that a kernel's metapackage, or a part of it, is made of.
fn kernel_parts(stanza: &Stanza, kernels: &BTreeSet<String>) -> Vec<String> {
    let name = stanza.fields.package();
    let versioned = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let part = |name: &str| KERNEL_PARTS.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(versioned));
    let kernel = kernels.iter().any(|kernel| kernel.split(['/', '=']).next() == Some(name)) || part(name);
    let needs = if kernel { stanza.needs() } else { Vec::new() };
    needs.into_iter().flatten().filter(|relation| part(&relation.name)).map(|relation| relation.name).collect()
}

/// Refuses a virtual package whose provider nobody chose, and a choice that nobody needs.
fn check_choices(wanted: &Wanted, index: &Index, set: &BTreeMap<String, &Stanza>) -> Result<()> {
    let named: BTreeSet<&str> = wanted.packages.iter().map(String::as_str).chain(index.essential()).collect();
    let groups: Vec<(&str, Vec<Relation>)> =
        set.iter().flat_map(|(name, stanza)| stanza.needs().into_iter().map(|group| (name.as_str(), group))).collect();
    // Needed by its own name: nobody had to choose.
    let needed: BTreeSet<&str> = groups.iter().filter_map(|(_, group)| group.first()).map(|relation| relation.name.as_str()).collect();
    let mut used = BTreeSet::new();
    for (by, group) in &groups {
        let virtuals = group.iter().map(|relation| relation.name.as_str()).filter(|name| wanted.providers.contains_key(*name));
        used.extend(virtuals);
        if group.iter().any(|relation| set.contains_key(&relation.name)) {
            continue;
        }
        for relation in group {
            let providers = index.providers(&relation.name);
            let Some(taken) = providers.iter().find(|provider| set.contains_key(**provider)) else { continue };
            let open =
                providers.len() > 1 && !wanted.providers.contains_key(&relation.name) && !named.contains(taken) && !needed.contains(taken);
            if open {
                let list: Vec<&str> = providers.iter().copied().collect();
                bail!(
                    "`{by}` needs `{0}`, which {1} provide: choose one under [providers] of {2}, such as `{0} = \"{taken}\"`",
                    relation.name,
                    list.join(", "),
                    wanted.file
                );
            }
            break;
        }
    }
    for (name, provider) in &wanted.providers {
        if !used.contains(name.as_str()) {
            bail!("[providers] of {} chooses `{provider}` for `{name}`, which nothing needs: take it out", wanted.file);
        }
        if !index.providers(name).contains(provider.as_str()) {
            bail!("[providers] of {} chooses `{provider}` for `{name}`, which it does not provide", wanted.file);
        }
    }
    Ok(())
}

/// The newest Date of the Release files in `lists`, not from before the release and not from the future.
fn epoch(lists: &Path) -> Result<u64> {
    let mut newest = EARLIEST_EPOCH_SECONDS;
    for entry in std::fs::read_dir(lists).with_context(|| format!("failed to list {}", lists.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with("Release") {
            let text = std::fs::read_to_string(entry.path())?;
            let date = text.lines().find_map(|line| line.strip_prefix("Date:"));
            newest = newest.max(date.and_then(rfc2822_seconds).unwrap_or_default());
        }
    }
    #[expect(clippy::disallowed_methods, reason = "a lock is made at some time, and is no build")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(newest, |now| now.as_secs());
    Ok(newest.min(now.max(EARLIEST_EPOCH_SECONDS)))
}

/// What a new lock changes, one line a package: `+` came, `-` went, `~` moved.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<String> {
    let by_name = |lock: &Lock| -> BTreeMap<String, LockedPackage> {
        lock.packages.iter().map(|package| (format!("{}:{}", package.asked_as(), package.arch), package.clone())).collect()
    };
    let before = old.map(by_name).unwrap_or_default();
    let after = by_name(new);
    let mut lines = Vec::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old.version != new.version => lines.push(format!("~ {} {} → {}", new.name, old.version, new.version)),
            (Some(old), Some(new)) if old != new => lines.push(format!("~ {} {} (another file or place)", new.name, new.version)),
            (None, Some(new)) => lines.push(format!("+ {} {}", new.name, new.version)),
            (Some(old), None) => lines.push(format!("- {} {}", old.name, old.version)),
            _ => {}
        }
    }
    lines
}
