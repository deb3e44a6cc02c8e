//! The node's programs (agent and init), compiled in the tools tree: Cargo.lock's versions, offline, at paths that are the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::board::Arch;
use crate::cmd;
use crate::sandbox::Sandbox;
use crate::tools::Tools;
use crate::ui;

/// Where sources, crates and results are seen inside: the same for everyone, so that the programs' bytes are.
const SRC: &str = "/src";
const CARGO_HOME: &str = "/cargo";
const TARGET: &str = "/target";

/// What of the checkout the compiler sees.
const SOURCES: [&str; 4] = ["Cargo.toml", "Cargo.lock", "firmware", "xtask"];

/// The programs of a node, on the host's disk.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `cloudy`.
    pub agent: PathBuf,
    /// PID 1 of the initramfs, static.
    pub init: PathBuf,
}

impl Programs {
    /// The program of a package of `firmware/`.
    ///
    /// # Errors
    /// When the plan names a package that is not compiled here.
    pub fn of(&self, package: &str) -> Result<&Path> {
        match package {
            "agent" => Ok(&self.agent),
            "init" => Ok(&self.init),
            other => bail!("`{other}` is not among the node's programs"),
        }
    }
}

/// One compilation.
struct Job<'a> {
    package: &'a str,
    binary: &'a str,
    /// Linked statically.
    fixed: bool,
}

/// Compiles the node's programs for `arch`. Results are kept in the checkout's target folder.
pub fn programs(repo: &Path, tools: &Tools, arch: Arch) -> Result<Programs> {
    let _step = ui::stage("compile", format!("compiling the agent and init for {arch}"));
    let cargo_home = fetch_crates(repo)?;
    let build = |job: Job<'_>| compile(repo, tools, &cargo_home, arch, &job);
    Ok(Programs {
        init: build(Job { package: "init", binary: "init", fixed: true })?,
        agent: build(Job { package: "agent", binary: "cloudy", fixed: false })?,
    })
}

/// Has the host's cargo bring the crates of Cargo.lock; returns the caller's cargo home.
fn fetch_crates(repo: &Path) -> Result<PathBuf> {
    let shell = Shell::new()?;
    shell.change_dir(repo);
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    cmd::read(cmd!(shell, "{cargo} fetch --locked --quiet")).context("failed to fetch the crates of Cargo.lock")?;
    let home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

fn compile(repo: &Path, tools: &Tools, cargo_home: &Path, arch: Arch, job: &Job<'_>) -> Result<PathBuf> {
    let target_dir = repo.join("target/node").join(if job.fixed { "static" } else { "dynamic" });
    fs::create_dir_all(&target_dir)?;
    let triple = arch.rust_target();
    let words = ["cargo", "build", "--offline", "--locked", "--release", "--target", triple, "--package", job.package];
    sandbox(repo, tools, cargo_home, &target_dir, arch, job)
        .command(words)
        .run_with(|_| Ok(()), progress)
        .with_context(|| format!("failed to compile {} for {arch}", job.package))?;
    Ok(target_dir.join(triple).join("release").join(job.binary))
}

fn sandbox(repo: &Path, tools: &Tools, cargo_home: &Path, target_dir: &Path, arch: Arch, job: &Job<'_>) -> Sandbox {
    let gcc = format!("{}-gcc", arch.multiarch());
    let upper = arch.rust_target().replace('-', "_").to_uppercase();
    let under = arch.rust_target().replace('-', "_");
    let mut sandbox =
        tools.sandbox().bind_writable(target_dir, TARGET).bind(&cargo_home.join("registry"), &format!("{CARGO_HOME}/registry"));
    for name in SOURCES {
        sandbox = sandbox.bind(&repo.join(name), &format!("{SRC}/{name}"));
    }
    sandbox = sandbox
        .cwd(SRC)
        .env("CARGO_HOME", CARGO_HOME)
        .env("CARGO_TARGET_DIR", TARGET)
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .env(&format!("CARGO_TARGET_{upper}_LINKER"), &gcc)
        .env(&format!("CC_{under}"), &gcc)
        .env(&format!("AR_{under}"), &format!("{}-ar", arch.multiarch()))
        // Build scripts and macros run here, on the builder's own architecture.
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "x86_64-linux-gnu-gcc")
        .env("SOURCE_DATE_EPOCH", "0");
    if job.fixed {
        sandbox = sandbox.env(&format!("CARGO_TARGET_{upper}_RUSTFLAGS"), "-C target-feature=+crt-static");
    }
    sandbox
}

/// Shows that something goes on: the crates by name are too much, every twentieth is enough.
fn progress(line: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COMPILED: AtomicU32 = AtomicU32::new(0);
    if line.trim_start().starts_with("Compiling ") && COMPILED.fetch_add(1, Ordering::Relaxed) % 40 == 39 {
        ui::say(&format!("compiled {} crates", COMPILED.load(Ordering::Relaxed)));
    }
}
