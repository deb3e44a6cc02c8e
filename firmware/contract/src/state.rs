//! A Pi's boot state: which slot is confirmed, which one is on trial, and how many starts it has left.
//!
//! U-Boot's script and Linux both read and write it, so it is stored as what U-Boot's `env export -c` and
//! `env import -c` know: a checksum, then `name=value` texts. Two records lie in the partition `state`; the valid one
//! with the higher sequence counts, and every write goes to the other. A cut in any write leaves the one that counts.
//!
//! Should both be damaged, each slot's boot partition has a mark of its own, written when that slot was confirmed: the
//! higher one tells which slot was last good. It lies among the reserved sectors of the FAT, which no file touches.

use crate::boot::{Slot, Tries};

/// Bytes of a record: one sector, so that it is written whole or not at all.
pub const RECORD_BYTES: usize = 512;
/// Where the records lie, in sectors from the start of the partition `state`: in different blocks of 4 KiB, since the
/// kernel writes a whole block for one sector of it.
pub const RECORD_SECTORS: [u64; 2] = [0, 8];
/// Where a slot's mark lies, in sectors from the start of its boot partition: behind the boot sectors and their
/// backup, before the first table, in a block of its own.
pub const MARK_SECTOR: u64 = 16;
/// Reserved sectors that a boot partition's FAT must have, so that the mark is among them.
pub const RESERVED_SECTORS: u64 = 24;
/// The version of what stands in a record; others are not understood.
const VERSION: &str = "1";
/// Starts that a slot on trial has.
pub const TRIES: u32 = 3;

/// Names in a record, shared with the boot script.
pub mod names {
    /// The version.
    pub const VERSION: &str = "ver";
    /// The sequence, hexadecimal.
    pub const SEQUENCE: &str = "seq";
    /// The confirmed slot.
    pub const CONFIRMED: &str = "ok";
    /// The slot on trial, or `-`.
    pub const TRIAL: &str = "try";
    /// Its starts that are left, hexadecimal.
    pub const LEFT: &str = "left";
    /// Its starts that were made, hexadecimal.
    pub const DONE: &str = "done";
    /// All of them.
    pub const ALL: [&str; 6] = [VERSION, SEQUENCE, CONFIRMED, TRIAL, LEFT, DONE];
}

/// What the records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Higher is newer.
    pub sequence: u32,
    /// The slot that is started when none is on trial.
    pub confirmed: Slot,
    /// The slot on trial, also one whose tries are used up; never the confirmed one.
    pub trial: Option<(Slot, Tries)>,
}

impl State {
    /// What an image ships: slot a, confirmed, since there is no other.
    pub const SHIPPED: Self = Self { sequence: 1, confirmed: Slot::A, trial: None };

    /// Reads a record; `None` if it is damaged or of a version that is not known.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let values = Values::decode(bytes)?;
        let confirmed = values.slot(names::CONFIRMED)?;
        let tries = Tries { left: values.number(names::LEFT).unwrap_or(0), done: values.number(names::DONE).unwrap_or(0) };
        let trial = values.slot(names::TRIAL).filter(|slot| *slot != confirmed).map(|slot| (slot, tries));
        Some(Self { sequence: values.number(names::SEQUENCE)?, confirmed, trial })
    }

    /// The record, as U-Boot would export it.
    pub fn encode(self) -> [u8; RECORD_BYTES] {
        let trial = self.trial.map_or("-".to_owned(), |(slot, _)| slot.to_string());
        let tries = self.trial.map_or(Tries { left: 0, done: 0 }, |(_, tries)| tries);
        let numbers = [tries.done, tries.left, self.sequence].map(|number| format!("{number:x}"));
        let [done, left, sequence] = &numbers;
        encode(&[
            (names::DONE, done),
            (names::LEFT, left),
            (names::CONFIRMED, &self.confirmed.to_string()),
            (names::SEQUENCE, sequence),
            (names::TRIAL, &trial),
            (names::VERSION, VERSION),
        ])
    }

    /// What the boot script does with this: the slot that it starts first, and the state that it writes before.
    pub fn next_start(self) -> (Slot, Option<Self>) {
        match self.trial {
            Some((slot, Tries { left, done })) if left > 0 => {
                let tries = Tries { left: left - 1, done: done.saturating_add(1) };
                (slot, Some(Self { sequence: self.sequence.wrapping_add(1), trial: Some((slot, tries)), ..self }))
            }
            _ => (self.confirmed, None),
        }
    }

    /// How the boot loader counts that slot's starts; `None` if it does not.
    pub fn tries(self, slot: Slot) -> Option<Tries> {
        self.trial.filter(|(on_trial, _)| *on_trial == slot).map(|(_, tries)| tries)
    }

    /// After this, `slot` is on trial and the other one is what it falls back to.
    pub fn with_trial(self, slot: Slot, left: u32) -> Self {
        let sequence = self.sequence.wrapping_add(1);
        Self { sequence, confirmed: slot.other(), trial: Some((slot, Tries { left, done: 0 })) }
    }

    /// After this, `slot` is confirmed and none is on trial.
    pub fn with_confirmed(self, slot: Slot) -> Self {
        Self { sequence: self.sequence.wrapping_add(1), confirmed: slot, trial: None }
    }
}

/// What lies on a disk: the two records and each slot's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The records, as far as they are valid.
    pub records: [Option<State>; 2],
    /// The marks of slots a and b: the sequence at which each was confirmed.
    pub marks: [Option<u32>; 2],
}

/// Where a record or mark lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the partition `state`: the first or second record.
    Record(usize),
    /// In a slot's boot partition.
    Mark(Slot),
}

/// A sector to be written; each is synced before the next is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where to.
    pub place: Place,
    /// What.
    pub bytes: [u8; RECORD_BYTES],
}

impl Place {
    /// The sector within its partition.
    pub fn sector(self) -> u64 {
        match self {
            Self::Record(index) => RECORD_SECTORS.get(index).copied().unwrap_or(0),
            Self::Mark(_) => MARK_SECTOR,
        }
    }

    /// The label of its partition.
    pub const fn label(self) -> &'static str {
        use crate::partitions::Role;
        match self {
            Self::Record(_) => Role::State.label(),
            Self::Mark(Slot::A) => Role::BootA.label(),
            Self::Mark(Slot::B) => Role::BootB.label(),
        }
    }

    /// All places.
    pub const ALL: [Self; 4] = [Self::Record(0), Self::Record(1), Self::Mark(Slot::A), Self::Mark(Slot::B)];
}

impl Seen {
    /// Reads all places; `read` gives the bytes of one, or `None` if it can't be read.
    pub fn read(mut read: impl FnMut(Place) -> Option<[u8; RECORD_BYTES]>) -> Self {
        let [zero, one, mark_a, mark_b] = Place::ALL.map(&mut read);
        let state = |bytes: Option<[u8; RECORD_BYTES]>| bytes.and_then(|bytes| State::decode(&bytes));
        let mark = |bytes: Option<[u8; RECORD_BYTES]>| bytes.and_then(|bytes| decode_mark(&bytes));
        Self { records: [state(zero), state(one)], marks: [mark(mark_a), mark(mark_b)] }
    }

    /// The state that counts. With both records damaged it is the slot that was confirmed last, by the marks; without
    /// marks, slot a.
    pub fn state(&self) -> State {
        if let Some(state) = self.newest().and_then(|index| self.records[index]) {
            return state;
        }
        let [a, b] = self.marks;
        let confirmed = if b > a { Slot::B } else { Slot::A };
        State { sequence: a.max(b).unwrap_or(0), confirmed, trial: None }
    }

    /// Whether neither record is valid.
    pub fn is_damaged(&self) -> bool {
        self.newest().is_none()
    }

    /// The record that is written next: never the one that counts.
    pub fn next(&self) -> Place {
        Place::Record(usize::from(self.newest() == Some(0)))
    }

    fn newest(&self) -> Option<usize> {
        match self.records {
            [Some(zero), Some(one)] => Some(usize::from(one.sequence > zero.sequence)),
            [Some(_), None] => Some(0),
            [None, Some(_)] => Some(1),
            [None, None] => None,
        }
    }

    /// Whether that slot was confirmed at some time, and so can be gone back to.
    pub const fn was_confirmed(&self, slot: Slot) -> bool {
        match slot {
            Slot::A => self.marks[0].is_some(),
            Slot::B => self.marks[1].is_some(),
        }
    }

    /// The writes that leave `state` in both records: the loss of either then changes nothing.
    pub fn store(&self, state: State) -> [Write; 2] {
        let first = self.next();
        let second = if first == Place::Record(0) { Place::Record(1) } else { Place::Record(0) };
        let again = State { sequence: state.sequence.wrapping_add(1), ..state };
        [Write { place: first, bytes: state.encode() }, Write { place: second, bytes: again.encode() }]
    }

    /// The writes that confirm `slot`.
    pub fn confirm(&self, slot: Slot) -> [Write; 3] {
        let state = self.state().with_confirmed(slot);
        let [first, second] = self.store(state);
        [first, second, Write { place: Place::Mark(slot), bytes: encode_mark(state.sequence) }]
    }

    /// What is missing around a slot that runs and is confirmed: a damaged record, or its mark. Empty if all is well.
    pub fn heal(&self, slot: Slot) -> Vec<Write> {
        let whole = self.records.iter().all(Option::is_some) && self.was_confirmed(slot);
        if whole { Vec::new() } else { self.confirm(slot).to_vec() }
    }
}

/// A slot's mark.
pub fn encode_mark(sequence: u32) -> [u8; RECORD_BYTES] {
    encode(&[(names::SEQUENCE, &format!("{sequence:x}")), (names::VERSION, VERSION)])
}

/// The sequence of a mark; `None` if there is none.
pub fn decode_mark(bytes: &[u8]) -> Option<u32> {
    Values::decode(bytes)?.number(names::SEQUENCE)
}

/// A block of variables as U-Boot's `env import -c` reads it, of `size` bytes; `None` if it does not fit or a value holds
/// a zero byte.
pub fn encode_variables(variables: &[(&str, &str)], size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4];
    for (name, value) in variables {
        if value.contains('\0') {
            return None;
        }
        bytes.extend_from_slice(format!("{name}={value}\0").as_bytes());
    }
    // A further zero ends the list.
    if bytes.len() >= size {
        return None;
    }
    bytes.resize(size, 0);
    let checksum = crc32fast::hash(bytes.get(4..)?);
    bytes.get_mut(..4)?.copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// A record's bytes: a handful of short texts, which always fit.
fn encode(variables: &[(&str, &str)]) -> [u8; RECORD_BYTES] {
    encode_variables(variables, RECORD_BYTES).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; RECORD_BYTES])
}

/// The values of a record whose checksum and version are right.
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (checksum, rest) = bytes.get(..RECORD_BYTES)?.split_first_chunk::<4>()?;
        let values = Self(rest);
        (u32::from_le_bytes(*checksum) == crc32fast::hash(rest) && values.get(names::VERSION) == Some(VERSION)).then_some(values)
    }

    /// The last value of that name before the list's end, as U-Boot has it.
    fn get(&self, name: &str) -> Option<&'a str> {
        let texts = self.0.split(|byte| *byte == 0).take_while(|text| !text.is_empty());
        let pairs = texts.filter_map(|text| std::str::from_utf8(text).ok()?.split_once('='));
        pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).last()
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        match self.get(name)? {
            "a" => Some(Slot::A),
            "b" => Some(Slot::B),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        let digits = self.get(name)?;
        let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain { u32::from_str_radix(digits, 16).ok() } else { None }
    }
}

#[cfg(test)]
mod tests;
