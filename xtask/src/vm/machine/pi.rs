//! Raspberry Pis as QEMU has them: what is emulated differs from a real one, and this is the list of it.
//!
//! QEMU runs none of the Pi's own firmware, so the lab does what that does: it takes U-Boot and the model's device tree
//! from the card and hands both to QEMU. All that the lab changes lies in that tree: U-Boot's script reads it there, and
//! every byte on the card is the shipped one.

use anyhow::{Context, Result};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

use super::{Arch, LAB_INSIDE, MachinePlan, Model, disk_drive, link, qmp, way_in};
use crate::boot::uboot::TREE_CONSOLE;
use crate::boot::uboot::script::{EMULATOR_FIXES, EMULATOR_WORDS};
use crate::boot::uboot::uimage::{Kind, Processor, wrap};

/// U-Boot on the config partition.
const PROGRAM: &str = "u-boot.bin";
/// The watchdog of QEMU's Pis resets them at once when it is opened.
const NO_WATCHDOG: &str = "cloudy.watchdog=0";
/// Where QEMU puts and enters U-Boot on a 32-bit Pi, as the Pi's firmware does.
const PROGRAM_ADDRESS_32: u32 = 0x8000;

/// One model as QEMU has it.
struct Facts {
    /// Which of QEMU's programs has it.
    arch: Arch,
    /// Its memory in MiB, which QEMU fixes.
    memory_mb: u32,
    /// The name of its device tree.
    tree: &'static str,
    /// Whether the first serial port is the one that matters, or the second, or U-Boot speaks on one and Linux on the other.
    serial: [bool; 2],
    /// The controller that QEMU has the card on.
    card: &'static str,
    /// Aliases of the tree that U-Boot gets, by which that card has the number 0, as a real one's has: there lies `uboot.env`.
    aliases: &'static [(&'static str, &'static str)],
    /// Nodes that are off in QEMU: path, `status`. In the tree that U-Boot gets, and by its script in the slot's.
    status: &'static [(&'static str, &'static str)],
    /// Nodes that Linux finds no device for: QEMU leaves them out of the tree that U-Boot gets.
    missing: &'static [&'static str],
    /// Properties and nodes that lead Linux to something that is not there: path, or path and name.
    without: &'static [&'static str],
    /// A word for Linux's command line, beside those that every Pi has here.
    word: Option<&'static str>,
    /// The serial port that Linux speaks on, where that is not the one of the slot's tree: a word of the kernel's command line.
    console: Option<&'static str>,
}

impl Model {
    fn facts(self) -> Option<Facts> {
        let plain = Facts {
            arch: Arch::Arm64,
            memory_mb: 1024,
            tree: "bcm2837-rpi-3-b.dtb",
            serial: [false, true],
            card: "/soc/mmc@7e202000",
            aliases: &[],
            status: &[],
            missing: &[],
            without: &[],
            word: None,
            console: None,
        };
        match self {
            Self::Pc | Self::Virt => None,
            // The mini UART is the second port.
            Self::Raspi3b => Some(plain),
            // The card is on the controller that Debian's tree has switched off.
            Self::Raspi2b => Some(Facts {
                arch: Arch::Armhf,
                tree: "bcm2836-rpi-2-b.dtb",
                serial: [true, false],
                card: "/soc/mmc@7e300000",
                status: &[("/soc/mmc@7e202000", "disabled"), ("/soc/mmc@7e300000", "okay")],
                // With its four processors in one thread of the translator Linux stands still before it starts init; with four
                // threads it reads its card so slowly that services give up.
                word: Some("maxcpus=1"),
                ..plain
            }),
            // The card is where a real one has its Wi-Fi, which is powered by a chip that QEMU lacks.
            Self::Raspi4b => Some(Facts {
                memory_mb: 2048,
                tree: "bcm2711-rpi-4-b.dtb",
                serial: [true, true],
                card: "/soc/mmc@7e300000",
                aliases: &[("mmc0", "/soc/mmc@7e300000"), ("mmc1", "/emmc2bus/mmc@7e340000")],
                missing: &[
                    "/soc/interrupt-controller@7ef00100",
                    "/soc/clock@7ef00000",
                    "/soc/i2c@7ef04500",
                    "/soc/i2c@7ef09500",
                    "/scb/pcie@7d500000",
                    "/scb/ethernet@7d580000",
                    "/soc/rng@7e104000",
                    "/soc/avs-monitor@7d5d2000/thermal",
                ],
                without: &["/soc/mmc@7e300000 mmc-pwrseq", "/soc/serial@7e201000/bluetooth"],
                console: Some("console=ttyAMA0,115200"),
                ..plain
            }),
        }
    }
}

impl Model {
    /// The name of the device tree that the Pi's firmware would choose; none for a machine that is no Pi.
    pub fn device_tree(self) -> Option<&'static str> {
        self.facts().map(|facts| facts.tree)
    }

    /// How the device tree that boots in QEMU differs from the stock one of that model, in words.
    pub fn changes_in_words(self) -> String {
        let Some(facts) = self.facts() else { return "QEMU's own firmware describes the machine".to_owned() };
        let changes = changes(&facts);
        if changes.is_empty() {
            return format!("boots with its stock device tree {}", facts.tree);
        }
        format!("boots with {} changes to its stock device tree {}: {}", changes.len(), facts.tree, changes.join("; "))
    }
}

/// What the lab does in the stead of a Pi's firmware.
pub struct Firmware {
    /// U-Boot, as QEMU takes it.
    pub program: Vec<u8>,
    /// The device tree for it.
    pub tree: Vec<u8>,
}

/// Takes U-Boot and device tree from a config partition's `files`. `None` for a machine that is no Pi.
///
/// # Errors
/// When the card lacks them, which no Pi would boot from either.
pub fn firmware(plan: &MachinePlan, files: &[(String, Vec<u8>)]) -> Result<Option<Firmware>> {
    let Some(facts) = plan.model.facts() else { return Ok(None) };
    let file = |name: &str| {
        let found = files.iter().find(|(path, _)| path == name);
        found
            .map(|(_, bytes)| bytes.as_slice())
            .with_context(|| format!("the config partition has no `{name}`, which the Pi's firmware would look for"))
    };
    let program = match facts.arch {
        Arch::Armhf => wrap(file(PROGRAM)?, Kind::Kernel(PROGRAM_ADDRESS_32), Processor::Arm, "U-Boot"),
        _ => file(PROGRAM)?.to_vec(),
    };
    let mut words = vec![NO_WATCHDOG.to_owned()];
    words.extend(facts.word.map(str::to_owned));
    if plan.memory_mb < facts.memory_mb {
        words.push(format!("mem={}M", plan.memory_mb));
    }
    let tree = handed_tree(file(facts.tree)?, &facts, &words.join(" "), plan.oddities.card_number)
        .with_context(|| format!("in `{}`", facts.tree))?;
    Ok(Some(Firmware { program, tree }))
}

fn handed_tree(blob: &[u8], facts: &Facts, words: &str, card_number: Option<u8>) -> Result<Vec<u8>> {
    let fdt = Fdt::new(blob).map_err(|error| anyhow::anyhow!("it is no device tree: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    for (path, status) in facts.status {
        let node = tree.find_node_mut(path).with_context(|| format!("it has no node {path}"))?;
        set(node, "status", status)?;
    }
    let aliases = tree.find_node_mut("/aliases").context("it has no node /aliases")?;
    match card_number {
        Some(number) => set(aliases, &format!("mmc{number}"), facts.card)?,
        None => facts.aliases.iter().try_for_each(|(alias, path)| set(aliases, alias, path))?,
    }
    let chosen = tree.find_node_mut("/chosen").context("it has no node /chosen")?;
    set(chosen, EMULATOR_FIXES, &fixes(facts))?;
    set(chosen, EMULATOR_WORDS, words)?;
    Ok(tree.to_dtb())
}

/// The changes as U-Boot's commands, which its script gives once it has the slot's tree.
fn fixes(facts: &Facts) -> String {
    let mut commands = changes(facts);
    commands.extend(facts.console.iter().map(|word| format!("fdt set /chosen {TREE_CONSOLE} {word}")));
    // Never empty: that there is something says that this is an emulator.
    commands.push("true".to_owned());
    commands.join("; ")
}

fn changes(facts: &Facts) -> Vec<String> {
    let mut commands: Vec<String> = facts.status.iter().map(|(path, status)| format!("fdt set {path} status {status}")).collect();
    commands.extend(facts.missing.iter().map(|path| format!("fdt set {path} status disabled")));
    commands.extend(facts.without.iter().map(|what| format!("fdt rm {what}")));
    commands
}

fn set(node: &mut DeviceTreeNode, name: &str, text: &str) -> Result<()> {
    let property = DeviceTreeProperty::new(name, format!("{text}\0").into_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    node.add_property(property);
    Ok(())
}

/// QEMU's command line; `None` for a machine that is no Pi. The files that [`firmware`] made lie in the lab's folder.
pub fn arguments(plan: &MachinePlan) -> Option<Vec<String>> {
    let facts = plan.model.facts()?;
    let mut words: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    add("-name", plan.name.clone());
    add("-machine", plan.model.to_string());
    // With several threads the translator is several times slower on these machines.
    add("-accel", "tcg,thread=single".to_owned());
    add("-m", format!("{}M", facts.memory_mb));
    add("-display", "none".to_owned());
    add("-kernel", format!("{LAB_INSIDE}/{}", plan.program()));
    add("-dtb", format!("{LAB_INSIDE}/{}", plan.tree()));
    for disk in &plan.disks {
        add("-drive", format!("if=sd,{}", disk_drive(disk, plan.log_writes)));
    }
    link(plan, &mut add);
    add("-device", format!("usb-net,netdev=link,mac={}", plan.mac("77")));
    way_in(plan, &mut add);
    add("-device", format!("usb-net,netdev=host,mac={}", plan.mac("78")));
    for (index, used) in facts.serial.iter().enumerate() {
        let log = format!("{LAB_INSIDE}/{}", plan.serial_log());
        if *used && plan.oddities.typed_at {
            let socket = format!("path={LAB_INSIDE}/{},server=on,wait=off", plan.typing());
            add("-chardev", format!("socket,id=serial{index},{socket},logfile={log},logappend=on"));
        } else if *used {
            add("-chardev", format!("file,id=serial{index},append=on,path={log}"));
        }
        add("-serial", if *used { format!("chardev:serial{index}") } else { "null".to_owned() });
    }
    qmp(&mut add);
    Some(super::with_program(facts.arch, words))
}

#[cfg(test)]
mod tests {
    use super::super::Oddities;
    use super::super::tests::plan;
    use super::*;
    use expect_test::expect;

    fn pi(model: Model) -> MachinePlan {
        MachinePlan { model, ..plan() }
    }

    #[test]
    fn a_raspberry_pi() {
        let shown = |model| arguments(&pi(model)).unwrap().join(" ").replace(" -", "\n-");
        expect![[r#"
            qemu-system-aarch64
            -nodefaults
            -no-user-config
            -name two
            -machine raspi3b
            -accel tcg,thread=single
            -m 1024M
            -display none
            -kernel /lab/two.u-boot
            -dtb /lab/two.dtb
            -drive if=sd,format=raw,file=/lab/two.img
            -netdev dgram,id=link,local.type=inet,local.host=127.0.0.1,local.port=5001,remote.type=inet,remote.host=127.0.0.1,remote.port=5002
            -device usb-net,netdev=link,mac=52:54:00:77:00:02
            -netdev user,id=host,restrict=on,ipv6=off,net=10.78.2.0/24,hostfwd=tcp:127.0.0.1:5003-:80,hostfwd=tcp:127.0.0.1:5004-:22
            -device usb-net,netdev=host,mac=52:54:00:78:00:02
            -serial null
            -chardev file,id=serial1,append=on,path=/lab/two.serial.log
            -serial chardev:serial1
            -chardev stdio,id=qmp,signal=off
            -mon chardev=qmp,mode=control"#]].assert_eq(&shown(Model::Raspi3b));
        assert!(shown(Model::Raspi2b).starts_with("qemu-system-arm\n"));
        assert!(shown(Model::Raspi4b).contains("-m 2048M"));
        assert!(arguments(&plan()).is_none());
        let typed = MachinePlan { oddities: Oddities { typed_at: true, ..Oddities::default() }, ..pi(Model::Raspi3b) };
        let typed = arguments(&typed).unwrap().join(" ");
        let socket = "path=/lab/two.serial.socket,server=on,wait=off,logfile=/lab/two.serial.log,logappend=on";
        assert!(typed.contains(&format!("-serial null -chardev socket,id=serial1,{socket} -serial chardev:serial1")), "{typed}");
    }

    #[test]
    fn how_far_each_machine_is_from_its_stock_device_tree_is_said() {
        assert_eq!(Model::Raspi3b.changes_in_words(), "boots with its stock device tree bcm2837-rpi-3-b.dtb");
        assert!(
            Model::Raspi2b.changes_in_words().starts_with("boots with 2 changes to its stock device tree bcm2836-rpi-2-b.dtb: fdt set ")
        );
        assert_eq!(Model::Virt.changes_in_words(), "QEMU's own firmware describes the machine");
    }

    /// A tree with the nodes that are changed.
    fn tree(facts: &Facts) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let paths = facts.status.iter().map(|(path, _)| *path).chain(["/chosen", "/aliases"]);
        for path in paths {
            let mut node = &mut tree.root;
            for name in path.trim_start_matches('/').split('/') {
                if node.child_mut(name).is_none() {
                    node.add_child(DeviceTreeNode::new(name).unwrap());
                }
                node = node.child_mut(name).unwrap();
            }
        }
        tree.to_dtb()
    }

    #[test]
    fn all_that_is_changed_lies_in_the_tree_that_is_handed_over() {
        for model in [Model::Raspi2b, Model::Raspi3b, Model::Raspi4b] {
            let facts = model.facts().unwrap();
            let files = vec![(PROGRAM.to_owned(), vec![7; 100]), (facts.tree.to_owned(), tree(&facts))];
            let plan = MachinePlan { memory_mb: 448, ..pi(model) };
            let made = firmware(&plan, &files).unwrap().unwrap();
            assert!(made.program.ends_with(&[7; 100]));
            let fdt = Fdt::new(&made.tree).unwrap();
            let read = DeviceTree::from_fdt(&fdt);
            let text = format!("{:?}", read.find_node("/chosen").unwrap());
            assert!(text.contains(EMULATOR_FIXES) && text.contains(EMULATOR_WORDS), "{text}");
            assert!(firmware(&plan, &files[..1]).is_err());
            assert_eq!(format!("{:?}", read.find_node("/aliases").unwrap()).contains("mmc1"), !facts.aliases.is_empty());
            let plan = MachinePlan { oddities: Oddities { card_number: Some(1), ..Oddities::default() }, ..plan };
            let made = firmware(&plan, &files).unwrap().unwrap();
            let tree = DeviceTree::from_fdt(&Fdt::new(&made.tree).unwrap());
            assert!(format!("{:?}", tree.find_node("/aliases").unwrap()).contains("mmc1"));
        }
        assert_eq!(fixes(&Model::Raspi3b.facts().unwrap()), "true");
        let four = fixes(&Model::Raspi4b.facts().unwrap());
        assert!(four.contains("fdt set /scb/pcie@7d500000 status disabled; ") && four.contains("fdt rm /soc/mmc@7e300000 mmc-pwrseq"));
    }
}
