//! Loading the modules that this machine's devices ask for, first those that are there, then those that come.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{File, read_dir, read_to_string};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use contract::boot::CommandLine;
use contract::paths::{INITRAMFS_INDEX, INITRAMFS_MODULES};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket, sockopt};

use crate::console::{Level, say};
use crate::rules::modules::Index;
use crate::rules::uevent;

/// Netlink group in which the kernel itself speaks (udev speaks in group 2).
const KERNEL_GROUP: u32 = 1;
const UEVENT_BYTES_MAX: usize = 16 << 10;
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// The index, what was loaded, and the kernel's messages of new devices.
pub struct Coldplug {
    index: Index,
    line: CommandLine,
    seen: BTreeSet<String>,
    tried: BTreeSet<String>,
    socket: OwnedFd,
    /// Modules that could not be loaded, with the reason.
    pub failed: Vec<String>,
}

impl Coldplug {
    /// Reads the index and starts to listen: first that, so that no device is missed between.
    pub fn start(line: &CommandLine) -> anyhow::Result<Self> {
        let text = read_to_string(INITRAMFS_INDEX)
            .with_context(|| format!("failed to read {INITRAMFS_INDEX}: the initramfs is not one of cloudy's"))?;
        let index = Index::parse(&text).with_context(|| format!("in {INITRAMFS_INDEX}"))?;
        let socket = listen().context("failed to listen to the kernel's messages of new devices")?;
        let (seen, tried) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { index, line: line.clone(), seen, tried, socket, failed: Vec::new() })
    }

    /// Loads what is always loaded.
    pub fn load_always(&mut self) {
        for name in self.index.always.clone() {
            self.load(&name);
        }
    }

    /// Loads what the devices ask for that are there now.
    pub fn walk(&mut self) {
        let mut asked = Vec::new();
        collect(Path::new("/sys/devices"), &mut asked);
        for modalias in asked {
            self.ask(&modalias);
        }
    }

    /// Waits for messages, at most that long, and loads what new devices ask for. Says whether a device came.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO);
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut watched, timeout).is_ok_and(|ready| ready > 0) {
            return false;
        }
        let mut message = vec![0; UEVENT_BYTES_MAX];
        let mut came = false;
        loop {
            match recv(self.socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let Some(event) = message.get(..length).and_then(uevent::parse) else { continue };
                    came |= event.added;
                    if let (true, Some(modalias)) = (event.added, event.modalias) {
                        self.ask(&modalias);
                    }
                }
                // Messages were lost: look at everything instead.
                Err(Errno::ENOBUFS) => {
                    self.walk();
                    came = true;
                }
                Err(_) => return came,
            }
        }
    }

    fn ask(&mut self, modalias: &str) {
        if !self.seen.insert(modalias.to_owned()) {
            return;
        }
        let drivers: Vec<_> = self.index.drivers(modalias).map(str::to_owned).collect();
        for driver in drivers {
            self.load(&driver);
        }
    }

    fn load(&mut self, name: &str) {
        let order: Vec<_> = self.index.order(name).map(str::to_owned).collect();
        for name in order {
            if !self.tried.insert(name.clone()) {
                continue;
            }
            if let Err(error) = insert(&name, &self.line.parameters(&name)) {
                let text = format!("module {name} was not loaded: {error:#}");
                say(Level::Warning, &text);
                self.failed.push(text);
            }
        }
    }
}

fn listen() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkKObjectUEvent)?;
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

fn insert(name: &str, parameters: &str) -> anyhow::Result<()> {
    let file = match File::open(format!("{INITRAMFS_MODULES}/{name}.ko")) {
        // Built into this kernel, or left out on purpose.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    match finit_module(&file, &CString::new(parameters)?, ModuleInitFlags::empty()) {
        // ENODEV: the driver looked and found nothing of its own.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// All modaliases below a folder of sysfs; links are not followed.
fn collect(folder: &Path, into: &mut Vec<String>) {
    for entry in read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), into);
        } else if entry.file_name() == "modalias"
            && let Ok(text) = read_to_string(entry.path())
        {
            into.push(text.trim_end().to_owned());
        }
    }
}
