//! The outer process: makes the namespaces and starts `inner` in them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, getpid, setgid, setuid};

use super::{Spec, ids, inner};

pub(super) const VERB: &str = "__sandbox";

/// Becomes the outer process of the sandbox that `json` describes; returns the command's status.
pub(super) fn run(json: &str) -> Result<i32> {
    set_pdeathsig(Signal::SIGKILL)?;
    let spec: Spec = serde_json::from_str(json)?;
    if !geteuid().is_root() {
        enter_user_namespace(&spec)?;
    }
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !spec.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    if spec.containers {
        flags |= CloneFlags::CLONE_NEWCGROUP;
    }
    unshare(flags).context("failed to make the sandbox's namespaces (inside a container, allow it CAP_SYS_ADMIN)")?;
    #[expect(clippy::disallowed_methods, reason = "starts this program again as PID 1 of the sandbox")]
    let status =
        Command::new("/proc/self/exe").args([inner::VERB, json]).status().context("failed to start the sandbox's first process")?;
    Ok(inner::status_number(status))
}

fn enter_user_namespace(spec: &Spec) -> Result<()> {
    let job = format!("{} {}", getpid(), spec.owners.word());
    #[expect(clippy::disallowed_methods, reason = "the mapper must be started before the namespace is made, with its stdin as the signal")]
    let mut mapper = Command::new("/proc/self/exe").args([ids::VERB, &job]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    unshare(CloneFlags::CLONE_NEWUSER).context("failed to make a user namespace")?;
    drop(mapper.stdin.take());
    if !mapper.wait()?.success() {
        bail!("failed to map the sandbox's owners");
    }
    setgid(0.into()).context("failed to become the sandbox's root group")?;
    setuid(0.into()).context("failed to become the sandbox's root")?;
    // Changing ids cleared it.
    set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}
