//! Which nodes a device needs before it can work: what its properties point to.
//!
//! The properties are those by which Linux itself orders devices (drivers/of/property.c, `of_supplier_bindings`), with
//! `mmc-pwrseq` and `firmware` (the Raspberry Pi's mailbox interface), which drivers look up by hand.

use std::collections::BTreeSet;

use super::{Place, cells};

/// Lists of phandles with arguments: property, and the property of the supplier that says how many cells follow.
const WITH_ARGUMENTS: [(&str, &str); 23] = [
    ("clocks", "#clock-cells"),
    ("assigned-clocks", "#clock-cells"),
    ("assigned-clock-parents", "#clock-cells"),
    ("interconnects", "#interconnect-cells"),
    ("iommus", "#iommu-cells"),
    ("mboxes", "#mbox-cells"),
    ("io-channels", "#io-channel-cells"),
    ("io-backends", "#io-backend-cells"),
    ("dmas", "#dma-cells"),
    ("power-domains", "#power-domain-cells"),
    ("hwlocks", "#hwlock-cells"),
    ("nvmem-cells", "#nvmem-cell-cells"),
    ("phys", "#phy-cells"),
    ("pwms", "#pwm-cells"),
    ("resets", "#reset-cells"),
    ("interrupts-extended", "#interrupt-cells"),
    ("thermal-sensors", "#thermal-sensor-cells"),
    ("access-controllers", "#access-controller-cells"),
    ("sound-dai", "#sound-dai-cells"),
    ("gpios", "#gpio-cells"),
    ("gpio", "#gpio-cells"),
    ("msi-parent", "#msi-cells"),
    ("pinctrl", "#pinctrl-cells"),
];
/// Phandles alone.
const PLAIN: [&str; 8] = ["wakeup-parent", "extcon", "usb-phy", "mmc-pwrseq", "firmware", "syscon", "backlight", "panel"];

/// The nodes that a device's own properties name, each once, and its interrupt controller. Nodes that are switched off, and
/// phandles that lead nowhere, are none.
pub fn of(place: Place<'_>) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    for (name, value) in place.properties() {
        let list = cells(value);
        if let Some((_, counter)) = WITH_ARGUMENTS.iter().find(|(property, _)| *property == name) {
            with_arguments(place, &list, counter, &mut found);
        } else if name.ends_with("-gpios") || name.ends_with("-gpio") {
            with_arguments(place, &list, "#gpio-cells", &mut found);
        } else if is_pinctrl(name) || name.ends_with("-supply") && list.len() == 1 || PLAIN.contains(&name) {
            found.extend(list.iter().filter_map(|phandle| place.tree().phandle(*phandle)));
        }
    }
    if place.property("interrupts").is_some() {
        found.extend(interrupt_parent(place));
    }
    let mut seen = BTreeSet::new();
    found.retain(|supplier| supplier.is_on() && supplier.index() != place.index() && seen.insert(supplier.index()));
    found
}

/// `pinctrl-0`, `pinctrl-1`, …
fn is_pinctrl(name: &str) -> bool {
    name.strip_prefix("pinctrl-").is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `<&a 1 2 &b 3>`, where `a` and `b` say themselves how many cells are theirs.
fn with_arguments<'a>(place: Place<'a>, list: &[u32], counter: &str, found: &mut Vec<Place<'a>>) {
    let mut rest = list;
    while let Some((phandle, arguments)) = rest.split_first() {
        let Some(supplier) = place.tree().phandle(*phandle) else {
            // An empty place in a list is 0.
            if *phandle == 0 {
                rest = arguments;
                continue;
            }
            return;
        };
        found.push(supplier);
        let count = supplier.cell(counter).and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
        rest = arguments.get(count..).unwrap_or_default();
    }
}

/// The controller that a device's `interrupts` go to: named by itself or by a node above.
fn interrupt_parent(place: Place<'_>) -> Option<Place<'_>> {
    let mut node = Some(place);
    while let Some(here) = node {
        if let Some(phandle) = here.cell("interrupt-parent") {
            return place.tree().phandle(phandle);
        }
        node = here.parent();
        if let Some(above) = node
            && above.property("interrupt-controller").is_some()
        {
            return Some(above);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::DeviceTree;
    use super::super::testing::{blob, cell};
    use super::*;

    fn paths(tree: &DeviceTree, path: &str) -> Vec<String> {
        of(tree.at(path).unwrap()).iter().map(|place| place.path().to_owned()).collect()
    }

    #[test]
    fn every_kind_of_supplier_is_found_and_arguments_are_passed_over() {
        let clocks: Vec<u8> = [2, 1, 3].iter().flat_map(|value| cell(*value)).collect();
        let gpios: Vec<u8> = [4, 3, 0].iter().flat_map(|value| cell(*value)).collect();
        let tree = DeviceTree::parse(&blob(&[
            ("/", &[("interrupt-parent", &cell(1))]),
            ("/intc", &[("phandle", &cell(1))]),
            ("/clk", &[("phandle", &cell(2)), ("#clock-cells", &cell(1))]),
            ("/osc", &[("phandle", &cell(3)), ("#clock-cells", &cell(0))]),
            ("/gpio", &[("phandle", &cell(4)), ("#gpio-cells", &cell(2))]),
            ("/gpio/pins", &[("phandle", &cell(5))]),
            ("/reg", &[("phandle", &cell(6))]),
            ("/off", &[("phandle", &cell(7)), ("status", b"disabled\0")]),
            (
                "/mmc",
                &[
                    ("clocks", &clocks),
                    ("cd-gpios", &gpios),
                    ("pinctrl-0", &cell(5)),
                    ("pinctrl-names", b"\0\0\0\x06"),
                    ("vmmc-supply", &cell(6)),
                    ("vqmmc-supply", &cell(7)),
                    ("interrupts", &cell(9)),
                    ("dmas", &cell(99)),
                ],
            ),
        ]))
        .unwrap();
        assert_eq!(paths(&tree, "/mmc"), ["/gpio", "/clk", "/osc", "/gpio/pins", "/reg", "/intc"]);
    }
}
