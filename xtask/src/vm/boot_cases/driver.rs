//! The script that goes through the cases, and what it leaves on the card.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use contract::gpt::SECTOR_BYTES;
use contract::partitions::STATE_BYTES;
use contract::state::{Place, RECORD_BYTES, Seen};

use super::Case;
use crate::boot::uboot::script::SCRIPT_ADDRESS;
use crate::boot::uboot::{SCRIPT_FILE, environment, uimage};
use crate::vm::disk::Disk;

/// What the console shows after the last case.
pub const DONE: &str = "ALL CASES DONE";
/// Before each.
const CASE: &str = "CASE NUMBER ";
/// The script and the sectors, on the config partition and in memory: away from what the shipped script uses.
const DRIVER: (&str, u64) = ("cases.scr", 0x0600_0000);
const SECTORS: (&str, u64) = ("cases.bin", 0x0e00_0000);
/// Where records are read to on their way to where they are kept.
const SCRATCH: u64 = 0x06f0_0000;
/// From this sector of the partition `state` on, two records a case are kept.
const KEPT_AT: u64 = 64;

/// Puts the driver and the sectors of all cases on the card, and has U-Boot run it.
pub fn prepare(disk: &Disk, cases: &[Case]) -> Result<()> {
    let mut sectors = Vec::new();
    let mut text = String::from("setenv devtype mmc\nsetenv devnum 0\nmmc dev 0\n");
    let _ = writeln!(text, "load mmc 0:1 {:#x} {}", SECTORS.1, SECTORS.0);
    let state = disk.first_sector("state")?;
    ensure!(
        (KEPT_AT + 2 * cases.len() as u64) * (SECTOR_BYTES as u64) <= STATE_BYTES,
        "the partition `state` has no room to keep the results of {} cases",
        cases.len()
    );
    for (number, case) in cases.iter().enumerate() {
        let _ = writeln!(text, "echo \"{CASE}{number}\"");
        let mut put = |text: &mut String, sector: u64, bytes: &[u8]| {
            let _ = writeln!(text, "mmc write {:x} {sector:x} 1", SECTORS.1 + sectors.len() as u64);
            sectors.extend_from_slice(bytes);
        };
        let before = case.sectors.iter().map(|(sector, _)| Ok((*sector, disk.sector(*sector)?))).collect::<Result<Vec<_>>>()?;
        for (sector, bytes) in &case.sectors {
            put(&mut text, *sector, bytes);
        }
        let _ = writeln!(text, "load mmc 0:1 {SCRIPT_ADDRESS:#x} {SCRIPT_FILE}\n{}\nsource {SCRIPT_ADDRESS:#x}", case.before);
        text.push_str("setenv devtype mmc\nsetenv devnum 0\nmmc dev 0\n");
        for (index, sector) in [Place::Record(0), Place::Record(1)].map(Place::sector).into_iter().enumerate() {
            let kept = state + KEPT_AT + 2 * number as u64 + index as u64;
            let _ = writeln!(text, "mmc read {SCRATCH:x} {:x} 1\nmmc write {SCRATCH:x} {kept:x} 1", state + sector);
        }
        for (sector, bytes) in &before {
            put(&mut text, *sector, bytes);
        }
        // What the script itself wrote.
        for place in [Place::Record(0), Place::Record(1)] {
            put(&mut text, state + place.sector(), &disk.sector(state + place.sector())?);
        }
    }
    let _ = writeln!(text, "echo \"{DONE}\"");
    put_driver(disk, &text, &sectors)
}

/// Has U-Boot write these sectors, one after the other, say [`DONE`], and wait.
pub fn prepare_writes(disk: &Disk, writes: &[(u64, [u8; RECORD_BYTES])]) -> Result<()> {
    let mut text = format!("mmc dev 0\nload mmc 0:1 {:#x} {}\n", SECTORS.1, SECTORS.0);
    for ((sector, _), address) in writes.iter().zip((SECTORS.1..).step_by(RECORD_BYTES)) {
        let _ = writeln!(text, "mmc write {address:x} {sector:x} 1");
    }
    let _ = writeln!(text, "echo \"{DONE}\"");
    put_driver(disk, &text, &writes.iter().flat_map(|(_, bytes)| *bytes).collect::<Vec<_>>())
}

/// Puts a script of ours and its sectors on the card, to be run in the stead of the shipped one.
fn put_driver(disk: &Disk, text: &str, sectors: &[u8]) -> Result<()> {
    disk.put("config", DRIVER.0, &uimage::script(text, uimage::Processor::Arm64, "cases"))?;
    disk.put("config", SECTORS.0, sectors)?;
    let mut variables = environment::variables();
    for (name, value) in &mut variables {
        if *name == "bootcmd" {
            *value = format!("load mmc 0:1 {0:#x} {1}; source {0:#x}; sleep 1000", DRIVER.1, DRIVER.0);
        }
    }
    disk.put("config", environment::FILE, &environment::file(&variables)?)
}

/// What the console showed in one case.
pub fn said_in(said: &str, number: usize) -> Result<&str> {
    let mark = |number: usize| format!("{CASE}{number}\n");
    let (_, rest) = said.split_once(&mark(number)).with_context(|| format!("the console does not show case {number}"))?;
    Ok(rest.split_once(CASE).map_or(rest, |(own, _)| own))
}

/// What the records said after one case.
pub fn records_after(disk: &Disk, number: usize) -> Result<Seen> {
    let at = (KEPT_AT + 2 * number as u64) * SECTOR_BYTES as u64;
    let bytes = disk.read_at("state", at, 2 * RECORD_BYTES)?;
    let (zero, one) = bytes.split_at(RECORD_BYTES);
    Ok(Seen::read(|place| match place {
        Place::Record(0) => zero.try_into().ok(),
        Place::Record(_) => one.try_into().ok(),
        Place::Mark(_) => None,
    }))
}
