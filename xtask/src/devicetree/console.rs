//! Which of Linux's consoles is the serial port that a device tree names.

use super::{DeviceTree, Place};

/// Prefixes of `compatible` → how Linux's driver calls its ports. What is not here is an 8250, by far the most.
const PORTS: [(&str, &str); 8] = [
    ("arm,pl011", "ttyAMA"),
    ("amlogic,meson", "ttyAML"),
    ("fsl,imx", "ttymxc"),
    ("samsung,", "ttySAC"),
    ("qcom,", "ttyMSM"),
    ("st,stm32", "ttySTM"),
    ("xlnx,", "ttyPS"),
    ("marvell,armada-3700-uart", "ttyMV"),
];

/// `ttyS1,115200n8`, as `/chosen/stdout-path` and the aliases say; `None` where they say nothing.
pub fn word(tree: &DeviceTree) -> Option<String> {
    let named = tree.at("/chosen")?.text("stdout-path")?;
    let (path, options) = named.split_once(':').map_or((named, None), |(path, options)| (path, Some(options)));
    let port = tree.at(path)?;
    let name = format!("{}{}", driver(port), number(tree, port)?);
    Some(options.map_or_else(|| name.clone(), |options| format!("{name},{options}")))
}

fn driver(port: Place<'_>) -> &'static str {
    let known = |compatible: &str| PORTS.iter().find(|(prefix, _)| compatible.starts_with(prefix)).map(|(_, name)| *name);
    port.compatible().find_map(known).unwrap_or("ttyS")
}

/// Linux numbers ports by the aliases `serial0`, `serial1`, ….
fn number(tree: &DeviceTree, port: Place<'_>) -> Option<u32> {
    let aliases = tree.at("/aliases")?;
    aliases.properties().find_map(|(alias, _)| {
        let number = alias.strip_prefix("serial")?.parse().ok()?;
        (tree.at(alias)?.index() == port.index()).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::blob;
    use super::*;

    #[test]
    fn the_port_is_named_as_its_driver_does() {
        let tree = |path: &str| {
            DeviceTree::parse(&blob(&[
                ("/chosen", &[("stdout-path", format!("{path}\0").as_bytes())]),
                ("/aliases", &[("serial0", b"/uart@1\0"), ("serial1", b"/uart@2\0"), ("serial", b"/uart@3\0")]),
                ("/uart@1", &[("compatible", b"arm,pl011\0arm,primecell\0")]),
                ("/uart@2", &[("compatible", b"brcm,bcm2835-aux-uart\0")]),
                ("/uart@3", &[("compatible", b"ns16550a\0")]),
            ]))
            .unwrap()
        };
        assert_eq!(word(&tree("serial1:115200n8")).as_deref(), Some("ttyS1,115200n8"));
        assert_eq!(word(&tree("/uart@1")).as_deref(), Some("ttyAMA0"));
        assert_eq!(word(&tree("/uart@3")), None);
        assert_eq!(word(&tree("nowhere:1")), None);
    }
}
