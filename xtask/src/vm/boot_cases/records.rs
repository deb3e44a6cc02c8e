//! Cases about the state records: what the script chooses is what `contract::state` says.

use anyhow::{Context, Result};
use contract::boot::{Slot, Tries};
use contract::state::{Place, RECORD_BYTES, Seen, State, Write, encode_mark, encode_variables};

use super::Case;
use crate::vm::disk::Disk;

type Sector = [u8; RECORD_BYTES];

/// What lies in the four places.
#[derive(Clone, Copy)]
struct Places([Sector; 4]);

impl Places {
    fn put(mut self, write: &Write) -> Self {
        if let Some(at) = Place::ALL.iter().position(|place| *place == write.place) {
            self.0[at] = write.bytes;
        }
        self
    }

    fn seen(&self) -> Seen {
        Seen::read(|place| Place::ALL.iter().position(|other| *other == place).map(|at| self.0[at]))
    }

    /// As sectors of a disk: number, content.
    fn sectors(&self, disk: &Disk) -> Result<Vec<(u64, Sector)>> {
        Place::ALL.iter().zip(self.0).map(|(place, bytes)| Ok((disk.first_sector(place.label())? + place.sector(), bytes))).collect()
    }
}

/// Sectors that are no records.
const DAMAGED: [Sector; 3] = [[0; RECORD_BYTES], [0xff; RECORD_BYTES], [0x5a; RECORD_BYTES]];

fn variables(pairs: &[(&str, &str)]) -> Result<Sector> {
    let bytes = encode_variables(pairs, RECORD_BYTES).context("too long")?;
    bytes.try_into().ok().context("not one sector")
}

fn state(sequence: u32, confirmed: Slot, trial: Option<(u32, u32)>) -> State {
    State { sequence, confirmed, trial: trial.map(|(left, done)| (confirmed.other(), Tries { left, done })) }
}

/// All cases.
pub fn cases(disk: &Disk) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    let none = [0; RECORD_BYTES];
    for (name, zero, one) in pairs()? {
        all.push((name, Places([zero, one, none, none])));
    }
    for (a, b) in
        [(None, None), (Some(4), None), (None, Some(4)), (Some(4), Some(9)), (Some(9), Some(4)), (Some(5), Some(5)), (Some(9), Some(0x10))]
    {
        let mark = |mark: Option<u32>| mark.map_or(none, encode_mark);
        all.push((format!("both records damaged, marks {a:?} {b:?}"), Places([DAMAGED[2], DAMAGED[0], mark(a), mark(b)])));
    }
    all.extend(cuts());
    all.into_iter().map(|(name, places)| case(name, &places, disk)).collect()
}

/// Two records, in all sorts of ways.
fn pairs() -> Result<Vec<(String, Sector, Sector)>> {
    let (a, b) = (Slot::A, Slot::B);
    let encode = State::encode;
    let mut pairs = vec![
        ("the newer is the second".to_owned(), encode(state(9, a, None)), encode(state(0xa, b, None))),
        ("the newer is the first".to_owned(), encode(state(0x100, b, None)), encode(state(0xff, a, None))),
        ("equal sequences".to_owned(), encode(state(7, b, None)), encode(state(7, a, None))),
        ("high sequences".to_owned(), encode(state(0x7fff_ffff, a, None)), encode(state(0x8000_0000, b, None))),
        ("the highest".to_owned(), encode(state(u32::MAX, b, None)), encode(state(1, a, None))),
        (
            "a version that is not known".to_owned(),
            variables(&[("ok", "b"), ("seq", "ff"), ("try", "-"), ("ver", "2")])?,
            encode(state(1, a, None)),
        ),
        (
            "a slot that does not exist".to_owned(),
            variables(&[("ok", "c"), ("seq", "ff"), ("try", "-"), ("ver", "1")])?,
            encode(state(1, b, None)),
        ),
        (
            "the confirmed slot on trial".to_owned(),
            variables(&[("done", "0"), ("left", "3"), ("ok", "b"), ("seq", "ff"), ("try", "b"), ("ver", "1")])?,
            encode(state(1, a, None)),
        ),
        (
            "variables of others".to_owned(),
            variables(&[("bootcmd", "reset"), ("c_slot", "b"), ("ok", "a"), ("seq", "2"), ("try", "-"), ("ver", "1")])?,
            encode(state(1, b, None)),
        ),
    ];
    for damaged in DAMAGED {
        pairs.push(("the first is damaged".to_owned(), damaged, encode(state(3, b, Some((2, 1))))));
        pairs.push(("the second is damaged".to_owned(), encode(state(3, b, None)), damaged));
    }
    for trial in [(3, 0), (2, 1), (1, 2), (0, 3), (0x10, 0)] {
        for confirmed in [a, b] {
            let name = format!("slot {} on trial, {} tries left", confirmed.other(), trial.0);
            pairs.push((name.clone(), encode(state(8, confirmed, Some(trial))), encode(state(7, confirmed, None))));
            pairs.push((name, encode(state(8, confirmed, None)), encode(state(0x9, confirmed, Some(trial)))));
        }
    }
    Ok(pairs)
}

/// Something that node or script do with the records: what lies there before, and the writes in order.
pub struct Work {
    /// What it is.
    pub name: &'static str,
    start: Places,
    /// Each is synced before the next is begun.
    pub writes: Vec<Write>,
}

impl Work {
    /// What is on the card after the first `count` writes, as sectors of the disk.
    pub fn sectors_after(&self, count: usize, disk: &Disk) -> Result<Vec<(u64, Sector)>> {
        self.after(count).sectors(disk)
    }

    /// What the script must do then.
    pub fn case_after(&self, count: usize, disk: &Disk) -> Result<Case> {
        case(format!("{}: {count} of {} writes done", self.name, self.writes.len()), &self.after(count), disk)
    }

    fn after(&self, count: usize) -> Places {
        self.writes.iter().take(count).fold(self.start, |places, write| places.put(write))
    }
}

/// All that node and script ever do with the records.
pub fn work() -> [Work; 5] {
    let none = [0; RECORD_BYTES];
    let done = |start: Places, writes: &[Write]| writes.iter().fold(start, |places, write| places.put(write));
    let empty = Places([none; 4]);
    let shipped = done(empty, &empty.seen().confirm(Slot::A));
    let store = |places: Places, slot, tries| places.seen().store(places.seen().state().with_trial(slot, tries)).to_vec();
    let put_on_trial = store(shipped, Slot::B, contract::state::TRIES);
    let on_trial = done(shipped, &put_on_trial);
    let started: Vec<Write> = {
        let seen = on_trial.seen();
        let (_, next) = seen.state().next_start();
        next.map(|state| Write { place: seen.next(), bytes: state.encode() }).into_iter().collect()
    };
    let running = done(on_trial, &started);
    let damaged = Places([DAMAGED[1], DAMAGED[2], none, encode_mark(5)]);
    let work = |name, start, writes| Work { name, start, writes };
    [
        work("an update is put on trial", shipped, put_on_trial),
        work("the script counts a try", on_trial, started),
        work("the new slot is confirmed", running, running.seen().confirm(Slot::B).to_vec()),
        work("a failing slot is put on trial", shipped, store(shipped, Slot::A, 1)),
        work("both records are mended", damaged, damaged.seen().heal(Slot::B)),
    ]
}

/// What a power cut leaves at every write of it. That QEMU is killed there is [`super::kills`].
fn cuts() -> Vec<(String, Places)> {
    let mut cuts = Vec::new();
    for work in work() {
        for (index, write) in work.writes.iter().enumerate() {
            let before = work.after(index);
            cuts.push((format!("{}: cut before write {index}", work.name), before));
            // A sector that was being written may be anything.
            cuts.push((format!("{}: cut within write {index}", work.name), before.put(&Write { bytes: DAMAGED[2], ..*write })));
        }
        cuts.push((format!("{}: done", work.name), work.after(work.writes.len())));
    }
    cuts
}

fn case(name: String, places: &Places, disk: &Disk) -> Result<Case> {
    let seen = places.seen();
    let before = seen.state();
    let (slot, next) = before.next_start();
    let said = match next.and_then(|state| state.tries(slot)) {
        Some(Tries { left, .. }) => format!("cloudy: slot {slot}, on trial, {left:x} tries left (records"),
        None => format!("cloudy: slot {slot} (records"),
    };
    let sectors = places.sectors(disk)?;
    // The other slot is tried when the first can't be started; here neither has a kernel.
    let says = vec![said, format!("cloudy: starting slot {slot}: "), format!("cloudy: starting slot {}: ", slot.other())];
    let after = if seen.is_damaged() { None } else { Some(next.unwrap_or(before)) };
    Ok(Case { name, sectors, says, after, ..Case::default() })
}
