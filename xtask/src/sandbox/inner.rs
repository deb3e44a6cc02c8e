//! PID 1 inside the sandbox: mounts, enters the root, starts the command, ends with its status.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, geteuid, pivot_root};

use super::{Bind, Part, Spec, Upper};

pub(super) const VERB: &str = "__sandbox-inner";

/// Device nodes that commands count on; each is the host's own.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Devices that are shown when the host has them and the caller may use them.
const OPTIONAL_DEVICES: [&str; 1] = ["kvm"];

const NONE: Option<&str> = None;

/// Becomes PID 1 of the sandbox that `json` describes; returns the command's status.
pub(super) fn run(json: &str, parts: &[Part]) -> Result<i32> {
    set_pdeathsig(Signal::SIGKILL)?;
    let spec: Spec = serde_json::from_str(json)?;
    // Nothing of what is mounted here reaches the host.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).context("failed to make the mounts private")?;
    let root = mount_root(&spec)?;
    mount_api(&root)?;
    if spec.containers {
        mount_for_containers(&root)?;
    }
    for bind in &spec.binds {
        mount_bind(&root, bind)?;
    }
    enter(&root)?;
    match spec.argv.split_first() {
        Some((word, args)) => match parts.iter().find(|(name, _)| name == word) {
            Some((_, part)) => become_part(&spec, *part, args),
            None => start(&spec),
        },
        None => start(&spec),
    }
}

/// The command is a part of this program: with the environment that a command would have.
#[expect(unsafe_code, reason = "this process has one thread, so nobody reads the environment meanwhile")]
fn become_part(spec: &Spec, part: fn(&[String]) -> Result<i32>, args: &[String]) -> Result<i32> {
    let known: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    // SAFETY: see above; PID 1 of the sandbox has started no thread.
    unsafe {
        known.iter().for_each(|name| std::env::remove_var(name));
        spec.env.iter().for_each(|(name, value)| std::env::set_var(name, value));
    }
    part(args)
}

fn mount_root(spec: &Spec) -> Result<PathBuf> {
    let (scratch, root) = (&spec.scratch, &spec.root);
    mount(Some("tmpfs"), scratch, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).context("failed to mount the sandbox's tmpfs")?;
    let merged = scratch.join("root");
    fs::create_dir(&merged)?;
    let writable = match &spec.upper {
        Upper::Discard => scratch.to_owned(),
        Upper::Keep(dir) => dir.clone(),
    };
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    fs::create_dir_all(&upper).with_context(|| format!("failed to make `{}`", upper.display()))?;
    fs::create_dir_all(&work)?;
    // Volatile: nothing is synced to the disk. What a crash leaves half written is never used, only what ended well.
    let lower: Vec<String> = spec.layers.iter().chain([root]).map(|tree| tree.display().to_string()).collect();
    let mut options = format!("volatile,lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    if !is_initial_user_namespace() {
        options.push_str(",userxattr");
    }
    mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .with_context(|| format!("failed to mount an overlay on `{}` (Linux 5.11 or later is needed)", root.display()))?;
    Ok(merged)
}

fn is_initial_user_namespace() -> bool {
    // Only the first namespace maps every id there is.
    geteuid().is_root() && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn mount_api(root: &Path) -> Result<()> {
    for name in ["proc", "sys", "dev", "tmp", "run"] {
        make_dir(&root.join(name))?;
    }
    mount(Some("proc"), &root.join("proc"), Some("proc"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, NONE)
        .context("failed to mount /proc in the sandbox")?;
    let dev = root.join("dev");
    mount(Some("tmpfs"), &dev, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755")).context("failed to mount /dev in the sandbox")?;
    for name in DEVICES {
        bind_device(&dev, name)?;
    }
    for name in OPTIONAL_DEVICES {
        let _ = bind_device(&dev, name);
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, dev.join(name))?;
    }
    fs::create_dir(dev.join("shm"))?;
    for (place, options) in [(root.join("tmp"), "mode=1777"), (root.join("run"), "mode=755"), (dev.join("shm"), "mode=1777")] {
        mount(Some("tmpfs"), &place, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
            .with_context(|| format!("failed to mount `{}`", place.display()))?;
    }
    Ok(())
}

/// What a container engine looks at. The control groups are read-only: who builds may not be allowed to make any, and nothing of the
/// host's is touched.
fn mount_for_containers(root: &Path) -> Result<()> {
    let locked = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), locked, NONE).context("failed to mount /sys in the sandbox")?;
    let groups = root.join("sys/fs/cgroup");
    mount(Some("cgroup2"), &groups, Some("cgroup2"), locked, NONE).context("failed to show the control groups in the sandbox")?;
    let read_only = locked | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, &groups, NONE, read_only, NONE).context("failed to make the control groups read-only in the sandbox")
}

fn bind_device(dev: &Path, name: &str) -> Result<()> {
    let (host, inside) = (Path::new("/dev").join(name), dev.join(name));
    fs::metadata(&host)?;
    fs::write(&inside, "")?;
    mount(Some(&host), &inside, NONE, MsFlags::MS_BIND, NONE).with_context(|| format!("failed to show {} in the sandbox", host.display()))
}

fn mount_bind(root: &Path, bind: &Bind) -> Result<()> {
    let inside = root.join(bind.inside.strip_prefix("/").unwrap_or(&bind.inside));
    let host = &bind.host;
    if fs::metadata(host).with_context(|| format!("failed to look at `{}`", host.display()))?.is_dir() {
        make_dir(&inside)?;
    } else {
        if let Some(parent) = inside.parent() {
            make_dir(parent)?;
        }
        if !inside.exists() {
            fs::write(&inside, "")?;
        }
    }
    let shown = || format!("failed to show `{}` in the sandbox", host.display());
    mount(Some(host), &inside, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).with_context(shown)?;
    if !bind.writable {
        // What the host's mount forbids (nosuid, nodev, noatime) must be kept: the kernel refuses to loosen it in a user namespace.
        let flags = locked_flags(host)? | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(NONE, &inside, NONE, flags, NONE).with_context(shown)?;
    }
    Ok(())
}

fn locked_flags(host: &Path) -> Result<MsFlags> {
    use nix::sys::statvfs::{FsFlags, statvfs};
    let flags = statvfs(host)?.flags();
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    Ok(pairs.into_iter().filter(|(seen, _)| flags.contains(*seen)).map(|(_, kept)| kept).collect())
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make `{}`", path.display()))
}

fn enter(root: &Path) -> Result<()> {
    chdir(root)?;
    pivot_root(".", ".").context("failed to enter the sandbox's root")?;
    umount2(".", MntFlags::MNT_DETACH).context("failed to leave the host's root")?;
    chdir("/")?;
    Ok(())
}

fn start(spec: &Spec) -> Result<i32> {
    let (program, args) = spec.argv.split_first().context("an empty command")?;
    #[expect(clippy::disallowed_methods, reason = "the sandbox's own command; the caller keeps its stderr")]
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(spec.env.iter().map(|(name, value)| (name, value))).current_dir(&spec.cwd);
    let status = command.status().with_context(|| format!("failed to start `{program}` in the sandbox"))?;
    Ok(status_number(status))
}

/// A status as a shell numbers it: 128 and the signal for a command that a signal ended.
pub(super) fn status_number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
