//! Device trees for tests.

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// Properties of a node: name, bytes.
pub type Properties<'a> = &'a [(&'a str, &'a [u8])];

/// A blob of these nodes, by path; nodes above them are made.
pub fn blob(nodes: &[(&str, Properties<'_>)]) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    for (path, properties) in nodes {
        let mut node = &mut tree.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if node.child_mut(name).is_none() {
                node.add_child(DeviceTreeNode::new(name).unwrap());
            }
            node = node.child_mut(name).unwrap();
        }
        for (name, value) in *properties {
            node.add_property(DeviceTreeProperty::new(*name, value.to_vec()).unwrap());
        }
    }
    tree.to_dtb()
}

/// A cell's bytes.
pub fn cell(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}
