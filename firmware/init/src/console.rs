//! Speaking: to the kernel's log, which shows it on every console and hands it to the journal later.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// How loud, as the kernel counts.
#[derive(Clone, Copy)]
pub enum Level {
    /// The boot can't go on.
    Failure = 2,
    /// Something is wrong; the boot goes on.
    Warning = 4,
    /// What is being done.
    Info = 6,
}

/// Says one line.
pub fn say(level: Level, text: &str) {
    let text = text.replace('\n', " | ");
    let line = format!("<{}>cloudy-init: {text}\n", level as u8);
    let logged = OpenOptions::new().write(true).open("/dev/kmsg").and_then(|mut log| log.write_all(line.as_bytes()));
    // A failure is said twice: `quiet` and log levels keep nothing of it from the main console.
    if logged.is_err() || matches!(level, Level::Failure) {
        let console = OpenOptions::new().write(true).open("/dev/console");
        let _ = console.and_then(|mut console| console.write_all(format!("\r\ncloudy-init: {text}\r\n").as_bytes()));
    }
}

/// Makes /dev/console the standard streams, and lets the kernel's log take all that init says.
pub fn set_up() {
    // Else the kernel keeps ten lines and drops the rest of a burst.
    let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    if let Ok(console) = OpenOptions::new().read(true).write(true).open("/dev/console") {
        let _ = dup2_stdin(console.as_fd());
        let _ = dup2_stdout(console.as_fd());
        let _ = dup2_stderr(console.as_fd());
    }
}
