//! Writing plain files as if they were disks: order, cuts, a disk that loses bytes.

use super::*;
use std::io::Read;

const DISK_BYTES: u64 = 16 << 20;
const PIECES: [Piece; 3] = [(0, 3 << 20), (5 << 20, (5 << 20) + 1234), (DISK_BYTES - (33 * 512), DISK_BYTES)];

/// Bytes that differ from place to place; asks a witness at each chunk.
struct Made<F: FnMut(u64)> {
    seen: F,
    fail_at: u64,
}

impl<F: FnMut(u64)> Source for Made<F> {
    fn read(&mut self, at: u64, chunk: &mut [u8]) -> Result<(), BoxError> {
        (self.seen)(at);
        if at >= self.fail_at {
            return Err("the source is broken".into());
        }
        for (byte, place) in chunk.iter_mut().zip(at..) {
            *byte = of(place);
        }
        Ok(())
    }
}

fn of(place: u64) -> u8 {
    (place % 251) as u8 + 1
}

/// Calls back when a phase begins.
struct Told<F: FnMut(Phase)>(F, u64);

impl<F: FnMut(Phase)> Progress for Told<F> {
    fn begin(&mut self, phase: Phase, _: u64) {
        (self.0)(phase);
    }

    fn add(&mut self, bytes: u64) {
        self.1 += bytes;
    }
}

fn disk() -> File {
    let disk = tempfile::tempfile().unwrap();
    disk.set_len(DISK_BYTES).unwrap();
    disk.write_all_at(&[0xee; 4096], 0).unwrap();
    disk.write_all_at(&[0xee; 4096], DISK_BYTES - 4096).unwrap();
    disk
}

fn ends(disk: &File) -> (u8, u8) {
    let mut byte = [[0]; 2];
    disk.read_exact_at(&mut byte[0], 512).unwrap();
    disk.read_exact_at(&mut byte[1], DISK_BYTES - 1).unwrap();
    (byte[0][0], byte[1][0])
}

#[test]
fn all_is_written_and_the_tables_last() {
    let disk = disk();
    let witness = disk.try_clone().unwrap();
    let mut source =
        Made { seen: |_| assert_eq!(ends(&witness), (0, 0), "the old table is gone and no new one is there"), fail_at: u64::MAX };
    let read_back = disk.try_clone().unwrap();
    let mut told = Told(|_| assert_eq!(ends(&read_back), (0, 0), "the table waits until all else was read back"), 0);
    let written = write(&mut source, &PIECES, &disk, DISK_BYTES, &mut told).unwrap();
    let all: u64 = PIECES.iter().map(|(start, end)| end - start).sum();
    assert_eq!((written.bytes, written.verified, told.1), (all, all, 2 * all));
    let mut bytes = Vec::new();
    (&disk).take(u64::MAX).read_to_end(&mut bytes).unwrap();
    for (start, end) in PIECES {
        assert!((start..end).all(|place| bytes[place as usize] == of(place)), "{start}..{end}");
    }
}

#[test]
fn whatever_fails_leaves_no_table() {
    for fail_at in [0, 2 << 20, 5 << 20, DISK_BYTES - 33 * 512] {
        let disk = disk();
        let mut source = Made { seen: |_| (), fail_at };
        let error = write(&mut source, &PIECES, &disk, DISK_BYTES, &mut Told(|_| (), 0)).unwrap_err();
        assert!(matches!(error, WriteError::Source(_)), "{error}");
        assert_eq!(ends(&disk), (0, 0), "failed at {fail_at}");
    }
}

#[test]
fn a_disk_that_loses_a_byte_is_found_out_and_has_no_table() {
    let disk = disk();
    let thief = disk.try_clone().unwrap();
    // Lost between writing and reading back, as on a disk that is smaller than it says.
    let mut told = Told(
        |phase| {
            if phase == Phase::ReadingBack {
                thief.write_all_at(&[0], (5 << 20) + 1000).unwrap();
            }
        },
        0,
    );
    let error = write(&mut Made { seen: |_| (), fail_at: u64::MAX }, &PIECES, &disk, DISK_BYTES, &mut told).unwrap_err();
    assert!(error.to_string().contains("worn out or smaller than it says"), "{error}");
    assert_eq!(ends(&disk), (0, 0));
}

/// Changes a byte of the disk once more than so many bytes were told.
struct Thief {
    disk: File,
    told: u64,
    after: u64,
}

impl Progress for Thief {
    fn begin(&mut self, _: Phase, _: u64) {}

    fn add(&mut self, bytes: u64) {
        self.told += bytes;
        if self.told > self.after {
            self.disk.write_all_at(&[0], 600).unwrap();
        }
    }
}

#[test]
fn a_table_that_is_not_given_back_is_taken_off_again() {
    let disk = disk();
    let all: u64 = PIECES.iter().map(|(start, end)| end - start).sum();
    // All is written, and all but the tables read back: what is lost is lost from a table.
    let after = 2 * all - HELD_BACK_BYTES - 33 * 512;
    let mut thief = Thief { disk: disk.try_clone().unwrap(), told: 0, after };
    let error = write(&mut Made { seen: |_| (), fail_at: u64::MAX }, &PIECES, &disk, DISK_BYTES, &mut thief).unwrap_err();
    assert!(matches!(error, WriteError::Different { start: 0, .. }), "{error}");
    assert_eq!(ends(&disk), (0, 0));
}
