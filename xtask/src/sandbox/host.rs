//! What the host must have, checked before anything is built, each with its mend in one sentence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use super::ids::range_of_caller;

/// Free space that any build needs, in the cache and in the checkout together.
const BUILD_NEEDS_GIB: u64 = 3;
/// Free space that a first build needs beyond that, for each byte of the tools tree's packages: the tree, what is compiled with it, and the
/// image's own packages grow with them.
const FIRST_BYTES_PER_BYTE: u64 = 40;

pub(super) const VERB: &str = "__sandbox-probe";

/// What was seen on the host: the input of the decision.
#[derive(Clone, Debug)]
struct Seen {
    linux_x86_64: bool,
    root: bool,
    newuidmap: bool,
    newgidmap: bool,
    subuid: bool,
    subgid: bool,
    /// user.max_user_namespaces is 0, or kernel.unprivileged_userns_clone is 0.
    namespaces_off: bool,
    /// kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 24.04 and later).
    apparmor_restricts: bool,
    /// Why a namespace could not be made just now, whatever the settings say.
    refused: Option<String>,
    free_gib: u64,
    needed_gib: u64,
}

/// Checks the host. `tools_bytes`: bytes of the tools tree's packages if it is still to be laid out, else 0.
///
/// # Errors
/// Names everything that is missing, each with its mend.
pub fn check(cache: &Path, tools_bytes: u64) -> Result<()> {
    let problems = problems(&look(cache, tools_bytes));
    if problems.is_empty() {
        return Ok(());
    }
    bail!("this machine can't build yet:\n  - {}", problems.join("\n  - "))
}

fn look(cache: &Path, tools_bytes: u64) -> Seen {
    let flag = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok().map(|text| text.trim().to_owned());
    let existing = cache.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let namespaces_off =
        flag("user/max_user_namespaces").is_some_and(|v| v == "0") || flag("kernel/unprivileged_userns_clone").is_some_and(|v| v == "0");
    let apparmor_restricts = flag("kernel/apparmor_restrict_unprivileged_userns").is_some_and(|v| v == "1");
    // Tried where the settings do not say it already.
    let refused = if geteuid().is_root() || namespaces_off || apparmor_restricts { None } else { try_namespaces() };
    Seen {
        linux_x86_64: cfg!(all(target_os = "linux", target_arch = "x86_64")),
        root: geteuid().is_root(),
        newuidmap: in_path("newuidmap").is_some(),
        newgidmap: in_path("newgidmap").is_some(),
        subuid: range_of_caller(Path::new("/etc/subuid")).is_some(),
        subgid: range_of_caller(Path::new("/etc/subgid")).is_some(),
        namespaces_off,
        apparmor_restricts,
        refused,
        needed_gib: BUILD_NEEDS_GIB + tools_bytes.saturating_mul(FIRST_BYTES_PER_BYTE).div_ceil(1 << 30),
        free_gib: statvfs(existing).map_or(u64::MAX, |stat| (stat.blocks_available() * stat.fragment_size()) >> 30),
    }
}

/// Makes namespaces in a process of its own; says what was in the way.
fn try_namespaces() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this program again, which says in one line why it failed")]
    let tried = Command::new("/proc/self/exe").args([VERB, ""]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The process that tries.
pub(super) fn probe() -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWUSER).context("unshare of the user namespace")?;
    // AppArmor lets the first through and takes all rights away in it.
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID).context("unshare of mounts and processes")?;
    Ok(0)
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn problems(seen: &Seen) -> Vec<String> {
    let mut problems = Vec::new();
    let mut need = |ok: bool, text: &str| {
        if !ok {
            problems.push(text.to_owned());
        }
    };
    need(seen.linux_x86_64, "it is not Linux on x86_64: build on such a machine, or in a virtual machine of that kind");
    if !seen.root {
        need(
            seen.newuidmap && seen.newgidmap,
            "newuidmap and newgidmap are missing: install them with `sudo apt install uidmap` (Fedora: shadow-utils)",
        );
        need(
            seen.subuid,
            "no line in /etc/subuid gives this user 65536 ids: add one with `sudo usermod --add-subuids 100000-165535 $USER`",
        );
        need(
            seen.subgid,
            "no line in /etc/subgid gives this user 65536 ids: add one with `sudo usermod --add-subgids 100000-165535 $USER`",
        );
        need(
            !seen.namespaces_off,
            "user namespaces are switched off: allow them with `sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`",
        );
        need(
            !seen.apparmor_restricts,
            "AppArmor restricts user namespaces: allow them with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
        );
        if let Some(why) = &seen.refused {
            need(
                false,
                &format!(
                    "user namespaces are refused here ({why}): a container or a security module forbids them; build outside of it, or allow it \
                     them (Docker: `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)"
                ),
            );
        }
    }
    need(
        seen.free_gib >= seen.needed_gib,
        &format!(
            "only {} GiB are free where the cache lies and a build needs {}: free some, or set CLOUDY_CACHE to a folder on a larger disk",
            seen.free_gib, seen.needed_gib
        ),
    );
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Seen = Seen {
        linux_x86_64: true,
        root: false,
        newuidmap: true,
        newgidmap: true,
        subuid: true,
        subgid: true,
        namespaces_off: false,
        apparmor_restricts: false,
        refused: None,
        free_gib: 100,
        needed_gib: 12,
    };

    #[test]
    fn a_good_host_has_no_problem() {
        assert_eq!(problems(&GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_lack_is_named_with_its_mend() {
        let lacks = [
            (Seen { newuidmap: false, ..GOOD }, "apt install uidmap"),
            (Seen { subuid: false, ..GOOD }, "--add-subuids"),
            (Seen { subgid: false, ..GOOD }, "--add-subgids"),
            (Seen { namespaces_off: true, ..GOOD }, "max_user_namespaces"),
            (Seen { apparmor_restricts: true, ..GOOD }, "apparmor_restrict_unprivileged_userns=0"),
            (Seen { refused: Some("EPERM".to_owned()), ..GOOD }, "(EPERM): a container"),
            (Seen { free_gib: 1, ..GOOD }, "CLOUDY_CACHE"),
        ];
        for (seen, mend) in lacks {
            let said = problems(&seen);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains(mend), "{said:?}");
        }
    }

    #[test]
    fn root_needs_no_subordinate_ids() {
        let seen = Seen {
            root: true,
            newuidmap: false,
            newgidmap: false,
            subuid: false,
            subgid: false,
            namespaces_off: true,
            refused: Some(String::new()),
            ..GOOD
        };
        assert_eq!(problems(&seen), Vec::<String>::new());
    }
}
