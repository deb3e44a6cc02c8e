//! `cargo xtask test`: the whole test suite, part by part, each with its time.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use xshell::{Shell, cmd};

/// The board whose image is built and booted.
const BOARD: &str = "x86-minipc";

/// The board whose boot chain is U-Boot's.
const PI: &str = "rpi3";

/// Runs the test suite; what it needs it sets up.
#[derive(Args)]
pub struct TestVerb {
    /// Run only this part (may be given more than once).
    #[arg(long, value_name = "NAME")]
    part: Vec<String>,
    /// Run the slower proofs too.
    #[arg(long)]
    full: bool,
}

/// The test of builds that are disturbed, which is a part of its own.
const DISTURBED: &str = "a_killed_build_leaves_no_half_image_and_two_at_once_make_the_same";

/// One part of the suite: its words are a command line, `xtask …` being this program.
struct Part {
    name: &'static str,
    what: &'static str,
    command: &'static [&'static str],
    /// Only with `--full`.
    slow: bool,
}

/// In the order in which they run: what fails quickly first.
const PARTS: &[Part] = &[
    Part { name: "tidy", what: "the repository's own rules", command: &["xtask", "tidy"], slow: false },
    Part { name: "format", what: "rustfmt", command: &["cargo", "fmt", "--all", "--check"], slow: false },
    Part {
        name: "clippy",
        what: "lints; warnings are errors",
        command: &["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"],
        slow: false,
    },
    Part {
        name: "unit",
        what: "unit, property and loopback tests",
        command: &["cargo", "test", "--workspace", "--locked", "--no-fail-fast"],
        slow: false,
    },
    Part { name: "image", what: "an image from nothing", command: &["xtask", "image", BOARD], slow: false },
    Part {
        name: "disturbed",
        what: "a build that is killed while it writes, and two at once",
        command: &["cargo", "test", "--package", "xtask", "--test", "builds", "--locked", "--", "--ignored", DISTURBED],
        slow: false,
    },
    Part {
        name: "app",
        what: "an app's image, built twice, and messages through it on a real Docker",
        command: &["xtask", "app", "mosquitto", "--arch", "amd64", "--twice", "--try"],
        slow: true,
    },
    Part {
        name: "vm",
        what: "scenarios on virtual machines that boot it",
        command: &["xtask", "vm", BOARD, "--all-scenarios", "--at-once", "2"],
        slow: false,
    },
    Part {
        name: "unit-slow",
        what: "tests that take long: a simulated day, every locked package",
        command: &["cargo", "test", "--workspace", "--locked", "--no-fail-fast", "--", "--ignored", "--skip", DISTURBED],
        slow: true,
    },
    Part {
        name: "mutations",
        what: "each safety property's test fails when the code is broken",
        command: &["xtask", "bench", "mutations"],
        slow: true,
    },
    Part {
        name: "apps",
        what: "every app for every architecture, built twice, used in its own protocol",
        command: &["xtask", "app", "--all", "--twice", "--try"],
        slow: true,
    },
    // The three boards share what is compiled, which takes longest.
    Part {
        name: "image-pi",
        what: "a Pi's image, with nothing that could run its programs",
        command: &["xtask", "image", PI, "--without-emulation"],
        slow: true,
    },
    Part {
        name: "u-boot",
        what: "its boot script on the real U-Boot, in many cases",
        command: &["xtask", "vm", PI, "--boot-cases"],
        slow: true,
    },
    Part {
        name: "u-boot-kills",
        what: "QEMU is killed between any two writes of the boot state",
        command: &["xtask", "vm", PI, "--boot-kills"],
        slow: true,
    },
    Part { name: "image-rpi4", what: "the image of a Pi 4", command: &["xtask", "image", "rpi4"], slow: true },
    Part {
        name: "image-arm64",
        what: "the image of 64-bit ARM machines with UEFI",
        command: &["xtask", "image", "arm64-uefi"],
        slow: true,
    },
    Part {
        name: "vm-arm",
        what: "each of them joins another node",
        command: &["xtask", "vm", PI, "rpi4", "arm64-uefi", "--all-scenarios", "--at-once", "2"],
        slow: true,
    },
    Part { name: "image-rpi2", what: "the image of a 32-bit Pi", command: &["xtask", "image", "rpi2"], slow: true },
    Part { name: "u-boot-32", what: "its boot script on the real U-Boot", command: &["xtask", "vm", "rpi2", "--boot-cases"], slow: true },
    Part { name: "image-rpi5", what: "the image of a Pi 5, which QEMU lacks", command: &["xtask", "image", "rpi5"], slow: true },
    Part {
        name: "vm-full",
        what: "the slower scenarios too, and the 32-bit Pi",
        command: &["xtask", "vm", BOARD, PI, "rpi2", "--all-scenarios", "--full", "--at-once", "2"],
        slow: true,
    },
    Part { name: "downloads", what: "the size of what is downloaded", command: &["xtask", "bench", "downloads"], slow: true },
    Part { name: "twin-arm64", what: "configured as an ARM processor would", command: &["xtask", "verify-twin", PI], slow: true },
    Part { name: "twin-armhf", what: "the same in 32 bit", command: &["xtask", "verify-twin", "rpi2"], slow: true },
    Part {
        name: "double",
        what: "each board's image built twice, far apart",
        command: &["xtask", "bench", "double", BOARD, PI, "rpi2", "rpi4", "rpi5", "arm64-uefi"],
        slow: true,
    },
];

impl TestVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        for name in &self.part {
            ensure!(known.contains(&name.as_str()), "there is no part `{name}`; there are {}", known.join(", "));
        }
        let chosen = PARTS
            .iter()
            .filter(|part| if self.part.is_empty() { self.full || !part.slow } else { self.part.iter().any(|name| name == part.name) });
        // Cargo builds this program anew for the tests of all packages together, and replaces its file: parts run a copy.
        let target = super::root()?.join("target");
        std::fs::create_dir_all(&target)?;
        let own = tempfile::Builder::new().prefix("suite-").tempdir_in(&target).context("failed to make a folder for the suite")?;
        let program = own.path().join("xtask");
        std::fs::copy("/proc/self/exe", &program).context("failed to copy the builder")?;
        let mut results = Vec::new();
        for part in chosen {
            println!("\n== {}: {}", part.name, part.what);
            let begun = Instant::now();
            let outcome = run(part, &program);
            if let Err(error) = &outcome {
                println!("{error:#}");
            }
            results.push((part, outcome.is_ok(), begun.elapsed().as_secs()));
        }
        println!();
        for (part, ok, seconds) in &results {
            println!("{:12} {:7} {seconds:5} s  {}", part.name, if *ok { "passed" } else { "FAILED" }, part.what);
        }
        let failed = results.iter().filter(|(_, ok, _)| !ok).count();
        let seconds: u64 = results.iter().map(|(_, _, seconds)| seconds).sum();
        println!("\n{} passed, {failed} failed, in {} min {} s", results.len() - failed, seconds / 60, seconds % 60);
        if failed > 0 {
            bail!("the suite failed; one part again: cargo xtask test --part NAME");
        }
        Ok(())
    }
}

/// Runs a part; `own` is this program.
fn run(part: &Part, own: &Path) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(super::root()?);
    let Some((program, words)) = part.command.split_first() else { bail!("a part without a command") };
    let program = match *program {
        "xtask" => own.as_os_str().to_owned(),
        "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        other => other.into(),
    };
    cmd!(shell, "{program} {words...}").quiet().run()?;
    Ok(())
}
