//! Power cuts for real: QEMU is killed between any two writes of the state records, and the card that it leaves is started
//! again by the shipped script on the real U-Boot.
//!
//! What the node writes is written here by U-Boot, one sector after the other; the tries are counted by the script itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::boot::Slot;
use contract::state::{Place, RECORD_BYTES, Seen, State, TRIES};

use super::records::{Work, work};
use super::{Bench, driver, judge};
use crate::boot::uboot::environment;
use crate::ui;
use crate::vm::disk::Disk;

/// How long one start may take: seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Kills QEMU after each write of all that is ever done with the records; says how often.
pub fn run(bench: &mut Bench<'_>) -> Result<usize> {
    let begun = Instant::now();
    let mut kills = 0;
    for work in work() {
        for count in 1..=work.writes.len() {
            cut_after(bench, &work, count)
                .with_context(|| format!("{}: QEMU was killed after write {count} of {}", work.name, work.writes.len()))?;
            kills += 1;
        }
    }
    kills += counted(bench)?;
    bench.lab.remove_disks();
    ui::say(&format!("  QEMU was killed {kills} times: {:.0} s", begun.elapsed().as_secs_f64()));
    Ok(kills)
}

/// U-Boot does the first `count` writes, QEMU is killed, and the shipped script is started on what is left.
fn cut_after(bench: &mut Bench<'_>, work: &Work, count: usize) -> Result<()> {
    let disk = bench.disk()?;
    put(&disk, &work.sectors_after(0, &disk)?)?;
    let place = |place: Place| -> Result<u64> { Ok(disk.first_sector(place.label())? + place.sector()) };
    let writes = work.writes.iter().take(count).map(|write| Ok((place(write.place)?, write.bytes))).collect::<Result<Vec<_>>>()?;
    driver::prepare_writes(&disk, &writes)?;
    bench.start_until(driver::DONE, LIMIT)?;
    for (sector, bytes) in work.sectors_after(count, &disk)? {
        ensure!(disk.sector(sector)? == bytes, "sector {sector} is not what was written before the cut");
    }
    bench.set_environment(Some(&environment::file(&environment::variables())?))?;
    let case = work.case_after(count, &disk)?;
    let said = bench.start_until(case.says.last().map_or("", String::as_str), LIMIT)?;
    judge(&case, &said, &seen(&bench.disk()?)?)
}

/// A slot on trial is started and QEMU killed as soon as the script has counted the try, until none is left.
fn counted(bench: &mut Bench<'_>) -> Result<usize> {
    let disk = bench.disk()?;
    let trial = State { sequence: 7, ..State::SHIPPED.with_trial(Slot::B, TRIES) };
    let none = [0; RECORD_BYTES];
    put(&disk, &records_of(&disk, [trial.encode(), none])?)?;
    let mut state = trial;
    for left in (0..TRIES).rev() {
        bench.start_until(&format!("cloudy: slot b, on trial, {left:x} tries left"), LIMIT)?;
        let (_, next) = state.next_start();
        state = next.context("a try was left")?;
        let seen = seen(&bench.disk()?)?;
        ensure!(seen.state() == state, "after {left} tries are left the records say {:?}, {state:?} was to be", seen.state());
    }
    let said = bench.start_until("cloudy: starting slot a: ", LIMIT)?;
    ensure!(said.contains("cloudy: slot b has no tries left"), "with no tries left slot b was not passed over");
    ensure!(seen(&bench.disk()?)?.state() == state, "with no tries left the records were written");
    Ok(TRIES as usize + 1)
}

fn records_of(disk: &Disk, records: [[u8; RECORD_BYTES]; 2]) -> Result<Vec<(u64, [u8; RECORD_BYTES])>> {
    let first = disk.first_sector(Place::Record(0).label())?;
    Ok(records.into_iter().enumerate().map(|(index, bytes)| (first + Place::Record(index).sector(), bytes)).collect())
}

fn put(disk: &Disk, sectors: &[(u64, [u8; RECORD_BYTES])]) -> Result<()> {
    sectors.iter().try_for_each(|(sector, bytes)| disk.put_sector(*sector, bytes))
}

/// The records of a node that is off.
fn seen(disk: &Disk) -> Result<Seen> {
    let read = |place: Place| -> Result<[u8; RECORD_BYTES]> { disk.sector(disk.first_sector(place.label())? + place.sector()) };
    let [zero, one] = [read(Place::Record(0))?, read(Place::Record(1))?];
    Ok(Seen::read(|place| match place {
        Place::Record(0) => Some(zero),
        Place::Record(_) => Some(one),
        Place::Mark(_) => None,
    }))
}
