//! The twin's delta, carried over to a target of another architecture: rewritten, held against what both sides ship, or refused.
//!
//! Each regular file of the delta is one of these, in this order:
//! - its own path is shipped, and the bytes are the shipped ones (a script changed mode or owner): the target's bytes, so also machine code;
//! - a copy of a file that is shipped elsewhere: the target's version of that file;
//! - a shipped file that a script edited, or a file made by a script: its text, rewritten, if what it was made from is the same on both sides;
//! - binary data that is the same for all our architectures, by name ([`super::derived`]);
//! - anything else (machine code, binary data of unknown kind, text that names amd64 in a way that no rule knows): an error that names the
//!   packages whose scripts speak of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::derived;
use super::rewrite::Rewrite;
use super::scripts;
use crate::packages::data::{DataEntry, DataKind};
use crate::packages::deb::Deb;
use crate::tree::{Content, Kind, Origin, Tree, TreePath};

/// The first bytes of machine code: ELF, and archives of it.
const MACHINE_CODE: [&[u8]; 2] = [b"\x7fELF", b"!<arch>\n"];

/// Control parts by their packages' names.
pub type Debs<'a> = BTreeMap<&'a str, &'a Deb>;

/// One side: its packages that are configured, and what they ship.
pub struct Side<'a> {
    /// Their control parts, by name.
    pub debs: &'a Debs<'a>,
    /// Their files.
    pub tree: &'a Tree,
}

/// Where bytes come from that stand in the place of those in the delta's tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The file that the target ships at this path.
    Shipped(TreePath),
    /// This text.
    Text(String),
}

/// A delta that fits the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its entries; paths and links rewritten.
    pub entries: Vec<DataEntry>,
    /// Path → what stands in the place of the tar's bytes.
    pub sources: BTreeMap<TreePath, Source>,
}

impl Carried {
    /// The bytes of [`Self::sources`], as `target`, the tree of what the target ships, has them.
    pub fn contents(&self, target: &Tree) -> Result<BTreeMap<TreePath, Content>> {
        let content = |source: &Source| match source {
            Source::Text(text) => Ok(Content::Bytes(text.as_bytes().into())),
            Source::Shipped(path) => content_at(target, path).cloned().with_context(|| format!("the target does not ship /{path}")),
        };
        self.sources.iter().map(|(path, source)| Ok((path.clone(), content(source)?))).collect()
    }
}

/// Checks that both sides configure the same packages by the same scripts.
///
/// # Errors
/// Names that only one side has; the first script that differs.
pub fn check_packages(twin: &Debs<'_>, target: &Debs<'_>, rewrite: Rewrite) -> Result<()> {
    let names = |side: &Debs<'_>| side.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (there, here) = (names(twin), names(target));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
    if there != here {
        bail!(
            "the twin and the target configure different packages: only in the twin: [{}]; only on the target: [{}]. Make both locks anew, so that \
             they are of one day: cargo xtask lock",
            only(&there, &here),
            only(&here, &there)
        );
    }
    for (name, deb) in target {
        // One .deb for all architectures is its own equal.
        if let Some(other) = twin.get(name).filter(|other| !std::ptr::eq(**other, *deb)) {
            scripts::compare(other, deb, rewrite)?;
        }
    }
    Ok(())
}

/// Carries the delta's entries (in `tar`, with what is left out left out) over to the target.
pub fn carry(tar: &Path, entries: Vec<DataEntry>, twin: &Side<'_>, target: &Side<'_>, rewrite: Rewrite) -> Result<Carried> {
    derived::check(entries.iter().map(|entry| entry.path.as_str()), twin.tree, target.tree, rewrite)?;
    let tar = Arc::new(tar.to_owned());
    let lengths = shipped_by_length(twin.tree, &entries);
    let carrier = Carrier { twin, target, rewrite, lengths };
    let mut carried = Carried::default();
    for mut entry in entries {
        let path = rewrite.path(&entry.path);
        match &entry.kind {
            DataKind::File { offset, len } => {
                let content = Content::Slice { file: tar.clone(), offset: *offset, len: *len };
                if let Some(content) = carrier.file(&entry.path, &path, &content)? {
                    carried.sources.insert(path.clone(), content);
                }
            }
            DataKind::Symlink(to) => entry.kind = DataKind::Symlink(carrier.link(&entry.path, to)?),
            DataKind::Hardlink(to) => entry.kind = DataKind::Hardlink(rewrite.path(to)),
            DataKind::Dir | DataKind::Char(..) => {}
        }
        entry.path = path;
        carried.entries.push(entry);
    }
    Ok(carried)
}

/// Paths of the twin's shipped files, by their length, for lengths that occur in the delta.
fn shipped_by_length<'t>(twin: &'t Tree, entries: &[DataEntry]) -> HashMap<u64, Vec<&'t str>> {
    let mut lengths: HashMap<u64, Vec<&str>> = entries
        .iter()
        .filter_map(|entry| match entry.kind {
            DataKind::File { len, .. } if len > 0 => Some((len, Vec::new())),
            _ => None,
        })
        .collect();
    for (path, entry) in twin.iter() {
        if let Kind::File(content) = &entry.kind
            && let Some(paths) = lengths.get_mut(&content.len())
        {
            paths.push(path);
        }
    }
    lengths
}

struct Carrier<'a> {
    twin: &'a Side<'a>,
    target: &'a Side<'a>,
    rewrite: Rewrite,
    lengths: HashMap<u64, Vec<&'a str>>,
}

/// The regular file at exactly this path, a second name followed.
fn content_at<'t>(tree: &'t Tree, path: &str) -> Option<&'t Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        Kind::Hardlink(to) => match &tree.get(to)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        },
        _ => None,
    }
}

/// Where a link at `path` points, without `..`: the folder of a delta's link may be in no package, but it is no link itself.
fn absolute(path: &str, to: &str) -> String {
    let folder = if to.starts_with('/') { "" } else { path.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut parts = Vec::new();
    for part in folder.split('/').chain(to.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Carrier<'_> {
    /// The bytes for a regular file, `None`: those of the delta.
    fn file(&self, path: &str, new_path: &str, content: &Content) -> Result<Option<Source>> {
        if content.is_empty() {
            return Ok(None);
        }
        let bytes = content.read().with_context(|| format!("failed to read the delta's /{path}"))?;
        let shipped = content_at(self.twin.tree, path);
        if let Some(shipped) = shipped
            && shipped.len() == content.len()
            && shipped.read()? == bytes
        {
            if content_at(self.target.tree, new_path).is_none() {
                bail!("a script changed /{path}, which the target does not ship; {}", self.blame(path));
            }
            return Ok(Some(Source::Shipped(new_path.to_owned())));
        }
        if let Some(copied) = self.copy(path, &bytes)? {
            return Ok(Some(copied));
        }
        if MACHINE_CODE.iter().any(|magic| bytes.starts_with(magic)) {
            bail!("/{path} is machine code of the twin, and no package ships it; {}", self.blame(path));
        }
        if let Some(shipped) = shipped {
            self.edited(path, new_path, shipped)?;
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => text,
            _ if derived::is_portable_binary(path)? => return Ok(None),
            _ => bail!("/{path} is binary data that may be of the twin's architecture; {}", self.blame(path)),
        };
        let rewritten = self.rewrite.text(text);
        if let Some(word) = self.rewrite.leftover(&rewritten) {
            bail!("/{path} names the twin's architecture (`{word}`) in a way that no rule rewrites; {}", self.blame(path));
        }
        Ok((rewritten != text).then_some(Source::Text(rewritten)))
    }

    /// The target's version of the shipped file that these bytes are a copy of.
    fn copy(&self, path: &str, bytes: &Arc<[u8]>) -> Result<Option<Source>> {
        let mut found: Option<(&str, TreePath, &Content)> = None;
        for source in self.lengths.get(&(bytes.len() as u64)).into_iter().flatten() {
            let Some(shipped) = content_at(self.twin.tree, source) else { continue };
            if shipped.read()? != *bytes {
                continue;
            }
            let new_source = self.rewrite.path(source);
            let there = content_at(self.target.tree, &new_source);
            let there = there.with_context(|| format!("/{path} is a copy of /{source}, which the target does not ship"))?;
            match &found {
                Some((first, _, content)) if content.read()? != there.read()? => {
                    bail!("/{path} is a copy of /{first} or of /{source}, which are different files on the target; {}", self.blame(path))
                }
                Some(_) => {}
                None => found = Some((source, new_source, there)),
            }
        }
        Ok(found.map(|(_, path, _)| Source::Shipped(path)))
    }

    /// A shipped file that a script edited: both sides must have shipped the same.
    fn edited(&self, path: &str, new_path: &str, shipped: &Content) -> Result<()> {
        let text = |content: &Content| -> Result<String> { Ok(String::from_utf8_lossy(&content.read()?).into_owned()) };
        let same = match content_at(self.target.tree, new_path) {
            Some(there) => self.rewrite.text(&text(shipped)?) == text(there)?,
            None => false,
        };
        if !same {
            bail!("a script edited /{path}, which is another file on the target; {}", self.blame(path));
        }
        Ok(())
    }

    /// A symbolic link's target, rewritten. What it led to in the twin must be there on the target.
    fn link(&self, path: &str, to: &str) -> Result<String> {
        let rewritten = self.rewrite.text(to);
        let resolve = |tree: &Tree, from: &str, to: &str| tree.resolve(&absolute(from, to)).is_ok();
        if resolve(self.twin.tree, path, to) && !resolve(self.target.tree, &self.rewrite.path(path), &rewritten) {
            bail!("/{path} leads to {rewritten}, which the target does not ship; {}", self.blame(path));
        }
        Ok(rewritten)
    }

    /// Packages that may have made a path: its shipper, or those whose scripts speak of it or of its folder.
    fn blame(&self, path: &str) -> String {
        if let Some(Origin::Package { name, version }) = self.twin.tree.get(path).map(|entry| &entry.origin) {
            return format!("the package is {name} {version}");
        }
        let mut part = path;
        while part.contains('/') {
            let mention = format!("/{part}");
            let speaks = |deb: &&&Deb| deb.members.values().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&mention));
            let names: Vec<&str> = self.twin.debs.values().filter(speaks).map(|deb| deb.control.package()).collect();
            if !names.is_empty() {
                return format!("scripts that speak of {mention}: those of {}", names.join(", "));
            }
            part = part.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
        "no script speaks of it by name".to_owned()
    }
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
