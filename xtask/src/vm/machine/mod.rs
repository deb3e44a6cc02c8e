//! What a virtual machine is made of, as QEMU's arguments: a pure function of a plan.

mod pi;

use super::emulator::Accelerator;
use crate::board::Arch;

pub use pi::firmware;

/// Where the lab's folder is seen by QEMU.
pub const LAB_INSIDE: &str = "/lab";
/// The port on which a node's page is.
pub const PAGE_PORT: u16 = 80;
/// The port of a node's ssh.
pub const SSH_PORT: u16 = 22;

/// How the node's disk is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    /// As in most mini-PCs of today.
    #[default]
    Nvme,
    /// As in older ones, and where an SSD is a SATA one.
    Sata,
    /// A stick or a USB case.
    Usb,
    /// Virtual machines.
    Virtio,
}

/// Which of QEMU's machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// A PC with UEFI (`q35`).
    #[default]
    Pc,
    /// A 64-bit ARM machine with UEFI (`virt`).
    Virt,
    /// Raspberry Pi 2B.
    Raspi2b,
    /// Raspberry Pi 3B.
    Raspi3b,
    /// Raspberry Pi 4B.
    Raspi4b,
}

impl Model {
    /// Whether it has a button that its system sees.
    pub const fn has_button(self) -> bool {
        matches!(self, Self::Pc | Self::Virt)
    }

    /// Whether its disk is an SD card, whose size QEMU wants to be a power of two.
    pub const fn has_card(self) -> bool {
        !self.has_button()
    }
}

impl std::fmt::Display for Model {
    /// QEMU's name of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pc => "q35",
            Self::Virt => "virt",
            Self::Raspi2b => "raspi2b",
            Self::Raspi3b => "raspi3b",
            Self::Raspi4b => "raspi4b",
        })
    }
}

/// The command line of QEMU for a processor.
fn with_program(arch: Arch, mut words: Vec<String>) -> Vec<String> {
    let program = match arch {
        Arch::Amd64 => "qemu-system-x86_64",
        Arch::Arm64 => "qemu-system-aarch64",
        Arch::Armhf => "qemu-system-arm",
    };
    let mut command = vec![program.to_owned(), "-nodefaults".to_owned(), "-no-user-config".to_owned()];
    command.append(&mut words);
    command
}

/// One node's machine.
#[derive(Clone, Debug)]
pub struct MachinePlan {
    /// Its number, 1 for the first.
    pub number: u8,
    /// Its name, which is the stem of its files in the lab's folder.
    pub name: String,
    /// What it is.
    pub model: Model,
    /// Memory.
    pub memory_mb: u32,
    /// Processors.
    pub cores: u32,
    /// Secure Boot with Microsoft's keys.
    pub secure_boot: bool,
    /// Disks in the order in which the firmware tries them: file names in the lab's folder.
    pub disks: Vec<String>,
    /// How they are attached.
    pub disk_bus: DiskBus,
    /// Whether writes are logged beside each disk, so that a power cut can lose some.
    pub log_writes: bool,
    /// The chipset's watchdog is there, and resets the machine.
    pub watchdog: bool,
    /// What the clock says at the start (`1970-01-01T00:00:00`); the host's time without.
    pub clock: Option<String>,
    /// Loopback ports: where QEMU receives frames of the private link.
    pub link_local: u16,
    /// Where the hub receives this node's.
    pub link_hub: u16,
    /// Loopback ports of the host that lead to ports of the node.
    pub forwards: Vec<Forward>,
    /// What only the cases of a boot chain ask for.
    pub oddities: Oddities,
}

/// How a machine differs from its like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Its serial port is a socket too, at which can be typed ([`MachinePlan::typing`]). Only a Pi's.
    pub typed_at: bool,
    /// U-Boot finds its card under this number. Only a Pi's.
    pub card_number: Option<u8>,
}

/// A loopback port that leads into a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On the host.
    pub host: u16,
    /// On the node.
    pub node: u16,
}

impl MachinePlan {
    /// The serial console's log, in the lab's folder.
    pub fn serial_log(&self) -> String {
        format!("{}.serial.log", self.name)
    }

    /// The socket at which can be typed on the serial console, in the lab's folder.
    pub fn typing(&self) -> String {
        format!("{}.serial.socket", self.name)
    }

    /// The firmware's variables, in the lab's folder.
    pub fn variables(&self) -> String {
        format!("{}.vars", self.name)
    }

    /// The UEFI firmware with which the machine starts, and the variables that a new machine has, in the tools tree; none
    /// where another firmware starts it.
    pub const fn uefi(&self) -> Option<(&'static str, &'static str)> {
        match (self.model, self.secure_boot) {
            // The same code for both: the other build of it has a shell among its boot options, and would end there, as no PC does,
            // when a loader returns.
            (Model::Pc, false) => Some(("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")),
            (Model::Pc, true) => Some(("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd")),
            (Model::Virt, false) => Some(("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd")),
            (Model::Virt, true) => Some(("/usr/share/AAVMF/AAVMF_CODE.secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.ms.fd")),
            (Model::Raspi2b | Model::Raspi3b | Model::Raspi4b, _) => None,
        }
    }

    /// What the lab starts in the stead of a Pi's firmware, in its folder.
    pub fn program(&self) -> String {
        format!("{}.u-boot", self.name)
    }

    /// The device tree for it, in the lab's folder.
    pub fn tree(&self) -> String {
        format!("{}.dtb", self.name)
    }

    /// Its address on the network of that number.
    fn mac(&self, network: &str) -> String {
        format!("52:54:00:{network}:00:{:02x}", self.number)
    }
}

/// Where a disk's writes are logged, in the lab's folder.
pub fn log_of(disk: &str) -> String {
    format!("{disk}.writes")
}

/// QEMU's command line, the program first.
pub fn arguments(plan: &MachinePlan, accelerator: Accelerator) -> Vec<String> {
    pi::arguments(plan).unwrap_or_else(|| uefi_arguments(plan, accelerator))
}

fn uefi_arguments(plan: &MachinePlan, accelerator: Accelerator) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    let n = plan.number;
    add("-name", plan.name.clone());
    match (plan.model, accelerator) {
        (Model::Virt, _) => {
            add("-machine", "virt,gic-version=3".to_owned());
            add("-accel", "tcg,thread=multi".to_owned());
            // What it adds beyond costs the translator dear (pointer authentication).
            add("-cpu", "cortex-a72".to_owned());
        }
        (_, Accelerator::Kvm) => {
            add("-machine", "q35,smm=on,vmport=off".to_owned());
            add("-accel", "kvm".to_owned());
            add("-cpu", "host".to_owned());
        }
        (_, Accelerator::Tcg) => {
            add("-machine", "q35,smm=on,vmport=off".to_owned());
            add("-accel", "tcg,thread=multi".to_owned());
            // The translator copies byte by byte where a processor says that it is quick at that: a boot costs a tenth more.
            add("-cpu", "max,erms=off,fsrm=off".to_owned());
        }
    }
    add("-smp", plan.cores.to_string());
    add("-m", format!("{}M", plan.memory_mb));
    add("-display", "none".to_owned());
    if plan.model == Model::Pc {
        add("-vga", "std".to_owned());
    }
    add("-device", "virtio-rng-pci".to_owned());
    if plan.model == Model::Pc {
        add("-global", "ICH9-LPC.disable_s3=1".to_owned());
        // As most boards have it; QEMU's own is that the chipset refuses to be a watchdog.
        if plan.watchdog {
            add("-global", "ICH9-LPC.noreboot=off".to_owned());
            add("-action", "watchdog=reset".to_owned());
        }
        // Only code in system management mode may change the firmware's variables.
        add("-global", "driver=cfi.pflash01,property=secure,value=on".to_owned());
    }
    if let Some((code, _)) = plan.uefi() {
        add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
        add("-drive", format!("if=pflash,format=raw,unit=1,file={LAB_INSIDE}/{}", plan.variables()));
    }
    if plan.disk_bus == DiskBus::Usb {
        add("-device", "qemu-xhci,id=usb".to_owned());
    }
    for (index, disk) in plan.disks.iter().enumerate() {
        let file = format!("driver=file,filename={LAB_INSIDE}/{disk},discard=unmap");
        if plan.log_writes {
            add("-blockdev", format!("{file},node-name=disk{index}file"));
            add("-blockdev", format!("driver=file,filename={LAB_INSIDE}/{},node-name=disk{index}log", log_of(disk)));
            add(
                "-blockdev",
                format!("driver=blklogwrites,file=disk{index}file,log=disk{index}log,log-sector-size=512,node-name=disk{index}"),
            );
        } else {
            add("-blockdev", format!("{file},node-name=disk{index}"));
        }
        let boot = format!("drive=disk{index},bootindex={index}");
        add(
            "-device",
            match plan.disk_bus {
                DiskBus::Nvme => format!("nvme,serial=node{n}disk{index},{boot}"),
                DiskBus::Sata => format!("ide-hd,bus=ide.{index},{boot}"),
                DiskBus::Usb => format!("usb-storage,bus=usb.0,{boot}"),
                DiskBus::Virtio => format!("virtio-blk-pci,{boot}"),
            },
        );
    }
    link(plan, &mut add);
    add("-device", format!("virtio-net-pci,netdev=link,romfile=,mac={}", plan.mac("77")));
    way_in(plan, &mut add);
    add("-device", format!("virtio-net-pci,netdev=host,romfile=,mac={}", plan.mac("78")));
    add("-chardev", format!("file,id=serial,append=on,path={LAB_INSIDE}/{}", plan.serial_log()));
    add("-serial", "chardev:serial".to_owned());
    qmp(&mut add);
    if let Some(clock) = &plan.clock {
        add("-rtc", format!("base={clock}"));
    }
    let arch = if plan.model == Model::Virt { Arch::Arm64 } else { Arch::Amd64 };
    with_program(arch, words)
}

/// The private link first: it is the one that looks like a home's network.
fn link(plan: &MachinePlan, add: &mut impl FnMut(&str, String)) {
    add(
        "-netdev",
        format!(
            "dgram,id=link,local.type=inet,local.host=127.0.0.1,local.port={},\
             remote.type=inet,remote.host=127.0.0.1,remote.port={}",
            plan.link_local, plan.link_hub
        ),
    );
}

/// The way in from the host; nothing gets out by it.
fn way_in(plan: &MachinePlan, add: &mut impl FnMut(&str, String)) {
    let forwards: String = plan.forwards.iter().map(|f| format!(",hostfwd=tcp:127.0.0.1:{}-:{}", f.host, f.node)).collect();
    add("-netdev", format!("user,id=host,restrict=on,ipv6=off,net=10.78.{}.0/24{forwards}", plan.number));
}

/// QMP is spoken over QEMU's own stdin and stdout: no path, no port.
fn qmp(add: &mut impl FnMut(&str, String)) {
    add("-chardev", "stdio,id=qmp,signal=off".to_owned());
    add("-mon", "chardev=qmp,mode=control".to_owned());
}

/// A disk as one `-drive`, for machines that take it so.
fn disk_drive(disk: &str, log_writes: bool) -> String {
    if log_writes {
        format!(
            "driver=blklogwrites,file.driver=file,file.filename={LAB_INSIDE}/{disk},\
             log.driver=file,log.filename={LAB_INSIDE}/{},log-sector-size=512",
            log_of(disk)
        )
    } else {
        format!("format=raw,file={LAB_INSIDE}/{disk}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    pub fn plan() -> MachinePlan {
        MachinePlan {
            number: 2,
            name: "two".to_owned(),
            model: Model::Pc,
            memory_mb: 1024,
            cores: 2,
            secure_boot: false,
            disks: vec!["two.img".to_owned()],
            disk_bus: DiskBus::Nvme,
            log_writes: false,
            watchdog: false,
            clock: None,
            link_local: 5001,
            link_hub: 5002,
            forwards: vec![Forward { host: 5003, node: PAGE_PORT }, Forward { host: 5004, node: SSH_PORT }],
            oddities: Oddities::default(),
        }
    }

    fn shown(plan: &MachinePlan, accelerator: Accelerator) -> String {
        arguments(plan, accelerator).join(" ").replace(" -", "\n-")
    }

    #[test]
    fn a_plain_node() {
        expect![[r#"
            qemu-system-x86_64
            -nodefaults
            -no-user-config
            -name two
            -machine q35,smm=on,vmport=off
            -accel tcg,thread=multi
            -cpu max,erms=off,fsrm=off
            -smp 2
            -m 1024M
            -display none
            -vga std
            -device virtio-rng-pci
            -global ICH9-LPC.disable_s3=1
            -global driver=cfi.pflash01,property=secure,value=on
            -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
            -drive if=pflash,format=raw,unit=1,file=/lab/two.vars
            -blockdev driver=file,filename=/lab/two.img,discard=unmap,node-name=disk0
            -device nvme,serial=node2disk0,drive=disk0,bootindex=0
            -netdev dgram,id=link,local.type=inet,local.host=127.0.0.1,local.port=5001,remote.type=inet,remote.host=127.0.0.1,remote.port=5002
            -device virtio-net-pci,netdev=link,romfile=,mac=52:54:00:77:00:02
            -netdev user,id=host,restrict=on,ipv6=off,net=10.78.2.0/24,hostfwd=tcp:127.0.0.1:5003-:80,hostfwd=tcp:127.0.0.1:5004-:22
            -device virtio-net-pci,netdev=host,romfile=,mac=52:54:00:78:00:02
            -chardev file,id=serial,append=on,path=/lab/two.serial.log
            -serial chardev:serial
            -chardev stdio,id=qmp,signal=off
            -mon chardev=qmp,mode=control"#]].assert_eq(&shown(&plan(), Accelerator::Tcg));
    }

    #[test]
    fn secure_boot_with_two_sata_disks_and_an_old_clock() {
        let plan = MachinePlan {
            secure_boot: true,
            disks: vec!["two.img".to_owned(), "two-second.img".to_owned()],
            disk_bus: DiskBus::Sata,
            log_writes: true,
            clock: Some("1970-01-01T00:00:00".to_owned()),
            ..plan()
        };
        expect![[r#"
            qemu-system-x86_64
            -nodefaults
            -no-user-config
            -name two
            -machine q35,smm=on,vmport=off
            -accel kvm
            -cpu host
            -smp 2
            -m 1024M
            -display none
            -vga std
            -device virtio-rng-pci
            -global ICH9-LPC.disable_s3=1
            -global driver=cfi.pflash01,property=secure,value=on
            -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
            -drive if=pflash,format=raw,unit=1,file=/lab/two.vars
            -blockdev driver=file,filename=/lab/two.img,discard=unmap,node-name=disk0file
            -blockdev driver=file,filename=/lab/two.img.writes,node-name=disk0log
            -blockdev driver=blklogwrites,file=disk0file,log=disk0log,log-sector-size=512,node-name=disk0
            -device ide-hd,bus=ide.0,drive=disk0,bootindex=0
            -blockdev driver=file,filename=/lab/two-second.img,discard=unmap,node-name=disk1file
            -blockdev driver=file,filename=/lab/two-second.img.writes,node-name=disk1log
            -blockdev driver=blklogwrites,file=disk1file,log=disk1log,log-sector-size=512,node-name=disk1
            -device ide-hd,bus=ide.1,drive=disk1,bootindex=1
            -netdev dgram,id=link,local.type=inet,local.host=127.0.0.1,local.port=5001,remote.type=inet,remote.host=127.0.0.1,remote.port=5002
            -device virtio-net-pci,netdev=link,romfile=,mac=52:54:00:77:00:02
            -netdev user,id=host,restrict=on,ipv6=off,net=10.78.2.0/24,hostfwd=tcp:127.0.0.1:5003-:80,hostfwd=tcp:127.0.0.1:5004-:22
            -device virtio-net-pci,netdev=host,romfile=,mac=52:54:00:78:00:02
            -chardev file,id=serial,append=on,path=/lab/two.serial.log
            -serial chardev:serial
            -chardev stdio,id=qmp,signal=off
            -mon chardev=qmp,mode=control
            -rtc base=1970-01-01T00:00:00"#]].assert_eq(&shown(&plan, Accelerator::Kvm));
    }
}
