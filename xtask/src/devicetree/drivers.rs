//! The drivers that a board needs to reach its root, computed from its device trees: those of every device that can hold
//! the root, and of all that these need, and so on. A list made by hand, green in a virtual machine, may be dead on hardware:
//! there the card hangs on other regulators and pins.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{DeviceTree, Place, builtin, suppliers};

/// Where drivers of devices lie that can hold the root, or lead to one that can.
const ROOT_FOLDERS: [&str; 11] = [
    "drivers/mmc/host/",
    "drivers/usb/host/",
    "drivers/usb/dwc2/",
    "drivers/usb/dwc3/",
    "drivers/usb/chipidea/",
    "drivers/usb/musb/",
    "drivers/usb/cdns3/",
    "drivers/pci/controller/",
    "drivers/nvme/host/",
    "drivers/ata/",
    "drivers/ufs/host/",
];
/// What such devices are called (Devicetree Specification, 2.2.2), where the kernel does not say where its driver lies.
const ROOT_NAMES: [&str; 8] = ["mmc", "mmcnr", "usb", "pcie", "pci", "sata", "nvme", "ufs"];
/// Buses and groups that the kernel's core takes apart itself (drivers/of/platform.c, drivers/mfd/syscon.c).
const OF_THE_CORE: [&str; 5] = ["simple-bus", "simple-mfd", "isa", "arm,amba-bus", "syscon"];
/// Devices of this bus say by registers who they are; their drivers are called by the second half of `compatible`.
const PRIMECELL: &str = "arm,primecell";
/// Names that are shown of what the kernel has instead.
const NEAREST_SHOWN: usize = 5;

/// What a kernel can drive.
#[derive(Debug, Default)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Its image as it runs.
    pub image: Vec<u8>,
    modules: BTreeMap<String, Vec<Driver>>,
    names: BTreeMap<String, Driver>,
    pci: Vec<(String, Driver)>,
}

/// A driver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Driver {
    /// The module's name; `None` if it is built in.
    module: Option<String>,
    /// Path of its source below the kernel's, without suffix.
    path: String,
}

/// What the device trees ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drivers {
    /// Modules without which the root may not be reached.
    pub root: BTreeSet<String>,
    /// Modules of every device of the trees.
    pub all: BTreeSet<String>,
}

/// Why the drivers can't be told.
#[derive(Debug, thiserror::Error)]
pub enum DriversError {
    /// The kernel knows none of the devices that could hold a root.
    #[error(
        "kernel {release} does not know the system of `{file}` ({soc}): it has no driver for any card, disk or bus in it ({devices}); take \
         another kernel (`kernel = \"…/trixie-backports\"`) or another device tree"
    )]
    UnknownSystem {
        /// `uname -r`.
        release: String,
        /// The device tree.
        file: String,
        /// What it says that it is for.
        soc: String,
        /// Devices that might have held a root.
        devices: String,
    },
    /// A supplier without a driver.
    #[error("`{file}` needs drivers that kernel {release} does not have:{list}")]
    NoDriver {
        /// `uname -r`.
        release: String,
        /// The device tree.
        file: String,
        /// Each with who needs it and what there is.
        list: String,
    },
}

impl Kernel {
    /// A kernel of this image, with what its modules (name, path below `kernel/` without suffix, aliases) and its built-in
    /// drivers answer to.
    pub fn new<'a>(
        release: &str,
        image: Vec<u8>,
        modules: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>,
        builtin_modinfo: &[u8],
    ) -> Self {
        let mut kernel = Self { release: release.to_owned(), image, ..Self::default() };
        for (name, (path, aliases)) in builtin::aliases(builtin_modinfo) {
            kernel.add(&name, Driver { module: None, path }, &aliases);
        }
        for (name, path, aliases) in modules {
            kernel.add(name, Driver { module: Some(name.to_owned()), path: path.to_owned() }, aliases);
        }
        kernel
    }

    fn add(&mut self, name: &str, driver: Driver, aliases: &[String]) {
        for alias in aliases {
            if let Some(compatible) = compatible_of(alias) {
                let drivers = self.modules.entry(compatible).or_default();
                if !drivers.contains(&driver) {
                    drivers.push(driver.clone());
                }
            } else if alias.starts_with("pci:") {
                self.pci.push((alias.clone(), driver.clone()));
            }
        }
        self.names.insert(name.to_owned(), driver);
    }

    /// The drivers of a device, by any of its `compatible` strings.
    fn drivers(&self, place: Place<'_>) -> Vec<&Driver> {
        let mut found = Vec::new();
        let primecell = place.compatible().any(|compatible| compatible == PRIMECELL);
        for compatible in place.compatible() {
            found.extend(self.modules.get(&compatible.to_ascii_lowercase()).into_iter().flatten());
            if let Some(device) = pci_device(compatible) {
                found.extend(self.pci.iter().filter(|(alias, _)| alias.starts_with(&device)).map(|(_, driver)| driver));
            }
            if primecell && let Some((_, name)) = compatible.split_once(',') {
                found.extend(self.names.get(&name.replace('-', "_")));
            }
        }
        found
    }

    /// Whether the kernel's image takes care of a device, without a driver that says so.
    fn takes_care(&self, place: Place<'_>) -> bool {
        place.compatible().any(|compatible| OF_THE_CORE.contains(&compatible) || builtin::knows(&self.image, compatible))
    }

    /// What it drives that is called nearly so: of the same maker, nearest first.
    fn nearest(&self, place: Place<'_>) -> String {
        let Some(wanted) = place.compatible().next() else { return String::new() };
        let maker = wanted.split_once(',').map_or(wanted, |(maker, _)| maker);
        let mut near: Vec<(usize, &str)> = self
            .modules
            .keys()
            .filter(|known| known.split_once(',').is_some_and(|(known, _)| known == maker))
            .map(|known| (strsim::damerau_levenshtein(wanted, known), known.as_str()))
            .collect();
        near.sort_unstable();
        let shown: Vec<&str> = near.into_iter().take(NEAREST_SHOWN).map(|(_, name)| name).collect();
        if shown.is_empty() { format!("none of `{maker}`") } else { shown.join(", ") }
    }
}

/// `of:N*T*Cbrcm,bcm2835-sdhci` (with or without `C*` behind it) → `brcm,bcm2835-sdhci`, in lower case, as the kernel
/// compares (scripts/mod/file2alias.c, `do_of_entry`).
fn compatible_of(alias: &str) -> Option<String> {
    let rest = alias.strip_prefix("of:N*T")?;
    let (_, compatible) = rest.split_once('C')?;
    let compatible = compatible.strip_suffix("C*").unwrap_or(compatible);
    (!compatible.is_empty() && !compatible.contains('*')).then(|| compatible.to_ascii_lowercase())
}

/// `pci1de4,1` (PCI Bus Binding to IEEE 1275) → `pci:v00001DE4d00000001`.
fn pci_device(compatible: &str) -> Option<String> {
    let (vendor, device) = compatible.strip_prefix("pci")?.split_once(',')?;
    let number = |digits: &str| u16::from_str_radix(digits, 16).ok();
    Some(format!("pci:v{:08X}d{:08X}", number(vendor)?, number(device)?))
}

/// The drivers for all of `trees` (name of the file, tree). Suppliers that `no_driver` names may go without one.
pub fn of(kernel: &Kernel, trees: &[(String, DeviceTree)], no_driver: &[String]) -> Result<Drivers, DriversError> {
    let mut drivers = Drivers::default();
    for (file, tree) in trees {
        for place in tree.iter() {
            drivers.all.extend(kernel.drivers(place).into_iter().filter_map(|driver| driver.module.clone()));
        }
        drivers.root.extend(of_tree(kernel, file, tree, no_driver)?);
    }
    Ok(drivers)
}

fn of_tree(kernel: &Kernel, file: &str, tree: &DeviceTree, no_driver: &[String]) -> Result<BTreeSet<String>, DriversError> {
    let holds_root = |place: Place<'_>| {
        let folders = |driver: &&Driver| ROOT_FOLDERS.iter().any(|folder| driver.path.starts_with(folder));
        let drivers = kernel.drivers(place);
        // Behind PCI a device tells its driver itself; its node only says what it needs.
        let named = || ROOT_NAMES.contains(&place.generic_name()) && (place.compatible().next().is_none() || kernel.takes_care(place));
        place.is_on() && (drivers.iter().any(folders) || drivers.is_empty() && named())
    };
    let mut todo: Vec<(Place<'_>, String)> =
        tree.iter().filter(|place| holds_root(*place)).map(|place| (place, "to hold the root".to_owned())).collect();
    if !todo.iter().any(|(place, _)| place.compatible().next().is_some()) {
        let named = tree.iter().filter(|place| ROOT_NAMES.contains(&place.generic_name()) && place.compatible().next().is_some());
        let devices: Vec<&str> = named.filter_map(|place| place.compatible().next()).collect();
        return Err(DriversError::UnknownSystem {
            release: kernel.release.clone(),
            file: file.to_owned(),
            soc: tree.at("/").into_iter().flat_map(Place::compatible).collect::<Vec<_>>().join(", "),
            devices: if devices.is_empty() { "it has none".to_owned() } else { devices.join(", ") },
        });
    }
    let mut seen = BTreeSet::new();
    let mut modules = BTreeSet::new();
    let mut missing = Vec::new();
    while let Some((place, wanted_by)) = todo.pop() {
        if !seen.insert(place.index()) {
            continue;
        }
        // A group of pins, a port and the like may name suppliers of its own, and goes with its device.
        let needed_by = format!("by {}", place.path());
        todo.extend(suppliers::of(place).into_iter().map(|supplier| (supplier, needed_by.clone())));
        let Some(device) = place.device() else { continue };
        if device.index() != place.index() {
            todo.push((device, wanted_by));
            continue;
        }
        todo.extend(device.parent().map(|bus| (bus, needed_by)));
        let found = kernel.drivers(device);
        let excused = || device.compatible().any(|compatible| no_driver.iter().any(|name| name == compatible));
        if found.is_empty() && !kernel.takes_care(device) && !excused() {
            let compatible: Vec<&str> = device.compatible().collect();
            missing.push(format!(
                "\n  {} ({}), needed {wanted_by}; what it has is for {}",
                device.path(),
                compatible.join(", "),
                kernel.nearest(device)
            ));
        }
        modules.extend(found.iter().filter_map(|driver| driver.module.clone()));
    }
    if missing.is_empty() {
        return Ok(modules);
    }
    missing.sort();
    let mend = "\ntake another kernel, or, where such a supplier works without a driver, name it in `device-trees.no-driver`";
    Err(DriversError::NoDriver { release: kernel.release.clone(), file: file.to_owned(), list: missing.concat() + mend })
}

#[cfg(test)]
mod tests;
