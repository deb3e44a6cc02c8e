//! What this machine knows of the wall clock.

use cluster::Clock;
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970 that have passed for certain: this code did not exist before (2026-11-01).
const FLOOR_SECONDS: u64 = 1_793_491_200;
/// systemd-timesyncd's folder, and the file that it makes once the clock was set from the network (systemd-timesyncd.service(8)).
const TIMESYNC: &str = "/run/systemd/timesync";

/// What the machine's clock says; in tests another.
pub type Wall = fn() -> SystemTime;

/// The machine's own.
#[expect(clippy::disallowed_methods, reason = "what is said of the clock is said of this one")]
pub fn of_machine() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970, believed or not.
pub fn seconds(wall: Wall) -> u64 {
    wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The clock now. With timesyncd it is sure once that has synchronised; on a machine without it the clock is taken
/// as kept by something else, unless it is before the floor.
pub fn now(wall: Wall) -> Clock {
    let seconds = seconds(wall);
    let kept = !Path::new(TIMESYNC).exists() || Path::new(TIMESYNC).join("synchronized").exists();
    Clock { floor: FLOOR_SECONDS, sure: (kept && seconds >= FLOOR_SECONDS).then_some(seconds) }
}
