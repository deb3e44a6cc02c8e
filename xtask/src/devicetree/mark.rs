//! Device trees as they lie on the card: the kernel's own, with two properties of ours in `/chosen`, by which U-Boot's
//! script knows which tree the firmware chose and which console it names, and with the board's aliases.

use std::collections::BTreeMap;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree as Model, DeviceTreeNode, DeviceTreeProperty};

use super::{DeviceTree, console, exact};

/// In `/chosen`: the name of the file, without folder: the slot has its own tree under the same name.
pub const FILE: &str = "cloudy,file";
/// In `/chosen`: what the kernel's command line says of the serial console that the tree names (`console=ttyS1,115200n8`).
pub const CONSOLE: &str = "cloudy,console";

/// Why a tree can't be marked.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// It is no device tree.
    #[error(transparent)]
    Tree(#[from] super::DeviceTreeError),
    /// An alias leads nowhere.
    #[error("the board's alias `{alias}` is to stand for `{path}`, which this device tree does not have")]
    NoNode {
        /// The alias.
        alias: String,
        /// Its path.
        path: String,
    },
    /// A name is not allowed in a device tree.
    #[error("a device tree can't hold the property `{0}`")]
    Name(String),
}

/// The tree with its marks, and with `aliases` (alias → path) set.
pub fn mark(blob: &[u8], file: &str, aliases: &BTreeMap<String, String>) -> Result<Vec<u8>, MarkError> {
    // Checks depth and size before anything that walks it recursively.
    let tree = DeviceTree::parse(blob)?;
    for (alias, path) in aliases {
        if tree.at(path).is_none() {
            return Err(MarkError::NoNode { alias: alias.clone(), path: path.clone() });
        }
    }
    let fdt = Fdt::new(exact(blob)).map_err(|error| super::DeviceTreeError::Malformed(error.to_string()))?;
    let mut model = Model::from_fdt(&fdt);
    set(&mut model, "chosen", FILE, file)?;
    if let Some(word) = console::word(&tree) {
        set(&mut model, "chosen", CONSOLE, &format!("console={word}"))?;
    }
    for (alias, path) in aliases {
        set(&mut model, "aliases", alias, path)?;
    }
    Ok(model.to_dtb())
}

fn set(model: &mut Model, node: &str, name: &str, value: &str) -> Result<(), MarkError> {
    let bad = |_| MarkError::Name(name.to_owned());
    let property = DeviceTreeProperty::new(name, format!("{value}\0").into_bytes()).map_err(bad)?;
    if model.root.child_mut(node).is_none() {
        model.root.add_child(DeviceTreeNode::new(node).map_err(bad)?);
    }
    if let Some(node) = model.root.child_mut(node) {
        node.add_property(property);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::blob;
    use super::*;

    #[test]
    fn a_marked_tree_says_its_name_its_console_and_the_alias() {
        let plain = blob(&[
            ("/chosen", &[("stdout-path", b"serial0:115200n8\0")]),
            ("/aliases", &[("serial0", b"/uart@1\0")]),
            ("/uart@1", &[("compatible", b"arm,pl011\0")]),
            ("/mmc@2", &[]),
        ]);
        let aliases = BTreeMap::from([("mmc0".to_owned(), "/mmc@2".to_owned())]);
        let marked = DeviceTree::parse(&mark(&plain, "x.dtb", &aliases).unwrap()).unwrap();
        let chosen = marked.at("/chosen").unwrap();
        assert_eq!((chosen.text(FILE), chosen.text(CONSOLE)), (Some("x.dtb"), Some("console=ttyAMA0,115200n8")));
        assert_eq!(marked.at("mmc0").unwrap().path(), "/mmc@2");
        assert_eq!(marked.at("serial0").unwrap().path(), "/uart@1");
    }

    #[test]
    fn an_alias_that_leads_nowhere_is_refused() {
        let aliases = BTreeMap::from([("mmc0".to_owned(), "/mmc@3".to_owned())]);
        let error = mark(&blob(&[("/mmc@2", &[])]), "x.dtb", &aliases).unwrap_err().to_string();
        assert_eq!(error, "the board's alias `mmc0` is to stand for `/mmc@3`, which this device tree does not have");
    }
}
