//! Where QEMU and ssh come from (the tools tree), and whether the host's KVM can be used.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::machine::LAB_INSIDE;
use crate::sandbox::{Running, Sandbox};
use crate::tools::Tools;

/// How long the probe's guest may take: it does nothing but say one letter.
const PROBE_SECONDS: u64 = 20;
/// How often the probe looks whether its guest has ended.
const PROBE_POLL: Duration = Duration::from_millis(20);
/// Where the probe's guest writes to end QEMU.
const EXIT_PORT: u8 = 0xf4;
/// What the guest says on its serial line.
const PROBE_WORD: u8 = b'K';

/// What runs the guests' instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator: slow, and works everywhere.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "QEMU's translator (TCG): this host's KVM runs no guest, so everything is slow",
        })
    }
}

/// QEMU in the tools tree.
pub struct Emulator {
    tools: Tools,
    accelerator: Accelerator,
}

impl Emulator {
    /// Looks what this host can do. KVM is taken only if a guest really runs in it: on some hosts it opens and its
    /// guests die.
    pub fn new(tools: Tools) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let works = Path::new("/dev/kvm").exists() && probe(&tools, folder.path(), "kvm").unwrap_or(false);
        let accelerator = if works { Accelerator::Kvm } else { Accelerator::Tcg };
        Ok(Self { tools, accelerator })
    }

    /// What guests run on.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// A file of the tools tree, copied out.
    pub fn copy_out(&self, inside: &str, to: &Path) -> Result<()> {
        let from = self.tools.root().join(inside.trim_start_matches('/'));
        fs::copy(&from, to).with_context(|| format!("the tools tree has no `{inside}`"))?;
        Ok(())
    }

    /// Starts a program of the tools tree that sees the host's network and the lab's folder.
    pub fn start(&self, lab: &Path, argv: &[String], stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Running> {
        sandbox(&self.tools, lab).command(argv.iter().cloned()).spawn(stdin, stdout, stderr)
    }
}

fn sandbox(tools: &Tools, lab: &Path) -> Sandbox {
    tools.sandbox().network().bind_writable(lab, LAB_INSIDE).cwd(LAB_INSIDE)
}

/// A boot sector that says [`PROBE_WORD`] on the first serial line, asks QEMU to end, and halts.
fn boot_sector() -> Vec<u8> {
    let mut sector = vec![
        0xfa, // cli
        0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xb0, PROBE_WORD, // mov al, PROBE_WORD
        0xee, // out dx, al
        0xb0, 0x00, // mov al, 0
        0xe6, EXIT_PORT, // out EXIT_PORT, al
        0xf4, // hlt
        0xeb, 0xfd, // jmp to the hlt
    ];
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    sector
}

/// Whether a guest runs with that accelerator: through the BIOS's 32-bit start and back to 16 bits.
fn probe(tools: &Tools, folder: &Path, accelerator: &str) -> Result<bool> {
    fs::write(folder.join("probe.img"), boot_sector())?;
    let argv = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-accel",
        accelerator,
        "-m",
        "16M",
        "-display",
        "none",
        "-drive",
        "if=ide,format=raw,file=/lab/probe.img",
        "-serial",
        "file:/lab/probe.serial",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=1",
    ];
    let mut running = sandbox(tools, folder).command(argv).spawn(Stdio::null(), Stdio::null(), Stdio::null())?;
    let begun = Instant::now();
    while running.child.try_wait()?.is_none() && begun.elapsed() < Duration::from_secs(PROBE_SECONDS) {
        std::thread::sleep(PROBE_POLL);
    }
    running.child.kill()?;
    running.child.wait()?;
    Ok(fs::read(folder.join("probe.serial")).is_ok_and(|said| said.contains(&PROBE_WORD)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_guest_is_a_boot_sector() {
        let sector = boot_sector();
        assert_eq!(sector.len(), 512);
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }
}
