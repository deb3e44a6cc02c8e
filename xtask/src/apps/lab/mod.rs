//! The apps' lab: a real dockerd of Debian's, in namespaces of its own, that pulls apps by digest, runs their compose projects and
//! is asked in each app's own protocol. Needs no root and touches no Docker of the host.
//!
//! The lab's dockerd has no control groups to write, since who builds may have none: limits are passed to it and not enforced there.

mod backups;
mod bench;
mod by_hand;
mod compose_list;
mod compose_tried;
mod docker;
mod doors;
mod full;
mod node;
mod own;
mod registry;
mod same;
mod socket;
mod trial;

pub use bench::Measured;
pub use docker::inside;
pub use doors::{SAID, Seen, urls as door_urls};
pub use trial::Trial;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::sandbox::{self, Owners, Sandbox};
use crate::stages::Workshop;
use crate::ui;

/// What names the lab as a sandbox's command.
pub const VERB: &str = "__lab";
/// Docker, and clients of the apps' protocols: laid over the tools tree.
const LAYER: &str = "images/tools/docker.lock";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Where things lie inside.
const LAYOUT: &str = "/layout";
const TRIALS: &str = "/lab/trials.json";
const COMPOSE_FILES: &str = "/lab-compose";
/// A node's program, where one is tried.
const PROGRAM: &str = "/lab/cloudy";
const DATA: &str = "/var/lib/docker";
/// Where what asks from outside reaches the nodes inside.
const DOORS: &str = "/doors";
/// What names the lab that only opens its doors.
const OPEN: &str = "doors";
/// How long it may take until they are open.
const OPENING: Duration = Duration::from_secs(600);

/// Runs the trials, one after the other, with the images of `layout`: by compose alone, or through a node whose program is given.
pub fn run(shop: &Workshop, layout: &Path, trials: &[Trial], node: Option<&Path>) -> Result<()> {
    let _stage = ui::stage("lab", format!("trying {} apps on a Docker of our own", trials.len()));
    in_lab(shop, layout, trials, node, |sandbox| {
        let mut running = sandbox.command([VERB]).spawn(Stdio::null(), Stdio::inherit(), Stdio::inherit())?;
        let status = running.child.wait()?;
        ensure!(status.success(), "an app failed its trial: what it said stands above");
        Ok(())
    })
}

/// Measures a node of that program with an app, so many times.
pub fn measure(shop: &Workshop, layout: &Path, trial: &Trial, node: &Path, runs: usize) -> Result<Measured> {
    let _stage = ui::stage("lab", format!("measuring {} on a Docker of our own", trial.name));
    let told = in_lab(shop, layout, std::slice::from_ref(trial), Some(node), |sandbox| {
        sandbox.command([VERB.to_owned(), runs.to_string()]).run_with(|_| Ok(()), ui::say)
    })?;
    serde_json::from_slice(&told).context("what was measured can't be read")
}

/// Opens the doors of a node of that program in a folder, has it asked there, and says what came of that and what was seen of the node. The
/// folder's path is short: a socket's must be.
pub fn behind_doors(
    shop: &Workshop,
    layout: &Path,
    trial: &Trial,
    node: &Path,
    folder: &Path,
    ask: impl FnOnce() -> Result<()> + Send,
) -> Result<(Result<()>, Seen)> {
    let _stage = ui::stage("lab", "a node, its neighbours and a Docker of our own");
    let mut asked_for = Ok(());
    let told = in_lab(shop, layout, std::slice::from_ref(trial), Some(node), |sandbox| {
        let ready = folder.join(doors::READY);
        let asked = |mut open: ChildStdin| {
            let begun = Instant::now();
            while !ready.exists() {
                ensure!(begun.elapsed() < OPENING, "the lab's doors did not open");
                // Where the lab has ended, nobody reads this.
                open.write_all(b"\n").context("the lab has ended")?;
                std::thread::sleep(LOOK);
            }
            // What goes wrong there is no fault of the lab.
            asked_for = ask();
            Ok(())
        };
        sandbox.bind_writable(folder, DOORS).command([VERB, OPEN]).run_with(asked, ui::say)
    })?;
    Ok((asked_for, serde_json::from_slice(&told).context("what was seen can't be read")?))
}

fn in_lab<T>(
    shop: &Workshop,
    layout: &Path,
    trials: &[Trial],
    node: Option<&Path>,
    work_on: impl FnOnce(Sandbox) -> Result<T>,
) -> Result<T> {
    let tools = shop.tools.with_layer(&shop.repo, LAYER, &shop.cache, shop.deb_mirror.as_deref())?;
    let folder = shop.cache.root().join("lab");
    remove_leftovers(tools.root(), &folder)?;
    let work = folder.join(std::process::id().to_string());
    let (data, facts) = (work.join("docker"), work.join("facts"));
    for folder in [&data, &facts] {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    std::fs::write(facts.join("trials.json"), serde_json::to_vec(trials)?)?;
    if let Some(program) = node {
        std::fs::copy(program, facts.join("cloudy"))
            .with_context(|| format!("failed to take the node's program `{}`", program.display()))?;
    }
    let sandbox = tools.sandbox().owners(Owners::All).containers().bind(layout, LAYOUT).bind(&facts, "/lab").bind_writable(&data, DATA);
    let sandbox = sandbox.bind(&shop.repo.join(compose_list::FOLDER), COMPOSE_FILES);
    let done = work_on(sandbox);
    sandbox::remove_tree(tools.root(), &work)?;
    done
}

/// What killed builds left.
fn remove_leftovers(tools: &Path, folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path: PathBuf = entry?.path();
        let pid = path.file_name().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            sandbox::remove_tree(tools, &path)?;
        }
    }
    Ok(())
}
