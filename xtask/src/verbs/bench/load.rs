//! `cargo xtask bench load`: what a node does when many ask it at once over TLS, on connections that stay open, beside a static file of the
//! same server; and whether it goes on answering while others send their requests a byte a second, or bodies without end. Ends with an error
//! where anything was answered with one, somebody was not served, memory had no bound, or somebody rude was not cut.
//!
//! Real agents in network namespaces of their own; who asks verifies the node's certificate and shows a token.

mod clients;
mod rude;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use self::clients::{Door, Load, Meanwhile};
use self::rude::{Cut, Kind};
use super::cluster::{cloudy, net};
use super::pages;
use crate::cmd::rss_mb;

/// The verb that this program is started with inside.
pub const VERB: &str = "__bench-load";
/// Where the node listens for TLS.
const PORT: u16 = 8443;
/// What is asked for: the first is the static file.
const PATHS: [&str; 2] = ["/style.css", "/api/v1/services?text=plaza"];
/// The most memory that an agent may have at any time, in megabytes: half of what its unit allows (`MemoryMax=256M`).
const RSS_MAX_MB: f64 = 128.0;
/// Between two looks at its memory.
const RSS_EVERY: Duration = Duration::from_millis(100);

/// Measures a node under load.
#[derive(Args)]
pub struct LoadBench {
    /// Nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Services that they publish together.
    #[arg(long, default_value_t = 200)]
    services: usize,
    /// Connections at once.
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// How long each path is asked for, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Clients that send a byte of their header each second.
    #[arg(long, default_value_t = 50)]
    slow: usize,
    /// Clients that send a body without end.
    #[arg(long, default_value_t = 20)]
    huge: usize,
    /// The agent's program, instead of a release's that is made for it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Spec {
    nodes: usize,
    services: usize,
    connections: usize,
    seconds: u64,
    slow: usize,
    huge: usize,
}

/// An agent's resident memory in megabytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Rss {
    before: f64,
    most: f64,
    after: f64,
}

/// What was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    loads: Vec<Load>,
    rude: Vec<Cut>,
    meanwhile: Meanwhile,
    rss_mb: Rss,
}

impl LoadBench {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!((1..=50).contains(&self.nodes), "--nodes must be 1 to 50");
        ensure!((1..=1000).contains(&self.connections), "--connections must be 1 to 1000");
        ensure!(self.services > 0 && self.seconds > 0, "--services and --seconds must be at least 1");
        let Self { nodes, services, connections, seconds, slow, huge, program, json } = self;
        let spec = Spec { nodes, services, connections, seconds, slow, huge };
        let found: Found = pages::measured(program, "bench-load", VERB, &spec)?;
        if json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            println!("{connections} connections by TLS 1.3, {seconds} s, {nodes} nodes, {services} services");
            found.lines().iter().for_each(|line| println!("{line}"));
        }
        let faults = found.faults(&spec);
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }
}

impl Found {
    fn lines(&self) -> Vec<String> {
        let still = self.loads.first().map_or(f64::NAN, |load| load.requests_a_second);
        let mut lines: Vec<String> = self.loads.iter().map(|load| load.line(still)).collect();
        lines.extend(self.rude.iter().map(Cut::line));
        lines.push(self.meanwhile.line());
        let Rss { before, most, after } = self.rss_mb;
        lines.push(format!("the agent's memory: {before:.1} MB before, {most:.1} MB at most, {after:.1} MB after"));
        lines
    }

    /// What was not as it has to be.
    fn faults(&self, spec: &Spec) -> Vec<String> {
        let mut faults: Vec<String> = self.loads.iter().flat_map(Load::faults).collect();
        faults.extend(self.rude.iter().filter_map(Cut::fault));
        if spec.slow + spec.huge > 0 {
            faults.extend(self.meanwhile.fault());
        }
        if self.rss_mb.most > RSS_MAX_MB {
            faults.push(format!("the agent had {:.1} MB, where {RSS_MAX_MB} are the most", self.rss_mb.most));
        }
        faults
    }
}

/// Measures as it is told, and prints what it saw.
pub fn inside(json: &str) -> Result<()> {
    let spec: Spec = serde_json::from_str(json)?;
    let nodes = net::make(spec.nodes)?;
    let first = nodes.first().context("no nodes")?;
    let agents = pages::form(&nodes, spec.services, cloudy::TEXT, |node, number, folder, token| {
        let mut agent = cloudy::agent(node, number, folder, token)?;
        agent.args(["--https", &format!("{}:{PORT}", node.address)]);
        agent.spawn().context("failed to start cloudy")
    })?;
    let process = agents.0.first().context("no agent")?.id();
    let (token, root) = cloudy::reader(first, &pages::folder_of(0), pages::NAME, pages::PASSWORD)?;
    let door = Door::new(format!("{}:{PORT}", first.address).parse()?, token, &root)?;
    let before = rss_mb(process)?;
    let mut most = before;
    let mut loads = Vec::new();
    for path in PATHS {
        let load = watched(process, &mut most, || clients::load(&door, path, spec.connections, Duration::from_secs(spec.seconds)))??;
        eprintln!("  {path}: {:.0} requests/s", load.requests_a_second);
        loads.push(load);
    }
    let done = AtomicBool::new(false);
    let kinds = [(Kind::Slow, spec.slow), (Kind::Declared, spec.huge.div_ceil(2)), (Kind::Chunked, spec.huge / 2)];
    let (rude, meanwhile) = watched(process, &mut most, || {
        thread::scope(|scope| {
            let polite = scope.spawn(|| clients::meanwhile(&door, PATHS[1], &done));
            let rude = rude::all(&door, &kinds);
            done.store(true, Ordering::Relaxed);
            (rude, polite.join())
        })
    })?;
    let meanwhile = meanwhile.map_err(|_| anyhow::anyhow!("who asked meanwhile broke"))??;
    let rss_mb = Rss { before, most, after: rss_mb(process)? };
    std::io::stdout().write_all(&serde_json::to_vec(&Found { loads, rude: rude?, meanwhile, rss_mb })?)?;
    Ok(())
}

/// Does something while the memory of a process is looked at.
fn watched<T: Send>(process: u32, most: &mut f64, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            *most = most.max(rss_mb(process)?);
            thread::sleep(RSS_EVERY);
        }
        worker.join().map_err(|_| anyhow::anyhow!("who measured broke"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let rss_mb = Rss { before: 30.0, most: 60.0, after: 40.0 };
        let meanwhile = Meanwhile { asked: 9, failed: 0, slowest_ms: 4.0 };
        Found { loads: vec![clients::tests::load(2, 2, 100)], rude: vec![rude::tests::cut(3, 0)], meanwhile, rss_mb }
    }

    #[test]
    fn what_is_not_as_it_has_to_be_is_said() {
        let spec = Spec { nodes: 3, services: 200, connections: 2, seconds: 1, slow: 3, huge: 0 };
        assert!(found().faults(&spec).is_empty(), "{:?}", found().faults(&spec));
        let mut worse = found();
        worse.loads.push(clients::tests::load(200, 64, 100));
        worse.rude.push(rude::tests::cut(3, 1));
        worse.meanwhile.failed = 1;
        worse.rss_mb.most = RSS_MAX_MB + 1.0;
        let faults = worse.faults(&spec);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults[0].contains("136 of 200 connections"), "{faults:?}");
    }
}
