//! `cargo xtask vm BOARD…`: nodes in virtual machines, to look at or to run scenarios on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use super::plan::DEFAULT_FLAVOUR;
use crate::board::Catalog;
use crate::browser::axe;
use crate::packages::cache::Cache;
use crate::parallel;
use crate::tools::{self, Tools};
use crate::trees::Trees;
use crate::ui;
use crate::vm::scenario::Scenario;
use crate::vm::{self, Emulator, Lab, NodeSpec, scenario};

/// The name of the community that the nodes form.
const COMMUNITY: &str = "Virtual";

/// Boots nodes from a board's image in virtual machines, joined by a private link, and waits for Ctrl-C.
#[derive(Args)]
pub struct VmVerb {
    /// The board, as `cargo xtask boards` lists it; more than one to run scenarios of each.
    #[arg(required = true, value_name = "BOARD")]
    boards: Vec<String>,
    /// How many nodes.
    #[arg(long, default_value_t = 1)]
    nodes: u8,
    /// Memory of each, in MB.
    #[arg(long, default_value_t = vm::MEMORY_MB, value_name = "MB")]
    memory: u32,
    /// Size of each one's disk, in GB.
    #[arg(long, default_value_t = vm::DISK_GB, value_name = "GB")]
    disk: u32,
    /// Boot with Secure Boot and Microsoft's keys.
    #[arg(long)]
    secure_boot: bool,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// An image to boot instead of the board's newest.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Run a scenario instead (its name in ci/scenarios, or a file; may be given more than once).
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Run every scenario of ci/scenarios, but for the slower proofs.
    #[arg(long, conflicts_with = "scenario")]
    all_scenarios: bool,
    /// Run the slower proofs too.
    #[arg(long, requires = "all_scenarios")]
    full: bool,
    /// Hold every page of the scenarios to axe-core, which is fetched.
    #[arg(long)]
    axe: bool,
    /// Run so many scenarios at a time.
    #[arg(long, default_value_t = 1, value_name = "N")]
    at_once: usize,
    /// Try the boot script of the image on the real U-Boot, in many cases.
    #[arg(long, conflicts_with_all = ["scenario", "all_scenarios"])]
    boot_cases: bool,
    /// Kill QEMU between any two writes of the boot state, and start the card that is left.
    #[arg(long, conflicts_with_all = ["scenario", "all_scenarios", "boot_cases"])]
    boot_kills: bool,
}

/// A scenario, and the board that it is run for.
struct Job {
    board: String,
    image: PathBuf,
    /// The lock that its packages stand in.
    lock: PathBuf,
    scenario: Scenario,
}

impl VmVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        // All are read, and all images are there, before one is run.
        let trees = Trees::of(&repo);
        let catalog = trees.catalog()?;
        let jobs = self.jobs(&repo, &trees, &catalog)?;
        let others = jobs.iter().flat_map(|job| &job.scenario.nodes).filter_map(|(spec, _)| spec.board.as_ref());
        let boards: BTreeSet<&String> = self.boards.iter().chain(others).collect();
        let cache = Cache::open()?;
        let mut tools = Tools::prepare(&repo, tools::LOCK, &cache, None)?;
        let mut layers = BTreeSet::new();
        for board in boards {
            layers.extend(tools::machine_layer(catalog.board(board)?.arch));
        }
        if jobs.iter().any(|job| job.scenario.browses()) {
            layers.insert(tools::BROWSER_LOCK);
        }
        for layer in layers {
            tools = tools.with_layer(&repo, layer, &cache, None)?;
        }
        let emulator = Emulator::new(tools)?;
        ui::say(&format!("virtual machines run on {}", emulator.accelerator()));
        let work = repo.join("target").join("vm");
        if !self.scenario.is_empty() || self.all_scenarios {
            return self.run_all(&emulator, &repo, &cache, &work, &jobs);
        }
        let [board] = self.boards.as_slice() else { bail!("name one board; more than one are for --scenario and --all-scenarios") };
        let (image, own) = (self.image(&repo, board)?, model(&catalog, board)?);
        if self.boot_kills {
            let count = vm::boot_cases::kills(&emulator, &image, own, &work.join(format!("{board}-boot-kills")))?;
            println!("{board}: QEMU was killed {count} times at the boot state, and the right slot was started each time");
            return Ok(());
        }
        if self.boot_cases {
            let count = vm::boot_cases::run(&emulator, &image, own, &work.join(format!("{board}-boot-cases")))?;
            println!("{count} cases of the boot script of {board}: all as they should be");
            println!("\nNext: cargo xtask vm {board} --all-scenarios");
            return Ok(());
        }
        self.show(&emulator, board, &image, own, &work.join("nodes"))
    }

    /// The scenarios of each board in turn, their nodes' images found.
    fn jobs(&self, repo: &Path, trees: &Trees, catalog: &Catalog) -> Result<Vec<Job>> {
        let paths = if self.all_scenarios { scenario::list(repo)? } else { self.scenario_paths(repo) };
        let axe = self.axe.then(|| axe::text(repo)).transpose()?;
        let mut jobs = Vec::new();
        for board in &self.boards {
            ensure!(self.image.is_none() || self.boards.len() == 1, "--image is one board's; name one");
            for path in &paths {
                let mut scenario = scenario::read(path)?;
                scenario.axe.clone_from(&axe);
                if self.all_scenarios && !((self.full || !scenario.full) && scenario.boards.contains(board)) {
                    continue;
                }
                for (spec, _) in &mut scenario.nodes {
                    let own = spec.board.as_ref().unwrap_or(board);
                    (spec.image, spec.model) = (Some(self.image(repo, own)?), model(catalog, own)?);
                }
                let facts = catalog.board(board)?;
                let lock = trees.lock(catalog, facts, catalog.flavour(&self.flavour)?, facts.arch);
                jobs.push(Job { board: board.clone(), image: self.image(repo, board)?, lock, scenario });
            }
        }
        Ok(jobs)
    }

    fn run_all(&self, emulator: &Emulator, repo: &Path, cache: &Cache, work: &Path, jobs: &[Job]) -> Result<()> {
        let failed = Mutex::new(Vec::new());
        parallel::for_each(jobs, self.at_once, |job| {
            let (board, name) = (&job.board, &job.scenario.name);
            let told_as = if self.at_once > 1 { format!("{board} {name}: ") } else { String::new() };
            let shelf = scenario::Shelf::new(repo, &job.lock, cache)?;
            match scenario::run(emulator, repo, &shelf, &job.image, &work.join(format!("{board}-{name}")), &job.scenario, &told_as) {
                Ok(outcome) => println!("ok      {:5.0} s  {board} {}", outcome.seconds, outcome.name),
                Err(error) => {
                    let fault = format!("FAILED           {board} {name}: {error:#}");
                    println!("{fault}");
                    failed.lock().unwrap_or_else(PoisonError::into_inner).push((fault, format!("{board} --scenario {name}")));
                }
            }
            Ok(())
        })?;
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !failed.is_empty() {
            let (faults, again): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
            // Others may have ended long after it.
            if jobs.len() > 1 {
                println!("\n{}", faults.join("\n"));
            }
            bail!("{} failed; again: cargo xtask vm {}", again.len(), again.join("; cargo xtask vm "));
        }
        println!("\nNext: cargo xtask vm {} --nodes 2", self.boards.first().map_or("BOARD", String::as_str));
        Ok(())
    }

    /// A board's newest image, or the one that was named for the board that was asked for.
    fn image(&self, repo: &Path, board: &str) -> Result<PathBuf> {
        let image = match &self.image {
            Some(path) if self.boards.iter().any(|own| own == board) => path.clone(),
            _ => repo.join("out").join(format!("cloudy-{board}-{}.img", self.flavour)),
        };
        ensure!(image.is_file(), "there is no image `{}`: build it with `cargo xtask image {board}`", image.display());
        Ok(image)
    }

    fn scenario_paths(&self, repo: &Path) -> Vec<PathBuf> {
        let path = |name: &String| {
            let known = repo.join(scenario::FOLDER).join(format!("{name}.toml"));
            if known.is_file() { known } else { PathBuf::from(name) }
        };
        self.scenario.iter().map(path).collect()
    }

    /// Boots the nodes and waits until the user has seen enough.
    fn show(&self, emulator: &Emulator, board: &str, image: &Path, model: vm::Model, folder: &Path) -> Result<()> {
        // Held back from here on, also from QEMU, so that Ctrl-C ends all in order.
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGINT);
        ends.add(Signal::SIGTERM);
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&ends), None).context("failed to hold back Ctrl-C")?;
        vm::prepare_folder(folder)?;
        let people = scenario::People::new(&vm::make_key(emulator, folder)?, Some(COMMUNITY))?;
        let specs: Vec<NodeSpec> = (1..=self.nodes)
            .map(|number| NodeSpec {
                model,
                memory_mb: self.memory,
                disk_gb: self.disk,
                secure_boot: self.secure_boot,
                cloudy_toml: Some(people.fill(&cloudy_toml(number))),
                ..NodeSpec::new(&format!("node-{number}"))
            })
            .collect();
        let mut lab = Lab::new(emulator, image, folder, &specs)?;
        for node in &mut lab.nodes {
            node.start(emulator)?;
        }
        println!("Starting {} nodes; a page answers after one to three minutes.", self.nodes);
        for node in &lab.nodes {
            println!("\n{}", node.plan.name);
            println!("  page     http://127.0.0.1:{}/", node.plan.host_port(vm::PAGE_PORT)?);
            let ssh = node.plan.host_port(vm::SSH_PORT)?;
            println!("  ssh      ssh -i {} -p {ssh} {}@127.0.0.1", folder.join("key").display(), vm::SSH_USER);
            println!("  console  {}", node.log().display());
        }
        println!("\nCtrl-C switches them off.");
        ends.wait().context("failed to wait for Ctrl-C")?;
        for node in &mut lab.nodes {
            node.kill()?;
        }
        lab.remove_disks();
        println!("\nThe nodes are off; their logs stay in {}", folder.display());
        println!("Next: cargo xtask vm {board} --scenario community");
        Ok(())
    }
}

/// The machine of QEMU's that a board's image is tried on.
fn model(catalog: &Catalog, board: &str) -> Result<vm::Model> {
    let board = catalog.board(board)?;
    board.qemu.with_context(|| format!("QEMU has no machine like {}: {}; try its image on a real one", board.name, board.title))
}

/// Settings of node `number`: the first founds a community, the others join it.
fn cloudy_toml(number: u8) -> String {
    let join = match number {
        1 => format!("found = \"{COMMUNITY}\"\nkit = \"{{kit}}\"\n"),
        _ => "token = \"{token}\"\n".to_owned(),
    };
    format!("hostname = \"node-{number}\"\nssh-keys = [\"{{ssh-key}}\"]\n\n[join]\n{join}")
}
