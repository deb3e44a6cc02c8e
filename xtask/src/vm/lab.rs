//! A lab: some nodes from one image, on one private link, with their disks and logs in one folder.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use anyhow::{Context, Result, bail};

use super::disk::{self, Disk};
use super::emulator::Emulator;
use super::hub::Hub;
use super::machine::{DiskBus, Forward, MachinePlan, Model, Oddities, PAGE_PORT, SSH_PORT};
use super::node::Node;

/// Size of a node's disk unless said otherwise: what the cheapest sticks have.
pub const DISK_GB: u32 = 8;
/// Bytes of what disks are sold by.
const GB: u64 = 1_000_000_000;
/// Memory of a node unless said otherwise.
pub const MEMORY_MB: u32 = 1024;
/// Processors of a node unless said otherwise: with one each, the translator keeps the nodes' clocks steady on a busy host.
pub const CORES: u32 = 1;

/// What a lab wants of a node.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name in the lab.
    pub name: String,
    /// What it is.
    pub model: Model,
    /// The board whose image it has, where that is another one than the lab's.
    pub board: Option<String>,
    /// The image on its disk; the lab's without.
    pub image: Option<PathBuf>,
    /// Memory.
    pub memory_mb: u32,
    /// Size of its disk, in 10^9 bytes.
    pub disk_gb: u32,
    /// How many disks, each with the same image on it.
    pub disks: u32,
    /// How they are attached.
    pub disk_bus: DiskBus,
    /// A PC's hardware watchdog.
    pub watchdog: bool,
    /// Whether a power cut loses writes that were not flushed.
    pub lose_writes: bool,
    /// Secure Boot with Microsoft's keys.
    pub secure_boot: bool,
    /// What its clock says at the start.
    pub clock: Option<String>,
    /// What is written as cloudy.toml on its config partition; nothing without.
    pub cloudy_toml: Option<String>,
    /// Ports of the node that the host can reach, besides page and ssh.
    pub ports: Vec<u16>,
}

impl NodeSpec {
    /// A node of that name like any other.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            model: Model::default(),
            board: None,
            image: None,
            memory_mb: MEMORY_MB,
            disk_gb: DISK_GB,
            disks: 1,
            disk_bus: DiskBus::default(),
            watchdog: false,
            lose_writes: false,
            secure_boot: false,
            clock: None,
            cloudy_toml: None,
            ports: Vec::new(),
        }
    }
}

/// Nodes, link, folder.
pub struct Lab {
    /// The nodes, as they were asked for.
    pub nodes: Vec<Node>,
    /// Their link.
    pub hub: Hub,
    folder: PathBuf,
    image: PathBuf,
}

impl Lab {
    /// Makes disks and link; all nodes are off. What an earlier lab left in `folder` is removed.
    pub fn new(emulator: &Emulator, image: &Path, folder: &Path, specs: &[NodeSpec]) -> Result<Self> {
        let names: BTreeSet<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        if names.len() < specs.len() {
            bail!("two nodes have the same name");
        }
        let ports = free_udp_ports(specs.len())?;
        let hub = Hub::start(&ports)?;
        let mut nodes = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let plan = plan(spec, index, *ports.get(index).context("too few ports")?, hub.port(index)?)?;
            for name in &plan.disks {
                let path = folder.join(name);
                disk::make(spec.image.as_deref().unwrap_or(image), &path, disk_bytes(&plan, spec.disk_gb))?;
                if let Some(text) = &spec.cloudy_toml {
                    Disk::open(&path)?.put("config", "cloudy.toml", text.as_bytes())?;
                }
            }
            if let Some((_, variables)) = plan.uefi() {
                emulator.copy_out(variables, &folder.join(plan.variables()))?;
            }
            nodes.push(Node::new(plan, folder));
        }
        Ok(Self { nodes, hub, folder: folder.to_owned(), image: image.to_owned() })
    }

    /// The folder with disks and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The node of that name, and its index.
    pub fn node(&mut self, name: &str) -> Result<(usize, &mut Node)> {
        let found = self.nodes.iter_mut().enumerate().find(|(_, node)| node.plan.name == name);
        found.with_context(|| format!("the lab has no node `{name}`"))
    }

    /// The disk of a node that is off.
    pub fn disk(&mut self, name: &str) -> Result<Disk> {
        let (_, node) = self.node(name)?;
        if node.is_on()? {
            bail!("node {name} is on; its disk can be changed while it is off");
        }
        Disk::open(&node.disk()?)
    }

    /// Puts a further disk into a node that is off, as large as `disk_gb` says: with the image on it and nothing else, or blank.
    pub fn add_disk(&mut self, name: &str, disk_gb: u32, blank: bool) -> Result<()> {
        let (image, folder) = (self.image.clone(), self.folder.clone());
        let (_, node) = self.node(name)?;
        if node.is_on()? {
            bail!("node {name} is on; switch it off before its disks are changed");
        }
        // One that was taken out leaves its number to nobody.
        let numbers = 1..;
        let free = numbers.map(|number| disk_name(name, number)).find(|disk| !node.plan.disks.contains(disk));
        let disk = free.context("no name is left for a disk")?;
        let bytes = disk_bytes(&node.plan, disk_gb);
        if blank {
            disk::make_blank(&folder.join(&disk), bytes)?;
        } else {
            disk::make(&image, &folder.join(&disk), bytes)?;
        }
        node.plan.disks.push(disk);
        Ok(())
    }

    /// Plugs a USB disk into a node. One that was never plugged in is blank.
    pub fn plug_disk(&mut self, name: &str, disk: &str, disk_gb: u32) -> Result<()> {
        let folder = self.folder.clone();
        let (_, node) = self.node(name)?;
        if node.plan.disk_bus != DiskBus::Usb {
            bail!("node {name} has nowhere to plug it in: give it `disk-bus = \"usb\"`");
        }
        let path = folder.join(super::node::plugged_file(disk));
        if !path.exists() {
            disk::make_blank(&path, u64::from(disk_gb) * GB)?;
        }
        node.plug(disk)
    }

    /// Takes the first disk out of a node that is off; the next one takes its place.
    pub fn remove_disk(&mut self, name: &str) -> Result<()> {
        let folder = self.folder.clone();
        let (_, node) = self.node(name)?;
        if node.is_on()? {
            bail!("node {name} is on; switch it off before its disks are changed");
        }
        if node.plan.disks.len() < 2 {
            bail!("node {name} would have no disk left");
        }
        let taken = node.plan.disks.remove(0);
        for file in super::node::files_of(&taken) {
            let _ = fs::remove_file(folder.join(file));
        }
        Ok(())
    }

    /// Removes the disks; the logs stay.
    pub fn remove_disks(&self) {
        for node in &self.nodes {
            for file in node.plan.disks.iter().flat_map(|disk| super::node::files_of(disk)).chain(node.ever_plugged()) {
                let _ = fs::remove_file(self.folder.join(file));
            }
        }
    }
}

/// Makes an empty folder for a lab, where logs of an earlier one may be.
pub fn prepare_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))
}

impl MachinePlan {
    /// The port of the host that leads to that port of the node.
    pub fn host_port(&self, node: u16) -> Result<u16> {
        let found = self.forwards.iter().find(|forward| forward.node == node);
        Ok(found.with_context(|| format!("port {node} of {} is not forwarded", self.name))?.host)
    }
}

/// The size of a node's disk. QEMU takes a card only if its size is a power of two.
fn disk_bytes(plan: &MachinePlan, disk_gb: u32) -> u64 {
    let bytes = u64::from(disk_gb) * GB;
    if plan.model.has_card() { bytes.next_power_of_two() } else { bytes }
}

fn plan(spec: &NodeSpec, index: usize, link_local: u16, link_hub: u16) -> Result<MachinePlan> {
    // Seen: the commit of a journal, written so, counted as lost while what it allowed to be written stayed.
    if spec.lose_writes && !spec.model.has_card() && spec.disk_bus == DiskBus::Nvme {
        bail!(
            "node {}: QEMU's NVMe does not pass on that a write must be on the disk at once (FUA), so nobody can tell what a cut \
             may take: give it another `disk-bus`",
            spec.name
        );
    }
    let mut forwards = Vec::new();
    let inside: Vec<u16> = [PAGE_PORT, SSH_PORT].into_iter().chain(spec.ports.iter().copied()).collect();
    for (node, host) in inside.iter().zip(free_tcp_ports(inside.len())?) {
        forwards.push(Forward { host, node: *node });
    }
    Ok(MachinePlan {
        number: u8::try_from(index + 1).context("too many nodes")?,
        name: spec.name.clone(),
        model: spec.model,
        memory_mb: spec.memory_mb,
        cores: CORES,
        secure_boot: spec.secure_boot,
        disks: (1..=spec.disks as usize).map(|number| disk_name(&spec.name, number)).collect(),
        disk_bus: spec.disk_bus,
        log_writes: spec.lose_writes,
        watchdog: spec.watchdog,
        clock: spec.clock.clone(),
        link_local,
        link_hub,
        forwards,
        oddities: Oddities::default(),
    })
}

/// The file of a node's disk: `one.img`, `one.2.img`, …
fn disk_name(node: &str, number: usize) -> String {
    if number == 1 { format!("{node}.img") } else { format!("{node}.{number}.img") }
}

/// Ports that a lab of this program was given: another one that is made beside it gets others.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Loopback ports that are free now: QEMU, which can't be handed an open one through the sandbox, takes them a
/// moment later.
fn free_udp_ports(count: usize) -> Result<Vec<u16>> {
    free_ports(count, || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), UdpSocket::local_addr)
}

fn free_tcp_ports(count: usize) -> Result<Vec<u16>> {
    free_ports(count, || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), TcpListener::local_addr)
}

fn free_ports<S>(count: usize, bind: impl Fn() -> io::Result<S>, address: impl Fn(&S) -> io::Result<SocketAddr>) -> Result<Vec<u16>> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut held, mut ports) = (Vec::new(), Vec::new());
    // Sockets are held until enough are found, so that no port comes twice.
    while ports.len() < count {
        let socket = bind().context("no loopback port is free")?;
        let port = address(&socket)?.port();
        held.push(socket);
        if given.insert(port) {
            ports.push(port);
        }
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cut_may_take_is_known_of_the_disk() {
        let spec = |disk_bus| NodeSpec { disk_bus, lose_writes: true, ..NodeSpec::new("one") };
        assert!(plan(&spec(DiskBus::Nvme), 0, 1, 2).unwrap_err().to_string().contains("does not pass on"));
        assert!(plan(&spec(DiskBus::Sata), 0, 1, 2).unwrap().log_writes);
        assert!(plan(&NodeSpec { lose_writes: false, ..spec(DiskBus::Nvme) }, 0, 1, 2).is_ok());
    }
}
