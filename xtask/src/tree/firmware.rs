//! Firmware: what the kernel modules that stay may ask for, and nothing else.
//!
//! Modules name their files in `.modinfo`, with three peculiarities that stand here as rules and not as lists:
//! a name may be a glob (brcmfmac's NVRAM); a versioned name is the newest that the driver knows, and it asks downwards
//! from there (iwlwifi, rtw89), so that the newest file that exists is kept; links are followed.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use super::prune::{self, Pruned};
use super::{Kind, Tree};
use crate::board::Select;

/// Where the kernel looks for firmware.
pub const FOLDER: &str = "usr/lib/firmware";
/// Processor microcode, below [`FOLDER`]: it goes before the initramfs, and nowhere else.
pub const MICROCODE: [&str; 2] = ["intel-ucode", "amd-ucode"];
/// The kernel may read these instead of the plain file (CONFIG_FW_LOADER_COMPRESS).
const COMPRESSED: [&str; 2] = [".xz", ".zst"];

/// What became of the firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirmwareReport {
    /// Files and links that stay.
    pub kept: usize,
    /// Bytes of the files that stay.
    pub kept_bytes: u64,
    /// What went.
    pub pruned: Pruned,
}

/// The firmware of a tree.
pub struct Present<'a> {
    tree: &'a Tree,
    names: BTreeSet<String>,
}

impl<'a> Present<'a> {
    /// What packages brought.
    pub fn of(tree: &'a Tree) -> Self {
        Self { tree, names: names(tree) }
    }

    /// Whether the kernel would find something under that name or glob.
    pub fn has(&self, name: &str) -> bool {
        // The second: perhaps below a folder that is a link.
        !find(name, &self.names).is_empty() || self.tree.resolve(&format!("{FOLDER}/{name}")).is_ok()
    }

    /// All names, below [`FOLDER`].
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }
}

/// Files and links below [`FOLDER`].
fn names(tree: &Tree) -> BTreeSet<String> {
    tree.below(FOLDER)
        .filter(|(_, entry)| !matches!(entry.kind, Kind::Directory))
        .filter_map(|(path, _)| path.strip_prefix(FOLDER)?.strip_prefix('/').map(str::to_owned))
        .collect()
}

/// The tree with the firmware that `asked` (names or globs below [`FOLDER`], from the modules) and `rules` keep.
/// `rules.keep` is read as if a module named it, `rules.drop` goes even if asked for.
pub fn select<'a>(mut tree: Tree, asked: impl IntoIterator<Item = &'a str>, rules: &'a Select) -> (Tree, FirmwareReport) {
    let mut report = FirmwareReport::default();
    let present = names(&tree);
    let mut wanted = BTreeSet::<&str>::new();
    let mut through_links = BTreeSet::new();
    for name in asked.into_iter().chain(rules.keep.patterns().iter().map(String::as_str)) {
        let found = find(name, &present);
        if found.is_empty() {
            // Perhaps below a folder that is a link.
            if tree.resolve(&format!("{FOLDER}/{name}")).is_ok() {
                through_links.insert(name.to_owned());
            }
        }
        wanted.extend(found);
    }
    let mut kept = BTreeSet::new();
    for name in wanted.into_iter().chain(through_links.iter().map(String::as_str)) {
        if rules.drop.matches(name) {
            continue;
        }
        let path = format!("{FOLDER}/{name}");
        if let Ok(found) = tree.resolve(&path) {
            kept.extend(found.links);
            if let Kind::Hardlink(target) = &found.entry.kind {
                kept.insert(target.clone());
            }
            kept.insert(found.path);
        }
    }
    let doomed: BTreeSet<String> = present.iter().map(|name| format!("{FOLDER}/{name}")).filter(|path| !kept.contains(path)).collect();
    report.pruned = prune::remove(&mut tree, &doomed);
    for (_, entry) in tree.below(FOLDER).filter(|(_, entry)| !matches!(entry.kind, Kind::Directory)) {
        report.kept += 1;
        if let Kind::File(content) = &entry.kind {
            report.kept_bytes += content.len();
        }
    }
    (tree, report)
}

/// Which of `present` the kernel would load where a module says `name`.
fn find<'a>(name: &str, present: &'a BTreeSet<String>) -> Vec<&'a str> {
    if name.contains(['*', '?', '[']) {
        let Ok(glob) = GlobBuilder::new(name).literal_separator(true).build() else { return Vec::new() };
        let glob = glob.compile_matcher();
        return present.iter().map(String::as_str).filter(|path| glob.is_match(plain(path))).collect();
    }
    let exact = |name: &str| {
        let compressed = COMPRESSED.iter().map(|suffix| format!("{name}{suffix}"));
        std::iter::once(name.to_owned()).chain(compressed).find_map(|path| present.get(&path)).map(String::as_str)
    };
    if let Some(path) = exact(name) {
        return vec![path];
    }
    let Some((stem, newest, extension)) = versioned(name) else { return Vec::new() };
    let older = present.range(stem.to_owned()..).take_while(|path| path.starts_with(stem)).filter_map(|path| {
        let (its_stem, version, its_extension) = versioned(plain(path))?;
        (its_stem == stem && its_extension == extension && version <= newest).then_some((version, path.as_str()))
    });
    // Where a driver tries no version at all in the end (rtw89), that file is the oldest.
    let unversioned = || exact(&format!("{}{extension}", stem.trim_end_matches('-')));
    older.max().map(|(_, path)| path).or_else(unversioned).into_iter().collect()
}

fn plain(path: &str) -> &str {
    COMPRESSED.iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path)
}

/// `iwlwifi-cc-a0-77.ucode` → (`iwlwifi-cc-a0-`, 77, `.ucode`).
fn versioned(name: &str) -> Option<(&str, u32, &str)> {
    let dot = name.rfind('.')?;
    let (head, extension) = name.split_at(dot);
    let dash = head.rfind('-')? + 1;
    let (stem, digits) = head.split_at(dash);
    Some((stem, digits.parse().ok()?, extension))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Globs;
    use crate::tree::testing::{file, folder, hardlink, link, paths, tree};

    fn rules(keep: &[&str], drop: &[&str]) -> Select {
        Select { keep: Globs::new(keep).unwrap(), drop: Globs::new(drop).unwrap() }
    }

    fn kept(files: &[&str], asked: &[&str], rules: &Select) -> Vec<String> {
        let entries: Vec<(String, _)> = files.iter().map(|name| (format!("{FOLDER}/{name}"), file("x"))).collect();
        let entries: Vec<(&str, _)> = entries.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect();
        let (tree, _) = select(tree(&entries), asked.iter().copied(), rules);
        paths(&tree).iter().filter_map(|path| path.strip_prefix("usr/lib/firmware/")).map(str::to_owned).collect()
    }

    #[test]
    fn the_newest_version_that_exists_and_the_driver_knows_is_kept() {
        let files = ["iwlwifi-cc-a0-59.ucode", "iwlwifi-cc-a0-77.ucode", "iwlwifi-cc-a0-90.ucode", "iwlwifi-cc-b0-77.ucode"];
        assert_eq!(kept(&files, &["iwlwifi-cc-a0-89.ucode"], &rules(&[], &[])), ["iwlwifi-cc-a0-77.ucode"]);
        assert_eq!(kept(&files, &["iwlwifi-cc-a0-90.ucode"], &rules(&[], &[])), ["iwlwifi-cc-a0-90.ucode"]);
        assert_eq!(kept(&["rtw89/fw.bin"], &["rtw89/fw-1.bin"], &rules(&[], &[])), ["rtw89/fw.bin"]);
    }

    #[test]
    fn globs_compression_and_rules() {
        let files = ["brcm/a-sdio.bin", "brcm/a-sdio.x,y.txt", "other/z", "unasked/u", "zipped.xz"];
        let asked = ["brcm/a-sdio.*.txt", "zipped", "other/z"];
        assert_eq!(kept(&files, &asked, &rules(&["unasked/**"], &["other/**"])), ["brcm/a-sdio.x,y.txt", "unasked/u", "zipped.xz"]);
    }

    #[test]
    fn links_keep_what_they_lead_to() {
        let before = tree(&[
            ("usr/lib/firmware", folder()),
            ("usr/lib/firmware/a", link("b/c")),
            ("usr/lib/firmware/b", folder()),
            ("usr/lib/firmware/b/c", file("c")),
            ("usr/lib/firmware/b/d", file("d")),
            ("usr/lib/firmware/dir", link("b")),
            ("usr/lib/firmware/e", folder()),
            ("usr/lib/firmware/e/f", file("f")),
            ("usr/lib/firmware/h", hardlink("usr/lib/firmware/e/f")),
        ]);
        let (after, report) = select(before.clone(), ["a"], &rules(&[], &[]));
        assert_eq!(paths(&after), ["usr/lib/firmware", "usr/lib/firmware/a", "usr/lib/firmware/b", "usr/lib/firmware/b/c"]);
        assert_eq!((report.kept, report.kept_bytes), (2, 1));
        let (after, _) = select(before.clone(), ["dir/d"], &rules(&[], &[]));
        assert_eq!(paths(&after), ["usr/lib/firmware", "usr/lib/firmware/b", "usr/lib/firmware/b/d", "usr/lib/firmware/dir"]);
        let there = Present::of(&before);
        assert!(there.has("h") && there.has("dir/d") && there.has("b/*") && !there.has("nowhere") && !there.has("z/*"));
        let (after, _) = select(before, ["h", "nowhere"], &rules(&[], &[]));
        assert_eq!(paths(&after), ["usr/lib/firmware", "usr/lib/firmware/e", "usr/lib/firmware/e/f", "usr/lib/firmware/h"]);
    }
}
