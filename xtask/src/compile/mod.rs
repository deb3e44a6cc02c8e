//! The node's programs (agent and init), compiled in the tools tree: Cargo.lock's versions, offline, at paths that are the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::board::Arch;
use crate::cmd;
use crate::plan::Profile;
use crate::sandbox::Sandbox;
use crate::tools::Tools;
use crate::tree::lints::parse_elf;
use crate::ui;

/// Where sources, crates and results are seen inside: the same for everyone, so that the programs' bytes are.
const SRC: &str = "/src";
const CARGO_HOME: &str = "/cargo";
const TARGET: &str = "/target";

/// What of the checkout the compiler sees.
const SOURCES: [&str; 4] = ["Cargo.toml", "Cargo.lock", "firmware", "xtask"];

/// Says relocations in a hundredth of the bytes (DT_RELR), which the image's own glibc reads: a megabyte of the agent.
const PACKED_RELOCATIONS: [&str; 2] = ["-C", "link-arg=-Wl,-z,pack-relative-relocs"];

/// Leaves out what unwinds the stack, a megabyte of the agent: a panic of a release says what and where, and aborts, and without
/// symbols there is nothing to be read in a backtrace. The compiler's own option for it leaves them all in.
const NO_UNWIND_TABLES: [&str; 4] =
    ["-C", "link-arg=-Wl,-T,/src/xtask/src/compile/no-unwind-tables.ld", "-C", "link-arg=-Wl,--no-eh-frame-hdr"];

/// Has the compiler keep the memory that it got: Debian's rustc has glibc's malloc, which would give it back and ask again all the time.
const MALLOC: &str =
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967295:glibc.malloc.top_pad=67108864:glibc.malloc.trim_threshold=4294967295";

/// The programs of a node, on the host's disk.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `cloudy`.
    pub agent: PathBuf,
    /// PID 1 of the initramfs, static.
    pub init: PathBuf,
    /// What they were compiled for.
    pub profile: Profile,
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

impl Programs {
    /// The bytes of the program of a package.
    ///
    /// # Errors
    /// As [`Programs::of`], and when it has more bytes than a program may have.
    pub fn read(&self, package: &str) -> Result<Vec<u8>> {
        let file = self.of(package)?;
        let bytes = fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let most = self.profile.program_max_bytes();
        if bytes.len() as u64 > most {
            bail!(
                "the program of `{package}` has {} bytes and may have {most}: see what grew with `cargo bloat`, or leave a feature of a crate out",
                bytes.len()
            );
        }
        Ok(bytes)
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
pub fn programs(repo: &Path, tools: &Tools, arch: Arch, profile: Profile) -> Result<Programs> {
    let _step = ui::stage("compile", format!("compiling the agent and init for {arch}"));
    let cargo_home = fetch_crates(repo)?;
    let build = |job: Job<'_>| compile(repo, tools, &cargo_home, arch, profile, &job);
    Ok(Programs {
        init: build(Job { package: "init", binary: "init", fixed: true })?,
        agent: build(Job { package: "agent", binary: "cloudy", fixed: false })?,
        profile,
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

fn compile(repo: &Path, tools: &Tools, cargo_home: &Path, arch: Arch, profile: Profile, job: &Job<'_>) -> Result<PathBuf> {
    let target_dir = repo.join("target/node").join(if job.fixed { "static" } else { "dynamic" });
    fs::create_dir_all(&target_dir)?;
    let triple = arch.rust_target();
    let mut words = vec!["cargo", "rustc", "--offline", "--locked", "--profile", profile.cargo(), "--target", triple];
    words.extend(["--package", job.package, "--bin", job.binary]);
    if !job.fixed {
        words.push("--");
        words.extend(PACKED_RELOCATIONS.iter().filter(|_| arch == Arch::Amd64));
        words.extend(NO_UNWIND_TABLES.iter().filter(|_| profile == Profile::Release));
    }
    sandbox(repo, tools, cargo_home, &target_dir, arch, job)
        .command(words)
        .run_with(|_| Ok(()), progress)
        .with_context(|| format!("failed to compile {} for {arch}", job.package))?;
    let program = target_dir.join(triple).join(profile.cargo()).join(job.binary);
    check(&fs::read(&program)?, arch, job.fixed).with_context(|| format!("`{}` is not what an image needs", program.display()))?;
    Ok(program)
}

/// Refuses a program for another processor, and one that is to be static and needs a library.
fn check(bytes: &[u8], arch: Arch, fixed: bool) -> Result<()> {
    let elf = parse_elf(bytes).context("it is no ELF file")?;
    if elf.machine != arch.elf_machine() {
        bail!("it is for ELF machine {}, {arch} has {}", elf.machine, arch.elf_machine());
    }
    if fixed && !elf.needed.is_empty() {
        bail!("it is not static: it needs {}", elf.needed.join(", "));
    }
    Ok(())
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
        .env("GLIBC_TUNABLES", MALLOC)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let program = |bytes: usize, profile: Profile| {
            let path = folder.path().join(bytes.to_string());
            fs::write(&path, vec![0; bytes]).unwrap();
            Programs { agent: path.clone(), init: path, profile }.read("agent")
        };
        for (profile, most) in [(Profile::Release, 17_000_000), (Profile::Dev, 64_000_000)] {
            assert_eq!(program(most, profile).unwrap().len(), most);
            assert!(program(most + 1, profile).unwrap_err().to_string().contains(&format!("may have {most}:")));
        }
    }

    #[test]
    fn a_program_for_another_processor_or_with_libraries_is_refused() {
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        let own = if cfg!(target_arch = "x86_64") { Arch::Amd64 } else { Arch::Arm64 };
        assert!(check(&this, own, false).is_ok());
        assert!(check(&this, Arch::Armhf, false).unwrap_err().to_string().contains("armhf has 40"));
        assert!(check(&this, own, true).unwrap_err().to_string().contains("not static: it needs"));
        assert!(check(b"#!/bin/sh", own, false).is_err());
    }
}
