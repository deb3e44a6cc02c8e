//! Records as bytes, and what a power cut at any write leaves.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

/// The places of a disk that the state is about.
#[derive(Clone, Debug)]
struct Disk(BTreeMap<u8, [u8; RECORD_BYTES]>);

fn key(place: Place) -> u8 {
    match place {
        Place::Record(0) => 0,
        Place::Record(_) => 1,
        Place::Mark(Slot::A) => 2,
        Place::Mark(Slot::B) => 3,
    }
}

impl Disk {
    fn shipped() -> Self {
        Self(BTreeMap::from([(0, State::SHIPPED.encode())]))
    }

    fn seen(&self) -> Seen {
        Seen::read(|place| Some(self.0.get(&key(place)).copied().unwrap_or([0; RECORD_BYTES])))
    }

    /// Does all writes, or those before `cut`; the sector that is being written then is `torn`.
    fn write(&mut self, writes: &[Write], cut: Option<(usize, Option<u8>)>) {
        for (index, write) in writes.iter().enumerate() {
            match cut {
                Some((at, torn)) if at == index => {
                    if let Some(byte) = torn {
                        self.0.insert(key(write.place), [byte; RECORD_BYTES]);
                    }
                    return;
                }
                _ => self.0.insert(key(write.place), write.bytes),
            };
        }
    }

    /// What the boot script does: the slot that is started.
    fn start(&mut self) -> Slot {
        let seen = self.seen();
        let (slot, state) = seen.state().next_start();
        if let Some(state) = state {
            self.write(&[Write { place: seen.next(), bytes: state.encode() }], None);
        }
        slot
    }
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::A), Just(Slot::B)]
}

fn state() -> impl Strategy<Value = State> {
    (any::<u32>(), slot(), proptest::option::of((any::<u32>(), any::<u32>()))).prop_map(|(sequence, confirmed, tries)| State {
        sequence,
        confirmed,
        trial: tries.map(|(left, done)| (confirmed.other(), Tries { left, done })),
    })
}

#[test]
fn a_record_is_what_u_boot_exports() {
    let state = State { sequence: 0x1a, confirmed: Slot::A, trial: Some((Slot::B, Tries { left: 2, done: 1 })) };
    let bytes = state.encode();
    let text = b"done=1\0left=2\0ok=a\0seq=1a\0try=b\0ver=1\0\0";
    assert_eq!(&bytes[4..4 + text.len()], text);
    assert_eq!(bytes[..4], crc32fast::hash(&bytes[4..]).to_le_bytes());
    assert!(bytes[4 + text.len()..].iter().all(|byte| *byte == 0));
    assert!(encode_variables(&[("x", &"y".repeat(600))], 512).is_none());
    assert!(encode_variables(&[("x", "a\0b=c")], 512).is_none());
}

#[test]
fn what_no_one_wrote_is_not_understood() {
    assert_eq!(State::decode(&[0; RECORD_BYTES]), None);
    assert_eq!(State::decode(&[0xff; RECORD_BYTES]), None);
    assert_eq!(State::decode(b"short"), None);
    let of = |variables: &[(&str, &str)]| State::decode(&encode(variables));
    assert_eq!(of(&[("ver", "2"), ("seq", "1"), ("ok", "a")]), None);
    assert_eq!(of(&[("ver", "1"), ("seq", "1"), ("ok", "c")]), None);
    assert_eq!(of(&[("ver", "1"), ("seq", "+1"), ("ok", "a")]), None);
    assert_eq!(of(&[("ver", "1"), ("seq", "123456789"), ("ok", "a")]), None);
    // The confirmed slot is never on trial, and a slot that does not exist is not either.
    for on_trial in ["a", "c", "-"] {
        let state = of(&[("ver", "1"), ("seq", "1"), ("ok", "a"), ("try", on_trial), ("left", "3")]).unwrap();
        assert_eq!(state.trial, None, "{on_trial}");
    }
}

#[test]
fn with_both_records_damaged_the_slot_that_was_confirmed_last_is_known() {
    let seen = |marks| Seen { records: [None, None], marks }.state().confirmed;
    assert_eq!(seen([None, None]), Slot::A);
    assert_eq!(seen([Some(4), None]), Slot::A);
    assert_eq!(seen([None, Some(0)]), Slot::B);
    assert_eq!(seen([Some(4), Some(9)]), Slot::B);
    assert_eq!(seen([Some(9), Some(4)]), Slot::A);
}

#[test]
fn a_life_of_updates() {
    let mut disk = Disk::shipped();
    assert_eq!(disk.start(), Slot::A);
    disk.write(&disk.seen().heal(Slot::A), None);
    assert!(disk.seen().heal(Slot::A).is_empty());
    // An update that never proves good: three starts, then back for ever.
    let trial = disk.seen().state().with_trial(Slot::B, TRIES);
    disk.write(&disk.seen().store(trial), None);
    assert_eq!([(); 5].map(|()| disk.start()), [Slot::B, Slot::B, Slot::B, Slot::A, Slot::A]);
    assert_eq!(disk.seen().state().tries(Slot::B), Some(Tries { left: 0, done: 3 }));
    // One that does.
    let trial = disk.seen().state().with_trial(Slot::B, TRIES);
    disk.write(&disk.seen().store(trial), None);
    assert_eq!(disk.start(), Slot::B);
    disk.write(&disk.seen().confirm(Slot::B), None);
    assert_eq!([(); 5].map(|()| disk.start()), [Slot::B; 5]);
    // Then the state is lost as a whole.
    disk.0.remove(&0);
    disk.0.remove(&1);
    assert_eq!(disk.start(), Slot::B);
}

proptest! {
    #[test]
    fn a_record_is_read_as_written(state in state(), at in 0..RECORD_BYTES, bit in 0..8u8) {
        let mut bytes = state.encode();
        prop_assert_eq!(State::decode(&bytes), Some(state));
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(State::decode(&bytes), None);
        prop_assert_eq!(decode_mark(&encode_mark(state.sequence)), Some(state.sequence));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "[a-z=0-9\0-]{0,300}") {
        let _ = State::decode(&bytes);
        let mut record = text.into_bytes();
        record.resize(RECORD_BYTES - 4, 0);
        let record = [crc32fast::hash(&record).to_le_bytes().as_slice(), &record].concat();
        let _ = State::decode(&record);
        let _ = decode_mark(&record);
    }

    /// Whatever lay there: a cut at any write of a confirmation, torn or not, starts the new slot or the one before; never
    /// one that is neither, and never with more tries than before. Once the first record is down, it is the new one.
    #[test]
    fn a_cut_confirmation_starts_the_old_or_the_new(
        before in (state(), state()),
        damaged in proptest::option::of(0..2u8),
        confirmed in slot(),
        cut in 0..3usize,
        torn in proptest::option::of(any::<u8>()),
    ) {
        let (mut zero, mut one) = before;
        // Sequences of a real life: near to each other, far from the end.
        zero.sequence %= 1 << 30;
        one.sequence = zero.sequence + 1;
        let mut disk = Disk(BTreeMap::from([(0, zero.encode()), (1, one.encode())]));
        if let Some(index) = damaged {
            disk.0.insert(index, [0x5a; RECORD_BYTES]);
        }
        let old = disk.seen().state();
        let writes = disk.seen().confirm(confirmed);
        disk.write(&writes, Some((cut, torn)));
        let now = disk.seen().state();
        if cut == 0 {
            prop_assert_eq!(now, old);
        } else {
            prop_assert_eq!((now.confirmed, now.trial), (confirmed, None));
        }
        // It can be done again, and is then whole.
        disk.write(&disk.seen().confirm(confirmed), None);
        let seen = disk.seen();
        prop_assert_eq!((seen.state().confirmed, seen.state().trial), (confirmed, None));
        prop_assert!(seen.heal(confirmed).is_empty());
        // Losing either record, or both, changes nothing any more.
        for lost in [&[0][..], &[1], &[0, 1]] {
            let mut disk = disk.clone();
            for index in lost {
                disk.0.insert(*index, [0; RECORD_BYTES]);
            }
            let marks_decide = lost.len() == 2 && seen.marks.iter().filter(|mark| mark.is_some()).count() > 1;
            if !marks_decide {
                prop_assert_eq!(disk.start(), confirmed);
            }
        }
    }

    /// A slot on trial is started at most as often as it has tries, wherever the starts are cut; then the other one is.
    #[test]
    fn a_trial_ends(left in 0..5u32, on_trial in slot(), cuts in proptest::collection::vec(proptest::option::of(any::<u8>()), 12)) {
        let mut disk = Disk::shipped();
        let state = disk.seen().state().with_trial(on_trial, left);
        disk.write(&disk.seen().store(state), None);
        let mut starts = 0;
        for torn in cuts {
            // A cut within the script's own write: nothing is started.
            if let Some(byte) = torn {
                let seen = disk.seen();
                if let (_, Some(state)) = seen.state().next_start() {
                    disk.write(&[Write { place: seen.next(), bytes: state.encode() }], Some((0, Some(byte))));
                }
            }
            starts += u32::from(disk.start() == on_trial);
        }
        prop_assert_eq!(starts, left);
        prop_assert_eq!(disk.start(), on_trial.other());
    }
}
