//! Made-up kernels and device trees: what is asked for is found, and what is lacking is named.

use proptest::prelude::*;

use super::super::testing::{Properties, blob, cell};
use super::*;

fn kernel(modules: &[(&str, &str, &[&str])], builtin: &str) -> Kernel {
    let owned: Vec<(&str, &str, Vec<String>)> =
        modules.iter().map(|(name, path, aliases)| (*name, *path, aliases.iter().map(|alias| (*alias).to_owned()).collect())).collect();
    // An image that knows the interrupt controller, as the kernel's tables have it.
    let mut image = vec![0; 64];
    image.extend(b"x,intc");
    image.resize(64 + 128, 0);
    Kernel::new("6.x", image, owned.iter().map(|(name, path, aliases)| (*name, *path, aliases.as_slice())), builtin.as_bytes())
}

fn sample() -> Kernel {
    kernel(
        &[
            ("sdhci_x", "drivers/mmc/host/sdhci-x", &["of:N*T*Cx,sdhci", "of:N*T*Cx,sdhciC*"]),
            ("fixed", "drivers/regulator/fixed", &["of:N*T*Cregulator-fixedC*"]),
            ("gpio_x", "drivers/gpio/gpio-x", &["of:N*T*Cx,gpio"]),
            ("sound", "sound/x", &["of:N*T*Cx,sound"]),
            ("rp", "drivers/misc/rp", &["pci:v00001DE4d00000001sv*"]),
            ("dwc3", "drivers/usb/dwc3/dwc3", &["of:N*T*Csnps,dwc3"]),
            ("pl330", "drivers/dma/pl330", &["amba:d00041330"]),
        ],
        "clk_x.file=drivers/clk/clk-x\0clk_x.alias=of:N*T*Cx,clk\0",
    )
}

const SYSTEM: (&str, Properties<'static>) = ("/", &[("compatible", b"maker,board\0maker,soc\0"), ("interrupt-parent", &[0, 0, 0, 1])]);
const INTC: (&str, Properties<'static>) = ("/intc", &[("compatible", b"x,intc\0"), ("phandle", &[0, 0, 0, 1])]);

fn check(kernel: &Kernel, nodes: &[(&str, Properties<'_>)], no_driver: &[String]) -> Result<Drivers, DriversError> {
    let tree = DeviceTree::parse(&blob(nodes)).unwrap();
    of(kernel, &[("x.dtb".to_owned(), tree)], no_driver)
}

/// A card whose power comes from a regulator that hangs on a GPIO.
fn card(gpio: &'static [u8]) -> Result<Drivers, DriversError> {
    check(
        &sample(),
        &[
            SYSTEM,
            INTC,
            ("/soc", &[("compatible", b"simple-bus\0")]),
            ("/soc/gpio", &[("compatible", gpio), ("phandle", &cell(2)), ("#gpio-cells", &cell(1))]),
            ("/soc/clk", &[("compatible", b"X,Clk\0"), ("phandle", &cell(4))]),
            ("/reg", &[("compatible", b"regulator-fixed\0"), ("phandle", &cell(3)), ("gpio", &[0, 0, 0, 2, 0, 0, 0, 9])]),
            ("/soc/mmc@1", &[("compatible", b"x,sdhci\0"), ("vmmc-supply", &cell(3)), ("clocks", &cell(4)), ("interrupts", &cell(5))]),
            ("/soc/sound", &[("compatible", b"x,sound\0"), ("clocks", &cell(4))]),
        ],
        &[],
    )
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_supplier_of_a_supplier_is_found() {
    let drivers = card(b"x,gpio\0").unwrap();
    assert_eq!(drivers.root, names(&["sdhci_x", "fixed", "gpio_x"]));
    assert_eq!(drivers.all, names(&["sdhci_x", "fixed", "gpio_x", "sound"]));
}

#[test]
fn a_supplier_without_a_driver_is_named_with_what_there_is() {
    let error = card(b"x,gpo\0").unwrap_err().to_string();
    assert_eq!(
        error,
        "`x.dtb` needs drivers that kernel 6.x does not have:\n  /soc/gpio (x,gpo), needed by /reg; what it has is for x,gpio, x,clk, x,sdhci, \
         x,sound\ntake another kernel, or, where such a supplier works without a driver, name it in `device-trees.no-driver`"
    );
}

#[test]
fn a_supplier_may_be_excused() {
    let nodes: [(&str, Properties<'_>); 3] = [
        SYSTEM,
        ("/odd", &[("compatible", b"y,odd\0"), ("phandle", &[0, 0, 0, 1])]),
        ("/mmc", &[("compatible", b"x,sdhci\0"), ("interrupts", &[0; 4])]),
    ];
    assert!(
        check(&sample(), &nodes, &[]).unwrap_err().to_string().contains("/odd (y,odd), needed by /mmc; what it has is for none of `y`")
    );
    assert_eq!(check(&sample(), &nodes, &["y,odd".to_owned()]).unwrap().root, names(&["sdhci_x"]));
}

#[test]
fn an_unknown_system_is_refused() {
    let error = check(&sample(), &[SYSTEM, INTC, ("/mmc@1", &[("compatible", b"y,mmc\0")])], &[]).unwrap_err().to_string();
    let wanted =
        "kernel 6.x does not know the system of `x.dtb` (maker,board, maker,soc): it has no driver for any card, disk or bus in it (y,mmc)";
    assert!(error.starts_with(wanted), "{error}");
}

#[test]
fn buses_above_are_needed_and_what_is_off_is_not() {
    let nodes: [(&str, Properties<'_>); 6] = [
        SYSTEM,
        INTC,
        ("/pcie/nexus", &[("compatible", b"pci1de4,1\0simple-bus\0")]),
        ("/pcie/nexus/usb", &[("compatible", b"snps,dwc3\0"), ("dmas", &[0, 0, 0, 6])]),
        ("/dma", &[("compatible", b"arm,pl330\0arm,primecell\0"), ("phandle", &[0, 0, 0, 6])]),
        ("/mmc", &[("compatible", b"x,sdhci\0"), ("status", b"disabled\0")]),
    ];
    assert_eq!(check(&sample(), &nodes, &[]).unwrap().root, names(&["dwc3", "rp", "pl330"]));
}

#[test]
fn a_port_behind_pci_needs_what_its_node_names() {
    let nodes: [(&str, Properties<'_>); 5] = [
        SYSTEM,
        INTC,
        ("/pcie/nexus", &[("compatible", b"pci1de4,1\0")]),
        ("/pcie/nexus/usb@0,0", &[("resets", &[0, 0, 0, 6])]),
        ("/reset", &[("compatible", b"x,gpio\0"), ("phandle", &[0, 0, 0, 6])]),
    ];
    // The port alone is no device that holds a root: there must be one with a driver.
    assert!(matches!(check(&sample(), &nodes, &[]), Err(DriversError::UnknownSystem { .. })));
    let mut with_card = nodes.to_vec();
    with_card.push(("/mmc", &[("compatible", b"x,sdhci\0")]));
    assert_eq!(check(&sample(), &with_card, &[]).unwrap().root, names(&["gpio_x", "rp", "sdhci_x"]));
}

#[test]
fn aliases_of_other_kinds_are_none_of_a_device_tree() {
    assert_eq!(compatible_of("of:N*T*Ca,bC*").as_deref(), Some("a,b"));
    assert_eq!(compatible_of("of:NnameT*Ca,b"), None);
    assert_eq!(compatible_of("of:N*T*"), None);
    assert_eq!(compatible_of("platform:a"), None);
}

/// A chain of devices, each on the next one's supply, with a circle at its end: each link's driver, and all of them.
fn chain(links: usize, circle: usize) -> Result<Drivers, DriversError> {
    let modules: Vec<(String, String, Vec<String>)> = (0..links)
        .map(|link| {
            let folder = if link == 0 { "drivers/mmc/host" } else { "drivers/other" };
            (format!("m{link}"), format!("{folder}/m{link}"), vec![format!("of:N*T*Cc,{link}")])
        })
        .collect();
    let kernel =
        Kernel::new("6", Vec::new(), modules.iter().map(|(name, path, aliases)| (name.as_str(), path.as_str(), aliases.as_slice())), b"");
    type Link = (String, Vec<u8>, [u8; 4], [u8; 4]);
    let nodes: Vec<Link> = (0..links)
        .map(|link| {
            let next = if link + 1 == links { circle % links } else { link + 1 };
            (format!("/n{link}"), format!("c,{link}\0").into_bytes(), cell(link as u32 + 1), cell(next as u32 + 1))
        })
        .collect();
    let properties: Vec<[(&str, &[u8]); 3]> = nodes
        .iter()
        .map(|(_, compatible, own, next)| {
            [("compatible", compatible.as_slice()), ("phandle", own.as_slice()), ("vcc-supply", next.as_slice())]
        })
        .collect();
    let blob_nodes: Vec<(&str, Properties<'_>)> =
        nodes.iter().zip(&properties).map(|((path, ..), properties)| (path.as_str(), &properties[..])).collect();
    check(&kernel, &blob_nodes, &[])
}

proptest! {
    #[test]
    fn every_link_of_a_chain_is_found_and_circles_end(links in 1..40usize, circle in 0..40usize) {
        let drivers = chain(links, circle).unwrap();
        let every: BTreeSet<String> = (0..links).map(|link| format!("m{link}")).collect();
        prop_assert_eq!(&drivers.root, &every);
        prop_assert_eq!(&drivers.all, &every);
    }
}
