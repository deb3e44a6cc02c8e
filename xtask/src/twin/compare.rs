//! Two configured trees held against each other: the twin's and one that was configured on the target's own (emulated) processor.

use std::collections::BTreeSet;

use anyhow::Result;

use super::rules;
use crate::board::Globs;
use crate::tree::{Entry, Kind, Tree, TreePath};

/// Paths on which the two may differ, beside those that no image takes from a delta ([`rules::left_out`]), each with its reason.
const EXPLAINED: &[(&str, &str)] = &[
    ("/etc/apt/**", "where the reference took its packages from"),
    ("/etc/fstab", "mmdebstrap's own: a comment that says it is not configured"),
    ("/var/lib/apt", "apt's state: the twin is configured by dpkg alone"),
    ("/var/lib/apt/**", "apt's state: the twin is configured by dpkg alone"),
];
/// Why two links that are written in two ways are no difference.
const SAME_END: &str = "both links lead to the same path: systemd's presets write /usr/lib, its helper for scripts /lib";

/// One path on which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: TreePath,
    /// What is different, in words.
    pub what: String,
    /// Why it may be; `None`: nothing explains it.
    pub explained: Option<&'static str>,
}

/// Every difference between the twin's tree and the reference, in the order of their paths.
pub fn differences(ours: &Tree, reference: &Tree) -> Result<Vec<Difference>> {
    let explained = EXPLAINED
        .iter()
        .map(|(glob, reason)| Ok((Globs::new(&[glob]).map_err(|(_, error)| error)?, *reason)))
        .collect::<Result<Vec<_>>>()?;
    let paths: BTreeSet<&TreePath> = ours.iter().chain(reference.iter()).map(|(path, _)| path).collect();
    let mut found = Vec::new();
    for path in paths {
        let Some(what) = difference(ours, reference, path)? else { continue };
        let absolute = format!("/{path}");
        let rule = explained.iter().find(|(globs, _)| globs.matches(&absolute)).map(|(_, reason)| *reason);
        let links = || same_end(ours, reference, path).then_some(SAME_END);
        found.push(Difference { path: path.clone(), what, explained: rules::left_out(path).or(rule).or_else(links) });
    }
    Ok(found)
}

fn difference(ours: &Tree, reference: &Tree, path: &str) -> Result<Option<String>> {
    let (Some(here), Some(there)) = (ours.get(path), reference.get(path)) else {
        let side = if ours.get(path).is_some() { "only by the twin" } else { "only in the reference" };
        return Ok(Some(side.to_owned()));
    };
    if let Some(what) = content(ours, reference, here, there)? {
        return Ok(Some(what));
    }
    // A link's mode means nothing.
    let mode = |entry: &Entry| if matches!(entry.kind, Kind::Symlink(_)) { 0o777 } else { entry.mode };
    let owner = |entry: &Entry| format!("mode {:04o}, owner {}:{}, {} attributes", mode(entry), entry.uid, entry.gid, entry.xattrs.len());
    if owner(here) != owner(there) || here.xattrs != there.xattrs {
        return Ok(Some(format!("{} by the twin, {} in the reference", owner(here), owner(there))));
    }
    Ok(None)
}

fn content(ours: &Tree, reference: &Tree, here: &Entry, there: &Entry) -> Result<Option<String>> {
    Ok(match (resolved(ours, here), resolved(reference, there)) {
        (Kind::Directory, Kind::Directory) => None,
        (Kind::Symlink(a), Kind::Symlink(b)) => (a != b).then(|| format!("a link to {a} by the twin, to {b} in the reference")),
        (Kind::CharDevice(a, b), Kind::CharDevice(c, d)) => ((a, b) != (c, d)).then(|| "another device".to_owned()),
        (Kind::File(a), Kind::File(b)) if a.len() == b.len() && a.read()? == b.read()? => None,
        (Kind::File(a), Kind::File(b)) => Some(first_line(&a.read()?, &b.read()?)),
        _ => Some("another kind of file".to_owned()),
    })
}

/// Whether links of both sides lead to one path that is there.
fn same_end(ours: &Tree, reference: &Tree, path: &str) -> bool {
    let is_link = |tree: &Tree| matches!(tree.get(path).map(|entry| &entry.kind), Some(Kind::Symlink(_)));
    let end = |tree: &Tree| tree.resolve(path).map(|found| found.path).ok();
    is_link(ours) && is_link(reference) && end(ours).is_some() && end(ours) == end(reference)
}

/// What an entry holds: a second name stands for the file.
fn resolved<'t>(tree: &'t Tree, entry: &'t Entry) -> &'t Kind {
    match &entry.kind {
        Kind::Hardlink(to) => tree.get(to).map_or(&entry.kind, |first| &first.kind),
        kind => kind,
    }
}

/// How two contents differ, in words.
fn first_line(ours: &[u8], reference: &[u8]) -> String {
    let (Ok(ours_text), Ok(text)) = (std::str::from_utf8(ours), std::str::from_utf8(reference)) else {
        return format!("binary: {} bytes by the twin, {} in the reference", ours.len(), reference.len());
    };
    let lines = ours_text.lines().zip(text.lines());
    match (1..).zip(lines).find(|(_, (ours, theirs))| ours != theirs) {
        Some((number, (ours, theirs))) => format!("line {number}: `{ours}` by the twin, `{theirs}` in the reference"),
        None => format!("{} lines by the twin, {} in the reference", ours_text.lines().count(), text.lines().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::{file, folder, hardlink, link, program, tree};

    fn unexplained(ours: &Tree, reference: &Tree) -> Vec<(String, String)> {
        let found = differences(ours, reference).unwrap();
        found.into_iter().filter(|found| found.explained.is_none()).map(|found| (found.path, found.what)).collect()
    }

    #[test]
    fn equal_trees_have_none() {
        let one = tree(&[("etc", folder()), ("etc/a", file("a")), ("etc/b", hardlink("etc/a")), ("l", link("etc/a"))]);
        let other = tree(&[("etc", folder()), ("etc/a", hardlink("etc/b")), ("etc/b", file("a")), ("l", link("etc/a"))]);
        assert_eq!(differences(&one, &other).unwrap(), []);
    }

    #[test]
    fn each_kind_of_difference_is_seen() {
        let ours = tree(&[("a", file("x\ny\n")), ("b", file("b")), ("c", link("x")), ("d", program("d")), ("only", file("o"))]);
        let reference = tree(&[("a", file("x\nz\n")), ("b", folder()), ("c", link("y")), ("d", file("d")), ("other", file("o"))]);
        let found = unexplained(&ours, &reference);
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "c", "d", "only", "other"]);
        assert_eq!(found[0].1, "line 2: `y` by the twin, `z` in the reference");
        assert!(found[3].1.starts_with("mode 0755"), "{}", found[3].1);
    }

    #[test]
    fn links_that_lead_to_one_place_are_the_same() {
        let side = |to: &str| tree(&[("lib", link("usr/lib")), ("usr/lib/x", file("x")), ("usr/lib/y", file("y")), ("etc/l", link(to))]);
        assert_eq!(unexplained(&side("/lib/x"), &side("../usr/lib/x")), []);
        assert_eq!(unexplained(&side("/lib/x"), &side("/usr/lib/y")).len(), 1);
        assert_eq!(unexplained(&side("/lib/none"), &side("/usr/lib/none")).len(), 1);
    }

    #[test]
    fn a_rule_explains_its_paths_alone() {
        let (ours, reference) =
            (tree(&[]), tree(&[("etc/apt/sources.list", file("x")), ("etc/aptx", file("x")), ("var/log/x", file("x"))]));
        assert_eq!(unexplained(&ours, &reference), [("etc/aptx".to_owned(), "only in the reference".to_owned())]);
    }
}
