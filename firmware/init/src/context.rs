//! What init knows so far: kept in one place so that a failure at any step can say and do the right thing.

use std::time::Duration;

use contract::boot::{BuildId, CommandLine, EntryName};
use contract::report::{ClockSource, StepReport};
use nix::time::{ClockId, clock_gettime};

use crate::console::{Level, say};
use crate::disks::BootDisk;
use crate::time;
use crate::watchdog::Watchdog;

/// What init knows so far.
#[derive(Default)]
pub struct Context {
    /// The kernel's command line.
    pub line: CommandLine,
    /// The build that is booted.
    pub build: Option<BuildId>,
    /// Seconds since 1970 that no clock is below.
    pub epoch: u64,
    /// Where the clock's time comes from; `None` while it is the machine's own.
    pub clock: Option<ClockSource>,
    /// The booted entry, if the boot loader counts it.
    pub counted: Option<EntryName>,
    /// The boot loader's partition, as it wrote it.
    pub from: Option<String>,
    /// The disk that was booted from, once it is found.
    pub disk: Option<BootDisk>,
    /// The watchdog, which waits must feed.
    pub watchdog: Watchdog,
    /// What went wrong without stopping the boot.
    pub warnings: Vec<String>,
    /// What was done.
    pub steps: Vec<StepReport>,
    /// What is being done.
    pub step: &'static str,
    /// Whether what goes wrong is surely no fault of the slot, so that no other slot is to be tried for it.
    pub blameless: bool,
}

impl Context {
    /// Does one step, and keeps how long it took.
    pub fn step<T>(&mut self, name: &'static str, act: impl FnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let start = since_start();
        self.step = name;
        self.watchdog.feed();
        let done = act(self)?;
        let (start_seconds, seconds) = (start.as_secs_f64(), (since_start() - start).as_secs_f64());
        say(Level::Info, &format!("{name} ({seconds:.2} s)"));
        self.steps.push(StepReport { name: name.to_owned(), start_seconds, seconds });
        Ok(done)
    }

    /// Moves the clock if it can't be right, and keeps what it was set from.
    pub fn raise_clock(&mut self, saved: Option<u64>) {
        self.clock = time::raise(self.epoch, saved).or(self.clock);
    }

    /// Says, and keeps for the page, what went wrong without stopping the boot.
    pub fn warn(&mut self, text: String) {
        say(Level::Warning, &text);
        self.warnings.push(text);
    }
}

/// Time since the kernel's start; no clock setting moves it.
pub fn since_start() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
