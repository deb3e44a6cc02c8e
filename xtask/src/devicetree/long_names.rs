//! Names of properties that are longer than the specification allows (31 characters) and that kernels' trees have all the same,
//! such as Rockchip's `rockchip,system-power-controller`. dtoolkit refuses a tree for one; nothing here asks for such a property,
//! so it is read under the end of its name.

use std::borrow::Cow;

/// Characters of a property's name at most (Devicetree Specification 0.4, 2.2.4).
const NAME_MAX: usize = 31;
/// Of the header (5.2): where the structure and the names begin.
const STRUCTURE_AT: usize = 8;
const STRINGS_AT: usize = 12;
/// Tokens of the structure (5.4.1).
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;

/// The blob, its properties' names cut to their ends where they are too long. What is malformed stays as it is.
pub fn cut(blob: &[u8]) -> Cow<'_, [u8]> {
    let places = too_long(blob).unwrap_or_default();
    if places.is_empty() {
        return Cow::Borrowed(blob);
    }
    let mut cut = blob.to_vec();
    for (at, name) in places {
        if let Some(bytes) = cut.get_mut(at..at + 4) {
            bytes.copy_from_slice(&name.to_be_bytes());
        }
    }
    Cow::Owned(cut)
}

/// Where the properties with too long names say what their name is, and what they shall say; `None` for a malformed blob.
fn too_long(blob: &[u8]) -> Option<Vec<(usize, u32)>> {
    let word = |at: usize| blob.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes);
    let index = |at: usize| usize::try_from(word(at)?).ok();
    let names = blob.get(index(STRINGS_AT)?..)?;
    let mut at = index(STRUCTURE_AT)?;
    let mut found = Vec::new();
    loop {
        let token = word(at)?;
        at += 4;
        match token {
            BEGIN_NODE => at += blob.get(at..)?.iter().position(|byte| *byte == 0)? + 1,
            END_NODE | NOTHING => {}
            PROPERTY => {
                let (len, name) = (index(at)?, index(at + 4)?);
                let chars = names.get(name..)?.iter().position(|byte| *byte == 0)?;
                if chars > NAME_MAX {
                    found.push((at + 4, u32::try_from(name + chars - NAME_MAX).ok()?));
                }
                at = at.checked_add(8)?.checked_add(len)?;
            }
            // The end, or what no tree has.
            _ => return Some(found),
        }
        at = at.checked_next_multiple_of(4)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeviceTree;
    use super::*;
    use dtoolkit::model::{DeviceTree as Model, DeviceTreeNode, DeviceTreeProperty};
    use proptest::prelude::*;

    const LONG: &str = "rockchip,system-power-controller";

    fn blob(name: &str) -> Vec<u8> {
        let mut tree = Model::new();
        let mut node = DeviceTreeNode::new_unchecked("pmic@20");
        node.add_property(DeviceTreeProperty::new_unchecked(name, vec![1u8, 2, 3]));
        node.add_property(DeviceTreeProperty::new_unchecked("system-power-controller", vec![4u8]));
        node.add_property(DeviceTreeProperty::new_unchecked("clocks", vec![0u8, 0, 0, 7]));
        tree.root.add_child(node);
        tree.to_dtb()
    }

    #[test]
    fn a_tree_of_a_kernel_is_read_though_a_name_is_too_long() {
        let tree = DeviceTree::parse(&blob(LONG)).unwrap();
        let pmic = tree.at("/pmic@20").unwrap();
        assert_eq!(pmic.property("ockchip,system-power-controller"), Some(&[1, 2, 3][..]));
        assert_eq!((pmic.property("system-power-controller"), pmic.cell("clocks")), (Some(&[4][..]), Some(7)));
        assert!(matches!(cut(&blob("power")), Cow::Borrowed(_)), "what is right is not touched");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), end: prop::sample::Index) {
            let mut bytes = blob(LONG);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len() + 1));
            prop_assert_eq!(cut(&bytes).len(), bytes.len());
            let _ = DeviceTree::parse(&bytes);
        }
    }
}
