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

/// A figure and the most that it may be; `cargo xtask bench core` reads these lines.
fn figure(what: &str, found: f64, most: f64, unit: &str) {
    println!("figure: {what}: {found:.1} of at most {most} {unit}");
}
