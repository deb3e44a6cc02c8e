//! One virtual node: started, watched by its serial line, switched off gently or by pulling the plug.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::cuts::{self, Seen};
use super::disk;
use super::emulator::Emulator;
use super::machine::{LAB_INSIDE, MachinePlan, arguments, firmware, log_of};
use super::power::{self, Lost, Random};
use super::qmp::Qmp;
use crate::image::Window;
use crate::image::fat::{self, Fat};
use crate::sandbox::Running;

/// How often something that is waited for is looked at.
pub const POLL: Duration = Duration::from_millis(200);

/// How long QEMU may take to let go of a disk that is pulled out.
const UNPLUG: Duration = Duration::from_secs(30);

/// What a disk held when its node was switched on, in the lab's folder.
fn start_of(disk: &str) -> String {
    format!("{disk}.start")
}

/// All files of a disk, in the lab's folder.
pub fn files_of(disk: &str) -> [String; 3] {
    [disk.to_owned(), log_of(disk), start_of(disk)]
}

/// The file of a USB disk, in the lab's folder.
pub fn plugged_file(disk: &str) -> String {
    format!("usb-{disk}.img")
}

/// A node and, while it is on, its QEMU.
pub struct Node {
    /// What it is made of.
    pub plan: MachinePlan,
    folder: PathBuf,
    running: Option<(Running, Qmp)>,
    /// Where in the serial log its newest start begins.
    log_start: u64,
    /// Chooses what power cuts lose.
    random: Random,
    /// USB disks that were plugged in, and whether they are.
    plugged: BTreeMap<String, bool>,
}

impl Node {
    /// A node that is off; its disks and variables lie in `folder`.
    pub fn new(plan: MachinePlan, folder: &Path) -> Self {
        Self { plan, folder: folder.to_owned(), running: None, log_start: 0, random: Random::new(1), plugged: BTreeMap::new() }
    }

    /// Where its serial console is written.
    pub fn log(&self) -> PathBuf {
        self.folder.join(self.plan.serial_log())
    }

    /// Where its first disk lies.
    pub fn disk(&self) -> Result<PathBuf> {
        let name = self.plan.disks.first().context("the node has no disk")?;
        Ok(self.folder.join(name))
    }

    /// Switches it on.
    pub fn start(&mut self, emulator: &Emulator) -> Result<()> {
        if self.is_on()? {
            bail!("node {} is on already", self.plan.name);
        }
        if self.plan.log_writes {
            for disk in &self.plan.disks {
                disk::copy(&self.folder.join(disk), &self.folder.join(start_of(disk)))?;
                File::create(self.folder.join(log_of(disk)))?;
            }
        }
        if self.plan.model.has_card() {
            self.act_as_firmware().with_context(|| format!("failed to start node {}", self.plan.name))?;
        }
        self.log_start = fs::metadata(self.log()).map_or(0, |metadata| metadata.len());
        let errors = self.folder.join(format!("{}.qemu.log", self.plan.name));
        let words = arguments(&self.plan, emulator.accelerator());
        let stderr = File::create(&errors)?;
        let mut running = emulator.start(&self.folder, &words, Stdio::piped(), Stdio::piped(), stderr.into())?;
        let lines = running.child.stdin.take().zip(running.child.stdout.take());
        let (to, from) = lines.context("QEMU has no control line")?;
        match Qmp::start(to, from) {
            Ok(qmp) => {
                self.running = Some((running, qmp));
                let there: Vec<String> = self.plugged.iter().filter(|(_, there)| **there).map(|(disk, _)| disk.clone()).collect();
                there.iter().try_for_each(|disk| self.attach(disk))
            }
            Err(error) => {
                let _ = running.child.kill();
                let _ = running.child.wait();
                let said = fs::read_to_string(&errors).unwrap_or_default();
                Err(error.context(format!("failed to start node {}: {}", self.plan.name, said.trim())))
            }
        }
    }

    /// Takes from the card what a Pi's firmware would.
    fn act_as_firmware(&self) -> Result<()> {
        let files = disk::Disk::open(&self.disk()?)?.files("config")?;
        if let Some(made) = firmware(&self.plan, &files)? {
            fs::write(self.folder.join(self.plan.program()), made.program)?;
            fs::write(self.folder.join(self.plan.tree()), made.tree)?;
        }
        Ok(())
    }

    /// Whether its QEMU runs.
    pub fn is_on(&mut self) -> Result<bool> {
        if let Some((running, _)) = &mut self.running
            && running.child.try_wait()?.is_some()
            && let Some((_, qmp)) = self.running.take()
        {
            qmp.wait_gone()?;
        }
        Ok(self.running.is_some())
    }

    /// Pulls the plug: QEMU is killed wherever it is. Where writes are logged, some of those that were not flushed are
    /// lost; says how many.
    pub fn cut_power(&mut self) -> Result<Lost> {
        self.kill()?;
        let mut all = Lost::default();
        if self.plan.log_writes {
            for disk in &self.plan.disks {
                let (start, disk, log) = (self.folder.join(start_of(disk)), self.folder.join(disk), self.folder.join(log_of(disk)));
                let lost = power::replay(&log, &start, &mut self.random)?;
                fs::rename(&start, &disk)?;
                all = Lost { writes: all.writes + lost.writes, lost: all.lost + lost.lost };
            }
        }
        Ok(all)
    }

    /// Pulls the plug, and looks at every state that a cut could have left a partition of the first disk in since it was
    /// switched on; the disk stays as it is now. `check` is told whether a state has all writes so far.
    pub fn cut_each(&mut self, label: &str, mut check: impl FnMut(&Fat, bool) -> Result<()>) -> Result<Seen> {
        if !self.plan.log_writes {
            bail!("node {} has no log of its writes: give it `lose-writes = true`", self.plan.name);
        }
        self.kill()?;
        let name = self.plan.disks.first().context("the node has no disk")?;
        let range = disk::Disk::open(&self.folder.join(name))?.range(label)?;
        let partition = tempfile::tempfile_in(&self.folder)?;
        disk::copy_range(&self.folder.join(start_of(name)), range.clone(), &partition)?;
        let len = range.end - range.start;
        cuts::each_state(&self.folder.join(log_of(name)), range, &partition, |complete| {
            check(&fat::open(Window::new(partition.try_clone()?, 0, len)).context("it is no FAT file system any more")?, complete)
        })
    }

    /// From here on power cuts lose what this seed says.
    pub fn set_seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Ends its QEMU at once; the disks stay as they are, and are not to be used again.
    pub fn kill(&mut self) -> Result<()> {
        if let Some((mut running, qmp)) = self.running.take() {
            running.child.kill()?;
            running.child.wait()?;
            qmp.wait_gone()?;
        }
        Ok(())
    }

    /// Presses the power button and waits until the node is off.
    pub fn power_off(&mut self, limit: Duration) -> Result<()> {
        if !self.plan.model.has_button() {
            bail!("a {} has no button, and QEMU does not switch it off: pull its plug (power-cut)", self.plan.model);
        }
        let Some((_, qmp)) = &mut self.running else { return Ok(()) };
        qmp.command("system_powerdown", json!({}))?;
        let begun = Instant::now();
        while self.is_on()? {
            if begun.elapsed() > limit {
                bail!("node {} did not switch off in {} s after its button was pressed", self.plan.name, limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Plugs a USB disk in, whose file is there.
    pub fn plug(&mut self, disk: &str) -> Result<()> {
        if self.plugged.get(disk) == Some(&true) {
            bail!("the disk {disk} is plugged into node {} already", self.plan.name);
        }
        if self.is_on()? {
            self.attach(disk)?;
        }
        self.plugged.insert(disk.to_owned(), true);
        Ok(())
    }

    fn attach(&mut self, disk: &str) -> Result<()> {
        let (_, qmp) = self.running.as_mut().context("the node is off")?;
        let name = format!("usb-{disk}");
        let file = json!({ "driver": "file", "filename": format!("{LAB_INSIDE}/{}", plugged_file(disk)), "discard": "unmap" });
        qmp.command("blockdev-add", json!({ "driver": "raw", "node-name": name, "file": file }))?;
        qmp.command("device_add", json!({ "driver": "usb-storage", "bus": "usb.0", "id": name, "drive": name, "serial": disk }))?;
        Ok(())
    }

    /// Pulls a USB disk out.
    pub fn unplug(&mut self, disk: &str) -> Result<()> {
        if self.plugged.insert(disk.to_owned(), false) != Some(true) {
            bail!("no disk {disk} is plugged into node {}", self.plan.name);
        }
        let Some((_, qmp)) = &mut self.running else { return Ok(()) };
        let name = format!("usb-{disk}");
        qmp.command("device_del", json!({ "id": name }))?;
        let begun = Instant::now();
        // What QEMU still does with it ends first.
        while let Err(error) = qmp.command("blockdev-del", json!({ "node-name": name })) {
            if begun.elapsed() > UNPLUG {
                return Err(error);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The files of all USB disks that were ever plugged in.
    pub fn ever_plugged(&self) -> impl Iterator<Item = String> {
        self.plugged.keys().map(|disk| plugged_file(disk))
    }

    /// Presses the reset button.
    pub fn reset(&mut self) -> Result<()> {
        let (_, qmp) = self.running.as_mut().context("the node is off")?;
        qmp.command("system_reset", json!({}))?;
        Ok(())
    }

    /// Takes a picture of the screen into the lab's folder, as PNG; returns where it lies.
    pub fn screenshot(&mut self, name: &str) -> Result<PathBuf> {
        let file = format!("{}.{name}.png", self.plan.name);
        let (_, qmp) = self.running.as_mut().context("the node is off")?;
        qmp.command("screendump", json!({ "filename": format!("{LAB_INSIDE}/{file}"), "format": "png" }))?;
        Ok(self.folder.join(file))
    }

    /// How many pixels of the screen are not black.
    pub fn lit_pixels(&mut self) -> Result<usize> {
        let file = format!("{}.screen.ppm", self.plan.name);
        let (_, qmp) = self.running.as_mut().context("the node is off")?;
        qmp.command("screendump", json!({ "filename": format!("{LAB_INSIDE}/{file}"), "format": "ppm" }))?;
        let path = self.folder.join(file);
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        // P6, width and height, 255: a line each; then three bytes a pixel (netpbm's ppm(5)).
        let pixels = bytes.splitn(4, |byte| *byte == b'\n').nth(3).context("QEMU's picture is no PPM")?;
        Ok(pixels.chunks_exact(3).filter(|pixel| pixel.iter().any(|colour| *colour > 0)).count())
    }

    /// What it wrote on its serial console since it was switched on, without the codes that colour it.
    pub fn said(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let from = usize::try_from(self.log_start).unwrap_or(0).min(bytes.len());
        plain(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Text without terminal control sequences (`ESC [ … letter`, other `ESC x`) and carriage returns.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    // Parameters, then one letter that ends it.
                    let _ = chars.find(|c| ('@'..='~').contains(c));
                }
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_of_the_log() {
        assert_eq!(plain("\u{1b}[0;1;32m  OK  \u{1b}[0m\r\nnext\u{1b}[2J\u{1b}c"), "  OK  \nnext");
        assert_eq!(plain("cut \u{1b}[0;1"), "cut ");
    }
}
