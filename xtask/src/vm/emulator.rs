//! Where QEMU and ssh come from (the tools tree), and whether the host's KVM can be used.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::machine::LAB_INSIDE;
use crate::sandbox::{Running, Sandbox};
use crate::tools::Tools;

/// How long the probe's guest may take; with KVM it is there in one or two seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// How often the probe looks.
const PROBE_POLL: Duration = Duration::from_millis(50);
/// The firmware of the probe's guest, in the tools tree.
const PROBE_FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";
/// What it says on its serial line when it finds nothing to boot.
const PROBE_WORD: &str = "BdsDxe";

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

    /// The tree that it is in.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// A file of the tools tree, copied out.
    pub fn copy_out(&self, inside: &str, to: &Path) -> Result<()> {
        let from = self.tools.file(inside).with_context(|| format!("the tools tree has no `{inside}`"))?;
        fs::copy(&from, to).with_context(|| format!("failed to copy `{}`", from.display()))?;
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

/// Whether a guest really runs with that accelerator: the nodes' own firmware up to the point where it looks for
/// something to boot, of which there is nothing. A smaller guest would not do: there are hosts whose KVM carries a
/// boot sector and dies in the firmware.
fn probe(tools: &Tools, folder: &Path, accelerator: &str) -> Result<bool> {
    let argv = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-machine",
        "q35",
        "-accel",
        accelerator,
        "-cpu",
        "max",
        "-m",
        "256M",
        "-display",
        "none",
        "-bios",
        PROBE_FIRMWARE,
        "-serial",
        "file:/lab/serial",
    ];
    let errors = fs::File::create(folder.join("errors"))?;
    let mut running = sandbox(tools, folder).command(argv).spawn(Stdio::null(), Stdio::null(), errors.into())?;
    let begun = Instant::now();
    let said = |name: &str, word: &str| fs::read(folder.join(name)).is_ok_and(|said| String::from_utf8_lossy(&said).contains(word));
    let works = loop {
        if said("serial", PROBE_WORD) {
            break true;
        }
        // A guest that died leaves QEMU waiting; what it says then differs.
        let dead = said("errors", "emulation failure") || said("errors", "KVM internal error");
        if dead || running.child.try_wait()?.is_some() || begun.elapsed() > PROBE_LIMIT {
            break false;
        }
        std::thread::sleep(PROBE_POLL);
    };
    running.child.kill()?;
    running.child.wait()?;
    Ok(works)
}
