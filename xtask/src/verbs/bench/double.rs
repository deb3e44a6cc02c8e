//! `cargo xtask bench double`: the same plan built twice, far apart, and compared byte by byte.
//!
//! The two builds share the .debs alone. They differ in path, cache, time zone, locale, umask, number of processors and, inside every
//! sandbox, in the clock (libfaketime); the builder's own code is kept from reading the clock by a lint (clippy.toml). That root and an
//! ordinary user build the same is seen in each run of CI (`ci/check.sh`).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::packages::cache::Cache;
use crate::sandbox::FAKE_CLOCK;
use crate::tools::{self, Tools};
use crate::ui;
use crate::verbs::plan::DEFAULT_FLAVOUR;

/// Where libfaketime lies in the tree of the benchmarks' tools.
const FAKETIME: &str = "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What of the checkout is copied: all that a build reads.
const SOURCES: [&str; 8] = ["Cargo.toml", "Cargo.lock", "clippy.toml", "firmware", "xtask", "images", "board-configs", "overlay"];

/// Builds images twice under different circumstances and compares.
#[derive(Args)]
pub struct Double {
    /// The boards.
    #[arg(default_value = "x86-minipc")]
    boards: Vec<String>,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
}

/// What differs between the two builds.
struct Circumstance {
    name: &'static str,
    folder: &'static str,
    zone: &'static str,
    locale: &'static str,
    umask: &'static str,
    /// As `taskset --cpu-list` takes it; all without.
    processors: Option<&'static str>,
    /// As FAKETIME takes it.
    clock: Option<&'static str>,
}

const BUILDS: [Circumstance; 2] = [
    Circumstance { name: "first", folder: "a", zone: "UTC", locale: "C.UTF-8", umask: "022", processors: None, clock: None },
    Circumstance {
        name: "second",
        folder: "quite/another/place",
        zone: "Pacific/Chatham",
        locale: "tr_TR.UTF-8",
        umask: "077",
        processors: Some("0"),
        clock: Some("+400d"),
    },
];

/// What `image --json` says, as far as it matters here.
#[derive(Deserialize)]
struct Report {
    image: PathBuf,
    sha256: String,
    bytes: u64,
    #[serde(rename = "build-id")]
    build_id: String,
}

impl Double {
    /// Runs the comparison.
    pub fn run(self) -> Result<()> {
        let repo = crate::verbs::root()?;
        let cache = Cache::open()?;
        let peers = Tools::prepare(&repo, tools::BENCH_LOCK, &cache, None)?;
        let faketime = peers.root().join(FAKETIME);
        let folder = tempfile::Builder::new().prefix("double-").tempdir_in(cache.root()).context("failed to make a working folder")?;
        let mut reports: [Vec<Report>; 2] = Default::default();
        for (build, reports) in BUILDS.iter().zip(&mut reports) {
            ui::say(&format!(
                "the {} build: {}, {}, umask {}, processors {}, clock {}",
                build.name,
                build.zone,
                build.locale,
                build.umask,
                build.processors.unwrap_or("all"),
                build.clock.unwrap_or("as it is")
            ));
            let place = folder.path().join(build.folder);
            copy_checkout(&repo, &place)?;
            // One after the other in the same place, so that boards of one architecture share what is compiled.
            for board in &self.boards {
                reports.push(self.build(build, board, &cache, &faketime, &place)?);
            }
        }
        let [first, second] = &reports;
        let differ: Vec<String> = self
            .boards
            .iter()
            .zip(first.iter().zip(second))
            .filter_map(|(board, (first, second))| Some(format!("{board}: {:#}", compare(board, first, second).err()?)))
            .collect();
        let result = if differ.is_empty() { Ok(()) } else { Err(anyhow!("{}", differ.join("; "))) };
        let folder = folder.keep();
        if result.is_err() {
            // A build of half an hour should not have to be made again to be looked at.
            ui::say(&format!("both builds are kept in {}; remove them when you have seen why", folder.display()));
            return result;
        }
        // Files of subordinate owners may be left in the caches.
        crate::sandbox::remove_tree(peers.root(), &folder)
    }

    fn build(&self, build: &Circumstance, board: &str, cache: &Cache, faketime: &Path, place: &Path) -> Result<Report> {
        let checkout = place.join("checkout");
        let shell = Shell::new()?;
        shell.change_dir(&checkout);
        let own = place.join("cache");
        let _env = [
            shell.push_env("CARGO_MANIFEST_DIR", checkout.join("xtask")),
            shell.push_env("CLOUDY_CACHE", &own),
            shell.push_env("TZ", build.zone),
            shell.push_env("LC_ALL", build.locale),
        ];
        let _clock = build.clock.map(|clock| shell.push_env(FAKE_CLOCK, format!("{clock}:{}", faketime.display())));
        let program = std::env::current_exe()?;
        let debs = cache.root();
        let (flavour, umask) = (&self.flavour, build.umask);
        let script = r#"umask "$1"; shift; exec "$@""#;
        let processors: &[&str] = match build.processors {
            Some(list) => &["taskset", "--cpu-list", list],
            None => &[],
        };
        let output =
            cmd!(shell, "sh -c {script} sh {umask} {processors...} {program} image {board} --flavour {flavour} --json --deb-mirror {debs}")
                .quiet()
                .read()?;
        let line = output.lines().last().context("the build printed nothing")?;
        serde_json::from_str(line).context("the build's last line is not its report")
    }
}

fn copy_checkout(repo: &Path, place: &Path) -> Result<()> {
    let checkout = place.join("checkout");
    std::fs::create_dir_all(&checkout)?;
    let shell = Shell::new()?;
    for name in SOURCES {
        let from = repo.join(name);
        crate::cmd::read(cmd!(shell, "cp --recursive {from} {checkout}")).context("failed to copy the checkout")?;
    }
    Ok(())
}

fn compare(board: &str, first: &Report, second: &Report) -> Result<()> {
    for (name, report) in [("first", first), ("second", second)] {
        println!("{board} {name:6} {} build {} {} bytes", report.sha256, report.build_id, report.bytes);
    }
    if first.sha256 == second.sha256 {
        println!("{board} identical");
        return Ok(());
    }
    bail!("the builds differ{}", difference(&first.image, &second.image)?)
}

/// Where two images differ first, as a person who looks for the cause wants it.
fn difference(first: &Path, second: &Path) -> Result<String> {
    use std::io::Read;
    let (mut a, mut b) = (std::fs::File::open(first)?, std::fs::File::open(second)?);
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0_u64;
    loop {
        let (n, m) = (a.read(&mut left)?, b.read(&mut right)?);
        if let Some(place) = left.iter().take(n).zip(right.iter().take(m)).position(|(x, y)| x != y) {
            return Ok(format!(", first at byte {}", at + place as u64));
        }
        if n != m || n == 0 {
            return Ok(", in length".into());
        }
        at += n as u64;
    }
}
