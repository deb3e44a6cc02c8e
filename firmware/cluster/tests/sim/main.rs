//! The simulator: many nodes in virtual time, running what is shipped over a network, clocks and disks that fail.
//!
//! A failing seed prints itself and replays: `CLOUDY_SEED=N cargo test -p cluster --test sim seeds -- --nocapture`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may end so")]

mod damage;
mod disk;
mod figures;
mod happen;
mod health;
mod hostile;
mod knock;
mod look;
mod many;
mod membership;
mod messages;
mod network;
mod power;
mod records;
mod seeds;
mod told;
mod world;

use std::io::Write;

/// Says a line, also where nobody asked for what tests say: the log of a run shows what it found, and not only that it passed.
fn say(line: &str) {
    // What `println` prints is kept by the test runner.
    let _unheard = writeln!(std::io::stdout().lock(), "{line}");
}

/// A figure and the most that it may be; `cargo xtask bench core` reads these lines.
fn figure(what: &str, found: f64, most: f64, unit: &str) {
    say(&format!("figure: {what}: {found:.1} of at most {most} {unit}"));
}
