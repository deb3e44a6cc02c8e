//! Overlays, laid over the kernel's trees when an image is built: Linux is given the slot's tree, of which the Pi's firmware, which
//! would apply them at each start, knows nothing.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree as Model;
use dtoolkit::model::overlay::OverlayApplier;

use super::{DeviceTree, DeviceTreeError, exact};

/// Why an overlay can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// One of both is no device tree.
    #[error(transparent)]
    Tree(#[from] DeviceTreeError),
    /// It does not fit the tree.
    #[error("it does not fit this tree: {0}")]
    Unfit(String),
}

/// The tree `blob` with `overlay` laid over it.
pub fn apply(blob: &[u8], overlay: &[u8]) -> Result<Vec<u8>, OverlayError> {
    // Checks depth and size before anything that walks them recursively.
    DeviceTree::parse(blob)?;
    DeviceTree::parse(overlay)?;
    let read = |bytes| Fdt::new(exact(bytes)).map_err(|error| DeviceTreeError::Malformed(error.to_string()));
    let mut model = Model::from_fdt(&read(blob)?);
    OverlayApplier::new(&mut model).apply_overlay(&read(overlay)?).map_err(|error| OverlayError::Unfit(error.to_string()))?;
    Ok(model.to_dtb())
}

#[cfg(test)]
mod tests {
    use super::super::testing::blob;
    use super::*;

    #[test]
    fn an_overlay_changes_the_node_that_it_names_and_no_other() {
        let on: &[u8] = b"okay\0";
        let base = blob(&[("/soc/serial@1", &[("status", on)]), ("/soc/serial@2", &[("status", on)])]);
        let overlay =
            blob(&[("/fragment@0", &[("target-path", b"/soc/serial@1\0")]), ("/fragment@0/__overlay__", &[("status", b"disabled\0")])]);
        let made = apply(&base, &overlay).unwrap();
        let tree = DeviceTree::parse(&made).unwrap();
        let status = |path: &str| tree.at(path).unwrap().text("status").unwrap().to_owned();
        assert_eq!((status("/soc/serial@1").as_str(), status("/soc/serial@2").as_str()), ("disabled", "okay"));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let base = blob(&[("/soc", &[])]);
        let overlay = blob(&[("/fragment@0", &[("target-path", b"/none\0")]), ("/fragment@0/__overlay__", &[("a", b"b\0")])]);
        assert!(matches!(apply(&base, &overlay), Err(OverlayError::Unfit(_))));
        assert!(matches!(apply(&base, b"no tree"), Err(OverlayError::Tree(_))));
    }
}
