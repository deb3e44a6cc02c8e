//! Device trees (Devicetree Specification 0.4): read from the kernel's package, so that a plan knows which drivers a
//! board needs to reach its root.
//!
//! dtoolkit checks and reads the blob; this flat form of it answers what is asked here: a node by its path or phandle, its
//! parent, its properties.

pub mod builtin;
pub mod console;
pub mod drivers;
pub mod found;
mod long_names;
pub mod mark;
pub mod overlay;
pub mod suppliers;
#[cfg(test)]
pub mod testing;

use std::collections::BTreeMap;

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node as _, Property as _};

/// Levels of nodes at most, as Linux takes them (drivers/of/fdt.c, `FDT_MAX_DEPTH`).
const DEPTH_MAX: usize = 64;
/// Nodes at most; the largest trees of Debian's kernels have some 3,000.
const NODES_MAX: usize = 1 << 16;

/// Why a file is no device tree.
#[derive(Debug, thiserror::Error)]
pub enum DeviceTreeError {
    /// It is malformed.
    #[error("it is no sound device tree: {0}")]
    Malformed(String),
    /// It is nested too deeply or has too many nodes.
    #[error("it has more than {NODES_MAX} nodes, or more than {DEPTH_MAX} levels of them")]
    TooLarge,
}

/// A device tree.
#[derive(Clone, Debug, Default)]
pub struct DeviceTree {
    nodes: Vec<Node>,
    by_path: BTreeMap<String, usize>,
    by_phandle: BTreeMap<u32, usize>,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// From the root: `/soc/mmc@7e300000`.
    pub path: String,
    parent: Option<usize>,
    properties: BTreeMap<String, Vec<u8>>,
}

/// A node within its tree.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    tree: &'a DeviceTree,
    index: usize,
    node: &'a Node,
}

impl DeviceTree {
    /// Reads a blob. What follows the tree in it is ignored, as firmware does.
    pub fn parse(blob: &[u8]) -> Result<Self, DeviceTreeError> {
        let malformed = |error: &dyn std::fmt::Display| DeviceTreeError::Malformed(error.to_string());
        let blob = long_names::cut(exact(blob));
        let fdt = Fdt::new(&blob).map_err(|error| malformed(&error))?;
        let mut tree = Self::default();
        let mut todo = vec![(None, 0, fdt.root())];
        while let Some((parent, depth, node)) = todo.pop() {
            if depth > DEPTH_MAX || tree.nodes.len() >= NODES_MAX {
                return Err(DeviceTreeError::TooLarge);
            }
            let index = tree.nodes.len();
            let above = parent.and_then(|parent: usize| tree.nodes.get(parent)).map_or("", |parent| parent.path.trim_end_matches('/'));
            let path = format!("{above}/{}", node.name());
            let properties: BTreeMap<String, Vec<u8>> =
                node.properties().map(|property| (property.name().to_owned(), property.value().to_vec())).collect();
            let phandle = ["phandle", "linux,phandle"].iter().find_map(|name| cells(properties.get(*name)?).first().copied());
            if let Some(phandle) = phandle {
                tree.by_phandle.insert(phandle, index);
            }
            tree.by_path.insert(path.clone(), index);
            tree.nodes.push(Node { path, parent, properties });
            todo.extend(node.children().map(|child| (Some(index), depth + 1, child)));
        }
        Ok(tree)
    }

    /// Every node.
    pub fn iter(&self) -> impl Iterator<Item = Place<'_>> {
        self.nodes.iter().enumerate().map(|(index, node)| Place { tree: self, index, node })
    }

    /// The node at a path, or at what an alias stands for.
    pub fn at(&self, path: &str) -> Option<Place<'_>> {
        if path.starts_with('/') {
            return self.by_path.get(path).and_then(|index| self.place(*index));
        }
        let (alias, rest) = path.split_once('/').map_or((path, ""), |(alias, rest)| (alias, rest));
        let target = self.at("/aliases")?.text(alias)?.to_owned();
        // An alias stands for a path, never for another alias.
        if !target.starts_with('/') {
            return None;
        }
        self.at(&if rest.is_empty() { target } else { format!("{target}/{rest}") })
    }

    /// The node that others point to by this number.
    pub fn phandle(&self, phandle: u32) -> Option<Place<'_>> {
        self.place(*self.by_phandle.get(&phandle)?)
    }

    fn place(&self, index: usize) -> Option<Place<'_>> {
        Some(Place { tree: self, index, node: self.nodes.get(index)? })
    }
}

impl<'a> Place<'a> {
    /// Its path.
    pub fn path(self) -> &'a str {
        &self.node.path
    }

    /// Its name without the address: `mmc` of `/soc/mmc@7e300000`.
    pub fn generic_name(self) -> &'a str {
        let name = self.node.path.rsplit('/').next().unwrap_or_default();
        name.split('@').next().unwrap_or_default()
    }

    /// The node above.
    pub fn parent(self) -> Option<Place<'a>> {
        self.tree.place(self.node.parent?)
    }

    /// The tree that it is in.
    pub fn tree(self) -> &'a DeviceTree {
        self.tree
    }

    /// A number of its own within the tree.
    pub fn index(self) -> usize {
        self.index
    }

    /// A property's bytes.
    pub fn property(self, name: &str) -> Option<&'a [u8]> {
        self.node.properties.get(name).map(Vec::as_slice)
    }

    /// All properties, by name.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.node.properties.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// A property's first string.
    pub fn text(self, name: &str) -> Option<&'a str> {
        strings(self.property(name)?).next()
    }

    /// A property's first cell.
    pub fn cell(self, name: &str) -> Option<u32> {
        cells(self.property(name)?).first().copied()
    }

    /// What it is, most special first.
    pub fn compatible(self) -> impl Iterator<Item = &'a str> {
        strings(self.property("compatible").unwrap_or_default())
    }

    /// Whether it and all above it are switched on.
    pub fn is_on(self) -> bool {
        let own = self.text("status").is_none_or(|status| matches!(status, "okay" | "ok"));
        own && self.parent().is_none_or(Place::is_on)
    }

    /// The device that it belongs to: itself, or the nearest above that says what it is; none if that is the machine.
    pub fn device(self) -> Option<Place<'a>> {
        let mut place = self;
        loop {
            let above = place.parent()?;
            if place.compatible().next().is_some() {
                return Some(place);
            }
            place = above;
        }
    }
}

/// Big-endian numbers of 32 bits; what is left over at the end is no cell.
pub fn cells(value: &[u8]) -> Vec<u32> {
    value.chunks_exact(4).filter_map(|cell| cell.try_into().ok().map(u32::from_be_bytes)).collect()
}

/// Strings that each end with a zero byte; what is not UTF-8 is none.
fn strings(value: &[u8]) -> impl Iterator<Item = &str> {
    value.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()).filter(|text| !text.is_empty())
}

/// The blob without what follows the tree.
fn exact(blob: &[u8]) -> &[u8] {
    let total = blob.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
    total.and_then(|size| blob.get(..usize::try_from(size).ok()?)).unwrap_or(blob)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::blob;
    use super::*;

    #[test]
    fn nodes_are_found_by_path_alias_and_phandle() {
        let tree = DeviceTree::parse(&blob(&[
            ("/aliases", &[("mmc0", b"/soc/mmc@1\0")]),
            ("/soc", &[("compatible", b"simple-bus\0"), ("phandle", &[0, 0, 0, 7])]),
            ("/soc/mmc@1", &[("compatible", b"a,b\0c,d\0"), ("status", b"disabled\0")]),
            ("/soc/mmc@1/slot", &[]),
        ]))
        .unwrap();
        let mmc = tree.at("mmc0").unwrap();
        assert_eq!((mmc.path(), mmc.generic_name(), mmc.is_on()), ("/soc/mmc@1", "mmc", false));
        assert_eq!(mmc.compatible().collect::<Vec<_>>(), ["a,b", "c,d"]);
        assert_eq!(tree.phandle(7).unwrap().path(), "/soc");
        let slot = tree.at("/soc/mmc@1/slot").unwrap();
        assert!(!slot.is_on());
        assert_eq!(slot.device().unwrap().path(), "/soc/mmc@1");
        assert!(tree.at("/aliases").unwrap().device().is_none());
        assert!(tree.at("nothing").is_none() && tree.at("mmc0/none").is_none());
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let path = "/a".repeat(DEPTH_MAX + 1);
        let deep = blob(&[(path.as_str(), &[])]);
        assert!(matches!(DeviceTree::parse(&deep), Err(DeviceTreeError::TooLarge)));
    }

    proptest! {
        #[test]
        fn any_change_and_any_length_is_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut: prop::sample::Index) {
            let mut bytes = blob(&[("/aliases", &[("a", b"/b\0")]), ("/b@1", &[("compatible", b"x,y\0"), ("clocks", &[0, 0, 0, 1])]), ("/b@1/c", &[])]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Ok(tree) = DeviceTree::parse(&bytes) {
                for place in tree.iter() {
                    let _ = (place.device(), place.is_on(), suppliers::of(place), console::word(&tree));
                }
            }
        }
    }
}
