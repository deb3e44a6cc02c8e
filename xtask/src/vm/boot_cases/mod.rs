//! The shipped boot script on the real U-Boot, in many cases of one run: what lies in the state records after a power cut
//! at any write, what of a slot may be missing or damaged.
//!
//! A case is a set of sectors that differ from a card where all is well. A script of ours writes them, runs the shipped
//! script, keeps what it left in the records, and puts the sectors back. Kernels are not started here: the ones on this
//! card are checked and unpacked like any other, but are none, so that the script goes on to its end.

mod driver;
mod files;
mod records;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::state::{RECORD_BYTES, State};

use super::disk::Disk;
use super::emulator::Emulator;
use super::lab::{Lab, NodeSpec, prepare_folder};
use super::machine::Model;
use super::node::{Node, POLL};
use crate::ui;

/// How long all cases may take: two minutes on an idle machine.
const LIMIT: Duration = Duration::from_secs(1800);
/// How long U-Boot may take with its built-in environment, which looks for USB devices first.
const LIMIT_BUILT_IN: Duration = Duration::from_secs(600);
/// Size of its card: an image and nothing more.
const DISK_GB: u32 = 4;
/// The node's name in its lab.
const NODE: &str = "cases";

/// A case: what is on the card, and what the script must do.
pub struct Case {
    /// What it is about.
    name: String,
    /// Sectors of the disk that differ: number, content.
    sectors: Vec<(u64, [u8; RECORD_BYTES])>,
    /// Lines that the console must show, in this order.
    says: Vec<String>,
    /// Text that it must not show.
    never: Vec<String>,
    /// What the records must say afterwards, by `contract::state`; `None`: neither is valid.
    after: Option<State>,
}

/// Runs all cases on the card of `image`; says how many there were.
///
/// # Errors
/// With every case that went otherwise, and where the console's log is.
pub fn run(emulator: &Emulator, image: &Path, model: Model, folder: &Path) -> Result<usize> {
    ensure!(model.has_card(), "this board is not started by U-Boot: there is no boot script to try");
    let begun = Instant::now();
    prepare_folder(folder)?;
    let spec = NodeSpec { model, disk_gb: DISK_GB, ..NodeSpec::new(NODE) };
    let mut lab = Lab::new(emulator, image, folder, std::slice::from_ref(&spec))?;
    let words = {
        let disk = lab.disk(NODE)?;
        files::prepare(&disk)?
    };
    let path = lab.nodes.first().context("the lab is empty")?.disk()?;
    let cases = {
        let disk = lab.disk(NODE)?;
        let mut cases = records::cases(&disk)?;
        cases.extend(files::cases(&path, &words)?);
        driver::prepare(&disk, &cases)?;
        cases
    };
    let node = lab.nodes.first_mut().context("the lab is empty")?;
    node.start(emulator)?;
    wait(node, driver::DONE, LIMIT)?;
    node.kill()?;
    let said = node.said();
    let disk = Disk::open(&path)?;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Err(error) = judge(case, number, &said, &disk) {
            wrong.push(format!("case {number}, {}: {error:#}", case.name));
        }
    }
    if !wrong.is_empty() {
        bail!("{} of {} cases went wrong (console: {}):\n  {}", wrong.len(), cases.len(), node.log().display(), wrong.join("\n  "));
    }
    built_in(emulator, node, &disk)?;
    lab.remove_disks();
    ui::say(&format!("  {} cases: {:.0} s", cases.len() + 1, begun.elapsed().as_secs_f64()));
    Ok(cases.len() + 1)
}

/// With `uboot.env` lost, U-Boot's built-in environment finds the same script.
fn built_in(emulator: &Emulator, node: &mut Node, disk: &Disk) -> Result<()> {
    let files = disk.files("config")?.into_iter().filter(|(name, _)| name != crate::boot::uboot::environment::FILE).collect();
    disk.replace_files("config", files)?;
    node.start(emulator)?;
    let found = wait(node, "cloudy: starting slot a: ", LIMIT_BUILT_IN);
    node.kill()?;
    found.context("uboot.env is lost")
}

fn wait(node: &mut Node, text: &str, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    while !node.said().contains(text) {
        ensure!(node.is_on()?, "QEMU ended: see {}", node.log().display());
        ensure!(begun.elapsed() < limit, "U-Boot did not say `{text}` in {} s: see {}", limit.as_secs(), node.log().display());
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn judge(case: &Case, number: usize, said: &str, disk: &Disk) -> Result<()> {
    let own = driver::said_in(said, number)?;
    let mut rest = own;
    for line in &case.says {
        let at = rest.find(line.as_str()).with_context(|| format!("the console lacks, in its place: `{line}`; it says: {}", ours(own)))?;
        rest = rest.get(at + line.len()..).unwrap_or_default();
    }
    for text in &case.never {
        ensure!(!own.contains(text.as_str()), "the console has `{text}`; it says: {}", ours(own));
    }
    let seen = driver::records_after(disk, number)?;
    let after = (!seen.is_damaged()).then(|| seen.state());
    ensure!(after == case.after, "afterwards the records say {after:?}, {:?} was to be", case.after);
    Ok(())
}

/// The script's own lines.
fn ours(said: &str) -> String {
    said.lines().filter(|line| line.starts_with("cloudy: ")).collect::<Vec<_>>().join(" | ")
}
