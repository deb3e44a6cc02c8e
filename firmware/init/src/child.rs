//! Running a program of the slot's root, in that root, while the watchdog is fed.

use std::fs::{File, create_dir_all, read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::context::{Context, since_start};
use crate::limits::OUTPUT_TAIL;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);
const OUTPUT: &str = "/run/cloudy-boot/output";

/// What a program said.
pub struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// The end of its output.
    pub output: String,
}

/// Runs a program with `root` as its root; an error if it can't be started or takes longer than `limit`.
pub fn run(context: &Context, root: &'static str, program: &str, arguments: &[&str], limit: Duration) -> anyhow::Result<Ended> {
    create_dir_all("/run/cloudy-boot").context("failed to make /run/cloudy-boot")?;
    let output = File::create(OUTPUT).with_context(|| format!("failed to write {OUTPUT}"))?;
    #[expect(clippy::disallowed_methods, reason = "xtask's cmd module is not for the node")]
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let enter = move || {
        nix::unistd::chroot(root)?;
        nix::unistd::chdir("/")?;
        Ok(())
    };
    #[expect(unsafe_code, reason = "between fork and exec only chroot and chdir are called")]
    unsafe {
        command.pre_exec(enter);
    }
    let mut child = command.spawn().with_context(|| format!("failed to start {program} in the root of this slot"))?;
    let start = since_start();
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("failed to wait for {program}"))? {
            break status;
        }
        if since_start() - start > limit {
            let _ = child.kill();
            anyhow::bail!("{program} was not done after {} s", limit.as_secs());
        }
        context.watchdog.feed();
        std::thread::sleep(LOOK);
    };
    let bytes = read(OUTPUT).unwrap_or_default();
    let tail = bytes.get(bytes.len().saturating_sub(OUTPUT_TAIL)..).unwrap_or_default();
    Ok(Ended { status: status.code(), output: String::from_utf8_lossy(tail).trim().to_owned() })
}
