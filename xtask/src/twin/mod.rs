//! The native twin: the same packages for amd64, configured once by their own maintainer scripts, in a sandbox with no network.
//!
//! What the scripts changed is the delta: a tar in the cache, named by the hash of all that went in. The packages' files are unpacked as they
//! are, dpkg's database is written to say "unpacked", and dpkg itself does the rest (order, triggers, conffiles). For a target of another
//! architecture the delta is carried over by [`foreign`]: nothing of the target is executed.

pub mod compare;
pub mod database;
mod derived;
mod folders;
pub mod foreign;
pub mod ids;
pub mod place;
pub mod rewrite;
pub mod rules;
mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::packages::cache::Cache;
use crate::packages::data::{self, DataEntry};
use crate::packages::deb::Deb;
use crate::packages::lock::LockedPackage;
use crate::sandbox::{self, Owners, Sandbox};
use crate::tree::erofs;
use crate::tree::merge::FRAME_PACKAGE;
use crate::ui;
use ids::Ids;

/// Changes whenever this module makes another delta from the same inputs.
const RECIPE: &str = "twin 5";

/// How the twin's packages are unpacked by GNU tar: as dpkg would, links of the merged /usr kept.
const EXTRACT: &str =
    "--directory=/twin --same-owner --same-permissions --keep-directory-symlink --numeric-owner --xattrs --xattrs-include=*";

/// Runs inside the twin, after its files and dpkg's database are there. `$ESSENTIAL`: packages that every script may count on, which are
/// configured before the others; `$@`: packages with a preinst, in order.
const CONFIGURE: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg
for name in "$@"; do
    package=${name%%:*}
    DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH=amd64 DPKG_MAINTSCRIPT_NAME=preinst \
        "/var/lib/dpkg/info/$name.preinst" install >&2 || { echo "the preinst of $package failed" >&2; exit 1; }
done
dpkg --configure --no-triggers --force-confold $ESSENTIAL >&2
dpkg --configure --pending --force-confold >&2
dpkg --audit >&2
set -- /overlay/*/usr/lib/sysusers.d/*.conf
[ ! -e "$1" ] || systemd-sysusers "$@" >&2
"#;

/// What a twin is made from.
pub struct Inputs<'a> {
    /// The packages that are configured (the payload left out), for amd64.
    pub packages: &'a [&'a LockedPackage],
    /// Names and numbers of users and groups that must stay what they are.
    pub ids: &'a Ids,
    /// Overlay folders, whose `usr/lib/sysusers.d` adds users of ours.
    pub overlays: &'a [PathBuf],
}

/// A twin's outcome.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The tar of what changed; an overlay's whiteouts in it are removals.
    pub tar: PathBuf,
    /// Whether it was in the cache.
    pub cached: bool,
}

/// The delta of these inputs, from the cache or by running the maintainer scripts.
pub fn delta(cache: &Cache, tools: &Sandbox, tools_root: &Path, inputs: &Inputs<'_>) -> Result<Delta> {
    let folder = cache.root().join("deltas");
    fs::create_dir_all(&folder)?;
    let tar = folder.join(format!("{}.tar", key(inputs)?));
    if tar.is_file() {
        return Ok(Delta { tar, cached: true });
    }
    // What an interrupted run left is removed first.
    place::remove_leftovers(tools_root, &folder)?;
    let files = files(cache, inputs.packages)?;
    let bytes = files.iter().map(|package| Ok(fs::metadata(&package.tar)?.len())).sum::<Result<u64>>()?;
    let work = place::choose(bytes, &folder);
    fs::create_dir_all(&work)?;
    let made = make(cache, tools, inputs, &files, &work);
    let result = made.and_then(|()| keep(&work.join("delta.tar"), &folder, &tar));
    sandbox::remove_tree(tools_root, &work)?;
    result.context("failed to configure the twin")?;
    Ok(Delta { tar, cached: false })
}

fn key(inputs: &Inputs<'_>) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(RECIPE);
    hash.update(CONFIGURE);
    for package in inputs.packages {
        hash.update(&package.sha256);
    }
    hash.update(inputs.ids.to_text());
    for overlay in inputs.overlays {
        for (name, text) in sysusers(overlay)? {
            hash.update(name);
            hash.update(text);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn sysusers(overlay: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let folder = overlay.join("usr/lib/sysusers.d");
    let mut files = BTreeMap::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
        }
    }
    Ok(files)
}

/// Brings a file to its place in the cache, whole or not at all.
fn keep(made: &Path, folder: &Path, place: &Path) -> Result<()> {
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    std::io::copy(&mut fs::File::open(made)?, &mut aside)?;
    aside.persist(place).map_err(|error| error.error)?;
    Ok(())
}

/// The files of a package, in the cache.
struct Unpacked {
    tar: PathBuf,
    entries: Vec<DataEntry>,
}

fn files(cache: &Cache, packages: &[&LockedPackage]) -> Result<Vec<Unpacked>> {
    let of = |package: &&LockedPackage| {
        let tar = data::data_tar(cache, package)?;
        Ok(Unpacked { entries: data::data_entries(&tar)?, tar })
    };
    packages.iter().map(of).collect()
}

/// Packs what configuring changes as `work/delta.tar`.
fn make(cache: &Cache, tools: &Sandbox, inputs: &Inputs<'_>, files: &[Unpacked], work: &Path) -> Result<()> {
    let (lower, changes) = (work.join("lower"), work.join("changes"));
    fs::create_dir_all(&lower)?;
    unpack(cache, tools, inputs.packages, files, &lower)?;
    let debs = inputs.packages.iter().map(|package| open(cache, package)).collect::<Result<Vec<_>>>()?;
    database::write(&lower, &debs, files).context("failed to write dpkg's database")?;
    // Preloaded users are part of what changes, even if no script touches them.
    let upper_etc = changes.join("upper/etc");
    fs::create_dir_all(&upper_etc)?;
    inputs.ids.preload(&lower.join("usr/share/base-passwd"), &upper_etc)?;
    configure(inputs, &debs, &lower, &changes)?;
    let pack = [
        "tar",
        "--create",
        "--file=/twin/delta.tar",
        "--directory=/twin/changes/upper",
        "--sort=name",
        "--format=pax",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=security.capability",
        "--xattrs-include=*.overlay.opaque",
        ".",
    ];
    tools.clone().owners(Owners::All).bind_writable(work, "/twin").command(pack).run().context("failed to pack the delta")?;
    Ok(())
}

fn open(cache: &Cache, package: &LockedPackage) -> Result<Deb> {
    let path = cache.deb(package).with_context(|| format!("{} is not in the cache", package.title()))?;
    Deb::open(&path)
}

/// Unpacks every data tar into `lower`, the frame first; a folder of several packages is as the first of them says.
fn unpack(cache: &Cache, tools: &Sandbox, packages: &[&LockedPackage], files: &[Unpacked], lower: &Path) -> Result<()> {
    let mut ordered: Vec<_> = packages.iter().zip(files).collect();
    ordered.sort_by_key(|(package, _)| package.name != FRAME_PACKAGE);
    let root = cache.root();
    let inside = ordered
        .iter()
        .map(|(_, files)| Ok(format!("/cache/{}\n", files.tar.strip_prefix(root).context("a tar lies outside the cache")?.display())))
        .collect::<Result<String>>()?;
    // The frame alone first, for its links; the others side by side.
    let script = format!(
        "read -r frame; x() {{ tar --extract --file=\"$1\" {EXTRACT}; }}; x \"$frame\" || exit 1; xargs -n 1 -P {} sh -c 'tar --extract --file=\"$0\" {EXTRACT} || exit 255'",
        crate::parallel::processors()
    );
    let sandbox = tools.clone().owners(Owners::All).bind(root, "/cache").bind_writable(lower, "/twin");
    sandbox
        .command(["sh", "-c", &script])
        .run_with(|mut pipe| Ok(pipe.write_all(inside.as_bytes())?), |_| ())
        .context("failed to unpack the twin's packages")?;
    let folders = folders::agreed(ordered.iter().map(|(_, files)| *files))?;
    sandbox
        .command(["sh", "-c", &format!("tar --extract --file=- {EXTRACT}")])
        .run_with(|pipe| erofs::write_tar(&folders, 0, BufWriter::new(pipe)), |_| ())
        .context("failed to set the modes of the twin's folders")?;
    Ok(())
}

fn configure(inputs: &Inputs<'_>, debs: &[Deb], lower: &Path, changes: &Path) -> Result<()> {
    let policy = changes.join("policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut sandbox = Sandbox::new(lower).owners(Owners::All).keep_changes(changes).bind(&policy, rules::POLICY_RC_D);
    for (number, overlay) in inputs.overlays.iter().enumerate().filter(|(_, overlay)| overlay.is_dir()) {
        sandbox = sandbox.bind(overlay, &format!("/overlay/{number}"));
    }
    let controls: Vec<_> = debs.iter().map(|deb| &deb.control).collect();
    sandbox = sandbox.env("ESSENTIAL", &database::essential(&controls).join(" "));
    let mut argv = vec!["sh".to_owned(), "-c".into(), CONFIGURE.into(), "configure".into()];
    argv.extend(debs.iter().filter(|deb| deb.members.contains_key("preinst")).map(|deb| database::info_name(&deb.control)));
    let total = debs.len();
    let mut done = 0;
    let output = sandbox.command(argv).run_with(
        |_| Ok(()),
        |line| {
            if line.starts_with("Setting up ") {
                done += 1;
                if done % 50 == 0 {
                    ui::say(&format!("configured {done} of {total} packages"));
                }
            }
        },
    )?;
    if !output.is_empty() {
        bail!("the maintainer scripts wrote to the wrong stream: {}", String::from_utf8_lossy(&output));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::testing::locked;

    fn ids(text: &str) -> Ids {
        Ids::parse(text).unwrap()
    }

    #[test]
    fn a_delta_is_known_by_all_that_went_into_it() {
        let (one, two, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (overlay, text) in [(&one, "u a\n"), (&two, "u b\n")] {
            fs::create_dir_all(overlay.path().join("usr/lib/sysusers.d")).unwrap();
            fs::write(overlay.path().join("usr/lib/sysusers.d/a.conf"), text).unwrap();
        }
        let (a, b) = (locked("a", b"a"), locked("b", b"b"));
        let of = |packages: &[&LockedPackage], ids: &Ids, overlays: &[&tempfile::TempDir]| {
            let overlays: Vec<PathBuf> = overlays.iter().map(|overlay| overlay.path().to_owned()).collect();
            key(&Inputs { packages, ids, overlays: &overlays }).unwrap()
        };
        let (none, some) = (ids(""), ids("group:g:100\n"));
        let first = of(&[&a, &b], &none, &[&one]);
        assert_eq!(first, of(&[&a, &b], &none, &[&one, &empty]), "an overlay without users of its own changes nothing");
        for other in [
            of(&[&a], &none, &[&one]),
            of(&[&b, &a], &none, &[&one]),
            of(&[&a, &b], &some, &[&one]),
            of(&[&a, &b], &none, &[]),
            of(&[&a, &b], &none, &[&two]),
            of(&[&a, &b], &none, &[&one, &two]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_delta_of_the_cache_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let (a, none) = (locked("a", b"a"), ids(""));
        let inputs = Inputs { packages: &[&a], ids: &none, overlays: &[] };
        let kept = cache.root().join("deltas").join(format!("{}.tar", key(&inputs).unwrap()));
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "a delta").unwrap();
        // No tools tree is there: nothing is run.
        let nowhere = folder.path().join("tools");
        let found = delta(&cache, &Sandbox::new(&nowhere), &nowhere, &inputs).unwrap();
        assert!(found.cached && found.tar == kept);
        let other = locked("b", b"b");
        assert!(delta(&cache, &Sandbox::new(&nowhere), &nowhere, &Inputs { packages: &[&other], ..inputs }).is_err());
    }
}
