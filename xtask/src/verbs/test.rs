//! `cargo xtask test`: the whole test suite, part by part, each with its time.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use xshell::{Cmd, Shell, cmd};

use crate::cmd;

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
    /// Parts of different lanes that follow each other in the list run beside each other; those of one lane in turn.
    lane: Option<Lane>,
    /// Gives way to what runs beside it.
    yields: bool,
}

/// What keeps a machine busy for long and needs nothing of the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Code,
    Image,
}

impl Part {
    const fn new(name: &'static str, what: &'static str, command: &'static [&'static str]) -> Self {
        Self { name, what, command, slow: false, lane: None, yields: false }
    }

    const fn slow(self) -> Self {
        Self { slow: true, ..self }
    }

    const fn on(self, lane: Lane) -> Self {
        Self { lane: Some(lane), ..self }
    }

    const fn yielding(self) -> Self {
        Self { yields: true, ..self }
    }
}

/// In the order in which they run: what fails quickly first.
const PARTS: &[Part] = &[
    Part::new("tidy", "the repository's own rules", &["xtask", "tidy"]),
    Part::new("format", "rustfmt", &["cargo", "fmt", "--all", "--check"]),
    // The image comes first: machines then boot, one after the other and often waiting, while there is still something to compile.
    Part::new(
        "clippy",
        "lints, while all tests are compiled; warnings are errors",
        &["cargo", "test", "--workspace", "--locked", "--no-run", "--quiet"],
    )
    .on(Lane::Code)
    .yielding(),
    Part::new("unit", "unit, property and loopback tests", &["cargo", "test", "--workspace", "--locked", "--no-fail-fast"]).on(Lane::Code),
    // The program is what the part `unit` compiled.
    Part::new("pages", "every page, in a browser, as each kind of person", &["xtask", "pages", "--program", "target/debug/cloudy"])
        .on(Lane::Code),
    Part::new("image", "an image from nothing", &["xtask", "image", BOARD]).on(Lane::Image),
    Part::new("vm", "scenarios on virtual machines that boot it", &["xtask", "vm", BOARD, "--all-scenarios", "--at-once", "2"])
        .on(Lane::Image),
    // Tests of the code, which mostly wait, run meanwhile and go first.
    Part::new("image-pi", "a Pi's image, with nothing that could run its programs", &["xtask", "image", PI, "--without-emulation"])
        .on(Lane::Image)
        .yielding(),
    Part::new("u-boot", "a Pi's boot script on the real U-Boot, in many cases", &["xtask", "vm", PI, "--boot-cases"]).on(Lane::Image),
    Part::new("vm-arm", "scenarios on virtual Pis: U-Boot's boot chain, USB Ethernet", &["xtask", "vm", PI, "--all-scenarios"])
        .on(Lane::Image),
    // It puts the image aside that machines boot from, and two cargos would wait for each other.
    Part::new(
        "disturbed",
        "a build that is killed while it writes, and two at once",
        &["cargo", "test", "--workspace", "--locked", "--test", "builds", "--", "--ignored", DISTURBED],
    ),
    // A third architecture costs a third compilation, as long as all tests of the code take.
    Part::new("image-rpi2", "the image of a 32-bit Pi", &["xtask", "image", "rpi2", "--without-emulation"]).slow(),
    Part::new("u-boot-32", "its boot script on the 32-bit U-Boot, which counts otherwise", &["xtask", "vm", "rpi2", "--boot-cases"]).slow(),
    Part::new(
        "app",
        "an app's image, built twice, and messages through it on a real Docker",
        &["xtask", "app", "mosquitto", "--arch", "amd64", "--twice", "--try"],
    )
    .slow(),
    // The program is what the part `unit` compiled.
    Part::new(
        "app-node",
        "the same through a node's command line, killed while it installs",
        &["xtask", "app", "mosquitto", "--arch", "amd64", "--node", "target/debug/cloudy"],
    )
    .slow(),
    Part::new(
        "unit-slow",
        "tests that take long: a simulated day, every locked package",
        &["cargo", "test", "--workspace", "--locked", "--no-fail-fast", "--", "--ignored", "--skip", DISTURBED],
    )
    .slow(),
    Part::new("core", "what the core is held to: writes, messages, joins, partitions, memory", &["xtask", "bench", "core"]).slow(),
    Part::new("inputs", "a million hostile inputs for each parser", &["xtask", "bench", "inputs"]).slow(),
    Part::new("api", "a hundred thousand requests to the API, for each role", &["xtask", "bench", "api"]).slow(),
    Part::new("mutations", "each safety property's test fails when the code is broken", &["xtask", "bench", "mutations"]).slow(),
    Part::new(
        "apps",
        "every app for every architecture, built twice, used in its own protocol",
        &["xtask", "app", "--all", "--twice", "--try"],
    )
    .slow(),
    Part::new("u-boot-kills", "QEMU is killed between any two writes of the boot state", &["xtask", "vm", PI, "--boot-kills"]).slow(),
    // Of the same programs and packages as the Pi 3's.
    Part::new("image-rpi4", "the image of a Pi 4", &["xtask", "image", "rpi4", "--without-emulation"]).slow(),
    Part::new("image-arm64", "the image of 64-bit ARM machines with UEFI", &["xtask", "image", "arm64-uefi", "--without-emulation"]).slow(),
    Part::new("image-rpi5", "the image of a Pi 5, which QEMU lacks", &["xtask", "image", "rpi5", "--without-emulation"]).slow(),
    Part::new(
        "vm-full",
        "the slower scenarios too, each kind of machine beside a PC",
        &["xtask", "vm", BOARD, PI, "rpi4", "rpi2", "arm64-uefi", "--all-scenarios", "--full", "--at-once", "2"],
    )
    .slow(),
    Part::new("downloads", "the size of what is downloaded", &["xtask", "bench", "downloads"]).slow(),
    Part::new("twin-arm64", "configured as an ARM processor would", &["xtask", "verify-twin", PI]).slow(),
    Part::new("twin-armhf", "the same in 32 bit", &["xtask", "verify-twin", "rpi2"]).slow(),
    Part::new(
        "double",
        "each board's image built twice, far apart",
        &["xtask", "bench", "double", BOARD, PI, "rpi2", "rpi4", "rpi5", "arm64-uefi"],
    )
    .slow(),
];

impl TestVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        for name in &self.part {
            ensure!(known.contains(&name.as_str()), "there is no part `{name}`; there are {}", known.join(", "));
        }
        let chosen: Vec<&Part> = PARTS
            .iter()
            .filter(|part| if self.part.is_empty() { self.full || !part.slow } else { self.part.iter().any(|name| name == part.name) })
            .collect();
        // Cargo builds this program anew for the tests of all packages together, and replaces its file: parts run a copy.
        let target = super::root()?.join("target");
        std::fs::create_dir_all(&target)?;
        let own = tempfile::Builder::new().prefix("suite-").tempdir_in(&target).context("failed to make a folder for the suite")?;
        let program = own.path().join("xtask");
        std::fs::copy("/proc/self/exe", &program).context("failed to copy the builder")?;
        let begun = Instant::now();
        let mut results = Vec::new();
        for lanes in groups(&chosen) {
            let beside = lanes.len() > 1;
            let ended: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = lanes.iter().map(|lane| scope.spawn(|| run_all(lane, &program, beside))).collect();
                threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
            });
            for lane in ended {
                results.extend(lane.map_err(|_| anyhow!("a lane of the suite ended by a fault of its own"))?);
            }
        }
        for Outcome { part, fault, told, .. } in &results {
            if let Some(fault) = fault {
                // Who reads a log from its end finds the reason there.
                println!("\n== {} failed: {fault}", part.name);
                for line in told.lines() {
                    println!("[{}] {line}", part.name);
                }
            }
        }
        println!();
        for Outcome { part, fault, seconds, .. } in &results {
            println!("{:12} {:7} {seconds:5} s  {}", part.name, if fault.is_none() { "passed" } else { "FAILED" }, part.what);
        }
        let failed = results.iter().filter(|outcome| outcome.fault.is_some()).count();
        let seconds = begun.elapsed().as_secs();
        println!("\n{} passed, {failed} failed, in {} min {} s", results.len() - failed, seconds / 60, seconds % 60);
        if failed > 0 {
            bail!("the suite failed; one part again: cargo xtask test --part NAME");
        }
        Ok(())
    }
}

/// How a part ended.
struct Outcome {
    part: &'static Part,
    /// Why it failed.
    fault: Option<String>,
    /// What of its output is told again, where that was read.
    told: Told,
    seconds: u64,
}

/// What of a failed part's output is told again at the end: cargo runs on after tests that failed, and says of them no more than
/// whose they are.
#[derive(Debug, Default)]
struct Told {
    /// What tests that failed said, as cargo's test runner shows it.
    failures: Vec<String>,
    /// The lines belong to that.
    within: bool,
    /// The last lines.
    last: VecDeque<String>,
}

impl Told {
    /// So many of the last lines.
    const LAST: usize = 40;
    /// At most so many lines of failures.
    const FAILURES: usize = 200;

    fn keep(&mut self, line: &str) {
        self.within |= line == "failures:";
        if self.within && self.failures.len() < Self::FAILURES {
            self.failures.push(line.to_owned());
        }
        self.within &= !line.starts_with("test result: ");
        if self.last.len() == Self::LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn lines(&self) -> impl Iterator<Item = &String> {
        self.failures.iter().chain(&self.last)
    }
}

/// What runs beside each other, in turn: the lanes of parts that follow each other, or a part without one by itself.
fn groups<'a>(parts: &[&'a Part]) -> Vec<Vec<Vec<&'a Part>>> {
    parts.chunk_by(|one, next| one.lane.is_some() && next.lane.is_some()).map(lanes).collect()
}

fn lanes<'a>(group: &[&'a Part]) -> Vec<Vec<&'a Part>> {
    let mut lanes: Vec<Vec<&Part>> = Vec::new();
    for part in group {
        match lanes.iter_mut().find(|lane| lane.first().is_some_and(|first| first.lane == part.lane)) {
            Some(lane) => lane.push(part),
            None => lanes.push(vec![part]),
        }
    }
    lanes
}

/// Runs parts in turn, also after one that failed.
fn run_all(parts: &[&'static Part], own: &Path, beside: bool) -> Vec<Outcome> {
    let mut results = Vec::new();
    for part in parts {
        println!("\n== {}: {}", part.name, part.what);
        let begun = Instant::now();
        let mut told = Told::default();
        let fault = run(part, own, beside, &mut told).err().map(|error| format!("{error:#}"));
        let seconds = begun.elapsed().as_secs();
        if let Some(fault) = &fault {
            println!("{}: {fault}", part.name);
        }
        println!("\n== {}: {} after {seconds} s", part.name, if fault.is_none() { "passed" } else { "FAILED" });
        results.push(Outcome { part, fault, told, seconds });
    }
    results
}

/// Runs a part; `own` is this program. Beside another part, each line of its output says whose it is. Where nobody watches a
/// terminal, what it says is kept for the end.
fn run(part: &Part, own: &Path, beside: bool, told: &mut Told) -> Result<()> {
    let Some((program, words)) = part.command.split_first() else { bail!("a part without a command") };
    let shell = Shell::new()?;
    shell.change_dir(super::root()?);
    let path = match *program {
        "xtask" => own.to_owned(),
        "cargo" => cargo(),
        other => other.into(),
    };
    let mut command = if beside && part.yields { cmd!(shell, "nice -n 5 {path} {words...}") } else { cmd!(shell, "{path} {words...}") };
    if (*program, words.first()) == ("cargo", Some(&"test")) {
        command = linted(command, &path)?;
    }
    let mut command = Command::from(command);
    let said = if beside || !std::io::stdout().is_terminal() {
        let (said, writer) = std::io::pipe().context("failed to make a pipe")?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        Some(said)
    } else {
        None
    };
    let shown = part.command.join(" ");
    let mut child = command.spawn().with_context(|| format!("failed to start `{shown}`"))?;
    // It holds the pipe's other end, which must be closed here for the pipe to end.
    drop(command);
    if let Some(said) = said {
        for line in BufReader::new(said).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            told.keep(&line);
            if beside {
                println!("[{}] {line}", part.name);
            } else {
                println!("{line}");
            }
        }
    }
    cmd::check(&shown, child.wait()?, std::iter::empty())
}

/// The cargo that this program was started by.
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

/// Has what cargo compiles for tests be compiled by clippy's driver, which is rustc with more lints: so one compilation of
/// all crates is enough for both.
fn linted<'a>(command: Cmd<'a>, cargo: &Path) -> Result<Cmd<'a>> {
    let driver = cargo.with_file_name("clippy-driver");
    let found = driver.components().count() == 1 || driver.exists();
    ensure!(found, "there is no `{}`, which lints: rustup component add clippy", driver.display());
    // What is compiled from nothing costs less in one piece; a test that fails says its line without a line table.
    let command = command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    // In the form in which `cargo clippy` hands arguments on to it.
    let arguments = "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";
    Ok(command.env("RUSTC_WORKSPACE_WRAPPER", driver).env("CLIPPY_ARGS", arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_lane_follow_each_other_and_lanes_run_beside_each_other() {
        let names = |lanes: &Vec<Vec<&Part>>| -> Vec<String> {
            lanes.iter().map(|lane| lane.iter().map(|part| part.name).collect::<Vec<_>>().join(" then ")).collect()
        };
        let quick: Vec<&Part> = PARTS.iter().filter(|part| !part.slow).collect();
        let groups: Vec<_> = groups(&quick).iter().map(names).collect();
        let images = "image then vm then image-pi then u-boot then vm-arm";
        let expected: [&[&str]; 4] = [&["tidy"], &["format"], &["clippy then unit then pages", images], &["disturbed"]];
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_part_fails_when_its_command_does() {
        let part = |command: &'static [&'static str]| Part::new("part", "a part", command);
        for beside in [false, true] {
            let mut told = Told::default();
            assert!(run(&part(&["true"]), Path::new("unused"), beside, &mut told).is_ok());
            let error = run(&part(&["false", "word"]), Path::new("unused"), beside, &mut told).unwrap_err().to_string();
            assert!(error.contains("`false word` ended with exit status: 1"), "{error}");
        }
    }

    #[test]
    fn a_parts_last_lines_are_kept() {
        let mut told = Told::default();
        run(&Part::new("part", "a part", &["seq", "50"]), Path::new("unused"), true, &mut told).unwrap();
        assert!(told.lines().eq(&(11..=50).map(|line| line.to_string()).collect::<Vec<_>>()), "{told:?}");
    }

    #[test]
    fn a_failed_tests_words_are_told_again_however_much_followed() {
        let mut told = Told::default();
        let first = ["running 2 tests", "test a ... FAILED", "failures:", "---- a stdout ----", "left: 1", "failures:", "    a"];
        first.iter().for_each(|line| told.keep(line));
        told.keep("test result: FAILED. 1 passed; 1 failed; 0 ignored");
        (0..100).for_each(|number| told.keep(&format!("test {number} ... ok")));
        let lines: Vec<&String> = told.lines().collect();
        assert_eq!(lines.len(), 6 + Told::LAST);
        assert_eq!(lines.first().unwrap().as_str(), "failures:");
        assert!(lines.iter().any(|line| *line == "left: 1"));
        assert!(lines.get(5).unwrap().starts_with("test result: FAILED"));
    }
}
