//! The shipped boot script on the real U-Boot, in many cases of one run: what lies in the state records after a power cut
//! at any write, what of a slot may be missing or damaged.
//!
//! A case is a set of sectors that differ from a card where all is well. A script of ours writes them, runs the shipped
//! script, keeps what it left in the records, and puts the sectors back. Kernels are not started here: the ones on this
//! card are checked and unpacked like any other, but are none, so that the script goes on to its end.

mod card;
mod driver;
mod files;
mod kills;
mod records;
mod typing;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contract::state::{RECORD_BYTES, Seen, State};

use super::disk::Disk;
use super::emulator::Emulator;
use super::lab::{Lab, NodeSpec, prepare_folder};
use super::machine::Model;
use super::node::{Node, POLL};
use crate::boot::uboot::environment;
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
#[derive(Default)]
pub struct Case {
    /// What it is about.
    name: String,
    /// U-Boot's commands before the script is run; it finds itself loaded from `mmc 0` without.
    before: &'static str,
    /// Sectors of the disk that differ: number, content.
    sectors: Vec<(u64, [u8; RECORD_BYTES])>,
    /// Lines that the console must show, in this order.
    says: Vec<String>,
    /// Text that it must not show.
    never: Vec<String>,
    /// What the records must say afterwards, by `contract::state`; `None`: neither is valid.
    after: Option<State>,
}

/// What every run begins with: one node, off, whose card is quickly read.
struct Bench<'a> {
    emulator: &'a Emulator,
    lab: Lab,
    words: files::Words,
    /// The card.
    path: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(emulator: &'a Emulator, image: &Path, model: Model, folder: &Path) -> Result<Self> {
        ensure!(model.has_card(), "this board is not started by U-Boot: there is no boot script to try");
        prepare_folder(folder)?;
        let spec = NodeSpec { model, disk_gb: DISK_GB, ..NodeSpec::new(NODE) };
        let mut lab = Lab::new(emulator, image, folder, std::slice::from_ref(&spec))?;
        let words = files::prepare(&lab.disk(NODE)?)?;
        let path = lab.nodes.first().context("the lab is empty")?.disk()?;
        Ok(Self { emulator, lab, words, path })
    }

    fn node(&mut self) -> Result<&mut Node> {
        self.lab.nodes.first_mut().context("the lab is empty")
    }

    /// The card, while the node is off.
    fn disk(&self) -> Result<Disk> {
        Disk::open(&self.path)
    }

    /// Switches the node on, waits for `text` on its console, kills QEMU there and then, and gives what the console showed.
    fn start_until(&mut self, text: &str, limit: Duration) -> Result<String> {
        let emulator = self.emulator;
        let node = self.node()?;
        node.start(emulator)?;
        let found = wait(node, text, limit);
        node.kill()?;
        found?;
        Ok(node.said())
    }

    /// Replaces U-Boot's environment on the card; `None` takes it away.
    fn set_environment(&self, environment: Option<&[u8]>) -> Result<()> {
        let disk = self.disk()?;
        let mut files: Vec<_> = disk.files("config")?.into_iter().filter(|(name, _)| name != environment::FILE).collect();
        files.extend(environment.map(|bytes| (environment::FILE.to_owned(), bytes.to_vec())));
        disk.replace_files("config", files)
    }
}

/// QEMU is killed between any two writes of the records; before that, keys are typed at U-Boot, and the card is another number.
/// Says how often QEMU was killed.
///
/// # Errors
/// With the first start that went otherwise.
pub fn kills(emulator: &Emulator, image: &Path, model: Model, folder: &Path) -> Result<usize> {
    let mut bench = Bench::new(emulator, image, model, folder)?;
    typing::run(&mut bench)?;
    card::run(&mut bench)?;
    kills::run(&mut bench)
}

/// Runs all cases on the card of `image`; says how many there were.
///
/// # Errors
/// With every case that went otherwise, and where the console's log is.
pub fn run(emulator: &Emulator, image: &Path, model: Model, folder: &Path) -> Result<usize> {
    let begun = Instant::now();
    let mut bench = Bench::new(emulator, image, model, folder)?;
    let mut cases = records::cases(&bench.disk()?)?;
    cases.extend(files::cases(&bench.path, &bench.words, model.device_tree().unwrap_or_default())?);
    cases.extend(card::cases());
    driver::prepare(&bench.disk()?, &cases)?;
    let said = bench.start_until(driver::DONE, LIMIT)?;
    let disk = bench.disk()?;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let judged = driver::said_in(&said, number).and_then(|own| judge(case, own, &driver::records_after(&disk, number)?));
        if let Err(error) = judged {
            wrong.push(format!("case {number}, {}: {error:#}", case.name));
        }
    }
    if !wrong.is_empty() {
        let log = bench.node()?.log();
        bail!("{} of {} cases went wrong (console: {}):\n  {}", wrong.len(), cases.len(), log.display(), wrong.join("\n  "));
    }
    ui::say(&format!("  {} cases in one start: {:.0} s", cases.len(), begun.elapsed().as_secs_f64()));
    // With `uboot.env` lost, U-Boot's built-in environment finds the same script.
    bench.set_environment(None)?;
    bench.start_until("cloudy: starting slot a: ", LIMIT_BUILT_IN).context("uboot.env is lost")?;
    bench.lab.remove_disks();
    ui::say(&format!("  {} cases: {:.0} s", cases.len() + 1, begun.elapsed().as_secs_f64()));
    ui::say(&format!("  {model}: {}", model.changes_in_words()));
    Ok(cases.len() + 1)
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

/// Whether the script did in a case what it must: `own` is what the console showed, `seen` what lies in the records since.
fn judge(case: &Case, own: &str, seen: &Seen) -> Result<()> {
    let mut rest = own;
    for line in &case.says {
        let at = rest.find(line.as_str()).with_context(|| format!("the console lacks, in its place: `{line}`; it says: {}", ours(own)))?;
        rest = rest.get(at + line.len()..).unwrap_or_default();
    }
    for text in &case.never {
        ensure!(!own.contains(text.as_str()), "the console has `{text}`; it says: {}", ours(own));
    }
    let after = (!seen.is_damaged()).then(|| seen.state());
    ensure!(after == case.after, "afterwards the records say {after:?}, {:?} was to be", case.after);
    Ok(())
}

/// The script's own lines.
fn ours(said: &str) -> String {
    said.lines().filter(|line| line.starts_with("cloudy: ")).collect::<Vec<_>>().join(" | ")
}
