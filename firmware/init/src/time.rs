//! Setting the clock.

use std::fs::{File, metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{SystemTime, UNIX_EPOCH};

use contract::report::ClockSource;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::rules::{clock, ext4};

/// Seconds since 1970, as the clock has it.
#[expect(clippy::disallowed_methods, reason = "to mend the clock")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Moves the clock if it can't be right; says what it was set from.
pub fn raise(epoch: u64, saved: Option<u64>) -> Option<ClockSource> {
    let (time, source) = clock::decide(now(), epoch, saved);
    if source == ClockSource::Hardware {
        return None;
    }
    if let Ok(seconds) = time.try_into() {
        let _ = clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0));
    }
    Some(source)
}

/// When the data partition was last in use.
pub fn of_data(device: &str) -> Option<u64> {
    let mut bytes = [0; ext4::SUPERBLOCK_END];
    File::open(device).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    ext4::last_used(&bytes)
}

/// When a file was last changed.
pub fn of_file(path: &str) -> Option<u64> {
    u64::try_from(metadata(path).ok()?.mtime()).ok()
}
