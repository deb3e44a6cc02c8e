//! The hardware watchdog: fed while init works, and left running for systemd, which opens it next.

use std::fs::{File, OpenOptions, create_dir_all, write};
use std::os::fd::AsRawFd;
use std::path::Path;

use contract::paths::WATCHDOG_DROP_IN;

use crate::limits::WATCHDOG_SECONDS;

const DEVICE: &str = "/dev/watchdog0";

mod ioctl {
    //! linux/watchdog.h.
    nix::ioctl_read!(keep_alive, b'W', 5, i32);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, i32);
    nix::ioctl_read!(get_timeout, b'W', 7, i32);
}

/// The watchdog; without a device it does nothing.
#[derive(Default)]
pub struct Watchdog {
    device: Option<File>,
    off: bool,
}

impl Watchdog {
    /// One that is never opened.
    pub fn off() -> Self {
        Self { device: None, off: true }
    }

    /// Opens the watchdog if there is one, which starts it. It is closed at the hand-over (close on exec) without
    /// the letter `V` that would stop it, so there is no moment without it.
    pub fn open(&mut self) {
        if self.off || self.device.is_some() {
            return;
        }
        self.device = OpenOptions::new().write(true).open(DEVICE).ok();
        if let Some(device) = &self.device {
            let mut seconds = WATCHDOG_SECONDS;
            // Hardware with a smaller limit keeps its own; waits feed it every few milliseconds anyway.
            #[expect(unsafe_code, reason = "ioctl on an open watchdog with a pointer to an int")]
            let _ = unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) };
        }
        self.feed();
    }

    /// Feeds it.
    pub fn feed(&self) {
        if let Some(device) = &self.device {
            let mut unused = 0;
            #[expect(unsafe_code, reason = "ioctl on an open watchdog with a pointer to an int")]
            let _ = unsafe { ioctl::keep_alive(device.as_raw_fd(), &raw mut unused) };
        }
    }

    /// Its timeout in seconds, if it runs.
    pub fn seconds(&self) -> Option<u32> {
        let device = self.device.as_ref()?;
        let mut seconds = 0;
        #[expect(unsafe_code, reason = "ioctl on an open watchdog with a pointer to an int")]
        unsafe { ioctl::get_timeout(device.as_raw_fd(), &raw mut seconds) }.ok()?;
        u32::try_from(seconds).ok()
    }
}

/// Tells systemd to take over, also a watchdog whose driver is loaded only later.
pub fn hand_over_to_systemd() -> std::io::Result<()> {
    create_dir_all(Path::new(WATCHDOG_DROP_IN).parent().unwrap_or(Path::new("/run")))?;
    write(WATCHDOG_DROP_IN, format!("[Manager]\nRuntimeWatchdogSec={WATCHDOG_SECONDS}s\nRebootWatchdogSec=10min\n"))
}
