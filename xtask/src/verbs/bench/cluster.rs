//! `cargo xtask bench cluster`: a microcloud of cloudy agents beside one of Serf agents (Debian's, encrypted), turn by turn on the same
//! network namespaces, watched by one poller from outside.
//!
//! The sandbox makes the namespaces, so no root is needed. This program runs in it once more (`inner`): it starts the agents, polls both
//! sides in the same way (one request a look, over the network, every 20 ms), and hands back what it saw as JSON.

pub(super) mod cloudy;
mod figures;
pub(super) mod inner;
pub(super) mod net;
mod serf;

use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::board::Arch;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::{tools, ui};

/// Where the programs and the working folder are seen inside.
pub(super) const INSIDE: &str = "/run/bench";

/// Measures cloudy agents beside Serf agents.
#[derive(Args)]
pub struct Cluster {
    /// How many runs of each side, without and with loss; the median is what counts.
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Nodes.
    #[arg(long, default_value_t = 12)]
    nodes: usize,
    /// Packets lost on the way into each node in the lossy half, in percent.
    #[arg(long, default_value_t = 20)]
    loss: u32,
    /// Events in each run.
    #[arg(long, default_value_t = 5)]
    events: usize,
    /// How long the nodes are watched at rest, in seconds.
    #[arg(long, default_value_t = 60)]
    rest_seconds: u64,
    /// In how many of the runs they are.
    #[arg(long, default_value_t = 3)]
    rests: usize,
    /// Serf's timing: `wan` is what fits nodes of many homes.
    #[arg(long, default_value = "wan")]
    serf_profile: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is to be measured, as the program inside is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spec {
    runs: usize,
    nodes: usize,
    loss: u32,
    events: usize,
    rest_seconds: u64,
    rests: usize,
    serf_profile: String,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Side {
    Serf,
    Cloudy,
}

/// One run of a side.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    side: Side,
    loss: u32,
    /// From the first start until all but the last node know each other, in seconds.
    formed: f64,
    /// From the last node's start until all know it and it knows all.
    joined: Option<f64>,
    /// For each event: from sending it until it is at all nodes; none if it never was.
    events: Vec<Option<f64>>,
    /// Events times nodes that did not get it.
    lost: usize,
    /// Events times nodes.
    expected: usize,
    rest: Option<Rest>,
}

/// Nodes at rest: means over them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rest {
    /// Received and sent, at the network interface, a second.
    bytes_in: f64,
    bytes_out: f64,
    /// Milliseconds of processor a second.
    cpu: f64,
    /// Resident memory in megabytes (of 1,000,000 bytes).
    rss: f64,
}

impl Cluster {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0 && self.events > 0, "--runs and --events must be at least 1");
        ensure!((3..=200).contains(&self.nodes), "--nodes must be 3 to 200");
        ensure!(self.loss < 100, "--loss must be below 100");
        let shop = Workshop::open(crate::verbs::root()?, None)?;
        let layered = shop.tools.with_layer(&shop.repo, tools::CLUSTER_LOCK, &shop.cache, None)?;
        let programs = stages::programs_for(&shop, Arch::Amd64, Profile::Release)?;
        let folder = shop.repo.join("target/bench-cluster");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let spec = Spec {
            runs: self.runs,
            nodes: self.nodes,
            loss: self.loss,
            events: self.events,
            rest_seconds: self.rest_seconds,
            rests: self.rests,
            serf_profile: self.serf_profile,
        };
        let found = layered
            .sandbox()
            .bind(programs.of("agent")?, &format!("{INSIDE}/cloudy"))
            .bind(&std::env::current_exe()?, &format!("{INSIDE}/xtask"))
            .bind_writable(&folder, &format!("{INSIDE}/work"))
            .command([format!("{INSIDE}/xtask"), inner::VERB.to_owned(), serde_json::to_string(&spec)?])
            .run_with(|_| Ok(()), ui::say)
            .with_context(|| format!("the measurement did not end well; what the agents said lies in {}", folder.display()))?;
        let runs: Vec<Run> = serde_json::from_slice(&found).context("the measurement's result can't be read")?;
        fs::remove_dir_all(&folder)?;
        let figures = figures::Figures::of(&spec, &runs);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&figures)?);
        } else {
            print!("{}", figures.table());
        }
        Ok(())
    }
}
