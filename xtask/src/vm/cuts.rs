//! Every state that a power cut could have left a partition in, between switching on and now: after each write to it, with
//! what was not flushed by then on the disk or not, or half. Random cuts seldom hit a moment of a millisecond; this does.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::power::{DISCARD, Entry, FLUSH, FUA, Random, SECTOR_BYTES, read};

/// Up to so many writes that may be lost are tried in every combination.
const ALL_COMBINATIONS: usize = 4;
/// Of more writes, so many combinations are tried.
const COMBINATIONS: usize = 16;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Writes to the partition.
    pub writes: usize,
    /// States that a cut could have left.
    pub states: usize,
}

/// Goes through the states of the partition that lies at `range` (bytes) of the disk. `partition` holds what it held when
/// the log began, and is changed; `check` looks at it in each state, and is told whether all writes so far are in it: that
/// state comes first after each write.
///
/// # Errors
/// What `check` finds wrong, with the write after which the plug was pulled.
pub fn each_state(log: &Path, range: Range<u64>, partition: &File, mut check: impl FnMut(bool) -> Result<()>) -> Result<Seen> {
    let log_file = File::open(log).with_context(|| format!("failed to open the log of writes `{}`", log.display()))?;
    let entries = read(&log_file).with_context(|| format!("failed to read the log of writes `{}`", log.display()))?;
    let inside =
        |entry: &Entry| entry.flags & DISCARD == 0 && entry.len > 0 && entry.at >= range.start && entry.at + entry.len <= range.end;
    let mut random = Random::new(1);
    let mut seen = Seen::default();
    // Writes since the last flush: each may be on the disk or not.
    let mut loose: Vec<Write> = Vec::new();
    check(true).context("before the first write")?;
    for entry in &entries {
        if inside(entry) {
            let mut bytes = vec![0; usize::try_from(entry.len)?];
            log_file.read_exact_at(&mut bytes, entry.data)?;
            loose.push(Write { at: entry.at - range.start, bytes, sure: entry.flags & FUA != 0 });
            seen.writes += 1;
            for lost in combinations(&loose, &mut random) {
                let before = apply(partition, &loose, &lost)?;
                check(lost.iter().all(|fate| *fate == Fate::Kept))
                    .with_context(|| format!("cut after write {} of the partition, of the last {} {lost:?}", seen.writes, loose.len()))?;
                undo(partition, before)?;
                seen.states += 1;
            }
        }
        if entry.flags & FLUSH != 0 {
            let all = vec![Fate::Kept; loose.len()];
            apply(partition, &loose, &all)?;
            loose.clear();
        }
    }
    Ok(seen)
}

/// A write that a cut may take.
struct Write {
    at: u64,
    bytes: Vec<u8>,
    /// Whether it is on the disk for certain (FUA).
    sure: bool,
}

/// What a cut makes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    /// Its first sectors are there.
    Torn,
}

fn combinations(loose: &[Write], random: &mut Random) -> Vec<Vec<Fate>> {
    let of = |keep: &mut dyn FnMut(usize) -> bool| -> Vec<Fate> {
        loose.iter().enumerate().map(|(at, write)| if write.sure || keep(at) { Fate::Kept } else { Fate::Lost }).collect()
    };
    let mut all: Vec<Vec<Fate>> = if loose.len() <= ALL_COMBINATIONS {
        (0..1usize << loose.len()).map(|mask| of(&mut |at| (mask >> at) & 1 == 0)).collect()
    } else {
        let some = (0..COMBINATIONS).map(|_| of(&mut |_| random.below(2) == 0));
        [of(&mut |_| true), of(&mut |_| false)].into_iter().chain(some).collect()
    };
    let mut torn = of(&mut |_| true);
    if let (Some(last), Some(fate)) = (loose.last(), torn.last_mut())
        && !last.sure
        && last.bytes.len() as u64 > SECTOR_BYTES
    {
        *fate = Fate::Torn;
        all.push(torn);
    }
    all.dedup();
    all
}

/// Writes what is kept; returns what lay there before, to be put back in reverse.
fn apply(partition: &File, writes: &[Write], fates: &[Fate]) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut before = Vec::new();
    for (write, fate) in writes.iter().zip(fates) {
        let half = (write.bytes.len() as u64 / 2).next_multiple_of(SECTOR_BYTES) as usize;
        let bytes = match fate {
            Fate::Kept => write.bytes.as_slice(),
            Fate::Torn => write.bytes.get(..half).unwrap_or_default(),
            Fate::Lost => &[],
        };
        let mut old = vec![0; bytes.len()];
        partition.read_exact_at(&mut old, write.at)?;
        partition.write_all_at(bytes, write.at)?;
        before.push((write.at, old));
    }
    Ok(before)
}

fn undo(partition: &File, before: Vec<(u64, Vec<u8>)>) -> Result<()> {
    before.iter().rev().try_for_each(|(at, bytes)| Ok(partition.write_all_at(bytes, *at)?))
}

#[cfg(test)]
mod tests {
    use super::super::power::tests::log;
    use super::*;
    use std::collections::BTreeSet;

    /// All that the first sectors' first bytes ever are.
    fn states(writes: &[(u64, u8, u64)]) -> (Seen, BTreeSet<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log(writes)).unwrap();
        let partition = tempfile::tempfile().unwrap();
        partition.set_len(3 * SECTOR_BYTES).unwrap();
        let mut all = BTreeSet::new();
        let range = 8 * SECTOR_BYTES..11 * SECTOR_BYTES;
        let seen = each_state(&path, range, &partition, |_| {
            let mut bytes = [0; 3 * SECTOR_BYTES as usize];
            partition.read_exact_at(&mut bytes, 0)?;
            all.insert(bytes.iter().step_by(SECTOR_BYTES as usize).copied().collect());
            Ok(())
        });
        (seen.unwrap(), all)
    }

    #[test]
    fn what_was_flushed_is_there_and_what_was_not_in_every_combination() {
        let (seen, all) = states(&[(8, 1, 0), (0, 0, FLUSH), (9, 2, 0), (3, 9, 0), (10, 3, 0), (8, 4, FUA)]);
        assert_eq!(seen.writes, 4);
        let expected = [[0, 0, 0], [1, 0, 0], [1, 2, 0], [1, 0, 3], [1, 2, 3], [4, 0, 0], [4, 2, 0], [4, 0, 3], [4, 2, 3]];
        assert_eq!(all, expected.map(Vec::from).into());
        assert_eq!(states(&[(3, 1, 0)]).0, Seen::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, log(&[(0, 1, 0), (1, 2, 0)])).unwrap();
        let partition = tempfile::tempfile().unwrap();
        partition.set_len(2 * SECTOR_BYTES).unwrap();
        let error = each_state(&path, 0..2 * SECTOR_BYTES, &partition, |_| {
            let mut bytes = [0; 1024];
            partition.read_exact_at(&mut bytes, 0)?;
            anyhow::ensure!((bytes[0], bytes[512]) != (0, 2), "the second before the first");
            Ok(())
        });
        assert_eq!(
            format!("{:#}", error.unwrap_err()),
            "cut after write 2 of the partition, of the last 2 [Lost, Kept]: the second before the first"
        );
    }
}
